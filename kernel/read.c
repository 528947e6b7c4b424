// SPDX-License-Identifier: GPL-2.0
/*
 * Reads: what the overlay has is opened from there; the rest is asked of one
 * peer, the next one on any fault. This file decides who is asked and when;
 * read_verify.c looks at the answers.
 */
#include <linux/slab.h>

#include "connection.h"
#include "event.h"
#include "read.h"
#include "record.h"
#include "seal.h"
#include "trace.h"

#define READS_RESERVED		2
/* One read in so many is checked for freshness, whatever read_verify says. */
#define SAMPLE_INTERVAL		100
#define READ_PAGES_RESERVED	(READS_RESERVED * SEXTANT_RECORD_BLOCKS_MAX)

static void *crypt_pool_alloc(gfp_t gfp, void *keys)
{
	return sextant_crypt_alloc(keys, gfp);
}

static void crypt_pool_free(void *crypt, void *keys)
{
	sextant_crypt_free(crypt);
}

/**
 * sextant_read_pools_init() - reserve what a read needs
 * @volume: with its keys allocated
 *
 * Context: may sleep. Return: 0 or -ENOMEM, with nothing kept.
 */
int sextant_read_pools_init(struct sextant_volume *volume)
{
	int r = mempool_init_kmalloc_pool(&volume->read_pool, READS_RESERVED,
					  sizeof(struct sextant_read));

	if (r)
		return r;
	r = mempool_init_page_pool(&volume->read_pages, READ_PAGES_RESERVED, 0);
	if (r)
		goto exit_reads;
	r = mempool_init(&volume->crypt_pool, READS_RESERVED, crypt_pool_alloc, crypt_pool_free,
			 volume->keys);
	if (r)
		goto exit_pages;
	return 0;

exit_pages:
	mempool_exit(&volume->read_pages);
exit_reads:
	mempool_exit(&volume->read_pool);
	return r;
}

void sextant_read_pools_exit(struct sextant_volume *volume)
{
	mempool_exit(&volume->crypt_pool);
	mempool_exit(&volume->read_pages);
	mempool_exit(&volume->read_pool);
}

static void read_free(struct sextant_volume *volume, struct sextant_read *read)
{
	u32 i;

	for (i = 0; i < SEXTANT_RECORD_BLOCKS_MAX; i++) {
		if (read->pages[i]) {
			clear_page(page_address(read->pages[i]));	/* it held plaintext */
			mempool_free(read->pages[i], &volume->read_pages);
		}
		if (read->hits[i])
			sextant_record_put(read->hits[i]);
	}
	mempool_free(read, &volume->read_pool);
}

/*
 * Does not wait: the pools come back from works of the same queue. NULL means
 * "later"; a read that ends looks at the inbox again, and with no read in
 * flight the reserves are enough for one.
 */
static struct sextant_read *read_alloc(struct sextant_volume *volume, struct sextant_io *io)
{
	struct bio *bio = sextant_io_bio(io);
	struct sextant_read *read = mempool_alloc(&volume->read_pool, GFP_NOWAIT);
	u32 i;

	if (!read)
		return NULL;
	memset(read, 0, sizeof(*read));
	INIT_WORK(&read->work, sextant_read_work);
	INIT_LIST_HEAD(&read->queue);
	INIT_LIST_HEAD(&read->link);
	read->volume = volume;
	read->io = io;
	read->state = SEXTANT_READ_OWNED;
	read->block = bio->bi_iter.bi_sector >> (SEXTANT_BLOCK_SHIFT - SECTOR_SHIFT);
	read->count = bio_sectors(bio) >> (SEXTANT_BLOCK_SHIFT - SECTOR_SHIFT);
	read->pg = div_u64(read->block, volume->pg_blocks);
	for (i = 0; i < read->count; i++) {
		read->pages[i] = mempool_alloc(&volume->read_pages, GFP_NOWAIT);
		if (!read->pages[i]) {
			read_free(volume, read);
			return NULL;
		}
	}
	return read;
}

/* Is there a block that only a peer can answer? */
bool sextant_read_misses(const struct sextant_read *read)
{
	u32 i;

	for (i = 0; i < read->count; i++)
		if (!read->hits[i])
			return true;
	return false;
}

/*
 * Fixes what the read shall see: undurable records and, under the same lock,
 * the read point. Moves it to the end of the reads, which are by read point.
 */
static void read_aim(struct sextant_read *read)
{
	struct sextant_volume *volume = read->volume;
	struct sextant_pg *pg = xa_load(&volume->pgs, read->pg);
	u32 i;

	lockdep_assert_held(&volume->lock);
	for (i = 0; i < read->count; i++) {
		struct sextant_record *old = read->hits[i];

		read->hits[i] = sextant_overlay_find(&volume->overlay, read->block + i);
		if (read->hits[i])
			sextant_record_get(read->hits[i]);
		if (old)
			sextant_record_put(old);
	}
	read->read_point_lsn = sextant_volume_vdl(volume);
	read->tail_lsn = pg ? pg->durable_lsn : 0;
	read->tail_epoch = pg ? pg->durable_epoch : 0;
	read->confirming = false;
	read->agreed_mask = 0;
	list_move_tail(&read->link, &volume->reads);
}

/* The end, by the read's own work: bios are not ended under a lock. */
void sextant_read_end_later(struct sextant_read *read, blk_status_t status)
{
	read->ending = true;
	read->end_status = status;
	read->state = SEXTANT_READ_OWNED;
	queue_work(read->volume->read_wq, &read->work);
}

/* Lower is better: complete ones first, then the same AZ, then the quickest. */
static u64 peer_cost(const struct sextant_volume *volume, const struct sextant_peer *peer)
{
	u64 cost = peer->rtt_us ? peer->rtt_us : U32_MAX;

	if (strcmp(peer->az, volume->local_az))
		cost += 1ULL << 33;
	if (peer->incomplete_pgs)
		cost += 1ULL << 34;
	return cost;
}

static int choose_peer(struct sextant_volume *volume, u8 exclude)
{
	u64 best_cost = U64_MAX;
	int best = -1;
	int i;

	for (i = 0; i < SEXTANT_PEERS; i++) {
		const struct sextant_peer *peer = &volume->peers[i];
		u64 cost;

		if (!peer->connection || (exclude & (1u << i)))
			continue;
		cost = peer_cost(volume, peer);
		if (cost < best_cost) {
			best_cost = cost;
			best = i;
		}
	}
	return best;
}

/* A sample that nobody else can confirm now is let pass: it was not asked for. */
static bool sample_given_up(struct sextant_read *read)
{
	if (!read->confirming || !read->sampled)
		return false;
	read->sampled = false;
	if (sextant_read_agreement(read) > 1)
		return false;
	read->status = SEXTANT_ST_OK;
	queue_work(read->volume->read_wq, &read->work);
	return true;
}

/*
 * Nobody can be asked now. If every peer there is has given a bad answer, no
 * wait will mend that; else the tick, a connection or the lease tries again.
 */
static void read_give_way(struct sextant_read *read)
{
	struct sextant_volume *volume = read->volume;

	if (read->bad_mask == (1u << SEXTANT_PEERS) - 1)
		sextant_read_end_later(read, BLK_STS_IOERR);
	else if (volume->requeue)
		sextant_read_end_later(read, BLK_STS_DM_REQUEUE);
	else if (!sample_given_up(read))
		read->state = SEXTANT_READ_PARKED;
}

/*
 * Queues the read for the best peer not yet tried, whose connection is
 * returned; or NULL: it is parked, or goes on by itself. volume->lock held.
 */
static struct sextant_connection *read_queue(struct sextant_read *read)
{
	struct sextant_volume *volume = read->volume;
	struct sextant_connection *connection;
	int peer;

	lockdep_assert_held(&volume->lock);
	if (sextant_volume_dead(volume) || volume->state == SEXTANT_VOLUME_STOPPED) {
		sextant_read_end_later(read, BLK_STS_IOERR);
		return NULL;
	}
	read->state = SEXTANT_READ_OWNED;
	if (!sextant_read_misses(read)) {
		read->status = SEXTANT_ST_OK;
		queue_work(volume->read_wq, &read->work);
		return NULL;
	}
	peer = choose_peer(volume, read->bad_mask | read->slow_mask | read->agreed_mask);
	if (peer < 0) {
		read_give_way(read);
		return NULL;
	}
	connection = volume->peers[peer].connection;
	read->peer = peer;
	read->cookie = ++volume->read_cookie;
	read->deadline_jiffies = jiffies + msecs_to_jiffies(volume->options.read_timeout_ms);
	read->state = SEXTANT_READ_QUEUED;
	list_add_tail(&read->queue, &connection->reads_queued);
	return connection;
}

/* Queues the read and leaves the sending to the connection's thread. */
static void read_route(struct sextant_read *read)
{
	struct sextant_connection *connection = read_queue(read);

	if (connection)
		wake_up(&connection->wait);
}

/**
 * sextant_read_resend() - this try came to nothing: ask the next peer
 * @read: owned by the caller
 *
 * Context: no locks.
 */
void sextant_read_resend(struct sextant_read *read)
{
	spin_lock(&read->volume->lock);
	read->slow_mask |= 1u << read->peer;
	read_route(read);
	spin_unlock(&read->volume->lock);
}

/**
 * sextant_read_direct() - ask on, after the masks or the phase were changed
 * @read: owned by the caller
 *
 * Context: no locks.
 */
void sextant_read_direct(struct sextant_read *read)
{
	spin_lock(&read->volume->lock);
	read_route(read);
	spin_unlock(&read->volume->lock);
}

/**
 * sextant_read_confirm() - ask others whether the answer is the newest there is
 * @read: owned by the caller, with a verified answer
 *
 * Context: no locks.
 */
void sextant_read_confirm(struct sextant_read *read)
{
	spin_lock(&read->volume->lock);
	read->answerer = read->peer;
	read->agreed_mask = 1u << read->peer;
	read->slow_mask = 0;
	read->confirming = true;
	read_route(read);
	spin_unlock(&read->volume->lock);
}

/**
 * sextant_read_ask_only() - another peer claims a newer version: let it show it
 * @read: owned by the caller
 * @peer: who claims; the others are not asked until it has answered
 *
 * Context: no locks.
 */
void sextant_read_ask_only(struct sextant_read *read, u32 peer)
{
	spin_lock(&read->volume->lock);
	read->confirming = false;
	read->agreed_mask = 0;
	read->slow_mask = ~(1u << peer);
	read_route(read);
	spin_unlock(&read->volume->lock);
}

/**
 * sextant_read_park() - the answer may not be used now: start over later
 * @read: owned by the caller
 *
 * Context: no locks.
 */
void sextant_read_park(struct sextant_read *read)
{
	spin_lock(&read->volume->lock);
	if (sextant_volume_dead(read->volume))
		sextant_read_end_later(read, BLK_STS_IOERR);
	else
		read_give_way(read);
	spin_unlock(&read->volume->lock);
}

/**
 * sextant_read_take() - the receiver has an answer: whose?
 * @connection: it came over
 * @cookie: it answers
 * @alone: set to whether this connection owes no other answer now
 *
 * Context: the receiver, no locks. Return: the read, owned by the caller, or
 * NULL when nobody waits for this answer any more.
 */
struct sextant_read *sextant_read_take(struct sextant_connection *connection, u64 cookie,
				       bool *alone)
{
	struct sextant_volume *volume = connection->volume;
	struct sextant_read *read;

	spin_lock(&volume->lock);
	list_for_each_entry(read, &connection->reads_sent, queue) {
		if (read->cookie != cookie)
			continue;
		list_del_init(&read->queue);
		*alone = list_empty(&connection->reads_sent);
		read->state = SEXTANT_READ_OWNED;
		spin_unlock(&volume->lock);
		return read;
	}
	spin_unlock(&volume->lock);
	return NULL;
}

/* A connection broke: its reads go to other peers. volume->lock held. */
void sextant_reads_of_broken(struct sextant_connection *connection)
{
	struct sextant_read *read, *next;
	LIST_HEAD(orphans);

	lockdep_assert_held(&connection->volume->lock);
	list_splice_init(&connection->reads_sent, &orphans);
	list_splice_tail_init(&connection->reads_queued, &orphans);
	list_for_each_entry_safe(read, next, &orphans, queue) {
		list_del_init(&read->queue);
		read->slow_mask |= 1u << connection->peer;
		read_route(read);
	}
}

/**
 * sextant_reads_unpark() - something changed: try the parked reads again
 * @volume: whose
 *
 * Context: no locks.
 */
void sextant_reads_unpark(struct sextant_volume *volume)
{
	struct sextant_read *read, *next;
	LIST_HEAD(parked);

	spin_lock(&volume->lock);
	list_for_each_entry(read, &volume->reads, link)
		if (read->state == SEXTANT_READ_PARKED)
			list_add_tail(&read->queue, &parked);
	list_for_each_entry_safe(read, next, &parked, queue) {
		list_del_init(&read->queue);
		read->slow_mask = 0;
		read_aim(read);
		read_route(read);
	}
	spin_unlock(&volume->lock);
}

/**
 * sextant_reads_fail() - end reads for good
 * @volume: whose
 * @status: to end them with
 * @parked_only: leave those that a peer may still answer
 *
 * Reads that the receiver or a worker owns end by themselves.
 * Context: volume->lock held.
 */
void sextant_reads_fail(struct sextant_volume *volume, blk_status_t status, bool parked_only)
{
	struct sextant_read *read;

	lockdep_assert_held(&volume->lock);
	list_for_each_entry(read, &volume->reads, link) {
		if (read->state == SEXTANT_READ_OWNED ||
		    (parked_only && read->state != SEXTANT_READ_PARKED))
			continue;
		list_del_init(&read->queue);
		sextant_read_end_later(read, status);
	}
}

/**
 * sextant_reads_tick() - time-outs of reads
 * @volume: whose
 *
 * Context: the tick, no locks.
 */
void sextant_reads_tick(struct sextant_volume *volume)
{
	struct sextant_read *read;
	unsigned long patience;
	u32 parked = 0;

	spin_lock(&volume->lock);
	patience = volume->options.no_quorum_s * HZ;
	list_for_each_entry(read, &volume->reads, link) {
		if (read->state == SEXTANT_READ_PARKED) {
			parked++;
			if (patience && time_after(jiffies, read->io->started_jiffies + patience))
				sextant_read_end_later(read, BLK_STS_IOERR);
		} else if (read->state != SEXTANT_READ_OWNED &&
			   time_after(jiffies, read->deadline_jiffies)) {
			trace_sextant_fault(volume, read->peer, read->block, -ETIMEDOUT);
			list_del_init(&read->queue);
			read->slow_mask |= 1u << read->peer;
			read_route(read);
		}
	}
	volume->reads_parked = parked;
	spin_unlock(&volume->lock);
	if (parked)
		sextant_reads_unpark(volume);
}

/**
 * sextant_read_finish() - end the bio and free the read
 * @read: owned by the caller; gone afterwards
 * @status: for the bio; its pages are filled if BLK_STS_OK
 *
 * Context: no locks.
 */
void sextant_read_finish(struct sextant_read *read, blk_status_t status)
{
	struct sextant_volume *volume = read->volume;
	struct sextant_io *io = read->io;

	spin_lock(&volume->lock);
	list_del_init(&read->link);
	volume->reads_count--;
	if (status == BLK_STS_OK)
		volume->blocks_read += read->count;
	spin_unlock(&volume->lock);
	read_free(volume, read);
	sextant_io_end(io, status);
	if (!list_empty_careful(&volume->read_inbox))
		queue_work(volume->read_wq, &volume->read_work);
}

/* What becomes of the first read in the inbox. */
static bool read_start(struct sextant_volume *volume, struct sextant_io *io)
{
	struct sextant_read *read = read_alloc(volume, io);
	struct sextant_connection *connection;

	if (!read)
		return false;
	spin_lock(&volume->lock);
	volume->reads_count++;
	read->sampled = ++volume->reads_started % SAMPLE_INTERVAL == 0;
	read_aim(read);
	connection = read_queue(read);
	if (connection)
		refcount_inc(&connection->refs);
	trace_sextant_read(volume, read);
	spin_unlock(&volume->lock);
	if (connection) {
		sextant_send_now(connection);
		sextant_connection_put(connection);
	}
	return true;
}

/**
 * sextant_reads_start() - start reads that map() took
 * @volume: whose
 *
 * What cannot be started now stays in the inbox; whatever changes that queues
 * volume->read_work.
 *
 * Context: map() or a worker, no locks; does not wait.
 */
void sextant_reads_start(struct sextant_volume *volume)
{
	for (;;) {
		bool dead, requeue, wait;
		struct sextant_io *io;

		spin_lock(&volume->lock);
		dead = sextant_volume_dead(volume);
		requeue = volume->requeue;
		wait = volume->state != SEXTANT_VOLUME_RUNNING ||
		       volume->reads_count >= SEXTANT_READS_MAX;
		spin_unlock(&volume->lock);
		if (wait && !dead && !requeue)
			return;
		spin_lock(&volume->inbox_lock);
		io = list_first_entry_or_null(&volume->read_inbox, struct sextant_io, link);
		if (io)
			list_del_init(&io->link);
		spin_unlock(&volume->inbox_lock);
		if (!io)
			return;
		if (dead || requeue) {
			sextant_io_end(io, dead ? BLK_STS_IOERR : BLK_STS_DM_REQUEUE);
		} else if (!read_start(volume, io)) {
			spin_lock(&volume->inbox_lock);
			list_add(&io->link, &volume->read_inbox);
			spin_unlock(&volume->inbox_lock);
			return;
		}
	}
}

void sextant_read_inbox_work(struct work_struct *work)
{
	sextant_reads_start(container_of(work, struct sextant_volume, read_work));
}
