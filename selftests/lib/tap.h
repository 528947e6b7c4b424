/* SPDX-License-Identifier: GPL-2.0 */
/*
 * TAP for tests written in C. A test is one .c file with a main() that calls
 * these and ends with `return done_testing();`.
 */
#ifndef SEXTANT_SELFTEST_TAP_H
#define SEXTANT_SELFTEST_TAP_H

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned int tap_count;
static unsigned int tap_failed;

#define TAP_UNUSED __attribute__((unused))
#define TAP_PRINTF(at, first) __attribute__((format(printf, at, first)))

/* A line for the reader. */
static void TAP_UNUSED TAP_PRINTF(1, 2) diag(const char *format, ...)
{
	va_list args;

	fputs("# ", stdout);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
}

static bool TAP_UNUSED TAP_PRINTF(4, 5)
tap_case(bool passed, const char *file, int line, const char *format, ...)
{
	va_list args;

	tap_count++;
	printf("%sok %u - ", passed ? "" : "not ", tap_count);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
	if (!passed) {
		tap_failed++;
		diag("at %s:%d", file, line);
	}
	/* A case that crashes the test must not take the earlier ones along. */
	fflush(stdout);
	return passed;
}

/* ok(condition, format, ...): one case; its value is whether it passed. */
#define ok(condition, ...) \
	tap_case((condition), __FILE__, __LINE__, __VA_ARGS__)

/* is_u64(got, wanted, format, ...): as ok(), and shows both numbers if not. */
#define is_u64(got, wanted, ...)                                            \
	({                                                                  \
		uint64_t tap_got = (got), tap_wanted = (wanted);            \
		bool tap_same = ok(tap_got == tap_wanted, __VA_ARGS__);     \
		if (!tap_same)                                              \
			diag("got %" PRIu64 " (0x%" PRIx64 "), wanted %"    \
			     PRIu64 " (0x%" PRIx64 ")",                     \
			     tap_got, tap_got, tap_wanted, tap_wanted);     \
		tap_same;                                                   \
	})

#define is_i64(got, wanted, ...)                                            \
	({                                                                  \
		int64_t tap_got = (got), tap_wanted = (wanted);             \
		bool tap_same = ok(tap_got == tap_wanted, __VA_ARGS__);     \
		if (!tap_same)                                              \
			diag("got %" PRId64 ", wanted %" PRId64,            \
			     tap_got, tap_wanted);                          \
		tap_same;                                                   \
	})

#define is_str(got, wanted, ...)                                            \
	({                                                                  \
		const char *tap_got = (got), *tap_wanted = (wanted);        \
		bool tap_same = ok(tap_got && tap_wanted &&                 \
				   !strcmp(tap_got, tap_wanted),            \
				   __VA_ARGS__);                            \
		if (!tap_same)                                              \
			diag("got '%s', wanted '%s'",                       \
			     tap_got ? tap_got : "(null)",                  \
			     tap_wanted ? tap_wanted : "(null)");           \
		tap_same;                                                   \
	})

static void TAP_UNUSED tap_dump(const char *name, const void *bytes, size_t size)
{
	const unsigned char *byte = bytes;

	printf("# %s", name);
	for (size_t i = 0; i < size; i++)
		printf(" %02x", byte[i]);
	putchar('\n');
}

#define is_mem(got, wanted, size, ...)                                      \
	({                                                                  \
		const void *tap_got = (got), *tap_wanted = (wanted);        \
		size_t tap_size = (size);                                   \
		bool tap_same = ok(!memcmp(tap_got, tap_wanted, tap_size),  \
				   __VA_ARGS__);                            \
		if (!tap_same) {                                            \
			tap_dump("got   ", tap_got, tap_size);              \
			tap_dump("wanted", tap_wanted, tap_size);           \
		}                                                           \
		tap_same;                                                   \
	})

/* One case that cannot be run here. */
static void TAP_UNUSED skip(const char *description, const char *reason)
{
	tap_count++;
	printf("ok %u - %s # SKIP %s\n", tap_count, description, reason);
}

/* Nothing further makes sense. */
static void TAP_UNUSED __attribute__((noreturn)) bail(const char *reason)
{
	ok(false, "%s", reason);
	printf("1..%u\nBail out! %s\n", tap_count, reason);
	exit(1);
}

/* The plan, and main()'s exit status. A test without a case has failed. */
static int TAP_UNUSED done_testing(void)
{
	printf("1..%u\n", tap_count);
	return tap_failed || !tap_count;
}

#endif
