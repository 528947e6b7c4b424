// SPDX-License-Identifier: GPL-2.0
/*
 * The vote's file: written new, made durable, put in the place of the old one.
 * These calls block; a vote changes when a writer attaches, not while it writes.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"
#include "volume.h"

#define VOTE_FILE	"vote"
#define VOTE_FILE_NEW	"vote.new"
#define VOTE_BYTES_MAX	(16 << 20)

u32 store_status(int error)
{
	return error == -ENOSPC || error == -EDQUOT || error == -EFBIG ? SEXTANT_ST_NO_SPACE :
	       SEXTANT_ST_IO_ERROR;
}

static int read_all(int fd, u8 *bytes, size_t size)
{
	size_t got = 0;

	while (got < size) {
		ssize_t part = pread(fd, bytes + got, size - got, (off_t)got);

		if (part < 0 && errno == EINTR)
			continue;
		if (part < 0)
			return -errno;
		if (!part)
			return -EBADMSG;
		got += (size_t)part;
	}
	return 0;
}

static int write_all(int fd, const u8 *bytes, size_t size)
{
	size_t put = 0;

	while (put < size) {
		ssize_t part = pwrite(fd, bytes + put, size - put, (off_t)put);

		if (part < 0 && errno == EINTR)
			continue;
		if (part < 0)
			return -errno;
		put += (size_t)part;
	}
	return 0;
}

int store_vote_read(int directory_fd, struct vote *vote)
{
	int fd = openat(directory_fd, VOTE_FILE, O_RDONLY | O_CLOEXEC);
	struct stat stat;
	u8 *bytes = NULL;
	int rc;

	if (fd < 0)
		return -errno;
	rc = fstat(fd, &stat) ? -errno : 0;
	if (!rc && (stat.st_size <= 0 || stat.st_size > VOTE_BYTES_MAX))
		rc = -EBADMSG;
	if (!rc) {
		bytes = memory_get((size_t)stat.st_size);
		rc = read_all(fd, bytes, (size_t)stat.st_size);
	}
	if (!rc)
		rc = vote_decode(bytes, (size_t)stat.st_size, vote);
	free(bytes);
	close(fd);
	return rc;
}

int store_vote_write(int directory_fd, struct vote *vote)
{
	u8 *bytes;
	size_t size;
	int fd, rc;

	rc = vote_encode(vote, &bytes, &size);
	if (rc)
		return rc;
	fd = openat(directory_fd, VOTE_FILE_NEW, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0) {
		rc = -errno;
		free(bytes);
		return rc;
	}
	rc = write_all(fd, bytes, size);
	if (!rc && fsync(fd))
		rc = -errno;
	if (close(fd) && !rc)
		rc = -errno;
	if (!rc && renameat(directory_fd, VOTE_FILE_NEW, directory_fd, VOTE_FILE))
		rc = -errno;
	else if (rc)
		unlinkat(directory_fd, VOTE_FILE_NEW, 0);
	if (!rc && fsync(directory_fd))
		rc = -errno;
	free(bytes);
	return rc;
}
