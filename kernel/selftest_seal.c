// SPDX-License-Identifier: GPL-2.0
/* Self-test of keys and seals, run at loading in builds made with SELFTEST=1. */
#include <crypto/hash.h>
#include <keys/user-type.h>
#include <linux/cred.h>
#include <linux/delay.h>
#include <linux/highmem.h>
#include <linux/key-type.h>
#include <linux/random.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "keys.h"
#include "seal.h"
#include "selftest_seal_vectors.h"

#define ATTACHES	100	/* more than there are reading transforms */
#define OPENERS		4
#define OPENS		1000

static u32 checks, failures;

static void check(bool holds, const char *what)
{
	checks++;
	if (holds)
		return;
	failures++;
	pr_err("self-test: failed: %s\n", what);
}

/* A key that the caller may search, not linked anywhere. */
static struct key *key_of(struct key_type *type, const void *data, size_t bytes)
{
	struct key *key = key_alloc(type, "sextant:self-test", GLOBAL_ROOT_UID, GLOBAL_ROOT_GID,
				    current_cred(), KEY_USR_SEARCH, KEY_ALLOC_NOT_IN_QUOTA, NULL);
	int error;

	if (IS_ERR(key))
		return key;
	error = key_instantiate_and_link(key, data, bytes, NULL, NULL);
	if (!error)
		return key;
	key_put(key);
	return ERR_PTR(error);
}

static int add(struct sextant_keys *keys, struct key *key, u32 generation, const u8 *commitment)
{
	return sextant_keys_add(keys, generation, vector_origin, commitment, key_serial(key));
}

/* Adds the vectors' data key as another generation: its commitment is derived here. */
static int add_generation(struct sextant_keys *keys, struct key *key, u32 generation)
{
	struct crypto_shash *hmac = crypto_alloc_shash("hmac(sha256)", 0, 0);
	u8 commitment[SEXTANT_COMMIT_BYTES];
	int error;

	if (IS_ERR(hmac))
		return PTR_ERR(hmac);
	error = crypto_shash_setkey(hmac, vector_data_key, sizeof(vector_data_key)) ?:
		sextant_derive_commitment(hmac, vector_origin, generation, commitment) ?:
		add(keys, key, generation, commitment);
	crypto_free_shash(hmac);
	return error;
}

static void test_derivation(void)
{
	struct crypto_shash *hmac = crypto_alloc_shash("hmac(sha256)", 0, 0);
	struct sextant_seal_context context = {
		.generation = VECTOR_GENERATION,
		.epoch = VECTOR_EPOCH,
		.window = VECTOR_BLOCK_WINDOW,
	};
	u8 derived[32];

	if (IS_ERR(hmac)) {
		check(false, "hmac(sha256)");
		return;
	}
	memcpy(context.attach_id, vector_attach_id, sizeof(context.attach_id));
	check(!crypto_shash_setkey(hmac, vector_data_key, sizeof(vector_data_key)), "setkey");
	sextant_derive_commitment(hmac, vector_origin, VECTOR_GENERATION, derived);
	check(!memcmp(derived, vector_commitment, sizeof(derived)), "commitment");
	sextant_derive_seal_key(hmac, vector_origin, &context, derived);
	check(!memcmp(derived, vector_block_seal_key, sizeof(derived)), "seal key");
	context.window = VECTOR_DISCARD_WINDOW;
	sextant_derive_seal_key(hmac, vector_origin, &context, derived);
	check(!memcmp(derived, vector_discard_seal_key, sizeof(derived)), "next seal key");
	crypto_free_shash(hmac);
}

static void test_add(struct sextant_keys *keys, struct key *key)
{
	struct key *user = key_of(&key_type_user, vector_data_key, sizeof(vector_data_key));
	struct key *brief = key_of(&key_type_logon, vector_data_key, sizeof(vector_data_key) - 1);
	struct key *gone = key_of(&key_type_logon, vector_data_key, sizeof(vector_data_key));
	u8 other[SEXTANT_COMMIT_BYTES];

	memcpy(other, vector_commitment, sizeof(other));
	other[31] ^= 1;
	check(add(keys, key, VECTOR_GENERATION, other) == -EKEYREJECTED, "wrong commitment");
	check(add(keys, key, VECTOR_GENERATION + 1, vector_commitment) == -EKEYREJECTED,
	      "commitment of another generation");
	if (!IS_ERR(user)) {
		check(add(keys, user, VECTOR_GENERATION, vector_commitment) == -EINVAL,
		      "no logon key");
		key_put(user);
	}
	if (!IS_ERR(brief)) {
		check(add(keys, brief, VECTOR_GENERATION, vector_commitment) == -EINVAL,
		      "key too short");
		key_put(brief);
	}
	if (!IS_ERR(gone)) {
		key_revoke(gone);
		check(add(keys, gone, VECTOR_GENERATION, vector_commitment) == -EKEYREVOKED,
		      "revoked key");
		key_put(gone);
	}
	check(sextant_keys_start(keys, VECTOR_GENERATION, VECTOR_EPOCH, vector_attach_id, 1) ==
	      -ENOKEY, "start without a key");
	check(!add(keys, key, VECTOR_GENERATION, vector_commitment), "right key");
	check(add(keys, key, VECTOR_GENERATION, vector_commitment) == -EEXIST, "the same again");
	check(!add_generation(keys, key, VECTOR_GENERATION + 1), "another generation");
}

/* Is the page what the vectors' plaintext is, or all zeros? */
static bool page_is(struct page *page, bool plaintext)
{
	const u8 *bytes = page_address(page);
	u32 i;

	for (i = 0; i < SEXTANT_BLOCK_BYTES; i++)
		if (bytes[i] != (plaintext ? VECTOR_PLAINTEXT(i) : 0))
			return false;
	return true;
}

static void page_fill(struct page *page)
{
	u8 *bytes = page_address(page);
	u32 i;

	for (i = 0; i < SEXTANT_BLOCK_BYTES; i++)
		bytes[i] = VECTOR_PLAINTEXT(i);
}

/* What an open is asked for: the vectors', but for what a case changes. */
struct attempt {
	struct sextant_wire_table_entry entry;
	u64 block;
	u64 lsn;
	u32 count;
	u32 generation;
	u8 tag[SEXTANT_TAG_BYTES];
	u8 ciphertext_flip;
};

static void attempt_init(struct attempt *attempt, bool discard)
{
	memset(attempt, 0, sizeof(*attempt));
	attempt->entry.first_lsn = cpu_to_le64(1);
	attempt->entry.epoch = cpu_to_le32(VECTOR_EPOCH);
	memcpy(attempt->entry.attach_id, vector_attach_id, sizeof(vector_attach_id));
	attempt->block = discard ? VECTOR_DISCARD_BLOCK : VECTOR_BLOCK;
	attempt->lsn = discard ? VECTOR_DISCARD_LSN : VECTOR_BLOCK_LSN;
	attempt->count = discard ? VECTOR_DISCARD_COUNT : 1;
	attempt->generation = VECTOR_GENERATION;
	memcpy(attempt->tag, discard ? vector_discard_tag : vector_block_tag,
	       sizeof(attempt->tag));
}

enum change {
	NOTHING, TAG, BLOCK, LSN, EPOCH, ATTACH_ID, WINDOW, GENERATION, COUNT, TEXT, CHANGES
};

static const char * const change_name[CHANGES] = {
	"nothing", "tag", "block", "LSN", "epoch", "attach id", "window", "generation", "count",
	"ciphertext",
};

static void attempt_change(struct attempt *attempt, enum change change)
{
	if (change == TAG)
		attempt->tag[15] ^= 0x80;
	else if (change == BLOCK)
		attempt->block++;
	else if (change == LSN)
		attempt->lsn ^= 2;
	else if (change == EPOCH)
		attempt->entry.epoch = cpu_to_le32(VECTOR_EPOCH + 8);
	else if (change == ATTACH_ID)
		attempt->entry.attach_id[31] ^= 1;
	else if (change == WINDOW)
		attempt->lsn ^= 1ull << SEXTANT_SEAL_WINDOW_SHIFT;
	else if (change == GENERATION)
		attempt->generation++;
	else if (change == COUNT)
		attempt->count++;
	else if (change == TEXT)
		attempt->ciphertext_flip = 1;
}

static void test_open_block(struct sextant_keys *keys, struct sextant_crypt *crypt,
			    struct page *sealed, struct page *page)
{
	struct attempt attempt;
	enum change change;
	int error;

	for (change = NOTHING; change < CHANGES; change++) {
		if (change == COUNT)
			continue;
		attempt_init(&attempt, false);
		attempt_change(&attempt, change);
		copy_highpage(page, sealed);
		((u8 *)page_address(page))[SEXTANT_BLOCK_BYTES - 1] ^= attempt.ciphertext_flip;
		error = sextant_open_block(keys, crypt, &attempt.entry, attempt.block, attempt.lsn,
					   attempt.generation, page, attempt.tag);
		check(error == (change == NOTHING ? 0 : -EBADMSG), change_name[change]);
		check(page_is(page, change == NOTHING), "page after open");
	}
	attempt_init(&attempt, false);
	copy_highpage(page, sealed);
	error = sextant_open_block(keys, crypt, &attempt.entry, attempt.block, attempt.lsn,
				   VECTOR_GENERATION + 2, page, attempt.tag);
	check(error == -ENOKEY && page_is(page, false), "generation not there");
	error = sextant_open_discard(keys, crypt, &attempt.entry, attempt.block, 1, attempt.lsn,
				     attempt.generation, attempt.tag);
	check(error == -EBADMSG, "block's tag for a discard");
}

static void test_open_discard(struct sextant_keys *keys, struct sextant_crypt *crypt)
{
	struct attempt attempt;
	enum change change;
	int error;

	for (change = NOTHING; change < TEXT; change++) {
		attempt_init(&attempt, true);
		attempt_change(&attempt, change);
		error = sextant_open_discard(keys, crypt, &attempt.entry, attempt.block,
					     attempt.count, attempt.lsn, attempt.generation,
					     attempt.tag);
		check(error == (change == NOTHING ? 0 : -EBADMSG), change_name[change]);
	}
}

static void test_vectors(struct sextant_keys *keys, struct sextant_crypt *crypt,
			 struct page *sealed, struct page *page)
{
	u8 tag[SEXTANT_TAG_BYTES];

	check(sextant_seal_discard(keys, crypt, 0, 1, 1, tag) == -ENOKEY, "seal before start");
	check(sextant_keys_start(keys, VECTOR_GENERATION, 0, vector_attach_id, 1) == -EINVAL,
	      "start with epoch 0");
	check(!sextant_keys_start(keys, VECTOR_GENERATION, VECTOR_EPOCH, vector_attach_id,
				  VECTOR_BLOCK_LSN), "start");
	page_fill(sealed);
	check(!sextant_seal_block(keys, crypt, VECTOR_BLOCK, VECTOR_BLOCK_LSN, sealed, tag),
	      "seal a block");
	check(!memcmp(tag, vector_block_tag, sizeof(tag)), "block tag");
	check(!memcmp(page_address(sealed), vector_block_start, sizeof(vector_block_start)),
	      "start of the sealed block");
	check(sextant_crc32c(page_address(sealed), SEXTANT_BLOCK_BYTES) == VECTOR_BLOCK_CRC,
	      "CRC of the sealed block");
	check(!sextant_seal_discard(keys, crypt, VECTOR_DISCARD_BLOCK, VECTOR_DISCARD_COUNT,
				    VECTOR_DISCARD_LSN, tag), "seal a discard");
	check(!memcmp(tag, vector_discard_tag, sizeof(tag)), "discard tag");
	test_open_block(keys, crypt, sealed, page);
	test_open_discard(keys, crypt);
	check(sextant_keys_start(keys, VECTOR_GENERATION, VECTOR_EPOCH + 8, vector_attach_id,
				 VECTOR_DISCARD_LSN + 1) == -EINVAL, "attach id used again");
}

/* ---- many attaches, opened by many at once ---------------------------- */

struct sealed_block {
	struct sextant_wire_table_entry entry;
	struct page *page;
	u8 tag[SEXTANT_TAG_BYTES];
};

struct opener {
	struct work_struct work;
	struct sextant_keys *keys;
	const struct sealed_block *blocks;
	u32 opened, refused, failed;
};

static void open_many(struct work_struct *work)
{
	struct opener *opener = container_of(work, struct opener, work);
	struct sextant_crypt *crypt = sextant_crypt_alloc(opener->keys, GFP_KERNEL);
	struct page *page = alloc_page(GFP_KERNEL);
	u32 i, at;
	int error;

	for (i = 0; crypt && page && i < OPENS; i++) {
		at = get_random_u32() % ATTACHES;
		copy_highpage(page, opener->blocks[at].page);
		error = sextant_open_block(opener->keys, crypt, &opener->blocks[at].entry, at,
					   at + 1, VECTOR_GENERATION, page,
					   opener->blocks[at].tag);
		if (!error && page_is(page, true))
			opener->opened++;
		else if (error == -ENOKEY && page_is(page, false))
			opener->refused++;
		else
			opener->failed++;
	}
	if (page)
		__free_page(page);
	sextant_crypt_free(crypt);
}

static void test_many(struct sextant_keys *keys, const struct sealed_block *blocks, bool wipe)
{
	struct workqueue_struct *queue = alloc_workqueue("sextant_selftest", WQ_UNBOUND, OPENERS);
	struct opener *openers = kcalloc(OPENERS, sizeof(*openers), GFP_KERNEL);
	u32 i, opened = 0, refused = 0;

	if (!queue || !openers)
		goto out;
	for (i = 0; i < OPENERS; i++) {
		openers[i].keys = keys;
		openers[i].blocks = blocks;
		INIT_WORK(&openers[i].work, open_many);
		queue_work(queue, &openers[i].work);
	}
	if (wipe) {
		usleep_range(2000, 3000);
		sextant_keys_wipe(keys);
	}
	drain_workqueue(queue);
	for (i = 0; i < OPENERS; i++) {
		opened += openers[i].opened;
		refused += openers[i].refused;
	}
	check(opened + refused == OPENERS * OPENS, "opens by many");
	check(wipe || !refused, "refusal without a wipe");
	check(!wipe || refused, "refusal after a wipe");
out:
	kfree(openers);
	if (queue)
		destroy_workqueue(queue);
}

/* One block sealed by each of many attaches. */
static bool seal_many(struct sextant_keys *keys, struct sextant_crypt *crypt,
		      struct sealed_block *blocks)
{
	int error = 0;
	u32 i;

	for (i = 0; i < ATTACHES && !error; i++) {
		blocks[i].page = alloc_page(GFP_KERNEL);
		if (!blocks[i].page)
			return false;
		page_fill(blocks[i].page);
		blocks[i].entry.first_lsn = cpu_to_le64(i + 1);
		blocks[i].entry.epoch = cpu_to_le32(8 * (i + 1));
		get_random_bytes(blocks[i].entry.attach_id, SEXTANT_ATTACH_ID_BYTES);
		error = sextant_keys_start(keys, VECTOR_GENERATION, 8 * (i + 1),
					   blocks[i].entry.attach_id, i + 1) ?:
			sextant_seal_block(keys, crypt, i, i + 1, blocks[i].page, blocks[i].tag);
	}
	return !error;
}

static void test_cache(struct sextant_keys *keys, struct sextant_crypt *crypt, struct key *key)
{
	struct sealed_block *blocks = kcalloc(ATTACHES, sizeof(*blocks), GFP_KERNEL);
	u8 tag[SEXTANT_TAG_BYTES];
	u32 i;

	if (!blocks)
		return;
	check(seal_many(keys, crypt, blocks), "seal by many attaches");
	test_many(keys, blocks, false);
	test_many(keys, blocks, true);
	check(sextant_seal_discard(keys, crypt, 0, 1, ATTACHES + 1, tag) == -ENOKEY,
	      "seal after a wipe");
	check(!add(keys, key, VECTOR_GENERATION, vector_commitment), "key after a wipe");
	check(sextant_seal_discard(keys, crypt, 0, 1, ATTACHES + 1, tag) == -ENOKEY,
	      "seal after a wipe, without a start");
	check(sextant_keys_start(keys, VECTOR_GENERATION, 8 * ATTACHES,
				 blocks[ATTACHES - 1].entry.attach_id, ATTACHES + 1) == -EINVAL,
	      "attach id used again after a wipe");
	test_many(keys, blocks, false);
	for (i = 0; i < ATTACHES; i++)
		if (blocks[i].page)
			__free_page(blocks[i].page);
	kfree(blocks);
}

/**
 * sextant_selftest_seal() - check derivations, keys and seals
 *
 * Context: process, with the right to search root's keys: at loading.
 * Return: 0, or -EIO when a check failed; each is named in the kernel's log.
 */
int sextant_selftest_seal(void)
{
	struct key *key = key_of(&key_type_logon, vector_data_key, sizeof(vector_data_key));
	struct page *sealed = alloc_page(GFP_KERNEL), *page = alloc_page(GFP_KERNEL);
	struct sextant_keys *keys = sextant_keys_alloc();
	struct sextant_crypt *crypt = IS_ERR(keys) ? NULL : sextant_crypt_alloc(keys, GFP_KERNEL);

	if (IS_ERR(key) || !sealed || !page || !crypt) {
		check(false, "set up");
	} else {
		test_derivation();
		test_add(keys, key);
		test_vectors(keys, crypt, sealed, page);
		test_cache(keys, crypt, key);
	}
	sextant_crypt_free(crypt);
	if (!IS_ERR(keys))
		sextant_keys_free(keys);
	if (page)
		__free_page(page);
	if (sealed)
		__free_page(sealed);
	if (!IS_ERR(key))
		key_put(key);
	pr_info("self-test of seals: %u checks, %u failed\n", checks, failures);
	return failures ? -EIO : 0;
}
