/* SPDX-License-Identifier: GPL-2.0 */
/* Asking other peers for the records this one lacks, one PG of a volume at a time. */
#ifndef SEXTANT_PEERD_GOSSIP_H
#define SEXTANT_PEERD_GOSSIP_H

#include "volume.h"

void gossip_init(struct volume *volume);
void gossip_release(struct volume *volume);

/* Looks whether something is missing; everything: ask for every PG once more. */
void gossip_wake(struct volume *volume, bool everything);

/* Takes nothing from other peers for now, or goes on: a request waits for the commits. */
void gossip_hold(struct volume *volume, bool on);

/* Lets go of the connection and starts nothing more. */
void gossip_stop(struct volume *volume);

/* How many PGs lack records at or below the known VDL, and at most how many LSNs. */
void gossip_missing(const struct volume *volume, u32 *pgs, u64 *lsns);

#endif
