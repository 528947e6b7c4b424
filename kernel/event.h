/* SPDX-License-Identifier: GPL-2.0 */
/* Events for user space: noted under the lock, sent by a work. */
#ifndef SEXTANT_EVENT_H
#define SEXTANT_EVENT_H

#include "volume.h"

void sextant_event(struct sextant_volume *volume, enum sextant_event event, u32 peer);
void sextant_event_now(struct sextant_volume *volume, enum sextant_event event);
void sextant_event_work(struct work_struct *work);

#endif
