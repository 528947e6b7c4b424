// SPDX-License-Identifier: GPL-2.0
/*
 * When records go out. They go in bunches, by Nagle's rule (RFC 896) with
 * commits in the place of segments: while a peer has not acknowledged a bunch,
 * no small one follows it. What comes meanwhile gathers in the queue and costs
 * one send, one commit and one answer in all; only a bunch that is large anyway
 * goes along behind, so that a peer far away has something to write while its
 * answer travels.
 *
 * And in a stream of writes that nobody waits for, because they are completed
 * early, a small bunch lingers a little for more. Whoever does wait, a flush,
 * a FUA write or a write that must be durable, ends that at once.
 */
#include "connection.h"
#include "record.h"

/* Each LSN is a block, or less. */
#define BUNCH_LSNS		128
/* Nobody has waited for so many: a stream. */
#define STREAM_LSNS		64
#define LINGER			msecs_to_jiffies(20)

static bool lingers(const struct sextant_volume *volume, const struct sextant_record *record)
{
	return volume->state == SEXTANT_VOLUME_RUNNING && list_empty(&volume->waiters) &&
	       volume->stream_lsns >= STREAM_LSNS &&
	       time_before(jiffies, record->taken_jiffies + LINGER);
}

/**
 * sextant_bunch_ready() - is there a record to send, and may it be sent now?
 * @connection: to which peer
 *
 * Context: volume->lock held. Return: true if so.
 */
bool sextant_bunch_ready(const struct sextant_connection *connection)
{
	const struct sextant_volume *volume = connection->volume;

	lockdep_assert_held(&volume->lock);
	if (!connection->next || connection->bunch_count == SEXTANT_BUNCHES)
		return false;
	if (volume->next_lsn - connection->next->quorum.first_lsn >= BUNCH_LSNS)
		return true;
	return !connection->bunch_count && !lingers(volume, connection->next);
}

/* What could be sent but lingers goes out in time, also if nothing comes along. */
static void look_again(struct sextant_connection *connection)
{
	struct sextant_volume *volume = connection->volume;

	lockdep_assert_held(&volume->lock);
	if (connection->next && !connection->bunch_count)
		queue_delayed_work(volume->read_wq, &volume->linger_work, LINGER);
}

/**
 * sextant_bunch_sent() - a bunch is on its way
 * @connection: which takes it
 * @first_lsn: the bunch's first
 * @last: its last record
 *
 * Context: volume->lock held.
 */
void sextant_bunch_sent(struct sextant_connection *connection, u64 first_lsn,
			const struct sextant_record *last)
{
	lockdep_assert_held(&connection->volume->lock);
	connection->bunches[connection->bunch_count++] = (struct sextant_bunch){
		.pg = le32_to_cpu(last->frame.append.record.pg),
		.before_lsn = first_lsn - 1,
		.last_lsn = last->quorum.last_lsn,
	};
}

/**
 * sextant_peer_scl() - up to where a peer has acknowledged everything
 * @volume: whose
 * @peer: slot
 *
 * The quorum's books end at VDL; what a slow peer still lacks below it is known
 * by its connection. Without one it is as good as anybody knows.
 *
 * Context: volume->lock held. Return: the LSN.
 */
u64 sextant_peer_scl(struct sextant_volume *volume, u32 peer)
{
	const struct sextant_connection *connection = volume->peers[peer].connection;
	u64 scl = sextant_quorum_peer_scl(&volume->quorum, peer);

	lockdep_assert_held(&volume->lock);
	if (connection && connection->bunch_count)
		return min(scl, connection->bunches[0].before_lsn);
	if (connection && connection->next)
		return min(scl, connection->next->quorum.first_lsn - 1);
	return scl;
}

/**
 * sextant_bunches_acked() - a peer's answer: which bunches are done with?
 * @connection: it came over
 * @runs: what is durable there, of the ballot that is in force
 * @count: of runs
 *
 * Context: the receiver, no locks. Sends the next bunch if it is ready.
 */
void sextant_bunches_acked(struct sextant_connection *connection,
			   const struct sextant_wire_ack_run *runs, u32 count)
{
	struct sextant_volume *volume = connection->volume;
	bool ready;
	u32 i;

	spin_lock(&volume->lock);
	while (count--) {
		u32 left = 0;

		for (i = 0; i < connection->bunch_count; i++) {
			const struct sextant_bunch *bunch = &connection->bunches[i];

			if (bunch->pg != le32_to_cpu(runs[count].pg) ||
			    bunch->last_lsn > le64_to_cpu(runs[count].run_end_lsn))
				connection->bunches[left++] = *bunch;
		}
		connection->bunch_count = left;
	}
	ready = sextant_bunch_ready(connection);
	if (!ready)
		look_again(connection);
	spin_unlock(&volume->lock);
	if (ready)
		sextant_send_now(connection);
}

/**
 * sextant_bunches_collect() - the connections that can send records now
 * @volume: whose
 * @ready: room for SEXTANT_PEERS of them, for sextant_bunches_send()
 *
 * Context: volume->lock held. Return: how many.
 */
u32 sextant_bunches_collect(struct sextant_volume *volume, struct sextant_connection **ready)
{
	u32 peer, count = 0;

	lockdep_assert_held(&volume->lock);
	for (peer = 0; peer < SEXTANT_PEERS; peer++) {
		struct sextant_connection *connection = volume->peers[peer].connection;

		if (!connection)
			continue;
		if (!sextant_bunch_ready(connection)) {
			look_again(connection);
		} else if (!connection->turn_taken) {
			refcount_inc(&connection->refs);
			ready[count++] = connection;
		}
	}
	return count;
}

/**
 * sextant_bunches_send() - send what sextant_bunches_collect() has found
 * @ready: the connections
 * @count: of them
 *
 * Context: no locks; does not wait.
 */
void sextant_bunches_send(struct sextant_connection **ready, u32 count)
{
	while (count--) {
		sextant_send_now(ready[count]);
		sextant_connection_put(ready[count]);
	}
}

/**
 * sextant_linger_work() - what has lingered long enough goes out
 * @work: volume->linger_work
 */
void sextant_linger_work(struct work_struct *work)
{
	struct sextant_volume *volume =
		container_of(to_delayed_work(work), struct sextant_volume, linger_work);
	struct sextant_connection *ready[SEXTANT_PEERS];
	u32 count;

	spin_lock(&volume->lock);
	count = sextant_bunches_collect(volume, ready);
	spin_unlock(&volume->lock);
	sextant_bunches_send(ready, count);
}
