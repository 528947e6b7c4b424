// SPDX-License-Identifier: GPL-2.0
/* Detaching; see detach.h. */
#include "detach.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "clock.h"
#include "device.h"
#include "state.h"
#include "text.h"

#define FORCE_DRAIN_MS	5000	/* what --force still waits, without a --timeout */
#define SAY_EVERY_MS	1000
#define OPEN_RETRIES	10	/* udev may have it open for a moment */
#define STEP_MS		100

static void end(struct detach *detach, json_t *result)
{
	report_end(&detach->report, result);
	detach->active = false;
}

static bool device_in_use(const char *device)
{
	struct device_info info;
	u32 try;

	for (try = 0; try < OPEN_RETRIES; try++) {
		if (device_info(device, &info) || !info.open_count)
			return false;
		usleep(STEP_MS * 1000);
	}
	return true;
}

void detach_begin(struct detach *detach, const struct control_config *config,
		  struct kernel_link *kernel, const struct kernel_volume *volume,
		  json_t *request, int fd)
{
	json_t *timeout = json_object_get(request, "timeout_s");
	u64 now = clock_ms();
	int error = 0;

	memset(detach, 0, sizeof(*detach));
	detach->active = true;
	detach->config = config;
	detach->kernel = kernel;
	detach->report.fd = fd;
	detach->force = json_is_true(json_object_get(request, "force"));
	detach->said_ms = now;
	memcpy(detach->volume, volume->volume, sizeof(detach->volume));
	snprintf(detach->device, sizeof(detach->device), "%s", volume->device_name);
	snprintf(detach->name, sizeof(detach->name), "%s", json_string_value(
		 json_object_get(request, "volume")));
	detach->deadline_ms = ~(u64)0;
	if (json_is_integer(timeout) && json_integer_value(timeout) >= 0)
		detach->deadline_ms = now + (u64)json_integer_value(timeout) * 1000;
	else if (detach->force)
		detach->deadline_ms = now + FORCE_DRAIN_MS;

	if (detach->device[0] && !detach->force && device_in_use(detach->device)) {
		report_fail(&detach->report, SEXTANT_CODE_FAILED,
			    "/dev/mapper/%s is in use: unmount it and stop what has it open, then try again",
			    detach->device);
		end(detach, NULL);
		return;
	}
	if (volume->state == SEXTANT_VOLUME_RUNNING)
		error = kernel_stop(kernel, volume->volume);
	if (error) {
		report_fail(&detach->report, SEXTANT_CODE_FAILED, "'%s' cannot be stopped: %s",
			    detach->name, kernel->error);
		end(detach, NULL);
	}
}

static bool remove_device(struct detach *detach, const char *ended_as)
{
	int error = detach->device[0] ? device_remove(detach->device, detach->force) : 0;

	if (error) {
		report_fail(&detach->report, SEXTANT_CODE_FAILED,
			    "'%s' is %s, but /dev/mapper/%s cannot be removed: %s; close it and detach again",
			    detach->name, ended_as, detach->device, strerror(-error));
		end(detach, NULL);
		return false;
	}
	state_remove(detach->config->state_dir, detach->volume);
	end(detach, json_pack("{s:s, s:s}", "name", detach->name, "state", ended_as));
	return true;
}

static void say_progress(struct detach *detach, const struct kernel_volume *volume)
{
	char dirty[SEXTANT_SIZE_TEXT_BYTES];
	u32 connected = 0, i;

	if (clock_ms() - detach->said_ms < SAY_EVERY_MS)
		return;
	detach->said_ms = clock_ms();
	for (i = 0; i < SEXTANT_PEERS; i++)
		if (volume->peers[i].state == SEXTANT_PEER_CONNECTED)
			connected++;
	sextant_size_format(dirty, volume->dirty_bytes);
	report_progress(&detach->report,
			"'%s' drains: %s, LSN %" PRIu64 " of %" PRIu64 " is durable, %u of 6 peers connected%s",
			detach->name, dirty, volume->vdl,
			volume->next_lsn ? volume->next_lsn - 1 : 0, connected,
			volume->quorum & SEXTANT_QUORUM_WRITE ? "" :
			" (a write needs 4: it waits for them)");
}

/* Its time is up and it has not drained. */
static void past_deadline(struct detach *detach, const struct kernel_volume *volume)
{
	char dirty[SEXTANT_SIZE_TEXT_BYTES];

	if (detach->force) {
		if (!detach->discarded && kernel_discard(detach->kernel, volume->volume)) {
			report_fail(&detach->report, SEXTANT_CODE_FAILED,
				    "'%s' cannot be given up: %s", detach->name,
				    detach->kernel->error);
			end(detach, NULL);
		}
		detach->discarded = true;
		return;
	}
	sextant_size_format(dirty, volume->dirty_bytes);
	report_fail(&detach->report, SEXTANT_CODE_NO_QUORUM,
		    "'%s' has not drained in time, %s are not yet on four peers: it goes on draining; detach again to wait, or with --force to lose them",
		    detach->name, dirty);
	end(detach, NULL);
}

bool detach_step(struct detach *detach, const struct kernel_volume *volume)
{
	if (!volume) {
		detach->device[0] = '\0';
		return remove_device(detach, "detached");
	}
	switch (volume->state) {
	case SEXTANT_VOLUME_RUNNING:
	case SEXTANT_VOLUME_STOPPING:
		say_progress(detach, volume);
		if (clock_ms() >= detach->deadline_ms)
			past_deadline(detach, volume);
		return false;
	case SEXTANT_VOLUME_FAILED:
		return remove_device(detach, detach->discarded ? "discarded" : "failed");
	case SEXTANT_VOLUME_FENCED:
		return remove_device(detach, "fenced");
	default:
		return remove_device(detach, "detached");
	}
}

/* The kernel's volume of this name: of its device, or its UUID. */
static int find_volume(struct kernel_link *kernel, const char *name, struct kernel_volume *found)
{
	u8 uuid[SEXTANT_UUID_BYTES] = { 0 };
	bool by_uuid = !sextant_uuid_parse(name, uuid);
	struct kernel_volume *volumes;
	int error = -ENODEV;
	u32 count, i;

	if (kernel_dump(kernel, &volumes, &count))
		return -EIO;
	for (i = 0; i < count && error; i++) {
		if (by_uuid ? memcmp(volumes[i].volume, uuid, sizeof(uuid)) :
		    strcmp(volumes[i].device_name, name))
			continue;
		*found = volumes[i];
		error = 0;
	}
	free(volumes);
	return error;
}

void detach_volume(const struct control_config *config, json_t *request, struct report *report)
{
	const char *name = json_string_value(json_object_get(request, "volume"));
	struct kernel_volume volume;
	struct kernel_link kernel;
	struct detach detach;
	int error;

	error = kernel_open(&kernel);
	if (!error)
		error = find_volume(&kernel, name ? name : "", &volume);
	if (error == -ENODEV || error == -ENOENT)
		report_fail(report, SEXTANT_CODE_NOT_FOUND,
			    "'%.80s' is not attached here: 'sextant status' shows what is",
			    name ? name : "");
	else if (error)
		report_fail(report, SEXTANT_CODE_FAILED, "the kernel does not answer: %s",
			    kernel.error);
	if (error) {
		report_end(report, NULL);
		kernel_close(&kernel);
		return;
	}
	detach_begin(&detach, config, &kernel, &volume, request, report->fd);
	while (detach.active) {
		error = kernel_get(&kernel, detach.volume, &volume);
		if (error && error != -ENODEV) {
			report_fail(&detach.report, SEXTANT_CODE_FAILED,
				    "the kernel does not answer: %s", kernel.error);
			end(&detach, NULL);
			break;
		}
		detach_step(&detach, error ? NULL : &volume);
		if (detach.active)
			usleep(STEP_MS * 1000);
	}
	kernel_close(&kernel);
}
