// SPDX-License-Identifier: GPL-2.0
/* A segment's chain, runs, versions, damage and coalescing, case by case. */
#include "tap.h"

#include "core.h"
#include "wire.h"
#include "peerd/segment.h"

#define PG		3
#define PG_BLOCKS	4096
#define FIRST_BLOCK	((u64)PG * PG_BLOCKS)

static struct sextant_wire_table_entry entries_a[] = {
	{ .first_lsn = 1, .epoch = 8 },
};
static struct sextant_wire_table_entry entries_b[] = {
	{ .first_lsn = 1, .epoch = 8 }, { .first_lsn = 21, .epoch = 16 },
};
static const struct sextant_table table_a = { 1, entries_a };
static const struct sextant_table table_b = { 2, entries_b };
static const struct segment_tail start = { 0, 0 };

/* (lsn, count) of an epoch after prev, at a block of the PG; a discard has count 0. */
struct shape {
	u32 epoch;
	u64 lsn;
	u32 count;
	u32 prev_epoch;
	u64 prev_lsn;
	u32 block;
	u32 discard_blocks;
};

static struct sextant_wire_record record_of(const struct shape *shape)
{
	struct sextant_wire_record record = {
		.pg = cpu_to_le32(PG),
		.kind = shape->discard_blocks ? SEXTANT_RECORD_DISCARD : SEXTANT_RECORD_DATA,
		.epoch = cpu_to_le32(shape->epoch),
		.generation = cpu_to_le32(1),
		.lsn = cpu_to_le64(shape->lsn),
		.lsn_count = cpu_to_le32(shape->count),
		.prev_epoch = cpu_to_le32(shape->prev_epoch),
		.prev_lsn = cpu_to_le64(shape->prev_lsn),
		.block = cpu_to_le64(FIRST_BLOCK + shape->block),
		.block_count = cpu_to_le32(shape->discard_blocks ? shape->discard_blocks :
								   shape->count),
	};

	return record;
}

static int add(struct segment *segment, const struct shape *shape)
{
	struct sextant_wire_record record = record_of(shape);
	struct sextant_wire_seal seals[SEXTANT_RECORD_BLOCKS_MAX] = { 0 };
	struct segment_place place = { 7, 0, (u32)shape->lsn * SEXTANT_BLOCK_BYTES };

	for (u32 i = 0; i < shape->count; i++)
		seals[i].crc = cpu_to_le32((u32)shape->lsn + i);
	return segment_add(segment, &record, seals, &place);
}

static int put(struct segment *segment, u32 epoch, u64 lsn, u32 count, u32 prev_epoch,
	       u64 prev_lsn, u32 block)
{
	return add(segment, &(struct shape){ epoch, lsn, count, prev_epoch, prev_lsn, block, 0 });
}

static int put_discard(struct segment *segment, u64 lsn, u64 prev_lsn, u32 block, u32 blocks)
{
	return add(segment, &(struct shape){ 8, lsn, 1, prev_lsn ? 8 : 0, prev_lsn, block,
					     blocks });
}

static void make(struct segment *segment)
{
	segment_init(segment, PG, FIRST_BLOCK, PG_BLOCKS, &start, 0, &table_a);
}

static void test_chain(void)
{
	struct segment s;
	struct segment_run run;

	make(&s);
	is_u64(segment_scl(&s).lsn, 0, "an empty segment is complete up to nothing");
	is_i64(put(&s, 8, 1, 4, 0, 0, 0), 0, "the PG's first record");
	is_u64(segment_scl(&s).lsn, 4, "moves the SCL to its end");
	is_i64(put(&s, 8, 20, 2, 8, 12, 9), 0, "one above a hole");
	is_u64(segment_scl(&s).lsn, 4, "does not");
	ok(segment_run_of(&s, 20, &run) && run.start_lsn == 12 && run.end_lsn == 21 &&
	   run.end_epoch == 8, "it is a run of its own");
	ok(!segment_run_of(&s, 12, &run), "the hole is in no run");
	is_i64(put(&s, 8, 22, 1, 8, 21, 3), 0, "the next");
	ok(segment_run_of(&s, 22, &run) && run.start_lsn == 12 && run.end_lsn == 22,
	   "lengthens the run");
	is_u64(segment_has(&s, 8, 10), SEGMENT_ABSENT, "the missing one is absent");
	is_i64(put(&s, 8, 10, 3, 8, 4, 5), 0, "the missing one comes");
	is_u64(segment_scl(&s).lsn, 22, "and the SCL goes over the hole");
	ok(segment_run_of(&s, 2, &run) && run.start_lsn == 0 && run.end_lsn == 22,
	   "and it is one run from the start");
	is_i64(put(&s, 8, 10, 3, 8, 4, 5), -EEXIST, "a resend is recognised");
	is_u64(segment_has(&s, 8, 10), SEGMENT_DURABLE, "as held");
	is_u64(segment_has(&s, 8, 11), SEGMENT_ABSENT, "by its first LSN");
	is_u64(segment_has(&s, 16, 10), SEGMENT_ABSENT, "and epoch");
	is_i64(put(&s, 8, 10, 3, 8, 4, 6), -EINVAL, "other content under its key is refused");
	is_i64(put(&s, 8, 30, 1, 8, 21, 6), -EINVAL, "a back-link over a record is refused");
	is_i64(put(&s, 8, 21, 3, 8, 12, 6), -EINVAL, "an overlap is refused");
	is_u64(s.record_count, 4, "four records");
	ok(segment_memory(&s) > 4 * sizeof(struct segment_record), "that take memory");
	segment_release(&s);
}

static void test_truncate(void)
{
	struct segment s;
	struct sextant_wire_pg_state state;
	struct segment_tail tail_dead = { 8, 27 }, tail_live = { 16, 23 };

	make(&s);
	put(&s, 8, 1, 20, 0, 0, 0);
	put(&s, 8, 21, 4, 8, 20, 0);
	put(&s, 8, 26, 2, 8, 24, 9);
	is_u64(segment_scl(&s).lsn, 27, "the old writer's records, up to 27");
	is_i64(put(&s, 16, 21, 3, 8, 20, 4), 0, "COPY brings a newer epoch's at the same LSNs");
	is_u64(segment_scl(&s).lsn, 27, "which counts for nothing yet");
	ok(segment_chain_held(&s, &tail_live, 20) && segment_chain_held(&s, &tail_dead, 0),
	   "both chains are held");
	ok(!segment_chain_held(&s, &(struct segment_tail){ 8, 23 }, 20),
	   "what ends in the middle of a record is not");

	ok(segment_state(&s, &table_b, ~0ull, &state), "under the newer table");
	ok(le64_to_cpu(state.scl_lsn) == 23 && le32_to_cpu(state.scl_epoch) == 16 &&
	   le64_to_cpu(state.last_lsn) == 23, "the SCL is the newer epoch's");
	segment_state(&s, &table_b, 22, &state);
	ok(le64_to_cpu(state.scl_lsn) == 20 && le64_to_cpu(state.last_lsn) == 20,
	   "no further than asked");
	segment_state(&s, &table_a, ~0ull, &state);
	is_u64(le64_to_cpu(state.scl_lsn), 27, "under its own it is the old one");

	is_i64(segment_truncate(&s, &table_b), 0, "the newer table is in force");
	ok(segment_scl(&s).lsn == 23 && segment_scl(&s).epoch == 16, "the SCL is the new epoch's");
	is_u64(s.record_count, 2, "the dead are gone");
	is_u64(segment_has(&s, 8, 21), SEGMENT_ABSENT, "at the same LSN too");
	ok(!segment_chain_held(&s, &tail_dead, 20), "nor is their chain held");
	is_i64(put(&s, 8, 28, 1, 8, 27, 1), 0, "a late one of the old writer is no error");
	is_u64(segment_scl(&s).lsn, 23, "and counts for nothing");
	segment_truncate(&s, &table_b);
	is_u64(s.record_count, 2, "and goes with the next table");
	segment_release(&s);

	make(&s);
	put(&s, 8, 19, 3, 0, 0, 0);
	segment_truncate(&s, &table_b);
	is_u64(s.record_count, 0, "a record that reaches over its epoch's end is dead");
	ok(!segment_state(&s, &table_b, ~0ull, &state), "a segment with nothing is left out");
	segment_release(&s);
}

static void test_damage(void)
{
	struct sextant_wire_pg_state state;
	struct segment_run run;
	struct segment s;

	make(&s);
	for (u64 lsn = 1; lsn <= 10; lsn++)
		put(&s, 8, lsn, 1, lsn > 1 ? 8 : 0, lsn - 1, (u32)lsn);
	is_i64(segment_damage_record(&s, 8, 50), -ENOENT, "no damage to what is not there");
	is_i64(segment_damage_record(&s, 8, 5), 0, "a record's blocks rot");
	is_u64(segment_scl(&s).lsn, 4, "the SCL does not pass over it");
	ok(!segment_run_of(&s, 5, &run), "it is in no run");
	ok(segment_run_of(&s, 8, &run) && run.start_lsn == 5 && run.end_lsn == 10, "those above are");
	is_u64(segment_has(&s, 8, 5), SEGMENT_DAMAGED, "it is damaged, not absent");
	struct segment_version version;

	ok(segment_read(&s, FIRST_BLOCK + 5, 10, &version) == SEGMENT_IN_LOG &&
	   version.kind == SEXTANT_BLOCK_DAMAGED, "its block reads as damaged");
	ok(!segment_chain_held(&s, &(struct segment_tail){ 8, 10 }, 4) &&
	   segment_chain_held(&s, &(struct segment_tail){ 8, 10 }, 5), "its chain is not held");
	segment_state(&s, &table_a, ~0ull, &state);
	ok(le32_to_cpu(state.flags) == SEXTANT_PG_DAMAGED && le64_to_cpu(state.scl_lsn) == 4 &&
	   le64_to_cpu(state.last_lsn) == 10, "and the state says so");
	is_i64(put(&s, 8, 5, 1, 8, 4, 5), 0, "written again it is welcome");
	ok(segment_scl(&s).lsn == 10 && !segment_damaged(&s), "and all is well");

	segment_damage_range(&s, 0, 20, 8);
	is_u64(segment_has(&s, 8, 15), SEGMENT_DAMAGED, "a lost batch: what may have been in it");
	is_u64(segment_has(&s, 8, 21), SEGMENT_ABSENT, "what cannot have been is absent");
	is_u64(segment_has(&s, 8, 3), SEGMENT_DURABLE, "what is held is held");
	ok(segment_damaged(&s), "the segment says so");
	ok(!segment_complete_at(&s, &(struct segment_tail){ 8, 12 }, 20), "a tail above the SCL");
	ok(segment_complete_at(&s, &(struct segment_tail){ 8, 10 }, 15),
	   "the PG's tail is known to be the SCL");
	is_u64(segment_has(&s, 8, 15), SEGMENT_ABSENT, "so nothing was lost up to there");
	is_u64(segment_has(&s, 8, 16), SEGMENT_DAMAGED, "above it may have been");
	put(&s, 8, 11, 10, 8, 10, 30);
	ok(!segment_damaged(&s), "the SCL reaches the end: nothing is missing");

	segment_damage_range(&s, 0, ~0ull, 8);
	segment_truncate(&s, &table_b);
	ok(!segment_damaged(&s) && segment_scl(&s).lsn == 20,
	   "a newer epoch governs what is above: no damage left");
	segment_release(&s);
}

static bool reads_as(const struct segment *s, u32 block, u64 read_point, u64 lsn, u8 kind)
{
	struct segment_version version;

	if (segment_read(s, FIRST_BLOCK + block, read_point, &version) == SEGMENT_IN_BASE)
		return !lsn;
	return version.lsn == lsn && version.kind == kind &&
	       (kind != SEXTANT_BLOCK_DATA ||
		(le32_to_cpu(version.seal.crc) == lsn && version.extent_blocks == 1 &&
		 version.data_offset == lsn * SEXTANT_BLOCK_BYTES && version.chunk == 7));
}

static void test_read(void)
{
	const u8 data = SEXTANT_BLOCK_DATA, discard = SEXTANT_BLOCK_DISCARD;
	struct segment_version version;
	struct segment s;

	make(&s);
	put(&s, 8, 1, 8, 0, 0, 0);
	put_discard(&s, 9, 8, 4, 3000);
	put(&s, 8, 10, 2, 8, 9, 5);
	put_discard(&s, 12, 11, 0, 6);
	put_discard(&s, 13, 12, 2000, 96);
	ok(reads_as(&s, 0, 8, 1, data) && reads_as(&s, 7, 8, 8, data), "data at their own LSNs");
	ok(reads_as(&s, 7, 7, 0, 0), "below its LSN: the base");
	ok(reads_as(&s, 4, 9, 9, discard) && reads_as(&s, 3, 9, 4, data), "a discard over data");
	ok(reads_as(&s, 5, 10, 10, data) && reads_as(&s, 6, 11, 11, data), "data over a discard");
	ok(reads_as(&s, 6, 10, 9, discard), "not yet written: the discard");
	ok(reads_as(&s, 5, 12, 12, discard) && reads_as(&s, 6, 12, 11, data), "a discard over both");
	ok(reads_as(&s, 5, 11, 10, data) && reads_as(&s, 5, 9, 9, discard) &&
	   reads_as(&s, 5, 8, 6, data), "and at older read points what was there then");
	ok(reads_as(&s, 2000, 13, 13, discard) && reads_as(&s, 2096, 13, 9, discard) &&
	   reads_as(&s, 3003, 13, 9, discard) && reads_as(&s, 3004, 13, 0, 0), "discards' bounds");
	segment_read(&s, FIRST_BLOCK + 2050, 13, &version);
	ok(version.extent_block == FIRST_BLOCK + 2000 && version.extent_blocks == 96,
	   "a discard's version names its extent");
	is_u64(segment_may_read(&s, 13, 13), SEXTANT_ST_OK, "complete: may be read");
	is_u64(segment_may_read(&s, 14, 14), SEXTANT_ST_INCOMPLETE, "the tail is not here: not");
	segment_set_mrpl(&s, 10);
	is_u64(segment_may_read(&s, 9, 8), SEXTANT_ST_BELOW_FLOOR, "below MRPL: not");
	segment_release(&s);
}

static u32 places_left;

static void count_left(void *context, const struct segment_place *place)
{
	(void)context;
	places_left += place->chunk == 7;
}

static void test_coalesce(void)
{
	const struct segment_record *record = NULL;
	struct segment_span span;
	struct segment_tail limit;
	struct segment s;

	make(&s);
	segment_on_left(&s, count_left, NULL);
	put(&s, 8, 1, 8, 0, 0, 0);
	put_discard(&s, 9, 8, 2, 2);
	put(&s, 8, 10, 1, 8, 9, 6);
	put(&s, 8, 11, 1, 8, 10, 0);
	is_u64(segment_coalesce_limit(&s, 11, 0).lsn, 0, "nothing to coalesce above MRPL");
	segment_set_mrpl(&s, 10);
	limit = segment_coalesce_limit(&s, 11, 0);
	ok(limit.lsn == 10 && limit.epoch == 8, "up to MRPL");
	is_u64(segment_coalesce_limit(&s, 11, 1).lsn, 8, "or fewer records");
	is_u64(segment_coalesce_limit(&s, 5, 0).lsn, 0, "on a record's end");
	record = segment_coalesce_next(&s, 0, &limit);
	ok(record && segment_coalesce_span(&s, record, FIRST_BLOCK, &limit, &span) &&
	   span.block == FIRST_BLOCK && span.count == 2, "the first blocks are the newest there");
	ok(segment_coalesce_span(&s, record, span.next_block, &limit, &span) &&
	   span.block == FIRST_BLOCK + 4 && span.count == 2, "the discarded ones are not");
	ok(segment_coalesce_span(&s, record, span.next_block, &limit, &span) &&
	   span.block == FIRST_BLOCK + 7 && span.count == 1, "nor the one written again");
	ok(!segment_coalesce_span(&s, record, span.next_block, &limit, &span), "that is all");
	record = segment_coalesce_next(&s, record->last_lsn, &limit);
	ok(record && record->record.kind == SEXTANT_RECORD_DISCARD, "then the discard");
	record = segment_coalesce_next(&s, record->last_lsn, &limit);
	ok(record && record->last_lsn == 10, "then the next");
	ok(!segment_coalesce_next(&s, record->last_lsn, &limit), "and no more");
	segment_coalesced(&s, &limit);
	is_u64(places_left, 3, "three places are free");
	ok(s.base_tail.lsn == 10 && segment_floor(&s) == 10 && segment_scl(&s).lsn == 11,
	   "the base's tail and the floor have moved, the SCL has not");
	is_u64(segment_has(&s, 8, 9), SEGMENT_DURABLE, "what is in the base is held");
	is_i64(put(&s, 8, 10, 1, 8, 9, 6), -EEXIST, "and not written again");
	ok(reads_as(&s, 6, 11, 0, 0) && reads_as(&s, 0, 11, 11, SEXTANT_BLOCK_DATA),
	   "reads go to base and log");
	is_u64(segment_pull_next(&s, 9, 11, &record), SEXTANT_ST_PRUNED, "PULL from below: PRUNED");
	ok(segment_pull_next(&s, 10, 11, &record) == SEXTANT_ST_OK && record &&
	   record->last_lsn == 11, "PULL from the base's tail");
	ok(segment_pull_next(&s, 11, 11, &record) == SEXTANT_ST_OK && !record, "and no further");
	segment_release(&s);
}

static void test_base_pulled(void)
{
	struct segment s;

	make(&s);
	put(&s, 8, 1, 1, 0, 0, 0);
	put(&s, 8, 30, 1, 8, 25, 1);
	put(&s, 8, 40, 2, 8, 33, 2);
	segment_damage_range(&s, 0, 31, 8);
	is_i64(segment_base_pulled(&s, &(struct segment_tail){ 8, 33 }, 35), 0, "a base is pulled");
	ok(segment_scl(&s).lsn == 41 && s.record_count == 1 && segment_floor(&s) == 35 &&
	   !segment_damaged(&s), "the segment is complete over it, and the damage healed");
	is_u64(segment_tail_at(&s, 35).lsn, 33, "its tail there is the one pulled");
	segment_release(&s);
}

static void test_tail_pages(void)
{
	const struct segment_record *record;
	u64 seen[8] = { 0 };
	struct segment s;
	u32 count = 0;

	make(&s);
	put(&s, 8, 1, 20, 0, 0, 0);
	put(&s, 8, 21, 2, 8, 20, 0);
	put(&s, 8, 23, 2, 8, 22, 0);
	put(&s, 16, 21, 1, 8, 20, 0);
	put(&s, 16, 22, 4, 16, 21, 0);
	for (record = segment_tail_next(&s, 20, ~0u); record && count < 8;
	     record = segment_tail_next(&s, le64_to_cpu(record->record.lsn),
					le32_to_cpu(record->record.epoch)))
		seen[count++] = le64_to_cpu(record->record.lsn) * 100 +
				le32_to_cpu(record->record.epoch);
	ok(count == 4 && seen[0] == 2108 && seen[1] == 2116 && seen[2] == 2216 && seen[3] == 2308,
	   "a tail is listed by LSN and epoch, dead or not");
	segment_release(&s);
}

static void test_scanned_again(void)
{
	struct shape shape = { 8, 1, 2, 0, 0, 0, 0 };
	struct sextant_wire_record record = record_of(&shape);
	struct sextant_wire_seal seals[2] = { { .crc = 1 }, { .crc = 2 } };
	struct segment_place first = { 1, 0, 4096 }, second = { 7, 0, 8192 };
	struct segment s;

	make(&s);
	places_left = 0;
	segment_on_left(&s, count_left, NULL);
	segment_add_scanned(&s, &record, seals, &second);
	is_i64(segment_add_scanned(&s, &record, seals, &first), 0, "a scan finds it a second time");
	is_u64(segment_find(&s, 8, 1)->place.chunk, 1, "the later place counts");
	is_u64(places_left, 1, "the earlier one is free");
	segment_release(&s);
}

int main(void)
{
	test_chain();
	test_truncate();
	test_damage();
	test_read();
	test_coalesce();
	test_base_pulled();
	test_tail_pages();
	test_scanned_again();
	return done_testing();
}
