/* SPDX-License-Identifier: GPL-2.0 */
/* Making and deleting volumes. */
#ifndef SEXTANT_CREATE_H
#define SEXTANT_CREATE_H

#include "control_config.h"
#include "report.h"

/*
 * The verbs volume.create {name, size, pg_size, peers, transport} and
 * volume.delete {volume, yes}. They end the report themselves. What a failed
 * create has made is removed again.
 */
void create_volume(const struct control_config *config, json_t *request, struct report *report);
void delete_volume(const struct control_config *config, json_t *request, struct report *report);

#endif
