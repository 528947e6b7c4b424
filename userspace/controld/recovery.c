// SPDX-License-Identifier: GPL-2.0
/*
 * Finding the volume's end; see recovery.h.
 *
 * LSNs are dense over all PGs, so the longest hole-free prefix is found by
 * walking from v0 + 1, each step taking the one record that the table lets
 * begin there. A record that was acknowledged is on four of six, so any three
 * undamaged voters have it among them: where none has one, none was
 * acknowledged, and the volume ends. A voter whose segment is damaged may have
 * held it, so it is not one of the three.
 */
#include "recovery.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "wire.h"

/* One PG as it is being walked. */
struct pg_walk {
	u32 pg;
	u8 damaged;			/* voters that cannot speak for it */
	bool changed;			/* it has records above v0 */
	u64 tail_lsn;			/* its last record so far */
	u32 tail_epoch;
};

struct walk {
	const struct recovery_input *input;
	struct recovery_result *result;
	u8 voters;			/* that count */
	u32 next[SEXTANT_PEERS];	/* index into each voter's tail */
	struct pg_walk *pgs;		/* by pg */
	u32 pg_count, pg_room, record_room;
};

static int refuse(struct walk *walk, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static int refuse(struct walk *walk, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(walk->result->why, sizeof(walk->result->why), format, arguments);
	va_end(arguments);
	return -EUCLEAN;
}

/* The PG's entry, made if need be; NULL without memory. */
static struct pg_walk *pg_of(struct walk *walk, u32 pg)
{
	u32 low = 0, high = walk->pg_count;

	while (low < high) {
		u32 middle = low + (high - low) / 2;

		if (walk->pgs[middle].pg < pg)
			low = middle + 1;
		else
			high = middle;
	}
	if (low < walk->pg_count && walk->pgs[low].pg == pg)
		return &walk->pgs[low];
	if (walk->pg_count == walk->pg_room) {
		u32 room = walk->pg_room ? 2 * walk->pg_room : 64;
		struct pg_walk *grown = realloc(walk->pgs, room * sizeof(*grown));

		if (!grown)
			return NULL;
		walk->pgs = grown;
		walk->pg_room = room;
	}
	memmove(&walk->pgs[low + 1], &walk->pgs[low],
		(walk->pg_count - low) * sizeof(walk->pgs[0]));
	walk->pgs[low] = (struct pg_walk){ .pg = pg };
	walk->pg_count++;
	return &walk->pgs[low];
}

/* ---- what a voter said, taken in ---------------------------------------- */

static bool pgs_sane(const struct recovery_input *input, const struct recovery_voter *voter)
{
	u64 pg_total = (input->size_blocks + input->pg_blocks - 1) / input->pg_blocks;
	u32 i;

	for (i = 0; i < voter->pg_count; i++) {
		u32 pg = le32_to_cpu(voter->pgs[i].pg);

		if (pg >= pg_total || (i && pg <= le32_to_cpu(voter->pgs[i - 1].pg)))
			return false;
	}
	return true;
}

static bool tail_sane(const struct recovery_input *input, const struct recovery_voter *voter)
{
	u32 i;

	for (i = 0; i < voter->tail_count; i++) {
		const struct sextant_wire_record *record = &voter->tail[i].record;
		const struct sextant_wire_record *before = i ? &voter->tail[i - 1].record : NULL;
		u64 lsn = le64_to_cpu(record->lsn);

		if (!sextant_wire_record_valid(record, input->size_blocks, input->pg_blocks) ||
		    lsn <= input->v0)
			return false;
		if (before && (lsn < le64_to_cpu(before->lsn) ||
			       (lsn == le64_to_cpu(before->lsn) &&
				le32_to_cpu(record->epoch) <= le32_to_cpu(before->epoch))))
			return false;
	}
	return true;
}

/* Does the table let the whole record live? */
static bool lives(const struct walk *walk, const struct sextant_wire_record *record)
{
	u32 epoch = le32_to_cpu(record->epoch);

	return sextant_table_allows(&walk->input->table, epoch, le64_to_cpu(record->lsn)) &&
	       sextant_table_allows(&walk->input->table, epoch,
				    sextant_wire_record_last_lsn(record));
}

static int take_pgs(struct walk *walk, u32 index)
{
	const struct recovery_voter *voter = &walk->input->voters[index];
	u32 i;

	for (i = 0; i < voter->pg_count; i++) {
		const struct sextant_wire_pg_state *state = &voter->pgs[i];
		u64 lsn = le64_to_cpu(state->last_lsn);
		u32 epoch = le32_to_cpu(state->last_epoch);
		struct pg_walk *pg = pg_of(walk, le32_to_cpu(state->pg));

		if (!pg)
			return -ENOMEM;
		if (le32_to_cpu(state->flags) & SEXTANT_PG_DAMAGED)
			pg->damaged |= 1u << index;
		if (lsn > pg->tail_lsn && lsn <= walk->input->v0 &&
		    sextant_table_allows(&walk->input->table, epoch, lsn)) {
			pg->tail_lsn = lsn;
			pg->tail_epoch = epoch;
		}
	}
	for (i = 0; i < voter->tail_count; i++) {
		struct pg_walk *pg;

		if (!(le32_to_cpu(voter->tail[i].flags) & SEXTANT_TAIL_DAMAGED) ||
		    !lives(walk, &voter->tail[i].record))
			continue;
		pg = pg_of(walk, le32_to_cpu(voter->tail[i].record.pg));
		if (!pg)
			return -ENOMEM;
		pg->damaged |= 1u << index;
	}
	return 0;
}

static int take_answers(struct walk *walk)
{
	const struct recovery_input *input = walk->input;
	u32 i;
	int error;

	for (i = 0; i < SEXTANT_PEERS; i++) {
		const struct recovery_voter *voter = &input->voters[i];

		/* A voter that talks nonsense does not count, and gets nothing. */
		if (!voter->answered || !pgs_sane(input, voter) || !tail_sane(input, voter))
			continue;
		walk->voters |= 1u << i;
		error = take_pgs(walk, i);
		if (error)
			return error;
	}
	walk->result->voters = walk->voters;
	if (hweight8(walk->voters) < SEXTANT_READ_QUORUM)
		return refuse(walk, "only %u peers gave a usable answer and %u are needed",
			      hweight8(walk->voters), SEXTANT_READ_QUORUM);
	for (i = 0; i < walk->pg_count; i++) {
		u32 sound = hweight8(walk->voters & ~walk->pgs[i].damaged);

		if (sound < SEXTANT_READ_QUORUM)
			return refuse(walk, "protection group %u is undamaged on only %u of the %u peers that answer and %u are needed: bring more peers up",
				      walk->pgs[i].pg, sound, hweight8(walk->voters),
				      SEXTANT_READ_QUORUM);
	}
	return 0;
}

/* ---- the walk ------------------------------------------------------------ */

/*
 * The record that begins at lsn, and who holds it whole. found->holders 0: it is
 * not there, or every copy is damaged (and three sound voters have none, so it
 * was never acknowledged).
 */
static int record_at(struct walk *walk, u64 lsn, struct recovery_record *found)
{
	const struct sextant_wire_record *known = NULL;
	u32 i;

	memset(found, 0, sizeof(*found));
	for (i = 0; i < SEXTANT_PEERS; i++) {
		const struct recovery_voter *voter = &walk->input->voters[i];
		u32 *at = &walk->next[i];

		if (!(walk->voters & (1u << i)))
			continue;
		while (*at < voter->tail_count && le64_to_cpu(voter->tail[*at].record.lsn) < lsn)
			(*at)++;
		for (; *at < voter->tail_count &&
		     le64_to_cpu(voter->tail[*at].record.lsn) == lsn; (*at)++) {
			const struct sextant_wire_tail_entry *entry = &voter->tail[*at];

			if (!lives(walk, &entry->record) ||
			    le32_to_cpu(entry->flags) & SEXTANT_TAIL_DAMAGED)
				continue;
			if (known && memcmp(known, &entry->record, sizeof(*known)))
				return refuse(walk, "peers disagree about the record at LSN %llu: a store was tampered with or a peer is at fault",
					      (unsigned long long)lsn);
			known = &entry->record;
			found->holders |= 1u << i;
		}
	}
	if (known)
		found->record = *known;
	found->lacking = walk->voters & ~found->holders;
	return 0;
}

static int add_record(struct walk *walk, const struct recovery_record *found)
{
	struct recovery_result *result = walk->result;
	struct recovery_record *grown;
	u32 room = walk->record_room ? 2 * walk->record_room : 256;

	if (result->record_count == walk->record_room) {
		grown = realloc(result->records, room * sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		result->records = grown;
		walk->record_room = room;
	}
	result->records[result->record_count++] = *found;
	return 0;
}

/* The record's back-link must name its PG's record before. */
static int follow(struct walk *walk, const struct sextant_wire_record *record)
{
	struct pg_walk *pg = pg_of(walk, le32_to_cpu(record->pg));

	if (!pg)
		return -ENOMEM;
	if (le64_to_cpu(record->prev_lsn) != pg->tail_lsn ||
	    le32_to_cpu(record->prev_epoch) != pg->tail_epoch)
		return refuse(walk, "the record at LSN %llu follows LSN %llu of epoch %u in protection group %u, but LSN %llu of epoch %u is what was found there",
			      (unsigned long long)le64_to_cpu(record->lsn),
			      (unsigned long long)le64_to_cpu(record->prev_lsn),
			      le32_to_cpu(record->prev_epoch), pg->pg,
			      (unsigned long long)pg->tail_lsn, pg->tail_epoch);
	pg->tail_lsn = sextant_wire_record_last_lsn(record);
	pg->tail_epoch = le32_to_cpu(record->epoch);
	pg->changed = true;
	return 0;
}

static int walk_prefix(struct walk *walk)
{
	const struct sextant_table *table = &walk->input->table;
	struct recovery_record found;
	u64 vcl = walk->input->v0, last_first;
	int error;

	for (;;) {
		error = record_at(walk, vcl + 1, &found);
		if (!error && !found.holders)
			break;
		if (!error)
			error = follow(walk, &found.record);
		if (!error)
			error = add_record(walk, &found);
		if (error)
			return error;
		vcl = sextant_wire_record_last_lsn(&found.record);
	}
	walk->result->vcl = vcl;
	if (!table->count)
		return 0;
	last_first = le64_to_cpu(table->entries[table->count - 1].first_lsn);
	if (vcl < last_first - 1)
		return refuse(walk, "the records end at LSN %llu, but a writer before began at %llu: acknowledged writes are missing on the peers that answer",
			      (unsigned long long)vcl, (unsigned long long)last_first);
	return 0;
}

static int collect_tails(struct walk *walk)
{
	struct recovery_result *result = walk->result;
	u32 i;

	result->tails = calloc(walk->pg_count + 1, sizeof(result->tails[0]));
	result->changed = calloc(walk->pg_count + 1, sizeof(result->changed[0]));
	if (!result->tails || !result->changed)
		return -ENOMEM;
	for (i = 0; i < walk->pg_count; i++) {
		const struct pg_walk *pg = &walk->pgs[i];
		struct sextant_wire_pg_tail tail = {
			.pg = cpu_to_le32(pg->pg),
			.epoch = cpu_to_le32(pg->tail_epoch),
			.lsn = cpu_to_le64(pg->tail_lsn),
		};

		if (!pg->tail_lsn)
			continue;
		result->tails[result->tail_count++] = tail;
		if (pg->changed)
			result->changed[result->changed_count++] = tail;
	}
	return 0;
}

int recovery_decide(const struct recovery_input *input, struct recovery_result *result)
{
	struct walk walk = { .input = input, .result = result };
	int error;

	memset(result, 0, sizeof(*result));
	error = take_answers(&walk);
	if (!error)
		error = walk_prefix(&walk);
	if (!error)
		error = collect_tails(&walk);
	free(walk.pgs);
	return error;
}

void recovery_release(struct recovery_result *result)
{
	free(result->records);
	free(result->tails);
	free(result->changed);
	memset(result, 0, sizeof(*result));
}
