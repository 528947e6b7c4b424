// SPDX-License-Identifier: GPL-2.0
/* The volumes of a store: finding them, making and removing them, their order. */
#include "volume.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "coalesce.h"
#include "gossip.h"
#include "log.h"
#include "store.h"
#include "text.h"

#define PG_BLOCKS_MAX		(1u << 28)	/* 1 TiB */
#define PGS_MAX			(1u << 20)
#define GATHERED_BYTES_MAX	(64ull << 20)

/* Suffixes of folders that are not, or no longer, a volume. */
#define SUFFIX_NEW		".new"
#define SUFFIX_DELETED		".deleted"

struct volume *volumes;
static const struct options *store_options;
static int store_fd = -1;

struct volume *volume_find(const u8 *uuid)
{
	struct volume *volume;

	for (volume = volumes; volume; volume = volume->next)
		if (!volume->deleted && !memcmp(volume->uuid, uuid, SEXTANT_UUID_BYTES))
			return volume;
	return NULL;
}

static void barriers_run(struct loop_task *task);

static struct volume *volume_new(const u8 *uuid, int directory_fd)
{
	struct volume *volume = memory_get_zeroed(sizeof(*volume));

	memcpy(volume->uuid, uuid, sizeof(volume->uuid));
	sextant_uuid_format(volume->uuid_text, uuid);
	volume->directory_fd = directory_fd;
	volume->barriers_end = &volume->barriers;
	volume->barrier_task.run = barriers_run;
	volume->next = volumes;
	volumes = volume;
	return volume;
}

/* Once the vote is there. */
static int volume_start(struct volume *volume)
{
	u64 pg_count = (volume->vote.size_blocks + volume->vote.pg_blocks - 1) /
		       volume->vote.pg_blocks;

	volume->pg_count = (u32)pg_count;
	volume->pgs = memory_get_zeroed(pg_count * sizeof(*volume->pgs));
	volume->ends = memory_get_zeroed(pg_count * sizeof(*volume->ends));
	volume->known_vdl = volume->vote.known_vdl;
	coalesce_init(volume);
	gossip_init(volume);
	return store_open(volume);
}

static void volume_free(struct volume *volume)
{
	struct volume **at = &volumes;

	while (*at != volume)
		at = &(*at)->next;
	*at = volume->next;
	loop_never(&volume->barrier_task);
	if (!volume->damaged) {
		coalesce_release(volume);
		gossip_release(volume);
		for (u32 i = 0; i < volume->pg_count; i++)
			if (volume->pgs[i])
				store_close(volume->pgs[i]);
		free(volume->pgs);
		free(volume->ends);
		vote_release(&volume->vote);
	}
	close(volume->directory_fd);
	free(volume);
}

/* ---- the store --------------------------------------------------------- */

static int volume_open(const char *name)
{
	u8 uuid[SEXTANT_UUID_BYTES];
	struct volume *volume;
	int fd, rc;

	if (sextant_uuid_parse(name, uuid))
		return 0;
	fd = openat(store_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		sextant_log(SEXTANT_LOG_ERROR, "cannot open %s/%s: %s", store_options->store, name,
			    strerror(errno));
		return -1;
	}
	volume = volume_new(uuid, fd);
	rc = store_vote_read(fd, &volume->vote);
	if (!rc && memcmp(volume->vote.volume, uuid, sizeof(uuid))) {
		vote_release(&volume->vote);
		rc = -EBADMSG;
	}
	if (rc) {
		/* Not new and not empty: what was promised here is not known any more. */
		sextant_log(SEXTANT_LOG_ERROR, "the vote of volume %s is damaged (%s): this store "
			    "of it answers nothing", volume->uuid_text, strerror(-rc));
		volume->damaged = true;
		return 0;
	}
	rc = volume_start(volume);
	if (rc)
		sextant_log(SEXTANT_LOG_ERROR, "cannot open the store of volume %s: %s",
			    volume->uuid_text, strerror(-rc));
	return rc;
}

static bool has_suffix(const char *name, const char *suffix)
{
	size_t name_bytes = strlen(name), suffix_bytes = strlen(suffix);

	return name_bytes == SEXTANT_UUID_TEXT_BYTES - 1 + suffix_bytes &&
	       !strcmp(name + name_bytes - suffix_bytes, suffix);
}

/* Removes a folder and what is in it, two levels deep as a store is. */
static int remove_folder(int parent_fd, const char *name)
{
	int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent *entry;
	DIR *directory;

	if (fd < 0)
		return -errno;
	directory = fdopendir(fd);
	if (!directory) {
		close(fd);
		return -ENOMEM;
	}
	while ((entry = readdir(directory))) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		if (unlinkat(fd, entry->d_name, 0) && errno == EISDIR)
			remove_folder(fd, entry->d_name);
	}
	closedir(directory);
	return unlinkat(parent_fd, name, AT_REMOVEDIR) ? -errno : 0;
}

int volumes_open(const struct options *options, int fd)
{
	struct dirent *entry;
	DIR *directory;
	int rc = 0;

	store_options = options;
	store_fd = fd;
	directory = opendir(options->store);
	if (!directory) {
		sextant_log(SEXTANT_LOG_ERROR, "cannot read the store %s: %s", options->store,
			    strerror(errno));
		return -1;
	}
	while (!rc && (entry = readdir(directory))) {
		if (has_suffix(entry->d_name, SUFFIX_NEW) ||
		    has_suffix(entry->d_name, SUFFIX_DELETED))
			remove_folder(store_fd, entry->d_name);
		else
			rc = volume_open(entry->d_name);
	}
	closedir(directory);
	return rc ? -1 : 0;
}

static u32 busy_count(void)
{
	struct volume *volume;
	u32 busy = connection_count();

	for (volume = volumes; volume; volume = volume->next) {
		if (volume->damaged)
			continue;
		busy += volume->commits + volume->links;
		for (u32 i = 0; i < volume->pg_count; i++)
			if (volume->pgs[i])
				busy += volume->pgs[i]->operations + !!volume->pgs[i]->maker;
	}
	return busy;
}

void volumes_close(void)
{
	struct volume *volume;

	for (volume = volumes; volume; volume = volume->next) {
		if (volume->damaged)
			continue;
		coalesce_stop(volume);
		gossip_stop(volume);
	}
	if (loop_drain(busy_count))
		return;
	/* Only now is each log's last batch known, and on the disk. */
	for (volume = volumes; volume; volume = volume->next)
		if (!volume->damaged)
			log_vouch_all(volume);
	if (loop_drain(busy_count))
		return;
	while (volumes)
		volume_free(volumes);
}

u32 volume_create(const u8 *uuid, u64 size_blocks, u32 pg_blocks, struct volume **made)
{
	char text[SEXTANT_UUID_TEXT_BYTES], text_new[64];
	u8 incarnation[SEXTANT_UUID_BYTES];
	struct volume *volume;
	struct vote vote;
	int fd, rc;

	*made = volume_find(uuid);
	if (*made)
		return SEXTANT_ST_EXISTS;
	if (!size_blocks || !pg_blocks || pg_blocks % SEXTANT_RECORD_BLOCKS_MAX ||
	    pg_blocks > PG_BLOCKS_MAX || (size_blocks - 1) / pg_blocks >= PGS_MAX ||
	    sextant_is_zero(uuid, SEXTANT_UUID_BYTES))
		return SEXTANT_ST_BAD_REQUEST;
	if (sextant_uuid_draw(incarnation))
		return SEXTANT_ST_IO_ERROR;
	sextant_uuid_format(text, uuid);
	snprintf(text_new, sizeof(text_new), "%s" SUFFIX_NEW, text);
	remove_folder(store_fd, text_new);
	if (mkdirat(store_fd, text_new, 0700))
		return store_status(-errno);
	fd = openat(store_fd, text_new, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return store_status(-errno);
	vote_init(&vote, uuid, incarnation, size_blocks, pg_blocks);
	rc = store_vote_write(fd, &vote);
	if (!rc && renameat(store_fd, text_new, store_fd, text))
		rc = -errno;
	if (!rc && fsync(store_fd))
		rc = -errno;
	if (rc) {
		sextant_log(SEXTANT_LOG_ERROR, "cannot make a store for volume %s: %s", text,
			    strerror(-rc));
		vote_release(&vote);
		close(fd);
		remove_folder(store_fd, text_new);
		return store_status(rc);
	}
	volume = volume_new(uuid, fd);
	volume->vote = vote;
	volume_start(volume);
	*made = volume;
	sextant_log(SEXTANT_LOG_NOTICE, "made a store for volume %s", volume->uuid_text);
	return SEXTANT_ST_OK;
}

u32 volume_delete(struct volume *volume, struct connection *except)
{
	char text_deleted[64];

	snprintf(text_deleted, sizeof(text_deleted), "%s" SUFFIX_DELETED, volume->uuid_text);
	remove_folder(store_fd, text_deleted);
	if (renameat(store_fd, volume->uuid_text, store_fd, text_deleted) || fsync(store_fd))
		return store_status(-errno);
	sextant_log(SEXTANT_LOG_NOTICE, "removed the store of volume %s", volume->uuid_text);
	volume->deleted = true;
	coalesce_stop(volume);
	gossip_stop(volume);
	for (struct connection *each = volume->connections; each; each = each->volume_next)
		if (each != except)
			connection_close(each);
	remove_folder(store_fd, text_deleted);
	loop_later(&volume->barrier_task);
	return SEXTANT_ST_OK;
}

/* ---- connections and order --------------------------------------------- */

void volume_join(struct volume *volume, struct connection *connection)
{
	connection->volume_next = volume->connections;
	volume->connections = connection;
	if (connection->role == SEXTANT_ROLE_WRITER) {
		gossip_wake(volume, true);
		if (volume->barriers)
			connection_pause(connection, CONNECTION_HOLD_BARRIER);
	}
}

void volume_leave(struct volume *volume, struct connection *connection)
{
	struct connection **at = &volume->connections;

	while (*at && *at != connection)
		at = &(*at)->volume_next;
	if (*at)
		*at = connection->volume_next;
	connection->volume = NULL;
	if (volume->deleted)
		loop_later(&volume->barrier_task);
}

u32 volume_vote_write(struct volume *volume)
{
	struct vote before, failed;
	int rc;

	if (volume->vote.known_vdl < volume->known_vdl)
		volume->vote.known_vdl = volume->known_vdl;
	rc = store_vote_write(volume->directory_fd, &volume->vote);
	if (!rc)
		return SEXTANT_ST_OK;
	sextant_log(SEXTANT_LOG_ERROR, "cannot write the vote of volume %s: %s", volume->uuid_text,
		    strerror(-rc));
	if (store_vote_read(volume->directory_fd, &before)) {
		volume->vote.accepted.epoch = 0;
		volume->vote.promised.epoch = SEXTANT_EPOCH_MAX;
	} else {
		failed = volume->vote;
		volume->vote = before;
		volume_table_changed(volume);
		vote_release(&failed);
	}
	return store_status(rc);
}

void volume_table_changed(struct volume *volume)
{
	for (u32 i = 0; i < volume->pg_count; i++) {
		struct pg *pg = volume->pgs[i];

		if (pg && segment_truncate(&pg->segment, &volume->vote.table)) {
			sextant_log(SEXTANT_LOG_ERROR, "no memory left");
			abort();
		}
	}
}

static void hold_writers(struct volume *volume, enum connection_hold hold, bool on)
{
	for (struct connection *each = volume->connections; each; each = each->volume_next) {
		if (each->role != SEXTANT_ROLE_WRITER)
			continue;
		if (on)
			connection_pause(each, hold);
		else
			connection_resume(each, hold);
	}
}

void volume_barrier(struct volume *volume, struct connection *connection, struct frame *frame,
		    void (*run)(struct volume *volume, struct barrier *barrier))
{
	struct barrier *barrier = memory_get(sizeof(*barrier) + frame->meta_bytes);

	barrier->next = NULL;
	barrier->connection = connection;
	barrier->run = run;
	barrier->frame = *frame;
	barrier->frame.data = NULL;
	memcpy(barrier->meta, frame->meta, frame->meta_bytes);
	barrier->frame.meta = barrier->meta;
	connection_hold(connection);
	connection_pause(connection, CONNECTION_HOLD_BARRIER);
	*volume->barriers_end = barrier;
	volume->barriers_end = &barrier->next;
	hold_writers(volume, CONNECTION_HOLD_BARRIER, true);
	gossip_hold(volume, true);
	loop_later(&volume->barrier_task);
}

static bool volume_idle(const struct volume *volume)
{
	for (u32 i = 0; i < volume->pg_count; i++)
		if (volume->pgs[i] && (volume->pgs[i]->operations || volume->pgs[i]->maker))
			return false;
	return !volume->commits && !volume->links && !volume->connections;
}

static void barriers_run(struct loop_task *task)
{
	struct volume *volume = (struct volume *)
		((char *)task - offsetof(struct volume, barrier_task));
	struct barrier *barrier;

	while (!volume->commits && (barrier = volume->barriers)) {
		volume->barriers = barrier->next;
		if (!volume->barriers)
			volume->barriers_end = &volume->barriers;
		if (!volume->deleted && !barrier->connection->closing)
			barrier->run(volume, barrier);
		connection_resume(barrier->connection, CONNECTION_HOLD_BARRIER);
		connection_release(barrier->connection);
		free(barrier);
	}
	if (!volume->barriers) {
		hold_writers(volume, CONNECTION_HOLD_BARRIER, false);
		gossip_hold(volume, false);
	}
	if (volume->deleted && volume_idle(volume))
		volume_free(volume);
}

void volume_commit_begin(struct volume *volume, u64 bytes)
{
	volume->commits++;
	volume->gathered_bytes += bytes;
}

void volume_commit_end(struct volume *volume, u64 bytes)
{
	volume->commits--;
	volume->gathered_bytes -= bytes;
	if ((!volume->commits && volume->barriers) || volume->deleted)
		loop_later(&volume->barrier_task);
}

void volume_raise_vdl(struct volume *volume, u64 vdl)
{
	if (vdl > volume->known_vdl)
		volume->known_vdl = vdl;
}

bool volume_tail(struct volume *volume, u32 number, u32 tail_epoch, u64 tail_lsn, u64 upto_lsn)
{
	struct segment_tail tail = { .epoch = tail_epoch, .lsn = tail_lsn };
	struct pg_end *end;
	struct pg *pg;

	if (number >= volume->pg_count)
		return false;
	end = &volume->ends[number];
	pg = volume->pgs[number];
	if (tail_lsn > end->tail_lsn) {
		end->tail_lsn = tail_lsn;
		end->tail_epoch = tail_epoch;
	}
	if (pg ? segment_complete_at(&pg->segment, &tail, upto_lsn) : !tail_lsn) {
		if (upto_lsn > end->checked_lsn)
			end->checked_lsn = upto_lsn;
		return false;
	}
	return true;
}

void volume_writers_check(struct volume *volume)
{
	u64 log_bytes_max = store_options->log_bytes_max;

	/*
	 * The writer's VDL and MRPL come on the same connections: held back for the
	 * log's sake only while what is known already lets the log be emptied.
	 */
	hold_writers(volume, CONNECTION_HOLD_LOG,
		     (volume->log_bytes > log_bytes_max && volume->coalescing) ||
		     volume->gathered_bytes > GATHERED_BYTES_MAX);
	coalesce_wake(volume);
}
