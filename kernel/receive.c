// SPDX-License-Identifier: GPL-2.0
/*
 * The receiver: one thread a connection. What a peer sends is believed only
 * after its frame, its ballot and the store's incarnation are what they must
 * be; whatever is not is the end of the connection.
 */
#include <linux/kthread.h>
#include <linux/net.h>
#include <linux/sched/mm.h>
#include <net/sock.h>

#include "connection.h"
#include "event.h"
#include "read.h"
#include "trace.h"
#include "wire.h"

/* Fills the vector, which is used up by that. */
static int receive_vec(struct sextant_connection *connection, struct kvec *vec, u32 count,
		       size_t bytes)
{
	while (bytes) {
		struct msghdr message = { .msg_flags = MSG_NOSIGNAL | MSG_WAITALL };
		int r = kernel_recvmsg(connection->socket, &message, vec, count, bytes,
				       message.msg_flags);

		if (r <= 0)
			return r ? r : -ECONNRESET;
		bytes -= r;
		connection->received_bytes += r;
		for (; count && r >= vec->iov_len; vec++, count--)
			r -= vec->iov_len;
		if (count) {
			vec->iov_base += r;
			vec->iov_len -= r;
		}
	}
	return 0;
}

static int receive(struct sextant_connection *connection, void *to, size_t bytes)
{
	struct kvec vec = { .iov_base = to, .iov_len = bytes };

	return receive_vec(connection, &vec, 1, bytes);
}

static int skip_data(struct sextant_connection *connection, u32 bytes)
{
	int r = 0;

	for (; bytes && !r; bytes -= SEXTANT_BLOCK_BYTES)
		r = receive(connection, page_address(connection->scratch), SEXTANT_BLOCK_BYTES);
	return r;
}

/*
 * A status that ends the stream. FENCED ends the whole volume: a higher table
 * is accepted somewhere, and that is what ends a writer.
 */
static int bad_status(struct sextant_connection *connection, u32 status,
		      const struct sextant_wire_ballot *accepted, const char *holder)
{
	if (status == SEXTANT_ST_FENCED &&
	    le32_to_cpu(accepted->epoch) > connection->volume->ballot.epoch) {
		char name[SEXTANT_NAME_BYTES];

		strscpy(name, holder, sizeof(name));
		sextant_volume_fence(connection->volume, le32_to_cpu(accepted->epoch), name);
	}
	sextant_connection_break(connection, status);
	return -ECONNABORTED;
}

static bool ballot_is_ours(struct sextant_volume *volume, const struct sextant_wire_ballot *wire)
{
	struct sextant_ballot ballot;

	sextant_ballot_from_wire(&ballot, wire);
	return sextant_ballot_equal(&ballot, &volume->ballot);
}

static int handle_ack(struct sextant_connection *connection, u32 meta_bytes)
{
	const struct sextant_wire_ack *ack = connection->meta;
	struct sextant_volume *volume = connection->volume;
	struct sextant_peer *peer = &volume->peers[connection->peer];
	u32 status, count;

	if (meta_bytes < sizeof(*ack))
		return -EBADMSG;
	count = le32_to_cpu(ack->count);
	status = le32_to_cpu(ack->status);
	if (meta_bytes != sizeof(*ack) + (u64)count * sizeof(ack->runs[0]))
		return -EBADMSG;
	if (memcmp(ack->incarnation, peer->incarnation, SEXTANT_UUID_BYTES))
		return bad_status(connection, SEXTANT_ST_WRONG_STORE, &ack->accepted, ack->holder);
	if (ballot_is_ours(volume, &ack->ballot)) {
		sextant_bunches_acked(connection, ack->runs, count);
		sextant_ack_run(volume, connection->peer, ack->runs, count);
	}
	if (status == SEXTANT_ST_PROMISED) {	/* another try is under way; not ended yet */
		spin_lock(&volume->lock);
		peer->last_status = status;
		spin_unlock(&volume->lock);
		return 0;
	}
	if (status != SEXTANT_ST_OK)
		return bad_status(connection, status, &ack->accepted, ack->holder);
	return 0;
}

static void note_beat(struct sextant_connection *connection, u64 beat,
		      const struct sextant_wire_heartbeat_reply *reply)
{
	struct sextant_volume *volume = connection->volume;
	struct sextant_peer *peer = &volume->peers[connection->peer];
	u32 slot = beat % SEXTANT_BEATS;
	bool lease_back, released = false;
	u32 rtt_us;

	spin_lock(&volume->lock);
	if (!connection->broken && beat <= connection->beat &&
	    beat + SEXTANT_BEATS > connection->beat) {
		rtt_us = (u32)ktime_us_delta(ktime_get(), connection->beat_sent[slot]);
		peer->rtt_us = peer->rtt_us ? (peer->rtt_us * 7 + rtt_us) / 8 : rtt_us;
		peer->lease_jiffies = connection->beat_jiffies[slot];
		peer->lease_valid = true;
		peer->incomplete_pgs = le32_to_cpu(reply->incomplete_pgs);
		peer->missing_lsns = le64_to_cpu(reply->missing_lsns);
		peer->store_faults = le64_to_cpu(reply->faults);
		released = connection->release_beat && beat >= connection->release_beat;
		connection->released = released;
	}
	lease_back = !volume->read_lease;
	sextant_quorum_update(volume);
	lease_back = lease_back && volume->read_lease;
	spin_unlock(&volume->lock);
	if (lease_back)
		sextant_reads_unpark(volume);
	if (released)
		wake_up_all(&volume->connections_wait);
}

static int handle_beat(struct sextant_connection *connection, u32 meta_bytes, u64 cookie)
{
	const struct sextant_wire_heartbeat_reply *reply = connection->meta;
	u32 status;

	if (meta_bytes != sizeof(*reply))
		return -EBADMSG;
	status = le32_to_cpu(reply->status);
	if (status != SEXTANT_ST_OK)
		return bad_status(connection, status, &reply->accepted, reply->holder);
	note_beat(connection, cookie, reply);
	return 0;
}

/* Entry counts, kinds and lengths agree with each other and with what was asked. */
static bool read_reply_fits(const struct sextant_read *read, u32 meta_bytes, u32 data_bytes,
			    const struct sextant_wire_read_reply *reply)
{
	u32 count = le32_to_cpu(reply->count);
	u32 data = 0;
	u32 i;

	if (le32_to_cpu(reply->status) != SEXTANT_ST_OK)
		return !count && meta_bytes == sizeof(*reply) && !data_bytes;
	if (count != read->count || le64_to_cpu(reply->block) != read->block ||
	    meta_bytes != sizeof(*reply) + (u64)count * sizeof(reply->blocks[0]))
		return false;
	for (i = 0; i < count; i++) {
		if (reply->blocks[i].kind > SEXTANT_BLOCK_DAMAGED)
			return false;
		data += reply->blocks[i].kind == SEXTANT_BLOCK_DATA;
	}
	return data_bytes == (read->confirming ? 0 : data * SEXTANT_BLOCK_BYTES);
}

/* The version that a peer names; a damaged one is there, but says nothing of its LSN. */
static u64 confirmed_lsn(const struct sextant_wire_block *block)
{
	return block->kind == SEXTANT_BLOCK_NEVER ? 0 : le64_to_cpu(block->lsn);
}

/* The answer goes into the read's own pages; sextant_read_work() looks at it. */
static int take_answer(struct sextant_connection *connection, struct sextant_read *read)
{
	const struct sextant_wire_read_reply *reply = connection->meta;
	struct kvec *vec = connection->receive_vec;
	u32 count = 0, i;

	read->status = le32_to_cpu(reply->status);
	for (i = 0; read->status == SEXTANT_ST_OK && i < read->count; i++) {
		if (read->confirming) {
			read->confirm_lsns[i] = confirmed_lsn(&reply->blocks[i]);
			continue;
		}
		read->blocks[i] = reply->blocks[i];
		if (reply->blocks[i].kind != SEXTANT_BLOCK_DATA)
			continue;
		vec[count].iov_base = page_address(read->pages[i]);
		vec[count++].iov_len = SEXTANT_BLOCK_BYTES;
	}
	return receive_vec(connection, vec, count, (size_t)count * SEXTANT_BLOCK_BYTES);
}

static int handle_read_reply(struct sextant_connection *connection, u32 meta_bytes,
			     u32 data_bytes, u64 cookie)
{
	const struct sextant_wire_read_reply *reply = connection->meta;
	struct sextant_read *read;
	bool alone;
	int r = -EBADMSG;

	if (meta_bytes < sizeof(*reply))
		return -EBADMSG;
	if (le32_to_cpu(reply->status) == SEXTANT_ST_FENCED)
		return bad_status(connection, SEXTANT_ST_FENCED, &reply->accepted, reply->holder);
	read = sextant_read_take(connection, cookie, &alone);
	if (!read)			/* it timed out and went elsewhere */
		return skip_data(connection, data_bytes);
	if (read_reply_fits(read, meta_bytes, data_bytes, reply))
		r = take_answer(connection, read);
	if (r) {
		sextant_read_resend(read);
		return r;
	}
	/* Without another answer to receive meanwhile, a worker would only cost a wake-up. */
	if (alone)
		sextant_read_work(&read->work);
	else
		queue_work(connection->volume->read_wq, &read->work);
	return 0;
}

/* Once a frame: the volume's count of what the last one brought. */
static void publish_received(struct sextant_connection *connection)
{
	struct sextant_volume *volume = connection->volume;

	spin_lock(&volume->lock);
	volume->peers[connection->peer].received_bytes += connection->received_bytes;
	spin_unlock(&volume->lock);
	connection->received_bytes = 0;
}

static int receive_frame(struct sextant_connection *connection)
{
	struct sextant_wire_header *header = &connection->header;
	u32 meta_bytes, data_bytes;
	u64 cookie;
	int r;

	publish_received(connection);
	r = receive(connection, header, sizeof(*header));
	if (!r)
		r = sextant_wire_header_check(header, SEXTANT_RECEIVE_META);
	if (r)
		return r;
	meta_bytes = le32_to_cpu(header->meta_bytes);
	data_bytes = le32_to_cpu(header->data_bytes);
	cookie = le64_to_cpu(header->cookie);
	r = receive(connection, connection->meta, meta_bytes);
	if (!r)
		r = sextant_wire_meta_check(header, connection->meta);
	if (r)
		return r;
	WRITE_ONCE(connection->heard_jiffies, jiffies);
	switch (header->type) {
	case SEXTANT_MSG_READ_REPLY:
		return handle_read_reply(connection, meta_bytes, data_bytes, cookie);
	case SEXTANT_MSG_ACK:
		return data_bytes ? -EBADMSG : handle_ack(connection, meta_bytes);
	case SEXTANT_MSG_HEARTBEAT_REPLY:
		return data_bytes ? -EBADMSG : handle_beat(connection, meta_bytes, cookie);
	default:
		return -EBADMSG;
	}
}

/**
 * sextant_receiver() - the receiving thread of a connection
 * @data: the connection
 *
 * Runs under memalloc_noio: it ends bios, and what a peer answers may be what
 * reclaim waits for. Ends when the connection is broken.
 */
int sextant_receiver(void *data)
{
	struct sextant_connection *connection = data;
	unsigned int flags = memalloc_noio_save();

	while (!READ_ONCE(connection->broken) && !kthread_should_stop()) {
		if (receive_frame(connection)) {
			sextant_connection_break(connection, SEXTANT_ST_OK);
			break;
		}
	}
	memalloc_noio_restore(flags);
	return 0;
}
