/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the pure code needs from its surroundings. The files of this folder
 * decide what is correct; they do no I/O, read no clock, take no lock and
 * allocate nothing, and compile into the module, the daemons and the tests.
 */
#ifndef SEXTANT_CORE_H
#define SEXTANT_CORE_H

#ifdef __KERNEL__
#include <linux/types.h>
#include <linux/string.h>
#include <linux/bitops.h>
#include <linux/errno.h>
#include <asm/byteorder.h>

#else
#include <endian.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

#define le16_to_cpu(x)	le16toh(x)
#define le32_to_cpu(x)	le32toh(x)
#define le64_to_cpu(x)	le64toh(x)
#define cpu_to_le16(x)	htole16(x)
#define cpu_to_le32(x)	htole32(x)
#define cpu_to_le64(x)	htole64(x)
#define hweight8(x)	((unsigned int)__builtin_popcount((u8)(x)))
#endif

/* CRC32C (Castagnoli) of bytes bytes at data: kernel/crc32c.c, userspace/lib/crc32c.c. */
u32 sextant_crc32c(const void *data, size_t bytes);

#include "sextant_wire.h"

#endif /* SEXTANT_CORE_H */
