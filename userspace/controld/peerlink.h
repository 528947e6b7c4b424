/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One connection to a peer: frames out, frames in, never blocking. The owner
 * polls the descriptor with peerlink_events() and hands what it got to
 * peerlink_pump(), or lets peerlink_wait() do so for several at once.
 */
#ifndef SEXTANT_PEERLINK_H
#define SEXTANT_PEERLINK_H

#include <poll.h>

#include "core.h"
#include "table.h"

#define PEERLINK_ERROR_BYTES	192

/* How long a peer may take to answer what it must first make durable. */
#define PEERLINK_TIMEOUT_MS	15000

/* A frame that came in. meta is aligned for any struct; data follows it. */
struct peerlink_frame {
	struct peerlink_frame *next;
	struct sextant_wire_header header;
	u32 meta_bytes, data_bytes;
	u8 *meta, *data;
};

struct peerlink {
	int fd;				/* -1: closed */
	bool connecting;
	u32 waiting;			/* requests without a reply yet */
	u64 cookie_last;
	u8 *out;
	size_t out_bytes, out_sent, out_room;
	struct sextant_wire_header header;
	size_t got;			/* of the header, then of the frame */
	struct peerlink_frame *incoming;
	struct peerlink_frame *replies;	/* in the order they came */
	struct sextant_wire_hello_reply hello;	/* what HELLO was answered */
	bool greeted;
	u32 status;			/* why it was refused: enum sextant_wire_status, 0 */
	char error[PEERLINK_ERROR_BYTES];	/* why it is closed */
};

/* Makes it a closed one, without an error. */
void peerlink_init(struct peerlink *link);

/*
 * Begins to connect to a numeric host:port and queues the HELLO. volume,
 * incarnation and ballot may be NULL (zero). Closed with an error at once when
 * that cannot be.
 */
void peerlink_open(struct peerlink *link, const char *address, enum sextant_wire_role role,
		   const u8 *volume, const u8 *incarnation, const struct sextant_ballot *ballot,
		   const char *caller);

/* Frees everything and closes, keeping error, status and the hello's answer. */
void peerlink_close(struct peerlink *link);

/* Closes with an error, a sentence's end such as "did not answer within 2000 ms". */
void peerlink_fail(struct peerlink *link, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/*
 * Queues a request of which meta may stand in two pieces (more: NULL, 0 if not).
 * Returns its cookie; 0 when the link is closed or memory ran out.
 */
u64 peerlink_send(struct peerlink *link, u8 type, const void *meta, u32 meta_bytes,
		  const void *more, u32 more_bytes, const void *data, u32 data_bytes);

/* What to poll for; 0 when closed. */
short peerlink_events(const struct peerlink *link);

/* Reads and writes what can be, after a poll that returned revents. */
void peerlink_pump(struct peerlink *link, short revents);

/*
 * Takes the reply to `cookie` (the caller frees it with free()), or NULL when
 * it is not there, or is not of this type with at least bytes_min of meta: then
 * the link is failed.
 */
struct peerlink_frame *peerlink_reply(struct peerlink *link, u64 cookie, u8 type, u32 bytes_min);

/*
 * Polls until no link waits for a reply; or `enough` links have theirs and
 * grace_ms have gone by since; or until timeout_ms, when those that still wait
 * are failed. With the grace, too: whoever is late is out.
 */
void peerlink_wait(struct peerlink *links[], u32 count, u32 enough, u32 grace_ms,
		   u32 timeout_ms);

#endif
