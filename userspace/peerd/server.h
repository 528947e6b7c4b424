/* SPDX-License-Identifier: GPL-2.0 */
/* The listening socket: who connects, HELLO, and to whom frames go then. */
#ifndef SEXTANT_PEERD_SERVER_H
#define SEXTANT_PEERD_SERVER_H

#include "connection.h"
#include "options.h"

/* What this process is; set once at the start. */
extern const struct options *peer_options;

/* Begins to listen. 0, or -errno after a message. */
int server_start(const struct options *options);

/* Takes no more connections and closes those there are. */
void server_stop(void);

/* Answers a request that is malformed, or none of this role, and closes. */
void server_refuse(struct connection *connection, const struct frame *frame, const char *why);

/* True when the frame's meta has at least bytes bytes; else refuses it. */
bool server_meta(struct connection *connection, const struct frame *frame, u32 bytes);

#endif
