// SPDX-License-Identifier: GPL-2.0
/*
 * A volume's data keys, and what is derived from them.
 *
 * A data key arrives as a logon key of the caller. It is held as an HMAC keyed
 * with it, one for each generation; its own bytes are not kept, nor are the
 * seal keys that are derived from it.
 */
#include <crypto/algapi.h>
#include <crypto/hash.h>
#include <keys/user-type.h>
#include <linux/slab.h>

#include "data_keys.h"

struct generation {
	struct list_head list;
	u32 number;
	u8 origin[SEXTANT_UUID_BYTES];
	struct crypto_shash *hmac;
};

/*
 * HKDF-Expand of RFC 5869, section 2.3, for 32 bytes of SHA-256 is one block:
 * HMAC(PRK, info || 01). The structs are that message; a label's last byte is
 * its NUL, the separator.
 */
struct commitment_message {
	char label[18];
	u8 origin[SEXTANT_UUID_BYTES];
	__be32 generation;
	u8 counter;
} __packed;
static_assert(sizeof(struct commitment_message) == 18 + 20 + 1);

struct seal_message {
	char label[16];
	u8 origin[SEXTANT_UUID_BYTES];
	__be32 generation;
	__be32 epoch;
	u8 attach_id[SEXTANT_ATTACH_ID_BYTES];
	__be64 window;
	u8 counter;
} __packed;
static_assert(sizeof(struct seal_message) == 16 + 64 + 1);

/**
 * sextant_derive_commitment() - what a manifest says of a data key
 * @hmac: hmac(sha256) keyed with the data key
 * @origin: UUID that the generation was made for, 16 bytes
 * @generation: its number
 * @commitment: where 32 bytes go
 *
 * Label "sextant commit v1", HKDF-Expand of RFC 5869.
 * Context: process; takes no lock, allocates nothing.
 * Return: 0 or an error of the hash.
 */
int sextant_derive_commitment(struct crypto_shash *hmac, const u8 *origin, u32 generation,
			      u8 *commitment)
{
	struct commitment_message message = {
		.label = "sextant commit v1",
		.generation = cpu_to_be32(generation),
		.counter = 1,
	};

	memcpy(message.origin, origin, sizeof(message.origin));
	return crypto_shash_tfm_digest(hmac, (const u8 *)&message, sizeof(message), commitment);
}

/**
 * sextant_derive_seal_key() - the AES-256 key of one window of one attach
 * @hmac: hmac(sha256) keyed with the data key
 * @origin: UUID that the generation was made for, 16 bytes
 * @context: generation, epoch, attach id and window
 * @key: where 32 bytes go; the caller wipes them
 *
 * Label "sextant seal v1", HKDF-Expand of RFC 5869.
 * Context: process; takes no lock, allocates nothing.
 * Return: 0 or an error of the hash.
 */
int sextant_derive_seal_key(struct crypto_shash *hmac, const u8 *origin,
			    const struct sextant_seal_context *context, u8 *key)
{
	struct seal_message message = {
		.label = "sextant seal v1",
		.generation = cpu_to_be32(context->generation),
		.epoch = cpu_to_be32(context->epoch),
		.window = cpu_to_be64(context->window),
		.counter = 1,
	};

	memcpy(message.origin, origin, sizeof(message.origin));
	memcpy(message.attach_id, context->attach_id, sizeof(message.attach_id));
	return crypto_shash_tfm_digest(hmac, (const u8 *)&message, sizeof(message), key);
}

/* Keys the HMAC with the logon key of this serial, which the caller may search. */
static int hmac_set_logon_key(struct crypto_shash *hmac, key_serial_t serial)
{
	const struct user_key_payload *payload;
	key_ref_t reference;
	struct key *key;
	int error = -EINVAL;

	if (serial <= 0)	/* would name one of the caller's keyrings */
		return -EINVAL;
	reference = lookup_user_key(serial, 0, KEY_NEED_SEARCH);
	if (IS_ERR(reference))
		return PTR_ERR(reference);
	key = key_ref_to_ptr(reference);
	if (key->type != &key_type_logon)
		goto put;
	down_read(&key->sem);
	payload = user_key_payload_locked(key);
	if (!payload)
		error = -EKEYREVOKED;
	else if (payload->datalen == SEXTANT_DATA_KEY_BYTES)
		error = crypto_shash_setkey(hmac, payload->data, SEXTANT_DATA_KEY_BYTES);
	up_read(&key->sem);
put:
	key_put(key);
	return error;
}

static int commitment_check(const struct generation *generation, const u8 *commitment)
{
	u8 derived[SEXTANT_COMMIT_BYTES];
	int error = sextant_derive_commitment(generation->hmac, generation->origin,
					      generation->number, derived);

	if (!error && crypto_memneq(derived, commitment, sizeof(derived)))
		error = -EKEYREJECTED;
	memzero_explicit(derived, sizeof(derived));
	return error;
}

static void generation_free(struct generation *generation)
{
	crypto_free_shash(generation->hmac);	/* wipes the key in it */
	kfree(generation);
}

static struct generation *generation_alloc(u32 number, const u8 *origin)
{
	struct generation *generation = kzalloc(sizeof(*generation), GFP_KERNEL);
	struct crypto_shash *hmac;

	if (!generation)
		return ERR_PTR(-ENOMEM);
	hmac = crypto_alloc_shash("hmac(sha256)", 0, 0);
	if (IS_ERR(hmac)) {
		kfree(generation);
		return ERR_CAST(hmac);
	}
	generation->number = number;
	memcpy(generation->origin, origin, sizeof(generation->origin));
	generation->hmac = hmac;
	return generation;
}

static struct generation *generation_find(struct sextant_data_keys *data_keys, u32 number)
{
	struct generation *generation;

	lockdep_assert_held(&data_keys->lock);
	list_for_each_entry(generation, &data_keys->generations, list)
		if (generation->number == number)
			return generation;
	return NULL;
}

static int generation_insert(struct sextant_data_keys *data_keys, struct generation *generation)
{
	int error = 0;

	mutex_lock(&data_keys->lock);
	if (generation_find(data_keys, generation->number)) {
		error = -EEXIST;
	} else if (data_keys->count == SEXTANT_GENERATIONS_MAX) {
		error = -ENOSPC;
	} else {
		list_add(&generation->list, &data_keys->generations);
		data_keys->count++;
	}
	mutex_unlock(&data_keys->lock);
	return error;
}

/**
 * sextant_data_keys_init() - none yet
 * @data_keys: to be initialised
 */
void sextant_data_keys_init(struct sextant_data_keys *data_keys)
{
	mutex_init(&data_keys->lock);
	INIT_LIST_HEAD(&data_keys->generations);
	data_keys->count = 0;
}

/**
 * sextant_data_keys_add() - take the data key of one generation
 * @data_keys: the volume's
 * @number: of the generation
 * @origin: UUID it was made for, 16 bytes
 * @commitment: as the manifest has it, 32 bytes
 * @serial: of a logon key of 32 bytes, which the caller may search
 *
 * Context: the process whose key it is; may sleep and allocate, and load the
 * hash's module, so with no lock that I/O needs.
 * Return: as of sextant_keys_add().
 */
int sextant_data_keys_add(struct sextant_data_keys *data_keys, u32 number, const u8 *origin,
			  const u8 *commitment, key_serial_t serial)
{
	struct generation *generation = generation_alloc(number, origin);
	int error;

	if (IS_ERR(generation))
		return PTR_ERR(generation);
	error = hmac_set_logon_key(generation->hmac, serial);
	if (!error)
		error = commitment_check(generation, commitment);
	if (!error)
		error = generation_insert(data_keys, generation);
	if (error)
		generation_free(generation);
	return error;
}

/**
 * sextant_data_keys_seal_key() - derive a seal key
 * @data_keys: the volume's
 * @context: what for
 * @key: where the key's 32 bytes go; the caller wipes them
 * @origin: where the generation's origin goes, 16 bytes
 *
 * Context: process; may sleep for the lock, allocates nothing.
 * Return: 0, -ENOKEY for a generation that is not there, or an error of the hash.
 */
int sextant_data_keys_seal_key(struct sextant_data_keys *data_keys,
			       const struct sextant_seal_context *context, u8 *key, u8 *origin)
{
	struct generation *generation;
	int error = -ENOKEY;

	mutex_lock(&data_keys->lock);
	generation = generation_find(data_keys, context->generation);
	if (generation) {
		memcpy(origin, generation->origin, sizeof(generation->origin));
		error = sextant_derive_seal_key(generation->hmac, origin, context, key);
	}
	mutex_unlock(&data_keys->lock);
	return error;
}

/**
 * sextant_data_keys_wipe() - forget them all
 * @data_keys: the volume's; keys may be added again
 *
 * Context: process; may sleep for the lock, allocates nothing.
 */
void sextant_data_keys_wipe(struct sextant_data_keys *data_keys)
{
	struct generation *generation, *next;

	mutex_lock(&data_keys->lock);
	list_for_each_entry_safe(generation, next, &data_keys->generations, list) {
		list_del(&generation->list);
		generation_free(generation);
	}
	data_keys->count = 0;
	mutex_unlock(&data_keys->lock);
}
