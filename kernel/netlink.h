/* SPDX-License-Identifier: GPL-2.0 */
/* The generic netlink family; uapi/sextant.h documents it. */
#ifndef SEXTANT_NETLINK_H
#define SEXTANT_NETLINK_H

#include <linux/netlink.h>
#include <net/genetlink.h>

#include "volume.h"

extern struct genl_family sextant_genl_family;

int sextant_netlink_init(void);
void sextant_netlink_exit(void);

/* netlink_get.c */
int sextant_get_volume(struct sextant_volume *volume, struct genl_info *info);
int sextant_dump_volumes(struct sk_buff *skb, struct netlink_callback *cb);
int sextant_put_device(struct sk_buff *skb, struct sextant_volume *volume);

#endif
