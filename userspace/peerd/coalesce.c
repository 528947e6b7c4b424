// SPDX-License-Identifier: GPL-2.0
/*
 * From the log to the base. A pass takes one PG up to a limit that every reader
 * has passed: the newest version of each block is read from the log, checked
 * and written to its place; then all of it is made durable, then the checkpoint
 * says so, and only then does the log let go. A crash before that means that
 * the pass is made once more.
 */
#include "coalesce.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>

#include "gossip.h"
#include "log.h"
#include "server.h"
#include "store.h"

#define RECORDS_MAX		2048	/* in a pass */
#define PIECES_MAX		32	/* in a step */
#define STEP_BLOCKS_MAX		256
#define IDLE_MS			1000	/* the volume is left alone for so long */
#define RETRY_MS		2000

/* Neighbouring blocks on their way; data NULL: a discard's entries alone. */
struct piece {
	struct loop_op op, meta_op;
	struct coalesce *work;
	u64 place;			/* of the first block in the PG */
	u32 count;
	u32 chunk, offset, epoch;
	u64 lsn;			/* the record's */
	struct buffer *data;
	struct base_entry *entries;
};

struct punch {
	u64 place;
	u64 count;
};

struct coalesce {
	struct loop_op op;
	struct volume *volume;
	struct pg *pg;			/* being done; NULL: idle */
	struct segment_tail limit;
	u64 after_lsn;			/* records up to here have been looked at */
	u64 from_block;			/* in the record after that; 0: its first */
	struct piece pieces[PIECES_MAX];
	u32 piece_count, blocks;
	u32 pending;
	int error;
	bool damaged;
	struct punch *punches;
	u32 punch_count, punch_next;
	struct checkpoint_write checkpoint;
	struct loop_task step_task;
	u32 next_pg;			/* where to look for work first */
	u64 busy_ms;			/* when the volume was last written to */
	u64 log_bytes_seen;
	bool stopped;
};

static void step(struct coalesce *work);

/* ---- the end of a pass ------------------------------------------------- */

static void pass_end(struct coalesce *work, int error)
{
	struct volume *volume = work->volume;
	struct pg *pg = work->pg;

	free(work->punches);
	work->punches = NULL;
	work->pg = NULL;
	pg->operations--;
	for (struct chunk *chunk = pg->chunks; chunk; chunk = chunk->next)
		chunk->leaving = 0;
	work->log_bytes_seen = volume->log_bytes;
	volume->coalescing = !error && !work->damaged && !work->stopped;
	volume->no_space = false;
	if (error) {
		bool full = store_status(error) == SEXTANT_ST_NO_SPACE;

		sextant_log(SEXTANT_LOG_ERROR, "volume %s, PG %u: cannot write the base: %s",
			    volume->uuid_text, pg->number, strerror(-error));
		volume->no_space = full;
		pg->io_error |= !full;
	}
	if (work->damaged)
		gossip_wake(volume, false);
	loop_timer_set(&volume->coalesce_timer, error || work->damaged ? RETRY_MS : 1);
	volume_writers_check(volume);
	if (volume->deleted)
		loop_later(&volume->barrier_task);
}

static void punch_next(struct coalesce *work);

static void punch_done(struct loop_op *op, int result)
{
	struct coalesce *work = (struct coalesce *)op;

	/* Space that is not given back is all that is lost by a failure. */
	if (result < 0 && result != -EOPNOTSUPP)
		sextant_log(SEXTANT_LOG_DEBUG, "cannot punch a hole: %s", strerror(-result));
	work->punch_next++;
	punch_next(work);
}

/* Each punch is two: of the blocks, and of their entries. */
static void punch_next(struct coalesce *work)
{
	const struct punch *punch;
	bool meta = work->punch_next % 2;
	u64 unit = meta ? sizeof(struct base_entry) : SEXTANT_BLOCK_BYTES;
	struct io_uring_sqe *sqe;

	if (work->punch_next == work->punch_count * 2 || work->stopped) {
		pass_end(work, 0);
		return;
	}
	punch = &work->punches[work->punch_next / 2];
	work->op.done = punch_done;
	sqe = loop_sqe();
	io_uring_prep_fallocate(sqe, meta ? work->pg->meta_fd : work->pg->base_fd,
				FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				(off_t)(punch->place * unit), (off_t)(punch->count * unit));
	loop_start(sqe, &work->op);
}

static void checkpoint_written(struct checkpoint_write *write, int result)
{
	struct coalesce *work = (struct coalesce *)
		((char *)write - offsetof(struct coalesce, checkpoint));
	struct pg *pg = work->pg;

	if (result) {
		pass_end(work, result);
		return;
	}
	pg->base_changes++;
	segment_coalesced(&pg->segment, &work->limit);
	chunks_recycle(pg, pg->checkpoint.first_sequence);
	work->punch_next = 0;
	punch_next(work);
}

static void sync_done(struct loop_op *op, int result)
{
	struct coalesce *work = (struct coalesce *)op;
	struct pg *pg = work->pg;

	if (result < 0) {
		pass_end(work, result);
		return;
	}
	if (work->op.done == sync_done && work->pending++ == 0) {
		struct io_uring_sqe *sqe = loop_sqe();

		io_uring_prep_fsync(sqe, pg->meta_fd, IORING_FSYNC_DATASYNC);
		loop_start(sqe, &work->op);
		return;
	}
	work->pending = 0;
	work->checkpoint.pg = pg;
	work->checkpoint.done = checkpoint_written;
	work->checkpoint.checkpoint = (struct checkpoint){
		.base_tail = work->limit,
		.floor_lsn = work->limit.lsn,
		.known_vdl = work->volume->known_vdl,
		.first_sequence = chunks_first_sequence(pg),
	};
	if (pg->checkpoint.floor_lsn > work->limit.lsn)
		work->checkpoint.checkpoint.floor_lsn = pg->checkpoint.floor_lsn;
	checkpoint_start(&work->checkpoint);
}

/* Everything is at its place: make it durable. */
static void sync_start(struct coalesce *work)
{
	struct io_uring_sqe *sqe = loop_sqe();

	work->op.done = sync_done;
	work->pending = 0;
	io_uring_prep_fsync(sqe, work->pg->base_fd, IORING_FSYNC_DATASYNC);
	loop_start(sqe, &work->op);
}

/* ---- a step: read, check, write ---------------------------------------- */

static void step_free(struct coalesce *work)
{
	for (u32 i = 0; i < work->piece_count; i++) {
		buffer_put(work->pieces[i].data);
		free(work->pieces[i].entries);
	}
	work->piece_count = 0;
	work->blocks = 0;
}

static void write_ended(struct coalesce *work)
{
	int error = work->error;

	step_free(work);
	if (error)
		pass_end(work, error);
	else
		loop_later(&work->step_task);
}

static void write_result(struct coalesce *work, int result, u32 bytes)
{
	if (result < 0)
		work->error = result;
	else if ((u32)result != bytes)
		work->error = -ENOSPC;
	if (!--work->pending)
		write_ended(work);
}

static void base_written(struct loop_op *op, int result)
{
	struct piece *piece = (struct piece *)op;

	write_result(piece->work, result, piece->count << SEXTANT_BLOCK_SHIFT);
}

static void meta_written(struct loop_op *op, int result)
{
	struct piece *piece = (struct piece *)((char *)op - offsetof(struct piece, meta_op));

	write_result(piece->work, result, piece->count * (u32)sizeof(struct base_entry));
}

static void write_start(struct coalesce *work)
{
	struct pg *pg = work->pg;

	work->pending = 1;
	for (u32 i = 0; i < work->piece_count; i++) {
		struct piece *piece = &work->pieces[i];
		struct io_uring_sqe *sqe;

		if (piece->data) {
			work->pending++;
			piece->op.done = base_written;
			sqe = loop_sqe();
			io_uring_prep_write(sqe, pg->base_fd, piece->data->bytes,
					    piece->count << SEXTANT_BLOCK_SHIFT,
					    piece->place << SEXTANT_BLOCK_SHIFT);
			loop_start(sqe, &piece->op);
		}
		work->pending++;
		piece->meta_op.done = meta_written;
		sqe = loop_sqe();
		io_uring_prep_write(sqe, pg->meta_fd, piece->entries,
				    piece->count * (u32)sizeof(*piece->entries),
				    piece->place * sizeof(*piece->entries));
		loop_start(sqe, &piece->meta_op);
	}
	if (!--work->pending)
		write_ended(work);
}

/* Do the blocks hold against the CRCs in their entries' seals? */
static bool piece_holds(const struct piece *piece)
{
	for (u32 i = 0; i < piece->count && piece->data; i++)
		if (sextant_crc32c(piece->data->bytes + ((size_t)i << SEXTANT_BLOCK_SHIFT),
				   SEXTANT_BLOCK_BYTES) !=
		    le32_to_cpu(piece->entries[i].seal.crc))
			return false;
	return true;
}

static void reads_ended(struct coalesce *work)
{
	struct pg *pg = work->pg;

	for (u32 i = 0; i < work->piece_count; i++) {
		struct piece *piece = &work->pieces[i];

		if (piece_holds(piece))
			continue;
		sextant_log(SEXTANT_LOG_ERROR, "volume %s: the record at LSN %llu is damaged in "
			    "log-%08x of PG %u", pg->volume->uuid_text,
			    (unsigned long long)piece->lsn, piece->chunk, pg->number);
		pg->volume->faults++;
		segment_damage_record(&pg->segment, piece->epoch, piece->lsn);
		work->damaged = true;
	}
	if (work->damaged) {
		/* The chain ends before it now, and so does what can go to the base. */
		step_free(work);
		pass_end(work, 0);
		return;
	}
	write_start(work);
}

static void piece_read(struct loop_op *op, int result)
{
	struct piece *piece = (struct piece *)op;
	struct coalesce *work = piece->work;

	/* What cannot be read does not hold. */
	if (result < 0 || (u32)result != piece->count << SEXTANT_BLOCK_SHIFT)
		memset(piece->data->bytes, 0, piece->count << SEXTANT_BLOCK_SHIFT);
	if (!--work->pending)
		reads_ended(work);
}

static void read_start(struct coalesce *work)
{
	work->pending = 1;
	work->error = 0;
	for (u32 i = 0; i < work->piece_count; i++) {
		struct piece *piece = &work->pieces[i];
		struct io_uring_sqe *sqe;

		if (!piece->data)
			continue;
		work->pending++;
		piece->op.done = piece_read;
		sqe = loop_sqe();
		io_uring_prep_read(sqe, chunk_find(work->pg, piece->chunk)->fd, piece->data->bytes,
				   piece->count << SEXTANT_BLOCK_SHIFT, piece->offset);
		loop_start(sqe, &piece->op);
	}
	if (!--work->pending)
		reads_ended(work);
}

/* ---- what a step is made of -------------------------------------------- */

static void piece_add(struct coalesce *work, const struct segment_record *record,
		      const struct segment_span *span)
{
	const struct sextant_wire_record *wire = &record->record;
	struct piece *piece = &work->pieces[work->piece_count++];
	bool is_data = wire->kind == SEXTANT_RECORD_DATA;
	u32 skip = (u32)(span->block - le64_to_cpu(wire->block));
	struct sextant_wire_block version = {
		.kind = is_data ? SEXTANT_BLOCK_DATA : SEXTANT_BLOCK_DISCARD,
		.epoch = wire->epoch,
		.generation = wire->generation,
		.extent_blocks = is_data ? cpu_to_le32(1) : wire->block_count,
		.lsn = wire->lsn,
		.extent_block = wire->block,
	};

	*piece = (struct piece){
		.work = work,
		.place = span->block - work->pg->segment.first_block,
		.count = span->count,
		.chunk = record->place.chunk,
		.offset = record->place.data_offset + (skip << SEXTANT_BLOCK_SHIFT),
		.epoch = le32_to_cpu(wire->epoch),
		.lsn = le64_to_cpu(wire->lsn),
		.data = is_data ? buffer_get(span->count << SEXTANT_BLOCK_SHIFT) : NULL,
		.entries = memory_get(span->count * sizeof(*piece->entries)),
	};
	for (u32 i = 0; i < span->count; i++) {
		if (is_data) {
			version.lsn = cpu_to_le64(piece->lsn + skip + i);
			version.extent_block = cpu_to_le64(span->block + i);
		}
		version.seal = record->seals[is_data ? skip + i : 0];
		base_entry_fill(&piece->entries[i], (u32)piece->place + i, &version);
	}
	work->blocks += span->count;
}

static void punch_add(struct coalesce *work, const struct segment_span *span)
{
	u64 place = span->block - work->pg->segment.first_block;
	struct punch *last = work->punch_count ? &work->punches[work->punch_count - 1] : NULL;

	work->blocks++;
	if (last && last->place + last->count == place) {
		last->count += span->count;
		return;
	}
	work->punches = memory_resize(work->punches,
				      (work->punch_count + 1) * sizeof(*work->punches));
	work->punches[work->punch_count++] = (struct punch){ place, span->count };
}

/* Takes blocks of one record into the step; true: all of them. */
static bool record_take(struct coalesce *work, const struct segment_record *record)
{
	bool large = record->record.kind == SEXTANT_RECORD_DISCARD &&
		     le32_to_cpu(record->record.block_count) >= BASE_DISCARD_BLOCKS_MIN;
	struct segment *segment = &work->pg->segment;
	struct segment_span span;

	if (large)
		large = base_discard_add(work->pg, &record->record, &record->seals[0]);
	if (!work->from_block)
		work->from_block = le64_to_cpu(record->record.block);
	while (work->piece_count < PIECES_MAX && work->blocks < STEP_BLOCKS_MAX) {
		if (!segment_coalesce_span(segment, record, work->from_block, &work->limit, &span))
			return true;
		work->from_block = span.next_block;
		if (!span.count)
			work->blocks++;
		else if (large)
			punch_add(work, &span);
		else
			piece_add(work, record, &span);
	}
	return false;
}

static void step(struct coalesce *work)
{
	struct segment *segment = &work->pg->segment;
	const struct segment_record *record;
	struct chunk *chunk;

	if (work->stopped) {
		pass_end(work, 0);
		return;
	}
	while ((record = segment_coalesce_next(segment, work->after_lsn, &work->limit))) {
		if (!record_take(work, record)) {
			read_start(work);
			return;
		}
		chunk = chunk_find(work->pg, record->place.chunk);
		chunk->leaving++;
		work->after_lsn = record->last_lsn;
		work->from_block = 0;
	}
	if (work->piece_count)
		read_start(work);
	else
		sync_start(work);
}

static void step_run(struct loop_task *task)
{
	step((struct coalesce *)((char *)task - offsetof(struct coalesce, step_task)));
}

/* ---- which PG, and when ------------------------------------------------ */

static void pass_start(struct coalesce *work, struct pg *pg, const struct segment_tail *limit)
{
	work->pg = pg;
	work->limit = *limit;
	work->after_lsn = pg->segment.base_tail.lsn;
	work->from_block = 0;
	work->damaged = false;
	work->punch_count = 0;
	pg->operations++;
	work->volume->coalescing = true;
	step(work);
}

/* The next PG with something to do. */
static struct pg *pg_find(struct coalesce *work, struct segment_tail *limit)
{
	struct volume *volume = work->volume;

	for (u32 i = 0; i < volume->pg_count; i++) {
		struct pg *pg = volume->pgs[(work->next_pg + i) % volume->pg_count];

		if (!pg || pg->io_error || pg->base_damaged || pg->base_pulling)
			continue;
		segment_set_mrpl(&pg->segment, volume->mrpl);
		*limit = segment_coalesce_limit(&pg->segment, volume->known_vdl, RECORDS_MAX);
		if (limit->lsn <= pg->segment.base_tail.lsn)
			continue;
		work->next_pg = (pg->number + 1) % volume->pg_count;
		return pg;
	}
	return NULL;
}

/* While a volume is written to, its log is let grow to half its bound. */
static bool is_time(struct coalesce *work)
{
	struct volume *volume = work->volume;

	if (volume->log_bytes > peer_options->log_bytes_max / 2)
		return true;
	if (volume->log_bytes != work->log_bytes_seen) {
		work->log_bytes_seen = volume->log_bytes;
		work->busy_ms = loop_now_ms();
	}
	return loop_now_ms() - work->busy_ms >= IDLE_MS;
}

static void coalesce_run(struct loop_timer *timer)
{
	struct volume *volume = (struct volume *)
		((char *)timer - offsetof(struct volume, coalesce_timer));
	struct coalesce *work = volume->coalesce;
	struct segment_tail limit;
	struct pg *pg;

	if (work->stopped || work->pg)
		return;
	if (is_time(work)) {
		log_vouch_all(volume);
		pg = pg_find(work, &limit);
		if (pg) {
			pass_start(work, pg, &limit);
			return;
		}
		volume->no_space = false;
	}
	volume->coalescing = false;
	volume_writers_check(volume);
	loop_timer_set(&volume->coalesce_timer, IDLE_MS);
}

void coalesce_wake(struct volume *volume)
{
	struct coalesce *work = volume->coalesce;

	if (work->stopped || work->pg || volume->no_space ||
	    volume->log_bytes <= peer_options->log_bytes_max / 2)
		return;
	/* A PG that has nothing to give yet is not asked more often than this. */
	if (volume->coalesce_timer.due_ms > loop_now_ms() + 50)
		loop_timer_set(&volume->coalesce_timer, 50);
}

bool coalesce_busy(const struct volume *volume, const struct pg *pg)
{
	return volume->coalesce->pg == pg;
}

void coalesce_init(struct volume *volume)
{
	struct coalesce *work = memory_get_zeroed(sizeof(*work));

	work->volume = volume;
	work->step_task.run = step_run;
	volume->coalesce = work;
	volume->coalesce_timer.run = coalesce_run;
	loop_timer_set(&volume->coalesce_timer, IDLE_MS);
}

void coalesce_stop(struct volume *volume)
{
	volume->coalesce->stopped = true;
	loop_timer_stop(&volume->coalesce_timer);
}

void coalesce_release(struct volume *volume)
{
	coalesce_stop(volume);
	loop_never(&volume->coalesce->step_task);
	free(volume->coalesce);
}
