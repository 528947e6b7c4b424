// SPDX-License-Identifier: GPL-2.0
/* What a store may promise and accept, and what it remembers of it. */
#include "tap.h"

#include "core.h"
#include "manifest.h"
#include "peerd/vote.h"

#define SIZE_BLOCKS	65536
#define PG_BLOCKS	4096

static const u8 volume[SEXTANT_UUID_BYTES] = { 1, 2, 3 };
static const u8 incarnation[SEXTANT_UUID_BYTES] = { 9, 8, 7 };

static struct sextant_ballot ballot(u32 epoch, u8 id)
{
	struct sextant_ballot b = { .epoch = epoch };

	memset(b.attach_id, id, sizeof(b.attach_id));
	return b;
}

static const struct sextant_ballot b8 = { .epoch = 8, .attach_id = { 8 } };
static const struct sextant_ballot b8_other = { .epoch = 8, .attach_id = { 9 } };
static const struct sextant_ballot b16 = { .epoch = 16, .attach_id = { 16 } };
static const struct sextant_ballot b24 = { .epoch = 24, .attach_id = { 24 } };

static struct sextant_wire_table_entry entry(u64 first_lsn, const struct sextant_ballot *b)
{
	struct sextant_wire_table_entry e = {
		.first_lsn = cpu_to_le64(first_lsn),
		.epoch = cpu_to_le32(b->epoch),
	};

	memcpy(e.attach_id, b->attach_id, sizeof(e.attach_id));
	return e;
}

/* A manifest's bytes; free() them. */
static u8 *manifest_bytes(const struct sextant_ballot *b, u64 sequence,
			  struct sextant_wire_table_entry *table, u32 count, u32 *size)
{
	struct sextant_manifest_generation generation = {
		.generation = 1, .first_lsn = 1, .key_name = "file", .wrapped_bytes = 16,
	};
	struct sextant_manifest m = {
		.name = "test", .size_blocks = SIZE_BLOCKS, .pg_blocks = PG_BLOCKS,
		.transport = SEXTANT_TRANSPORT_PLAIN, .lease_ms = SEXTANT_LEASE_MS_DEFAULT,
		.ballot = *b, .sequence = sequence, .generation_count = 1,
		.generations = &generation, .table_count = count, .table = table,
	};
	size_t bytes_count = 0;
	u8 *bytes = NULL;

	memcpy(m.volume, volume, sizeof(m.volume));
	memcpy(generation.origin, volume, sizeof(volume));
	for (int i = 0; i < SEXTANT_PEERS; i++) {
		snprintf(m.peers[i].name, SEXTANT_NAME_BYTES, "p%d", i);
		snprintf(m.peers[i].az, SEXTANT_NAME_BYTES, "az%d", i / 2);
		snprintf(m.peers[i].address, SEXTANT_NAME_BYTES, "127.0.0.1:%d", 4860 + i);
		m.peers[i].incarnation[0] = (u8)(i + 1);
	}
	if (sextant_manifest_encode(&m, &bytes, &bytes_count))
		bail("the test's manifest does not encode");
	*size = (u32)bytes_count;
	return bytes;
}

static void test_promise(void)
{
	struct sextant_ballot none = { 0 };
	struct vote vote;

	vote_init(&vote, volume, incarnation, SIZE_BLOCKS, PG_BLOCKS);
	is_u64(vote_may_promise(&vote, &none), SEXTANT_ST_BAD_REQUEST, "no ballot: refused");
	is_u64(vote_promise(&vote, &b16, "host-a"), SEXTANT_ST_OK, "the first ballot is promised");
	is_str(vote.promised_holder, "host-a", "and its holder kept");
	is_u64(vote_promise(&vote, &b16, "host-a"), SEXTANT_ST_OK, "again: the same answer");
	is_u64(vote_promise(&vote, &b8, "host-b"), SEXTANT_ST_PROMISED, "a lower one: refused");
	struct sextant_ballot rival = ballot(16, 77);

	is_u64(vote_promise(&vote, &rival, "host-b"), SEXTANT_ST_PROMISED,
	       "an equal epoch of another attach: refused");
	is_u64(vote.promised.epoch, 16, "a refusal changes nothing");
	is_u64(vote_promise(&vote, &b24, "host-b"), SEXTANT_ST_OK, "a higher one: promised");
	vote_release(&vote);
}

/* Brings a vote to: accepted b8 with table (1, b8). */
static void accept_first(struct vote *vote)
{
	struct sextant_wire_table_entry table[] = { entry(1, &b8) };
	u32 size;
	u8 *bytes = manifest_bytes(&b8, 1, table, 1, &size);

	vote_init(vote, volume, incarnation, SIZE_BLOCKS, PG_BLOCKS);
	if (vote_promise(vote, &b8, "host-a") ||
	    vote_activate(vote, &b8, "host-a", false, 0, bytes, size))
		bail("the first attach is refused");
	free(bytes);
}

static void test_stream(void)
{
	struct vote vote;

	vote_init(&vote, volume, incarnation, SIZE_BLOCKS, PG_BLOCKS);
	is_u64(vote_may_append(&vote, &b8), SEXTANT_ST_NOT_ACCEPTED, "nothing accepted: no append");
	vote_release(&vote);

	accept_first(&vote);
	is_u64(vote_may_append(&vote, &b8), SEXTANT_ST_OK, "accepted and promised: append");
	is_u64(vote_may_read(&vote, &b8), SEXTANT_ST_OK, "read");
	is_u64(vote_may_beat(&vote, &b8), SEXTANT_ST_OK, "heartbeat");
	is_u64(vote_may_append(&vote, &b8_other), SEXTANT_ST_FENCED,
	       "an equal epoch of another attach is fenced");
	is_u64(vote_may_append(&vote, &b16), SEXTANT_ST_NOT_ACCEPTED, "a higher one: not accepted");

	vote_promise(&vote, &b16, "host-b");
	is_u64(vote_may_append(&vote, &b8), SEXTANT_ST_PROMISED, "a higher promise stops appends");
	is_u64(vote_may_read(&vote, &b8), SEXTANT_ST_OK, "but not reads");
	is_u64(vote_may_beat(&vote, &b8), SEXTANT_ST_OK, "nor heartbeats");
	is_u64(vote_may_copy(&vote, &b8), SEXTANT_ST_PROMISED, "COPY of the old ballot: refused");
	is_u64(vote_may_copy(&vote, &b16), SEXTANT_ST_OK, "COPY of the promised one: yes");
	is_u64(vote_may_delete(&vote, &b24), SEXTANT_ST_PROMISED, "DELETE needs its own promise");
	vote_release(&vote);
}

static void test_activate(void)
{
	struct sextant_wire_table_entry table[] = { entry(1, &b8), entry(11, &b16) };
	const struct sextant_wire_table_entry *before;
	struct vote vote;
	u32 size, size2;
	u8 *bytes = manifest_bytes(&b16, 1, table, 2, &size);
	u8 *again = manifest_bytes(&b16, 2, table, 2, &size2);

	accept_first(&vote);
	vote.released = true;
	is_u64(vote_activate(&vote, &b16, "host-b", false, 10, bytes, size), SEXTANT_ST_PROMISED,
	       "an ACTIVATE needs its promise");
	vote_promise(&vote, &b16, "host-b");
	is_u64(vote_activate(&vote, &b16, "host-b", false, 11, bytes, size),
	       SEXTANT_ST_BAD_REQUEST, "a table that does not end at VCL + 1: refused");
	is_u64(vote_activate(&vote, &b16, "host-b", false, 10, bytes, size - 1),
	       SEXTANT_ST_BAD_REQUEST, "a manifest cut short: refused");
	is_u64(vote.accepted.epoch, 8, "and nothing changed");
	ok(vote.released, "not even the release");
	before = vote.table.entries;
	is_u64(vote_activate(&vote, &b16, "host-b", false, 10, bytes, size), SEXTANT_ST_OK,
	       "with promise and table: accepted");
	is_u64(vote.table.count, 2, "the table is in force");
	is_u64(le32_to_cpu(before[0].epoch), 8, "the entries of the one before still stand");
	ok(!vote.released, "a new writer has a lease");
	is_str(vote.accepted_holder, "host-b", "the holder is kept");
	is_u64(vote_may_append(&vote, &b8), SEXTANT_ST_FENCED, "the old writer is fenced");
	is_u64(vote_may_append(&vote, &b16), SEXTANT_ST_OK, "the new one writes");
	is_u64(vote_activate(&vote, &b16, "host-b", true, 10, bytes, size), SEXTANT_ST_OK,
	       "the same ACTIVATE again: OK");

	is_u64(vote_put_manifest(&vote, &b16, "host-b", 1, bytes, size), SEXTANT_ST_BAD_REQUEST,
	       "a manifest of the same sequence: refused");
	is_u64(vote_put_manifest(&vote, &b16, "host-b", 3, again, size2), SEXTANT_ST_BAD_REQUEST,
	       "one that says another sequence than the message: refused");
	is_u64(vote_put_manifest(&vote, &b16, "host-b", 2, again, size2), SEXTANT_ST_OK,
	       "the next: taken");
	is_u64(vote_activate(&vote, &b16, "host-b", true, 10, bytes, size), SEXTANT_ST_OK,
	       "an older ACTIVATE of this ballot: OK");
	is_u64(vote.manifest_sequence, 2, "and it does not take the manifest back");
	is_u64(vote_may_put_manifest(&vote, &b24, 9), SEXTANT_ST_PROMISED, "no promise: no manifest");
	vote_promise(&vote, &b24, "host-c");
	is_u64(vote_may_put_manifest(&vote, &b24, 9), SEXTANT_ST_NOT_ACCEPTED,
	       "promised, not accepted: no manifest");
	is_u64(vote_may_put_manifest(&vote, &b16, 9), SEXTANT_ST_PROMISED,
	       "accepted, no longer promised: no manifest");
	vote_release(&vote);
	free(bytes);
	free(again);
}

static void test_learn(void)
{
	struct sextant_wire_table_entry table[] = { entry(1, &b8), entry(11, &b16) };
	struct vote vote;
	u32 size;
	u8 *bytes = manifest_bytes(&b16, 1, table, 2, &size);

	accept_first(&vote);
	is_u64(vote_activate(&vote, &b16, "host-b", true, 10, bytes, size), SEXTANT_ST_OK,
	       "a chosen table is learnt without a promise");
	is_u64(vote.promised.epoch, 16, "and raises the promise");
	vote_release(&vote);

	accept_first(&vote);
	vote_promise(&vote, &b24, "host-c");
	is_u64(vote_activate(&vote, &b16, "host-b", true, 10, bytes, size), SEXTANT_ST_PROMISED,
	       "but not below a higher promise");
	vote_release(&vote);
	free(bytes);
}

static void test_new_volume(void)
{
	struct vote vote;
	u32 size, other_size;
	u8 *bytes = manifest_bytes(&b8, 1, NULL, 0, &size);
	u8 *other = manifest_bytes(&b16, 2, NULL, 0, &other_size);

	vote_init(&vote, volume, incarnation, SIZE_BLOCKS, PG_BLOCKS);
	vote_promise(&vote, &b8, "host-a");
	is_u64(vote_put_manifest(&vote, &b8, "host-a", 2, other, other_size),
	       SEXTANT_ST_BAD_REQUEST, "a manifest of another ballot: refused");
	is_u64(vote_put_manifest(&vote, &b8, "host-a", 1, bytes, size), SEXTANT_ST_OK,
	       "a new volume takes its first manifest");
	is_u64(vote.table.count, 0, "with an empty table");
	is_u64(vote.accepted.epoch, 8, "and the ballot is accepted");
	vote_release(&vote);

	vote_init(&vote, incarnation, volume, SIZE_BLOCKS, PG_BLOCKS);
	vote_promise(&vote, &b8, "host-a");
	is_u64(vote_put_manifest(&vote, &b8, "host-a", 1, bytes, size), SEXTANT_ST_BAD_REQUEST,
	       "another volume's manifest: refused");
	vote_release(&vote);
	free(bytes);
	free(other);
}

static void test_bytes(void)
{
	static const u8 zeros[SEXTANT_BLOCK_BYTES] __attribute__((aligned(8)));
	struct vote vote, read;
	unsigned int unnoticed = 0;
	size_t size = 0, used;
	u8 *bytes = NULL;

	accept_first(&vote);
	vote_promise(&vote, &b16, "host-b");
	vote.known_vdl = 4711;
	vote.released = true;
	ok(!vote_encode(&vote, &bytes, &size) && size % SEXTANT_BLOCK_BYTES == 0,
	   "a vote is whole blocks");
	is_i64(vote_decode(bytes, size, &read), 0, "and is read back");
	ok(read.promised.epoch == 16 && read.accepted.epoch == 8 && read.known_vdl == 4711 &&
	   read.released && read.writes == 1 && read.manifest_sequence == 1 &&
	   read.size_blocks == SIZE_BLOCKS && read.pg_blocks == PG_BLOCKS, "with its numbers");
	is_str(read.promised_holder, "host-b", "its holders");
	ok(read.manifest_bytes == vote.manifest_bytes &&
	   !memcmp(read.manifest, vote.manifest, vote.manifest_bytes), "its manifest");
	ok(read.table.count == 1 && le32_to_cpu(read.table.entries[0].epoch) == 8, "its table");
	vote_release(&read);

	used = le32_to_cpu(*(const __le32 *)(bytes + 4));
	for (size_t i = 0; i < used; i++) {
		bytes[i] ^= 1u << (i % 8);
		unnoticed += vote_decode(bytes, size, &read) != -EBADMSG;
		bytes[i] ^= 1u << (i % 8);
	}
	is_u64(unnoticed, 0, "each of %zu bytes changed is noticed", used);
	is_i64(vote_decode(bytes, used - 1, &read), -EBADMSG, "cut short: damaged");
	is_i64(vote_decode(zeros, sizeof(zeros), &read), -ENOENT, "zeros: nothing there");
	is_i64(vote_decode(zeros, 0, &read), -ENOENT, "no bytes: nothing there");
	bytes[16] = 2;
	*(__le32 *)bytes = cpu_to_le32(sextant_crc32c(bytes + 4, used - 4));
	is_i64(vote_decode(bytes, size, &read), -EPROTONOSUPPORT, "another version: said so");
	free(bytes);
	vote_release(&vote);
}

int main(void)
{
	test_promise();
	test_stream();
	test_activate();
	test_learn();
	test_new_volume();
	test_bytes();
	return done_testing();
}
