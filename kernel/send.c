// SPDX-License-Identifier: GPL-2.0
/*
 * The sender: one thread a connection, the only one that writes to its socket.
 * Reads go first, then records in LSN order straight from their sealed pages,
 * then VDL and the heartbeat when they are due. Everything that is ready goes
 * in one send. The thread holds no lock while it sends.
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

static void gather_records(struct sextant_connection *connection)
{
	struct sextant_volume *volume = connection->volume;

	lockdep_assert_held(&volume->lock);
	while (connection->next && connection->batch_count < SEXTANT_SEND_RECORDS) {
		struct sextant_record *record = connection->next;
		u32 i;

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

	if (connection->release)
		return !connection->release_beat;
	return !connection->beat ||
	       time_after_eq(jiffies, last + sextant_beat_interval(connection->volume));
}

static bool vdl_due(const struct sextant_connection *connection)
{
	return connection->vdl_sent < sextant_volume_vdl(connection->volume) &&
	       time_after_eq(jiffies, connection->vdl_jiffies + VDL_INTERVAL);
}

/* Does the volume run, so that there is a ballot to speak under? */
static bool speaking(const struct sextant_volume *volume)
{
	return volume->state == SEXTANT_VOLUME_RUNNING || volume->state == SEXTANT_VOLUME_STOPPING;
}

/* Fills the vector with what is ready. False: nothing is. */
static bool gather(struct sextant_connection *connection)
{
	struct sextant_volume *volume = connection->volume;

	connection->vec_count = 0;
	connection->vec_bytes = 0;
	connection->batch_count = 0;
	spin_lock(&volume->lock);
	if (speaking(volume) && !connection->broken) {
		gather_reads(connection);
		gather_records(connection);
		if (beat_due(connection)) {
			gather_vdl(connection);
			gather_beat(connection);
		} else if (vdl_due(connection)) {
			gather_vdl(connection);
		}
	}
	spin_unlock(&volume->lock);
	return connection->vec_count;
}

/* Something to send, or the end. Without the lock: a wake-up follows each change. */
static bool sender_needed(struct sextant_connection *connection)
{
	if (READ_ONCE(connection->broken) || kthread_should_stop())
		return true;
	if (!speaking(connection->volume))
		return false;
	return READ_ONCE(connection->next) || !list_empty(&connection->reads_queued) ||
	       (READ_ONCE(connection->release) && !READ_ONCE(connection->release_beat));
}

static int send_all(struct sextant_connection *connection)
{
	struct msghdr message = { .msg_flags = MSG_NOSIGNAL };
	struct sextant_volume *volume = connection->volume;
	unsigned int flags = memalloc_noreclaim_save();
	int sent = kernel_sendmsg(connection->socket, &message, connection->vec,
				  connection->vec_count, connection->vec_bytes);

	memalloc_noreclaim_restore(flags);
	while (connection->batch_count)
		sextant_record_put(connection->batch[--connection->batch_count]);
	if (sent < 0 || (size_t)sent != connection->vec_bytes)
		return -EPIPE;
	spin_lock(&volume->lock);
	volume->peers[connection->peer].sent_bytes += sent;
	spin_unlock(&volume->lock);
	return 0;
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
	struct sextant_volume *volume = connection->volume;

	while (!READ_ONCE(connection->broken) && !kthread_should_stop()) {
		LIST_HEAD(freed);

		if (!gather(connection)) {
			wait_event_interruptible_timeout(connection->wait,
							 sender_needed(connection), VDL_INTERVAL);
			continue;
		}
		if (send_all(connection)) {
			sextant_connection_break(connection, SEXTANT_ST_OK);
			break;
		}
		spin_lock(&volume->lock);
		sextant_records_trim(volume, &freed);
		spin_unlock(&volume->lock);
		sextant_records_put_list(&freed);
	}
	return 0;
}
