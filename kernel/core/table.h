/* SPDX-License-Identifier: GPL-2.0 */
/* Ballots and the epoch table: which writer's records are valid where. */
#ifndef SEXTANT_CORE_TABLE_H
#define SEXTANT_CORE_TABLE_H

#include "core.h"

struct sextant_ballot {
	u32 epoch;				/* 0: none */
	u8 attach_id[SEXTANT_ATTACH_ID_BYTES];
};

/*
 * Entries are kept in wire form: the table is copied, compared and sent far
 * more often than it is looked into. The caller owns the array and its lock.
 */
struct sextant_table {
	u32 count;
	const struct sextant_wire_table_entry *entries;
};

void sextant_ballot_from_wire(struct sextant_ballot *to, const struct sextant_wire_ballot *from);
void sextant_ballot_to_wire(struct sextant_wire_ballot *to, const struct sextant_ballot *from);

/* Same epoch and same attach id. */
bool sextant_ballot_equal(const struct sextant_ballot *a, const struct sextant_ballot *b);

/* a is above b. Equal epochs with other ids are neither above nor equal: refused. */
bool sextant_ballot_above(const struct sextant_ballot *a, const struct sextant_ballot *b);

/* May a peer that promised `promised` promise b? A repeat of the same ballot: yes. */
bool sextant_ballot_promisable(const struct sextant_ballot *b, const struct sextant_ballot *promised);

/* The next epoch for this Region above `above`; 0 at wrap. region < SEXTANT_REGIONS. */
u32 sextant_epoch_next(u32 above, u32 region);

/* First LSNs and epochs rise, none is 0. An empty table is well-formed. */
bool sextant_table_valid(const struct sextant_table *table);

/* The entry that governs lsn, or NULL when lsn lies before the first. */
const struct sextant_wire_table_entry *sextant_table_find(const struct sextant_table *table, u64 lsn);

/* Is (epoch, lsn) a record that this table lets live? */
bool sextant_table_allows(const struct sextant_table *table, u32 epoch, u64 lsn);

/* The last LSN that the entry governing lsn governs; ~0 for the last entry. */
u64 sextant_table_last_lsn(const struct sextant_table *table, u64 lsn);

/*
 * The table that an attach with ballot b at vcl puts in force: `from` less the
 * entries that governed nothing (first LSN above vcl), and (vcl + 1, b).
 * entries has room for `room` entries. Returns the new count; -ENOSPC when
 * there is no room; -EINVAL when b is not above the last entry's epoch.
 */
int sextant_table_extend(struct sextant_wire_table_entry *entries, u32 room,
			 const struct sextant_table *from, u64 vcl, const struct sextant_ballot *b);

#endif
