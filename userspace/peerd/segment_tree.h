/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A treap of nodes that stand in other structs: a search tree that is balanced
 * by a hash of each node's key, so that it is the same for the same content.
 */
#ifndef SEXTANT_PEERD_SEGMENT_TREE_H
#define SEXTANT_PEERD_SEGMENT_TREE_H

#include "core.h"

struct tree_node {
	struct tree_node *left, *right;
	u64 low, high;			/* the key: by low, then by high; unique in a tree */
};

/**
 * struct tree - zeroed memory is an empty one
 * @root: private
 * @update: if not NULL, called for a node whose children changed, children first
 */
struct tree {
	struct tree_node *root;
	void (*update)(struct tree_node *node);
};

#define tree_entry(node, type, member) \
	((type *)((char *)(node) - offsetof(type, member)))

/** tree_insert() - adds a node with its key set; no other has that key. */
void tree_insert(struct tree *tree, struct tree_node *node);

/** tree_erase() - takes out a node that is in the tree. */
void tree_erase(struct tree *tree, struct tree_node *node);

/** tree_find() - the node with this key, or NULL. */
struct tree_node *tree_find(const struct tree *tree, u64 low, u64 high);

/** tree_above() - the first node whose key is above this one, or NULL. */
struct tree_node *tree_above(const struct tree *tree, u64 low, u64 high);

/** tree_at_most() - the last node whose key is this one or below, or NULL. */
struct tree_node *tree_at_most(const struct tree *tree, u64 low, u64 high);

#endif
