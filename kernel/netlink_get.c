// SPDX-License-Identifier: GPL-2.0
/* VOLUME_GET: what a volume and its peers are doing. */
#include <linux/device-mapper.h>
#include <linux/dm-ioctl.h>

#include "connection.h"
#include "netlink.h"
#include "record.h"

/* A snapshot, so that nothing is put into a message under the lock. */
struct peer_snapshot {
	struct sextant_peer peer;
	bool connected;
	u64 scl;
	u64 queue_bytes;
	u32 lag_ms;
};

struct volume_snapshot {
	u32 state, mode, quorum, dirty_age_ms, epoch;
	u64 vdl, next_lsn, dirty_bytes, dirty_bytes_max, size_blocks;
	u64 blocks_read, blocks_written, read_faults;
	u32 reads_parked, holder_epoch;
	char holder[SEXTANT_NAME_BYTES];
	struct peer_snapshot peers[SEXTANT_PEERS];
};

static u32 age_ms(const struct sextant_quorum_record *record)
{
	return jiffies_to_msecs(jiffies - container_of(record, struct sextant_record,
						       quorum)->taken_jiffies);
}

static void snapshot_peer(struct sextant_volume *volume, u32 index, struct peer_snapshot *to)
{
	const struct sextant_connection *connection = volume->peers[index].connection;
	const struct sextant_quorum_record *record = volume->quorum.head;
	struct sextant_record *next = connection ? connection->next : NULL;

	lockdep_assert_held(&volume->lock);
	to->peer = volume->peers[index];
	to->connected = connection;
	to->scl = sextant_peer_scl(volume, index);
	while (record && (record->acked & (1u << index)))
		record = record->next;
	to->lag_ms = record ? age_ms(record) : 0;
	to->queue_bytes = 0;
	if (next)
		list_for_each_entry_from(next, &volume->records, link)
			to->queue_bytes += next->bytes;
}

static void snapshot(struct sextant_volume *volume, struct volume_snapshot *to)
{
	u32 i;

	spin_lock(&volume->lock);
	to->state = volume->state;
	to->mode = sextant_volume_mode(volume);
	to->quorum = (volume->write_quorum ? SEXTANT_QUORUM_WRITE : 0) |
		     (volume->read_lease ? SEXTANT_QUORUM_READ : 0);
	to->epoch = volume->ballot.epoch;
	to->vdl = sextant_volume_vdl(volume);
	to->next_lsn = volume->next_lsn;
	to->dirty_bytes = volume->dirty_bytes;
	to->dirty_bytes_max = volume->options.max_dirty_bytes;
	to->dirty_age_ms = volume->quorum.head ? age_ms(volume->quorum.head) : 0;
	to->size_blocks = volume->size_blocks;
	to->blocks_read = volume->blocks_read;
	to->blocks_written = volume->blocks_written;
	to->read_faults = volume->read_faults;
	to->reads_parked = volume->reads_parked;
	to->holder_epoch = volume->holder_epoch;
	memcpy(to->holder, volume->holder, sizeof(to->holder));
	for (i = 0; i < SEXTANT_PEERS; i++)
		snapshot_peer(volume, i, &to->peers[i]);
	spin_unlock(&volume->lock);
}

static int put_peer(struct sk_buff *skb, const struct volume_snapshot *volume, u32 index)
{
	const struct peer_snapshot *from = &volume->peers[index];
	const struct sextant_peer *peer = &from->peer;
	u64 last_lsn = volume->next_lsn ? volume->next_lsn - 1 : 0;
	u64 lag = last_lsn > from->scl ? last_lsn - from->scl : 0;
	struct nlattr *nest = nla_nest_start(skb, SEXTANT_A_PEER);

	if (!nest || nla_put_u32(skb, SEXTANT_P_INDEX, index) ||
	    nla_put_string(skb, SEXTANT_P_NAME, peer->name) ||
	    nla_put_string(skb, SEXTANT_P_AZ, peer->az) ||
	    nla_put_u32(skb, SEXTANT_P_STATE, from->connected ? SEXTANT_PEER_CONNECTED :
						SEXTANT_PEER_DISCONNECTED) ||
	    nla_put_u64_64bit(skb, SEXTANT_P_SCL, from->scl, SEXTANT_P_PAD) ||
	    nla_put_u64_64bit(skb, SEXTANT_P_LAG_LSNS, lag, SEXTANT_P_PAD) ||
	    nla_put_u32(skb, SEXTANT_P_LAG_MS, from->lag_ms) ||
	    nla_put_u64_64bit(skb, SEXTANT_P_QUEUE_BYTES, from->queue_bytes, SEXTANT_P_PAD) ||
	    nla_put_u64_64bit(skb, SEXTANT_P_SENT_BYTES, peer->sent_bytes, SEXTANT_P_PAD) ||
	    nla_put_u64_64bit(skb, SEXTANT_P_RECEIVED_BYTES, peer->received_bytes,
			      SEXTANT_P_PAD) ||
	    nla_put_u32(skb, SEXTANT_P_RTT_US, peer->rtt_us) ||
	    nla_put_u64_64bit(skb, SEXTANT_P_FAULTS, peer->faults + peer->store_faults,
			      SEXTANT_P_PAD) ||
	    nla_put_u32(skb, SEXTANT_P_INCOMPLETE_PGS, peer->incomplete_pgs) ||
	    nla_put_u64_64bit(skb, SEXTANT_P_MISSING_LSNS, peer->missing_lsns, SEXTANT_P_PAD) ||
	    nla_put_u32(skb, SEXTANT_P_LAST_STATUS, peer->last_status))
		return -EMSGSIZE;
	nla_nest_end(skb, nest);
	return 0;
}

/*
 * The dm device that the volume stands behind, by number and by the name it has
 * now; nothing for an orphan.
 */
int sextant_put_device(struct sk_buff *skb, struct sextant_volume *volume)
{
	dev_t device = READ_ONCE(volume->device);
	struct mapped_device *md;
	char name[DM_NAME_LEN];
	int r = 0;

	if (!device)
		return 0;
	if (nla_put_u32(skb, SEXTANT_A_DEVICE, MAJOR(device) << 20 | MINOR(device)))
		return -EMSGSIZE;
	md = dm_get_md(device);
	if (!md)
		return 0;
	if (!dm_copy_name_and_uuid(md, name, NULL))
		r = nla_put_string(skb, SEXTANT_A_DEVICE_NAME, name);
	dm_put(md);
	return r;
}

static int put_volume(struct sk_buff *skb, struct sextant_volume *volume,
		      const struct volume_snapshot *from)
{
	if (nla_put(skb, SEXTANT_A_VOLUME, SEXTANT_UUID_BYTES, volume->uuid) ||
	    sextant_put_device(skb, volume) ||
	    nla_put_u32(skb, SEXTANT_A_STATE, from->state) ||
	    nla_put_u32(skb, SEXTANT_A_MODE, from->mode) ||
	    nla_put_u32(skb, SEXTANT_A_EPOCH, from->holder_epoch ? from->holder_epoch :
								   from->epoch) ||
	    nla_put_u64_64bit(skb, SEXTANT_A_SIZE_BLOCKS, from->size_blocks, SEXTANT_A_PAD) ||
	    nla_put_u64_64bit(skb, SEXTANT_A_VDL, from->vdl, SEXTANT_A_PAD) ||
	    nla_put_u64_64bit(skb, SEXTANT_A_NEXT_LSN, from->next_lsn, SEXTANT_A_PAD) ||
	    nla_put_u64_64bit(skb, SEXTANT_A_DIRTY_BYTES, from->dirty_bytes, SEXTANT_A_PAD) ||
	    nla_put_u64_64bit(skb, SEXTANT_A_DIRTY_BYTES_MAX, from->dirty_bytes_max,
			      SEXTANT_A_PAD) ||
	    nla_put_u32(skb, SEXTANT_A_DIRTY_AGE_MS, from->dirty_age_ms) ||
	    nla_put_u32(skb, SEXTANT_A_QUORUM, from->quorum) ||
	    nla_put_u64_64bit(skb, SEXTANT_A_READS, from->blocks_read, SEXTANT_A_PAD) ||
	    nla_put_u64_64bit(skb, SEXTANT_A_WRITES, from->blocks_written, SEXTANT_A_PAD) ||
	    nla_put_u64_64bit(skb, SEXTANT_A_READ_FAULTS, from->read_faults, SEXTANT_A_PAD) ||
	    nla_put_u32(skb, SEXTANT_A_READS_WAITING, from->reads_parked))
		return -EMSGSIZE;
	if (from->holder[0] && nla_put_string(skb, SEXTANT_A_HOLDER, from->holder))
		return -EMSGSIZE;
	return 0;
}

static int fill(struct sk_buff *skb, u32 port, u32 sequence, int flags,
		struct sextant_volume *volume)
{
	struct volume_snapshot *from = kmalloc(sizeof(*from), GFP_NOIO);
	void *header;
	int r = -EMSGSIZE;
	u32 i;

	if (!from)
		return -ENOMEM;
	snapshot(volume, from);
	header = genlmsg_put(skb, port, sequence, &sextant_genl_family, flags,
			     SEXTANT_CMD_VOLUME_GET);
	if (!header)
		goto free_snapshot;
	r = put_volume(skb, volume, from);
	for (i = 0; i < SEXTANT_PEERS && !r; i++)
		if (from->peers[i].peer.set)
			r = put_peer(skb, from, i);
	if (r)
		genlmsg_cancel(skb, header);
	else
		genlmsg_end(skb, header);
free_snapshot:
	kfree(from);
	return r;
}

/**
 * sextant_get_volume() - VOLUME_GET of one volume
 * @volume: referenced by the caller
 * @info: request
 *
 * Context: may sleep. Return: 0 or a negative error.
 */
int sextant_get_volume(struct sextant_volume *volume, struct genl_info *info)
{
	struct sk_buff *reply = genlmsg_new(NLMSG_GOODSIZE, GFP_NOIO);
	int r;

	if (!reply)
		return -ENOMEM;
	r = fill(reply, info->snd_portid, info->snd_seq, 0, volume);
	if (r) {
		nlmsg_free(reply);
		return r;
	}
	return genlmsg_reply(reply, info);
}

/**
 * sextant_dump_volumes() - VOLUME_GET of all
 * @skb: to fill
 * @cb: args[0] is the number of volumes told so far
 */
int sextant_dump_volumes(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct sextant_volume *volume;

	if (!netlink_capable(cb->skb, CAP_SYS_ADMIN))
		return -EPERM;
	while ((volume = sextant_volume_at(cb->args[0]))) {
		int r = fill(skb, NETLINK_CB(cb->skb).portid, cb->nlh->nlmsg_seq, NLM_F_MULTI,
			     volume);

		sextant_volume_put(volume);
		if (r == -EMSGSIZE)
			break;
		if (r)
			return r;
		cb->args[0]++;
	}
	return skb->len;
}
