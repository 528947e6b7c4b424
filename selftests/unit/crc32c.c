// SPDX-License-Identifier: GPL-2.0
/* Both codes of the CRC, whichever is chosen here, beside the definition. */
#include "crc32c.h"

#include <stdlib.h>

#include "tap.h"

static u32 by_definition(u32 crc, const u8 *at, size_t bytes)
{
	while (bytes--) {
		crc ^= *at++;
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
	}
	return crc;
}

int main(void)
{
	u32 tables_wrong = 0, instruction_wrong = 0, chosen_wrong = 0;
	u8 data[4200];

	srandom(1);
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (u8)random();
	is_u64(sextant_crc32c("123456789", 9), 0xe3069283, "the standard's check string");
	is_u64(~crc32c_by_tables(~0u, (const u8 *)"123456789", 9), 0xe3069283, "by tables");
	is_u64(~crc32c_by_instruction(~0u, (const u8 *)"123456789", 9), 0xe3069283,
	       "by the instruction");
	for (u32 round = 0; round < 2000; round++) {
		size_t start = (size_t)random() % 64, bytes = (size_t)random() % 4100;
		u32 crc = (u32)random(), wanted = by_definition(crc, data + start, bytes);

		tables_wrong += crc32c_by_tables(crc, data + start, bytes) != wanted;
		instruction_wrong += crc32c_by_instruction(crc, data + start, bytes) != wanted;
		chosen_wrong += sextant_crc32c(data + start, bytes) !=
				~by_definition(~0u, data + start, bytes);
	}
	is_u64(tables_wrong, 0, "2000 lengths and alignments by tables");
	is_u64(instruction_wrong, 0, "2000 lengths and alignments by the instruction");
	is_u64(chosen_wrong, 0, "and by what was chosen");
	return done_testing();
}
