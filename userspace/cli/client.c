// SPDX-License-Identifier: GPL-2.0
/* Talking to sextantd; see cli.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "cli.h"
#include "control_config.h"

/* The socket to use: --socket, else what the configuration says. */
static int socket_path(const struct cli *cli, struct sockaddr_un *address)
{
	static struct control_config config;
	const char *path = cli->socket;
	char error[512];

	if (!path) {
		if (control_config_read(&config, control_config_path(cli->config), error,
					sizeof(error))) {
			fprintf(stderr, "sextant: %s; name another with --config, or the socket with --socket\n",
				error);
			return -1;
		}
		path = config.socket;
	}
	if (strlen(path) >= sizeof(address->sun_path)) {
		fprintf(stderr, "sextant: the socket's path %s is too long\n", path);
		return -1;
	}
	address->sun_family = AF_UNIX;
	strcpy(address->sun_path, path);
	return 0;
}

int cli_send(const struct cli *cli, json_t *request)
{
	struct sockaddr_un address;
	int fd;

	memset(&address, 0, sizeof(address));
	if (socket_path(cli, &address)) {
		json_decref(request);
		return -1;
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address))) {
		fprintf(stderr, "sextant: sextantd does not answer at %s: %s; is it running (systemctl start sextantd), and are you root?\n",
			address.sun_path, strerror(errno));
		json_decref(request);
		if (fd >= 0)
			close(fd);
		return -1;
	}
	if (sextant_line_write(fd, request)) {
		fprintf(stderr, "sextant: sextantd hung up\n");
		close(fd);
		return -1;
	}
	return fd;
}

json_t *cli_result(struct sextant_lines *lines, int *code)
{
	const char *progress, *error;
	json_t *line;

	for (;;) {
		line = sextant_lines_next(lines, SEXTANT_CONTROL_LINE_MAX);
		if (!line) {
			fprintf(stderr, "sextant: sextantd hung up before it had answered: its log says why\n");
			*code = SEXTANT_CODE_UNREACHABLE;
			return NULL;
		}
		progress = json_string_value(json_object_get(line, "progress"));
		if (!progress)
			break;
		fprintf(stderr, "%s\n", progress);
		json_decref(line);
	}
	*code = SEXTANT_CODE_OK;
	if (json_is_true(json_object_get(line, "ok")))
		return line;
	error = json_string_value(json_object_get(line, "error"));
	*code = (int)json_integer_value(json_object_get(line, "code"));
	if (*code < SEXTANT_CODE_FAILED || *code > SEXTANT_CODE_UNREACHABLE)
		*code = SEXTANT_CODE_FAILED;
	fprintf(stderr, "sextant: %s\n", error ? error : "it failed, and sextantd did not say why");
	json_decref(line);
	return NULL;
}

int cli_ask(const struct cli *cli, json_t *request, json_t **result)
{
	struct sextant_lines lines = { .fd = cli_send(cli, request) };
	int code;

	if (lines.fd < 0)
		return SEXTANT_CODE_UNREACHABLE;
	*result = cli_result(&lines, &code);
	sextant_lines_release(&lines);
	close(lines.fd);
	return code;
}
