// SPDX-License-Identifier: GPL-2.0
/*
 * The GCM transforms of a volume.
 *
 * Two seal (the window of LSNs that is being written, and the next), a fixed
 * number open. All are allocated before the volume carries I/O; from then on
 * only setkey allocates, and that as noio.
 *
 * Locks, outermost first:
 *
 *   seal_mutex   held while a block is sealed: last_lsn, the sealing context,
 *                the sealing transforms and the use of them
 *   rekey_mutex  every setkey, the claiming of a reading transform, scratch_key
 *   cache_lock   of reading transforms: keyed, users and order; and the pointer
 *                to them all, which changes with rekey_mutex held, too, and
 *                becomes NULL with all three
 *
 * (and below them the data keys' own). A reading transform is re-keyed by the
 * one that claimed it while nobody else used it, and is found by others only
 * when that is done; so it is safe to use until it is put.
 */
#include <crypto/aead.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/wait.h>

#include "keys.h"

struct transforms {
	struct sextant_transform sealing[2];	/* by the window's lowest bit */
	struct sextant_transform reading[SEXTANT_READING_TRANSFORMS];
	struct list_head recency;
};

struct sextant_keys {
	struct sextant_data_keys data_keys;

	struct mutex seal_mutex;
	bool sealing;
	struct sextant_seal_context sealing_context;	/* but for the window */
	u8 last_attach_id[SEXTANT_ATTACH_ID_BYTES];	/* zeros: none yet */
	u64 last_lsn;

	struct mutex rekey_mutex;
	u8 scratch_key[SEXTANT_SEAL_KEY_BYTES] __aligned(16);

	spinlock_t cache_lock;
	struct transforms *transforms;			/* NULL: wiped */
	wait_queue_head_t idle;				/* a reading transform was put */

	/* The driver found at first, so that one request fits all transforms ever. */
	char driver[CRYPTO_MAX_ALG_NAME];
	unsigned int request_bytes;
};

static void transforms_free(struct transforms *transforms)
{
	u32 i;

	/* Freeing wipes the key schedule; what was never allocated is NULL. */
	for (i = 0; i < ARRAY_SIZE(transforms->sealing); i++)
		crypto_free_aead(transforms->sealing[i].aead);
	for (i = 0; i < ARRAY_SIZE(transforms->reading); i++)
		crypto_free_aead(transforms->reading[i].aead);
	kvfree(transforms);
}

static int transform_alloc(struct sextant_transform *transform, const char *driver)
{
	/* An asynchronous one is welcome: on x86 that is the one with AES-NI. */
	struct crypto_aead *aead = crypto_alloc_aead(driver, 0, 0);
	int error;

	if (IS_ERR(aead))
		return PTR_ERR(aead);
	error = crypto_aead_setauthsize(aead, SEXTANT_TAG_BYTES);
	if (error) {
		crypto_free_aead(aead);
		return error;
	}
	transform->aead = aead;
	return 0;
}

/* Takes no lock: loading the algorithm's module waits for user space. */
static struct transforms *transforms_alloc(const char *driver)
{
	unsigned int noio = memalloc_noio_save();
	struct transforms *transforms = kvzalloc(sizeof(*transforms), GFP_KERNEL);
	int error = transforms ? 0 : -ENOMEM;
	u32 i;

	if (error)
		goto out;
	INIT_LIST_HEAD(&transforms->recency);
	for (i = 0; i < ARRAY_SIZE(transforms->reading); i++)
		list_add(&transforms->reading[i].recency, &transforms->recency);
	for (i = 0; i < ARRAY_SIZE(transforms->sealing) && !error; i++)
		error = transform_alloc(&transforms->sealing[i], driver);
	for (i = 0; i < ARRAY_SIZE(transforms->reading) && !error; i++)
		error = transform_alloc(&transforms->reading[i], driver);
	if (error)
		transforms_free(transforms);
out:
	memalloc_noio_restore(noio);
	return error ? ERR_PTR(error) : transforms;
}

/* The generic GCM allocates in setkey, hence noio. */
static int transform_rekey(struct sextant_keys *keys, struct sextant_transform *transform,
			   const struct sextant_seal_context *context)
{
	unsigned int noio = memalloc_noio_save();
	int error;

	lockdep_assert_held(&keys->rekey_mutex);
	transform->context = *context;
	error = sextant_data_keys_seal_key(&keys->data_keys, context, keys->scratch_key,
					   transform->origin);
	if (!error)
		error = crypto_aead_setkey(transform->aead, keys->scratch_key,
					   sizeof(keys->scratch_key));
	memzero_explicit(keys->scratch_key, sizeof(keys->scratch_key));
	memalloc_noio_restore(noio);
	return error;
}

/* ---- reading --------------------------------------------------------- */

/* The transform that is keyed for this context, with one more user; or NULL. */
static struct sextant_transform *reader_find(struct sextant_keys *keys,
					     const struct sextant_seal_context *context)
{
	struct sextant_transform *reader, *found = NULL;

	spin_lock(&keys->cache_lock);
	if (!keys->transforms)
		goto unlock;
	list_for_each_entry(reader, &keys->transforms->recency, recency) {
		if (reader->keyed && !memcmp(&reader->context, context, sizeof(*context))) {
			found = reader;
			found->users++;
			list_move(&found->recency, &keys->transforms->recency);
			break;
		}
	}
unlock:
	spin_unlock(&keys->cache_lock);
	return found;
}

/* The least recently used one that nobody uses, keyed no longer; or NULL. */
static struct sextant_transform *reader_claim(struct sextant_keys *keys)
{
	struct sextant_transform *reader, *claimed = NULL;

	spin_lock(&keys->cache_lock);
	list_for_each_entry_reverse(reader, &keys->transforms->recency, recency) {
		if (!reader->users) {
			claimed = reader;
			claimed->users = 1;
			claimed->keyed = false;
			list_move(&claimed->recency, &keys->transforms->recency);
			break;
		}
	}
	spin_unlock(&keys->cache_lock);
	return claimed;
}

static int reader_key(struct sextant_keys *keys, const struct sextant_seal_context *context,
		      struct sextant_transform **reader)
{
	struct sextant_transform *claimed;
	int error;

	lockdep_assert_held(&keys->rekey_mutex);
	if (!keys->transforms)
		return -ENOKEY;
	wait_event(keys->idle, (claimed = reader_claim(keys)));
	error = transform_rekey(keys, claimed, context);
	if (error) {
		sextant_keys_put_reader(keys, claimed);
		return error;
	}
	spin_lock(&keys->cache_lock);
	claimed->keyed = true;
	spin_unlock(&keys->cache_lock);
	*reader = claimed;
	return 0;
}

/**
 * sextant_keys_get_reader() - the transform that opens what one context sealed
 * @keys: the volume's
 * @context: generation, epoch, attach id and window of the LSN
 * @reader: set to the transform; give it back with sextant_keys_put_reader()
 *
 * Context: process; may sleep, for another's setkey or until one of the 64 is
 * put: who holds one must not ask for another. Returns with no lock held.
 * Allocates as noio only.
 * Return: 0, -ENOKEY when the generation is not there, or -ENOMEM.
 */
int sextant_keys_get_reader(struct sextant_keys *keys, const struct sextant_seal_context *context,
			    struct sextant_transform **reader)
{
	int error = 0;

	*reader = reader_find(keys, context);
	if (*reader)
		return 0;
	mutex_lock(&keys->rekey_mutex);
	*reader = reader_find(keys, context);	/* another may have keyed it meanwhile */
	if (!*reader)
		error = reader_key(keys, context, reader);
	mutex_unlock(&keys->rekey_mutex);
	return error;
}

/**
 * sextant_keys_put_reader() - give back what sextant_keys_get_reader() gave
 * @keys: the volume's
 * @reader: the transform, not to be touched any more
 *
 * Context: process; does not sleep.
 */
void sextant_keys_put_reader(struct sextant_keys *keys, struct sextant_transform *reader)
{
	spin_lock(&keys->cache_lock);
	reader->users--;
	spin_unlock(&keys->cache_lock);
	if (wq_has_sleeper(&keys->idle))
		wake_up(&keys->idle);
}

/* ---- sealing --------------------------------------------------------- */

/* Sees to it that this window's sealing transform is keyed for it. */
static int window_key(struct sextant_keys *keys, u64 window)
{
	struct sextant_transform *transform = &keys->transforms->sealing[window & 1];
	struct sextant_seal_context context = keys->sealing_context;
	int error;

	lockdep_assert_held(&keys->seal_mutex);
	if (transform->keyed && transform->context.window == window)
		return 0;
	context.window = window;
	mutex_lock(&keys->rekey_mutex);
	error = transform_rekey(keys, transform, &context);
	mutex_unlock(&keys->rekey_mutex);
	transform->keyed = !error;
	return error;
}

/**
 * sextant_keys_begin_seal() - spend one LSN on one call into GCM
 * @keys: the volume's
 * @lsn: above every LSN spent in this attach
 * @sealer: set to the transform of this LSN's window
 *
 * With 0 the LSN is spent, and seal_mutex held until sextant_keys_end_seal();
 * with an error neither. The next window's transform is keyed here already, so
 * that it is there when the LSNs get to it.
 *
 * Context: process; may sleep, allocates as noio only.
 * Return: 0, -ENOKEY (not started, or wiped), -ENOMEM, or -EINVAL for an LSN
 * not above the last, which is a bug of the caller.
 */
int sextant_keys_begin_seal(struct sextant_keys *keys, u64 lsn,
			    const struct sextant_transform **sealer)
{
	u64 window = lsn >> SEXTANT_SEAL_WINDOW_SHIFT;
	int error = -ENOKEY;

	mutex_lock(&keys->seal_mutex);
	if (!keys->sealing)
		goto unlock;
	error = -EINVAL;
	if (WARN_ON_ONCE(lsn <= keys->last_lsn))
		goto unlock;
	error = window_key(keys, window);
	if (error)
		goto unlock;
	window_key(keys, window + 1);	/* if that fails, the next seal tries again */
	keys->last_lsn = lsn;
	*sealer = &keys->transforms->sealing[window & 1];
	return 0;
unlock:
	mutex_unlock(&keys->seal_mutex);
	return error;
}

/**
 * sextant_keys_end_seal() - the call into GCM is over
 * @keys: the volume's, after sextant_keys_begin_seal() returned 0
 */
void sextant_keys_end_seal(struct sextant_keys *keys)
{
	mutex_unlock(&keys->seal_mutex);
}

/**
 * sextant_keys_start() - what this attach seals with, from now on
 * @keys: the volume's
 * @generation: of the data key; added before
 * @epoch: of this attach
 * @attach_id: drawn for this try to attach alone, 32 bytes
 * @next_lsn: the first LSN that may be sealed
 *
 * The attach id of the last start that succeeded is refused, whether the keys
 * were wiped since or not. After a start that failed nothing can be sealed.
 *
 * Context: process; may sleep, allocates as noio only.
 * Return: 0, -ENOKEY for a generation that is not there, -ENOMEM, or -EINVAL:
 * the attach id is the last one or all zeros, or the epoch or the LSN is 0.
 */
int sextant_keys_start(struct sextant_keys *keys, u32 generation, u32 epoch,
		       const u8 *attach_id, u64 next_lsn)
{
	u64 window = next_lsn >> SEXTANT_SEAL_WINDOW_SHIFT;
	struct transforms *transforms;
	int error = -EINVAL;

	mutex_lock(&keys->seal_mutex);
	keys->sealing = false;
	if (!epoch || !next_lsn || !memchr_inv(attach_id, 0, SEXTANT_ATTACH_ID_BYTES) ||
	    !memcmp(attach_id, keys->last_attach_id, SEXTANT_ATTACH_ID_BYTES))
		goto unlock;
	spin_lock(&keys->cache_lock);
	transforms = keys->transforms;
	spin_unlock(&keys->cache_lock);
	error = -ENOKEY;
	if (!transforms)
		goto unlock;

	transforms->sealing[0].keyed = false;
	transforms->sealing[1].keyed = false;
	keys->sealing_context.generation = generation;
	keys->sealing_context.epoch = epoch;
	memcpy(keys->sealing_context.attach_id, attach_id, SEXTANT_ATTACH_ID_BYTES);
	error = window_key(keys, window);
	if (!error)
		error = window_key(keys, window + 1);
	if (error)
		goto unlock;
	memcpy(keys->last_attach_id, attach_id, SEXTANT_ATTACH_ID_BYTES);
	keys->last_lsn = next_lsn - 1;
	keys->sealing = true;
unlock:
	mutex_unlock(&keys->seal_mutex);
	return error;
}

/* ---- life ------------------------------------------------------------ */

/**
 * sextant_keys_request_bytes() - what a request for any of the transforms needs
 * @keys: the volume's
 *
 * Return: bytes, struct aead_request included; the same for the keys' whole life.
 */
unsigned int sextant_keys_request_bytes(const struct sextant_keys *keys)
{
	return keys->request_bytes;
}

/**
 * sextant_keys_alloc() - the keys of a volume: none yet
 *
 * Context: process, before the volume carries I/O; sleeps and may load the
 * algorithm's module, so with no lock that I/O needs.
 * Return: the keys, or an ERR_PTR: -ENOMEM, or -ENOENT without gcm(aes).
 */
struct sextant_keys *sextant_keys_alloc(void)
{
	struct sextant_keys *keys = kzalloc(sizeof(*keys), GFP_KERNEL);
	struct transforms *transforms;
	struct crypto_aead *aead;

	if (!keys)
		return ERR_PTR(-ENOMEM);
	aead = crypto_alloc_aead("gcm(aes)", 0, 0);
	if (IS_ERR(aead)) {
		kfree(keys);
		return ERR_CAST(aead);
	}
	strscpy(keys->driver, crypto_tfm_alg_driver_name(crypto_aead_tfm(aead)),
		sizeof(keys->driver));
	keys->request_bytes = sizeof(struct aead_request) + crypto_aead_reqsize(aead);
	crypto_free_aead(aead);
	transforms = transforms_alloc(keys->driver);
	if (IS_ERR(transforms)) {
		kfree(keys);
		return ERR_CAST(transforms);
	}
	keys->transforms = transforms;
	sextant_data_keys_init(&keys->data_keys);
	mutex_init(&keys->seal_mutex);
	mutex_init(&keys->rekey_mutex);
	spin_lock_init(&keys->cache_lock);
	init_waitqueue_head(&keys->idle);
	return keys;
}

/* After a wipe there are no transforms: makes new ones. */
static int transforms_renew(struct sextant_keys *keys)
{
	struct transforms *transforms;

	if (READ_ONCE(keys->transforms))
		return 0;
	transforms = transforms_alloc(keys->driver);
	if (IS_ERR(transforms))
		return PTR_ERR(transforms);
	mutex_lock(&keys->rekey_mutex);
	spin_lock(&keys->cache_lock);
	if (!keys->transforms)
		swap(keys->transforms, transforms);
	spin_unlock(&keys->cache_lock);
	mutex_unlock(&keys->rekey_mutex);
	if (transforms)
		transforms_free(transforms);
	return 0;
}

/**
 * sextant_keys_add() - take the data key of one generation
 * @keys: the volume's
 * @generation: its number
 * @origin: UUID it was made for, 16 bytes
 * @commitment: as the manifest has it, 32 bytes
 * @serial: of a logon key of 32 bytes which the caller may search
 *
 * The caller's key may go afterwards; that it is revoked is not noticed here.
 *
 * Context: the process whose key it is; sleeps and may load a module, so with
 * no lock that I/O needs.
 * Return: 0; -EKEYREJECTED when the commitment is another key's; -EINVAL when
 * the key is no logon key or not of 32 bytes; -EKEYREVOKED, -EKEYEXPIRED,
 * -EACCES or -ENOKEY as of the key; -EEXIST when the generation is there;
 * -ENOSPC at SEXTANT_GENERATIONS_MAX; -ENOMEM.
 */
int sextant_keys_add(struct sextant_keys *keys, u32 generation, const u8 *origin,
		     const u8 *commitment, key_serial_t serial)
{
	int error = transforms_renew(keys);

	return error ?: sextant_data_keys_add(&keys->data_keys, generation, origin, commitment,
					      serial);
}

static bool readers_idle(struct sextant_keys *keys, const struct transforms *transforms)
{
	u32 i, users = 0;

	spin_lock(&keys->cache_lock);
	for (i = 0; i < ARRAY_SIZE(transforms->reading); i++)
		users += transforms->reading[i].users;
	spin_unlock(&keys->cache_lock);
	return !users;
}

/**
 * sextant_keys_wipe() - forget every data key and every seal key
 * @keys: the volume's
 *
 * A seal or open that is under way ends first; later ones fail with -ENOKEY,
 * until keys are added and a start is made with another attach id.
 *
 * Context: process; sleeps until no transform is in use, allocates nothing. Not
 * from within an open or a seal.
 */
void sextant_keys_wipe(struct sextant_keys *keys)
{
	struct transforms *transforms;

	mutex_lock(&keys->seal_mutex);
	mutex_lock(&keys->rekey_mutex);
	keys->sealing = false;
	sextant_data_keys_wipe(&keys->data_keys);
	spin_lock(&keys->cache_lock);
	transforms = keys->transforms;
	keys->transforms = NULL;
	spin_unlock(&keys->cache_lock);
	if (transforms) {
		wait_event(keys->idle, readers_idle(keys, transforms));
		transforms_free(transforms);
	}
	mutex_unlock(&keys->rekey_mutex);
	mutex_unlock(&keys->seal_mutex);
}

/**
 * sextant_keys_free() - wipe and free
 * @keys: the volume's, used by nobody any more; NULL is fine
 *
 * Context: process; sleeps.
 */
void sextant_keys_free(struct sextant_keys *keys)
{
	if (!keys)
		return;
	sextant_keys_wipe(keys);
	kfree_sensitive(keys);
}
