// SPDX-License-Identifier: GPL-2.0
/* The listening socket, HELLO, and dispatch by role. */
#include "server.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "handle.h"
#include "log.h"
#include "text.h"
#include "volume.h"

#define CONNECTIONS_MAX		512
#define HELLO_TIMEOUT_MS	10000
#define SWEEP_MS		1000
#define ACCEPT_RETRY_MS		100
#define BACKLOG			128
#define BIND_TRIES		60

const struct options *peer_options;

static struct {
	int fd;
	struct loop_op accept_op;
	struct sockaddr_storage from;
	socklen_t from_bytes;
	struct loop_timer accept_timer;
	struct loop_timer sweep_timer;
	bool stopped;
} server = { .fd = -1 };

static void address_format(char *text, size_t room, const struct sockaddr_storage *address)
{
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)address;
	const struct sockaddr_in *in = (const struct sockaddr_in *)address;
	char host[INET6_ADDRSTRLEN] = "?";

	if (address->ss_family == AF_INET6) {
		inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host));
		snprintf(text, room, "[%s]:%u", host, ntohs(in6->sin6_port));
	} else {
		inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
		snprintf(text, room, "%s:%u", host, ntohs(in->sin_port));
	}
}

void server_refuse(struct connection *connection, const struct frame *frame, const char *why)
{
	struct sextant_wire_status_reply reply = {
		.status = cpu_to_le32(SEXTANT_ST_BAD_REQUEST),
	};

	sextant_log(SEXTANT_LOG_NOTICE, "%s (%s) sent a bad request: %s; closed",
		    connection->address, connection->caller, why);
	connection_send(connection, SEXTANT_MSG_STATUS_REPLY, frame->cookie, &reply, sizeof(reply),
			NULL, 0, NULL, 0);
	connection_close_after_send(connection);
}

bool server_meta(struct connection *connection, const struct frame *frame, u32 bytes)
{
	if (frame->meta_bytes >= bytes)
		return true;
	server_refuse(connection, frame, "it is cut short");
	return false;
}

static void hello_reply(struct connection *connection, const struct frame *frame, u32 status)
{
	struct sextant_wire_hello_reply reply = {
		.status = cpu_to_le32(status),
		.peer_version = cpu_to_le32(SEXTANT_WIRE_VERSION),
	};
	const struct volume *volume = connection->volume;

	sextant_field_set(reply.peer, sizeof(reply.peer), peer_options->name);
	sextant_field_set(reply.az, sizeof(reply.az), peer_options->az);
	if (volume) {
		const struct vote *vote = &volume->vote;

		memcpy(reply.incarnation, vote->incarnation, sizeof(reply.incarnation));
		sextant_ballot_to_wire(&reply.promised, &vote->promised);
		sextant_ballot_to_wire(&reply.accepted, &vote->accepted);
		memcpy(reply.holder, vote->accepted_holder, sizeof(reply.holder));
	}
	connection_send(connection, SEXTANT_MSG_HELLO_REPLY, frame->cookie, &reply, sizeof(reply),
			NULL, 0, NULL, 0);
	if (status)
		connection_close_after_send(connection);
}

/* Whether a caller of this role may come in; fills connection->volume if there is one. */
static u32 hello_check(struct connection *connection, const struct sextant_wire_hello *hello)
{
	u32 role = le32_to_cpu(hello->role);
	struct volume *volume;

	if (role < SEXTANT_ROLE_CONTROL || role > SEXTANT_ROLE_PEER ||
	    !sextant_field_valid(hello->caller, sizeof(hello->caller)))
		return SEXTANT_ST_BAD_REQUEST;
	memcpy(connection->caller, hello->caller, sizeof(connection->caller));
	if (sextant_is_zero(hello->volume, sizeof(hello->volume)))
		return role == SEXTANT_ROLE_CONTROL ? SEXTANT_ST_OK : SEXTANT_ST_BAD_REQUEST;
	volume = volume_find(hello->volume);
	if (!volume)
		return SEXTANT_ST_NO_VOLUME;
	if (volume->damaged)
		return SEXTANT_ST_DAMAGED;
	connection->volume = volume;
	if (!sextant_is_zero(hello->incarnation, sizeof(hello->incarnation)) &&
	    memcmp(hello->incarnation, volume->vote.incarnation, sizeof(hello->incarnation)))
		return SEXTANT_ST_WRONG_STORE;
	sextant_ballot_from_wire(&connection->ballot, &hello->ballot);
	if (role == SEXTANT_ROLE_WRITER)
		return vote_may_append(&volume->vote, &connection->ballot);
	return SEXTANT_ST_OK;
}

static void hello(struct connection *connection, struct frame *frame)
{
	const struct sextant_wire_hello *hello = frame->meta;
	u32 status;

	if (frame->type != SEXTANT_MSG_HELLO || frame->meta_bytes != sizeof(*hello)) {
		server_refuse(connection, frame, "the first message is not a HELLO");
		return;
	}
	status = hello_check(connection, hello);
	hello_reply(connection, frame, status);
	if (status) {
		connection->volume = NULL;
		return;
	}
	connection->role = le32_to_cpu(hello->role);
	connection->meta_max = SEXTANT_WIRE_META_MAX;
	if (connection->volume)
		volume_join(connection->volume, connection);
}

static void server_frame(struct connection *connection, struct frame *frame)
{
	switch (connection->role) {
	case SEXTANT_ROLE_CONTROL:
		handle_control(connection, frame);
		break;
	case SEXTANT_ROLE_WRITER:
		handle_writer(connection, frame);
		break;
	case SEXTANT_ROLE_PEER:
		handle_gossip(connection, frame);
		break;
	default:
		hello(connection, frame);
	}
}

static void server_closed(struct connection *connection)
{
	handle_writer_closed(connection);
	if (connection->volume)
		volume_leave(connection->volume, connection);
}

static const struct connection_ops server_ops = {
	.frame = server_frame,
	.closed = server_closed,
};

static void accept_start(void)
{
	struct io_uring_sqe *sqe = loop_sqe();

	server.from_bytes = sizeof(server.from);
	io_uring_prep_accept(sqe, server.fd, (struct sockaddr *)&server.from, &server.from_bytes,
			     SOCK_CLOEXEC);
	loop_start(sqe, &server.accept_op);
}

static void accept_retry(struct loop_timer *timer)
{
	(void)timer;
	if (!server.stopped)
		accept_start();
}

static void accept_done(struct loop_op *op, int result)
{
	char address[64];

	(void)op;
	if (server.stopped) {
		if (result >= 0)
			close(result);
		return;
	}
	if (result < 0) {
		/* Out of descriptors, most likely: in a while there may be some. */
		if (result != -ECONNABORTED && result != -EINTR)
			sextant_log(SEXTANT_LOG_WARNING, "cannot accept a connection: %s",
				    strerror(-result));
		loop_timer_set(&server.accept_timer, ACCEPT_RETRY_MS);
		return;
	}
	address_format(address, sizeof(address), &server.from);
	if (connection_count() >= CONNECTIONS_MAX) {
		sextant_log(SEXTANT_LOG_WARNING, "%u connections already; %s is turned away",
			    CONNECTIONS_MAX, address);
		close(result);
	} else {
		connection_new(result, &server_ops, address);
	}
	accept_start();
}

static void sweep_one(struct connection *connection, void *context)
{
	(void)context;
	if (connection->ops == &server_ops && !connection->role && !connection->closing &&
	    loop_now_ms() - connection->opened_ms > HELLO_TIMEOUT_MS) {
		sextant_log(SEXTANT_LOG_NOTICE, "%s said nothing; closed", connection->address);
		connection_close(connection);
	}
}

static void sweep(struct loop_timer *timer)
{
	connection_each(sweep_one, NULL);
	loop_timer_set(timer, SWEEP_MS);
}

/*
 * The ring of a daemon that was killed lets go of its socket a moment after the
 * process is gone; who starts it again at once shall not have to care.
 */
static int bind_patiently(const struct options *options)
{
	const struct timespec pause = { .tv_nsec = 50 * 1000 * 1000 };
	int tries = BIND_TRIES;

	while (bind(server.fd, (const struct sockaddr *)&options->address,
		    options->address_bytes)) {
		if (errno != EADDRINUSE || !--tries)
			return -1;
		nanosleep(&pause, NULL);
	}
	return 0;
}

int server_start(const struct options *options)
{
	int one = 1, rc;

	server.fd = socket(options->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (server.fd < 0)
		goto failed;
	setsockopt(server.fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind_patiently(options) || listen(server.fd, BACKLOG))
		goto failed;
	server.accept_op.done = accept_done;
	server.accept_timer.run = accept_retry;
	server.sweep_timer.run = sweep;
	loop_timer_set(&server.sweep_timer, SWEEP_MS);
	accept_start();
	sextant_log(SEXTANT_LOG_NOTICE, "%s in %s listens on %s", options->name, options->az,
		    options->listen);
	return 0;
failed:
	rc = -errno;
	sextant_log(SEXTANT_LOG_ERROR, "cannot listen on %s: %s", options->listen, strerror(-rc));
	return rc;
}

static void stop_one(struct connection *connection, void *context)
{
	(void)context;
	connection_close(connection);
}

void server_stop(void)
{
	server.stopped = true;
	loop_timer_stop(&server.sweep_timer);
	loop_timer_stop(&server.accept_timer);
	shutdown(server.fd, SHUT_RDWR);
	close(server.fd);
	connection_each(stop_one, NULL);
}
