// SPDX-License-Identifier: GPL-2.0
/* The device-mapper device of a volume; see device.h. */
#include "device.h"

#include <libdevmapper.h>
#include <stdarg.h>
#include <stdio.h>

#include "log.h"
#include "text.h"

#define DM_UUID_PREFIX	"SEXTANT-"
#define TARGET		"sextant"

static void on_log(int level, const char *file, int line, int error, const char *format, ...)
	__attribute__((format(printf, 5, 6)));

static void on_log(int level, const char *file, int line, int error, const char *format, ...)
{
	char text[512];
	va_list arguments;

	(void)file;
	(void)line;
	(void)error;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	level &= 7;	/* above stand flags */
	if (level <= 4)
		sextant_log(SEXTANT_LOG_WARNING, "device-mapper: %s", text);
	else
		sextant_log(SEXTANT_LOG_DEBUG, "device-mapper: %s", text);
}

void device_init(void)
{
	dm_log_with_errno_init(on_log);
}

static int task_errno(struct dm_task *task)
{
	int error = dm_task_get_errno(task);

	return error ? -error : -EIO;
}

/*
 * Runs a prepared task (NULL or ill: it could not be) and frees it. with_node: it
 * changes /dev, so that udev, or libdevmapper in its stead, has to be done with it.
 */
static int run(struct dm_task *task, bool ill, bool with_node)
{
	uint32_t cookie = 0;
	int error = 0;

	if (!task)
		return -ENODEV;		/* libdevmapper found no driver, and said so */
	if (ill || (with_node && !dm_task_set_cookie(task, &cookie, 0)) || !dm_task_run(task))
		error = task_errno(task);
	if (with_node && cookie)
		dm_udev_wait(cookie);
	dm_task_update_nodes();
	dm_task_destroy(task);
	return error;
}

static struct dm_task *task_for(int type, const char *name)
{
	struct dm_task *task = dm_task_create(type);

	if (task && !dm_task_set_name(task, name)) {
		dm_task_destroy(task);
		return NULL;
	}
	return task;
}

int device_info(const char *name, struct device_info *info)
{
	struct dm_task *task = task_for(DM_DEVICE_INFO, name);
	struct dm_info found;
	int error = 0;

	memset(info, 0, sizeof(*info));
	if (!task)
		return -ENODEV;
	if (!dm_task_run(task) || !dm_task_get_info(task, &found)) {
		error = task_errno(task);
	} else if (found.exists) {
		info->exists = true;
		info->loaded_only = found.inactive_table && !found.live_table;
		info->open_count = (u32)found.open_count;
	}
	dm_task_destroy(task);
	return error == -ENXIO ? 0 : error;
}

static int load(const char *name, const char *target, u64 sectors, const char *parameters)
{
	struct dm_task *task = task_for(DM_DEVICE_RELOAD, name);

	return run(task, task && !dm_task_add_target(task, 0, sectors, target, parameters), false);
}

int device_create(const char *name, const u8 volume[SEXTANT_UUID_BYTES], u64 size_blocks,
		  const char *options)
{
	char parameters[SEXTANT_UUID_TEXT_BYTES + DEVICE_OPTIONS_BYTES + 1];
	char uuid[SEXTANT_UUID_TEXT_BYTES];
	char dm_uuid[sizeof(DM_UUID_PREFIX) + SEXTANT_UUID_TEXT_BYTES];
	struct dm_task *task;
	int error;

	sextant_uuid_format(uuid, volume);
	snprintf(dm_uuid, sizeof(dm_uuid), DM_UUID_PREFIX "%s", uuid);
	snprintf(parameters, sizeof(parameters), "%s%s%s", uuid, options[0] ? " " : "", options);
	task = task_for(DM_DEVICE_CREATE, name);
	error = run(task, task && !dm_task_set_uuid(task, dm_uuid), true);
	if (error)
		return error;
	error = load(name, TARGET, size_blocks << (SEXTANT_BLOCK_SHIFT - 9), parameters);
	if (error)
		device_remove(name, false);
	return error;
}

int device_resume(const char *name)
{
	return run(task_for(DM_DEVICE_RESUME, name), false, true);
}

/* Puts the "error" target in place of whatever the device has. */
static void replace_by_error(const char *name)
{
	struct dm_task *task = task_for(DM_DEVICE_TABLE, name);
	uint64_t start, length = 0;
	char *type, *parameters;

	if (!task)
		return;
	if (dm_task_run(task))
		dm_get_next_target(task, NULL, &start, &length, &type, &parameters);
	dm_task_destroy(task);
	if (!length || load(name, "error", length, ""))
		return;
	task = task_for(DM_DEVICE_SUSPEND, name);
	if (!run(task, task && (!dm_task_no_flush(task) || !dm_task_skip_lockfs(task)), false))
		device_resume(name);
}

int device_remove(const char *name, bool force)
{
	struct device_info info;
	struct dm_task *task;
	bool ill;

	if (device_info(name, &info) || !info.exists)
		return 0;
	if (info.open_count && !force)
		return -EBUSY;
	if (force && info.open_count)
		replace_by_error(name);
	task = task_for(DM_DEVICE_REMOVE, name);
	ill = task && (!dm_task_retry_remove(task) ||
		       (force && !dm_task_deferred_remove(task)));
	return run(task, ill, true);
}
