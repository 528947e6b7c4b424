// SPDX-License-Identifier: GPL-2.0
/*
 * 10,000 frames that no honest caller sends: garbage, truncated, over-long,
 * well-framed nonsense of every type in every role. The daemon lives, what was
 * written stays as it was, and others are served meanwhile. The seed is printed;
 * SEED=N runs it again.
 * deadline: 60
 */
#include "peer_client.h"

#define FRAMES	10000

static struct daemon one;
static unsigned int seed;
static uint8_t bytes[SEXTANT_WIRE_HELLO_META_MAX + sizeof(struct sextant_wire_header)];

static const uint8_t types[] = {
	SEXTANT_MSG_HELLO, SEXTANT_MSG_HELLO_REPLY, SEXTANT_MSG_LIST, SEXTANT_MSG_CREATE,
	SEXTANT_MSG_DELETE, SEXTANT_MSG_PROBE, SEXTANT_MSG_PREPARE, SEXTANT_MSG_PG_LIST,
	SEXTANT_MSG_TAIL, SEXTANT_MSG_FETCH, SEXTANT_MSG_COPY, SEXTANT_MSG_ACTIVATE,
	SEXTANT_MSG_MANIFEST_GET, SEXTANT_MSG_MANIFEST_PUT, SEXTANT_MSG_APPEND, SEXTANT_MSG_ACK,
	SEXTANT_MSG_VDL, SEXTANT_MSG_READ, SEXTANT_MSG_HEARTBEAT, SEXTANT_MSG_PULL,
	SEXTANT_MSG_PULL_BASE, SEXTANT_MSG_PULL_BLOCKS, SEXTANT_MSG_PULL_END, 0, 99, 255,
};

static uint32_t below(uint32_t bound)
{
	return (uint32_t)rand_r(&seed) % bound;
}

static void fill_random(uint8_t *to, uint32_t size)
{
	for (uint32_t i = 0; i < size; i++)
		to[i] = below(3) ? (uint8_t)below(256) : 0;
}

/* A meta that is right in its first fields, so that it is looked at further. */
static uint32_t meta_plausible(uint8_t type, uint8_t *meta)
{
	struct sextant_wire_ballot ballot = client_ballot(client_epoch);
	uint32_t size = 8 * below(60);

	fill_random(meta, size ? size : 8);
	/* No harm is meant: what the store must do for its owner is not what is tested. */
	if (type == SEXTANT_MSG_DELETE || type == SEXTANT_MSG_PREPARE ||
	    type == SEXTANT_MSG_ACTIVATE || type == SEXTANT_MSG_MANIFEST_PUT ||
	    type == SEXTANT_MSG_CREATE)
		memset(meta, 0, size ? size : 8);
	else if (size >= sizeof(ballot) && below(2))
		memcpy(meta, &ballot, sizeof(ballot));
	return size;
}

static bool send_nonsense(int fd)
{
	struct sextant_wire_header header;
	uint8_t type = types[below(sizeof(types))];
	uint32_t size = meta_plausible(type, bytes + sizeof(header));
	uint32_t data = below(4) ? 0 : SEXTANT_BLOCK_BYTES * below(3);
	uint8_t block[2 * SEXTANT_BLOCK_BYTES];

	sextant_wire_header_init(&header, type, rand_r(&seed), bytes + sizeof(header), size, data);
	switch (below(8)) {
	case 0:
		fill_random((uint8_t *)&header, sizeof(header));
		break;
	case 1:
		header.meta_crc ^= cpu_to_le32(1u << below(32));
		header.header_crc = cpu_to_le32(sextant_crc32c(&header,
			offsetof(struct sextant_wire_header, header_crc)));
		break;
	case 2:
		header.meta_bytes = cpu_to_le32(SEXTANT_WIRE_META_MAX + below(1u << 30));
		header.header_crc = cpu_to_le32(sextant_crc32c(&header,
			offsetof(struct sextant_wire_header, header_crc)));
		break;
	case 3:
		header.version = (uint8_t)below(256);
		header.header_crc = cpu_to_le32(sextant_crc32c(&header,
			offsetof(struct sextant_wire_header, header_crc)));
		break;
	}
	memcpy(bytes, &header, sizeof(header));
	/* Cut short, now and then: the rest never comes. */
	if (!below(6))
		size = below(size + 1);
	memset(block, 0, sizeof(block));
	return client_write(fd, bytes, sizeof(header) + size) &&
	       (!data || client_write(fd, block, data));
}

/* A connection in some role, or one that has said nothing yet. */
static int connect_somehow(void)
{
	struct sextant_wire_ballot ballot = client_ballot(client_epoch);
	uint32_t role = below(5), status;

	if (role < SEXTANT_ROLE_CONTROL || role > SEXTANT_ROLE_PEER)
		return client_connect_address(one.address);
	return client_hello(&one, role, client_volume, &ballot, &status);
}

static void drain(int fd)
{
	static uint8_t sink[65536];

	while (recv(fd, sink, sizeof(sink), MSG_DONTWAIT) > 0)
		;
}

int main(int argc, char **argv)
{
	int writer, fd = -1, control;
	uint32_t served = 0, rounds = 0;
	uint64_t lsn;

	(void)argc;
	seed = getenv("SEED") ? (unsigned int)atoi(getenv("SEED")) : (unsigned int)time(NULL);
	diag("SEED=%u", seed);
	client_begin(argv[0]);
	daemon_init(&one, client_folder, "az1a", "az1");
	daemon_start(&one);
	client_make_volume(&one, 1, 16);
	writer = client_writer(&one);
	client_next(SEXTANT_RECORD_DATA, 0, 0, 32);
	client_must(client_append(writer) && client_ack_until(writer, 32), "no ACK");
	for (uint32_t i = 0; i < FRAMES; i++) {
		if (fd < 0)
			fd = connect_somehow();
		if (!send_nonsense(fd) || !below(8)) {
			drain(fd);
			close(fd);
			fd = -1;
		}
		if (i % 500)
			continue;
		rounds++;
		lsn = client_next_lsn;
		client_next(SEXTANT_RECORD_DATA, 0, 100 + i % 1000, 1);
		if (client_append(writer) && client_ack_until(writer, lsn) &&
		    !client_look(writer, 100 + i % 1000) && client_is(0, 0, lsn))
			served++;
	}
	close(fd);
	is_u64(served, rounds, "a writer and reader is served meanwhile");
	ok(daemon_lives(&one), "after %u bad frames the daemon lives", FRAMES);
	is_u64(client_look(writer, 17), SEXTANT_ST_OK, "what was written is read");
	ok(client_is(0, 0, 18), "and is as it was");
	control = client_open(&one, SEXTANT_ROLE_CONTROL, NULL);
	is_u64(le32_to_cpu(client_probe(control)->damaged_ranges), 0, "nothing is damaged");
	close(control);
	close(writer);
	is_u64((uint64_t)daemon_end(&one, SIGTERM), 0, "it stops when told to");
	daemon_start(&one);
	writer = client_writer(&one);
	is_u64(client_look(writer, 17), SEXTANT_ST_OK, "and started again");
	ok(client_is(0, 0, 18), "has it still");
	close(writer);
	daemon_end(&one, SIGTERM);
	return client_end();
}
