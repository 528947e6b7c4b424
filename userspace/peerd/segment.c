// SPDX-License-Identifier: GPL-2.0
/* A segment's records: which are held, live, and how far their chain goes. */
#include <stdlib.h>

#include "segment_index.h"
#include "segment_runs.h"
#include "wire.h"

bool record_allowed(const struct sextant_table *table, const struct sextant_wire_record *record)
{
	u64 lsn = le64_to_cpu(record->lsn);

	return sextant_table_allows(table, le32_to_cpu(record->epoch), lsn) &&
	       sextant_wire_record_last_lsn(record) <= sextant_table_last_lsn(table, lsn);
}

void segment_init(struct segment *segment, u32 pg, u64 first_block, u32 block_count,
		  const struct segment_tail *base_tail, u64 floor_lsn,
		  const struct sextant_table *table)
{
	memset(segment, 0, sizeof(*segment));
	segment->pg = pg;
	segment->first_block = first_block;
	segment->block_count = block_count;
	segment->base_tail = *base_tail;
	segment->floor_lsn = floor_lsn > base_tail->lsn ? floor_lsn : base_tail->lsn;
	segment->table = *table;
	index_init(segment);
}

void segment_on_left(struct segment *segment, segment_left_fn left, void *context)
{
	segment->left = left;
	segment->left_context = context;
}

static size_t record_bytes(u32 seal_count)
{
	return sizeof(struct segment_record) + seal_count * sizeof(struct sextant_wire_seal);
}

static void record_free(struct segment *segment, struct segment_record *record)
{
	segment->memory_bytes -= record_bytes(record->seal_count);
	free(record);
}

void segment_release(struct segment *segment)
{
	struct segment_record *record;

	index_release(segment);
	runs_release(segment);
	while ((record = record_next(segment, 0, 0))) {
		tree_erase(&segment->records, &record->by_lsn);
		record_free(segment, record);
	}
	free(segment->ranges);
	memset(segment, 0, sizeof(*segment));
}

size_t segment_memory(const struct segment *segment)
{
	return segment->memory_bytes;
}

/* ---- what is held ----------------------------------------------------- */

static struct segment_record *record_find(const struct segment *segment, u32 epoch, u64 lsn)
{
	struct tree_node *node = tree_find(&segment->records, lsn, epoch);

	return node ? tree_entry(node, struct segment_record, by_lsn) : NULL;
}

const struct segment_record *segment_find(const struct segment *segment, u32 epoch, u64 lsn)
{
	return record_find(segment, epoch, lsn);
}

enum segment_held segment_has(const struct segment *segment, u32 epoch, u64 lsn)
{
	const struct segment_record *record;

	if (lsn <= segment->base_tail.lsn)
		return SEGMENT_DURABLE;
	record = record_find(segment, epoch, lsn);
	if (record)
		return record->damaged ? SEGMENT_DAMAGED : SEGMENT_DURABLE;
	return ranges_cover(segment, epoch, lsn) ? SEGMENT_DAMAGED : SEGMENT_ABSENT;
}

/* The live record before this LSN, and the one from it on; NULL: none. */
static const struct segment_record *live_below(const struct segment *segment, u64 lsn)
{
	const struct segment_record *record = record_at_most(segment, lsn - 1, ~0ull);

	while (record && !record->live)
		record = record_before(segment, record);
	return record;
}

static const struct segment_record *live_from(const struct segment *segment, u64 lsn)
{
	const struct segment_record *record = record_next(segment, lsn - 1, ~0ull);

	while (record && !record->live)
		record = record_next(segment, record_lsn(record), record_epoch(record));
	return record;
}

/* Does a record that the table allows go with its live neighbours in one chain? */
static bool chain_fits(const struct segment *segment, const struct sextant_wire_record *record)
{
	u64 lsn = le64_to_cpu(record->lsn), prev_lsn = le64_to_cpu(record->prev_lsn);
	u64 last_lsn = sextant_wire_record_last_lsn(record);
	const struct segment_record *before = live_below(segment, lsn);
	const struct segment_record *after = live_from(segment, lsn);
	struct segment_tail tail = segment->base_tail;

	if (before)
		tail = (struct segment_tail){ record_epoch(before), before->last_lsn };
	if (prev_lsn < tail.lsn ||
	    (prev_lsn == tail.lsn && le32_to_cpu(record->prev_epoch) != tail.epoch))
		return false;
	if (!after)
		return true;
	prev_lsn = le64_to_cpu(after->record.prev_lsn);
	return prev_lsn > last_lsn ||
	       (prev_lsn == last_lsn && after->record.prev_epoch == record->epoch);
}

int segment_check(const struct segment *segment, const struct sextant_wire_record *record)
{
	u64 lsn = le64_to_cpu(record->lsn);
	const struct segment_record *held;

	if (lsn <= segment->base_tail.lsn)
		return -EEXIST;
	held = record_find(segment, le32_to_cpu(record->epoch), lsn);
	if (held && memcmp(&held->record, record, sizeof(*record)))
		return -EINVAL;
	if (held)
		return held->damaged ? 0 : -EEXIST;
	if (record_allowed(&segment->table, record) && !chain_fits(segment, record))
		return -EINVAL;
	return 0;
}

/* ---- adding ----------------------------------------------------------- */

/* The place of a record that was written again is the new one. */
static int record_replace(struct segment *segment, struct segment_record *record,
			  const struct sextant_wire_seal *seals, const struct segment_place *place)
{
	if (record->damaged && record->live && runs_add(segment, record))
		return -ENOMEM;
	if (record->damaged)
		segment->damaged_records--;
	record->damaged = false;
	if (segment->left)
		segment->left(segment->left_context, &record->place);
	record->place = *place;
	if (record->seal_count)
		memcpy(record->seals, seals, record->seal_count * sizeof(*seals));
	return 0;
}

static int record_insert(struct segment *segment, const struct sextant_wire_record *wire,
			 const struct sextant_wire_seal *seals, const struct segment_place *place)
{
	u32 seal_count = sextant_wire_record_seals(wire);
	struct segment_record *record = calloc(1, record_bytes(seal_count));

	if (!record)
		return -ENOMEM;
	record->record = *wire;
	record->place = *place;
	record->last_lsn = sextant_wire_record_last_lsn(wire);
	record->seal_count = seal_count;
	if (seal_count)
		memcpy(record->seals, seals, seal_count * sizeof(*seals));
	record->live = record_allowed(&segment->table, wire);
	if (record->live && index_add(segment, record))
		goto free_record;
	if (record->live && runs_add(segment, record))
		goto index_remove;
	record->by_lsn.low = le64_to_cpu(wire->lsn);
	record->by_lsn.high = le32_to_cpu(wire->epoch);
	tree_insert(&segment->records, &record->by_lsn);
	segment->record_count++;
	segment->memory_bytes += record_bytes(seal_count);
	return 0;

index_remove:
	index_remove(segment, record);
free_record:
	free(record);
	return -ENOMEM;
}

int segment_add(struct segment *segment, const struct sextant_wire_record *record,
		const struct sextant_wire_seal *seals, const struct segment_place *place)
{
	struct segment_record *held;
	int error = segment_check(segment, record);

	if (error)
		return error;
	held = record_find(segment, le32_to_cpu(record->epoch), le64_to_cpu(record->lsn));
	error = held ? record_replace(segment, held, seals, place) :
		       record_insert(segment, record, seals, place);
	ranges_heal(segment, segment_scl(segment).lsn);
	return error;
}

int segment_add_scanned(struct segment *segment, const struct sextant_wire_record *record,
			const struct sextant_wire_seal *seals, const struct segment_place *place)
{
	struct segment_record *held;
	int error = segment_add(segment, record, seals, place);

	if (error != -EEXIST)
		return error;
	held = record_find(segment, le32_to_cpu(record->epoch), le64_to_cpu(record->lsn));
	return held ? record_replace(segment, held, seals, place) : -EEXIST;
}

/* ---- leaving ---------------------------------------------------------- */

/* Takes a record out of everything but the runs, which the caller sees to. */
static void record_drop(struct segment *segment, struct segment_record *record)
{
	if (record->live)
		index_remove(segment, record);
	if (record->damaged)
		segment->damaged_records--;
	tree_erase(&segment->records, &record->by_lsn);
	segment->record_count--;
	if (segment->left)
		segment->left(segment->left_context, &record->place);
	record_free(segment, record);
}

void records_drop_upto(struct segment *segment, u64 lsn)
{
	struct segment_record *record = record_next(segment, 0, 0);

	while (record && record_lsn(record) <= lsn) {
		struct segment_record *next = record_next(segment, record_lsn(record),
							  record_epoch(record));

		if (record->last_lsn <= lsn)
			record_drop(segment, record);
		record = next;
	}
}

/* Makes live what the table in force allows and the one before did not. */
static int records_enliven(struct segment *segment)
{
	struct segment_record *record = record_next(segment, 0, 0);

	for (; record; record = record_next(segment, record_lsn(record), record_epoch(record))) {
		if (record->live || !chain_fits(segment, &record->record))
			continue;
		if (index_add(segment, record))
			return -ENOMEM;
		record->live = true;
	}
	return 0;
}

int segment_truncate(struct segment *segment, const struct sextant_table *table)
{
	struct segment_record *record = record_next(segment, 0, 0);
	int error;

	segment->table = *table;
	while (record) {
		struct segment_record *next = record_next(segment, record_lsn(record),
							  record_epoch(record));

		if (!record_allowed(table, &record->record))
			record_drop(segment, record);
		record = next;
	}
	error = records_enliven(segment);
	if (!error)
		error = runs_rebuild(segment);
	ranges_truncate(segment, table);
	ranges_heal(segment, segment_scl(segment).lsn);
	return error;
}

/* ---- the chain -------------------------------------------------------- */

/* The record of this epoch that ends at this LSN, or NULL. */
static const struct segment_record *record_ending(const struct segment *segment,
						  const struct segment_tail *tail)
{
	const struct segment_record *record = record_at_most(segment, tail->lsn, ~0ull);

	while (record && record_lsn(record) + SEXTANT_RECORD_BLOCKS_MAX > tail->lsn) {
		if (record->last_lsn == tail->lsn && record_epoch(record) == tail->epoch)
			return record;
		record = record_before(segment, record);
	}
	return NULL;
}

bool segment_chain_held(const struct segment *segment, const struct segment_tail *tail,
			u64 down_to_lsn)
{
	struct segment_tail want = *tail;

	while (want.lsn > down_to_lsn) {
		const struct segment_record *record;

		if (want.lsn < segment->base_tail.lsn)
			return true;
		if (want.lsn == segment->base_tail.lsn)
			return want.epoch == segment->base_tail.epoch;
		record = record_ending(segment, &want);
		if (!record || record->damaged)
			return false;
		want.epoch = le32_to_cpu(record->record.prev_epoch);
		want.lsn = le64_to_cpu(record->record.prev_lsn);
	}
	return true;
}

/* ---- damage ----------------------------------------------------------- */

int segment_damage_record(struct segment *segment, u32 epoch, u64 lsn)
{
	struct segment_record *record = record_find(segment, epoch, lsn);

	if (!record)
		return -ENOENT;
	if (record->damaged)
		return 0;
	record->damaged = true;
	segment->damaged_records++;
	return record->live ? runs_rebuild(segment) : 0;
}

bool segment_damaged(const struct segment *segment)
{
	return segment->damaged_records || segment->range_count;
}

bool segment_complete_at(struct segment *segment, const struct segment_tail *tail, u64 upto_lsn)
{
	struct segment_tail scl = segment_scl(segment);

	if (scl.lsn < tail->lsn || (scl.lsn == tail->lsn && scl.epoch != tail->epoch))
		return false;
	ranges_heal(segment, upto_lsn);
	return true;
}
