// SPDX-License-Identifier: GPL-2.0
/*
 * Group commit. Records that arrive while a PG's batch is being written gather
 * for the next; a batch is one durable write. A record is in the segment, and
 * may be acknowledged, only after that.
 */
#include <stdlib.h>
#include <sys/uio.h>

#include "log.h"
#include "store.h"

#define COMMIT_RECORDS_MAX	1000	/* and the header: below IOV_MAX */
#define HEADER_SHELF_MAX	8

struct commit {
	struct loop_op op;
	struct pg *pg;
	struct append *appends, **appends_end;
	struct log_batch batch;
	struct log_position before;
	struct chunk *chunk;
	u32 bytes, written;
	bool vouches;			/* it has no records */
	u32 iov_count, iov_first;
	void *header;
	struct iovec iov[COMMIT_RECORDS_MAX + 1];
};

static void *header_shelf[HEADER_SHELF_MAX];
static u32 header_shelf_count;

/* Room for a batch, of which only the header's part is ever touched. */
static void *header_get(void)
{
	void *header;

	if (header_shelf_count)
		return header_shelf[--header_shelf_count];
	header = aligned_alloc(SEXTANT_BLOCK_BYTES, LOG_BATCH_BYTES_MAX);
	if (!header) {
		sextant_log(SEXTANT_LOG_ERROR, "no memory left");
		abort();
	}
	return header;
}

static void header_put(void *header)
{
	if (header_shelf_count < HEADER_SHELF_MAX)
		header_shelf[header_shelf_count++] = header;
	else
		free(header);
}

struct append *append_new(struct pg *pg, const struct sextant_wire_record *record,
			  const struct sextant_wire_seal *seals, struct buffer *data,
			  u32 data_bytes)
{
	u32 seal_count = sextant_wire_record_seals(record);
	struct append *append = memory_get(sizeof(*append) + seal_count * sizeof(*seals));

	memset(append, 0, sizeof(*append));
	append->pg = pg;
	append->data = data;
	append->data_bytes = data_bytes;
	append->record = *record;
	memcpy(append->seals, seals, seal_count * sizeof(*seals));
	return append;
}

void append_free(struct append *append)
{
	buffer_put(append->data);
	if (append->connection)
		connection_release(append->connection);
	free(append);
}

static void append_end(struct append *append, u32 status)
{
	struct volume *volume = append->pg->volume;
	u64 bytes = append->data_bytes;

	append->pg->gathered_bytes -= bytes;
	append->done(append, status);
	volume_commit_end(volume, bytes);
}

/* What append_end() gets for a record that need not, or must not, be written. */
static u32 append_check(const struct append *append)
{
	if (append->pg->io_error)
		return SEXTANT_ST_IO_ERROR;
	switch (segment_check(&append->pg->segment, &append->record)) {
	case 0:
		return ~0u;
	case -EEXIST:
		return SEXTANT_ST_OK;
	default:
		return SEXTANT_ST_BAD_REQUEST;
	}
}

static void commit_write(struct commit *commit);

static void commit_free(struct commit *commit)
{
	header_put(commit->header);
	commit->pg->commit = NULL;
	if (commit->vouches)
		volume_commit_end(commit->pg->volume, 0);
	free(commit);
}

/* Ends every record of the commit, as it stands with each. */
static void commit_end(struct commit *commit, u32 status)
{
	struct pg *pg = commit->pg;
	struct append *append;

	while ((append = commit->appends)) {
		commit->appends = append->next;
		append_end(append, status ? status : append->status);
	}
	commit_free(commit);
	if (pg->gathered)
		loop_later(&pg->commit_task);
	volume_writers_check(pg->volume);
}

/* The batch is on the disk: its records are in the segment from here on. */
static void commit_durable(struct commit *commit)
{
	struct pg *pg = commit->pg;
	struct append *append;
	int rc;

	if (!commit->chunk->first_sequence)
		commit->chunk->first_sequence = commit->before.next_sequence;
	pg->vouched = commit->vouches;
	commit->chunk->bytes += commit->bytes;
	pg->volume->log_bytes += commit->bytes;
	for (append = commit->appends; append; append = append->next) {
		if (append->status != ~0u)
			continue;
		rc = segment_add(&pg->segment, &append->record, append->seals, &append->place);
		if (!rc)
			commit->chunk->records++;
		append->status = !rc || rc == -EEXIST ? SEXTANT_ST_OK :
				 rc == -EINVAL ? SEXTANT_ST_BAD_REQUEST : SEXTANT_ST_IO_ERROR;
	}
	commit_end(commit, SEXTANT_ST_OK);
}

static void commit_failed(struct commit *commit, int error)
{
	struct pg *pg = commit->pg;
	u32 status = store_status(error);

	sextant_log(SEXTANT_LOG_ERROR, "volume %s, PG %u: cannot write the log: %s%s",
		    pg->volume->uuid_text, pg->number, strerror(-error),
		    status == SEXTANT_ST_IO_ERROR ? "; the segment is out until a restart" : "");
	if (status == SEXTANT_ST_IO_ERROR)
		pg->io_error = true;
	/* What may be there of the batch is as a torn one; the next takes its place. */
	pg->position = commit->before;
	pg->position.next_sequence++;
	commit_end(commit, status);
}

static void commit_done(struct loop_op *op, int result)
{
	struct commit *commit = (struct commit *)op;

	if (result == -EINTR || result == -EAGAIN) {
		commit_write(commit);
		return;
	}
	if (result <= 0) {
		commit_failed(commit, result ? result : -ENOSPC);
		return;
	}
	commit->written += (u32)result;
	if (commit->written == commit->bytes) {
		commit_durable(commit);
		return;
	}
	while ((size_t)result >= commit->iov[commit->iov_first].iov_len)
		result -= (int)commit->iov[commit->iov_first++].iov_len;
	commit->iov[commit->iov_first].iov_base =
		(u8 *)commit->iov[commit->iov_first].iov_base + result;
	commit->iov[commit->iov_first].iov_len -= (size_t)result;
	commit_write(commit);
}

static void commit_write(struct commit *commit)
{
	struct io_uring_sqe *sqe = loop_sqe();

	io_uring_prep_writev2(sqe, commit->chunk->fd, commit->iov + commit->iov_first,
			      commit->iov_count - commit->iov_first,
			      commit->before.offset + commit->written, RWF_DSYNC);
	loop_start(sqe, &commit->op);
}

/* Puts the record in the batch; false: there is no room for it. */
static bool commit_add(struct commit *commit, const struct append *append)
{
	struct pg *pg = commit->pg;

	if (commit->iov_count > COMMIT_RECORDS_MAX ||
	    !log_batch_add(&commit->batch, &append->record, append->seals,
			   pg->chunk_bytes - pg->position.offset))
		return false;
	if (append->data_bytes) {
		commit->iov[commit->iov_count].iov_base = append->data->bytes;
		commit->iov[commit->iov_count++].iov_len = append->data_bytes;
	}
	return true;
}

/* Moves what fits from the gathered records to the commit. */
static void commit_fill(struct commit *commit)
{
	struct pg *pg = commit->pg;
	struct append *append;

	while ((append = pg->gathered)) {
		append->status = append_check(append);
		if (append->status == ~0u && !commit_add(commit, append))
			break;
		pg->gathered = append->next;
		if (!pg->gathered)
			pg->gathered_end = &pg->gathered;
		append->next = NULL;
		*commit->appends_end = append;
		commit->appends_end = &append->next;
	}
}

/* The records' places are known only when the header's length is. */
static void commit_places(struct commit *commit, const struct log_header *header)
{
	struct append *append = commit->appends;
	struct log_cursor cursor;
	struct log_record record;

	log_records(&cursor, header);
	while (log_records_next(&cursor, &record)) {
		while (append->status != ~0u)
			append = append->next;
		append->place.chunk = commit->chunk->number;
		append->place.batch_offset = commit->before.offset;
		append->place.data_offset = commit->before.offset + record.data_offset;
		append = append->next;
	}
}

/* Goes on in a new chunk; false: one is being made, or cannot be. */
static bool chunk_next(struct pg *pg)
{
	if (!chunk_take(pg)) {
		chunk_make(pg);
		return false;
	}
	pg->position.chunk = pg->current->number;
	pg->position.offset = 0;
	return true;
}

static struct commit *commit_new(struct pg *pg)
{
	struct commit *commit = memory_get(sizeof(*commit));

	memset(commit, 0, offsetof(struct commit, iov));
	commit->op.done = commit_done;
	commit->pg = pg;
	commit->appends_end = &commit->appends;
	commit->header = header_get();
	commit->before = pg->position;
	commit->iov_count = 1;
	log_batch_begin(&commit->batch, commit->header, LOG_BATCH_BYTES_MAX);
	return commit;
}

static void commit_start(struct pg *pg, struct commit *commit)
{
	const struct log_header *header;

	pg->commit = commit;
	commit->chunk = pg->current;
	header = log_batch_finish(&commit->batch, &pg->identity, &pg->position,
				  pg->volume->known_vdl, &commit->bytes);
	commit->iov[0].iov_base = (void *)header;
	commit->iov[0].iov_len = le32_to_cpu(header->header_bytes);
	commit_places(commit, header);
	commit_write(commit);
	/* In time for the batch that will not fit any more. */
	if (pg->position.offset > pg->chunk_bytes / 2)
		chunk_make(pg);
}

static void commit_run(struct loop_task *task)
{
	struct pg *pg = (struct pg *)((char *)task - offsetof(struct pg, commit_task));
	struct commit *commit;

	if (pg->commit || !pg->gathered)
		return;
	if (!pg->current && !pg->io_error && !chunk_next(pg))
		return;
	commit = commit_new(pg);
	pg->commit = commit;
	commit_fill(commit);
	if (commit->batch.record_count) {
		commit_start(pg, commit);
	} else if (commit->appends) {
		commit_end(commit, SEXTANT_ST_OK);
	} else {
		/* Not even one fits: the chunk is full. */
		commit_free(commit);
		if (chunk_next(pg))
			loop_later(&pg->commit_task);
	}
}

void log_vouch(struct pg *pg)
{
	struct commit *commit;

	if (pg->vouched || pg->commit || pg->gathered || pg->io_error || !pg->current)
		return;
	if (pg->chunk_bytes - pg->position.offset < SEXTANT_BLOCK_BYTES && !chunk_next(pg))
		return;
	commit = commit_new(pg);
	commit->vouches = true;
	volume_commit_begin(pg->volume, 0);
	commit_start(pg, commit);
}

void log_vouch_all(struct volume *volume)
{
	for (u32 i = 0; i < volume->pg_count; i++)
		if (volume->pgs[i])
			log_vouch(volume->pgs[i]);
}

u64 log_sequence_next(const struct pg *pg)
{
	return pg->commit ? pg->commit->before.next_sequence : pg->position.next_sequence;
}

void log_append(struct append *append)
{
	struct pg *pg = append->pg;

	pg->commit_task.run = commit_run;
	append->next = NULL;
	*pg->gathered_end = append;
	pg->gathered_end = &append->next;
	pg->gathered_bytes += append->data_bytes;
	volume_commit_begin(pg->volume, append->data_bytes);
	loop_later(&pg->commit_task);
}

void log_chunk_made(struct pg *pg, u32 status)
{
	struct append *append, *next;

	if (status == SEXTANT_ST_OK) {
		if (pg->gathered)
			loop_later(&pg->commit_task);
		return;
	}
	/* Made in advance: the chunk in use still has room, and the next try may do. */
	if (pg->commit || (pg->current && pg->position.offset + LOG_HEADER_BYTES_MAX +
			   SEXTANT_RECORD_BYTES_MAX <= pg->chunk_bytes))
		return;
	append = pg->gathered;
	pg->gathered = NULL;
	pg->gathered_end = &pg->gathered;
	for (; append; append = next) {
		next = append->next;
		append_end(append, status);
	}
	volume_writers_check(pg->volume);
}
