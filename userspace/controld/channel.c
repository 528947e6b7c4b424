// SPDX-License-Identifier: GPL-2.0
/* Packets between main process and worker; see channel.h. */
#include "channel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union control {
	char bytes[CMSG_SPACE(sizeof(int))];
	struct cmsghdr align;
};

int channel_send(int channel, json_t *object, int passed)
{
	char *text = json_dumps(object, JSON_COMPACT);
	struct msghdr message = { .msg_iovlen = 1 };
	union control control = { .bytes = { 0 } };
	struct cmsghdr *header;
	struct iovec piece;
	int error = 0;

	json_decref(object);
	if (!text)
		return -ENOMEM;
	piece.iov_base = text;
	piece.iov_len = strlen(text);
	message.msg_iov = &piece;
	if (passed >= 0) {
		message.msg_control = control.bytes;
		message.msg_controllen = sizeof(control.bytes);
		header = CMSG_FIRSTHDR(&message);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(header), &passed, sizeof(int));
	}
	if (sendmsg(channel, &message, MSG_NOSIGNAL) < 0)
		error = -errno;
	free(text);
	return error;
}

json_t *channel_receive(int channel, int *passed)
{
	char *text = malloc(CHANNEL_BYTES_MAX);
	struct iovec piece = { .iov_base = text, .iov_len = CHANNEL_BYTES_MAX };
	union control control;
	struct msghdr message = {
		.msg_iov = &piece, .msg_iovlen = 1,
		.msg_control = control.bytes, .msg_controllen = sizeof(control.bytes),
	};
	json_t *object = NULL;
	struct cmsghdr *header;
	int error = 0;
	ssize_t got;

	*passed = -1;
	if (!text) {
		errno = ENOMEM;
		return NULL;
	}
	do {
		got = recvmsg(channel, &message, MSG_CMSG_CLOEXEC);
	} while (got < 0 && errno == EINTR);
	if (got <= 0) {
		error = got ? errno : 0;
	} else {
		header = CMSG_FIRSTHDR(&message);
		if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS)
			memcpy(passed, CMSG_DATA(header), sizeof(int));
		object = json_loadb(text, (size_t)got, 0, NULL);
		error = EBADMSG;
	}
	free(text);
	if (!object && *passed >= 0) {
		close(*passed);
		*passed = -1;
	}
	errno = error;
	return object;
}
