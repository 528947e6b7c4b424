/* SPDX-License-Identifier: GPL-2.0 */
/* The GCM transforms of a volume: two to seal with, a bounded cache to open with. */
#ifndef SEXTANT_KEYS_H
#define SEXTANT_KEYS_H

#include <linux/key.h>
#include <linux/list.h>

#include "core/core.h"
#include "data_keys.h"

#define SEXTANT_READING_TRANSFORMS	64

struct crypto_aead;
struct sextant_keys;

/* A GCM transform and what it is keyed for. Only keys.c changes one. */
struct sextant_transform {
	struct crypto_aead *aead;
	struct sextant_seal_context context;
	u8 origin[SEXTANT_UUID_BYTES];
	bool keyed;
	u32 users;
	struct list_head recency;	/* reading transforms: the last used stands first */
};

struct sextant_keys *sextant_keys_alloc(void);
void sextant_keys_free(struct sextant_keys *keys);
int sextant_keys_add(struct sextant_keys *keys, u32 generation, const u8 *origin,
		     const u8 *commitment, key_serial_t serial);
int sextant_keys_start(struct sextant_keys *keys, u32 generation, u32 epoch,
		       const u8 *attach_id, u64 next_lsn);
void sextant_keys_wipe(struct sextant_keys *keys);

/* For seal.c alone. */
unsigned int sextant_keys_request_bytes(const struct sextant_keys *keys);
int sextant_keys_begin_seal(struct sextant_keys *keys, u64 lsn,
			    const struct sextant_transform **sealer);
void sextant_keys_end_seal(struct sextant_keys *keys);
int sextant_keys_get_reader(struct sextant_keys *keys, const struct sextant_seal_context *context,
			    struct sextant_transform **reader);
void sextant_keys_put_reader(struct sextant_keys *keys, struct sextant_transform *reader);

#endif /* SEXTANT_KEYS_H */
