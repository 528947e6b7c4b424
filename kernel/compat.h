/* SPDX-License-Identifier: GPL-2.0 */
/* What differs between the kernels that are supported, 6.1 and 6.12. */
#ifndef SEXTANT_COMPAT_H
#define SEXTANT_COMPAT_H

#include <linux/blkdev.h>
#include <linux/device-mapper.h>
#include <linux/version.h>
#include <net/inet_connection_sock.h>
#include <net/tls.h>

/* A netlink policy takes its ranges as const from 6.8 on. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 8, 0)
#define SEXTANT_RANGE_CONST const
#else
#define SEXTANT_RANGE_CONST
#endif

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

/*
 * What a table that becomes live means for the queue and io_hints cannot say:
 * before 6.11 device-mapper sets the poll flag after io_hints, and from 6.11 on
 * a reload keeps the write cache that the table before had.
 */
static inline void sextant_update_queue(struct dm_target *ti, bool writethrough)
{
	struct request_queue *queue = dm_disk(dm_table_get_md(ti->table))->queue;
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 11, 0)
	blk_queue_flag_clear(QUEUE_FLAG_POLL, queue);
#else
	struct queue_limits limits = queue_limits_start_update(queue);

	limits.features &= ~(BLK_FEAT_WRITE_CACHE | BLK_FEAT_FUA);
	if (!writethrough)
		limits.features |= BLK_FEAT_WRITE_CACHE | BLK_FEAT_FUA;
	if (queue_limits_commit_update(queue, &limits))
		pr_warn_once("sextant: the queue keeps its old write cache mode\n");
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
