// SPDX-License-Identifier: GPL-2.0
/* From acknowledgements to VDL, and from VDL to completions. */
#include "connection.h"
#include "record.h"
#include "trace.h"
#include "volume.h"

/* VDL has reached this record: reads find it at the peers from now on. */
static void record_durable(struct sextant_volume *volume, struct sextant_record *record)
{
	struct sextant_pg *pg = container_of(record->quorum.pg, struct sextant_pg, quorum);

	lockdep_assert_held(&volume->lock);
	if (!RB_EMPTY_NODE(&record->node)) {
		sextant_overlay_remove(&volume->overlay, record);
		RB_CLEAR_NODE(&record->node);
	}
	pg->durable_lsn = record->quorum.last_lsn;
	pg->durable_epoch = volume->ballot.epoch;
	list_move_tail(&pg->changed, &volume->changed_pgs);
	volume->queued_bytes -= record->bytes;
	volume->kept_bytes += record->bytes;
	if (record->completed_early)
		volume->dirty_bytes -= record->bytes;
}

static void take_ended_waiters(struct sextant_volume *volume, struct list_head *ended)
{
	struct sextant_io *io, *next;

	list_for_each_entry_safe(io, next, &volume->waiters, link) {
		if (io->lsn > sextant_volume_vdl(volume))
			break;
		list_move_tail(&io->link, ended);
	}
}

/* Does a live connection still have to send this record, the list's first? */
static bool record_wanted(struct sextant_volume *volume, struct sextant_record *record, bool skip)
{
	bool wanted = false;
	u32 peer;

	for (peer = 0; peer < SEXTANT_PEERS; peer++) {
		struct sextant_connection *connection = volume->peers[peer].connection;

		if (!connection || connection->next != record)
			continue;
		wanted = true;
		if (!skip)
			continue;
		connection->next = list_is_last(&record->link, &volume->records) ? NULL :
				   list_next_entry(record, link);
	}
	return wanted;
}

/**
 * sextant_records_trim() - drop durable records that nobody has to send
 * @volume: whose
 * @freed: they are moved here; sextant_records_put_list() after the lock
 *
 * A durable record is kept for a slow peer up to the bound of its queue; then
 * the peer's stream skips it, the peer sees the hole and gossip fills it.
 *
 * Context: volume->lock held.
 */
void sextant_records_trim(struct sextant_volume *volume, struct list_head *freed)
{
	struct sextant_record *record, *next;

	lockdep_assert_held(&volume->lock);
	list_for_each_entry_safe(record, next, &volume->records, link) {
		bool skip = volume->kept_bytes > volume->options.peer_queue_bytes;

		if (record->quorum.last_lsn > sextant_volume_vdl(volume))
			return;
		if (record_wanted(volume, record, skip) && !skip)
			return;
		volume->kept_bytes -= record->bytes;
		list_move_tail(&record->link, freed);
	}
}

void sextant_records_put_list(struct list_head *freed)
{
	struct sextant_record *record, *next;

	list_for_each_entry_safe(record, next, freed, link) {
		list_del_init(&record->link);
		sextant_record_put(record);
	}
}

/*
 * Counts a run only for what this attach sealed: one that ends in another
 * epoch says nothing of our records, whatever its LSN (protocol.rst, rule ACK).
 */
static void count_run(struct sextant_volume *volume, u32 peer,
		      const struct sextant_wire_ack_run *run)
{
	struct sextant_pg *pg = xa_load(&volume->pgs, le32_to_cpu(run->pg));
	u64 end_lsn = le64_to_cpu(run->run_end_lsn);
	u32 counted;

	if (!pg || le32_to_cpu(run->run_end_epoch) != volume->ballot.epoch ||
	    end_lsn > pg->taken_lsn)
		return;
	counted = sextant_quorum_run(&volume->quorum, &pg->quorum, peer,
				     le64_to_cpu(run->run_start_lsn), end_lsn);
	trace_sextant_ack(volume, peer, pg->index, end_lsn, counted);
}

/**
 * sextant_ack_run() - a peer says what is durable there
 * @volume: whose
 * @peer: slot of the peer; ballot and incarnation are checked
 * @runs: what it says
 * @count: of runs
 *
 * Context: the peer's receiver, no locks. Ends the bios that VDL has reached.
 */
void sextant_ack_run(struct sextant_volume *volume, u32 peer,
		     const struct sextant_wire_ack_run *runs, u32 count)
{
	struct sextant_quorum_record *durable;
	LIST_HEAD(ended);
	LIST_HEAD(freed);
	bool moved = false;
	u32 i;

	spin_lock(&volume->lock);
	for (i = 0; i < count; i++)
		count_run(volume, peer, &runs[i]);
	while ((durable = sextant_quorum_pop(&volume->quorum))) {
		record_durable(volume, container_of(durable, struct sextant_record, quorum));
		moved = true;
	}
	if (moved) {
		take_ended_waiters(volume, &ended);
		sextant_records_trim(volume, &freed);
		sextant_volume_drained(volume);
	}
	spin_unlock(&volume->lock);
	sextant_io_end_list(&ended, BLK_STS_OK);
	sextant_records_put_list(&freed);
	/* There may be room now for what had to wait. */
	if (moved && !list_empty_careful(&volume->inbox))
		queue_work(volume->submit_wq, &volume->submit_work);
}

/**
 * sextant_waiters_expire() - no_quorum=error: fail what has waited too long
 * @volume: whose
 *
 * The outcome of such a write is unknown: its record stays queued and is still
 * sent. Context: the tick, no locks.
 */
void sextant_waiters_expire(struct sextant_volume *volume)
{
	struct sextant_io *io, *next;
	unsigned long patience;
	LIST_HEAD(expired);

	spin_lock(&volume->lock);
	patience = volume->options.no_quorum_s * HZ;
	if (patience && !volume->write_quorum && volume->state == SEXTANT_VOLUME_RUNNING) {
		list_for_each_entry_safe(io, next, &volume->waiters, link)
			if (time_after(jiffies, io->started_jiffies + patience))
				list_move_tail(&io->link, &expired);
		spin_lock(&volume->inbox_lock);
		list_for_each_entry_safe(io, next, &volume->inbox, link)
			if (time_after(jiffies, io->started_jiffies + patience))
				list_move_tail(&io->link, &expired);
		spin_unlock(&volume->inbox_lock);
	}
	spin_unlock(&volume->lock);
	sextant_io_end_list(&expired, BLK_STS_IOERR);
}
