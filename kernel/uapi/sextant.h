/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * Generic netlink interface of dm-sextant: family "sextant", version 1.
 *
 * Every command needs CAP_SYS_ADMIN; events go to the multicast group
 * "events", which needs it too. A command names its volume with
 * SEXTANT_A_VOLUME; the volume exists from the moment a table with its UUID
 * was loaded. Errors carry a sentence in the extended ack.
 *
 * An attach, in this order (dm table loaded, device not yet resumed):
 *
 *   ATTACH_BEGIN  the kernel draws the attach id. It is good for one START.
 *   KEY_SET       once for each data key generation.
 *   TABLE_SET     the epoch table with this attach as its last entry, in
 *                 chunks; TAIL_SET: the PG tails at VCL, in chunks.
 *   PEER_SET      six times: name, AZ, incarnation; with a socket when one is
 *                 connected and the peer has answered HELLO(WRITER).
 *   START         once the table is on a write quorum.
 *
 *   SEXTANT_CMD_VOLUME_GET (do: one, dump: all) answers
 *	A_VOLUME A_DEVICE A_DEVICE_NAME A_STATE A_MODE A_EPOCH A_SIZE_BLOCKS
 *	A_VDL A_NEXT_LSN A_DIRTY_BYTES A_DIRTY_BYTES_MAX A_DIRTY_AGE_MS
 *	A_QUORUM A_READS A_WRITES A_READ_FAULTS A_READS_WAITING A_HOLDER
 *	and A_PEER for each slot that is set:
 *	    P_INDEX P_NAME P_AZ P_STATE P_SCL P_LAG_LSNS P_LAG_MS P_QUEUE_BYTES
 *	    P_SENT_BYTES P_RECEIVED_BYTES P_RTT_US P_FAULTS P_INCOMPLETE_PGS
 *	    P_MISSING_LSNS P_LAST_STATUS
 *   SEXTANT_CMD_ATTACH_BEGIN  A_VOLUME -> A_ATTACH_ID
 *   SEXTANT_CMD_KEY_SET    A_VOLUME A_GENERATION A_KEY_SERIAL A_ORIGIN A_COMMITMENT
 *   SEXTANT_CMD_TABLE_SET  A_VOLUME A_OFFSET A_TABLE
 *   SEXTANT_CMD_TAIL_SET   A_VOLUME A_TAILS
 *   SEXTANT_CMD_PEER_SET   A_VOLUME A_PEER{P_INDEX P_NAME P_AZ P_INCARNATION [P_SOCKET]} [A_PLAIN]
 *	P_SOCKET is a descriptor of the caller: TCP, established. The kernel
 *	takes its own reference; the caller closes its copy.
 *   SEXTANT_CMD_START      A_VOLUME A_EPOCH A_ATTACH_ID A_SIZE_BLOCKS A_PG_BLOCKS
 *	A_GENERATION A_VDL A_LEASE_MS [A_LOCAL_AZ] [A_PLAIN]
 *   SEXTANT_CMD_STOP       A_VOLUME: new I/O waits, what is queued drains, then
 *	the lease is released and the keys are wiped: state STOPPED. Poll with GET.
 *   SEXTANT_CMD_FENCE      A_VOLUME A_EPOCH [A_HOLDER]: a higher table exists.
 *   SEXTANT_CMD_DISCARD    A_VOLUME: gives up what could not be drained.
 *	Unflushed data is lost; the device fails until attached again.
 *   SEXTANT_CMD_EVENT      (sent by the kernel) A_VOLUME A_EVENT A_DEVICE
 *	A_DEVICE_NAME, as it fits: A_PEER{P_INDEX P_NAME P_LAST_STATUS} A_EPOCH A_HOLDER
 */
#ifndef _UAPI_SEXTANT_H
#define _UAPI_SEXTANT_H

#define SEXTANT_GENL_NAME		"sextant"
#define SEXTANT_GENL_VERSION		1
#define SEXTANT_GENL_GROUP		"events"

/* Entries that one TABLE_SET or TAIL_SET may carry. */
#define SEXTANT_TABLE_CHUNK		512
#define SEXTANT_TAIL_CHUNK		2048

enum sextant_cmd {
	SEXTANT_CMD_UNSPEC,
	SEXTANT_CMD_VOLUME_GET,
	SEXTANT_CMD_ATTACH_BEGIN,
	SEXTANT_CMD_KEY_SET,
	SEXTANT_CMD_TABLE_SET,
	SEXTANT_CMD_TAIL_SET,
	SEXTANT_CMD_PEER_SET,
	SEXTANT_CMD_START,
	SEXTANT_CMD_STOP,
	SEXTANT_CMD_FENCE,
	SEXTANT_CMD_DISCARD,
	SEXTANT_CMD_EVENT,
	__SEXTANT_CMD_MAX,
};

enum sextant_attr {
	SEXTANT_A_UNSPEC,
	SEXTANT_A_PAD,
	SEXTANT_A_VOLUME,		/* binary, 16: UUID */
	SEXTANT_A_DEVICE,		/* u32: major << 20 | minor */
	SEXTANT_A_DEVICE_NAME,		/* string: the dm device's name */
	SEXTANT_A_STATE,		/* u32: enum sextant_volume_state */
	SEXTANT_A_MODE,			/* u32: enum sextant_cache_mode */
	SEXTANT_A_EPOCH,		/* u32 */
	SEXTANT_A_ATTACH_ID,		/* binary, 32 */
	SEXTANT_A_GENERATION,		/* u32: key generation */
	SEXTANT_A_KEY_SERIAL,		/* u32: a logon key that the caller may search */
	SEXTANT_A_ORIGIN,		/* binary, 16: UUID the generation was made for */
	SEXTANT_A_COMMITMENT,		/* binary, 32 */
	SEXTANT_A_TABLE,		/* binary: struct sextant_wire_table_entry[] */
	SEXTANT_A_OFFSET,		/* u32: index of the chunk's first entry; 0 starts anew */
	SEXTANT_A_TAILS,		/* binary: struct sextant_wire_pg_tail[] */
	SEXTANT_A_SIZE_BLOCKS,		/* u64: in 4 KiB blocks */
	SEXTANT_A_PG_BLOCKS,		/* u32: in 4 KiB blocks */
	SEXTANT_A_VDL,			/* u64 */
	SEXTANT_A_NEXT_LSN,		/* u64 */
	SEXTANT_A_LEASE_MS,		/* u32: reads are served this long after a quorum's heartbeat */
	SEXTANT_A_LOCAL_AZ,		/* string: reads go there first */
	SEXTANT_A_PLAIN,		/* flag: sockets need no TLS */
	SEXTANT_A_PEER,			/* nest: enum sextant_peer_attr; may repeat */
	SEXTANT_A_DIRTY_BYTES,		/* u64: completed, not yet durable */
	SEXTANT_A_DIRTY_BYTES_MAX,	/* u64: the cap */
	SEXTANT_A_DIRTY_AGE_MS,		/* u32: of the oldest such write */
	SEXTANT_A_QUORUM,		/* u32: SEXTANT_QUORUM_* bits */
	SEXTANT_A_READS,		/* u64: blocks read */
	SEXTANT_A_WRITES,		/* u64: blocks written */
	SEXTANT_A_READ_FAULTS,		/* u64: answers that did not verify, or damage */
	SEXTANT_A_READS_WAITING,	/* u32: parked for want of a peer that can answer */
	SEXTANT_A_HOLDER,		/* string: who owns the ballot that fenced us */
	SEXTANT_A_EVENT,		/* u32: enum sextant_event */
	__SEXTANT_A_MAX,
};

enum sextant_peer_attr {
	SEXTANT_P_UNSPEC,
	SEXTANT_P_PAD,
	SEXTANT_P_INDEX,		/* u32: 0..5, the manifest's order */
	SEXTANT_P_NAME,			/* string */
	SEXTANT_P_AZ,			/* string */
	SEXTANT_P_INCARNATION,		/* binary, 16: the store the manifest names */
	SEXTANT_P_SOCKET,		/* u32: descriptor */
	SEXTANT_P_STATE,		/* u32: enum sextant_peer_state */
	SEXTANT_P_SCL,			/* u64: it has acknowledged everything up to here */
	SEXTANT_P_LAG_LSNS,		/* u64: last LSN taken - SCL */
	SEXTANT_P_LAG_MS,		/* u32: age of the oldest record it has not acknowledged */
	SEXTANT_P_QUEUE_BYTES,		/* u64: waiting to be sent to it */
	SEXTANT_P_SENT_BYTES,		/* u64 */
	SEXTANT_P_RECEIVED_BYTES,	/* u64 */
	SEXTANT_P_RTT_US,		/* u32: of heartbeats, smoothed */
	SEXTANT_P_FAULTS,		/* u64: bad answers to reads, and damage that its store found */
	SEXTANT_P_INCOMPLETE_PGS,	/* u32: segments with a hole, as it said last */
	SEXTANT_P_MISSING_LSNS,		/* u64: what they lack at most */
	SEXTANT_P_LAST_STATUS,		/* u32: enum sextant_wire_status that ended its stream */
	__SEXTANT_P_MAX,
};

enum sextant_volume_state {
	SEXTANT_VOLUME_UNATTACHED	= 0,
	SEXTANT_VOLUME_ATTACHING	= 1,	/* an attach id is out */
	SEXTANT_VOLUME_RUNNING		= 2,
	SEXTANT_VOLUME_STOPPING		= 3,	/* draining */
	SEXTANT_VOLUME_STOPPED		= 4,	/* drained, keys wiped */
	SEXTANT_VOLUME_FENCED		= 5,
	SEXTANT_VOLUME_FAILED		= 6,	/* completed writes were given up */
};

enum sextant_cache_mode {
	SEXTANT_MODE_VOLATILE		= 0,
	SEXTANT_MODE_WRITETHROUGH	= 1,	/* by option */
	SEXTANT_MODE_GUARDED		= 2,	/* volatile, but writethrough for now */
};

enum sextant_peer_state {
	SEXTANT_PEER_UNSET		= 0,
	SEXTANT_PEER_DISCONNECTED	= 1,
	SEXTANT_PEER_CONNECTED		= 2,
};

#define SEXTANT_QUORUM_WRITE		1	/* four peers connected and acknowledging */
#define SEXTANT_QUORUM_READ		2	/* the reading lease stands */

enum sextant_event {
	SEXTANT_EVENT_DEVICE_ADDED	= 1,	/* a table names a volume that is not attached */
	SEXTANT_EVENT_DEVICE_REMOVED	= 2,
	SEXTANT_EVENT_PEER_DOWN		= 3,	/* its socket is gone: bring another */
	SEXTANT_EVENT_PEER_STALE	= 4,	/* it has not accepted our table: LEARN, then reconnect */
	SEXTANT_EVENT_QUORUM_LOST	= 5,
	SEXTANT_EVENT_QUORUM_BACK	= 6,
	SEXTANT_EVENT_STOPPED		= 7,
	SEXTANT_EVENT_FENCED		= 8,
	SEXTANT_EVENT_PEER_FAULT	= 9,	/* a bad answer to a read */
};

#endif /* _UAPI_SEXTANT_H */
