/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The module, over generic netlink (kernel/uapi/sextant.h). Calls return 0 or
 * a negative errno; kernel->error then holds the kernel's own sentence, or the
 * errno's text. Not for use by two threads at once.
 */
#ifndef SEXTANT_KERNEL_LINK_H
#define SEXTANT_KERNEL_LINK_H

#include "core.h"
#include "manifest.h"
#include "sextant.h"
#include "table.h"

struct nl_sock;
struct nl_msg;

#define KERNEL_ERROR_BYTES	256

struct kernel_link {
	struct nl_sock *socket;
	int family;
	char error[KERNEL_ERROR_BYTES];
};

struct kernel_peer {
	bool set;
	char name[SEXTANT_NAME_BYTES], az[SEXTANT_NAME_BYTES];
	u32 state, lag_ms, rtt_us, incomplete_pgs, last_status;
	u64 scl, lag_lsns, queue_bytes, sent_bytes, received_bytes, faults, missing_lsns;
};

struct kernel_volume {
	u8 volume[SEXTANT_UUID_BYTES];
	bool has_device;
	u32 device;				/* major << 20 | minor */
	char device_name[128];
	char holder[SEXTANT_NAME_BYTES];
	u32 state, mode, epoch, dirty_age_ms, quorum, reads_waiting;
	u64 size_blocks, vdl, next_lsn, dirty_bytes, dirty_bytes_max;
	u64 reads, writes, read_faults;
	struct kernel_peer peers[SEXTANT_PEERS];
};

/* What START needs. local_az may be NULL or "". */
struct kernel_start {
	struct sextant_ballot ballot;
	u64 size_blocks, vdl;
	u32 pg_blocks, generation, lease_ms;
	const char *local_az;
	bool plain;
};

/* Connects. -ENOENT: the module is not loaded. close is fine after a failed open. */
int kernel_open(struct kernel_link *kernel);
void kernel_close(struct kernel_link *kernel);

/* One volume; -ENODEV: the kernel knows none of this UUID. */
int kernel_get(struct kernel_link *kernel, const u8 *volume, struct kernel_volume *answer);

/* All of them; the caller frees *volumes with free(). */
int kernel_dump(struct kernel_link *kernel, struct kernel_volume **volumes, u32 *count);

int kernel_attach_begin(struct kernel_link *kernel, const u8 *volume,
			u8 attach_id[SEXTANT_ATTACH_ID_BYTES]);
int kernel_key_set(struct kernel_link *kernel, const u8 *volume, u32 generation, u32 serial,
		   const u8 *origin, const u8 *commitment);
int kernel_table_set(struct kernel_link *kernel, const u8 *volume,
		     const struct sextant_table *table);
int kernel_tail_set(struct kernel_link *kernel, const u8 *volume,
		    const struct sextant_wire_pg_tail *tails, u32 count);

/* A peer's slot. fd -1: no socket yet; it stays the caller's to close. */
int kernel_peer_set(struct kernel_link *kernel, const struct sextant_manifest *manifest,
		    u32 index, int fd);
int kernel_start(struct kernel_link *kernel, const u8 *volume, const struct kernel_start *start);
int kernel_stop(struct kernel_link *kernel, const u8 *volume);
int kernel_fence(struct kernel_link *kernel, const u8 *volume, u32 epoch, const char *holder);
int kernel_discard(struct kernel_link *kernel, const u8 *volume);

/* Reads a VOLUME_GET answer. 0, or -EBADMSG when it names no volume. */
int kernel_volume_parse(struct nl_msg *message, struct kernel_volume *volume);

/* Words for the enums: "running", "volatile", "connected". Never NULL. */
const char *kernel_state_name(u32 state);
const char *kernel_mode_name(u32 mode);
const char *kernel_peer_state_name(u32 state);

/* ---- events ----------------------------------------------------------- */

struct kernel_event {
	u8 volume[SEXTANT_UUID_BYTES];
	u32 event;				/* enum sextant_event; 0: some were lost */
};

/*
 * A socket that hears the module's events, and ("sextant" being loaded later)
 * that the family appeared. NULL with errno when not even that can be had.
 */
struct kernel_events;
struct kernel_events *kernel_events_open(void);
void kernel_events_close(struct kernel_events *events);
int kernel_events_fd(const struct kernel_events *events);

/* Reads what is there, never waits; handler is called for each event. */
void kernel_events_read(struct kernel_events *events,
			void (*handler)(void *context, const struct kernel_event *event),
			void *context);

#endif
