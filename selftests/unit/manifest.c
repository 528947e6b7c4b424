// SPDX-License-Identifier: GPL-2.0
/* The manifest: what goes in comes out, and nothing else is taken. */
#include "tap.h"

#include "manifest.h"
#include "text.h"

#define TABLE_ENTRIES	3

static struct sextant_wire_table_entry table[TABLE_ENTRIES];
static struct sextant_manifest_generation generations[2];

static struct sextant_manifest example(void)
{
	struct sextant_manifest m = {
		.name = "database-1", .size_blocks = 10 << 18, .pg_blocks = 4096, .region = 3,
		.transport = SEXTANT_TRANSPORT_PLAIN, .lease_ms = 4000,
		.created_unix_s = 1700000000, .ballot = { .epoch = 27 }, .sequence = 2,
		.generation_count = 2, .generations = generations,
		.table_count = TABLE_ENTRIES, .table = table,
	};
	u32 i;

	sextant_uuid_draw(m.volume);
	memset(m.ballot.attach_id, 7, sizeof(m.ballot.attach_id));
	for (i = 0; i < SEXTANT_PEERS; i++) {
		snprintf(m.peers[i].name, SEXTANT_NAME_BYTES, "az%u%c", i / 2 + 1, 'a' + i % 2);
		snprintf(m.peers[i].az, SEXTANT_NAME_BYTES, "az%u", i / 2 + 1);
		snprintf(m.peers[i].address, SEXTANT_NAME_BYTES, "10.0.0.%u:4860", i + 1);
		sextant_uuid_draw(m.peers[i].incarnation);
	}
	for (i = 0; i < TABLE_ENTRIES; i++) {
		memset(&table[i], 0, sizeof(table[i]));
		table[i].first_lsn = cpu_to_le64(1 + 100 * i);
		table[i].epoch = cpu_to_le32(11 + 8 * i);
		memset(table[i].attach_id, (int)i, sizeof(table[i].attach_id));
	}
	memset(generations, 0, sizeof(generations));
	for (i = 0; i < 2; i++) {
		generations[i].generation = i + 1;
		generations[i].first_lsn = 1 + 50 * i;
		memcpy(generations[i].origin, m.volume, sizeof(m.volume));
		memset(generations[i].commitment, 9, SEXTANT_COMMIT_BYTES);
		strcpy(generations[i].key_name, "file");
	}
	generations[1].wrapped_bytes = 77;
	memset(generations[1].wrapped, 5, 77);
	return m;
}

static bool same(const struct sextant_manifest *a, const struct sextant_manifest *b)
{
	return !memcmp(a->volume, b->volume, sizeof(a->volume)) && !strcmp(a->name, b->name) &&
	       a->size_blocks == b->size_blocks && a->pg_blocks == b->pg_blocks &&
	       a->region == b->region && a->transport == b->transport &&
	       a->lease_ms == b->lease_ms && a->created_unix_s == b->created_unix_s &&
	       sextant_ballot_equal(&a->ballot, &b->ballot) && a->sequence == b->sequence &&
	       !memcmp(a->peers, b->peers, sizeof(a->peers)) &&
	       a->generation_count == b->generation_count &&
	       !memcmp(a->generations, b->generations,
		       a->generation_count * sizeof(a->generations[0])) &&
	       a->table_count == b->table_count &&
	       !memcmp(a->table, b->table, a->table_count * sizeof(a->table[0]));
}

static void test_round_trip(void)
{
	struct sextant_manifest m = example(), back;
	const char *why = NULL;
	size_t size;
	u8 *bytes;

	ok(!sextant_manifest_encode(&m, &bytes, &size), "encodes");
	ok(!sextant_manifest_decode(bytes, size, &back, &why) && same(&m, &back),
	   "decodes to the same");
	sextant_manifest_release(&back);
	free(bytes);

	m.table_count = 0;
	m.lease_ms = 0;
	sextant_manifest_encode(&m, &bytes, &size);
	ok(!sextant_manifest_decode(bytes, size, &back, NULL) && !back.table_count && !back.table,
	   "an empty table decodes");
	is_u64(back.lease_ms, SEXTANT_LEASE_MS_DEFAULT, "no lease time is the default");
	sextant_manifest_release(&back);
	free(bytes);
}

static void test_damage(void)
{
	struct sextant_manifest m = example(), back;
	size_t size, i, taken = 0;
	u8 *bytes;

	sextant_manifest_encode(&m, &bytes, &size);
	for (i = 0; i < size; i++) {
		bytes[i] ^= 1 << (i % 8);
		if (!sextant_manifest_decode(bytes, size, &back, NULL)) {
			sextant_manifest_release(&back);
			taken++;
		}
		bytes[i] ^= 1 << (i % 8);
	}
	is_u64(taken, 0, "a flipped bit anywhere is refused");
	for (i = 0; i < size; i++) {
		/* A copy of its own, so that a sanitizer sees a byte read too far. */
		u8 *cut = malloc(i + 1);

		memcpy(cut, bytes, i);
		if (!sextant_manifest_decode(cut, i, &back, NULL)) {
			sextant_manifest_release(&back);
			taken++;
		}
		free(cut);
	}
	is_u64(taken, 0, "cut short anywhere it is refused");
	free(bytes);
}

/* Sets the header's length and CRC as they must be for what follows. */
static void mend(u8 *bytes, size_t size)
{
	u32 length = htole32((u32)size), crc = htole32(sextant_crc32c(bytes + 24, size - 24));

	memcpy(bytes + 12, &length, 4);
	memcpy(bytes + 16, &crc, 4);
}

static void test_sections(void)
{
	struct sextant_manifest m = example(), back;
	u32 section[2] = { htole32(99), htole32(8) };
	const char *why = NULL;
	size_t size;
	u8 *bytes;
	int error;

	sextant_manifest_encode(&m, &bytes, &size);
	bytes = realloc(bytes, size + 16);
	memcpy(bytes + size, section, 8);
	memset(bytes + size + 8, 1, 8);
	mend(bytes, size + 16);
	error = sextant_manifest_decode(bytes, size + 16, &back, &why);
	ok(!error && same(&m, &back), "a section that it need not know is skipped");
	sextant_manifest_release(&back);

	section[0] = htole32(99 | 0x80000000u);
	memcpy(bytes + size, section, 8);
	mend(bytes, size + 16);
	ok(sextant_manifest_decode(bytes, size + 16, &back, &why) == -EINVAL && strstr(why, "must"),
	   "one that it must know is refused: %s", why);

	bytes[8] = 2;
	ok(sextant_manifest_decode(bytes, size, &back, &why) == -EPROTONOSUPPORT,
	   "another version is refused: %s", why);
	free(bytes);
}

static void refused(const struct sextant_manifest *m, const char *what)
{
	size_t size;
	u8 *bytes = NULL;

	ok(sextant_manifest_encode(m, &bytes, &size) == -EINVAL, "refused: %s", what);
}

static void test_rules(void)
{
	struct sextant_manifest m = example();

	m.size_blocks = 0;
	refused(&m, "size 0");
	m = example();
	m.pg_blocks = 100;
	refused(&m, "protection groups that are no multiple of a record");
	m = example();
	m.region = 8;
	refused(&m, "Region 8");
	m = example();
	m.transport = 3;
	refused(&m, "an unknown transport");
	m = example();
	m.sequence = 0;
	refused(&m, "sequence 0");
	m = example();
	m.name[0] = '-';
	refused(&m, "a name that looks like an option");
	m = example();
	m.name[20] = 'x';
	refused(&m, "bytes behind the name's end");
	m = example();
	strcpy(m.peers[1].name, m.peers[0].name);
	refused(&m, "two peers of one name");
	m = example();
	strcpy(m.peers[1].address, m.peers[0].address);
	refused(&m, "two peers of one address");
	m = example();
	strcpy(m.peers[0].address, "[::1]:4860");
	strcpy(m.peers[1].address, "[0::1]:4860");
	refused(&m, "two peers of one address, written differently");
	m = example();
	strcpy(m.peers[0].address, "storage-1:4860");
	refused(&m, "an address that is not numeric");
	m = example();
	strcpy(m.peers[0].az, "az2");
	refused(&m, "three peers in an AZ");
	m = example();
	memset(m.peers[0].incarnation, 0, SEXTANT_UUID_BYTES);
	refused(&m, "a peer without an incarnation");
	m = example();
	m.generation_count = 0;
	refused(&m, "no key generation");
	m = example();
	generations[1].generation = 1;
	refused(&m, "key generations that do not rise");
	m = example();
	table[1].first_lsn = table[0].first_lsn;
	refused(&m, "a table that does not rise");
	m = example();
	m.ballot.epoch = 19;
	refused(&m, "a table above its ballot");
	m = example();
	m.lease_ms = 1;
	refused(&m, "a lease of 1 ms");
}

static void test_text(void)
{
	struct sockaddr_storage address;
	u8 uuid[SEXTANT_UUID_BYTES];
	char text[SEXTANT_UUID_TEXT_BYTES];
	socklen_t bytes;
	u64 size = 0;

	ok(!sextant_uuid_parse("01234567-89ab-CDEF-0123-456789abcdef", uuid), "a UUID parses");
	sextant_uuid_format(text, uuid);
	ok(!strcmp(text, "01234567-89ab-cdef-0123-456789abcdef"), "and is written back");
	ok(sextant_uuid_parse("01234567-89ab-cdef-0123-456789abcde", uuid) &&
	   sextant_uuid_parse("01234567-89ab-cdef-0123-456789abcdeff", uuid) &&
	   sextant_uuid_parse("0123456789abcdef0123456789abcdef", uuid) &&
	   sextant_uuid_parse("", uuid), "what is no UUID does not");
	ok(!sextant_size_parse("10G", &size) && size == 10ull << 30, "10G");
	ok(!sextant_size_parse("1TiB", &size) && size == 1ull << 40, "1TiB");
	ok(!sextant_size_parse("4096", &size) && size == 4096, "4096");
	ok(sextant_size_parse("-1", &size) == -EINVAL && sextant_size_parse("", &size) == -EINVAL &&
	   sextant_size_parse("1.5G", &size) == -EINVAL &&
	   sextant_size_parse("10X", &size) == -EINVAL, "what is no size is refused");
	ok(sextant_size_parse("9999999999999999999999", &size) == -ERANGE &&
	   sextant_size_parse("16E", &size) == -ERANGE, "what is too large is refused");
	ok(!sextant_address_parse("192.0.2.1:4860", &address, &bytes) &&
	   !sextant_address_parse("[2001:db8::1]:4860", &address, &bytes), "addresses");
	ok(sextant_address_parse("192.0.2.1", &address, &bytes) &&
	   sextant_address_parse("192.0.2.1:0", &address, &bytes) &&
	   sextant_address_parse("host:1", &address, &bytes) &&
	   sextant_address_parse(":1", &address, &bytes), "what is no address is refused");
	ok(sextant_name_valid("a") && sextant_name_valid("db-1.x_y+z") && !sextant_name_valid("") &&
	   !sextant_name_valid("a/b") && !sextant_name_valid("-a") && !sextant_name_valid("a b"),
	   "names");
}

int main(void)
{
	test_round_trip();
	test_damage();
	test_sections();
	test_rules();
	test_text();
	return done_testing();
}
