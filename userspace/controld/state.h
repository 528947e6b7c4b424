/* SPDX-License-Identifier: GPL-2.0 */
/*
 * STATE_DIR/UUID.manifest: the manifest in force of a volume that runs here, so
 * that a restarted sextantd can serve it while no peer answers. Lost with the
 * host's memory, as the running volume is.
 */
#ifndef SEXTANT_STATE_H
#define SEXTANT_STATE_H

#include "manifest.h"

/* Failures are logged: the volume runs without it. */
void state_save(const char *state_dir, const u8 *volume, const u8 *bytes, size_t size);
void state_remove(const char *state_dir, const u8 *volume);

/* 0 and *manifest to be released if there is one of this volume and epoch; else -ENOENT. */
int state_load(const char *state_dir, const u8 *volume, u32 epoch,
	       struct sextant_manifest *manifest);

#endif
