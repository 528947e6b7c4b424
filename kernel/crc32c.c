// SPDX-License-Identifier: GPL-2.0
/*
 * CRC32C by whichever of the kernel's two codes is faster here: the processor's
 * instruction, or tables. An emulator computes the instruction bit by bit, and
 * there the tables win (four to one under QEMU). Measured at module load.
 */
#include <linux/crc32.h>
#include <linux/crc32c.h>
#include <linux/ktime.h>
#include <linux/mm.h>

#include "core.h"
#include "crc32c.h"

#define MEASURED_BYTES	2048
#define MEASURED_TIMES	3

static bool tables_win __ro_after_init;

static u32 by_tables(u32 crc, const void *data, unsigned int bytes)
{
	return __crc32c_le(crc, data, bytes);
}

static u32 by_instruction(u32 crc, const void *data, unsigned int bytes)
{
	return crc32c(crc, data, bytes);
}

/* The shortest of a few runs: the others may have been interrupted. */
static u64 __init measured_ns(u32 (*code)(u32 crc, const void *data, unsigned int bytes))
{
	u64 best_ns = U64_MAX;
	int i;

	for (i = 0; i < MEASURED_TIMES; i++) {
		ktime_t from = ktime_get();
		/* Volatile: the codes are pure, and what nobody uses is not computed. */
		volatile u32 crc = code(~0u, page_address(ZERO_PAGE(0)), MEASURED_BYTES);

		(void)crc;
		best_ns = min_t(u64, best_ns, ktime_to_ns(ktime_sub(ktime_get(), from)));
	}
	return best_ns;
}

/**
 * sextant_crc32c_init() - choose the code
 *
 * Context: module init, before anything else of the module computes a CRC.
 */
void __init sextant_crc32c_init(void)
{
	tables_win = measured_ns(by_tables) < measured_ns(by_instruction);
}

u32 sextant_crc32c(const void *data, size_t bytes)
{
	return ~(tables_win ? by_tables(~0u, data, bytes) : by_instruction(~0u, data, bytes));
}
