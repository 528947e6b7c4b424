// SPDX-License-Identifier: GPL-2.0
/* Commands that change something: create, attach, detach, delete. */
#include <getopt.h>
#include <stdio.h>

#include "cli.h"
#include "text.h"

const char cli_help_create[] =
	"usage: sextant volume create NAME --size SIZE [options]\n"
	"\n"
	"Makes an encrypted volume on six peers, two in each of three AZs, and its data\n"
	"key on sextantd's host. All six must be up.\n"
	"\n"
	"  --size SIZE       a multiple of 4 KiB: bytes, or a number with K, M, G or T\n"
	"  --pg-size SIZE    size of a protection group, the unit of repair: a multiple\n"
	"                    of 128 KiB from 1M to 64G (default 10G)\n"
	"  --peers A,B,...   six of the configured peers (default: all, if there are six)\n"
	"  --transport KIND  plain (the default and, in this version, the only one):\n"
	"                    unencrypted TCP; the blocks in it are sealed all the same\n";

const char cli_help_attach[] =
	"usage: sextant attach NAME|UUID [options]\n"
	"\n"
	"Makes this host the volume's writer and gives /dev/mapper/NAME. Four of the six\n"
	"peers must be up.\n"
	"\n"
	"  --name DEVICE       the device's name (default: the volume's)\n"
	"  --writethrough      every write waits until it is durable on four peers\n"
	"  --no-quorum WHAT    without a write quorum I/O waits (queue, the default) or\n"
	"                      fails after so many seconds (error:SECONDS)\n"
	"  --max-dirty SIZE    at most so much completed and not yet durable, 128K to 1G\n"
	"                      (default: the lesser of 64M and 2 % of memory)\n"
	"  --read-timeout MS   after so long a read goes to the next peer (default: see\n"
	"                      the module's manual)\n"
	"  --read-verify N     how many peers beyond three must agree that what one of\n"
	"                      them answers is the newest: 0 (none is asked), 1 or 2\n"
	"  --force             take it from a host that has it attached: that host is\n"
	"                      fenced, what it has not flushed is lost\n";

const char cli_help_detach[] =
	"usage: sextant detach NAME|UUID|DEVICE [options]\n"
	"\n"
	"Waits until every write is durable, then removes the device.\n"
	"\n"
	"  --timeout SECONDS  give up waiting after so long (the volume goes on draining)\n"
	"  --force            then drop what is not durable (after 5 s unless --timeout\n"
	"                     says otherwise); an open device is removed when it is closed\n";

const char cli_help_delete[] =
	"usage: sextant volume delete NAME|UUID --yes\n"
	"\n"
	"Removes a detached volume from its six peers, and its data key: the data is gone\n"
	"for good. All six peers must be up.\n"
	"\n"
	"  --yes  it is meant\n";

enum {
	OPTION_SIZE = 256, OPTION_PG_SIZE, OPTION_PEERS, OPTION_TRANSPORT, OPTION_NAME,
	OPTION_WRITETHROUGH, OPTION_NO_QUORUM, OPTION_MAX_DIRTY, OPTION_READ_TIMEOUT,
	OPTION_READ_VERIFY, OPTION_FORCE, OPTION_TIMEOUT, OPTION_YES,
};

/* What an option adds to the request. */
struct field {
	int option;
	const char *key;
	enum { FIELD_TEXT, FIELD_FLAG, FIELD_NUMBER } kind;
};

static const struct field fields[] = {
	{ OPTION_SIZE, "size", FIELD_TEXT },
	{ OPTION_PG_SIZE, "pg_size", FIELD_TEXT },
	{ OPTION_PEERS, "peers", FIELD_TEXT },
	{ OPTION_TRANSPORT, "transport", FIELD_TEXT },
	{ OPTION_NAME, "name", FIELD_TEXT },
	{ OPTION_WRITETHROUGH, "writethrough", FIELD_FLAG },
	{ OPTION_NO_QUORUM, "no_quorum", FIELD_TEXT },
	{ OPTION_MAX_DIRTY, "max_dirty", FIELD_TEXT },
	{ OPTION_READ_TIMEOUT, "read_timeout_ms", FIELD_NUMBER },
	{ OPTION_READ_VERIFY, "read_verify", FIELD_NUMBER },
	{ OPTION_FORCE, "force", FIELD_FLAG },
	{ OPTION_TIMEOUT, "timeout_s", FIELD_NUMBER },
	{ OPTION_YES, "yes", FIELD_FLAG },
};

static int add_field(json_t *request, int option, const char *value, const char *command)
{
	unsigned int i;
	u64 number;

	for (i = 0; fields[i].option != option; i++)
		;
	if (fields[i].kind == FIELD_FLAG)
		json_object_set_new(request, fields[i].key, json_true());
	else if (fields[i].kind == FIELD_NUMBER && sextant_number_parse(value, 0, 1000000000, &number))
		return cli_usage(command, "'%s' is not a whole number", value);
	else if (fields[i].kind == FIELD_NUMBER)
		json_object_set_new(request, fields[i].key, json_integer((json_int_t)number));
	else if (json_object_set_new(request, fields[i].key, json_string(value)))
		return cli_usage(command, "an option's value is not UTF-8 text");
	return 0;
}

/*
 * Reads options and the one name into the request, under `key`. 0, or the exit
 * status having said what is wrong.
 */
static int parse(int argc, char **argv, const struct option *options, const char *command,
		 const char *key, json_t *request)
{
	int option, code;

	argv[0] = (char *)"sextant";	/* what getopt's own messages begin with */
	optind = 0;
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == '?') {
			fprintf(stderr, "'sextant %s --help' says more\n", command);
			return SEXTANT_CODE_USAGE;
		}
		code = add_field(request, option, optarg, command);
		if (code)
			return code;
	}
	if (optind == argc)
		return cli_usage(command, "which volume? give its name");
	if (optind + 1 < argc)
		return cli_usage(command, "'%s' is too much: one volume at a time",
				 argv[optind + 1]);
	if (json_object_set_new(request, key, json_string(argv[optind])))
		return cli_usage(command, "the name is not UTF-8 text");
	return 0;
}

/* Parses, asks, and hands back the result. */
static int parse_and_ask(const struct cli *cli, int argc, char **argv,
			 const struct option *options, const char *command, const char *key,
			 const char *verb, json_t **result)
{
	json_t *request = json_pack("{s:s}", "verb", verb);
	int code = parse(argc, argv, options, command, key, request);

	if (code) {
		json_decref(request);
		return code;
	}
	return cli_ask(cli, request, result);
}

int cli_volume_create(const struct cli *cli, int argc, char **argv)
{
	static const struct option options[] = {
		{ "size", required_argument, NULL, OPTION_SIZE },
		{ "pg-size", required_argument, NULL, OPTION_PG_SIZE },
		{ "peers", required_argument, NULL, OPTION_PEERS },
		{ "transport", required_argument, NULL, OPTION_TRANSPORT },
		{ NULL, 0, NULL, 0 },
	};
	json_t *result;
	int code = parse_and_ask(cli, argc, argv, options, "volume create", "name",
				 "volume.create", &result);

	if (code)
		return code;
	printf("%s\n", cli_text(result, "uuid"));
	json_decref(result);
	return 0;
}

int cli_volume_attach(const struct cli *cli, int argc, char **argv)
{
	static const struct option options[] = {
		{ "name", required_argument, NULL, OPTION_NAME },
		{ "writethrough", no_argument, NULL, OPTION_WRITETHROUGH },
		{ "no-quorum", required_argument, NULL, OPTION_NO_QUORUM },
		{ "max-dirty", required_argument, NULL, OPTION_MAX_DIRTY },
		{ "read-timeout", required_argument, NULL, OPTION_READ_TIMEOUT },
		{ "read-verify", required_argument, NULL, OPTION_READ_VERIFY },
		{ "force", no_argument, NULL, OPTION_FORCE },
		{ NULL, 0, NULL, 0 },
	};
	json_t *result;
	int code = parse_and_ask(cli, argc, argv, options, "attach", "volume", "volume.attach",
				 &result);

	if (code)
		return code;
	printf("%s\n", cli_text(result, "device"));
	json_decref(result);
	return 0;
}

int cli_volume_detach(const struct cli *cli, int argc, char **argv)
{
	static const struct option options[] = {
		{ "timeout", required_argument, NULL, OPTION_TIMEOUT },
		{ "force", no_argument, NULL, OPTION_FORCE },
		{ NULL, 0, NULL, 0 },
	};
	const char *state;
	json_t *result;
	int code = parse_and_ask(cli, argc, argv, options, "detach", "volume", "volume.detach",
				 &result);

	if (code)
		return code;
	state = cli_text(result, "state");
	if (!strcmp(state, "fenced"))
		fprintf(stderr, "sextant: the device was fenced by another writer before: what it had not flushed is lost\n");
	else if (!strcmp(state, "failed") || !strcmp(state, "discarded"))
		fprintf(stderr, "sextant: writes that were not durable yet are lost\n");
	json_decref(result);
	return 0;
}

int cli_volume_delete(const struct cli *cli, int argc, char **argv)
{
	static const struct option options[] = {
		{ "yes", no_argument, NULL, OPTION_YES },
		{ NULL, 0, NULL, 0 },
	};
	json_t *result;
	int code = parse_and_ask(cli, argc, argv, options, "volume delete", "volume",
				 "volume.delete", &result);

	if (!code)
		json_decref(result);
	return code;
}
