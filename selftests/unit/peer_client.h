/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A blocking client of sextant-peerd, and starting and killing daemons, for the
 * tests that run real ones over TCP on this host. What cannot be is the end of
 * the test: bail().
 */
#ifndef SEXTANT_SELFTEST_PEER_CLIENT_H
#define SEXTANT_SELFTEST_PEER_CLIENT_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "manifest.h"
#include "tap.h"
#include "text.h"
#include "wire.h"

#define CLIENT_WAIT_MS	10000

static inline uint64_t client_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static inline void client_sleep_ms(unsigned int ms)
{
	usleep(ms * 1000);
}

/* ---- daemons ----------------------------------------------------------- */

struct daemon {
	char name[16], az[16], address[32], store[1024], log[1024];
	char *extra[8];			/* further arguments, NULL at the end */
	pid_t pid;
};

static const char *client_binary;

/* build/bin[-san]/sextant-peerd beside the test's own build/bin[-san]/unit/. */
static inline void client_find_binary(const char *argv0)
{
	static char path[1024];
	char *slash;

	snprintf(path, sizeof(path), "%s", getenv("SEXTANT_PEERD") ? getenv("SEXTANT_PEERD") : argv0);
	if (!getenv("SEXTANT_PEERD")) {
		for (int i = 0; i < 2; i++) {
			slash = strrchr(path, '/');
			if (!slash)
				bail("cannot tell where sextant-peerd is; set SEXTANT_PEERD");
			*slash = 0;
		}
		strcat(path, "/sextant-peerd");
	}
	if (access(path, X_OK))
		bail("sextant-peerd is not built");
	client_binary = path;
}

static inline int client_connect_address(const char *address)
{
	struct sockaddr_storage to;
	struct timeval wait = { .tv_sec = CLIENT_WAIT_MS / 1000 };
	socklen_t bytes;
	int fd, one = 1;

	if (sextant_address_parse(address, &to, &bytes))
		return -1;
	fd = socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
	if (connect(fd, (struct sockaddr *)&to, bytes)) {
		close(fd);
		return -1;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

/* A port that nobody listens on now. */
static inline unsigned int client_free_port(void)
{
	struct sockaddr_in any = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t bytes = sizeof(any);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (bind(fd, (struct sockaddr *)&any, bytes) ||
	    getsockname(fd, (struct sockaddr *)&any, &bytes))
		bail("no free port");
	close(fd);
	return ntohs(any.sin_port);
}

static inline void daemon_init(struct daemon *daemon, const char *folder, const char *name,
			       const char *az)
{
	memset(daemon, 0, sizeof(*daemon));
	snprintf(daemon->name, sizeof(daemon->name), "%s", name);
	snprintf(daemon->az, sizeof(daemon->az), "%s", az);
	snprintf(daemon->address, sizeof(daemon->address), "127.0.0.1:%u", client_free_port());
	snprintf(daemon->store, sizeof(daemon->store), "%s/%s", folder, name);
	snprintf(daemon->log, sizeof(daemon->log), "%s/%s.log", folder, name);
	mkdir(daemon->store, 0700);
}

/* Sends a signal and waits for the end. Returns what waitpid(2) says. */
static inline int daemon_end(struct daemon *daemon, int sig)
{
	int status = -1;

	if (daemon->pid <= 0)
		return -1;
	kill(daemon->pid, sig);
	waitpid(daemon->pid, &status, 0);
	daemon->pid = 0;
	return status;
}

static inline bool daemon_lives(struct daemon *daemon)
{
	return daemon->pid > 0 && waitpid(daemon->pid, NULL, WNOHANG) == 0;
}

/* ---- frames ------------------------------------------------------------ */

struct reply {
	struct sextant_wire_header header;
	uint8_t type;
	uint32_t meta_bytes, data_bytes;
	_Alignas(8) uint8_t meta[SEXTANT_WIRE_META_MAX];
	uint8_t data[SEXTANT_WIRE_DATA_MAX];
};

static struct reply reply;		/* the last one */

static inline bool client_write(int fd, const void *bytes, size_t size)
{
	const uint8_t *at = bytes;

	while (size) {
		ssize_t part = send(fd, at, size, MSG_NOSIGNAL);

		if (part <= 0)
			return false;
		at += part;
		size -= (size_t)part;
	}
	return true;
}

static inline bool client_read(int fd, void *bytes, size_t size)
{
	uint8_t *at = bytes;

	while (size) {
		ssize_t part = recv(fd, at, size, 0);

		if (part <= 0)
			return false;
		at += part;
		size -= (size_t)part;
	}
	return true;
}

static inline bool client_send(int fd, uint8_t type, uint64_t cookie, const void *meta,
			       uint32_t meta_bytes, const void *data, uint32_t data_bytes)
{
	static uint8_t frame[sizeof(struct sextant_wire_header) + (1 << 20) + SEXTANT_WIRE_DATA_MAX];
	struct sextant_wire_header header;

	sextant_wire_header_init(&header, type, cookie, meta, meta_bytes, data_bytes);
	memcpy(frame, &header, sizeof(header));
	if (meta_bytes)
		memcpy(frame + sizeof(header), meta, meta_bytes);
	if (data_bytes)
		memcpy(frame + sizeof(header) + meta_bytes, data, data_bytes);
	return client_write(fd, frame, sizeof(header) + meta_bytes + data_bytes);
}

/* The next frame, in `reply`. False: the connection is closed, or silent for long. */
static inline bool client_receive(int fd)
{
	if (!client_read(fd, &reply.header, sizeof(reply.header)))
		return false;
	if (sextant_wire_header_check(&reply.header, SEXTANT_WIRE_META_MAX))
		bail("a peer sends what is not a frame");
	reply.type = reply.header.type;
	reply.meta_bytes = le32_to_cpu(reply.header.meta_bytes);
	reply.data_bytes = le32_to_cpu(reply.header.data_bytes);
	if (!client_read(fd, reply.meta, reply.meta_bytes) ||
	    !client_read(fd, reply.data, reply.data_bytes))
		return false;
	if (sextant_wire_meta_check(&reply.header, reply.meta))
		bail("a peer sends a meta whose CRC does not hold");
	return true;
}

/* Is there something to read, or comes it within ms? */
static inline bool client_pending(int fd, int ms)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

	return poll(&poll_fd, 1, ms) > 0;
}

/* Sends a request and waits for its reply; the status, ~0 when there is none. */
static inline uint32_t client_request(int fd, uint8_t type, const void *meta, uint32_t meta_bytes,
				      const void *data, uint32_t data_bytes)
{
	static uint64_t cookie;
	__le32 status;

	if (!client_send(fd, type, ++cookie, meta, meta_bytes, data, data_bytes))
		return ~0u;
	do {
		if (!client_receive(fd))
			return ~0u;
	} while (le64_to_cpu(reply.header.cookie) != cookie);
	memcpy(&status, reply.meta, sizeof(status));
	return le32_to_cpu(status);
}

/* ---- the protocol ------------------------------------------------------ */

static uint8_t client_volume[SEXTANT_UUID_BYTES];

/* Connects and says HELLO; the descriptor, and *status (~0: no answer). */
static inline int client_hello(const struct daemon *daemon, uint32_t role, const uint8_t *volume,
			       const struct sextant_wire_ballot *ballot, uint32_t *status)
{
	struct sextant_wire_hello hello = { .role = cpu_to_le32(role), .caller = "test" };
	int fd = client_connect_address(daemon->address);

	*status = ~0u;
	if (fd < 0)
		return fd;
	if (volume)
		memcpy(hello.volume, volume, sizeof(hello.volume));
	if (ballot)
		hello.ballot = *ballot;
	*status = client_request(fd, SEXTANT_MSG_HELLO, &hello, sizeof(hello), NULL, 0);
	return fd;
}

/* Starts it and waits until it answers. */
static inline void daemon_start(struct daemon *daemon)
{
	uint64_t end_ms = client_now_ms() + CLIENT_WAIT_MS;
	uint32_t status;
	int fd;

	daemon->pid = fork();
	if (!daemon->pid) {
		char *argv[20] = { (char *)client_binary, "--name", daemon->name, "--az", daemon->az,
				   "--listen", daemon->address, "--store", daemon->store };
		int log = open(daemon->log, O_WRONLY | O_CREAT | O_APPEND, 0600);

		for (int i = 0; daemon->extra[i]; i++)
			argv[9 + i] = daemon->extra[i];
		dup2(log, STDERR_FILENO);
		dup2(log, STDOUT_FILENO);
		execv(client_binary, argv);
		_exit(127);
	}
	/* Of one that was killed the socket may answer for a moment, but not to HELLO. */
	for (;;) {
		fd = client_hello(daemon, SEXTANT_ROLE_CONTROL, NULL, NULL, &status);
		if (fd >= 0)
			close(fd);
		if (!status)
			break;
		if (client_now_ms() > end_ms || waitpid(daemon->pid, NULL, WNOHANG) == daemon->pid) {
			diag("see %s", daemon->log);
			bail("sextant-peerd does not start");
		}
		client_sleep_ms(10);
	}
}

static inline int client_open(const struct daemon *daemon, uint32_t role,
			      const struct sextant_wire_ballot *ballot)
{
	uint32_t status;
	int fd = client_hello(daemon, role, client_volume, ballot, &status);

	if (status) {
		diag("HELLO to %s: %s", daemon->name, sextant_wire_status_name(status));
		bail("a HELLO is refused");
	}
	return fd;
}

static inline struct sextant_wire_ballot client_ballot(uint32_t epoch)
{
	struct sextant_wire_ballot ballot = { .epoch = cpu_to_le32(epoch) };

	memset(ballot.attach_id, (int)(epoch * 7 + 1), sizeof(ballot.attach_id));
	return ballot;
}

/* The sealed block that a test's record has for an LSN: anyone can tell it. */
static inline void client_fill(uint8_t *block, uint64_t lsn)
{
	for (uint32_t i = 0; i < SEXTANT_BLOCK_BYTES / 8; i++) {
		uint64_t word = lsn * 0x9e3779b97f4a7c15ull + i;

		memcpy(block + i * 8, &word, 8);
	}
}

struct client_record {
	struct sextant_wire_append append;
	struct sextant_wire_seal seals[SEXTANT_RECORD_BLOCKS_MAX];
	uint8_t data[SEXTANT_RECORD_BYTES_MAX];
	uint32_t meta_bytes, data_bytes;
};

static inline void client_record_fill(struct client_record *record, uint32_t epoch, uint32_t kind,
				      uint32_t pg, uint64_t lsn, uint64_t prev_lsn,
				      uint32_t prev_epoch, uint64_t block, uint32_t blocks)
{
	struct sextant_wire_record *wire = &record->append.record;
	uint32_t seals;

	memset(&record->append, 0, sizeof(record->append));
	memset(record->seals, 0, sizeof(record->seals));
	record->append.ballot = client_ballot(epoch);
	wire->pg = cpu_to_le32(pg);
	wire->kind = (uint8_t)kind;
	wire->epoch = cpu_to_le32(epoch);
	wire->generation = cpu_to_le32(1);
	wire->lsn = cpu_to_le64(lsn);
	wire->lsn_count = cpu_to_le32(kind == SEXTANT_RECORD_DATA ? blocks : 1);
	wire->prev_lsn = cpu_to_le64(prev_lsn);
	wire->prev_epoch = cpu_to_le32(prev_epoch);
	wire->block = cpu_to_le64(block);
	wire->block_count = cpu_to_le32(blocks);
	seals = sextant_wire_record_seals(wire);
	record->data_bytes = sextant_wire_record_data_bytes(wire);
	for (uint32_t i = 0; i < seals; i++) {
		uint64_t tag = lsn + i;

		memcpy(record->seals[i].tag, &tag, sizeof(tag));
		if (kind == SEXTANT_RECORD_DATA) {
			client_fill(record->data + i * SEXTANT_BLOCK_BYTES, lsn + i);
			record->seals[i].crc = cpu_to_le32(sextant_crc32c(
				record->data + i * SEXTANT_BLOCK_BYTES, SEXTANT_BLOCK_BYTES));
		} else {
			record->seals[i].crc = cpu_to_le32(sextant_crc32c(record->seals[i].tag,
									  SEXTANT_TAG_BYTES));
		}
	}
	record->meta_bytes = (uint32_t)(sizeof(record->append) + seals * sizeof(record->seals[0]));
}

static inline bool client_record_send(int fd, uint8_t type, const struct client_record *record)
{
	return client_send(fd, type, 0, &record->append, record->meta_bytes, record->data,
			   record->data_bytes);
}

/* A manifest for six peers, of which the first daemon_count are these. */
static inline void client_manifest(uint8_t **bytes, size_t *size, uint64_t size_blocks,
				   uint32_t pg_blocks, uint32_t epoch, uint64_t sequence,
				   const struct sextant_wire_table_entry *table, uint32_t table_count,
				   const struct daemon *daemons, uint32_t daemon_count,
				   uint8_t incarnations[][SEXTANT_UUID_BYTES])
{
	static const char * const azs[] = { "az1", "az1", "az2", "az2", "az3", "az3" };
	struct sextant_wire_ballot wire = client_ballot(epoch);
	struct sextant_manifest manifest = {
		.name = "testvol",
		.size_blocks = size_blocks,
		.pg_blocks = pg_blocks,
		.transport = SEXTANT_TRANSPORT_PLAIN,
		.sequence = sequence,
		.table_count = table_count,
		.table = (struct sextant_wire_table_entry *)table,
	};
	struct sextant_manifest_generation generation = {
		.generation = 1,
		.first_lsn = 1,
		.key_name = "file",
	};
	int rc;

	manifest.generation_count = 1;
	manifest.generations = &generation;
	memcpy(manifest.volume, client_volume, sizeof(manifest.volume));
	sextant_ballot_from_wire(&manifest.ballot, &wire);
	for (uint32_t i = 0; i < SEXTANT_PEERS; i++) {
		struct sextant_manifest_peer *peer = &manifest.peers[i];

		snprintf(peer->az, sizeof(peer->az), "%s", azs[i]);
		memset(peer->incarnation, (int)i + 1, sizeof(peer->incarnation));
		snprintf(peer->name, sizeof(peer->name), "peer%u", i);
		snprintf(peer->address, sizeof(peer->address), "127.0.0.1:%u", 9 + i);
		if (i < daemon_count) {
			sextant_field_set(peer->name, sizeof(peer->name), daemons[i].name);
			sextant_field_set(peer->address, sizeof(peer->address),
					  daemons[i].address);
			memcpy(peer->incarnation, incarnations[i], sizeof(peer->incarnation));
		}
	}
	rc = sextant_manifest_encode(&manifest, bytes, size);
	if (rc) {
		diag("sextant_manifest_encode: %s", strerror(-rc));
		bail("no manifest");
	}
}

/* ---- steps of an attach ------------------------------------------------ */

static inline uint32_t client_prepare(int fd, uint32_t epoch)
{
	struct sextant_wire_prepare message = {
		.ballot = client_ballot(epoch),
		.holder = "test",
	};

	return client_request(fd, SEXTANT_MSG_PREPARE, &message, sizeof(message), NULL, 0);
}

static inline uint32_t client_create(int fd, uint64_t size_blocks, uint32_t pg_blocks,
				     uint8_t *incarnation)
{
	struct sextant_wire_create message = {
		.size_blocks = cpu_to_le64(size_blocks),
		.pg_blocks = cpu_to_le32(pg_blocks),
	};
	const struct sextant_wire_status_reply *got = (const void *)reply.meta;
	uint32_t status;

	memcpy(message.volume, client_volume, sizeof(message.volume));
	status = client_request(fd, SEXTANT_MSG_CREATE, &message, sizeof(message), NULL, 0);
	memcpy(incarnation, got->incarnation, SEXTANT_UUID_BYTES);
	return status;
}

static inline uint32_t client_manifest_put(int fd, uint32_t epoch, uint64_t sequence,
					   const uint8_t *manifest, size_t size)
{
	static struct {
		struct sextant_wire_manifest_put head;
		uint8_t bytes[1 << 16];
	} message;

	memset(&message.head, 0, sizeof(message.head));
	message.head.ballot = client_ballot(epoch);
	message.head.manifest_sequence = cpu_to_le64(sequence);
	message.head.manifest_bytes = cpu_to_le32((uint32_t)size);
	strcpy(message.head.holder, "test");
	memcpy(message.bytes, manifest, size);
	return client_request(fd, SEXTANT_MSG_MANIFEST_PUT, &message,
			      (uint32_t)(sizeof(message.head) + size), NULL, 0);
}

static inline uint32_t client_activate(int fd, uint32_t epoch, uint32_t flags, uint64_t v0,
				       uint64_t vcl, const struct sextant_wire_pg_tail *tails,
				       uint32_t tail_count, const uint8_t *manifest, size_t size)
{
	static struct {
		struct sextant_wire_activate head;
		uint8_t bytes[1 << 16];
	} message;
	size_t tail_bytes = tail_count * sizeof(*tails);

	memset(&message.head, 0, sizeof(message.head));
	message.head.ballot = client_ballot(epoch);
	message.head.flags = cpu_to_le32(flags);
	message.head.tail_count = cpu_to_le32(tail_count);
	message.head.v0 = cpu_to_le64(v0);
	message.head.vcl = cpu_to_le64(vcl);
	message.head.manifest_bytes = cpu_to_le32((uint32_t)size);
	strcpy(message.head.holder, "test");
	if (tail_bytes)
		memcpy(message.bytes, tails, tail_bytes);
	memcpy(message.bytes + tail_bytes, manifest, size);
	return client_request(fd, SEXTANT_MSG_ACTIVATE, &message,
			      (uint32_t)(sizeof(message.head) + tail_bytes + size), NULL, 0);
}

/* PROBE; the answer in `reply`. */
static inline const struct sextant_wire_state_reply *client_probe(int fd)
{
	if (client_request(fd, SEXTANT_MSG_PROBE, NULL, 0, NULL, 0) ||
	    reply.type != SEXTANT_MSG_STATE_REPLY)
		bail("PROBE is not answered");
	return (const void *)reply.meta;
}

/* ---- a writer ---------------------------------------------------------- */

static struct sextant_wire_table_entry client_table[64];	/* in force */
static uint32_t client_table_count;

/* The epoch that a record at this LSN has. */
static inline uint32_t client_epoch_at(uint64_t lsn)
{
	struct sextant_table table = { client_table_count, client_table };
	const struct sextant_wire_table_entry *entry = sextant_table_find(&table, lsn);

	return entry ? le32_to_cpu(entry->epoch) : 0;
}

static inline bool client_vdl(int fd, uint32_t epoch, uint64_t vdl, uint64_t mrpl,
			      const struct sextant_wire_pg_tail *tails, uint32_t count)
{
	struct {
		struct sextant_wire_vdl head;
		struct sextant_wire_pg_tail tails[64];
	} message = {
		.head.ballot = client_ballot(epoch),
		.head.vdl = cpu_to_le64(vdl),
		.head.mrpl = cpu_to_le64(mrpl),
		.head.count = cpu_to_le32(count),
	};

	if (count)
		memcpy(message.tails, tails, count * sizeof(*tails));
	return client_send(fd, SEXTANT_MSG_VDL, 0, &message,
			   (uint32_t)(sizeof(message.head) + count * sizeof(*tails)), NULL, 0);
}

/* READ; the answer in `reply`. */
static inline uint32_t client_block_read(int fd, uint32_t epoch, uint32_t pg, uint64_t block,
					 uint32_t count, uint64_t read_point, uint64_t tail,
					 uint32_t flags)
{
	struct sextant_wire_read message = {
		.ballot = client_ballot(epoch),
		.read_point_lsn = cpu_to_le64(read_point),
		.pg = cpu_to_le32(pg),
		.flags = cpu_to_le32(flags),
		.tail_epoch = cpu_to_le32(client_epoch_at(tail)),
		.block_count = cpu_to_le32(count),
		.tail_lsn = cpu_to_le64(tail),
		.block = cpu_to_le64(block),
	};

	return client_request(fd, SEXTANT_MSG_READ, &message, sizeof(message), NULL, 0);
}

static inline const struct sextant_wire_block *client_version(uint32_t i)
{
	const struct sextant_wire_read_reply *got = (const void *)reply.meta;

	return &got->blocks[i];
}

/*
 * The next ACK; the status, ~0 when the connection ends. *end is the end of its
 * last run, if it has one.
 */
static inline uint32_t client_ack(int fd, uint64_t *start, uint64_t *end)
{
	const struct sextant_wire_ack *ack = (const void *)reply.meta;

	do {
		if (!client_receive(fd))
			return ~0u;
	} while (reply.type != SEXTANT_MSG_ACK);
	for (uint32_t i = 0; i < le32_to_cpu(ack->count); i++) {
		if (start)
			*start = le64_to_cpu(ack->runs[i].run_start_lsn);
		if (end)
			*end = le64_to_cpu(ack->runs[i].run_end_lsn);
	}
	return le32_to_cpu(ack->status);
}

/* Waits until everything up to an LSN is acked; false when the connection ends first. */
static inline bool client_ack_until(int fd, uint64_t lsn)
{
	uint64_t end = 0;

	while (end < lsn)
		if (client_ack(fd, NULL, &end))
			return false;
	return true;
}

/* ---- a volume on one or more daemons, and its writer ------------------- */

#define CLIENT_SIZE_BLOCKS	16384
#define CLIENT_PG_BLOCKS	4096
#define CLIENT_PGS		(CLIENT_SIZE_BLOCKS / CLIENT_PG_BLOCKS)

static uint8_t client_incarnations[SEXTANT_PEERS][SEXTANT_UUID_BYTES];
static struct client_record client_record;
static uint64_t client_next_lsn = 1;
static uint64_t client_tails[CLIENT_PGS];
static uint32_t client_tail_epochs[CLIENT_PGS];
static uint32_t client_epoch;

static inline void client_must(bool done, const char *what)
{
	if (!done)
		bail(what);
}

/* PREPARE and ACTIVATE of an epoch at vcl, on daemons that hold all up to there. */
static inline void client_attach(const struct daemon *daemons, uint32_t count, uint32_t epoch,
				 uint64_t vcl, uint32_t flags)
{
	struct sextant_wire_ballot ballot = client_ballot(epoch);
	struct sextant_wire_table_entry *entry = &client_table[client_table_count];
	uint8_t *manifest;
	uint32_t status;
	size_t size;
	int fd;

	while (client_table_count && le64_to_cpu(entry[-1].first_lsn) > vcl) {
		client_table_count--;
		entry--;
	}
	entry->first_lsn = cpu_to_le64(vcl + 1);
	entry->epoch = cpu_to_le32(epoch);
	memcpy(entry->attach_id, ballot.attach_id, sizeof(entry->attach_id));
	client_table_count++;
	client_manifest(&manifest, &size, CLIENT_SIZE_BLOCKS, CLIENT_PG_BLOCKS, epoch, 1,
			client_table, client_table_count, daemons, count, client_incarnations);
	for (uint32_t i = 0; i < count; i++) {
		fd = client_open(&daemons[i], SEXTANT_ROLE_CONTROL, NULL);
		client_must(client_prepare(fd, epoch) == SEXTANT_ST_OK, "PREPARE is refused");
		status = client_activate(fd, epoch, flags, vcl, vcl, NULL, 0, manifest, size);
		client_must(status == SEXTANT_ST_OK, "ACTIVATE is refused");
		close(fd);
	}
	free(manifest);
	client_epoch = epoch;
	client_next_lsn = vcl + 1;
}

/* Makes a volume on these daemons and attaches to it. */
static inline void client_make_volume(const struct daemon *daemons, uint32_t count, uint32_t epoch)
{
	uint8_t *manifest;
	uint32_t status;
	size_t size;
	int fds[SEXTANT_PEERS];

	sextant_uuid_draw(client_volume);
	memset(client_tails, 0, sizeof(client_tails));
	memset(client_tail_epochs, 0, sizeof(client_tail_epochs));
	client_table_count = 0;
	for (uint32_t i = 0; i < count; i++) {
		fds[i] = client_hello(&daemons[i], SEXTANT_ROLE_CONTROL, NULL, NULL, &status);
		client_must(!status, "HELLO without a volume is refused");
		client_must(client_create(fds[i], CLIENT_SIZE_BLOCKS, CLIENT_PG_BLOCKS,
					  client_incarnations[i]) == SEXTANT_ST_OK,
			    "CREATE is refused");
	}
	client_manifest(&manifest, &size, CLIENT_SIZE_BLOCKS, CLIENT_PG_BLOCKS, 8, 1, NULL, 0,
			daemons, count, client_incarnations);
	for (uint32_t i = 0; i < count; i++) {
		client_must(client_prepare(fds[i], 8) == SEXTANT_ST_OK, "PREPARE is refused");
		client_must(client_manifest_put(fds[i], 8, 1, manifest, size) == SEXTANT_ST_OK,
			    "MANIFEST_PUT is refused");
		close(fds[i]);
	}
	free(manifest);
	client_attach(daemons, count, epoch, 0, 0);
}

static inline int client_writer(const struct daemon *daemon)
{
	struct sextant_wire_ballot ballot = client_ballot(client_epoch);

	return client_open(daemon, SEXTANT_ROLE_WRITER, &ballot);
}

/* Fills client_record with the next record, and takes its LSNs. */
static inline void client_next(uint32_t kind, uint32_t pg, uint64_t block, uint32_t blocks)
{
	client_record_fill(&client_record, client_epoch, kind, pg, client_next_lsn,
			   client_tails[pg], client_tail_epochs[pg], block, blocks);
	client_next_lsn += le32_to_cpu(client_record.append.record.lsn_count);
	client_tails[pg] = client_next_lsn - 1;
	client_tail_epochs[pg] = client_epoch;
}

static inline bool client_append(int fd)
{
	return client_record_send(fd, SEXTANT_MSG_APPEND, &client_record);
}

/* VDL with the tails of all PGs. */
static inline void client_vdl_all(int fd, uint64_t mrpl)
{
	struct sextant_wire_pg_tail tails[CLIENT_PGS];
	uint32_t count = 0;

	for (uint32_t i = 0; i < CLIENT_PGS; i++) {
		if (!client_tails[i])
			continue;
		tails[count++] = (struct sextant_wire_pg_tail){
			.pg = cpu_to_le32(i),
			.epoch = cpu_to_le32(client_tail_epochs[i]),
			.lsn = cpu_to_le64(client_tails[i]),
		};
	}
	client_must(client_vdl(fd, client_epoch, client_next_lsn - 1, mrpl, tails, count),
		    "VDL cannot be sent");
}

/* Reads one block at the newest LSN; its version is client_version(0). */
static inline uint32_t client_look(int fd, uint64_t block)
{
	uint32_t pg = (uint32_t)(block / CLIENT_PG_BLOCKS);

	return client_block_read(fd, client_epoch, pg, block, 1, client_next_lsn - 1,
				 client_tails[pg], 0);
}

/* Is block i of the last READ the one written at this LSN? data_at: which of the data. */
static inline bool client_is(uint32_t i, uint32_t data_at, uint64_t lsn)
{
	uint8_t block[SEXTANT_BLOCK_BYTES];

	client_fill(block, lsn);
	return client_version(i)->kind == SEXTANT_BLOCK_DATA &&
	       le64_to_cpu(client_version(i)->lsn) == lsn &&
	       reply.data_bytes >= (data_at + 1) * SEXTANT_BLOCK_BYTES &&
	       !memcmp(reply.data + data_at * SEXTANT_BLOCK_BYTES, block, sizeof(block));
}

/* A scratch folder, removed with what is in it when the test ends well. */
static char client_folder[256];

static inline void client_begin(const char *argv0)
{
	client_find_binary(argv0);
	snprintf(client_folder, sizeof(client_folder), "%s/sextant-peerd.XXXXXX",
		 getenv("TMPDIR") ? getenv("TMPDIR") : "/var/tmp");
	if (!mkdtemp(client_folder))
		bail("no scratch folder");
}

static inline int client_end(void)
{
	char command[300];

	snprintf(command, sizeof(command), "rm -rf '%s'", client_folder);
	if (tap_failed)
		diag("the daemons' messages are in %s", client_folder);
	else if (system(command))
		diag("%s is left behind", client_folder);
	return done_testing();
}

#endif
