// SPDX-License-Identifier: GPL-2.0
/*
 * Asking other peers for what is missing below the known VDL. A PG is known to
 * lack something by its tail, as the writer tells it, or by damage; and after a
 * time away every PG is asked for once. A segment lacks nothing when its chain
 * has reached the tail the writer named, or when two other peers have given all
 * they have: of any three stores one has each durable record.
 */
#include "gossip_work.h"

#include <stdlib.h>
#include <unistd.h>

#include "coalesce.h"
#include "handle.h"
#include "log.h"
#include "manifest.h"
#include "server.h"
#include "text.h"

#define ANSWERS_WANTED		2
#define ANSWER_MS		10000	/* between two frames of an answer */
#define CONNECT_MS		2000
#define PEER_RETRY_MS		1000
#define PG_RETRY_MS		500
#define LOOK_MS			1000
#define PENDING_MAX		512

static void peer_next(struct gossip *gossip);
static void pull_ended(struct gossip *gossip);

/* ---- what is missing --------------------------------------------------- */

static u64 pg_scl(const struct pg *pg)
{
	return pg ? segment_scl(&pg->segment).lsn : 0;
}

/* Up to where every PG is to be asked for, now or as soon as may be. */
static u64 sweep_upto(const struct gossip *gossip)
{
	return gossip->sweep_wanted ? gossip->volume->known_vdl : gossip->sweep_lsn;
}

static bool pg_lacks(const struct gossip *gossip, u32 number)
{
	const struct pg_end *end = &gossip->volume->ends[number];
	const struct pg *pg = gossip->volume->pgs[number];

	if (pg && pg->io_error)
		return false;
	if (pg && (pg->base_damaged || pg->repair || segment_damaged(&pg->segment)))
		return true;
	return end->tail_lsn > pg_scl(pg) || end->checked_lsn < sweep_upto(gossip);
}

void gossip_missing(const struct volume *volume, u32 *pgs, u64 *lsns)
{
	const struct gossip *gossip = volume->gossip;

	*pgs = 0;
	*lsns = 0;
	for (u32 i = 0; i < volume->pg_count; i++) {
		const struct pg_end *end = &volume->ends[i];
		u64 held = pg_scl(volume->pgs[i]);

		if (!pg_lacks(gossip, i) && !(volume->pgs[i] && volume->pgs[i]->io_error))
			continue;
		*pgs += 1;
		if (held < end->checked_lsn)
			held = end->checked_lsn;
		if (end->tail_lsn > held)
			*lsns += end->tail_lsn - held;
		else if (sweep_upto(gossip) > held)
			*lsns += sweep_upto(gossip) - held;
	}
}

/* ---- the peers --------------------------------------------------------- */

static void peer_close(struct gossip_peer *peer)
{
	if (peer->fd >= 0)
		shutdown(peer->fd, SHUT_RDWR);
	if (peer->connection)
		connection_close(peer->connection);
}

/* Takes the peers from the manifest in force, if it changed. */
static bool peers_update(struct gossip *gossip)
{
	const struct vote *vote = &gossip->volume->vote;
	struct sextant_manifest manifest;

	if (sextant_ballot_equal(&gossip->ballot, &vote->accepted) &&
	    gossip->manifest_sequence == vote->manifest_sequence)
		return true;
	if (!vote->manifest || sextant_manifest_decode(vote->manifest, vote->manifest_bytes,
						       &manifest, NULL))
		return false;
	gossip->self = SEXTANT_PEERS;
	for (u32 i = 0; i < SEXTANT_PEERS; i++) {
		struct gossip_peer *peer = &gossip->peers[i];

		if (!memcmp(manifest.peers[i].incarnation, vote->incarnation,
			    sizeof(vote->incarnation)))
			gossip->self = i;
		if (strcmp(peer->address, manifest.peers[i].address) ||
		    memcmp(peer->incarnation, manifest.peers[i].incarnation,
			   sizeof(peer->incarnation)))
			peer_close(peer);
		memcpy(peer->address, manifest.peers[i].address, sizeof(peer->address));
		memcpy(peer->incarnation, manifest.peers[i].incarnation,
		       sizeof(peer->incarnation));
		peer->retry_ms = 0;
	}
	gossip->ballot = vote->accepted;
	gossip->manifest_sequence = vote->manifest_sequence;
	sextant_manifest_release(&manifest);
	return true;
}

/* ---- one PG ------------------------------------------------------------ */

static void look_again(struct gossip *gossip, u64 delay_ms)
{
	if (!gossip->stopped)
		loop_timer_set(&gossip->timer, delay_ms);
}

static void pg_end(struct gossip *gossip, bool whole)
{
	gossip->busy = false;
	gossip->asking = NULL;
	if (!whole)
		gossip->volume->ends[gossip->number].retry_ms = loop_now_ms() + PG_RETRY_MS;
	gossip->next_pg = (gossip->number + 1) % gossip->volume->pg_count;
	look_again(gossip, 0);
}

/* Settles what the answers so far prove. */
static bool pg_is_whole(struct gossip *gossip)
{
	struct pg_end *end = &gossip->volume->ends[gossip->number];
	struct pg *pg = gossip->volume->pgs[gossip->number];

	if (gossip->answers >= ANSWERS_WANTED) {
		struct segment_tail tail = { 0, 0 };

		if (pg)
			tail = segment_tail_at(&pg->segment, gossip->upto_lsn);
		if ((!pg || segment_complete_at(&pg->segment, &tail, gossip->upto_lsn)) &&
		    gossip->upto_lsn > end->checked_lsn)
			end->checked_lsn = gossip->upto_lsn;
	}
	return !pg_lacks(gossip, gossip->number);
}

void gossip_pull_start(struct gossip *gossip)
{
	struct volume *volume = gossip->volume;
	struct pg *pg = volume->pgs[gossip->number];
	struct sextant_wire_pull message = {
		.pg = cpu_to_le32(gossip->number),
		.after_lsn = cpu_to_le64(pg_scl(pg)),
		.upto_lsn = cpu_to_le64(gossip->upto_lsn),
	};

	if (pg && (pg->base_damaged || pg->repair)) {
		gossip_base_start(gossip);
		return;
	}
	sextant_ballot_to_wire(&message.ballot, &volume->vote.accepted);
	gossip_request(gossip, SEXTANT_MSG_PULL, &message, sizeof(message));
}

void gossip_request(struct gossip *gossip, u8 type, const void *meta, u32 meta_bytes)
{
	gossip->ended = gossip->end_is_there = gossip->failed = false;
	gossip->cookie++;
	look_again(gossip, ANSWER_MS);
	if (!gossip->asking->connection) {
		gossip->ended = true;
		pull_ended(gossip);
		return;
	}
	connection_send(gossip->asking->connection, type, gossip->cookie, meta, meta_bytes, NULL, 0,
			NULL, 0);
}

void gossip_answered(struct gossip *gossip, bool whole)
{
	if (whole)
		gossip->answers++;
	peer_next(gossip);
}

/* Everything that came is on the disk, and no more will come. */
static void pull_ended(struct gossip *gossip)
{
	u32 status = le32_to_cpu(gossip->end.status);

	if (!gossip->ended || gossip->pending)
		return;
	if (gossip->base_pg)
		gossip_base_end(gossip);
	else if (!gossip->end_is_there || gossip->failed)
		gossip_answered(gossip, false);
	else if (status == SEXTANT_ST_PRUNED)
		gossip_base_start(gossip);
	else
		gossip_answered(gossip, status == SEXTANT_ST_OK &&
				le64_to_cpu(gossip->end.upto_lsn) >= gossip->upto_lsn);
}

/* ---- what comes -------------------------------------------------------- */

static void record_done(struct append *append, u32 status)
{
	struct gossip *gossip = append->pg->volume->gossip;

	if (status)
		gossip->failed = true;
	if (gossip->asking && gossip->asking->connection && gossip->pending <= PENDING_MAX / 2)
		connection_resume(gossip->asking->connection, CONNECTION_HOLD_LOG);
	gossip->pending--;
	append_free(append);
	pull_ended(gossip);
}

static bool record_is_wanted(const struct gossip *gossip, const struct frame *frame)
{
	const struct sextant_wire_record_reply *message = frame->meta;
	const struct sextant_wire_record *record = &message->record;
	const struct vote *vote = &gossip->volume->vote;
	struct log_record whole = {
		.record = record,
		.seals = message->seals,
		.data_bytes = frame->data_bytes,
	};
	u64 last_lsn;

	if (frame->meta_bytes < sizeof(*message) ||
	    !sextant_wire_record_valid(record, vote->size_blocks, vote->pg_blocks) ||
	    !sextant_wire_record_fits(record, offsetof(struct sextant_wire_record_reply, record),
				      frame->meta_bytes, frame->data_bytes))
		return false;
	last_lsn = sextant_wire_record_last_lsn(record);
	whole.seal_count = sextant_wire_record_seals(record);
	return le32_to_cpu(record->pg) == gossip->number && last_lsn <= gossip->upto_lsn &&
	       sextant_table_allows(&vote->table, le32_to_cpu(record->epoch),
				    le64_to_cpu(record->lsn)) &&
	       sextant_table_allows(&vote->table, le32_to_cpu(record->epoch), last_lsn) &&
	       (record->kind != SEXTANT_RECORD_DATA ||
		!log_record_bad_blocks(&whole, frame->data->bytes));
}

static void take_record(struct gossip *gossip, struct frame *frame)
{
	const struct sextant_wire_record_reply *message = frame->meta;
	struct append *append;
	struct pg *pg;
	u32 status;

	if (!record_is_wanted(gossip, frame)) {
		gossip->failed = true;
		return;
	}
	pg = store_pg(gossip->volume, gossip->number, &status);
	if (!pg) {
		gossip->failed = true;
		return;
	}
	append = append_new(pg, &message->record, message->seals, frame->data, frame->data_bytes);
	frame->data = NULL;
	append->done = record_done;
	if (++gossip->pending > PENDING_MAX)
		connection_pause(gossip->asking->connection, CONNECTION_HOLD_LOG);
	log_append(append);
}

static void take_hello(struct gossip_peer *peer, const struct frame *frame)
{
	const struct sextant_wire_hello_reply *message = frame->meta;

	if (frame->meta_bytes != sizeof(*message) || message->status) {
		connection_close(peer->connection);
		return;
	}
	peer->greeted = true;
	peer->connection->meta_max = SEXTANT_WIRE_META_MAX;
	if (peer->gossip->asking == peer)
		gossip_pull_start(peer->gossip);
}

static void gossip_frame(struct connection *connection, struct frame *frame)
{
	struct gossip_peer *peer = connection->owner;
	struct gossip *gossip = peer->gossip;

	if (!peer->greeted) {
		take_hello(peer, frame);
		return;
	}
	if (gossip->asking != peer || frame->cookie != gossip->cookie || gossip->ended) {
		/* The rest of an answer that was given up. */
		connection_close(connection);
		return;
	}
	look_again(gossip, ANSWER_MS);
	switch (frame->type) {
	case SEXTANT_MSG_RECORD:
		take_record(gossip, frame);
		break;
	case SEXTANT_MSG_PULL_BLOCKS:
		if (gossip->base_pg) {
			gossip_base_blocks(gossip, frame);
			break;
		}
		/* fallthrough */
	default:
		connection_close(connection);
		break;
	case SEXTANT_MSG_PULL_END:
		gossip->ended = true;
		if (frame->meta_bytes == sizeof(gossip->end)) {
			gossip->end = *(const struct sextant_wire_pull_end *)frame->meta;
			gossip->end_is_there = true;
		}
		pull_ended(gossip);
	}
}

/* The peer asked is gone, or could not be reached. */
static void peer_lost(struct gossip_peer *peer)
{
	struct gossip *gossip = peer->gossip;

	peer->greeted = false;
	peer->retry_ms = loop_now_ms() + PEER_RETRY_MS;
	if (gossip->asking != peer || gossip->ended)
		return;
	gossip->ended = true;
	gossip->end_is_there = false;
	pull_ended(gossip);
}

/* The same, of one that was connected or being so. */
static void peer_gone(struct gossip_peer *peer)
{
	struct volume *volume = peer->gossip->volume;

	peer_lost(peer);
	volume->links--;
	if (volume->deleted)
		loop_later(&volume->barrier_task);
}

static void gossip_closed(struct connection *connection)
{
	struct gossip_peer *peer = connection->owner;

	peer->connection = NULL;
	peer_gone(peer);
}

static const struct connection_ops gossip_ops = {
	.frame = gossip_frame,
	.closed = gossip_closed,
};

/* ---- asking ------------------------------------------------------------ */

static void connected(struct loop_op *op, int result)
{
	struct gossip_peer *peer = (struct gossip_peer *)op;
	struct volume *volume = peer->gossip->volume;
	struct sextant_wire_hello hello = { .role = cpu_to_le32(SEXTANT_ROLE_PEER) };
	int fd = peer->fd;

	peer->fd = -1;
	if (result < 0 || peer->gossip->stopped) {
		close(fd);
		peer_gone(peer);
		return;
	}
	peer->connection = connection_new(fd, &gossip_ops, peer->address);
	peer->connection->owner = peer;
	peer->connection->role = SEXTANT_ROLE_PEER;
	memcpy(hello.volume, volume->uuid, sizeof(hello.volume));
	memcpy(hello.incarnation, peer->incarnation, sizeof(hello.incarnation));
	sextant_field_set(hello.caller, sizeof(hello.caller), peer_options->name);
	connection_send(peer->connection, SEXTANT_MSG_HELLO, 0, &hello, sizeof(hello), NULL, 0,
			NULL, 0);
}

static void connect_start(struct gossip_peer *peer)
{
	struct io_uring_sqe *sqe;
	socklen_t bytes;

	if (sextant_address_parse(peer->address, &peer->to, &bytes) == 0)
		peer->fd = socket(peer->to.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (peer->fd < 0) {
		peer_lost(peer);
		return;
	}
	peer->op.done = connected;
	peer->gossip->volume->links++;
	sqe = loop_sqe();
	io_uring_prep_connect(sqe, peer->fd, (struct sockaddr *)&peer->to, bytes);
	loop_start(sqe, &peer->op);
	look_again(peer->gossip, CONNECT_MS);
}

static void ask(struct gossip *gossip, struct gossip_peer *peer)
{
	gossip->asking = peer;
	gossip->ended = gossip->end_is_there = gossip->failed = false;
	if (peer->greeted)
		gossip_pull_start(gossip);
	else if (!peer->connection && peer->fd < 0)
		connect_start(peer);
}

static void peer_next(struct gossip *gossip)
{
	u32 i;

	gossip->asking = NULL;
	if (gossip->stopped || pg_is_whole(gossip)) {
		pg_end(gossip, true);
		return;
	}
	for (u32 k = 0; k < SEXTANT_PEERS; k++) {
		i = (gossip->number + gossip->self + 1 + k) % SEXTANT_PEERS;
		if (i == gossip->self || gossip->tried & 1u << i ||
		    gossip->peers[i].retry_ms > loop_now_ms())
			continue;
		gossip->tried |= 1u << i;
		ask(gossip, &gossip->peers[i]);
		return;
	}
	pg_end(gossip, false);
}

/* ---- finding work ------------------------------------------------------ */

static void overdue(struct gossip *gossip)
{
	struct gossip_peer *peer = gossip->asking;

	/* With work under way it is the disk that is slow. */
	if (!gossip->pending && peer)
		peer_close(peer);
	look_again(gossip, ANSWER_MS);
}

static void look(struct loop_timer *timer)
{
	struct gossip *gossip = (struct gossip *)((char *)timer - offsetof(struct gossip, timer));
	struct volume *volume = gossip->volume;
	bool lacking = false;
	u32 number;

	if (gossip->busy) {
		overdue(gossip);
		return;
	}
	if (!volume->known_vdl || !peers_update(gossip)) {
		look_again(gossip, LOOK_MS);
		return;
	}
	if (gossip->sweep_wanted)
		gossip->sweep_lsn = volume->known_vdl;
	gossip->sweep_wanted = false;
	for (u32 k = 0; k < volume->pg_count; k++) {
		number = (gossip->next_pg + k) % volume->pg_count;
		if (!pg_lacks(gossip, number))
			continue;
		lacking = true;
		if (volume->ends[number].retry_ms > loop_now_ms() ||
		    (volume->pgs[number] && coalesce_busy(volume, volume->pgs[number])))
			continue;
		gossip->busy = true;
		gossip->number = number;
		gossip->upto_lsn = volume->known_vdl;
		gossip->tried = gossip->answers = 0;
		peer_next(gossip);
		return;
	}
	if (lacking)
		look_again(gossip, PG_RETRY_MS / 2);
}

void gossip_wake(struct volume *volume, bool everything)
{
	struct gossip *gossip = volume->gossip;

	gossip->sweep_wanted |= everything;
	if (!gossip->stopped && !gossip->busy && !gossip->timer.armed)
		loop_timer_set(&gossip->timer, PG_RETRY_MS / 2);
}

void gossip_hold(struct volume *volume, bool on)
{
	for (u32 i = 0; i < SEXTANT_PEERS; i++) {
		struct connection *connection = volume->gossip->peers[i].connection;

		if (connection && on)
			connection_pause(connection, CONNECTION_HOLD_BARRIER);
		else if (connection)
			connection_resume(connection, CONNECTION_HOLD_BARRIER);
	}
}

void gossip_init(struct volume *volume)
{
	struct gossip *gossip = memory_get_zeroed(sizeof(*gossip));

	gossip->volume = volume;
	gossip->self = SEXTANT_PEERS;
	gossip->timer.run = look;
	for (u32 i = 0; i < SEXTANT_PEERS; i++) {
		gossip->peers[i].gossip = gossip;
		gossip->peers[i].fd = -1;
	}
	volume->gossip = gossip;
	gossip_wake(volume, true);
}

void gossip_stop(struct volume *volume)
{
	struct gossip *gossip = volume->gossip;

	gossip->stopped = true;
	loop_timer_stop(&gossip->timer);
	for (u32 i = 0; i < SEXTANT_PEERS; i++)
		peer_close(&gossip->peers[i]);
}

void gossip_release(struct volume *volume)
{
	loop_timer_stop(&volume->gossip->timer);
	free(volume->gossip);
}
