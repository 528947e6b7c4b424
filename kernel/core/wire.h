/* SPDX-License-Identifier: GPL-2.0 */
/* Frames: making a header, and refusing what is not one. */
#ifndef SEXTANT_CORE_WIRE_H
#define SEXTANT_CORE_WIRE_H

#include "core.h"

/* Fills a header for this meta (already complete: its CRC is taken here). */
void sextant_wire_header_init(struct sextant_wire_header *header, u8 type, u64 cookie,
			      const void *meta, u32 meta_bytes, u32 data_bytes);

/* As above, for a meta that stands in pieces: meta_crc is the CRC32C of all of it. */
void sextant_wire_header_init_crc(struct sextant_wire_header *header, u8 type, u64 cookie,
				  u32 meta_crc, u32 meta_bytes, u32 data_bytes);

/*
 * Is this a header that one may act on: magic, version, CRC, lengths within
 * meta_max and SEXTANT_WIRE_DATA_MAX? Returns 0, -EPROTONOSUPPORT for another
 * version, else -EBADMSG.
 */
int sextant_wire_header_check(const struct sextant_wire_header *header, u32 meta_max);

/* 0, or -EBADMSG when the meta's CRC does not hold. */
int sextant_wire_meta_check(const struct sextant_wire_header *header, const void *meta);

/* How many seals a record of this kind and size carries, and how many data bytes. */
u32 sextant_wire_record_seals(const struct sextant_wire_record *record);
u32 sextant_wire_record_data_bytes(const struct sextant_wire_record *record);

/* The last LSN that a record takes. */
u64 sextant_wire_record_last_lsn(const struct sextant_wire_record *record);

/*
 * Is the record well-formed by itself: known kind, bounds, LSN count as its
 * kind wants, blocks within its PG, and meta_bytes / data_bytes of the frame
 * exactly what it needs after `prefix` bytes of other meta?
 * size_blocks and pg_blocks are the volume's.
 */
bool sextant_wire_record_valid(const struct sextant_wire_record *record, u64 size_blocks,
			       u32 pg_blocks);
bool sextant_wire_record_fits(const struct sextant_wire_record *record, u32 prefix,
			      u32 meta_bytes, u32 data_bytes);

/* A word for a status, for messages: "no space" and the like. Never NULL. */
const char *sextant_wire_status_name(u32 status);

#endif
