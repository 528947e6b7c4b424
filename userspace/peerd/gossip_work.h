/* SPDX-License-Identifier: GPL-2.0 */
/* What gossip.c and gossip_base.c share; nobody else needs it. */
#ifndef SEXTANT_PEERD_GOSSIP_WORK_H
#define SEXTANT_PEERD_GOSSIP_WORK_H

#include "gossip.h"
#include "store.h"

/* Another peer of the manifest. */
struct gossip_peer {
	struct loop_op op;		/* connecting */
	struct gossip *gossip;
	char address[SEXTANT_NAME_BYTES];
	u8 incarnation[SEXTANT_UUID_BYTES];
	struct sockaddr_storage to;
	int fd;				/* while it is connecting, else -1 */
	struct connection *connection;
	bool greeted;
	u64 retry_ms;			/* not asked until then */
};

struct base_put;

struct gossip {
	struct volume *volume;
	struct loop_timer timer;	/* idle: look for work; else: the answer is overdue */
	struct gossip_peer peers[SEXTANT_PEERS];
	u32 self;			/* index of this store, SEXTANT_PEERS: not among them */
	struct sextant_ballot ballot;	/* whose manifest the peers are from */
	u64 manifest_sequence;
	bool stopped;

	bool sweep_wanted;		/* every PG is to be asked for once more */
	u64 sweep_lsn;			/* up to here */
	u32 next_pg;

	bool busy;			/* a PG is being worked on */
	u32 number;			/* which */
	u64 upto_lsn;
	u32 tried, answers;		/* bits of peers; how many lacked nothing */
	struct gossip_peer *asking;
	u64 cookie;
	bool ended;			/* PULL_END is there, or the connection is gone */
	bool end_is_there;
	struct sextant_wire_pull_end end;
	u32 pending;			/* appends and writes to the base under way */
	bool failed;			/* one of them failed */

	struct pg *base_pg;		/* a PULL_BASE is under way for it */
	/* For one block of it: a peer that is as far is looked for, then it is taken. */
	enum { REPAIR_NONE, REPAIR_ASK, REPAIR_TAKE } repair;
	bool repaired;
	struct loop_op sync_op;
	struct checkpoint_write checkpoint;
};

/* The answer of the peer asked is complete, and everything of it is on the disk. */
void gossip_answered(struct gossip *gossip, bool whole);

/* Asks the peer for what is above this segment's SCL, or for its base. */
void gossip_pull_start(struct gossip *gossip);

/* Sends a request to the peer being asked; the meta is complete. */
void gossip_request(struct gossip *gossip, u8 type, const void *meta, u32 meta_bytes);

/* PULL_BASE: from its request to the checkpoint. Ends with gossip_answered(). */
void gossip_base_start(struct gossip *gossip);
void gossip_base_blocks(struct gossip *gossip, struct frame *frame);
void gossip_base_end(struct gossip *gossip);

#endif
