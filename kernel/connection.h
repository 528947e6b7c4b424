/* SPDX-License-Identifier: GPL-2.0 */
/* One TCP connection to a peer: a sender and a receiver, and what waits for them. */
#ifndef SEXTANT_CONNECTION_H
#define SEXTANT_CONNECTION_H

#include <linux/list.h>
#include <linux/refcount.h>
#include <linux/uio.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "volume.h"

struct sextant_record;
struct socket;
struct task_struct;

#define SEXTANT_SEND_RECORDS	128		/* records in one send, */
#define SEXTANT_SEND_VECS	512		/* and their frames and pages */
#define SEXTANT_BUNCHES		2		/* sends of records not yet acknowledged */
#define SEXTANT_SEND_READS	16		/* read requests in one send */
#define SEXTANT_BEATS		16		/* heartbeats remembered, a power of two */
#define SEXTANT_RECEIVE_META	(64 << 10)	/* the longest meta that a peer may send us */
#define SEXTANT_VDL_TAILS	256		/* tails in one VDL frame */

struct sextant_read_frame {
	struct sextant_wire_header header;
	struct sextant_wire_read read;
};

struct sextant_vdl_frame {
	struct sextant_wire_header header;
	struct sextant_wire_vdl vdl;
	struct sextant_wire_pg_tail tails[SEXTANT_VDL_TAILS];
};

struct sextant_beat_frame {
	struct sextant_wire_header header;
	struct sextant_wire_heartbeat beat;
};

/* The end of a send of records: acknowledged, it is done with. */
struct sextant_bunch {
	u32 pg;					/* of its last record */
	u64 before_lsn;				/* the LSN before its first */
	u64 last_lsn;
};

/*
 * Lives from PEER_SET until its two threads have ended; holds a reference to
 * the volume. A connection that breaks is taken off its peer at once and
 * reaped by lifecycle work; a new one may stand in its place meanwhile.
 */
struct sextant_connection {
	refcount_t refs;
	struct sextant_volume *volume;
	u32 peer;				/* its slot */
	struct socket *socket;
	bool plain;				/* it need not have TLS */
	struct task_struct *sender;
	struct task_struct *receiver;
	struct work_struct reap_work;
	wait_queue_head_t wait;			/* the sender's */

	/* volume->lock */
	bool broken;
	struct sextant_record *next;		/* to send; NULL: all are sent */
	struct list_head reads_queued;
	struct list_head reads_sent;
	u64 vdl_sent;
	unsigned long vdl_jiffies;
	bool release;				/* say goodbye with a heartbeat: */
	u64 release_beat;			/* which one; 0: not sent yet */
	bool released;				/* the peer has answered it */
	u64 beat;				/* of the last heartbeat sent */
	ktime_t beat_sent[SEXTANT_BEATS];
	unsigned long beat_jiffies[SEXTANT_BEATS];
	unsigned long heard_jiffies;		/* the last answer, or its beginning */
	struct sextant_bunch bunches[SEXTANT_BUNCHES];
	u32 bunch_count;
	bool turn_taken;			/* somebody writes to the socket */
	bool unsent;				/* the vector holds the rest of a send */

	/* Whose turn it is, alone. */
	struct kvec vec[SEXTANT_SEND_VECS + SEXTANT_SEND_READS + 2];
	u32 vec_first, vec_count;
	size_t vec_bytes;
	struct sextant_record *batch[SEXTANT_SEND_RECORDS];
	u32 batch_count;
	struct sextant_read_frame reads[SEXTANT_SEND_READS];
	struct sextant_beat_frame beat_frame;
	struct sextant_vdl_frame vdl_frame;

	/* The receiver's alone. */
	struct sextant_wire_header header;
	void *meta;				/* SEXTANT_RECEIVE_META bytes */
	struct kvec receive_vec[SEXTANT_RECORD_BLOCKS_MAX];
	u64 received_bytes;			/* not yet in the peer's count */
	struct page *scratch;			/* where data goes that nobody waits for */
};

/* connection.c */
int sextant_connection_open(struct sextant_volume *volume, u32 peer, int fd, bool plain);
void sextant_connection_break(struct sextant_connection *connection, u32 status);
void sextant_connection_break_slot(struct sextant_volume *volume, u32 peer, bool silent);
void sextant_connections_break(struct sextant_volume *volume);
void sextant_connections_drain(struct sextant_volume *volume);
void sextant_connections_wake(struct sextant_volume *volume);
void sextant_connection_put(struct sextant_connection *connection);

/* send.c, receive.c */
void sextant_batch_put(struct sextant_connection *connection);
void sextant_send_now(struct sextant_connection *connection);
int sextant_sender(void *data);
int sextant_receiver(void *data);

/* bunch.c */
bool sextant_bunch_ready(const struct sextant_connection *connection);
void sextant_bunch_sent(struct sextant_connection *connection, u64 first_lsn,
			const struct sextant_record *last);
u64 sextant_peer_scl(struct sextant_volume *volume, u32 peer);
void sextant_bunches_acked(struct sextant_connection *connection,
			   const struct sextant_wire_ack_run *runs, u32 count);
u32 sextant_bunches_collect(struct sextant_volume *volume, struct sextant_connection **ready);
void sextant_bunches_send(struct sextant_connection **ready, u32 count);
void sextant_linger_work(struct work_struct *work);

/* How often heartbeats go out, in jiffies. */
static inline unsigned long sextant_beat_interval(const struct sextant_volume *volume)
{
	return max(msecs_to_jiffies(volume->lease_ms) / 8, 1UL);
}

#endif
