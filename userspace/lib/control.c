// SPDX-License-Identifier: GPL-2.0
/* JSON lines over a socket; see control.h. */
#include "control.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define WRITE_TIMEOUT_MS	10000

static json_t *take_line(struct sextant_lines *lines, size_t length)
{
	json_t *object = json_loadb(lines->buffer + lines->taken, length,
				    JSON_REJECT_DUPLICATES, NULL);

	lines->taken += length + 1;
	if (object && json_is_object(object))
		return object;
	json_decref(object);
	errno = EBADMSG;
	return NULL;
}

static int make_room(struct sextant_lines *lines, size_t bytes_max)
{
	char *grown;

	if (lines->taken) {
		lines->bytes -= lines->taken;
		memmove(lines->buffer, lines->buffer + lines->taken, lines->bytes);
		lines->taken = 0;
	}
	if (lines->bytes < lines->room)
		return 0;
	if (lines->room >= bytes_max)
		return EBADMSG;
	grown = realloc(lines->buffer, lines->room ? 2 * lines->room : 4096);
	if (!grown)
		return ENOMEM;
	lines->buffer = grown;
	lines->room = lines->room ? 2 * lines->room : 4096;
	return 0;
}

json_t *sextant_lines_next(struct sextant_lines *lines, size_t bytes_max)
{
	size_t searched = 0;
	ssize_t got;
	char *end;

	for (;;) {
		size_t held = lines->bytes - lines->taken;

		end = held > searched ? memchr(lines->buffer + lines->taken + searched, '\n',
					       held - searched) : NULL;
		if (end)
			return take_line(lines, (size_t)(end - lines->buffer) - lines->taken);
		searched = held;
		errno = make_room(lines, bytes_max);
		if (errno)
			return NULL;
		got = read(lines->fd, lines->buffer + lines->bytes, lines->room - lines->bytes);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return NULL;
		if (!got) {
			errno = held ? EBADMSG : 0;
			return NULL;
		}
		lines->bytes += (size_t)got;
	}
}

void sextant_lines_release(struct sextant_lines *lines)
{
	free(lines->buffer);
	lines->buffer = NULL;
	lines->bytes = 0;
	lines->room = 0;
	lines->taken = 0;
}

static int write_all(int fd, const char *from, size_t bytes)
{
	while (bytes) {
		ssize_t sent = send(fd, from, bytes, MSG_NOSIGNAL);

		if (sent < 0 && errno == EAGAIN) {
			struct pollfd ready = { .fd = fd, .events = POLLOUT };

			if (poll(&ready, 1, WRITE_TIMEOUT_MS) == 1)
				continue;
			return -ETIMEDOUT;
		}
		if (sent < 0 && errno != EINTR)
			return -errno;
		if (sent > 0) {
			from += sent;
			bytes -= (size_t)sent;
		}
	}
	return 0;
}

int sextant_line_write(int fd, json_t *object)
{
	char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;
	size_t length;
	int error;

	json_decref(object);
	if (!text)
		return -ENOMEM;
	length = strlen(text);
	text[length] = '\n';	/* in the NUL's place: the length is known */
	error = write_all(fd, text, length + 1);
	free(text);
	return error;
}
