/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The volume: what outlives the dm table. One object for each UUID holds the
 * queue, the connections, the LSN counter and the keys; a table refers to it.
 *
 * Locks, outermost first:
 *   volumes_mutex (volume.c)  the list of all volumes, and who may use one
 *   volume->config            attach steps and connections coming and going;
 *                             taken by netlink and lifecycle work under
 *                             memalloc_noio_save(), never by I/O
 *   volume->lock              all of the running state below; a spinlock, so
 *                             nothing under it sleeps, sends or allocates
 *   volume->inbox_lock        bios that map() took and nobody has looked at
 *
 * Nothing is sent and no bio is ended under a lock.
 */
#ifndef SEXTANT_VOLUME_H
#define SEXTANT_VOLUME_H

#include <linux/bio.h>
#include <linux/kref.h>
#include <linux/mempool.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

#include "quorum.h"
#include "sextant.h"
#include "table.h"

struct dm_target;
struct sextant_connection;
struct sextant_crypt;
struct sextant_keys;
struct sextant_read;

#define SEXTANT_READS_MAX		256	/* in flight, each volume */
#define SEXTANT_TICK_MS			250	/* time-outs are seen this late at most */

/* What START brings; the attach id is the one that the volume drew. */
struct sextant_start {
	u64 vdl;				/* VCL of the recovery */
	u64 size_blocks;
	u32 epoch;
	u32 pg_blocks;
	u32 generation;				/* to seal with */
	u32 lease_ms;
	bool plain;				/* sockets need no TLS */
	char local_az[SEXTANT_NAME_BYTES];
};

/* What a table line may say; Documentation/admin-guide.rst has the words. */
struct sextant_options {
	bool writethrough;
	u32 no_quorum_s;			/* 0: wait */
	u32 attach_timeout_s;
	u32 read_timeout_ms;
	u32 read_verify;			/* peers beyond a read quorum that must agree */
	u64 max_dirty_bytes;
	u64 peer_queue_bytes;
};

/* One PG that holds anything; lives as long as the attach. volume->lock. */
struct sextant_pg {
	u32 index;
	u32 taken_epoch;			/* its last record, queued or durable: */
	u64 taken_lsn;				/* the back-link of the next */
	u32 durable_epoch;			/* its last record at or below VDL: */
	u64 durable_lsn;			/* the tail that a READ names */
	struct list_head changed;		/* volume->changed_pgs, by durable_lsn */
	struct sextant_quorum_pg quorum;
};

/* A slot for each peer the manifest names; set by PEER_SET. volume->lock. */
struct sextant_peer {
	u32 index;
	bool set;
	bool stale;				/* said NOT_ACCEPTED: needs LEARN */
	char name[SEXTANT_NAME_BYTES];
	char az[SEXTANT_NAME_BYTES];
	u8 incarnation[SEXTANT_UUID_BYTES];
	struct sextant_connection *connection;	/* NULL: disconnected */
	u32 last_status;
	u32 rtt_us;				/* smoothed; 0: unknown */
	u32 incomplete_pgs;
	u64 missing_lsns;
	u64 sent_bytes;
	u64 received_bytes;
	u64 faults;				/* bad answers */
	u64 store_faults;			/* damage it has found, as it said last */
	unsigned long lease_jiffies;		/* newest heartbeat it answered was sent then */
	bool lease_valid;
};

/* A bio that map() took. Sits in the clone's per-bio data. */
struct sextant_io {
	struct list_head link;			/* inbox, waiters or a private list */
	struct sextant_volume *volume;
	u64 lsn;				/* waits for VDL to reach this */
	unsigned long started_jiffies;
	u32 sectors_done;			/* of a discard that spans PGs */
};

struct sextant_volume {
	struct list_head link;			/* volumes_mutex */
	u8 uuid[SEXTANT_UUID_BYTES];
	struct kref refs;
	u32 users;				/* tables that name it; volumes_mutex */
	dev_t device;				/* 0: an orphan; volumes_mutex */
	sector_t table_sectors;

	struct mutex config;
	/* The attach being made: config. The running one: config to change, and
	 * the table does not change while it runs, so readers need no lock. */
	u8 attach_id[SEXTANT_ATTACH_ID_BYTES];	/* drawn, good for one START */
	bool attach_id_fresh;
	struct sextant_wire_table_entry *table_entries;
	struct sextant_table table;
	struct sextant_keys *keys;
	struct sextant_crypt *seal_crypt;	/* the submit worker's */
	struct sextant_ballot ballot;
	u32 generation;
	u64 size_blocks;
	u32 pg_blocks;
	u32 lease_ms;
	bool plain;
	char local_az[SEXTANT_NAME_BYTES];

	spinlock_t lock;
	enum sextant_volume_state state;
	struct sextant_options options;
	bool requeue;				/* noflush suspend: hand bios back */
	bool orphan_stop;			/* stopping for want of a table */
	unsigned long unattached_jiffies;	/* since then: attach_timeout */
	char holder[SEXTANT_NAME_BYTES];	/* who fenced us, */
	u32 holder_epoch;			/* and with which epoch */
	u64 next_lsn;
	struct sextant_quorum quorum;		/* holds VDL */
	struct list_head records;		/* by LSN: undurable, then kept for slow peers */
	struct rb_root_cached overlay;
	struct xarray pgs;
	struct list_head changed_pgs;
	u64 queued_bytes;			/* of undurable records */
	u64 kept_bytes;				/* of durable ones that a peer has not got */
	u64 dirty_bytes;			/* of undurable ones whose bio has completed */
	struct list_head waiters;		/* struct sextant_io, by LSN */
	u64 stream_lsns;			/* completed early since somebody last waited */
	bool write_quorum;
	bool read_lease;
	struct sextant_peer peers[SEXTANT_PEERS];

	spinlock_t inbox_lock;
	struct list_head inbox;			/* writes, discards, flushes: in order */
	struct list_head read_inbox;

	struct list_head reads;			/* in flight, by read point; volume->lock */
	u32 reads_count;
	u64 read_cookie;
	u64 reads_started;
	u64 blocks_read;
	u64 blocks_written;
	u64 read_faults;
	u32 reads_parked;

	atomic_t connections;			/* not yet reaped, broken or not */
	wait_queue_head_t connections_wait;

	struct workqueue_struct *submit_wq;	/* one worker: LSN order is its order */
	struct workqueue_struct *read_wq;
	struct work_struct submit_work;
	struct work_struct read_work;
	struct delayed_work tick_work;
	struct delayed_work linger_work;
	struct work_struct stop_work;
	struct work_struct free_work;
	struct work_struct event_work;
	u32 peer_events[SEXTANT_PEERS];		/* to be told: a bit for each event */
	u32 events;

	mempool_t record_pool;
	mempool_t record_pages;
	mempool_t read_pool;
	mempool_t read_pages;
	mempool_t crypt_pool;			/* struct sextant_crypt, for reads */
};

static inline u64 sextant_volume_vdl(const struct sextant_volume *volume)
{
	lockdep_assert_held(&volume->lock);
	return volume->quorum.vdl;
}

/* The queue of a volume that has failed takes nothing and promises nothing. */
static inline bool sextant_volume_dead(const struct sextant_volume *volume)
{
	return volume->state == SEXTANT_VOLUME_FENCED || volume->state == SEXTANT_VOLUME_FAILED;
}

/* volume.c */
struct sextant_volume *sextant_volume_claim(const u8 *uuid, struct dm_target *ti);
void sextant_volume_unclaim(struct sextant_volume *volume);
struct sextant_volume *sextant_volume_find(const u8 *uuid);
struct sextant_volume *sextant_volume_at(u32 index);
bool sextant_volume_forget(struct sextant_volume *volume);
void sextant_volume_put(struct sextant_volume *volume);
int sextant_volumes_init(void);
void sextant_volumes_exit(void);
extern struct workqueue_struct *sextant_lifecycle_wq;

/* lifecycle.c */
void sextant_volume_fence(struct sextant_volume *volume, u32 epoch, const char *holder);
void sextant_volume_stop(struct sextant_volume *volume);
void sextant_volume_discard(struct sextant_volume *volume);
void sextant_volume_drained(struct sextant_volume *volume);
int sextant_volume_use_table(struct sextant_volume *volume, const struct sextant_options *options,
			     sector_t sectors);
void sextant_volume_suspend_noflush(struct sextant_volume *volume);
void sextant_volume_resume(struct sextant_volume *volume);
void sextant_lifecycle_init(struct sextant_volume *volume);
int sextant_volume_start(struct sextant_volume *volume, const struct sextant_start *start);
void sextant_volume_clear_attach(struct sextant_volume *volume);

/* submit.c */
void sextant_submit(struct sextant_volume *volume, struct bio *bio);
void sextant_submit_kick(struct sextant_volume *volume);
void sextant_submit_work(struct work_struct *work);
struct bio *sextant_io_bio(struct sextant_io *io);
void sextant_io_end(struct sextant_io *io, blk_status_t status);
void sextant_io_end_list(struct list_head *ios, blk_status_t status);
struct sextant_pg *sextant_pg_get(struct sextant_volume *volume, u32 index);

/* ack.c */
void sextant_ack_run(struct sextant_volume *volume, u32 peer,
		     const struct sextant_wire_ack_run *runs, u32 count);
void sextant_records_trim(struct sextant_volume *volume, struct list_head *freed);
void sextant_records_put_list(struct list_head *freed);
void sextant_waiters_expire(struct sextant_volume *volume);

/* status.c */
enum sextant_cache_mode sextant_volume_mode(struct sextant_volume *volume);
void sextant_status(struct sextant_volume *volume, char *result, unsigned int maxlen);

/* lease.c */
void sextant_quorum_update(struct sextant_volume *volume);
bool sextant_lease_stands(struct sextant_volume *volume);
void sextant_tick_work(struct work_struct *work);

#endif
