// SPDX-License-Identifier: GPL-2.0
/* What the module says of a volume; see kernel_link.h. */
#include "kernel_link.h"

#include <netlink/genl/genl.h>
#include <netlink/netlink.h>

static u32 take_u32(struct nlattr *attr)
{
	return attr && nla_len(attr) >= 4 ? nla_get_u32(attr) : 0;
}

static u64 take_u64(struct nlattr *attr)
{
	return attr && nla_len(attr) >= 8 ? nla_get_u64(attr) : 0;
}

static void take_string(char *to, size_t room, struct nlattr *attr)
{
	if (attr)
		nla_strlcpy(to, attr, room);
}

static void take_peer(struct kernel_volume *volume, struct nlattr *nest)
{
	struct nlattr *attrs[__SEXTANT_P_MAX];
	struct kernel_peer *peer;
	u32 index;

	if (nla_parse_nested(attrs, __SEXTANT_P_MAX - 1, nest, NULL))
		return;
	index = take_u32(attrs[SEXTANT_P_INDEX]);
	if (!attrs[SEXTANT_P_INDEX] || index >= SEXTANT_PEERS)
		return;
	peer = &volume->peers[index];
	peer->set = true;
	take_string(peer->name, sizeof(peer->name), attrs[SEXTANT_P_NAME]);
	take_string(peer->az, sizeof(peer->az), attrs[SEXTANT_P_AZ]);
	peer->state = take_u32(attrs[SEXTANT_P_STATE]);
	peer->scl = take_u64(attrs[SEXTANT_P_SCL]);
	peer->lag_lsns = take_u64(attrs[SEXTANT_P_LAG_LSNS]);
	peer->lag_ms = take_u32(attrs[SEXTANT_P_LAG_MS]);
	peer->queue_bytes = take_u64(attrs[SEXTANT_P_QUEUE_BYTES]);
	peer->sent_bytes = take_u64(attrs[SEXTANT_P_SENT_BYTES]);
	peer->received_bytes = take_u64(attrs[SEXTANT_P_RECEIVED_BYTES]);
	peer->rtt_us = take_u32(attrs[SEXTANT_P_RTT_US]);
	peer->faults = take_u64(attrs[SEXTANT_P_FAULTS]);
	peer->incomplete_pgs = take_u32(attrs[SEXTANT_P_INCOMPLETE_PGS]);
	peer->missing_lsns = take_u64(attrs[SEXTANT_P_MISSING_LSNS]);
	peer->last_status = take_u32(attrs[SEXTANT_P_LAST_STATUS]);
}

static void take_fields(struct kernel_volume *volume, struct nlattr **attrs)
{
	memset(volume, 0, sizeof(*volume));
	memcpy(volume->volume, nla_data(attrs[SEXTANT_A_VOLUME]), SEXTANT_UUID_BYTES);
	volume->device = take_u32(attrs[SEXTANT_A_DEVICE]);
	take_string(volume->device_name, sizeof(volume->device_name),
		    attrs[SEXTANT_A_DEVICE_NAME]);
	volume->has_device = volume->device_name[0];
	take_string(volume->holder, sizeof(volume->holder), attrs[SEXTANT_A_HOLDER]);
	volume->state = take_u32(attrs[SEXTANT_A_STATE]);
	volume->mode = take_u32(attrs[SEXTANT_A_MODE]);
	volume->epoch = take_u32(attrs[SEXTANT_A_EPOCH]);
	volume->size_blocks = take_u64(attrs[SEXTANT_A_SIZE_BLOCKS]);
	volume->vdl = take_u64(attrs[SEXTANT_A_VDL]);
	volume->next_lsn = take_u64(attrs[SEXTANT_A_NEXT_LSN]);
	volume->dirty_bytes = take_u64(attrs[SEXTANT_A_DIRTY_BYTES]);
	volume->dirty_bytes_max = take_u64(attrs[SEXTANT_A_DIRTY_BYTES_MAX]);
	volume->dirty_age_ms = take_u32(attrs[SEXTANT_A_DIRTY_AGE_MS]);
	volume->quorum = take_u32(attrs[SEXTANT_A_QUORUM]);
	volume->reads = take_u64(attrs[SEXTANT_A_READS]);
	volume->writes = take_u64(attrs[SEXTANT_A_WRITES]);
	volume->read_faults = take_u64(attrs[SEXTANT_A_READ_FAULTS]);
	volume->reads_waiting = take_u32(attrs[SEXTANT_A_READS_WAITING]);
}

/* A_PEER repeats, so it is found by walking; a parse keeps the last one only. */
static void take_peers(struct kernel_volume *volume, struct nl_msg *message)
{
	struct genlmsghdr *generic = genlmsg_hdr(nlmsg_hdr(message));
	struct nlattr *attr;
	int left;

	nla_for_each_attr(attr, genlmsg_attrdata(generic, 0), genlmsg_attrlen(generic, 0), left)
		if (nla_type(attr) == SEXTANT_A_PEER)
			take_peer(volume, attr);
}

int kernel_volume_parse(struct nl_msg *message, struct kernel_volume *volume)
{
	struct nlattr *attrs[__SEXTANT_A_MAX];

	if (genlmsg_parse(nlmsg_hdr(message), 0, attrs, __SEXTANT_A_MAX - 1, NULL) ||
	    !attrs[SEXTANT_A_VOLUME] || nla_len(attrs[SEXTANT_A_VOLUME]) != SEXTANT_UUID_BYTES)
		return -EBADMSG;
	take_fields(volume, attrs);
	take_peers(volume, message);
	return 0;
}

static const char *name_of(const char * const *names, u32 count, u32 value)
{
	return value < count && names[value] ? names[value] : "unknown";
}

const char *kernel_state_name(u32 state)
{
	static const char * const names[] = {
		[SEXTANT_VOLUME_UNATTACHED] = "unattached",
		[SEXTANT_VOLUME_ATTACHING] = "attaching",
		[SEXTANT_VOLUME_RUNNING] = "running",
		[SEXTANT_VOLUME_STOPPING] = "stopping",
		[SEXTANT_VOLUME_STOPPED] = "stopped",
		[SEXTANT_VOLUME_FENCED] = "fenced",
		[SEXTANT_VOLUME_FAILED] = "failed",
	};

	return name_of(names, sizeof(names) / sizeof(names[0]), state);
}

const char *kernel_mode_name(u32 mode)
{
	static const char * const names[] = {
		[SEXTANT_MODE_VOLATILE] = "volatile",
		[SEXTANT_MODE_WRITETHROUGH] = "writethrough",
		[SEXTANT_MODE_GUARDED] = "guarded",
	};

	return name_of(names, sizeof(names) / sizeof(names[0]), mode);
}

const char *kernel_peer_state_name(u32 state)
{
	static const char * const names[] = {
		[SEXTANT_PEER_UNSET] = "unset",
		[SEXTANT_PEER_DISCONNECTED] = "disconnected",
		[SEXTANT_PEER_CONNECTED] = "connected",
	};

	return name_of(names, sizeof(names) / sizeof(names[0]), state);
}
