// SPDX-License-Identifier: GPL-2.0
/*
 * Runs: live records that follow one another by their back-links, without a
 * hole. The one that begins at the base's tail ends at the SCL. And ranges: LSNs
 * of which it is not known what was lost there.
 */
#include <stdlib.h>

#include "segment_index.h"
#include "segment_runs.h"

/* Keyed by where it starts: the last LSN of the record before its first. */
struct run {
	struct tree_node by_start;
	u32 start_epoch;
	struct segment_tail end;
};

/* Records in (low_lsn, high_lsn] of this epoch or an older one may be lost. */
struct segment_range {
	u64 low_lsn;
	u64 high_lsn;
	u32 epoch;
};

/* ---- runs ------------------------------------------------------------- */

static struct run *run_of(struct tree_node *node)
{
	return node ? tree_entry(node, struct run, by_start) : NULL;
}

static struct run *run_starting(const struct segment *segment, const struct segment_tail *start)
{
	struct run *run = run_of(tree_find(&segment->runs, start->lsn, 0));

	return run && run->start_epoch == start->epoch ? run : NULL;
}

static void run_free(struct segment *segment, struct run *run)
{
	tree_erase(&segment->runs, &run->by_start);
	segment->memory_bytes -= sizeof(*run);
	free(run);
}

int runs_add(struct segment *segment, const struct segment_record *record)
{
	struct segment_tail prev = {
		le32_to_cpu(record->record.prev_epoch),
		le64_to_cpu(record->record.prev_lsn),
	};
	struct segment_tail end = { record_epoch(record), record->last_lsn };
	struct run *left = run_of(tree_at_most(&segment->runs, prev.lsn, 0));
	struct run *right = run_starting(segment, &end);

	if (left && (left->end.lsn != prev.lsn || left->end.epoch != prev.epoch))
		left = NULL;
	if (!left) {
		left = calloc(1, sizeof(*left));
		if (!left)
			return -ENOMEM;
		left->by_start.low = prev.lsn;
		left->start_epoch = prev.epoch;
		tree_insert(&segment->runs, &left->by_start);
		segment->memory_bytes += sizeof(*left);
	}
	left->end = end;
	if (right) {
		left->end = right->end;
		run_free(segment, right);
	}
	return 0;
}

void runs_release(struct segment *segment)
{
	while (segment->runs.root)
		run_free(segment, run_of(segment->runs.root));
}

int runs_rebuild(struct segment *segment)
{
	struct segment_record *record = record_next(segment, 0, 0);

	runs_release(segment);
	for (; record; record = record_next(segment, record_lsn(record), record_epoch(record)))
		if (record->live && !record->damaged && runs_add(segment, record))
			return -ENOMEM;
	return 0;
}

void runs_base_moved(struct segment *segment, const struct segment_tail *before)
{
	struct run *run = run_starting(segment, before);

	if (!run)
		return;
	if (run->end.lsn <= segment->base_tail.lsn) {
		run_free(segment, run);
		return;
	}
	tree_erase(&segment->runs, &run->by_start);
	run->by_start.low = segment->base_tail.lsn;
	run->start_epoch = segment->base_tail.epoch;
	tree_insert(&segment->runs, &run->by_start);
}

struct segment_tail segment_scl(const struct segment *segment)
{
	const struct run *run = run_starting(segment, &segment->base_tail);

	return run ? run->end : segment->base_tail;
}

bool segment_run_of(const struct segment *segment, u64 lsn, struct segment_run *out)
{
	struct segment_tail scl = segment_scl(segment);
	const struct run *run;

	if (lsn <= scl.lsn) {
		*out = (struct segment_run){ 0, scl.epoch, scl.lsn };
		return true;
	}
	run = run_of(tree_at_most(&segment->runs, lsn - 1, 0));
	if (!run || run->end.lsn < lsn)
		return false;
	*out = (struct segment_run){ run->by_start.low, run->end.epoch, run->end.lsn };
	return true;
}

/* ---- ranges ----------------------------------------------------------- */

int segment_damage_range(struct segment *segment, u64 low_lsn, u64 high_lsn, u32 epoch)
{
	struct segment_range *ranges;

	if (high_lsn <= low_lsn || high_lsn <= segment_scl(segment).lsn)
		return 0;
	ranges = realloc(segment->ranges, (segment->range_count + 1) * sizeof(*ranges));
	if (!ranges)
		return -ENOMEM;
	segment->ranges = ranges;
	ranges[segment->range_count++] = (struct segment_range){ low_lsn, high_lsn, epoch };
	segment->memory_bytes += sizeof(*ranges);
	return 0;
}

bool ranges_cover(const struct segment *segment, u32 epoch, u64 lsn)
{
	if (lsn <= segment_scl(segment).lsn)
		return false;
	for (u32 i = 0; i < segment->range_count; i++) {
		const struct segment_range *range = &segment->ranges[i];

		if (epoch <= range->epoch && lsn > range->low_lsn && lsn <= range->high_lsn)
			return true;
	}
	return false;
}

/* Takes out the ranges that have become empty. */
static void ranges_tidy(struct segment *segment)
{
	u32 kept = 0;

	for (u32 i = 0; i < segment->range_count; i++)
		if (segment->ranges[i].low_lsn < segment->ranges[i].high_lsn)
			segment->ranges[kept++] = segment->ranges[i];
	segment->memory_bytes -= (segment->range_count - kept) * sizeof(*segment->ranges);
	segment->range_count = kept;
}

void ranges_heal(struct segment *segment, u64 upto_lsn)
{
	for (u32 i = 0; i < segment->range_count; i++)
		if (segment->ranges[i].low_lsn < upto_lsn)
			segment->ranges[i].low_lsn = upto_lsn;
	ranges_tidy(segment);
}

void ranges_truncate(struct segment *segment, const struct sextant_table *table)
{
	for (u32 i = 0; i < segment->range_count; i++) {
		struct segment_range *range = &segment->ranges[i];
		u32 at = table->count;

		/* The first entry whose epoch the lost records cannot have. */
		while (at && le32_to_cpu(table->entries[at - 1].epoch) > range->epoch)
			at--;
		if (at < table->count &&
		    range->high_lsn >= le64_to_cpu(table->entries[at].first_lsn))
			range->high_lsn = le64_to_cpu(table->entries[at].first_lsn) - 1;
	}
	ranges_tidy(segment);
}

bool segment_lost(const struct segment *segment, u64 upto_lsn)
{
	u64 scl_lsn = segment_scl(segment).lsn;

	for (u32 i = 0; i < segment->range_count; i++)
		if (segment->ranges[i].low_lsn < upto_lsn && segment->ranges[i].high_lsn > scl_lsn)
			return true;
	return false;
}
