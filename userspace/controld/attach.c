// SPDX-License-Identifier: GPL-2.0
/* The peers' side of an attach; see attach.h. */
#include "attach.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#include "clock.h"
#include "text.h"
#include "wire.h"

#define TRIES_MAX	4
#define TRY_AGAIN	(-1)	/* beside enum sextant_code: a higher ballot was seen */

/* ---- what an attempt's parts share --------------------------------------- */

void attempt_drop(struct attempt *attempt, u32 index, u32 status)
{
	struct panel_peer *peer = &attempt->panel->peers[index];

	attempt->promised &= ~(1u << index);
	if (status)
		peerlink_fail(&peer->link, "refuses: %s", sextant_wire_status_name(status));
	else if (peer->link.fd >= 0)
		peerlink_fail(&peer->link, "gave an answer that makes no sense");
}

void attempt_superseded(struct attempt *attempt, const struct sextant_wire_ballot *by,
			const char *holder)
{
	u32 epoch = le32_to_cpu(by->epoch);

	if (attempt->superseded && epoch <= attempt->superseded_epoch)
		return;
	attempt->superseded = true;
	attempt->superseded_epoch = epoch;
	snprintf(attempt->superseded_holder, sizeof(attempt->superseded_holder), "%.63s",
		 holder[0] ? holder : "unknown");
}

static int fail_superseded(struct attempt *attempt)
{
	return report_fail(attempt->request->report, SEXTANT_CODE_ATTACHED,
			   "fenced by epoch %u, writer %s: another host is attaching '%s'; look there, or try again",
			   attempt->superseded_epoch, attempt->superseded_holder,
			   attempt->base.name);
}

int attempt_quorum(struct attempt *attempt, const char *during)
{
	char why[320];

	if (hweight8(attempt->promised) >= SEXTANT_WRITE_QUORUM)
		return 0;
	if (attempt->superseded)
		return fail_superseded(attempt);
	panel_complaints(attempt->panel, why, sizeof(why));
	return report_fail(attempt->request->report, SEXTANT_CODE_NO_QUORUM,
			   "only %u of the six peers of '%s' followed %s and %u are needed (%s): start them or mend the network, then try again",
			   hweight8(attempt->promised), attempt->base.name, during,
			   SEXTANT_WRITE_QUORUM, why);
}

/* ---- step 0: PROBE -------------------------------------------------------- */

/* The stores that the manifest names stay; the others are let go. Returns who stays. */
static u8 keep_voters(struct attempt *attempt)
{
	u8 voters = 0;
	u32 i;

	for (i = 0; i < SEXTANT_PEERS; i++) {
		struct panel_peer *peer = &attempt->panel->peers[i];

		if (panel_is_voter(attempt->panel, i, &attempt->base) && peer->link.fd >= 0)
			voters |= 1u << i;
		else if (peer->link.fd >= 0)
			peerlink_fail(&peer->link,
				      "has another store than the manifest names (wiped or replaced?)");
	}
	return voters;
}

static int check_lease(struct attempt *attempt, u8 voters)
{
	const struct panel_peer *peer = panel_lease(attempt->panel, attempt->base.lease_ms, voters);
	const struct sextant_wire_state_reply *state;

	if (!peer || attempt->request->force)
		return 0;
	state = &peer->state;
	return report_fail(attempt->request->report, SEXTANT_CODE_ATTACHED,
			   "'%s' is attached by %s (epoch %u, heard %" PRIu64 " ms ago): detach it there, or fence that host with --force",
			   attempt->base.name, state->holder[0] ? state->holder : "another host",
			   le32_to_cpu(state->accepted.epoch), le64_to_cpu(state->lease_age_ms));
}

/* The highest epoch promised or accepted anywhere we heard of. */
static u32 highest_epoch(const struct attempt *attempt)
{
	u32 highest = attempt->base.ballot.epoch, i;

	if (attempt->superseded && attempt->superseded_epoch > highest)
		highest = attempt->superseded_epoch;
	for (i = 0; i < SEXTANT_PEERS; i++) {
		const struct panel_peer *peer = &attempt->panel->peers[i];

		if (!peer->answered)
			continue;
		if (le32_to_cpu(peer->state.promised.epoch) > highest)
			highest = le32_to_cpu(peer->state.promised.epoch);
		if (le32_to_cpu(peer->state.accepted.epoch) > highest)
			highest = le32_to_cpu(peer->state.accepted.epoch);
	}
	return highest;
}

/* Takes the newest manifest of the answers as the base. */
static int take_newest(struct attempt *attempt)
{
	struct panel_peer *newest = panel_newest(attempt->panel, attempt->request->volume);

	if (!newest)
		return report_fail(attempt->request->report, SEXTANT_CODE_NO_QUORUM,
				   "no peer of '%s' answers any more: try again", attempt->base.name);
	sextant_manifest_release(&attempt->base);
	attempt->base = newest->manifest;
	memset(&newest->manifest, 0, sizeof(newest->manifest));
	return 0;
}

/* Between two tries: one that only promised may be dead, one in force has won. */
static int check_rival(struct attempt *attempt)
{
	const struct panel_peer *peer;
	u32 i;

	if (!attempt->epoch_first)
		attempt->epoch_first = attempt->base.ballot.epoch;
	if (attempt->base.ballot.epoch == attempt->epoch_first || attempt->request->force)
		return 0;
	for (i = 0; i < SEXTANT_PEERS; i++) {
		peer = &attempt->panel->peers[i];
		if (peer->answered &&
		    le32_to_cpu(peer->state.accepted.epoch) == attempt->base.ballot.epoch)
			attempt_superseded(attempt, &peer->state.accepted, peer->state.holder);
	}
	return fail_superseded(attempt);
}

static int probe(struct attempt *attempt)
{
	struct report *report = attempt->request->report;
	char why[320];
	u8 voters;

	panel_open(attempt->panel, attempt->request->volume, SEXTANT_WRITE_QUORUM);
	panel_states(attempt->panel, SEXTANT_MSG_PROBE, NULL, 0, SEXTANT_WRITE_QUORUM);
	if (panel_newest(attempt->panel, attempt->request->volume) && take_newest(attempt))
		return report->code;
	voters = keep_voters(attempt);
	if (hweight8(voters) < SEXTANT_WRITE_QUORUM) {
		panel_complaints(attempt->panel, why, sizeof(why));
		return report_fail(report, SEXTANT_CODE_NO_QUORUM,
				   "only %u of the six peers of '%s' can be reached and attaching needs %u (%s): start them or mend the network",
				   hweight8(voters), attempt->base.name, SEXTANT_WRITE_QUORUM, why);
	}
	if (check_rival(attempt) || check_lease(attempt, voters))
		return report->code;
	return attempt->request->check ?
	       attempt->request->check(attempt->request->context, &attempt->base) : 0;
}

/* ---- step 1: PREPARE ------------------------------------------------------ */

static int prepare(struct attempt *attempt)
{
	const struct attach_request *request = attempt->request;
	struct sextant_wire_prepare meta = { .ballot.epoch = 0 };
	u32 i, epoch = sextant_epoch_next(highest_epoch(attempt), attempt->base.region);

	if (!epoch)
		return report_fail(request->report, SEXTANT_CODE_FAILED,
				   "'%s' has used up its epochs: copy it to a new volume",
				   attempt->base.name);
	if (request->draw(request->context, attempt->ballot.attach_id))
		return request->report->code;
	attempt->ballot.epoch = epoch;
	attempt->superseded = false;
	sextant_ballot_to_wire(&meta.ballot, &attempt->ballot);
	sextant_field_set(meta.holder, sizeof(meta.holder), request->config->host);
	panel_states(attempt->panel, SEXTANT_MSG_PREPARE, &meta, sizeof(meta),
		     SEXTANT_WRITE_QUORUM);
	for (i = 0; i < SEXTANT_PEERS; i++) {
		struct panel_peer *peer = &attempt->panel->peers[i];
		u32 status = le32_to_cpu(peer->state.status);

		if (!peer->answered)
			continue;
		if (status == SEXTANT_ST_PROMISED || status == SEXTANT_ST_FENCED)
			attempt_superseded(attempt, &peer->state.promised, peer->state.holder);
		if (status)
			attempt_drop(attempt, i, status);
		else
			attempt->promised |= 1u << i;
	}
	if (attempt->superseded)
		return TRY_AGAIN;
	if (attempt_quorum(attempt, "the new epoch") || take_newest(attempt))
		return request->report->code;
	attempt->promised &= keep_voters(attempt);
	return attempt_quorum(attempt, "the new epoch");
}

/* ---- steps 2 and 3: recovery and COPY -------------------------------------- */

static int recover(struct attempt *attempt)
{
	struct report *report = attempt->request->report;
	struct recovery_input input = {
		.table = { attempt->base.table_count, attempt->base.table },
		.size_blocks = attempt->base.size_blocks,
		.pg_blocks = attempt->base.pg_blocks,
	};
	int error;
	u32 i;

	for (i = 0; i < SEXTANT_PEERS; i++) {
		u64 known_vdl = le64_to_cpu(attempt->panel->peers[i].state.known_vdl);

		if (attempt->promised & (1u << i) && known_vdl > attempt->v0)
			attempt->v0 = known_vdl;
	}
	if (attempt_gather(attempt))
		return report->code;
	input.v0 = attempt->v0;
	memcpy(input.voters, attempt->voters, sizeof(input.voters));
	error = recovery_decide(&input, &attempt->recovery);
	if (error)
		return report_fail(report, SEXTANT_CODE_FAILED, "'%s' cannot be recovered: %s",
				   attempt->base.name,
				   error == -ENOMEM ? "out of memory" : attempt->recovery.why);
	attempt->promised &= attempt->recovery.voters;
	if (attempt_quorum(attempt, "when asked for what they hold"))
		return report->code;
	report_progress(report, "'%s' ends at LSN %" PRIu64 ", %u records above its known VDL %" PRIu64,
			attempt->base.name, attempt->recovery.vcl, attempt->recovery.record_count,
			attempt->v0);
	return attempt_copy(attempt);
}

/* ---- step 4: ACTIVATE ------------------------------------------------------ */

/* The base with the new ballot and its entry in the table, encoded too. */
static int make_manifest(struct attempt *attempt, struct attached *attached)
{
	struct report *report = attempt->request->report;
	struct sextant_table table = { attempt->base.table_count, attempt->base.table };
	struct sextant_manifest *m = &attached->manifest;
	struct sextant_wire_table_entry *entries;
	int count;

	entries = calloc(table.count + 1, sizeof(*entries));
	if (!entries)
		return report_fail(report, SEXTANT_CODE_FAILED, "out of memory");
	count = sextant_table_extend(entries, table.count + 1, &table, attempt->recovery.vcl,
				     &attempt->ballot);
	if (count < 0) {
		free(entries);
		return report_fail(report, SEXTANT_CODE_FAILED,
				   "the epoch table of '%s' is full after %u attaches: copy it to a new volume",
				   attempt->base.name, table.count);
	}
	*m = attempt->base;
	memset(&attempt->base.generations, 0, sizeof(attempt->base.generations));
	m->table = entries;
	m->table_count = (u32)count;
	m->ballot = attempt->ballot;
	m->sequence = 1;
	if (sextant_manifest_encode(m, &attached->manifest_bytes, &attached->manifest_size))
		return report_fail(report, SEXTANT_CODE_FAILED,
				   "the manifest of '%s' has grown too large", attempt->base.name);
	return 0;
}

static void send_activate(struct attempt *attempt, const struct attached *attached)
{
	const struct recovery_result *found = &attempt->recovery;
	u32 tail_bytes = found->changed_count * (u32)sizeof(found->changed[0]), i;
	u32 meta_bytes = (u32)sizeof(struct sextant_wire_activate) + tail_bytes;
	struct sextant_wire_activate *meta = calloc(1, meta_bytes);

	if (!meta)
		return;
	sextant_ballot_to_wire(&meta->ballot, &attempt->ballot);
	meta->tail_count = cpu_to_le32(found->changed_count);
	meta->v0 = cpu_to_le64(attempt->v0);
	meta->vcl = cpu_to_le64(found->vcl);
	meta->manifest_bytes = cpu_to_le32((u32)attached->manifest_size);
	sextant_field_set(meta->holder, sizeof(meta->holder), attempt->request->config->host);
	memcpy(meta->tails, found->changed, tail_bytes);
	for (i = 0; i < SEXTANT_PEERS; i++)
		if (attempt->promised & (1u << i))
			attempt->panel->peers[i].cookie = peerlink_send(
				&attempt->panel->peers[i].link, SEXTANT_MSG_ACTIVATE, meta,
				meta_bytes, attached->manifest_bytes,
				(u32)attached->manifest_size, NULL, 0);
	free(meta);
}

static int activate(struct attempt *attempt, struct attached *attached)
{
	struct peerlink *links[SEXTANT_PEERS];
	struct sextant_wire_status_reply reply;
	int status;
	u32 i;

	if (make_manifest(attempt, attached))
		return attempt->request->report->code;
	for (i = 0; i < SEXTANT_PEERS; i++) {
		attempt->panel->peers[i].cookie = 0;
		links[i] = &attempt->panel->peers[i].link;
	}
	send_activate(attempt, attached);
	peerlink_wait(links, SEXTANT_PEERS, SEXTANT_WRITE_QUORUM, PANEL_GRACE_MS,
		      PEERLINK_TIMEOUT_MS);
	for (i = 0; i < SEXTANT_PEERS; i++) {
		if (!(attempt->promised & (1u << i)))
			continue;
		status = panel_status(&attempt->panel->peers[i], &reply);
		if (status == SEXTANT_ST_PROMISED || status == SEXTANT_ST_FENCED)
			attempt_superseded(attempt, &reply.promised, reply.holder);
		if (status)
			attempt_drop(attempt, i, status > 0 ? (u32)status : SEXTANT_ST_OK);
	}
	attached->active = attempt->promised;
	attached->active_at_ms = clock_ms();
	return attempt_quorum(attempt, "when the new epoch was to begin");
}

/* ---- the whole -------------------------------------------------------------- */

/* A writer before us may serve reads until its lease ends, unless it let go. */
static u32 lease_to_wait(const struct attempt *attempt)
{
	if (!attempt->base.table_count ||
	    panel_is_released(attempt->panel, attempt->base.ballot.epoch, attempt->promised))
		return 0;
	return attempt->base.lease_ms + attempt->base.lease_ms / 50;	/* clocks drift */
}

static int run_attempt(struct attempt *attempt, struct attached *attached)
{
	struct report *report = attempt->request->report;
	u32 lease_wait_ms;
	int code;

	code = probe(attempt);
	if (!code)
		code = prepare(attempt);
	if (code)
		return code;
	report_progress(report, "%u of 6 peers promised epoch %u", hweight8(attempt->promised),
			attempt->ballot.epoch);
	lease_wait_ms = lease_to_wait(attempt);
	code = recover(attempt);
	if (!code)
		code = activate(attempt, attached);
	if (code)
		return code;
	attached->vcl = attempt->recovery.vcl;
	attached->tails = attempt->recovery.tails;
	attached->tail_count = attempt->recovery.tail_count;
	attempt->recovery.tails = NULL;
	attached->lease_wait_ms = lease_wait_ms;
	report_progress(report, "epoch %u is in force on %u of 6 peers", attempt->ballot.epoch,
			hweight8(attached->active));
	return 0;
}

static void end_attempt(struct attempt *attempt)
{
	u32 i;

	for (i = 0; i < SEXTANT_PEERS; i++) {
		free((void *)attempt->voters[i].pgs);
		free((void *)attempt->voters[i].tail);
	}
	memset(attempt->voters, 0, sizeof(attempt->voters));
	recovery_release(&attempt->recovery);
	panel_free(attempt->panel);
	attempt->panel = NULL;
	attempt->promised = 0;
	attempt->v0 = 0;
}

/* Two that attach at once must not keep step: from 100 ms, doubling, at random. */
static void back_off(u32 try)
{
	u32 random = 0, span = 200u << try;

	if (getrandom(&random, sizeof(random), 0) != sizeof(random))
		random = span / 2;
	usleep((100 + random % span) * 1000);
}

int attach_activate(const struct attach_request *request, struct sextant_manifest *known,
		    struct attached *attached)
{
	struct attempt attempt = { .request = request, .base = *known };
	int code = 0;
	u32 try;

	memset(known, 0, sizeof(*known));
	memset(attached, 0, sizeof(*attached));
	for (try = 0; !code; try++) {
		attempt.panel = panel_of_manifest(request->config, &attempt.base);
		if (!attempt.panel) {
			code = report_fail(request->report, SEXTANT_CODE_FAILED, "out of memory");
			break;
		}
		code = run_attempt(&attempt, attached);
		end_attempt(&attempt);
		if (code != TRY_AGAIN)
			break;
		if (try + 1 == TRIES_MAX) {
			code = fail_superseded(&attempt);
			break;
		}
		back_off(try);
		code = 0;
	}
	sextant_manifest_release(&attempt.base);
	if (code)
		attached_release(attached);
	return code;
}

void attached_release(struct attached *attached)
{
	sextant_manifest_release(&attached->manifest);
	free(attached->manifest_bytes);
	free(attached->tails);
	memset(attached, 0, sizeof(*attached));
}
