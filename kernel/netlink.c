// SPDX-License-Identifier: GPL-2.0
/*
 * The commands of the family, one step of an attach each. They may run in
 * parallel; volume->config orders those of one volume. None waits for I/O, so
 * that a stop that lacks a quorum cannot keep out the socket that brings it.
 */
#include <linux/random.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "compat.h"
#include "connection.h"
#include "event.h"
#include "keys.h"
#include "netlink.h"

/* A policy's own bounds have 16 bits. */
static SEXTANT_RANGE_CONST struct netlink_range_validation lease_range = { .min = 500, .max = 60000 };

static const struct nla_policy volume_policy[__SEXTANT_A_MAX] = {
	[SEXTANT_A_VOLUME]	= NLA_POLICY_EXACT_LEN(SEXTANT_UUID_BYTES),
	[SEXTANT_A_EPOCH]	= NLA_POLICY_MIN(NLA_U32, 1),
	[SEXTANT_A_ATTACH_ID]	= NLA_POLICY_EXACT_LEN(SEXTANT_ATTACH_ID_BYTES),
	[SEXTANT_A_GENERATION]	= NLA_POLICY_MIN(NLA_U32, 1),
	[SEXTANT_A_KEY_SERIAL]	= { .type = NLA_U32 },
	[SEXTANT_A_ORIGIN]	= NLA_POLICY_EXACT_LEN(SEXTANT_UUID_BYTES),
	[SEXTANT_A_COMMITMENT]	= NLA_POLICY_EXACT_LEN(SEXTANT_COMMIT_BYTES),
	[SEXTANT_A_TABLE]	= { .type = NLA_BINARY, .len = SEXTANT_TABLE_CHUNK *
					sizeof(struct sextant_wire_table_entry) },
	[SEXTANT_A_OFFSET]	= NLA_POLICY_MAX(NLA_U32, SEXTANT_TABLE_ENTRIES_MAX - 1),
	[SEXTANT_A_TAILS]	= { .type = NLA_BINARY, .len = SEXTANT_TAIL_CHUNK *
					sizeof(struct sextant_wire_pg_tail) },
	[SEXTANT_A_SIZE_BLOCKS]	= { .type = NLA_U64 },
	[SEXTANT_A_PG_BLOCKS]	= { .type = NLA_U32 },
	[SEXTANT_A_VDL]		= { .type = NLA_U64 },
	[SEXTANT_A_LEASE_MS]	= NLA_POLICY_FULL_RANGE(NLA_U32, &lease_range),
	[SEXTANT_A_LOCAL_AZ]	= { .type = NLA_NUL_STRING, .len = SEXTANT_NAME_BYTES - 1 },
	[SEXTANT_A_PLAIN]	= { .type = NLA_FLAG },
	[SEXTANT_A_PEER]	= { .type = NLA_NESTED },
	[SEXTANT_A_HOLDER]	= { .type = NLA_NUL_STRING, .len = SEXTANT_NAME_BYTES - 1 },
};

static const struct nla_policy peer_policy[__SEXTANT_P_MAX] = {
	[SEXTANT_P_INDEX]	= NLA_POLICY_MAX(NLA_U32, SEXTANT_PEERS - 1),
	[SEXTANT_P_NAME]	= { .type = NLA_NUL_STRING, .len = SEXTANT_NAME_BYTES - 1 },
	[SEXTANT_P_AZ]		= { .type = NLA_NUL_STRING, .len = SEXTANT_NAME_BYTES - 1 },
	[SEXTANT_P_INCARNATION]	= NLA_POLICY_EXACT_LEN(SEXTANT_UUID_BYTES),
	[SEXTANT_P_SOCKET]	= { .type = NLA_U32 },
};

static int refuse(struct genl_info *info, int error, const char *why)
{
	info->extack->_msg = why;
	return error;
}

static void *attr_data(struct genl_info *info, int attr)
{
	return nla_data(info->attrs[attr]);
}

static bool running(const struct sextant_volume *volume)
{
	return volume->state == SEXTANT_VOLUME_RUNNING || volume->state == SEXTANT_VOLUME_STOPPING;
}

static int attach_begin(struct sextant_volume *volume, struct genl_info *info)
{
	struct sk_buff *reply;
	void *header;

	if (running(volume))
		return refuse(info, -EBUSY, "The volume is attached here already");
	reply = genlmsg_new(NLMSG_GOODSIZE, GFP_NOIO);
	if (!reply)
		return -ENOMEM;
	sextant_volume_clear_attach(volume);
	get_random_bytes(volume->attach_id, sizeof(volume->attach_id));
	volume->attach_id_fresh = true;
	spin_lock(&volume->lock);
	volume->state = SEXTANT_VOLUME_ATTACHING;
	volume->unattached_jiffies = jiffies;
	spin_unlock(&volume->lock);
	header = genlmsg_put_reply(reply, info, &sextant_genl_family, 0, SEXTANT_CMD_ATTACH_BEGIN);
	if (!header || nla_put(reply, SEXTANT_A_ATTACH_ID, sizeof(volume->attach_id),
			       volume->attach_id)) {
		nlmsg_free(reply);
		return -EMSGSIZE;
	}
	genlmsg_end(reply, header);
	return genlmsg_reply(reply, info);
}

static int key_set(struct sextant_volume *volume, struct genl_info *info)
{
	int r = sextant_keys_add(volume->keys, nla_get_u32(info->attrs[SEXTANT_A_GENERATION]),
				 attr_data(info, SEXTANT_A_ORIGIN),
				 attr_data(info, SEXTANT_A_COMMITMENT),
				 nla_get_u32(info->attrs[SEXTANT_A_KEY_SERIAL]));

	switch (r) {
	case -EKEYREJECTED:
		return refuse(info, r, "The key is not the one the manifest commits to");
	case -EKEYREVOKED:
		return refuse(info, r, "The key has been revoked");
	case -ENOKEY:
	case -EACCES:
		return refuse(info, r, "No such key, or not one that the caller may search");
	case -EINVAL:
		return refuse(info, r, "KEY_SERIAL is not a logon key of 32 bytes");
	case -EEXIST:
		return refuse(info, r, "The key of this generation has been set");
	case -ENOSPC:
		return refuse(info, r, "There is no room for another generation");
	default:
		return r;
	}
}

static int table_set(struct sextant_volume *volume, struct genl_info *info)
{
	u32 offset = nla_get_u32(info->attrs[SEXTANT_A_OFFSET]);
	u32 bytes = nla_len(info->attrs[SEXTANT_A_TABLE]);
	u32 count = bytes / sizeof(*volume->table_entries);

	if (!count || bytes % sizeof(*volume->table_entries))
		return refuse(info, -EINVAL, "TABLE is not a number of table entries");
	if (offset && offset != volume->table.count)
		return refuse(info, -EINVAL, "OFFSET does not continue the table");
	if (offset + count > SEXTANT_TABLE_ENTRIES_MAX)
		return refuse(info, -E2BIG, "The table is longer than a table may be");
	if (!volume->table_entries)
		volume->table_entries = kvcalloc(SEXTANT_TABLE_ENTRIES_MAX,
						 sizeof(*volume->table_entries), GFP_KERNEL);
	if (!volume->table_entries)
		return -ENOMEM;
	memcpy(volume->table_entries + offset, attr_data(info, SEXTANT_A_TABLE), bytes);
	volume->table.entries = volume->table_entries;
	volume->table.count = offset + count;
	return 0;
}

static int tail_set(struct sextant_volume *volume, struct genl_info *info)
{
	const struct sextant_wire_pg_tail *tails = attr_data(info, SEXTANT_A_TAILS);
	u32 bytes = nla_len(info->attrs[SEXTANT_A_TAILS]);
	u32 i;

	if (bytes % sizeof(*tails))
		return refuse(info, -EINVAL, "TAILS is not a number of PG tails");
	for (i = 0; i < bytes / sizeof(*tails); i++) {
		struct sextant_pg *pg = sextant_pg_get(volume, le32_to_cpu(tails[i].pg));

		if (!pg)
			return -ENOMEM;
		pg->durable_epoch = le32_to_cpu(tails[i].epoch);
		pg->durable_lsn = le64_to_cpu(tails[i].lsn);
		pg->taken_epoch = pg->durable_epoch;
		pg->taken_lsn = pg->durable_lsn;
	}
	return 0;
}

/* A volume that runs takes plain sockets only if it was started as a plain one. */
static int open_socket(struct sextant_volume *volume, struct genl_info *info, u32 index, int fd)
{
	bool plain = info->attrs[SEXTANT_A_PLAIN] && (!running(volume) || volume->plain);
	int r = sextant_connection_open(volume, index, fd, plain);

	switch (r) {
	case -EBADF:
	case -ENOTSOCK:
		return refuse(info, r, "P_SOCKET is not a socket of the caller");
	case -EPROTOTYPE:
		return refuse(info, r, "P_SOCKET is not a TCP socket");
	case -ENOTCONN:
		return refuse(info, r, "P_SOCKET is not connected");
	case -EPROTO:
		return refuse(info, r, "P_SOCKET has no TLS, and the volume is not a plain one");
	default:
		return r;
	}
}

static int fill_slot(struct sextant_volume *volume, struct genl_info *info, u32 index,
		     struct nlattr **attrs)
{
	struct sextant_peer *peer = &volume->peers[index];

	if (!attrs[SEXTANT_P_NAME])
		return refuse(info, -EINVAL, "P_NAME is missing");
	if (!attrs[SEXTANT_P_AZ])
		return refuse(info, -EINVAL, "P_AZ is missing");
	if (!attrs[SEXTANT_P_INCARNATION])
		return refuse(info, -EINVAL, "P_INCARNATION is missing");
	spin_lock(&volume->lock);
	peer->index = index;
	peer->set = true;
	nla_strscpy(peer->name, attrs[SEXTANT_P_NAME], sizeof(peer->name));
	nla_strscpy(peer->az, attrs[SEXTANT_P_AZ], sizeof(peer->az));
	memcpy(peer->incarnation, nla_data(attrs[SEXTANT_P_INCARNATION]), SEXTANT_UUID_BYTES);
	spin_unlock(&volume->lock);
	return 0;
}

/* A socket that is refused leaves the slot as it was. */
static void restore_slot(struct sextant_volume *volume, const struct sextant_peer *before)
{
	struct sextant_peer *peer = &volume->peers[before->index];

	spin_lock(&volume->lock);
	peer->set = before->set;
	memcpy(peer->name, before->name, sizeof(peer->name));
	memcpy(peer->az, before->az, sizeof(peer->az));
	memcpy(peer->incarnation, before->incarnation, sizeof(peer->incarnation));
	spin_unlock(&volume->lock);
}

/* What a slot is does not change while the volume runs; only its socket does. */
static int peer_set(struct sextant_volume *volume, struct genl_info *info)
{
	struct nlattr *attrs[__SEXTANT_P_MAX];
	struct sextant_peer before;
	u32 index;
	int r = nla_parse_nested(attrs, __SEXTANT_P_MAX - 1, info->attrs[SEXTANT_A_PEER],
				 peer_policy, info->extack);

	if (r)
		return r;
	if (!attrs[SEXTANT_P_INDEX])
		return refuse(info, -EINVAL, "P_INDEX is missing");
	if (!attrs[SEXTANT_P_SOCKET] && running(volume))
		return refuse(info, -EINVAL, "P_SOCKET is missing");
	index = nla_get_u32(attrs[SEXTANT_P_INDEX]);
	before = volume->peers[index];
	before.index = index;
	if (!running(volume)) {
		r = fill_slot(volume, info, index, attrs);
		if (r)
			return r;
	}
	if (attrs[SEXTANT_P_SOCKET])
		r = open_socket(volume, info, index, nla_get_u32(attrs[SEXTANT_P_SOCKET]));
	if (r)
		restore_slot(volume, &before);
	return r;
}

static bool has_plain_socket(struct sextant_volume *volume)
{
	bool plain = false;
	u32 peer;

	spin_lock(&volume->lock);
	for (peer = 0; peer < SEXTANT_PEERS; peer++)
		plain |= volume->peers[peer].connection && volume->peers[peer].connection->plain;
	spin_unlock(&volume->lock);
	return plain;
}

/* The attach that was drawn, the table that was set and this START are one. */
static int check_start(struct sextant_volume *volume, struct genl_info *info,
		       const struct sextant_start *start)
{
	const struct sextant_wire_table_entry *last;
	u32 peer;

	if (!volume->attach_id_fresh || memcmp(attr_data(info, SEXTANT_A_ATTACH_ID),
					       volume->attach_id, SEXTANT_ATTACH_ID_BYTES))
		return refuse(info, -EINVAL, "ATTACH_ID is not the one drawn last, or was used");
	if (!volume->table.count || !sextant_table_valid(&volume->table))
		return refuse(info, -EINVAL, "The epoch table is missing or not a valid one");
	last = &volume->table.entries[volume->table.count - 1];
	if (le64_to_cpu(last->first_lsn) != start->vdl + 1 ||
	    le32_to_cpu(last->epoch) != start->epoch ||
	    memcmp(last->attach_id, volume->attach_id, SEXTANT_ATTACH_ID_BYTES))
		return refuse(info, -EINVAL, "The table does not end with this attach at VDL + 1");
	if (!start->pg_blocks || start->pg_blocks % SEXTANT_RECORD_BLOCKS_MAX)
		return refuse(info, -EINVAL, "PG_BLOCKS is not a multiple of a record's blocks");
	if (start->size_blocks > U64_MAX >> SEXTANT_BLOCK_SHIFT ||
	    start->size_blocks << (SEXTANT_BLOCK_SHIFT - SECTOR_SHIFT) < volume->table_sectors)
		return refuse(info, -ERANGE, "The device's table is longer than the volume");
	for (peer = 0; peer < SEXTANT_PEERS; peer++)
		if (!volume->peers[peer].set)
			return refuse(info, -EINVAL, "Not all six peers have been set");
	if (!start->plain && has_plain_socket(volume))
		return refuse(info, -EPROTO, "A peer's socket was set as plain, and the volume is not");
	return 0;
}

static int start(struct sextant_volume *volume, struct genl_info *info)
{
	struct sextant_start start = {
		.vdl = nla_get_u64(info->attrs[SEXTANT_A_VDL]),
		.size_blocks = nla_get_u64(info->attrs[SEXTANT_A_SIZE_BLOCKS]),
		.epoch = nla_get_u32(info->attrs[SEXTANT_A_EPOCH]),
		.pg_blocks = nla_get_u32(info->attrs[SEXTANT_A_PG_BLOCKS]),
		.generation = nla_get_u32(info->attrs[SEXTANT_A_GENERATION]),
		.lease_ms = nla_get_u32(info->attrs[SEXTANT_A_LEASE_MS]),
		.plain = info->attrs[SEXTANT_A_PLAIN],
	};
	int r = check_start(volume, info, &start);

	if (r)
		return r;
	if (info->attrs[SEXTANT_A_LOCAL_AZ])
		nla_strscpy(start.local_az, info->attrs[SEXTANT_A_LOCAL_AZ],
			    sizeof(start.local_az));
	r = sextant_volume_start(volume, &start);
	if (r == -ENOKEY)
		return refuse(info, r, "The data key of GENERATION has not been set");
	return r;
}

static int stop(struct sextant_volume *volume, struct genl_info *info)
{
	if (!running(volume))
		return refuse(info, -ENOTCONN, "The volume is not attached here");
	sextant_volume_stop(volume);
	return 0;
}

static int fence(struct sextant_volume *volume, struct genl_info *info)
{
	u32 epoch = nla_get_u32(info->attrs[SEXTANT_A_EPOCH]);
	char holder[SEXTANT_NAME_BYTES] = "another writer";

	if (!running(volume))
		return refuse(info, -ENOTCONN, "The volume is not attached here");
	if (epoch <= volume->ballot.epoch)
		return refuse(info, -EINVAL, "EPOCH is not above the writer's");
	if (info->attrs[SEXTANT_A_HOLDER])
		nla_strscpy(holder, info->attrs[SEXTANT_A_HOLDER], sizeof(holder));
	sextant_volume_fence(volume, epoch, holder);
	return 0;
}

static int discard(struct sextant_volume *volume, struct genl_info *info)
{
	if (!running(volume) && volume->state != SEXTANT_VOLUME_FENCED)
		return refuse(info, -ENOTCONN, "The volume has nothing to discard");
	sextant_volume_discard(volume);
	return 0;
}

struct step {
	int (*run)(struct sextant_volume *volume, struct genl_info *info);
	u8 required[9];			/* attributes, 0 ends the list */
	bool attaching;			/* only between ATTACH_BEGIN and START */
};

static const struct step steps[__SEXTANT_CMD_MAX] = {
	[SEXTANT_CMD_ATTACH_BEGIN] = { .run = attach_begin },
	[SEXTANT_CMD_KEY_SET] = { .run = key_set, .attaching = true,
		.required = { SEXTANT_A_GENERATION, SEXTANT_A_KEY_SERIAL, SEXTANT_A_ORIGIN,
			      SEXTANT_A_COMMITMENT } },
	[SEXTANT_CMD_TABLE_SET] = { .run = table_set, .attaching = true,
		.required = { SEXTANT_A_OFFSET, SEXTANT_A_TABLE } },
	[SEXTANT_CMD_TAIL_SET] = { .run = tail_set, .attaching = true,
		.required = { SEXTANT_A_TAILS } },
	[SEXTANT_CMD_PEER_SET] = { .run = peer_set, .required = { SEXTANT_A_PEER } },
	[SEXTANT_CMD_START] = { .run = start, .attaching = true,
		.required = { SEXTANT_A_EPOCH, SEXTANT_A_ATTACH_ID, SEXTANT_A_SIZE_BLOCKS,
			      SEXTANT_A_PG_BLOCKS, SEXTANT_A_GENERATION, SEXTANT_A_VDL,
			      SEXTANT_A_LEASE_MS } },
	[SEXTANT_CMD_STOP] = { .run = stop },
	[SEXTANT_CMD_FENCE] = { .run = fence, .required = { SEXTANT_A_EPOCH } },
	[SEXTANT_CMD_DISCARD] = { .run = discard },
};

static const char * const missing[__SEXTANT_A_MAX] = {
	[SEXTANT_A_VOLUME]	= "VOLUME is missing",
	[SEXTANT_A_EPOCH]	= "EPOCH is missing",
	[SEXTANT_A_ATTACH_ID]	= "ATTACH_ID is missing",
	[SEXTANT_A_GENERATION]	= "GENERATION is missing",
	[SEXTANT_A_KEY_SERIAL]	= "KEY_SERIAL is missing",
	[SEXTANT_A_ORIGIN]	= "ORIGIN is missing",
	[SEXTANT_A_COMMITMENT]	= "COMMITMENT is missing",
	[SEXTANT_A_TABLE]	= "TABLE is missing",
	[SEXTANT_A_OFFSET]	= "OFFSET is missing",
	[SEXTANT_A_TAILS]	= "TAILS is missing",
	[SEXTANT_A_SIZE_BLOCKS]	= "SIZE_BLOCKS is missing",
	[SEXTANT_A_PG_BLOCKS]	= "PG_BLOCKS is missing",
	[SEXTANT_A_VDL]		= "VDL is missing",
	[SEXTANT_A_LEASE_MS]	= "LEASE_MS is missing",
	[SEXTANT_A_PEER]	= "PEER is missing",
};

/* The volume a command names, referenced; every command passes here first. */
static struct sextant_volume *volume_of(struct sk_buff *skb, struct genl_info *info)
{
	struct sextant_volume *volume;

	if (!netlink_capable(skb, CAP_SYS_ADMIN))
		return ERR_PTR(refuse(info, -EPERM, "This needs CAP_SYS_ADMIN"));
	if (!info->attrs[SEXTANT_A_VOLUME])
		return ERR_PTR(refuse(info, -EINVAL, missing[SEXTANT_A_VOLUME]));
	volume = sextant_volume_find(attr_data(info, SEXTANT_A_VOLUME));
	if (!volume)
		return ERR_PTR(refuse(info, -ENODEV, "No device has a table with this volume"));
	return volume;
}

static int run_step(struct sextant_volume *volume, const struct step *step, struct genl_info *info)
{
	const u8 *attr;

	for (attr = step->required; *attr; attr++)
		if (!info->attrs[*attr])
			return refuse(info, -EINVAL, missing[*attr]);
	if (step->attaching && volume->state != SEXTANT_VOLUME_ATTACHING)
		return refuse(info, -EINVAL, "No attach has begun");
	return step->run(volume, info);
}

static int do_step(struct sk_buff *skb, struct genl_info *info)
{
	struct sextant_volume *volume = volume_of(skb, info);
	unsigned int flags;
	int r;

	if (IS_ERR(volume))
		return PTR_ERR(volume);
	flags = memalloc_noio_save();
	mutex_lock(&volume->config);
	r = run_step(volume, &steps[info->genlhdr->cmd], info);
	mutex_unlock(&volume->config);
	memalloc_noio_restore(flags);
	sextant_volume_put(volume);
	return r;
}

static int do_get(struct sk_buff *skb, struct genl_info *info)
{
	struct sextant_volume *volume = volume_of(skb, info);
	int r;

	if (IS_ERR(volume))
		return PTR_ERR(volume);
	r = sextant_get_volume(volume, info);
	sextant_volume_put(volume);
	return r;
}

#define STEP(command)	{ .cmd = (command), .doit = do_step }

static const struct genl_small_ops small_ops[] = {
	{ .cmd = SEXTANT_CMD_VOLUME_GET, .doit = do_get, .dumpit = sextant_dump_volumes },
	STEP(SEXTANT_CMD_ATTACH_BEGIN),
	STEP(SEXTANT_CMD_KEY_SET),
	STEP(SEXTANT_CMD_TABLE_SET),
	STEP(SEXTANT_CMD_TAIL_SET),
	STEP(SEXTANT_CMD_PEER_SET),
	STEP(SEXTANT_CMD_START),
	STEP(SEXTANT_CMD_STOP),
	STEP(SEXTANT_CMD_FENCE),
	STEP(SEXTANT_CMD_DISCARD),
};

static const struct genl_multicast_group groups[] = {
	{ .name = SEXTANT_GENL_GROUP, .flags = GENL_MCAST_CAP_SYS_ADMIN },
};

struct genl_family sextant_genl_family __ro_after_init = {
	.name		= SEXTANT_GENL_NAME,
	.version	= SEXTANT_GENL_VERSION,
	.maxattr	= __SEXTANT_A_MAX - 1,
	.policy		= volume_policy,
	.module		= THIS_MODULE,
	.parallel_ops	= true,
	.netnsok	= true,
	.small_ops	= small_ops,
	.n_small_ops	= ARRAY_SIZE(small_ops),
	.resv_start_op	= SEXTANT_CMD_VOLUME_GET,
	.mcgrps		= groups,
	.n_mcgrps	= ARRAY_SIZE(groups),
};

int __init sextant_netlink_init(void)
{
	return genl_register_family(&sextant_genl_family);
}

void sextant_netlink_exit(void)
{
	genl_unregister_family(&sextant_genl_family);
}
