// SPDX-License-Identifier: GPL-2.0
/* The command line. */
#include "options.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "text.h"

#define LOG_BYTES_MAX_DEFAULT	(1ull << 30)
#define CHUNK_BYTES_DEFAULT	(4u << 20)
/* So that a chunk can be filled while others are emptied. */
#define CHUNKS_MIN		4

enum { OPTION_NAME = 256, OPTION_AZ, OPTION_LISTEN, OPTION_STORE, OPTION_LOG_BYTES_MAX,
       OPTION_CHUNK_BYTES, OPTION_DEBUG, OPTION_HELP, OPTION_VERSION };

static const struct option long_options[] = {
	{ "name", required_argument, NULL, OPTION_NAME },
	{ "az", required_argument, NULL, OPTION_AZ },
	{ "listen", required_argument, NULL, OPTION_LISTEN },
	{ "store", required_argument, NULL, OPTION_STORE },
	{ "log-bytes-max", required_argument, NULL, OPTION_LOG_BYTES_MAX },
	{ "chunk-bytes", required_argument, NULL, OPTION_CHUNK_BYTES },
	{ "debug", no_argument, NULL, OPTION_DEBUG },
	{ "help", no_argument, NULL, OPTION_HELP },
	{ "version", no_argument, NULL, OPTION_VERSION },
	{ NULL, 0, NULL, 0 },
};

static const char usage[] =
"sextant-peerd: keeps one of the six copies of Sextant volumes.\n"
"\n"
"  sextant-peerd --name NAME --az AZ --listen ADDRESS:PORT --store DIR [OPTION...]\n"
"\n"
"  --name NAME            this peer's name, such as az1a\n"
"  --az AZ                the Availability Zone it stands in, such as az1\n"
"  --listen ADDRESS:PORT  where to take connections: numeric, such as 10.0.0.1:7100\n"
"  --store DIR            where volumes are kept; a folder that exists\n"
"  --log-bytes-max SIZE   a volume's log at most, before its writer has to wait (1G)\n"
"  --chunk-bytes SIZE     of a log file, from 256K to 256M, a multiple of 4K (4M)\n"
"  --debug                say more\n"
"  --help, --version\n"
"\n"
"Exits with 0 when told to stop, 1 when it cannot start or go on, 2 on bad usage.\n";

static int __attribute__((format(printf, 1, 2))) refuse(const char *format, ...)
{
	va_list arguments;

	fputs("sextant-peerd: ", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputs("\n", stderr);
	return PEERD_EXIT_USAGE;
}

static int take_name(char *field, const char *option, const char *text)
{
	if (!sextant_name_valid(text))
		return refuse("--%s '%s' is not a name: 1 to 63 letters, digits and . _ + -, "
			      "a letter or digit first", option, text);
	sextant_field_set(field, SEXTANT_NAME_BYTES, text);
	return -1;
}

static int take_chunk_bytes(struct options *options, const char *text)
{
	u64 bytes;

	if (sextant_size_parse(text, &bytes) || bytes < OPTIONS_CHUNK_BYTES_MIN ||
	    bytes > OPTIONS_CHUNK_BYTES_MAX || bytes % SEXTANT_BLOCK_BYTES)
		return refuse("--chunk-bytes '%s' is not a multiple of 4K from 256K to 256M", text);
	options->chunk_bytes = (u32)bytes;
	return -1;
}

static int take(struct options *options, int option, const char *text)
{
	switch (option) {
	case OPTION_NAME:
		return take_name(options->name, "name", text);
	case OPTION_AZ:
		return take_name(options->az, "az", text);
	case OPTION_LISTEN:
		if (sextant_address_parse(text, &options->address, &options->address_bytes))
			return refuse("--listen '%s' is not ADDRESS:PORT; write it in numbers, "
				      "such as 10.0.0.1:7100", text);
		options->listen = text;
		return -1;
	case OPTION_STORE:
		options->store = text;
		return -1;
	case OPTION_LOG_BYTES_MAX:
		if (sextant_size_parse(text, &options->log_bytes_max))
			return refuse("--log-bytes-max '%s' is not a size such as 512M", text);
		return -1;
	case OPTION_CHUNK_BYTES:
		return take_chunk_bytes(options, text);
	case OPTION_DEBUG:
		options->debug = true;
		return -1;
	case OPTION_HELP:
		fputs(usage, stdout);
		return PEERD_EXIT_OK;
	case OPTION_VERSION:
		printf("sextant-peerd, protocol %d\n", SEXTANT_WIRE_VERSION);
		return PEERD_EXIT_OK;
	default:
		fputs("sextant-peerd: see sextant-peerd --help\n", stderr);
		return PEERD_EXIT_USAGE;
	}
}

int options_parse(struct options *options, int argc, char **argv)
{
	int option, rc;

	*options = (struct options){
		.log_bytes_max = LOG_BYTES_MAX_DEFAULT,
		.chunk_bytes = CHUNK_BYTES_DEFAULT,
	};
	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		rc = take(options, option, optarg);
		if (rc >= 0)
			return rc;
	}
	if (optind < argc)
		return refuse("'%s' is not an option", argv[optind]);
	if (!options->name[0])
		return refuse("--name is missing: this peer's name, such as az1a");
	if (!options->az[0])
		return refuse("--az is missing: the Availability Zone, such as az1");
	if (!options->listen)
		return refuse("--listen is missing: ADDRESS:PORT, such as 10.0.0.1:7100");
	if (!options->store)
		return refuse("--store is missing: the folder to keep volumes in");
	if (options->log_bytes_max < (u64)options->chunk_bytes * CHUNKS_MIN)
		return refuse("--log-bytes-max is too small: at least %d times --chunk-bytes (%u)",
			      CHUNKS_MIN, options->chunk_bytes);
	return -1;
}
