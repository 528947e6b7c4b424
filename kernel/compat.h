/* SPDX-License-Identifier: GPL-2.0 */
/* What differs between the kernels that are supported, 6.1 and 6.12. */
#ifndef SEXTANT_COMPAT_H
#define SEXTANT_COMPAT_H

#include <linux/blkdev.h>
#include <linux/device-mapper.h>
#include <linux/version.h>
#include <net/inet_connection_sock.h>
#include <net/tls.h>

/* Discards of any size up to max_bytes. */
static inline void sextant_set_discard_limits(struct queue_limits *limits, u32 max_bytes)
{
	limits->max_discard_sectors = max_bytes >> SECTOR_SHIFT;
	limits->max_hw_discard_sectors = max_bytes >> SECTOR_SHIFT;
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 9, 0)
	limits->max_user_discard_sectors = max_bytes >> SECTOR_SHIFT;
#endif
}

/* The module completes bios itself; there is nothing to poll. */
static inline void sextant_clear_poll_limit(struct queue_limits *limits)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 11, 0)
	limits->features &= ~BLK_FEAT_POLL;
#endif
}

/* Before 6.11 device-mapper sets the flag on the queue, after io_hints. */
static inline void sextant_clear_poll_flag(struct dm_target *ti)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 11, 0)
	blk_queue_flag_clear(QUEUE_FLAG_POLL, dm_disk(dm_table_get_md(ti->table))->queue);
#endif
}

/* kTLS in both directions, in software, done by user space's setsockopt(). */
static inline bool sextant_socket_has_tls(struct sock *sk)
{
	struct tls_context *context;

	if (!inet_csk(sk)->icsk_ulp_ops || strcmp(inet_csk(sk)->icsk_ulp_ops->name, "tls"))
		return false;
	context = tls_get_ctx(sk);
	return context && context->tx_conf != TLS_BASE && context->rx_conf != TLS_BASE;
}

#endif
