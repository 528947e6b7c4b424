/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SEXTANT_CRC32C_H
#define SEXTANT_CRC32C_H

#include <linux/init.h>

void __init sextant_crc32c_init(void);

#endif
