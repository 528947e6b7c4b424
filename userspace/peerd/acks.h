/* SPDX-License-Identifier: GPL-2.0 */
/* Acknowledging: what became durable in a round of the loop goes out in one frame. */
#ifndef SEXTANT_PEERD_ACKS_H
#define SEXTANT_PEERD_ACKS_H

#include "store.h"

/* The append is durable: its run is acknowledged at the end of the round. */
void acks_add(struct append *append);

/*
 * Says why appends are refused, at the end of the round; the connection is
 * closed after NO_SPACE, IO_ERROR and BAD_REQUEST.
 */
void acks_refuse(struct connection *connection, u32 status);

#endif
