// SPDX-License-Identifier: GPL-2.0
/* The frame codec. What comes in is checked here before anything is believed. */
#include "wire.h"

#define HEADER_CRC_BYTES	offsetof(struct sextant_wire_header, header_crc)

void sextant_wire_header_init_crc(struct sextant_wire_header *header, u8 type, u64 cookie,
				  u32 meta_crc, u32 meta_bytes, u32 data_bytes)
{
	header->magic = cpu_to_le32(SEXTANT_WIRE_MAGIC);
	header->version = SEXTANT_WIRE_VERSION;
	header->type = type;
	header->flags = 0;
	header->meta_bytes = cpu_to_le32(meta_bytes);
	header->data_bytes = cpu_to_le32(data_bytes);
	header->cookie = cpu_to_le64(cookie);
	header->meta_crc = cpu_to_le32(meta_crc);
	header->header_crc = cpu_to_le32(sextant_crc32c(header, HEADER_CRC_BYTES));
}

void sextant_wire_header_init(struct sextant_wire_header *header, u8 type, u64 cookie,
			      const void *meta, u32 meta_bytes, u32 data_bytes)
{
	sextant_wire_header_init_crc(header, type, cookie, sextant_crc32c(meta, meta_bytes),
				     meta_bytes, data_bytes);
}

int sextant_wire_header_check(const struct sextant_wire_header *header, u32 meta_max)
{
	u32 data_bytes = le32_to_cpu(header->data_bytes);

	if (le32_to_cpu(header->magic) != SEXTANT_WIRE_MAGIC ||
	    le32_to_cpu(header->header_crc) != sextant_crc32c(header, HEADER_CRC_BYTES))
		return -EBADMSG;
	if (header->version != SEXTANT_WIRE_VERSION)
		return -EPROTONOSUPPORT;
	if (le32_to_cpu(header->meta_bytes) > meta_max || data_bytes > SEXTANT_WIRE_DATA_MAX ||
	    data_bytes % SEXTANT_BLOCK_BYTES)
		return -EBADMSG;
	return 0;
}

int sextant_wire_meta_check(const struct sextant_wire_header *header, const void *meta)
{
	u32 crc = sextant_crc32c(meta, le32_to_cpu(header->meta_bytes));

	return crc == le32_to_cpu(header->meta_crc) ? 0 : -EBADMSG;
}

u32 sextant_wire_record_seals(const struct sextant_wire_record *record)
{
	switch (record->kind) {
	case SEXTANT_RECORD_DATA:
		return le32_to_cpu(record->block_count);
	case SEXTANT_RECORD_DISCARD:
		return 1;
	default:
		return 0;
	}
}

u32 sextant_wire_record_data_bytes(const struct sextant_wire_record *record)
{
	if (record->kind != SEXTANT_RECORD_DATA)
		return 0;
	return le32_to_cpu(record->block_count) << SEXTANT_BLOCK_SHIFT;
}

u64 sextant_wire_record_last_lsn(const struct sextant_wire_record *record)
{
	return le64_to_cpu(record->lsn) + le32_to_cpu(record->lsn_count) - 1;
}

bool sextant_wire_record_valid(const struct sextant_wire_record *record, u64 size_blocks,
			       u32 pg_blocks)
{
	u64 pg_first = (u64)le32_to_cpu(record->pg) * pg_blocks;
	u64 block = le64_to_cpu(record->block);
	u32 block_count = le32_to_cpu(record->block_count);
	u32 lsn_count = le32_to_cpu(record->lsn_count);
	u64 lsn = le64_to_cpu(record->lsn);

	if (!lsn || !lsn_count || lsn + lsn_count < lsn || !record->epoch ||
	    le64_to_cpu(record->prev_lsn) >= lsn)
		return false;
	if (block < pg_first || block_count > pg_blocks ||
	    block - pg_first > pg_blocks - block_count ||
	    block > size_blocks || block_count > size_blocks - block)
		return false;
	switch (record->kind) {
	case SEXTANT_RECORD_DATA:
		return block_count && block_count <= SEXTANT_RECORD_BLOCKS_MAX &&
		       lsn_count == block_count;
	case SEXTANT_RECORD_DISCARD:
		return block_count && lsn_count == 1;
	case SEXTANT_RECORD_VOID:
		return lsn_count <= SEXTANT_RECORD_BLOCKS_MAX;
	default:
		return false;
	}
}

bool sextant_wire_record_fits(const struct sextant_wire_record *record, u32 prefix,
			      u32 meta_bytes, u32 data_bytes)
{
	u64 seals = (u64)sextant_wire_record_seals(record) * sizeof(struct sextant_wire_seal);

	return meta_bytes == prefix + sizeof(*record) + seals &&
	       data_bytes == sextant_wire_record_data_bytes(record);
}

const char *sextant_wire_status_name(u32 status)
{
	static const char * const names[] = {
		[SEXTANT_ST_OK] = "ok",
		[SEXTANT_ST_BAD_REQUEST] = "bad request",
		[SEXTANT_ST_NO_VOLUME] = "no such volume",
		[SEXTANT_ST_EXISTS] = "exists already",
		[SEXTANT_ST_PROMISED] = "promised to a newer writer",
		[SEXTANT_ST_FENCED] = "fenced by a newer writer",
		[SEXTANT_ST_NOT_ACCEPTED] = "table not accepted",
		[SEXTANT_ST_WRONG_STORE] = "another store than the manifest names",
		[SEXTANT_ST_INCOMPLETE] = "incomplete",
		[SEXTANT_ST_BELOW_FLOOR] = "below the floor",
		[SEXTANT_ST_ABOVE_VDL] = "above the known VDL",
		[SEXTANT_ST_DAMAGED] = "damaged",
		[SEXTANT_ST_ABSENT] = "absent",
		[SEXTANT_ST_NO_SPACE] = "no space left",
		[SEXTANT_ST_IO_ERROR] = "I/O error",
		[SEXTANT_ST_BUSY] = "busy",
		[SEXTANT_ST_PRUNED] = "pruned",
		[SEXTANT_ST_VERSION] = "version not spoken",
		[SEXTANT_ST_ATTACHED] = "attached elsewhere",
	};

	if (status >= sizeof(names) / sizeof(names[0]))
		return "unknown status";
	return names[status];
}
