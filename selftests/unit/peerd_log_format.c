// SPDX-License-Identifier: GPL-2.0
/*
 * The log's batches and the scan: every changed byte is noticed, a torn tail is
 * cut, a loss before a valid batch is reported, a recycled chunk's old content is not.
 */
#include "tap.h"

#include "core.h"
#include "wire.h"
#include "peerd/log_format.h"

#define BLOCK		SEXTANT_BLOCK_BYTES
#define CHUNK_BYTES	(1u << 20)
#define CHUNKS		4
#define PG		2
#define PG_BLOCKS	1024

static const struct log_identity identity = {
	.volume = { 1, 2, 3 }, .incarnation = { 4, 5, 6 },
	.pg = PG, .pg_blocks = PG_BLOCKS, .size_blocks = 16 * PG_BLOCKS,
};

/* A disk of chunks, and what a scan of it said. */
static struct disk {
	u8 *chunks[CHUNKS];
	int bad_chunk;				/* a block that cannot be read; -1: none */
	u32 bad_offset;
	u64 sequences[256];
	u64 lsns[256];
	u32 batches;
	struct log_damage damage[16];
	u32 damages;
	u32 damage_at[16];			/* batches seen before it */
} disk;

static struct log_position position;
static u8 *buffer;
static u64 next_lsn;

static u64 random_state = 1;

static u32 draw(u32 below)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (u32)(random_state >> 16) % below;
}

static void disk_reset(void)
{
	for (int i = 0; i < CHUNKS; i++) {
		if (!disk.chunks[i])
			disk.chunks[i] = aligned_alloc(BLOCK, CHUNK_BYTES);
		memset(disk.chunks[i], 0, CHUNK_BYTES);
	}
	disk.bad_chunk = -1;
	position = (struct log_position){ .next_sequence = 1 };
	next_lsn = 1;
}

/* ---- making ----------------------------------------------------------- */

static struct sextant_wire_record make_record(u8 kind, u64 lsn, u32 blocks)
{
	struct sextant_wire_record record = {
		.pg = cpu_to_le32(PG), .kind = kind, .epoch = cpu_to_le32(8),
		.generation = cpu_to_le32(1), .lsn = cpu_to_le64(lsn),
		.lsn_count = cpu_to_le32(kind == SEXTANT_RECORD_DATA ? blocks : 1),
		.prev_lsn = cpu_to_le64(lsn - 1),
		.prev_epoch = cpu_to_le32(lsn > 1 ? 8 : 0),
		.block = cpu_to_le64(PG * PG_BLOCKS + (lsn % 512)),
		.block_count = cpu_to_le32(blocks),
	};

	return record;
}

/* Adds a record with random blocks; its first LSN is the next one. */
static bool add(struct log_batch *batch, u8 kind, u32 blocks, u32 room)
{
	struct sextant_wire_record record = make_record(kind, next_lsn, blocks);
	struct sextant_wire_seal seals[SEXTANT_RECORD_BLOCKS_MAX] = { 0 };
	u8 data[SEXTANT_RECORD_BYTES_MAX];
	u32 data_bytes = sextant_wire_record_data_bytes(&record);
	void *to;

	for (u32 i = 0; i < data_bytes; i++)
		data[i] = (u8)draw(256);
	for (u32 i = 0; i < sextant_wire_record_seals(&record); i++) {
		seals[i].tag[0] = (u8)draw(256);
		seals[i].crc = cpu_to_le32(data_bytes ?
			sextant_crc32c(data + i * BLOCK, BLOCK) :
			sextant_crc32c(seals[i].tag, SEXTANT_TAG_BYTES));
	}
	to = log_batch_add(batch, &record, seals, room);
	if (!to)
		return false;
	memcpy(to, data, data_bytes);
	next_lsn += le32_to_cpu(record.lsn_count);
	return true;
}

/* Writes a batch of so many records of so many blocks where the log stands. */
static const struct log_header *write_batch(u32 records, u32 blocks)
{
	const struct log_header *header;
	struct log_batch batch;
	u32 bytes, chunk, offset;

	log_batch_begin(&batch, buffer, LOG_BATCH_BYTES_MAX);
	for (u32 i = 0; i < records; i++)
		add(&batch, SEXTANT_RECORD_DATA, blocks, CHUNK_BYTES);
	if (position.chunk == ~0u || position.offset + log_batch_bytes(&batch) > CHUNK_BYTES) {
		position.chunk = position.chunk == ~0u ? 0 : (position.chunk + 1) % CHUNKS;
		position.offset = 0;
	}
	chunk = position.chunk;
	offset = position.offset;
	header = log_batch_finish(&batch, &identity, &position, next_lsn - 1, &bytes);
	memcpy(disk.chunks[chunk] + offset, header, bytes);
	return (const struct log_header *)(disk.chunks[chunk] + offset);
}

/* ---- scanning --------------------------------------------------------- */

static int disk_read(void *context, u32 chunk, u32 offset, void *to, u32 bytes)
{
	struct disk *d = context;

	if (chunk >= CHUNKS || offset % BLOCK || bytes % BLOCK || !bytes ||
	    offset > CHUNK_BYTES || bytes > CHUNK_BYTES - offset || (uintptr_t)to % BLOCK)
		return -EINVAL;
	if (d->bad_chunk == (int)chunk && d->bad_offset >= offset && d->bad_offset < offset + bytes)
		return -EIO;
	memcpy(to, d->chunks[chunk] + offset, bytes);
	return 0;
}

static int disk_batch(void *context, const struct log_header *header, u32 chunk, u32 offset)
{
	struct disk *d = context;
	struct log_cursor cursor;
	struct log_record record = { 0 };

	(void)chunk;
	(void)offset;
	log_records(&cursor, header);
	d->lsns[d->batches] = log_records_next(&cursor, &record) ?
			      le64_to_cpu(record.record->lsn) : 0;
	d->sequences[d->batches++] = le64_to_cpu(header->sequence);
	return 0;
}

static int disk_damage(void *context, const struct log_damage *damage)
{
	struct disk *d = context;

	d->damage_at[d->damages] = d->batches;
	d->damage[d->damages++] = *damage;
	return 0;
}

static const struct log_scan_ops ops = { disk_read, disk_batch, disk_damage };

static int scan_from(struct log_scan *scan, u64 first_sequence)
{
	static const u32 chunks[CHUNKS] = { 3, 1, 0, 2 };
	int error;

	*scan = (struct log_scan){
		.identity = identity, .chunks = chunks, .chunk_count = CHUNKS,
		.chunk_bytes = CHUNK_BYTES, .first_sequence = first_sequence,
	};
	disk.batches = 0;
	disk.damages = 0;
	error = log_scan(scan, &ops, &disk);
	position = scan->end;
	return error;
}

/* Are exactly the batches with these numbers there? */
static bool batches_are(u64 first, u64 last)
{
	if (disk.batches != last - first + 1)
		return false;
	for (u64 i = first; i <= last; i++)
		if (disk.sequences[i - first] != i)
			return false;
	return true;
}

/* ---- tests ------------------------------------------------------------ */

static void test_round_trip(void)
{
	const struct log_header *header;
	struct log_cursor cursor;
	struct log_record record;
	struct log_batch batch;
	u32 bytes, at = 0;
	bool same = true;

	disk_reset();
	log_batch_begin(&batch, buffer, LOG_BATCH_BYTES_MAX);
	add(&batch, SEXTANT_RECORD_DATA, 3, CHUNK_BYTES);
	add(&batch, SEXTANT_RECORD_DISCARD, 700, CHUNK_BYTES);
	add(&batch, SEXTANT_RECORD_VOID, 0, CHUNK_BYTES);
	add(&batch, SEXTANT_RECORD_DATA, 32, CHUNK_BYTES);
	is_u64(log_batch_bytes(&batch), BLOCK + 35 * BLOCK, "a batch's size");
	header = log_batch_finish(&batch, &identity, &position, 77, &bytes);
	is_u64(bytes, 36 * BLOCK, "and what is written");
	ok((uintptr_t)header % BLOCK == 0, "aligned");
	is_u64(log_parse(header, BLOCK, &identity, 0, 0), LOG_VALID, "the header is believed");
	is_u64(log_batch_size(header), bytes, "and says the size");
	is_u64(le64_to_cpu(header->known_vdl), 77, "and the known VDL");
	is_u64(le64_to_cpu(header->highest_lsn), 37, "and the highest LSN");
	log_records(&cursor, header);
	while (log_records_next(&cursor, &record)) {
		same = same && record.data_offset >= BLOCK &&
		       !log_record_bad_blocks(&record, (const u8 *)header + record.data_offset);
		at++;
	}
	is_u64(at, 4, "four records are in it");
	ok(same, "and their blocks hold");
	is_u64(log_parse(header, BLOCK, &identity, 1, 0), LOG_OTHER, "in another chunk: not it");
	is_u64(log_parse(header, BLOCK, &identity, 0, BLOCK), LOG_OTHER, "elsewhere: not it");
	struct log_identity stranger = identity;

	stranger.incarnation[0]++;
	is_u64(log_parse(header, BLOCK, &stranger, 0, 0), LOG_OTHER, "another store's: not it");
	memset(disk.chunks[1], 0, BLOCK);
	is_u64(log_parse(disk.chunks[1], BLOCK, &identity, 1, 0), LOG_OTHER, "zeros: nothing");
}

static void test_limits(void)
{
	struct log_batch batch;
	u32 count = 0;

	disk_reset();
	log_batch_begin(&batch, buffer, LOG_BATCH_BYTES_MAX);
	while (add(&batch, SEXTANT_RECORD_DATA, 32, LOG_BATCH_BYTES_MAX))
		count++;
	is_u64(count, LOG_DATA_BYTES_MAX / SEXTANT_RECORD_BYTES_MAX, "data fill a batch");
	log_batch_begin(&batch, buffer, LOG_BATCH_BYTES_MAX);
	count = 0;
	while (add(&batch, SEXTANT_RECORD_VOID, 0, LOG_BATCH_BYTES_MAX))
		count++;
	is_u64(count, (LOG_HEADER_BYTES_MAX - sizeof(struct log_header)) /
	       sizeof(struct sextant_wire_record), "records fill a header");
	log_batch_begin(&batch, buffer, LOG_BATCH_BYTES_MAX);
	ok(!add(&batch, SEXTANT_RECORD_DATA, 4, 4 * BLOCK), "no room in the chunk: refused");
	ok(add(&batch, SEXTANT_RECORD_DATA, 3, 4 * BLOCK), "just enough: taken");
}

/* Every byte of a batch, header, padding and data. */
static void test_every_byte(void)
{
	const struct log_header *header;
	u32 size, header_bytes, unnoticed = 0;
	u8 *bytes;

	disk_reset();
	header = write_batch(3, 2);
	bytes = (u8 *)header;
	size = log_batch_size(header);
	header_bytes = le32_to_cpu(header->header_bytes);
	for (u32 i = 0; i < size; i++) {
		struct log_cursor cursor;
		struct log_record record;
		bool noticed = false;

		bytes[i] ^= 1u << (i % 8);
		if (i < header_bytes) {
			noticed = log_parse(bytes, size, &identity, 0, 0) == LOG_DAMAGED;
		} else {
			log_records(&cursor, header);
			while (log_records_next(&cursor, &record)) {
				u32 bad = log_record_bad_blocks(&record,
								bytes + record.data_offset);

				noticed |= bad && i - record.data_offset < record.data_bytes &&
					   bad == 1u << ((i - record.data_offset) / BLOCK);
			}
		}
		unnoticed += !noticed;
		bytes[i] ^= 1u << (i % 8);
	}
	is_u64(unnoticed, 0, "each of %u changed bytes is noticed where it is", size);
}

/* A header that lies under a CRC that holds: refused, or within its bounds. */
static void test_lies(void)
{
	u32 outside = 0, believed = 0;

	disk_reset();
	for (u32 run = 0; run < 20000; run++) {
		struct log_header *header = (struct log_header *)disk.chunks[0];
		u32 at = draw(2) ? draw(128) : draw(512), size = 2 * BLOCK, data = 0;
		struct log_cursor cursor;
		struct log_record record;

		if (run % 100 == 0) {
			position = (struct log_position){ .next_sequence = 1 };
			next_lsn = 1;
			write_batch(3, 2);
		}
		disk.chunks[0][at] ^= 1u << draw(8);
		if (log_header_bytes(header) && log_header_bytes(header) <= size)
			header->crc = cpu_to_le32(sextant_crc32c(disk.chunks[0] + 4,
						  log_header_bytes(header) - 4));
		if (log_parse(header, size, &identity, 0, 0) != LOG_VALID)
			continue;
		believed++;
		log_records(&cursor, header);
		while (log_records_next(&cursor, &record)) {
			outside += (const u8 *)(record.seals + record.seal_count) >
				   disk.chunks[0] + log_header_bytes(header) ||
				   record.data_offset + record.data_bytes > log_batch_size(header);
			data += record.data_bytes;
		}
		outside += data != le32_to_cpu(header->data_bytes);
	}
	ok(!outside && believed, "a header that lies is refused or within its bounds");
}

static void test_scan_whole(void)
{
	struct log_scan scan;

	disk_reset();
	is_i64(scan_from(&scan, 1), 0, "a blank log");
	ok(!disk.batches && !disk.damages && scan.end.chunk == ~0u && scan.end.next_sequence == 1,
	   "has nothing and begins at 1");
	for (int i = 0; i < 40; i++)
		write_batch(1 + draw(3), 1 + draw(20));
	struct log_position end = position;

	is_i64(scan_from(&scan, 1), 0, "a log over several chunks");
	ok(batches_are(1, 40) && !disk.damages && !scan.torn, "is all there, in order");
	ok(!memcmp(&end, &position, sizeof(end)), "and goes on where it stood");
	is_u64(scan.known_vdl, next_lsn - 1, "its known VDL is the last batch's");
	write_batch(0, 0);
	is_i64(scan_from(&scan, 1), 0, "an empty batch");
	ok(batches_are(1, 41) && !disk.damages, "is one too");
}

static void test_torn(void)
{
	const struct log_header *header;
	struct log_scan scan;
	struct log_position before;
	u32 wrong = 0, size;
	u8 *bytes;

	disk_reset();
	for (int i = 0; i < 5; i++)
		write_batch(1, 4);
	before = position;
	header = write_batch(90, 1);
	bytes = (u8 *)header;
	size = log_batch_size(header);
	ok(le32_to_cpu(header->header_bytes) == 2 * BLOCK, "a header of two blocks");
	for (u32 keep = 0; keep < size; keep += BLOCK) {
		u8 *copy = malloc(size);

		memcpy(copy, bytes, size);
		memset(bytes + keep, 0xa5, size - keep);
		scan_from(&scan, 1);
		wrong += !batches_are(1, 5) || disk.damages ||
			 position.chunk != before.chunk || position.offset != before.offset ||
			 position.previous_sequence != 5;
		memcpy(bytes, copy, size);
		free(copy);
	}
	is_u64(wrong, 0, "a last batch torn at any block is cut, and nothing else");
	is_i64(scan_from(&scan, 1), 0, "whole");
	ok(batches_are(1, 6), "it is there");

	/* The torn batch keeps a valid header; the log goes on in another chunk. */
	memset(bytes + 4 * BLOCK, 1, 8 * BLOCK);
	scan_from(&scan, 1);
	ok(batches_are(1, 5) && scan.torn && position.next_sequence == 7, "torn in its data: cut");
	position.chunk++;
	position.offset = 0;
	write_batch(2, 2);
	write_batch(2, 2);
	is_i64(scan_from(&scan, 1), 0, "and after the log went on elsewhere");
	ok(disk.batches == 7 && disk.sequences[4] == 5 && disk.sequences[5] == 7 &&
	   disk.sequences[6] == 8 && !disk.damages, "it stays cut, and is no damage");
}

static void test_damage(void)
{
	u8 *at[13] = { 0 };
	struct log_scan scan;
	u32 wrong = 0, wrong_data = 0;
	u64 high[13] = { 0 };

	disk_reset();
	for (int i = 1; i <= 12; i++) {
		at[i] = (u8 *)write_batch(2, 10 + draw(10));
		high[i] = next_lsn - 1;
	}
	ok(position.chunk > 0, "the log lies in two chunks");
	for (int lost = 1; lost < 12; lost++) {
		at[lost][100 + draw(3000)] ^= 4;
		scan_from(&scan, 1);
		wrong += disk.batches != 11 || disk.damages != 1 ||
			 disk.damage[0].after_sequence != (u64)lost - 1 ||
			 disk.damage[0].before_sequence != (u64)lost + 1 ||
			 disk.damage[0].high_lsn != high[lost + 1] ||
			 disk.damage_at[0] != (u32)lost - 1 || position.next_sequence != 13;
		memset(at[lost], 0, 128);
		scan_from(&scan, 1);
		wrong += disk.batches != 11 || disk.damages != 1;
		disk_reset();
		for (int i = 1; i <= 12; i++) {
			at[i] = (u8 *)write_batch(2, 10 + draw(10));
			high[i] = next_lsn - 1;
		}
		at[lost][log_batch_size((void *)at[lost]) - 1] ^= 1;
		scan_from(&scan, 1);
		wrong_data += !batches_are(1, 12) || disk.damages;
		at[lost][log_batch_size((void *)at[lost]) - 1] ^= 1;
	}
	is_u64(wrong, 0, "a header lost before the last is reported, the others are kept");
	is_u64(wrong_data, 0, "a header is believed though its data are damaged");

	for (int lost = 3; lost <= 5; lost++)
		at[lost][0]++;
	scan_from(&scan, 1);
	ok(disk.batches == 9 && disk.damages == 1 && disk.damage[0].after_sequence == 2 &&
	   disk.damage[0].before_sequence == 6, "three lost in a row are one damage");
	write_batch(1, 1);
	scan_from(&scan, 1);
	is_u64(disk.damages, 1, "and it is still there after the log went on");
}

static void test_unreadable(void)
{
	u8 *at[8] = { 0 };
	struct log_scan scan;

	disk_reset();
	for (int i = 1; i <= 7; i++)
		at[i] = (u8 *)write_batch(1, 8);
	disk.bad_chunk = 0;
	disk.bad_offset = (u32)(at[4] - disk.chunks[0]);
	is_i64(scan_from(&scan, 1), 0, "a header that cannot be read");
	ok(disk.batches == 6 && disk.damages == 1 && disk.damage[0].before_sequence == 5,
	   "is damage");
	disk.bad_offset += 3 * BLOCK;
	scan_from(&scan, 1);
	ok(batches_are(1, 7) && !disk.damages, "a block of data that cannot be read is left alone");
	disk.bad_offset = (u32)(at[7] - disk.chunks[0]);
	scan_from(&scan, 1);
	ok(batches_are(1, 6) && disk.damages == 1 && disk.damage[0].high_lsn == ~0ull,
	   "the last header unreadable: damage, not a torn tail");
	disk.bad_chunk = -1;
	position.chunk = 1;
	position.offset = 0;
	memset(at[7], 0, BLOCK);
	write_batch(1, 1);
	scan_from(&scan, 1);
	ok(disk.batches == 7 && disk.damages == 1, "and it is remembered when the log goes on");
}

/* The oldest chunk is reused: its batches are below first_sequence. */
static void test_recycled(void)
{
	struct log_scan scan;
	u64 first_in[64] = { 0 }, first, last = 0;
	u32 chunk = 0;

	disk_reset();
	for (u32 turn = 0; turn < CHUNKS + 2; ) {
		write_batch(1 + draw(2), 1 + draw(32));
		last++;
		if (position.chunk != chunk || last == 1) {
			chunk = position.chunk;
			first_in[turn++] = last;
		}
	}
	first = first_in[3];
	is_i64(scan_from(&scan, first), 0, "chunks that went round");
	ok(batches_are(first, last) && !disk.damages, "only the live batches are found");
	scan_from(&scan, first_in[2] - 1);
	ok(disk.damages == 1 && disk.damage[0].after_sequence == 0,
	   "a lost head of the log is damage");
	memset(disk.chunks[2], 0xee, BLOCK);
	scan_from(&scan, first_in[3]);
	ok(batches_are(first, last), "what lies in a freed chunk does not matter");
}

/* Random logs, cut and damaged anywhere: never a silent loss before a valid batch. */
static void test_random(void)
{
	u32 wrong = 0;

	for (u32 run = 0; run < 60; run++) {
		u8 *at[20];
		struct log_scan scan;
		u32 count = 4 + draw(16), lost = 0, seen = 0;
		bool broken[20] = { false };

		disk_reset();
		for (u32 i = 0; i < count; i++)
			at[i] = (u8 *)write_batch(1 + draw(2), 1 + draw(20));
		for (u32 i = draw(3); i; i--) {
			u32 which = draw(count - 1);

			broken[which] = true;
			at[which][draw(128)] ^= 1u << draw(8);
			at[which][draw(4096)] ^= 1u << draw(8);
		}
		for (u32 i = 0; i < count; i++)
			broken[i] = log_parse(at[i], BLOCK, &identity, 0, 0) == LOG_DAMAGED;
		scan_from(&scan, 1);
		for (u32 i = 0; i < count; i++)
			lost += broken[i] && (!i || !broken[i - 1]);
		for (u32 i = 0; i < disk.batches; i++)
			seen += !broken[disk.sequences[i] - 1];
		wrong += seen != disk.batches || disk.damages != lost ||
			 disk.sequences[disk.batches - 1] != count;
	}
	is_u64(wrong, 0, "random damage: each loss reported, each whole batch found");
}

int main(void)
{
	buffer = aligned_alloc(BLOCK, LOG_BATCH_BYTES_MAX);
	test_round_trip();
	test_limits();
	test_every_byte();
	test_lies();
	test_scan_whole();
	test_torn();
	test_damage();
	test_unreadable();
	test_recycled();
	test_random();
	for (int i = 0; i < CHUNKS; i++)
		free(disk.chunks[i]);
	free(buffer);
	return done_testing();
}
