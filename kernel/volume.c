// SPDX-License-Identifier: GPL-2.0
/* All volumes, by UUID: made by the first table that names one, gone when drained. */
#include <linux/module.h>
#include <linux/slab.h>

#include <linux/device-mapper.h>

#include "connection.h"
#include "event.h"
#include "keys.h"
#include "read.h"
#include "record.h"
#include "seal.h"
#include "volume.h"

static LIST_HEAD(volumes);
static DEFINE_MUTEX(volumes_mutex);

/* Stops, reaping and ticks; nothing that I/O needs to go on runs here. */
struct workqueue_struct *sextant_lifecycle_wq;

static void volume_free_attach(struct sextant_volume *volume)
{
	kvfree(volume->table_entries);
	sextant_keys_free(volume->keys);
}

static void volume_free(struct sextant_volume *volume)
{
	/* No connection is left that could arm it again. */
	cancel_delayed_work_sync(&volume->linger_work);
	sextant_crypt_free(volume->seal_crypt);
	sextant_read_pools_exit(volume);
	sextant_record_pools_exit(volume);
	destroy_workqueue(volume->read_wq);
	destroy_workqueue(volume->submit_wq);
	xa_destroy(&volume->pgs);
	volume_free_attach(volume);
	kfree(volume);
}

/* The last reference is gone: in a work, since any context may have dropped it. */
static void volume_free_work(struct work_struct *work)
{
	volume_free(container_of(work, struct sextant_volume, free_work));
	module_put(THIS_MODULE);
}

static void volume_release(struct kref *refs)
{
	struct sextant_volume *volume = container_of(refs, struct sextant_volume, refs);

	queue_work(sextant_lifecycle_wq, &volume->free_work);
}

/* Lets go of a volume; the last one frees it, later. Context: any. */
void sextant_volume_put(struct sextant_volume *volume)
{
	kref_put(&volume->refs, volume_release);
}

static void volume_init(struct sextant_volume *volume, const u8 *uuid)
{
	memcpy(volume->uuid, uuid, SEXTANT_UUID_BYTES);
	kref_init(&volume->refs);
	mutex_init(&volume->config);
	spin_lock_init(&volume->lock);
	spin_lock_init(&volume->inbox_lock);
	INIT_LIST_HEAD(&volume->link);
	INIT_LIST_HEAD(&volume->records);
	INIT_LIST_HEAD(&volume->changed_pgs);
	INIT_LIST_HEAD(&volume->waiters);
	INIT_LIST_HEAD(&volume->inbox);
	INIT_LIST_HEAD(&volume->read_inbox);
	INIT_LIST_HEAD(&volume->reads);
	volume->overlay = RB_ROOT_CACHED;
	xa_init(&volume->pgs);
	init_waitqueue_head(&volume->connections_wait);
	INIT_WORK(&volume->submit_work, sextant_submit_work);
	INIT_WORK(&volume->read_work, sextant_read_inbox_work);
	INIT_DELAYED_WORK(&volume->tick_work, sextant_tick_work);
	INIT_DELAYED_WORK(&volume->linger_work, sextant_linger_work);
	INIT_WORK(&volume->event_work, sextant_event_work);
	INIT_WORK(&volume->free_work, volume_free_work);
	sextant_lifecycle_init(volume);
	volume->lease_ms = 5000;
	volume->unattached_jiffies = jiffies;
}

static int volume_init_queues(struct sextant_volume *volume)
{
	/* First of all, so that under load records gather here instead of work at the peers. */
	volume->submit_wq = alloc_workqueue("sextant_submit/%*phN",
					    WQ_MEM_RECLAIM | WQ_UNBOUND | WQ_HIGHPRI, 1,
					    4, volume->uuid);
	if (!volume->submit_wq)
		return -ENOMEM;
	volume->read_wq = alloc_workqueue("sextant_read/%*phN", WQ_MEM_RECLAIM | WQ_UNBOUND, 0,
					  4, volume->uuid);
	if (!volume->read_wq) {
		destroy_workqueue(volume->submit_wq);
		return -ENOMEM;
	}
	return 0;
}

static struct sextant_volume *volume_make(const u8 *uuid)
{
	struct sextant_volume *volume = kzalloc(sizeof(*volume), GFP_KERNEL);
	int r = -ENOMEM;

	if (!volume)
		return ERR_PTR(-ENOMEM);
	volume_init(volume, uuid);
	volume->keys = sextant_keys_alloc();
	if (IS_ERR_OR_NULL(volume->keys)) {
		r = volume->keys ? PTR_ERR(volume->keys) : -ENOMEM;
		goto free_volume;
	}
	r = volume_init_queues(volume);
	if (r)
		goto free_keys;
	r = sextant_record_pools_init(volume);
	if (r)
		goto free_queues;
	r = sextant_read_pools_init(volume);
	if (r)
		goto free_records;
	volume->seal_crypt = sextant_crypt_alloc(volume->keys, GFP_KERNEL);
	r = -ENOMEM;
	if (!volume->seal_crypt)
		goto free_reads;
	__module_get(THIS_MODULE);
	return volume;

free_reads:
	sextant_read_pools_exit(volume);
free_records:
	sextant_record_pools_exit(volume);
free_queues:
	destroy_workqueue(volume->read_wq);
	destroy_workqueue(volume->submit_wq);
free_keys:
	sextant_keys_free(volume->keys);
free_volume:
	kfree(volume);
	return ERR_PTR(r);
}

static struct sextant_volume *find_locked(const u8 *uuid)
{
	struct sextant_volume *volume;

	lockdep_assert_held(&volumes_mutex);
	list_for_each_entry(volume, &volumes, link)
		if (!memcmp(volume->uuid, uuid, SEXTANT_UUID_BYTES))
			return volume;
	return NULL;
}

/* Takes back an orphan, or is the first table of a new volume. */
static void adopt(struct sextant_volume *volume, struct dm_target *ti, struct mapped_device *md)
{
	spin_lock(&volume->lock);
	volume->device = disk_devt(dm_disk(md));
	volume->table_sectors = ti->len;
	volume->unattached_jiffies = jiffies;
	if (volume->orphan_stop && volume->state == SEXTANT_VOLUME_STOPPING)
		volume->state = SEXTANT_VOLUME_RUNNING;
	volume->orphan_stop = false;
	spin_unlock(&volume->lock);
}

/**
 * sextant_volume_claim() - a table names a volume
 * @uuid: of the volume
 * @ti: target of the table; its device becomes the volume's
 *
 * Finds the volume or makes it. A reload names it twice for a while; an orphan
 * that drains is taken back.
 *
 * Context: may sleep (ctr). The new volume is made before volumes_mutex is
 * taken: making it may load a cipher's module or reclaim memory, and what that
 * waits for may need volumes_mutex.
 *
 * Return: the volume, claimed; -EBUSY when another device has it, -ENOMEM.
 */
struct sextant_volume *sextant_volume_claim(const u8 *uuid, struct dm_target *ti)
{
	struct mapped_device *md = dm_table_get_md(ti->table);
	struct sextant_volume *volume, *made = NULL;

	volume = sextant_volume_find(uuid);
	if (volume) {
		sextant_volume_put(volume);
	} else {
		made = volume_make(uuid);
		if (IS_ERR(made))
			return made;
	}
	mutex_lock(&volumes_mutex);
	volume = find_locked(uuid);
	if (volume && volume->users && volume->device != disk_devt(dm_disk(md))) {
		volume = ERR_PTR(-EBUSY);
	} else if (!volume && !made) {
		volume = ERR_PTR(-EAGAIN);	/* it was drained and freed just now */
	} else {
		if (!volume) {
			volume = made;
			made = NULL;
			list_add_tail(&volume->link, &volumes);
			queue_delayed_work(sextant_lifecycle_wq, &volume->tick_work,
					   msecs_to_jiffies(SEXTANT_TICK_MS));
		}
		if (!volume->users++)
			adopt(volume, ti, md);
	}
	mutex_unlock(&volumes_mutex);
	if (made)
		sextant_volume_put(made);
	return volume;
}

/**
 * sextant_volume_unclaim() - a table that named the volume goes
 * @volume: claimed
 *
 * The last one leaves an orphan that drains by itself: dtr does not wait.
 * Context: may sleep, but not for I/O.
 */
void sextant_volume_unclaim(struct sextant_volume *volume)
{
	mutex_lock(&volumes_mutex);
	if (!--volume->users) {
		spin_lock(&volume->lock);
		volume->device = 0;
		volume->orphan_stop = volume->state == SEXTANT_VOLUME_RUNNING;
		spin_unlock(&volume->lock);
		sextant_event_now(volume, SEXTANT_EVENT_DEVICE_REMOVED);
		if (volume->orphan_stop)
			sextant_volume_stop(volume);
		else
			sextant_volume_drained(volume);
	}
	mutex_unlock(&volumes_mutex);
}

/**
 * sextant_volume_forget() - drop a volume that no table names and nothing keeps
 * @volume: stopped, dead or never attached; referenced by the caller
 *
 * Context: lifecycle work, no locks. Return: true if it was dropped; the list's
 * reference is gone then and everything of the attach has been undone.
 */
bool sextant_volume_forget(struct sextant_volume *volume)
{
	mutex_lock(&volumes_mutex);
	if (volume->users || list_empty(&volume->link)) {
		mutex_unlock(&volumes_mutex);
		return false;
	}
	list_del_init(&volume->link);
	mutex_unlock(&volumes_mutex);
	cancel_delayed_work_sync(&volume->tick_work);
	mutex_lock(&volume->config);
	sextant_volume_clear_attach(volume);
	mutex_unlock(&volume->config);
	flush_work(&volume->event_work);
	sextant_volume_put(volume);
	return true;
}

/**
 * sextant_volume_find() - by UUID
 * @uuid: 16 bytes
 *
 * Context: may sleep. Return: the volume, referenced, or NULL.
 */
struct sextant_volume *sextant_volume_find(const u8 *uuid)
{
	struct sextant_volume *volume;

	mutex_lock(&volumes_mutex);
	volume = find_locked(uuid);
	if (volume)
		kref_get(&volume->refs);
	mutex_unlock(&volumes_mutex);
	return volume;
}

/**
 * sextant_volume_at() - for walking over all volumes
 * @index: in the list, from 0
 *
 * Context: may sleep. Return: the volume, referenced, or NULL behind the last.
 */
struct sextant_volume *sextant_volume_at(u32 index)
{
	struct sextant_volume *volume, *found = NULL;

	mutex_lock(&volumes_mutex);
	list_for_each_entry(volume, &volumes, link) {
		if (index--)
			continue;
		kref_get(&volume->refs);
		found = volume;
		break;
	}
	mutex_unlock(&volumes_mutex);
	return found;
}

int sextant_volumes_init(void)
{
	sextant_lifecycle_wq = alloc_workqueue("sextant_lifecycle", WQ_MEM_RECLAIM | WQ_UNBOUND, 0);
	return sextant_lifecycle_wq ? 0 : -ENOMEM;
}

/* The module goes: no volume is left, but the work that freed the last may be. */
void sextant_volumes_exit(void)
{
	destroy_workqueue(sextant_lifecycle_wq);
}
