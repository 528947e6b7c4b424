/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Between sextantd's main process and a worker: JSON objects as packets, each
 * with a descriptor if need be.
 *
 *	worker: {"claim": UUID, "name": NAME, "device": NAME}	may I have this volume?
 *	main:	{"granted": true}, or false: another worker has it
 *	worker: {"serves": UUID, "name": NAME, "device": NAME}	what it is called by now
 *	main:	a client's request, with the client's descriptor
 */
#ifndef SEXTANT_CHANNEL_H
#define SEXTANT_CHANNEL_H

#include <jansson.h>

#define CHANNEL_BYTES_MAX	(64 << 10)

/* Sends and drops the reference. passed -1: none; it stays the caller's. 0 or -errno. */
int channel_send(int channel, json_t *object, int passed);

/*
 * Receives one packet: a new reference and *passed (-1: none). NULL with errno; 0:
 * the other end is gone; EAGAIN when nothing is there and the channel does not block.
 */
json_t *channel_receive(int channel, int *passed);

#endif
