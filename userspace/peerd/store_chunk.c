// SPDX-License-Identifier: GPL-2.0
/*
 * The chunks of a log. A chunk is filled with zeros once, durably, before its
 * first use and written over from then on, so that a durable write of a batch
 * changes nothing but data blocks: the file system commits no metadata for it.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"
#include "server.h"
#include "store.h"

#define CHUNK_NAME_BYTES	32

/* The steps of making a chunk; each is one operation in the ring. */
struct chunk_maker {
	struct loop_op op;
	struct pg *pg;
	struct chunk *chunk;
	enum { MAKE_ALLOCATE, MAKE_ZERO, MAKE_SYNC, MAKE_DIRECTORY } step;
	u32 zeroed;
};

static struct buffer *zeros;

#define ZERO_BYTES	(1u << 20)

static void chunk_name(char name[CHUNK_NAME_BYTES], u32 number, bool made)
{
	snprintf(name, CHUNK_NAME_BYTES, "log-%08x%s", number, made ? "" : ".new");
}

/* Direct where the file system can, else buffered: the write is durable either way. */
int store_open_direct(int directory_fd, const char *name, int flags)
{
	static bool warned;
	int fd = openat(directory_fd, name, flags | O_DIRECT | O_CLOEXEC, 0600);

	if (fd >= 0 || errno != EINVAL)
		return fd;
	if (!warned)
		sextant_log(SEXTANT_LOG_WARNING, "the store's file system has no direct I/O; "
			    "going through the page cache, which is slower");
	warned = true;
	return openat(directory_fd, name, flags | O_CLOEXEC, 0600);
}

struct chunk *chunk_find(const struct pg *pg, u32 number)
{
	struct chunk *chunk;

	for (chunk = pg->chunks; chunk; chunk = chunk->next)
		if (chunk->number == number)
			return chunk;
	return NULL;
}

static void chunk_close(struct chunk *chunk)
{
	if (chunk->fd >= 0)
		close(chunk->fd);
	free(chunk);
}

static int chunk_open(struct pg *pg, const char *name, u32 number)
{
	struct chunk *chunk = memory_get_zeroed(sizeof(*chunk));
	struct stat stat;

	chunk->number = number;
	chunk->fd = store_open_direct(pg->directory_fd, name, O_RDWR);
	if (chunk->fd < 0 || fstat(chunk->fd, &stat)) {
		int rc = -errno;

		chunk_close(chunk);
		return rc;
	}
	/* Chunks keep the size they were made with; one cut short is damage to the scan. */
	if (stat.st_size > pg->chunk_bytes && stat.st_size <= OPTIONS_CHUNK_BYTES_MAX)
		pg->chunk_bytes = (u32)stat.st_size & ~(u32)(SEXTANT_BLOCK_BYTES - 1);
	chunk->next = pg->spare;
	pg->spare = chunk;
	pg->chunk_count++;
	if (number >= pg->chunk_next_number)
		pg->chunk_next_number = number + 1;
	return 0;
}

int chunks_open(struct pg *pg)
{
	struct dirent *entry;
	DIR *directory;
	int fd, rc = 0;

	pg->chunk_bytes = 0;
	fd = openat(pg->directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	directory = fdopendir(fd);
	if (!directory) {
		close(fd);
		return -ENOMEM;
	}
	while (!rc && (entry = readdir(directory))) {
		char name[CHUNK_NAME_BYTES];
		u32 number;

		if (sscanf(entry->d_name, "log-%8x", &number) != 1)
			continue;
		chunk_name(name, number, true);
		if (!strcmp(entry->d_name, name))
			rc = chunk_open(pg, name, number);
		else
			unlinkat(pg->directory_fd, entry->d_name, 0);
	}
	closedir(directory);
	if (!pg->chunk_bytes)
		pg->chunk_bytes = peer_options->chunk_bytes;
	return rc;
}

void chunks_close(struct pg *pg)
{
	struct chunk *chunk;

	while ((chunk = pg->chunks)) {
		pg->chunks = chunk->next;
		chunk_close(chunk);
	}
	while ((chunk = pg->spare)) {
		pg->spare = chunk->next;
		chunk_close(chunk);
	}
}

/* ---- use --------------------------------------------------------------- */

void chunk_use(struct pg *pg, struct chunk *chunk)
{
	struct chunk **at = &pg->spare;

	while (*at != chunk)
		at = &(*at)->next;
	*at = chunk->next;
	chunk->next = NULL;
	chunk->in_use = true;
	chunk->records = chunk->leaving = 0;
	chunk->first_sequence = 0;
	chunk->bytes = 0;
	*pg->chunks_end = chunk;
	pg->chunks_end = &chunk->next;
	pg->current = chunk;
}

struct chunk *chunk_take(struct pg *pg)
{
	if (!pg->spare)
		return NULL;
	chunk_use(pg, pg->spare);
	return pg->current;
}

void chunk_record_left(void *context, const struct segment_place *place)
{
	struct pg *pg = context;
	struct chunk *chunk = chunk_find(pg, place->chunk);

	if (chunk)
		chunk->records--;
}

u64 chunks_first_sequence(const struct pg *pg)
{
	struct chunk *chunk;

	for (chunk = pg->chunks; chunk; chunk = chunk->next)
		if (chunk->first_sequence && (chunk->records > chunk->leaving || chunk == pg->current))
			return chunk->first_sequence;
	/* The batch that is being written, if one is: it is not in its chunk's books yet. */
	return log_sequence_next(pg);
}

void chunks_recycle(struct pg *pg, u64 first_sequence)
{
	struct chunk *chunk;

	while ((chunk = pg->chunks) && chunk != pg->current && !chunk->records &&
	       chunk->next->first_sequence <= first_sequence &&
	       chunk->first_sequence < first_sequence) {
		pg->chunks = chunk->next;
		pg->volume->log_bytes -= chunk->bytes;
		chunk->in_use = false;
		chunk->next = pg->spare;
		pg->spare = chunk;
		pg->base_changes++;
	}
}

/* ---- making ------------------------------------------------------------ */

static void make_step(struct chunk_maker *maker);

static void make_end(struct chunk_maker *maker, int error)
{
	struct pg *pg = maker->pg;
	char name[CHUNK_NAME_BYTES];

	pg->maker = NULL;
	if (error) {
		sextant_log(SEXTANT_LOG_WARNING, "volume %s: cannot make a log file of %u bytes: %s",
			    pg->volume->uuid_text, pg->chunk_bytes, strerror(-error));
		chunk_name(name, maker->chunk->number, false);
		unlinkat(pg->directory_fd, name, 0);
		chunk_close(maker->chunk);
	} else {
		maker->chunk->next = pg->spare;
		pg->spare = maker->chunk;
		pg->chunk_count++;
	}
	free(maker);
	log_chunk_made(pg, error ? store_status(error) : SEXTANT_ST_OK);
	if (pg->volume->deleted)
		loop_later(&pg->volume->barrier_task);
}

static int make_rename(struct chunk_maker *maker)
{
	char name[CHUNK_NAME_BYTES], name_new[CHUNK_NAME_BYTES];
	int fd = maker->pg->directory_fd;

	chunk_name(name, maker->chunk->number, true);
	chunk_name(name_new, maker->chunk->number, false);
	return renameat(fd, name_new, fd, name) ? -errno : 0;
}

static void make_done(struct loop_op *op, int result)
{
	struct chunk_maker *maker = (struct chunk_maker *)op;
	int error = result < 0 ? result : 0;

	if (result == -EINTR || result == -EAGAIN) {
		make_step(maker);
		return;
	}
	switch (maker->step) {
	case MAKE_ALLOCATE:
		/* Without it the zeros that follow do the same, in more pieces. */
		if (error == -EOPNOTSUPP)
			error = 0;
		maker->step = MAKE_ZERO;
		break;
	case MAKE_ZERO:
		if (!result)
			error = -ENOSPC;
		if (result > 0)
			maker->zeroed += (u32)result;
		if (maker->zeroed >= maker->pg->chunk_bytes)
			maker->step = MAKE_SYNC;
		break;
	case MAKE_SYNC:
		if (!error)
			error = make_rename(maker);
		maker->step = MAKE_DIRECTORY;
		break;
	case MAKE_DIRECTORY:
		make_end(maker, error);
		return;
	}
	if (error)
		make_end(maker, error);
	else
		make_step(maker);
}

static void make_step(struct chunk_maker *maker)
{
	u32 left = maker->pg->chunk_bytes - maker->zeroed;
	struct io_uring_sqe *sqe = loop_sqe();

	switch (maker->step) {
	case MAKE_ALLOCATE:
		io_uring_prep_fallocate(sqe, maker->chunk->fd, 0, 0, maker->pg->chunk_bytes);
		break;
	case MAKE_ZERO:
		io_uring_prep_write(sqe, maker->chunk->fd, zeros->bytes,
				    left < ZERO_BYTES ? left : ZERO_BYTES, maker->zeroed);
		break;
	case MAKE_SYNC:
		io_uring_prep_fsync(sqe, maker->chunk->fd, 0);
		break;
	case MAKE_DIRECTORY:
		io_uring_prep_fsync(sqe, maker->pg->directory_fd, 0);
		break;
	}
	loop_start(sqe, &maker->op);
}

void chunk_make(struct pg *pg)
{
	struct chunk_maker *maker;
	char name[CHUNK_NAME_BYTES];

	if (pg->maker || pg->spare || pg->io_error)
		return;
	if (!zeros) {
		zeros = buffer_get(ZERO_BYTES);
		memset(zeros->bytes, 0, ZERO_BYTES);
	}
	maker = memory_get_zeroed(sizeof(*maker));
	maker->op.done = make_done;
	maker->pg = pg;
	maker->chunk = memory_get_zeroed(sizeof(*maker->chunk));
	maker->chunk->number = pg->chunk_next_number++;
	chunk_name(name, maker->chunk->number, false);
	maker->chunk->fd = store_open_direct(pg->directory_fd, name, O_RDWR | O_CREAT | O_TRUNC);
	pg->maker = maker;
	if (maker->chunk->fd < 0)
		make_end(maker, -errno);
	else
		make_step(maker);
}
