// SPDX-License-Identifier: GPL-2.0
/*
 * Undurable records by block, so that a read sees what is queued. The nodes
 * sit in the records: inserting allocates nothing and cannot fail.
 */
#include <linux/interval_tree_generic.h>

#include "record.h"
#include "volume.h"

#define RECORD_FIRST(record)	((record)->block_first)
#define RECORD_LAST(record)	((record)->block_last)

INTERVAL_TREE_DEFINE(struct sextant_record, node, u64, subtree_last,
		     RECORD_FIRST, RECORD_LAST, static __maybe_unused, record_tree)

/**
 * sextant_overlay_insert() - let reads see a record
 * @overlay: the volume's
 * @record: sealed, with its blocks and LSNs set
 *
 * Context: volume->lock held. The record stays until sextant_overlay_remove().
 */
void sextant_overlay_insert(struct rb_root_cached *overlay, struct sextant_record *record)
{
	record_tree_insert(record, overlay);
}

/**
 * sextant_overlay_remove() - VDL has passed the record, or it is given up
 * @overlay: the volume's
 * @record: inserted before
 *
 * Context: volume->lock held.
 */
void sextant_overlay_remove(struct rb_root_cached *overlay, struct sextant_record *record)
{
	record_tree_remove(record, overlay);
}

/**
 * sextant_overlay_find() - the newest undurable record that covers a block
 * @overlay: the volume's
 * @block: counted in the volume
 *
 * Context: volume->lock held; the caller takes a reference before it lets go.
 *
 * Return: the record, or NULL when no undurable one covers the block.
 */
struct sextant_record *sextant_overlay_find(struct rb_root_cached *overlay, u64 block)
{
	struct sextant_record *newest = NULL;
	struct sextant_record *record;

	for (record = record_tree_iter_first(overlay, block, block); record;
	     record = record_tree_iter_next(record, block, block))
		if (!newest || record->quorum.first_lsn > newest->quorum.first_lsn)
			newest = record;
	return newest;
}
