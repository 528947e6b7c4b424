// SPDX-License-Identifier: GPL-2.0
/* sextantd: the control daemon of the hosts that attach volumes. See sextantd(8). */
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "control_config.h"
#include "log.h"
#include "server.h"

static const char usage[] =
	"usage: sextantd [--config FILE]\n"
	"\n"
	"The control daemon of Sextant: attaches volumes and keeps their connections\n"
	"to the peers up. Runs in the foreground.\n"
	"\n"
	"  -c, --config FILE  the configuration (else $SEXTANT_CONFIG, else\n"
	"                     " SEXTANT_CONFIG_PATH ")\n"
	"  -h, --help         this text\n";

/* What keeps the daemon alive, and its keys in memory, where a volume waits for it. */
static void harden(void)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, "-1000", 5) != 5)
		sextant_log(SEXTANT_LOG_WARNING, "cannot set the OOM score: %s", strerror(errno));
	if (fd >= 0)
		close(fd);
	if (mlockall(MCL_CURRENT | MCL_FUTURE))
		sextant_log(SEXTANT_LOG_WARNING, "cannot lock memory: %s", strerror(errno));
	if (prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0))
		sextant_log(SEXTANT_LOG_WARNING, "cannot become an I/O flusher: %s",
			    strerror(errno));
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
		sextant_log(SEXTANT_LOG_WARNING, "cannot forbid core dumps: %s", strerror(errno));
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	static struct control_config config;
	const char *path = NULL;
	char error[512];
	int option;

	sextant_log_open("sextantd", SEXTANT_LOG_INFO);
	while ((option = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
		switch (option) {
		case 'c':
			path = optarg;
			break;
		case 'h':
			fputs(usage, stdout);
			return 0;
		default:
			fputs(usage, stderr);
			return 2;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "sextantd: '%s' is too much: it takes options only\n", argv[optind]);
		return 2;
	}
	if (control_config_read(&config, control_config_path(path), error, sizeof(error))) {
		sextant_log(SEXTANT_LOG_ERROR, "%s", error);
		return 1;
	}
	harden();
	return server_run(&config);
}
