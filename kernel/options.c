// SPDX-License-Identifier: GPL-2.0
/* Options of a table line: NAME or NAME=VALUE, each at most once. */
#include <linux/kstrtox.h>
#include <linux/mm.h>
#include <linux/sizes.h>

#include "options.h"

#define ATTACH_TIMEOUT_S	30
#define READ_TIMEOUT_MS		2000
#define PEER_QUEUE_BYTES	(16ULL << 20)
#define DIRTY_BYTES		(64ULL << 20)
#define DIRTY_PERCENT		2

enum option {
	OPTION_WRITETHROUGH,
	OPTION_NO_QUORUM,
	OPTION_MAX_DIRTY,
	OPTION_ATTACH_TIMEOUT,
	OPTION_READ_TIMEOUT,
	OPTION_PEER_QUEUE,
	OPTION_READ_VERIFY,
	OPTIONS,
};

static const char * const names[OPTIONS] = {
	[OPTION_WRITETHROUGH]	= "writethrough",
	[OPTION_NO_QUORUM]	= "no_quorum=",
	[OPTION_MAX_DIRTY]	= "max_dirty=",
	[OPTION_ATTACH_TIMEOUT]	= "attach_timeout=",
	[OPTION_READ_TIMEOUT]	= "read_timeout=",
	[OPTION_PEER_QUEUE]	= "peer_queue=",
	[OPTION_READ_VERIFY]	= "read_verify=",
};

static u64 default_dirty_bytes(void)
{
	u64 ram = (u64)totalram_pages() << PAGE_SHIFT;

	return min_t(u64, DIRTY_BYTES, max_t(u64, ram * DIRTY_PERCENT / 100, SZ_1M));
}

static void set_defaults(struct sextant_options *options)
{
	memset(options, 0, sizeof(*options));
	options->max_dirty_bytes = default_dirty_bytes();
	options->attach_timeout_s = ATTACH_TIMEOUT_S;
	options->read_timeout_ms = READ_TIMEOUT_MS;
	options->peer_queue_bytes = PEER_QUEUE_BYTES;
}

static int refuse(struct dm_target *ti, char *why)
{
	ti->error = why;
	return -EINVAL;
}

static bool parse_u64(const char *value, u64 low, u64 high, u64 *number)
{
	return !kstrtou64(value, 10, number) && *number >= low && *number <= high;
}

static int parse_value(struct dm_target *ti, struct sextant_options *options, enum option option,
		       const char *value)
{
	u64 number;

	switch (option) {
	case OPTION_WRITETHROUGH:
		options->writethrough = true;
		return 0;
	case OPTION_NO_QUORUM:
		if (!strcmp(value, "queue")) {
			options->no_quorum_s = 0;
			return 0;
		}
		if (strncmp(value, "error:", 6) || !parse_u64(value + 6, 1, 86400, &number))
			return refuse(ti, "no_quorum must be queue or error:SECONDS, 1 to 86400");
		options->no_quorum_s = number;
		return 0;
	case OPTION_MAX_DIRTY:
		if (!parse_u64(value, SZ_128K, SZ_1G, &number))
			return refuse(ti, "max_dirty must be bytes, 131072 to 1073741824");
		options->max_dirty_bytes = number;
		return 0;
	case OPTION_ATTACH_TIMEOUT:
		if (!parse_u64(value, 1, 86400, &number))
			return refuse(ti, "attach_timeout must be seconds, 1 to 86400");
		options->attach_timeout_s = number;
		return 0;
	case OPTION_READ_TIMEOUT:
		if (!parse_u64(value, 50, 600000, &number))
			return refuse(ti, "read_timeout must be milliseconds, 50 to 600000");
		options->read_timeout_ms = number;
		return 0;
	case OPTION_PEER_QUEUE:
		if (!parse_u64(value, SZ_1M, SZ_1G, &number))
			return refuse(ti, "peer_queue must be bytes, 1048576 to 1073741824");
		options->peer_queue_bytes = number;
		return 0;
	case OPTION_READ_VERIFY:
		if (!parse_u64(value, 0, 2, &number))
			return refuse(ti, "read_verify must be 0, 1 or 2");
		options->read_verify = number;
		return 0;
	default:
		return refuse(ti, "Unknown option");
	}
}

static int parse_one(struct dm_target *ti, struct sextant_options *options, const char *argument,
		     unsigned long *seen)
{
	enum option option;

	for (option = 0; option < OPTIONS; option++) {
		size_t length = strlen(names[option]);

		if (strncmp(argument, names[option], length))
			continue;
		if (names[option][length - 1] != '=' && argument[length])
			continue;
		if (*seen & BIT(option))
			return refuse(ti, "An option is given twice");
		*seen |= BIT(option);
		return parse_value(ti, options, option, argument + length);
	}
	return refuse(ti, "Unknown option: writethrough, no_quorum=, max_dirty=, attach_timeout=, read_timeout=, peer_queue= and read_verify= are known");
}

/**
 * sextant_options_parse() - what follows the UUID in a table line
 * @ti: for its error sentence
 * @args: at the number of options, or at the end
 * @options: filled, with defaults for what is not named
 *
 * Return: 0, or -EINVAL with ti->error set.
 */
int sextant_options_parse(struct dm_target *ti, struct dm_arg_set *args,
			  struct sextant_options *options)
{
	unsigned long seen = 0;
	unsigned int count;
	const char *text;
	int r;

	set_defaults(options);
	text = dm_shift_arg(args);
	if (!text)
		return 0;
	if (kstrtouint(text, 10, &count))
		return refuse(ti, "What follows the volume's UUID must be the number of options");
	if (count != args->argc)
		return refuse(ti, "The number of options is not the number of words that follow it");
	while (count--) {
		r = parse_one(ti, options, dm_shift_arg(args), &seen);
		if (r)
			return r;
	}
	return 0;
}
