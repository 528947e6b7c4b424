// SPDX-License-Identifier: GPL-2.0
/*
 * Taking another peer's base: for a PG whose records the others have coalesced
 * since this one was there, whose own base is lost, or one block of it. What is
 * written over in place counts only by the checkpoint at the end.
 */
#include <stdlib.h>

#include "coalesce.h"
#include "gossip_work.h"
#include "log.h"
#include "server.h"

/* The blocks of one frame on their way to the disk. */
struct put_op {
	struct loop_op op;
	struct base_put *put;
	u32 bytes;
};

struct base_put {
	struct gossip *gossip;
	struct buffer *data;
	u32 pending, op_count;
	struct base_entry entries[SEXTANT_RECORD_BLOCKS_MAX];
	struct put_op ops[2 * SEXTANT_RECORD_BLOCKS_MAX];
};

static void base_request(struct gossip *gossip)
{
	struct sextant_wire_pull_base message = { .pg = cpu_to_le32(gossip->number) };
	const struct pg *pg = gossip->base_pg;
	u64 from_block = pg->segment.first_block;

	sextant_ballot_to_wire(&message.ballot, &gossip->volume->vote.accepted);
	message.upto_lsn = cpu_to_le64(gossip->upto_lsn);
	/* From the PG's end on there are no blocks: the answer says how far the peer is. */
	if (gossip->repair == REPAIR_ASK)
		from_block += pg->segment.block_count;
	else if (gossip->repair == REPAIR_TAKE)
		from_block = pg->repair_block;
	else if (!pg->base_damaged)
		message.after_lsn = cpu_to_le64(pg->segment.base_tail.lsn);
	message.from_block = cpu_to_le64(from_block);
	gossip_request(gossip, SEXTANT_MSG_PULL_BASE, &message, sizeof(message));
}

void gossip_base_start(struct gossip *gossip)
{
	struct volume *volume = gossip->volume;
	struct pg *pg;
	u32 status;

	pg = store_pg(volume, gossip->number, &status);
	if (!pg || coalesce_busy(volume, pg)) {
		gossip_answered(gossip, false);
		return;
	}
	pg->base_pulling = true;
	pg->operations++;
	gossip->base_pg = pg;
	gossip->repair = pg->repair && !pg->base_damaged ? REPAIR_ASK : REPAIR_NONE;
	gossip->repaired = false;
	sextant_log(SEXTANT_LOG_INFO, "volume %s: asks %s for %s of PG %u", volume->uuid_text,
		    gossip->asking->address, gossip->repair ? "a block" : "the base",
		    gossip->number);
	base_request(gossip);
}

/* ---- blocks ------------------------------------------------------------ */

static void put_done(struct loop_op *op, int result)
{
	struct put_op *put_op = (struct put_op *)op;
	struct base_put *put = put_op->put;
	struct gossip *gossip = put->gossip;

	if (result < 0 || (u32)result != put_op->bytes)
		gossip->failed = true;
	if (--put->pending)
		return;
	buffer_put(put->data);
	free(put);
	gossip->pending--;
	if (gossip->asking && gossip->asking->connection)
		connection_resume(gossip->asking->connection, CONNECTION_HOLD_LOG);
	if (gossip->ended && !gossip->pending)
		gossip_base_end(gossip);
}

static void put_start(struct base_put *put, int fd, const void *from, u32 bytes, u64 offset)
{
	struct put_op *op = &put->ops[put->op_count++];
	struct io_uring_sqe *sqe = loop_sqe();

	op->op.done = put_done;
	op->put = put;
	op->bytes = bytes;
	put->pending++;
	io_uring_prep_write(sqe, fd, from, bytes, offset);
	loop_start(sqe, &op->op);
}

/* Is the frame whole, and are its blocks in order, of this PG and undamaged? */
static bool blocks_valid(const struct pg *pg, const struct frame *frame)
{
	const struct sextant_wire_pull_blocks *message = frame->meta;
	u32 count, data_count = 0;
	u64 next;

	if (frame->meta_bytes < sizeof(*message))
		return false;
	count = le32_to_cpu(message->count);
	if (!count || count > SEXTANT_RECORD_BLOCKS_MAX ||
	    frame->meta_bytes != sizeof(*message) + count * sizeof(message->blocks[0]))
		return false;
	next = pg->segment.first_block;
	for (u32 i = 0; i < count; i++) {
		const struct sextant_wire_block *version = &message->blocks[i].version;
		u64 block = le64_to_cpu(message->blocks[i].block);

		if (block < next || block - pg->segment.first_block >= pg->segment.block_count)
			return false;
		next = block + 1;
		if (version->kind == SEXTANT_BLOCK_DISCARD)
			continue;
		if (version->kind != SEXTANT_BLOCK_DATA ||
		    frame->data_bytes < (data_count + 1) * SEXTANT_BLOCK_BYTES ||
		    sextant_crc32c(frame->data->bytes + data_count * SEXTANT_BLOCK_BYTES,
				   SEXTANT_BLOCK_BYTES) != le32_to_cpu(version->seal.crc))
			return false;
		data_count++;
	}
	return frame->data_bytes == data_count * SEXTANT_BLOCK_BYTES;
}

/* Writes the first count blocks of the frame to their places. */
static void blocks_put(struct gossip *gossip, struct frame *frame, u32 count)
{
	const struct sextant_wire_pull_blocks *message = frame->meta;
	struct base_put *put = memory_get(sizeof(*put));
	struct pg *pg = gossip->base_pg;
	u32 data_at = 0;

	put->gossip = gossip;
	put->data = frame->data;
	frame->data = NULL;
	put->pending = put->op_count = 0;
	gossip->pending++;
	for (u32 i = 0; i < count; i++) {
		const struct sextant_wire_pull_block *block = &message->blocks[i];
		u64 place = le64_to_cpu(block->block) - pg->segment.first_block;

		base_entry_fill(&put->entries[i], (u32)place, &block->version);
		put_start(put, pg->meta_fd, &put->entries[i], sizeof(put->entries[i]),
			  place * sizeof(put->entries[i]));
		if (block->version.kind != SEXTANT_BLOCK_DATA)
			continue;
		put_start(put, pg->base_fd, put->data->bytes + data_at * SEXTANT_BLOCK_BYTES,
			  SEXTANT_BLOCK_BYTES, place << SEXTANT_BLOCK_SHIFT);
		data_at++;
	}
	/* The next frame when this one is on the disk. */
	connection_pause(gossip->asking->connection, CONNECTION_HOLD_LOG);
}

/* No store has the block: its entry says so again. */
static void blank_put(struct gossip *gossip)
{
	struct base_put *put = memory_get(sizeof(*put));
	struct pg *pg = gossip->base_pg;

	put->gossip = gossip;
	put->data = NULL;
	put->pending = put->op_count = 0;
	memset(&put->entries[0], 0, sizeof(put->entries[0]));
	gossip->pending++;
	put_start(put, pg->meta_fd, &put->entries[0], sizeof(put->entries[0]),
		  (pg->repair_block - pg->segment.first_block) * sizeof(put->entries[0]));
}

void gossip_base_blocks(struct gossip *gossip, struct frame *frame)
{
	const struct sextant_wire_pull_blocks *message = frame->meta;
	struct pg *pg = gossip->base_pg;

	if (!blocks_valid(pg, frame) || gossip->repair == REPAIR_ASK) {
		gossip->failed = true;
		connection_close(gossip->asking->connection);
		return;
	}
	if (gossip->repair == REPAIR_NONE) {
		blocks_put(gossip, frame, le32_to_cpu(message->count));
		return;
	}
	if (le64_to_cpu(message->blocks[0].block) == pg->repair_block)
		blocks_put(gossip, frame, 1);
	else
		blank_put(gossip);
	/* That was all that was wanted, and the stream goes on to the PG's end. */
	gossip->repaired = true;
	gossip->ended = true;
	connection_close(gossip->asking->connection);
}

/* ---- the end ----------------------------------------------------------- */

static void base_finish(struct gossip *gossip, bool done)
{
	struct pg *pg = gossip->base_pg;

	pg->base_changes++;
	pg->base_pulling = false;
	pg->operations--;
	gossip->base_pg = NULL;
	if (pg->volume->deleted)
		loop_later(&pg->volume->barrier_task);
	if (done && gossip->asking && gossip->asking->greeted)
		gossip_pull_start(gossip);
	else
		gossip_answered(gossip, false);
}

static void checkpoint_done(struct checkpoint_write *write, int result)
{
	struct gossip *gossip = (struct gossip *)
		((char *)write - offsetof(struct gossip, checkpoint));
	struct pg *pg = write->pg;

	if (result) {
		base_finish(gossip, false);
		return;
	}
	segment_base_pulled(&pg->segment, &write->checkpoint.base_tail,
			    write->checkpoint.floor_lsn);
	pg->base_damaged = false;
	chunks_recycle(pg, pg->checkpoint.first_sequence);
	base_finish(gossip, true);
}

static void meta_synced(struct loop_op *op, int result)
{
	struct gossip *gossip = (struct gossip *)
		((char *)op - offsetof(struct gossip, sync_op));
	struct pg *pg = gossip->base_pg;

	if (result < 0) {
		pg->io_error = true;
		base_finish(gossip, false);
		return;
	}
	gossip->checkpoint.pg = pg;
	gossip->checkpoint.done = checkpoint_done;
	gossip->checkpoint.checkpoint = (struct checkpoint){
		.base_tail.epoch = le32_to_cpu(gossip->end.tail_epoch),
		.base_tail.lsn = le64_to_cpu(gossip->end.tail_lsn),
		.floor_lsn = le64_to_cpu(gossip->end.upto_lsn),
		.known_vdl = gossip->volume->known_vdl,
		.first_sequence = chunks_first_sequence(pg),
	};
	checkpoint_start(&gossip->checkpoint);
}

static void sync_start(struct gossip *gossip, int fd, void (*done)(struct loop_op *op, int result))
{
	struct io_uring_sqe *sqe = loop_sqe();

	gossip->sync_op.done = done;
	io_uring_prep_fsync(sqe, fd, IORING_FSYNC_DATASYNC);
	loop_start(sqe, &gossip->sync_op);
}

static void sync_next(struct loop_op *op, int result)
{
	struct gossip *gossip = (struct gossip *)
		((char *)op - offsetof(struct gossip, sync_op));

	if (result < 0)
		meta_synced(op, result);
	else
		sync_start(gossip, gossip->base_pg->meta_fd, meta_synced);
}

/* Is the answer one that this PG's state may be replaced by? */
static bool answer_holds(const struct gossip *gossip)
{
	const struct pg *pg = gossip->base_pg;
	u64 tail_lsn = le64_to_cpu(gossip->end.tail_lsn);
	u64 upto_lsn = le64_to_cpu(gossip->end.upto_lsn);

	return gossip->end_is_there && !gossip->failed && !gossip->end.status &&
	       tail_lsn <= upto_lsn && upto_lsn <= gossip->upto_lsn &&
	       tail_lsn >= pg->segment.base_tail.lsn && upto_lsn >= pg->checkpoint.floor_lsn;
}

static void repair_end(struct gossip *gossip)
{
	struct pg *pg = gossip->base_pg;
	bool whole = gossip->end_is_there && !gossip->end.status && !gossip->failed;

	if (gossip->repair == REPAIR_ASK && whole &&
	    le64_to_cpu(gossip->end.upto_lsn) >= pg->segment.base_tail.lsn) {
		gossip->repair = REPAIR_TAKE;
		base_request(gossip);
		return;
	}
	if (gossip->repair == REPAIR_TAKE && whole && !gossip->repaired) {
		gossip->repaired = true;
		blank_put(gossip);
		return;
	}
	if (gossip->repaired && !gossip->failed)
		pg->repair = false;
	base_finish(gossip, false);
}

void gossip_base_end(struct gossip *gossip)
{
	if (gossip->repair)
		repair_end(gossip);
	else if (answer_holds(gossip))
		sync_start(gossip, gossip->base_pg->base_fd, sync_next);
	else
		base_finish(gossip, false);
}
