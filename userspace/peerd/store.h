/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A segment on the disk: the folder pg-NNNNNNNN of a volume's folder.
 *
 *	log-NNNNNNNN	chunks of the log (log_format.h), written and rewritten
 *	base		the blocks coalesced, each at its place in the PG; sparse
 *	meta		what the base's blocks are; sparse
 *	checkpoint	what is in the base, in two slots written in turn
 *
 * Documentation/peer-store.rst has the format.
 */
#ifndef SEXTANT_PEERD_STORE_H
#define SEXTANT_PEERD_STORE_H

#include "log_format.h"
#include "segment.h"
#include "volume.h"

/* ---- the log ----------------------------------------------------------- */

struct chunk {
	struct chunk *next;
	u32 number;
	int fd;
	u32 records;		/* of the segment that lie here */
	u32 leaving;		/* of them, those on their way to the base */
	u64 first_sequence;	/* of the batches here that still count; 0: none */
	u32 bytes;		/* of batches, from the start */
	bool in_use;
};

/* A record on its way to the disk. */
struct append {
	struct append *next;
	/* Called once, when it is durable (OK: in the segment) or refused. May free. */
	void (*done)(struct append *append, u32 status);
	struct pg *pg;
	struct connection *connection;	/* held; may be NULL */
	struct sextant_ballot ballot;
	u64 cookie;
	struct buffer *data;		/* the sealed blocks; NULL without */
	u32 data_bytes;
	struct segment_place place;
	u32 status;			/* while it is in a commit */
	struct sextant_wire_record record;
	struct sextant_wire_seal seals[];
};

struct commit;

/* ---- the base ---------------------------------------------------------- */

/* An entry of the meta file: one for each block of the PG. All zeros: never written. */
struct base_entry {
	__u8   kind;			/* enum sextant_block_kind */
	__u8   reserved[3];
	__le32 epoch;
	__le32 generation;
	__le32 extent_blocks;
	__le64 lsn;
	__le64 extent_block;
	struct sextant_wire_seal seal;
	__le32 place;			/* the block's number in the PG */
	__le32 crc;			/* CRC32C of what stands before */
};

/* A large discard that is in the base, not block by block. */
struct base_discard {
	__le64 block;
	__le32 block_count;
	__le32 epoch;
	__le32 generation;
	__le32 reserved;
	__le64 lsn;
	struct sextant_wire_seal seal;
};

#define BASE_DISCARD_BLOCKS_MIN	256	/* smaller ones are written entry by entry */
#define BASE_DISCARDS_MAX	4096
#define CHECKPOINT_SLOT_BYTES	(SEXTANT_BLOCK_BYTES + \
	((BASE_DISCARDS_MAX * sizeof(struct base_discard) + SEXTANT_BLOCK_BYTES - 1) & \
	 ~(size_t)(SEXTANT_BLOCK_BYTES - 1)))

#define CHECKPOINT_MAGIC	0x544e504b43545853ull	/* "SXTCKPNT" */
#define CHECKPOINT_VERSION	1

struct checkpoint_header {
	__le64 magic;
	__le32 version;
	__le32 bytes;			/* of header and discards */
	__le32 crc;			/* CRC32C of bytes bytes, with 0 here */
	__le32 pg;
	__u8   volume[SEXTANT_UUID_BYTES];
	__u8   incarnation[SEXTANT_UUID_BYTES];
	__le64 writes;			/* of two valid slots the higher counts */
	__le64 base_tail_lsn;
	__le32 base_tail_epoch;
	__le32 discard_count;
	__le64 floor_lsn;
	__le64 known_vdl;
	__le64 first_sequence;		/* batches below it no longer count */
	__le64 reserved[3];
};

/* What is to be, or is, durable of the base. */
struct checkpoint {
	struct segment_tail base_tail;
	u64 floor_lsn;
	u64 known_vdl;
	u64 first_sequence;
};

/* ---- a PG -------------------------------------------------------------- */

struct pg {
	struct volume *volume;
	u32 number;
	int directory_fd;
	struct segment segment;
	bool io_error;			/* a write failed: out until the next start */

	struct log_identity identity;
	struct log_position position;
	u32 chunk_bytes;
	struct chunk *chunks, **chunks_end;	/* in the order of their use */
	struct chunk *spare;		/* free ones */
	struct chunk *current;		/* where the next batch goes; in chunks */
	u32 chunk_count, chunk_next_number;
	struct chunk_maker *maker;	/* a chunk is being made */

	struct append *gathered, **gathered_end;
	u64 gathered_bytes;
	struct commit *commit;		/* being written */
	bool vouched;			/* the log's last batch is an empty one, or there is none */
	struct loop_task commit_task;

	int base_fd, meta_fd, checkpoint_fd;
	u64 checkpoint_writes;
	struct checkpoint checkpoint;	/* the durable one */
	/*
	 * No checkpoint holds: the base says nothing. All that was in it is at or
	 * below VDL, so no record that an attach asks for is lost with it.
	 */
	bool base_damaged;
	struct base_discard *discards;
	u32 discard_count;
	u64 base_changes;		/* counts changes of what lies where */
	bool base_pulling;		/* another peer's state is being written to the base */
	bool repair;			/* repair_block failed its CRC in the base */
	u64 repair_block;
	u32 operations;			/* reads and background work that use the files */
};

/* store_open.c ------------------------------------------------------------ */

/* Opens the PGs of a volume's folder. 0, or -errno when memory or descriptors fail. */
int store_open(struct volume *volume);

/* Closes a PG's files and frees it; nothing of it may be in flight. */
void store_close(struct pg *pg);

/* The PG, made durably if it is not there yet; NULL and *status when that fails. */
struct pg *store_pg(struct volume *volume, u32 number, u32 *status);

/* store_chunk.c ------------------------------------------------------------ */

/* openat(2) for direct I/O or, where there is none, after a warning, without. */
int store_open_direct(int directory_fd, const char *name, int flags);

/* Opens the chunks of a PG's folder as spare ones: log_scan() says which are in use. */
int chunks_open(struct pg *pg);
void chunks_close(struct pg *pg);

/* The chunk in use with this number, or NULL. */
struct chunk *chunk_find(const struct pg *pg, u32 number);

/* Puts a spare chunk to use behind the others, as the current one; NULL: there is none. */
struct chunk *chunk_take(struct pg *pg);
void chunk_use(struct pg *pg, struct chunk *chunk);

/* Starts to make a spare chunk unless one is there or being made. */
void chunk_make(struct pg *pg);

/* A record of the segment left its place (segment_left_fn, context: the PG). */
void chunk_record_left(void *context, const struct segment_place *place);

/* The first batch that counts once the records that are leaving have left. */
u64 chunks_first_sequence(const struct pg *pg);

/* The checkpoint with this first sequence is durable: chunks below it are spare. */
void chunks_recycle(struct pg *pg, u64 first_sequence);

/* store_log.c -------------------------------------------------------------- */

/*
 * Takes a record on its way to the disk; append->done() tells how it ended. The
 * record is valid, and whoever sent it had the right to.
 */
void log_append(struct append *append);

/* A new append for this record; data is taken over. */
struct append *append_new(struct pg *pg, const struct sextant_wire_record *record,
			  const struct sextant_wire_seal *seals, struct buffer *data,
			  u32 data_bytes);
void append_free(struct append *append);

/*
 * Writes an empty batch behind one with records, where nothing is being written:
 * a last batch that rots would be taken for a torn one, and this one is the last.
 */
void log_vouch(struct pg *pg);
void log_vouch_all(struct volume *volume);

/* No batch below this sequence will become durable any more. */
u64 log_sequence_next(const struct pg *pg);

/* A chunk is there, or (status) could not be made: appends go on or are refused. */
void log_chunk_made(struct pg *pg, u32 status);

/* store_base.c ------------------------------------------------------------- */

/* Opens (or makes, in a new folder) base, meta and checkpoint. 0, -EBADMSG or -errno. */
int base_make(struct pg *pg);
int base_open(struct pg *pg);

/* Empties base and meta of a PG whose checkpoint is lost; the loss stays on record. */
int base_reset(struct pg *pg);
void base_close(struct pg *pg);

/* The entry's bytes, complete. */
void base_entry_fill(struct base_entry *entry, u32 place, const struct sextant_wire_block *version);

/*
 * The base's version of a block, from its entry as read from the meta file and
 * from the large discards. Damaged entries are of kind DAMAGED.
 */
void base_version(const struct pg *pg, u64 block, const struct base_entry *entry,
		  struct sextant_wire_block *version);

/* Adds a large discard, in memory until the next checkpoint. False: no room. */
bool base_discard_add(struct pg *pg, const struct sextant_wire_record *record,
		      const struct sextant_wire_seal *seal);

/* Writes a checkpoint; the op's result is 0 or -errno. The buffer is its own. */
struct checkpoint_write {
	struct loop_op op;
	struct pg *pg;
	struct checkpoint checkpoint;
	struct buffer *buffer;
	u32 size;
	void (*done)(struct checkpoint_write *write, int result);
};

void checkpoint_start(struct checkpoint_write *write);

#endif
