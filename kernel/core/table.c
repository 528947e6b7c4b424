// SPDX-License-Identifier: GPL-2.0
/* Ballots and the epoch table; the rules are in Documentation/protocol.rst. */
#include "table.h"

void sextant_ballot_from_wire(struct sextant_ballot *to, const struct sextant_wire_ballot *from)
{
	to->epoch = le32_to_cpu(from->epoch);
	memcpy(to->attach_id, from->attach_id, sizeof(to->attach_id));
}

void sextant_ballot_to_wire(struct sextant_wire_ballot *to, const struct sextant_ballot *from)
{
	to->epoch = cpu_to_le32(from->epoch);
	to->reserved = 0;
	memcpy(to->attach_id, from->attach_id, sizeof(to->attach_id));
}

bool sextant_ballot_equal(const struct sextant_ballot *a, const struct sextant_ballot *b)
{
	return a->epoch == b->epoch &&
	       !memcmp(a->attach_id, b->attach_id, sizeof(a->attach_id));
}

bool sextant_ballot_above(const struct sextant_ballot *a, const struct sextant_ballot *b)
{
	return a->epoch > b->epoch;
}

bool sextant_ballot_promisable(const struct sextant_ballot *b, const struct sextant_ballot *promised)
{
	return b->epoch && b->epoch <= SEXTANT_EPOCH_MAX &&
	       (sextant_ballot_above(b, promised) || sextant_ballot_equal(b, promised));
}

u32 sextant_epoch_next(u32 above, u32 region)
{
	u64 next = ((u64)above / SEXTANT_REGIONS) * SEXTANT_REGIONS + region;

	while (next <= above)
		next += SEXTANT_REGIONS;
	return next <= SEXTANT_EPOCH_MAX ? (u32)next : 0;
}

bool sextant_table_valid(const struct sextant_table *table)
{
	u64 lsn_before = 0;
	u32 epoch_before = 0;
	u32 i;

	if (table->count > SEXTANT_TABLE_ENTRIES_MAX)
		return false;
	for (i = 0; i < table->count; i++) {
		u64 lsn = le64_to_cpu(table->entries[i].first_lsn);
		u32 epoch = le32_to_cpu(table->entries[i].epoch);

		if (lsn <= lsn_before || epoch <= epoch_before || epoch > SEXTANT_EPOCH_MAX)
			return false;
		lsn_before = lsn;
		epoch_before = epoch;
	}
	return true;
}

/* Index of the first entry whose first LSN lies above lsn. */
static u32 table_upper(const struct sextant_table *table, u64 lsn)
{
	u32 low = 0, high = table->count;

	while (low < high) {
		u32 middle = low + (high - low) / 2;

		if (le64_to_cpu(table->entries[middle].first_lsn) <= lsn)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

const struct sextant_wire_table_entry *sextant_table_find(const struct sextant_table *table, u64 lsn)
{
	u32 upper = table_upper(table, lsn);

	return upper ? &table->entries[upper - 1] : NULL;
}

bool sextant_table_allows(const struct sextant_table *table, u32 epoch, u64 lsn)
{
	const struct sextant_wire_table_entry *entry = sextant_table_find(table, lsn);

	return entry && le32_to_cpu(entry->epoch) == epoch;
}

u64 sextant_table_last_lsn(const struct sextant_table *table, u64 lsn)
{
	u32 upper = table_upper(table, lsn);

	return upper < table->count ? le64_to_cpu(table->entries[upper].first_lsn) - 1 : ~(u64)0;
}

int sextant_table_extend(struct sextant_wire_table_entry *entries, u32 room,
			 const struct sextant_table *from, u64 vcl, const struct sextant_ballot *b)
{
	u32 keep = from->count;

	if (from->count && b->epoch <= le32_to_cpu(from->entries[from->count - 1].epoch))
		return -EINVAL;
	while (keep && le64_to_cpu(from->entries[keep - 1].first_lsn) > vcl)
		keep--;
	if (keep >= room || keep >= SEXTANT_TABLE_ENTRIES_MAX)
		return -ENOSPC;
	if (keep)
		memmove(entries, from->entries, keep * sizeof(*entries));
	entries[keep].first_lsn = cpu_to_le64(vcl + 1);
	entries[keep].epoch = cpu_to_le32(b->epoch);
	entries[keep].reserved = 0;
	memcpy(entries[keep].attach_id, b->attach_id, sizeof(entries[keep].attach_id));
	return (int)keep + 1;
}
