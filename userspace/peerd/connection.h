/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A TCP connection that carries frames, accepted or made by this peer.
 *
 * Bytes in: one receive fills a small buffer; what of it belongs to a frame's
 * blocks is moved to an aligned buffer and the rest of them is received
 * straight into that. Bytes out: a queue, sent with as few calls as it takes;
 * when it is longer than CONNECTION_OUT_MAX no further request is taken.
 */
#ifndef SEXTANT_PEERD_CONNECTION_H
#define SEXTANT_PEERD_CONNECTION_H

#include <sys/socket.h>
#include <sys/uio.h>

#include "buffer.h"
#include "loop.h"
#include "table.h"
#include "wire.h"

#define CONNECTION_IN_BYTES	(16 << 10)
#define CONNECTION_OUT_MAX	(4 << 20)
#define CONNECTION_IOV_MAX	64

struct volume;
struct connection;

/* A frame that came in whole, its CRCs of header and meta checked. */
struct frame {
	u8 type;
	u32 meta_bytes, data_bytes;
	u64 cookie;
	const void *meta;		/* aligned; gone when the handler returns */
	struct buffer *data;		/* the handler may take it and set NULL */
};

struct connection_ops {
	void (*frame)(struct connection *connection, struct frame *frame);
	/* The last call for this connection, from the loop, not from a handler. */
	void (*closed)(struct connection *connection);
};

/* Why no frame is taken from a connection for now. */
enum connection_hold {
	CONNECTION_HOLD_BARRIER	= 1,	/* a request waits for the store to be idle */
	CONNECTION_HOLD_LOG	= 2,	/* the log is over its bound */
	CONNECTION_HOLD_OUT	= 4,	/* the other side does not take its replies */
};

struct connection_out;

struct connection {
	struct connection *next, *previous;
	const struct connection_ops *ops;
	int fd;
	u32 references;			/* operations in flight and whoever holds it */
	bool closing, ended, receiving, sending;
	bool drained;			/* the last receive took all there was */
	u32 receive_bytes;		/* what the receive under way asks for */
	bool close_after_send;
	u8 holds;			/* enum connection_hold */
	u64 opened_ms;
	char address[64];		/* of the other side, for messages */

	/* Set by HELLO. */
	u32 role;			/* 0: not yet */
	struct volume *volume;
	struct sextant_ballot ballot;
	char caller[SEXTANT_NAME_BYTES];
	void *owner;			/* whatever made the connection */
	struct acks *acks;		/* WRITER: what is to be acknowledged */
	struct connection *volume_next;	/* of the same volume */

	/* In. */
	u32 meta_max;
	u32 in_start, in_end;
	u8 *in;
	bool in_header;			/* the header is there and checked */
	struct sextant_wire_header header;
	u8 *meta;
	u32 meta_room, meta_got, data_got;
	struct buffer *data;
	struct loop_op receive_op;
	struct iovec receive_iov[2];
	struct msghdr receive_message;
	struct loop_task parse_task;

	/* Out. */
	struct connection_out *out, **out_end;
	u64 out_bytes;			/* queued, and promised by requests in work */
	u64 out_reserved;
	struct loop_op send_op;
	struct iovec send_iov[CONNECTION_IOV_MAX];
	struct msghdr send_message;
	struct loop_task send_task;
};

/*
 * Takes a connected socket over (non-blocking or not) and starts to receive.
 * The caller's reference is the connection's own: it ends with closed().
 */
struct connection *connection_new(int fd, const struct connection_ops *ops, const char *address);

/* How many there are. */
u32 connection_count(void);

/* Calls each for every connection; each may close it. */
void connection_each(void (*each)(struct connection *connection, void *context), void *context);

/* Holds it in memory while a reply is under way. */
void connection_hold(struct connection *connection);
void connection_release(struct connection *connection);

/*
 * Queues a frame whose meta stands in one or two pieces (meta_2 may be NULL).
 * blocks: data_count buffers' pieces, shared, that make up the data; may be
 * NULL. On a closing connection it does nothing.
 */
struct connection_data {
	struct buffer *buffer;
	u32 offset, bytes;
};

void connection_send(struct connection *connection, u8 type, u64 cookie,
		     const void *meta, u32 meta_bytes, const void *meta_2, u32 meta_2_bytes,
		     const struct connection_data *data, u32 data_count);

/* Counts bytes of a reply that is being made; give back before it is sent. */
void connection_reserve(struct connection *connection, u64 bytes);
void connection_unreserve(struct connection *connection, u64 bytes);

/* Stops and restarts taking frames, each reason by itself. */
void connection_pause(struct connection *connection, enum connection_hold hold);
void connection_resume(struct connection *connection, enum connection_hold hold);

/* Closes; what is queued is lost, or with after_send is sent first. */
void connection_close(struct connection *connection);
void connection_close_after_send(struct connection *connection);

#endif
