/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The process that serves one volume: attaches it, keeps its six sockets up,
 * detaches it. A volume that is stuck delays no other.
 */
#ifndef SEXTANT_WORKER_H
#define SEXTANT_WORKER_H

#include "attach.h"
#include "control_config.h"
#include "detach.h"
#include "device.h"
#include "kernel_link.h"
#include "writers.h"

struct worker {
	const struct control_config *config;
	int channel;				/* to the main process */
	struct kernel_link kernel;
	struct kernel_events *events;
	u8 volume[SEXTANT_UUID_BYTES];
	char device[DEVICE_NAME_BYTES];		/* the dm device's name */
	char options[DEVICE_OPTIONS_BYTES];	/* of the table that we load, "" */
	bool device_made;			/* by us: removed again if the attach fails */
	bool force;
	struct attached attached;		/* what is in force */
	struct writers writers;
	struct detach detach;
};

/*
 * The process for a client's volume.attach {volume, name, writethrough,
 * no_quorum, max_dirty, read_timeout_ms, force}: attaches, answers the client, and
 * serves until the volume is gone from this host. Returns the exit status.
 */
int worker_attach(const struct control_config *config, int channel, json_t *request, int client);

/*
 * The process for a volume that the kernel has: a device that dmsetup made is
 * attached (tried until it works or the device goes), a running one adopted.
 */
int worker_serve(const struct control_config *config, int channel,
		 const u8 volume[SEXTANT_UUID_BYTES]);

/* ---- between worker.c and bring_up.c ---------------------------------------- */

/*
 * Attaches worker->volume from `known` (taken over) and starts the kernel's
 * volume; makes the device first when worker->device_made is to be (make_device).
 * 0 with writers going, or a failure in report and nothing left behind.
 */
int bring_up(struct worker *worker, struct sextant_manifest *known, bool make_device,
	     struct report *report);

#endif
