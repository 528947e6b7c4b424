// SPDX-License-Identifier: GPL-2.0
/* sextant: the command line. See sextant(8). */
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "control_config.h"

static const char help_sextant[] =
	"usage: sextant [--config FILE] [--socket PATH] COMMAND ...\n"
	"\n"
	"Encrypted volumes with six copies. The commands:\n"
	"\n"
	"  volume create NAME --size SIZE   make a volume on six peers\n"
	"  volume attach NAME               give it to this host: /dev/mapper/NAME\n"
	"  volume detach NAME               take it from this host\n"
	"  volume list                      the volumes on the peers\n"
	"  volume status [NAME]             the volumes of this host, and their peers\n"
	"  volume delete NAME --yes         remove a volume and its key for good\n"
	"  peer list                        the peers\n"
	"\n"
	"  -c, --config FILE  the configuration (else $SEXTANT_CONFIG, else\n"
	"                     " SEXTANT_CONFIG_PATH ")\n"
	"      --socket PATH  the daemon's socket (else the configuration's)\n"
	"  -h, --help         this text; after a command, that command's\n"
	"\n"
	"Exit status: 0 done, 1 failed, 2 bad usage, 3 not found, 4 too few peers\n"
	"answer, 5 attached elsewhere or fenced, 6 key missing or wrong, 7 sextantd does\n"
	"not answer.\n";

static const char help_volume[] =
	"usage: sextant volume create|attach|detach|list|status|delete ...\n"
	"'sextant volume COMMAND --help' says more.\n";

static const char help_peer[] =
	"usage: sextant peer list [--json]\n";

static const struct cli_command volume_commands[] = {
	{ "create", cli_volume_create, cli_help_create },
	{ "attach", cli_volume_attach, cli_help_attach },
	{ "detach", cli_volume_detach, cli_help_detach },
	{ "delete", cli_volume_delete, cli_help_delete },
	{ "list", cli_volume_list, cli_help_list },
	{ "status", cli_volume_status, cli_help_status },
	{ NULL, NULL, NULL },
};

static const struct cli_command peer_commands[] = {
	{ "list", cli_peer_list, cli_help_peer_list },
	{ NULL, NULL, NULL },
};

int cli_usage(const char *command, const char *format, ...)
{
	va_list arguments;

	fputs("sextant: ", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fprintf(stderr, "; 'sextant %s%s--help' says more\n", command, *command ? " " : "");
	return SEXTANT_CODE_USAGE;
}

static bool asks_help(const char *word)
{
	return !strcmp(word, "--help") || !strcmp(word, "-h");
}

/* Runs argv[0] of these; noun is the word before it. */
static int run_command(const struct cli *cli, const struct cli_command *commands,
		       const char *noun, const char *help, int argc, char **argv)
{
	int i;

	if (!argc)
		return cli_usage(noun, "'%s' wants a command", noun);
	if (asks_help(argv[0])) {
		fputs(help, stdout);
		return 0;
	}
	for (; commands->name; commands++) {
		if (strcmp(commands->name, argv[0]))
			continue;
		for (i = 1; i < argc && strcmp(argv[i], "--"); i++) {
			if (asks_help(argv[i])) {
				fputs(commands->help, stdout);
				return 0;
			}
		}
		return commands->run(cli, argc, argv);
	}
	return cli_usage(noun, "there is no command '%s %s'", noun, argv[0]);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "socket", required_argument, NULL, 's' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	struct cli cli = { .config = NULL };
	int option;

	/* "+": options behind the command are the command's. */
	while ((option = getopt_long(argc, argv, "+c:h", options, NULL)) != -1) {
		switch (option) {
		case 'c':
			cli.config = optarg;
			break;
		case 's':
			cli.socket = optarg;
			break;
		case 'h':
			fputs(help_sextant, stdout);
			return 0;
		default:
			fputs("'sextant --help' says more\n", stderr);
			return SEXTANT_CODE_USAGE;
		}
	}
	argc -= optind;
	argv += optind;
	if (!argc) {
		fputs(help_sextant, stderr);
		return SEXTANT_CODE_USAGE;
	}
	if (!strcmp(argv[0], "volume"))
		return run_command(&cli, volume_commands, "volume", help_volume, argc - 1, argv + 1);
	if (!strcmp(argv[0], "peer"))
		return run_command(&cli, peer_commands, "peer", help_peer, argc - 1, argv + 1);
	/* The volume commands are also there without their noun. */
	return run_command(&cli, volume_commands, "volume", help_volume, argc, argv);
}
