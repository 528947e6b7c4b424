// SPDX-License-Identifier: GPL-2.0
/* Steps 2 and 3 of an attach: what the voters hold, and what they lack; see attach.h. */
#include "attach.h"

#include <stdlib.h>

#include "wire.h"

#define TAIL_ENTRIES_MAX	(4u << 20)	/* beyond any bound on undurable writes */
#define BATCH_RECORDS		16		/* at most 2 MiB under way */

/* ---- gathering ---------------------------------------------------------- */

/* How far one voter's two lists have come. */
struct page {
	u32 next_pg;			/* ~0: all there */
	bool tail_ended;
	u64 after_lsn;
	u32 after_epoch;
};

static int take_pgs(struct attempt *attempt, u32 index, struct page *page)
{
	struct panel_peer *peer = &attempt->panel->peers[index];
	struct recovery_voter *voter = &attempt->voters[index];
	const struct sextant_wire_pg_list_reply *reply;
	struct sextant_wire_pg_state *grown;
	struct peerlink_frame *frame;
	u32 count;

	frame = peerlink_reply(&peer->link, peer->cookie, SEXTANT_MSG_PG_LIST_REPLY,
			       sizeof(*reply));
	if (!frame)
		goto drop;
	reply = (const void *)frame->meta;
	count = le32_to_cpu(reply->count);
	if (reply->status || count > (frame->meta_bytes - sizeof(*reply)) / sizeof(reply->pgs[0]) ||
	    le32_to_cpu(reply->next_pg) <= page->next_pg) {
		attempt_drop(attempt, index, le32_to_cpu(reply->status));
		free(frame);
		return 0;
	}
	grown = realloc((void *)voter->pgs, (voter->pg_count + count + 1) * sizeof(*grown));
	if (!grown) {
		free(frame);
		return -ENOMEM;
	}
	memcpy(grown + voter->pg_count, reply->pgs, count * sizeof(*grown));
	voter->pgs = grown;
	voter->pg_count += count;
	page->next_pg = le32_to_cpu(reply->next_pg);
	free(frame);
	return 0;
drop:
	attempt_drop(attempt, index, SEXTANT_ST_OK);
	return 0;
}

static int take_tail(struct attempt *attempt, u32 index, struct page *page)
{
	struct panel_peer *peer = &attempt->panel->peers[index];
	struct recovery_voter *voter = &attempt->voters[index];
	const struct sextant_wire_tail_reply *reply;
	struct sextant_wire_tail_entry *grown;
	struct peerlink_frame *frame;
	u32 count;

	frame = peerlink_reply(&peer->link, peer->cookie, SEXTANT_MSG_TAIL_REPLY, sizeof(*reply));
	if (!frame)
		goto drop;
	reply = (const void *)frame->meta;
	count = le32_to_cpu(reply->count);
	if (reply->status ||
	    count > (frame->meta_bytes - sizeof(*reply)) / sizeof(reply->entries[0]) ||
	    (reply->more && !count) || voter->tail_count + count > TAIL_ENTRIES_MAX) {
		attempt_drop(attempt, index, le32_to_cpu(reply->status));
		free(frame);
		return 0;
	}
	grown = realloc((void *)voter->tail, (voter->tail_count + count + 1) * sizeof(*grown));
	if (!grown) {
		free(frame);
		return -ENOMEM;
	}
	memcpy(grown + voter->tail_count, reply->entries, count * sizeof(*grown));
	voter->tail = grown;
	voter->tail_count += count;
	page->tail_ended = !reply->more;
	if (count) {
		page->after_lsn = le64_to_cpu(grown[voter->tail_count - 1].record.lsn);
		page->after_epoch = le32_to_cpu(grown[voter->tail_count - 1].record.epoch);
	}
	free(frame);
	return 0;
drop:
	attempt_drop(attempt, index, SEXTANT_ST_OK);
	return 0;
}

static void wait_voters(struct attempt *attempt)
{
	struct peerlink *links[SEXTANT_PEERS];
	u32 i;

	for (i = 0; i < SEXTANT_PEERS; i++)
		links[i] = &attempt->panel->peers[i].link;
	peerlink_wait(links, SEXTANT_PEERS, SEXTANT_PEERS, 0, PEERLINK_TIMEOUT_MS);
}

/* Asks each voter for its next page of PGs; returns how many were asked. */
static u32 ask_pgs(struct attempt *attempt, struct page *pages)
{
	struct sextant_wire_pg_list meta = {
		.upto_lsn = cpu_to_le64(attempt->v0),
		.table_count = cpu_to_le32(attempt->base.table_count),
	};
	u32 i, asked = 0;

	for (i = 0; i < SEXTANT_PEERS; i++) {
		struct panel_peer *peer = &attempt->panel->peers[i];

		peer->cookie = 0;
		if (!(attempt->promised & (1u << i)) || pages[i].next_pg == ~0u)
			continue;
		meta.from_pg = cpu_to_le32(pages[i].next_pg);
		peer->cookie = peerlink_send(&peer->link, SEXTANT_MSG_PG_LIST, &meta, sizeof(meta),
					     attempt->base.table, attempt->base.table_count *
					     (u32)sizeof(attempt->base.table[0]), NULL, 0);
		asked++;
	}
	return asked;
}

static u32 ask_tails(struct attempt *attempt, struct page *pages)
{
	u32 i, asked = 0;

	for (i = 0; i < SEXTANT_PEERS; i++) {
		struct panel_peer *peer = &attempt->panel->peers[i];
		struct sextant_wire_tail meta = {
			.after_lsn = cpu_to_le64(pages[i].after_lsn),
			.after_epoch = cpu_to_le32(pages[i].after_epoch),
		};

		peer->cookie = 0;
		if (!(attempt->promised & (1u << i)) || pages[i].tail_ended)
			continue;
		peer->cookie = peerlink_send(&peer->link, SEXTANT_MSG_TAIL, &meta, sizeof(meta),
					     NULL, 0, NULL, 0);
		asked++;
	}
	return asked;
}

static int out_of_memory(struct attempt *attempt)
{
	return report_fail(attempt->request->report, SEXTANT_CODE_FAILED, "out of memory");
}

static int gather_rounds(struct attempt *attempt, struct page *pages,
			 u32 (*ask)(struct attempt *, struct page *),
			 int (*take)(struct attempt *, u32, struct page *))
{
	u32 i;

	while (ask(attempt, pages)) {
		wait_voters(attempt);
		for (i = 0; i < SEXTANT_PEERS; i++)
			if (attempt->panel->peers[i].cookie && attempt->promised & (1u << i) &&
			    take(attempt, i, &pages[i]))
				return out_of_memory(attempt);
		if (attempt_quorum(attempt, "while they said what they hold"))
			return attempt->request->report->code;
	}
	return 0;
}

int attempt_gather(struct attempt *attempt)
{
	struct page pages[SEXTANT_PEERS];
	u32 i;
	int code;

	for (i = 0; i < SEXTANT_PEERS; i++) {
		/* Every epoch of an LSN above v0, so the page starts behind all of v0's. */
		pages[i] = (struct page){ .after_lsn = attempt->v0, .after_epoch = ~0u };
	}
	code = gather_rounds(attempt, pages, ask_pgs, take_pgs);
	if (!code)
		code = gather_rounds(attempt, pages, ask_tails, take_tail);
	for (i = 0; i < SEXTANT_PEERS; i++)
		attempt->voters[i].answered = attempt->promised & (1u << i);
	return code;
}

/* ---- copying ------------------------------------------------------------- */

/* One record under way: from whom, the frame it came in, and to whom. */
struct copying {
	struct recovery_record *wanted;
	u32 source;
	u64 fetch_cookie;
	struct peerlink_frame *frame;
	u64 copy_cookies[SEXTANT_PEERS];
};

static bool choose_source(const struct attempt *attempt, struct copying *copying, u32 turn)
{
	u8 usable = copying->wanted->holders & attempt->promised;
	u32 i;

	for (i = 0; i < SEXTANT_PEERS; i++) {
		copying->source = (turn + i) % SEXTANT_PEERS;
		if (usable & (1u << copying->source))
			return true;
	}
	return false;
}

/* Is it the record asked for, with every block as its seal's CRC says? */
static bool fetched_well(const struct copying *copying, const struct peerlink_frame *frame)
{
	const struct sextant_wire_record_reply *reply = (const void *)frame->meta;
	const struct sextant_wire_record *wanted = &copying->wanted->record;
	u32 i;

	if (reply->status || memcmp(&reply->record, wanted, sizeof(*wanted)) ||
	    !sextant_wire_record_fits(wanted, offsetof(struct sextant_wire_record_reply, record),
				      frame->meta_bytes, frame->data_bytes))
		return false;
	for (i = 0; i < frame->data_bytes / SEXTANT_BLOCK_BYTES; i++)
		if (sextant_crc32c(frame->data + i * SEXTANT_BLOCK_BYTES, SEXTANT_BLOCK_BYTES) !=
		    le32_to_cpu(reply->seals[i].crc))
			return false;
	return true;
}

/* Fetches one batch; a source that fails is passed over for the next holder. */
static int fetch_batch(struct attempt *attempt, struct copying *batch, u32 count)
{
	u32 i, missing = count, turn = 0;

	while (missing) {
		for (i = 0; i < count; i++) {
			struct sextant_wire_record *record = &batch[i].wanted->record;
			struct sextant_wire_fetch meta = {
				.pg = record->pg, .epoch = record->epoch, .lsn = record->lsn,
			};

			if (batch[i].frame)
				continue;
			if (!choose_source(attempt, &batch[i], i + turn))
				return report_fail(attempt->request->report, SEXTANT_CODE_NO_QUORUM,
						   "the record at LSN %llu can no longer be had from any peer: start again when more peers are up",
						   (unsigned long long)le64_to_cpu(record->lsn));
			batch[i].fetch_cookie = peerlink_send(
				&attempt->panel->peers[batch[i].source].link, SEXTANT_MSG_FETCH,
				&meta, sizeof(meta), NULL, 0, NULL, 0);
		}
		wait_voters(attempt);
		for (i = 0; i < count; i++) {
			struct panel_peer *peer = &attempt->panel->peers[batch[i].source];

			if (batch[i].frame)
				continue;
			batch[i].frame = peerlink_reply(&peer->link, batch[i].fetch_cookie,
							SEXTANT_MSG_RECORD,
							sizeof(struct sextant_wire_record_reply));
			if (batch[i].frame && !fetched_well(&batch[i], batch[i].frame)) {
				free(batch[i].frame);
				batch[i].frame = NULL;
				batch[i].wanted->lacking |= 1u << batch[i].source;
			}
			if (batch[i].frame)
				missing--;
			else
				batch[i].wanted->holders &= ~(1u << batch[i].source);
		}
		turn++;
	}
	return 0;
}

static void send_copies(struct attempt *attempt, struct copying *copying)
{
	const struct sextant_wire_record_reply *reply = (const void *)copying->frame->meta;
	struct sextant_wire_append meta = { .record = copying->wanted->record };
	u32 seal_bytes = copying->frame->meta_bytes - (u32)sizeof(*reply), i;

	sextant_ballot_to_wire(&meta.ballot, &attempt->ballot);
	for (i = 0; i < SEXTANT_PEERS; i++) {
		copying->copy_cookies[i] = 0;
		if (!(copying->wanted->lacking & attempt->promised & (1u << i)))
			continue;
		copying->copy_cookies[i] = peerlink_send(
			&attempt->panel->peers[i].link, SEXTANT_MSG_COPY, &meta, sizeof(meta),
			reply->seals, seal_bytes, copying->frame->data,
			copying->frame->data_bytes);
	}
}

static void check_copies(struct attempt *attempt, struct copying *copying)
{
	struct sextant_wire_status_reply reply;
	int status;
	u32 i;

	for (i = 0; i < SEXTANT_PEERS; i++) {
		struct panel_peer *peer = &attempt->panel->peers[i];

		if (!(copying->wanted->lacking & attempt->promised & (1u << i)))
			continue;
		peer->cookie = copying->copy_cookies[i];
		status = panel_status(peer, &reply);
		if (status == SEXTANT_ST_PROMISED)
			attempt_superseded(attempt, &reply.promised, reply.holder);
		if (status)
			attempt_drop(attempt, i, status > 0 ? (u32)status : SEXTANT_ST_OK);
	}
}

int attempt_copy(struct attempt *attempt)
{
	struct recovery_result *found = &attempt->recovery;
	struct copying batch[BATCH_RECORDS];
	u32 next = 0, count, i;
	int code = 0;

	while (!code && next < found->record_count) {
		count = 0;
		for (; next < found->record_count && count < BATCH_RECORDS; next++)
			if (found->records[next].lacking & attempt->promised)
				batch[count++] = (struct copying){ .wanted = &found->records[next] };
		code = fetch_batch(attempt, batch, count);
		if (!code) {
			for (i = 0; i < count; i++)
				send_copies(attempt, &batch[i]);
			wait_voters(attempt);
			for (i = 0; i < count; i++)
				check_copies(attempt, &batch[i]);
			code = attempt_quorum(attempt, "while records were copied");
		}
		for (i = 0; i < count; i++)
			free(batch[i].frame);
	}
	return code;
}
