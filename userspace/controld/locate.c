// SPDX-License-Identifier: GPL-2.0
/* Finding volumes; see locate.h. */
#include "locate.h"

#include <stdio.h>
#include <stdlib.h>

#include "panel.h"
#include "text.h"

static int take_list(struct panel_peer *peer, u32 index, struct locate_entry **entries,
		     u32 *count)
{
	const struct sextant_wire_list_reply *reply;
	struct peerlink_frame *frame;
	struct locate_entry *grown;
	u32 listed, i;

	frame = peerlink_reply(&peer->link, peer->cookie, SEXTANT_MSG_LIST_REPLY, sizeof(*reply));
	if (!frame)
		return 0;
	reply = (const void *)frame->meta;
	listed = le32_to_cpu(reply->count);
	if (reply->status || listed > (frame->meta_bytes - sizeof(*reply)) /
				      sizeof(reply->entries[0])) {
		peerlink_fail(&peer->link, "answered with a list of a wrong length");
		free(frame);
		return 0;
	}
	grown = realloc(*entries, (*count + listed + 1) * sizeof(*grown));
	if (!grown) {
		free(frame);
		return -ENOMEM;
	}
	*entries = grown;
	for (i = 0; i < listed; i++) {
		struct locate_entry *entry = &grown[(*count)++];

		memcpy(entry->volume, reply->entries[i].volume, sizeof(entry->volume));
		memcpy(entry->name, reply->entries[i].name, sizeof(entry->name));
		entry->name[SEXTANT_NAME_BYTES - 1] = '\0';
		entry->peer = index;
	}
	free(frame);
	return 0;
}

int locate_list(struct panel *panel, struct locate_entry **entries, u32 *count)
{
	int error = 0;
	u32 i;

	*entries = NULL;
	*count = 0;
	panel_ask(panel, SEXTANT_MSG_LIST, NULL, 0, panel->count);
	for (i = 0; !error && i < panel->count; i++)
		error = take_list(&panel->peers[i], i, entries, count);
	if (error) {
		free(*entries);
		*entries = NULL;
	}
	return error;
}

/* Picks the one volume of this name; how many there are. */
static u32 match_name(const struct locate_entry *entries, u32 count, const char *name,
		      u8 volume[SEXTANT_UUID_BYTES])
{
	u32 i, matches = 0;

	for (i = 0; i < count; i++) {
		if (strcmp(entries[i].name, name))
			continue;
		if (matches && !memcmp(volume, entries[i].volume, SEXTANT_UUID_BYTES))
			continue;
		if (!matches)
			memcpy(volume, entries[i].volume, SEXTANT_UUID_BYTES);
		matches++;
	}
	return matches;
}

static int no_peers(const struct control_config *config, struct report *report)
{
	if (config->peer_count)
		return 0;
	return report_fail(report, SEXTANT_CODE_FAILED,
			   "no peers are configured: add [peer NAME] sections to sextant.conf and restart sextantd");
}

int locate_volume(const struct control_config *config, const char *name_or_uuid,
		  u8 volume[SEXTANT_UUID_BYTES], struct report *report)
{
	struct locate_entry *entries;
	struct panel *panel;
	u32 count, matches, open;
	char why[320];

	if (!sextant_uuid_parse(name_or_uuid, volume))
		return 0;
	if (!sextant_name_valid(name_or_uuid))
		return report_fail(report, SEXTANT_CODE_USAGE,
				   "'%.80s' is neither a volume's name nor its UUID", name_or_uuid);
	if (no_peers(config, report))
		return report->code;
	panel = panel_of_config(config);
	/* A volume's name is on four of its six peers at least. */
	open = panel ? panel_open(panel, NULL, SEXTANT_WRITE_QUORUM) : 0;
	if (!panel || locate_list(panel, &entries, &count)) {
		panel_free(panel);
		return report_fail(report, SEXTANT_CODE_FAILED, "out of memory");
	}
	matches = match_name(entries, count, name_or_uuid, volume);
	panel_complaints(panel, why, sizeof(why));
	free(entries);
	panel_free(panel);
	if (matches == 1)
		return 0;
	if (matches)
		return report_fail(report, SEXTANT_CODE_USAGE,
				   "%u volumes are named '%s': give the UUID ('sextant list' shows it)",
				   matches, name_or_uuid);
	if (!open)
		return report_fail(report, SEXTANT_CODE_NO_QUORUM,
				   "none of the %u configured peers can be reached (%s): start them or mend the network",
				   config->peer_count, why);
	if (open < config->peer_count)
		return report_fail(report, SEXTANT_CODE_NOT_FOUND,
				   "no volume '%s' on the %u of %u peers that answer (%s)",
				   name_or_uuid, open, config->peer_count, why);
	return report_fail(report, SEXTANT_CODE_NOT_FOUND,
			   "there is no volume '%s': 'sextant list' shows those that there are",
			   name_or_uuid);
}

int locate_manifest(const struct control_config *config, const u8 *volume,
		    struct sextant_manifest *manifest, struct report *report)
{
	char uuid[SEXTANT_UUID_TEXT_BYTES], why[320];
	struct panel_peer *newest;
	struct panel *panel;
	u32 i, reached = 0;

	if (no_peers(config, report))
		return report->code;
	panel = panel_of_config(config);
	if (!panel)
		return report_fail(report, SEXTANT_CODE_FAILED, "out of memory");
	panel_open(panel, volume, SEXTANT_WRITE_QUORUM);
	for (i = 0; i < panel->count; i++)
		if (panel->peers[i].link.fd >= 0 || panel->peers[i].link.greeted)
			reached++;
	panel_states(panel, SEXTANT_MSG_PROBE, NULL, 0, SEXTANT_WRITE_QUORUM);
	newest = panel_newest(panel, volume);
	if (newest) {
		*manifest = newest->manifest;
		memset(&newest->manifest, 0, sizeof(newest->manifest));
	}
	panel_complaints(panel, why, sizeof(why));
	panel_free(panel);
	if (newest)
		return 0;
	sextant_uuid_format(uuid, volume);
	if (reached < SEXTANT_READ_QUORUM)
		return report_fail(report, SEXTANT_CODE_NO_QUORUM,
				   "only %u of %u configured peers can be reached (%s): start them or mend the network",
				   reached, config->peer_count, why);
	return report_fail(report, SEXTANT_CODE_NOT_FOUND,
			   "no peer that answers holds volume %s (%s)", uuid, why);
}
