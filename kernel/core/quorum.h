/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Counting acknowledgements: from runs that peers report to VDL.
 *
 * The writer's undurable records stand in one queue in LSN order, and each in
 * its PG's queue too. A run (pg, start, end] of a peer counts for the records
 * it covers only when start <= VDL, so that with it the peer has everything of
 * that PG above VDL up to end. VDL passes a record when a write quorum has it
 * and VDL has passed all before it, in whichever PG they are.
 *
 * The caller embeds the structs, owns their memory and serializes the calls.
 */
#ifndef SEXTANT_CORE_QUORUM_H
#define SEXTANT_CORE_QUORUM_H

#include "core.h"

struct sextant_quorum_pg;

struct sextant_quorum_record {
	struct sextant_quorum_record *next;		/* by LSN, all PGs */
	struct sextant_quorum_record *pg_next;		/* by LSN, this PG */
	struct sextant_quorum_pg *pg;
	u64 first_lsn;
	u64 last_lsn;
	u8 acked;					/* a bit for each peer */
};

/* Zeroed memory is an empty one. cursor: the first record the peer has not acked. */
struct sextant_quorum_pg {
	struct sextant_quorum_record *head, *tail;
	struct sextant_quorum_record *cursor[SEXTANT_PEERS];
};

struct sextant_quorum {
	struct sextant_quorum_record *head, *tail;
	u64 vdl;
};

void sextant_quorum_init(struct sextant_quorum *quorum, u64 vdl);

/* Queues a record behind all others: its first LSN follows the last one taken. */
void sextant_quorum_add(struct sextant_quorum *quorum, struct sextant_quorum_pg *pg,
			struct sextant_quorum_record *record);

/*
 * A peer says (start, end] of a PG is durable. Returns how many records it had
 * not acked before; 0 when the run does not count.
 */
u32 sextant_quorum_run(struct sextant_quorum *quorum, struct sextant_quorum_pg *pg,
		       u32 peer, u64 start_lsn, u64 end_lsn);

/*
 * Takes the record that became durable, lowest LSN first, off both queues and
 * moves VDL to its end; NULL when the next one has no write quorum yet.
 */
struct sextant_quorum_record *sextant_quorum_pop(struct sextant_quorum *quorum);

/* Up to where this peer has acked everything: below its first unacked record. */
u64 sextant_quorum_peer_scl(const struct sextant_quorum *quorum, u32 peer);

#endif
