// SPDX-License-Identifier: GPL-2.0
/*
 * What a store must survive: SIGKILL under load, rot, a full disk.
 * deadline: 60
 */
#include <dirent.h>
#include <sys/mount.h>

#include "peer_client.h"

#define ROUNDS		8
#define RECORDS_MAX	20000

static struct daemon one;
static unsigned int seed = 1;

/* Every record sent, so that it can be sent again; and what each block must be. */
static struct sent {
	uint32_t kind, pg, blocks;
	uint64_t lsn, prev_lsn, block;
} sent[RECORDS_MAX];
static uint32_t sent_count, acked_count;
static uint64_t newest[CLIENT_SIZE_BLOCKS];
static bool discarded[CLIENT_SIZE_BLOCKS];

static uint32_t random_below(uint32_t bound)
{
	return (uint32_t)rand_r(&seed) % bound;
}

static bool send_one(int fd, const struct sent *record)
{
	client_record_fill(&client_record, client_epoch, record->kind, record->pg, record->lsn,
			   record->prev_lsn, record->prev_lsn ? client_epoch : 0, record->block,
			   record->blocks);
	return client_append(fd);
}

static void draw(struct sent *record)
{
	uint32_t at, dice = random_below(40);

	record->pg = random_below(CLIENT_PGS);
	record->kind = dice ? SEXTANT_RECORD_DATA : SEXTANT_RECORD_DISCARD;
	record->blocks = dice ? 1 + random_below(random_below(4) ? 4 : 32) : 1 + random_below(1000);
	at = random_below(CLIENT_PG_BLOCKS - record->blocks);
	/* Mostly the same few blocks, so that there are versions over versions. */
	if (dice && random_below(2))
		at %= 64;
	record->block = (uint64_t)record->pg * CLIENT_PG_BLOCKS + at;
	record->lsn = client_next_lsn;
	record->prev_lsn = client_tails[record->pg];
	client_next_lsn += record->kind == SEXTANT_RECORD_DATA ? record->blocks : 1;
	client_tails[record->pg] = client_next_lsn - 1;
	client_tail_epochs[record->pg] = client_epoch;
}

static uint64_t last_lsn(const struct sent *record)
{
	return record->lsn + (record->kind == SEXTANT_RECORD_DATA ? record->blocks : 1) - 1;
}

/* Counts as acked what the runs of the last ACK cover, in order. */
static void count_acked(uint64_t acked[CLIENT_PGS])
{
	const struct sextant_wire_ack *ack = (const void *)reply.meta;

	for (uint32_t i = 0; i < le32_to_cpu(ack->count); i++) {
		uint32_t pg = le32_to_cpu(ack->runs[i].pg);

		if (le64_to_cpu(ack->runs[i].run_start_lsn) > acked[pg])
			bail("an ACK has a hole that there is not");
		if (le64_to_cpu(ack->runs[i].run_end_lsn) > acked[pg])
			acked[pg] = le64_to_cpu(ack->runs[i].run_end_lsn);
	}
	while (acked_count < sent_count && acked[sent[acked_count].pg] >=
	       last_lsn(&sent[acked_count])) {
		const struct sent *record = &sent[acked_count++];

		for (uint32_t i = 0; i < record->blocks; i++) {
			bool is_data = record->kind == SEXTANT_RECORD_DATA;

			newest[record->block + i] = record->lsn + (is_data ? i : 0);
			discarded[record->block + i] = !is_data;
		}
	}
}

/* VDL and MRPL at the last record acked, so that the log goes into the base. */
static void tell_vdl(int fd)
{
	uint64_t vdl = acked_count ? last_lsn(&sent[acked_count - 1]) : 0;

	client_vdl(fd, client_epoch, vdl, vdl, NULL, 0);
}

/* Writes for a while and kills the daemon in the middle of it. */
static void load_and_kill(uint32_t acks)
{
	uint64_t acked[CLIENT_PGS];
	int fd = client_writer(&one);
	uint32_t resend = acked_count;

	memset(acked, 0, sizeof(acked));
	for (uint32_t i = 0; i < acked_count; i++)
		acked[sent[i].pg] = last_lsn(&sent[i]);
	acks += acked_count;
	while (acked_count < acks) {
		while ((resend < sent_count || sent_count < RECORDS_MAX) &&
		       resend < acked_count + 64) {
			if (resend == sent_count)
				draw(&sent[sent_count++]);
			client_must(send_one(fd, &sent[resend++]), "the daemon takes no APPEND");
		}
		client_must(client_ack(fd, NULL, NULL) == SEXTANT_ST_OK, "an APPEND is refused");
		count_acked(acked);
		tell_vdl(fd);
	}
	daemon_end(&one, SIGKILL);
	/* What is still in the socket was acked, too. */
	while (client_receive(fd))
		if (reply.type == SEXTANT_MSG_ACK)
			count_acked(acked);
	close(fd);
}

/* Reads the whole volume; how many blocks are not as they must be. */
static uint32_t wrong_blocks(int fd)
{
	uint64_t lsn = last_lsn(&sent[sent_count - 1]), tail;
	uint32_t wrong = 0, status;

	for (uint64_t block = 0; block < CLIENT_SIZE_BLOCKS; block += 32) {
		uint32_t pg = (uint32_t)(block / CLIENT_PG_BLOCKS), data_at = 0;

		tail = client_tails[pg];
		status = client_block_read(fd, client_epoch, pg, block, 32, lsn, tail, 0);
		if (status) {
			if (!wrong)
				diag("READ: %s", sextant_wire_status_name(status));
			wrong += 32;
			continue;
		}
		for (uint32_t i = 0; i < 32; i++) {
			bool is_data = client_version(i)->kind == SEXTANT_BLOCK_DATA;

			if (!newest[block + i])
				wrong += client_version(i)->kind != SEXTANT_BLOCK_NEVER;
			else if (discarded[block + i])
				wrong += client_version(i)->kind != SEXTANT_BLOCK_DISCARD ||
					 le64_to_cpu(client_version(i)->lsn) != newest[block + i];
			else
				wrong += !client_is(i, data_at, newest[block + i]);
			data_at += is_data;
		}
	}
	return wrong;
}

/* The size of a log file, by the first that is found. */
static long chunk_bytes(void)
{
	char command[1200], line[64] = "";
	FILE *list;

	snprintf(command, sizeof(command), "find '%s' -name 'log-*' -printf '%%s\\n'", one.store);
	list = popen(command, "r");
	if (!fgets(line, sizeof(line), list))
		line[0] = 0;
	pclose(list);
	return atol(line);
}

/* Emptying goes on behind the writes; it may lag a while. The bound here is 2 MiB. */
static bool log_shrinks(int fd)
{
	for (uint32_t tries = 0; tries < 600; tries++) {
		if (le64_to_cpu(client_probe(fd)->log_bytes) <= 2 << 20)
			return true;
		usleep(50 * 1000);
	}
	return false;
}

static void test_kill(void)
{
	uint64_t acked[CLIENT_PGS];
	uint32_t rounds = 0;
	int fd;

	for (uint32_t i = 0; i < ROUNDS; i++) {
		load_and_kill(400 + random_below(800));
		daemon_start(&one);
		/* All that was not acked once more, as the writer would; then all is known. */
		fd = client_writer(&one);
		memset(acked, 0, sizeof(acked));
		for (uint32_t k = 0; k < acked_count; k++)
			acked[sent[k].pg] = last_lsn(&sent[k]);
		for (uint32_t k = acked_count; k < sent_count; k++)
			client_must(send_one(fd, &sent[k]), "the daemon takes no APPEND");
		while (acked_count < sent_count) {
			client_must(client_ack(fd, NULL, NULL) == SEXTANT_ST_OK,
				    "a resent APPEND is refused");
			count_acked(acked);
		}
		if (wrong_blocks(fd))
			diag("round %u: %u blocks are wrong", i, wrong_blocks(fd));
		else
			rounds++;
		close(fd);
	}
	fd = client_writer(&one);
	client_vdl_all(fd, client_next_lsn - 1);
	close(fd);
	fd = client_open(&one, SEXTANT_ROLE_CONTROL, NULL);
	ok(log_shrinks(fd), "the log goes back to its bound once nobody reads old versions");
	close(fd);
	is_u64(rounds, ROUNDS, "SIGKILL under load: all that was acked is there");
	ok(chunk_bytes() == 256 << 10, "the log's files are as large as was said");
	diag("%u records, %" PRIu64 " LSNs", sent_count, client_next_lsn - 1);
}

/* ---- rot --------------------------------------------------------------- */

/* Where these bytes stand in a store's files named so; false: nowhere. */
static bool find_bytes(const char *name, const uint8_t *bytes, size_t size, char path[1024],
		       long *offset)
{
	static uint8_t content[SEXTANT_BLOCK_BYTES];
	char command[1200];
	FILE *list, *file;
	bool found = false;

	snprintf(command, sizeof(command), "find '%s' -name '%s*' -type f", one.store, name);
	list = popen(command, "r");
	while (!found && fgets(path, 1024, list)) {
		path[strcspn(path, "\n")] = 0;
		file = fopen(path, "r");
		for (*offset = 0; !found && fread(content, 1, sizeof(content), file) ==
		     sizeof(content); *offset += (long)sizeof(content))
			found = !memcmp(content, bytes, size);
		fclose(file);
	}
	pclose(list);
	*offset -= SEXTANT_BLOCK_BYTES;
	return found;
}

static void flip(const char *path, long offset)
{
	int fd = open(path, O_RDWR);
	uint8_t byte;

	client_must(fd >= 0 && pread(fd, &byte, 1, offset) == 1, "a store's file cannot be read");
	byte ^= 0x10;
	client_must(pwrite(fd, &byte, 1, offset) == 1 && !fsync(fd), "nor written");
	close(fd);
}

static uint64_t faults(int fd)
{
	struct sextant_wire_heartbeat message = { .ballot = client_ballot(client_epoch) };
	const struct sextant_wire_heartbeat_reply *got = (const void *)reply.meta;

	client_must(!client_request(fd, SEXTANT_MSG_HEARTBEAT, &message, sizeof(message), NULL, 0),
		    "HEARTBEAT is refused");
	return le64_to_cpu(got->faults);
}

static void test_rot_in(const char *where, uint64_t block, uint64_t lsn)
{
	uint8_t bytes[SEXTANT_BLOCK_BYTES];
	int fd = client_writer(&one);
	uint64_t before = faults(fd);
	char path[1024];
	long offset = 0;

	client_fill(bytes, lsn);
	if (!ok(find_bytes(where, bytes, sizeof(bytes), path, &offset), "the block is in the %s",
		where))
		return;
	is_u64(client_look(fd, block), SEXTANT_ST_OK, "and is read");
	flip(path, offset + 77);
	is_u64(client_look(fd, block), SEXTANT_ST_OK, "a byte of it flipped,");
	ok(client_version(0)->kind == SEXTANT_BLOCK_DAMAGED && !reply.data_bytes,
	   "it is damaged, and no data are given");
	ok(faults(fd) > before, "and the fault is counted");
	close(fd);
}

static void test_rot(void)
{
	int control, fd;
	uint32_t status;
	char path[1300], text[SEXTANT_UUID_TEXT_BYTES];

	client_make_volume(&one, 1, 16);
	fd = client_writer(&one);
	client_next(SEXTANT_RECORD_DATA, 0, 7, 1);
	client_must(client_append(fd) && client_ack_until(fd, 1), "an APPEND is not acked");
	client_vdl_all(fd, 1);
	control = client_open(&one, SEXTANT_ROLE_CONTROL, NULL);
	for (int i = 0; i < 500 && le64_to_cpu(client_probe(control)->log_bytes); i++)
		client_sleep_ms(10);
	/* The chunk in use stays; what counts is where the block is read from. */
	client_sleep_ms(500);
	client_next(SEXTANT_RECORD_DATA, 1, CLIENT_PG_BLOCKS + 9, 1);
	client_must(client_append(fd) && client_ack_until(fd, 2), "an APPEND is not acked");
	close(fd);
	close(control);
	test_rot_in("base", 7, 1);
	test_rot_in("log", CLIENT_PG_BLOCKS + 9, 2);

	daemon_end(&one, SIGTERM);
	sextant_uuid_format(text, client_volume);
	snprintf(path, sizeof(path), "%s/%s/vote", one.store, text);
	flip(path, 20);
	daemon_start(&one);
	fd = client_hello(&one, SEXTANT_ROLE_CONTROL, client_volume, NULL, &status);
	is_u64(status, SEXTANT_ST_DAMAGED, "a vote that rots is damaged, not new");
	close(fd);
	fd = client_hello(&one, SEXTANT_ROLE_CONTROL, NULL, NULL, &status);
	is_u64(client_create(fd, CLIENT_SIZE_BLOCKS, CLIENT_PG_BLOCKS, client_incarnations[0]),
	       SEXTANT_ST_DAMAGED, "and is not made anew");
	close(fd);
}

/* The last batch that was acked rots while the daemon is down: damaged, not torn. */
static void test_last_batch(void)
{
	int fd, control;
	uint8_t bytes[SEXTANT_BLOCK_BYTES];
	uint64_t before;
	char path[1024];
	long offset = 0;

	client_make_volume(&one, 1, 16);
	fd = client_writer(&one);
	control = client_open(&one, SEXTANT_ROLE_CONTROL, NULL);
	client_next(SEXTANT_RECORD_DATA, 2, 2 * CLIENT_PG_BLOCKS, 1);
	client_must(client_append(fd) && client_ack_until(fd, 1), "an APPEND is not acked");
	before = le64_to_cpu(client_probe(control)->log_bytes);
	for (int i = 0; i < 500 && le64_to_cpu(client_probe(control)->log_bytes) == before; i++)
		client_sleep_ms(10);
	ok(le64_to_cpu(client_probe(control)->log_bytes) > before, "a last batch is vouched for");
	close(fd);
	close(control);
	daemon_end(&one, SIGKILL);
	/* The volumes before had blocks of this LSN, too. */
	client_fill(bytes, 1);
	while (find_bytes("log", bytes, sizeof(bytes), path, &offset))
		flip(path, offset + 5);
	daemon_start(&one);
	fd = client_writer(&one);
	is_u64(client_look(fd, 2 * CLIENT_PG_BLOCKS), SEXTANT_ST_OK, "and when it rots");
	is_u64(client_version(0)->kind, SEXTANT_BLOCK_DAMAGED, "it is damaged, not absent");
	close(fd);
}

/* ---- a full disk ------------------------------------------------------- */

static void ballast(const char *path, bool on)
{
	char name[1100];
	char block[65536] = "";
	int fd;

	snprintf(name, sizeof(name), "%s/ballast", path);
	unlink(name);
	if (!on)
		return;
	fd = open(name, O_WRONLY | O_CREAT, 0600);
	while (write(fd, block, sizeof(block)) > 0)
		;
	close(fd);
}

static void test_full(void)
{
	static char * const small_chunks[] = { "--chunk-bytes", "256K", NULL };
	static struct daemon full;
	uint64_t acked = 0;
	uint32_t status;
	int fd;

	daemon_init(&full, client_folder, "az2a", "az2");
	if (mount("tmpfs", full.store, "tmpfs", 0, "size=24m")) {
		skip("a full disk", "no file system can be mounted here");
		return;
	}
	memcpy(full.extra, small_chunks, sizeof(small_chunks));
	daemon_start(&full);
	client_make_volume(&full, 1, 16);
	fd = client_writer(&full);
	client_next(SEXTANT_RECORD_DATA, 0, 0, 32);
	client_must(client_append(fd) && client_ack_until(fd, 32), "an APPEND is not acked");
	acked = 32;
	ballast(full.store, true);
	do {
		client_next(SEXTANT_RECORD_DATA, 0, client_next_lsn % 4000, 32);
		status = client_append(fd) ? client_ack(fd, NULL, NULL) : ~0u;
		if (!status)
			acked += 32;
	} while (!status && acked < 24 * 256);
	is_u64(status, SEXTANT_ST_NO_SPACE, "a full disk: the append is refused, and says why");
	ok(!client_receive(fd), "and the connection ends");
	close(fd);
	fd = client_writer(&full);
	client_next_lsn = acked + 1;
	client_tails[0] = acked;
	is_u64(client_look(fd, 5), SEXTANT_ST_OK, "what was acked is read");
	ok(client_is(0, 0, 6), "and right");
	client_next(SEXTANT_RECORD_DATA, 0, 100, 32);
	client_must(client_append(fd), "APPEND cannot be sent");
	is_u64(client_ack(fd, NULL, NULL), SEXTANT_ST_NO_SPACE, "still full");
	close(fd);
	ballast(full.store, false);
	fd = client_writer(&full);
	client_next_lsn = acked + 1;
	client_tails[0] = acked;
	client_next(SEXTANT_RECORD_DATA, 0, 100, 32);
	client_must(client_append(fd), "APPEND cannot be sent");
	ok(client_ack_until(fd, acked + 32), "space is back: appends are taken again");
	close(fd);
	daemon_end(&full, SIGKILL);
	daemon_start(&full);
	fd = client_writer(&full);
	is_u64(client_look(fd, 100), SEXTANT_ST_OK, "after a crash");
	ok(client_is(0, 0, acked + 1), "it is all there");
	close(fd);
	daemon_end(&full, SIGTERM);
	umount(full.store);
}

int main(int argc, char **argv)
{
	static char * const small_log[] = {
		"--chunk-bytes", "256K", "--log-bytes-max", "2M", NULL,
	};

	(void)argc;
	client_begin(argv[0]);
	daemon_init(&one, client_folder, "az1a", "az1");
	memcpy(one.extra, small_log, sizeof(small_log));
	daemon_start(&one);
	client_make_volume(&one, 1, 16);
	test_kill();
	test_rot();
	test_last_batch();
	daemon_end(&one, SIGTERM);
	test_full();
	return client_end();
}
