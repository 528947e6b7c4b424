// SPDX-License-Identifier: GPL-2.0
/* Finding a log's batches again, and telling a torn tail from a loss. */
#include <stdlib.h>

#include "log_format.h"

#define BLOCK		((u32)SEXTANT_BLOCK_BYTES)
#define WINDOW_BLOCKS	64u

/* A chunk, and the first batch of the log in it. */
struct scan_chunk {
	u32 chunk;
	u32 offset;
	u64 sequence;			/* 0: none */
};

/* A valid header and where it stands. */
struct scan_batch {
	struct log_header *header;	/* room for the longest */
	u32 chunk;
	u32 offset;
	bool there;
};

struct scanner {
	struct log_scan *scan;
	const struct log_scan_ops *ops;
	void *context;
	u8 *window;			/* a piece of a chunk, as read */
	u32 window_chunk, window_offset, window_bytes;
	u64 window_bad;			/* a bit for each block that cannot be read */
	bool unreadable;		/* such a block was met since the last batch */
	bool blank_unreadable;		/* or in a chunk without any */
	struct scan_batch found;	/* by scan_find() */
	struct scan_batch pending;	/* the last batch, while nothing vouches for it */
	u64 delivered_sequence;
	struct scan_chunk *chunks;
};

static u64 sequence_of(const struct scan_batch *batch)
{
	return le64_to_cpu(batch->header->sequence);
}

static u64 previous_of(const struct scan_batch *batch)
{
	return le64_to_cpu(batch->header->previous_sequence);
}

/* ---- reading ---------------------------------------------------------- */

static int window_load(struct scanner *s, u32 chunk, u32 offset)
{
	u32 bytes = s->scan->chunk_bytes - offset;
	int error;

	if (bytes > WINDOW_BLOCKS * BLOCK)
		bytes = WINDOW_BLOCKS * BLOCK;
	s->window_chunk = chunk;
	s->window_offset = offset;
	s->window_bytes = bytes;
	s->window_bad = 0;
	error = s->ops->read(s->context, chunk, offset, s->window, bytes);
	if (error != -EIO)
		return error;
	for (u32 at = 0; at < bytes; at += BLOCK) {
		error = s->ops->read(s->context, chunk, offset + at, s->window + at, BLOCK);
		if (error == -EIO)
			s->window_bad |= 1ull << (at / BLOCK);
		else if (error)
			return error;
	}
	return 0;
}

/* One block: 0 and *block, which is NULL for one that cannot be read. */
static int window_block(struct scanner *s, u32 chunk, u32 offset, const u8 **block)
{
	u32 at;

	if (chunk != s->window_chunk || offset < s->window_offset ||
	    offset - s->window_offset >= s->window_bytes) {
		int error = window_load(s, chunk, offset);

		if (error) {
			s->window_bytes = 0;
			return error;
		}
	}
	at = offset - s->window_offset;
	*block = s->window_bad >> (at / BLOCK) & 1 ? NULL : s->window + at;
	return 0;
}

/* Is there a header at this place? 1: s->found has it; 0: no, or it cannot be read. */
static int header_at(struct scanner *s, u32 chunk, u32 offset)
{
	const struct log_scan *scan = s->scan;
	const u8 *block;
	u32 bytes;
	int error = window_block(s, chunk, offset, &block);

	if (error)
		return error;
	if (!block) {
		s->unreadable = true;
		return 0;
	}
	bytes = log_header_bytes(block);
	if (!bytes || bytes > scan->chunk_bytes - offset)
		return 0;
	error = s->ops->read(s->context, chunk, offset, s->found.header, bytes);
	if (error == -EIO)
		s->unreadable = true;
	if (error)
		return error == -EIO ? 0 : error;
	switch (log_parse(s->found.header, bytes, &scan->identity, chunk, offset)) {
	case LOG_VALID:
		return log_batch_size(s->found.header) <= scan->chunk_bytes - offset;
	case LOG_VERSION_OTHER:
		return -EPROTONOSUPPORT;
	default:
		return 0;
	}
}

/* The first batch from an offset on with a higher number: 1 and s->found, or 0. */
static int scan_find(struct scanner *s, u32 chunk, u32 offset, u64 above_sequence)
{
	for (; offset < s->scan->chunk_bytes; offset += BLOCK) {
		int is_there = header_at(s, chunk, offset);

		if (is_there < 0)
			return is_there;
		if (is_there && sequence_of(&s->found) > above_sequence) {
			s->found.chunk = chunk;
			s->found.offset = offset;
			return 1;
		}
	}
	return 0;
}

/* Do all of the batch's data hold? 1, 0, or -EIO: they cannot be read. */
static int data_hold(struct scanner *s, const struct scan_batch *batch)
{
	struct log_cursor cursor;
	struct log_record record;

	s->window_bytes = 0;
	log_records(&cursor, batch->header);
	while (log_records_next(&cursor, &record)) {
		int error;

		if (!record.data_bytes)
			continue;
		error = s->ops->read(s->context, batch->chunk, batch->offset + record.data_offset,
				     s->window, record.data_bytes);
		if (error)
			return error;
		if (log_record_bad_blocks(&record, s->window))
			return 0;
	}
	return 1;
}

/* ---- judging ---------------------------------------------------------- */

static int deliver(struct scanner *s)
{
	struct log_position *end = &s->scan->end;
	const struct scan_batch *batch = &s->pending;

	end->chunk = batch->chunk;
	end->offset = batch->offset + log_batch_size(batch->header);
	end->previous_sequence = sequence_of(batch);
	end->next_sequence = sequence_of(batch) + 1;
	end->highest_lsn = le64_to_cpu(batch->header->highest_lsn);
	s->delivered_sequence = sequence_of(batch);
	s->pending.there = false;
	return s->ops->batch(s->context, batch->header, batch->chunk, batch->offset);
}

static int report(struct scanner *s, u64 before_sequence, u64 high_lsn)
{
	struct log_damage damage = {
		.after_sequence = s->delivered_sequence,
		.before_sequence = before_sequence,
		.chunk = s->scan->end.chunk,
		.offset = s->scan->end.offset,
		.high_lsn = high_lsn,
	};

	return s->ops->damage(s->context, &damage);
}

/* Settles the pending batch by the one found after it; 1: batches are lost between them. */
static int settle(struct scanner *s)
{
	int holds;

	if (!s->pending.there)
		return previous_of(&s->found) >= s->scan->first_sequence;
	if (previous_of(&s->found) == sequence_of(&s->pending))
		return deliver(s);
	/* Torn before a crash, and the log went on without it. */
	if (previous_of(&s->found) == previous_of(&s->pending)) {
		s->pending.there = false;
		return 0;
	}
	holds = data_hold(s, &s->pending);
	s->pending.there = false;
	if (holds < 0 && holds != -EIO)
		return holds;
	if (holds) {
		int error = deliver(s);

		if (error)
			return error;
	}
	return 1;
}

/* The batch in s->found is part of the log: it becomes the pending one. */
static int take_found(struct scanner *s)
{
	struct log_header *spare = s->pending.header;
	u64 known_vdl = le64_to_cpu(s->found.header->known_vdl);
	int lost = settle(s);

	if (lost < 0)
		return lost;
	if (lost) {
		int error = report(s, sequence_of(&s->found),
				   le64_to_cpu(s->found.header->highest_lsn));

		if (error)
			return error;
	}
	if (known_vdl > s->scan->known_vdl)
		s->scan->known_vdl = known_vdl;
	s->pending = s->found;
	s->pending.there = true;
	s->found.header = spare;
	s->unreadable = false;
	return 0;
}

/* The log's last batch, and what lies behind it. */
static int finish(struct scanner *s)
{
	struct log_position *end = &s->scan->end;
	int holds, error = 0;

	if (s->pending.there) {
		holds = data_hold(s, &s->pending);
		if (holds < 0 && holds != -EIO)
			return holds;
		if (holds) {
			error = deliver(s);
		} else {
			s->scan->torn = true;
			end->chunk = s->pending.chunk;
			end->offset = s->pending.offset;
			end->previous_sequence = previous_of(&s->pending);
			end->next_sequence = sequence_of(&s->pending) + 1;
		}
	}
	if (error || !s->unreadable)
		return error;
	/* The gap in the numbers has the next scan find the loss again. */
	error = report(s, 0, ~0ull);
	end->previous_sequence = end->next_sequence++;
	end->highest_lsn = ~0ull;
	return error;
}

/* ---- walking ---------------------------------------------------------- */

static int by_sequence(const void *a, const void *b)
{
	const struct scan_chunk *x = a, *y = b;

	return x->sequence < y->sequence ? -1 : x->sequence > y->sequence;
}

/* Where the log begins in each chunk, and the chunks in its order. */
static int chunks_order(struct scanner *s)
{
	u32 count = s->scan->chunk_count;

	for (u32 i = 0; i < count; i++) {
		struct scan_chunk *chunk = &s->chunks[i];
		int found;

		chunk->chunk = s->scan->chunks[i];
		s->unreadable = false;
		found = scan_find(s, chunk->chunk, 0, s->scan->first_sequence - 1);
		if (found < 0)
			return found;
		chunk->offset = found ? s->found.offset : 0;
		chunk->sequence = found ? sequence_of(&s->found) : 0;
		s->blank_unreadable |= !found && s->unreadable;
	}
	s->unreadable = false;
	qsort(s->chunks, count, sizeof(*s->chunks), by_sequence);
	return 0;
}

static int chunk_walk(struct scanner *s, const struct scan_chunk *chunk)
{
	u64 above = s->pending.there ? sequence_of(&s->pending) : s->scan->first_sequence - 1;
	u32 offset = chunk->offset;
	int found;

	while ((found = scan_find(s, chunk->chunk, offset, above)) > 0) {
		int error = take_found(s);

		if (error)
			return error;
		above = sequence_of(&s->pending);
		offset = s->pending.offset + log_batch_size(s->pending.header);
	}
	return found;
}

static int scan_run(struct scanner *s)
{
	int error = chunks_order(s);

	for (u32 i = 0; !error && i < s->scan->chunk_count; i++)
		if (s->chunks[i].sequence)
			error = chunk_walk(s, &s->chunks[i]);
	if (error)
		return error;
	s->unreadable |= s->blank_unreadable;
	return finish(s);
}

int log_scan(struct log_scan *scan, const struct log_scan_ops *ops, void *context)
{
	struct scanner s = { .scan = scan, .ops = ops, .context = context, .window_chunk = ~0u };
	int error = -ENOMEM;

	if (!scan->first_sequence)
		scan->first_sequence = 1;
	scan->end = (struct log_position){ .chunk = ~0u, .next_sequence = scan->first_sequence };
	scan->known_vdl = 0;
	scan->torn = false;
	s.window = aligned_alloc(BLOCK, WINDOW_BLOCKS * BLOCK);
	s.found.header = aligned_alloc(BLOCK, LOG_HEADER_BYTES_MAX);
	s.pending.header = aligned_alloc(BLOCK, LOG_HEADER_BYTES_MAX);
	s.chunks = calloc(scan->chunk_count + 1, sizeof(*s.chunks));
	if (s.window && s.found.header && s.pending.header && s.chunks)
		error = scan_run(&s);
	free(s.window);
	free(s.found.header);
	free(s.pending.header);
	free(s.chunks);
	return error;
}
