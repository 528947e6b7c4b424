/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A volume that this peer serves: its vote, its segments, its connections.
 *
 * In the store it is a folder named by its UUID: the vote, and a folder for
 * each PG that was ever written to (store.h).
 */
#ifndef SEXTANT_PEERD_VOLUME_H
#define SEXTANT_PEERD_VOLUME_H

#include "connection.h"
#include "options.h"
#include "vote.h"

struct pg;
struct gossip;
struct coalesce;

/* What is known of a PG's end, here or elsewhere. */
struct pg_end {
	u64 tail_lsn;			/* a record that is durable on a write quorum */
	u32 tail_epoch;
	u64 checked_lsn;		/* nothing is missing here up to this LSN */
	u64 retry_ms;			/* gossip leaves it alone until then */
};

/* A request that must wait until no commit of the volume is under way. */
struct barrier {
	struct barrier *next;
	struct connection *connection;		/* held while it waits */
	void (*run)(struct volume *volume, struct barrier *barrier);
	struct frame frame;
	u8 meta[];				/* the frame's */
};

struct volume {
	struct volume *next;
	u8 uuid[SEXTANT_UUID_BYTES];
	char uuid_text[40];
	int directory_fd;
	bool damaged;			/* the vote cannot be read: nothing is answered for it */
	bool deleted;
	struct vote vote;

	u32 pg_count;			/* that the volume has, written to or not */
	struct pg **pgs;		/* NULL: nothing of it was ever here */
	struct pg_end *ends;		/* one for each PG */

	u64 known_vdl;
	u64 mrpl;
	u64 lease_ms;			/* loop time of the last heartbeat */
	bool lease_seen;
	u64 faults;			/* damaged blocks seen since the start */

	struct connection *connections;	/* linked by volume_next */
	u32 commits;			/* appends gathered or being written, base pulls */
	u32 links;			/* gossip's connections, and those being made */
	u64 gathered_bytes;		/* in memory, not yet durable */
	u64 log_bytes;			/* of batches in all logs */
	bool coalescing;		/* some log is on its way into the base */
	bool no_space;			/* the last try to coalesce found the disk full */
	struct barrier *barriers, **barriers_end;
	struct loop_task barrier_task;
	struct coalesce *coalesce;
	struct loop_timer coalesce_timer;
	struct gossip *gossip;
};

/* All volumes of the store, by next. */
extern struct volume *volumes;

/*
 * Opens every volume in the store. What is damaged is served as damaged. 0, or
 * -1 after a message when the store itself cannot be used.
 */
int volumes_open(const struct options *options, int store_fd);

/* Waits for what is in flight and lets go of everything. */
void volumes_close(void);

struct volume *volume_find(const u8 *uuid);

/*
 * Makes an empty store, durably. OK, EXISTS, BAD_REQUEST, NO_SPACE or IO_ERROR;
 * *volume is set for OK and EXISTS.
 */
u32 volume_create(const u8 *uuid, u64 size_blocks, u32 pg_blocks, struct volume **volume);

/* Removes the store; its connections are closed, but for `except`. */
u32 volume_delete(struct volume *volume, struct connection *except);

/* A connection that has said HELLO to this volume, and its end. */
void volume_join(struct volume *volume, struct connection *connection);
void volume_leave(struct volume *volume, struct connection *connection);

/*
 * Writes the vote. On failure it is put back to what is on the disk and
 * NO_SPACE or IO_ERROR is returned: nothing may be answered that depends on it.
 */
u32 volume_vote_write(struct volume *volume);

/*
 * Runs a request once no append is gathered or being written; until then no
 * frame is taken from the volume's writers, nor from this connection.
 */
void volume_barrier(struct volume *volume, struct connection *connection, struct frame *frame,
		    void (*run)(struct volume *volume, struct barrier *barrier));

/* An append is under way, or is done. */
void volume_commit_begin(struct volume *volume, u64 bytes);
void volume_commit_end(struct volume *volume, u64 bytes);

/* The writer of the accepted table says that all up to here is durable. */
void volume_raise_vdl(struct volume *volume, u64 vdl);

/*
 * This is the PG's last record at or below an LSN, by its writer. True when this
 * store lacks some of the PG up to there. A PG that is not there is ignored.
 */
bool volume_tail(struct volume *volume, u32 number, u32 tail_epoch, u64 tail_lsn, u64 upto_lsn);

/* Holds back, or lets go on, the writers: by memory and by the log's bound. */
void volume_writers_check(struct volume *volume);

/* Makes its segments follow a new table. */
void volume_table_changed(struct volume *volume);

/* ---- store_vote.c ------------------------------------------------------ */

/* Reads the vote: as vote_decode(), or -errno. */
int store_vote_read(int directory_fd, struct vote *vote);

/* Replaces the vote file, durably. 0 or -errno. */
int store_vote_write(int directory_fd, struct vote *vote);

/* SEXTANT_ST_NO_SPACE or SEXTANT_ST_IO_ERROR for a negative errno. */
u32 store_status(int error);

#endif
