/* SPDX-License-Identifier: GPL-2.0 */
/* What a peer does with the messages of each role. */
#ifndef SEXTANT_PEERD_HANDLE_H
#define SEXTANT_PEERD_HANDLE_H

#include "connection.h"

struct record_read;

void handle_control(struct connection *connection, struct frame *frame);
void handle_writer(struct connection *connection, struct frame *frame);
void handle_gossip(struct connection *connection, struct frame *frame);

/*
 * Is the record of an APPEND or COPY well-formed, of this volume, with seals and
 * blocks as it says, and do the blocks hold against their CRCs?
 */
bool handle_record_valid(const struct volume *volume, const struct sextant_wire_append *append,
			 const struct frame *frame);

/* STATUS_REPLY. */
void handle_status(struct connection *connection, u64 cookie, u32 status);

/* handle_state.c: requests of CONTROL about what is held, and their answers. */
void handle_state(struct connection *connection, u64 cookie, u32 status);
void handle_pg_list(struct connection *connection, struct frame *frame);
void handle_tail(struct connection *connection, struct frame *frame);
void handle_fetch(struct connection *connection, struct frame *frame);
void handle_copy(struct connection *connection, struct frame *frame);

/* RECORD, from a read that has ended. */
void handle_record_reply(struct connection *connection, u64 cookie, u32 status,
			 const struct record_read *read);

/* MANIFEST_GET, of CONTROL and PEER. */
void handle_manifest_get(struct connection *connection, struct frame *frame);

/* Frees what the handlers hung on a connection that is going away. */
void handle_writer_closed(struct connection *connection);

#endif
