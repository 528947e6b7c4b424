/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The main process: takes requests from the control socket, hears the kernel,
 * and gives each to a process of its own. It never talks to a peer and never waits.
 */
#ifndef SEXTANT_SERVER_H
#define SEXTANT_SERVER_H

#include "control_config.h"

/* Serves until SIGTERM or SIGINT. Returns the exit status. */
int server_run(const struct control_config *config);

#endif
