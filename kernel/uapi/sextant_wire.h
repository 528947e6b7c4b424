/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * The peer protocol: what goes over a connection to sextant-peerd.
 *
 * A connection carries frames. A frame is a header, then meta_bytes of
 * message (one of the structs below, covered by meta_crc), then data_bytes of
 * sealed blocks (each covered by its own CRC in the meta). Everything is
 * little-endian; every struct is naturally aligned and has no padding.
 *
 * The first frame from the caller is HELLO; it names the volume and what the
 * connection is for. Until the peer has answered it with status OK, a peer
 * takes no other message on that connection.
 *
 *   role      opened by             messages from the caller
 *   CONTROL   sextantd              LIST CREATE DELETE PROBE PREPARE PG_LIST
 *                                   TAIL FETCH COPY ACTIVATE MANIFEST_GET
 *                                   MANIFEST_PUT
 *   WRITER    sextantd, then the    APPEND VDL READ HEARTBEAT
 *             kernel module
 *   PEER      sextant-peerd         PULL PULL_BASE MANIFEST_GET
 *
 * A request's cookie comes back in its reply. An ACK has cookie 0: it answers
 * for a run of records, not for one. Documentation/protocol.rst has the rules
 * that go with the messages.
 */
#ifndef _UAPI_SEXTANT_WIRE_H
#define _UAPI_SEXTANT_WIRE_H

#include <linux/types.h>

#define SEXTANT_BLOCK_SHIFT		12
#define SEXTANT_BLOCK_BYTES		(1 << SEXTANT_BLOCK_SHIFT)
#define SEXTANT_RECORD_BLOCKS_MAX	32
#define SEXTANT_RECORD_BYTES_MAX	(SEXTANT_RECORD_BLOCKS_MAX * SEXTANT_BLOCK_BYTES)

#define SEXTANT_PEERS			6
#define SEXTANT_WRITE_QUORUM		4
#define SEXTANT_READ_QUORUM		3

#define SEXTANT_UUID_BYTES		16
#define SEXTANT_ATTACH_ID_BYTES		32
#define SEXTANT_TAG_BYTES		16
#define SEXTANT_COMMIT_BYTES		32
#define SEXTANT_NAME_BYTES		64	/* NUL included */

#define SEXTANT_TABLE_ENTRIES_MAX	16384
#define SEXTANT_REGIONS			8	/* epoch mod 8 is the Region */
#define SEXTANT_EPOCH_MAX		0xfffffff7u

#define SEXTANT_WIRE_MAGIC		0x31545853u	/* "SXT1" */
#define SEXTANT_WIRE_VERSION		1
#define SEXTANT_WIRE_META_MAX		(2 << 20)
#define SEXTANT_WIRE_HELLO_META_MAX	4096
#define SEXTANT_WIRE_DATA_MAX		SEXTANT_RECORD_BYTES_MAX

enum sextant_wire_type {
	SEXTANT_MSG_HELLO		= 1,
	SEXTANT_MSG_HELLO_REPLY		= 2,

	SEXTANT_MSG_LIST		= 10,
	SEXTANT_MSG_LIST_REPLY		= 11,
	SEXTANT_MSG_CREATE		= 12,
	SEXTANT_MSG_DELETE		= 13,
	SEXTANT_MSG_STATUS_REPLY	= 14,	/* CREATE DELETE COPY ACTIVATE MANIFEST_PUT */
	SEXTANT_MSG_PROBE		= 15,
	SEXTANT_MSG_PREPARE		= 16,
	SEXTANT_MSG_STATE_REPLY		= 17,	/* PROBE PREPARE */
	SEXTANT_MSG_PG_LIST		= 18,
	SEXTANT_MSG_PG_LIST_REPLY	= 19,
	SEXTANT_MSG_TAIL		= 20,
	SEXTANT_MSG_TAIL_REPLY		= 21,
	SEXTANT_MSG_FETCH		= 22,
	SEXTANT_MSG_RECORD		= 23,	/* FETCH, PULL */
	SEXTANT_MSG_COPY		= 24,
	SEXTANT_MSG_ACTIVATE		= 25,
	SEXTANT_MSG_MANIFEST_GET	= 26,
	SEXTANT_MSG_MANIFEST_REPLY	= 27,
	SEXTANT_MSG_MANIFEST_PUT	= 28,

	SEXTANT_MSG_APPEND		= 40,
	SEXTANT_MSG_ACK			= 41,
	SEXTANT_MSG_VDL			= 42,
	SEXTANT_MSG_READ		= 43,
	SEXTANT_MSG_READ_REPLY		= 44,
	SEXTANT_MSG_HEARTBEAT		= 45,
	SEXTANT_MSG_HEARTBEAT_REPLY	= 46,

	SEXTANT_MSG_PULL		= 60,	/* RECORD..., then PULL_END */
	SEXTANT_MSG_PULL_BASE		= 61,	/* PULL_BLOCKS..., then PULL_END */
	SEXTANT_MSG_PULL_BLOCKS		= 62,
	SEXTANT_MSG_PULL_END		= 63,
};

enum sextant_wire_role {
	SEXTANT_ROLE_CONTROL		= 1,
	SEXTANT_ROLE_WRITER		= 2,
	SEXTANT_ROLE_PEER		= 3,
};

/* What a peer says of a request. Only OK means that it was done. */
enum sextant_wire_status {
	SEXTANT_ST_OK			= 0,
	SEXTANT_ST_BAD_REQUEST		= 1,	/* malformed, or out of bounds */
	SEXTANT_ST_NO_VOLUME		= 2,	/* no such volume on this peer */
	SEXTANT_ST_EXISTS		= 3,
	SEXTANT_ST_PROMISED		= 4,	/* promised to a higher ballot */
	SEXTANT_ST_FENCED		= 5,	/* a higher table is accepted here */
	SEXTANT_ST_NOT_ACCEPTED		= 6,	/* the caller's table is not (yet) accepted here */
	SEXTANT_ST_WRONG_STORE		= 7,	/* not the incarnation the caller means */
	SEXTANT_ST_INCOMPLETE		= 8,	/* cannot prove everything up to the read point */
	SEXTANT_ST_BELOW_FLOOR		= 9,
	SEXTANT_ST_ABOVE_VDL		= 10,
	SEXTANT_ST_DAMAGED		= 11,	/* held, but fails its CRC */
	SEXTANT_ST_ABSENT		= 12,	/* not held */
	SEXTANT_ST_NO_SPACE		= 13,
	SEXTANT_ST_IO_ERROR		= 14,	/* a write or fsync failed: the segment is out */
	SEXTANT_ST_BUSY			= 15,
	SEXTANT_ST_PRUNED		= 16,	/* those records are in the base by now */
	SEXTANT_ST_VERSION		= 17,	/* protocol or format version not spoken here */
	SEXTANT_ST_ATTACHED		= 18,	/* a writer's lease is fresh */
};

struct sextant_wire_header {
	__le32 magic;
	__u8   version;
	__u8   type;
	__le16 flags;		/* 0 */
	__le32 meta_bytes;
	__le32 data_bytes;	/* a multiple of SEXTANT_BLOCK_BYTES */
	__le64 cookie;
	__le32 meta_crc;	/* CRC32C of the meta */
	__le32 header_crc;	/* CRC32C of the 28 bytes before */
};

/* One try to attach. Ordered by epoch; equal epochs are equal only with equal ids. */
struct sextant_wire_ballot {
	__le32 epoch;
	__le32 reserved;
	__u8   attach_id[SEXTANT_ATTACH_ID_BYTES];
};

/* Entry i governs the LSNs from first_lsn up to the next entry's first_lsn. */
struct sextant_wire_table_entry {
	__le64 first_lsn;
	__le32 epoch;
	__le32 reserved;
	__u8   attach_id[SEXTANT_ATTACH_ID_BYTES];
};

/* A place in one PG's chain of records: the last LSN of a record, and its epoch. */
struct sextant_wire_pg_tail {
	__le32 pg;
	__le32 epoch;
	__le64 lsn;
};

/* ---- HELLO ---------------------------------------------------------- */

struct sextant_wire_hello {
	__le32 role;
	__le32 reserved;
	__u8   volume[SEXTANT_UUID_BYTES];	/* zero: no volume (LIST, CREATE) */
	__u8   incarnation[SEXTANT_UUID_BYTES];	/* zero: any store */
	struct sextant_wire_ballot ballot;	/* WRITER; else zero */
	char   caller[SEXTANT_NAME_BYTES];	/* host name, for messages */
};

/* WRITER is answered OK only where its table is accepted, else NOT_ACCEPTED. */
struct sextant_wire_hello_reply {
	__le32 status;
	__le32 peer_version;
	__u8   incarnation[SEXTANT_UUID_BYTES];
	struct sextant_wire_ballot promised;
	struct sextant_wire_ballot accepted;
	char   peer[SEXTANT_NAME_BYTES];	/* the peer's own name and AZ */
	char   az[SEXTANT_NAME_BYTES];
	char   holder[SEXTANT_NAME_BYTES];	/* who owns the accepted ballot */
};

/* ---- control -------------------------------------------------------- */

struct sextant_wire_list_entry {
	__u8   volume[SEXTANT_UUID_BYTES];
	char   name[SEXTANT_NAME_BYTES];
};

struct sextant_wire_list_reply {
	__le32 status;
	__le32 count;
	struct sextant_wire_list_entry entries[];
};

/* Makes an empty store; it votes once a manifest names its incarnation. */
struct sextant_wire_create {
	__u8   volume[SEXTANT_UUID_BYTES];
	__le64 size_blocks;
	__le32 pg_blocks;
	__le32 reserved;
};

/* Removes the volume's store; accepted iff promised == ballot. */
struct sextant_wire_delete {
	struct sextant_wire_ballot ballot;
};

struct sextant_wire_status_reply {
	__le32 status;
	__le32 reserved;
	__u8   incarnation[SEXTANT_UUID_BYTES];
	struct sextant_wire_ballot promised;	/* what stood against it, if anything did */
	char   holder[SEXTANT_NAME_BYTES];
};

struct sextant_wire_prepare {
	struct sextant_wire_ballot ballot;
	char   holder[SEXTANT_NAME_BYTES];	/* the host that wants to write */
};

/* PROBE has no meta. The manifest in force follows, manifest_bytes of it. */
struct sextant_wire_state_reply {
	__le32 status;
	__le32 flags;				/* SEXTANT_STATE_* */
	__u8   incarnation[SEXTANT_UUID_BYTES];
	struct sextant_wire_ballot promised;
	struct sextant_wire_ballot accepted;	/* the ballot of the manifest and its table */
	char   holder[SEXTANT_NAME_BYTES];	/* of the accepted ballot */
	__le64 manifest_sequence;
	__le64 known_vdl;
	__le64 lease_age_ms;			/* since a writer's last heartbeat; ~0: none seen */
	__le64 capacity_bytes;			/* of the file system of the store */
	__le64 free_bytes;
	__le64 stored_bytes;			/* by this volume */
	__le64 log_bytes;
	__le32 pg_count;			/* segments that hold anything */
	__le32 damaged_ranges;
	__le32 incomplete_pgs;
	__le32 manifest_bytes;
	__u8   manifest[];
};

#define SEXTANT_STATE_RELEASED		1	/* the accepted writer let go of its lease */

/*
 * What each segment holds at or below upto_lsn that is valid under the table
 * sent along; PGs with nothing are left out. Pages of at most 4096 entries:
 * ask again from next_pg until that is ~0.
 */
struct sextant_wire_pg_list {
	__le64 upto_lsn;
	__le32 from_pg;
	__le32 table_count;
	struct sextant_wire_table_entry table[];
};

struct sextant_wire_pg_state {
	__le32 pg;
	__le32 flags;		/* SEXTANT_PG_* */
	__le32 scl_epoch;	/* complete up to here */
	__le32 last_epoch;	/* the highest record held, holes below or not */
	__le64 scl_lsn;
	__le64 last_lsn;
	__le64 floor_lsn;
};

#define SEXTANT_PG_DAMAGED		1

struct sextant_wire_pg_list_reply {
	__le32 status;
	__le32 next_pg;
	__le32 count;
	__le32 reserved;
	struct sextant_wire_pg_state pgs[];
};

/* The records held above after_lsn, of all PGs and epochs, by (lsn, epoch). */
struct sextant_wire_tail {
	__le64 after_lsn;
	__le32 after_epoch;	/* with after_lsn: where the page before ended */
	__le32 count_max;	/* 0: the peer's own limit */
};

enum sextant_record_kind {
	SEXTANT_RECORD_DATA	= 1,	/* block_count blocks, an LSN and a seal each */
	SEXTANT_RECORD_DISCARD	= 2,	/* block_count blocks read as zeros, one LSN, one seal */
	SEXTANT_RECORD_VOID	= 3,	/* takes its LSNs and changes nothing; no seal */
};

/*
 * One log entry. Its LSNs are lsn .. lsn + lsn_count - 1. prev is its PG's
 * record before: that record's last LSN and its epoch, 0/0 for the PG's first.
 */
struct sextant_wire_record {
	__le32 pg;
	__u8   kind;
	__u8   reserved[3];
	__le32 epoch;
	__le32 generation;
	__le64 lsn;
	__le32 lsn_count;
	__le32 prev_epoch;
	__le64 prev_lsn;
	__le64 block;		/* first block, counted in the volume */
	__le32 block_count;
	__le32 reserved2;
};

/* One for each data block, one for a discard, none for a VOID. */
struct sextant_wire_seal {
	__u8   tag[SEXTANT_TAG_BYTES];
	__le32 crc;		/* CRC32C of the sealed block; of the tag for a discard */
	__le32 reserved;
};

#define SEXTANT_TAIL_DAMAGED		1

struct sextant_wire_tail_entry {
	struct sextant_wire_record record;
	__le32 flags;
	__le32 reserved;
};

struct sextant_wire_tail_reply {
	__le32 status;
	__le32 count;
	__le32 more;		/* nonzero: ask again after the last entry */
	__le32 reserved;
	struct sextant_wire_tail_entry entries[];
};

struct sextant_wire_fetch {
	__le32 pg;
	__le32 epoch;
	__le64 lsn;		/* the record's first */
};

/* RECORD: status, and if OK the record, its seals, and its blocks as data. */
struct sextant_wire_record_reply {
	__le32 status;
	__le32 reserved;
	struct sextant_wire_record record;
	struct sextant_wire_seal seals[];
};

/* COPY and APPEND. COPY may bring a record of any epoch; promised == ballot. */
struct sextant_wire_append {
	struct sextant_wire_ballot ballot;
	__le64 vdl;		/* the writer's, at sending; 0 in COPY */
	struct sextant_wire_record record;
	struct sextant_wire_seal seals[];
};

/*
 * ACTIVATE: the manifest (with its table's last entry (vcl + 1, ballot)) and
 * the tail of each PG that has records in (v0, vcl]. Accepted iff promised ==
 * ballot and from each tail the chain of records is held down to v0.
 * With CHOSEN the table is known to be on a write quorum: it is adopted if
 * promised <= ballot, whatever is held (LEARN), and tails are not asked for.
 */
#define SEXTANT_ACTIVATE_CHOSEN		1

struct sextant_wire_activate {
	struct sextant_wire_ballot ballot;
	__le32 flags;
	__le32 tail_count;
	__le64 v0;
	__le64 vcl;
	__le32 manifest_bytes;
	__le32 reserved;
	char   holder[SEXTANT_NAME_BYTES];
	struct sextant_wire_pg_tail tails[];	/* then the manifest */
};

struct sextant_wire_manifest_reply {
	__le32 status;
	__le32 manifest_bytes;
	struct sextant_wire_ballot accepted;
	__le64 manifest_sequence;
	__u8   manifest[];
};

/*
 * Accepted iff promised == ballot, and the accepted ballot is that one too
 * (or none is: a new volume), and sequence is above the one in force.
 */
struct sextant_wire_manifest_put {
	struct sextant_wire_ballot ballot;
	__le64 manifest_sequence;
	__le32 manifest_bytes;
	__le32 reserved;
	char   holder[SEXTANT_NAME_BYTES];
	__u8   manifest[];
};

/* ---- the writer's stream -------------------------------------------- */

/*
 * Every record of the PG in (run_start_lsn, run_end_lsn] is durable here.
 * run_start_lsn is the last LSN of the record before the run's first, so it
 * is 0 or the LSN behind the last hole.
 */
struct sextant_wire_ack_run {
	__le32 pg;
	__le32 run_end_epoch;
	__le64 run_start_lsn;
	__le64 run_end_lsn;
};

/* With a status other than OK: why appends are refused from now on. */
struct sextant_wire_ack {
	struct sextant_wire_ballot ballot;
	__u8   incarnation[SEXTANT_UUID_BYTES];
	__le32 status;
	__le32 count;
	struct sextant_wire_ballot accepted;	/* with FENCED: by whom */
	char   holder[SEXTANT_NAME_BYTES];
	struct sextant_wire_ack_run runs[];
};

/* Sent when VDL moves and with every heartbeat; tails of the PGs that changed. */
struct sextant_wire_vdl {
	struct sextant_wire_ballot ballot;
	__le64 vdl;
	__le64 mrpl;		/* <= vdl; versions older than the newest at it may go */
	__le32 count;
	__le32 reserved;
	struct sextant_wire_pg_tail tails[];
};

#define SEXTANT_READ_META_ONLY		1	/* entries without data */

/* tail: the PG's last record at or below the read point, as the writer knows it. */
struct sextant_wire_read {
	struct sextant_wire_ballot ballot;	/* the reader's table version */
	__le64 read_point_lsn;
	__le32 pg;
	__le32 flags;
	__le32 tail_epoch;
	__le32 block_count;	/* <= SEXTANT_RECORD_BLOCKS_MAX, within the PG */
	__le64 tail_lsn;
	__le64 block;
};

enum sextant_block_kind {
	SEXTANT_BLOCK_NEVER	= 0,	/* never written: all else is zero */
	SEXTANT_BLOCK_DATA	= 1,
	SEXTANT_BLOCK_DISCARD	= 2,
	SEXTANT_BLOCK_DAMAGED	= 3,	/* there is a version, and it fails its CRC */
};

/* The newest version at or below the read point. extent: what a discard's seal covers. */
struct sextant_wire_block {
	__u8   kind;
	__u8   reserved[3];
	__le32 epoch;
	__le32 generation;
	__le32 extent_blocks;	/* 1 for data */
	__le64 lsn;
	__le64 extent_block;	/* the block itself for data */
	struct sextant_wire_seal seal;
};

/* Data: one sealed block for each entry of kind DATA, in order. */
struct sextant_wire_read_reply {
	__le32 status;
	__le32 count;
	struct sextant_wire_ballot accepted;	/* with FENCED: by whom */
	char   holder[SEXTANT_NAME_BYTES];
	__le64 block;
	struct sextant_wire_block blocks[];
};

#define SEXTANT_HEARTBEAT_RELEASE	1	/* the writer detaches: its lease ends now */

struct sextant_wire_heartbeat {
	struct sextant_wire_ballot ballot;
	__le32 flags;
	__le32 reserved;
};

/* OK only while the writer's table is the accepted one. */
struct sextant_wire_heartbeat_reply {
	__le32 status;
	__le32 incomplete_pgs;		/* segments with a hole below known_vdl */
	struct sextant_wire_ballot accepted;
	char   holder[SEXTANT_NAME_BYTES];
	__le64 known_vdl;
	__le64 missing_lsns;		/* a bound on what those segments lack */
	__le64 log_bytes;
	__le64 faults;			/* damaged blocks seen since start */
};

/* ---- peer to peer --------------------------------------------------- */

/*
 * The PG's valid records in (after_lsn, upto_lsn], in order, each as a RECORD
 * with this cookie; then PULL_END. upto_lsn <= both peers' known VDL. The
 * table version must be equal. PRUNED: ask with PULL_BASE instead.
 */
struct sextant_wire_pull {
	struct sextant_wire_ballot ballot;	/* the caller's accepted ballot */
	__le32 pg;
	__le32 reserved;
	__le64 after_lsn;
	__le64 upto_lsn;
};

/*
 * The newest version at or below upto_lsn of every block from from_block on
 * that is newer than after_lsn, as PULL_BLOCKS; then PULL_END. The caller is
 * complete at upto_lsn when it has them all, and its floor is upto_lsn.
 */
struct sextant_wire_pull_base {
	struct sextant_wire_ballot ballot;
	__le32 pg;
	__le32 reserved;
	__le64 after_lsn;
	__le64 upto_lsn;
	__le64 from_block;
};

struct sextant_wire_pull_block {
	__le64 block;
	struct sextant_wire_block version;
};

struct sextant_wire_pull_blocks {
	__le32 count;		/* <= SEXTANT_RECORD_BLOCKS_MAX */
	__le32 reserved;
	struct sextant_wire_pull_block blocks[];
};

struct sextant_wire_pull_end {
	__le32 status;
	__le32 tail_epoch;	/* the PG's last valid record at or below upto_lsn */
	__le64 tail_lsn;
	__le64 upto_lsn;
	__le64 known_vdl;
};

#endif /* _UAPI_SEXTANT_WIRE_H */
