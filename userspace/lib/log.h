/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Messages: one line each, to stderr. Under systemd (JOURNAL_STREAM is set) a
 * line starts with its level as the journal reads it ("<4>"), else with the
 * program's name.
 */
#ifndef SEXTANT_LOG_H
#define SEXTANT_LOG_H

enum sextant_log_level {
	SEXTANT_LOG_ERROR	= 3,
	SEXTANT_LOG_WARNING	= 4,
	SEXTANT_LOG_NOTICE	= 5,
	SEXTANT_LOG_INFO	= 6,
	SEXTANT_LOG_DEBUG	= 7,
};

/*
 * Names the program (a string that stays) and the highest level that is
 * printed. Without this call: "sextant", up to SEXTANT_LOG_INFO.
 */
void sextant_log_open(const char *program, enum sextant_log_level level_max);

/*
 * Prints one line; a newline is added, control characters are replaced. Keeps
 * errno. Longer than 1,000 bytes is cut.
 */
void sextant_log(enum sextant_log_level level, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif
