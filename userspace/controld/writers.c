// SPDX-License-Identifier: GPL-2.0
/* The writer's six sockets; see writers.h. */
#include "writers.h"

#include <stdio.h>
#include <stdlib.h>

#include "clock.h"
#include "log.h"
#include "text.h"
#include "wire.h"

#define BACKOFF_FIRST_MS	100
#define BACKOFF_MAX_MS		1000
#define STEADY_MS		5000	/* a socket that lasted so long was a good one */

void writers_init(struct writers *writers)
{
	u32 i;

	for (i = 0; i < SEXTANT_PEERS; i++) {
		struct writer *writer = &writers->six[i];

		memset(writer, 0, sizeof(*writer));
		peerlink_init(&writer->link);
		writer->state = WRITER_WAITING;
		writer->backoff_ms = BACKOFF_FIRST_MS;
	}
}

void writers_close(struct writers *writers)
{
	u32 i;

	for (i = 0; i < SEXTANT_PEERS; i++)
		peerlink_close(&writers->six[i].link);
}

static void retry_later(struct writers *writers, u32 index, const char *complaint)
{
	struct writer *writer = &writers->six[index];

	if (complaint[0] && strcmp(writer->said, complaint)) {
		snprintf(writer->said, sizeof(writer->said), "%s", complaint);
		sextant_log(SEXTANT_LOG_WARNING, "%s: peer %s %s", writers->manifest->name,
			    writers->manifest->peers[index].name, complaint);
	}
	peerlink_close(&writer->link);
	writer->state = WRITER_WAITING;
	writer->at_ms = clock_ms() + writer->backoff_ms;
	writer->backoff_ms *= 2;
	if (writer->backoff_ms > BACKOFF_MAX_MS)
		writer->backoff_ms = BACKOFF_MAX_MS;
}

static void open_as(struct writers *writers, u32 index, enum sextant_wire_role role)
{
	const struct sextant_manifest_peer *peer = &writers->manifest->peers[index];
	struct writer *writer = &writers->six[index];

	writer->state = role == SEXTANT_ROLE_WRITER ? WRITER_GREETING : WRITER_TEACHING;
	writer->at_ms = clock_ms() + writers->config->connect_timeout_ms;
	writer->teach_cookie = 0;
	peerlink_open(&writer->link, peer->address, role, writers->manifest->volume,
		      peer->incarnation,
		      role == SEXTANT_ROLE_WRITER ? &writers->manifest->ballot : NULL,
		      writers->config->host);
	if (writer->link.fd < 0)
		retry_later(writers, index, writer->link.error);
}

void writers_kernel_says(struct writers *writers, u32 index, bool connected, u32 last_status)
{
	struct writer *writer = &writers->six[index];

	if (connected && writer->state != WRITER_HANDED_OVER) {
		/* Handed over by a sextantd before us. */
		peerlink_close(&writer->link);
		writer->state = WRITER_HANDED_OVER;
		writer->since_ms = clock_ms();
	}
	if (connected || writer->state != WRITER_HANDED_OVER)
		return;
	if (clock_ms() - writer->since_ms >= STEADY_MS)
		writer->backoff_ms = BACKOFF_FIRST_MS;
	if (last_status == SEXTANT_ST_NOT_ACCEPTED)
		open_as(writers, index, SEXTANT_ROLE_CONTROL);
	else
		retry_later(writers, index, last_status ? sextant_wire_status_name(last_status) :
			    "lost its connection");
}

/* The peer took us as its writer: the kernel gets the socket. */
static void hand_over(struct writers *writers, u32 index)
{
	const struct sextant_manifest_peer *peer = &writers->manifest->peers[index];
	struct writer *writer = &writers->six[index];

	if (kernel_peer_set(writers->kernel, writers->manifest, index, writer->link.fd)) {
		retry_later(writers, index, writers->kernel->error);
		return;
	}
	peerlink_close(&writer->link);
	writer->state = WRITER_HANDED_OVER;
	writer->since_ms = clock_ms();
	sextant_log(SEXTANT_LOG_INFO, "%s: peer %s is connected", writers->manifest->name,
		    peer->name);
	writer->said[0] = '\0';
}

/* It refused the greeting, or never gave one. */
static void greeting_failed(struct writers *writers, u32 index)
{
	struct writer *writer = &writers->six[index];
	struct sextant_ballot accepted;

	if (writer->link.status == SEXTANT_ST_NOT_ACCEPTED) {
		open_as(writers, index, SEXTANT_ROLE_CONTROL);
		return;
	}
	if (writer->link.status == SEXTANT_ST_FENCED) {
		sextant_ballot_from_wire(&accepted, &writer->link.hello.accepted);
		if (sextant_ballot_above(&accepted, &writers->manifest->ballot))
			kernel_fence(writers->kernel, writers->manifest->volume, accepted.epoch,
				     writer->link.hello.holder);
	}
	retry_later(writers, index, writer->link.error);
}

static void send_chosen(struct writers *writers, u32 index)
{
	const struct sextant_manifest *m = writers->manifest;
	struct sextant_wire_activate meta = {
		.flags = cpu_to_le32(SEXTANT_ACTIVATE_CHOSEN),
		.manifest_bytes = cpu_to_le32((u32)writers->manifest_size),
	};
	struct writer *writer = &writers->six[index];

	sextant_ballot_to_wire(&meta.ballot, &m->ballot);
	meta.vcl = cpu_to_le64(le64_to_cpu(m->table[m->table_count - 1].first_lsn) - 1);
	meta.v0 = meta.vcl;
	sextant_field_set(meta.holder, sizeof(meta.holder), writers->config->host);
	writer->teach_cookie = peerlink_send(&writer->link, SEXTANT_MSG_ACTIVATE, &meta,
					     sizeof(meta), writers->manifest_bytes,
					     (u32)writers->manifest_size, NULL, 0);
	writer->at_ms = clock_ms() + PEERLINK_TIMEOUT_MS;
}

static void take_taught(struct writers *writers, u32 index)
{
	struct writer *writer = &writers->six[index];
	struct peerlink_frame *frame;
	u32 status;

	frame = peerlink_reply(&writer->link, writer->teach_cookie, SEXTANT_MSG_STATUS_REPLY,
			       sizeof(struct sextant_wire_status_reply));
	if (!frame)
		return;
	status = le32_to_cpu(((const struct sextant_wire_status_reply *)frame->meta)->status);
	free(frame);
	if (status)
		retry_later(writers, index, sextant_wire_status_name(status));
	else
		open_as(writers, index, SEXTANT_ROLE_WRITER);
}

static void advance(struct writers *writers, u32 index)
{
	struct writer *writer = &writers->six[index];

	if (writer->state == WRITER_GREETING) {
		if (writer->link.fd < 0)
			greeting_failed(writers, index);
		else if (writer->link.greeted)
			hand_over(writers, index);
	} else if (writer->state == WRITER_TEACHING) {
		if (writer->link.fd >= 0 && writer->link.greeted && !writer->teach_cookie)
			send_chosen(writers, index);
		else if (writer->link.fd >= 0 && writer->teach_cookie)
			take_taught(writers, index);
		if (writer->state == WRITER_TEACHING && writer->link.fd < 0)
			retry_later(writers, index, writer->link.error);
	}
}

int writers_step(struct writers *writers)
{
	u64 now = clock_ms(), next = ~(u64)0;
	u32 i;

	for (i = 0; i < SEXTANT_PEERS; i++) {
		struct writer *writer = &writers->six[i];

		if (writer->state == WRITER_HANDED_OVER)
			continue;
		if (writer->at_ms <= now) {
			if (writer->state == WRITER_WAITING)
				open_as(writers, i, SEXTANT_ROLE_WRITER);
			else
				retry_later(writers, i, "did not answer in time");
		}
		if (writer->at_ms < next)
			next = writer->at_ms;
	}
	if (next == ~(u64)0)
		return -1;
	return next > now ? (int)(next - now) : 0;
}

void writers_poll_fill(const struct writers *writers, struct pollfd polled[SEXTANT_PEERS])
{
	u32 i;

	for (i = 0; i < SEXTANT_PEERS; i++) {
		polled[i].fd = writers->six[i].link.fd;
		polled[i].events = peerlink_events(&writers->six[i].link);
		polled[i].revents = 0;
	}
}

void writers_poll_take(struct writers *writers, const struct pollfd polled[SEXTANT_PEERS])
{
	u32 i;

	for (i = 0; i < SEXTANT_PEERS; i++) {
		if (polled[i].fd < 0 || polled[i].fd != writers->six[i].link.fd)
			continue;
		peerlink_pump(&writers->six[i].link, polled[i].revents);
		advance(writers, i);
	}
}

u8 writers_done(const struct writers *writers)
{
	u8 done = 0;
	u32 i;

	for (i = 0; i < SEXTANT_PEERS; i++)
		if (writers->six[i].state == WRITER_HANDED_OVER)
			done |= 1u << i;
	return done;
}
