// SPDX-License-Identifier: GPL-2.0
/*
 * The sender. Reads go first, then records in LSN order straight from their
 * sealed pages, then VDL and the heartbeat when they are due. Everything that
 * is ready goes in one send, and no lock is held meanwhile.
 *
 * Who writes to the socket has the connection's turn: its thread, or whoever
 * has just made something ready (map() a read, the submit worker a record, the
 * receiver room for the next bunch), which saves a wake-up. They do not wait:
 * what the socket does not take at once they leave to the thread.
 */
#include <linux/kthread.h>
#include <linux/net.h>
#include <linux/sched/mm.h>
#include <net/sock.h>

#include "connection.h"
#include "read.h"
#include "record.h"
#include "trace.h"
#include "wire.h"

/* VDL goes along with every record; by itself, for the idle, no more often than this. */
#define VDL_INTERVAL	(HZ / 10)

static void vec_reset(struct sextant_connection *connection)
{
	connection->vec_first = 0;
	connection->vec_count = 0;
	connection->vec_bytes = 0;
	connection->batch_count = 0;
}

static void push(struct sextant_connection *connection, void *data, size_t bytes)
{
	struct kvec *vec = &connection->vec[connection->vec_count++];

	vec->iov_base = data;
	vec->iov_len = bytes;
	connection->vec_bytes += bytes;
}

/* Moves queued reads to "sent": their answers may come before the send returns. */
static void gather_reads(struct sextant_connection *connection)
{
	struct sextant_volume *volume = connection->volume;
	struct sextant_read *read, *next;
	u32 count = 0;

	lockdep_assert_held(&volume->lock);
	list_for_each_entry_safe(read, next, &connection->reads_queued, queue) {
		struct sextant_read_frame *frame = &connection->reads[count];
		struct sextant_wire_read *wire = &frame->read;

		if (count++ == SEXTANT_SEND_READS)
			return;
		memset(wire, 0, sizeof(*wire));
		sextant_ballot_to_wire(&wire->ballot, &volume->ballot);
		wire->read_point_lsn = cpu_to_le64(read->read_point_lsn);
		wire->pg = cpu_to_le32(read->pg);
		wire->flags = cpu_to_le32(read->confirming ? SEXTANT_READ_META_ONLY : 0);
		wire->tail_epoch = cpu_to_le32(read->tail_epoch);
		wire->tail_lsn = cpu_to_le64(read->tail_lsn);
		wire->block = cpu_to_le64(read->block);
		wire->block_count = cpu_to_le32(read->count);
		sextant_wire_header_init(&frame->header, SEXTANT_MSG_READ, read->cookie,
					 wire, sizeof(*wire), 0);
		push(connection, frame, sizeof(*frame));
		read->state = SEXTANT_READ_SENT;
		list_move_tail(&read->queue, &connection->reads_sent);
	}
}

static bool has_room(const struct sextant_connection *connection,
		     const struct sextant_record *record)
{
	return connection->batch_count < SEXTANT_SEND_RECORDS &&
	       connection->vec_count + 1 + record->page_count <= SEXTANT_SEND_VECS;
}

static void gather_records(struct sextant_connection *connection)
{
	struct sextant_volume *volume = connection->volume;
	struct sextant_record *record = NULL;
	u64 first_lsn;

	lockdep_assert_held(&volume->lock);
	if (!sextant_bunch_ready(connection))
		return;
	first_lsn = connection->next->quorum.first_lsn;
	while (connection->next && has_room(connection, connection->next)) {
		u32 i;

		record = connection->next;
		sextant_record_get(record);
		connection->batch[connection->batch_count++] = record;
		push(connection, &record->frame, record->frame_bytes);
		for (i = 0; i < record->page_count; i++)
			push(connection, page_address(record->pages[i]), SEXTANT_BLOCK_BYTES);
		connection->vdl_sent = max(connection->vdl_sent,
					   le64_to_cpu(record->frame.append.vdl));
		connection->next = list_is_last(&record->link, &volume->records) ? NULL :
				   list_next_entry(record, link);
		trace_sextant_send(volume, connection->peer, record);
	}
	sextant_bunch_sent(connection, first_lsn, record);
}

/* The oldest read point that is still asked for: peers keep what it needs. */
static u64 read_floor(struct sextant_volume *volume)
{
	struct sextant_read *oldest = list_first_entry_or_null(&volume->reads,
							       struct sextant_read, link);

	return oldest ? oldest->read_point_lsn : sextant_volume_vdl(volume);
}

/*
 * VDL and the tails of the PGs that changed since this peer was told last,
 * oldest first; what does not fit goes with the next frame.
 */
static void gather_vdl(struct sextant_connection *connection)
{
	struct sextant_volume *volume = connection->volume;
	struct sextant_vdl_frame *frame = &connection->vdl_frame;
	struct sextant_pg *pg;
	u64 vdl = sextant_volume_vdl(volume);
	u32 count = 0;

	memset(&frame->vdl, 0, sizeof(frame->vdl));
	list_for_each_entry_reverse(pg, &volume->changed_pgs, changed)
		if (pg->durable_lsn <= connection->vdl_sent)
			break;
	list_for_each_entry_continue(pg, &volume->changed_pgs, changed) {
		struct sextant_wire_pg_tail *tail = &frame->tails[count];

		if (count++ == SEXTANT_VDL_TAILS) {
			count = SEXTANT_VDL_TAILS;
			vdl = le64_to_cpu(frame->tails[count - 1].lsn);
			break;
		}
		tail->pg = cpu_to_le32(pg->index);
		tail->epoch = cpu_to_le32(pg->durable_epoch);
		tail->lsn = cpu_to_le64(pg->durable_lsn);
	}
	sextant_ballot_to_wire(&frame->vdl.ballot, &volume->ballot);
	frame->vdl.vdl = cpu_to_le64(vdl);
	frame->vdl.mrpl = cpu_to_le64(min(vdl, read_floor(volume)));
	frame->vdl.count = cpu_to_le32(count);
	sextant_wire_header_init(&frame->header, SEXTANT_MSG_VDL, 0, &frame->vdl,
				 sizeof(frame->vdl) + count * sizeof(frame->tails[0]), 0);
	push(connection, frame, sizeof(frame->header) + sizeof(frame->vdl) +
				count * sizeof(frame->tails[0]));
	connection->vdl_sent = vdl;
	connection->vdl_jiffies = jiffies;
}

static void gather_beat(struct sextant_connection *connection)
{
	struct sextant_beat_frame *frame = &connection->beat_frame;
	u64 beat = ++connection->beat;
	bool release = connection->release && !connection->next;

	memset(&frame->beat, 0, sizeof(frame->beat));
	sextant_ballot_to_wire(&frame->beat.ballot, &connection->volume->ballot);
	frame->beat.flags = cpu_to_le32(release ? SEXTANT_HEARTBEAT_RELEASE : 0);
	sextant_wire_header_init(&frame->header, SEXTANT_MSG_HEARTBEAT, beat, &frame->beat,
				 sizeof(frame->beat), 0);
	push(connection, frame, sizeof(*frame));
	connection->beat_sent[beat % SEXTANT_BEATS] = ktime_get();
	connection->beat_jiffies[beat % SEXTANT_BEATS] = jiffies;
	if (release)
		connection->release_beat = beat;
}

static bool beat_due(const struct sextant_connection *connection)
{
	unsigned long last = connection->beat_jiffies[connection->beat % SEXTANT_BEATS];

	if (connection->release && !connection->next)
		return !connection->release_beat;
	return !connection->beat ||
	       time_after_eq(jiffies, last + sextant_beat_interval(connection->volume));
}

static bool vdl_due(const struct sextant_connection *connection)
{
	return connection->vdl_sent < sextant_volume_vdl(connection->volume) &&
	       time_after_eq(jiffies, connection->vdl_jiffies + VDL_INTERVAL);
}

static void gather_due(struct sextant_connection *connection)
{
	bool beat = beat_due(connection);

	if (beat || vdl_due(connection))
		gather_vdl(connection);
	if (beat)
		gather_beat(connection);
}

/* Does the volume run, so that there is a ballot to speak under? */
static bool speaking(const struct sextant_volume *volume)
{
	return volume->state == SEXTANT_VOLUME_RUNNING || volume->state == SEXTANT_VOLUME_STOPPING;
}

/*
 * Takes the turn and fills the vector with what is ready; what is due by time
 * is the thread's to send. False: nothing is ready, or it is somebody's turn.
 */
static bool gather(struct sextant_connection *connection, bool thread)
{
	struct sextant_volume *volume = connection->volume;
	bool mine;

	spin_lock(&volume->lock);
	mine = !connection->turn_taken && !connection->broken &&
	       (thread || !connection->unsent);
	if (mine && !connection->unsent) {
		vec_reset(connection);
		if (speaking(volume)) {
			gather_reads(connection);
			gather_records(connection);
			if (thread)
				gather_due(connection);
		}
	}
	mine = mine && connection->vec_bytes;
	if (mine)
		connection->turn_taken = true;
	spin_unlock(&volume->lock);
	return mine;
}

/* Is there anything to send, and nobody who does? */
static bool anything_ready(struct sextant_connection *connection)
{
	struct sextant_volume *volume = connection->volume;
	bool ready;

	spin_lock(&volume->lock);
	ready = connection->unsent ||
		(speaking(volume) &&
		 (sextant_bunch_ready(connection) || !list_empty(&connection->reads_queued) ||
		  (connection->release && !connection->release_beat && !connection->next)));
	ready = ready && !connection->turn_taken;
	spin_unlock(&volume->lock);
	return ready;
}

static bool sender_needed(struct sextant_connection *connection)
{
	return READ_ONCE(connection->broken) || kthread_should_stop() ||
	       anything_ready(connection);
}

/* What went out is no part of the vector any more. */
static void vec_advance(struct sextant_connection *connection, size_t sent)
{
	struct kvec *vec = &connection->vec[connection->vec_first];

	connection->vec_bytes -= sent;
	for (; sent && sent >= vec->iov_len; vec++, connection->vec_first++)
		sent -= vec->iov_len;
	if (sent) {
		vec->iov_base += sent;
		vec->iov_len -= sent;
	}
}

/* Lets go of the records that the vector holds. Context: whose turn it is, or nobody's. */
void sextant_batch_put(struct sextant_connection *connection)
{
	while (connection->batch_count)
		sextant_record_put(connection->batch[--connection->batch_count]);
}

/*
 * Sends and gives the turn back; what a send that does not wait has left over
 * stays in the vector. A negative errno: the connection is of no use any more.
 */
static int send_vec(struct sextant_connection *connection, unsigned int message_flags)
{
	struct msghdr message = { .msg_flags = MSG_NOSIGNAL | message_flags };
	struct sextant_volume *volume = connection->volume;
	unsigned int flags = memalloc_noreclaim_save();
	LIST_HEAD(freed);
	int sent = kernel_sendmsg(connection->socket, &message,
				  &connection->vec[connection->vec_first],
				  connection->vec_count - connection->vec_first,
				  connection->vec_bytes);

	memalloc_noreclaim_restore(flags);
	if (sent == -EAGAIN && message_flags)
		sent = 0;
	if (sent > 0)
		vec_advance(connection, sent);
	if (!connection->vec_bytes)
		sextant_batch_put(connection);
	spin_lock(&volume->lock);
	if (sent > 0)
		volume->peers[connection->peer].sent_bytes += sent;
	connection->unsent = connection->vec_bytes;
	connection->turn_taken = false;
	sextant_records_trim(volume, &freed);
	spin_unlock(&volume->lock);
	sextant_records_put_list(&freed);
	return min(sent, 0);
}

/**
 * sextant_send_now() - send what is ready, if nobody else does
 * @connection: the caller holds a reference
 *
 * Context: map(), the submit worker or the receiver, no locks; does not wait.
 */
void sextant_send_now(struct sextant_connection *connection)
{
	if (gather(connection, false) && send_vec(connection, MSG_DONTWAIT))
		sextant_connection_break(connection, SEXTANT_ST_OK);
	else if (anything_ready(connection))
		wake_up(&connection->wait);
}

/**
 * sextant_sender() - the sending thread of a connection
 * @data: the connection
 *
 * Ends when the connection is broken or the thread is told to stop.
 */
int sextant_sender(void *data)
{
	struct sextant_connection *connection = data;

	while (!READ_ONCE(connection->broken) && !kthread_should_stop()) {
		if (!gather(connection, true)) {
			wait_event_interruptible_timeout(connection->wait,
							 sender_needed(connection), VDL_INTERVAL);
			continue;
		}
		if (send_vec(connection, 0)) {
			sextant_connection_break(connection, SEXTANT_ST_OK);
			break;
		}
	}
	return 0;
}
