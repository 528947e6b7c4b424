// SPDX-License-Identifier: GPL-2.0
/*
 * CRC32C in user space, by whichever of two codes is faster here: the
 * processor's instruction (through ISA-L), or tables. On hardware that is the
 * instruction by far; an emulator computes it bit by bit, and there the tables
 * win (four to one under QEMU). A few runs of each when a program starts tell.
 */
#include <endian.h>
#include <limits.h>
#include <time.h>

#include <isa-l/crc.h>

#include "core.h"
#include "crc32c.h"

#define POLYNOMIAL_REFLECTED	0x82f63b78u
#define SLICES			8
#define MEASURED_BYTES		2048
#define MEASURED_TIMES		3

/* tables[k][b]: what byte b does to the CRC with k more bytes behind it. */
static u32 tables[SLICES][256];
static bool tables_win;

static void tables_fill(void)
{
	for (u32 byte = 0; byte < 256; byte++) {
		u32 crc = byte;

		for (u32 bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? POLYNOMIAL_REFLECTED : 0);
		tables[0][byte] = crc;
	}
	for (u32 slice = 1; slice < SLICES; slice++)
		for (u32 byte = 0; byte < 256; byte++)
			tables[slice][byte] = tables[slice - 1][byte] >> 8 ^
					      tables[0][tables[slice - 1][byte] & 0xff];
}

/* Eight bytes a step; the method is Kounavis and Berry's "slicing by 8" (2005). */
u32 crc32c_by_tables(u32 crc, const u8 *at, size_t bytes)
{
	for (; bytes >= SLICES; bytes -= SLICES, at += SLICES) {
		u64 word;

		memcpy(&word, at, sizeof(word));
		word = le64toh(word) ^ crc;
		crc = tables[7][word & 0xff] ^ tables[6][word >> 8 & 0xff] ^
		      tables[5][word >> 16 & 0xff] ^ tables[4][word >> 24 & 0xff] ^
		      tables[3][word >> 32 & 0xff] ^ tables[2][word >> 40 & 0xff] ^
		      tables[1][word >> 48 & 0xff] ^ tables[0][word >> 56];
	}
	for (; bytes; bytes--)
		crc = crc >> 8 ^ tables[0][(crc ^ *at++) & 0xff];
	return crc;
}

u32 crc32c_by_instruction(u32 crc, const u8 *at, size_t bytes)
{
	for (; bytes > INT_MAX; bytes -= INT_MAX, at += INT_MAX)
		crc = crc32_iscsi((u8 *)at, INT_MAX, crc);
	return crc32_iscsi((u8 *)at, (int)bytes, crc);
}

/* The shortest of a few runs: the others may have been interrupted. */
static u64 measured_ns(u32 (*code)(u32 crc, const u8 *at, size_t bytes), const u8 *at)
{
	u64 best_ns = UINT64_MAX;

	for (u32 i = 0; i < MEASURED_TIMES; i++) {
		struct timespec from, to;
		volatile u32 crc;
		u64 ns;

		clock_gettime(CLOCK_MONOTONIC, &from);
		crc = code(~0u, at, MEASURED_BYTES);
		clock_gettime(CLOCK_MONOTONIC, &to);
		(void)crc;
		ns = (u64)(to.tv_sec - from.tv_sec) * 1000000000 + (u64)to.tv_nsec - (u64)from.tv_nsec;
		if (ns < best_ns)
			best_ns = ns;
	}
	return best_ns;
}

/* Before main(), so that no caller and no thread ever finds it undone. */
__attribute__((constructor)) static void choose(void)
{
	const u8 *sample = (const u8 *)tables;

	tables_fill();
	tables_win = measured_ns(crc32c_by_tables, sample) <
		     measured_ns(crc32c_by_instruction, sample);
}

u32 sextant_crc32c(const void *data, size_t bytes)
{
	return ~(tables_win ? crc32c_by_tables(~0u, data, bytes) :
			      crc32c_by_instruction(~0u, data, bytes));
}
