/* SPDX-License-Identifier: GPL-2.0 */
/* The configuration of sextantd, of which the command line reads the socket. */
#ifndef SEXTANT_CONTROL_CONFIG_H
#define SEXTANT_CONTROL_CONFIG_H

#include <limits.h>

#include "core.h"

#define SEXTANT_CONFIG_PATH		"/etc/sextant/sextant.conf"
#define SEXTANT_CONFIG_PEERS_MAX	64

struct control_peer {
	char name[SEXTANT_NAME_BYTES];
	char az[SEXTANT_NAME_BYTES];
	char address[SEXTANT_NAME_BYTES];	/* host:port, numeric */
};

struct control_config {
	char socket[PATH_MAX];
	char state_dir[PATH_MAX];
	char key_dir[PATH_MAX];
	char host[SEXTANT_NAME_BYTES];		/* what peers know this host as */
	char az[SEXTANT_NAME_BYTES];		/* where this host is; "" if not said */
	u32 lease_ms;				/* of volumes created here */
	u32 connect_timeout_ms;
	u32 peer_count;
	struct control_peer peers[SEXTANT_CONFIG_PEERS_MAX];
};

/* The file to read: path if given, else SEXTANT_CONFIG, else SEXTANT_CONFIG_PATH. */
const char *control_config_path(const char *path);

/*
 * Reads the file over the defaults. 0, or a negative errno and in error a
 * sentence with file and line number.
 */
int control_config_read(struct control_config *config, const char *path, char *error,
			size_t error_bytes);

/* The peer of this name, or NULL. */
const struct control_peer *control_config_peer(const struct control_config *config,
					       const char *name);

#endif
