// SPDX-License-Identifier: GPL-2.0
/* One connection to a peer; see peerlink.h. */
#include "peerlink.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "text.h"
#include "wire.h"

/* A peer cut off is noticed this soon, and the next connection is not held back. */
#define TCP_USER_TIMEOUT_MS	10000

void peerlink_init(struct peerlink *link)
{
	memset(link, 0, sizeof(*link));
	link->fd = -1;
}

void peerlink_close(struct peerlink *link)
{
	struct peerlink_frame *frame;

	if (link->fd >= 0)
		close(link->fd);
	link->fd = -1;
	link->connecting = false;
	link->waiting = 0;
	free(link->out);
	link->out = NULL;
	link->out_bytes = 0;
	link->out_sent = 0;
	link->out_room = 0;
	free(link->incoming);
	link->incoming = NULL;
	link->got = 0;
	while ((frame = link->replies)) {
		link->replies = frame->next;
		free(frame);
	}
}

void peerlink_fail(struct peerlink *link, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(link->error, sizeof(link->error), format, arguments);
	va_end(arguments);
	peerlink_close(link);
}

static int start_connect(struct peerlink *link, const char *address)
{
	struct sockaddr_storage to;
	int timeout = TCP_USER_TIMEOUT_MS;
	socklen_t bytes;
	int one = 1;

	if (sextant_address_parse(address, &to, &bytes)) {
		errno = EINVAL;
		return -1;
	}
	link->fd = socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (link->fd < 0)
		return -1;
	setsockopt(link->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(link->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout, sizeof(timeout));
	link->connecting = true;
	if (!connect(link->fd, (struct sockaddr *)&to, bytes) || errno == EINPROGRESS)
		return 0;
	return -1;
}

void peerlink_open(struct peerlink *link, const char *address, enum sextant_wire_role role,
		   const u8 *volume, const u8 *incarnation, const struct sextant_ballot *ballot,
		   const char *caller)
{
	struct sextant_wire_hello hello = { .role = cpu_to_le32(role) };

	peerlink_close(link);
	peerlink_init(link);
	if (volume)
		memcpy(hello.volume, volume, sizeof(hello.volume));
	if (incarnation)
		memcpy(hello.incarnation, incarnation, sizeof(hello.incarnation));
	if (ballot)
		sextant_ballot_to_wire(&hello.ballot, ballot);
	sextant_field_set(hello.caller, sizeof(hello.caller), caller);
	if (start_connect(link, address))
		peerlink_fail(link, "cannot be connected to: %s", strerror(errno));
	else
		peerlink_send(link, SEXTANT_MSG_HELLO, &hello, sizeof(hello), NULL, 0, NULL, 0);
}

static bool make_room(struct peerlink *link, size_t bytes)
{
	size_t room = link->out_room ? link->out_room : 4096;
	u8 *grown;

	if (link->out_sent == link->out_bytes) {
		link->out_sent = 0;
		link->out_bytes = 0;
	}
	while (room < link->out_bytes + bytes)
		room *= 2;
	if (room == link->out_room)
		return true;
	grown = realloc(link->out, room);
	if (!grown)
		return false;
	link->out = grown;
	link->out_room = room;
	return true;
}

static void queue(struct peerlink *link, const void *from, size_t bytes)
{
	if (bytes)
		memcpy(link->out + link->out_bytes, from, bytes);
	link->out_bytes += bytes;
}

u64 peerlink_send(struct peerlink *link, u8 type, const void *meta, u32 meta_bytes,
		  const void *more, u32 more_bytes, const void *data, u32 data_bytes)
{
	struct sextant_wire_header header;
	u32 meta_total = meta_bytes + more_bytes;
	size_t at;

	if (link->fd < 0)
		return 0;
	if (!make_room(link, sizeof(header) + meta_total + data_bytes)) {
		peerlink_fail(link, "needs more memory than there is");
		return 0;
	}
	at = link->out_bytes;
	link->out_bytes += sizeof(header);
	queue(link, meta, meta_bytes);
	queue(link, more, more_bytes);
	sextant_wire_header_init(&header, type, ++link->cookie_last,
				 link->out + at + sizeof(header), meta_total, data_bytes);
	memcpy(link->out + at, &header, sizeof(header));
	queue(link, data, data_bytes);
	link->waiting++;
	return link->cookie_last;
}

short peerlink_events(const struct peerlink *link)
{
	if (link->fd < 0)
		return 0;
	if (link->connecting)
		return POLLOUT;
	return link->out_sent < link->out_bytes ? POLLIN | POLLOUT : POLLIN;
}

static void pump_out(struct peerlink *link)
{
	while (link->fd >= 0 && link->out_sent < link->out_bytes) {
		ssize_t sent = send(link->fd, link->out + link->out_sent,
				    link->out_bytes - link->out_sent, MSG_NOSIGNAL);

		if (sent < 0 && errno == EAGAIN)
			return;
		if (sent < 0 && errno != EINTR)
			peerlink_fail(link, "closed the connection: %s", strerror(errno));
		else if (sent > 0)
			link->out_sent += (size_t)sent;
	}
}

/* The header is complete: room for the rest of the frame. */
static bool begin_frame(struct peerlink *link)
{
	u32 meta_bytes, data_bytes;
	struct peerlink_frame *frame;
	size_t meta_at;

	if (sextant_wire_header_check(&link->header, SEXTANT_WIRE_META_MAX)) {
		peerlink_fail(link, "answered with something that is not a frame");
		return false;
	}
	meta_bytes = le32_to_cpu(link->header.meta_bytes);
	data_bytes = le32_to_cpu(link->header.data_bytes);
	meta_at = (sizeof(*frame) + 15) & ~(size_t)15;
	frame = malloc(meta_at + meta_bytes + data_bytes);
	if (!frame) {
		peerlink_fail(link, "needs more memory than there is");
		return false;
	}
	frame->next = NULL;
	frame->header = link->header;
	frame->meta_bytes = meta_bytes;
	frame->data_bytes = data_bytes;
	frame->meta = (u8 *)frame + meta_at;
	frame->data = frame->meta + meta_bytes;
	link->incoming = frame;
	return true;
}

static void take_hello(struct peerlink *link, const struct peerlink_frame *frame)
{
	u32 status;

	if (frame->header.type != SEXTANT_MSG_HELLO_REPLY ||
	    frame->meta_bytes != sizeof(link->hello)) {
		peerlink_fail(link, "answered the greeting with something else");
		return;
	}
	memcpy(&link->hello, frame->meta, sizeof(link->hello));
	link->hello.peer[SEXTANT_NAME_BYTES - 1] = '\0';
	link->hello.az[SEXTANT_NAME_BYTES - 1] = '\0';
	link->hello.holder[SEXTANT_NAME_BYTES - 1] = '\0';
	link->greeted = true;
	status = le32_to_cpu(link->hello.status);
	if (status) {
		link->status = status;
		peerlink_fail(link, "refuses the connection: %s",
			      sextant_wire_status_name(status));
	}
}

static void end_frame(struct peerlink *link)
{
	struct peerlink_frame *frame = link->incoming, **at = &link->replies;

	if (sextant_wire_meta_check(&frame->header, frame->meta)) {
		peerlink_fail(link, "answered with a damaged frame");
		return;
	}
	link->incoming = NULL;
	link->got = 0;
	if (link->waiting)
		link->waiting--;
	if (!link->greeted) {
		take_hello(link, frame);
		free(frame);
		return;
	}
	while (*at)
		at = &(*at)->next;
	*at = frame;
}

/* Never reads beyond the frame it is in: the socket may go to the kernel next. */
static void pump_in(struct peerlink *link)
{
	while (link->fd >= 0) {
		bool in_header = !link->incoming;
		u8 *to = in_header ? (u8 *)&link->header : link->incoming->meta;
		size_t want = in_header ? sizeof(link->header) :
			      (size_t)link->incoming->meta_bytes + link->incoming->data_bytes;
		ssize_t got = 0;

		if (link->got < want) {
			got = recv(link->fd, to + link->got, want - link->got, 0);
			if (got < 0 && errno == EAGAIN)
				return;
			if (got < 0 && errno == EINTR)
				continue;
			if (got <= 0) {
				peerlink_fail(link, "closed the connection%s%s", got ? ": " : "",
					      got ? strerror(errno) : "");
				return;
			}
			link->got += (size_t)got;
		}
		if (link->got < want)
			continue;
		if (!in_header) {
			end_frame(link);
		} else if (begin_frame(link)) {
			link->got = 0;
			if (!link->incoming->meta_bytes && !link->incoming->data_bytes)
				end_frame(link);
		}
	}
}

static void end_connect(struct peerlink *link)
{
	socklen_t bytes = sizeof(int);
	int error = 0;

	getsockopt(link->fd, SOL_SOCKET, SO_ERROR, &error, &bytes);
	if (error)
		peerlink_fail(link, "cannot be connected to: %s", strerror(error));
	link->connecting = false;
}

void peerlink_pump(struct peerlink *link, short revents)
{
	if (link->fd < 0 || !revents)
		return;
	if (link->connecting)
		end_connect(link);
	if (link->fd >= 0 && revents & (POLLOUT | POLLERR | POLLHUP))
		pump_out(link);
	if (link->fd >= 0 && revents & (POLLIN | POLLERR | POLLHUP))
		pump_in(link);
}

struct peerlink_frame *peerlink_reply(struct peerlink *link, u64 cookie, u8 type, u32 bytes_min)
{
	struct peerlink_frame **at = &link->replies, *frame;

	if (!cookie)
		return NULL;
	while (*at && le64_to_cpu((*at)->header.cookie) != cookie)
		at = &(*at)->next;
	frame = *at;
	if (!frame)
		return NULL;
	*at = frame->next;
	if (frame->header.type == type && frame->meta_bytes >= bytes_min)
		return frame;
	/* A refusal may come as a bare status, whatever was asked. */
	if (frame->header.type == SEXTANT_MSG_STATUS_REPLY &&
	    frame->meta_bytes >= sizeof(struct sextant_wire_status_reply)) {
		const struct sextant_wire_status_reply *reply = (void *)frame->meta;

		link->status = le32_to_cpu(reply->status);
		peerlink_fail(link, "refuses: %s", sextant_wire_status_name(link->status));
	} else {
		peerlink_fail(link, "answered with another message (type %u)", frame->header.type);
	}
	free(frame);
	return NULL;
}

#define WAIT_LINKS_MAX	64

/* How many links wait for a reply; *answered: how many are open and do not. */
static u32 count_waiting(struct peerlink *links[], u32 count, u32 *answered)
{
	u32 i, waiting = 0;

	*answered = 0;
	for (i = 0; i < count; i++) {
		if (links[i]->fd < 0)
			continue;
		if (links[i]->waiting)
			waiting++;
		else
			(*answered)++;
	}
	return waiting;
}

static void poll_once(struct peerlink *links[], u32 count, int timeout_ms)
{
	struct pollfd polled[WAIT_LINKS_MAX];
	u32 i;

	for (i = 0; i < count; i++) {
		polled[i].fd = links[i]->waiting ? links[i]->fd : -1;
		polled[i].events = peerlink_events(links[i]);
		polled[i].revents = 0;
	}
	if (poll(polled, count, timeout_ms) <= 0)
		return;
	for (i = 0; i < count; i++)
		if (polled[i].fd >= 0)
			peerlink_pump(links[i], polled[i].revents);
}

void peerlink_wait(struct peerlink *links[], u32 count, u32 enough, u32 grace_ms,
		   u32 timeout_ms)
{
	u64 start = clock_ms(), deadline = start + timeout_ms, now = start;
	bool graced = false;
	u32 answered, i;

	while (count_waiting(links, count, &answered) && now < deadline) {
		if (!graced && answered >= enough) {
			graced = true;
			if (now + grace_ms < deadline)
				deadline = now + grace_ms;
		}
		poll_once(links, count, (int)(deadline - now));
		now = clock_ms();
	}
	for (i = 0; i < count; i++)
		if (links[i]->fd >= 0 && links[i]->waiting)
			peerlink_fail(links[i], "did not answer within %llu ms",
				      (unsigned long long)(clock_ms() - start));
}
