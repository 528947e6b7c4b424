// SPDX-License-Identifier: GPL-2.0
/*
 * Sealing and opening of blocks and discards: AES-256-GCM as in NIST
 * SP 800-38D, with nonces of 96 bits constructed from epoch and LSN (its
 * section 8.2.1) and tags of 128.
 *
 * The associated data says what a seal is for, so that one never verifies in
 * another's place. A discard is a seal over no bytes at all.
 */
#include <crypto/aead.h>
#include <linux/highmem.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>

#include "keys.h"
#include "seal.h"

#define SEXTANT_NONCE_BYTES	12

enum sealed_type {
	SEALED_DATA	= 1,
	SEALED_DISCARD	= 2,
};

struct associated_data {
	u8 type;
	u8 zero[3];
	u8 origin[SEXTANT_UUID_BYTES];
	__be64 block;
	__be64 lsn;
	__be32 epoch;
	__be32 generation;
	__be32 count;
} __packed;
static_assert(sizeof(struct associated_data) == 48);

struct nonce {
	__be32 epoch;
	__be64 lsn;
} __packed;
static_assert(sizeof(struct nonce) == SEXTANT_NONCE_BYTES);

/*
 * What the crypto API reads and writes while it works. In kmalloc's memory,
 * since it is reached through scatterlists, and aligned so that no driver
 * makes a copy: that would allocate.
 */
struct sextant_crypt {
	struct associated_data associated;
	struct nonce nonce __aligned(16);
	u8 tag[SEXTANT_TAG_BYTES] ____cacheline_aligned;
	struct crypto_wait wait ____cacheline_aligned;
	struct scatterlist sg[3];	/* associated data, block if any, tag */
	struct aead_request *request;
	unsigned int request_bytes;
};

/* What one seal is over, besides who sealed. */
struct sealed {
	enum sealed_type type;
	u32 count;
	u64 block;
	u64 lsn;
	struct page *page;		/* NULL for a discard */
};

/**
 * sextant_crypt_alloc() - what one user at a time needs to seal or open
 * @keys: with these keys
 * @gfp: how to allocate
 *
 * It stays good when the keys are wiped and others added.
 * Context: as gfp has it.
 * Return: it, or NULL.
 */
struct sextant_crypt *sextant_crypt_alloc(struct sextant_keys *keys, gfp_t gfp)
{
	struct sextant_crypt *crypt = kzalloc(sizeof(*crypt), gfp);

	if (!crypt)
		return NULL;
	crypt->request_bytes = sextant_keys_request_bytes(keys);
	crypt->request = kzalloc(crypt->request_bytes, gfp);
	if (!crypt->request) {
		kfree(crypt);
		return NULL;
	}
	crypto_init_wait(&crypt->wait);
	return crypt;
}

/**
 * sextant_crypt_free() - wipe and free
 * @crypt: used by nobody any more; NULL is fine
 *
 * Context: any that may kfree().
 */
void sextant_crypt_free(struct sextant_crypt *crypt)
{
	if (!crypt)
		return;
	kfree_sensitive(crypt->request);
	kfree_sensitive(crypt);
}

/* Sets up the request but for its direction; text_bytes: of what is read, tag included. */
static void crypt_prepare(struct sextant_crypt *crypt, const struct sextant_transform *transform,
			  const struct sealed *sealed, unsigned int text_bytes)
{
	const struct sextant_seal_context *context = &transform->context;
	struct associated_data *associated = &crypt->associated;
	struct scatterlist *sg = crypt->sg;

	memset(associated, 0, sizeof(*associated));
	associated->type = sealed->type;
	memcpy(associated->origin, transform->origin, sizeof(associated->origin));
	associated->block = cpu_to_be64(sealed->block);
	associated->lsn = cpu_to_be64(sealed->lsn);
	associated->epoch = cpu_to_be32(context->epoch);
	associated->generation = cpu_to_be32(context->generation);
	associated->count = cpu_to_be32(sealed->count);
	crypt->nonce.epoch = cpu_to_be32(context->epoch);
	crypt->nonce.lsn = cpu_to_be64(sealed->lsn);

	sg_init_table(sg, sealed->page ? 3 : 2);
	sg_set_buf(sg++, associated, sizeof(*associated));
	if (sealed->page)
		sg_set_page(sg++, sealed->page, SEXTANT_BLOCK_BYTES, 0);
	sg_set_buf(sg, crypt->tag, sizeof(crypt->tag));

	aead_request_set_tfm(crypt->request, transform->aead);
	/* Without MAY_BACKLOG a full queue would drop what crypto_wait_req() waits for. */
	aead_request_set_callback(crypt->request, CRYPTO_TFM_REQ_MAY_BACKLOG, crypto_req_done,
				  &crypt->wait);
	aead_request_set_ad(crypt->request, sizeof(*associated));
	aead_request_set_crypt(crypt->request, crypt->sg, crypt->sg, text_bytes,
			       (u8 *)&crypt->nonce);
}

static int seal(struct sextant_keys *keys, struct sextant_crypt *crypt,
		const struct sealed *sealed, u8 *tag)
{
	const struct sextant_transform *sealer;
	int error = sextant_keys_begin_seal(keys, sealed->lsn, &sealer);

	if (error)
		return error;
	crypt_prepare(crypt, sealer, sealed, sealed->page ? SEXTANT_BLOCK_BYTES : 0);
	error = crypto_wait_req(crypto_aead_encrypt(crypt->request), &crypt->wait);
	sextant_keys_end_seal(keys);
	if (error)
		return -EIO;
	memcpy(tag, crypt->tag, SEXTANT_TAG_BYTES);
	return 0;
}

static int open(struct sextant_keys *keys, struct sextant_crypt *crypt,
		const struct sextant_wire_table_entry *entry, u32 generation,
		const struct sealed *sealed, const u8 *tag)
{
	struct sextant_seal_context context = {
		.window = sealed->lsn >> SEXTANT_SEAL_WINDOW_SHIFT,
		.generation = generation,
		.epoch = le32_to_cpu(entry->epoch),
	};
	struct sextant_transform *reader;
	int error;

	if (WARN_ON_ONCE(sealed->lsn < le64_to_cpu(entry->first_lsn)))
		return -EINVAL;
	memcpy(context.attach_id, entry->attach_id, sizeof(context.attach_id));
	error = sextant_keys_get_reader(keys, &context, &reader);
	if (error)
		return error;
	memcpy(crypt->tag, tag, sizeof(crypt->tag));
	crypt_prepare(crypt, reader, sealed,
		      (sealed->page ? SEXTANT_BLOCK_BYTES : 0) + SEXTANT_TAG_BYTES);
	error = crypto_wait_req(crypto_aead_decrypt(crypt->request), &crypt->wait);
	sextant_keys_put_reader(keys, reader);
	return error;
}

/**
 * sextant_seal_block() - encrypt one block in place
 * @keys: the volume's, started
 * @crypt: the caller's alone
 * @block: where it stands in the volume, in blocks
 * @lsn: its LSN, above all sealed before in this attach
 * @page: 4 KiB of plaintext, then of ciphertext
 * @tag: where 16 bytes go
 *
 * Context: process, as in a WQ_MEM_RECLAIM worker; sleeps; allocates as noio
 * only. One seal is done at a time.
 * Return: 0. -ENOKEY when not started, or wiped, and -ENOMEM: nothing was done,
 * the same LSN may be tried again. -EIO: the LSN is spent and the page lost.
 * -EINVAL: an LSN not above the last (warned of once).
 */
int sextant_seal_block(struct sextant_keys *keys, struct sextant_crypt *crypt, u64 block, u64 lsn,
		       struct page *page, u8 *tag)
{
	const struct sealed sealed = {
		.type = SEALED_DATA,
		.count = 1,
		.block = block,
		.lsn = lsn,
		.page = page,
	};

	return seal(keys, crypt, &sealed, tag);
}

/**
 * sextant_seal_discard() - the proof that blocks read as zeros
 * @keys: the volume's, started
 * @crypt: the caller's alone
 * @block: the first one
 * @count: how many
 * @lsn: its LSN, above all sealed before in this attach
 * @tag: where 16 bytes go
 *
 * Context: as of sextant_seal_block().
 * Return: as of sextant_seal_block().
 */
int sextant_seal_discard(struct sextant_keys *keys, struct sextant_crypt *crypt, u64 block,
			 u32 count, u64 lsn, u8 *tag)
{
	const struct sealed sealed = {
		.type = SEALED_DISCARD,
		.count = count,
		.block = block,
		.lsn = lsn,
	};

	return seal(keys, crypt, &sealed, tag);
}

/**
 * sextant_open_block() - decrypt one block in place
 * @keys: the volume's; need not be started
 * @crypt: the caller's alone
 * @entry: of the epoch table, the one that governs lsn
 * @block: where it stands in the volume, in blocks
 * @lsn: as the peer says
 * @generation: as the peer says
 * @page: 4 KiB of ciphertext; then of plaintext or, with any error, of zeros
 * @tag: as the peer says, 16 bytes
 *
 * The page holds unverified bytes meanwhile: it must be nobody else's.
 *
 * Context: process, as in a WQ_MEM_RECLAIM worker; sleeps; allocates as noio
 * only.
 * Return: 0, -EBADMSG when the tag does not hold, -ENOKEY when the generation
 * is not there (or all are wiped), -EINVAL for an entry above lsn, or another
 * error of the crypto API.
 */
int sextant_open_block(struct sextant_keys *keys, struct sextant_crypt *crypt,
		       const struct sextant_wire_table_entry *entry, u64 block, u64 lsn,
		       u32 generation, struct page *page, const u8 *tag)
{
	const struct sealed sealed = {
		.type = SEALED_DATA,
		.count = 1,
		.block = block,
		.lsn = lsn,
		.page = page,
	};
	int error = open(keys, crypt, entry, generation, &sealed, tag);

	if (error)
		clear_highpage(page);
	return error;
}

/**
 * sextant_open_discard() - is this the seal of that discard?
 * @keys: the volume's; need not be started
 * @crypt: the caller's alone
 * @entry: of the epoch table, the one that governs lsn
 * @extent_block: the first block that the discard covers, as the peer says
 * @extent_count: how many it covers, as the peer says
 * @lsn: as the peer says
 * @generation: as the peer says
 * @tag: as the peer says, 16 bytes
 *
 * That the block asked for lies within the extent is the caller's to check.
 *
 * Context: as of sextant_open_block().
 * Return: as of sextant_open_block().
 */
int sextant_open_discard(struct sextant_keys *keys, struct sextant_crypt *crypt,
			 const struct sextant_wire_table_entry *entry, u64 extent_block,
			 u32 extent_count, u64 lsn, u32 generation, const u8 *tag)
{
	const struct sealed sealed = {
		.type = SEALED_DISCARD,
		.count = extent_count,
		.block = extent_block,
		.lsn = lsn,
	};

	return open(keys, crypt, entry, generation, &sealed, tag);
}
