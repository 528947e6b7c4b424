/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How the command line and sextantd talk: JSON objects, one a line, over a
 * Unix stream socket. One request a connection:
 *
 *	{"verb": "volume.create", ...}
 *
 * answered by any number of {"progress": "sentence"} and then one result,
 * {"ok": true, ...} or {"ok": false, "code": N, "error": "sentence"}.
 * volume.status with "watch": true answers with results until the caller hangs up.
 */
#ifndef SEXTANT_CONTROL_H
#define SEXTANT_CONTROL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define SEXTANT_CONTROL_LINE_MAX	(16 << 20)
#define SEXTANT_CONTROL_REQUEST_MAX	(64 << 10)

/* Why something was not done; the command line exits with it. */
enum sextant_code {
	SEXTANT_CODE_OK			= 0,
	SEXTANT_CODE_FAILED		= 1,
	SEXTANT_CODE_USAGE		= 2,	/* bad input */
	SEXTANT_CODE_NOT_FOUND		= 3,
	SEXTANT_CODE_NO_QUORUM		= 4,	/* too few peers answer */
	SEXTANT_CODE_ATTACHED		= 5,	/* attached elsewhere, or fenced */
	SEXTANT_CODE_KEY		= 6,	/* the key is missing or the wrong one */
	SEXTANT_CODE_UNREACHABLE	= 7,	/* sextantd does not answer */
};

/* Lines read from a socket, whole ones only. Zeroed memory with an fd is a new one. */
struct sextant_lines {
	int fd;
	char *buffer;
	size_t bytes, room, taken;
};

/*
 * The next line as a JSON object, to be released with json_decref(); blocks
 * unless the fd does not. NULL with errno: 0 at the end of the stream, EAGAIN
 * when a line is not there yet, EBADMSG for what is no JSON object or longer
 * than bytes_max, else of read(2).
 */
json_t *sextant_lines_next(struct sextant_lines *lines, size_t bytes_max);

/* Frees the buffer; the fd is the caller's. */
void sextant_lines_release(struct sextant_lines *lines);

/* Writes an object as one line and drops the reference. 0 or -errno. */
int sextant_line_write(int fd, json_t *object);

#endif
