// SPDX-License-Identifier: GPL-2.0
/* CONTROL: what a store holds, and bringing it what it lacks, for an attach. */
#include "handle.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "gossip.h"
#include "read.h"
#include "server.h"

#define PG_PAGE_MAX	4096
#define TAIL_PAGE_MAX	4096

static u64 file_bytes(int fd)
{
	struct stat stat;

	return fd >= 0 && !fstat(fd, &stat) ? (u64)stat.st_blocks * 512 : 0;
}

static u64 pg_bytes(const struct pg *pg)
{
	u64 bytes = file_bytes(pg->base_fd) + file_bytes(pg->meta_fd) +
		    file_bytes(pg->checkpoint_fd);
	struct chunk *chunk;

	for (chunk = pg->chunks; chunk; chunk = chunk->next)
		bytes += file_bytes(chunk->fd);
	for (chunk = pg->spare; chunk; chunk = chunk->next)
		bytes += file_bytes(chunk->fd);
	return bytes;
}

static void state_fill_store(const struct volume *volume, struct sextant_wire_state_reply *reply)
{
	u32 pg_count = 0, damaged = 0, missing_pgs;
	struct statvfs file_system;
	u64 stored = 0, missing_lsns;

	for (u32 i = 0; i < volume->pg_count; i++) {
		const struct pg *pg = volume->pgs[i];

		if (!pg)
			continue;
		pg_count++;
		stored += pg_bytes(pg);
		damaged += pg->segment.range_count + pg->segment.damaged_records + pg->repair +
			   pg->base_damaged;
	}
	gossip_missing(volume, &missing_pgs, &missing_lsns);
	reply->pg_count = cpu_to_le32(pg_count);
	reply->damaged_ranges = cpu_to_le32(damaged);
	reply->incomplete_pgs = cpu_to_le32(missing_pgs);
	reply->stored_bytes = cpu_to_le64(stored);
	reply->log_bytes = cpu_to_le64(volume->log_bytes);
	if (!fstatvfs(volume->directory_fd, &file_system)) {
		reply->capacity_bytes = cpu_to_le64((u64)file_system.f_blocks *
						    file_system.f_frsize);
		reply->free_bytes = cpu_to_le64((u64)file_system.f_bavail * file_system.f_frsize);
	}
}

void handle_state(struct connection *connection, u64 cookie, u32 status)
{
	const struct volume *volume = connection->volume;
	const struct vote *vote = &volume->vote;
	struct sextant_wire_state_reply reply = { .status = cpu_to_le32(status) };
	u64 lease_age_ms = volume->lease_seen ? loop_now_ms() - volume->lease_ms : ~0ull;

	if (vote->released)
		reply.flags = cpu_to_le32(SEXTANT_STATE_RELEASED);
	memcpy(reply.incarnation, vote->incarnation, sizeof(reply.incarnation));
	sextant_ballot_to_wire(&reply.promised, &vote->promised);
	sextant_ballot_to_wire(&reply.accepted, &vote->accepted);
	memcpy(reply.holder, vote->accepted_holder, sizeof(reply.holder));
	reply.manifest_sequence = cpu_to_le64(vote->manifest_sequence);
	reply.known_vdl = cpu_to_le64(volume->known_vdl);
	reply.lease_age_ms = cpu_to_le64(lease_age_ms);
	reply.manifest_bytes = cpu_to_le32(vote->manifest_bytes);
	state_fill_store(volume, &reply);
	connection_send(connection, SEXTANT_MSG_STATE_REPLY, cookie, &reply, sizeof(reply),
			vote->manifest, vote->manifest_bytes, NULL, 0);
}

/* ---- PG_LIST ----------------------------------------------------------- */

static bool pg_state(const struct pg *pg, const struct sextant_table *table, u64 upto_lsn,
		     struct sextant_wire_pg_state *state)
{
	bool holds;

	memset(state, 0, sizeof(*state));
	holds = segment_state(&pg->segment, table, upto_lsn, state);
	if (!pg->base_damaged && !pg->io_error)
		return holds;
	state->pg = cpu_to_le32(pg->number);
	state->flags |= cpu_to_le32(SEXTANT_PG_DAMAGED);
	return true;
}

void handle_pg_list(struct connection *connection, struct frame *frame)
{
	const struct sextant_wire_pg_list *message = frame->meta;
	struct sextant_wire_pg_list_reply reply = { .next_pg = cpu_to_le32(~0u) };
	const struct volume *volume = connection->volume;
	struct sextant_wire_pg_state *states;
	struct sextant_table table;
	u32 count = 0, number;

	if (!server_meta(connection, frame, sizeof(*message)))
		return;
	table.count = le32_to_cpu(message->table_count);
	table.entries = message->table;
	if (frame->meta_bytes != sizeof(*message) + (u64)table.count * sizeof(message->table[0]) ||
	    !sextant_table_valid(&table)) {
		server_refuse(connection, frame, "its table is not one");
		return;
	}
	states = memory_get(PG_PAGE_MAX * sizeof(*states));
	for (number = le32_to_cpu(message->from_pg); number < volume->pg_count; number++) {
		const struct pg *pg = volume->pgs[number];

		if (!pg || !pg_state(pg, &table, le64_to_cpu(message->upto_lsn), &states[count]))
			continue;
		if (++count == PG_PAGE_MAX) {
			reply.next_pg = cpu_to_le32(number + 1);
			break;
		}
	}
	reply.count = cpu_to_le32(count);
	connection_send(connection, SEXTANT_MSG_PG_LIST_REPLY, frame->cookie, &reply,
			sizeof(reply), states, count * (u32)sizeof(*states), NULL, 0);
	free(states);
}

/* ---- TAIL -------------------------------------------------------------- */

static bool record_before(const struct segment_record *a, const struct segment_record *b)
{
	u64 a_lsn = le64_to_cpu(a->record.lsn), b_lsn = le64_to_cpu(b->record.lsn);

	if (a_lsn != b_lsn)
		return a_lsn < b_lsn;
	return le32_to_cpu(a->record.epoch) < le32_to_cpu(b->record.epoch);
}

/* Merges the PGs' records; heads has one for each PG. Returns how many. */
static u32 tail_merge(const struct volume *volume, const struct segment_record **heads,
		      struct sextant_wire_tail_entry *entries, u32 count_max, bool *more)
{
	u32 count = 0, first, i;

	for (;;) {
		for (first = volume->pg_count, i = 0; i < volume->pg_count; i++)
			if (heads[i] && (first == volume->pg_count ||
					 record_before(heads[i], heads[first])))
				first = i;
		if (first == volume->pg_count)
			return count;
		if (count == count_max) {
			*more = true;
			return count;
		}
		memset(&entries[count], 0, sizeof(entries[count]));
		entries[count].record = heads[first]->record;
		if (heads[first]->damaged)
			entries[count].flags = cpu_to_le32(SEXTANT_TAIL_DAMAGED);
		count++;
		heads[first] = segment_tail_next(&volume->pgs[first]->segment,
						 le64_to_cpu(heads[first]->record.lsn),
						 le32_to_cpu(heads[first]->record.epoch));
	}
}

void handle_tail(struct connection *connection, struct frame *frame)
{
	const struct sextant_wire_tail *message = frame->meta;
	struct sextant_wire_tail_reply reply = { .status = 0 };
	const struct volume *volume = connection->volume;
	struct sextant_wire_tail_entry *entries;
	const struct segment_record **heads;
	bool more = false;
	u32 count_max, count;

	if (!server_meta(connection, frame, sizeof(*message)))
		return;
	count_max = le32_to_cpu(message->count_max);
	if (!count_max || count_max > TAIL_PAGE_MAX)
		count_max = TAIL_PAGE_MAX;
	heads = memory_get_zeroed(volume->pg_count * sizeof(*heads));
	entries = memory_get(count_max * sizeof(*entries));
	for (u32 i = 0; i < volume->pg_count; i++)
		if (volume->pgs[i])
			heads[i] = segment_tail_next(&volume->pgs[i]->segment,
						     le64_to_cpu(message->after_lsn),
						     le32_to_cpu(message->after_epoch));
	count = tail_merge(volume, heads, entries, count_max, &more);
	reply.count = cpu_to_le32(count);
	reply.more = cpu_to_le32(more);
	connection_send(connection, SEXTANT_MSG_TAIL_REPLY, frame->cookie, &reply, sizeof(reply),
			entries, count * (u32)sizeof(*entries), NULL, 0);
	free(entries);
	free(heads);
}

/* ---- FETCH ------------------------------------------------------------- */

struct fetch {
	struct record_read read;
	struct connection *connection;
	u64 cookie;
};

void handle_record_reply(struct connection *connection, u64 cookie, u32 status,
			 const struct record_read *read)
{
	struct sextant_wire_record_reply reply = { .status = cpu_to_le32(status) };
	struct connection_data data = { .offset = 0 };
	bool whole = status == SEXTANT_ST_OK;

	if (whole) {
		reply.record = read->record;
		data.buffer = read->data;
		data.bytes = read->data_bytes;
	}
	connection_send(connection, SEXTANT_MSG_RECORD, cookie, &reply, sizeof(reply), read->seals,
			whole ? read->seal_count * (u32)sizeof(*read->seals) : 0,
			&data, whole && read->data_bytes ? 1 : 0);
}

static void fetch_done(struct record_read *read, u32 status)
{
	struct fetch *fetch = (struct fetch *)read;

	connection_unreserve(fetch->connection, SEXTANT_RECORD_BYTES_MAX);
	handle_record_reply(fetch->connection, fetch->cookie, status, read);
	record_read_release(read);
	connection_release(fetch->connection);
	free(fetch);
}

void handle_fetch(struct connection *connection, struct frame *frame)
{
	const struct sextant_wire_fetch *message = frame->meta;
	struct volume *volume = connection->volume;
	struct fetch *fetch;
	u32 number;

	if (!server_meta(connection, frame, sizeof(*message)))
		return;
	number = le32_to_cpu(message->pg);
	fetch = memory_get_zeroed(sizeof(*fetch));
	if (number >= volume->pg_count || !volume->pgs[number]) {
		handle_record_reply(connection, frame->cookie, SEXTANT_ST_ABSENT, &fetch->read);
		free(fetch);
		return;
	}
	fetch->connection = connection;
	fetch->cookie = frame->cookie;
	fetch->read.pg = volume->pgs[number];
	fetch->read.epoch = le32_to_cpu(message->epoch);
	fetch->read.lsn = le64_to_cpu(message->lsn);
	fetch->read.done = fetch_done;
	connection_hold(connection);
	connection_reserve(connection, SEXTANT_RECORD_BYTES_MAX);
	record_read_start(&fetch->read);
}

/* ---- COPY -------------------------------------------------------------- */

static void copy_done(struct append *append, u32 status)
{
	struct volume *volume = append->pg->volume;
	u32 allowed = vote_may_copy(&volume->vote, &append->ballot);

	if (append->connection->volume)
		handle_status(append->connection, append->cookie, allowed ? allowed : status);
	append_free(append);
}

void handle_copy(struct connection *connection, struct frame *frame)
{
	const struct sextant_wire_append *message = frame->meta;
	struct volume *volume = connection->volume;
	struct sextant_ballot ballot;
	struct append *append;
	u32 status;
	struct pg *pg;

	if (!server_meta(connection, frame, sizeof(*message)))
		return;
	sextant_ballot_from_wire(&ballot, &message->ballot);
	status = vote_may_copy(&volume->vote, &ballot);
	if (!status && !handle_record_valid(volume, message, frame))
		status = SEXTANT_ST_BAD_REQUEST;
	pg = status ? NULL : store_pg(volume, le32_to_cpu(message->record.pg), &status);
	if (!pg) {
		handle_status(connection, frame->cookie, status);
		return;
	}
	append = append_new(pg, &message->record, message->seals, frame->data, frame->data_bytes);
	frame->data = NULL;
	append->done = copy_done;
	append->connection = connection;
	append->ballot = ballot;
	append->cookie = frame->cookie;
	connection_hold(connection);
	log_append(append);
}
