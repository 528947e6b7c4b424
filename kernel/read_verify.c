// SPDX-License-Identifier: GPL-2.0
/*
 * What a peer answered is opened in bounce pages; the caller's pages see it
 * only when every block of the read has verified and the lease stands.
 */
#include <linux/highmem.h>

#include "connection.h"
#include "event.h"
#include "read.h"
#include "record.h"
#include "seal.h"
#include "trace.h"
#include "wire.h"

/* From here on two processors open it sooner than one, the wake-up included. */
#define PARTED_BLOCKS_MIN	8

/**
 * sextant_bio_copy() - between a bio and whole 4 KiB pages
 * @bio: its data lies at its current iterator, whatever its segments
 * @pages: as many as the bio has blocks
 * @to_bio: direction
 */
void sextant_bio_copy(struct bio *bio, struct page **pages, bool to_bio)
{
	struct bvec_iter iter;
	struct bio_vec segment;
	size_t at = 0;

	bio_for_each_segment(segment, bio, iter) {
		size_t done = 0;

		while (done < segment.bv_len) {
			char *page = page_address(pages[at >> SEXTANT_BLOCK_SHIFT]);
			size_t offset = at & (SEXTANT_BLOCK_BYTES - 1);
			size_t bytes = min_t(size_t, segment.bv_len - done,
					     SEXTANT_BLOCK_BYTES - offset);

			if (to_bio)
				memcpy_to_page(segment.bv_page, segment.bv_offset + done,
					       page + offset, bytes);
			else
				memcpy_from_page(page + offset, segment.bv_page,
						 segment.bv_offset + done, bytes);
			done += bytes;
			at += bytes;
		}
	}
}

/* An undurable block: its record has the sealed bytes; they are opened like any other. */
static int open_hit(struct sextant_read *read, struct sextant_crypt *crypt, u32 i)
{
	struct sextant_volume *volume = read->volume;
	struct sextant_record *record = read->hits[i];
	const struct sextant_wire_record *wire = &record->frame.append.record;
	u64 offset = read->block + i - record->block_first;
	u64 lsn = record->quorum.first_lsn + offset;
	char *to = page_address(read->pages[i]);
	const struct sextant_wire_table_entry *entry;

	if (wire->kind == SEXTANT_RECORD_DISCARD) {
		memset(to, 0, SEXTANT_BLOCK_BYTES);
		return 0;
	}
	entry = sextant_table_find(&volume->table, lsn);
	if (!entry)
		return -EBADMSG;
	memcpy(to, page_address(record->pages[offset]), SEXTANT_BLOCK_BYTES);
	return sextant_open_block(volume->keys, crypt, entry, read->block + i, lsn,
				  le32_to_cpu(wire->generation), read->pages[i],
				  record->frame.seals[offset].tag);
}

/*
 * A peer's block: the epoch is the table's for that LSN, whatever the peer
 * says, and the seal covers block, LSN, epoch and generation.
 */
static int open_answer(struct sextant_read *read, struct sextant_crypt *crypt, u32 i)
{
	struct sextant_volume *volume = read->volume;
	const struct sextant_wire_block *answer = &read->blocks[i];
	const struct sextant_wire_table_entry *entry;
	u64 block = read->block + i;
	u64 lsn = le64_to_cpu(answer->lsn);
	u64 extent = le64_to_cpu(answer->extent_block);
	u32 extent_blocks = le32_to_cpu(answer->extent_blocks);

	if (answer->kind == SEXTANT_BLOCK_NEVER) {
		if (answer->lsn)
			return -EBADMSG;
		memset(page_address(read->pages[i]), 0, SEXTANT_BLOCK_BYTES);
		return 0;
	}
	if (answer->kind == SEXTANT_BLOCK_DAMAGED)
		return -EIO;
	entry = sextant_table_find(&volume->table, lsn);
	if (!entry || entry->epoch != answer->epoch || lsn > read->read_point_lsn)
		return -EBADMSG;
	if (answer->kind == SEXTANT_BLOCK_DATA)
		return sextant_open_block(volume->keys, crypt, entry, block, lsn,
					  le32_to_cpu(answer->generation), read->pages[i],
					  answer->seal.tag);
	if (block < extent || block - extent >= extent_blocks)
		return -EBADMSG;
	memset(page_address(read->pages[i]), 0, SEXTANT_BLOCK_BYTES);
	return sextant_open_discard(volume->keys, crypt, entry, extent, extent_blocks, lsn,
				    le32_to_cpu(answer->generation), answer->seal.tag);
}

/* A bad answer: counted, told, and never asked of that peer again for this read. */
static void count_fault(struct sextant_read *read, u32 peer, u64 block, int error)
{
	struct sextant_volume *volume = read->volume;

	trace_sextant_fault(volume, peer, block, error);
	spin_lock(&volume->lock);
	volume->read_faults++;
	volume->peers[peer].faults++;
	sextant_event(volume, SEXTANT_EVENT_PEER_FAULT, peer);
	spin_unlock(&volume->lock);
	read->bad_mask |= 1u << peer;
}

/* The peer would not answer: for now, or because what it has is damaged. */
static void take_refusal(struct sextant_read *read)
{
	struct sextant_volume *volume = read->volume;
	struct sextant_peer *peer = &volume->peers[read->peer];

	trace_sextant_fault(volume, read->peer, read->block, -EAGAIN);
	if (read->status == SEXTANT_ST_DAMAGED || read->status == SEXTANT_ST_IO_ERROR) {
		count_fault(read, read->peer, read->block, -EIO);
		sextant_read_direct(read);
		return;
	}
	if (read->status == SEXTANT_ST_INCOMPLETE) {
		spin_lock(&volume->lock);
		peer->incomplete_pgs = max(peer->incomplete_pgs, 1U);
		spin_unlock(&volume->lock);
	}
	sextant_read_resend(read);
}

/**
 * sextant_read_agreement() - how many peers must agree that an answer is the newest
 * @read: with an answer
 *
 * "Never written" has no seal to prove it, so a read quorum must say so.
 *
 * Return: a number of peers; 1: the one that answered is enough.
 */
u32 sextant_read_agreement(const struct sextant_read *read)
{
	u32 verify = read->volume->options.read_verify;
	u32 i;

	if (verify)
		return SEXTANT_READ_QUORUM + verify;
	if (read->sampled)
		return SEXTANT_READ_QUORUM;
	for (i = 0; i < read->count; i++)
		if (!read->hits[i] && read->blocks[i].kind == SEXTANT_BLOCK_NEVER)
			return SEXTANT_READ_QUORUM;
	return 1;
}

/*
 * What one more peer says of the versions. Both it and the answerer claimed to
 * be complete up to the read point, so whoever has the older version is wrong:
 * at once if that is the one asked now, since the answer has been verified; a
 * newer one must be shown first. True when enough agree; false: sent on.
 */
static bool take_confirmation(struct sextant_read *read)
{
	u32 i;

	for (i = 0; i < read->count; i++) {
		u64 lsn = le64_to_cpu(read->blocks[i].lsn);

		if (read->hits[i] || read->confirm_lsns[i] == lsn)
			continue;
		if (read->confirm_lsns[i] > lsn) {
			sextant_read_ask_only(read, read->peer);
			return false;
		}
		count_fault(read, read->peer, read->block + i, -ESTALE);
		sextant_read_direct(read);
		return false;
	}
	read->agreed_mask |= 1u << read->peer;
	if (hweight8(read->agreed_mask) >= sextant_read_agreement(read))
		return true;
	sextant_read_direct(read);
	return false;
}

/* All blocks are there. They are shown only under a lease, by a volume that lives. */
static void complete_read(struct sextant_read *read)
{
	struct sextant_volume *volume = read->volume;
	bool dead, leased;

	spin_lock(&volume->lock);
	dead = sextant_volume_dead(volume);
	leased = sextant_lease_stands(volume);
	spin_unlock(&volume->lock);
	if (dead) {
		sextant_read_finish(read, BLK_STS_IOERR);
	} else if (!leased) {
		sextant_read_park(read);
	} else {
		sextant_bio_copy(sextant_io_bio(read->io), read->pages, true);
		sextant_read_finish(read, BLK_STS_OK);
	}
}

/* Was this a sample that nobody could confirm? Then the answer stands. */
static bool given_up(const struct sextant_read *read)
{
	return read->confirming && sextant_read_agreement(read) == 1;
}

/* Every part is open, or one of them is not: the first that failed decides. */
static void parts_opened(struct sextant_read *read)
{
	u32 i;

	for (i = 0; i < SEXTANT_READ_PARTS; i++) {
		const struct sextant_read_part *part = &read->parts[i];

		if (!part->error)
			continue;
		if (read->hits[part->bad]) {
			sextant_read_finish(read, BLK_STS_IOERR);
			return;
		}
		count_fault(read, read->peer, read->block + part->bad, part->error);
		read->confirming = false;
		read->agreed_mask = 0;
		sextant_read_direct(read);
		return;
	}
	if (!sextant_read_misses(read) || sextant_read_agreement(read) == 1)
		complete_read(read);
	else
		sextant_read_confirm(read);
}

/* Opens the blocks of one part; whoever opens the last one goes on with the read. */
static void open_part(struct sextant_read_part *part)
{
	struct sextant_read *read = part->read;
	struct sextant_crypt *crypt = mempool_alloc(&read->volume->crypt_pool, GFP_NOIO);
	u32 i;

	for (i = part->first; i < part->end && !part->error; i++) {
		part->bad = i;
		part->error = read->hits[i] ? open_hit(read, crypt, i) :
					      open_answer(read, crypt, i);
	}
	mempool_free(crypt, &read->volume->crypt_pool);
	if (atomic_dec_and_test(&read->parts_left))
		parts_opened(read);
}

static void open_part_work(struct work_struct *work)
{
	open_part(container_of(work, struct sextant_read_part, work));
}

/*
 * A large read is opened in two parts, on two processors if there are. Neither
 * waits for the other: the queue's rescuer may have to run both.
 */
static void open_parts(struct sextant_read *read)
{
	u32 middle = read->count < PARTED_BLOCKS_MIN ? read->count : read->count / 2;
	bool parted = middle < read->count;

	read->parts[0] = (struct sextant_read_part){ .read = read, .end = middle };
	read->parts[1] = (struct sextant_read_part){ .read = read, .first = middle,
						     .end = read->count };
	atomic_set(&read->parts_left, parted ? 2 : 1);
	if (parted) {
		INIT_WORK(&read->parts[1].work, open_part_work);
		queue_work(read->volume->read_wq, &read->parts[1].work);
	}
	open_part(&read->parts[0]);
}

/**
 * sextant_read_work() - the next step of a read that has an answer, or an end
 * @work: of a struct sextant_read, owned by this work
 *
 * Runs on the volume's reading queue, many at a time, or in the receiver.
 * Plaintext stays in the bounce pages, which are wiped before they go back to
 * the pool.
 */
void sextant_read_work(struct work_struct *work)
{
	struct sextant_read *read = container_of(work, struct sextant_read, work);

	if (read->ending)
		sextant_read_finish(read, read->end_status);
	else if (sextant_read_misses(read) && read->status != SEXTANT_ST_OK)
		take_refusal(read);
	else if (!read->confirming)
		open_parts(read);
	else if (given_up(read) || take_confirmation(read))
		complete_read(read);
}
