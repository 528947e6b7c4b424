/* SPDX-License-Identifier: GPL-2.0 */
/* What becomes of an operation: progress and one result, to whoever asked. */
#ifndef SEXTANT_REPORT_H
#define SEXTANT_REPORT_H

#include "control.h"

#define REPORT_ERROR_BYTES	640

struct report {
	int fd;				/* of the asking client; -1: nobody waits */
	int code;			/* enum sextant_code of the failure, 0 */
	char error[REPORT_ERROR_BYTES];	/* one sentence: what is wrong, how to mend it */
};

/*
 * Notes a failure and returns code, so that a step can end with
 * "return report_fail(...)". The last one said stands.
 */
int report_fail(struct report *report, enum sextant_code code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Says what is being done or waited for; goes to the client, else to the log. */
void report_progress(struct report *report, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/*
 * Sends the result and closes the client: the failure noted, or success with
 * what `result` holds (may be NULL; the reference is taken). Logs a failure.
 */
void report_end(struct report *report, json_t *result);

#endif
