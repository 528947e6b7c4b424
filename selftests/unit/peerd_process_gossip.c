// SPDX-License-Identifier: GPL-2.0
/*
 * Peers that give each other what they lack: records, whole bases, a block that
 * rotted. Four real daemons.
 * deadline: 60
 */
#include "peer_client.h"

#define PEERS	4

static struct daemon peers[PEERS];
static int writers[PEERS];

static void connect_all(void)
{
	for (uint32_t i = 0; i < PEERS; i++)
		writers[i] = daemon_lives(&peers[i]) ? client_writer(&peers[i]) : -1;
}

static void close_all(void)
{
	for (uint32_t i = 0; i < PEERS; i++)
		if (writers[i] >= 0)
			close(writers[i]);
}

/* Writes one record to every peer that is connected, and waits for their acks. */
static void write_all(uint32_t kind, uint32_t pg, uint64_t block, uint32_t blocks)
{
	client_next(kind, pg, block, blocks);
	for (uint32_t i = 0; i < PEERS; i++)
		if (writers[i] >= 0)
			client_must(client_append(writers[i]), "APPEND cannot be sent");
	for (uint32_t i = 0; i < PEERS; i++)
		if (writers[i] >= 0)
			client_must(client_ack_until(writers[i], client_next_lsn - 1),
				    "a record is not acked");
}

static void tell_all(uint64_t mrpl)
{
	for (uint32_t i = 0; i < PEERS; i++)
		if (writers[i] >= 0)
			client_vdl_all(writers[i], mrpl);
}

/* Waits until the block reads as written at this LSN. */
static bool becomes(int fd, uint64_t block, uint64_t lsn)
{
	uint64_t end_ms = client_now_ms() + CLIENT_WAIT_MS;
	uint32_t status;

	do {
		status = client_look(fd, block);
		if (!status && client_is(0, 0, lsn))
			return true;
		client_sleep_ms(20);
	} while (client_now_ms() < end_ms);
	diag("the last READ: %s, kind %u", sextant_wire_status_name(status),
	     status ? 0 : client_version(0)->kind);
	return false;
}

static bool becomes_whole(const struct daemon *daemon)
{
	uint64_t end_ms = client_now_ms() + CLIENT_WAIT_MS;
	int fd = client_open(daemon, SEXTANT_ROLE_CONTROL, NULL);
	uint32_t incomplete, damaged;
	uint64_t known_vdl;

	do {
		known_vdl = le64_to_cpu(client_probe(fd)->known_vdl);
		incomplete = le32_to_cpu(client_probe(fd)->incomplete_pgs);
		damaged = le32_to_cpu(client_probe(fd)->damaged_ranges);
		if (!incomplete && !damaged && known_vdl == client_next_lsn - 1)
			break;
		client_sleep_ms(20);
	} while (client_now_ms() < end_ms);
	close(fd);
	if (incomplete || damaged)
		diag("%u incomplete, %u damaged", incomplete, damaged);
	return !incomplete && !damaged;
}

/* A PG's SCL and floor, as PG_LIST says them. */
static struct sextant_wire_pg_state pg_state(const struct daemon *daemon, uint32_t pg)
{
	struct {
		struct sextant_wire_pg_list head;
		struct sextant_wire_table_entry table[64];
	} message = {
		.head.upto_lsn = cpu_to_le64(client_next_lsn - 1),
		.head.table_count = cpu_to_le32(client_table_count),
	};
	const struct sextant_wire_pg_list_reply *got = (const void *)reply.meta;
	int fd = client_open(daemon, SEXTANT_ROLE_CONTROL, NULL);
	struct sextant_wire_pg_state none = { .pg = ~0u };

	memcpy(message.table, client_table, client_table_count * sizeof(client_table[0]));
	client_must(!client_request(fd, SEXTANT_MSG_PG_LIST, &message,
				    (uint32_t)(sizeof(message.head) +
					       client_table_count * sizeof(client_table[0])),
				    NULL, 0), "PG_LIST is refused");
	close(fd);
	for (uint32_t i = 0; i < le32_to_cpu(got->count); i++)
		if (le32_to_cpu(got->pgs[i].pg) == pg)
			return got->pgs[i];
	return none;
}

static void test_records(void)
{
	connect_all();
	write_all(SEXTANT_RECORD_DATA, 0, 0, 8);
	close(writers[3]);
	writers[3] = -1;
	for (uint32_t i = 0; i < 40; i++)
		write_all(i % 8 == 7 ? SEXTANT_RECORD_DISCARD : SEXTANT_RECORD_DATA, i % 2,
			  (uint64_t)(i % 2) * CLIENT_PG_BLOCKS + i, 4);
	write_all(SEXTANT_RECORD_DATA, 0, 5, 1);
	writers[3] = client_writer(&peers[3]);
	write_all(SEXTANT_RECORD_DATA, 0, 6, 1);
	is_u64(client_look(writers[3], 5), SEXTANT_ST_INCOMPLETE, "a hole: no read is served");
	tell_all(0);
	ok(becomes(writers[3], 5, client_next_lsn - 2), "the tails are told: the hole is filled");
	ok(becomes_whole(&peers[3]), "nothing is missing any more");
	is_u64(client_look(writers[3], CLIENT_PG_BLOCKS + 1), SEXTANT_ST_OK, "in the other PG, too");
	close_all();
}

/* A peer that was away asks by itself for what nobody names. */
static void test_away(void)
{
	daemon_end(&peers[2], SIGKILL);
	connect_all();
	write_all(SEXTANT_RECORD_DATA, 2, 2 * CLIENT_PG_BLOCKS + 9, 3);
	write_all(SEXTANT_RECORD_DATA, 0, 100, 1);
	tell_all(0);
	close_all();
	daemon_start(&peers[2]);
	connect_all();
	for (uint32_t i = 0; i < PEERS; i++)
		client_must(client_vdl(writers[i], client_epoch, client_next_lsn - 1, 0, NULL, 0),
			    "VDL cannot be sent");
	ok(becomes_whole(&peers[2]), "started again it becomes whole");
	is_u64(le64_to_cpu(pg_state(&peers[2], 2).scl_lsn), client_tails[2],
	       "with a PG that it had never heard of");
	is_u64(client_look(writers[2], 2 * CLIENT_PG_BLOCKS + 10), SEXTANT_ST_OK, "which it reads");
	ok(client_is(0, 0, client_next_lsn - 3), "rightly");
	close_all();
}

/* The others have coalesced what it lacks: it takes their base. */
static void test_base(void)
{
	uint64_t first;

	daemon_end(&peers[1], SIGKILL);
	connect_all();
	first = client_next_lsn;
	for (uint32_t i = 0; i < 30; i++)
		write_all(SEXTANT_RECORD_DATA, 3, 3 * CLIENT_PG_BLOCKS + i * 3, 2);
	write_all(SEXTANT_RECORD_DISCARD, 3, 3 * CLIENT_PG_BLOCKS + 1000, 2000);
	tell_all(client_next_lsn - 1);
	for (uint32_t i = 0; i < 500; i++) {
		if (le64_to_cpu(pg_state(&peers[0], 3).floor_lsn) == client_tails[3] &&
		    le64_to_cpu(pg_state(&peers[2], 3).floor_lsn) == client_tails[3])
			break;
		client_sleep_ms(20);
	}
	/* The floor is told by MRPL at once; the base is there a little later. */
	client_sleep_ms(2000);
	write_all(SEXTANT_RECORD_DATA, 3, 3 * CLIENT_PG_BLOCKS + 4, 1);
	tell_all(client_next_lsn - 2);
	close_all();
	daemon_start(&peers[1]);
	connect_all();
	tell_all(client_next_lsn - 2);
	ok(becomes(writers[1], 3 * CLIENT_PG_BLOCKS + 4, client_next_lsn - 1),
	   "what the others have coalesced comes as their base");
	ok(becomes(writers[1], 3 * CLIENT_PG_BLOCKS, first), "with its blocks");
	is_u64(client_look(writers[1], 3 * CLIENT_PG_BLOCKS + 2500), SEXTANT_ST_OK, "and discards");
	is_u64(client_version(0)->kind, SEXTANT_BLOCK_DISCARD, "as such");
	is_u64(client_look(writers[1], 3 * CLIENT_PG_BLOCKS + 3500), SEXTANT_ST_OK,
	       "and what was never written");
	is_u64(client_version(0)->kind, SEXTANT_BLOCK_NEVER, "is not there");
	ok(becomes_whole(&peers[1]), "nothing is missing any more");
	daemon_end(&peers[1], SIGKILL);
	daemon_start(&peers[1]);
	close(writers[1]);
	writers[1] = client_writer(&peers[1]);
	ok(becomes(writers[1], 3 * CLIENT_PG_BLOCKS, first), "and it is all there after a crash");
	close_all();
}

static void flip_in(const char *store, const char *name, uint64_t lsn)
{
	uint8_t bytes[SEXTANT_BLOCK_BYTES], content[SEXTANT_BLOCK_BYTES];
	char command[1200], path[1024];
	bool found = false;
	FILE *list;
	off_t at;
	int fd;

	client_fill(bytes, lsn);
	snprintf(command, sizeof(command), "find '%s' -name '%s*' -type f", store, name);
	list = popen(command, "r");
	while (!found && fgets(path, sizeof(path), list)) {
		path[strcspn(path, "\n")] = 0;
		fd = open(path, O_RDWR);
		for (at = 0; !found && pread(fd, content, sizeof(content), at) ==
		     sizeof(content); at += sizeof(content)) {
			if (memcmp(content, bytes, sizeof(content)))
				continue;
			content[99] ^= 4;
			found = pwrite(fd, content, sizeof(content), at) == sizeof(content);
		}
		close(fd);
	}
	pclose(list);
	client_must(found, "the block is nowhere in the store");
}

/* Like becomes(), and on the way there the block is never told to be blank. */
static bool mends(int fd, uint64_t block, uint64_t lsn)
{
	uint64_t end_ms = client_now_ms() + CLIENT_WAIT_MS;

	do {
		if (!client_look(fd, block)) {
			if (client_version(0)->kind == SEXTANT_BLOCK_NEVER)
				return false;
			if (client_is(0, 0, lsn))
				return true;
		}
		client_sleep_ms(20);
	} while (client_now_ms() < end_ms);
	return false;
}

/* The same block rots in three stores: they ask each other before the fourth. */
static void test_repair_among_rotten(uint64_t in_base)
{
	for (uint32_t i = 0; i < 3; i++)
		flip_in(peers[i].store, "base", in_base);
	for (uint32_t i = 0; i < 3; i++)
		is_u64(client_look(writers[i], 3 * CLIENT_PG_BLOCKS), SEXTANT_ST_OK,
		       "the same rot in the base of %s", peers[i].name);
	for (uint32_t i = 0; i < 3; i++)
		ok(mends(writers[i], 3 * CLIENT_PG_BLOCKS, in_base),
		   "%s is mended, and never takes another's rot for a blank", peers[i].name);
}

static void test_repair(void)
{
	uint64_t in_base = client_tails[3] - 61, in_log;

	connect_all();
	flip_in(peers[0].store, "base", in_base);
	is_u64(client_look(writers[0], 3 * CLIENT_PG_BLOCKS), SEXTANT_ST_OK, "rot in the base");
	is_u64(client_version(0)->kind, SEXTANT_BLOCK_DAMAGED, "is seen");
	ok(becomes(writers[0], 3 * CLIENT_PG_BLOCKS, in_base), "and mended by another peer");
	test_repair_among_rotten(in_base);
	in_log = client_next_lsn;
	write_all(SEXTANT_RECORD_DATA, 1, CLIENT_PG_BLOCKS + 77, 1);
	write_all(SEXTANT_RECORD_DATA, 1, CLIENT_PG_BLOCKS + 78, 1);
	tell_all(0);
	flip_in(peers[0].store, "log", in_log);
	is_u64(client_look(writers[0], CLIENT_PG_BLOCKS + 77), SEXTANT_ST_OK, "rot in the log");
	is_u64(client_version(0)->kind, SEXTANT_BLOCK_DAMAGED, "is seen");
	ok(becomes(writers[0], CLIENT_PG_BLOCKS + 77, in_log), "and mended, too");
	close_all();
}

/* A checkpoint that rots loses the base, and the base comes back. */
static void test_checkpoint(void)
{
	char text[SEXTANT_UUID_TEXT_BYTES], path[1300];
	struct stat stat;
	int fd;

	daemon_end(&peers[0], SIGTERM);
	sextant_uuid_format(text, client_volume);
	snprintf(path, sizeof(path), "%s/%s/pg-00000003/checkpoint", peers[0].store, text);
	fd = open(path, O_RDWR);
	client_must(fd >= 0 && !fstat(fd, &stat), "there is no checkpoint");
	for (off_t at = 0; at < stat.st_size; at += 512)
		client_must(pwrite(fd, "rot!", 4, at + 40) == 4, "it cannot be written");
	close(fd);
	daemon_start(&peers[0]);
	connect_all();
	is_u64(client_look(writers[0], 3 * CLIENT_PG_BLOCKS), SEXTANT_ST_INCOMPLETE,
	       "a checkpoint that rots: nothing of the PG is served");
	tell_all(0);
	ok(becomes(writers[0], 3 * CLIENT_PG_BLOCKS, client_tails[3] - 61),
	   "until another peer has given its base");
	ok(becomes_whole(&peers[0]), "and then nothing is missing");
	close_all();
}

int main(int argc, char **argv)
{
	static const char * const names[] = { "az1a", "az1b", "az2a", "az2b" };
	static const char * const azs[] = { "az1", "az1", "az2", "az2" };

	(void)argc;
	client_begin(argv[0]);
	for (uint32_t i = 0; i < PEERS; i++) {
		daemon_init(&peers[i], client_folder, names[i], azs[i]);
		daemon_start(&peers[i]);
	}
	client_make_volume(peers, PEERS, 16);
	test_records();
	test_away();
	test_base();
	test_repair();
	test_checkpoint();
	for (uint32_t i = 0; i < PEERS; i++)
		is_u64((uint64_t)daemon_end(&peers[i], SIGTERM), 0, "%s stops", names[i]);
	return client_end();
}
