// SPDX-License-Identifier: GPL-2.0
/* What a store promised and accepted; the rules are in Documentation/protocol.rst. */
#include <stdlib.h>

#include "vote.h"
#include "manifest.h"

#define VOTE_MAGIC		0x45544f5654545853ull	/* "SXTTVOTE" */
#define VOTE_VERSION		1
#define VOTE_FLAG_RELEASED	1

/* The first four stay where they are in every version. */
struct vote_disk {
	__le32 crc;			/* CRC32C of what follows, up to bytes */
	__le32 bytes;			/* this and the manifest; zeros follow */
	__le64 magic;
	__le32 version;
	__le32 flags;
	__u8   volume[SEXTANT_UUID_BYTES];
	__u8   incarnation[SEXTANT_UUID_BYTES];
	__le64 size_blocks;
	__le32 pg_blocks;
	__le32 manifest_bytes;
	__le64 writes;
	__le64 known_vdl;
	__le64 manifest_sequence;
	struct sextant_wire_ballot promised;
	struct sextant_wire_ballot accepted;
	char   promised_holder[SEXTANT_NAME_BYTES];
	char   accepted_holder[SEXTANT_NAME_BYTES];
	__le64 reserved[4];
	__u8   manifest[];
};

void vote_init(struct vote *vote, const u8 *volume, const u8 *incarnation, u64 size_blocks,
	       u32 pg_blocks)
{
	memset(vote, 0, sizeof(*vote));
	memcpy(vote->volume, volume, sizeof(vote->volume));
	memcpy(vote->incarnation, incarnation, sizeof(vote->incarnation));
	vote->size_blocks = size_blocks;
	vote->pg_blocks = pg_blocks;
}

void vote_release(struct vote *vote)
{
	free(vote->manifest);
	free((void *)vote->table.entries);
	free(vote->table_before);
	memset(vote, 0, sizeof(*vote));
}

/* A name comes from the wire: what follows its end is not kept. */
static void holder_set(char *to, const char *from)
{
	size_t bytes = strnlen(from, SEXTANT_NAME_BYTES - 1);

	memset(to, 0, SEXTANT_NAME_BYTES);
	memcpy(to, from, bytes);
}

/* ---- questions -------------------------------------------------------- */

enum sextant_wire_status vote_may_promise(const struct vote *vote,
					  const struct sextant_ballot *ballot)
{
	if (!ballot->epoch || ballot->epoch > SEXTANT_EPOCH_MAX)
		return SEXTANT_ST_BAD_REQUEST;
	return sextant_ballot_promisable(ballot, &vote->promised) ? SEXTANT_ST_OK :
								   SEXTANT_ST_PROMISED;
}

enum sextant_wire_status vote_may_read(const struct vote *vote,
				       const struct sextant_ballot *ballot)
{
	if (ballot->epoch && sextant_ballot_equal(ballot, &vote->accepted))
		return SEXTANT_ST_OK;
	/* An equal epoch with another id was beaten to it. */
	return vote->accepted.epoch && vote->accepted.epoch >= ballot->epoch ?
	       SEXTANT_ST_FENCED : SEXTANT_ST_NOT_ACCEPTED;
}

enum sextant_wire_status vote_may_beat(const struct vote *vote,
				       const struct sextant_ballot *ballot)
{
	return vote_may_read(vote, ballot);
}

enum sextant_wire_status vote_may_append(const struct vote *vote,
					 const struct sextant_ballot *ballot)
{
	enum sextant_wire_status status = vote_may_read(vote, ballot);

	if (status)
		return status;
	return sextant_ballot_equal(ballot, &vote->promised) ? SEXTANT_ST_OK : SEXTANT_ST_PROMISED;
}

enum sextant_wire_status vote_may_copy(const struct vote *vote,
				       const struct sextant_ballot *ballot)
{
	if (!ballot->epoch)
		return SEXTANT_ST_BAD_REQUEST;
	if (sextant_ballot_above(&vote->accepted, ballot))
		return SEXTANT_ST_FENCED;
	return sextant_ballot_equal(ballot, &vote->promised) ? SEXTANT_ST_OK : SEXTANT_ST_PROMISED;
}

enum sextant_wire_status vote_may_delete(const struct vote *vote,
					 const struct sextant_ballot *ballot)
{
	return vote_may_copy(vote, ballot);
}

enum sextant_wire_status vote_may_activate(const struct vote *vote,
					   const struct sextant_ballot *ballot, bool chosen)
{
	enum sextant_wire_status status = vote_may_copy(vote, ballot);

	if (status == SEXTANT_ST_PROMISED && chosen &&
	    sextant_ballot_promisable(ballot, &vote->promised))
		return SEXTANT_ST_OK;
	return status;
}

enum sextant_wire_status vote_may_put_manifest(const struct vote *vote,
					       const struct sextant_ballot *ballot,
					       u64 sequence)
{
	enum sextant_wire_status status = vote_may_copy(vote, ballot);

	if (status)
		return status;
	if (vote->accepted.epoch && !sextant_ballot_equal(ballot, &vote->accepted))
		return SEXTANT_ST_NOT_ACCEPTED;
	return sequence > vote->manifest_sequence ? SEXTANT_ST_OK : SEXTANT_ST_BAD_REQUEST;
}

/* ---- changes ---------------------------------------------------------- */

enum sextant_wire_status vote_promise(struct vote *vote, const struct sextant_ballot *ballot,
				      const char *holder)
{
	enum sextant_wire_status status = vote_may_promise(vote, ballot);

	if (status)
		return status;
	vote->promised = *ballot;
	holder_set(vote->promised_holder, holder);
	return SEXTANT_ST_OK;
}

static enum sextant_wire_status status_of_manifest(int error)
{
	switch (error) {
	case 0:
		return SEXTANT_ST_OK;
	case -ENOMEM:
		return SEXTANT_ST_IO_ERROR;
	case -EPROTONOSUPPORT:
		return SEXTANT_ST_VERSION;
	default:
		return SEXTANT_ST_BAD_REQUEST;
	}
}

/* Decodes a manifest and sees that it is this volume's, of this ballot. */
static enum sextant_wire_status manifest_read(const struct vote *vote,
					      const struct sextant_ballot *ballot,
					      const u8 *bytes, u32 size,
					      struct sextant_manifest *manifest)
{
	enum sextant_wire_status status;

	status = status_of_manifest(sextant_manifest_decode(bytes, size, manifest, NULL));
	if (status)
		return status;
	if (memcmp(manifest->volume, vote->volume, sizeof(vote->volume)) ||
	    manifest->size_blocks != vote->size_blocks ||
	    manifest->pg_blocks != vote->pg_blocks ||
	    !sextant_ballot_equal(&manifest->ballot, ballot)) {
		sextant_manifest_release(manifest);
		return SEXTANT_ST_BAD_REQUEST;
	}
	return SEXTANT_ST_OK;
}

static bool table_same(const struct vote *vote, const struct sextant_manifest *manifest)
{
	return vote->table.count == manifest->table_count &&
	       (!manifest->table_count ||
		!memcmp(vote->table.entries, manifest->table,
			manifest->table_count * sizeof(*manifest->table)));
}

/* Puts a decoded manifest in force; takes its table. */
static enum sextant_wire_status accept(struct vote *vote, const struct sextant_ballot *ballot,
				       const char *holder, struct sextant_manifest *manifest,
				       const u8 *bytes, u32 size)
{
	u8 *copy = malloc(size);

	if (!copy)
		return SEXTANT_ST_IO_ERROR;
	memcpy(copy, bytes, size);
	free(vote->manifest);
	vote->manifest = copy;
	vote->manifest_bytes = size;
	vote->manifest_sequence = manifest->sequence;
	if (!table_same(vote, manifest)) {
		free(vote->table_before);
		vote->table_before = (struct sextant_wire_table_entry *)vote->table.entries;
		vote->table.entries = manifest->table;
		vote->table.count = manifest->table_count;
		manifest->table = NULL;
		manifest->table_count = 0;
	}
	if (!sextant_ballot_equal(&vote->accepted, ballot))
		vote->released = false;
	vote->accepted = *ballot;
	holder_set(vote->accepted_holder, holder);
	vote->promised = *ballot;
	holder_set(vote->promised_holder, holder);
	return SEXTANT_ST_OK;
}

/* Does the table end with what an attach of this ballot at vcl adds? */
static bool table_ends_with(const struct sextant_manifest *manifest,
			    const struct sextant_ballot *ballot, u64 vcl)
{
	const struct sextant_wire_table_entry *last;

	if (!manifest->table_count)
		return false;
	last = &manifest->table[manifest->table_count - 1];
	return le64_to_cpu(last->first_lsn) == vcl + 1 &&
	       le32_to_cpu(last->epoch) == ballot->epoch &&
	       !memcmp(last->attach_id, ballot->attach_id, sizeof(ballot->attach_id));
}

enum sextant_wire_status vote_activate(struct vote *vote, const struct sextant_ballot *ballot,
				       const char *holder, bool chosen, u64 vcl,
				       const u8 *bytes, u32 size)
{
	enum sextant_wire_status status = vote_may_activate(vote, ballot, chosen);
	struct sextant_manifest manifest;

	if (status)
		return status;
	status = manifest_read(vote, ballot, bytes, size, &manifest);
	if (status)
		return status;
	if (!table_ends_with(&manifest, ballot, vcl) ||
	    (sextant_ballot_equal(&vote->accepted, ballot) && vote->table.count &&
	     !table_same(vote, &manifest)))
		status = SEXTANT_ST_BAD_REQUEST;
	else if (!sextant_ballot_equal(&vote->accepted, ballot) || !vote->table.count ||
		 manifest.sequence > vote->manifest_sequence)
		status = accept(vote, ballot, holder, &manifest, bytes, size);
	sextant_manifest_release(&manifest);
	return status;
}

enum sextant_wire_status vote_put_manifest(struct vote *vote, const struct sextant_ballot *ballot,
					   const char *holder, u64 sequence,
					   const u8 *bytes, u32 size)
{
	enum sextant_wire_status status = vote_may_put_manifest(vote, ballot, sequence);
	struct sextant_manifest manifest;

	if (status)
		return status;
	status = manifest_read(vote, ballot, bytes, size, &manifest);
	if (status)
		return status;
	if (manifest.sequence != sequence ||
	    (vote->accepted.epoch && !table_same(vote, &manifest)))
		status = SEXTANT_ST_BAD_REQUEST;
	else
		status = accept(vote, ballot, holder, &manifest, bytes, size);
	sextant_manifest_release(&manifest);
	return status;
}

/* ---- bytes ------------------------------------------------------------ */

static u32 disk_crc(const struct vote_disk *disk, u32 used)
{
	return sextant_crc32c((const u8 *)disk + sizeof(disk->crc), used - sizeof(disk->crc));
}

int vote_encode(struct vote *vote, u8 **bytes, size_t *size)
{
	u32 used = sizeof(struct vote_disk) + vote->manifest_bytes;
	size_t room = (used + SEXTANT_BLOCK_BYTES - 1) & ~(size_t)(SEXTANT_BLOCK_BYTES - 1);
	struct vote_disk *disk = aligned_alloc(SEXTANT_BLOCK_BYTES, room);

	if (!disk)
		return -ENOMEM;
	memset(disk, 0, room);
	vote->writes++;
	disk->magic = cpu_to_le64(VOTE_MAGIC);
	disk->version = cpu_to_le32(VOTE_VERSION);
	disk->bytes = cpu_to_le32(used);
	disk->flags = cpu_to_le32(vote->released ? VOTE_FLAG_RELEASED : 0);
	memcpy(disk->volume, vote->volume, sizeof(disk->volume));
	memcpy(disk->incarnation, vote->incarnation, sizeof(disk->incarnation));
	disk->size_blocks = cpu_to_le64(vote->size_blocks);
	disk->pg_blocks = cpu_to_le32(vote->pg_blocks);
	disk->manifest_bytes = cpu_to_le32(vote->manifest_bytes);
	disk->writes = cpu_to_le64(vote->writes);
	disk->known_vdl = cpu_to_le64(vote->known_vdl);
	disk->manifest_sequence = cpu_to_le64(vote->manifest_sequence);
	sextant_ballot_to_wire(&disk->promised, &vote->promised);
	sextant_ballot_to_wire(&disk->accepted, &vote->accepted);
	memcpy(disk->promised_holder, vote->promised_holder, SEXTANT_NAME_BYTES);
	memcpy(disk->accepted_holder, vote->accepted_holder, SEXTANT_NAME_BYTES);
	if (vote->manifest_bytes)
		memcpy(disk->manifest, vote->manifest, vote->manifest_bytes);
	disk->crc = cpu_to_le32(disk_crc(disk, used));
	*bytes = (u8 *)disk;
	*size = room;
	return 0;
}

static bool all_zero(const u8 *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (bytes[i])
			return false;
	return true;
}

/* Everything but the manifest. */
static void disk_read(const struct vote_disk *disk, struct vote *vote)
{
	vote_init(vote, disk->volume, disk->incarnation, le64_to_cpu(disk->size_blocks),
		  le32_to_cpu(disk->pg_blocks));
	vote->released = le32_to_cpu(disk->flags) & VOTE_FLAG_RELEASED;
	vote->writes = le64_to_cpu(disk->writes);
	vote->known_vdl = le64_to_cpu(disk->known_vdl);
	vote->manifest_sequence = le64_to_cpu(disk->manifest_sequence);
	sextant_ballot_from_wire(&vote->promised, &disk->promised);
	sextant_ballot_from_wire(&vote->accepted, &disk->accepted);
	holder_set(vote->promised_holder, disk->promised_holder);
	holder_set(vote->accepted_holder, disk->accepted_holder);
}

static int disk_read_manifest(const struct vote_disk *disk, struct vote *vote)
{
	struct sextant_manifest manifest;
	u32 size = le32_to_cpu(disk->manifest_bytes);
	enum sextant_wire_status status;

	if (!size)
		return vote->accepted.epoch ? -EBADMSG : 0;
	status = manifest_read(vote, &vote->accepted, disk->manifest, size, &manifest);
	if (status == SEXTANT_ST_IO_ERROR)
		return -ENOMEM;
	if (status)
		return status == SEXTANT_ST_VERSION ? -EPROTONOSUPPORT : -EBADMSG;
	if (manifest.sequence != vote->manifest_sequence) {
		sextant_manifest_release(&manifest);
		return -EBADMSG;
	}
	vote->manifest = malloc(size);
	if (vote->manifest) {
		memcpy(vote->manifest, disk->manifest, size);
		vote->manifest_bytes = size;
		vote->table.entries = manifest.table;
		vote->table.count = manifest.table_count;
		manifest.table = NULL;
		manifest.table_count = 0;
	}
	sextant_manifest_release(&manifest);
	return vote->manifest ? 0 : -ENOMEM;
}

int vote_decode(const u8 *bytes, size_t size, struct vote *vote)
{
	const struct vote_disk *disk = (const struct vote_disk *)bytes;
	struct vote read;
	u32 used;
	int error;

	if (!size || (size >= SEXTANT_BLOCK_BYTES && all_zero(bytes, SEXTANT_BLOCK_BYTES)))
		return -ENOENT;
	if (size < sizeof(*disk) || le64_to_cpu(disk->magic) != VOTE_MAGIC)
		return -EBADMSG;
	used = le32_to_cpu(disk->bytes);
	if (used < sizeof(*disk) || used > size || disk_crc(disk, used) != le32_to_cpu(disk->crc))
		return -EBADMSG;
	if (le32_to_cpu(disk->version) != VOTE_VERSION)
		return -EPROTONOSUPPORT;
	if (used - sizeof(*disk) != le32_to_cpu(disk->manifest_bytes) ||
	    le32_to_cpu(disk->accepted.epoch) > le32_to_cpu(disk->promised.epoch))
		return -EBADMSG;
	disk_read(disk, &read);
	error = disk_read_manifest(disk, &read);
	if (error) {
		vote_release(&read);
		return error;
	}
	*vote = read;
	return 0;
}
