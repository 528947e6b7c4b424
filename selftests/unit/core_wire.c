// SPDX-License-Identifier: GPL-2.0
/* The frame codec: what is made is taken, and no changed byte is. */
#include "tap.h"
#include "wire.h"

#define SIZE_BLOCKS	1000000
#define PG_BLOCKS	4096

static struct sextant_wire_record data_record(void)
{
	struct sextant_wire_record record = {
		.pg = cpu_to_le32(2),
		.kind = SEXTANT_RECORD_DATA,
		.epoch = cpu_to_le32(8),
		.generation = cpu_to_le32(1),
		.lsn = cpu_to_le64(100),
		.lsn_count = cpu_to_le32(3),
		.prev_epoch = cpu_to_le32(8),
		.prev_lsn = cpu_to_le64(90),
		.block = cpu_to_le64(2 * PG_BLOCKS + 5),
		.block_count = cpu_to_le32(3),
	};

	return record;
}

static void test_header(void)
{
	struct sextant_wire_header header, changed;
	u8 meta[100];
	unsigned int taken = 0, bit;

	memset(meta, 7, sizeof(meta));
	sextant_wire_header_init(&header, SEXTANT_MSG_APPEND, 42, meta, sizeof(meta), 8192);
	is_i64(sextant_wire_header_check(&header, 100), 0, "a header that was made is taken");
	is_i64(sextant_wire_meta_check(&header, meta), 0, "and so is its meta");
	is_i64(sextant_wire_header_check(&header, 99), -EBADMSG, "meta beyond the limit is refused");
	for (bit = 0; bit < sizeof(header) * 8; bit++) {
		changed = header;
		((u8 *)&changed)[bit / 8] ^= 1 << (bit % 8);
		taken += !sextant_wire_header_check(&changed, 1 << 20);
	}
	is_u64(taken, 0, "no header with one bit changed is taken");
	meta[50] ^= 1;
	is_i64(sextant_wire_meta_check(&header, meta), -EBADMSG, "a changed meta is noticed");
	sextant_wire_header_init(&header, SEXTANT_MSG_APPEND, 0, meta, sizeof(meta), 100);
	is_i64(sextant_wire_header_check(&header, 100), -EBADMSG, "data in part blocks is refused");
	sextant_wire_header_init(&header, SEXTANT_MSG_APPEND, 0, meta, sizeof(meta),
				 SEXTANT_WIRE_DATA_MAX + SEXTANT_BLOCK_BYTES);
	is_i64(sextant_wire_header_check(&header, 100), -EBADMSG, "too much data is refused");
}

#define refused(field, value, why) do {						\
	struct sextant_wire_record record = data_record();			\
	record.field = value;							\
	ok(!sextant_wire_record_valid(&record, SIZE_BLOCKS, PG_BLOCKS), why);	\
} while (0)

static void test_record(void)
{
	struct sextant_wire_record record = data_record();
	u32 prefix = 48, seals = 3 * sizeof(struct sextant_wire_seal);

	ok(sextant_wire_record_valid(&record, SIZE_BLOCKS, PG_BLOCKS), "a good record is taken");
	is_u64(sextant_wire_record_last_lsn(&record), 102, "its last LSN");
	ok(sextant_wire_record_fits(&record, prefix, prefix + sizeof(record) + seals, 3 * 4096),
	   "its frame fits");
	ok(!sextant_wire_record_fits(&record, prefix, prefix + sizeof(record) + seals - 1, 3 * 4096),
	   "a seal cut short does not");
	ok(!sextant_wire_record_fits(&record, prefix, prefix + sizeof(record) + seals, 2 * 4096),
	   "a block too few does not");
	refused(lsn, 0, "LSN 0 is refused");
	refused(lsn, cpu_to_le64(~0ULL), "LSNs that wrap are refused");
	refused(epoch, 0, "epoch 0 is refused");
	refused(prev_lsn, cpu_to_le64(100), "a back-link that is not behind is refused");
	refused(block, cpu_to_le64(3 * PG_BLOCKS - 2), "blocks that leave the PG are refused");
	refused(block, cpu_to_le64(PG_BLOCKS), "a block of another PG is refused");
	refused(block_count, cpu_to_le32(33), "more than a record holds is refused");
	refused(block_count, 0, "no block is refused");
	refused(lsn_count, cpu_to_le32(2), "LSNs other than blocks are refused");
	refused(kind, 9, "an unknown kind is refused");
	record = data_record();
	ok(!sextant_wire_record_valid(&record, 2 * PG_BLOCKS + 7, PG_BLOCKS),
	   "blocks beyond the volume are refused");
	record.kind = SEXTANT_RECORD_DISCARD;
	record.lsn_count = cpu_to_le32(1);
	record.block = cpu_to_le64(2 * PG_BLOCKS);
	record.block_count = cpu_to_le32(PG_BLOCKS);
	ok(sextant_wire_record_valid(&record, SIZE_BLOCKS, PG_BLOCKS), "a discard covers a whole PG");
	is_u64(sextant_wire_record_seals(&record), 1, "with one seal");
	is_u64(sextant_wire_record_data_bytes(&record), 0, "and no data");
}

static void test_status_names(void)
{
	u32 status;
	bool named = true;

	for (status = 0; status <= SEXTANT_ST_ATTACHED; status++)
		named &= strcmp(sextant_wire_status_name(status), "unknown status") != 0;
	ok(named, "every status has a name");
	is_str(sextant_wire_status_name(4711), "unknown status", "and others are said to have none");
}

int main(void)
{
	test_header();
	test_record();
	test_status_names();
	return done_testing();
}
