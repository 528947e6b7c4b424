/* SPDX-License-Identifier: GPL-2.0 */
/* The device-mapper target "sextant". */
#ifndef SEXTANT_TARGET_H
#define SEXTANT_TARGET_H

int sextant_target_init(void);
void sextant_target_exit(void);

#endif
