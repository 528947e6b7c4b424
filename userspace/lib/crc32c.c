// SPDX-License-Identifier: GPL-2.0
/* CRC32C in user space, by the fastest code the processor has. */
#include <limits.h>

#include <isa-l/crc.h>

#include "core.h"

u32 sextant_crc32c(const void *data, size_t bytes)
{
	unsigned char *at = (unsigned char *)data;
	u32 crc = ~0u;

	while (bytes > INT_MAX) {
		crc = crc32_iscsi(at, INT_MAX, crc);
		at += INT_MAX;
		bytes -= INT_MAX;
	}
	return crc32_iscsi(at, (int)bytes, crc) ^ ~0u;
}
