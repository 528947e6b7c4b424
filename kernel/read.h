/* SPDX-License-Identifier: GPL-2.0 */
/* A read on its way: from one peer, verified before anybody sees it. */
#ifndef SEXTANT_READ_H
#define SEXTANT_READ_H

#include <linux/atomic.h>
#include <linux/list.h>
#include <linux/workqueue.h>

#include "volume.h"

struct sextant_connection;
struct sextant_record;

enum sextant_read_state {
	SEXTANT_READ_PARKED,	/* no peer can answer now; the tick tries again */
	SEXTANT_READ_QUEUED,	/* on a connection's reads_queued */
	SEXTANT_READ_SENT,	/* on a connection's reads_sent */
	SEXTANT_READ_OWNED,	/* the receiver or the verifying worker has it */
};

#define SEXTANT_READ_PARTS	2

/* Some blocks of a read, opened by one worker. */
struct sextant_read_part {
	struct work_struct work;
	struct sextant_read *read;
	u32 first, end;
	u32 bad;			/* with error: the block that did not open */
	int error;
};

/*
 * In volume->reads all its life. Whoever moves it out of QUEUED or SENT under
 * volume->lock owns it; a parked one belongs to whoever unparks it.
 */
struct sextant_read {
	struct list_head link;			/* volume->reads, by read point */
	struct list_head queue;			/* the connection's list */
	enum sextant_read_state state;
	struct sextant_volume *volume;
	struct sextant_io *io;
	struct work_struct work;
	blk_status_t end_status;		/* set: the work ends the bio with it */
	bool ending;

	u64 block;
	u32 count;
	u32 pg;
	u64 read_point_lsn;
	u32 tail_epoch;
	u64 tail_lsn;
	u64 cookie;				/* of this try */
	u32 peer;				/* asked, in this try */
	u32 answerer;				/* whose blocks[] these are */
	unsigned long deadline_jiffies;
	u8 bad_mask;				/* peers whose answer is no good, for ever */
	u8 slow_mask;				/* refused, timed out or cut off; this round */
	bool sampled;				/* one of the few whose freshness is checked */
	bool confirming;			/* asking others whether the answer is the newest */
	u8 agreed_mask;				/* who says so, the answerer among them */
	u32 status;				/* of the answer */
	struct sextant_read_part parts[SEXTANT_READ_PARTS];
	atomic_t parts_left;			/* not yet opened */

	struct sextant_record *hits[SEXTANT_RECORD_BLOCKS_MAX];	/* undurable ones, referenced */
	struct page *pages[SEXTANT_RECORD_BLOCKS_MAX];		/* bounce pages */
	struct sextant_wire_block blocks[SEXTANT_RECORD_BLOCKS_MAX];
	u64 confirm_lsns[SEXTANT_RECORD_BLOCKS_MAX];	/* 0: never written */
};

/* read.c */
int sextant_read_pools_init(struct sextant_volume *volume);
void sextant_read_pools_exit(struct sextant_volume *volume);
void sextant_reads_start(struct sextant_volume *volume);
void sextant_read_inbox_work(struct work_struct *work);
void sextant_read_direct(struct sextant_read *read);
void sextant_read_resend(struct sextant_read *read);
void sextant_read_park(struct sextant_read *read);
void sextant_read_end_later(struct sextant_read *read, blk_status_t status);
void sextant_reads_tick(struct sextant_volume *volume);
void sextant_reads_unpark(struct sextant_volume *volume);
void sextant_reads_fail(struct sextant_volume *volume, blk_status_t status, bool parked_only);
void sextant_reads_of_broken(struct sextant_connection *connection);
struct sextant_read *sextant_read_take(struct sextant_connection *connection, u64 cookie,
				       bool *alone);
void sextant_read_finish(struct sextant_read *read, blk_status_t status);
void sextant_read_confirm(struct sextant_read *read);
void sextant_read_ask_only(struct sextant_read *read, u32 peer);
bool sextant_read_misses(const struct sextant_read *read);

/* read_verify.c */
u32 sextant_read_agreement(const struct sextant_read *read);
void sextant_read_work(struct work_struct *work);
void sextant_bio_copy(struct bio *bio, struct page **pages, bool to_bio);

#endif
