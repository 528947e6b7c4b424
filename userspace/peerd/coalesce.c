// SPDX-License-Identifier: GPL-2.0
#include "coalesce.h"
void coalesce_init(struct volume *volume) { (void)volume; }
void coalesce_release(struct volume *volume) { (void)volume; }
void coalesce_wake(struct volume *volume) { (void)volume; }
void coalesce_stop(struct volume *volume) { (void)volume; }
