// SPDX-License-Identifier: GPL-2.0
/* volume.status: what the kernel says of the volumes here; see inspect.h. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "inspect.h"
#include "kernel_link.h"
#include "locate.h"
#include "panel.h"
#include "state.h"
#include "text.h"
#include "wire.h"

#define WATCH_MS	1000

static json_t *integer(u64 number)
{
	return json_integer(number > INT64_MAX ? INT64_MAX : (json_int_t)number);
}

static json_t *describe_peer(const struct kernel_peer *peer, u32 index)
{
	json_t *object = json_pack("{s:i, s:s, s:s, s:s}", "index", (int)index, "name", peer->name,
				   "az", peer->az, "state", kernel_peer_state_name(peer->state));

	json_object_set_new(object, "scl", integer(peer->scl));
	json_object_set_new(object, "lag_lsns", integer(peer->lag_lsns));
	json_object_set_new(object, "lag_ms", integer(peer->lag_ms));
	json_object_set_new(object, "queue_bytes", integer(peer->queue_bytes));
	json_object_set_new(object, "sent_bytes", integer(peer->sent_bytes));
	json_object_set_new(object, "received_bytes", integer(peer->received_bytes));
	json_object_set_new(object, "rtt_us", integer(peer->rtt_us));
	json_object_set_new(object, "faults", integer(peer->faults));
	json_object_set_new(object, "incomplete_pgs", integer(peer->incomplete_pgs));
	json_object_set_new(object, "missing_lsns", integer(peer->missing_lsns));
	json_object_set_new(object, "last_status",
			    json_string(sextant_wire_status_name(peer->last_status)));
	return object;
}

static void add_counters(json_t *object, const struct kernel_volume *volume)
{
	json_object_set_new(object, "epoch", integer(volume->epoch));
	json_object_set_new(object, "size_bytes", integer(volume->size_blocks << SEXTANT_BLOCK_SHIFT));
	json_object_set_new(object, "vdl", integer(volume->vdl));
	json_object_set_new(object, "next_lsn", integer(volume->next_lsn));
	json_object_set_new(object, "dirty_bytes", integer(volume->dirty_bytes));
	json_object_set_new(object, "dirty_bytes_max", integer(volume->dirty_bytes_max));
	json_object_set_new(object, "dirty_age_ms", integer(volume->dirty_age_ms));
	json_object_set_new(object, "write_quorum",
			    json_boolean(volume->quorum & SEXTANT_QUORUM_WRITE));
	json_object_set_new(object, "read_quorum",
			    json_boolean(volume->quorum & SEXTANT_QUORUM_READ));
	json_object_set_new(object, "blocks_read", integer(volume->reads));
	json_object_set_new(object, "blocks_written", integer(volume->writes));
	json_object_set_new(object, "read_faults", integer(volume->read_faults));
	json_object_set_new(object, "reads_waiting", integer(volume->reads_waiting));
	json_object_set_new(object, "holder", volume->holder[0] ? json_string(volume->holder) :
			    json_null());
}

/* The manifest kept here knows the name; before there is one, the device does. */
static void volume_name(const struct control_config *config, const struct kernel_volume *volume,
			char name[128])
{
	struct sextant_manifest manifest;

	snprintf(name, 128, "%s", volume->device_name);
	if (state_load(config->state_dir, volume->volume, volume->epoch, &manifest))
		return;
	snprintf(name, 128, "%s", manifest.name);
	sextant_manifest_release(&manifest);
}

static json_t *describe_running(const struct kernel_volume *volume, const char *name)
{
	char uuid[SEXTANT_UUID_TEXT_BYTES], path[160], number[32];
	json_t *object, *peers = json_array();
	u32 i;

	sextant_uuid_format(uuid, volume->volume);
	snprintf(path, sizeof(path), "/dev/mapper/%s", volume->device_name);
	snprintf(number, sizeof(number), "%u:%u", volume->device >> 20,
		 volume->device & ((1u << 20) - 1));
	object = json_pack("{s:s, s:s, s:s, s:s}", "name", name, "uuid", uuid, "state",
			   kernel_state_name(volume->state), "mode",
			   kernel_mode_name(volume->mode));
	json_object_set_new(object, "device", volume->has_device ? json_string(path) : json_null());
	json_object_set_new(object, "device_number", volume->has_device ? json_string(number) :
			    json_null());
	add_counters(object, volume);
	for (i = 0; i < SEXTANT_PEERS; i++)
		if (volume->peers[i].set)
			json_array_append_new(peers, describe_peer(&volume->peers[i], i));
	json_object_set_new(object, "peers", peers);
	return object;
}

/* The volumes here, or the one of this name, UUID or device: an array. */
static json_t *describe_here(const struct control_config *config, const char *wanted)
{
	json_t *array = json_array();
	char name[128], uuid[SEXTANT_UUID_TEXT_BYTES];
	struct kernel_volume *volumes;
	struct kernel_link kernel;
	u32 count, i;

	if (!kernel_open(&kernel) && !kernel_dump(&kernel, &volumes, &count)) {
		for (i = 0; i < count; i++) {
			volume_name(config, &volumes[i], name);
			sextant_uuid_format(uuid, volumes[i].volume);
			if (!wanted || !strcmp(wanted, name) || !strcmp(wanted, uuid) ||
			    !strcmp(wanted, volumes[i].device_name))
				json_array_append_new(array, describe_running(&volumes[i], name));
		}
		free(volumes);
	}
	kernel_close(&kernel);
	return array;
}

/* ---- a volume that is not here ------------------------------------------------- */

static json_t *describe_store(const struct panel *panel, u32 index,
			      const struct sextant_manifest *manifest)
{
	const struct panel_peer *peer = &panel->peers[index];
	const struct sextant_wire_state_reply *state = &peer->state;
	bool votes = panel_is_voter(panel, index, manifest);
	json_t *object;

	object = json_pack("{s:i, s:s, s:s, s:s}", "index", (int)index, "name", peer->name, "az",
			   peer->az, "state", votes ? "reachable" : peer->answered ?
			   "another store" : "unreachable");
	if (peer->answered) {
		json_object_set_new(object, "known_vdl", integer(le64_to_cpu(state->known_vdl)));
		json_object_set_new(object, "stored_bytes",
				    integer(le64_to_cpu(state->stored_bytes)));
		json_object_set_new(object, "incomplete_pgs",
				    integer(le32_to_cpu(state->incomplete_pgs)));
		json_object_set_new(object, "damaged_ranges",
				    integer(le32_to_cpu(state->damaged_ranges)));
	} else {
		json_object_set_new(object, "error", json_string(peer->link.error));
	}
	return object;
}

static json_t *describe_elsewhere(const struct control_config *config, const char *wanted,
				  struct report *report)
{
	json_t *object, *peers = json_array();
	char uuid[SEXTANT_UUID_TEXT_BYTES];
	struct sextant_manifest manifest;
	u8 volume[SEXTANT_UUID_BYTES];
	const struct panel_peer *attached;
	struct panel *panel;
	u32 i;

	if (locate_volume(config, wanted, volume, report) ||
	    locate_manifest(config, volume, &manifest, report)) {
		json_decref(peers);
		return NULL;
	}
	panel = panel_of_manifest(config, &manifest);
	if (!panel) {
		sextant_manifest_release(&manifest);
		json_decref(peers);
		report_fail(report, SEXTANT_CODE_FAILED, "out of memory");
		return NULL;
	}
	panel_open(panel, volume, SEXTANT_PEERS);
	panel_states(panel, SEXTANT_MSG_PROBE, NULL, 0, SEXTANT_PEERS);
	for (i = 0; i < SEXTANT_PEERS; i++)
		json_array_append_new(peers, describe_store(panel, i, &manifest));
	attached = panel_lease(panel, manifest.lease_ms, ~0ull);
	sextant_uuid_format(uuid, volume);
	object = json_pack("{s:s, s:s, s:s, s:n, s:I, s:I, s:s?, s:o}", "name", manifest.name,
			   "uuid", uuid, "state", attached ? "attached elsewhere" : "detached",
			   "device", "epoch", (json_int_t)manifest.ballot.epoch, "size_bytes",
			   (json_int_t)(manifest.size_blocks << SEXTANT_BLOCK_SHIFT), "holder",
			   attached ? attached->state.holder : NULL, "peers", peers);
	panel_free(panel);
	sextant_manifest_release(&manifest);
	return object;
}

/* One answer; NULL with a failure in report. */
static json_t *describe(const struct control_config *config, const char *wanted,
			struct report *report)
{
	json_t *volumes = describe_here(config, wanted), *elsewhere;

	if (wanted && !json_array_size(volumes)) {
		elsewhere = describe_elsewhere(config, wanted, report);
		if (!elsewhere) {
			json_decref(volumes);
			return NULL;
		}
		json_array_append_new(volumes, elsewhere);
	}
	return json_pack("{s:b, s:o}", "ok", 1, "volumes", volumes);
}

void inspect_status(const struct control_config *config, json_t *request, struct report *report)
{
	const char *wanted = json_string_value(json_object_get(request, "volume"));
	bool watch = json_is_true(json_object_get(request, "watch"));
	struct pollfd client = { .fd = report->fd, .events = POLLRDHUP };
	json_t *answer;

	do {
		answer = describe(config, wanted, report);
		if (!answer || !watch)
			break;
		if (sextant_line_write(report->fd, answer))
			return;
	} while (!poll(&client, 1, WATCH_MS));
	if (report->code || !watch)
		report_end(report, answer);
}
