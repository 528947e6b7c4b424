/* SPDX-License-Identifier: GPL-2.0 */
/* Between segment.c and segment_index.c: where live records' blocks are found. */
#ifndef SEXTANT_PEERD_SEGMENT_INDEX_H
#define SEXTANT_PEERD_SEGMENT_INDEX_H

#include "segment.h"

/** index_init() - readies the trees of an empty index. */
void index_init(struct segment *segment);

/** index_add() - a record became live. 0, or -ENOMEM and nothing is changed. */
int index_add(struct segment *segment, struct segment_record *record);

/** index_remove() - a live record leaves. */
void index_remove(struct segment *segment, struct segment_record *record);

/** index_release() - frees the index, not the records. */
void index_release(struct segment *segment);

/** record_lsn() - a record's first LSN. */
static inline u64 record_lsn(const struct segment_record *record)
{
	return le64_to_cpu(record->record.lsn);
}

static inline u32 record_epoch(const struct segment_record *record)
{
	return le32_to_cpu(record->record.epoch);
}

/** record_next() - the record after this key in order of (first LSN, epoch), or NULL. */
static inline struct segment_record *record_next(const struct segment *segment, u64 lsn, u64 epoch)
{
	struct tree_node *node = tree_above(&segment->records, lsn, epoch);

	return node ? tree_entry(node, struct segment_record, by_lsn) : NULL;
}

/** record_at_most() - the last record with this key or below, or NULL. */
static inline struct segment_record *record_at_most(const struct segment *segment, u64 lsn,
						    u64 epoch)
{
	struct tree_node *node = tree_at_most(&segment->records, lsn, epoch);

	return node ? tree_entry(node, struct segment_record, by_lsn) : NULL;
}

/** record_before() - the record before this one, or NULL. */
static inline struct segment_record *record_before(const struct segment *segment,
						   const struct segment_record *record)
{
	return record_at_most(segment, record_lsn(record), (u64)record_epoch(record) - 1);
}

/** record_allowed() - does one entry of the table, of its epoch, govern all of the record? */
bool record_allowed(const struct sextant_table *table, const struct sextant_wire_record *record);

#endif
