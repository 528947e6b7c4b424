// SPDX-License-Identifier: GPL-2.0
/*
 * sextant-peerd as its clients see it: a real daemon, real TCP, real files.
 * deadline: 60
 */
#include "peer_client.h"

static struct daemon one;

static void append(int fd, uint32_t kind, uint32_t pg, uint64_t block, uint32_t blocks)
{
	client_next(kind, pg, block, blocks);
	client_must(client_append(fd), "APPEND cannot be sent");
}

static uint32_t read_at(int fd, uint64_t block, uint32_t count, uint64_t lsn, uint32_t flags)
{
	return client_block_read(fd, client_epoch, (uint32_t)(block / CLIENT_PG_BLOCKS), block,
				 count, lsn, lsn, flags);
}

static void test_write_and_read(void)
{
	uint64_t start = ~0ull, end = 0;
	int fd = client_writer(&one);

	append(fd, SEXTANT_RECORD_DATA, 0, 10, 4);
	is_u64(client_ack(fd, &start, &end), SEXTANT_ST_OK, "a record is acked");
	ok(start == 0 && end == 4, "its run is (0, 4]");
	is_u64(read_at(fd, 9, 6, 4, 0), SEXTANT_ST_OK, "READ");
	ok(client_version(0)->kind == SEXTANT_BLOCK_NEVER &&
	   client_version(5)->kind == SEXTANT_BLOCK_NEVER, "what was never written is so");
	ok(client_is(1, 0, 1) && client_is(2, 1, 2) && client_is(3, 2, 3) && client_is(4, 3, 4),
	   "the blocks are as they were written");
	is_u64(reply.data_bytes, 4 * SEXTANT_BLOCK_BYTES, "with no more data than that");
	is_u64(read_at(fd, 9, 6, 4, SEXTANT_READ_META_ONLY), SEXTANT_ST_OK, "READ of the meta only");
	ok(!reply.data_bytes && client_version(1)->kind == SEXTANT_BLOCK_DATA,
	   "has the versions and no data");
	append(fd, SEXTANT_RECORD_DISCARD, 0, 0, 2048);
	ok(client_ack_until(fd, 5), "a discard is acked");
	is_u64(read_at(fd, 10, 1, 5, 0), SEXTANT_ST_OK, "READ of a discard");
	ok(client_version(0)->kind == SEXTANT_BLOCK_DISCARD &&
	   le32_to_cpu(client_version(0)->extent_blocks) == 2048, "says what its seal covers");
	is_u64(read_at(fd, 10, 1, 4, 0), SEXTANT_ST_OK, "READ below it");
	ok(client_is(0, 0, 1), "gives the version before");
	append(fd, SEXTANT_RECORD_VOID, 0, 0, 0);
	ok(client_ack_until(fd, 6), "a VOID is acked");
	is_u64(client_block_read(fd, 16, 1, 4096, 32, 6, 0, 0), SEXTANT_ST_OK, "an untouched PG");
	is_u64(read_at(fd, 10, 1, 7, 0), SEXTANT_ST_INCOMPLETE, "what is not here is not proved");
	is_u64(read_at(fd, 4090, 32, 6, 0), SEXTANT_ST_BAD_REQUEST, "READ over the PG's end");
	is_u64(client_block_read(fd, 16, 9, 10, 1, 6, 6, 0), SEXTANT_ST_BAD_REQUEST,
	       "READ of a PG that there is not");
	close(fd);
}

/* A resent record is acked and not stored twice; one behind a hole says so. */
static void test_resend(void)
{
	uint64_t start = ~0ull, end = 0, log_bytes;
	int fd = client_writer(&one), control = client_open(&one, SEXTANT_ROLE_CONTROL, NULL);

	append(fd, SEXTANT_RECORD_DATA, 1, 4096, 1);
	ok(client_ack_until(fd, 7), "a record is acked");
	log_bytes = le64_to_cpu(client_probe(control)->log_bytes);
	close(fd);
	fd = client_writer(&one);
	client_must(client_append(fd), "APPEND cannot be sent");
	is_u64(client_ack(fd, &start, &end), SEXTANT_ST_OK, "sent again it is acked again");
	ok(start == 0 && end == 7, "with the same run");
	is_u64(le64_to_cpu(client_probe(control)->log_bytes), log_bytes, "and not stored again");
	client_record.data[5] ^= 1;
	client_must(client_append(fd), "APPEND cannot be sent");
	is_u64(client_ack(fd, NULL, NULL), SEXTANT_ST_BAD_REQUEST, "a block that fails its CRC");
	ok(!client_receive(fd), "ends the connection");
	close(fd);
	fd = client_writer(&one);
	client_next_lsn = 20;
	client_tails[1] = 19;
	append(fd, SEXTANT_RECORD_DATA, 1, 4097, 1);
	is_u64(client_ack(fd, &start, &end), SEXTANT_ST_OK, "a record behind a hole is acked");
	ok(start == 19 && end == 20, "with the run behind the hole");
	client_vdl_all(fd, 0);
	is_u64(client_look(fd, 4097), SEXTANT_ST_INCOMPLETE, "and cannot be read yet");
	ok(le32_to_cpu(client_probe(control)->incomplete_pgs) >= 1, "PROBE counts the hole");
	client_next_lsn = 8;
	client_tails[1] = 7;
	append(fd, SEXTANT_RECORD_DATA, 1, 4100, 12);
	ok(client_ack_until(fd, 20), "the hole filled, the run goes on to the end");
	client_next_lsn = 21;
	client_tails[1] = 20;
	is_u64(client_look(fd, 4097), SEXTANT_ST_OK, "and all can be read");
	close(fd);
	close(control);
}

static uint32_t put_manifest(int fd, uint32_t epoch, uint64_t sequence)
{
	uint8_t *manifest;
	uint32_t status;
	size_t size;

	client_manifest(&manifest, &size, CLIENT_SIZE_BLOCKS, CLIENT_PG_BLOCKS, epoch, sequence,
			client_table, client_table_count, &one, 1, client_incarnations);
	status = client_manifest_put(fd, epoch, sequence, manifest, size);
	free(manifest);
	return status;
}

static uint32_t heartbeat(int fd, uint32_t flags)
{
	struct sextant_wire_heartbeat message = {
		.ballot = client_ballot(client_epoch),
		.flags = cpu_to_le32(flags),
	};

	return client_request(fd, SEXTANT_MSG_HEARTBEAT, &message, sizeof(message), NULL, 0);
}

/* Promises and tables: who may write, read, and is told what. */
static void test_ballots(void)
{
	int fd = client_writer(&one), control = client_open(&one, SEXTANT_ROLE_CONTROL, NULL);
	struct sextant_wire_ballot ballot;
	uint32_t status;
	int other;

	ok(le64_to_cpu(client_probe(control)->lease_age_ms) == ~0ull, "no heartbeat, no lease");
	is_u64(heartbeat(fd, 0), SEXTANT_ST_OK, "HEARTBEAT");
	ok(le64_to_cpu(client_probe(control)->lease_age_ms) < 5000, "and there is one");
	is_u64(put_manifest(control, 16, 2), SEXTANT_ST_OK, "MANIFEST_PUT of the owner");
	is_u64(put_manifest(control, 16, 2), SEXTANT_ST_BAD_REQUEST, "not of an old sequence");
	is_u64(client_prepare(control, 24), SEXTANT_ST_OK, "a higher ballot is promised");
	is_u64(client_prepare(control, 24), SEXTANT_ST_OK, "and again");
	is_u64(client_prepare(control, 16), SEXTANT_ST_PROMISED, "a lower one is not");
	is_u64(heartbeat(fd, 0), SEXTANT_ST_OK, "the writer's heartbeat is still answered");
	is_u64(client_look(fd, 10), SEXTANT_ST_OK, "and reads are served");
	append(fd, SEXTANT_RECORD_DATA, 0, 1, 1);
	is_u64(client_ack(fd, NULL, NULL), SEXTANT_ST_PROMISED, "but appends are refused");
	ballot = client_ballot(16);
	other = client_hello(&one, SEXTANT_ROLE_WRITER, client_volume, &ballot, &status);
	is_u64(status, SEXTANT_ST_PROMISED, "and so is its HELLO");
	close(other);
	ballot = client_ballot(24);
	other = client_hello(&one, SEXTANT_ROLE_WRITER, client_volume, &ballot, &status);
	is_u64(status, SEXTANT_ST_NOT_ACCEPTED, "the new one is no writer yet");
	close(other);
	is_u64(put_manifest(control, 24, 1), SEXTANT_ST_NOT_ACCEPTED, "nor owns the manifest");
	client_attach(&one, 1, 24, 20, 0);
	is_u64(client_ack(fd, NULL, NULL), SEXTANT_ST_FENCED, "ACTIVATE tells the old writer");
	client_epoch = 16;
	is_u64(heartbeat(fd, 0), SEXTANT_ST_FENCED, "whose heartbeat is refused");
	is_u64(client_look(fd, 10), SEXTANT_ST_FENCED, "and whose reads are, too");
	client_epoch = 24;
	is_u64(client_prepare(control, 16), SEXTANT_ST_PROMISED, "no way back");
	close(fd);
	fd = client_writer(&one);
	client_tails[0] = 6;
	client_tails[1] = 20;
	is_u64(client_block_read(fd, 24, 0, 10, 1, 20, 6, 0), SEXTANT_ST_OK,
	       "the new writer reads what the old one wrote");
	append(fd, SEXTANT_RECORD_DATA, 0, 10, 1);
	ok(client_ack_until(fd, 21), "and writes");
	is_u64(heartbeat(fd, SEXTANT_HEARTBEAT_RELEASE), SEXTANT_ST_OK, "the lease is released");
	ok(le32_to_cpu(client_probe(control)->flags) & SEXTANT_STATE_RELEASED, "and PROBE says so");
	close(fd);
	close(control);
}

/* A tail is not activated before it is held; COPY brings it. */
static void test_copy(void)
{
	struct sextant_wire_pg_tail tail = {
		.pg = cpu_to_le32(2), .epoch = cpu_to_le32(24), .lsn = cpu_to_le64(30),
	};
	struct sextant_wire_fetch fetch = {
		.pg = cpu_to_le32(2), .epoch = cpu_to_le32(24), .lsn = cpu_to_le64(27),
	};
	struct sextant_wire_tail ask = { .after_lsn = cpu_to_le64(21), .after_epoch = ~0u };
	const struct sextant_wire_tail_reply *got = (const void *)reply.meta;
	int control = client_open(&one, SEXTANT_ROLE_CONTROL, NULL);
	struct sextant_wire_ballot ballot = client_ballot(32);
	uint8_t *manifest;
	size_t size;

	client_table[client_table_count].first_lsn = cpu_to_le64(31);
	client_table[client_table_count].epoch = cpu_to_le32(32);
	memcpy(client_table[client_table_count++].attach_id, ballot.attach_id, 32);
	client_manifest(&manifest, &size, CLIENT_SIZE_BLOCKS, CLIENT_PG_BLOCKS, 32, 1, client_table,
			client_table_count, &one, 1, client_incarnations);
	is_u64(client_prepare(control, 32), SEXTANT_ST_OK, "PREPARE");
	is_u64(client_activate(control, 32, 0, 21, 30, &tail, 1, manifest, size),
	       SEXTANT_ST_INCOMPLETE, "ACTIVATE of a tail that is not held");
	client_record_fill(&client_record, 24, SEXTANT_RECORD_DATA, 2, 27, 0, 0, 8192, 4);
	client_record.append.ballot = client_ballot(24);
	is_u64(client_request(control, SEXTANT_MSG_COPY, &client_record.append,
			      client_record.meta_bytes, client_record.data,
			      client_record.data_bytes), SEXTANT_ST_PROMISED, "COPY of another");
	client_record.append.ballot = ballot;
	is_u64(client_request(control, SEXTANT_MSG_COPY, &client_record.append,
			      client_record.meta_bytes, client_record.data,
			      client_record.data_bytes), SEXTANT_ST_OK, "COPY");
	is_u64(client_request(control, SEXTANT_MSG_TAIL, &ask, sizeof(ask), NULL, 0),
	       SEXTANT_ST_OK, "TAIL");
	ok(le32_to_cpu(got->count) == 1 && le64_to_cpu(got->entries[0].record.lsn) == 27,
	   "lists it");
	is_u64(client_request(control, SEXTANT_MSG_FETCH, &fetch, sizeof(fetch), NULL, 0),
	       SEXTANT_ST_OK, "FETCH");
	ok(reply.data_bytes == client_record.data_bytes &&
	   !memcmp(reply.data, client_record.data, reply.data_bytes), "gives it");
	is_u64(client_activate(control, 32, 0, 21, 30, &tail, 1, manifest, size), SEXTANT_ST_OK,
	       "and now ACTIVATE is accepted");
	free(manifest);
	client_epoch = 32;
	close(control);
}

static void test_delete(void)
{
	struct sextant_wire_delete message = { .ballot = client_ballot(24) };
	int control = client_open(&one, SEXTANT_ROLE_CONTROL, NULL);
	uint32_t status;

	is_u64(client_request(control, SEXTANT_MSG_DELETE, &message, sizeof(message), NULL, 0),
	       SEXTANT_ST_FENCED, "DELETE by another than was promised");
	message.ballot = client_ballot(32);
	is_u64(client_request(control, SEXTANT_MSG_DELETE, &message, sizeof(message), NULL, 0),
	       SEXTANT_ST_OK, "DELETE");
	close(control);
	control = client_hello(&one, SEXTANT_ROLE_CONTROL, client_volume, NULL, &status);
	is_u64(status, SEXTANT_ST_NO_VOLUME, "there is no such volume any more");
	close(control);
	control = client_hello(&one, SEXTANT_ROLE_CONTROL, NULL, NULL, &status);
	is_u64(client_request(control, SEXTANT_MSG_LIST, NULL, 0, NULL, 0), SEXTANT_ST_OK, "LIST");
	is_u64(le32_to_cpu(((const struct sextant_wire_list_reply *)reply.meta)->count), 0,
	       "is empty");
	close(control);
}

int main(int argc, char **argv)
{
	(void)argc;
	client_begin(argv[0]);
	daemon_init(&one, client_folder, "az1a", "az1");
	daemon_start(&one);
	client_make_volume(&one, 1, 16);
	test_write_and_read();
	test_resend();
	test_ballots();
	test_copy();
	is_u64((uint64_t)daemon_end(&one, SIGTERM), 0, "it stops when told to");
	daemon_start(&one);
	test_delete();
	ok(daemon_lives(&one), "the daemon lives");
	is_u64((uint64_t)daemon_end(&one, SIGTERM), 0, "and stops again");
	return client_end();
}
