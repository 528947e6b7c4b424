// SPDX-License-Identifier: GPL-2.0
/* PEER: serving other peers what they lack, never above the known VDL. */
#include "handle.h"

#include <stdlib.h>

#include "read.h"
#include "server.h"

#define FULL_RETRY_MS	5	/* while the other side takes what is queued */

/* A PULL or PULL_BASE being served. */
struct pull {
	union {
		struct record_read record;
		struct block_read blocks;
	} read;
	struct loop_timer timer;
	struct connection *connection;
	struct volume *volume;
	struct pg *pg;
	bool is_base;
	u64 cookie;
	struct sextant_ballot ballot;
	u64 after_lsn, upto_lsn;
	u64 block, end_block;
	bool damaged;
};

static void pull_next(struct pull *pull);

static void pull_end(struct pull *pull, u32 status)
{
	struct sextant_wire_pull_end end = {
		.status = cpu_to_le32(status),
		.upto_lsn = cpu_to_le64(pull->upto_lsn),
		.known_vdl = cpu_to_le64(pull->volume->known_vdl),
	};

	if (pull->pg) {
		struct segment_tail tail = segment_tail_at(&pull->pg->segment, pull->upto_lsn);

		end.tail_epoch = cpu_to_le32(tail.epoch);
		end.tail_lsn = cpu_to_le64(tail.lsn);
		pull->pg->operations--;
	}
	if (pull->volume->deleted)
		loop_later(&pull->volume->barrier_task);
	connection_send(pull->connection, SEXTANT_MSG_PULL_END, pull->cookie, &end, sizeof(end),
			NULL, 0, NULL, 0);
	connection_resume(pull->connection, CONNECTION_HOLD_BARRIER);
	connection_release(pull->connection);
	free(pull);
}

static void pull_retry(struct loop_timer *timer)
{
	pull_next((struct pull *)((char *)timer - offsetof(struct pull, timer)));
}

static void record_done(struct record_read *read, u32 status)
{
	struct pull *pull = (struct pull *)read;

	if (status == SEXTANT_ST_OK) {
		handle_record_reply(pull->connection, pull->cookie, status, read);
		pull->after_lsn = sextant_wire_record_last_lsn(&read->record);
	} else {
		/* Damaged just now, or gone to the base: the segment says which. */
		pull->damaged |= status == SEXTANT_ST_DAMAGED;
	}
	record_read_release(read);
	/* Not from here: records without data come at once, and there may be many. */
	loop_timer_set(&pull->timer, 0);
}

static void pull_next_record(struct pull *pull)
{
	const struct segment_record *record;
	u32 status = segment_pull_next(&pull->pg->segment, pull->after_lsn, pull->upto_lsn, &record);

	if (status || !record) {
		if (!status && (pull->damaged || segment_damaged(&pull->pg->segment)))
			status = SEXTANT_ST_DAMAGED;
		pull_end(pull, status);
		return;
	}
	pull->read.record = (struct record_read){
		.pg = pull->pg,
		.epoch = le32_to_cpu(record->record.epoch),
		.lsn = le64_to_cpu(record->record.lsn),
		.done = record_done,
	};
	record_read_start(&pull->read.record);
}

/* What of these blocks is newer than the caller has. */
static void blocks_send(struct pull *pull, const struct block_read *read)
{
	struct {
		struct sextant_wire_pull_blocks head;
		struct sextant_wire_pull_block blocks[SEXTANT_RECORD_BLOCKS_MAX];
	} message = { .head.count = 0 };
	struct connection_data data[SEXTANT_RECORD_BLOCKS_MAX];
	u32 count = 0, data_count = 0;

	for (u32 i = 0; i < read->count; i++) {
		const struct sextant_wire_block *version = &read->versions[i];

		if ((version->kind != SEXTANT_BLOCK_DATA && version->kind != SEXTANT_BLOCK_DISCARD) ||
		    le64_to_cpu(version->lsn) <= pull->after_lsn)
			continue;
		message.blocks[count].block = cpu_to_le64(read->block + i);
		message.blocks[count++].version = *version;
		if (version->kind == SEXTANT_BLOCK_DATA)
			data[data_count++] = (struct connection_data){
				.buffer = read->data,
				.offset = i << SEXTANT_BLOCK_SHIFT,
				.bytes = SEXTANT_BLOCK_BYTES,
			};
	}
	if (!count)
		return;
	message.head.count = cpu_to_le32(count);
	connection_send(pull->connection, SEXTANT_MSG_PULL_BLOCKS, pull->cookie, &message,
			(u32)(sizeof(message.head) + count * sizeof(message.blocks[0])), NULL, 0,
			data, data_count);
}

/* One block that cannot be told, and the answer is over: who asks must not take it for blank. */
static bool blocks_damaged(const struct block_read *read)
{
	for (u32 i = 0; i < read->count; i++)
		if (read->versions[i].kind == SEXTANT_BLOCK_DAMAGED)
			return true;
	return false;
}

static void blocks_done(struct block_read *read, u32 status)
{
	struct pull *pull = (struct pull *)read;

	if (status == SEXTANT_ST_OK && blocks_damaged(read))
		status = SEXTANT_ST_DAMAGED;
	if (status == SEXTANT_ST_OK)
		blocks_send(pull, read);
	pull->block += read->count;
	block_read_release(read);
	if (status)
		pull_end(pull, status);
	else
		loop_timer_set(&pull->timer, 0);
}

static void pull_next_blocks(struct pull *pull)
{
	u64 left = pull->end_block - pull->block;
	u64 floor_lsn = segment_floor(&pull->pg->segment);

	if (!left) {
		pull_end(pull, SEXTANT_ST_OK);
		return;
	}
	pull->read.blocks.pg = pull->pg;
	/* A version above upto_lsn does no harm: it is the newest, and durable elsewhere. */
	pull->read.blocks.read_point_lsn = floor_lsn > pull->upto_lsn ? floor_lsn : pull->upto_lsn;
	pull->read.blocks.block = pull->block;
	pull->read.blocks.count = left < SEXTANT_RECORD_BLOCKS_MAX ? (u32)left :
								     SEXTANT_RECORD_BLOCKS_MAX;
	pull->read.blocks.meta_only = false;
	pull->read.blocks.done = blocks_done;
	block_read_start(&pull->read.blocks);
}

static void pull_next(struct pull *pull)
{
	u32 status = vote_may_read(&pull->volume->vote, &pull->ballot);

	if (pull->connection->closing || pull->volume->deleted)
		status = SEXTANT_ST_BUSY;
	if (status)
		pull_end(pull, status);
	else if (pull->connection->out_bytes > CONNECTION_OUT_MAX / 2)
		loop_timer_set(&pull->timer, FULL_RETRY_MS);
	else if (pull->is_base)
		pull_next_blocks(pull);
	else
		pull_next_record(pull);
}

/* Takes no further request from this connection until this one has its end. */
static struct pull *pull_new(struct connection *connection, const struct frame *frame, bool is_base,
			     const struct sextant_wire_ballot *ballot, u32 number)
{
	struct pull *pull = memory_get_zeroed(sizeof(*pull));
	struct volume *volume = connection->volume;

	pull->timer.run = pull_retry;
	pull->connection = connection;
	pull->volume = volume;
	pull->is_base = is_base;
	pull->cookie = frame->cookie;
	sextant_ballot_from_wire(&pull->ballot, ballot);
	connection_hold(connection);
	connection_pause(connection, CONNECTION_HOLD_BARRIER);
	pull->pg = number < volume->pg_count ? volume->pgs[number] : NULL;
	if (pull->pg)
		pull->pg->operations++;
	return pull;
}

static void handle_pull(struct connection *connection, struct frame *frame)
{
	const struct sextant_wire_pull *message = frame->meta;
	struct volume *volume = connection->volume;
	struct pull *pull;
	u32 status;

	if (!server_meta(connection, frame, sizeof(*message)))
		return;
	pull = pull_new(connection, frame, false, &message->ballot, le32_to_cpu(message->pg));
	pull->after_lsn = le64_to_cpu(message->after_lsn);
	pull->upto_lsn = le64_to_cpu(message->upto_lsn);
	if (pull->upto_lsn > volume->known_vdl)
		pull->upto_lsn = volume->known_vdl;
	status = vote_may_read(&volume->vote, &pull->ballot);
	if (!status && pull->pg && pull->pg->base_damaged)
		status = SEXTANT_ST_DAMAGED;
	if (status || !pull->pg)
		pull_end(pull, status);
	else
		pull_next(pull);
}

static void handle_pull_base(struct connection *connection, struct frame *frame)
{
	const struct sextant_wire_pull_base *message = frame->meta;
	struct volume *volume = connection->volume;
	struct pull *pull;
	u64 scl_lsn, whole_lsn;
	u32 number, status;

	if (!server_meta(connection, frame, sizeof(*message)))
		return;
	number = le32_to_cpu(message->pg);
	pull = pull_new(connection, frame, true, &message->ballot, number);
	status = vote_may_read(&volume->vote, &pull->ballot);
	if (!status && pull->pg && (pull->pg->base_damaged || pull->pg->base_pulling ||
				    segment_damaged(&pull->pg->segment)))
		status = SEXTANT_ST_DAMAGED;
	if (status || !pull->pg) {
		pull_end(pull, status);
		return;
	}
	/* Only up to where this segment is known to lack nothing. */
	scl_lsn = segment_scl(&pull->pg->segment).lsn;
	whole_lsn = volume->ends[number].checked_lsn > scl_lsn ? volume->ends[number].checked_lsn :
								 scl_lsn;
	pull->after_lsn = le64_to_cpu(message->after_lsn);
	pull->upto_lsn = le64_to_cpu(message->upto_lsn);
	if (pull->upto_lsn > volume->known_vdl)
		pull->upto_lsn = volume->known_vdl;
	if (pull->upto_lsn > whole_lsn)
		pull->upto_lsn = whole_lsn;
	pull->block = le64_to_cpu(message->from_block);
	pull->end_block = pull->pg->segment.first_block + pull->pg->segment.block_count;
	if (pull->block < pull->pg->segment.first_block || pull->block > pull->end_block)
		pull_end(pull, SEXTANT_ST_BAD_REQUEST);
	else
		pull_next(pull);
}

void handle_gossip(struct connection *connection, struct frame *frame)
{
	switch (frame->type) {
	case SEXTANT_MSG_PULL:
		handle_pull(connection, frame);
		break;
	case SEXTANT_MSG_PULL_BASE:
		handle_pull_base(connection, frame);
		break;
	case SEXTANT_MSG_MANIFEST_GET:
		handle_manifest_get(connection, frame);
		break;
	default:
		server_refuse(connection, frame, "a peer does not send this");
	}
}
