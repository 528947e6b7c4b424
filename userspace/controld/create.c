// SPDX-License-Identifier: GPL-2.0
/* Making and deleting volumes; see create.h. */
#include "create.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

#include "kernel_link.h"
#include "keyfile.h"
#include "locate.h"
#include "panel.h"
#include "text.h"
#include "wire.h"

#define REGION		0
#define PG_BYTES_DEFAULT	(10ull << 30)
#define PG_BYTES_MIN		(1ull << 20)
#define PG_BYTES_MAX		(64ull << 30)

/* A volume in the making, or in the unmaking. */
struct making {
	const struct control_config *config;
	struct report *report;
	struct sextant_manifest manifest;
	struct sextant_manifest_generation generation;
	struct panel *panel;
	struct sextant_ballot ballot;
	bool key_made;
	u8 made;			/* peers with a store: a bit each */
};

/* ---- what is asked for ------------------------------------------------------ */

static int take_size(struct making *making, json_t *request)
{
	const char *text = json_string_value(json_object_get(request, "size"));
	u64 bytes;
	int error;

	if (!text)
		return report_fail(making->report, SEXTANT_CODE_USAGE,
				   "a volume needs a size: --size 10G");
	error = sextant_size_parse(text, &bytes);
	if (error)
		return report_fail(making->report, SEXTANT_CODE_USAGE,
				   error == -ERANGE ? "the size '%.40s' is too large" :
				   "'%.40s' is not a size: give bytes or a number with K, M, G or T, such as 10G",
				   text);
	if (!bytes || bytes % SEXTANT_BLOCK_BYTES)
		return report_fail(making->report, SEXTANT_CODE_USAGE,
				   "the size must be more than 0 and a multiple of 4 KiB, and %.40s is not",
				   text);
	making->manifest.size_blocks = bytes >> SEXTANT_BLOCK_SHIFT;
	return 0;
}

static int take_pg_size(struct making *making, json_t *request)
{
	const char *text = json_string_value(json_object_get(request, "pg_size"));
	u64 bytes = PG_BYTES_DEFAULT;

	if (text && (sextant_size_parse(text, &bytes) || bytes < PG_BYTES_MIN ||
		     bytes > PG_BYTES_MAX || bytes % SEXTANT_RECORD_BYTES_MAX))
		return report_fail(making->report, SEXTANT_CODE_USAGE,
				   "the size of a protection group must be a multiple of 128 KiB from 1M to 64G, and '%.40s' is not",
				   text);
	making->manifest.pg_blocks = (u32)(bytes >> SEXTANT_BLOCK_SHIFT);
	if ((making->manifest.size_blocks - 1) / making->manifest.pg_blocks >= UINT32_MAX)
		return report_fail(making->report, SEXTANT_CODE_USAGE,
				   "protection groups of %.40s are too small for so large a volume: take a larger --pg-size",
				   text ? text : "10G");
	return 0;
}

static int take_transport(struct making *making, json_t *request)
{
	const char *text = json_string_value(json_object_get(request, "transport"));

	if (text && !strcmp(text, "tls"))
		return report_fail(making->report, SEXTANT_CODE_USAGE,
				   "transport 'tls' is not served by this version: take --transport plain, on a network of your own");
	if (text && strcmp(text, "plain"))
		return report_fail(making->report, SEXTANT_CODE_USAGE,
				   "there is no transport '%.40s': take plain", text);
	making->manifest.transport = SEXTANT_TRANSPORT_PLAIN;
	return 0;
}

static int add_peer(struct making *making, u32 index, const char *name, size_t length)
{
	struct sextant_manifest_peer *to = &making->manifest.peers[index];
	char wanted[SEXTANT_NAME_BYTES] = "";
	const struct control_peer *from;

	if (length < sizeof(wanted))
		memcpy(wanted, name, length);
	from = control_config_peer(making->config, wanted);
	if (!from)
		return report_fail(making->report, SEXTANT_CODE_USAGE,
				   "there is no peer '%.*s' in the configuration: 'sextant peer list' shows those that there are",
				   (int)(length < 63 ? length : 63), name);
	memcpy(to->name, from->name, sizeof(to->name));
	memcpy(to->az, from->az, sizeof(to->az));
	memcpy(to->address, from->address, sizeof(to->address));
	return 0;
}

/* The peers named, or all of a configuration that has six. */
static int choose_peers(struct making *making, json_t *request)
{
	const char *text = json_string_value(json_object_get(request, "peers"));
	const struct control_config *config = making->config;
	u32 count = 0;

	if (!text) {
		for (; count < config->peer_count && count < SEXTANT_PEERS; count++)
			add_peer(making, count, config->peers[count].name,
				 strlen(config->peers[count].name));
		if (config->peer_count == SEXTANT_PEERS)
			return 0;
		return report_fail(making->report, SEXTANT_CODE_USAGE,
				   "the configuration names %u peers and a volume has exactly six: %s",
				   config->peer_count, config->peer_count < SEXTANT_PEERS ?
				   "add [peer NAME] sections" : "choose them with --peers a,b,c,d,e,f");
	}
	for (; *text; count++) {
		size_t length = strcspn(text, ",");

		if (count < SEXTANT_PEERS && add_peer(making, count, text, length))
			return making->report->code;
		text += length + (text[length] == ',');
	}
	if (count != SEXTANT_PEERS)
		return report_fail(making->report, SEXTANT_CODE_USAGE,
				   "a volume has exactly six peers and --peers names %u", count);
	return 0;
}

static bool same_address(const struct sextant_manifest_peer *a,
			 const struct sextant_manifest_peer *b)
{
	struct sockaddr_storage address_a, address_b;
	socklen_t bytes_a = 0, bytes_b = 0;

	sextant_address_parse(a->address, &address_a, &bytes_a);
	sextant_address_parse(b->address, &address_b, &bytes_b);
	return bytes_a == bytes_b && !memcmp(&address_a, &address_b, bytes_a);
}

static int check_peers(struct making *making)
{
	const struct sextant_manifest_peer *peers = making->manifest.peers;
	u32 a, b, in_az;

	for (a = 0; a < SEXTANT_PEERS; a++) {
		in_az = 0;
		for (b = 0; b < SEXTANT_PEERS; b++) {
			if (!strcmp(peers[a].az, peers[b].az))
				in_az++;
			if (a == b)
				continue;
			if (!strcmp(peers[a].name, peers[b].name))
				return report_fail(making->report, SEXTANT_CODE_USAGE,
						   "peer %s is named twice: name six different ones",
						   peers[a].name);
			if (same_address(&peers[a], &peers[b]))
				return report_fail(making->report, SEXTANT_CODE_USAGE,
						   "peers %s and %s have one address, %s: give each its own in sextant.conf",
						   peers[a].name, peers[b].name, peers[a].address);
		}
		if (in_az != 2)
			return report_fail(making->report, SEXTANT_CODE_USAGE,
					   "%u of the six peers are in AZ %s: choose two in each of three AZs",
					   in_az, peers[a].az);
	}
	return 0;
}

static int take_request(struct making *making, json_t *request)
{
	const char *name = json_string_value(json_object_get(request, "name"));
	struct sextant_manifest *m = &making->manifest;
	u8 uuid[SEXTANT_UUID_BYTES];

	if (!name || !sextant_name_valid(name) || !sextant_uuid_parse(name, uuid))
		return report_fail(making->report, SEXTANT_CODE_USAGE,
				   "'%.80s' is no name for a volume: take 1 to 63 of A-Z a-z 0-9 . _ + -, a letter or digit first, and no UUID",
				   name ? name : "");
	sextant_field_set(m->name, sizeof(m->name), name);
	if (take_size(making, request) || take_pg_size(making, request) ||
	    take_transport(making, request) || choose_peers(making, request) ||
	    check_peers(making))
		return making->report->code;
	m->region = REGION;
	m->lease_ms = making->config->lease_ms;
	m->created_unix_s = (u64)time(NULL);
	m->sequence = 1;
	m->generation_count = 1;
	m->generations = &making->generation;
	making->generation.generation = 1;
	making->generation.first_lsn = 1;
	strcpy(making->generation.key_name, "file");
	return 0;
}

/* ---- creating ----------------------------------------------------------------- */

static int draw_identity(struct making *making)
{
	struct sextant_manifest *m = &making->manifest;

	if (sextant_uuid_draw(m->volume) ||
	    getrandom(making->ballot.attach_id, sizeof(making->ballot.attach_id), 0) !=
	    sizeof(making->ballot.attach_id))
		return report_fail(making->report, SEXTANT_CODE_FAILED, "no random bytes can be had");
	making->ballot.epoch = sextant_epoch_next(0, REGION);
	m->ballot = making->ballot;
	memcpy(making->generation.origin, m->volume, sizeof(making->generation.origin));
	return 0;
}

static int fail_peers(struct making *making, const char *what)
{
	char why[400];

	panel_complaints(making->panel, why, sizeof(why));
	return report_fail(making->report, SEXTANT_CODE_NO_QUORUM,
			   "%s '%s' takes all six peers (%s): start them or mend the network; nothing was changed",
			   what, making->manifest.name, why);
}

/* All six must answer, as who they are, and none may have a volume of this name. */
static int check_free(struct making *making)
{
	struct locate_entry *entries;
	u32 count, i;

	for (i = 0; i < SEXTANT_PEERS; i++) {
		const struct panel_peer *peer = &making->panel->peers[i];

		if (peer->link.hello.peer[0] && strcmp(peer->link.hello.peer, peer->name))
			return report_fail(making->report, SEXTANT_CODE_FAILED,
					   "at %s answers peer %s, not %s: mend the addresses in sextant.conf",
					   peer->address, peer->link.hello.peer, peer->name);
		if (peer->link.hello.az[0] && strcmp(peer->link.hello.az, peer->az))
			return report_fail(making->report, SEXTANT_CODE_FAILED,
					   "peer %s says it is in AZ %s, not %s: mend its section in sextant.conf",
					   peer->name, peer->link.hello.az, peer->az);
	}
	if (locate_list(making->panel, &entries, &count))
		return report_fail(making->report, SEXTANT_CODE_FAILED, "out of memory");
	for (i = 0; i < count; i++)
		if (!strcmp(entries[i].name, making->manifest.name))
			break;
	free(entries);
	if (i < count)
		return report_fail(making->report, SEXTANT_CODE_FAILED,
				   "there is a volume '%s' already: take another name",
				   making->manifest.name);
	for (i = 0; i < SEXTANT_PEERS; i++)
		if (making->panel->peers[i].link.fd < 0)
			return fail_peers(making, "creating");
	return 0;
}

/* Notes which peers answered a request with OK; the others' links say why not. */
static u8 take_statuses(struct panel *panel, struct sextant_wire_status_reply *replies)
{
	u8 good = 0;
	int status;
	u32 i;

	for (i = 0; i < SEXTANT_PEERS; i++) {
		status = panel_status(&panel->peers[i], replies ? &replies[i] : NULL);
		if (!status)
			good |= 1u << i;
		else if (status > 0)
			peerlink_fail(&panel->peers[i].link, "refuses: %s",
				      sextant_wire_status_name((u32)status));
	}
	return good;
}

static int create_stores(struct making *making)
{
	struct sextant_wire_status_reply replies[SEXTANT_PEERS];
	struct sextant_manifest *m = &making->manifest;
	struct sextant_wire_create meta = {
		.size_blocks = cpu_to_le64(m->size_blocks),
		.pg_blocks = cpu_to_le32(m->pg_blocks),
	};
	u32 i;

	memcpy(meta.volume, m->volume, sizeof(meta.volume));
	panel_ask(making->panel, SEXTANT_MSG_CREATE, &meta, sizeof(meta), SEXTANT_PEERS);
	making->made = take_statuses(making->panel, replies);
	for (i = 0; i < SEXTANT_PEERS; i++)
		if (making->made & (1u << i))
			memcpy(m->peers[i].incarnation, replies[i].incarnation,
			       sizeof(m->peers[i].incarnation));
	if (hweight8(making->made) < SEXTANT_PEERS)
		return fail_peers(making, "creating");
	return 0;
}

/* New connections that name the volume; PREPARE on each. Returns who promised. */
static u8 promise(struct making *making)
{
	struct sextant_wire_prepare meta = { .ballot.epoch = 0 };
	u8 promised = 0;
	u32 i;

	panel_open(making->panel, making->manifest.volume, SEXTANT_PEERS);
	sextant_ballot_to_wire(&meta.ballot, &making->ballot);
	sextant_field_set(meta.holder, sizeof(meta.holder), making->config->host);
	panel_states(making->panel, SEXTANT_MSG_PREPARE, &meta, sizeof(meta), SEXTANT_PEERS);
	for (i = 0; i < SEXTANT_PEERS; i++) {
		struct panel_peer *peer = &making->panel->peers[i];

		if (!peer->answered)
			continue;
		if (!peer->state.status)
			promised |= 1u << i;
		else
			peerlink_fail(&peer->link, "refuses: %s", sextant_wire_status_name(
				      le32_to_cpu(peer->state.status)));
	}
	return promised;
}

static int put_manifest(struct making *making)
{
	struct sextant_wire_manifest_put *meta;
	size_t size, total;
	u8 *bytes, put;
	int error;

	error = sextant_manifest_encode(&making->manifest, &bytes, &size);
	if (error)
		return report_fail(making->report, SEXTANT_CODE_FAILED,
				   "the manifest cannot be made: %s", strerror(-error));
	total = sizeof(*meta) + size;
	meta = calloc(1, total);
	if (!meta) {
		free(bytes);
		return report_fail(making->report, SEXTANT_CODE_FAILED, "out of memory");
	}
	sextant_ballot_to_wire(&meta->ballot, &making->ballot);
	meta->manifest_sequence = cpu_to_le64(making->manifest.sequence);
	meta->manifest_bytes = cpu_to_le32((u32)size);
	sextant_field_set(meta->holder, sizeof(meta->holder), making->config->host);
	memcpy(meta->manifest, bytes, size);
	panel_ask(making->panel, SEXTANT_MSG_MANIFEST_PUT, meta, (u32)total, SEXTANT_PEERS);
	put = take_statuses(making->panel, NULL);
	free(meta);
	free(bytes);
	return hweight8(put) == SEXTANT_PEERS ? 0 : fail_peers(making, "creating");
}

/* Removes the stores under the ballot. Returns the peers that have none any more. */
static u8 remove_stores(struct making *making)
{
	struct sextant_wire_delete meta = { .ballot.epoch = 0 };
	u8 gone = 0;
	u32 i;

	sextant_ballot_to_wire(&meta.ballot, &making->ballot);
	promise(making);
	for (i = 0; i < SEXTANT_PEERS; i++)
		if (making->panel->peers[i].link.status == SEXTANT_ST_NO_VOLUME)
			gone |= 1u << i;
	panel_ask(making->panel, SEXTANT_MSG_DELETE, &meta, sizeof(meta), SEXTANT_PEERS);
	return gone | take_statuses(making->panel, NULL);
}

static void undo(struct making *making)
{
	char uuid[SEXTANT_UUID_TEXT_BYTES], error[REPORT_ERROR_BYTES];
	u8 left;

	if (making->key_made)
		keyfile_delete(making->config->key_dir, making->manifest.volume);
	if (!making->made)
		return;
	left = making->made & ~remove_stores(making);
	if (!left)
		return;
	sextant_uuid_format(uuid, making->manifest.volume);
	memcpy(error, making->report->error, sizeof(error));
	report_fail(making->report, making->report->code,
		    "%.420s; %u peers keep an empty store of it: 'sextant volume delete %s --yes' removes it when they are up",
		    error, hweight8(left), uuid);
}

void create_volume(const struct control_config *config, json_t *request, struct report *report)
{
	struct making making = { .config = config, .report = report };
	char uuid[SEXTANT_UUID_TEXT_BYTES];
	int code;

	code = take_request(&making, request);
	if (!code)
		code = draw_identity(&making);
	if (!code) {
		making.panel = panel_of_manifest(config, &making.manifest);
		if (!making.panel)
			code = report_fail(report, SEXTANT_CODE_FAILED, "out of memory");
	}
	if (!code) {
		panel_open(making.panel, NULL, SEXTANT_PEERS);
		code = check_free(&making);
	}
	if (!code) {
		code = keyfile_create(config->key_dir, making.manifest.volume, 1,
				      making.generation.commitment, report);
		making.key_made = !code;
	}
	if (!code)
		code = create_stores(&making);
	if (!code && hweight8(promise(&making)) < SEXTANT_PEERS)
		code = fail_peers(&making, "creating");
	if (!code)
		code = put_manifest(&making);
	if (code)
		undo(&making);
	panel_free(making.panel);
	sextant_uuid_format(uuid, making.manifest.volume);
	report_end(report, code ? NULL : json_pack("{s:s, s:s}", "name", making.manifest.name,
						   "uuid", uuid));
}

/* ---- deleting ------------------------------------------------------------------ */

static int check_unused(struct making *making)
{
	const struct panel_peer *peer;
	struct kernel_volume here;
	struct kernel_link kernel;

	if (!kernel_open(&kernel) && !kernel_get(&kernel, making->manifest.volume, &here)) {
		kernel_close(&kernel);
		return report_fail(making->report, SEXTANT_CODE_ATTACHED,
				   "'%s' is attached here as %s: detach it first",
				   making->manifest.name, here.device_name);
	}
	kernel_close(&kernel);
	peer = panel_lease(making->panel, making->manifest.lease_ms, ~0ull);
	if (peer)
		return report_fail(making->report, SEXTANT_CODE_ATTACHED,
				   "'%s' is attached by %s: detach it there first",
				   making->manifest.name, peer->state.holder);
	return 0;
}

/* Who is asked, for a volume that no peer has a manifest of: all that are configured. */
static void take_configured(struct making *making)
{
	u32 i;

	sextant_uuid_format(making->manifest.name, making->manifest.volume);
	making->manifest.lease_ms = making->config->lease_ms;
	for (i = 0; i < SEXTANT_PEERS && i < making->config->peer_count; i++)
		add_peer(making, i, making->config->peers[i].name,
			 strlen(making->config->peers[i].name));
}

static int probe_all(struct making *making)
{
	u32 highest = 0, i;

	panel_open(making->panel, making->manifest.volume, SEXTANT_PEERS);
	for (i = 0; i < SEXTANT_PEERS; i++)
		if (making->panel->peers[i].link.fd < 0 &&
		    making->panel->peers[i].link.status != SEXTANT_ST_NO_VOLUME)
			return fail_peers(making, "deleting");
	panel_states(making->panel, SEXTANT_MSG_PROBE, NULL, 0, SEXTANT_PEERS);
	for (i = 0; i < SEXTANT_PEERS; i++) {
		const struct sextant_wire_state_reply *state = &making->panel->peers[i].state;

		if (!making->panel->peers[i].answered)
			continue;
		making->made |= 1u << i;
		if (le32_to_cpu(state->promised.epoch) > highest)
			highest = le32_to_cpu(state->promised.epoch);
		if (le32_to_cpu(state->accepted.epoch) > highest)
			highest = le32_to_cpu(state->accepted.epoch);
	}
	if (!making->made)
		return report_fail(making->report, SEXTANT_CODE_NOT_FOUND,
				   "no peer holds volume '%s'", making->manifest.name);
	making->ballot.epoch = sextant_epoch_next(highest, making->manifest.region);
	if (!making->ballot.epoch)
		making->ballot.epoch = SEXTANT_EPOCH_MAX;
	return 0;
}

static int delete_stores(struct making *making)
{
	int code;

	if (getrandom(making->ballot.attach_id, sizeof(making->ballot.attach_id), 0) !=
	    sizeof(making->ballot.attach_id))
		return report_fail(making->report, SEXTANT_CODE_FAILED, "no random bytes can be had");
	code = probe_all(making);
	if (!code)
		code = check_unused(making);
	if (code)
		return code;
	if (making->made & ~remove_stores(making)) {
		char why[320];

		panel_complaints(making->panel, why, sizeof(why));
		return report_fail(making->report, SEXTANT_CODE_FAILED,
				   "'%s' is deleted on a part of its peers only (%s): delete it again by its UUID when they are up",
				   making->manifest.name, why);
	}
	keyfile_delete(making->config->key_dir, making->manifest.volume);
	return 0;
}

void delete_volume(const struct control_config *config, json_t *request, struct report *report)
{
	const char *name = json_string_value(json_object_get(request, "volume"));
	struct making making = { .config = config, .report = report };
	u8 volume[SEXTANT_UUID_BYTES];
	int code;

	if (!json_is_true(json_object_get(request, "yes")))
		code = report_fail(report, SEXTANT_CODE_USAGE,
				   "deleting takes the volume and its key away for good: say --yes");
	else
		code = locate_volume(config, name ? name : "", volume, report);
	if (!code)
		code = locate_manifest(config, volume, &making.manifest, report);
	if (code == SEXTANT_CODE_NOT_FOUND && name && !sextant_uuid_parse(name, volume)) {
		memcpy(making.manifest.volume, volume, sizeof(volume));
		take_configured(&making);
		code = 0;
	}
	if (!code) {
		report->code = 0;
		making.panel = panel_of_manifest(config, &making.manifest);
		code = making.panel ? delete_stores(&making) :
		       report_fail(report, SEXTANT_CODE_FAILED, "out of memory");
	}
	panel_free(making.panel);
	report_end(report, code ? NULL : json_pack("{s:s}", "name", making.manifest.name));
	sextant_manifest_release(&making.manifest);
}
