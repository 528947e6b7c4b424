/* SPDX-License-Identifier: GPL-2.0 */
/* Block-aligned memory that several owners share: from the socket to the disk. */
#ifndef SEXTANT_PEERD_BUFFER_H
#define SEXTANT_PEERD_BUFFER_H

#include "core.h"

struct buffer {
	struct buffer *next;	/* on the shelf */
	u32 references;
	u32 room;	/* bytes */
	u8 *bytes;	/* aligned to SEXTANT_BLOCK_BYTES */
};

/*
 * At least `bytes` bytes with one reference; not zeroed. Never NULL: a daemon
 * whose queues are bounded and that still finds no memory ends, and its peers
 * and its log make up for it.
 */
struct buffer *buffer_get(u32 bytes);
struct buffer *buffer_share(struct buffer *buffer);
void buffer_put(struct buffer *buffer);		/* NULL is nothing */

/* As malloc(3), calloc(3) and realloc(3), on the same terms. */
void *memory_get(size_t bytes);
void *memory_get_zeroed(size_t bytes);
void *memory_resize(void *memory, size_t bytes);

#endif
