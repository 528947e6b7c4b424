/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What one store of one volume has promised and accepted: its vote.
 *
 * Pure: the caller makes a changed vote durable (vote_encode() and a write)
 * before anything is answered that depends on it, and asks the vote_may_*()
 * questions for each message, not for each connection. A vote that could not
 * be made durable is put back by vote_decode() of the bytes last written.
 */
#ifndef SEXTANT_PEERD_VOTE_H
#define SEXTANT_PEERD_VOTE_H

#include "core.h"
#include "table.h"

/**
 * struct vote - durable state of one volume's store
 * @volume: the volume's UUID
 * @incarnation: this store's own UUID, drawn when it was made
 * @size_blocks: of the volume
 * @pg_blocks: of a protection group
 * @promised: the highest ballot promised; epoch 0: none
 * @promised_holder: who asked for it, a NUL-filled string
 * @accepted: the ballot of the manifest and table in force; epoch 0: none
 * @accepted_holder: who owns it
 * @released: the accepted writer let go of its lease
 * @known_vdl: when this was written: a lower bound after a restart
 * @writes: counts vote_encode() calls: of two valid copies the higher is newer
 * @manifest_sequence: of the manifest in force, within @accepted
 * @manifest: the manifest in force as it came, or NULL
 * @manifest_bytes: its size
 * @table: the epoch table in @manifest. Its entries stay where they are until
 *	the second next change of the table, so that segments can be moved to
 *	the new table one after the other.
 * @table_before: the entries of the table before; private
 */
struct vote {
	u8 volume[SEXTANT_UUID_BYTES];
	u8 incarnation[SEXTANT_UUID_BYTES];
	u64 size_blocks;
	u32 pg_blocks;
	struct sextant_ballot promised;
	char promised_holder[SEXTANT_NAME_BYTES];
	struct sextant_ballot accepted;
	char accepted_holder[SEXTANT_NAME_BYTES];
	bool released;
	u64 known_vdl;
	u64 writes;
	u64 manifest_sequence;
	u8 *manifest;
	u32 manifest_bytes;
	struct sextant_table table;
	struct sextant_wire_table_entry *table_before;
};

/**
 * vote_init() - a new store's vote: nothing promised, nothing accepted
 * @vote: filled; release with vote_release()
 * @volume: the volume's UUID
 * @incarnation: the store's, fresh and random
 * @size_blocks: of the volume
 * @pg_blocks: of a protection group
 */
void vote_init(struct vote *vote, const u8 *volume, const u8 *incarnation, u64 size_blocks,
	       u32 pg_blocks);

/** vote_release() - frees what the vote points to and clears it. */
void vote_release(struct vote *vote);

/* ---- questions: each answers OK or the status to send ----------------- */

/** vote_may_promise() - PREPARE: OK, BAD_REQUEST (no ballot) or PROMISED. */
enum sextant_wire_status vote_may_promise(const struct vote *vote,
					  const struct sextant_ballot *ballot);

/**
 * vote_may_append() - APPEND, and whether a durable append may be acked
 *
 * Return: OK iff the ballot is the accepted and the promised one; FENCED when
 * a higher table is accepted, NOT_ACCEPTED when a lower one or none is,
 * PROMISED when only the promise is higher.
 */
enum sextant_wire_status vote_may_append(const struct vote *vote,
					 const struct sextant_ballot *ballot);

/** vote_may_read() - READ and VDL: as vote_may_append(), a higher promise is no obstacle. */
enum sextant_wire_status vote_may_read(const struct vote *vote,
				       const struct sextant_ballot *ballot);

/** vote_may_beat() - HEARTBEAT: as vote_may_read(). */
enum sextant_wire_status vote_may_beat(const struct vote *vote,
				       const struct sextant_ballot *ballot);

/** vote_may_copy() - COPY: OK iff promised is exactly this ballot, else PROMISED or FENCED. */
enum sextant_wire_status vote_may_copy(const struct vote *vote,
				       const struct sextant_ballot *ballot);

/**
 * vote_may_delete() - DELETE: OK iff promised is exactly this ballot, else PROMISED or
 * FENCED; a promise to a lower ballot does not do either.
 */
enum sextant_wire_status vote_may_delete(const struct vote *vote,
					 const struct sextant_ballot *ballot);

/**
 * vote_may_activate() - ACTIVATE, before its tails are looked at
 * @vote: the store's
 * @ballot: the caller's
 * @chosen: the table is known to be on a write quorum (LEARN)
 *
 * Return: OK iff promised is this ballot or, with @chosen, not above it;
 * FENCED when a higher table is accepted; else PROMISED.
 */
enum sextant_wire_status vote_may_activate(const struct vote *vote,
					   const struct sextant_ballot *ballot, bool chosen);

/**
 * vote_may_put_manifest() - MANIFEST_PUT
 *
 * Return: OK iff promised is this ballot and accepted is too (or none is),
 * and the sequence is above the one in force; PROMISED, FENCED, NOT_ACCEPTED
 * by the ballot, BAD_REQUEST by the sequence.
 */
enum sextant_wire_status vote_may_put_manifest(const struct vote *vote,
					       const struct sextant_ballot *ballot,
					       u64 sequence);

/* ---- changes: only after the question was answered OK ----------------- */

/**
 * vote_promise() - promises a ballot
 * @vote: changed only if OK is returned
 * @ballot: of the PREPARE
 * @holder: SEXTANT_NAME_BYTES of it; cut to a string
 *
 * Return: as vote_may_promise().
 */
enum sextant_wire_status vote_promise(struct vote *vote, const struct sextant_ballot *ballot,
				      const char *holder);

/**
 * vote_activate() - accepts a manifest with its table; the promise follows
 * @vote: changed only if OK is returned
 * @ballot: of the ACTIVATE
 * @holder: SEXTANT_NAME_BYTES
 * @chosen: as in vote_may_activate()
 * @vcl: of the ACTIVATE. The table's last entry must be (vcl + 1, ballot).
 * @manifest: bytes of it
 * @manifest_bytes: how many
 *
 * The manifest must be this volume's, of this ballot, size and PG size. One of
 * the same ballot with a sequence not above the one in force is a repeat: OK,
 * and nothing changes. Acceptance starts a writer's time: released is cleared.
 *
 * Return: as vote_may_activate(); BAD_REQUEST or VERSION by the manifest,
 * IO_ERROR without memory.
 */
enum sextant_wire_status vote_activate(struct vote *vote, const struct sextant_ballot *ballot,
				       const char *holder, bool chosen, u64 vcl,
				       const u8 *manifest, u32 manifest_bytes);

/**
 * vote_put_manifest() - replaces the manifest within a ballot
 *
 * As vote_activate(). The table must be the one in force, unless nothing was
 * accepted before (a new volume).
 *
 * Return: as vote_may_put_manifest(); BAD_REQUEST or VERSION by the manifest,
 * IO_ERROR without memory.
 */
enum sextant_wire_status vote_put_manifest(struct vote *vote, const struct sextant_ballot *ballot,
					   const char *holder, u64 sequence,
					   const u8 *manifest, u32 manifest_bytes);

/* ---- bytes ------------------------------------------------------------ */

/**
 * vote_encode() - the vote as bytes
 * @vote: its @writes is counted up
 * @bytes: a new buffer, a multiple of SEXTANT_BLOCK_BYTES, aligned to it; free() it
 * @size: its size
 *
 * Return: 0 or -ENOMEM.
 */
int vote_encode(struct vote *vote, u8 **bytes, size_t *size);

/**
 * vote_decode() - reads a vote back
 * @bytes: what vote_encode() gave, or what became of it; aligned to 8
 * @size: may be larger (a slot): what follows the vote is not looked at
 * @vote: filled only if 0 is returned; release with vote_release()
 *
 * Return: 0; -ENOENT: nothing was ever written here (no bytes, or the first
 * block is zeros); -EBADMSG: damaged; -EPROTONOSUPPORT: whole, of another
 * format version; -ENOMEM.
 */
int vote_decode(const u8 *bytes, size_t size, struct vote *vote);

#endif
