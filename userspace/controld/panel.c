// SPDX-License-Identifier: GPL-2.0
/* Peers asked together; see panel.h. */
#include "panel.h"

#include <stdio.h>
#include <stdlib.h>

#include "text.h"
#include "wire.h"

static struct panel *panel_alloc(const struct control_config *config, u32 count)
{
	struct panel *panel = calloc(1, sizeof(*panel));
	u32 i;

	if (!panel)
		return NULL;
	panel->config = config;
	panel->count = count;
	for (i = 0; i < count; i++)
		peerlink_init(&panel->peers[i].link);
	return panel;
}

struct panel *panel_of_config(const struct control_config *config)
{
	struct panel *panel = panel_alloc(config, config->peer_count);
	u32 i;

	for (i = 0; panel && i < panel->count; i++) {
		memcpy(panel->peers[i].name, config->peers[i].name, SEXTANT_NAME_BYTES);
		memcpy(panel->peers[i].az, config->peers[i].az, SEXTANT_NAME_BYTES);
		memcpy(panel->peers[i].address, config->peers[i].address, SEXTANT_NAME_BYTES);
	}
	return panel;
}

struct panel *panel_of_manifest(const struct control_config *config,
				const struct sextant_manifest *manifest)
{
	struct panel *panel = panel_alloc(config, SEXTANT_PEERS);
	u32 i;

	for (i = 0; panel && i < panel->count; i++) {
		memcpy(panel->peers[i].name, manifest->peers[i].name, SEXTANT_NAME_BYTES);
		memcpy(panel->peers[i].az, manifest->peers[i].az, SEXTANT_NAME_BYTES);
		memcpy(panel->peers[i].address, manifest->peers[i].address, SEXTANT_NAME_BYTES);
	}
	return panel;
}

void panel_free(struct panel *panel)
{
	u32 i;

	if (!panel)
		return;
	for (i = 0; i < panel->count; i++) {
		peerlink_close(&panel->peers[i].link);
		sextant_manifest_release(&panel->peers[i].manifest);
	}
	free(panel);
}

/* Waits for all that were asked; returns how many links are open after it. */
static u32 wait_all(struct panel *panel, u32 enough, u32 timeout_ms)
{
	struct peerlink *links[SEXTANT_CONFIG_PEERS_MAX];
	u32 i, open = 0;

	for (i = 0; i < panel->count; i++)
		links[i] = &panel->peers[i].link;
	peerlink_wait(links, panel->count, enough, PANEL_GRACE_MS, timeout_ms);
	for (i = 0; i < panel->count; i++)
		if (panel->peers[i].link.fd >= 0)
			open++;
	return open;
}

u32 panel_open(struct panel *panel, const u8 *volume, u32 enough)
{
	u32 i;

	for (i = 0; i < panel->count; i++)
		peerlink_open(&panel->peers[i].link, panel->peers[i].address,
			      SEXTANT_ROLE_CONTROL, volume, NULL, NULL, panel->config->host);
	return wait_all(panel, enough, panel->config->connect_timeout_ms);
}

u32 panel_ask(struct panel *panel, u8 type, const void *meta, u32 meta_bytes, u32 enough)
{
	u32 i;

	for (i = 0; i < panel->count; i++)
		panel->peers[i].cookie = peerlink_send(&panel->peers[i].link, type, meta,
						       meta_bytes, NULL, 0, NULL, 0);
	return wait_all(panel, enough, PEERLINK_TIMEOUT_MS);
}

static void take_manifest(struct panel_peer *peer, const u8 *bytes, u32 size)
{
	struct sextant_ballot accepted;
	const char *why;

	if (!size)
		return;
	if (sextant_manifest_decode(bytes, size, &peer->manifest, &why)) {
		peerlink_fail(&peer->link, "holds a manifest that cannot be read: %s", why);
		peer->answered = false;
		return;
	}
	sextant_ballot_from_wire(&accepted, &peer->state.accepted);
	if (!sextant_ballot_equal(&accepted, &peer->manifest.ballot) ||
	    le64_to_cpu(peer->state.manifest_sequence) != peer->manifest.sequence) {
		sextant_manifest_release(&peer->manifest);
		peerlink_fail(&peer->link, "holds a manifest of another ballot than it accepted");
		peer->answered = false;
	}
}

static void take_state(struct panel_peer *peer)
{
	struct peerlink_frame *frame;
	u32 manifest_bytes;

	frame = peerlink_reply(&peer->link, peer->cookie, SEXTANT_MSG_STATE_REPLY,
			       sizeof(peer->state));
	if (!frame)
		return;
	memcpy(&peer->state, frame->meta, sizeof(peer->state));
	peer->state.holder[SEXTANT_NAME_BYTES - 1] = '\0';
	peer->answered = true;
	manifest_bytes = le32_to_cpu(peer->state.manifest_bytes);
	if (manifest_bytes != frame->meta_bytes - sizeof(peer->state)) {
		peerlink_fail(&peer->link, "answered with a state of a wrong length");
		peer->answered = false;
	} else {
		take_manifest(peer, frame->meta + sizeof(peer->state), manifest_bytes);
	}
	free(frame);
}

u32 panel_states(struct panel *panel, u8 type, const void *meta, u32 meta_bytes, u32 enough)
{
	u32 i, good = 0;

	panel_ask(panel, type, meta, meta_bytes, enough);
	for (i = 0; i < panel->count; i++) {
		struct panel_peer *peer = &panel->peers[i];

		peer->answered = false;
		sextant_manifest_release(&peer->manifest);
		take_state(peer);
		if (peer->answered && !peer->state.status)
			good++;
	}
	return good;
}

int panel_status(struct panel_peer *peer, struct sextant_wire_status_reply *reply)
{
	struct sextant_wire_status_reply status;
	struct peerlink_frame *frame;

	frame = peerlink_reply(&peer->link, peer->cookie, SEXTANT_MSG_STATUS_REPLY,
			       sizeof(status));
	if (!frame)
		return -1;
	memcpy(&status, frame->meta, sizeof(status));
	status.holder[SEXTANT_NAME_BYTES - 1] = '\0';
	free(frame);
	if (reply)
		*reply = status;
	return (int)le32_to_cpu(status.status);
}

struct panel_peer *panel_newest(struct panel *panel, const u8 *volume)
{
	struct panel_peer *newest = NULL;
	u32 i;

	for (i = 0; i < panel->count; i++) {
		struct panel_peer *peer = &panel->peers[i];
		const struct sextant_manifest *m = &peer->manifest;

		if (!peer->answered || !m->name[0] ||
		    memcmp(m->volume, volume, SEXTANT_UUID_BYTES))
			continue;
		if (!newest || sextant_ballot_above(&m->ballot, &newest->manifest.ballot) ||
		    (sextant_ballot_equal(&m->ballot, &newest->manifest.ballot) &&
		     m->sequence > newest->manifest.sequence))
			newest = peer;
	}
	return newest;
}

bool panel_is_voter(const struct panel *panel, u32 index, const struct sextant_manifest *manifest)
{
	return panel->peers[index].answered &&
	       !memcmp(panel->peers[index].state.incarnation,
		       manifest->peers[index].incarnation, SEXTANT_UUID_BYTES);
}

static const char *complaint(const struct panel_peer *peer)
{
	return peer->link.error[0] ? peer->link.error : "is not connected";
}

/* Has a peer before this one the same complaint, so that it was named there? */
static bool named_before(const struct panel *panel, u32 index)
{
	u32 i;

	for (i = 0; i < index; i++)
		if (panel->peers[i].link.fd < 0 &&
		    !strcmp(complaint(&panel->peers[i]), complaint(&panel->peers[index])))
			return true;
	return false;
}

void panel_complaints(const struct panel *panel, char *text, size_t bytes)
{
	size_t length = 0;
	u32 i, j;

	text[0] = '\0';
	for (i = 0; i < panel->count && length < bytes; i++) {
		if (panel->peers[i].link.fd >= 0 || named_before(panel, i))
			continue;
		length += (size_t)snprintf(text + length, bytes - length, "%s%s",
					   length ? "; " : "", panel->peers[i].name);
		for (j = i + 1; j < panel->count && length < bytes; j++)
			if (panel->peers[j].link.fd < 0 &&
			    !strcmp(complaint(&panel->peers[i]), complaint(&panel->peers[j])))
				length += (size_t)snprintf(text + length, bytes - length, ", %s",
							   panel->peers[j].name);
		if (length < bytes)
			length += (size_t)snprintf(text + length, bytes - length, ": %s",
						   complaint(&panel->peers[i]));
	}
	if (!length)
		snprintf(text, bytes, "their stores are not the ones that the manifest names");
}

bool panel_is_released(const struct panel *panel, u32 epoch, u64 among)
{
	u32 i;

	for (i = 0; i < panel->count; i++) {
		const struct panel_peer *peer = &panel->peers[i];

		if (among & (1ull << i) && peer->answered &&
		    le32_to_cpu(peer->state.flags) & SEXTANT_STATE_RELEASED &&
		    le32_to_cpu(peer->state.accepted.epoch) >= epoch)
			return true;
	}
	return false;
}

const struct panel_peer *panel_lease(const struct panel *panel, u32 lease_ms, u64 among)
{
	u32 i;

	for (i = 0; i < panel->count; i++) {
		const struct panel_peer *peer = &panel->peers[i];

		if (among & (1ull << i) && peer->answered &&
		    le64_to_cpu(peer->state.lease_age_ms) < lease_ms &&
		    !panel_is_released(panel, le32_to_cpu(peer->state.accepted.epoch), among))
			return peer;
	}
	return NULL;
}
