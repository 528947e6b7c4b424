// SPDX-License-Identifier: GPL-2.0
/* Who is there: the write quorum, the reading lease, and the tick that sees time-outs. */
#include "connection.h"
#include "event.h"
#include "read.h"
#include "volume.h"

/**
 * sextant_quorum_update() - count again who is connected and who answers
 * @volume: whose
 *
 * Losing the write quorum stops early completion at once. Context:
 * volume->lock held; called whenever a connection or a lease changes.
 */
void sextant_quorum_update(struct sextant_volume *volume)
{
	unsigned long lease = msecs_to_jiffies(volume->lease_ms);
	u32 connected = 0, leases = 0;
	bool write_quorum;
	u32 i;

	lockdep_assert_held(&volume->lock);
	for (i = 0; i < SEXTANT_PEERS; i++) {
		const struct sextant_peer *peer = &volume->peers[i];

		connected += peer->connection != NULL;
		leases += peer->lease_valid && time_before(jiffies, peer->lease_jiffies + lease);
	}
	volume->read_lease = leases >= SEXTANT_READ_QUORUM;
	write_quorum = connected >= SEXTANT_WRITE_QUORUM;
	if (write_quorum != volume->write_quorum && volume->state == SEXTANT_VOLUME_RUNNING)
		sextant_event(volume, write_quorum ? SEXTANT_EVENT_QUORUM_BACK :
			      SEXTANT_EVENT_QUORUM_LOST, 0);
	volume->write_quorum = write_quorum;
}

/**
 * sextant_lease_stands() - may a read be answered now?
 * @volume: whose
 *
 * A read quorum has answered a heartbeat that was sent less than the lease ago,
 * so no other writer can have been started (protocol.rst, rule READ).
 *
 * Context: volume->lock held. Return: true if so.
 */
bool sextant_lease_stands(struct sextant_volume *volume)
{
	sextant_quorum_update(volume);
	return volume->read_lease;
}

/* Bios that wait for an attach which does not come. */
static void expire_unattached(struct sextant_volume *volume)
{
	LIST_HEAD(expired);
	bool late;

	spin_lock(&volume->lock);
	late = volume->state != SEXTANT_VOLUME_RUNNING &&
	       volume->state != SEXTANT_VOLUME_STOPPING &&
	       time_after(jiffies, volume->unattached_jiffies +
				   volume->options.attach_timeout_s * HZ);
	if (late || sextant_volume_dead(volume)) {
		spin_lock(&volume->inbox_lock);
		list_splice_init(&volume->inbox, &expired);
		list_splice_tail_init(&volume->read_inbox, &expired);
		spin_unlock(&volume->inbox_lock);
	}
	spin_unlock(&volume->lock);
	sextant_io_end_list(&expired, BLK_STS_IOERR);
}

/**
 * sextant_tick_work() - four times a second: what has waited too long?
 * @work: volume->tick_work
 */
void sextant_tick_work(struct work_struct *work)
{
	struct sextant_volume *volume =
		container_of(to_delayed_work(work), struct sextant_volume, tick_work);
	u32 peer;

	for (peer = 0; peer < SEXTANT_PEERS; peer++)
		sextant_connection_break_slot(volume, peer, true);
	spin_lock(&volume->lock);
	sextant_quorum_update(volume);
	spin_unlock(&volume->lock);
	sextant_waiters_expire(volume);
	expire_unattached(volume);
	sextant_reads_tick(volume);
	sextant_submit_kick(volume);
	queue_delayed_work(sextant_lifecycle_wq, &volume->tick_work,
			   msecs_to_jiffies(SEXTANT_TICK_MS));
}
