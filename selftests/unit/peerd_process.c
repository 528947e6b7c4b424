// SPDX-License-Identifier: GPL-2.0
/*
 * sextant-peerd as its clients see it: a real daemon, real TCP, real files.
 * deadline: 60
 */
#include "peer_client.h"

#define SIZE_BLOCKS	16384
#define PG_BLOCKS	4096

static char folder[512];
static struct daemon one;
static uint8_t incarnations[SEXTANT_PEERS][SEXTANT_UUID_BYTES];
static struct client_record record;
static uint64_t next_lsn = 1;		/* of the writer */
static uint64_t tails[SIZE_BLOCKS / PG_BLOCKS];

static void manifest_of(uint32_t epoch, uint32_t table_count,
			const struct sextant_wire_table_entry *table, uint8_t **bytes, size_t *size)
{
	client_manifest(bytes, size, SIZE_BLOCKS, PG_BLOCKS, epoch, 1, table, table_count, &one, 1,
			incarnations);
}

/* Makes the volume and attaches to it with this epoch, the first one. */
static void make_volume(struct daemon *daemon, uint32_t epoch)
{
	struct sextant_wire_table_entry table = { .first_lsn = cpu_to_le64(1) };
	struct sextant_wire_ballot ballot = client_ballot(epoch);
	uint8_t *manifest;
	uint32_t status;
	size_t size;
	int fd;

	sextant_uuid_draw(client_volume);
	next_lsn = 1;
	memset(tails, 0, sizeof(tails));
	fd = client_hello(daemon, SEXTANT_ROLE_CONTROL, NULL, NULL, &status);
	is_u64(status, SEXTANT_ST_OK, "HELLO without a volume");
	is_u64(client_create(fd, SIZE_BLOCKS, PG_BLOCKS, incarnations[0]), SEXTANT_ST_OK, "CREATE");
	ok(!sextant_is_zero(incarnations[0], SEXTANT_UUID_BYTES), "and it has an incarnation");
	is_u64(client_prepare(fd, 8), SEXTANT_ST_OK, "PREPARE on the same connection");
	manifest_of(8, 0, NULL, &manifest, &size);
	is_u64(client_manifest_put(fd, 8, 1, manifest, size), SEXTANT_ST_OK, "MANIFEST_PUT");
	free(manifest);
	is_u64(client_prepare(fd, epoch), SEXTANT_ST_OK, "PREPARE of the writer's ballot");
	table.epoch = cpu_to_le32(epoch);
	memcpy(table.attach_id, ballot.attach_id, sizeof(table.attach_id));
	manifest_of(epoch, 1, &table, &manifest, &size);
	is_u64(client_activate(fd, epoch, 0, 0, 0, NULL, 0, manifest, size), SEXTANT_ST_OK,
	       "ACTIVATE");
	free(manifest);
	close(fd);
}

static int writer(uint32_t epoch)
{
	struct sextant_wire_ballot ballot = client_ballot(epoch);

	return client_open(&one, SEXTANT_ROLE_WRITER, &ballot);
}

/* Sends the next record. */
static bool append(int fd, uint32_t epoch, uint32_t kind, uint32_t pg, uint64_t block,
		   uint32_t blocks)
{
	client_record_fill(&record, epoch, kind, pg, next_lsn, tails[pg], tails[pg] ? epoch : 0,
			   block, blocks);
	next_lsn += le32_to_cpu(record.append.record.lsn_count);
	tails[pg] = next_lsn - 1;
	return client_record_send(fd, SEXTANT_MSG_APPEND, &record);
}

/* Is block i of the last READ the one written at this LSN? data_at: which of the data. */
static bool is_version(uint32_t i, uint32_t data_at, uint64_t lsn)
{
	uint8_t block[SEXTANT_BLOCK_BYTES];

	client_fill(block, lsn);
	return client_version(i)->kind == SEXTANT_BLOCK_DATA &&
	       le64_to_cpu(client_version(i)->lsn) == lsn &&
	       reply.data_bytes >= (data_at + 1) * SEXTANT_BLOCK_BYTES &&
	       !memcmp(reply.data + data_at * SEXTANT_BLOCK_BYTES, block, sizeof(block));
}

static void test_write_and_read(void)
{
	uint64_t start = ~0ull, end = 0;
	int fd;

	make_volume(&one, 16);
	fd = writer(16);
	append(fd, 16, SEXTANT_RECORD_DATA, 0, 10, 4);
	is_u64(client_ack(fd, &start, &end), SEXTANT_ST_OK, "a record is acked");
	is_u64(start, 0, "its run starts at 0");
	is_u64(end, 4, "and ends with it");
	is_u64(client_block_read(fd, 16, 0, 9, 6, 4, 4, 0), SEXTANT_ST_OK, "READ");
	ok(client_version(0)->kind == SEXTANT_BLOCK_NEVER &&
	   client_version(5)->kind == SEXTANT_BLOCK_NEVER, "what was never written is so");
	ok(is_version(1, 0, 1) && is_version(2, 1, 2) && is_version(3, 2, 3) &&
	   is_version(4, 3, 4), "the blocks are as they were written");
	is_u64(reply.data_bytes, 4 * SEXTANT_BLOCK_BYTES, "with no more data than that");
	is_u64(client_block_read(fd, 16, 0, 9, 6, 4, 4, SEXTANT_READ_META_ONLY), SEXTANT_ST_OK,
	       "READ of the meta only");
	is_u64(reply.data_bytes, 0, "has no data");
	ok(client_version(1)->kind == SEXTANT_BLOCK_DATA, "but the versions");

	append(fd, 16, SEXTANT_RECORD_DISCARD, 0, 0, 2048);
	ok(client_ack_until(fd, 5), "a discard is acked");
	is_u64(client_block_read(fd, 16, 0, 10, 1, 5, 5, 0), SEXTANT_ST_OK, "READ of a discard");
	ok(client_version(0)->kind == SEXTANT_BLOCK_DISCARD &&
	   le32_to_cpu(client_version(0)->extent_blocks) == 2048, "says what its seal covers");
	is_u64(client_block_read(fd, 16, 0, 10, 1, 4, 4, 0), SEXTANT_ST_OK, "READ below it");
	ok(is_version(0, 0, 1), "gives the version before");
	append(fd, 16, SEXTANT_RECORD_VOID, 0, 0, 0);
	ok(client_ack_until(fd, 6), "a VOID is acked");
	is_u64(client_block_read(fd, 16, 1, 4096, 32, 6, 0, 0), SEXTANT_ST_OK, "an untouched PG");
	is_u64(client_block_read(fd, 16, 0, 10, 1, 7, 7, 0), SEXTANT_ST_INCOMPLETE,
	       "what is not here cannot be proved");
	is_u64(client_block_read(fd, 16, 0, 4090, 32, 6, 6, 0), SEXTANT_ST_BAD_REQUEST,
	       "READ over the PG's end");
	is_u64(client_block_read(fd, 16, 9, 10, 1, 6, 6, 0), SEXTANT_ST_BAD_REQUEST,
	       "READ of a PG that there is not");

	next_lsn = 20;
	tails[0] = 19;
	append(fd, 16, SEXTANT_RECORD_DATA, 0, 10, 1);
	is_u64(client_ack(fd, &start, &end), SEXTANT_ST_OK, "a record behind a hole is acked");
	is_u64(start, 19, "with the run behind the hole");
	close(fd);
}

int main(int argc, char **argv)
{
	(void)argc;
	client_find_binary(argv[0]);
	snprintf(folder, sizeof(folder), "/tmp/sextant-peerd-test.XXXXXX");
	if (!mkdtemp(folder))
		bail("no scratch folder");
	daemon_init(&one, folder, "az1a", "az1");
	daemon_start(&one);
	test_write_and_read();
	ok(daemon_lives(&one), "the daemon lives");
	is_u64((uint64_t)daemon_end(&one, SIGTERM), 0, "and stops when told to");
	return done_testing();
}
