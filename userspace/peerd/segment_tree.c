// SPDX-License-Identifier: GPL-2.0
/* A treap: a search tree by key, a heap by the key's hash. */
#include "segment_tree.h"

/* Is node a's key below (low, high)? */
static bool below(const struct tree_node *a, u64 low, u64 high)
{
	return a->low < low || (a->low == low && a->high < high);
}

/* splitmix64 of the key: the heap's order. */
static u64 priority(const struct tree_node *node)
{
	u64 x = node->low * 0x9e3779b97f4a7c15ull + node->high;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
	return x ^ (x >> 31);
}

static void update(const struct tree *tree, struct tree_node *node)
{
	if (tree->update)
		tree->update(node);
}

/* Splits a subtree by a key: what is below it, and the rest. */
static void split(const struct tree *tree, struct tree_node *node, u64 low, u64 high,
		  struct tree_node **lower, struct tree_node **rest)
{
	if (!node) {
		*lower = NULL;
		*rest = NULL;
		return;
	}
	if (below(node, low, high)) {
		split(tree, node->right, low, high, &node->right, rest);
		*lower = node;
	} else {
		split(tree, node->left, low, high, lower, &node->left);
		*rest = node;
	}
	update(tree, node);
}

/* Joins two subtrees, all of a below all of b. */
static struct tree_node *join(const struct tree *tree, struct tree_node *a, struct tree_node *b)
{
	if (!a || !b)
		return a ? a : b;
	if (priority(a) > priority(b)) {
		a->right = join(tree, a->right, b);
		update(tree, a);
		return a;
	}
	b->left = join(tree, a, b->left);
	update(tree, b);
	return b;
}

static struct tree_node *insert(const struct tree *tree, struct tree_node *at,
				struct tree_node *node)
{
	if (!at || priority(node) > priority(at)) {
		split(tree, at, node->low, node->high, &node->left, &node->right);
		update(tree, node);
		return node;
	}
	if (below(at, node->low, node->high))
		at->right = insert(tree, at->right, node);
	else
		at->left = insert(tree, at->left, node);
	update(tree, at);
	return at;
}

static struct tree_node *erase(const struct tree *tree, struct tree_node *at,
			       const struct tree_node *node)
{
	if (at == node)
		return join(tree, at->left, at->right);
	if (below(at, node->low, node->high))
		at->right = erase(tree, at->right, node);
	else
		at->left = erase(tree, at->left, node);
	update(tree, at);
	return at;
}

void tree_insert(struct tree *tree, struct tree_node *node)
{
	tree->root = insert(tree, tree->root, node);
}

void tree_erase(struct tree *tree, struct tree_node *node)
{
	tree->root = erase(tree, tree->root, node);
	node->left = NULL;
	node->right = NULL;
}

struct tree_node *tree_find(const struct tree *tree, u64 low, u64 high)
{
	struct tree_node *node = tree_at_most(tree, low, high);

	return node && node->low == low && node->high == high ? node : NULL;
}

struct tree_node *tree_above(const struct tree *tree, u64 low, u64 high)
{
	struct tree_node *node = tree->root, *best = NULL;

	while (node) {
		if (below(node, low, high) || (node->low == low && node->high == high)) {
			node = node->right;
		} else {
			best = node;
			node = node->left;
		}
	}
	return best;
}

struct tree_node *tree_at_most(const struct tree *tree, u64 low, u64 high)
{
	struct tree_node *node = tree->root, *best = NULL;

	while (node) {
		if (below(node, low, high) || (node->low == low && node->high == high)) {
			best = node;
			node = node->right;
		} else {
			node = node->left;
		}
	}
	return best;
}
