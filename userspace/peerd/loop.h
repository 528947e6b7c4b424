/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The event loop: one io_uring for network, disk and time. A process has one
 * loop and one thread; nothing here is to be called from another.
 *
 * A round of the loop handles every completion that is there, then the tasks
 * that were put off (which is how many records become one commit and many
 * acknowledgements one frame), then submits everything at once and waits.
 */
#ifndef SEXTANT_PEERD_LOOP_H
#define SEXTANT_PEERD_LOOP_H

#include <liburing.h>

#include "core.h"

/* An operation in the ring. Embedded in what it is for; one use at a time. */
struct loop_op {
	/* result: what the system call would return, errors as -errno. */
	void (*done)(struct loop_op *op, int result);
};

/* Something to do at the end of the round. Zeroed memory but for run is idle. */
struct loop_task {
	void (*run)(struct loop_task *task);
	struct loop_task *next;
	bool queued;
};

/* Something to do at a time. Zeroed memory but for run is idle. */
struct loop_timer {
	void (*run)(struct loop_timer *timer);
	struct loop_timer *next;
	u64 due_ms;
	bool armed;
};

/* 0, or -errno of io_uring_setup(2). */
int loop_init(void);
void loop_release(void);

/*
 * A prepared slot for op: the caller fills it with an io_uring_prep_*() call
 * and then calls loop_start(). Never NULL.
 */
struct io_uring_sqe *loop_sqe(void);
void loop_start(struct io_uring_sqe *sqe, struct loop_op *op);

/* Runs the task once at the end of this round, however often it is asked for. */
void loop_later(struct loop_task *task);

/* Takes a task back that was asked for and has not run. */
void loop_never(struct loop_task *task);

/* (Re)arms a timer; at the earliest in delay_ms. */
void loop_timer_set(struct loop_timer *timer, u64 delay_ms);
void loop_timer_stop(struct loop_timer *timer);

/* Milliseconds of the monotonic clock, as of this round's start. */
u64 loop_now_ms(void);

/* Runs until loop_stop(). 0, or -errno when the ring itself fails. */
int loop_run(void);
void loop_stop(void);

/*
 * Runs until pending() gives 0 and no longer; for the stop, when operations
 * must finish.
 */
int loop_drain(u32 (*pending)(void));

#endif
