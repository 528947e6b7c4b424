/* SPDX-License-Identifier: GPL-2.0 */
/* The two codes behind sextant_crc32c() (core.h), which takes the faster one. */
#ifndef SEXTANT_CRC32C_H
#define SEXTANT_CRC32C_H

#include "core.h"

/* Both take and return the CRC as it stands between pieces: ~0 before the first, inverted at the end. */
u32 crc32c_by_tables(u32 crc, const u8 *at, size_t bytes);
u32 crc32c_by_instruction(u32 crc, const u8 *at, size_t bytes);

#endif
