// SPDX-License-Identifier: GPL-2.0
/* Progress and results; see report.h. */
#include "report.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "log.h"

int report_fail(struct report *report, enum sextant_code code, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(report->error, sizeof(report->error), format, arguments);
	va_end(arguments);
	report->code = code;
	return code;
}

void report_progress(struct report *report, const char *format, ...)
{
	char text[REPORT_ERROR_BYTES];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (report->fd < 0) {
		sextant_log(SEXTANT_LOG_INFO, "%s", text);
		return;
	}
	if (sextant_line_write(report->fd, json_pack("{s:s}", "progress", text))) {
		/* The client hung up; what it asked for goes on. */
		close(report->fd);
		report->fd = -1;
	}
}

void report_end(struct report *report, json_t *result)
{
	json_t *answer;

	if (report->code) {
		sextant_log(report->code == SEXTANT_CODE_USAGE ? SEXTANT_LOG_INFO :
			    SEXTANT_LOG_WARNING, "%s", report->error);
		json_decref(result);
		answer = json_pack("{s:b, s:i, s:s}", "ok", 0, "code", report->code, "error",
				   report->error);
	} else {
		answer = result ? result : json_object();
		json_object_set_new(answer, "ok", json_true());
	}
	if (report->fd < 0) {
		json_decref(answer);
		return;
	}
	sextant_line_write(report->fd, answer);
	close(report->fd);
	report->fd = -1;
}
