/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Step 2 of an attach (Documentation/protocol.rst): from what the voters
 * answered to the volume's end. Pure: no I/O, no clock; it allocates.
 */
#ifndef SEXTANT_RECOVERY_H
#define SEXTANT_RECOVERY_H

#include "core.h"
#include "table.h"

/*
 * One voter's answers: PG_LIST up to v0 under the table, rising by pg; and TAIL
 * above v0, rising by (lsn, epoch). The arrays are the caller's.
 */
struct recovery_voter {
	bool answered;			/* else all else is ignored */
	u32 pg_count;
	const struct sextant_wire_pg_state *pgs;
	u32 tail_count;
	const struct sextant_wire_tail_entry *tail;
};

struct recovery_input {
	struct sextant_table table;	/* the highest accepted among the answers */
	u64 v0;				/* the highest known VDL among them */
	u64 size_blocks;
	u32 pg_blocks;
	struct recovery_voter voters[SEXTANT_PEERS];
};

/* A record in (v0, vcl]: who has it whole, and which voters are to get it. */
struct recovery_record {
	struct sextant_wire_record record;
	u8 holders, lacking;		/* a bit for each voter */
};

struct recovery_result {
	u64 vcl;
	u8 voters;			/* whose answers counted */
	u32 record_count;
	struct recovery_record *records;	/* in (v0, vcl], by LSN */
	u32 tail_count;
	struct sextant_wire_pg_tail *tails;	/* of every PG at vcl, by pg */
	u32 changed_count;
	struct sextant_wire_pg_tail *changed;	/* of the PGs with records in (v0, vcl] */
	char why[256];			/* a refusal's reason, a sentence */
};

/*
 * 0 and a result to be released; -EUCLEAN with why when the answers do not
 * allow an end to be found, -ENOMEM. Release is right after either.
 */
int recovery_decide(const struct recovery_input *input, struct recovery_result *result);
void recovery_release(struct recovery_result *result);

#endif
