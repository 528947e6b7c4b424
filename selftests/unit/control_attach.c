// SPDX-License-Identifier: GPL-2.0
/*
 * The peers' side of an attach against six real sextant-peerd on 127.0.0.1.
 * deadline: 120
 */
#include "tap.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "controld/attach.h"
#include "controld/create.h"
#include "controld/keyfile.h"
#include "controld/locate.h"
#include "log.h"
#include "text.h"
#include "wire.h"

#define PG_BLOCKS	4096	/* 16 MiB */

static char folder[64], peerd[PATH_MAX];
static struct control_config config;
static pid_t pids[SEXTANT_PEERS];
static u8 volume[SEXTANT_UUID_BYTES];

/* ---- six peers ----------------------------------------------------------------- */

static u32 free_port(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	socklen_t bytes = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) ||
	    getsockname(fd, (struct sockaddr *)&address, &bytes))
		bail("no free port on 127.0.0.1");
	close(fd);
	return ntohs(address.sin_port);
}

static void start_peer(u32 index)
{
	const struct control_peer *peer = &config.peers[index];
	char store[128], log[160];
	int fd;

	snprintf(store, sizeof(store), "%s/%s", folder, peer->name);
	snprintf(log, sizeof(log), "%s.log", store);
	mkdir(store, 0700);
	pids[index] = fork();
	if (pids[index])
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
	dup2(fd, STDOUT_FILENO);
	dup2(fd, STDERR_FILENO);
	execl(peerd, peerd, "--name", peer->name, "--az", peer->az, "--listen", peer->address,
	      "--store", store, NULL);
	_exit(127);
}

static void kill_peer(u32 index)
{
	kill(pids[index], SIGKILL);
	waitpid(pids[index], NULL, 0);
	pids[index] = 0;
}

static bool peers_up(u32 count)
{
	u32 tries, open = 0;

	for (tries = 0; tries < 100; tries++) {
		struct panel *panel = panel_of_config(&config);

		open = panel_open(panel, NULL, SEXTANT_PEERS);
		panel_free(panel);
		if (open == count)
			return true;
		usleep(50000);
	}
	diag("%u peers answer, wanted %u", open, count);
	return false;
}

static void make_config(void)
{
	u32 i;

	strcpy(config.host, "host1");
	snprintf(config.key_dir, sizeof(config.key_dir), "%s/keys", folder);
	snprintf(config.state_dir, sizeof(config.state_dir), "%s/state", folder);
	config.connect_timeout_ms = 2000;
	config.lease_ms = 1000;
	config.peer_count = SEXTANT_PEERS;
	for (i = 0; i < SEXTANT_PEERS; i++) {
		struct control_peer *peer = &config.peers[i];

		snprintf(peer->name, sizeof(peer->name), "az%u%c", i / 2 + 1, 'a' + i % 2);
		snprintf(peer->az, sizeof(peer->az), "az%u", i / 2 + 1);
		snprintf(peer->address, sizeof(peer->address), "127.0.0.1:%u", free_port());
	}
}

static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *at)
{
	(void)info;
	(void)type;
	(void)at;
	return remove(path);
}

static void clean_up(void)
{
	u32 i;

	for (i = 0; i < SEXTANT_PEERS; i++)
		if (pids[i])
			kill_peer(i);
	nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* ---- attaching -------------------------------------------------------------------- */

static int draw(void *context, u8 attach_id[SEXTANT_ATTACH_ID_BYTES])
{
	(void)context;
	return getrandom(attach_id, SEXTANT_ATTACH_ID_BYTES, 0) != SEXTANT_ATTACH_ID_BYTES;
}

static int attach(const struct control_config *from, bool force, struct attached *attached,
		  struct report *report)
{
	struct attach_request request = {
		.config = from, .volume = volume, .force = force, .report = report, .draw = draw,
	};
	struct sextant_manifest known;

	*report = (struct report){ .fd = -1 };
	memset(attached, 0, sizeof(*attached));
	if (locate_manifest(from, volume, &known, report))
		return report->code;
	return attach_activate(&request, &known, attached);
}

static void test_create(void)
{
	struct report report = { .fd = -1 };
	json_t *request = json_pack("{s:s, s:s, s:s}", "name", "v1", "size", "64M", "pg_size", "16M");
	struct sextant_manifest known;
	struct keyfile_key *key;

	create_volume(&config, request, &report);
	if (!ok(!report.code, "a volume is created"))
		diag("%s", report.error);
	ok(!locate_volume(&config, "v1", volume, &report) &&
	   !locate_manifest(&config, volume, &known, &report), "it is found by its name");
	is_u64(known.lease_ms, 1000, "with the configured lease");
	ok(!keyfile_read(config.key_dir, volume, &known.generations[0], &key, &report),
	   "its key is there and is the one committed to");
	keyfile_release(key);
	known.generations[0].commitment[0] ^= 1;
	ok(keyfile_read(config.key_dir, volume, &known.generations[0], &key, &report) ==
	   SEXTANT_CODE_KEY && strstr(report.error, "wrong key"), "another key is refused: %s",
	   report.error);
	sextant_manifest_release(&known);

	report = (struct report){ .fd = -1 };
	create_volume(&config, request, &report);
	ok(report.code == SEXTANT_CODE_FAILED, "a second one of its name is refused: %s",
	   report.error);
	json_decref(request);
}

static void test_attach(void)
{
	struct attached attached;
	struct report report;
	u32 epoch;

	if (!ok(!attach(&config, false, &attached, &report), "a new volume is attached"))
		diag("%s", report.error);
	is_u64(attached.active, 0x3f, "its table is in force on all six");
	is_u64(attached.vcl, 0, "it ends at LSN 0");
	is_u64(attached.lease_wait_ms, 0, "there was no writer whose lease to wait for");
	is_u64(attached.manifest.table_count, 1, "the table has one entry");
	epoch = attached.manifest.ballot.epoch;
	attached_release(&attached);

	ok(!attach(&config, false, &attached, &report), "and again");
	ok(attached.manifest.ballot.epoch > epoch, "under a higher epoch");
	is_u64(attached.manifest.table_count, 1, "which takes the place of one that wrote nothing");
	ok(attached.lease_wait_ms >= 1000, "the writer before may have a lease");
	attached_release(&attached);
}

/* ---- writing as the kernel does ------------------------------------------------------- */

static bool open_writer(struct peerlink *link, u32 index, const struct attached *attached)
{
	struct peerlink *links[1] = { link };

	peerlink_init(link);
	peerlink_open(link, config.peers[index].address, SEXTANT_ROLE_WRITER, volume,
		      attached->manifest.peers[index].incarnation, &attached->manifest.ballot,
		      config.host);
	peerlink_wait(links, 1, 1, 0, 5000);
	return link->fd >= 0;
}

/* Appends a record of one block, and waits for the ack. */
static bool append(u32 index, const struct attached *attached, u64 lsn, u64 prev_lsn,
		   u32 prev_epoch)
{
	struct peerlink link, *links[1] = { &link };
	struct {
		struct sextant_wire_append append;
		struct sextant_wire_seal seal;
	} meta;
	u8 data[SEXTANT_BLOCK_BYTES];
	bool acked = false;

	memset(&meta, 0, sizeof(meta));
	memset(data, (int)lsn, sizeof(data));
	sextant_ballot_to_wire(&meta.append.ballot, &attached->manifest.ballot);
	meta.append.record = (struct sextant_wire_record){
		.kind = SEXTANT_RECORD_DATA, .epoch = cpu_to_le32(attached->manifest.ballot.epoch),
		.generation = cpu_to_le32(1), .lsn = cpu_to_le64(lsn), .lsn_count = cpu_to_le32(1),
		.prev_lsn = cpu_to_le64(prev_lsn), .prev_epoch = cpu_to_le32(prev_epoch),
		.block = cpu_to_le64(lsn), .block_count = cpu_to_le32(1),
	};
	meta.seal.crc = cpu_to_le32(sextant_crc32c(data, sizeof(data)));
	if (!open_writer(&link, index, attached)) {
		diag("%s %s", config.peers[index].name, link.error);
		return false;
	}
	peerlink_send(&link, SEXTANT_MSG_APPEND, &meta, sizeof(meta), NULL, 0, data, sizeof(data));
	peerlink_wait(links, 1, 1, 0, 5000);
	if (link.replies && link.replies->header.type == SEXTANT_MSG_ACK) {
		const struct sextant_wire_ack *ack = (const void *)link.replies->meta;

		acked = !ack->status && le32_to_cpu(ack->count) == 1 &&
			le64_to_cpu(ack->runs[0].run_end_lsn) == lsn;
	}
	peerlink_close(&link);
	return acked;
}

static bool heartbeat(u32 index, const struct attached *attached, u32 flags)
{
	struct sextant_wire_heartbeat meta = { .flags = cpu_to_le32(flags) };
	struct peerlink link, *links[1] = { &link };
	struct peerlink_frame *frame;
	bool good = false;
	u64 cookie;

	sextant_ballot_to_wire(&meta.ballot, &attached->manifest.ballot);
	if (!open_writer(&link, index, attached))
		return false;
	cookie = peerlink_send(&link, SEXTANT_MSG_HEARTBEAT, &meta, sizeof(meta), NULL, 0, NULL, 0);
	peerlink_wait(links, 1, 1, 0, 5000);
	frame = peerlink_reply(&link, cookie, SEXTANT_MSG_HEARTBEAT_REPLY,
			       sizeof(struct sextant_wire_heartbeat_reply));
	if (frame)
		good = !((const struct sextant_wire_heartbeat_reply *)frame->meta)->status;
	free(frame);
	peerlink_close(&link);
	return good;
}

/* Up to where each peer has PG 0 without a hole: how many of them reach lsn. */
static u32 peers_complete_to(const struct attached *attached, u64 lsn)
{
	struct sextant_wire_pg_list meta = {
		.upto_lsn = cpu_to_le64(lsn),
		.table_count = cpu_to_le32(attached->manifest.table_count),
	};
	u32 table_bytes = attached->manifest.table_count * (u32)sizeof(attached->manifest.table[0]);
	struct panel *panel = panel_of_config(&config);
	u8 *bytes = malloc(sizeof(meta) + table_bytes);
	struct peerlink_frame *frame;
	u32 i, complete = 0;

	memcpy(bytes, &meta, sizeof(meta));
	memcpy(bytes + sizeof(meta), attached->manifest.table, table_bytes);
	panel_open(panel, volume, SEXTANT_PEERS);
	panel_ask(panel, SEXTANT_MSG_PG_LIST, bytes, (u32)sizeof(meta) + table_bytes, SEXTANT_PEERS);
	for (i = 0; i < SEXTANT_PEERS; i++) {
		const struct sextant_wire_pg_list_reply *reply;

		frame = peerlink_reply(&panel->peers[i].link, panel->peers[i].cookie,
				       SEXTANT_MSG_PG_LIST_REPLY, sizeof(*reply));
		if (!frame)
			continue;
		reply = (const void *)frame->meta;
		if (le32_to_cpu(reply->count) == 1 && le64_to_cpu(reply->pgs[0].scl_lsn) == lsn)
			complete++;
		free(frame);
	}
	free(bytes);
	panel_free(panel);
	return complete;
}

static void test_recovery(void)
{
	struct attached first, second;
	struct report report;
	u32 i, epoch, acked = 0;

	attach(&config, false, &first, &report);
	epoch = first.manifest.ballot.epoch;
	for (i = 0; i < 4; i++)
		acked += append(i, &first, 1, 0, 0);
	acked += append(0, &first, 2, 1, epoch);
	acked += append(5, &first, 4, 3, epoch);
	is_u64(acked, 6, "records are appended: one on four peers, one on one, one behind a hole");

	if (!ok(!attach(&config, false, &second, &report), "the next attach recovers"))
		diag("%s", report.error);
	is_u64(second.vcl, 2, "up to the last record before the hole");
	is_u64(second.tail_count, 1, "one PG has a tail");
	is_u64(second.tail_count ? le64_to_cpu(second.tails[0].lsn) : 0, 2, "which is that record");
	is_u64(second.manifest.table_count, 2, "the epoch that wrote stays in the table");
	is_u64(peers_complete_to(&second, 2), 6, "all six have every record up to there");
	ok(!append(1, &first, 3, 2, epoch), "the writer before is fenced");
	ok(append(1, &second, 3, 2, epoch), "the new one is not");
	attached_release(&first);
	attached_release(&second);
}

static void test_lease(void)
{
	struct attached attached, other;
	struct control_config elsewhere = config;
	struct report report;

	strcpy(elsewhere.host, "host2");
	attach(&config, false, &attached, &report);
	ok(heartbeat(3, &attached, 0), "the writer's heart beats");
	ok(attach(&elsewhere, false, &other, &report) == SEXTANT_CODE_ATTACHED &&
	   strstr(report.error, "host1"), "another host is refused: %s", report.error);
	ok(!attach(&elsewhere, true, &other, &report) && other.lease_wait_ms,
	   "but for --force, which waits the lease out");
	ok(!heartbeat(3, &attached, 0), "after which the first writer's heartbeat is refused");
	ok(heartbeat(2, &other, SEXTANT_HEARTBEAT_RELEASE), "the second writer lets go");
	attached_release(&attached);
	ok(!attach(&config, false, &attached, &report) && !attached.lease_wait_ms,
	   "and the next attach need not wait");
	attached_release(&attached);
	attached_release(&other);
}

static void test_dead_peers(void)
{
	struct attached attached;
	struct report report;

	kill_peer(0);
	ok(!attach(&config, false, &attached, &report), "one peer dead: attached");
	is_u64(attached.active, 0x3e, "in force on the five others");
	attached_release(&attached);
	kill_peer(1);
	ok(!attach(&config, false, &attached, &report), "two dead, a whole AZ: attached");
	is_u64(attached.active, 0x3c, "in force on the four others");
	attached_release(&attached);
	kill_peer(2);
	ok(attach(&config, false, &attached, &report) == SEXTANT_CODE_NO_QUORUM &&
	   strstr(report.error, "only 3 of the six peers"), "three dead: refused: %s",
	   report.error);
	start_peer(0);
	start_peer(1);
	start_peer(2);
	ok(peers_up(6), "they are started again");
	ok(!attach(&config, false, &attached, &report), "and the volume is attached");
	is_u64(attached.active, 0x3f, "on all six");
	attached_release(&attached);
}

static void test_hung_peer(void)
{
	struct attached attached;
	struct report report;

	kill(pids[4], SIGSTOP);
	ok(!attach(&config, false, &attached, &report) && attached.active == 0x2f,
	   "a peer that hangs is left behind");
	attached_release(&attached);
	kill(pids[4], SIGCONT);
}

/* A peer whose store is another one: it does not vote. */
static void test_wiped_peer(void)
{
	struct attached attached;
	struct report report;
	char store[128];

	kill_peer(5);
	snprintf(store, sizeof(store), "%s/%s", folder, config.peers[5].name);
	nftw(store, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
	start_peer(5);
	peers_up(6);
	ok(!attach(&config, false, &attached, &report) && attached.active == 0x1f,
	   "a wiped store has no say");
	attached_release(&attached);
}

/* Two hosts at once: each ends with the volume or a clear no, and the peers agree. */
static void test_rivals(void)
{
	u32 round, clear = 0, won = 0;

	for (round = 0; round < 5; round++) {
		struct attached attached;
		struct report report;
		pid_t rival = fork();
		int status, code;

		if (!rival) {
			struct control_config elsewhere = config;

			strcpy(elsewhere.host, "host2");
			_exit(attach(&elsewhere, false, &attached, &report));
		}
		code = attach(&config, false, &attached, &report);
		attached_release(&attached);
		waitpid(rival, &status, 0);
		status = WIFEXITED(status) ? WEXITSTATUS(status) : 99;
		won += !code + !status;
		clear += (!code || code == SEXTANT_CODE_ATTACHED) &&
			 (!status || status == SEXTANT_CODE_ATTACHED);
		if (code)
			diag("%s", report.error);
	}
	is_u64(clear, 5, "two that attach at once each get the volume or a clear refusal");
	ok(won >= 5, "and one of them gets it (%u times in 5)", won);
}

static void test_refused_creation(void)
{
	json_t *request = json_pack("{s:s, s:s}", "name", "v2", "size", "64M");
	struct locate_entry *entries;
	struct report report = { .fd = -1 };
	struct panel *panel;
	u32 count, i, found = 0;

	kill_peer(3);
	create_volume(&config, request, &report);
	ok(report.code == SEXTANT_CODE_NO_QUORUM, "five peers are not enough to create: %s",
	   report.error);
	panel = panel_of_config(&config);
	panel_open(panel, NULL, SEXTANT_PEERS);
	locate_list(panel, &entries, &count);
	for (i = 0; i < count; i++)
		found += memcmp(entries[i].volume, volume, sizeof(volume)) != 0;
	is_u64(found, 0, "and nothing is left of it");
	free(entries);
	panel_free(panel);
	json_decref(request);
}

int main(void)
{
	ssize_t length = readlink("/proc/self/exe", peerd, sizeof(peerd) - 32);
	char *slash;
	u32 i;

	sextant_log_open("control_attach", SEXTANT_LOG_ERROR);
	peerd[length > 0 ? length : 0] = '\0';
	for (i = 0; i < 2 && (slash = strrchr(peerd, '/')); i++)
		*slash = '\0';
	strcat(peerd, "/sextant-peerd");
	if (access(peerd, X_OK)) {
		printf("1..0 # SKIP %s is not built\n", peerd);
		return 0;
	}
	strcpy(folder, "/var/tmp/sextant-attach-XXXXXX");
	if (!mkdtemp(folder))
		bail("no folder in /var/tmp");
	atexit(clean_up);
	make_config();
	for (i = 0; i < SEXTANT_PEERS; i++)
		start_peer(i);
	if (!peers_up(6))
		bail("the peers do not come up");
	test_create();
	test_attach();
	test_recovery();
	test_lease();
	test_dead_peers();
	test_hung_peer();
	test_wiped_peer();
	test_rivals();
	test_refused_creation();
	return done_testing();
}
