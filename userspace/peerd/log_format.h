/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The log of one PG in one store: how it lies in its chunks.
 *
 * A log is a series of batches, each one durable write: a header of whole
 * 4 KiB blocks (struct log_header, then for each record a struct
 * sextant_wire_record and its seals, then zeros), then the records' sealed
 * blocks. A CRC32C covers the header; each sealed block has its own in its
 * seal. A batch lies in one chunk, at a multiple of 4 KiB, and names its place.
 *
 * Batches are numbered upwards and each names the number of the one before it,
 * so that a scan knows whether one was lost, wherever it lies. At most one
 * batch of a log is being written at any time: so the last batch alone can be
 * torn, and all that lies before a valid one was durable.
 *
 * A batch without records is allowed; it vouches for the one before it.
 */
#ifndef SEXTANT_PEERD_LOG_FORMAT_H
#define SEXTANT_PEERD_LOG_FORMAT_H

#include "core.h"

#define LOG_MAGIC		0x54414247584c5853ull	/* "SXLXGBAT" */
#define LOG_VERSION		1
#define LOG_HEADER_BYTES_MAX	(128u << 10)
#define LOG_DATA_BYTES_MAX	(4u << 20)
#define LOG_BATCH_BYTES_MAX	(LOG_HEADER_BYTES_MAX + LOG_DATA_BYTES_MAX)
#define LOG_CHUNK_BYTES_MAX	(1u << 30)

/* The first four stay where they are in every version. */
struct log_header {
	__le32 crc;			/* CRC32C of the header_bytes - 4 that follow */
	__le32 header_bytes;		/* a multiple of SEXTANT_BLOCK_BYTES */
	__le64 magic;
	__le32 version;
	__le32 pg;
	__u8   volume[SEXTANT_UUID_BYTES];
	__u8   incarnation[SEXTANT_UUID_BYTES];
	__le32 chunk;
	__le32 chunk_offset;
	__le64 sequence;		/* from 1 */
	__le64 previous_sequence;	/* of the batch before in this log; 0: none */
	__le64 known_vdl;
	__le64 highest_lsn;		/* of any record in this log up to this batch */
	__le32 record_count;
	__le32 data_bytes;
	__le64 reserved[3];
};

/**
 * struct log_identity - whose log this is; a batch of any other is not believed
 * @volume: the volume's UUID
 * @incarnation: the store's
 * @pg: which PG
 * @pg_blocks: blocks of a PG
 * @size_blocks: blocks of the volume
 */
struct log_identity {
	u8 volume[SEXTANT_UUID_BYTES];
	u8 incarnation[SEXTANT_UUID_BYTES];
	u32 pg;
	u32 pg_blocks;
	u64 size_blocks;
};

/**
 * struct log_record - one record of a batch
 * @record: in the header
 * @seals: in the header, @seal_count of them
 * @seal_count: as the record's kind wants
 * @data_offset: of its blocks, from the batch's first byte
 * @data_bytes: of its blocks
 */
struct log_record {
	const struct sextant_wire_record *record;
	const struct sextant_wire_seal *seals;
	u32 seal_count;
	u32 data_offset;
	u32 data_bytes;
};

/* ---- making a batch --------------------------------------------------- */

/**
 * struct log_batch - a batch being made; all members are private
 *
 * The header grows in the first LOG_HEADER_BYTES_MAX of the buffer, the data
 * behind them; finishing moves the header up to its data.
 */
struct log_batch {
	u8 *buffer;
	u32 buffer_bytes;
	u32 meta_bytes;			/* header struct, records and seals */
	u32 data_bytes;
	u32 record_count;
	u64 highest_lsn;
};

/**
 * log_batch_begin() - starts a batch
 * @batch: filled
 * @buffer: aligned to SEXTANT_BLOCK_BYTES; the caller's until the write is done
 * @buffer_bytes: at least LOG_HEADER_BYTES_MAX + SEXTANT_RECORD_BYTES_MAX;
 *	LOG_BATCH_BYTES_MAX is the most that is used
 */
void log_batch_begin(struct log_batch *batch, void *buffer, u32 buffer_bytes);

/**
 * log_batch_add() - adds a record
 * @batch: begun and not finished
 * @record: valid (sextant_wire_record_valid())
 * @seals: as many as sextant_wire_record_seals() says
 * @room: the batch may become this large in all, at most: what is left in the chunk
 *
 * Return: where the record's sealed blocks are to be put (for a record without
 * data: not NULL, and nothing is to be put there); NULL when it does not fit,
 * and the batch is as before.
 */
void *log_batch_add(struct log_batch *batch, const struct sextant_wire_record *record,
		    const struct sextant_wire_seal *seals, u32 room);

/** log_batch_bytes() - how large the batch is by now, header and data. */
u32 log_batch_bytes(const struct log_batch *batch);

/**
 * struct log_position - what the next batch follows; log_scan() gives it at the start
 * @chunk: where the next batch goes, unless it needs a new chunk
 * @offset: within it
 * @next_sequence: the next batch's number
 * @previous_sequence: the number of the batch before it
 * @highest_lsn: of any record in this log so far
 */
struct log_position {
	u32 chunk;
	u32 offset;
	u64 next_sequence;
	u64 previous_sequence;
	u64 highest_lsn;
};

/**
 * log_batch_finish() - completes the header
 * @batch: not to be used again after this
 * @identity: whose
 * @position: where it goes. Moved behind the batch: call log_batch_finish() for the
 *	next one only when this one is durable; when its write failed, the log is
 *	out and takes no more.
 * @known_vdl: as known now
 * @bytes: how much to write
 *
 * Return: the batch's first byte, in the buffer, aligned to SEXTANT_BLOCK_BYTES.
 */
const struct log_header *log_batch_finish(struct log_batch *batch,
					  const struct log_identity *identity,
					  struct log_position *position, u64 known_vdl, u32 *bytes);

/* ---- reading a batch -------------------------------------------------- */

enum log_status {
	LOG_VALID	= 0,	/* a header to believe, whatever its data */
	LOG_OTHER	= 1,	/* blank, or a whole header of another place, store or log */
	LOG_DAMAGED	= 2,	/* neither: torn, rotten, or no header at all */
	LOG_VERSION_OTHER = 3,	/* a whole header of another format version */
};

/**
 * log_header_bytes() - how much of a header to read, from its first block
 * @block: SEXTANT_BLOCK_BYTES
 *
 * Return: 0 when this cannot be a header's first block, else a multiple of
 * SEXTANT_BLOCK_BYTES up to LOG_HEADER_BYTES_MAX.
 */
u32 log_header_bytes(const void *block);

/**
 * log_parse() - checks a header strictly
 * @bytes: what was read
 * @size: of it, at least SEXTANT_BLOCK_BYTES; less than log_header_bytes() is LOG_DAMAGED
 * @identity: whose it must be
 * @chunk: where it was read
 * @offset: within the chunk
 *
 * LOG_VALID says that everything in the header holds: lengths, counts, every
 * record valid for the volume and of this PG, padding zero.
 */
enum log_status log_parse(const void *bytes, u32 size, const struct log_identity *identity,
			  u32 chunk, u32 offset);

/** log_batch_size() - bytes of a valid header's batch, header and data. */
u32 log_batch_size(const struct log_header *header);

/** struct log_cursor - a walk over a batch's records; all members are private */
struct log_cursor {
	const struct log_header *header;
	u32 meta_offset;
	u32 data_offset;
	u32 left;
};

/** log_records() - starts a walk over a valid (or finished) header's records. */
void log_records(struct log_cursor *cursor, const struct log_header *header);

/** log_records_next() - the next record; false at the end. */
bool log_records_next(struct log_cursor *cursor, struct log_record *record);

/**
 * log_record_bad_blocks() - which blocks of a record fail their CRC
 * @record: whose seals
 * @data: its @data_bytes
 *
 * Return: bit i set: block i is damaged. 0: all hold.
 */
u32 log_record_bad_blocks(const struct log_record *record, const void *data);

/* ---- scanning a log --------------------------------------------------- */

/**
 * struct log_damage - batches that are lost in the middle of a log
 * @after_sequence: the last batch before it that is there; 0: none
 * @before_sequence: the first after it; 0: none (the end could not be read)
 * @chunk: where it may have begun: behind the batch before
 * @offset: within it
 * @high_lsn: no record lost in it has an LSN above this one; ~0: not known
 *
 * What the lost records were is unknown: any LSN above the base's tail and up
 * to @high_lsn may have been among them (segment_damage_range()).
 */
struct log_damage {
	u64 after_sequence;
	u64 before_sequence;
	u32 chunk;
	u32 offset;
	u64 high_lsn;
};

/**
 * struct log_scan_ops - how a scan reads, and what it tells; each returns 0 or
 *	a negative errno, which ends the scan
 * @read: fills @buffer from a chunk; offset and bytes are multiples of
 *	SEXTANT_BLOCK_BYTES and within chunk_bytes, the buffer is aligned so.
 *	-EIO says that the range cannot be read, whole or in part, and does not
 *	end the scan: it is damage where it matters.
 * @batch: a batch is there. Called in the order of their sequence; the header
 *	is whole and stays until the call returns. Its data are not checked,
 *	but for the log's last batch.
 * @damage: batches are lost, between the last @batch and the next
 */
struct log_scan_ops {
	int (*read)(void *context, u32 chunk, u32 offset, void *buffer, u32 bytes);
	int (*batch)(void *context, const struct log_header *header, u32 chunk, u32 offset);
	int (*damage)(void *context, const struct log_damage *damage);
};

/**
 * struct log_scan - what is to be scanned, and what was found
 * @identity: whose log
 * @chunks: numbers of its chunks, in any order; each holds chunk_bytes
 * @chunk_count: how many
 * @chunk_bytes: a multiple of SEXTANT_BLOCK_BYTES, at most LOG_CHUNK_BYTES_MAX
 * @first_sequence: batches below this number are no longer part of the log
 *	(their records are in the base; their chunks may be recycled); 1 if none are
 * @end: filled: where the log goes on. chunk is ~0 when no batch was found:
 *	the log begins in any chunk at 0.
 * @known_vdl: filled: the highest that a batch knew
 * @torn: filled: the last batch was torn and is cut
 */
struct log_scan {
	struct log_identity identity;
	const u32 *chunks;
	u32 chunk_count;
	u32 chunk_bytes;
	u64 first_sequence;
	struct log_position end;
	u64 known_vdl;
	bool torn;
};

/**
 * log_scan() - finds a log's batches
 *
 * Walks the chunks in the order of their batches. Where no valid header with a
 * higher number stands, it searches on in steps of 4 KiB. A valid batch that
 * does not follow the one before it, by its number, proves a loss: reported as
 * damage. What nothing follows is a torn tail and cut, and so is a last batch
 * whose data fail their CRCs: it can not have been durable. A block that
 * cannot be read at the end of the log is damage, not a torn tail.
 *
 * Return: 0; -EPROTONOSUPPORT: batches of another format version; -ENOMEM; or
 * what an op returned.
 */
int log_scan(struct log_scan *scan, const struct log_scan_ops *ops, void *context);

#endif
