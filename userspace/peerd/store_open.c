// SPDX-License-Identifier: GPL-2.0
/* Opening a volume's PGs at the start, and making one when it is first written to. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"
#include "store.h"

#define PG_NAME_BYTES	32

static void pg_name(char name[PG_NAME_BYTES], u32 number, const char *suffix)
{
	snprintf(name, PG_NAME_BYTES, "pg-%08x%s", number, suffix);
}

static u32 pg_block_count(const struct volume *volume, u32 number)
{
	u64 first = (u64)number * volume->vote.pg_blocks;
	u64 left = volume->vote.size_blocks - first;

	return left < volume->vote.pg_blocks ? (u32)left : volume->vote.pg_blocks;
}

/* Without files and without a segment's content yet. */
static struct pg *pg_new(struct volume *volume, u32 number, int directory_fd)
{
	struct pg *pg = memory_get_zeroed(sizeof(*pg));

	pg->volume = volume;
	pg->number = number;
	pg->directory_fd = directory_fd;
	pg->base_fd = pg->meta_fd = pg->checkpoint_fd = -1;
	pg->chunks_end = &pg->chunks;
	pg->gathered_end = &pg->gathered;
	pg->identity.pg = number;
	pg->identity.pg_blocks = volume->vote.pg_blocks;
	pg->identity.size_blocks = volume->vote.size_blocks;
	memcpy(pg->identity.volume, volume->uuid, sizeof(pg->identity.volume));
	memcpy(pg->identity.incarnation, volume->vote.incarnation,
	       sizeof(pg->identity.incarnation));
	/* The files are sized by it; segment_start() has the rest. */
	pg->segment.block_count = pg_block_count(volume, number);
	return pg;
}

static void segment_start(struct pg *pg)
{
	struct volume *volume = pg->volume;

	segment_init(&pg->segment, pg->number, (u64)pg->number * volume->vote.pg_blocks,
		     pg_block_count(volume, pg->number), &pg->checkpoint.base_tail,
		     pg->checkpoint.floor_lsn, &volume->vote.table);
	segment_on_left(&pg->segment, chunk_record_left, pg);
}

void store_close(struct pg *pg)
{
	loop_never(&pg->commit_task);
	segment_on_left(&pg->segment, NULL, NULL);
	segment_release(&pg->segment);
	pg->volume->pgs[pg->number] = NULL;
	chunks_close(pg);
	base_close(pg);
	close(pg->directory_fd);
	free(pg->discards);
	free(pg);
}

/* ---- scanning the log -------------------------------------------------- */

static int scan_read(void *context, u32 number, u32 offset, void *buffer, u32 bytes)
{
	struct pg *pg = context;
	struct chunk *chunk = chunk_find(pg, number);
	u32 got = 0;

	for (struct chunk *each = pg->spare; each && !chunk; each = each->next)
		if (each->number == number)
			chunk = each;
	while (got < bytes) {
		ssize_t part = pread(chunk->fd, (u8 *)buffer + got, bytes - got, offset + got);

		if (part < 0 && errno == EINTR)
			continue;
		if (part <= 0)
			return -EIO;
		got += (u32)part;
	}
	return 0;
}

/* The chunk, in use behind those of earlier batches. */
static struct chunk *scan_chunk(struct pg *pg, u32 number)
{
	struct chunk *chunk = chunk_find(pg, number);

	if (chunk)
		return chunk;
	for (chunk = pg->spare; chunk; chunk = chunk->next) {
		if (chunk->number != number)
			continue;
		chunk_use(pg, chunk);
		return chunk;
	}
	return NULL;
}

static int scan_batch(void *context, const struct log_header *header, u32 number, u32 offset)
{
	struct pg *pg = context;
	struct chunk *chunk = scan_chunk(pg, number);
	struct log_cursor cursor;
	struct log_record record;

	if (!chunk->first_sequence)
		chunk->first_sequence = le64_to_cpu(header->sequence);
	chunk->bytes += log_batch_size(header);
	pg->volume->log_bytes += log_batch_size(header);
	pg->vouched = !header->record_count;
	log_records(&cursor, header);
	while (log_records_next(&cursor, &record)) {
		struct segment_place place = {
			.chunk = number,
			.batch_offset = offset,
			.data_offset = offset + record.data_offset,
		};
		int rc = segment_add_scanned(&pg->segment, record.record, record.seals, &place);

		if (!rc)
			chunk->records++;
		else if (rc == -EINVAL)
			sextant_log(SEXTANT_LOG_WARNING, "volume %s, PG %u: a record in the log "
				    "contradicts another; left out", pg->volume->uuid_text,
				    pg->number);
		else if (rc != -EEXIST)
			return rc;
	}
	return 0;
}

/*
 * The highest epoch that a record here can have: a ballot that is only promised
 * has written nothing, and its COPY brings older epochs.
 */
static u32 epoch_highest(const struct volume *volume)
{
	const struct vote *vote = &volume->vote;

	return vote->promised.epoch > vote->accepted.epoch ? vote->promised.epoch - 1 :
							     vote->accepted.epoch;
}

static int scan_damage(void *context, const struct log_damage *damage)
{
	struct pg *pg = context;

	sextant_log(SEXTANT_LOG_ERROR, "volume %s, PG %u: batches %llu to %llu of the log are "
		    "damaged (log-%08x from %u on); other peers are asked for their records",
		    pg->volume->uuid_text, pg->number,
		    (unsigned long long)damage->after_sequence + 1,
		    (unsigned long long)damage->before_sequence, damage->chunk, damage->offset);
	pg->volume->faults++;
	return segment_damage_range(&pg->segment, pg->segment.base_tail.lsn, damage->high_lsn,
				    epoch_highest(pg->volume));
}

static int log_open(struct pg *pg)
{
	static const struct log_scan_ops ops = {
		.read = scan_read,
		.batch = scan_batch,
		.damage = scan_damage,
	};
	struct log_scan scan = { .identity = pg->identity };
	struct chunk *chunk;
	u32 *numbers;
	int rc;

	pg->vouched = true;
	numbers = memory_get(pg->chunk_count * sizeof(*numbers));
	for (chunk = pg->spare; chunk; chunk = chunk->next)
		numbers[scan.chunk_count++] = chunk->number;
	scan.chunks = numbers;
	scan.chunk_bytes = pg->chunk_bytes;
	scan.first_sequence = pg->checkpoint.first_sequence;
	rc = log_scan(&scan, &ops, pg);
	free(numbers);
	if (rc)
		return rc;
	pg->position = scan.end;
	pg->current = scan.end.chunk == ~0u ? NULL : scan_chunk(pg, scan.end.chunk);
	volume_raise_vdl(pg->volume, scan.known_vdl);
	if (scan.torn)
		sextant_log(SEXTANT_LOG_INFO, "volume %s, PG %u: the log's last batch was torn",
			    pg->volume->uuid_text, pg->number);
	return 0;
}

/* ---- opening ----------------------------------------------------------- */

static int pg_open(struct volume *volume, const char *name, u32 number)
{
	struct pg *pg;
	int fd, rc;

	fd = openat(volume->directory_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	pg = pg_new(volume, number, fd);
	volume->pgs[number] = pg;
	rc = base_open(pg);
	if (rc == -EBADMSG || rc == -ENOENT) {
		sextant_log(SEXTANT_LOG_ERROR, "volume %s, PG %u: the checkpoint is damaged; other "
			    "peers are asked for the whole PG", volume->uuid_text, number);
		volume->faults++;
		pg->base_damaged = true;
		pg->checkpoint.first_sequence = 1;
		rc = base_reset(pg);
	}
	segment_start(pg);
	volume_raise_vdl(volume, pg->checkpoint.known_vdl);
	if (!rc)
		rc = chunks_open(pg);
	if (!rc)
		rc = log_open(pg);
	/* What COPY brought for a table that may yet come stays. */
	if (!rc && sextant_ballot_equal(&volume->vote.promised, &volume->vote.accepted))
		rc = segment_truncate(&pg->segment, &volume->vote.table);
	return rc;
}

/* What was being made when the daemon ended holds nothing yet. */
static void pg_remove(struct volume *volume, const char *name)
{
	int fd = openat(volume->directory_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return;
	unlinkat(fd, "base", 0);
	unlinkat(fd, "meta", 0);
	unlinkat(fd, "checkpoint", 0);
	close(fd);
	unlinkat(volume->directory_fd, name, AT_REMOVEDIR);
}

int store_open(struct volume *volume)
{
	struct dirent *entry;
	DIR *directory;
	int fd, rc = 0;

	fd = openat(volume->directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	directory = fdopendir(fd);
	if (!directory) {
		close(fd);
		return -ENOMEM;
	}
	while (!rc && (entry = readdir(directory))) {
		char name[PG_NAME_BYTES];
		u32 number;

		if (sscanf(entry->d_name, "pg-%8x", &number) != 1 || number >= volume->pg_count)
			continue;
		pg_name(name, number, "");
		if (!strcmp(entry->d_name, name))
			rc = pg_open(volume, name, number);
		else
			pg_remove(volume, entry->d_name);
	}
	closedir(directory);
	return rc;
}

static int pg_make(struct pg *pg, const char *name, const char *name_new)
{
	int volume_fd = pg->volume->directory_fd;
	int rc = base_make(pg);

	if (!rc && fsync(pg->directory_fd))
		rc = -errno;
	if (!rc && renameat(volume_fd, name_new, volume_fd, name))
		rc = -errno;
	if (!rc && fsync(volume_fd))
		rc = -errno;
	return rc;
}

struct pg *store_pg(struct volume *volume, u32 number, u32 *status)
{
	char name[PG_NAME_BYTES], name_new[PG_NAME_BYTES];
	struct pg *pg = volume->pgs[number];
	int fd, rc;

	if (pg)
		return pg;
	pg_name(name, number, "");
	pg_name(name_new, number, ".new");
	pg_remove(volume, name_new);
	if (mkdirat(volume->directory_fd, name_new, 0700))
		goto failed;
	fd = openat(volume->directory_fd, name_new, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		goto failed;
	pg = pg_new(volume, number, fd);
	volume->pgs[number] = pg;
	rc = pg_make(pg, name, name_new);
	if (!rc)
		rc = chunks_open(pg);
	segment_start(pg);
	if (rc) {
		store_close(pg);
		pg_remove(volume, name_new);
		errno = -rc;
		goto failed;
	}
	pg->position = (struct log_position){ .chunk = ~0u, .next_sequence = 1 };
	pg->vouched = true;
	return pg;
failed:
	rc = -errno;
	sextant_log(SEXTANT_LOG_ERROR, "volume %s: cannot make the store of PG %u: %s",
		    volume->uuid_text, number, strerror(-rc));
	*status = store_status(rc);
	return NULL;
}
