// SPDX-License-Identifier: GPL-2.0
/* Ballots and the epoch table, each rule by itself. */
#include "table.h"
#include "tap.h"

static struct sextant_ballot ballot(u32 epoch, u8 id)
{
	struct sextant_ballot b = { .epoch = epoch };

	memset(b.attach_id, id, sizeof(b.attach_id));
	return b;
}

static void set_entry(struct sextant_wire_table_entry *entry, u64 first_lsn, u32 epoch, u8 id)
{
	entry->first_lsn = cpu_to_le64(first_lsn);
	entry->epoch = cpu_to_le32(epoch);
	entry->reserved = 0;
	memset(entry->attach_id, id, sizeof(entry->attach_id));
}

static void test_ballots(void)
{
	struct sextant_ballot low = ballot(8, 1), high = ballot(16, 1), rival = ballot(16, 2);
	struct sextant_ballot none = { 0 }, wrapped = ballot(SEXTANT_EPOCH_MAX + 1, 1), back;
	struct sextant_wire_ballot wire;

	ok(sextant_ballot_above(&high, &low) && !sextant_ballot_above(&low, &high),
	   "a higher epoch is above");
	ok(!sextant_ballot_above(&high, &rival) && !sextant_ballot_above(&rival, &high) &&
	   !sextant_ballot_equal(&high, &rival),
	   "equal epochs with other ids are neither above nor equal");
	ok(sextant_ballot_promisable(&low, &none), "the first ballot can be promised");
	ok(sextant_ballot_promisable(&high, &high), "the same ballot can be promised again");
	ok(!sextant_ballot_promisable(&rival, &high), "a rival of equal epoch cannot be");
	ok(!sextant_ballot_promisable(&low, &high), "a lower one cannot be");
	ok(!sextant_ballot_promisable(&none, &none), "epoch 0 is no ballot");
	ok(!sextant_ballot_promisable(&wrapped, &high), "an epoch beyond the last is refused");
	sextant_ballot_to_wire(&wire, &rival);
	sextant_ballot_from_wire(&back, &wire);
	ok(sextant_ballot_equal(&back, &rival), "a ballot survives the wire");
}

static void test_epochs(void)
{
	u32 region, above;
	bool right = true;

	for (region = 0; region < SEXTANT_REGIONS; region++)
		for (above = 0; above < 100; above++) {
			u32 next = sextant_epoch_next(above, region);

			right &= next > above && next <= above + SEXTANT_REGIONS &&
				 next % SEXTANT_REGIONS == region && next;
		}
	ok(right, "the next epoch is the Region's first one above");
	is_u64(sextant_epoch_next(SEXTANT_EPOCH_MAX, 7), 0, "there is none above the last");
	is_u64(sextant_epoch_next(SEXTANT_EPOCH_MAX - 1, 7), SEXTANT_EPOCH_MAX, "the last one");
}

static void test_lookup(void)
{
	struct sextant_wire_table_entry entries[3];
	struct sextant_table table = { .count = 3, .entries = entries };

	set_entry(&entries[0], 1, 8, 1);
	set_entry(&entries[1], 100, 16, 2);
	set_entry(&entries[2], 200, 32, 3);
	ok(sextant_table_valid(&table), "a rising table is valid");
	ok(!sextant_table_find(&table, 0), "nothing governs LSN 0");
	ok(sextant_table_find(&table, 99) == &entries[0], "99 is the first entry's");
	ok(sextant_table_find(&table, 100) == &entries[1], "100 is the second's");
	ok(sextant_table_find(&table, 1000000) == &entries[2], "the last entry has no end");
	ok(sextant_table_allows(&table, 16, 150) && !sextant_table_allows(&table, 8, 150) &&
	   !sextant_table_allows(&table, 32, 150), "only the governing epoch is allowed");
	is_u64(sextant_table_last_lsn(&table, 5), 99, "the first entry ends before the second");
	is_u64(sextant_table_last_lsn(&table, 300), ~0ULL, "the last does not end");
	set_entry(&entries[2], 100, 32, 3);
	ok(!sextant_table_valid(&table), "an LSN that does not rise is refused");
	set_entry(&entries[2], 200, 16, 3);
	ok(!sextant_table_valid(&table), "an epoch that does not rise is refused");
	table.count = 0;
	ok(sextant_table_valid(&table), "an empty table is valid");
	ok(!sextant_table_allows(&table, 8, 1), "and allows nothing");
}

static void test_extend(void)
{
	struct sextant_wire_table_entry entries[4], extended[4];
	struct sextant_table table = { .count = 0, .entries = entries };
	struct sextant_ballot b = ballot(8, 1);

	is_i64(sextant_table_extend(extended, 4, &table, 0, &b), 1, "the first attach: one entry");
	is_u64(le64_to_cpu(extended[0].first_lsn), 1, "from LSN 1 on");
	set_entry(&entries[0], 1, 8, 1);
	set_entry(&entries[1], 51, 16, 2);
	table.count = 2;
	b = ballot(24, 3);
	is_i64(sextant_table_extend(extended, 4, &table, 80, &b), 3, "an attach after writes adds");
	ok(le64_to_cpu(extended[2].first_lsn) == 81 && le32_to_cpu(extended[2].epoch) == 24 &&
	   extended[2].attach_id[0] == 3, "its entry starts behind VCL");
	is_i64(sextant_table_extend(extended, 4, &table, 50, &b), 2,
	       "an entry that governed nothing goes");
	is_i64(sextant_table_extend(extended, 2, &table, 80, &b), -ENOSPC, "no room is an error");
	b = ballot(16, 9);
	is_i64(sextant_table_extend(extended, 4, &table, 80, &b), -EINVAL,
	       "a ballot not above the last entry is refused");
	b = ballot(24, 3);
	is_i64(sextant_table_extend(entries, 4, &table, 80, &b), 3, "it can be done in place");
}

int main(void)
{
	test_ballots();
	test_epochs();
	test_lookup();
	test_extend();
	return done_testing();
}
