/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The manifest: all that a volume is, but for its blocks. It lives on the
 * peers as opaque bytes and changes only by its ballot's owner.
 *
 * Encoded: a header (magic "SXTMANIF", version, bytes, CRC32C), then sections
 * (tag, bytes, payload). A reader skips sections it does not know; a section
 * with the MUST bit set that it does not know makes it refuse.
 */
#ifndef SEXTANT_MANIFEST_H
#define SEXTANT_MANIFEST_H

#include "core.h"
#include "table.h"

#define SEXTANT_MANIFEST_GENERATIONS_MAX	256
#define SEXTANT_WRAPPED_KEY_BYTES_MAX		4096
#define SEXTANT_MANIFEST_BYTES_MAX		(1 << 20)

/*
 * How long a writer serves reads after a quorum's heartbeat. It is the volume's
 * and not the host's: a host that takes over waits out the lease of another.
 */
#define SEXTANT_LEASE_MS_DEFAULT		5000
#define SEXTANT_LEASE_MS_MIN			500
#define SEXTANT_LEASE_MS_MAX			30000

enum sextant_transport {
	SEXTANT_TRANSPORT_TLS	= 1,
	SEXTANT_TRANSPORT_PLAIN	= 2,
};

struct sextant_manifest_peer {
	char name[SEXTANT_NAME_BYTES];
	char az[SEXTANT_NAME_BYTES];
	char address[SEXTANT_NAME_BYTES];		/* host:port, numeric */
	u8 incarnation[SEXTANT_UUID_BYTES];		/* the store that votes */
};

/* A data key. origin: the UUID it was made for (another one's in a clone). */
struct sextant_manifest_generation {
	u32 generation;
	u8 origin[SEXTANT_UUID_BYTES];
	u64 first_lsn;
	u8 commitment[SEXTANT_COMMIT_BYTES];
	char key_name[SEXTANT_NAME_BYTES];		/* what opens it: a CMK, or "file" */
	u32 wrapped_bytes;
	u8 wrapped[SEXTANT_WRAPPED_KEY_BYTES_MAX];
};

struct sextant_manifest {
	u8 volume[SEXTANT_UUID_BYTES];
	char name[SEXTANT_NAME_BYTES];
	u64 size_blocks;
	u32 pg_blocks;
	u32 region;					/* 0..7 */
	u32 transport;					/* enum sextant_transport */
	u32 lease_ms;					/* a writer's; 0 is written as the default */
	u64 created_unix_s;
	struct sextant_ballot ballot;			/* whose change this is */
	u64 sequence;					/* within that ballot, from 1 */
	struct sextant_manifest_peer peers[SEXTANT_PEERS];
	u32 generation_count;
	struct sextant_manifest_generation *generations;
	u32 table_count;
	struct sextant_wire_table_entry *table;
};

/*
 * Encodes into a new buffer. 0 and *bytes, *size (the caller frees *bytes), or
 * -EINVAL for a manifest that decode would refuse, -ENOMEM.
 */
int sextant_manifest_encode(const struct sextant_manifest *manifest, u8 **bytes, size_t *size);

/*
 * Decodes and checks everything: bounds, CRC, six distinct peer names and
 * addresses, two peers in each of three AZs, pg_blocks a multiple of
 * SEXTANT_RECORD_BLOCKS_MAX, a valid table. 0 and *manifest to be released with
 * sextant_manifest_release(); -EBADMSG (not a manifest, or damaged),
 * -EPROTONOSUPPORT (another version), -EINVAL (its content breaks a rule;
 * *why says which, a static string), -ENOMEM. why may be NULL.
 */
int sextant_manifest_decode(const u8 *bytes, size_t size, struct sextant_manifest *manifest,
			    const char **why);

/* Frees what the manifest points to and clears it. */
void sextant_manifest_release(struct sextant_manifest *manifest);

#endif
