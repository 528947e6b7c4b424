// SPDX-License-Identifier: GPL-2.0
/* Messages to stderr; see log.h. */
#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINE_BYTES_MAX	1024

static const char *log_program = "sextant";
static enum sextant_log_level log_level_max = SEXTANT_LOG_INFO;

void sextant_log_open(const char *program, enum sextant_log_level level_max)
{
	log_program = program;
	log_level_max = level_max;
}

void sextant_log(enum sextant_log_level level, const char *format, ...)
{
	char line[LINE_BYTES_MAX];
	int errno_saved = errno;
	int start, length, i;
	va_list arguments;

	if (level > log_level_max)
		return;
	if (getenv("JOURNAL_STREAM"))
		start = snprintf(line, sizeof(line), "<%d>", level);
	else
		start = snprintf(line, sizeof(line), "%s: ", log_program);
	va_start(arguments, format);
	length = start + vsnprintf(line + start, sizeof(line) - (size_t)start - 1, format,
				   arguments);
	va_end(arguments);
	if (length > LINE_BYTES_MAX - 2)
		length = LINE_BYTES_MAX - 2;
	for (i = start; i < length; i++)
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			line[i] = ' ';
	line[length++] = '\n';
	/* One write for each line, so that lines of several processes do not mix. */
	if (write(STDERR_FILENO, line, (size_t)length) < 0)
		length = 0;
	errno = errno_saved;
}
