// SPDX-License-Identifier: GPL-2.0
/*
 * The states of a volume and the ways between them.
 *
 *   UNATTACHED --ATTACH_BEGIN--> ATTACHING --START--> RUNNING
 *   RUNNING --STOP, or no table left--> STOPPING --drained--> STOPPED
 *   RUNNING, STOPPING --higher table--> FENCED    --DISCARD--> FAILED
 *   anything but RUNNING, STOPPING --ATTACH_BEGIN--> ATTACHING
 *
 * Nothing that completed is dropped on a live volume: records go only when VDL
 * has passed them, or in FENCED and FAILED, when no I/O succeeds any more.
 */
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "connection.h"
#include "event.h"
#include "keys.h"
#include "read.h"
#include "record.h"
#include "volume.h"

/* How long peers are given to take the goodbye before their sockets close. */
#define RELEASE_TIMEOUT		HZ

/* Takes all that waits; what runs in a worker sees the state and ends by itself. */
static void take_everything(struct sextant_volume *volume, struct list_head *ios)
{
	lockdep_assert_held(&volume->lock);
	list_splice_init(&volume->waiters, ios);
	spin_lock(&volume->inbox_lock);
	list_splice_tail_init(&volume->inbox, ios);
	list_splice_tail_init(&volume->read_inbox, ios);
	spin_unlock(&volume->inbox_lock);
	sextant_reads_fail(volume, BLK_STS_IOERR, false);
}

static bool running(const struct sextant_volume *volume)
{
	return volume->state == SEXTANT_VOLUME_RUNNING || volume->state == SEXTANT_VOLUME_STOPPING;
}

/*
 * Gives up every queued record, in a volume where no I/O succeeds any more: at
 * once, since the submit worker may wait for the memory they hold.
 */
static void drop_records(struct sextant_volume *volume, struct list_head *freed)
{
	struct sextant_record *record;
	struct sextant_pg *pg;
	unsigned long index;
	u32 peer;

	lockdep_assert_held(&volume->lock);
	list_for_each_entry(record, &volume->records, link) {
		if (!RB_EMPTY_NODE(&record->node))
			sextant_overlay_remove(&volume->overlay, record);
		RB_CLEAR_NODE(&record->node);
	}
	list_splice_init(&volume->records, freed);
	xa_for_each(&volume->pgs, index, pg)
		memset(&pg->quorum, 0, sizeof(pg->quorum));
	for (peer = 0; peer < SEXTANT_PEERS; peer++)
		if (volume->peers[peer].connection)
			volume->peers[peer].connection->next = NULL;
	sextant_quorum_init(&volume->quorum, sextant_volume_vdl(volume));
	volume->queued_bytes = 0;
	volume->kept_bytes = 0;
	volume->dirty_bytes = 0;
}

/* From a running state into a dead one: all I/O ends with an error, for good. */
static void die(struct sextant_volume *volume, enum sextant_volume_state state, u32 epoch,
		const char *holder)
{
	LIST_HEAD(freed);
	LIST_HEAD(ios);

	spin_lock(&volume->lock);
	if (!running(volume) && !(volume->state == SEXTANT_VOLUME_FENCED &&
				  state == SEXTANT_VOLUME_FAILED)) {
		spin_unlock(&volume->lock);
		return;
	}
	volume->state = state;
	if (state == SEXTANT_VOLUME_FENCED) {
		volume->holder_epoch = epoch;
		strscpy(volume->holder, holder, sizeof(volume->holder));
		sextant_event(volume, SEXTANT_EVENT_FENCED, 0);
	}
	take_everything(volume, &ios);
	drop_records(volume, &freed);
	sextant_connections_wake(volume);
	sextant_volume_drained(volume);
	spin_unlock(&volume->lock);
	sextant_io_end_list(&ios, BLK_STS_IOERR);
	sextant_records_put_list(&freed);
	sextant_keys_wipe(volume->keys);
}

/**
 * sextant_volume_fence() - a higher table is accepted: this writer has ended
 * @volume: whose
 * @epoch: of the higher ballot
 * @holder: who owns it
 *
 * Context: may sleep, no locks.
 */
void sextant_volume_fence(struct sextant_volume *volume, u32 epoch, const char *holder)
{
	die(volume, SEXTANT_VOLUME_FENCED, epoch, holder);
}

/**
 * sextant_volume_discard() - give up what could not be drained
 * @volume: whose
 *
 * Context: may sleep, no locks. Completed but unflushed writes are lost, so no
 * I/O succeeds until the volume is attached again.
 */
void sextant_volume_discard(struct sextant_volume *volume)
{
	die(volume, SEXTANT_VOLUME_FAILED, 0, "");
}

/**
 * sextant_volume_drained() - look whether a stop can go on
 * @volume: a record became durable, or the state changed
 *
 * Context: volume->lock held, or the caller is the only one to change the state.
 */
void sextant_volume_drained(struct sextant_volume *volume)
{
	if (volume->state == SEXTANT_VOLUME_RUNNING ||
	    (volume->state == SEXTANT_VOLUME_STOPPING && volume->quorum.head))
		return;
	kref_get(&volume->refs);		/* the work's, which may be queued while it runs */
	if (!queue_work(sextant_lifecycle_wq, &volume->stop_work))
		sextant_volume_put(volume);
}

/**
 * sextant_volume_stop() - take no new I/O and drain
 * @volume: running, else nothing happens
 *
 * Context: no locks but volumes_mutex; does not wait.
 */
void sextant_volume_stop(struct sextant_volume *volume)
{
	spin_lock(&volume->lock);
	if (volume->state == SEXTANT_VOLUME_RUNNING) {
		volume->state = SEXTANT_VOLUME_STOPPING;
		sextant_connections_wake(volume);
		sextant_volume_drained(volume);
	}
	spin_unlock(&volume->lock);
}

static bool all_released(struct sextant_volume *volume)
{
	bool all = true;
	u32 peer;

	spin_lock(&volume->lock);
	for (peer = 0; peer < SEXTANT_PEERS; peer++) {
		struct sextant_connection *connection = volume->peers[peer].connection;

		all = all && (!connection || connection->released);
	}
	spin_unlock(&volume->lock);
	return all;
}

/* Peers learn that the lease is over, so that the next attach need not wait for it. */
static void release_lease(struct sextant_volume *volume)
{
	u32 peer;

	spin_lock(&volume->lock);
	for (peer = 0; peer < SEXTANT_PEERS; peer++)
		if (volume->peers[peer].connection)
			volume->peers[peer].connection->release = true;
	sextant_connections_wake(volume);
	spin_unlock(&volume->lock);
	wait_event_timeout(volume->connections_wait, all_released(volume), RELEASE_TIMEOUT);
}

static void finish_stop(struct sextant_volume *volume)
{
	LIST_HEAD(ios);

	release_lease(volume);
	spin_lock(&volume->lock);
	if (volume->state != SEXTANT_VOLUME_STOPPING) {	/* fenced meanwhile */
		spin_unlock(&volume->lock);
		return;
	}
	volume->state = SEXTANT_VOLUME_STOPPED;
	volume->unattached_jiffies = jiffies;
	sextant_reads_fail(volume, BLK_STS_IOERR, false);
	spin_unlock(&volume->lock);
	sextant_connections_break(volume);
	sextant_keys_wipe(volume->keys);
	sextant_event_now(volume, SEXTANT_EVENT_STOPPED);
}

/*
 * One step of a stop: wait for the submit worker, which may hold a bio whose
 * record is not queued yet, and look again. With no table left, forget.
 */
static void stop_work(struct work_struct *work)
{
	struct sextant_volume *volume = container_of(work, struct sextant_volume, stop_work);
	bool drained;

	flush_work(&volume->submit_work);
	spin_lock(&volume->lock);
	drained = volume->state == SEXTANT_VOLUME_STOPPING && !volume->quorum.head;
	spin_unlock(&volume->lock);
	if (drained)
		finish_stop(volume);
	if (!running(volume))
		sextant_volume_forget(volume);
	sextant_volume_put(volume);
}

void sextant_lifecycle_init(struct sextant_volume *volume)
{
	INIT_WORK(&volume->stop_work, stop_work);
}

static void drop_pgs(struct sextant_volume *volume)
{
	struct sextant_pg *pg;
	unsigned long index;

	INIT_LIST_HEAD(&volume->changed_pgs);
	xa_for_each(&volume->pgs, index, pg) {
		xa_erase(&volume->pgs, index);
		kfree(pg);
	}
}

/**
 * sextant_volume_clear_attach() - undo everything that an attach has made
 * @volume: not running: nothing new starts
 *
 * Context: volume->config held, memalloc_noio. Waits for the connections'
 * threads and for workers that still look at the old attach; not for I/O.
 */
void sextant_volume_clear_attach(struct sextant_volume *volume)
{
	LIST_HEAD(freed);

	lockdep_assert_held(&volume->config);
	sextant_connections_break(volume);
	sextant_connections_drain(volume);
	spin_lock(&volume->lock);
	sextant_reads_fail(volume, BLK_STS_IOERR, false);
	spin_unlock(&volume->lock);
	flush_workqueue(volume->submit_wq);
	flush_workqueue(volume->read_wq);
	spin_lock(&volume->lock);
	drop_records(volume, &freed);
	memset(volume->peers, 0, sizeof(volume->peers));
	volume->holder[0] = 0;
	volume->holder_epoch = 0;
	spin_unlock(&volume->lock);
	sextant_records_put_list(&freed);
	drop_pgs(volume);
	sextant_keys_wipe(volume->keys);
	kvfree(volume->table_entries);
	volume->table_entries = NULL;
	volume->table.entries = NULL;
	volume->table.count = 0;
	volume->attach_id_fresh = false;
	volume->plain = false;
}

/**
 * sextant_volume_start() - the attach is chosen: run
 * @volume: attaching; keys, table, tails and peers are set
 * @start: what the attach has found
 *
 * Uses the attach id up, unless the generation's key is not there.
 *
 * Context: volume->config held. Return: 0, or why the keys would not start;
 * then nothing has changed.
 */
int sextant_volume_start(struct sextant_volume *volume, const struct sextant_start *start)
{
	u32 peer;
	int r;

	lockdep_assert_held(&volume->config);
	r = sextant_keys_start(volume->keys, start->generation, start->epoch, volume->attach_id,
			       start->vdl + 1);
	if (r != -ENOKEY)
		volume->attach_id_fresh = false;
	if (r)
		return r;
	volume->size_blocks = start->size_blocks;
	volume->pg_blocks = start->pg_blocks;
	volume->generation = start->generation;
	volume->lease_ms = start->lease_ms;
	volume->plain = start->plain;
	memcpy(volume->local_az, start->local_az, sizeof(volume->local_az));
	spin_lock(&volume->lock);
	volume->ballot.epoch = start->epoch;
	memcpy(volume->ballot.attach_id, volume->attach_id, SEXTANT_ATTACH_ID_BYTES);
	sextant_quorum_init(&volume->quorum, start->vdl);
	volume->next_lsn = start->vdl + 1;
	volume->read_faults = 0;
	volume->blocks_read = 0;
	volume->blocks_written = 0;
	for (peer = 0; peer < SEXTANT_PEERS; peer++)
		if (volume->peers[peer].connection)
			volume->peers[peer].connection->heard_jiffies = jiffies;
	volume->state = SEXTANT_VOLUME_RUNNING;
	sextant_quorum_update(volume);
	sextant_connections_wake(volume);
	spin_unlock(&volume->lock);
	sextant_submit_kick(volume);
	return 0;
}

/**
 * sextant_volume_use_table() - a table becomes live
 * @volume: that it names
 * @options: of the table
 * @sectors: its length
 *
 * Return: 0, or -ERANGE when the table is longer than the volume that runs.
 */
int sextant_volume_use_table(struct sextant_volume *volume, const struct sextant_options *options,
			     sector_t sectors)
{
	int r = 0;

	spin_lock(&volume->lock);
	if (running(volume) &&
	    sectors > volume->size_blocks << (SEXTANT_BLOCK_SHIFT - SECTOR_SHIFT)) {
		r = -ERANGE;
	} else {
		volume->options = *options;
		volume->table_sectors = sectors;
	}
	spin_unlock(&volume->lock);
	return r;
}

/**
 * sextant_volume_suspend_noflush() - hand every waiting bio back
 * @volume: whose
 *
 * Records stay queued and are sent: a bio that comes back is written again
 * under new LSNs, which no reader can tell from one write. Context: presuspend.
 */
void sextant_volume_suspend_noflush(struct sextant_volume *volume)
{
	LIST_HEAD(ios);

	spin_lock(&volume->lock);
	volume->requeue = true;
	list_splice_init(&volume->waiters, &ios);
	sextant_reads_fail(volume, BLK_STS_DM_REQUEUE, false);
	spin_unlock(&volume->lock);
	sextant_io_end_list(&ios, BLK_STS_DM_REQUEUE);
	sextant_submit_kick(volume);
}

void sextant_volume_resume(struct sextant_volume *volume)
{
	spin_lock(&volume->lock);
	volume->requeue = false;
	spin_unlock(&volume->lock);
	sextant_submit_kick(volume);
}
