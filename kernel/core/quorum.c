// SPDX-License-Identifier: GPL-2.0
/* Counting acknowledgements; see quorum.h. */
#include "quorum.h"

void sextant_quorum_init(struct sextant_quorum *quorum, u64 vdl)
{
	memset(quorum, 0, sizeof(*quorum));
	quorum->vdl = vdl;
}

void sextant_quorum_add(struct sextant_quorum *quorum, struct sextant_quorum_pg *pg,
			struct sextant_quorum_record *record)
{
	u32 peer;

	record->next = NULL;
	record->pg_next = NULL;
	record->pg = pg;
	record->acked = 0;
	if (quorum->tail)
		quorum->tail->next = record;
	else
		quorum->head = record;
	quorum->tail = record;
	if (pg->tail)
		pg->tail->pg_next = record;
	else
		pg->head = record;
	pg->tail = record;
	for (peer = 0; peer < SEXTANT_PEERS; peer++)
		if (!pg->cursor[peer])
			pg->cursor[peer] = record;
}

u32 sextant_quorum_run(struct sextant_quorum *quorum, struct sextant_quorum_pg *pg,
		       u32 peer, u64 start_lsn, u64 end_lsn)
{
	struct sextant_quorum_record *record = pg->cursor[peer];
	u32 counted = 0;

	if (start_lsn > quorum->vdl)
		return 0;
	while (record && record->last_lsn <= end_lsn) {
		record->acked |= 1u << peer;
		record = record->pg_next;
		counted++;
	}
	pg->cursor[peer] = record;
	return counted;
}

struct sextant_quorum_record *sextant_quorum_pop(struct sextant_quorum *quorum)
{
	struct sextant_quorum_record *record = quorum->head;
	struct sextant_quorum_pg *pg;
	u32 peer;

	if (!record || hweight8(record->acked) < SEXTANT_WRITE_QUORUM)
		return NULL;
	pg = record->pg;
	for (peer = 0; peer < SEXTANT_PEERS; peer++)
		if (pg->cursor[peer] == record)
			pg->cursor[peer] = record->pg_next;
	quorum->head = record->next;
	if (!quorum->head)
		quorum->tail = NULL;
	pg->head = record->pg_next;
	if (!pg->head)
		pg->tail = NULL;
	quorum->vdl = record->last_lsn;
	return record;
}

u64 sextant_quorum_peer_scl(const struct sextant_quorum *quorum, u32 peer)
{
	const struct sextant_quorum_record *record = quorum->head;
	u64 scl = quorum->vdl;

	while (record && (record->acked & (1u << peer))) {
		scl = record->last_lsn;
		record = record->next;
	}
	return scl;
}
