// SPDX-License-Identifier: GPL-2.0
/*
 * The target: device-mapper's calls, each handed to the volume. Nothing here
 * waits for a peer, so that no dmsetup command can hang on one.
 *
 *	0 SECTORS sextant VOLUME_UUID [#opts opts...]
 */
#include <linux/device-mapper.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uuid.h>

#include "compat.h"
#include "event.h"
#include "options.h"
#include "target.h"
#include "volume.h"

#define BLOCK_SECTORS		(SEXTANT_BLOCK_BYTES >> SECTOR_SHIFT)
#define RECORD_SECTORS		(SEXTANT_RECORD_BYTES_MAX >> SECTOR_SHIFT)
/* One discard record covers any length within a PG; bios are bounded all the same. */
#define DISCARD_BYTES_MAX	(1U << 30)

/* One table. The volume outlives it. */
struct sextant_table_target {
	struct sextant_volume *volume;
	struct sextant_options options;
	char *arguments;			/* what followed the UUID, for STATUSTYPE_TABLE */
};

static int refuse(struct dm_target *ti, int error, char *why)
{
	ti->error = why;
	return error;
}

static char *join(unsigned int argc, char **argv)
{
	size_t bytes = 1;
	unsigned int i;
	char *text;

	for (i = 0; i < argc; i++)
		bytes += strlen(argv[i]) + 1;
	text = kzalloc(bytes, GFP_KERNEL);
	for (i = 0; text && i < argc; i++) {
		strlcat(text, " ", bytes);
		strlcat(text, argv[i], bytes);
	}
	return text;
}

static int parse_uuid(struct dm_target *ti, const char *text, uuid_t *uuid)
{
	if (!text)
		return refuse(ti, -EINVAL, "The volume's UUID is missing");
	if (strlen(text) != UUID_STRING_LEN || uuid_parse(text, uuid))
		return refuse(ti, -EINVAL, "The volume's UUID is not a UUID: 8-4-4-4-12 hexadecimal digits");
	return 0;
}

static int check_geometry(struct dm_target *ti)
{
	if (ti->begin)
		return refuse(ti, -EINVAL, "The target must begin at sector 0");
	if (!ti->len || ti->len % BLOCK_SECTORS)
		return refuse(ti, -EINVAL, "The length must be a multiple of 8 sectors (4 KiB)");
	return 0;
}

static int set_up(struct dm_target *ti, const struct sextant_table_target *target)
{
	int r = dm_set_target_max_io_len(ti, RECORD_SECTORS);

	if (r)
		return refuse(ti, r, "The largest I/O could not be set");
	ti->num_flush_bios = 1;
	ti->num_discard_bios = 1;
	ti->num_write_zeroes_bios = 1;
	ti->discards_supported = true;
	ti->flush_supported = !target->options.writethrough;
	ti->per_io_data_size = sizeof(struct sextant_io);
	return 0;
}

static int sextant_ctr(struct dm_target *ti, unsigned int argc, char **argv)
{
	struct dm_arg_set args = { .argc = argc, .argv = argv };
	struct sextant_table_target *target;
	uuid_t uuid;
	int r = parse_uuid(ti, dm_shift_arg(&args), &uuid);

	if (!r)
		r = check_geometry(ti);
	if (r)
		return r;
	target = kzalloc(sizeof(*target), GFP_KERNEL);
	if (!target)
		return refuse(ti, -ENOMEM, "Out of memory");
	r = sextant_options_parse(ti, &args, &target->options);
	if (!r)
		r = set_up(ti, target);
	if (r)
		goto free_target;
	target->arguments = join(argc - 1, argv + 1);
	r = -ENOMEM;
	if (!target->arguments)
		goto free_target;
	do {
		target->volume = sextant_volume_claim(uuid.b, ti);
	} while (target->volume == ERR_PTR(-EAGAIN));
	if (IS_ERR(target->volume)) {
		r = PTR_ERR(target->volume);
		ti->error = r == -EBUSY ? "The volume is in use by another device" :
					  "The volume could not be made";
		goto free_arguments;
	}
	ti->private = target;
	return 0;

free_arguments:
	kfree(target->arguments);
free_target:
	kfree(target);
	return r;
}

static void sextant_dtr(struct dm_target *ti)
{
	struct sextant_table_target *target = ti->private;

	sextant_volume_unclaim(target->volume);
	kfree(target->arguments);
	kfree(target);
}

static int sextant_map(struct dm_target *ti, struct bio *bio)
{
	struct sextant_table_target *target = ti->private;
	struct sextant_volume *volume = target->volume;

	/* A reload keeps the old device's limits: check them here. */
	if ((bio->bi_iter.bi_sector | bio_sectors(bio)) & (BLOCK_SECTORS - 1))
		return DM_MAPIO_KILL;
	if (READ_ONCE(volume->requeue))
		return DM_MAPIO_REQUEUE;
	switch (bio_op(bio)) {
	case REQ_OP_READ:
	case REQ_OP_WRITE:
	case REQ_OP_DISCARD:
	case REQ_OP_WRITE_ZEROES:
	case REQ_OP_FLUSH:
		sextant_submit(volume, bio);
		return DM_MAPIO_SUBMITTED;
	default:
		return DM_MAPIO_KILL;
	}
}

static void sextant_presuspend(struct dm_target *ti)
{
	struct sextant_table_target *target = ti->private;

	if (dm_noflush_suspending(ti))
		sextant_volume_suspend_noflush(target->volume);
}

static void sextant_presuspend_undo(struct dm_target *ti)
{
	struct sextant_table_target *target = ti->private;

	sextant_volume_resume(target->volume);
}

/* The table is live from here: its options and its length are the volume's. */
static int sextant_preresume(struct dm_target *ti)
{
	struct sextant_table_target *target = ti->private;

	return sextant_volume_use_table(target->volume, &target->options, ti->len);
}

static void sextant_resume(struct dm_target *ti)
{
	struct sextant_table_target *target = ti->private;
	struct sextant_volume *volume = target->volume;

	sextant_update_queue(ti, target->options.writethrough);
	sextant_volume_resume(volume);
	if (READ_ONCE(volume->state) == SEXTANT_VOLUME_UNATTACHED)
		sextant_event_now(volume, SEXTANT_EVENT_DEVICE_ADDED);
}

static void sextant_target_status(struct dm_target *ti, status_type_t type,
				  unsigned int status_flags, char *result, unsigned int maxlen)
{
	struct sextant_table_target *target = ti->private;
	struct sextant_volume *volume = target->volume;
	unsigned int sz = 0;

	switch (type) {
	case STATUSTYPE_INFO:
		sextant_status(volume, result, maxlen);
		break;
	case STATUSTYPE_TABLE:
		DMEMIT("%pUb%s", volume->uuid, target->arguments);
		break;
	case STATUSTYPE_IMA:
		DMEMIT_TARGET_NAME_VERSION(ti->type);
		DMEMIT(",volume=%pUb;", volume->uuid);
		break;
	}
}

/* No devices; but without the call 6.1 skips io_hints and 6.12 write-zeroes. */
static int sextant_iterate_devices(struct dm_target *ti, iterate_devices_callout_fn callout,
				   void *data)
{
	return 0;
}

static void sextant_io_hints(struct dm_target *ti, struct queue_limits *limits)
{
	limits->logical_block_size = SEXTANT_BLOCK_BYTES;
	limits->physical_block_size = SEXTANT_BLOCK_BYTES;
	limits->io_min = SEXTANT_BLOCK_BYTES;
	limits->io_opt = SEXTANT_RECORD_BYTES_MAX;
	limits->dma_alignment = SEXTANT_BLOCK_BYTES - 1;
	limits->discard_granularity = SEXTANT_BLOCK_BYTES;
	limits->max_write_zeroes_sectors = DISCARD_BYTES_MAX >> SECTOR_SHIFT;
	sextant_set_discard_limits(limits, DISCARD_BYTES_MAX);
	sextant_clear_poll_limit(limits);
}

static struct target_type sextant_target = {
	.name			= "sextant",
	.version		= { 1, 0, 0 },
	.features		= DM_TARGET_SINGLETON,
	.module			= THIS_MODULE,
	.ctr			= sextant_ctr,
	.dtr			= sextant_dtr,
	.map			= sextant_map,
	.presuspend		= sextant_presuspend,
	.presuspend_undo	= sextant_presuspend_undo,
	.preresume		= sextant_preresume,
	.resume			= sextant_resume,
	.status			= sextant_target_status,
	.iterate_devices	= sextant_iterate_devices,
	.io_hints		= sextant_io_hints,
};

int __init sextant_target_init(void)
{
	return dm_register_target(&sextant_target);
}

void sextant_target_exit(void)
{
	dm_unregister_target(&sextant_target);
}
