// SPDX-License-Identifier: GPL-2.0
/* Serving one volume; see worker.h. */
#include "worker.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "channel.h"
#include "clock.h"
#include "locate.h"
#include "log.h"
#include "state.h"
#include "text.h"

#define REFRESH_MS		2000	/* how old our view of the kernel may get */
#define DETACH_STEP_MS		100
#define RETRY_FIRST_MS		500
#define RETRY_MAX_MS		5000
#define CLAIM_PATIENCE_MS	2000
#define CLAIM_RETRY_MS		50
#define MAX_DIRTY_MIN		(128u << 10)	/* as the module has them */
#define MAX_DIRTY_MAX		(1u << 30)
#define READ_TIMEOUT_MS_MIN	50
#define READ_TIMEOUT_MS_MAX	600000
#define READ_VERIFY_MAX		2

/* What the loop is told to do next. */
enum verdict { GO_ON, VOLUME_GONE };

/* ---- the main process ------------------------------------------------------------ */

/* Says whose worker this is, so that requests by any of these names come here. */
static int tell(struct worker *worker, const char *message, const char *name)
{
	char uuid[SEXTANT_UUID_TEXT_BYTES];

	sextant_uuid_format(uuid, worker->volume);
	return channel_send(worker->channel, json_pack("{s:s, s:s, s:s}", message, uuid, "name",
						       name, "device", worker->device), -1);
}

/* As tell(), for a volume that no worker has yet; false when another one has it. */
static bool claim(struct worker *worker, const char *name)
{
	json_t *answer;
	bool granted;
	int passed;

	if (tell(worker, "claim", name))
		return false;
	answer = channel_receive(worker->channel, &passed);
	granted = json_is_true(json_object_get(answer, "granted"));
	json_decref(answer);
	if (passed >= 0)
		close(passed);
	return granted;
}

/* The worker before may have answered its detach and be on its way out still. */
static bool claim_patiently(struct worker *worker, const char *name)
{
	u64 deadline_ms = clock_ms() + CLAIM_PATIENCE_MS;

	while (!claim(worker, name)) {
		if (clock_ms() >= deadline_ms)
			return false;
		poll(NULL, 0, CLAIM_RETRY_MS);
	}
	return true;
}

static enum verdict take_request(struct worker *worker, const struct kernel_volume *volume)
{
	struct report report = { .fd = -1 };
	json_t *request;
	int client;

	request = channel_receive(worker->channel, &client);
	if (!request) {
		/* The main process is gone. The volume runs on; the next one adopts it. */
		if (!errno || errno == ECONNRESET)
			exit(0);
		return GO_ON;
	}
	report.fd = client;
	if (worker->detach.active) {
		report_fail(&report, SEXTANT_CODE_FAILED, "'%s' is being detached already",
			    worker->detach.name);
		report_end(&report, NULL);
	} else if (client >= 0) {
		detach_begin(&worker->detach, worker->config, &worker->kernel, volume, request,
			     client);
	}
	json_decref(request);
	return GO_ON;
}

/* ---- the loop --------------------------------------------------------------------- */

static void on_event(void *context, const struct kernel_event *event)
{
	const struct worker *worker = context;

	/* An event only makes us look: VOLUME_GET says what is. This is for the log. */
	if (event->event == SEXTANT_EVENT_QUORUM_LOST &&
	    !memcmp(event->volume, worker->volume, sizeof(event->volume)))
		sextant_log(SEXTANT_LOG_WARNING, "%s: the write quorum is lost, writes wait",
			    worker->attached.manifest.name);
	if (event->event == SEXTANT_EVENT_QUORUM_BACK &&
	    !memcmp(event->volume, worker->volume, sizeof(event->volume)))
		sextant_log(SEXTANT_LOG_NOTICE, "%s: the write quorum is back",
			    worker->attached.manifest.name);
}

/* Acts on what the kernel says. `volume` NULL: it knows the volume no more. */
static enum verdict look(struct worker *worker, const struct kernel_volume *volume)
{
	u32 i;

	if (worker->detach.active && detach_step(&worker->detach, volume))
		return VOLUME_GONE;
	if (!volume) {
		state_remove(worker->config->state_dir, worker->volume);
		return VOLUME_GONE;
	}
	switch (volume->state) {
	case SEXTANT_VOLUME_RUNNING:
	case SEXTANT_VOLUME_STOPPING:
		for (i = 0; i < SEXTANT_PEERS; i++)
			writers_kernel_says(&worker->writers, i,
					    volume->peers[i].state == SEXTANT_PEER_CONNECTED,
					    volume->peers[i].last_status);
		return GO_ON;
	case SEXTANT_VOLUME_FENCED:
		sextant_log(SEXTANT_LOG_ERROR, "%s: fenced by %s, its I/O fails: detach it",
			    worker->attached.manifest.name,
			    volume->holder[0] ? volume->holder : "another writer");
		break;
	case SEXTANT_VOLUME_FAILED:
		sextant_log(SEXTANT_LOG_ERROR, "%s: writes were given up, its I/O fails: detach it",
			    worker->attached.manifest.name);
		break;
	default:
		sextant_log(SEXTANT_LOG_NOTICE, "%s: %s", worker->attached.manifest.name,
			    kernel_state_name(volume->state));
	}
	/* Unless its removal is still waited for, there is nothing more to do here. */
	return worker->detach.active ? GO_ON : VOLUME_GONE;
}

static int poll_timeout(struct worker *worker, u64 refreshed_ms)
{
	int timeout = (int)(worker->detach.active ? DETACH_STEP_MS : REFRESH_MS);
	int next_ms = writers_step(&worker->writers);
	u64 age_ms = clock_ms() - refreshed_ms;

	if (age_ms >= (u64)timeout)
		return 0;
	timeout -= (int)age_ms;
	return next_ms >= 0 && next_ms < timeout ? next_ms : timeout;
}

/* Serves a running volume until it is gone, or nothing can be done for it. */
static int serve_running(struct worker *worker)
{
	struct pollfd polled[SEXTANT_PEERS + 2];
	struct kernel_volume volume;
	bool stale = true;
	u64 refreshed_ms = 0;
	int error;

	for (;;) {
		if (stale || clock_ms() - refreshed_ms >=
			     (worker->detach.active ? DETACH_STEP_MS : REFRESH_MS)) {
			error = kernel_get(&worker->kernel, worker->volume, &volume);
			if (error && error != -ENODEV) {
				sextant_log(SEXTANT_LOG_ERROR, "the kernel does not answer: %s",
					    worker->kernel.error);
				return 1;
			}
			if (look(worker, error ? NULL : &volume) == VOLUME_GONE)
				return 0;
			refreshed_ms = clock_ms();
			stale = false;
		}
		writers_poll_fill(&worker->writers, polled);
		polled[SEXTANT_PEERS] = (struct pollfd){ .fd = worker->channel, .events = POLLIN };
		polled[SEXTANT_PEERS + 1] = (struct pollfd){
			.fd = kernel_events_fd(worker->events), .events = POLLIN,
		};
		if (poll(polled, SEXTANT_PEERS + 2, poll_timeout(worker, refreshed_ms)) <= 0)
			continue;
		writers_poll_take(&worker->writers, polled);
		if (polled[SEXTANT_PEERS + 1].revents) {
			kernel_events_read(worker->events, on_event, worker);
			stale = true;
		}
		if (polled[SEXTANT_PEERS].revents) {
			take_request(worker, &volume);
			stale = true;
		}
	}
}

static void prepare(struct worker *worker)
{
	writers_init(&worker->writers);
	device_init();
	/* It may have to reconnect a volume while the host is short of memory. */
	if (mlockall(MCL_CURRENT | MCL_FUTURE))
		sextant_log(SEXTANT_LOG_WARNING, "cannot lock memory: %s", strerror(errno));
}

static int open_events(struct worker *worker)
{
	worker->events = kernel_events_open();
	if (worker->events)
		return 0;
	sextant_log(SEXTANT_LOG_ERROR, "cannot hear the kernel's events: %s", strerror(errno));
	return -1;
}

/* ---- attaching for a client ---------------------------------------------------------- */

/* The table options, in device-mapper's way: how many words, then the words. */
static int take_options(struct worker *worker, json_t *request, struct report *report)
{
	const char *no_quorum = json_string_value(json_object_get(request, "no_quorum"));
	const char *max_dirty = json_string_value(json_object_get(request, "max_dirty"));
	json_t *read_timeout = json_object_get(request, "read_timeout_ms");
	json_t *read_verify = json_object_get(request, "read_verify");
	char words[DEVICE_OPTIONS_BYTES - 8] = "";
	u64 bytes, seconds;
	size_t length = 0;
	u32 count = 0;

	if (json_is_true(json_object_get(request, "writethrough"))) {
		length += (size_t)sprintf(words + length, " writethrough");
		count++;
	}
	if (no_quorum) {
		if (strcmp(no_quorum, "queue") &&
		    (strncmp(no_quorum, "error:", 6) ||
		     sextant_number_parse(no_quorum + 6, 1, 86400, &seconds)))
			return report_fail(report, SEXTANT_CODE_USAGE,
					   "--no-quorum takes queue or error:SECONDS (1 to 86400), not '%.40s'",
					   no_quorum);
		length += (size_t)snprintf(words + length, sizeof(words) - length,
					   " no_quorum=%.32s", no_quorum);
		count++;
	}
	if (max_dirty) {
		if (sextant_size_parse(max_dirty, &bytes) || bytes < MAX_DIRTY_MIN ||
		    bytes > MAX_DIRTY_MAX)
			return report_fail(report, SEXTANT_CODE_USAGE,
					   "--max-dirty takes a size from 128K to 1G, not '%.40s'",
					   max_dirty);
		length += (size_t)snprintf(words + length, sizeof(words) - length,
					   " max_dirty=%llu", (unsigned long long)bytes);
		count++;
	}
	if (read_timeout) {
		if (json_integer_value(read_timeout) < READ_TIMEOUT_MS_MIN ||
		    json_integer_value(read_timeout) > READ_TIMEOUT_MS_MAX)
			return report_fail(report, SEXTANT_CODE_USAGE,
					   "--read-timeout takes milliseconds from %u to %u",
					   READ_TIMEOUT_MS_MIN, READ_TIMEOUT_MS_MAX);
		length += (size_t)snprintf(words + length, sizeof(words) - length,
					   " read_timeout=%lld",
					   (long long)json_integer_value(read_timeout));
		count++;
	}
	if (read_verify) {
		if (json_integer_value(read_verify) < 0 ||
		    json_integer_value(read_verify) > READ_VERIFY_MAX)
			return report_fail(report, SEXTANT_CODE_USAGE,
					   "--read-verify takes a number from 0 to %u",
					   READ_VERIFY_MAX);
		snprintf(words + length, sizeof(words) - length, " read_verify=%lld",
			 (long long)json_integer_value(read_verify));
		count++;
	}
	if (count)
		snprintf(worker->options, sizeof(worker->options), "%u%s", count, words);
	return 0;
}

static int take_attach(struct worker *worker, json_t *request, struct report *report)
{
	const char *device = json_string_value(json_object_get(request, "name"));

	worker->force = json_is_true(json_object_get(request, "force"));
	if (device && !sextant_name_valid(device))
		return report_fail(report, SEXTANT_CODE_USAGE,
				   "'%.80s' is no name for a device: take 1 to 63 of A-Z a-z 0-9 . _ + -, a letter or digit first",
				   device);
	snprintf(worker->device, sizeof(worker->device), "%s", device ? device : "");
	return take_options(worker, request, report);
}

static int check_not_here(struct worker *worker, const char *name, struct report *report)
{
	struct kernel_volume volume;
	int error = kernel_open(&worker->kernel);

	if (!error)
		error = kernel_get(&worker->kernel, worker->volume, &volume);
	if (error) {
		/* No module yet, or no such volume: the device is still to be made. */
		kernel_close(&worker->kernel);
		return 0;
	}
	return report_fail(report, SEXTANT_CODE_ATTACHED,
			   "'%s' is here already%s%s (%s): detach it first", name,
			   volume.has_device ? " as /dev/mapper/" : "", volume.device_name,
			   kernel_state_name(volume.state));
}

int worker_attach(const struct control_config *config, int channel, json_t *request, int client)
{
	const char *wanted = json_string_value(json_object_get(request, "volume"));
	struct worker worker = { .config = config, .channel = channel };
	struct report report = { .fd = client };
	struct sextant_manifest known = { .name = "" };
	char uuid[SEXTANT_UUID_TEXT_BYTES], path[DEVICE_NAME_BYTES + 16];
	int code;

	prepare(&worker);
	code = take_attach(&worker, request, &report);
	if (!code)
		code = locate_volume(config, wanted ? wanted : "", worker.volume, &report);
	if (!code)
		code = locate_manifest(config, worker.volume, &known, &report);
	if (!code && !worker.device[0])
		snprintf(worker.device, sizeof(worker.device), "%s", known.name);
	if (!code)
		code = check_not_here(&worker, known.name, &report);
	if (!code && !claim_patiently(&worker, known.name))
		code = report_fail(&report, SEXTANT_CODE_ATTACHED,
				   "'%s' is being attached here already: see 'sextant status'",
				   known.name);
	if (!code && open_events(&worker))
		code = report_fail(&report, SEXTANT_CODE_FAILED, "the kernel's events cannot be heard");
	if (!code)
		code = bring_up(&worker, &known, true, &report);
	sextant_manifest_release(&known);
	if (code) {
		report_end(&report, NULL);
		return 0;
	}
	sextant_uuid_format(uuid, worker.volume);
	snprintf(path, sizeof(path), "/dev/mapper/%s", worker.device);
	sextant_log(SEXTANT_LOG_NOTICE, "%s: attached as %s, epoch %u",
		    worker.attached.manifest.name, path, worker.attached.manifest.ballot.epoch);
	report_end(&report, json_pack("{s:s, s:s, s:s, s:i}", "name",
				      worker.attached.manifest.name, "uuid", uuid, "device", path,
				      "epoch", (int)worker.attached.manifest.ballot.epoch));
	return serve_running(&worker);
}

/* ---- serving what the kernel has -------------------------------------------------------- */

/* Takes up a running volume that an earlier sextantd attached. */
static int adopt(struct worker *worker, const struct kernel_volume *volume,
		 struct report *report)
{
	struct sextant_manifest *m = &worker->attached.manifest;

	if (state_load(worker->config->state_dir, worker->volume, volume->epoch, m) &&
	    locate_manifest(worker->config, worker->volume, m, report))
		return report->code;
	if (m->ballot.epoch != volume->epoch) {
		report_fail(report, SEXTANT_CODE_ATTACHED,
			    "'%s' runs here under epoch %u, its peers are at epoch %u", m->name,
			    volume->epoch, m->ballot.epoch);
		if (m->ballot.epoch > volume->epoch)
			kernel_fence(&worker->kernel, worker->volume, m->ballot.epoch, "");
		sextant_manifest_release(m);
		return report->code;
	}
	if (sextant_manifest_encode(m, &worker->attached.manifest_bytes,
				    &worker->attached.manifest_size)) {
		sextant_manifest_release(m);
		return report_fail(report, SEXTANT_CODE_FAILED, "out of memory");
	}
	worker->writers.config = worker->config;
	worker->writers.kernel = &worker->kernel;
	worker->writers.manifest = m;
	worker->writers.manifest_bytes = worker->attached.manifest_bytes;
	worker->writers.manifest_size = worker->attached.manifest_size;
	writers_init(&worker->writers);
	sextant_log(SEXTANT_LOG_NOTICE, "%s: runs already as %s, epoch %u", m->name,
		    volume->device_name, volume->epoch);
	return 0;
}

/* One try to bring the volume under our care. 0, or a failure in report. */
static int take_up(struct worker *worker, const struct kernel_volume *volume,
		   struct report *report)
{
	struct sextant_manifest known;
	int code;

	if (volume->state == SEXTANT_VOLUME_RUNNING || volume->state == SEXTANT_VOLUME_STOPPING)
		return adopt(worker, volume, report);
	code = locate_manifest(worker->config, worker->volume, &known, report);
	return code ? code : bring_up(worker, &known, false, report);
}

/* Waits before the next try, unless the client or the kernel has something to say. */
static void wait_retry(struct worker *worker, const struct kernel_volume *volume, u32 delay_ms)
{
	struct pollfd polled[2] = {
		{ .fd = worker->channel, .events = POLLIN },
		{ .fd = kernel_events_fd(worker->events), .events = POLLIN },
	};

	if (poll(polled, 2, (int)delay_ms) <= 0)
		return;
	if (polled[1].revents)
		kernel_events_read(worker->events, on_event, worker);
	if (polled[0].revents)
		take_request(worker, volume);
}

int worker_serve(const struct control_config *config, int channel,
		 const u8 volume_uuid[SEXTANT_UUID_BYTES])
{
	struct worker worker = { .config = config, .channel = channel };
	struct kernel_volume volume;
	struct device_info device;
	char said[REPORT_ERROR_BYTES] = "";
	u32 delay_ms = RETRY_FIRST_MS;

	prepare(&worker);
	memcpy(worker.volume, volume_uuid, sizeof(worker.volume));
	if (kernel_open(&worker.kernel) || open_events(&worker))
		return 1;
	for (;;) {
		struct report report = { .fd = -1 };

		if (kernel_get(&worker.kernel, worker.volume, &volume))
			return 0;
		if (worker.detach.active && detach_step(&worker.detach, &volume))
			return 0;
		if (volume.state >= SEXTANT_VOLUME_STOPPED && !worker.detach.active)
			return 0;
		snprintf(worker.device, sizeof(worker.device), "%s", volume.device_name);
		tell(&worker, "serves", "");
		if (!worker.detach.active && !take_up(&worker, &volume, &report))
			break;
		if (report.code && strcmp(said, report.error)) {
			memcpy(said, report.error, sizeof(said));
			sextant_log(SEXTANT_LOG_WARNING, "%s", said);
		}
		wait_retry(&worker, &volume, worker.detach.active ? DETACH_STEP_MS : delay_ms);
		delay_ms = delay_ms * 2 < RETRY_MAX_MS ? delay_ms * 2 : RETRY_MAX_MS;
	}
	/* Made by an attach that a sextantd before us did not finish. */
	if (!device_info(worker.device, &device) && device.loaded_only)
		device_resume(worker.device);
	tell(&worker, "serves", worker.attached.manifest.name);
	return serve_running(&worker);
}
