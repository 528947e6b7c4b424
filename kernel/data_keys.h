/* SPDX-License-Identifier: GPL-2.0 */
/* A volume's data keys, each held as a keyed HMAC, and what is derived from them. */
#ifndef SEXTANT_DATA_KEYS_H
#define SEXTANT_DATA_KEYS_H

#include <linux/key.h>
#include <linux/list.h>
#include <linux/mutex.h>

#include "core/core.h"

#define SEXTANT_DATA_KEY_BYTES		32
#define SEXTANT_SEAL_KEY_BYTES		32
#define SEXTANT_SEAL_WINDOW_SHIFT	31	/* a seal key serves 2^31 LSNs: 8 TiB */
#define SEXTANT_GENERATIONS_MAX		1024

struct crypto_shash;

struct sextant_data_keys {
	struct mutex lock;		/* innermost; nothing is allocated under it */
	struct list_head generations;
	u32 count;
};

/* What a seal key is derived from, besides the data key and its origin. */
struct sextant_seal_context {
	u64 window;			/* LSN >> SEXTANT_SEAL_WINDOW_SHIFT */
	u32 generation;
	u32 epoch;
	u8 attach_id[SEXTANT_ATTACH_ID_BYTES];
};

void sextant_data_keys_init(struct sextant_data_keys *data_keys);
int sextant_data_keys_add(struct sextant_data_keys *data_keys, u32 number, const u8 *origin,
			  const u8 *commitment, key_serial_t serial);
int sextant_data_keys_seal_key(struct sextant_data_keys *data_keys,
			       const struct sextant_seal_context *context, u8 *key, u8 *origin);
void sextant_data_keys_wipe(struct sextant_data_keys *data_keys);

/* The two derivations; hmac is hmac(sha256) keyed with a data key. */
int sextant_derive_commitment(struct crypto_shash *hmac, const u8 *origin, u32 generation,
			      u8 *commitment);
int sextant_derive_seal_key(struct crypto_shash *hmac, const u8 *origin,
			    const struct sextant_seal_context *context, u8 *key);

#endif /* SEXTANT_DATA_KEYS_H */
