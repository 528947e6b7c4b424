// SPDX-License-Identifier: GPL-2.0
/*
 * From a manifest to a running volume: device, ballot, peers, keys, START. The
 * order is kernel/uapi/sextant.h's.
 */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "clock.h"
#include "keyfile.h"
#include "log.h"
#include "state.h"
#include "worker.h"

struct bringing_up {
	struct worker *worker;
	struct report *report;
	int serials[SEXTANT_MANIFEST_GENERATIONS_MAX];	/* keys in our keyring */
	u32 serial_count;
};

static int fail_kernel(struct bringing_up *up, const char *step)
{
	return report_fail(up->report, SEXTANT_CODE_FAILED, "%s: %s", step,
			   up->worker->kernel.error);
}

/* attach_request.check: every key is there and is the right one. */
static int check_keys(void *context, const struct sextant_manifest *manifest)
{
	struct bringing_up *up = context;
	struct keyfile_key *key;
	u32 i;

	if (manifest->transport != SEXTANT_TRANSPORT_PLAIN)
		return report_fail(up->report, SEXTANT_CODE_FAILED,
				   "'%s' wants TLS to its peers, which this version does not serve",
				   manifest->name);
	for (i = 0; i < manifest->generation_count; i++) {
		if (keyfile_read(up->worker->config->key_dir, manifest->volume,
				 &manifest->generations[i], &key, up->report))
			return up->report->code;
		keyfile_release(key);
	}
	return 0;
}

/* attach_request.draw */
static int draw_attach_id(void *context, u8 attach_id[SEXTANT_ATTACH_ID_BYTES])
{
	struct bringing_up *up = context;

	if (kernel_attach_begin(&up->worker->kernel, up->worker->volume, attach_id))
		return fail_kernel(up, "the kernel does not begin to attach");
	return 0;
}

/* ---- the kernel's part --------------------------------------------------------- */

static int give_key(struct bringing_up *up, const struct sextant_manifest *manifest, u32 index)
{
	const struct sextant_manifest_generation *generation = &manifest->generations[index];
	struct worker *worker = up->worker;
	struct keyfile_key *key;
	int serial;

	if (keyfile_read(worker->config->key_dir, worker->volume, generation, &key, up->report))
		return up->report->code;
	serial = keyfile_ring_add(key, worker->volume, generation->generation);
	keyfile_release(key);
	if (serial < 0)
		return report_fail(up->report, SEXTANT_CODE_KEY,
				   "the kernel's keyring does not take data key generation %u: %s",
				   generation->generation, strerror(errno));
	up->serials[up->serial_count++] = serial;
	if (!kernel_key_set(&worker->kernel, worker->volume, generation->generation, (u32)serial,
			    generation->origin, generation->commitment))
		return 0;
	return report_fail(up->report, SEXTANT_CODE_KEY,
			   "the kernel refuses data key generation %u of '%s': %s",
			   generation->generation, manifest->name, worker->kernel.error);
}

static void drop_keys(struct bringing_up *up)
{
	while (up->serial_count)
		keyfile_ring_drop(up->serials[--up->serial_count]);
}

static int set_volume(struct bringing_up *up)
{
	const struct attached *attached = &up->worker->attached;
	const struct sextant_manifest *m = &attached->manifest;
	struct kernel_link *kernel = &up->worker->kernel;
	struct sextant_table table = { m->table_count, m->table };
	u32 i;

	for (i = 0; i < m->generation_count; i++)
		if (give_key(up, m, i))
			return up->report->code;
	if (kernel_table_set(kernel, m->volume, &table))
		return fail_kernel(up, "the kernel refuses the epoch table");
	if (kernel_tail_set(kernel, m->volume, attached->tails, attached->tail_count))
		return fail_kernel(up, "the kernel refuses the tails");
	for (i = 0; i < SEXTANT_PEERS; i++)
		if (kernel_peer_set(kernel, m, i, -1))
			return fail_kernel(up, "the kernel refuses a peer");
	return 0;
}

/* Lets the writers connect for so long, or until those in `wanted` have. */
static void run_writers(struct worker *worker, u8 wanted, u32 timeout_ms)
{
	u64 deadline = clock_ms() + timeout_ms;
	struct pollfd polled[SEXTANT_PEERS];
	u64 now;

	while ((writers_done(&worker->writers) & wanted) != wanted) {
		int next_ms = writers_step(&worker->writers);

		now = clock_ms();
		if (now >= deadline)
			return;
		if (next_ms < 0 || (u64)next_ms > deadline - now)
			next_ms = (int)(deadline - now);
		writers_poll_fill(&worker->writers, polled);
		if (poll(polled, SEXTANT_PEERS, next_ms) > 0)
			writers_poll_take(&worker->writers, polled);
	}
}

/* Until no writer before us can still hold a lease; the sockets are kept up meanwhile. */
static void wait_lease(struct bringing_up *up)
{
	const struct attached *attached = &up->worker->attached;
	u64 end = attached->active_at_ms + attached->lease_wait_ms, now = clock_ms();

	if (now >= end)
		return;
	report_progress(up->report,
			"waiting %.1f s for the lease of the writer before, which did not detach, to run out",
			(double)(end - now) / 1000);
	run_writers(up->worker, 0xff, (u32)(end - now));
}

static int start(struct bringing_up *up)
{
	struct worker *worker = up->worker;
	const struct sextant_manifest *m = &worker->attached.manifest;
	struct kernel_start request = {
		.ballot = m->ballot,
		.size_blocks = m->size_blocks,
		.vdl = worker->attached.vcl,
		.pg_blocks = m->pg_blocks,
		.generation = m->generations[m->generation_count - 1].generation,
		.lease_ms = m->lease_ms,
		.local_az = worker->config->az,
		.plain = m->transport == SEXTANT_TRANSPORT_PLAIN,
	};

	if (kernel_start(&worker->kernel, worker->volume, &request))
		return fail_kernel(up, "the kernel does not start the volume");
	state_save(worker->config->state_dir, worker->volume, worker->attached.manifest_bytes,
		   worker->attached.manifest_size);
	return 0;
}

/* ---- the whole ------------------------------------------------------------------- */

static int make_device(struct bringing_up *up, const struct sextant_manifest *manifest)
{
	struct worker *worker = up->worker;
	int error = device_create(worker->device, worker->volume, manifest->size_blocks,
				  worker->options);

	if (!error) {
		worker->device_made = true;
		return 0;
	}
	if (error == -EBUSY || error == -EEXIST)
		return report_fail(up->report, SEXTANT_CODE_FAILED,
				   "there is a device /dev/mapper/%s, or one of this volume, already: detach it, or take another name with --name",
				   worker->device);
	return report_fail(up->report, SEXTANT_CODE_FAILED,
			   "device-mapper does not make /dev/mapper/%s: %s; is the module dm-sextant installed? the kernel log says more",
			   worker->device, strerror(-error));
}

static int run(struct bringing_up *up, struct sextant_manifest *known)
{
	struct worker *worker = up->worker;
	struct attach_request request = {
		.config = worker->config,
		.volume = worker->volume,
		.force = worker->force,
		.report = up->report,
		.check = check_keys,
		.draw = draw_attach_id,
		.context = up,
	};
	u32 connected;

	if (!worker->kernel.socket && kernel_open(&worker->kernel)) {
		fail_kernel(up, "the kernel does not answer");
		kernel_close(&worker->kernel);
		return up->report->code;
	}
	if (attach_activate(&request, known, &worker->attached) || set_volume(up))
		return up->report->code;
	worker->writers.config = worker->config;
	worker->writers.kernel = &worker->kernel;
	worker->writers.manifest = &worker->attached.manifest;
	worker->writers.manifest_bytes = worker->attached.manifest_bytes;
	worker->writers.manifest_size = worker->attached.manifest_size;
	writers_init(&worker->writers);
	run_writers(worker, worker->attached.active, worker->config->connect_timeout_ms);
	connected = hweight8(writers_done(&worker->writers));
	if (connected < SEXTANT_WRITE_QUORUM)
		report_progress(up->report, "%u of 6 peers are connected: writes wait for %u",
				connected, SEXTANT_WRITE_QUORUM);
	wait_lease(up);
	if (start(up))
		return up->report->code;
	if (!worker->device_made)
		return 0;
	if (!device_resume(worker->device))
		return 0;
	kernel_stop(&worker->kernel, worker->volume);
	return report_fail(up->report, SEXTANT_CODE_FAILED, "/dev/mapper/%s cannot be resumed",
			   worker->device);
}

int bring_up(struct worker *worker, struct sextant_manifest *known, bool with_device,
	     struct report *report)
{
	struct bringing_up up = { .worker = worker, .report = report };
	int code = 0;

	if (with_device) {
		/* Before anything is made: the common case of a wrong key. */
		code = check_keys(&up, known);
		if (!code)
			code = make_device(&up, known);
	}
	if (!code)
		code = run(&up, known);
	sextant_manifest_release(known);
	drop_keys(&up);
	if (!code)
		return 0;
	writers_close(&worker->writers);
	attached_release(&worker->attached);
	if (worker->device_made) {
		device_remove(worker->device, false);
		worker->device_made = false;
	}
	return code;
}
