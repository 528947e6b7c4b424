// SPDX-License-Identifier: GPL-2.0
/*
 * A segment against a model that knows every record there ever was: random
 * writes, losses, resends, damage, takeovers, coalescing, restarts and pulled
 * bases, from a seed. Arguments: the first seed and how many.
 */
#include "tap.h"

#include "core.h"
#include "wire.h"
#include "peerd/segment.h"

#define PG		1
#define PG_BLOCKS	128
#define FIRST_BLOCK	((u64)PG * PG_BLOCKS)
#define RECORDS_MAX	800
#define STEPS		900

enum held { NOT_HELD, HELD, DAMAGED };

struct model_record {
	struct sextant_wire_record wire;
	u64 lsn, last_lsn;
	bool dead;
	enum held held;
};

struct base_block {
	u8 kind;
	u64 lsn;
};

static struct model {
	u64 random_state;
	struct sextant_wire_table_entry entries[64];
	u32 entry_count;
	struct model_record records[RECORDS_MAX];
	u32 count;
	u64 next_lsn;
	struct segment_tail tail;		/* of the chain of the living */
	struct segment segment;
	struct base_block base[PG_BLOCKS];
} m;

static const char *wrong;

#define expect(condition) \
	do { \
		if (!(condition) && !wrong) \
			wrong = #condition; \
	} while (0)

static u32 draw(u32 below)
{
	m.random_state ^= m.random_state << 13;
	m.random_state ^= m.random_state >> 7;
	m.random_state ^= m.random_state << 17;
	return (u32)(m.random_state >> 20) % below;
}

static struct sextant_table table(void)
{
	return (struct sextant_table){ m.entry_count, m.entries };
}

static u32 epoch_now(void)
{
	return le32_to_cpu(m.entries[m.entry_count - 1].epoch);
}

/* ---- the model -------------------------------------------------------- */

static bool in_base(const struct model_record *record)
{
	return record->lsn <= m.segment.base_tail.lsn;
}

static u64 model_scl(void)
{
	u64 scl = m.segment.base_tail.lsn;

	for (u32 i = 0; i < m.count; i++) {
		if (m.records[i].dead || in_base(&m.records[i]))
			continue;
		if (m.records[i].held != HELD)
			break;
		scl = m.records[i].last_lsn;
	}
	return scl;
}

/* The newest version of a block at or below a read point. */
static struct base_block model_read(u32 block, u64 read_point)
{
	struct base_block newest = { SEXTANT_BLOCK_NEVER, 0 };

	for (u32 i = 0; i < m.count; i++) {
		const struct model_record *r = &m.records[i];
		u64 first = le64_to_cpu(r->wire.block) - FIRST_BLOCK;
		u64 lsn = r->lsn;

		if (r->dead || r->wire.kind == SEXTANT_RECORD_VOID || block < first ||
		    block >= first + le32_to_cpu(r->wire.block_count))
			continue;
		if (r->wire.kind == SEXTANT_RECORD_DATA)
			lsn += block - first;
		if (lsn > read_point || lsn <= newest.lsn)
			continue;
		newest.lsn = lsn;
		newest.kind = r->wire.kind == SEXTANT_RECORD_DATA ? SEXTANT_BLOCK_DATA :
								    SEXTANT_BLOCK_DISCARD;
	}
	return newest;
}

static struct base_block segment_and_base(const struct segment *segment,
					  const struct base_block *base, u32 block, u64 read_point)
{
	struct segment_version version;

	if (segment_read(segment, FIRST_BLOCK + block, read_point, &version) == SEGMENT_IN_BASE)
		return base[block];
	return (struct base_block){ version.kind, version.lsn };
}

/* ---- steps ------------------------------------------------------------ */

static int deliver_to(struct segment *segment, const struct model_record *record)
{
	struct sextant_wire_seal seals[SEXTANT_RECORD_BLOCKS_MAX] = { 0 };
	struct segment_place place = { 0, 0, (u32)record->lsn };

	return segment_add(segment, &record->wire, seals, &place);
}

static void deliver(struct model_record *record)
{
	int error = deliver_to(&m.segment, record);

	if (in_base(record)) {
		expect(error == -EEXIST);
		return;
	}
	expect(error == (record->held == HELD ? -EEXIST : 0));
	record->held = HELD;
}

static void step_write(void)
{
	struct model_record *r = &m.records[m.count];
	u32 kind = draw(10), blocks = 1 + draw(draw(3) ? 4 : 32);
	u32 lsns = blocks;

	if (m.count == RECORDS_MAX)
		return;
	memset(r, 0, sizeof(*r));
	m.next_lsn += draw(3) ? 0 : draw(5);
	r->wire.pg = cpu_to_le32(PG);
	r->wire.kind = SEXTANT_RECORD_DATA;
	if (kind == 0) {
		r->wire.kind = SEXTANT_RECORD_VOID;
		blocks = 0;
	} else if (kind < 3) {
		r->wire.kind = SEXTANT_RECORD_DISCARD;
		blocks = 1 + draw(draw(2) ? PG_BLOCKS : 8);
		lsns = 1;
	}
	r->lsn = m.next_lsn;
	r->last_lsn = r->lsn + lsns - 1;
	r->wire.epoch = cpu_to_le32(epoch_now());
	r->wire.lsn = cpu_to_le64(r->lsn);
	r->wire.lsn_count = cpu_to_le32(lsns);
	r->wire.prev_epoch = cpu_to_le32(m.tail.epoch);
	r->wire.prev_lsn = cpu_to_le64(m.tail.lsn);
	r->wire.block = cpu_to_le64(FIRST_BLOCK + draw(PG_BLOCKS - blocks + 1));
	r->wire.block_count = cpu_to_le32(blocks);
	m.next_lsn = r->last_lsn + 1;
	m.tail = (struct segment_tail){ epoch_now(), r->last_lsn };
	m.count++;
	if (draw(6))
		deliver(r);
}

/* What gossip or a resend brings: a living record, held or not. */
static void step_deliver(bool missing)
{
	u32 from = m.count ? draw(m.count) : 0;

	for (u32 i = 0; i < m.count; i++) {
		struct model_record *r = &m.records[missing ? i : (from + i) % m.count];

		if (r->dead || (missing && (in_base(r) || r->held == HELD)))
			continue;
		deliver(r);
		return;
	}
}

static void step_damage(void)
{
	struct model_record *r;

	if (!m.count)
		return;
	r = &m.records[draw(m.count)];
	if (r->dead || in_base(r) || r->held == NOT_HELD)
		return;
	expect(!segment_damage_record(&m.segment, le32_to_cpu(r->wire.epoch), r->lsn));
	r->held = DAMAGED;
}

static void base_apply(struct base_block *base, const struct segment_record *record,
		       const struct segment_span *span)
{
	for (u32 i = 0; i < span->count; i++) {
		u64 block = span->block + i;
		struct base_block *to = &base[block - FIRST_BLOCK];

		to->kind = SEXTANT_BLOCK_DISCARD;
		to->lsn = le64_to_cpu(record->record.lsn);
		if (record->record.kind == SEXTANT_RECORD_DATA) {
			to->kind = SEXTANT_BLOCK_DATA;
			to->lsn += block - le64_to_cpu(record->record.block);
		}
	}
}

static void step_coalesce(void)
{
	struct segment_tail limit;
	const struct segment_record *record;
	u64 after = m.segment.base_tail.lsn;

	limit = segment_coalesce_limit(&m.segment, draw(2) ? ~0ull : draw((u32)m.next_lsn + 1),
				       draw(8));
	while ((record = segment_coalesce_next(&m.segment, after, &limit))) {
		struct segment_span span;
		u64 block = le64_to_cpu(record->record.block);

		while (segment_coalesce_span(&m.segment, record, block, &limit, &span)) {
			base_apply(m.base, record, &span);
			block = span.next_block;
		}
		after = record->last_lsn;
	}
	expect(after == limit.lsn);
	segment_coalesced(&m.segment, &limit);
	for (u32 block = 0; block < PG_BLOCKS && limit.lsn; block++) {
		struct base_block want = model_read(block, limit.lsn);

		expect(m.base[block].lsn == want.lsn && m.base[block].kind == want.kind);
	}
}

/* A new writer: VCL at a record's end, all above it is dead. */
static void step_takeover(void)
{
	u64 floor = segment_floor(&m.segment), vcl = floor;
	struct sextant_table next;
	u32 epoch = epoch_now() + 8;

	if (m.entry_count == 60)
		return;
	for (u32 i = 0; i < m.count; i++)
		if (!m.records[i].dead && m.records[i].last_lsn > vcl && draw(4))
			vcl = m.records[i].last_lsn;
	m.tail = m.segment.base_tail;
	for (u32 i = 0; i < m.count; i++) {
		struct model_record *r = &m.records[i];

		r->dead |= r->last_lsn > vcl;
		if (r->dead)
			continue;
		m.tail = (struct segment_tail){ le32_to_cpu(r->wire.epoch), r->last_lsn };
		if (draw(2) && r->held == NOT_HELD)
			deliver(r);
	}
	while (m.entry_count && le64_to_cpu(m.entries[m.entry_count - 1].first_lsn) > vcl)
		m.entry_count--;
	m.entries[m.entry_count++] = (struct sextant_wire_table_entry){
		.first_lsn = cpu_to_le64(vcl + 1), .epoch = cpu_to_le32(epoch),
	};
	m.next_lsn = vcl + 1;
	next = table();
	expect(!segment_truncate(&m.segment, &next));
}

/* The segment is made anew: of the base, and what the log has in any order. */
static void step_restart(void)
{
	u64 floor = m.segment.floor_lsn, scl = segment_scl(&m.segment).lsn;
	struct segment_tail base_tail = m.segment.base_tail;
	struct sextant_table now = table();
	u32 at = 0;

	segment_release(&m.segment);
	segment_init(&m.segment, PG, FIRST_BLOCK, PG_BLOCKS, &base_tail, floor, &now);
	for (u32 i = 0; i < m.count; i++) {
		at = (at + 7919) % m.count;
		if (m.count % 7919 == 0)
			at = i;
		if (m.records[at].held == NOT_HELD || in_base(&m.records[at]))
			continue;
		deliver_to(&m.segment, &m.records[at]);
		if (m.records[at].held == DAMAGED)
			segment_damage_record(&m.segment, le32_to_cpu(m.records[at].wire.epoch),
					      m.records[at].lsn);
	}
	expect(!segment_truncate(&m.segment, &now));
	expect(segment_scl(&m.segment).lsn == scl);
}

/* ---- checks ----------------------------------------------------------- */

static void check_reads(void)
{
	u64 floor = segment_floor(&m.segment), scl = segment_scl(&m.segment).lsn;
	u64 read_point = scl > floor ? floor + draw((u32)(scl - floor) + 1) : floor;

	if (scl < floor)
		return;
	for (u32 block = 0; block < PG_BLOCKS; block += 1 + draw(8)) {
		struct base_block want = model_read(block, read_point);
		struct base_block got = segment_and_base(&m.segment, m.base, block, read_point);

		expect(got.lsn == want.lsn && got.kind == want.kind);
	}
}

static void check_chain(void)
{
	u64 scl = segment_scl(&m.segment).lsn, run_start = 0, run_end = 0;
	struct sextant_wire_pg_state state;
	struct sextant_table now = table();
	u32 damaged = 0;

	expect(scl == model_scl());
	for (u32 i = 0; i < m.count; i++) {
		const struct model_record *r = &m.records[i];
		struct segment_run run;

		if (r->dead || in_base(r))
			continue;
		damaged += r->held == DAMAGED;
		expect(segment_has(&m.segment, le32_to_cpu(r->wire.epoch), r->lsn) ==
		       (r->held == HELD ? SEGMENT_DURABLE :
			r->held == DAMAGED ? SEGMENT_DAMAGED : SEGMENT_ABSENT));
		expect(segment_run_of(&m.segment, r->last_lsn, &run) == (r->held == HELD));
		if (r->held != HELD)
			continue;
		if (le64_to_cpu(r->wire.prev_lsn) != run_end)
			run_start = le64_to_cpu(r->wire.prev_lsn);
		run_end = r->last_lsn;
		expect(run.start_lsn == (r->lsn <= scl ? 0 : run_start));
		expect(run.end_lsn >= r->last_lsn);
	}
	expect(segment_damaged(&m.segment) == (damaged > 0));
	if (segment_state(&m.segment, &now, ~0ull, &state))
		expect(le64_to_cpu(state.scl_lsn) == scl);
}

/* PULL from the base's tail gives what the model has; the chain down from the SCL is held. */
static void check_pull(void)
{
	const struct segment_record *record;
	struct segment_tail scl = segment_scl(&m.segment);
	u64 after = m.segment.base_tail.lsn;

	for (u32 i = 0; i < m.count; i++) {
		const struct model_record *r = &m.records[i];

		if (r->dead || in_base(r) || r->last_lsn > scl.lsn)
			continue;
		expect(segment_pull_next(&m.segment, after, scl.lsn, &record) == SEXTANT_ST_OK);
		expect(record && record->last_lsn == r->last_lsn);
		after = r->last_lsn;
	}
	expect(segment_pull_next(&m.segment, after, scl.lsn, &record) == SEXTANT_ST_OK && !record);
	expect(segment_chain_held(&m.segment, &scl, 0));
}

/* Another peer pulls the base at some LSN, then the records above it. */
static void check_base_pull(void)
{
	static struct base_block base[PG_BLOCKS];
	struct segment_tail none = { 0, 0 }, tail;
	struct sextant_table now = table();
	u64 floor = segment_floor(&m.segment), scl = segment_scl(&m.segment).lsn, upto = scl;
	struct segment other;

	for (u32 i = 0; i < m.count; i++)
		if (!m.records[i].dead && m.records[i].last_lsn >= floor &&
		    m.records[i].last_lsn <= scl && !draw(3))
			upto = m.records[i].last_lsn;
	if (upto < floor)
		return;
	segment_init(&other, PG, FIRST_BLOCK, PG_BLOCKS, &none, 0, &now);
	for (u32 i = 0; i < m.count; i++)
		if (!m.records[i].dead && m.records[i].held == HELD && draw(2))
			deliver_to(&other, &m.records[i]);
	for (u32 block = 0; block < PG_BLOCKS; block++)
		base[block] = segment_and_base(&m.segment, m.base, block, upto);
	tail = segment_tail_at(&m.segment, upto);
	expect(!segment_base_pulled(&other, &tail, upto));
	for (u32 i = 0; i < m.count; i++)
		if (!m.records[i].dead && m.records[i].held == HELD)
			deliver_to(&other, &m.records[i]);
	expect(segment_scl(&other).lsn == scl);
	for (u32 block = 0; block < PG_BLOCKS; block++) {
		struct base_block want = model_read(block, scl);
		struct base_block got = segment_and_base(&other, base, block, scl);

		expect(got.lsn == want.lsn && got.kind == want.kind);
	}
	segment_release(&other);
}

/* When all is in the base, only the smallest hash is left. */
static void check_memory(void)
{
	struct segment_tail tail = segment_tail_at(&m.segment, ~0ull >> 1);

	segment_base_pulled(&m.segment, &tail, ~0ull >> 1);
	expect(!m.segment.record_count && segment_memory(&m.segment) <= 2048);
}

/* ---- runs ------------------------------------------------------------- */

static void step(void)
{
	switch (draw(24)) {
	case 0:
		step_damage();
		break;
	case 1:
		if (!draw(3))
			step_takeover();
		break;
	case 2:
		step_coalesce();
		break;
	case 3:
		segment_set_mrpl(&m.segment, draw((u32)segment_scl(&m.segment).lsn + 1));
		break;
	case 4:
		if (!draw(4))
			step_restart();
		break;
	case 5:
		check_base_pull();
		break;
	case 6:
		check_pull();
		break;
	case 7 ... 9:
		step_deliver(true);
		break;
	case 10:
		step_deliver(false);
		break;
	case 11 ... 13:
		check_reads();
		break;
	default:
		step_write();
	}
	check_chain();
}

/* Returns how many steps went well: STEPS of them. */
static u32 run_seed(u64 seed)
{
	struct segment_tail none = { 0, 0 };
	struct sextant_table now;
	u32 steps = 0;

	memset(&m, 0, sizeof(m));
	m.random_state = seed * 0x9e3779b97f4a7c15ull + 1;
	m.entries[0] = (struct sextant_wire_table_entry){
		.first_lsn = cpu_to_le64(1), .epoch = cpu_to_le32(8),
	};
	m.entry_count = 1;
	m.next_lsn = 1;
	now = table();
	segment_init(&m.segment, PG, FIRST_BLOCK, PG_BLOCKS, &none, 0, &now);
	while (steps < STEPS && !wrong) {
		step();
		steps++;
	}
	if (!wrong)
		check_memory();
	if (wrong)
		diag("seed %" PRIu64 ", step %u: %s", seed, steps, wrong);
	segment_release(&m.segment);
	return wrong ? 0 : steps;
}

int main(int argc, char **argv)
{
	u64 first = argc > 1 ? strtoull(argv[1], NULL, 0) : 1;
	u64 count = argc > 2 ? strtoull(argv[2], NULL, 0) : 60;
	u64 good = 0;

	for (u64 seed = first; seed < first + count; seed++) {
		wrong = NULL;
		good += run_seed(seed) == STEPS;
	}
	is_u64(good, count, "a segment is what the model says, seeds %" PRIu64 " to %" PRIu64,
	       first, first + count - 1);
	return done_testing();
}
