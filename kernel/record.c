// SPDX-License-Identifier: GPL-2.0
/* Memory of records: from pools, so that a write under memory pressure ends. */
#include <linux/slab.h>

#include "record.h"
#include "volume.h"

/* One record of the largest size can always be made; the submit worker makes one at a time. */
#define RECORDS_RESERVED	2
#define PAGES_RESERVED		(RECORDS_RESERVED * SEXTANT_RECORD_BLOCKS_MAX)

static struct kmem_cache *record_cache;

int sextant_record_cache_init(void)
{
	record_cache = KMEM_CACHE(sextant_record, 0);
	return record_cache ? 0 : -ENOMEM;
}

void sextant_record_cache_exit(void)
{
	kmem_cache_destroy(record_cache);
}

/**
 * sextant_record_pools_init() - reserve what one record needs
 * @volume: new
 *
 * Context: may sleep. Return: 0 or -ENOMEM, with nothing kept.
 */
int sextant_record_pools_init(struct sextant_volume *volume)
{
	int r = mempool_init_slab_pool(&volume->record_pool, RECORDS_RESERVED, record_cache);

	if (r)
		return r;
	r = mempool_init_page_pool(&volume->record_pages, PAGES_RESERVED, 0);
	if (r)
		mempool_exit(&volume->record_pool);
	return r;
}

void sextant_record_pools_exit(struct sextant_volume *volume)
{
	mempool_exit(&volume->record_pages);
	mempool_exit(&volume->record_pool);
}

/**
 * sextant_record_alloc() - a record with room for blocks
 * @volume: whose
 * @pages: sealed blocks it will hold, up to SEXTANT_RECORD_BLOCKS_MAX
 *
 * Context: the submit worker only, no locks: it waits for the pool when memory
 * is short, and what it waits for comes back when peers acknowledge.
 *
 * Return: the record, one reference, never NULL.
 */
struct sextant_record *sextant_record_alloc(struct sextant_volume *volume, u32 pages)
{
	struct sextant_record *record = mempool_alloc(&volume->record_pool, GFP_NOIO);

	memset(record, 0, sizeof(*record));
	refcount_set(&record->refs, 1);
	record->volume = volume;
	INIT_LIST_HEAD(&record->link);
	RB_CLEAR_NODE(&record->node);
	while (record->page_count < pages)
		record->pages[record->page_count++] =
			mempool_alloc(&volume->record_pages, GFP_NOIO);
	return record;
}

void sextant_record_get(struct sextant_record *record)
{
	refcount_inc(&record->refs);
}

/**
 * sextant_record_put() - let go of a record
 * @record: the last reference frees it and its pages
 *
 * Context: any that may take the pools' locks; does not sleep.
 */
void sextant_record_put(struct sextant_record *record)
{
	struct sextant_volume *volume = record->volume;

	if (!refcount_dec_and_test(&record->refs))
		return;
	while (record->page_count)
		mempool_free(record->pages[--record->page_count], &volume->record_pages);
	mempool_free(record, &volume->record_pool);
}
