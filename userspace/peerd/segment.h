/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A segment: one PG of one volume as this store holds it, in memory.
 *
 * Everything up to the base's tail is in the base file, each block's newest
 * version only; everything above is in the log, and here is its index. So for
 * any block the versions in the log are newer than the one in the base, and no
 * read goes below the floor, which is never below the base's tail: a read that
 * finds no version in the log at or below its read point takes the base's.
 *
 * Records are keyed (epoch, LSN). A record is live if the epoch table in force
 * allows it; live records do not overlap, form one chain by their back-links,
 * and they alone are read, acked and counted in the SCL. The others (COPY
 * brings them before its ACTIVATE) wait to be allowed or dropped.
 *
 * Pure: no I/O, no clock, no lock. The caller adds a record when it is
 * durable, and makes durable what it must before segment_coalesced() and
 * segment_base_pulled(). Time: adding, acking and reading are O(log n); what
 * walks a whole segment says so.
 */
#ifndef SEXTANT_PEERD_SEGMENT_H
#define SEXTANT_PEERD_SEGMENT_H

#include "core.h"
#include "table.h"
#include "segment_tree.h"

/* A place in the PG's chain: the last LSN of a record, and its epoch. 0/0: the start. */
struct segment_tail {
	u32 epoch;
	u64 lsn;
};

/* Where a record lies: its batch's header and its sealed blocks, within one chunk. */
struct segment_place {
	u32 chunk;
	u32 batch_offset;
	u32 data_offset;
};

/**
 * struct segment_record - one record in the log; read-only for the caller
 * @record: as it came over the wire
 * @place: where it lies
 * @last_lsn: of its LSNs
 * @live: the table in force allows it
 * @damaged: its data failed their CRC
 * @seal_count: how many @seals
 * @seals: as they came
 * The rest is private.
 */
struct segment_record {
	struct sextant_wire_record record;
	struct segment_place place;
	u64 last_lsn;
	bool live;
	bool damaged;
	u32 seal_count;
	struct tree_node by_lsn;		/* (first LSN, epoch) */
	struct tree_node by_block;		/* discards: (first block, LSN) */
	u64 subtree_end_block;			/* discards: highest end, newest LSN below */
	u64 subtree_newest_lsn;
	struct sextant_wire_seal seals[];
};

/* Called for the place of each record that leaves the segment: chunks are freed by it. */
typedef void (*segment_left_fn)(void *context, const struct segment_place *place);

struct segment_range;
struct segment_slot;

/**
 * struct segment - all members are private but for reading these
 * @pg: its number
 * @first_block: the PG's first block in the volume
 * @block_count: its blocks
 * @base_tail: everything up to here is in the base
 * @floor_lsn: the lowest read point that can be served
 * @mrpl: as told
 * @record_count: records in the log, live or not
 */
struct segment {
	u32 pg;
	u64 first_block;
	u32 block_count;
	struct segment_tail base_tail;
	u64 floor_lsn;
	u64 mrpl;
	u64 record_count;
	struct sextant_table table;
	struct tree records;			/* by (first LSN, epoch) */
	struct tree runs;			/* by (start LSN, 0) */
	struct tree discards;			/* live ones, by (first block, LSN) */
	struct segment_slot *slots;		/* block -> versions, a hash */
	u32 slot_room, slot_count;
	struct segment_range *ranges;		/* damage, each by itself */
	u32 range_count;
	u32 damaged_records;
	size_t memory_bytes;
	segment_left_fn left;
	void *left_context;
};

/**
 * segment_init() - a segment with an empty log
 * @segment: filled; release with segment_release()
 * @pg: its number
 * @first_block: the PG's first block in the volume
 * @block_count: its blocks
 * @base_tail: the base's, from its file; 0/0 for a new one
 * @floor_lsn: from the base's file; taken as base_tail->lsn if below that
 * @table: the table in force. The segment points to its entries until
 *	segment_truncate() or segment_release().
 */
void segment_init(struct segment *segment, u32 pg, u64 first_block, u32 block_count,
		  const struct segment_tail *base_tail, u64 floor_lsn,
		  const struct sextant_table *table);

/** segment_on_left() - has @left called for each place that is no longer used. */
void segment_on_left(struct segment *segment, segment_left_fn left, void *context);

/** segment_release() - frees everything, without calling the left function. */
void segment_release(struct segment *segment);

/* ---- records ---------------------------------------------------------- */

enum segment_held {
	SEGMENT_ABSENT	= 0,	/* certainly not held */
	SEGMENT_DURABLE	= 1,	/* in the log, or in the base */
	SEGMENT_DAMAGED	= 2,	/* was held and is lost, or may have been */
};

/**
 * segment_has() - is this record held?
 * @segment: where
 * @epoch: the record's
 * @lsn: its first LSN
 *
 * DAMAGED means: write it again, it is welcome. What lies in the base is
 * DURABLE whatever its epoch: no record at or below the base's tail is wanted.
 */
enum segment_held segment_has(const struct segment *segment, u32 epoch, u64 lsn);

/**
 * segment_add() - a record is durable, or was found by a scan
 * @segment: where
 * @record: valid for the volume (sextant_wire_record_valid()) and of this PG
 * @seals: as many as sextant_wire_record_seals() says
 * @place: where it lies
 *
 * One that is held already is left as it is, unless it is damaged: then this
 * place replaces the old one.
 *
 * Return: 0; -EEXIST: held already, in the log or in the base; -EINVAL: it
 * contradicts a live record (other content under its key, or it overlaps one
 * of its chain): the caller refuses it as BAD_REQUEST; -ENOMEM: the segment is
 * as before. In all but the first the place is not taken.
 */
int segment_add(struct segment *segment, const struct sextant_wire_record *record,
		const struct sextant_wire_seal *seals, const struct segment_place *place);

/**
 * segment_add_scanned() - a record was found by a scan of the log
 *
 * As segment_add(), but a place found later replaces an earlier one: a record
 * is written again only because the first was damaged. After the scan,
 * segment_truncate() with the table in force drops what was dead before it.
 *
 * Return: 0; -EEXIST: it is in the base by now; -EINVAL; -ENOMEM.
 */
int segment_add_scanned(struct segment *segment, const struct sextant_wire_record *record,
			const struct sextant_wire_seal *seals, const struct segment_place *place);

/**
 * segment_check() - what segment_add() would say, before the record is written
 *
 * Return: 0 (write it), -EEXIST or -EINVAL.
 */
int segment_check(const struct segment *segment, const struct sextant_wire_record *record);

/** segment_find() - the record with this epoch and first LSN in the log, or NULL. */
const struct segment_record *segment_find(const struct segment *segment, u32 epoch, u64 lsn);

/** segment_scl() - the end of the complete chain of live, undamaged records. */
struct segment_tail segment_scl(const struct segment *segment);

/**
 * struct segment_run - every live record in (start_lsn, end_lsn] is durable
 * @start_lsn: 0 for the run that begins in the base
 * @end_epoch: of its last record
 * @end_lsn: its last LSN
 */
struct segment_run {
	u64 start_lsn;
	u32 end_epoch;
	u64 end_lsn;
};

/**
 * segment_run_of() - the run that this LSN lies in, as an ACK wants it
 *
 * Return: false when no live, undamaged record with this LSN is held.
 */
bool segment_run_of(const struct segment *segment, u64 lsn, struct segment_run *run);

/**
 * segment_truncate() - a table is in force: drops every record it does not allow
 * @segment: where
 * @table: the new one; as in segment_init()
 *
 * A record is allowed when one entry of its epoch governs all its LSNs. Damage
 * that can only have been in records now dead is forgotten. Walks the segment.
 *
 * Return: 0, or -ENOMEM: the caller ends, the segment is not to be used.
 */
int segment_truncate(struct segment *segment, const struct sextant_table *table);

/**
 * segment_chain_held() - ACTIVATE: is the chain held from a tail down to an LSN?
 * @segment: where
 * @tail: the PG's last record
 * @down_to_lsn: v0: what is at or below it need not be shown
 *
 * By back-links, each record durable and undamaged, live or not. O(records above
 * down_to_lsn).
 */
bool segment_chain_held(const struct segment *segment, const struct segment_tail *tail,
			u64 down_to_lsn);

/* ---- damage ----------------------------------------------------------- */

/**
 * segment_damage_record() - a record's sealed blocks failed their CRC
 *
 * The SCL falls below it until it is added again. Walks the segment.
 *
 * Return: 0, -ENOENT when no such record is in the log, -ENOMEM.
 */
int segment_damage_record(struct segment *segment, u32 epoch, u64 lsn);

/**
 * segment_damage_range() - records may be lost whose very headers are (struct log_damage)
 * @segment: where
 * @low_lsn: their LSNs are above this; the base's tail, if not known better
 * @high_lsn: and not above this; ~0 if not known
 * @epoch: the highest they can have: the accepted ballot's or, if a higher one is
 *	promised, that less one (COPY brings older epochs than its ballot's)
 *
 * What is in the range and not held is DAMAGED, not ABSENT, until the SCL has
 * reached its end, segment_complete_at() has proved as much, or a new table
 * leaves no room for it. The SCL needs no hint: a chain does not pass over a
 * record that is not there. Call it after segment_init() and before or after
 * the records are added.
 *
 * Return: 0 or -ENOMEM.
 */
int segment_damage_range(struct segment *segment, u64 low_lsn, u64 high_lsn, u32 epoch);

/**
 * segment_complete_at() - a PG's tail is known: heals damage that it disproves
 * @segment: where
 * @tail: the PG's last valid record at or below @upto_lsn: from a VDL message, the
 *	end of a PULL, or an ACTIVATE
 * @upto_lsn: up to where it is the last
 *
 * Return: true when the SCL has reached the tail: the segment is complete at
 * upto_lsn, and no damage is left up to there.
 */
bool segment_complete_at(struct segment *segment, const struct segment_tail *tail, u64 upto_lsn);

/** segment_lost() - may a record above the SCL, at or below @upto_lsn, be lost with its header? */
bool segment_lost(const struct segment *segment, u64 upto_lsn);

/** segment_damaged() - is any record damaged or range lost? (SEXTANT_PG_DAMAGED) */
bool segment_damaged(const struct segment *segment);

/* ---- reading ---------------------------------------------------------- */

/* in segment_index.c: the newest live version of a block. */
enum segment_where {
	SEGMENT_IN_BASE	= 0,	/* none in the log: the base's version, or never written */
	SEGMENT_IN_LOG	= 1,
};

/**
 * struct segment_version - a block's version in the log
 * @kind: SEXTANT_BLOCK_DATA, _DISCARD or _DAMAGED
 * @epoch: of its record
 * @generation: of the data key
 * @lsn: the block's own (a data record's blocks have one each)
 * @extent_block: what the seal covers: the block, or a discard's first
 * @extent_blocks: 1 for data
 * @seal: the block's; a discard's
 * @chunk: for data: where the sealed block lies
 * @data_offset: within the chunk, in bytes
 * @record: the record it is part of; stays until the segment next changes
 */
struct segment_version {
	u8 kind;
	u32 epoch;
	u32 generation;
	u64 lsn;
	u64 extent_block;
	u32 extent_blocks;
	struct sextant_wire_seal seal;
	u32 chunk;
	u32 data_offset;
	const struct segment_record *record;
};

/**
 * segment_read() - the newest version at or below a read point
 * @segment: where
 * @block: of the volume, within the PG
 * @read_point_lsn: not below segment_floor(), nor above what the SCL proves
 *	(segment_may_read())
 * @version: filled for SEGMENT_IN_LOG
 *
 * SEGMENT_IN_BASE is final: the base's version is at or below every read point
 * that is not below the floor, and every version in the log is newer.
 */
enum segment_where segment_read(const struct segment *segment, u64 block, u64 read_point_lsn,
				struct segment_version *version);

/**
 * segment_may_read() - can a read of this PG be served completely?
 * @segment: where
 * @read_point_lsn: the reader's
 * @tail_lsn: the PG's last record at or below it, as the writer knows it
 *
 * Return: OK, BELOW_FLOOR, INCOMPLETE, or DAMAGED where what is missing was here
 * and is lost, its header too. known VDL and the table are the caller's. A
 * damaged record whose header is there is no hindrance: segment_read() finds it.
 */
enum sextant_wire_status segment_may_read(const struct segment *segment, u64 read_point_lsn,
					  u64 tail_lsn);

/** segment_floor() - the lowest read point served now. */
u64 segment_floor(const struct segment *segment);

/**
 * segment_set_mrpl() - no reader asks below this LSN any more
 *
 * Raises the floor (in memory: nothing is lost on disk), lets superseded
 * versions go from the index; a lower one than before is ignored.
 */
void segment_set_mrpl(struct segment *segment, u64 mrpl);

/* ---- lists: segment_read.c -------------------------------------------- */

/**
 * segment_tail_next() - TAIL: the next record, live or not, by (LSN, epoch)
 * @segment: where
 * @after_lsn: first LSN of the record before, or where to start
 * @after_epoch: its epoch; 0xffffffff with the first @after_lsn leaves out what starts at it
 *
 * Return: the first record with (LSN, epoch) above, or NULL.
 */
const struct segment_record *segment_tail_next(const struct segment *segment, u64 after_lsn,
					       u32 after_epoch);

/**
 * segment_pull_next() - PULL: the next live, undamaged record
 * @segment: where
 * @after_lsn: the caller's SCL, then the last LSN of the record before
 * @upto_lsn: last LSN wanted, not above the known VDL
 * @record: the record that starts above after_lsn and ends at or below upto_lsn, or NULL
 *
 * Return: OK, or PRUNED when @after_lsn lies below the base's tail.
 */
enum sextant_wire_status segment_pull_next(const struct segment *segment, u64 after_lsn,
					   u64 upto_lsn, const struct segment_record **record);

/**
 * segment_tail_at() - the last live record at or below an LSN, in the log or the base
 *
 * The PG's tail there if the segment is complete so far.
 */
struct segment_tail segment_tail_at(const struct segment *segment, u64 upto_lsn);

/**
 * segment_state() - PG_LIST: what is held that a table allows
 * @segment: where
 * @table: the caller's, any
 * @upto_lsn: what starts or ends above it is left out
 * @state: filled
 *
 * Return: false when the segment holds nothing and never did: it is left out.
 */
bool segment_state(const struct segment *segment, const struct sextant_table *table, u64 upto_lsn,
		   struct sextant_wire_pg_state *state);

/** segment_memory() - bytes that the segment has allocated. */
size_t segment_memory(const struct segment *segment);

/* ---- coalescing: segment_coalesce.c ----------------------------------- */

/**
 * segment_coalesce_limit() - how far the log can go into the base
 * @segment: where
 * @limit_lsn: the caller's: known VDL, and what archive and snapshots have passed
 * @records_max: no more records than this; 0: any number
 *
 * Return: the end of a record at or below limit_lsn, MRPL and SCL; the base's
 * tail when there is nothing to do.
 */
struct segment_tail segment_coalesce_limit(const struct segment *segment, u64 limit_lsn,
					   u32 records_max);

/**
 * segment_coalesce_next() - the records to coalesce, oldest first
 * @segment: where
 * @after_lsn: the base's tail, then the last LSN of the record before
 * @limit: of segment_coalesce_limit(), unchanged since
 *
 * Return: the record, or NULL at the end.
 */
const struct segment_record *segment_coalesce_next(const struct segment *segment, u64 after_lsn,
						   const struct segment_tail *limit);

/**
 * struct segment_span - blocks of a record that must go to the base
 * @block: the first
 * @count: how many; may be 0: ask on
 * @next_block: where to ask on
 */
struct segment_span {
	u64 block;
	u32 count;
	u64 next_block;
};

/**
 * segment_coalesce_span() - the next blocks whose newest version at the limit is this record's
 * @segment: where
 * @record: of segment_coalesce_next()
 * @from_block: the record's first, then next_block
 * @limit: as there
 * @span: filled
 *
 * Blocks in no span are superseded at the limit. A span may hold blocks that are
 * superseded all the same (of versions already pruned): the base takes records
 * in order, so that the newest stays. Looks at 4096 blocks at most.
 *
 * Return: false when from_block lies behind the record's last.
 */
bool segment_coalesce_span(const struct segment *segment, const struct segment_record *record,
			   u64 from_block, const struct segment_tail *limit,
			   struct segment_span *span);

/**
 * segment_coalesced() - the base has everything up to the limit, durably, and says so
 *
 * Drops those records from the log's index; base tail and floor move to the limit.
 */
void segment_coalesced(struct segment *segment, const struct segment_tail *limit);

/**
 * segment_base_pulled() - a PULL_BASE is complete: the base has the PG's state at an LSN
 * @segment: where
 * @tail: the PG's last valid record at or below upto_lsn (PULL_END)
 * @upto_lsn: the floor from now on
 *
 * Drops the records up to there and the damage. Versions above it stay.
 *
 * Return: 0, or -ENOMEM: the caller ends, the segment is not to be used.
 */
int segment_base_pulled(struct segment *segment, const struct segment_tail *tail, u64 upto_lsn);

#endif
