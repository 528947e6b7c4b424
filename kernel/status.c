// SPDX-License-Identifier: GPL-2.0
/* The status line: one line, fields in a fixed order; admin-guide.rst names them. */
#include <linux/device-mapper.h>

#include "connection.h"
#include "record.h"
#include "volume.h"

/* Oldest undurable write that still allows early completion. */
#define DIRTY_AGE_MAX	HZ

static const char * const state_names[] = {
	[SEXTANT_VOLUME_UNATTACHED]	= "unattached",
	[SEXTANT_VOLUME_ATTACHING]	= "attaching",
	[SEXTANT_VOLUME_RUNNING]	= "running",
	[SEXTANT_VOLUME_STOPPING]	= "stopping",
	[SEXTANT_VOLUME_STOPPED]	= "stopped",
	[SEXTANT_VOLUME_FENCED]		= "fenced",
	[SEXTANT_VOLUME_FAILED]		= "failed",
};

static const char * const mode_names[] = {
	[SEXTANT_MODE_VOLATILE]		= "volatile",
	[SEXTANT_MODE_WRITETHROUGH]	= "writethrough",
	[SEXTANT_MODE_GUARDED]		= "guarded",
};

static const char * const quorum_names[] = {
	[0]						= "none",
	[SEXTANT_QUORUM_WRITE]				= "write",
	[SEXTANT_QUORUM_READ]				= "read",
	[SEXTANT_QUORUM_WRITE | SEXTANT_QUORUM_READ]	= "both",
};

static unsigned long oldest_age(struct sextant_volume *volume)
{
	const struct sextant_quorum_record *oldest = volume->quorum.head;

	return oldest ? jiffies - container_of(oldest, struct sextant_record,
					       quorum)->taken_jiffies : 0;
}

/**
 * sextant_volume_mode() - how writes complete right now
 * @volume: whose
 *
 * A volume that lacks its write quorum, or whose oldest write has waited too
 * long, is guarded: it completes like writethrough until that is over.
 *
 * Context: volume->lock held.
 */
enum sextant_cache_mode sextant_volume_mode(struct sextant_volume *volume)
{
	lockdep_assert_held(&volume->lock);
	if (volume->options.writethrough)
		return SEXTANT_MODE_WRITETHROUGH;
	if (!volume->write_quorum || oldest_age(volume) > DIRTY_AGE_MAX)
		return SEXTANT_MODE_GUARDED;
	return SEXTANT_MODE_VOLATILE;
}

/**
 * sextant_status() - STATUSTYPE_INFO
 * @volume: whose
 * @result: the buffer of the status call
 * @maxlen: its size
 *
 * Context: may sleep.
 */
void sextant_status(struct sextant_volume *volume, char *result, unsigned int maxlen)
{
	unsigned int sz = 0;
	u32 i, set = 0;

	spin_lock(&volume->lock);
	for (i = 0; i < SEXTANT_PEERS; i++)
		set += volume->peers[i].set;
	DMEMIT("%s %s epoch %u vdl %llu next %llu dirty %llu/%llu age %u quorum %s faults %llu waiting %u peers %u",
	       state_names[volume->state], mode_names[sextant_volume_mode(volume)],
	       volume->ballot.epoch, sextant_volume_vdl(volume), volume->next_lsn,
	       volume->dirty_bytes, volume->options.max_dirty_bytes,
	       jiffies_to_msecs(oldest_age(volume)),
	       quorum_names[(volume->write_quorum ? SEXTANT_QUORUM_WRITE : 0) |
			    (volume->read_lease ? SEXTANT_QUORUM_READ : 0)],
	       volume->read_faults, volume->reads_parked, set);
	for (i = 0; i < SEXTANT_PEERS; i++) {
		const struct sextant_peer *peer = &volume->peers[i];

		if (peer->set)
			DMEMIT(" %s:%s:%llu", peer->name, peer->connection ? "up" : "down",
			       sextant_peer_scl(volume, i));
	}
	if (volume->state == SEXTANT_VOLUME_FENCED)
		DMEMIT(" fenced epoch %u by %s", volume->holder_epoch, volume->holder);
	spin_unlock(&volume->lock);
}
