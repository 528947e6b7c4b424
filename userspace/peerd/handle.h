/* SPDX-License-Identifier: GPL-2.0 */
/* What a peer does with the messages of each role. */
#ifndef SEXTANT_PEERD_HANDLE_H
#define SEXTANT_PEERD_HANDLE_H

#include "connection.h"

void handle_control(struct connection *connection, struct frame *frame);
void handle_writer(struct connection *connection, struct frame *frame);
void handle_gossip(struct connection *connection, struct frame *frame);

#endif
