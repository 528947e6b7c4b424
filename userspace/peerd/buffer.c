// SPDX-License-Identifier: GPL-2.0
/* Aligned, counted buffers, with a short shelf of free ones of each size. */
#include "buffer.h"

#include <stdlib.h>

#include "log.h"

#define CLASS_COUNT	6	/* 4 KiB to 128 KiB */
#define SHELF_BYTES_MAX	(16u << 20)	/* all classes together */

static struct buffer *shelf[CLASS_COUNT];
static u32 shelf_bytes;

static void *found(void *memory)
{
	if (memory)
		return memory;
	sextant_log(SEXTANT_LOG_ERROR, "no memory left");
	abort();
}

void *memory_get(size_t bytes)
{
	return found(malloc(bytes ? bytes : 1));
}

void *memory_get_zeroed(size_t bytes)
{
	return found(calloc(1, bytes ? bytes : 1));
}

void *memory_resize(void *memory, size_t bytes)
{
	return found(realloc(memory, bytes ? bytes : 1));
}

/* The smallest class that holds it; CLASS_COUNT when none does. */
static u32 class_of(u32 bytes)
{
	u32 class = 0;

	while (class < CLASS_COUNT && ((u32)SEXTANT_BLOCK_BYTES << class) < bytes)
		class++;
	return class;
}

struct buffer *buffer_get(u32 bytes)
{
	u32 class = class_of(bytes);
	struct buffer *buffer;

	if (class < CLASS_COUNT && shelf[class]) {
		buffer = shelf[class];
		shelf[class] = buffer->next;
		shelf_bytes -= buffer->room;
	} else {
		buffer = memory_get(sizeof(*buffer));
		buffer->room = class < CLASS_COUNT ? (u32)SEXTANT_BLOCK_BYTES << class :
			(bytes + SEXTANT_BLOCK_BYTES - 1) & ~(u32)(SEXTANT_BLOCK_BYTES - 1);
		buffer->bytes = found(aligned_alloc(SEXTANT_BLOCK_BYTES, buffer->room));
	}
	buffer->references = 1;
	return buffer;
}

struct buffer *buffer_share(struct buffer *buffer)
{
	buffer->references++;
	return buffer;
}

void buffer_put(struct buffer *buffer)
{
	u32 class;

	if (!buffer || --buffer->references)
		return;
	class = class_of(buffer->room);
	if (class < CLASS_COUNT && shelf_bytes + buffer->room <= SHELF_BYTES_MAX) {
		buffer->next = shelf[class];
		shelf[class] = buffer;
		shelf_bytes += buffer->room;
		return;
	}
	free(buffer->bytes);
	free(buffer);
}
