/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The peers' side of an attach: PROBE, PREPARE, recovery, COPY, ACTIVATE
 * (Documentation/protocol.rst). Knows nothing of the kernel: the attach id and
 * the check of the keys come from the caller.
 */
#ifndef SEXTANT_ATTACH_H
#define SEXTANT_ATTACH_H

#include "control_config.h"
#include "manifest.h"
#include "panel.h"
#include "recovery.h"
#include "report.h"

struct attach_request {
	const struct control_config *config;
	const u8 *volume;
	bool force;			/* take it from a writer whose lease is fresh */
	struct report *report;
	/* Called before anything is promised; 0 or a failure in report. May be NULL. */
	int (*check)(void *context, const struct sextant_manifest *manifest);
	/* Draws the attach id for one try; 0 or a failure in report. */
	int (*draw)(void *context, u8 attach_id[SEXTANT_ATTACH_ID_BYTES]);
	void *context;
};

/* A volume whose new table is on a write quorum: what START and TAIL_SET need. */
struct attached {
	struct sextant_manifest manifest;	/* in force, with our ballot */
	u8 *manifest_bytes;			/* the same, encoded */
	size_t manifest_size;
	u64 vcl;
	u32 tail_count;
	struct sextant_wire_pg_tail *tails;	/* of every PG at vcl */
	u8 active;				/* peers that accepted: a bit each */
	u32 lease_wait_ms;			/* still to wait, from active_at_ms on */
	u64 active_at_ms;
};

/*
 * Goes through it all, from a manifest that some peer gave (locate_manifest());
 * what it points to is taken over. 0 and *attached, to be released; or a failure
 * in report: NO_QUORUM, ATTACHED (a writer has it, or a rival was faster), what
 * check or draw said, FAILED.
 */
int attach_activate(const struct attach_request *request, struct sextant_manifest *known,
		    struct attached *attached);
void attached_release(struct attached *attached);

/* ---- between attach.c and copy.c --------------------------------------- */

/* One try, under one ballot. */
struct attempt {
	const struct attach_request *request;
	struct panel *panel;			/* the six, in the manifest's order */
	struct sextant_manifest base;		/* the newest accepted */
	struct sextant_ballot ballot;
	u32 epoch_first;			/* in force when the first try began */
	u64 v0;
	u8 promised;				/* voters that promised and still follow */
	bool superseded;			/* a peer promised a higher ballot since */
	u32 superseded_epoch;
	char superseded_holder[SEXTANT_NAME_BYTES];
	struct recovery_voter voters[SEXTANT_PEERS];	/* their answers, owned here */
	struct recovery_result recovery;
};

/* Fetches PG lists and tails of every voter that promised. 0 or a failure in report. */
int attempt_gather(struct attempt *attempt);

/* Brings every record in (v0, vcl] to the voters that lack it. 0 or a failure. */
int attempt_copy(struct attempt *attempt);

/* Drops a voter from this attempt, for the reason its link gives or this one. */
void attempt_drop(struct attempt *attempt, u32 index, u32 status);

/* A refusal by a higher promise: noted, for the message and for the next try. */
void attempt_superseded(struct attempt *attempt, const struct sextant_wire_ballot *by,
			const char *holder);

/* A failure for want of four voters that still follow; 0 while there are four. */
int attempt_quorum(struct attempt *attempt, const char *during);

#endif
