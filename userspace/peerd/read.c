// SPDX-License-Identifier: GPL-2.0
/* Blocks and records from the disk, checked. */
#include "read.h"

#include <stdlib.h>

#include "gossip.h"
#include "log.h"

static void plan(struct block_read *read);

static bool block_holds(const u8 *data, const struct sextant_wire_seal *seal)
{
	return sextant_crc32c(data, SEXTANT_BLOCK_BYTES) == le32_to_cpu(seal->crc);
}

static u8 *block_data(const struct block_read *read, u32 i)
{
	return read->data->bytes + ((size_t)i << SEXTANT_BLOCK_SHIFT);
}

/* ---- what was read ----------------------------------------------------- */

static void read_end(struct block_read *read, u32 status)
{
	struct pg *pg = read->pg;

	pg->operations--;
	if (pg->volume->deleted)
		loop_later(&pg->volume->barrier_task);
	read->done(read, status);
}

static bool op_failed(const struct block_read *read, u32 i, bool entries)
{
	for (u32 k = 0; k < read->op_count; k++) {
		const struct read_op *op = &read->ops[k];

		if (!op->failed)
			continue;
		if (op->count ? i - op->first < op->count : entries)
			return true;
	}
	return false;
}

/* A block of the log failed its CRC: its record is not held any more. */
static void log_block_damaged(struct block_read *read, u32 i)
{
	struct volume *volume = read->pg->volume;

	sextant_log(SEXTANT_LOG_ERROR, "volume %s: block %llu is damaged in log-%08x at %u of PG %u",
		    volume->uuid_text, (unsigned long long)read->block + i, read->places[i].chunk,
		    read->places[i].offset, read->pg->number);
	segment_damage_record(&read->pg->segment, read->places[i].epoch, read->places[i].lsn);
}

static void base_block_damaged(struct block_read *read, u32 i)
{
	struct pg *pg = read->pg;

	sextant_log(SEXTANT_LOG_ERROR, "volume %s: block %llu is damaged in the base of PG %u",
		    pg->volume->uuid_text, (unsigned long long)read->block + i, pg->number);
	pg->repair_block = read->block + i;
	pg->repair = true;
}

/* Checks one block; false: it is damaged, or moved meanwhile. */
static bool block_check(struct block_read *read, u32 i)
{
	struct sextant_wire_block *version = &read->versions[i];

	if (read->in_base & 1u << i) {
		if (op_failed(read, i, true))
			return false;
		base_version(read->pg, read->block + i, &read->entries[i], version);
	} else if (version->kind == SEXTANT_BLOCK_DAMAGED || !(read->in_log & 1u << i)) {
		return true;
	} else if (op_failed(read, i, false)) {
		return false;
	}
	if (version->kind == SEXTANT_BLOCK_DAMAGED)
		return false;
	return version->kind != SEXTANT_BLOCK_DATA || read->meta_only ||
	       block_holds(block_data(read, i), &version->seal);
}

static void block_damaged(struct block_read *read, u32 i)
{
	read->pg->volume->faults++;
	if (read->in_base & 1u << i)
		base_block_damaged(read, i);
	else
		log_block_damaged(read, i);
	memset(&read->versions[i], 0, sizeof(read->versions[i]));
	read->versions[i].kind = SEXTANT_BLOCK_DAMAGED;
	gossip_wake(read->pg->volume, false);
}

static void check(struct block_read *read)
{
	struct pg *pg = read->pg;
	u32 bad = 0;

	for (u32 i = 0; i < read->count; i++)
		if (!block_check(read, i))
			bad |= 1u << i;
	if (read->read_point_lsn < segment_floor(&pg->segment)) {
		read_end(read, SEXTANT_ST_BELOW_FLOOR);
		return;
	}
	/* Once more from the start: it may have gone to the base, or its place been reused. */
	if (bad && (!read->again || read->base_changes != pg->base_changes)) {
		read->again = true;
		plan(read);
		return;
	}
	/* Another peer's blocks are being put in their places: old and new are mixed. */
	if (bad & read->in_base && pg->base_pulling) {
		read_end(read, SEXTANT_ST_INCOMPLETE);
		return;
	}
	for (u32 i = 0; i < read->count; i++) {
		if (bad & 1u << i)
			block_damaged(read, i);
		else if (read->in_base & 1u << i &&
			 le64_to_cpu(read->versions[i].lsn) > read->read_point_lsn) {
			read_end(read, SEXTANT_ST_BELOW_FLOOR);
			return;
		}
	}
	read_end(read, SEXTANT_ST_OK);
}

/* ---- what is to be read ------------------------------------------------ */

static void op_done(struct loop_op *op, int result)
{
	struct read_op *read_op = (struct read_op *)op;
	struct block_read *read = read_op->read;

	if (result < 0 || (u32)result != read_op->bytes)
		read_op->failed = true;
	if (!--read->pending)
		check(read);
}

static void op_start(struct block_read *read, int fd, void *to, u32 bytes, u64 offset, u32 first,
		     u32 count)
{
	struct read_op *op = &read->ops[read->op_count++];
	struct io_uring_sqe *sqe = loop_sqe();

	*op = (struct read_op){
		.op.done = op_done,
		.read = read,
		.first = first,
		.count = count,
		.bytes = bytes,
	};
	read->pending++;
	io_uring_prep_read(sqe, fd, to, bytes, offset);
	loop_start(sqe, &op->op);
}

/* Blocks that lie one behind the other are one operation. */
static void read_log(struct block_read *read)
{
	u32 i = 0, end;

	while (i < read->count) {
		if (!(read->in_log & 1u << i)) {
			i++;
			continue;
		}
		for (end = i + 1; end < read->count && read->in_log & 1u << end; end++)
			if (read->places[end].chunk != read->places[i].chunk ||
			    read->places[end].offset !=
			    read->places[i].offset + ((end - i) << SEXTANT_BLOCK_SHIFT))
				break;
		op_start(read, chunk_find(read->pg, read->places[i].chunk)->fd, block_data(read, i),
			 (end - i) << SEXTANT_BLOCK_SHIFT, read->places[i].offset, i, end - i);
		i = end;
	}
}

static void read_base(struct block_read *read)
{
	struct pg *pg = read->pg;
	u64 place = read->block - pg->segment.first_block;
	u32 i = 0, end;

	if (!read->in_base)
		return;
	op_start(read, pg->meta_fd, read->entries, read->count * (u32)sizeof(read->entries[0]),
		 place * sizeof(read->entries[0]), 0, 0);
	while (i < read->count && !read->meta_only) {
		if (!(read->in_base & 1u << i)) {
			i++;
			continue;
		}
		for (end = i + 1; end < read->count && read->in_base & 1u << end; end++)
			;
		op_start(read, pg->base_fd, block_data(read, i),
			 (end - i) << SEXTANT_BLOCK_SHIFT, (place + i) << SEXTANT_BLOCK_SHIFT,
			 i, end - i);
		i = end;
	}
}

static void version_to_wire(struct sextant_wire_block *to, const struct segment_version *from)
{
	memset(to, 0, sizeof(*to));
	to->kind = from->kind;
	if (from->kind == SEXTANT_BLOCK_DAMAGED)
		return;
	to->epoch = cpu_to_le32(from->epoch);
	to->generation = cpu_to_le32(from->generation);
	to->extent_blocks = cpu_to_le32(from->extent_blocks);
	to->lsn = cpu_to_le64(from->lsn);
	to->extent_block = cpu_to_le64(from->extent_block);
	to->seal = from->seal;
}

static void plan(struct block_read *read)
{
	struct segment *segment = &read->pg->segment;
	struct segment_version version;

	read->op_count = 0;
	read->in_log = read->in_base = 0;
	read->base_changes = read->pg->base_changes;
	for (u32 i = 0; i < read->count; i++) {
		if (segment_read(segment, read->block + i, read->read_point_lsn, &version) ==
		    SEGMENT_IN_BASE) {
			read->in_base |= 1u << i;
			continue;
		}
		version_to_wire(&read->versions[i], &version);
		if (version.kind != SEXTANT_BLOCK_DATA || read->meta_only)
			continue;
		read->in_log |= 1u << i;
		read->places[i].chunk = version.chunk;
		read->places[i].offset = version.data_offset;
		read->places[i].epoch = version.epoch;
		read->places[i].lsn = le64_to_cpu(version.record->record.lsn);
	}
	/* One more, so that no operation of this plan ends it before all are started. */
	read->pending = 1;
	read_log(read);
	read_base(read);
	if (!--read->pending)
		check(read);
}

void block_read_start(struct block_read *read)
{
	read->pg->operations++;
	read->again = false;
	read->data = read->meta_only ? NULL : buffer_get(read->count << SEXTANT_BLOCK_SHIFT);
	plan(read);
}

void block_read_release(struct block_read *read)
{
	buffer_put(read->data);
	read->data = NULL;
}

/* ---- records ----------------------------------------------------------- */

static void record_end(struct record_read *read, u32 status)
{
	struct pg *pg = read->pg;

	pg->operations--;
	if (pg->volume->deleted)
		loop_later(&pg->volume->barrier_task);
	read->done(read, status);
}

static bool record_holds(const struct record_read *read)
{
	struct log_record record = {
		.record = &read->record,
		.seals = read->seals,
		.seal_count = read->seal_count,
		.data_bytes = read->data_bytes,
	};

	return !log_record_bad_blocks(&record, read->data->bytes);
}

static void record_plan(struct record_read *read);

static void record_done(struct loop_op *op, int result)
{
	struct record_read *read = (struct record_read *)op;
	struct pg *pg = read->pg;

	if (result >= 0 && (u32)result == read->data_bytes && record_holds(read)) {
		record_end(read, SEXTANT_ST_OK);
		return;
	}
	if (!read->again) {
		read->again = true;
		record_plan(read);
		return;
	}
	sextant_log(SEXTANT_LOG_ERROR, "volume %s: the record at LSN %llu is damaged in log-%08x "
		    "of PG %u", pg->volume->uuid_text, (unsigned long long)read->lsn,
		    read->place.chunk, pg->number);
	pg->volume->faults++;
	segment_damage_record(&pg->segment, read->epoch, read->lsn);
	gossip_wake(pg->volume, false);
	record_end(read, SEXTANT_ST_DAMAGED);
}

static void record_plan(struct record_read *read)
{
	const struct segment_record *record = segment_find(&read->pg->segment, read->epoch,
							   read->lsn);
	struct io_uring_sqe *sqe;

	if (!record || record->damaged) {
		record_end(read, record ? SEXTANT_ST_DAMAGED : SEXTANT_ST_ABSENT);
		return;
	}
	read->record = record->record;
	read->place = record->place;
	read->seal_count = record->seal_count;
	memcpy(read->seals, record->seals, record->seal_count * sizeof(*read->seals));
	read->data_bytes = sextant_wire_record_data_bytes(&read->record);
	if (!read->data_bytes) {
		record_end(read, SEXTANT_ST_OK);
		return;
	}
	if (!read->data)
		read->data = buffer_get(read->data_bytes);
	read->op.done = record_done;
	sqe = loop_sqe();
	io_uring_prep_read(sqe, chunk_find(read->pg, read->place.chunk)->fd, read->data->bytes,
			   read->data_bytes, read->place.data_offset);
	loop_start(sqe, &read->op);
}

void record_read_start(struct record_read *read)
{
	read->pg->operations++;
	read->again = false;
	read->data = NULL;
	record_plan(read);
}

void record_read_release(struct record_read *read)
{
	buffer_put(read->data);
	read->data = NULL;
}
