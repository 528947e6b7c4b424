/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The device-mapper device of a volume. Its dm UUID is "SEXTANT-" and the
 * volume's. Calls return 0 or a negative errno.
 */
#ifndef SEXTANT_DEVICE_H
#define SEXTANT_DEVICE_H

#include "core.h"

#define DEVICE_NAME_BYTES	128
#define DEVICE_OPTIONS_BYTES	256

struct device_info {
	bool exists;
	bool loaded_only;		/* a table is loaded, none is live: never resumed */
	u32 open_count;
};

/* Hands libdevmapper's messages to our log, and notes whether udev is to be waited for. */
void device_init(void);

/* -errno, or 0 and *info (exists false: there is none). */
int device_info(const char *name, struct device_info *info);

/*
 * Makes /dev/mapper/NAME with a table for the volume, loaded and not yet
 * resumed. options: the table line behind the UUID, "" or "2 writethrough ...".
 * What was made is removed again on failure. -EBUSY: the name, or the volume, has
 * a device already.
 */
int device_create(const char *name, const u8 volume[SEXTANT_UUID_BYTES], u64 size_blocks,
		  const char *options);

int device_resume(const char *name);

/*
 * Removes the device. With force one that is open loses its table to the
 * "error" target first and goes when it is closed. -EBUSY: it is open.
 */
int device_remove(const char *name, bool force);

#endif
