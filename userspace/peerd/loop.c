// SPDX-License-Identifier: GPL-2.0
/* The event loop over io_uring. */
#include "loop.h"

#include <stdlib.h>
#include <time.h>

#include "log.h"

#define RING_ENTRIES	1024
#define CQE_BATCH	64

static struct {
	struct io_uring ring;
	struct loop_task *tasks, **tasks_end;
	struct loop_timer *timers;	/* by due_ms */
	u64 now_ms;
	bool stopped;
} loop;

static void clock_read(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	loop.now_ms = (u64)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int loop_init(void)
{
	static const u32 flags[] = {
		/* From Linux 6.1 on: completions run when this thread asks for them. */
		IORING_SETUP_CLAMP | (1u << 12) | (1u << 13),
		IORING_SETUP_CLAMP,
	};
	int rc = -EINVAL;

	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]) && rc == -EINVAL; i++)
		rc = io_uring_queue_init(RING_ENTRIES, &loop.ring, flags[i]);
	if (rc)
		return rc;
	loop.tasks_end = &loop.tasks;
	clock_read();
	return 0;
}

void loop_release(void)
{
	io_uring_queue_exit(&loop.ring);
}

struct io_uring_sqe *loop_sqe(void)
{
	struct io_uring_sqe *sqe;
	int rc;

	while (!(sqe = io_uring_get_sqe(&loop.ring))) {
		rc = io_uring_submit(&loop.ring);
		if (rc < 0 && rc != -EBUSY && rc != -EAGAIN && rc != -EINTR) {
			sextant_log(SEXTANT_LOG_ERROR, "io_uring refuses work: %s", strerror(-rc));
			abort();
		}
	}
	return sqe;
}

void loop_start(struct io_uring_sqe *sqe, struct loop_op *op)
{
	io_uring_sqe_set_data(sqe, op);
}

void loop_later(struct loop_task *task)
{
	if (task->queued)
		return;
	task->queued = true;
	task->next = NULL;
	*loop.tasks_end = task;
	loop.tasks_end = &task->next;
}

void loop_never(struct loop_task *task)
{
	struct loop_task **at = &loop.tasks;

	if (!task->queued)
		return;
	while (*at != task)
		at = &(*at)->next;
	*at = task->next;
	if (loop.tasks_end == &task->next)
		loop.tasks_end = at;
	task->queued = false;
}

void loop_timer_stop(struct loop_timer *timer)
{
	struct loop_timer **at = &loop.timers;

	if (!timer->armed)
		return;
	while (*at != timer)
		at = &(*at)->next;
	*at = timer->next;
	timer->armed = false;
}

void loop_timer_set(struct loop_timer *timer, u64 delay_ms)
{
	struct loop_timer **at = &loop.timers;

	loop_timer_stop(timer);
	timer->due_ms = loop.now_ms + delay_ms;
	while (*at && (*at)->due_ms <= timer->due_ms)
		at = &(*at)->next;
	timer->next = *at;
	*at = timer;
	timer->armed = true;
}

u64 loop_now_ms(void)
{
	return loop.now_ms;
}

static void run_timers(void)
{
	struct loop_timer *timer;

	while ((timer = loop.timers) && timer->due_ms <= loop.now_ms) {
		loop_timer_stop(timer);
		timer->run(timer);
	}
}

static void run_tasks(void)
{
	struct loop_task *task;

	while ((task = loop.tasks)) {
		loop.tasks = task->next;
		if (!loop.tasks)
			loop.tasks_end = &loop.tasks;
		task->queued = false;
		task->run(task);
	}
}

static int submit_and_wait(void)
{
	struct __kernel_timespec timeout = { .tv_sec = 3600 };
	struct io_uring_cqe *cqe;
	int rc;

	if (loop.timers) {
		u64 due_ms = loop.timers->due_ms;
		u64 wait_ms = due_ms > loop.now_ms ? due_ms - loop.now_ms : 0;

		timeout.tv_sec = wait_ms / 1000;
		timeout.tv_nsec = wait_ms % 1000 * 1000000;
	}
	rc = io_uring_submit_and_wait_timeout(&loop.ring, &cqe, 1, &timeout, NULL);
	if (rc >= 0 || rc == -ETIME || rc == -EINTR || rc == -EBUSY || rc == -EAGAIN)
		return 0;
	return rc;
}

static int run_round(void)
{
	struct io_uring_cqe *cqes[CQE_BATCH];
	u32 count;
	int rc;

	run_tasks();
	rc = submit_and_wait();
	clock_read();
	if (rc)
		return rc;
	while ((count = io_uring_peek_batch_cqe(&loop.ring, cqes, CQE_BATCH))) {
		for (u32 i = 0; i < count; i++) {
			struct loop_op *op = io_uring_cqe_get_data(cqes[i]);
			int result = cqes[i]->res;

			io_uring_cqe_seen(&loop.ring, cqes[i]);
			if (op)
				op->done(op, result);
		}
	}
	run_timers();
	return 0;
}

int loop_run(void)
{
	int rc = 0;

	while (!loop.stopped && !rc)
		rc = run_round();
	return rc;
}

void loop_stop(void)
{
	loop.stopped = true;
}

int loop_drain(u32 (*pending)(void))
{
	int rc = 0;

	while (pending() && !rc)
		rc = run_round();
	return rc;
}
