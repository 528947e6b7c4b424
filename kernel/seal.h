/* SPDX-License-Identifier: GPL-2.0 */
/* Sealing and opening of blocks and discards. */
#ifndef SEXTANT_SEAL_H
#define SEXTANT_SEAL_H

#include <linux/gfp.h>

#include "core/core.h"

struct page;
struct sextant_crypt;
struct sextant_keys;

struct sextant_crypt *sextant_crypt_alloc(struct sextant_keys *keys, gfp_t gfp);
void sextant_crypt_free(struct sextant_crypt *crypt);

int sextant_seal_block(struct sextant_keys *keys, struct sextant_crypt *crypt, u64 block, u64 lsn,
		       struct page *page, u8 *tag);
int sextant_seal_discard(struct sextant_keys *keys, struct sextant_crypt *crypt, u64 block,
			 u32 count, u64 lsn, u8 *tag);
int sextant_open_block(struct sextant_keys *keys, struct sextant_crypt *crypt,
		       const struct sextant_wire_table_entry *entry, u64 block, u64 lsn,
		       u32 generation, struct page *page, const u8 *tag);
int sextant_open_discard(struct sextant_keys *keys, struct sextant_crypt *crypt,
			 const struct sextant_wire_table_entry *entry, u64 extent_block,
			 u32 extent_count, u64 lsn, u32 generation, const u8 *tag);

#ifdef SEXTANT_SELFTEST
int sextant_selftest_seal(void);
#else
static inline int sextant_selftest_seal(void) { return 0; }
#endif

#endif /* SEXTANT_SEAL_H */
