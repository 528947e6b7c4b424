// SPDX-License-Identifier: GPL-2.0
/* What a segment answers: whether it may be read, and lists of what it holds. */
#include "segment_index.h"

/* ---- reading ---------------------------------------------------------- */

u64 segment_floor(const struct segment *segment)
{
	return segment->floor_lsn > segment->mrpl ? segment->floor_lsn : segment->mrpl;
}

void segment_set_mrpl(struct segment *segment, u64 mrpl)
{
	if (mrpl > segment->mrpl)
		segment->mrpl = mrpl;
}

/*
 * Is every record up to the tail held, damaged or not? Unlike the SCL a read
 * may pass over one whose header is there: which blocks it wrote is known, and
 * only they cannot be answered.
 */
static bool headers_held(const struct segment *segment, u64 tail_lsn)
{
	struct segment_tail reached = segment_scl(segment);
	const struct segment_record *record;

	for (record = record_next(segment, reached.lsn, ~0u); record && reached.lsn < tail_lsn;
	     record = record_next(segment, record_lsn(record), record_epoch(record))) {
		if (!record->live)
			continue;
		if (le64_to_cpu(record->record.prev_lsn) != reached.lsn ||
		    le32_to_cpu(record->record.prev_epoch) != reached.epoch)
			return false;
		reached.lsn = record->last_lsn;
		reached.epoch = record_epoch(record);
	}
	return reached.lsn >= tail_lsn;
}

enum sextant_wire_status segment_may_read(const struct segment *segment, u64 read_point_lsn,
					  u64 tail_lsn)
{
	if (read_point_lsn < segment_floor(segment))
		return SEXTANT_ST_BELOW_FLOOR;
	if (segment_scl(segment).lsn >= tail_lsn || headers_held(segment, tail_lsn))
		return SEXTANT_ST_OK;
	return segment_lost(segment, tail_lsn) ? SEXTANT_ST_DAMAGED : SEXTANT_ST_INCOMPLETE;
}

/* ---- lists ------------------------------------------------------------ */

const struct segment_record *segment_tail_next(const struct segment *segment, u64 after_lsn,
					       u32 after_epoch)
{
	return record_next(segment, after_lsn, after_epoch);
}

enum sextant_wire_status segment_pull_next(const struct segment *segment, u64 after_lsn,
					   u64 upto_lsn, const struct segment_record **out)
{
	const struct segment_record *record;

	*out = NULL;
	if (after_lsn < segment->base_tail.lsn)
		return SEXTANT_ST_PRUNED;
	record = record_next(segment, after_lsn, ~0ull);
	while (record && (!record->live || record->damaged))
		record = record_next(segment, record_lsn(record), record_epoch(record));
	if (record && record->last_lsn <= upto_lsn)
		*out = record;
	return SEXTANT_ST_OK;
}

static struct segment_tail end_of(const struct segment_record *record)
{
	return (struct segment_tail){ record_epoch(record), record->last_lsn };
}

struct segment_tail segment_tail_at(const struct segment *segment, u64 upto_lsn)
{
	const struct segment_record *record = record_at_most(segment, upto_lsn, ~0ull);

	while (record && (!record->live || record->last_lsn > upto_lsn))
		record = record_before(segment, record);
	return record ? end_of(record) : segment->base_tail;
}

/* ---- what another table makes of it ----------------------------------- */

/* The last LSN up to which two tables give every LSN the same epoch. */
static u64 tables_agree_upto(const struct sextant_table *a, const struct sextant_table *b)
{
	u32 count = a->count < b->count ? a->count : b->count, i = 0;
	u64 first_a = ~0ull, first_b = ~0ull;

	while (i < count && a->entries[i].first_lsn == b->entries[i].first_lsn &&
	       a->entries[i].epoch == b->entries[i].epoch)
		i++;
	if (i == a->count && i == b->count)
		return ~0ull;
	if (i < a->count)
		first_a = le64_to_cpu(a->entries[i].first_lsn);
	if (i < b->count)
		first_b = le64_to_cpu(b->entries[i].first_lsn);
	return (first_a < first_b ? first_a : first_b) - 1;
}

/* The next record that a table allows, from an LSN on, live or not. */
static const struct segment_record *allowed_above(const struct segment *segment,
						  const struct sextant_table *table, u64 lsn)
{
	const struct segment_record *record = record_next(segment, lsn, ~0ull);

	while (record && !record_allowed(table, &record->record))
		record = record_next(segment, record_lsn(record), record_epoch(record));
	return record;
}

/* The SCL under a table, at most upto_lsn: known as far as the tables agree, then walked. */
static struct segment_tail scl_under(const struct segment *segment,
				     const struct sextant_table *table, u64 upto_lsn)
{
	u64 known = tables_agree_upto(&segment->table, table), scl_lsn = segment_scl(segment).lsn;
	struct segment_tail scl;

	if (known > scl_lsn)
		known = scl_lsn;
	scl = segment_tail_at(segment, known < upto_lsn ? known : upto_lsn);
	for (;;) {
		const struct segment_record *next = allowed_above(segment, table, scl.lsn);

		if (!next || next->damaged || next->last_lsn > upto_lsn ||
		    le64_to_cpu(next->record.prev_lsn) != scl.lsn ||
		    le32_to_cpu(next->record.prev_epoch) != scl.epoch)
			return scl;
		scl = end_of(next);
	}
}

static struct segment_tail last_under(const struct segment *segment,
				      const struct sextant_table *table, u64 upto_lsn)
{
	const struct segment_record *record = record_at_most(segment, upto_lsn, ~0ull);

	while (record && (record->last_lsn > upto_lsn ||
			  !record_allowed(table, &record->record)))
		record = record_before(segment, record);
	return record ? end_of(record) : segment->base_tail;
}

bool segment_state(const struct segment *segment, const struct sextant_table *table, u64 upto_lsn,
		   struct sextant_wire_pg_state *state)
{
	struct segment_tail scl = scl_under(segment, table, upto_lsn);
	struct segment_tail last = last_under(segment, table, upto_lsn);

	memset(state, 0, sizeof(*state));
	state->pg = cpu_to_le32(segment->pg);
	if (segment_damaged(segment))
		state->flags = cpu_to_le32(SEXTANT_PG_DAMAGED);
	state->scl_epoch = cpu_to_le32(scl.epoch);
	state->scl_lsn = cpu_to_le64(scl.lsn);
	state->last_epoch = cpu_to_le32(last.epoch);
	state->last_lsn = cpu_to_le64(last.lsn);
	state->floor_lsn = cpu_to_le64(segment_floor(segment));
	return last.lsn || segment->floor_lsn || segment_damaged(segment);
}
