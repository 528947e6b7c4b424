// SPDX-License-Identifier: GPL-2.0
/*
 * Counting acknowledgements: by hand, then beside a model that knows for every
 * record and peer whether it is durable there, over random histories.
 */
#include "quorum.h"
#include "tap.h"

#define PGS		3
#define RECORDS		400
#define HISTORIES	300

static void test_by_hand(void)
{
	struct sextant_quorum_record a = { .first_lsn = 11, .last_lsn = 12 };
	struct sextant_quorum_record b = { .first_lsn = 13, .last_lsn = 13 };
	struct sextant_quorum_record c = { .first_lsn = 14, .last_lsn = 20 };
	struct sextant_quorum_pg one = { 0 }, two = { 0 };
	struct sextant_quorum quorum;
	u32 peer;

	sextant_quorum_init(&quorum, 10);
	sextant_quorum_add(&quorum, &one, &a);
	sextant_quorum_add(&quorum, &two, &b);
	sextant_quorum_add(&quorum, &one, &c);
	for (peer = 0; peer < 4; peer++)
		sextant_quorum_run(&quorum, &two, peer, 0, 13);
	ok(!sextant_quorum_pop(&quorum), "a durable record waits for the one before it");
	for (peer = 0; peer < 3; peer++)
		sextant_quorum_run(&quorum, &one, peer, 10, 12);
	ok(!sextant_quorum_pop(&quorum), "three peers are no write quorum");
	is_u64(sextant_quorum_run(&quorum, &one, 4, 11, 20), 0, "a run behind a hole does not count");
	ok(!sextant_quorum_pop(&quorum), "nor does it make a quorum");
	sextant_quorum_run(&quorum, &one, 5, 9, 12);
	ok(sextant_quorum_pop(&quorum) == &a && quorum.vdl == 12, "the fourth moves VDL");
	ok(sextant_quorum_pop(&quorum) == &b && quorum.vdl == 13, "and the next follows");
	ok(!sextant_quorum_pop(&quorum), "the third has no peer yet");
	is_u64(sextant_quorum_run(&quorum, &one, 4, 12, 19), 0, "a run that ends inside does not count");
	is_u64(sextant_quorum_run(&quorum, &one, 4, 12, 20), 1, "the laggard's run counts now");
	is_u64(sextant_quorum_run(&quorum, &one, 4, 12, 20), 0, "and only once");
	is_u64(sextant_quorum_peer_scl(&quorum, 4), 20, "it has everything");
	is_u64(sextant_quorum_peer_scl(&quorum, 0), 13, "another has not");
}

static unsigned int seed;

static u32 draw(u32 below)
{
	seed = seed * 1103515245 + 12345;
	return (seed >> 8) % below;
}

/* What is known apart from the code under test. */
struct model {
	struct sextant_quorum_record records[RECORDS];
	u32 pg[RECORDS];
	bool held[SEXTANT_PEERS][RECORDS];
	u32 count;
};

/* A peer's run that ends with record `end`, as far back as it has no hole. */
static void report(struct model *model, struct sextant_quorum *quorum,
		   struct sextant_quorum_pg *pgs, u32 peer, u32 end)
{
	u64 start_lsn = 0;
	u32 i;

	for (i = end; i-- > 0;) {
		if (model->pg[i] != model->pg[end] || model->held[peer][i])
			continue;
		start_lsn = model->records[i].last_lsn;
		break;
	}
	sextant_quorum_run(quorum, &pgs[model->pg[end]], peer, start_lsn,
			   model->records[end].last_lsn);
}

/* VDL never passes a record that fewer than four hold. */
static bool history_is_right(void)
{
	struct sextant_quorum_pg pgs[PGS] = { 0 };
	struct sextant_quorum quorum;
	static struct model model;
	u32 popped = 0, step;
	u64 lsn = 1;

	memset(&model, 0, sizeof(model));
	sextant_quorum_init(&quorum, 0);
	for (step = 0; step < RECORDS * 12; step++) {
		struct sextant_quorum_record *durable;
		u32 peer = draw(SEXTANT_PEERS);

		if (model.count < RECORDS && !draw(4)) {
			struct sextant_quorum_record *record = &model.records[model.count];

			record->first_lsn = lsn;
			record->last_lsn = lsn + draw(32);
			lsn = record->last_lsn + 1;
			model.pg[model.count] = draw(PGS);
			sextant_quorum_add(&quorum, &pgs[model.pg[model.count++]], record);
		} else if (model.count) {
			u32 at = popped + draw(model.count - popped + 1);

			at = at < model.count ? at : model.count - 1;
			model.held[peer][at] = true;
			report(&model, &quorum, pgs, peer, at);
		}
		while ((durable = sextant_quorum_pop(&quorum))) {
			u32 holders = 0;

			if (durable != &model.records[popped])
				return false;
			for (peer = 0; peer < SEXTANT_PEERS; peer++)
				holders += model.held[peer][popped];
			if (holders < SEXTANT_WRITE_QUORUM || quorum.vdl != durable->last_lsn)
				return false;
			popped++;
		}
	}
	return popped > 0;
}

int main(void)
{
	u32 history, right = 0;

	test_by_hand();
	for (history = 0; history < HISTORIES; history++) {
		seed = history + 1;
		if (history_is_right())
			right++;
		else
			diag("seed %u", history + 1);
	}
	is_u64(right, HISTORIES, "VDL never passes a record that fewer than four hold");
	return done_testing();
}
