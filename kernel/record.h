/* SPDX-License-Identifier: GPL-2.0 */
/* A log entry on its way to the peers, from the seal until VDL has passed it. */
#ifndef SEXTANT_RECORD_H
#define SEXTANT_RECORD_H

#include <linux/list.h>
#include <linux/rbtree.h>
#include <linux/refcount.h>

#include "quorum.h"

struct page;
struct sextant_volume;

/*
 * Everything that goes before the blocks, exactly as all six peers get it: it
 * is made once, after sealing, and never changed.
 */
struct sextant_record_frame {
	struct sextant_wire_header header;
	struct sextant_wire_append append;
	struct sextant_wire_seal seals[SEXTANT_RECORD_BLOCKS_MAX];
};

/*
 * References: one of the volume's list, one of each sender that is sending it
 * and of each read that found it in the overlay. The last one frees it.
 */
struct sextant_record {
	struct sextant_quorum_record quorum;	/* volume->lock */
	struct list_head link;			/* volume->records; volume->lock */

	/* The overlay; volume->lock. Blocks first .. last, both included. */
	struct rb_node node;
	u64 block_first;
	u64 block_last;
	u64 subtree_last;

	refcount_t refs;
	struct sextant_volume *volume;
	u32 bytes;				/* charged to the volume's bounds */
	bool completed_early;			/* counted in dirty_bytes */
	unsigned long taken_jiffies;
	u32 frame_bytes;			/* of the frame that are sent */
	u32 page_count;
	struct page *pages[SEXTANT_RECORD_BLOCKS_MAX];	/* sealed blocks */
	struct sextant_record_frame frame;
};

int sextant_record_cache_init(void);
void sextant_record_cache_exit(void);

int sextant_record_pools_init(struct sextant_volume *volume);
void sextant_record_pools_exit(struct sextant_volume *volume);

struct sextant_record *sextant_record_alloc(struct sextant_volume *volume, u32 pages);
void sextant_record_get(struct sextant_record *record);
void sextant_record_put(struct sextant_record *record);

/* overlay.c: undurable records by block; all under volume->lock. */
void sextant_overlay_insert(struct rb_root_cached *overlay, struct sextant_record *record);
void sextant_overlay_remove(struct rb_root_cached *overlay, struct sextant_record *record);
struct sextant_record *sextant_overlay_find(struct rb_root_cached *overlay, u64 block);

#endif
