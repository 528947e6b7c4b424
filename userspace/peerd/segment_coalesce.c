// SPDX-License-Identifier: GPL-2.0
/* From the log into the base: what must be copied, and what then leaves. */
#include "segment_index.h"
#include "segment_runs.h"

#define SPAN_BLOCKS_MAX	4096u

struct segment_tail segment_coalesce_limit(const struct segment *segment, u64 limit_lsn,
					   u32 records_max)
{
	struct segment_tail scl = segment_scl(segment);
	struct segment_tail limit = segment->base_tail;
	const struct segment_record *record;

	if (limit_lsn > segment->mrpl)
		limit_lsn = segment->mrpl;
	if (limit_lsn > scl.lsn)
		limit_lsn = scl.lsn;
	if (limit_lsn <= limit.lsn)
		return limit;
	if (!records_max)
		return segment_tail_at(segment, limit_lsn);
	scl.lsn = limit_lsn;
	while (records_max-- && (record = segment_coalesce_next(segment, limit.lsn, &scl)))
		limit = (struct segment_tail){ record_epoch(record), record->last_lsn };
	return limit;
}

const struct segment_record *segment_coalesce_next(const struct segment *segment, u64 after_lsn,
						   const struct segment_tail *limit)
{
	const struct segment_record *record = record_next(segment, after_lsn, ~0ull);

	while (record && !record->live)
		record = record_next(segment, record_lsn(record), record_epoch(record));
	return record && record->last_lsn <= limit->lsn ? record : NULL;
}

/* Is another version of the block, at or below the limit, newer than this record's? */
static bool superseded(const struct segment *segment, const struct segment_record *record,
		       u64 block, u64 limit_lsn)
{
	struct segment_version newest;

	/* A pruned version may find none: copied in order, it is overwritten. */
	return segment_read(segment, block, limit_lsn, &newest) == SEGMENT_IN_LOG &&
	       newest.record != record && newest.lsn > record_lsn(record);
}

bool segment_coalesce_span(const struct segment *segment, const struct segment_record *record,
			   u64 from_block, const struct segment_tail *limit,
			   struct segment_span *span)
{
	u64 end = le64_to_cpu(record->record.block) + le32_to_cpu(record->record.block_count);
	u64 block = from_block;

	if (record->record.kind == SEXTANT_RECORD_VOID || from_block >= end)
		return false;
	if (end - from_block > SPAN_BLOCKS_MAX)
		end = from_block + SPAN_BLOCKS_MAX;
	while (block < end && superseded(segment, record, block, limit->lsn))
		block++;
	span->block = block;
	while (block < end && !superseded(segment, record, block, limit->lsn))
		block++;
	span->count = (u32)(block - span->block);
	span->next_block = block;
	return true;
}

void segment_coalesced(struct segment *segment, const struct segment_tail *limit)
{
	struct segment_tail before = segment->base_tail;

	if (limit->lsn <= before.lsn)
		return;
	records_drop_upto(segment, limit->lsn);
	segment->base_tail = *limit;
	if (segment->floor_lsn < limit->lsn)
		segment->floor_lsn = limit->lsn;
	runs_base_moved(segment, &before);
	ranges_heal(segment, limit->lsn);
}

int segment_base_pulled(struct segment *segment, const struct segment_tail *tail, u64 upto_lsn)
{
	int error;

	records_drop_upto(segment, upto_lsn);
	if (tail->lsn > segment->base_tail.lsn)
		segment->base_tail = *tail;
	if (segment->floor_lsn < upto_lsn)
		segment->floor_lsn = upto_lsn;
	error = runs_rebuild(segment);
	ranges_heal(segment, upto_lsn);
	ranges_heal(segment, segment_scl(segment).lsn);
	return error;
}
