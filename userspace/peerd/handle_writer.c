// SPDX-License-Identifier: GPL-2.0
/* The writer's stream: APPEND, VDL, READ, HEARTBEAT. */
#include "handle.h"

#include <stdlib.h>

#include "acks.h"
#include "gossip.h"
#include "log.h"
#include "read.h"
#include "server.h"

/* ---- APPEND ------------------------------------------------------------ */

static void append_done(struct append *append, u32 status)
{
	if (status == SEXTANT_ST_OK)
		acks_add(append);
	else
		acks_refuse(append->connection, status);
	append_free(append);
}

bool handle_record_valid(const struct volume *volume, const struct sextant_wire_append *append,
			 const struct frame *frame)
{
	const struct sextant_wire_record *record = &append->record;
	struct log_record whole = {
		.record = record,
		.seals = append->seals,
		.seal_count = sextant_wire_record_seals(record),
		.data_bytes = frame->data_bytes,
	};

	if (!sextant_wire_record_valid(record, volume->vote.size_blocks, volume->vote.pg_blocks) ||
	    !sextant_wire_record_fits(record, offsetof(struct sextant_wire_append, record),
				      frame->meta_bytes, frame->data_bytes))
		return false;
	if (record->kind == SEXTANT_RECORD_DISCARD)
		return le32_to_cpu(append->seals[0].crc) ==
		       sextant_crc32c(append->seals[0].tag, SEXTANT_TAG_BYTES);
	return record->kind != SEXTANT_RECORD_DATA ||
	       !log_record_bad_blocks(&whole, frame->data->bytes);
}

/* Are all LSNs of the record the writer's, by the table in force? */
static bool append_is_writers(const struct volume *volume, const struct sextant_wire_record *record)
{
	u32 epoch = le32_to_cpu(record->epoch);

	return sextant_table_allows(&volume->vote.table, epoch, le64_to_cpu(record->lsn)) &&
	       sextant_table_allows(&volume->vote.table, epoch,
				    sextant_wire_record_last_lsn(record));
}

static void handle_append(struct connection *connection, struct frame *frame)
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
	status = vote_may_append(&volume->vote, &ballot);
	if (status) {
		acks_refuse(connection, status);
		return;
	}
	if (!handle_record_valid(volume, message, frame) ||
	    !append_is_writers(volume, &message->record)) {
		sextant_log(SEXTANT_LOG_NOTICE, "%s (%s) sent a record that does not hold; closed",
			    connection->address, connection->caller);
		acks_refuse(connection, SEXTANT_ST_BAD_REQUEST);
		return;
	}
	volume_raise_vdl(volume, le64_to_cpu(message->vdl));
	if (volume->no_space && volume->log_bytes > peer_options->log_bytes_max) {
		acks_refuse(connection, SEXTANT_ST_NO_SPACE);
		return;
	}
	pg = store_pg(volume, le32_to_cpu(message->record.pg), &status);
	if (!pg) {
		acks_refuse(connection, status);
		return;
	}
	append = append_new(pg, &message->record, message->seals, frame->data, frame->data_bytes);
	frame->data = NULL;
	append->done = append_done;
	append->connection = connection;
	append->ballot = ballot;
	connection_hold(connection);
	log_append(append);
	volume_writers_check(volume);
}

/* ---- VDL --------------------------------------------------------------- */

static void handle_vdl(struct connection *connection, struct frame *frame)
{
	const struct sextant_wire_vdl *message = frame->meta;
	struct volume *volume = connection->volume;
	struct sextant_ballot ballot;
	u32 count, status;
	bool missing = false;
	u64 vdl;

	if (!server_meta(connection, frame, sizeof(*message)))
		return;
	count = le32_to_cpu(message->count);
	if (count > SEXTANT_WIRE_META_MAX / sizeof(message->tails[0]) ||
	    frame->meta_bytes != sizeof(*message) + count * sizeof(message->tails[0])) {
		server_refuse(connection, frame, "its tails are not as many as it says");
		return;
	}
	sextant_ballot_from_wire(&ballot, &message->ballot);
	status = vote_may_read(&volume->vote, &ballot);
	if (status) {
		acks_refuse(connection, status);
		return;
	}
	vdl = le64_to_cpu(message->vdl);
	volume_raise_vdl(volume, vdl);
	if (le64_to_cpu(message->mrpl) <= vdl && le64_to_cpu(message->mrpl) > volume->mrpl)
		volume->mrpl = le64_to_cpu(message->mrpl);
	for (u32 i = 0; i < count; i++)
		missing |= volume_tail(volume, le32_to_cpu(message->tails[i].pg),
				       le32_to_cpu(message->tails[i].epoch),
				       le64_to_cpu(message->tails[i].lsn), vdl);
	if (missing)
		gossip_wake(volume, false);
	volume_writers_check(volume);
}

/* ---- READ -------------------------------------------------------------- */

struct reader {
	struct block_read read;
	struct connection *connection;
	u64 cookie;
	struct sextant_ballot ballot;
};

static void read_reply(struct connection *connection, u64 cookie, u32 status, u64 block, u32 count,
		       const struct sextant_wire_block *versions,
		       const struct connection_data *data, u32 data_count)
{
	const struct vote *vote = &connection->volume->vote;
	struct sextant_wire_read_reply reply = {
		.status = cpu_to_le32(status),
		.count = cpu_to_le32(count),
		.block = cpu_to_le64(block),
	};

	sextant_ballot_to_wire(&reply.accepted, &vote->accepted);
	memcpy(reply.holder, vote->accepted_holder, sizeof(reply.holder));
	connection_send(connection, SEXTANT_MSG_READ_REPLY, cookie, &reply, sizeof(reply), versions,
			count * (u32)sizeof(*versions), data, data_count);
}

/* The blocks of kind DATA, neighbours as one piece. */
static u32 read_pieces(const struct block_read *read, struct connection_data *pieces)
{
	u32 count = 0;

	for (u32 i = 0; i < read->count && !read->meta_only; i++) {
		u32 offset = i << SEXTANT_BLOCK_SHIFT;

		if (read->versions[i].kind != SEXTANT_BLOCK_DATA)
			continue;
		if (count && pieces[count - 1].offset + pieces[count - 1].bytes == offset)
			pieces[count - 1].bytes += SEXTANT_BLOCK_BYTES;
		else
			pieces[count++] = (struct connection_data){
				.buffer = read->data,
				.offset = offset,
				.bytes = SEXTANT_BLOCK_BYTES,
			};
	}
	return count;
}

static void read_done(struct block_read *read, u32 status)
{
	struct connection_data pieces[SEXTANT_RECORD_BLOCKS_MAX];
	struct reader *reader = (struct reader *)read;
	struct connection *connection = reader->connection;

	connection_unreserve(connection, (u64)read->count << SEXTANT_BLOCK_SHIFT);
	if (!connection->closing) {
		/* A writer that was fenced meanwhile gets nothing more. */
		u32 fenced = vote_may_read(&read->pg->volume->vote, &reader->ballot);

		if (fenced)
			status = fenced;
		if (status)
			read_reply(connection, reader->cookie, status, read->block, 0, NULL, NULL, 0);
		else
			read_reply(connection, reader->cookie, status, read->block, read->count,
				   read->versions, pieces, read_pieces(read, pieces));
	}
	block_read_release(read);
	connection_release(connection);
	free(reader);
}

/* May this be read here and now? OK also where nothing of the PG ever was. */
static u32 read_check(struct volume *volume, const struct sextant_wire_read *message)
{
	u64 read_point_lsn = le64_to_cpu(message->read_point_lsn);
	u64 tail_lsn = le64_to_cpu(message->tail_lsn);
	u32 number = le32_to_cpu(message->pg);
	bool missing;
	u32 status;

	if (tail_lsn > read_point_lsn)
		return SEXTANT_ST_BAD_REQUEST;
	volume_raise_vdl(volume, read_point_lsn);
	missing = volume_tail(volume, number, le32_to_cpu(message->tail_epoch), tail_lsn,
			      read_point_lsn);
	if (missing)
		gossip_wake(volume, false);
	if (!volume->pgs[number])
		return missing ? SEXTANT_ST_INCOMPLETE : SEXTANT_ST_OK;
	status = segment_may_read(&volume->pgs[number]->segment, read_point_lsn, tail_lsn);
	if (status == SEXTANT_ST_OK && volume->pgs[number]->base_damaged)
		return SEXTANT_ST_INCOMPLETE;
	return status;
}

static bool read_is_valid(const struct volume *volume, const struct sextant_wire_read *message)
{
	u64 block = le64_to_cpu(message->block), first;
	u32 count = le32_to_cpu(message->block_count);
	u32 pg_blocks = volume->vote.pg_blocks;

	if (le32_to_cpu(message->pg) >= volume->pg_count || !count ||
	    count > SEXTANT_RECORD_BLOCKS_MAX ||
	    le32_to_cpu(message->flags) & ~(u32)SEXTANT_READ_META_ONLY)
		return false;
	first = (u64)le32_to_cpu(message->pg) * pg_blocks;
	return block >= first && block - first <= pg_blocks - count &&
	       block <= volume->vote.size_blocks && count <= volume->vote.size_blocks - block;
}

static void handle_read(struct connection *connection, struct frame *frame)
{
	static const struct sextant_wire_block never[SEXTANT_RECORD_BLOCKS_MAX];
	const struct sextant_wire_read *message = frame->meta;
	struct volume *volume = connection->volume;
	struct sextant_ballot ballot;
	struct reader *reader;
	u32 status;
	u64 block;

	if (!server_meta(connection, frame, sizeof(*message)))
		return;
	sextant_ballot_from_wire(&ballot, &message->ballot);
	block = le64_to_cpu(message->block);
	status = vote_may_read(&volume->vote, &ballot);
	if (!status)
		status = read_is_valid(volume, message) ? read_check(volume, message) :
							  SEXTANT_ST_BAD_REQUEST;
	if (status) {
		read_reply(connection, frame->cookie, status, block, 0, NULL, NULL, 0);
		return;
	}
	if (!volume->pgs[le32_to_cpu(message->pg)]) {
		read_reply(connection, frame->cookie, SEXTANT_ST_OK, block,
			   le32_to_cpu(message->block_count), never, NULL, 0);
		return;
	}
	reader = memory_get(sizeof(*reader));
	reader->connection = connection;
	reader->cookie = frame->cookie;
	reader->ballot = ballot;
	reader->read.pg = volume->pgs[le32_to_cpu(message->pg)];
	reader->read.read_point_lsn = le64_to_cpu(message->read_point_lsn);
	reader->read.block = block;
	reader->read.count = le32_to_cpu(message->block_count);
	reader->read.meta_only = le32_to_cpu(message->flags) & SEXTANT_READ_META_ONLY;
	reader->read.done = read_done;
	connection_hold(connection);
	connection_reserve(connection, (u64)reader->read.count << SEXTANT_BLOCK_SHIFT);
	block_read_start(&reader->read);
}

/* ---- HEARTBEAT --------------------------------------------------------- */

static u32 heartbeat(struct volume *volume, const struct sextant_wire_heartbeat *message)
{
	struct sextant_ballot ballot;
	u32 status;

	sextant_ballot_from_wire(&ballot, &message->ballot);
	status = vote_may_beat(&volume->vote, &ballot);
	if (status)
		return status;
	volume->lease_seen = true;
	volume->lease_ms = loop_now_ms();
	if (!(le32_to_cpu(message->flags) & SEXTANT_HEARTBEAT_RELEASE) || volume->vote.released)
		return SEXTANT_ST_OK;
	volume->vote.released = true;
	return volume_vote_write(volume);
}

static void handle_heartbeat(struct connection *connection, struct frame *frame)
{
	const struct sextant_wire_heartbeat *message = frame->meta;
	struct volume *volume = connection->volume;
	struct sextant_wire_heartbeat_reply reply = { .status = 0 };
	u64 missing_lsns;
	u32 missing_pgs;

	if (!server_meta(connection, frame, sizeof(*message)))
		return;
	reply.status = cpu_to_le32(heartbeat(volume, message));
	gossip_missing(volume, &missing_pgs, &missing_lsns);
	reply.incomplete_pgs = cpu_to_le32(missing_pgs);
	reply.missing_lsns = cpu_to_le64(missing_lsns);
	sextant_ballot_to_wire(&reply.accepted, &volume->vote.accepted);
	memcpy(reply.holder, volume->vote.accepted_holder, sizeof(reply.holder));
	reply.known_vdl = cpu_to_le64(volume->known_vdl);
	reply.log_bytes = cpu_to_le64(volume->log_bytes);
	reply.faults = cpu_to_le64(volume->faults);
	connection_send(connection, SEXTANT_MSG_HEARTBEAT_REPLY, frame->cookie, &reply,
			sizeof(reply), NULL, 0, NULL, 0);
}

void handle_writer(struct connection *connection, struct frame *frame)
{
	switch (frame->type) {
	case SEXTANT_MSG_APPEND:
		handle_append(connection, frame);
		break;
	case SEXTANT_MSG_VDL:
		handle_vdl(connection, frame);
		break;
	case SEXTANT_MSG_READ:
		handle_read(connection, frame);
		break;
	case SEXTANT_MSG_HEARTBEAT:
		handle_heartbeat(connection, frame);
		break;
	default:
		server_refuse(connection, frame, "a writer does not send this");
	}
}
