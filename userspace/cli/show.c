// SPDX-License-Identifier: GPL-2.0
/* Commands that only show: list, status, peer list. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"

const char cli_help_list[] =
	"usage: sextant list [--json]\n"
	"\n"
	"The volumes that the configured peers hold.\n"
	"\n"
	"  --json  for scripts; sextant(8) has the fields\n";

const char cli_help_status[] =
	"usage: sextant status [NAME|UUID|DEVICE] [--json] [--watch]\n"
	"\n"
	"The volumes attached to this host, or one of them, with their peers. For a volume\n"
	"that is not attached here: what its peers say.\n"
	"\n"
	"  --json   for scripts; sextant(8) has the fields\n"
	"  --watch  again every second (with --json: one object a line)\n";

const char cli_help_peer_list[] =
	"usage: sextant peer list [--json]\n"
	"\n"
	"The configured peers: whether they answer, and what room they have.\n"
	"\n"
	"  --json  for scripts; sextant(8) has the fields\n";

struct show_options {
	bool json, watch;
	const char *name;
};

/* name_allowed: one argument may name a volume. */
static int parse(int argc, char **argv, const char *command, bool watchable,
		 struct show_options *parsed)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "watch", no_argument, NULL, 'w' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	memset(parsed, 0, sizeof(*parsed));
	argv[0] = (char *)"sextant";	/* what getopt's own messages begin with */
	optind = 0;
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == '?') {
			fprintf(stderr, "'sextant %s --help' says more\n", command);
			return SEXTANT_CODE_USAGE;
		}
		if (option == 'w' && !watchable)
			return cli_usage(command, "'%s' cannot --watch", command);
		if (option == 'j')
			parsed->json = true;
		else
			parsed->watch = true;
	}
	if (watchable && optind < argc)
		parsed->name = argv[optind++];
	if (optind < argc)
		return cli_usage(command, "'%s' is too much", argv[optind]);
	return 0;
}

/* ---- list ---------------------------------------------------------------------- */

static void show_volumes(json_t *result)
{
	static const char * const headings[] = {
		"NAME", ">SIZE", "PEERS", "USE", "DEVICE", "UUID", NULL,
	};
	json_t *volumes = json_object_get(result, "volumes"), *volume;
	struct cli_table *table;
	size_t i;

	if (!json_array_size(volumes)) {
		printf("No volumes. 'sextant volume create NAME --size 10G' makes one.\n");
		return;
	}
	table = cli_table_new(headings);
	json_array_foreach(volumes, i, volume) {
		json_int_t present = cli_number(volume, "peers_present");
		bool attached = json_is_true(json_object_get(volume, "attached"));

		cli_cell(table, CLI_BOLD, "%s", cli_text(volume, "name"));
		cli_cell(table, CLI_PLAIN, "%s", cli_size(volume, "size_bytes"));
		cli_cell(table, present >= 6 ? CLI_GREEN : present >= 4 ? CLI_YELLOW : CLI_RED,
			 "%lld of 6", (long long)present);
		if (attached)
			cli_cell(table, CLI_GREEN, "attached by %s", cli_text(volume, "holder"));
		else
			cli_cell(table, CLI_DIM, "detached");
		cli_cell(table, CLI_PLAIN, "%s", cli_text(volume, "device"));
		cli_cell(table, CLI_DIM, "%s", cli_text(volume, "uuid"));
	}
	cli_table_end(table, 0);
}

int cli_volume_list(const struct cli *cli, int argc, char **argv)
{
	struct show_options options;
	json_t *result;
	int code = parse(argc, argv, "list", false, &options);

	if (!code)
		code = cli_ask(cli, json_pack("{s:s}", "verb", "volume.list"), &result);
	if (code)
		return code;
	if (options.json)
		cli_print_json(result);
	else
		show_volumes(result);
	if (cli_number(result, "peers_reached") < cli_number(result, "peers_configured"))
		fprintf(stderr, "sextant: %lld of %lld peers answer: there may be more volumes\n",
			(long long)cli_number(result, "peers_reached"),
			(long long)cli_number(result, "peers_configured"));
	json_decref(result);
	return 0;
}

/* ---- peer list -------------------------------------------------------------------- */

static void show_peers(json_t *result)
{
	static const char * const headings[] = {
		"NAME", "AZ", "ADDRESS", "STATE", ">VERSION", ">VOLUMES", ">FREE", ">CAPACITY", NULL,
	};
	json_t *peers = json_object_get(result, "peers"), *peer;
	struct cli_table *table;
	const char *error;
	size_t i;

	if (!json_array_size(peers)) {
		printf("No peers are configured: add [peer NAME] sections to sextant.conf.\n");
		return;
	}
	table = cli_table_new(headings);
	json_array_foreach(peers, i, peer) {
		bool reachable = json_is_true(json_object_get(peer, "reachable"));

		cli_cell(table, CLI_BOLD, "%s", cli_text(peer, "name"));
		cli_cell(table, CLI_PLAIN, "%s", cli_text(peer, "az"));
		cli_cell(table, CLI_PLAIN, "%s", cli_text(peer, "address"));
		error = json_string_value(json_object_get(peer, "error"));
		cli_cell(table, !reachable ? CLI_RED : error ? CLI_YELLOW : CLI_GREEN, "%s",
			 error ? error : "up");
		if (json_is_integer(json_object_get(peer, "version")))
			cli_cell(table, CLI_PLAIN, "%lld", (long long)cli_number(peer, "version"));
		else
			cli_cell(table, CLI_PLAIN, "-");
		if (reachable)
			cli_cell(table, CLI_PLAIN, "%lld", (long long)cli_number(peer, "volumes"));
		else
			cli_cell(table, CLI_PLAIN, "-");
		cli_cell(table, CLI_PLAIN, "%s", cli_size(peer, "free_bytes"));
		cli_cell(table, CLI_PLAIN, "%s", cli_size(peer, "capacity_bytes"));
	}
	cli_table_end(table, 0);
}

int cli_peer_list(const struct cli *cli, int argc, char **argv)
{
	struct show_options options;
	json_t *result;
	int code = parse(argc, argv, "peer list", false, &options);

	if (!code)
		code = cli_ask(cli, json_pack("{s:s}", "verb", "peer.list"), &result);
	if (code)
		return code;
	if (options.json)
		cli_print_json(result);
	else
		show_peers(result);
	json_decref(result);
	return 0;
}

/* ---- status ------------------------------------------------------------------------- */

static enum cli_color state_color(const char *state)
{
	if (!strcmp(state, "running"))
		return CLI_GREEN;
	if (!strcmp(state, "fenced") || !strcmp(state, "failed"))
		return CLI_RED;
	if (!strcmp(state, "detached") || !strcmp(state, "stopped"))
		return CLI_DIM;
	return CLI_YELLOW;
}

static void show_attached_peers(json_t *peers)
{
	static const char * const headings[] = {
		"PEER", "AZ", "STATE", ">SCL", ">LAG", ">LAG TIME", ">QUEUE", ">SENT", ">RECEIVED",
		">RTT", ">HOLES", ">FAULTS", "LAST STATUS", NULL,
	};
	struct cli_table *table = cli_table_new(headings);
	json_t *peer;
	size_t i;

	json_array_foreach(peers, i, peer) {
		bool up = !strcmp(cli_text(peer, "state"), "connected");
		json_int_t holes = cli_number(peer, "incomplete_pgs");
		json_int_t faults = cli_number(peer, "faults");

		cli_cell(table, CLI_BOLD, "%s", cli_text(peer, "name"));
		cli_cell(table, CLI_PLAIN, "%s", cli_text(peer, "az"));
		cli_cell(table, up ? CLI_GREEN : CLI_RED, "%s", cli_text(peer, "state"));
		cli_cell(table, CLI_PLAIN, "%lld", (long long)cli_number(peer, "scl"));
		cli_cell(table, CLI_PLAIN, "%lld", (long long)cli_number(peer, "lag_lsns"));
		cli_cell(table, CLI_PLAIN, "%s", cli_time(cli_number(peer, "lag_ms")));
		cli_cell(table, CLI_PLAIN, "%s", cli_size(peer, "queue_bytes"));
		cli_cell(table, CLI_PLAIN, "%s", cli_size(peer, "sent_bytes"));
		cli_cell(table, CLI_PLAIN, "%s", cli_size(peer, "received_bytes"));
		cli_cell(table, CLI_PLAIN, "%.1f ms", (double)cli_number(peer, "rtt_us") / 1000);
		cli_cell(table, holes ? CLI_YELLOW : CLI_PLAIN, "%lld", (long long)holes);
		cli_cell(table, faults ? CLI_RED : CLI_PLAIN, "%lld", (long long)faults);
		cli_cell(table, CLI_PLAIN, "%s", cli_text(peer, "last_status"));
	}
	cli_table_end(table, 2);
}

static void show_stores(json_t *peers)
{
	static const char * const headings[] = {
		"PEER", "AZ", "STATE", ">KNOWN VDL", ">STORED", ">HOLES", ">DAMAGED", NULL,
	};
	struct cli_table *table = cli_table_new(headings);
	json_t *peer;
	size_t i;

	json_array_foreach(peers, i, peer) {
		const char *state = cli_text(peer, "state");
		const char *error = json_string_value(json_object_get(peer, "error"));

		cli_cell(table, CLI_BOLD, "%s", cli_text(peer, "name"));
		cli_cell(table, CLI_PLAIN, "%s", cli_text(peer, "az"));
		cli_cell(table, strcmp(state, "reachable") ? CLI_RED : CLI_GREEN, "%s",
			 error ? error : state);
		cli_cell(table, CLI_PLAIN, "%lld", (long long)cli_number(peer, "known_vdl"));
		cli_cell(table, CLI_PLAIN, "%s", cli_size(peer, "stored_bytes"));
		cli_cell(table, CLI_PLAIN, "%lld", (long long)cli_number(peer, "incomplete_pgs"));
		cli_cell(table, CLI_PLAIN, "%lld", (long long)cli_number(peer, "damaged_ranges"));
	}
	cli_table_end(table, 2);
}

static void show_counters(json_t *volume)
{
	bool writes = json_is_true(json_object_get(volume, "write_quorum"));
	bool reads = json_is_true(json_object_get(volume, "read_quorum"));

	printf("  quorum  write ");
	cli_print(writes ? CLI_GREEN : CLI_RED, writes ? "yes" : "NO");
	printf(", read ");
	cli_print(reads ? CLI_GREEN : CLI_RED, reads ? "yes" : "NO");
	printf("    mode %s    epoch %lld\n", cli_text(volume, "mode"),
	       (long long)cli_number(volume, "epoch"));
	printf("  durable to LSN %lld, next %lld    dirty %s of %s, oldest %s\n",
	       (long long)cli_number(volume, "vdl"), (long long)cli_number(volume, "next_lsn"),
	       cli_size(volume, "dirty_bytes"), cli_size(volume, "dirty_bytes_max"),
	       cli_time(cli_number(volume, "dirty_age_ms")));
	printf("  blocks written %lld, read %lld    read faults %lld, reads waiting %lld\n",
	       (long long)cli_number(volume, "blocks_written"),
	       (long long)cli_number(volume, "blocks_read"),
	       (long long)cli_number(volume, "read_faults"),
	       (long long)cli_number(volume, "reads_waiting"));
}

static void show_status(json_t *result)
{
	json_t *volumes = json_object_get(result, "volumes"), *volume, *peers;
	size_t i;

	if (!json_array_size(volumes))
		printf("No volume is attached to this host. 'sextant list' shows those that there are.\n");
	json_array_foreach(volumes, i, volume) {
		const char *state = cli_text(volume, "state");
		const char *holder = json_string_value(json_object_get(volume, "holder"));

		if (i)
			putchar('\n');
		cli_print(CLI_BOLD, cli_text(volume, "name"));
		printf("  ");
		cli_print(state_color(state), state);
		if (holder)
			printf(" (%s)", holder);
		printf("  %s  %s  %s\n", cli_size(volume, "size_bytes"), cli_text(volume, "device"),
		       cli_text(volume, "uuid"));
		peers = json_object_get(volume, "peers");
		if (json_object_get(volume, "vdl")) {
			show_counters(volume);
			show_attached_peers(peers);
		} else {
			show_stores(peers);
		}
	}
}

static void show_once(const struct show_options *options, json_t *result)
{
	if (options->watch && options->json) {
		json_object_del(result, "ok");
		json_dumpf(result, stdout, JSON_COMPACT);
		putchar('\n');
	} else if (options->json) {
		cli_print_json(result);
	} else {
		if (options->watch && cli_is_terminal())
			fputs("\033[H\033[2J", stdout);
		show_status(result);
	}
	fflush(stdout);
}

int cli_volume_status(const struct cli *cli, int argc, char **argv)
{
	struct show_options options;
	struct sextant_lines lines;
	json_t *result;
	int code = parse(argc, argv, "status", true, &options);

	if (code)
		return code;
	memset(&lines, 0, sizeof(lines));
	lines.fd = cli_send(cli, json_pack("{s:s, s:b, s:s*}", "verb", "volume.status", "watch",
					   options.watch, "volume", options.name));
	if (lines.fd < 0)
		return SEXTANT_CODE_UNREACHABLE;
	do {
		result = cli_result(&lines, &code);
		if (result)
			show_once(&options, result);
		json_decref(result);
	} while (result && options.watch);
	sextant_lines_release(&lines);
	close(lines.fd);
	return code;
}
