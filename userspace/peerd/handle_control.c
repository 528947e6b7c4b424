// SPDX-License-Identifier: GPL-2.0
/* CONTROL: volumes, votes and manifests. What is in the segments: handle_state.c. */
#include "handle.h"

#include <stdlib.h>

#include "acks.h"
#include "log.h"
#include "manifest.h"
#include "server.h"
#include "store.h"
#include "text.h"

void handle_status(struct connection *connection, u64 cookie, u32 status)
{
	struct sextant_wire_status_reply reply = { .status = cpu_to_le32(status) };
	const struct volume *volume = connection->volume;

	if (volume) {
		const struct vote *vote = &volume->vote;
		bool fenced = status == SEXTANT_ST_FENCED;

		memcpy(reply.incarnation, vote->incarnation, sizeof(reply.incarnation));
		sextant_ballot_to_wire(&reply.promised, fenced ? &vote->accepted : &vote->promised);
		memcpy(reply.holder, fenced ? vote->accepted_holder : vote->promised_holder,
		       sizeof(reply.holder));
	}
	connection_send(connection, SEXTANT_MSG_STATUS_REPLY, cookie, &reply, sizeof(reply),
			NULL, 0, NULL, 0);
}

/* ---- volumes ----------------------------------------------------------- */

static void volume_name(const struct volume *volume, char *name)
{
	struct sextant_manifest manifest;

	if (volume->damaged || !volume->vote.manifest ||
	    sextant_manifest_decode(volume->vote.manifest, volume->vote.manifest_bytes, &manifest,
				    NULL))
		return;
	memcpy(name, manifest.name, SEXTANT_NAME_BYTES);
	sextant_manifest_release(&manifest);
}

static void handle_list(struct connection *connection, struct frame *frame)
{
	struct sextant_wire_list_reply reply = { .status = 0 };
	struct sextant_wire_list_entry *entries = NULL;
	struct volume *volume;
	u32 count = 0;

	for (volume = volumes; volume; volume = volume->next) {
		if (volume->deleted)
			continue;
		entries = memory_resize(entries, (count + 1) * sizeof(*entries));
		memset(&entries[count], 0, sizeof(*entries));
		memcpy(entries[count].volume, volume->uuid, sizeof(entries[count].volume));
		volume_name(volume, entries[count].name);
		count++;
	}
	reply.count = cpu_to_le32(count);
	connection_send(connection, SEXTANT_MSG_LIST_REPLY, frame->cookie, &reply, sizeof(reply),
			entries, count * (u32)sizeof(*entries), NULL, 0);
	free(entries);
}

static void handle_create(struct connection *connection, struct frame *frame)
{
	const struct sextant_wire_create *message = frame->meta;
	struct volume *volume = NULL;
	u32 status;

	if (!server_meta(connection, frame, sizeof(*message)))
		return;
	if (connection->volume && memcmp(connection->volume->uuid, message->volume,
					 sizeof(message->volume))) {
		server_refuse(connection, frame, "the connection is another volume's");
		return;
	}
	status = volume_create(message->volume, le64_to_cpu(message->size_blocks),
			       le32_to_cpu(message->pg_blocks), &volume);
	if (volume && volume->damaged) {
		handle_status(connection, frame->cookie, SEXTANT_ST_DAMAGED);
		return;
	}
	if (volume && !connection->volume) {
		connection->volume = volume;
		volume_join(volume, connection);
	}
	handle_status(connection, frame->cookie, status);
}

static void delete_run(struct volume *volume, struct barrier *barrier)
{
	const struct sextant_wire_delete *message = barrier->frame.meta;
	struct connection *connection = barrier->connection;
	struct sextant_ballot ballot;
	u32 status;

	sextant_ballot_from_wire(&ballot, &message->ballot);
	status = vote_may_delete(&volume->vote, &ballot);
	if (!status)
		status = volume_delete(volume, connection);
	handle_status(connection, barrier->frame.cookie, status);
	if (!status)
		volume_leave(volume, connection);
}

/* ---- votes ------------------------------------------------------------- */

static void prepare_run(struct volume *volume, struct barrier *barrier)
{
	const struct sextant_wire_prepare *message = barrier->frame.meta;
	struct sextant_ballot ballot;
	u32 status;

	sextant_ballot_from_wire(&ballot, &message->ballot);
	if (sextant_ballot_equal(&ballot, &volume->vote.promised)) {
		status = SEXTANT_ST_OK;
	} else {
		status = vote_promise(&volume->vote, &ballot, message->holder);
		if (!status)
			status = volume_vote_write(volume);
	}
	if (!status)
		sextant_log(SEXTANT_LOG_INFO, "volume %s: promised epoch %u to %s",
			    volume->uuid_text, ballot.epoch, volume->vote.promised_holder);
	handle_state(barrier->connection, barrier->frame.cookie, status);
}

/* Writers of older ballots hear at once that it is over. */
static void fence_writers(struct volume *volume)
{
	for (struct connection *each = volume->connections; each; each = each->volume_next)
		if (each->role == SEXTANT_ROLE_WRITER &&
		    vote_may_read(&volume->vote, &each->ballot) == SEXTANT_ST_FENCED)
			acks_refuse(each, SEXTANT_ST_FENCED);
}

/* Is what the ACTIVATE names held here, from each tail down to v0? */
static bool activate_chains_held(const struct volume *volume,
				 const struct sextant_wire_activate *message)
{
	for (u32 i = 0; i < le32_to_cpu(message->tail_count); i++) {
		u32 number = le32_to_cpu(message->tails[i].pg);
		struct segment_tail tail = {
			.epoch = le32_to_cpu(message->tails[i].epoch),
			.lsn = le64_to_cpu(message->tails[i].lsn),
		};

		if (number >= volume->pg_count || !volume->pgs[number] ||
		    volume->pgs[number]->io_error ||
		    !segment_chain_held(&volume->pgs[number]->segment, &tail,
					le64_to_cpu(message->v0)))
			return false;
	}
	return true;
}

static u32 activate(struct volume *volume, const struct sextant_wire_activate *message,
		    const u8 *manifest)
{
	bool chosen = le32_to_cpu(message->flags) & SEXTANT_ACTIVATE_CHOSEN;
	struct sextant_ballot ballot;
	u32 status;

	sextant_ballot_from_wire(&ballot, &message->ballot);
	status = vote_may_activate(&volume->vote, &ballot, chosen);
	if (status)
		return status;
	if (!chosen && !activate_chains_held(volume, message))
		return SEXTANT_ST_INCOMPLETE;
	status = vote_activate(&volume->vote, &ballot, message->holder, chosen,
			       le64_to_cpu(message->vcl), manifest,
			       le32_to_cpu(message->manifest_bytes));
	if (status)
		return status;
	volume_raise_vdl(volume, le64_to_cpu(chosen ? message->vcl : message->v0));
	status = volume_vote_write(volume);
	if (status)
		return status;
	volume->lease_seen = false;
	volume_table_changed(volume);
	fence_writers(volume);
	sextant_log(SEXTANT_LOG_INFO, "volume %s: accepted epoch %u of %s", volume->uuid_text,
		    ballot.epoch, volume->vote.accepted_holder);
	return SEXTANT_ST_OK;
}

static void activate_run(struct volume *volume, struct barrier *barrier)
{
	const struct sextant_wire_activate *message = barrier->frame.meta;
	u32 tail_count = le32_to_cpu(message->tail_count);

	handle_status(barrier->connection, barrier->frame.cookie,
		      activate(volume, message, (const u8 *)&message->tails[tail_count]));
}

static bool activate_is_whole(const struct frame *frame)
{
	const struct sextant_wire_activate *message = frame->meta;

	return frame->meta_bytes == sizeof(*message) + le32_to_cpu(message->manifest_bytes) +
	       (u64)le32_to_cpu(message->tail_count) * sizeof(message->tails[0]);
}

/* ---- manifests --------------------------------------------------------- */

void handle_manifest_get(struct connection *connection, struct frame *frame)
{
	struct sextant_wire_manifest_reply reply = { .status = 0 };
	const struct vote *vote = &connection->volume->vote;

	if (!vote->manifest)
		reply.status = cpu_to_le32(SEXTANT_ST_ABSENT);
	reply.manifest_bytes = cpu_to_le32(vote->manifest_bytes);
	sextant_ballot_to_wire(&reply.accepted, &vote->accepted);
	reply.manifest_sequence = cpu_to_le64(vote->manifest_sequence);
	connection_send(connection, SEXTANT_MSG_MANIFEST_REPLY, frame->cookie, &reply,
			sizeof(reply), vote->manifest, vote->manifest_bytes, NULL, 0);
}

static void manifest_put_run(struct volume *volume, struct barrier *barrier)
{
	const struct sextant_wire_manifest_put *message = barrier->frame.meta;
	struct sextant_ballot ballot;
	u32 status;

	sextant_ballot_from_wire(&ballot, &message->ballot);
	status = vote_put_manifest(&volume->vote, &ballot, message->holder,
				   le64_to_cpu(message->manifest_sequence), message->manifest,
				   le32_to_cpu(message->manifest_bytes));
	if (!status)
		status = volume_vote_write(volume);
	if (!status)
		volume_table_changed(volume);
	handle_status(barrier->connection, barrier->frame.cookie, status);
}

/* ---- dispatch ---------------------------------------------------------- */

/* Requests of a fixed size that wait until the store is idle, and the others of that kind. */
static void handle_ordered(struct connection *connection, struct frame *frame)
{
	const struct sextant_wire_manifest_put *put = frame->meta;
	struct volume *volume = connection->volume;

	switch (frame->type) {
	case SEXTANT_MSG_DELETE:
		if (server_meta(connection, frame, sizeof(struct sextant_wire_delete)))
			volume_barrier(volume, connection, frame, delete_run);
		break;
	case SEXTANT_MSG_PREPARE:
		if (server_meta(connection, frame, sizeof(struct sextant_wire_prepare)))
			volume_barrier(volume, connection, frame, prepare_run);
		break;
	case SEXTANT_MSG_ACTIVATE:
		if (!server_meta(connection, frame, sizeof(struct sextant_wire_activate)))
			break;
		if (activate_is_whole(frame))
			volume_barrier(volume, connection, frame, activate_run);
		else
			server_refuse(connection, frame, "its tails and manifest do not fit");
		break;
	case SEXTANT_MSG_MANIFEST_PUT:
		if (!server_meta(connection, frame, sizeof(*put)))
			break;
		if (frame->meta_bytes == sizeof(*put) + le32_to_cpu(put->manifest_bytes))
			volume_barrier(volume, connection, frame, manifest_put_run);
		else
			server_refuse(connection, frame, "its manifest does not fit");
		break;
	}
}

static void handle_of_volume(struct connection *connection, struct frame *frame)
{
	switch (frame->type) {
	case SEXTANT_MSG_DELETE:
	case SEXTANT_MSG_PREPARE:
	case SEXTANT_MSG_ACTIVATE:
	case SEXTANT_MSG_MANIFEST_PUT:
		handle_ordered(connection, frame);
		break;
	case SEXTANT_MSG_PROBE:
		handle_state(connection, frame->cookie, SEXTANT_ST_OK);
		break;
	case SEXTANT_MSG_PG_LIST:
		handle_pg_list(connection, frame);
		break;
	case SEXTANT_MSG_TAIL:
		handle_tail(connection, frame);
		break;
	case SEXTANT_MSG_FETCH:
		handle_fetch(connection, frame);
		break;
	case SEXTANT_MSG_COPY:
		handle_copy(connection, frame);
		break;
	case SEXTANT_MSG_MANIFEST_GET:
		handle_manifest_get(connection, frame);
		break;
	default:
		server_refuse(connection, frame, "a controller does not send this");
	}
}

void handle_control(struct connection *connection, struct frame *frame)
{
	if (frame->type == SEXTANT_MSG_LIST)
		handle_list(connection, frame);
	else if (frame->type == SEXTANT_MSG_CREATE)
		handle_create(connection, frame);
	else if (connection->volume)
		handle_of_volume(connection, frame);
	else
		server_refuse(connection, frame, "it needs a volume, and HELLO named none");
}
