// SPDX-License-Identifier: GPL-2.0
/* The main process; see server.h. */
#include "server.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include "channel.h"
#include "control.h"
#include "create.h"
#include "detach.h"
#include "device.h"
#include "inspect.h"
#include "kernel_link.h"
#include "log.h"
#include "report.h"
#include "text.h"
#include "worker.h"

#define CHILDREN_MAX	256
#define CLIENTS_MAX	64
#define RESCAN_US	(1000 * 1000)

struct server {
	const struct control_config *config;
	sd_event *event;
	pid_t pid;
	int listener;
	struct kernel_events *kernel_events;
	struct child *children;
	u32 child_count, client_count;
};

/* A process at work. One with a channel serves a volume. */
struct child {
	struct child *next;
	struct server *server;
	sd_event_source *exit, *readable;
	int channel;				/* -1: a single operation */
	bool serves;				/* volume and names are known */
	u8 volume[SEXTANT_UUID_BYTES];
	char name[SEXTANT_NAME_BYTES], device[DEVICE_NAME_BYTES];
};

/* Someone at the socket, until the request is there. */
struct client {
	struct server *server;
	sd_event_source *readable;
	struct sextant_lines lines;
};

/* What a new process is to do. */
struct job {
	int (*run)(struct server *server, const struct job *job, int channel);
	json_t *request;
	int client;				/* -1: none */
	const u8 *volume;
	bool serves;				/* is one with a channel */
};

/* ---- children ------------------------------------------------------------------ */

static void rescan(struct server *server);

static int on_rescan(sd_event_source *source, uint64_t now_us, void *context)
{
	(void)now_us;
	sd_event_source_unref(source);
	rescan(context);
	return 0;
}

/* A worker that died leaves its volume running: another takes it up. */
static void rescan_later(struct server *server)
{
	sd_event_source *source;

	sd_event_add_time_relative(server->event, &source, CLOCK_MONOTONIC, RESCAN_US, 0,
				   on_rescan, server);
}

static void drop_child(struct child *child)
{
	struct child **at = &child->server->children;

	while (*at != child)
		at = &(*at)->next;
	*at = child->next;
	child->server->child_count--;
	sd_event_source_unref(child->exit);
	sd_event_source_unref(child->readable);
	if (child->channel >= 0)
		close(child->channel);
	free(child);
}

static int on_exit_of(sd_event_source *source, const siginfo_t *info, void *context)
{
	struct child *child = context;

	(void)source;
	if (info->si_code != CLD_EXITED)
		sextant_log(SEXTANT_LOG_ERROR, "the process for %s died of signal %d",
			    child->name[0] ? child->name : "an operation", info->si_status);
	if (child->channel >= 0)
		rescan_later(child->server);
	drop_child(child);
	return 0;
}

static struct child *find_worker(struct server *server, const u8 *volume)
{
	struct child *child;

	for (child = server->children; child; child = child->next)
		if (child->serves && !memcmp(child->volume, volume, SEXTANT_UUID_BYTES))
			return child;
	return NULL;
}

static struct child *find_worker_by_text(struct server *server, const char *text)
{
	u8 volume[SEXTANT_UUID_BYTES];
	struct child *child;

	if (!sextant_uuid_parse(text, volume))
		return find_worker(server, volume);
	for (child = server->children; child; child = child->next)
		if (child->serves && (!strcmp(child->name, text) || !strcmp(child->device, text)))
			return child;
	return NULL;
}

/* A worker says which volume it serves, or asks whether it may. */
static void take_message(struct child *child, json_t *message)
{
	const char *claimed = json_string_value(json_object_get(message, "claim"));
	const char *uuid = claimed ? claimed :
			   json_string_value(json_object_get(message, "serves"));
	const char *name = json_string_value(json_object_get(message, "name"));
	const char *device = json_string_value(json_object_get(message, "device"));
	u8 volume[SEXTANT_UUID_BYTES];
	struct child *other;

	if (!uuid || sextant_uuid_parse(uuid, volume) || !name || !device)
		return;
	other = find_worker(child->server, volume);
	if (!other || other == child) {
		child->serves = true;
		memcpy(child->volume, volume, sizeof(child->volume));
		snprintf(child->name, sizeof(child->name), "%s", name);
		snprintf(child->device, sizeof(child->device), "%s", device);
	}
	if (claimed)
		channel_send(child->channel, json_pack("{s:b}", "granted",
						       !other || other == child), -1);
}

static int on_channel(sd_event_source *source, int fd, uint32_t revents, void *context)
{
	struct child *child = context;
	json_t *message;
	int passed;

	(void)revents;
	message = channel_receive(fd, &passed);
	if (passed >= 0)
		close(passed);
	if (message)
		take_message(child, message);
	else if (errno != EAGAIN)
		sd_event_source_set_enabled(source, SD_EVENT_OFF);
	json_decref(message);
	return 0;
}

/* ---- a new process ----------------------------------------------------------------- */

/* Nothing of the main process stays open but what this child is to use. */
static void close_others(int keep_a, int keep_b)
{
	int low = keep_a < keep_b ? keep_a : keep_b;
	int high = keep_a < keep_b ? keep_b : keep_a;

	if (low > 3)
		close_range(3, (unsigned int)low - 1, 0);
	if (high > low)
		close_range(low < 3 ? 3 : (unsigned int)low + 1, (unsigned int)high - 1, 0);
	close_range(high < 3 ? 3 : (unsigned int)high + 1, ~0u, 0);
}

static void run_child(struct server *server, const struct job *job, int channel)
		      __attribute__((noreturn));

static void run_child(struct server *server, const struct job *job, int channel)
{
	sigset_t none;

	/* A worker without its main process would stand in the way of the next one's. */
	if (job->serves && (prctl(PR_SET_PDEATHSIG, SIGTERM) || getppid() != server->pid))
		_exit(1);
	close_others(job->client, channel);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	fflush(NULL);
	_exit(job->run(server, job, channel));
}

static struct child *add_child(struct server *server, const struct job *job, pid_t pid,
			       int channel)
{
	struct child *child = calloc(1, sizeof(*child));

	if (!child)
		return NULL;
	child->server = server;
	child->channel = channel;
	child->next = server->children;
	server->children = child;
	server->child_count++;
	sd_event_add_child(server->event, &child->exit, pid, WEXITED, on_exit_of, child);
	if (channel >= 0)
		sd_event_add_io(server->event, &child->readable, channel, EPOLLIN, on_channel,
				child);
	if (job->volume) {
		child->serves = true;
		memcpy(child->volume, job->volume, sizeof(child->volume));
	}
	return child;
}

/* Forks a process for a job. 0 or -errno. */
static int launch(struct server *server, const struct job *job)
{
	int ends[2] = { -1, -1 }, error;
	pid_t pid;

	if (server->child_count >= CHILDREN_MAX)
		return -EAGAIN;
	if (job->serves && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends))
		return -errno;
	pid = fork();
	if (!pid)
		run_child(server, job, ends[1]);
	error = pid < 0 ? -errno : 0;
	if (ends[1] >= 0)
		close(ends[1]);
	if (!error) {
		if (ends[0] >= 0)
			fcntl(ends[0], F_SETFL, O_NONBLOCK);
		if (add_child(server, job, pid, ends[0]))
			return 0;
		kill(pid, SIGKILL);
		error = -ENOMEM;
	}
	if (ends[0] >= 0)
		close(ends[0]);
	return error;
}

/* ---- what processes do --------------------------------------------------------------- */

static int run_attach(struct server *server, const struct job *job, int channel)
{
	return worker_attach(server->config, channel, job->request, job->client);
}

static int run_serve(struct server *server, const struct job *job, int channel)
{
	return worker_serve(server->config, channel, job->volume);
}

static int run_operation(struct server *server, const struct job *job, int channel)
{
	const char *verb = json_string_value(json_object_get(job->request, "verb"));
	struct report report = { .fd = job->client };

	(void)channel;
	device_init();
	if (!strcmp(verb, "volume.create"))
		create_volume(server->config, job->request, &report);
	else if (!strcmp(verb, "volume.delete"))
		delete_volume(server->config, job->request, &report);
	else if (!strcmp(verb, "volume.detach"))
		detach_volume(server->config, job->request, &report);
	else if (!strcmp(verb, "volume.list"))
		inspect_volumes(server->config, &report);
	else if (!strcmp(verb, "volume.status"))
		inspect_status(server->config, job->request, &report);
	else
		inspect_peers(server->config, &report);
	return 0;
}

/* ---- requests -------------------------------------------------------------------------- */

static bool is_operation(const char *verb)
{
	static const char * const verbs[] = {
		"volume.create", "volume.delete", "volume.detach", "volume.list", "volume.status",
		"peer.list",
	};
	u32 i;

	for (i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (!strcmp(verb, verbs[i]))
			return true;
	return false;
}

static void refuse_client(int client, enum sextant_code code, const char *error)
{
	sextant_line_write(client, json_pack("{s:b, s:i, s:s}", "ok", 0, "code", (int)code, "error",
					     error));
}

/* Gives the request, and the client with it, to the process that is to do it. */
static void dispatch(struct server *server, json_t *request, int client)
{
	const char *verb = json_string_value(json_object_get(request, "verb"));
	const char *volume = json_string_value(json_object_get(request, "volume"));
	struct job job = { .request = request, .client = client };
	struct child *worker = NULL;
	int error;

	if (verb && !strcmp(verb, "volume.detach") && volume)
		worker = find_worker_by_text(server, volume);
	if (worker) {
		error = channel_send(worker->channel, json_incref(request), client);
	} else if (verb && !strcmp(verb, "volume.attach")) {
		job.run = run_attach;
		job.serves = true;
		error = launch(server, &job);
	} else if (verb && is_operation(verb)) {
		job.run = run_operation;
		error = launch(server, &job);
	} else {
		refuse_client(client, SEXTANT_CODE_USAGE,
			      "sextantd knows no such request: are sextant and sextantd of one version?");
		return;
	}
	if (error)
		refuse_client(client, SEXTANT_CODE_FAILED, error == -EAGAIN ?
			      "sextantd is busy with too many requests: try again" :
			      "sextantd cannot begin this: it is out of memory or processes");
}

static void drop_client(struct client *client)
{
	client->server->client_count--;
	sd_event_source_unref(client->readable);
	close(client->lines.fd);
	sextant_lines_release(&client->lines);
	free(client);
}

static int on_client(sd_event_source *source, int fd, uint32_t revents, void *context)
{
	struct client *client = context;
	json_t *request;

	(void)source;
	(void)revents;
	request = sextant_lines_next(&client->lines, SEXTANT_CONTROL_REQUEST_MAX);
	if (!request && errno == EAGAIN)
		return 0;
	if (request)
		dispatch(client->server, request, fd);
	else if (errno == EBADMSG)
		refuse_client(fd, SEXTANT_CODE_USAGE, "the request is not a line of JSON");
	json_decref(request);
	drop_client(client);
	return 0;
}

static int on_listener(sd_event_source *source, int fd, uint32_t revents, void *context)
{
	struct server *server = context;
	struct ucred caller = { .uid = ~0u };
	socklen_t bytes = sizeof(caller);
	struct client *client;
	int accepted;

	(void)source;
	(void)revents;
	accepted = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (accepted < 0)
		return 0;
	getsockopt(accepted, SOL_SOCKET, SO_PEERCRED, &caller, &bytes);
	client = server->client_count < CLIENTS_MAX ? calloc(1, sizeof(*client)) : NULL;
	if (!client || (caller.uid && caller.uid != geteuid())) {
		refuse_client(accepted, SEXTANT_CODE_FAILED, client ?
			      "only root may ask sextantd" : "sextantd is busy: try again");
		free(client);
		close(accepted);
		return 0;
	}
	client->server = server;
	client->lines.fd = accepted;
	server->client_count++;
	sd_event_add_io(server->event, &client->readable, accepted, EPOLLIN, on_client, client);
	return 0;
}

/* ---- the kernel -------------------------------------------------------------------------- */

/* Every volume of the kernel that lives and has no worker gets one. */
static void rescan(struct server *server)
{
	struct kernel_volume *volumes;
	struct kernel_link kernel;
	u32 count, i;

	if (!kernel_open(&kernel) && !kernel_dump(&kernel, &volumes, &count)) {
		for (i = 0; i < count; i++) {
			struct job job = {
				.run = run_serve, .client = -1, .serves = true,
				.volume = volumes[i].volume,
			};

			if (volumes[i].state < SEXTANT_VOLUME_STOPPED &&
			    !find_worker(server, volumes[i].volume))
				launch(server, &job);
		}
		free(volumes);
	}
	kernel_close(&kernel);
}

static void on_kernel_event(void *context, const struct kernel_event *event)
{
	struct server *server = context;

	if (!event->event || event->event == SEXTANT_EVENT_DEVICE_ADDED)
		rescan(server);
}

static int on_kernel(sd_event_source *source, int fd, uint32_t revents, void *context)
{
	struct server *server = context;

	(void)source;
	(void)fd;
	(void)revents;
	kernel_events_read(server->kernel_events, on_kernel_event, server);
	return 0;
}

/* ---- setting up ---------------------------------------------------------------------------- */

static bool someone_listens(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool listens = fd >= 0 && !connect(fd, (const struct sockaddr *)address, sizeof(*address));

	if (fd >= 0)
		close(fd);
	return listens;
}

static int open_listener(struct server *server)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const char *path = server->config->socket;
	char directory[PATH_MAX], *slash;
	mode_t mask;
	int failed;

	if (strlen(path) >= sizeof(address.sun_path)) {
		sextant_log(SEXTANT_LOG_ERROR, "the socket's path %s is longer than %zu bytes", path,
			    sizeof(address.sun_path) - 1);
		return -1;
	}
	strcpy(address.sun_path, path);
	if (someone_listens(&address)) {
		sextant_log(SEXTANT_LOG_ERROR, "another sextantd listens on %s: stop it first", path);
		return -1;
	}
	strcpy(directory, path);
	slash = strrchr(directory, '/');
	*slash = '\0';
	if (slash != directory)
		mkdir(directory, 0755);
	unlink(path);
	server->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	mask = umask(0177);
	failed = server->listener < 0 ||
		 bind(server->listener, (struct sockaddr *)&address, sizeof(address)) ||
		 listen(server->listener, CLIENTS_MAX);
	umask(mask);
	if (failed)
		sextant_log(SEXTANT_LOG_ERROR, "cannot listen on %s: %s", path, strerror(errno));
	return failed ? -1 : 0;
}

static int add_signals(struct server *server)
{
	sigset_t taken;

	sigemptyset(&taken);
	sigaddset(&taken, SIGTERM);
	sigaddset(&taken, SIGINT);
	sigaddset(&taken, SIGCHLD);
	if (sigprocmask(SIG_BLOCK, &taken, NULL))
		return -errno;
	if (sd_event_add_signal(server->event, NULL, SIGTERM, NULL, NULL) < 0 ||
	    sd_event_add_signal(server->event, NULL, SIGINT, NULL, NULL) < 0)
		return -EIO;
	return 0;
}

int server_run(const struct control_config *config)
{
	struct server server = { .config = config, .pid = getpid(), .listener = -1 };
	int error;

	if (sd_event_default(&server.event) < 0 || add_signals(&server) || open_listener(&server))
		return 1;
	sd_event_set_watchdog(server.event, true);
	error = sd_event_add_io(server.event, NULL, server.listener, EPOLLIN, on_listener, &server);
	server.kernel_events = kernel_events_open();
	if (server.kernel_events && error >= 0)
		error = sd_event_add_io(server.event, NULL, kernel_events_fd(server.kernel_events),
					EPOLLIN, on_kernel, &server);
	else
		sextant_log(SEXTANT_LOG_WARNING, "cannot hear the kernel's events: %s; volumes cannot be attached",
			    strerror(errno));
	if (error < 0) {
		sextant_log(SEXTANT_LOG_ERROR, "cannot begin: %s", strerror(-error));
		return 1;
	}
	rescan(&server);
	sextant_log(SEXTANT_LOG_NOTICE, "listening on %s, %u peers configured", config->socket,
		    config->peer_count);
	sd_notify(0, "READY=1");
	sd_event_loop(server.event);
	sd_notify(0, "STOPPING=1");
	unlink(config->socket);
	/* The workers see their channel end and go; what runs in the kernel stays. */
	while (server.children)
		drop_child(server.children);
	kernel_events_close(server.kernel_events);
	close(server.listener);
	sd_event_unref(server.event);
	return 0;
}
