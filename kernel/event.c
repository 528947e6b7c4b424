// SPDX-License-Identifier: GPL-2.0
/*
 * Events. They are hints, not state: one that is lost (no memory, no listener)
 * costs a delay, since whoever listens can ask with VOLUME_GET.
 */
#include <linux/sched/mm.h>

#include "event.h"
#include "netlink.h"

#define PEER_EVENTS	(BIT(SEXTANT_EVENT_PEER_DOWN) | BIT(SEXTANT_EVENT_PEER_STALE) | \
			 BIT(SEXTANT_EVENT_PEER_FAULT))

static int put_peer(struct sk_buff *skb, struct sextant_volume *volume, u32 index)
{
	struct sextant_peer *peer = &volume->peers[index];
	struct nlattr *nest = nla_nest_start(skb, SEXTANT_A_PEER);

	if (!nest || nla_put_u32(skb, SEXTANT_P_INDEX, index) ||
	    nla_put_string(skb, SEXTANT_P_NAME, peer->name) ||
	    nla_put_u32(skb, SEXTANT_P_LAST_STATUS, peer->last_status))
		return -EMSGSIZE;
	nla_nest_end(skb, nest);
	return 0;
}

static int put_event(struct sk_buff *skb, struct sextant_volume *volume,
		     enum sextant_event event, u32 peer)
{
	if (nla_put(skb, SEXTANT_A_VOLUME, SEXTANT_UUID_BYTES, volume->uuid) ||
	    nla_put_u32(skb, SEXTANT_A_EVENT, event) || sextant_put_device(skb, volume))
		return -EMSGSIZE;
	if ((BIT(event) & PEER_EVENTS) && put_peer(skb, volume, peer))
		return -EMSGSIZE;
	if (event == SEXTANT_EVENT_FENCED &&
	    (nla_put_u32(skb, SEXTANT_A_EPOCH, volume->holder_epoch) ||
	     nla_put_string(skb, SEXTANT_A_HOLDER, volume->holder)))
		return -EMSGSIZE;
	return 0;
}

static void send_event(struct sextant_volume *volume, enum sextant_event event, u32 peer)
{
	unsigned int flags = memalloc_noio_save();
	struct sk_buff *skb = genlmsg_new(NLMSG_GOODSIZE, GFP_NOIO);
	void *header;

	if (!skb)
		goto restore;
	header = genlmsg_put(skb, 0, 0, &sextant_genl_family, 0, SEXTANT_CMD_EVENT);
	if (!header || put_event(skb, volume, event, peer)) {
		nlmsg_free(skb);
		goto restore;
	}
	genlmsg_end(skb, header);
	genlmsg_multicast_allns(&sextant_genl_family, skb, 0, 0);
restore:
	memalloc_noio_restore(flags);
}

/**
 * sextant_event() - note an event
 * @volume: whose
 * @event: what
 * @peer: slot, for events of peers
 *
 * The same event noted twice before it is sent is sent once.
 * Context: volume->lock held.
 */
void sextant_event(struct sextant_volume *volume, enum sextant_event event, u32 peer)
{
	lockdep_assert_held(&volume->lock);
	if (BIT(event) & PEER_EVENTS)
		volume->peer_events[peer] |= BIT(event);
	else
		volume->events |= BIT(event);
	kref_get(&volume->refs);
	if (!queue_work(sextant_lifecycle_wq, &volume->event_work))
		sextant_volume_put(volume);
}

/* Sends an event at once. Context: may sleep. */
void sextant_event_now(struct sextant_volume *volume, enum sextant_event event)
{
	send_event(volume, event, 0);
}

static void send_events(struct sextant_volume *volume, unsigned long events, u32 peer)
{
	int event;

	for_each_set_bit(event, &events, BITS_PER_LONG)
		send_event(volume, event, peer);
}

void sextant_event_work(struct work_struct *work)
{
	struct sextant_volume *volume = container_of(work, struct sextant_volume, event_work);
	u32 peer_events[SEXTANT_PEERS];
	u32 events, peer;

	spin_lock(&volume->lock);
	memcpy(peer_events, volume->peer_events, sizeof(peer_events));
	memset(volume->peer_events, 0, sizeof(volume->peer_events));
	events = volume->events;
	volume->events = 0;
	spin_unlock(&volume->lock);
	send_events(volume, events, 0);
	for (peer = 0; peer < SEXTANT_PEERS; peer++)
		send_events(volume, peer_events[peer], peer);
	sextant_volume_put(volume);
}
