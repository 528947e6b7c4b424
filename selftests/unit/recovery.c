// SPDX-License-Identifier: GPL-2.0
/* Finding the volume's end from what voters answer. */
#include "tap.h"

#include "controld/recovery.h"

#define PG_BLOCKS	256
#define SIZE_BLOCKS	(8 * PG_BLOCKS)
#define LIST_MAX	64

/* The six voters' answers, and the table, being made up. */
static struct scene {
	struct recovery_input input;
	struct sextant_wire_table_entry table[8];
	struct sextant_wire_pg_state pgs[SEXTANT_PEERS][LIST_MAX];
	struct sextant_wire_tail_entry tails[SEXTANT_PEERS][LIST_MAX];
} scene;

/* All six answer and hold nothing; the table is (1, epoch 8). */
static void new_scene(void)
{
	u32 i;

	memset(&scene, 0, sizeof(scene));
	scene.input.size_blocks = SIZE_BLOCKS;
	scene.input.pg_blocks = PG_BLOCKS;
	scene.input.table.entries = scene.table;
	scene.input.table.count = 1;
	scene.table[0].first_lsn = cpu_to_le64(1);
	scene.table[0].epoch = cpu_to_le32(8);
	for (i = 0; i < SEXTANT_PEERS; i++) {
		scene.input.voters[i].answered = true;
		scene.input.voters[i].pgs = scene.pgs[i];
		scene.input.voters[i].tail = scene.tails[i];
	}
}

static void add_table(u64 first_lsn, u32 epoch)
{
	struct sextant_wire_table_entry *entry = &scene.table[scene.input.table.count++];

	entry->first_lsn = cpu_to_le64(first_lsn);
	entry->epoch = cpu_to_le32(epoch);
}

/* The voters of the mask hold this PG up to here, at or below v0. */
static void add_pg(u8 mask, u32 pg, u32 epoch, u64 lsn, u32 flags)
{
	u32 i;

	for (i = 0; i < SEXTANT_PEERS; i++) {
		struct sextant_wire_pg_state *state;

		if (!(mask & (1u << i)))
			continue;
		state = &scene.pgs[i][scene.input.voters[i].pg_count++];
		state->pg = cpu_to_le32(pg);
		state->flags = cpu_to_le32(flags);
		state->scl_epoch = state->last_epoch = cpu_to_le32(epoch);
		state->scl_lsn = state->last_lsn = cpu_to_le64(lsn);
	}
}

static struct sextant_wire_record record_of(u32 pg, u32 epoch, u64 lsn, u32 count, u32 prev_epoch,
					    u64 prev_lsn)
{
	return (struct sextant_wire_record){
		.pg = cpu_to_le32(pg), .kind = SEXTANT_RECORD_DATA, .epoch = cpu_to_le32(epoch),
		.generation = cpu_to_le32(1), .lsn = cpu_to_le64(lsn),
		.lsn_count = cpu_to_le32(count), .prev_epoch = cpu_to_le32(prev_epoch),
		.prev_lsn = cpu_to_le64(prev_lsn), .block = cpu_to_le64((u64)pg * PG_BLOCKS),
		.block_count = cpu_to_le32(count),
	};
}

/* Call in the order of (lsn, epoch). */
static void add_tail(u8 mask, const struct sextant_wire_record *record, u32 flags)
{
	u32 i;

	for (i = 0; i < SEXTANT_PEERS; i++) {
		struct sextant_wire_tail_entry *entry;

		if (!(mask & (1u << i)))
			continue;
		entry = &scene.tails[i][scene.input.voters[i].tail_count++];
		entry->record = *record;
		entry->flags = cpu_to_le32(flags);
	}
}

static void add(u8 mask, u32 pg, u32 epoch, u64 lsn, u32 count, u32 prev_epoch, u64 prev_lsn)
{
	struct sextant_wire_record record = record_of(pg, epoch, lsn, count, prev_epoch, prev_lsn);

	add_tail(mask, &record, 0);
}

static void only(u8 mask)
{
	u32 i;

	for (i = 0; i < SEXTANT_PEERS; i++)
		scene.input.voters[i].answered = mask & (1u << i);
}

static void expect_refusal(const char *sentence, const char *what)
{
	struct recovery_result result;
	int error = recovery_decide(&scene.input, &result);

	if (!ok(error == -EUCLEAN && strstr(result.why, sentence), "%s: refused", what))
		diag("error %d, why: %s", error, result.why);
	recovery_release(&result);
}

static void test_new_volume(void)
{
	struct recovery_result result;

	new_scene();
	scene.input.table.count = 0;
	ok(!recovery_decide(&scene.input, &result) && !result.vcl && !result.tail_count &&
	   !result.record_count, "a new volume ends at LSN 0");
	recovery_release(&result);

	add(0x3f, 0, 8, 1, 1, 0, 0);
	ok(!recovery_decide(&scene.input, &result) && !result.vcl,
	   "without a table no record is valid");
	recovery_release(&result);
}

static void test_clean(void)
{
	struct recovery_result result;

	new_scene();
	scene.input.v0 = 100;
	add_pg(0x3f, 0, 8, 90, 0);
	add_pg(0x3f, 3, 8, 100, 0);
	add_pg(0x0f, 5, 8, 7, 0);
	ok(!recovery_decide(&scene.input, &result), "all is durable: decided");
	is_u64(result.vcl, 100, "VCL is the known VDL");
	is_u64(result.tail_count, 3, "the tails of three PGs, idle ones too");
	is_u64(le64_to_cpu(result.tails[2].lsn), 7, "the idle one's is the one that a quorum has");
	is_u64(result.changed_count, 0, "nothing changed above it");
	recovery_release(&result);
}

static void test_lost_tail(void)
{
	struct recovery_result result;

	new_scene();
	scene.input.v0 = 10;
	add_pg(0x3f, 0, 8, 10, 0);
	add(0x3f, 0, 8, 11, 4, 8, 10);
	add(0x0f, 1, 8, 15, 2, 0, 0);
	add(0x01, 0, 8, 17, 1, 8, 14);
	ok(!recovery_decide(&scene.input, &result), "a tail lost on some: decided");
	is_u64(result.vcl, 17, "one copy is enough to go on");
	is_u64(result.record_count, 3, "three records above the known VDL");
	is_u64(result.records[0].lacking, 0, "the first is everywhere");
	is_u64(result.records[1].lacking, 0x30, "the second goes to the two that lack it");
	is_u64(result.records[2].lacking, 0x3e, "the third to the five that lack it");
	is_u64(result.records[2].holders, 0x01, "from the one that has it");
	is_u64(result.changed_count, 2, "two PGs changed");
	is_u64(le64_to_cpu(result.changed[0].lsn), 17, "the first PG's tail");
	is_u64(le64_to_cpu(result.changed[1].lsn), 16, "the second PG's tail");
	recovery_release(&result);
}

static void test_hole(void)
{
	struct recovery_result result;

	new_scene();
	scene.input.v0 = 10;
	add_pg(0x3f, 0, 8, 10, 0);
	add(0x07, 0, 8, 11, 1, 8, 10);
	add(0x03, 1, 8, 13, 4, 0, 0);
	ok(!recovery_decide(&scene.input, &result), "a hole: decided");
	is_u64(result.vcl, 11, "the volume ends below it");
	is_u64(result.record_count, 1, "what lies above is not copied");
	is_u64(result.changed_count, 1, "nor is its PG's tail moved");
	recovery_release(&result);
}

static void test_dead_epoch(void)
{
	struct recovery_result result;

	/* Epoch 8 ended at 20; its record at 21 lingers on a peer that slept. */
	new_scene();
	add_table(21, 16);
	scene.input.v0 = 15;
	add_pg(0x3f, 0, 8, 15, 0);
	add(0x3f, 0, 8, 16, 5, 8, 15);
	add(0x20, 0, 8, 21, 2, 8, 20);
	add(0x1f, 0, 16, 21, 1, 8, 20);
	add(0x20, 0, 8, 23, 1, 8, 22);
	ok(!recovery_decide(&scene.input, &result), "a dead record on one peer: decided");
	is_u64(result.vcl, 21, "the living one of that LSN counts, and ends it");
	is_u64(result.record_count, 2, "two records live");
	is_u64(le32_to_cpu(result.records[1].record.epoch), 16, "the second is the new epoch's");
	is_u64(result.records[1].lacking, 0x20, "who has the dead one gets the living one");
	recovery_release(&result);

	/* The same, when nothing of the new epoch was written. */
	new_scene();
	add_table(21, 16);
	scene.input.v0 = 20;
	add_pg(0x3f, 0, 8, 20, 0);
	add(0x30, 0, 8, 21, 2, 8, 20);
	ok(!recovery_decide(&scene.input, &result) && result.vcl == 20 && !result.record_count,
	   "a dead record is not revived where nothing stands in its place");
	recovery_release(&result);

	/* A record that reaches over an epoch's first LSN cannot be that epoch's. */
	new_scene();
	add_table(22, 16);
	scene.input.v0 = 20;
	add_pg(0x3f, 0, 8, 20, 0);
	add(0x3f, 0, 8, 21, 2, 8, 20);
	expect_refusal("acknowledged writes are missing", "a record over the edge of two epochs");
}

static void test_below_table(void)
{
	new_scene();
	add_table(31, 16);
	scene.input.v0 = 20;
	add_pg(0x3f, 0, 8, 20, 0);
	add(0x3f, 0, 8, 21, 5, 8, 20);
	expect_refusal("acknowledged writes are missing", "records end below the table's last entry");
}

static void test_damage(void)
{
	struct sextant_wire_record record = record_of(0, 8, 11, 1, 8, 10);
	struct recovery_result result;

	new_scene();
	scene.input.v0 = 10;
	add_pg(0x3f, 0, 8, 10, 0);
	add_tail(0x01, &record, SEXTANT_TAIL_DAMAGED);
	add_tail(0x02, &record, 0);
	add(0x02, 0, 8, 12, 1, 8, 11);
	ok(!recovery_decide(&scene.input, &result), "damaged here, whole there: decided");
	is_u64(result.vcl, 12, "it counts as present");
	is_u64(result.records[0].holders, 0x02, "it comes from the peer that has it whole");
	is_u64(result.records[0].lacking, 0x3d, "and goes to the one with the damage too");
	recovery_release(&result);

	new_scene();
	scene.input.v0 = 10;
	add_pg(0x3f, 0, 8, 10, 0);
	add_tail(0x07, &record, SEXTANT_TAIL_DAMAGED);
	ok(!recovery_decide(&scene.input, &result) && result.vcl == 10,
	   "damaged on three, absent on three sound ones: it was never acknowledged");
	recovery_release(&result);

	new_scene();
	scene.input.v0 = 10;
	add_pg(0x3f, 0, 8, 10, 0);
	add_tail(0x0f, &record, SEXTANT_TAIL_DAMAGED);
	expect_refusal("undamaged on only 2", "damaged on four: it may have been acknowledged");

	new_scene();
	scene.input.v0 = 10;
	only(0x1e);
	add_pg(0x0e, 0, 8, 10, 0);
	add_pg(0x10, 0, 8, 10, SEXTANT_PG_DAMAGED);
	ok(!recovery_decide(&scene.input, &result), "four answer, one segment damaged: decided");
	recovery_release(&result);
	only(0x1c);
	expect_refusal("undamaged on only 2", "three answer, one segment damaged");
}

static void test_few(void)
{
	new_scene();
	only(0x03);
	expect_refusal("only 2 peers", "two answers");
}

static void test_liars(void)
{
	struct sextant_wire_record other = record_of(0, 8, 11, 2, 8, 10);
	struct recovery_result result;

	new_scene();
	scene.input.v0 = 10;
	add_pg(0x3f, 0, 8, 10, 0);
	add(0x1f, 0, 8, 11, 1, 8, 10);
	add_tail(0x20, &other, 0);
	expect_refusal("disagree", "two records of one epoch and LSN");

	/* Nonsense: a block of another PG. That voter is not asked any further. */
	new_scene();
	scene.input.v0 = 10;
	add_pg(0x3f, 0, 8, 10, 0);
	add(0x1f, 0, 8, 11, 1, 8, 10);
	other.block = cpu_to_le64(SIZE_BLOCKS - 1);
	add_tail(0x20, &other, 0);
	ok(!recovery_decide(&scene.input, &result) && result.vcl == 11, "a voter that talks nonsense is left out");
	is_u64(result.voters, 0x1f, "and said to be");
	is_u64(result.records[0].lacking, 0, "and gets nothing");
	recovery_release(&result);

	new_scene();
	scene.input.v0 = 10;
	add_pg(0x3f, 0, 8, 10, 0);
	add(0x1f, 0, 8, 12, 1, 8, 10);
	add(0x1f, 0, 8, 11, 1, 8, 10);
	ok(!recovery_decide(&scene.input, &result) == false, "too few are left when five are out of order");
	recovery_release(&result);

	new_scene();
	scene.input.v0 = 10;
	add_pg(0x3f, 0, 8, 9, 0);
	add(0x3f, 0, 8, 11, 1, 8, 10);
	expect_refusal("follows LSN 10", "a back-link to a record that nobody has");
}

/* Every way that three or more of six voters answer finds what four acknowledged. */
static void test_every_quorum(void)
{
	u32 acked, answering, wrong = 0, tried = 0;

	for (acked = 0; acked < 64; acked++) {
		if (hweight8(acked) < SEXTANT_WRITE_QUORUM)
			continue;
		for (answering = 0; answering < 64; answering++) {
			struct recovery_result result;

			if (hweight8(answering) < SEXTANT_READ_QUORUM)
				continue;
			new_scene();
			scene.input.v0 = 5;
			add_pg((u8)acked, 2, 8, 5, 0);
			add((u8)acked, 2, 8, 6, 32, 8, 5);
			only((u8)answering);
			if (recovery_decide(&scene.input, &result) || result.vcl != 37 ||
			    result.records[0].holders != (acked & answering) ||
			    result.records[0].lacking != (answering & ~acked))
				wrong++;
			recovery_release(&result);
			tried++;
		}
	}
	is_u64(wrong, 0, "an acknowledged record is found by any three voters (%u ways)", tried);
}

static void test_kinds(void)
{
	struct sextant_wire_record gap = record_of(1, 8, 11, 3, 0, 0);
	struct sextant_wire_record discard = record_of(1, 8, 14, 1, 8, 13);
	struct recovery_result result;

	gap.kind = SEXTANT_RECORD_VOID;
	gap.block_count = 0;
	discard.kind = SEXTANT_RECORD_DISCARD;
	discard.block_count = cpu_to_le32(200);
	new_scene();
	scene.input.v0 = 10;
	add_pg(0x3f, 0, 8, 10, 0);
	add_tail(0x0f, &gap, 0);
	add_tail(0x0f, &discard, 0);
	ok(!recovery_decide(&scene.input, &result) && result.vcl == 14 && result.record_count == 2,
	   "voids and discards take their LSNs");
	recovery_release(&result);
}

int main(void)
{
	test_new_volume();
	test_clean();
	test_lost_tail();
	test_hole();
	test_dead_epoch();
	test_below_table();
	test_damage();
	test_few();
	test_liars();
	test_every_quorum();
	test_kinds();
	return done_testing();
}
