/* SPDX-License-Identifier: GPL-2.0 */
/* Verbs that only look: volume.list, volume.status, peer.list. They end the report. */
#ifndef SEXTANT_INSPECT_H
#define SEXTANT_INSPECT_H

#include "control_config.h"
#include "report.h"

void inspect_volumes(const struct control_config *config, struct report *report);
void inspect_peers(const struct control_config *config, struct report *report);

/* {"volume": name, UUID or device; all if not there}, {"watch": true}: every second. */
void inspect_status(const struct control_config *config, json_t *request, struct report *report);

#endif
