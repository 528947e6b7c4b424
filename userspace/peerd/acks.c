// SPDX-License-Identifier: GPL-2.0
/* ACK frames. */
#include "acks.h"

#include <stdlib.h>

#include "handle.h"

#define RUNS_MAX	1024

struct acks {
	struct loop_task task;
	struct connection *connection;
	u32 refused;			/* status to send; OK: none */
	u32 count, room;
	struct sextant_wire_ack_run *runs;
};

static void acks_run(struct loop_task *task);

static struct acks *acks_of(struct connection *connection)
{
	struct acks *acks = connection->acks;

	if (acks)
		return acks;
	acks = memory_get_zeroed(sizeof(*acks));
	acks->task.run = acks_run;
	acks->connection = connection;
	connection->acks = acks;
	return acks;
}

void handle_writer_closed(struct connection *connection)
{
	if (!connection->acks)
		return;
	loop_never(&connection->acks->task);
	free(connection->acks->runs);
	free(connection->acks);
	connection->acks = NULL;
}

static void ack_send(struct acks *acks, u32 status, u32 count)
{
	struct connection *connection = acks->connection;
	const struct vote *vote = &connection->volume->vote;
	struct sextant_wire_ack ack = {
		.status = cpu_to_le32(status),
		.count = cpu_to_le32(count),
	};

	sextant_ballot_to_wire(&ack.ballot, &connection->ballot);
	memcpy(ack.incarnation, vote->incarnation, sizeof(ack.incarnation));
	sextant_ballot_to_wire(&ack.accepted, &vote->accepted);
	memcpy(ack.holder, vote->accepted_holder, sizeof(ack.holder));
	connection_send(connection, SEXTANT_MSG_ACK, 0, &ack, sizeof(ack), acks->runs,
			count * (u32)sizeof(*acks->runs), NULL, 0);
}

static void flush(struct acks *acks)
{
	const struct volume *volume = acks->connection->volume;

	/* A promise since then forbids it: the new writer may have counted without it. */
	if (acks->count && volume &&
	    vote_may_append(&volume->vote, &acks->connection->ballot) == SEXTANT_ST_OK)
		ack_send(acks, SEXTANT_ST_OK, acks->count);
	acks->count = 0;
}

static void acks_run(struct loop_task *task)
{
	struct acks *acks = (struct acks *)task;
	u32 refused = acks->refused;

	flush(acks);
	acks->refused = SEXTANT_ST_OK;
	if (!refused || !acks->connection->volume)
		return;
	ack_send(acks, refused, 0);
	if (refused == SEXTANT_ST_NO_SPACE || refused == SEXTANT_ST_IO_ERROR ||
	    refused == SEXTANT_ST_BAD_REQUEST)
		connection_close_after_send(acks->connection);
}

void acks_refuse(struct connection *connection, u32 status)
{
	struct acks *acks;

	if (connection->closing)
		return;
	acks = acks_of(connection);
	acks->refused = status;
	loop_later(&acks->task);
}

/* The run that a durable record lies in; what went into the base is one from 0. */
static void run_of(const struct segment *segment, u64 lsn, struct segment_run *run)
{
	struct segment_tail scl;

	if (segment_run_of(segment, lsn, run))
		return;
	scl = segment_scl(segment);
	run->start_lsn = 0;
	run->end_epoch = scl.epoch;
	run->end_lsn = scl.lsn;
}

void acks_add(struct append *append)
{
	u64 last_lsn = sextant_wire_record_last_lsn(&append->record);
	struct acks *acks;
	struct segment_run run;

	if (append->connection->closing)
		return;
	acks = acks_of(append->connection);
	for (u32 i = acks->count; i-- > 0;) {
		const struct sextant_wire_ack_run *each = &acks->runs[i];

		if (le32_to_cpu(each->pg) == append->pg->number &&
		    last_lsn > le64_to_cpu(each->run_start_lsn) &&
		    last_lsn <= le64_to_cpu(each->run_end_lsn))
			return;
	}
	if (acks->count == RUNS_MAX)
		flush(acks);
	if (acks->count == acks->room) {
		acks->room = acks->room ? acks->room * 2 : 8;
		acks->runs = memory_resize(acks->runs, acks->room * sizeof(*acks->runs));
	}
	run_of(&append->pg->segment, last_lsn, &run);
	acks->runs[acks->count++] = (struct sextant_wire_ack_run){
		.pg = cpu_to_le32(append->pg->number),
		.run_end_epoch = cpu_to_le32(run.end_epoch),
		.run_start_lsn = cpu_to_le64(run.start_lsn),
		.run_end_lsn = cpu_to_le64(run.end_lsn),
	};
	loop_later(&acks->task);
}
