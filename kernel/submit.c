// SPDX-License-Identifier: GPL-2.0
/*
 * From bios to records. map() puts a write into the inbox; one worker a volume
 * takes them in order, gives LSNs, seals, and queues each record for all peers.
 *
 * The worker is the only one that takes LSNs, so the order of its work is the
 * order of LSNs, and a record enters the queue only sealed: senders never meet
 * one that is not ready. It never waits for room itself: without room the bios
 * stay in the inbox and an acknowledgement queues the work again.
 */
#define CREATE_TRACE_POINTS
#include "trace.h"
#undef CREATE_TRACE_POINTS

#include <linux/device-mapper.h>
#include <linux/sched/mm.h>

#include "connection.h"
#include "read.h"
#include "record.h"
#include "seal.h"
#include "volume.h"
#include "wire.h"

/* What a record without blocks is charged to the bounds with. */
#define EMPTY_RECORD_BYTES	SEXTANT_BLOCK_BYTES

struct bio *sextant_io_bio(struct sextant_io *io)
{
	return dm_bio_from_per_bio_data(io, sizeof(*io));
}

/**
 * sextant_io_end() - end a bio
 * @io: on no list any more
 * @status: BLK_STS_OK, an error, or BLK_STS_DM_REQUEUE
 *
 * Context: no locks held.
 */
void sextant_io_end(struct sextant_io *io, blk_status_t status)
{
	struct bio *bio = sextant_io_bio(io);

	trace_sextant_complete(io->volume, bio, io->lsn, status);
	bio->bi_status = status;
	bio_endio(bio);
}

void sextant_io_end_list(struct list_head *ios, blk_status_t status)
{
	struct sextant_io *io, *next;

	list_for_each_entry_safe(io, next, ios, link) {
		list_del_init(&io->link);
		sextant_io_end(io, status);
	}
}

/*
 * A flush covers the writes that were completed before it, and those have their
 * LSNs: what is still in the inbox is none of its business. False: the volume
 * does not run, and the worker decides.
 */
static bool flush_now(struct sextant_volume *volume, struct sextant_io *io)
{
	struct sextant_connection *ready[SEXTANT_PEERS];
	bool taken, end = false;
	u32 count = 0;

	spin_lock(&volume->lock);
	taken = volume->state == SEXTANT_VOLUME_RUNNING && !volume->requeue;
	if (taken) {
		io->lsn = volume->next_lsn - 1;
		end = io->lsn <= sextant_volume_vdl(volume);
		volume->stream_lsns = 0;
		if (!end) {
			list_add_tail(&io->link, &volume->waiters);
			count = sextant_bunches_collect(volume, ready);
		}
	}
	spin_unlock(&volume->lock);
	if (end)
		sextant_io_end(io, BLK_STS_OK);
	sextant_bunches_send(ready, count);
	return taken;
}

/**
 * sextant_submit() - take a bio from map()
 * @volume: whose
 * @bio: checked: aligned, within the device
 *
 * Context: map(): nothing here waits.
 */
void sextant_submit(struct sextant_volume *volume, struct bio *bio)
{
	struct sextant_io *io = dm_per_bio_data(bio, sizeof(*io));
	bool read = bio_op(bio) == REQ_OP_READ;

	io->volume = volume;
	io->lsn = 0;
	io->sectors_done = 0;
	io->started_jiffies = jiffies;
	trace_sextant_submit(volume, bio);
	if (!bio_sectors(bio) && flush_now(volume, io))
		return;
	spin_lock(&volume->inbox_lock);
	list_add_tail(&io->link, read ? &volume->read_inbox : &volume->inbox);
	spin_unlock(&volume->inbox_lock);
	if (read)
		sextant_reads_start(volume);
	else
		queue_work(volume->submit_wq, &volume->submit_work);
}

/* Room was made, or the state changed: look at both inboxes again. */
void sextant_submit_kick(struct sextant_volume *volume)
{
	queue_work(volume->submit_wq, &volume->submit_work);
	queue_work(volume->read_wq, &volume->read_work);
}

/**
 * sextant_pg_get() - the state of a PG, made on first use
 * @volume: being attached or running
 * @index: of the PG
 *
 * Context: the submit worker or an attach step, no locks. May dip into the
 * reserves: a PG is small and stays, so this is bounded by the volume's size.
 *
 * Return: the PG, or NULL when there is no memory at all.
 */
struct sextant_pg *sextant_pg_get(struct sextant_volume *volume, u32 index)
{
	struct sextant_pg *pg = xa_load(&volume->pgs, index);
	unsigned int flags;

	if (pg)
		return pg;
	flags = memalloc_noreclaim_save();
	pg = kzalloc(sizeof(*pg), GFP_NOIO);
	if (pg) {
		pg->index = index;
		INIT_LIST_HEAD(&pg->changed);
		if (xa_err(xa_store(&volume->pgs, index, pg, GFP_NOIO))) {
			kfree(pg);
			pg = NULL;
		}
	}
	memalloc_noreclaim_restore(flags);
	return pg;
}

/* Seals every block of a record in place; an error leaves it fit only for VOID. */
static int seal_record(struct sextant_volume *volume, struct sextant_record *record)
{
	struct sextant_wire_record *wire = &record->frame.append.record;
	struct sextant_wire_seal *seals = record->frame.seals;
	u32 i;
	int r = 0;

	if (wire->kind == SEXTANT_RECORD_DISCARD) {
		r = sextant_seal_discard(volume->keys, volume->seal_crypt, record->block_first,
					 le32_to_cpu(wire->block_count), record->quorum.first_lsn,
					 seals[0].tag);
		seals[0].crc = cpu_to_le32(sextant_crc32c(seals[0].tag, SEXTANT_TAG_BYTES));
	}
	for (i = 0; i < record->page_count && !r; i++) {
		r = sextant_seal_block(volume->keys, volume->seal_crypt, record->block_first + i,
				       record->quorum.first_lsn + i, record->pages[i],
				       seals[i].tag);
		seals[i].crc = cpu_to_le32(sextant_crc32c(page_address(record->pages[i]),
							  SEXTANT_BLOCK_BYTES));
	}
	trace_sextant_seal(volume, r, record);
	return r;
}

/*
 * A record whose seal failed keeps its LSNs: peers and VDL must be able to
 * pass them. What was sealed of it is dropped, the bio fails.
 */
static void make_void(struct sextant_volume *volume, struct sextant_record *record)
{
	record->frame.append.record.kind = SEXTANT_RECORD_VOID;
	while (record->page_count)
		mempool_free(record->pages[--record->page_count], &volume->record_pages);
}

/* The frame's fixed parts; the worker alone changes next_lsn and taken_*. */
static void describe_record(struct sextant_volume *volume, struct sextant_record *record,
			    struct sextant_pg *pg, u8 kind, u64 block, u32 blocks)
{
	struct sextant_wire_record *wire = &record->frame.append.record;
	u32 lsns = kind == SEXTANT_RECORD_DATA ? blocks : 1;

	record->block_first = block;
	record->block_last = block + blocks - 1;
	record->bytes = max_t(u32, record->page_count * SEXTANT_BLOCK_BYTES, EMPTY_RECORD_BYTES);
	record->taken_jiffies = jiffies;
	record->quorum.first_lsn = volume->next_lsn;
	record->quorum.last_lsn = volume->next_lsn + lsns - 1;
	wire->pg = cpu_to_le32(pg->index);
	wire->kind = kind;
	wire->epoch = cpu_to_le32(volume->ballot.epoch);
	wire->generation = cpu_to_le32(volume->generation);
	wire->lsn = cpu_to_le64(record->quorum.first_lsn);
	wire->lsn_count = cpu_to_le32(lsns);
	wire->prev_epoch = cpu_to_le32(pg->taken_epoch);
	wire->prev_lsn = cpu_to_le64(pg->taken_lsn);
	wire->block = cpu_to_le64(block);
	wire->block_count = cpu_to_le32(blocks);
}

static void frame_record(struct sextant_volume *volume, struct sextant_record *record, u64 vdl)
{
	struct sextant_record_frame *frame = &record->frame;
	u32 meta_bytes = sizeof(frame->append) +
			 sextant_wire_record_seals(&frame->append.record) * sizeof(frame->seals[0]);

	sextant_ballot_to_wire(&frame->append.ballot, &volume->ballot);
	frame->append.vdl = cpu_to_le64(vdl);
	sextant_wire_header_init(&frame->header, SEXTANT_MSG_APPEND, 0, &frame->append,
				 meta_bytes, sextant_wire_record_data_bytes(&frame->append.record));
	record->frame_bytes = sizeof(frame->header) + meta_bytes;
}

/* Early completion is for a healthy volume only; Documentation/design.rst has the terms. */
static bool may_complete_early(struct sextant_volume *volume, struct bio *bio, u32 bytes)
{
	return sextant_volume_mode(volume) == SEXTANT_MODE_VOLATILE && !(bio->bi_opf & REQ_FUA) &&
	       volume->dirty_bytes + bytes <= volume->options.max_dirty_bytes;
}

/*
 * The record joins the queue: from here it is sent to everyone, seen by reads
 * and kept until VDL has passed it. last: the bio needs no further record.
 */
static void queue_record(struct sextant_volume *volume, struct sextant_record *record,
			 struct sextant_pg *pg, struct sextant_io *io, bool last, bool failed)
{
	struct bio *bio = sextant_io_bio(io);
	struct sextant_connection *ready[SEXTANT_PEERS];
	blk_status_t status = failed ? BLK_STS_IOERR : BLK_STS_OK;
	u32 peer, count;
	bool end = false;

	spin_lock(&volume->lock);
	if (sextant_volume_dead(volume)) {
		spin_unlock(&volume->lock);
		sextant_record_put(record);
		sextant_io_end(io, BLK_STS_IOERR);
		return;
	}
	volume->next_lsn = record->quorum.last_lsn + 1;
	pg->taken_lsn = record->quorum.last_lsn;
	pg->taken_epoch = volume->ballot.epoch;
	io->lsn = record->quorum.last_lsn;
	sextant_quorum_add(&volume->quorum, &pg->quorum, &record->quorum);
	list_add_tail(&record->link, &volume->records);
	if (record->frame.append.record.kind != SEXTANT_RECORD_VOID)
		sextant_overlay_insert(&volume->overlay, record);
	volume->queued_bytes += record->bytes;
	volume->blocks_written += record->page_count;
	if (last && !failed && may_complete_early(volume, bio, record->bytes)) {
		record->completed_early = true;
		volume->dirty_bytes += record->bytes;
		volume->stream_lsns += record->quorum.last_lsn - record->quorum.first_lsn + 1;
		end = true;
	} else if (failed) {
		end = true;
	} else if (last && volume->requeue) {
		status = BLK_STS_DM_REQUEUE;
		end = true;
	} else if (last) {
		list_add_tail(&io->link, &volume->waiters);
		volume->stream_lsns = 0;
	}
	for (peer = 0; peer < SEXTANT_PEERS; peer++) {
		struct sextant_connection *connection = volume->peers[peer].connection;

		if (connection && !connection->next)
			connection->next = record;
	}
	count = sextant_bunches_collect(volume, ready);
	spin_unlock(&volume->lock);
	if (end)
		sextant_io_end(io, status);
	sextant_bunches_send(ready, count);
}

/* One record of a bio, at most one PG of it. True when the bio needs no more. */
static bool submit_part(struct sextant_volume *volume, struct sextant_io *io, struct sextant_pg *pg,
			u64 block, u32 blocks, u64 vdl)
{
	struct bio *bio = sextant_io_bio(io);
	bool data = bio_op(bio) == REQ_OP_WRITE;
	struct sextant_record *record = sextant_record_alloc(volume, data ? blocks : 0);
	bool last;
	int r;

	if (data)
		sextant_bio_copy(bio, record->pages, false);
	describe_record(volume, record, pg, data ? SEXTANT_RECORD_DATA : SEXTANT_RECORD_DISCARD,
			block, blocks);
	r = seal_record(volume, record);
	if (r)
		make_void(volume, record);
	frame_record(volume, record, vdl);
	io->sectors_done += blocks << (SEXTANT_BLOCK_SHIFT - SECTOR_SHIFT);
	last = io->sectors_done == bio_sectors(bio);
	queue_record(volume, record, pg, io, last, r != 0);
	return last || r;
}

/* The last LSN before this flush is what it waits for. */
static void submit_flush(struct sextant_volume *volume, struct sextant_io *io)
{
	blk_status_t status = BLK_STS_OK;
	bool end = true;

	spin_lock(&volume->lock);
	io->lsn = volume->next_lsn - 1;
	if (sextant_volume_dead(volume)) {
		status = BLK_STS_IOERR;
	} else if (io->lsn > sextant_volume_vdl(volume)) {
		end = volume->requeue;
		status = end ? BLK_STS_DM_REQUEUE : BLK_STS_OK;
		if (!end)
			list_add_tail(&io->link, &volume->waiters);
	}
	spin_unlock(&volume->lock);
	if (end)
		sextant_io_end(io, status);
}

/* Everything a bio needs. False: no memory for its PG; it must wait in the inbox. */
static bool submit_io(struct sextant_volume *volume, struct sextant_io *io, u64 vdl)
{
	struct bio *bio = sextant_io_bio(io);

	if (!bio_sectors(bio)) {
		submit_flush(volume, io);
		return true;
	}
	for (;;) {
		sector_t sector = bio->bi_iter.bi_sector + io->sectors_done;
		u64 block = sector >> (SEXTANT_BLOCK_SHIFT - SECTOR_SHIFT);
		u64 left = (bio_sectors(bio) - io->sectors_done) >>
			   (SEXTANT_BLOCK_SHIFT - SECTOR_SHIFT);
		u32 index = div_u64(block, volume->pg_blocks);
		u64 pg_end = (u64)(index + 1) * volume->pg_blocks;
		struct sextant_pg *pg = sextant_pg_get(volume, index);

		if (!pg)
			return false;
		if (submit_part(volume, io, pg, block, min(left, pg_end - block), vdl))
			return true;
	}
}

/* What becomes of the inbox's first bio in this state. */
enum verdict { VERDICT_SUBMIT, VERDICT_WAIT, VERDICT_REQUEUE, VERDICT_FAIL };

static enum verdict judge(struct sextant_volume *volume, u64 *vdl)
{
	enum verdict verdict = VERDICT_SUBMIT;

	spin_lock(&volume->lock);
	*vdl = sextant_volume_vdl(volume);
	if (sextant_volume_dead(volume))
		verdict = VERDICT_FAIL;
	else if (volume->requeue)
		verdict = VERDICT_REQUEUE;
	else if (volume->state != SEXTANT_VOLUME_RUNNING)
		verdict = VERDICT_WAIT;
	else if (volume->queued_bytes >= 2 * volume->options.max_dirty_bytes)
		verdict = VERDICT_WAIT;
	spin_unlock(&volume->lock);
	return verdict;
}

static struct sextant_io *inbox_pop(struct sextant_volume *volume)
{
	struct sextant_io *io;

	spin_lock(&volume->inbox_lock);
	io = list_first_entry_or_null(&volume->inbox, struct sextant_io, link);
	if (io)
		list_del_init(&io->link);
	spin_unlock(&volume->inbox_lock);
	return io;
}

static void inbox_put_back(struct sextant_volume *volume, struct sextant_io *io)
{
	spin_lock(&volume->inbox_lock);
	list_add(&io->link, &volume->inbox);
	spin_unlock(&volume->inbox_lock);
}

/**
 * sextant_submit_work() - the submit worker
 * @work: volume->submit_work, on a workqueue of its own with one worker
 */
void sextant_submit_work(struct work_struct *work)
{
	struct sextant_volume *volume = container_of(work, struct sextant_volume, submit_work);
	struct sextant_io *io;
	u64 vdl;

	for (;;) {
		enum verdict verdict = judge(volume, &vdl);

		if (verdict == VERDICT_WAIT)
			return;
		io = inbox_pop(volume);
		if (!io)
			return;
		if (verdict == VERDICT_FAIL) {
			sextant_io_end(io, BLK_STS_IOERR);
		} else if (verdict == VERDICT_REQUEUE) {
			sextant_io_end(io, BLK_STS_DM_REQUEUE);
		} else if (!submit_io(volume, io, vdl)) {
			inbox_put_back(volume, io);	/* the tick comes back to it */
			return;
		}
	}
}
