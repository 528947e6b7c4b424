/* SPDX-License-Identifier: GPL-2.0 */
/* Between the files of a segment: runs of records without a hole, ranges that are lost. */
#ifndef SEXTANT_PEERD_SEGMENT_RUNS_H
#define SEXTANT_PEERD_SEGMENT_RUNS_H

#include "segment.h"

/** runs_add() - a live, undamaged record joins the runs. 0, or -ENOMEM and no change. */
int runs_add(struct segment *segment, const struct segment_record *record);

/** runs_rebuild() - makes the runs anew from the records. 0 or -ENOMEM. */
int runs_rebuild(struct segment *segment);

/** runs_base_moved() - the base's tail moved up within the run that began at it. */
void runs_base_moved(struct segment *segment, const struct segment_tail *before);

void runs_release(struct segment *segment);

/** ranges_cover() - may a record that is not held have been lost? */
bool ranges_cover(const struct segment *segment, u32 epoch, u64 lsn);

/** ranges_heal() - nothing is lost at or below an LSN. */
void ranges_heal(struct segment *segment, u64 upto_lsn);

/** ranges_truncate() - nothing is lost where a table has only newer epochs. */
void ranges_truncate(struct segment *segment, const struct sextant_table *table);

/** records_drop_upto() - drops the records that end at or below an LSN. */
void records_drop_upto(struct segment *segment, u64 lsn);

#endif
