// SPDX-License-Identifier: GPL-2.0
/*
 * Which version of a block is in the log. Data: a hash from the block to its
 * versions by LSN. Discards: a tree of their extents by first block; each node
 * knows how far and how new anything below it is.
 */
#include <stdlib.h>

#include "segment_index.h"

#define SLOTS_MIN	64u

struct version {
	u64 lsn;
	struct segment_record *record;
};

/* Zeroed: free. One version stands in the slot, more in an array. */
struct segment_slot {
	u32 key;			/* block - first_block + 1 */
	u32 count;
	union {
		struct version one;
		struct {
			struct version *many;
			u32 room;
		};
	};
};

/* ---- the hash --------------------------------------------------------- */

static u32 slot_home(const struct segment *segment, u32 key)
{
	return (u32)((key * 0x9e3779b97f4a7c15ull) >> 32) & (segment->slot_room - 1);
}

/* The slot with this key, or the free one where it belongs; NULL in an empty hash. */
static struct segment_slot *slot_find(const struct segment *segment, u32 key)
{
	u32 at;

	if (!segment->slot_room)
		return NULL;
	at = slot_home(segment, key);
	while (segment->slots[at].key && segment->slots[at].key != key)
		at = (at + 1) & (segment->slot_room - 1);
	return &segment->slots[at];
}

static int slots_resize(struct segment *segment, u32 room)
{
	struct segment_slot *before = segment->slots;
	u32 room_before = segment->slot_room;
	struct segment_slot *slots = calloc(room, sizeof(*slots));

	if (!slots)
		return -ENOMEM;
	segment->slots = slots;
	segment->slot_room = room;
	for (u32 i = 0; i < room_before; i++)
		if (before[i].key)
			*slot_find(segment, before[i].key) = before[i];
	segment->memory_bytes += (size_t)room * sizeof(*slots);
	segment->memory_bytes -= (size_t)room_before * sizeof(*slots);
	free(before);
	return 0;
}

/* Room for so many more keys, at most three quarters full. */
static int slots_reserve(struct segment *segment, u32 more)
{
	u32 room = segment->slot_room ? segment->slot_room : SLOTS_MIN;

	while ((u64)(segment->slot_count + more) * 4 > (u64)room * 3)
		room *= 2;
	return room == segment->slot_room ? 0 : slots_resize(segment, room);
}

/* Frees a slot and moves up what had been pushed on by it. */
static void slot_free(struct segment *segment, struct segment_slot *slot)
{
	u32 mask = segment->slot_room - 1;
	u32 hole = (u32)(slot - segment->slots), at = hole;

	for (;;) {
		at = (at + 1) & mask;
		if (!segment->slots[at].key)
			break;
		if (((at - slot_home(segment, segment->slots[at].key)) & mask) >=
		    ((at - hole) & mask)) {
			segment->slots[hole] = segment->slots[at];
			hole = at;
		}
	}
	memset(&segment->slots[hole], 0, sizeof(*slot));
	segment->slot_count--;
	if (segment->slot_room > SLOTS_MIN && segment->slot_count < segment->slot_room / 8)
		slots_resize(segment, segment->slot_room / 2);
}

/* ---- a block's versions ----------------------------------------------- */

static struct version *slot_versions(struct segment_slot *slot)
{
	return slot->count > 1 ? slot->many : &slot->one;
}

/* How many versions are at or below an LSN. */
static u32 versions_upto(const struct version *versions, u32 count, u64 lsn)
{
	u32 low = 0, high = count;

	while (low < high) {
		u32 middle = low + (high - low) / 2;

		if (versions[middle].lsn <= lsn)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Lets go of versions that no read at or above the MRPL can find; one stays. */
static void slot_prune(const struct segment *segment, struct segment_slot *slot)
{
	u32 upto = versions_upto(slot->many, slot->count, segment->mrpl);

	if (upto < 2 || slot->count - (upto - 1) < 2)
		return;
	slot->count -= upto - 1;
	memmove(slot->many, slot->many + upto - 1, slot->count * sizeof(*slot->many));
}

/* Room for one more version; afterwards the versions stand in the array. */
static int slot_reserve(struct segment *segment, struct segment_slot *slot)
{
	struct version *many;
	u32 room;

	if (!slot->count)
		return 0;
	if (slot->count > 1) {
		if (slot->count == slot->room)
			slot_prune(segment, slot);
		if (slot->count < slot->room)
			return 0;
	}
	room = slot->count > 1 ? slot->room * 2 : 2;
	many = malloc(room * sizeof(*many));
	if (!many)
		return -ENOMEM;
	memcpy(many, slot_versions(slot), slot->count * sizeof(*many));
	segment->memory_bytes += room * sizeof(*many);
	if (slot->count > 1) {
		segment->memory_bytes -= slot->room * sizeof(*many);
		free(slot->many);
	}
	slot->many = many;
	slot->room = room;
	return 0;
}

static int version_add(struct segment *segment, u32 key, u64 lsn, struct segment_record *record)
{
	struct segment_slot *slot = slot_find(segment, key);
	struct version *versions;
	u32 at;

	if (slot_reserve(segment, slot))
		return -ENOMEM;
	if (!slot->count) {
		slot->key = key;
		slot->count = 1;
		slot->one = (struct version){ lsn, record };
		segment->slot_count++;
		return 0;
	}
	versions = slot->many;
	at = versions_upto(versions, slot->count, lsn);
	memmove(versions + at + 1, versions + at, (slot->count - at) * sizeof(*versions));
	versions[at] = (struct version){ lsn, record };
	slot->count++;
	return 0;
}

static void version_remove(struct segment *segment, u32 key, u64 lsn)
{
	struct segment_slot *slot = slot_find(segment, key);
	struct version *versions;
	u32 at;

	if (!slot || !slot->key)
		return;
	versions = slot_versions(slot);
	at = versions_upto(versions, slot->count, lsn);
	if (!at || versions[at - 1].lsn != lsn)
		return;				/* pruned */
	if (slot->count == 1) {
		slot_free(segment, slot);
		return;
	}
	slot->count--;
	memmove(versions + at - 1, versions + at, (slot->count - (at - 1)) * sizeof(*versions));
	if (slot->count == 1) {
		struct version one = versions[0];

		segment->memory_bytes -= slot->room * sizeof(*versions);
		free(versions);
		slot->one = one;
	}
}

/* ---- discards --------------------------------------------------------- */

static struct segment_record *discard_of(const struct tree_node *node)
{
	return tree_entry(node, struct segment_record, by_block);
}

static void discard_update(struct tree_node *node)
{
	struct segment_record *record = discard_of(node);
	struct tree_node *children[] = { node->left, node->right };

	record->subtree_end_block = node->low + le32_to_cpu(record->record.block_count);
	record->subtree_newest_lsn = node->high;
	for (int i = 0; i < 2; i++) {
		const struct segment_record *child;

		if (!children[i])
			continue;
		child = discard_of(children[i]);
		if (child->subtree_end_block > record->subtree_end_block)
			record->subtree_end_block = child->subtree_end_block;
		if (child->subtree_newest_lsn > record->subtree_newest_lsn)
			record->subtree_newest_lsn = child->subtree_newest_lsn;
	}
}

/* The newest discard at or below lsn_max that covers the block, if newer than *best. */
static void discard_search(const struct tree_node *node, u64 block, u64 lsn_max,
			   const struct segment_record **best, u64 *best_lsn)
{
	const struct segment_record *record;

	if (!node)
		return;
	record = discard_of(node);
	if (record->subtree_end_block <= block || record->subtree_newest_lsn <= *best_lsn)
		return;
	if (node->low <= block) {
		discard_search(node->right, block, lsn_max, best, best_lsn);
		if (node->low + le32_to_cpu(record->record.block_count) > block &&
		    node->high <= lsn_max && node->high > *best_lsn) {
			*best = record;
			*best_lsn = node->high;
		}
	}
	discard_search(node->left, block, lsn_max, best, best_lsn);
}

/* ---- records ---------------------------------------------------------- */

void index_init(struct segment *segment)
{
	segment->discards.update = discard_update;
}

static u32 record_key(const struct segment *segment, const struct segment_record *record)
{
	return (u32)(le64_to_cpu(record->record.block) - segment->first_block) + 1;
}

int index_add(struct segment *segment, struct segment_record *record)
{
	u32 blocks = le32_to_cpu(record->record.block_count);
	u32 key = record_key(segment, record);

	if (record->record.kind == SEXTANT_RECORD_DISCARD) {
		record->by_block = (struct tree_node){
			.low = le64_to_cpu(record->record.block),
			.high = record_lsn(record),
		};
		tree_insert(&segment->discards, &record->by_block);
		return 0;
	}
	if (record->record.kind != SEXTANT_RECORD_DATA)
		return 0;
	if (slots_reserve(segment, blocks))
		return -ENOMEM;
	for (u32 i = 0; i < blocks; i++) {
		if (!version_add(segment, key + i, record_lsn(record) + i, record))
			continue;
		while (i--)
			version_remove(segment, key + i, record_lsn(record) + i);
		return -ENOMEM;
	}
	return 0;
}

void index_remove(struct segment *segment, struct segment_record *record)
{
	u32 blocks = le32_to_cpu(record->record.block_count);
	u32 key = record_key(segment, record);

	if (record->record.kind == SEXTANT_RECORD_DISCARD)
		tree_erase(&segment->discards, &record->by_block);
	if (record->record.kind != SEXTANT_RECORD_DATA)
		return;
	for (u32 i = 0; i < blocks; i++)
		version_remove(segment, key + i, record_lsn(record) + i);
}

void index_release(struct segment *segment)
{
	for (u32 i = 0; i < segment->slot_room; i++)
		if (segment->slots[i].count > 1)
			free(segment->slots[i].many);
	free(segment->slots);
	segment->slots = NULL;
	segment->slot_room = 0;
	segment->slot_count = 0;
	segment->discards.root = NULL;
}

/* ---- reading ---------------------------------------------------------- */

static void version_fill(struct segment_version *version, u64 block,
			 const struct segment_record *record, u64 lsn)
{
	u32 at = (u32)(lsn - record_lsn(record));

	*version = (struct segment_version){
		.kind = SEXTANT_BLOCK_DATA,
		.epoch = record_epoch(record),
		.generation = le32_to_cpu(record->record.generation),
		.lsn = lsn,
		.extent_block = block,
		.extent_blocks = 1,
		.seal = record->seals[at],
		.chunk = record->place.chunk,
		.data_offset = record->place.data_offset + (at << SEXTANT_BLOCK_SHIFT),
		.record = record,
	};
	if (record->record.kind == SEXTANT_RECORD_DISCARD) {
		version->kind = SEXTANT_BLOCK_DISCARD;
		version->extent_block = le64_to_cpu(record->record.block);
		version->extent_blocks = le32_to_cpu(record->record.block_count);
	}
	if (record->damaged)
		version->kind = SEXTANT_BLOCK_DAMAGED;
}

enum segment_where segment_read(const struct segment *segment, u64 block, u64 read_point_lsn,
				struct segment_version *version)
{
	struct segment_slot *slot = slot_find(segment, (u32)(block - segment->first_block) + 1);
	const struct segment_record *newest = NULL;
	u64 newest_lsn = 0;

	if (slot && slot->key) {
		const struct version *versions = slot_versions(slot);
		u32 upto = versions_upto(versions, slot->count, read_point_lsn);

		if (upto) {
			newest = versions[upto - 1].record;
			newest_lsn = versions[upto - 1].lsn;
		}
	}
	discard_search(segment->discards.root, block, read_point_lsn, &newest, &newest_lsn);
	if (!newest)
		return SEGMENT_IN_BASE;
	version_fill(version, block, newest, newest_lsn);
	return SEGMENT_IN_LOG;
}
