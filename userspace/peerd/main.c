// SPDX-License-Identifier: GPL-2.0
/* sextant-peerd: keeps one of the six copies of Sextant volumes. */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "log.h"
#include "options.h"
#include "server.h"
#include "volume.h"

static struct {
	struct loop_op op;
	int fd;
	struct signalfd_siginfo info;
} signals;

static void signal_done(struct loop_op *op, int result)
{
	(void)op;
	(void)result;
	sextant_log(SEXTANT_LOG_NOTICE, "stopping");
	loop_stop();
}

/* SIGTERM and SIGINT end the loop; a broken connection is no reason to end. */
static int signals_start(void)
{
	struct io_uring_sqe *sqe;
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	/* A write past RLIMIT_FSIZE is an error of the segment, not the end of all. */
	signal(SIGXFSZ, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	if (sigprocmask(SIG_BLOCK, &set, NULL))
		return -errno;
	signals.fd = signalfd(-1, &set, SFD_CLOEXEC);
	if (signals.fd < 0)
		return -errno;
	signals.op.done = signal_done;
	sqe = loop_sqe();
	io_uring_prep_read(sqe, signals.fd, &signals.info, sizeof(signals.info), 0);
	loop_start(sqe, &signals.op);
	return 0;
}

/* Two daemons on one store would undo each other's promises. */
static int store_lock(const char *store)
{
	int fd = open(store, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0) {
		sextant_log(SEXTANT_LOG_ERROR, "cannot open the store %s: %s", store,
			    strerror(errno));
		return -1;
	}
	if (flock(fd, LOCK_EX | LOCK_NB)) {
		sextant_log(SEXTANT_LOG_ERROR, "the store %s is in use by another sextant-peerd",
			    store);
		close(fd);
		return -1;
	}
	return fd;
}

/* A file for each chunk of log: as many as the hard limit allows. */
static void files_allow(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

int main(int argc, char **argv)
{
	struct options options;
	int store_fd, rc;

	rc = options_parse(&options, argc, argv);
	if (rc >= 0)
		return rc;
	sextant_log_open("sextant-peerd", options.debug ? SEXTANT_LOG_DEBUG : SEXTANT_LOG_INFO);
	peer_options = &options;
	/* Where it may: memory it needs is not waited for on a volume it serves itself. */
	prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0);
	files_allow();
	store_fd = store_lock(options.store);
	if (store_fd < 0)
		return PEERD_EXIT_FAILED;
	rc = loop_init();
	if (rc) {
		sextant_log(SEXTANT_LOG_ERROR, "this host has no io_uring: %s%s", strerror(-rc),
			    rc == -EPERM ? " (see sysctl kernel.io_uring_disabled)" : "");
		return PEERD_EXIT_FAILED;
	}
	if (volumes_open(&options, store_fd) || server_start(&options) || signals_start())
		return PEERD_EXIT_FAILED;
	sd_notify(0, "READY=1");
	rc = loop_run();
	sd_notify(0, "STOPPING=1");
	if (rc)
		sextant_log(SEXTANT_LOG_ERROR, "io_uring fails: %s", strerror(-rc));
	server_stop();
	volumes_close();
	loop_release();
	close(store_fd);
	return rc ? PEERD_EXIT_FAILED : PEERD_EXIT_OK;
}
