// SPDX-License-Identifier: GPL-2.0
/* What there is on the peers: volumes and the peers themselves; see inspect.h. */
#include "inspect.h"

#include <stdio.h>
#include <stdlib.h>

#include "kernel_link.h"
#include "locate.h"
#include "panel.h"
#include "text.h"

/* ---- volume.list ------------------------------------------------------------- */

struct here {
	struct kernel_volume *volumes;
	u32 count;
};

static void load_here(struct here *here)
{
	struct kernel_link kernel;

	memset(here, 0, sizeof(*here));
	if (!kernel_open(&kernel) && kernel_dump(&kernel, &here->volumes, &here->count))
		here->count = 0;
	kernel_close(&kernel);
}

static const struct kernel_volume *find_here(const struct here *here, const u8 *volume)
{
	u32 i;

	for (i = 0; i < here->count; i++)
		if (!memcmp(here->volumes[i].volume, volume, SEXTANT_UUID_BYTES))
			return &here->volumes[i];
	return NULL;
}

static void add_use(json_t *object, struct panel *panel, const struct panel_peer *newest,
		    const struct kernel_volume *here)
{
	bool attached = panel_lease(panel, newest->manifest.lease_ms, ~0ull);
	char path[160];
	u32 i, present = 0;

	for (i = 0; i < panel->count; i++)
		present += panel->peers[i].answered;
	json_object_set_new(object, "peers_present", json_integer(present));
	json_object_set_new(object, "attached", json_boolean(attached));
	json_object_set_new(object, "holder", attached ? json_string(newest->state.holder) :
			    json_null());
	snprintf(path, sizeof(path), "/dev/mapper/%s", here ? here->device_name : "");
	json_object_set_new(object, "device", here && here->has_device ? json_string(path) :
			    json_null());
}

/* One volume as `list` shows it. */
static json_t *describe_volume(const struct control_config *config, const u8 *volume,
			       const struct kernel_volume *here)
{
	struct panel *panel = panel_of_config(config);
	char uuid[SEXTANT_UUID_TEXT_BYTES];
	const struct sextant_manifest *m;
	struct panel_peer *newest;
	json_t *object;

	if (!panel)
		return NULL;
	sextant_uuid_format(uuid, volume);
	panel_open(panel, volume, SEXTANT_WRITE_QUORUM);
	panel_states(panel, SEXTANT_MSG_PROBE, NULL, 0, SEXTANT_WRITE_QUORUM);
	newest = panel_newest(panel, volume);
	if (newest) {
		m = &newest->manifest;
		object = json_pack("{s:s, s:s, s:I, s:I, s:I, s:s, s:I}", "name", m->name, "uuid",
				   uuid, "size_bytes",
				   (json_int_t)(m->size_blocks << SEXTANT_BLOCK_SHIFT),
				   "pg_bytes", (json_int_t)m->pg_blocks << SEXTANT_BLOCK_SHIFT,
				   "epoch", (json_int_t)m->ballot.epoch, "transport",
				   m->transport == SEXTANT_TRANSPORT_PLAIN ? "plain" : "tls",
				   "created_unix_s", (json_int_t)m->created_unix_s);
		add_use(object, panel, newest, here);
	} else {
		object = json_pack("{s:n, s:s}", "name", "uuid", uuid);
	}
	panel_free(panel);
	return object;
}

static int by_name_and_uuid(const void *a, const void *b)
{
	const struct locate_entry *left = a, *right = b;
	int order = strcmp(left->name, right->name);

	return order ? order : memcmp(left->volume, right->volume, SEXTANT_UUID_BYTES);
}

void inspect_volumes(const struct control_config *config, struct report *report)
{
	struct panel *panel = panel_of_config(config);
	u32 count = 0, reached = 0, i;
	struct locate_entry *entries;
	json_t *volumes = json_array();
	struct here here;

	if (panel)
		reached = panel_open(panel, NULL, panel->count);
	if (!panel || locate_list(panel, &entries, &count)) {
		report_fail(report, SEXTANT_CODE_FAILED, "out of memory");
	} else {
		load_here(&here);
		qsort(entries, count, sizeof(entries[0]), by_name_and_uuid);
		for (i = 0; i < count; i++)
			if (!i || memcmp(entries[i].volume, entries[i - 1].volume,
					 SEXTANT_UUID_BYTES))
				json_array_append_new(volumes, describe_volume(config,
						      entries[i].volume,
						      find_here(&here, entries[i].volume)));
		free(here.volumes);
		free(entries);
	}
	if (!report->code && !reached && config->peer_count)
		report_fail(report, SEXTANT_CODE_NO_QUORUM,
			    "none of the %u configured peers can be reached: 'sextant peer list' says why",
			    config->peer_count);
	panel_free(panel);
	report_end(report, json_pack("{s:o, s:i, s:i}", "volumes", volumes, "peers_reached",
				     (int)reached, "peers_configured", (int)config->peer_count));
}

/* ---- peer.list ---------------------------------------------------------------- */

/* What only a volume's connection tells: the file system that a store is on. */
static void add_space(json_t *object, const struct control_config *config,
		      const struct panel_peer *peer, const u8 *volume)
{
	struct sextant_wire_state_reply state;
	struct peerlink link, *links[1] = { &link };
	struct peerlink_frame *frame;
	u64 cookie;

	peerlink_init(&link);
	peerlink_open(&link, peer->address, SEXTANT_ROLE_CONTROL, volume, NULL, NULL,
		      config->host);
	peerlink_wait(links, 1, 1, 0, config->connect_timeout_ms);
	cookie = peerlink_send(&link, SEXTANT_MSG_PROBE, NULL, 0, NULL, 0, NULL, 0);
	peerlink_wait(links, 1, 1, 0, PEERLINK_TIMEOUT_MS);
	frame = peerlink_reply(&link, cookie, SEXTANT_MSG_STATE_REPLY, sizeof(state));
	if (frame) {
		memcpy(&state, frame->meta, sizeof(state));
		json_object_set_new(object, "capacity_bytes",
				    json_integer((json_int_t)le64_to_cpu(state.capacity_bytes)));
		json_object_set_new(object, "free_bytes",
				    json_integer((json_int_t)le64_to_cpu(state.free_bytes)));
	}
	free(frame);
	peerlink_close(&link);
}

static json_t *describe_peer(const struct control_config *config, const struct panel_peer *peer,
			     u32 index, const struct locate_entry *entries, u32 count)
{
	bool reached = peer->link.fd >= 0, misnamed;
	const u8 *volume = NULL;
	u32 i, volumes = 0;
	json_t *object;
	char error[256];

	for (i = 0; i < count; i++) {
		if (entries[i].peer != index)
			continue;
		volumes++;
		volume = entries[i].volume;
	}
	object = json_pack("{s:s, s:s, s:s, s:b}", "name", peer->name, "az", peer->az, "address",
			   peer->address, "reachable", reached);
	json_object_set_new(object, "version", peer->link.greeted ?
			    json_integer(le32_to_cpu(peer->link.hello.peer_version)) : json_null());
	json_object_set_new(object, "volumes", reached ? json_integer(volumes) : json_null());
	json_object_set_new(object, "capacity_bytes", json_null());
	json_object_set_new(object, "free_bytes", json_null());
	if (reached && volume)
		add_space(object, config, peer, volume);
	misnamed = peer->link.greeted && peer->link.hello.peer[0] &&
		   strcmp(peer->link.hello.peer, peer->name);
	if (misnamed)
		snprintf(error, sizeof(error), "calls itself %s", peer->link.hello.peer);
	else
		snprintf(error, sizeof(error), "%s", peer->link.error);
	json_object_set_new(object, "error", error[0] ? json_string(error) : json_null());
	return object;
}

void inspect_peers(const struct control_config *config, struct report *report)
{
	struct panel *panel = panel_of_config(config);
	struct locate_entry *entries;
	json_t *peers = json_array();
	u32 count, i;

	if (panel)
		panel_open(panel, NULL, panel->count);
	if (!panel || locate_list(panel, &entries, &count)) {
		report_fail(report, SEXTANT_CODE_FAILED, "out of memory");
	} else {
		for (i = 0; i < panel->count; i++)
			json_array_append_new(peers, describe_peer(config, &panel->peers[i], i,
								   entries, count));
		free(entries);
	}
	panel_free(panel);
	report_end(report, json_pack("{s:o}", "peers", peers));
}
