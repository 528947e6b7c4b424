/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The six sockets that the kernel writes through: connecting, greeting as
 * WRITER, teaching a peer the table in force (LEARN), handing the socket over; and
 * all that again whenever the kernel has lost one. Never blocks.
 */
#ifndef SEXTANT_WRITERS_H
#define SEXTANT_WRITERS_H

#include <poll.h>

#include "control_config.h"
#include "kernel_link.h"
#include "manifest.h"
#include "peerlink.h"

enum writer_state {
	WRITER_HANDED_OVER,	/* the kernel has its socket */
	WRITER_WAITING,		/* to try again at at_ms */
	WRITER_GREETING,	/* connecting, as WRITER */
	WRITER_TEACHING,	/* connecting as CONTROL, then ACTIVATE as CHOSEN */
};

struct writer {
	enum writer_state state;
	struct peerlink link;
	u64 at_ms;			/* WAITING: the next try; else when to give this one up */
	u64 since_ms;			/* when its socket was handed over */
	u32 backoff_ms;
	u64 teach_cookie;		/* of the ACTIVATE, once sent */
	char said[PEERLINK_ERROR_BYTES];	/* the last complaint logged */
};

struct writers {
	const struct control_config *config;
	struct kernel_link *kernel;
	const struct sextant_manifest *manifest;	/* in force */
	const u8 *manifest_bytes;
	size_t manifest_size;
	struct writer six[SEXTANT_PEERS];
};

/* All of them waiting to be tried at once. What is pointed to must stay. */
void writers_init(struct writers *writers);
void writers_close(struct writers *writers);

/*
 * Takes in what the kernel says: a socket that it has lost is to be brought
 * again. last_status: what ended the one before, enum sextant_wire_status.
 */
void writers_kernel_says(struct writers *writers, u32 index, bool connected, u32 last_status);

/* Does what is due. Returns the milliseconds until something else is; -1: nothing. */
int writers_step(struct writers *writers);

/* Descriptors to poll, one for each peer, fd -1 where none; and what poll said of them. */
void writers_poll_fill(const struct writers *writers, struct pollfd polled[SEXTANT_PEERS]);
void writers_poll_take(struct writers *writers, const struct pollfd polled[SEXTANT_PEERS]);

/* A bit for each peer whose socket the kernel has. */
u8 writers_done(const struct writers *writers);

#endif
