/* SPDX-License-Identifier: GPL-2.0 */
/* Detaching: stop, drain, remove the device. */
#ifndef SEXTANT_DETACH_H
#define SEXTANT_DETACH_H

#include "control_config.h"
#include "kernel_link.h"
#include "report.h"

struct detach {
	bool active;
	const struct control_config *config;
	struct kernel_link *kernel;
	struct report report;
	u8 volume[SEXTANT_UUID_BYTES];
	char name[128];			/* for messages */
	char device[128];		/* "": it has none any more */
	bool force;
	bool discarded;
	u64 deadline_ms;		/* ~0: waits for ever */
	u64 said_ms;			/* when progress was last said */
};

/*
 * Begins, for the request {"volume", "force", "timeout_s"} of the client fd (taken
 * over): stops a running volume. Afterwards detach->active, or it has ended in a
 * failure: the device is open, or the kernel refuses.
 */
void detach_begin(struct detach *detach, const struct control_config *config,
		  struct kernel_link *kernel, const struct kernel_volume *volume,
		  json_t *request, int fd);

/*
 * Goes on, with what the kernel says now (NULL: it knows no such volume any
 * more). Call it about ten times a second until it is no longer active. Returns
 * true when the volume is gone from this host.
 */
bool detach_step(struct detach *detach, const struct kernel_volume *volume);

/*
 * The verb volume.detach for a volume without a worker: finds it in the kernel,
 * does it all, ends the report.
 */
void detach_volume(const struct control_config *config, json_t *request, struct report *report);

#endif
