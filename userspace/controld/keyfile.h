/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Data keys in files, until a key service holds them: KEY_DIR/UUID.GENERATION.key,
 * 64 hex digits and a newline, mode 0600, in a directory of mode 0700. A key's
 * bytes are only ever in memory that is locked and left out of core dumps, and
 * are wiped when released.
 */
#ifndef SEXTANT_KEYFILE_H
#define SEXTANT_KEYFILE_H

#include "core.h"
#include "manifest.h"
#include "report.h"

#define KEYFILE_KEY_BYTES	32

/* One page, mapped for a key alone. */
struct keyfile_key {
	u8 bytes[KEYFILE_KEY_BYTES];
	char text[2 * KEYFILE_KEY_BYTES + 2];
};

/*
 * Draws a key, stores it durably, and fills in commitment. 0, or a failure in
 * report. The file is new: one that exists is never written over.
 */
int keyfile_create(const char *key_dir, const u8 *volume, u32 generation,
		   u8 commitment[SEXTANT_COMMIT_BYTES], struct report *report);

/*
 * Reads the key of a generation and compares it with the manifest's commitment.
 * 0 and *key, to be released; or SEXTANT_CODE_KEY and a sentence that names the
 * file in report.
 */
int keyfile_read(const char *key_dir, const u8 *volume,
		 const struct sextant_manifest_generation *generation,
		 struct keyfile_key **key, struct report *report);

/* Wipes and unmaps; NULL is fine. */
void keyfile_release(struct keyfile_key *key);

/*
 * Puts the key into this process's keyring as "logon" key "sextant:UUID:GENERATION".
 * Returns its serial, or -1 with errno; keyfile_ring_drop() takes it out again.
 */
int keyfile_ring_add(const struct keyfile_key *key, const u8 *volume, u32 generation);
void keyfile_ring_drop(int serial);

/* Removes every generation's file of the volume: its data can never be read again. */
void keyfile_delete(const char *key_dir, const u8 *volume);

/*
 * The commitment to a key: HKDF-Expand-SHA-256 with "sextant commit v1", see
 * Documentation on sealing. 0 or -EIO.
 */
int keyfile_commitment(const u8 key[KEYFILE_KEY_BYTES], const u8 origin[SEXTANT_UUID_BYTES],
		       u32 generation, u8 commitment[SEXTANT_COMMIT_BYTES]);

#endif
