/* SPDX-License-Identifier: GPL-2.0 */
/* The command line of sextant-peerd; its manual page says what each means. */
#ifndef SEXTANT_PEERD_OPTIONS_H
#define SEXTANT_PEERD_OPTIONS_H

#include <sys/socket.h>

#include "core.h"

/* Exit codes. */
enum options_exit {
	PEERD_EXIT_OK		= 0,
	PEERD_EXIT_FAILED	= 1,	/* could not start, or could not go on */
	PEERD_EXIT_USAGE	= 2,
};

#define OPTIONS_CHUNK_BYTES_MIN		(256u << 10)
#define OPTIONS_CHUNK_BYTES_MAX		(256u << 20)

struct options {
	char name[SEXTANT_NAME_BYTES];
	char az[SEXTANT_NAME_BYTES];
	const char *listen;
	struct sockaddr_storage address;
	socklen_t address_bytes;
	const char *store;
	u64 log_bytes_max;
	u32 chunk_bytes;
	bool debug;
};

/*
 * Fills options. Returns -1 to go on, else what to exit with: after --help or
 * --version, or a sentence on stderr.
 */
int options_parse(struct options *options, int argc, char **argv);

#endif
