// SPDX-License-Identifier: GPL-2.0
/* Gossip. */
#include "gossip.h"

#include "handle.h"
#include "server.h"
#include "store.h"

void gossip_init(struct volume *volume) { (void)volume; }
void gossip_release(struct volume *volume) { (void)volume; }
void gossip_wake(struct volume *volume, bool everything) { (void)volume; (void)everything; }
void gossip_stop(struct volume *volume) { (void)volume; }

void gossip_missing(const struct volume *volume, u32 *pgs, u64 *lsns)
{
	*pgs = 0;
	*lsns = 0;
	for (u32 i = 0; i < volume->pg_count; i++) {
		const struct pg *pg = volume->pgs[i];
		u64 scl_lsn = pg ? segment_scl(&pg->segment).lsn : 0;

		if (volume->ends[i].tail_lsn <= scl_lsn)
			continue;
		*pgs += 1;
		*lsns += volume->ends[i].tail_lsn - scl_lsn;
	}
}

void handle_gossip(struct connection *connection, struct frame *frame)
{
	if (frame->type == SEXTANT_MSG_MANIFEST_GET)
		handle_manifest_get(connection, frame);
	else
		server_refuse(connection, frame, "a peer does not send this");
}
