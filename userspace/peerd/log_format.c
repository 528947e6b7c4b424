// SPDX-License-Identifier: GPL-2.0
/* One batch of a log: making it, and believing it or not. */
#include "log_format.h"
#include "wire.h"

#define SEAL_BYTES	((u32)sizeof(struct sextant_wire_seal))
#define RECORD_BYTES	((u32)sizeof(struct sextant_wire_record))

_Static_assert(sizeof(struct log_header) == 128, "the log's header has no padding");

static u32 round_up(u32 bytes)
{
	return (bytes + SEXTANT_BLOCK_BYTES - 1) & ~(u32)(SEXTANT_BLOCK_BYTES - 1);
}

static u32 header_crc(const struct log_header *header, u32 header_bytes)
{
	return sextant_crc32c((const u8 *)header + sizeof(header->crc),
			      header_bytes - sizeof(header->crc));
}

/* ---- making a batch --------------------------------------------------- */

void log_batch_begin(struct log_batch *batch, void *buffer, u32 buffer_bytes)
{
	memset(batch, 0, sizeof(*batch));
	batch->buffer = buffer;
	batch->buffer_bytes = buffer_bytes < LOG_BATCH_BYTES_MAX ? buffer_bytes :
								   LOG_BATCH_BYTES_MAX;
	batch->meta_bytes = sizeof(struct log_header);
}

u32 log_batch_bytes(const struct log_batch *batch)
{
	return round_up(batch->meta_bytes) + batch->data_bytes;
}

void *log_batch_add(struct log_batch *batch, const struct sextant_wire_record *record,
		    const struct sextant_wire_seal *seals, u32 room)
{
	u32 seal_bytes = sextant_wire_record_seals(record) * SEAL_BYTES;
	u32 meta_bytes = batch->meta_bytes + RECORD_BYTES + seal_bytes;
	u32 data_bytes = batch->data_bytes + sextant_wire_record_data_bytes(record);
	u8 *data = batch->buffer + LOG_HEADER_BYTES_MAX + batch->data_bytes;
	u64 last_lsn = sextant_wire_record_last_lsn(record);

	if (meta_bytes > LOG_HEADER_BYTES_MAX ||
	    data_bytes > batch->buffer_bytes - LOG_HEADER_BYTES_MAX ||
	    round_up(meta_bytes) + data_bytes > room)
		return NULL;
	memcpy(batch->buffer + batch->meta_bytes, record, RECORD_BYTES);
	if (seal_bytes)
		memcpy(batch->buffer + batch->meta_bytes + RECORD_BYTES, seals, seal_bytes);
	batch->meta_bytes = meta_bytes;
	batch->data_bytes = data_bytes;
	batch->record_count++;
	if (last_lsn > batch->highest_lsn)
		batch->highest_lsn = last_lsn;
	return data;
}

const struct log_header *log_batch_finish(struct log_batch *batch,
					  const struct log_identity *identity,
					  struct log_position *position, u64 known_vdl, u32 *bytes)
{
	u32 header_bytes = round_up(batch->meta_bytes);
	u8 *start = batch->buffer + LOG_HEADER_BYTES_MAX - header_bytes;
	struct log_header *header = (struct log_header *)start;

	memmove(start, batch->buffer, batch->meta_bytes);
	memset(start + batch->meta_bytes, 0, header_bytes - batch->meta_bytes);
	if (batch->highest_lsn > position->highest_lsn)
		position->highest_lsn = batch->highest_lsn;

	memset(header, 0, sizeof(*header));
	header->magic = cpu_to_le64(LOG_MAGIC);
	header->version = cpu_to_le32(LOG_VERSION);
	header->header_bytes = cpu_to_le32(header_bytes);
	header->pg = cpu_to_le32(identity->pg);
	memcpy(header->volume, identity->volume, sizeof(header->volume));
	memcpy(header->incarnation, identity->incarnation, sizeof(header->incarnation));
	header->chunk = cpu_to_le32(position->chunk);
	header->chunk_offset = cpu_to_le32(position->offset);
	header->sequence = cpu_to_le64(position->next_sequence);
	header->previous_sequence = cpu_to_le64(position->previous_sequence);
	header->known_vdl = cpu_to_le64(known_vdl);
	header->highest_lsn = cpu_to_le64(position->highest_lsn);
	header->record_count = cpu_to_le32(batch->record_count);
	header->data_bytes = cpu_to_le32(batch->data_bytes);
	header->crc = cpu_to_le32(header_crc(header, header_bytes));

	*bytes = header_bytes + batch->data_bytes;
	position->offset += *bytes;
	position->previous_sequence = position->next_sequence++;
	return header;
}

/* ---- reading a batch -------------------------------------------------- */

u32 log_header_bytes(const void *block)
{
	const struct log_header *header = block;
	u32 bytes = le32_to_cpu(header->header_bytes);

	if (le64_to_cpu(header->magic) != LOG_MAGIC || !bytes || bytes > LOG_HEADER_BYTES_MAX ||
	    bytes % SEXTANT_BLOCK_BYTES)
		return 0;
	return bytes;
}

/* Is this the header of a batch of this log, at this place? */
static bool header_is_ours(const struct log_header *header, const struct log_identity *identity,
			   u32 chunk, u32 offset)
{
	return !memcmp(header->volume, identity->volume, sizeof(header->volume)) &&
	       !memcmp(header->incarnation, identity->incarnation, sizeof(header->incarnation)) &&
	       le32_to_cpu(header->pg) == identity->pg && le32_to_cpu(header->chunk) == chunk &&
	       le32_to_cpu(header->chunk_offset) == offset;
}

static bool all_zero(const u8 *bytes, u32 size)
{
	for (u32 i = 0; i < size; i++)
		if (bytes[i])
			return false;
	return true;
}

/* Does everything that the header says of its records agree with itself? */
static bool header_content_valid(const struct log_header *header,
				 const struct log_identity *identity)
{
	const u8 *bytes = (const u8 *)header;
	u32 header_bytes = le32_to_cpu(header->header_bytes);
	u32 count = le32_to_cpu(header->record_count);
	u32 at = sizeof(*header), data_bytes = 0;

	if (!le64_to_cpu(header->sequence) ||
	    le64_to_cpu(header->previous_sequence) >= le64_to_cpu(header->sequence) ||
	    !all_zero((const u8 *)header->reserved, sizeof(header->reserved)))
		return false;
	while (count--) {
		const struct sextant_wire_record *record = (const void *)(bytes + at);

		if (header_bytes - at < RECORD_BYTES ||
		    le32_to_cpu(record->pg) != identity->pg ||
		    !sextant_wire_record_valid(record, identity->size_blocks,
					       identity->pg_blocks) ||
		    sextant_wire_record_last_lsn(record) > le64_to_cpu(header->highest_lsn))
			return false;
		at += RECORD_BYTES;
		if ((header_bytes - at) / SEAL_BYTES < sextant_wire_record_seals(record))
			return false;
		at += sextant_wire_record_seals(record) * SEAL_BYTES;
		data_bytes += sextant_wire_record_data_bytes(record);
	}
	return data_bytes == le32_to_cpu(header->data_bytes) &&
	       data_bytes <= LOG_DATA_BYTES_MAX && round_up(at) == header_bytes &&
	       all_zero(bytes + at, header_bytes - at);
}

enum log_status log_parse(const void *bytes, u32 size, const struct log_identity *identity,
			  u32 chunk, u32 offset)
{
	const struct log_header *header = bytes;
	u32 header_bytes = log_header_bytes(bytes);

	if (!header_bytes)
		return all_zero(bytes, SEXTANT_BLOCK_BYTES) ? LOG_OTHER : LOG_DAMAGED;
	if (size < header_bytes || header_crc(header, header_bytes) != le32_to_cpu(header->crc))
		return LOG_DAMAGED;
	if (le32_to_cpu(header->version) != LOG_VERSION)
		return LOG_VERSION_OTHER;
	if (!header_is_ours(header, identity, chunk, offset))
		return LOG_OTHER;
	return header_content_valid(header, identity) ? LOG_VALID : LOG_DAMAGED;
}

u32 log_batch_size(const struct log_header *header)
{
	return le32_to_cpu(header->header_bytes) + le32_to_cpu(header->data_bytes);
}

void log_records(struct log_cursor *cursor, const struct log_header *header)
{
	cursor->header = header;
	cursor->meta_offset = sizeof(*header);
	cursor->data_offset = le32_to_cpu(header->header_bytes);
	cursor->left = le32_to_cpu(header->record_count);
}

bool log_records_next(struct log_cursor *cursor, struct log_record *record)
{
	const u8 *at = (const u8 *)cursor->header + cursor->meta_offset;

	if (!cursor->left)
		return false;
	cursor->left--;
	record->record = (const struct sextant_wire_record *)at;
	record->seals = (const struct sextant_wire_seal *)(at + RECORD_BYTES);
	record->seal_count = sextant_wire_record_seals(record->record);
	record->data_offset = cursor->data_offset;
	record->data_bytes = sextant_wire_record_data_bytes(record->record);
	cursor->meta_offset += RECORD_BYTES + record->seal_count * SEAL_BYTES;
	cursor->data_offset += record->data_bytes;
	return true;
}

u32 log_record_bad_blocks(const struct log_record *record, const void *data)
{
	u32 blocks = record->data_bytes >> SEXTANT_BLOCK_SHIFT, bad = 0;

	for (u32 i = 0; i < blocks; i++) {
		const u8 *block = (const u8 *)data + ((size_t)i << SEXTANT_BLOCK_SHIFT);

		if (sextant_crc32c(block, SEXTANT_BLOCK_BYTES) != le32_to_cpu(record->seals[i].crc))
			bad |= 1u << i;
	}
	return bad;
}
