/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Reading from a PG: blocks at a read point, or a record as it was logged. What
 * is read is checked against its CRC; a mismatch is believed only when nothing
 * moved meanwhile, and then it is counted and the version is DAMAGED.
 */
#ifndef SEXTANT_PEERD_READ_H
#define SEXTANT_PEERD_READ_H

#include "store.h"

#define READ_OPS_MAX	(SEXTANT_RECORD_BLOCKS_MAX + 1)

struct block_read;

struct read_op {
	struct loop_op op;
	struct block_read *read;
	u32 first, count;		/* blocks of the read; count 0: the entries */
	u32 bytes;
	bool failed;
};

/* A read of blocks. The caller allocates it and fills the first part. */
struct block_read {
	struct pg *pg;
	u64 read_point_lsn;
	u64 block;
	u32 count;			/* <= SEXTANT_RECORD_BLOCKS_MAX, within the PG */
	bool meta_only;
	/* OK: versions are there. BELOW_FLOOR: gone. INCOMPLETE: being replaced. */
	void (*done)(struct block_read *read, u32 status);

	struct sextant_wire_block versions[SEXTANT_RECORD_BLOCKS_MAX];
	struct buffer *data;		/* block i at i * 4096, where it is of kind DATA */

	/* The rest is private. */
	u32 pending;
	bool again;
	u64 base_changes;
	u32 in_log, in_base;		/* a bit for each block */
	struct {
		u32 chunk, offset, epoch;
		u64 lsn;		/* of the record */
	} places[SEXTANT_RECORD_BLOCKS_MAX];
	struct base_entry entries[SEXTANT_RECORD_BLOCKS_MAX];
	u32 op_count;
	struct read_op ops[READ_OPS_MAX];
};

/* Starts it; done() comes from the loop or, when no I/O is needed, at once. */
void block_read_start(struct block_read *read);

/* Releases the data; the memory of the read is the caller's. */
void block_read_release(struct block_read *read);

/* A read of one record's blocks. */
struct record_read {
	struct loop_op op;
	struct pg *pg;
	u32 epoch;
	u64 lsn;			/* the record's first */
	/* OK, ABSENT or DAMAGED; with OK and DAMAGED the record is there. */
	void (*done)(struct record_read *read, u32 status);

	struct sextant_wire_record record;
	u32 seal_count;
	struct sextant_wire_seal seals[SEXTANT_RECORD_BLOCKS_MAX];
	struct buffer *data;
	u32 data_bytes;

	/* The rest is private. */
	bool again;
	struct segment_place place;
};

void record_read_start(struct record_read *read);
void record_read_release(struct record_read *read);

#endif
