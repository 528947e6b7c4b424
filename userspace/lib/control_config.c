// SPDX-License-Identifier: GPL-2.0
/* sextant.conf; see control_config.h and sextant.conf(5). */
#include "control_config.h"

#include <ini.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "manifest.h"
#include "text.h"

/* inih goes on after a bad line; the first one is what counts. */
struct reading {
	struct control_config *config;
	FILE *file;
	int line;
	int why_line;		/* 0: nothing refused yet */
	char why[256];
};

static int refuse(struct reading *reading, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Returns 0, which is inih's "stop here". */
static int refuse(struct reading *reading, const char *format, ...)
{
	va_list arguments;

	if (reading->why_line)
		return 0;
	reading->why_line = reading->line;
	va_start(arguments, format);
	vsnprintf(reading->why, sizeof(reading->why), format, arguments);
	va_end(arguments);
	return 0;
}

static int take_path(struct reading *reading, char *to, const char *key, const char *value)
{
	if (value[0] != '/' || strlen(value) >= PATH_MAX)
		return refuse(reading, "%s must be an absolute path, not '%s'", key, value);
	strcpy(to, value);
	return 1;
}

static int take_name(struct reading *reading, char *to, const char *key, const char *value)
{
	if (!sextant_name_valid(value))
		return refuse(reading,
			      "%s must be 1 to 63 of A-Z a-z 0-9 . _ + -, a letter or digit first, not '%s'",
			      key, value);
	return !sextant_field_set(to, SEXTANT_NAME_BYTES, value);
}

static int take_ms(struct reading *reading, u32 *to, const char *key, const char *value,
		   u32 minimum, u32 maximum)
{
	u64 number;

	if (sextant_number_parse(value, minimum, maximum, &number))
		return refuse(reading, "%s must be a number of milliseconds from %u to %u, not '%s'",
			      key, minimum, maximum, value);
	*to = (u32)number;
	return 1;
}

static int take_control(struct reading *reading, const char *key, const char *value)
{
	struct control_config *config = reading->config;

	if (!strcmp(key, "socket"))
		return take_path(reading, config->socket, key, value);
	if (!strcmp(key, "state_dir"))
		return take_path(reading, config->state_dir, key, value);
	if (!strcmp(key, "key_dir"))
		return take_path(reading, config->key_dir, key, value);
	if (!strcmp(key, "host"))
		return take_name(reading, config->host, key, value);
	if (!strcmp(key, "az"))
		return take_name(reading, config->az, key, value);
	if (!strcmp(key, "lease_ms"))
		return take_ms(reading, &config->lease_ms, key, value, SEXTANT_LEASE_MS_MIN,
			       SEXTANT_LEASE_MS_MAX);
	if (!strcmp(key, "connect_timeout_ms"))
		return take_ms(reading, &config->connect_timeout_ms, key, value, 10, 60000);
	return refuse(reading, "[control] has no key '%s'; it has socket, state_dir, key_dir, host, az, lease_ms and connect_timeout_ms",
		      key);
}

static int take_peer(struct reading *reading, const char *name, const char *key,
		     const char *value)
{
	struct control_config *config = reading->config;
	struct sockaddr_storage address;
	struct control_peer *peer;
	socklen_t bytes;

	peer = (struct control_peer *)control_config_peer(config, name);
	if (!peer) {
		if (!sextant_name_valid(name))
			return refuse(reading, "'%s' is no name for a peer: 1 to 63 of A-Z a-z 0-9 . _ + -, a letter or digit first",
				      name);
		if (config->peer_count == SEXTANT_CONFIG_PEERS_MAX)
			return refuse(reading, "there are more than %d peers",
				      SEXTANT_CONFIG_PEERS_MAX);
		peer = &config->peers[config->peer_count++];
		sextant_field_set(peer->name, sizeof(peer->name), name);
	}
	if (!strcmp(key, "az"))
		return take_name(reading, peer->az, key, value);
	if (strcmp(key, "address"))
		return refuse(reading, "[peer %s] has no key '%s'; it has az and address", name, key);
	if (sextant_address_parse(value, &address, &bytes) ||
	    sextant_field_set(peer->address, sizeof(peer->address), value))
		return refuse(reading,
			      "address must be a numeric HOST:PORT such as 192.0.2.1:4860 or [2001:db8::1]:4860, not '%s'",
			      value);
	return 1;
}

/* inih calls this for each "key = value". */
static int take_value(void *context, const char *section, const char *key, const char *value)
{
	struct reading *reading = context;

	if (!strcmp(section, "control"))
		return take_control(reading, key, value);
	if (!strncmp(section, "peer ", 5))
		return take_peer(reading, section + 5 + strspn(section + 5, " "), key, value);
	return refuse(reading, "there is no section [%s]; there are [control] and [peer NAME]",
		      section);
}

/* fgets for inih, which counts the lines. */
static char *read_line(char *text, int room, void *context)
{
	struct reading *reading = context;
	size_t length;

	if (!fgets(text, room, reading->file))
		return NULL;
	reading->line++;
	length = strlen(text);
	if (length && text[length - 1] != '\n' && !feof(reading->file))
		refuse(reading, "the line is longer than %d bytes", room - 2);
	return text;
}

static void set_defaults(struct control_config *config)
{
	memset(config, 0, sizeof(*config));
	strcpy(config->socket, "/run/sextant/control.sock");
	strcpy(config->state_dir, "/run/sextant");
	strcpy(config->key_dir, "/etc/sextant/keys");
	if (gethostname(config->host, sizeof(config->host) - 1) || !config->host[0])
		strcpy(config->host, "localhost");
	config->lease_ms = SEXTANT_LEASE_MS_DEFAULT;
	config->connect_timeout_ms = 2000;
}

static int check_peers(const struct control_config *config, const char *path, char *error,
		       size_t error_bytes)
{
	u32 i;

	for (i = 0; i < config->peer_count; i++) {
		const struct control_peer *peer = &config->peers[i];

		if (peer->az[0] && peer->address[0])
			continue;
		snprintf(error, error_bytes, "%s: [peer %s] lacks %s: add it", path, peer->name,
			 peer->az[0] ? "address" : "az");
		return -EINVAL;
	}
	return 0;
}

const char *control_config_path(const char *path)
{
	if (!path)
		path = getenv("SEXTANT_CONFIG");
	return path && *path ? path : SEXTANT_CONFIG_PATH;
}

int control_config_read(struct control_config *config, const char *path, char *error,
			size_t error_bytes)
{
	struct reading reading = { .config = config };
	int line;

	set_defaults(config);
	reading.file = fopen(path, "re");
	if (!reading.file) {
		line = -errno;
		snprintf(error, error_bytes, "cannot read the configuration %s: %s", path,
			 strerror(errno));
		return line;
	}
	line = ini_parse_stream(read_line, &reading, take_value, &reading);
	fclose(reading.file);
	if (reading.why_line && (!line || reading.why_line <= line)) {
		snprintf(error, error_bytes, "%s:%d: %s", path, reading.why_line, reading.why);
		return -EINVAL;
	}
	if (line) {
		snprintf(error, error_bytes, "%s:%d: this is neither [section] nor key = value",
			 path, line);
		return -EINVAL;
	}
	return check_peers(config, path, error, error_bytes);
}

const struct control_peer *control_config_peer(const struct control_config *config,
					       const char *name)
{
	u32 i;

	for (i = 0; i < config->peer_count; i++)
		if (!strcmp(config->peers[i].name, name))
			return &config->peers[i];
	return NULL;
}
