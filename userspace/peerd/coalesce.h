/* SPDX-License-Identifier: GPL-2.0 */
/* Moving the log into the base, in the background, one PG of a volume at a time. */
#ifndef SEXTANT_PEERD_COALESCE_H
#define SEXTANT_PEERD_COALESCE_H

#include "volume.h"

void coalesce_init(struct volume *volume);
void coalesce_release(struct volume *volume);

/* Looks whether there is something to do, at the end of the round. */
void coalesce_wake(struct volume *volume);

/* Is this PG's log on its way into the base now? */
bool coalesce_busy(const struct volume *volume, const struct pg *pg);

/* Lets what is in flight end and starts nothing more. */
void coalesce_stop(struct volume *volume);

#endif
