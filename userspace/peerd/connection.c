// SPDX-License-Identifier: GPL-2.0
/* Frames over TCP, by io_uring. */
#include "connection.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

#include "log.h"
#include "text.h"

/* Larger metas come from the heap for the one frame they belong to. */
#define META_KEEP_BYTES	(64 << 10)
#define RECEIVE_WHOLE_BYTES	(32 << 10)

struct connection_out {
	struct connection_out *next;
	u32 head_bytes, head_sent;		/* header and meta, behind data[] */
	u32 data_count, data_first;
	struct connection_data data[];
};

static struct connection *connections;
static u32 connection_total;

static u8 *out_head(struct connection_out *out)
{
	return (u8 *)&out->data[out->data_count];
}

static void receive_done(struct loop_op *op, int result);
static void send_done(struct loop_op *op, int result);
static void parse_run(struct loop_task *task);
static void send_run(struct loop_task *task);

u32 connection_count(void)
{
	return connection_total;
}

void connection_each(void (*each)(struct connection *connection, void *context), void *context)
{
	struct connection *connection, *next;

	for (connection = connections; connection; connection = next) {
		next = connection->next;
		each(connection, context);
	}
}

void connection_hold(struct connection *connection)
{
	connection->references++;
}

static void out_free(struct connection *connection, struct connection_out *out)
{
	for (u32 i = out->data_first; i < out->data_count; i++) {
		connection->out_bytes -= out->data[i].bytes;
		buffer_put(out->data[i].buffer);
	}
	connection->out_bytes -= out->head_bytes - out->head_sent;
	free(out);
}

void connection_release(struct connection *connection)
{
	struct connection_out *out;

	if (--connection->references)
		return;
	loop_never(&connection->parse_task);
	loop_never(&connection->send_task);
	connection->ops->closed(connection);
	close(connection->fd);
	while ((out = connection->out)) {
		connection->out = out->next;
		out_free(connection, out);
	}
	*(connection->previous ? &connection->previous->next : &connections) = connection->next;
	if (connection->next)
		connection->next->previous = connection->previous;
	connection_total--;
	buffer_put(connection->data);
	free(connection->meta);
	free(connection->in);
	free(connection);
}

void connection_close(struct connection *connection)
{
	if (connection->closing)
		return;
	connection->closing = true;
	/* Ends what is in flight; the last of it frees the connection. */
	shutdown(connection->fd, SHUT_RDWR);
	loop_later(&connection->parse_task);
}

void connection_close_after_send(struct connection *connection)
{
	if (connection->close_after_send || connection->closing)
		return;
	connection->close_after_send = true;
	if (!connection->out)
		connection_close(connection);
}

/* ---- in -------------------------------------------------------------- */

static bool held(const struct connection *connection)
{
	return connection->holds || connection->close_after_send;
}

/* Of the frame that is coming in, are blocks what comes next? */
static bool wants_data(const struct connection *connection)
{
	return connection->data &&
	       connection->meta_got == le32_to_cpu(connection->header.meta_bytes);
}

/*
 * Of a large piece of data all is waited for at once, alone: a wake-up for each
 * part of it would cost more than the extra call for what follows it.
 */
static void receive_start(struct connection *connection)
{
	struct io_uring_sqe *sqe;
	u32 count = 0, flags = 0;

	if (connection->receiving || connection->closing || held(connection))
		return;
	if (connection->in_start == connection->in_end)
		connection->in_start = connection->in_end = 0;
	if (wants_data(connection)) {
		connection->receive_iov[count].iov_base =
			connection->data->bytes + connection->data_got;
		connection->receive_iov[count++].iov_len =
			le32_to_cpu(connection->header.data_bytes) - connection->data_got;
		if (connection->receive_iov[0].iov_len >= RECEIVE_WHOLE_BYTES)
			flags = MSG_WAITALL;
	}
	if (connection->in_start) {
		memmove(connection->in, connection->in + connection->in_start,
			connection->in_end - connection->in_start);
		connection->in_end -= connection->in_start;
		connection->in_start = 0;
	}
	if (!flags) {
		connection->receive_iov[count].iov_base = connection->in + connection->in_end;
		connection->receive_iov[count++].iov_len = CONNECTION_IN_BYTES - connection->in_end;
	}
	connection->receive_bytes = 0;
	for (u32 i = 0; i < count; i++)
		connection->receive_bytes += (u32)connection->receive_iov[i].iov_len;
	connection->receive_message = (struct msghdr){
		.msg_iov = connection->receive_iov,
		.msg_iovlen = count,
	};
	connection->receiving = true;
	connection_hold(connection);
	sqe = loop_sqe();
	io_uring_prep_recvmsg(sqe, connection->fd, &connection->receive_message, flags);
	if (connection->drained)
		sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
	loop_start(sqe, &connection->receive_op);
}

/* Takes up to bytes bytes from the buffer. */
static u32 take(struct connection *connection, void *to, u32 bytes)
{
	u32 there = connection->in_end - connection->in_start;

	if (bytes > there)
		bytes = there;
	memcpy(to, connection->in + connection->in_start, bytes);
	connection->in_start += bytes;
	return bytes;
}

static int parse_header(struct connection *connection)
{
	u32 meta_bytes, data_bytes;

	if (connection->in_end - connection->in_start < sizeof(connection->header))
		return -EAGAIN;
	take(connection, &connection->header, sizeof(connection->header));
	if (sextant_wire_header_check(&connection->header, connection->meta_max))
		return -EBADMSG;
	connection->in_header = true;
	connection->meta_got = connection->data_got = 0;
	meta_bytes = le32_to_cpu(connection->header.meta_bytes);
	data_bytes = le32_to_cpu(connection->header.data_bytes);
	/* Before HELLO nobody has blocks to send. */
	if (data_bytes && !connection->role)
		return -EBADMSG;
	if (meta_bytes > connection->meta_room) {
		free(connection->meta);
		connection->meta_room = meta_bytes;
		connection->meta = memory_get(meta_bytes);
	}
	if (data_bytes)
		connection->data = buffer_get(data_bytes);
	return 0;
}

/* 0: a whole frame is there; -EAGAIN: not yet; else the connection is to be closed. */
static int parse(struct connection *connection, struct frame *frame)
{
	u32 meta_bytes, data_bytes;
	int rc;

	if (!connection->in_header) {
		rc = parse_header(connection);
		if (rc)
			return rc;
	}
	meta_bytes = le32_to_cpu(connection->header.meta_bytes);
	data_bytes = le32_to_cpu(connection->header.data_bytes);
	if (connection->meta_got < meta_bytes)
		connection->meta_got += take(connection, connection->meta + connection->meta_got,
					     meta_bytes - connection->meta_got);
	if (connection->meta_got < meta_bytes)
		return -EAGAIN;
	if (connection->data_got < data_bytes)
		connection->data_got += take(connection,
					     connection->data->bytes + connection->data_got,
					     data_bytes - connection->data_got);
	if (connection->data_got < data_bytes)
		return -EAGAIN;
	if (sextant_wire_meta_check(&connection->header, connection->meta))
		return -EBADMSG;
	*frame = (struct frame){
		.type = connection->header.type,
		.meta_bytes = meta_bytes,
		.data_bytes = data_bytes,
		.cookie = le64_to_cpu(connection->header.cookie),
		.meta = connection->meta,
		.data = connection->data,
	};
	connection->data = NULL;
	connection->in_header = false;
	return 0;
}

/* Handles every whole frame that is there, then receives more. */
static void parse_run(struct loop_task *task)
{
	struct connection *connection = (struct connection *)
		((char *)task - offsetof(struct connection, parse_task));
	struct frame frame;
	int rc = 0;

	connection_hold(connection);
	while (!connection->closing && !held(connection)) {
		rc = parse(connection, &frame);
		if (rc)
			break;
		connection->ops->frame(connection, &frame);
		buffer_put(frame.data);
		if (connection->meta_room > META_KEEP_BYTES) {
			free(connection->meta);
			connection->meta = NULL;
			connection->meta_room = 0;
		}
	}
	if (rc && rc != -EAGAIN) {
		sextant_log(SEXTANT_LOG_NOTICE, "%s sent what is not a frame; closed",
			    connection->address);
		connection_close(connection);
	}
	receive_start(connection);
	/* The connection's own reference goes once, when nothing receives any more. */
	if (connection->closing && !connection->receiving && !connection->ended) {
		connection->ended = true;
		connection_release(connection);
	}
	connection_release(connection);
}

static void receive_done(struct loop_op *op, int result)
{
	struct connection *connection = (struct connection *)
		((char *)op - offsetof(struct connection, receive_op));

	connection->receiving = false;
	/* There was less than asked for: the next thing to do is to wait. */
	connection->drained = result > 0 && (u32)result < connection->receive_bytes;
	if (result == -EINTR || result == -EAGAIN)
		result = 0;
	else if (result <= 0)
		connection_close(connection);
	if (result > 0 && wants_data(connection)) {
		u32 wanted = le32_to_cpu(connection->header.data_bytes) - connection->data_got;
		u32 got = (u32)result < wanted ? (u32)result : wanted;

		connection->data_got += got;
		result -= (int)got;
	}
	if (result > 0)
		connection->in_end += (u32)result;
	parse_run(&connection->parse_task);
	connection_release(connection);
}

void connection_pause(struct connection *connection, enum connection_hold hold)
{
	connection->holds |= hold;
}

void connection_resume(struct connection *connection, enum connection_hold hold)
{
	if (!(connection->holds & hold))
		return;
	connection->holds &= (u8)~hold;
	if (!connection->holds)
		loop_later(&connection->parse_task);
}

/* ---- out ------------------------------------------------------------- */

static void out_check(struct connection *connection)
{
	u64 bytes = connection->out_bytes + connection->out_reserved;

	if (bytes > CONNECTION_OUT_MAX)
		connection_pause(connection, CONNECTION_HOLD_OUT);
	else if (bytes < CONNECTION_OUT_MAX / 2)
		connection_resume(connection, CONNECTION_HOLD_OUT);
}

void connection_reserve(struct connection *connection, u64 bytes)
{
	connection->out_reserved += bytes;
	out_check(connection);
}

void connection_unreserve(struct connection *connection, u64 bytes)
{
	connection->out_reserved -= bytes;
	out_check(connection);
}

void connection_send(struct connection *connection, u8 type, u64 cookie,
		     const void *meta, u32 meta_bytes, const void *meta_2, u32 meta_2_bytes,
		     const struct connection_data *data, u32 data_count)
{
	u32 head_bytes = (u32)sizeof(struct sextant_wire_header) + meta_bytes + meta_2_bytes;
	struct sextant_wire_header header;
	struct connection_out *out;
	u32 data_bytes = 0;
	u8 *head;

	if (connection->closing)
		return;
	out = memory_get(sizeof(*out) + data_count * sizeof(*data) + head_bytes);
	out->next = NULL;
	out->head_bytes = head_bytes;
	out->head_sent = 0;
	out->data_count = data_count;
	out->data_first = 0;
	for (u32 i = 0; i < data_count; i++) {
		out->data[i] = data[i];
		buffer_share(data[i].buffer);
		data_bytes += data[i].bytes;
	}
	head = out_head(out);
	if (meta_bytes)
		memcpy(head + sizeof(header), meta, meta_bytes);
	if (meta_2_bytes)
		memcpy(head + sizeof(header) + meta_bytes, meta_2, meta_2_bytes);
	sextant_wire_header_init(&header, type, cookie, head + sizeof(header),
				 meta_bytes + meta_2_bytes, data_bytes);
	memcpy(head, &header, sizeof(header));
	*connection->out_end = out;
	connection->out_end = &out->next;
	connection->out_bytes += head_bytes + data_bytes;
	out_check(connection);
	loop_later(&connection->send_task);
}

static u32 send_gather(struct connection *connection)
{
	struct iovec *iov = connection->send_iov;
	struct connection_out *out;
	u32 count = 0;

	for (out = connection->out; out && count < CONNECTION_IOV_MAX; out = out->next) {
		if (out->head_sent < out->head_bytes) {
			iov[count].iov_base = out_head(out) + out->head_sent;
			iov[count++].iov_len = out->head_bytes - out->head_sent;
		}
		for (u32 i = out->data_first; i < out->data_count && count < CONNECTION_IOV_MAX; i++) {
			iov[count].iov_base = out->data[i].buffer->bytes + out->data[i].offset;
			iov[count++].iov_len = out->data[i].bytes;
		}
	}
	return count;
}

static void send_run(struct loop_task *task)
{
	struct connection *connection = (struct connection *)
		((char *)task - offsetof(struct connection, send_task));
	struct io_uring_sqe *sqe;

	if (connection->sending || connection->closing || !connection->out)
		return;
	connection->send_message = (struct msghdr){
		.msg_iov = connection->send_iov,
		.msg_iovlen = send_gather(connection),
	};
	connection->sending = true;
	connection_hold(connection);
	sqe = loop_sqe();
	io_uring_prep_sendmsg(sqe, connection->fd, &connection->send_message, MSG_NOSIGNAL);
	loop_start(sqe, &connection->send_op);
}

/* Takes what was sent off the queue. */
static void sent(struct connection *connection, u32 bytes)
{
	struct connection_out *out;
	u32 part;

	while (bytes && (out = connection->out)) {
		part = out->head_bytes - out->head_sent;
		if (part > bytes)
			part = bytes;
		out->head_sent += part;
		connection->out_bytes -= part;
		bytes -= part;
		while (bytes && out->data_first < out->data_count) {
			struct connection_data *data = &out->data[out->data_first];

			part = data->bytes < bytes ? data->bytes : bytes;
			data->offset += part;
			data->bytes -= part;
			connection->out_bytes -= part;
			bytes -= part;
			if (data->bytes)
				return;
			buffer_put(data->buffer);
			out->data_first++;
		}
		if (out->head_sent < out->head_bytes || out->data_first < out->data_count)
			return;
		connection->out = out->next;
		if (!connection->out)
			connection->out_end = &connection->out;
		free(out);
	}
}

static void send_done(struct loop_op *op, int result)
{
	struct connection *connection = (struct connection *)
		((char *)op - offsetof(struct connection, send_op));

	connection->sending = false;
	if (result > 0)
		sent(connection, (u32)result);
	else if (result != -EINTR && result != -EAGAIN)
		connection_close(connection);
	out_check(connection);
	if (connection->out)
		loop_later(&connection->send_task);
	else if (connection->close_after_send)
		connection_close(connection);
	connection_release(connection);
}

/* ---- life ------------------------------------------------------------ */

/* Sent at once; and a host that is gone without a word is noticed. */
static void socket_options(int fd)
{
	static const struct {
		int level, option, value;
	} wanted[] = {
		{ IPPROTO_TCP, TCP_NODELAY, 1 },
		{ SOL_SOCKET, SO_KEEPALIVE, 1 },
		{ IPPROTO_TCP, TCP_KEEPIDLE, 10 },
		{ IPPROTO_TCP, TCP_KEEPINTVL, 5 },
		{ IPPROTO_TCP, TCP_KEEPCNT, 4 },
		{ IPPROTO_TCP, TCP_USER_TIMEOUT, 30000 },
	};

	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
		setsockopt(fd, wanted[i].level, wanted[i].option, &wanted[i].value, sizeof(int));
}

struct connection *connection_new(int fd, const struct connection_ops *ops, const char *address)
{
	struct connection *connection = memory_get_zeroed(sizeof(*connection));

	socket_options(fd);
	connection->fd = fd;
	connection->ops = ops;
	connection->references = 1;
	connection->opened_ms = loop_now_ms();
	connection->meta_max = SEXTANT_WIRE_HELLO_META_MAX;
	connection->in = memory_get(CONNECTION_IN_BYTES);
	connection->out_end = &connection->out;
	connection->receive_op.done = receive_done;
	connection->send_op.done = send_done;
	connection->parse_task.run = parse_run;
	connection->send_task.run = send_run;
	sextant_field_set(connection->address, sizeof(connection->address), address);
	connection->next = connections;
	if (connections)
		connections->previous = connection;
	connections = connection;
	connection_total++;
	receive_start(connection);
	return connection;
}
