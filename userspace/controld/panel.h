/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Peers that are asked together, over CONTROL connections: the six of a
 * volume, or all that the configuration names.
 */
#ifndef SEXTANT_PANEL_H
#define SEXTANT_PANEL_H

#include "control_config.h"
#include "manifest.h"
#include "peerlink.h"
#include "report.h"

/* Once enough have answered, the others get this much longer. */
#define PANEL_GRACE_MS	500

struct panel_peer {
	char name[SEXTANT_NAME_BYTES];
	char az[SEXTANT_NAME_BYTES];
	char address[SEXTANT_NAME_BYTES];
	struct peerlink link;
	u64 cookie;				/* of the request under way */
	bool answered;				/* state and manifest are set */
	struct sextant_wire_state_reply state;	/* status as it came; its strings end */
	struct sextant_manifest manifest;	/* no name: it has none, or an ill one */
};

struct panel {
	u32 count;
	struct panel_peer peers[SEXTANT_CONFIG_PEERS_MAX];
	const struct control_config *config;
};

/* New ones, unconnected, to be released with panel_free(). NULL without memory. */
struct panel *panel_of_config(const struct control_config *config);
struct panel *panel_of_manifest(const struct control_config *config,
				const struct sextant_manifest *manifest);
void panel_free(struct panel *panel);	/* NULL is fine */

/*
 * Connects to all, as CONTROL of this volume (NULL: none). Goes on a grace after
 * `enough` have greeted. Returns how many have.
 */
u32 panel_open(struct panel *panel, const u8 *volume, u32 enough);

/* Sends one request to everyone connected and waits as above. Returns how many replied. */
u32 panel_ask(struct panel *panel, u8 type, const void *meta, u32 meta_bytes, u32 enough);

/* PROBE or PREPARE: asks, and takes in the states. Returns how many answered OK. */
u32 panel_states(struct panel *panel, u8 type, const void *meta, u32 meta_bytes, u32 enough);

/*
 * The status of a STATUS_REPLY to the request under way; -1 when there was none
 * (the link's error says why). reply may be NULL.
 */
int panel_status(struct panel_peer *peer, struct sextant_wire_status_reply *reply);

/* The peer with the newest manifest of this volume among those that answered, or NULL. */
struct panel_peer *panel_newest(struct panel *panel, const u8 *volume);

/* Is peer `index` of a volume's panel the store that its manifest names? */
bool panel_is_voter(const struct panel *panel, u32 index, const struct sextant_manifest *manifest);

/*
 * Did the writer of this epoch, or a later one, say that it let go? Only the
 * writer says so, so one peer that heard it is enough. among: a bit each peer.
 */
bool panel_is_released(const struct panel *panel, u32 epoch, u64 among);

/* A peer that heard a writer less than lease_ms ago which has not let go, or NULL. */
const struct panel_peer *panel_lease(const struct panel *panel, u32 lease_ms, u64 among);

/* "az1a, az1b: cannot be connected to: Connection refused; az2b: ...": of the unconnected. */
void panel_complaints(const struct panel *panel, char *text, size_t bytes);

#endif
