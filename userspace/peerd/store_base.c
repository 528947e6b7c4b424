// SPDX-License-Identifier: GPL-2.0
/*
 * The base of a PG: blocks at their places, an entry for each that says what it
 * is, and the checkpoint that says up to where all of that holds. Blocks and
 * entries are written over in place; until the checkpoint says so the log still
 * has them, and a crash between only means that they are written once more.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "log.h"
#include "store.h"

#define BASE_FILE		"base"
#define META_FILE		"meta"
#define CHECKPOINT_FILE		"checkpoint"
#define CHECKPOINT_SLOTS	2

_Static_assert(sizeof(struct base_entry) == 64, "entries do not straddle sectors");
_Static_assert(sizeof(struct base_discard) == 56, "no padding");

/* ---- entries ----------------------------------------------------------- */

void base_entry_fill(struct base_entry *entry, u32 place, const struct sextant_wire_block *version)
{
	memset(entry, 0, sizeof(*entry));
	entry->kind = version->kind;
	entry->epoch = version->epoch;
	entry->generation = version->generation;
	entry->extent_blocks = version->extent_blocks;
	entry->lsn = version->lsn;
	entry->extent_block = version->extent_block;
	entry->seal = version->seal;
	entry->place = cpu_to_le32(place);
	entry->crc = cpu_to_le32(sextant_crc32c(entry, offsetof(struct base_entry, crc)));
}

static bool entry_is_blank(const struct base_entry *entry)
{
	static const struct base_entry blank;

	return !memcmp(entry, &blank, sizeof(blank));
}

static bool entry_is_valid(const struct base_entry *entry, u32 place)
{
	return le32_to_cpu(entry->crc) ==
	       sextant_crc32c(entry, offsetof(struct base_entry, crc)) &&
	       le32_to_cpu(entry->place) == place &&
	       (entry->kind == SEXTANT_BLOCK_DATA || entry->kind == SEXTANT_BLOCK_DISCARD);
}

static const struct base_discard *discard_find(const struct pg *pg, u64 block, u64 above_lsn)
{
	const struct base_discard *found = NULL;

	for (u32 i = 0; i < pg->discard_count; i++) {
		const struct base_discard *each = &pg->discards[i];
		u64 first = le64_to_cpu(each->block), lsn = le64_to_cpu(each->lsn);

		if (block >= first && block - first < le32_to_cpu(each->block_count) &&
		    lsn > above_lsn) {
			above_lsn = lsn;
			found = each;
		}
	}
	return found;
}

void base_version(const struct pg *pg, u64 block, const struct base_entry *entry,
		  struct sextant_wire_block *version)
{
	const struct base_discard *discard;

	memset(version, 0, sizeof(*version));
	if (!entry_is_blank(entry)) {
		if (!entry_is_valid(entry, (u32)(block - pg->segment.first_block))) {
			version->kind = SEXTANT_BLOCK_DAMAGED;
			return;
		}
		version->kind = entry->kind;
		version->epoch = entry->epoch;
		version->generation = entry->generation;
		version->extent_blocks = entry->extent_blocks;
		version->lsn = entry->lsn;
		version->extent_block = entry->extent_block;
		version->seal = entry->seal;
	}
	discard = discard_find(pg, block, le64_to_cpu(version->lsn));
	if (!discard)
		return;
	version->kind = SEXTANT_BLOCK_DISCARD;
	version->epoch = discard->epoch;
	version->generation = discard->generation;
	version->extent_blocks = discard->block_count;
	version->lsn = discard->lsn;
	version->extent_block = discard->block;
	version->seal = discard->seal;
}

bool base_discard_add(struct pg *pg, const struct sextant_wire_record *record,
		      const struct sextant_wire_seal *seal)
{
	u64 first = le64_to_cpu(record->block), lsn = le64_to_cpu(record->lsn);
	u64 end = first + le32_to_cpu(record->block_count);
	u32 kept = 0;

	/* An older one that lies within this one says nothing any more. */
	for (u32 i = 0; i < pg->discard_count; i++) {
		const struct base_discard *each = &pg->discards[i];
		u64 each_first = le64_to_cpu(each->block);
		u64 each_end = each_first + le32_to_cpu(each->block_count);

		if (le64_to_cpu(each->lsn) == lsn)
			return true;
		if (each_first < first || each_end > end || le64_to_cpu(each->lsn) > lsn)
			pg->discards[kept++] = *each;
	}
	pg->discard_count = kept;
	if (kept == BASE_DISCARDS_MAX)
		return false;
	pg->discards = memory_resize(pg->discards, (kept + 1) * sizeof(*pg->discards));
	pg->discards[kept] = (struct base_discard){
		.block = record->block,
		.block_count = record->block_count,
		.epoch = record->epoch,
		.generation = record->generation,
		.lsn = record->lsn,
		.seal = *seal,
	};
	pg->discard_count = kept + 1;
	return true;
}

/* ---- checkpoints ------------------------------------------------------- */

static u32 checkpoint_bytes(u32 discard_count)
{
	return (u32)(SEXTANT_BLOCK_BYTES + discard_count * sizeof(struct base_discard));
}

static u32 checkpoint_crc(u8 *slot, u32 bytes)
{
	struct checkpoint_header *header = (struct checkpoint_header *)slot;
	__le32 there = header->crc;
	u32 crc;

	header->crc = 0;
	crc = sextant_crc32c(slot, bytes);
	header->crc = there;
	return crc;
}

/* The slot as it is to be written; its size is returned. */
static u32 checkpoint_encode(const struct pg *pg, const struct checkpoint *checkpoint, u64 writes,
			     u8 *slot)
{
	struct checkpoint_header *header = (struct checkpoint_header *)slot;
	u32 bytes = checkpoint_bytes(pg->discard_count);
	u32 size = (bytes + SEXTANT_BLOCK_BYTES - 1) & ~(u32)(SEXTANT_BLOCK_BYTES - 1);

	memset(slot, 0, size);
	header->magic = cpu_to_le64(CHECKPOINT_MAGIC);
	header->version = cpu_to_le32(CHECKPOINT_VERSION);
	header->bytes = cpu_to_le32(bytes);
	header->pg = cpu_to_le32(pg->number);
	memcpy(header->volume, pg->identity.volume, sizeof(header->volume));
	memcpy(header->incarnation, pg->identity.incarnation, sizeof(header->incarnation));
	header->writes = cpu_to_le64(writes);
	header->base_tail_lsn = cpu_to_le64(checkpoint->base_tail.lsn);
	header->base_tail_epoch = cpu_to_le32(checkpoint->base_tail.epoch);
	header->discard_count = cpu_to_le32(pg->discard_count);
	header->floor_lsn = cpu_to_le64(checkpoint->floor_lsn);
	header->known_vdl = cpu_to_le64(checkpoint->known_vdl);
	header->first_sequence = cpu_to_le64(checkpoint->first_sequence);
	if (pg->discard_count)
		memcpy(slot + SEXTANT_BLOCK_BYTES, pg->discards,
		       pg->discard_count * sizeof(*pg->discards));
	header->crc = cpu_to_le32(checkpoint_crc(slot, bytes));
	return size;
}

static bool checkpoint_valid(const struct pg *pg, u8 *slot)
{
	const struct checkpoint_header *header = (const struct checkpoint_header *)slot;
	u32 bytes = le32_to_cpu(header->bytes), count = le32_to_cpu(header->discard_count);

	return le64_to_cpu(header->magic) == CHECKPOINT_MAGIC &&
	       le32_to_cpu(header->version) == CHECKPOINT_VERSION &&
	       count <= BASE_DISCARDS_MAX && bytes == checkpoint_bytes(count) &&
	       le32_to_cpu(header->crc) == checkpoint_crc(slot, bytes) &&
	       le32_to_cpu(header->pg) == pg->number &&
	       !memcmp(header->volume, pg->identity.volume, sizeof(header->volume)) &&
	       !memcmp(header->incarnation, pg->identity.incarnation, sizeof(header->incarnation));
}

static void checkpoint_take(struct pg *pg, const u8 *slot)
{
	const struct checkpoint_header *header = (const struct checkpoint_header *)slot;

	pg->checkpoint_writes = le64_to_cpu(header->writes);
	pg->checkpoint.base_tail.lsn = le64_to_cpu(header->base_tail_lsn);
	pg->checkpoint.base_tail.epoch = le32_to_cpu(header->base_tail_epoch);
	pg->checkpoint.floor_lsn = le64_to_cpu(header->floor_lsn);
	pg->checkpoint.known_vdl = le64_to_cpu(header->known_vdl);
	pg->checkpoint.first_sequence = le64_to_cpu(header->first_sequence);
	pg->discard_count = le32_to_cpu(header->discard_count);
	pg->discards = memory_resize(pg->discards, pg->discard_count * sizeof(*pg->discards));
	if (pg->discard_count)
		memcpy(pg->discards, slot + SEXTANT_BLOCK_BYTES,
		       pg->discard_count * sizeof(*pg->discards));
}

static void checkpoint_done(struct loop_op *op, int result)
{
	struct checkpoint_write *write = (struct checkpoint_write *)op;
	struct pg *pg = write->pg;

	if (result >= 0 && (u32)result != write->size)
		result = -ENOSPC;
	if (result >= 0) {
		pg->checkpoint = write->checkpoint;
		pg->checkpoint_writes++;
	}
	buffer_put(write->buffer);
	write->done(write, result < 0 ? result : 0);
}

void checkpoint_start(struct checkpoint_write *write)
{
	struct pg *pg = write->pg;
	u64 writes = pg->checkpoint_writes + 1;
	struct io_uring_sqe *sqe = loop_sqe();

	write->op.done = checkpoint_done;
	write->buffer = buffer_get(CHECKPOINT_SLOT_BYTES);
	write->size = checkpoint_encode(pg, &write->checkpoint, writes, write->buffer->bytes);
	io_uring_prep_write(sqe, pg->checkpoint_fd, write->buffer->bytes, write->size,
			    writes % CHECKPOINT_SLOTS * CHECKPOINT_SLOT_BYTES);
	sqe->rw_flags = RWF_DSYNC;
	loop_start(sqe, &write->op);
}

/* ---- files ------------------------------------------------------------- */

static void file_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void base_close(struct pg *pg)
{
	file_close(&pg->base_fd);
	file_close(&pg->meta_fd);
	file_close(&pg->checkpoint_fd);
}

/*
 * The base and what it is go through the page cache: what a pass writes block
 * by block goes to the disk sorted and in large pieces when the pass is synced,
 * and what is read often is in memory.
 */
static int files_open(struct pg *pg, int flags)
{
	pg->base_fd = openat(pg->directory_fd, BASE_FILE, O_RDWR | O_CLOEXEC | flags, 0600);
	if (pg->base_fd < 0)
		return -errno;
	pg->meta_fd = openat(pg->directory_fd, META_FILE, O_RDWR | O_CLOEXEC | flags, 0600);
	if (pg->meta_fd < 0)
		return -errno;
	pg->checkpoint_fd = store_open_direct(pg->directory_fd, CHECKPOINT_FILE, O_RDWR | flags);
	return pg->checkpoint_fd < 0 ? -errno : 0;
}

static int files_size(struct pg *pg)
{
	off_t blocks = pg->segment.block_count;

	return ftruncate(pg->base_fd, blocks << SEXTANT_BLOCK_SHIFT) ||
	       ftruncate(pg->meta_fd, blocks * (off_t)sizeof(struct base_entry)) ? -errno : 0;
}

int base_reset(struct pg *pg)
{
	int rc;

	base_close(pg);
	rc = files_open(pg, O_CREAT);
	if (!rc && (ftruncate(pg->base_fd, 0) || ftruncate(pg->meta_fd, 0)))
		rc = -errno;
	pg->discard_count = 0;
	return rc ? rc : files_size(pg);
}

int base_make(struct pg *pg)
{
	u32 size = CHECKPOINT_SLOTS * CHECKPOINT_SLOT_BYTES;
	struct buffer *buffer = buffer_get(size);
	int rc = files_open(pg, O_CREAT | O_EXCL);
	ssize_t put;

	pg->checkpoint.known_vdl = pg->volume->known_vdl;
	pg->checkpoint.first_sequence = 1;
	pg->checkpoint_writes = 0;
	memset(buffer->bytes, 0, size);
	checkpoint_encode(pg, &pg->checkpoint, 0, buffer->bytes);
	if (!rc)
		rc = files_size(pg);
	if (!rc) {
		put = pwrite(pg->checkpoint_fd, buffer->bytes, size, 0);
		if (put != (ssize_t)size)
			rc = put < 0 ? -errno : -ENOSPC;
	}
	if (!rc && (fsync(pg->base_fd) || fsync(pg->meta_fd) || fsync(pg->checkpoint_fd)))
		rc = -errno;
	buffer_put(buffer);
	return rc;
}

/* One that was never written is blank; else a crash tore it, or the disk did. */
static void checkpoint_report(const struct pg *pg, u32 slot, const struct checkpoint_header *header)
{
	static const struct checkpoint_header blank;

	if (memcmp(header, &blank, sizeof(blank)))
		sextant_log(SEXTANT_LOG_WARNING, "volume %s, PG %u: slot %u of the checkpoint does not "
			    "hold: torn by a crash, or damaged; the other one counts",
			    pg->volume->uuid_text, pg->number, slot);
}

int base_open(struct pg *pg)
{
	struct buffer *buffer = buffer_get(CHECKPOINT_SLOT_BYTES);
	bool found = false;
	int rc = files_open(pg, 0);

	for (u32 i = 0; i < CHECKPOINT_SLOTS && !rc; i++) {
		const struct checkpoint_header *header =
			(const struct checkpoint_header *)buffer->bytes;

		if (pread(pg->checkpoint_fd, buffer->bytes, CHECKPOINT_SLOT_BYTES,
			  (off_t)(i * CHECKPOINT_SLOT_BYTES)) != (ssize_t)CHECKPOINT_SLOT_BYTES)
			continue;
		if (!checkpoint_valid(pg, buffer->bytes)) {
			checkpoint_report(pg, i, header);
			continue;
		}
		if (!found || le64_to_cpu(header->writes) > pg->checkpoint_writes)
			checkpoint_take(pg, buffer->bytes);
		found = true;
	}
	buffer_put(buffer);
	return rc ? rc : found ? 0 : -EBADMSG;
}
