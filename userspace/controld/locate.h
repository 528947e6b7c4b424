/* SPDX-License-Identifier: GPL-2.0 */
/* Finding volumes on the peers that the configuration names. */
#ifndef SEXTANT_LOCATE_H
#define SEXTANT_LOCATE_H

#include "control_config.h"
#include "manifest.h"
#include "report.h"

/* What one peer listed. index: of the peer in the configuration. */
struct locate_entry {
	u8 volume[SEXTANT_UUID_BYTES];
	char name[SEXTANT_NAME_BYTES];		/* "" until it has a manifest */
	u32 peer;
};

struct panel;

/*
 * Asks all of the panel (open, CONTROL of no volume) for what they hold. The caller
 * frees *entries. 0, or -ENOMEM.
 */
int locate_list(struct panel *panel, struct locate_entry **entries, u32 *count);

/*
 * The UUID of a volume by its name, or by its UUID written out. 0; or a failure
 * in report: not found (how many peers were asked in vain is said), or two
 * volumes of this name.
 */
int locate_volume(const struct control_config *config, const char *name_or_uuid,
		  u8 volume[SEXTANT_UUID_BYTES], struct report *report);

/*
 * The newest manifest of a volume that any configured peer holds, to be released.
 * 0, or a failure in report.
 */
int locate_manifest(const struct control_config *config, const u8 *volume,
		    struct sextant_manifest *manifest, struct report *report);

#endif
