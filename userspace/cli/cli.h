/* SPDX-License-Identifier: GPL-2.0 */
/* The command line: commands, the daemon, the terminal. */
#ifndef SEXTANT_CLI_H
#define SEXTANT_CLI_H

#include <jansson.h>
#include <stdbool.h>

#include "control.h"

/* What is given before the command. */
struct cli {
	const char *config;		/* --config, or NULL */
	const char *socket;		/* --socket, or NULL */
};

/* A command: its words, what runs it, its help. argv[0] is its last word. */
struct cli_command {
	const char *name;
	int (*run)(const struct cli *cli, int argc, char **argv);
	const char *help;		/* the whole text */
};

/* Each returns the exit status, enum sextant_code. */
int cli_volume_create(const struct cli *cli, int argc, char **argv);
int cli_volume_attach(const struct cli *cli, int argc, char **argv);
int cli_volume_detach(const struct cli *cli, int argc, char **argv);
int cli_volume_delete(const struct cli *cli, int argc, char **argv);
int cli_volume_list(const struct cli *cli, int argc, char **argv);
int cli_volume_status(const struct cli *cli, int argc, char **argv);
int cli_peer_list(const struct cli *cli, int argc, char **argv);

extern const char cli_help_create[], cli_help_attach[], cli_help_detach[], cli_help_delete[];
extern const char cli_help_list[], cli_help_status[], cli_help_peer_list[];

/* Bad usage: the sentence and where help is, on stderr. Returns SEXTANT_CODE_USAGE. */
int cli_usage(const char *command, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* ---- the daemon (client.c) ------------------------------------------------ */

/* Connects and sends the request (the reference is taken). The fd, or -1 having said why. */
int cli_send(const struct cli *cli, json_t *request);

/*
 * The next result on a connection; progress goes to stderr meanwhile. A new
 * reference; or NULL having said why, with *code.
 */
json_t *cli_result(struct sextant_lines *lines, int *code);

/*
 * Sends, waits for the one result. 0 and *result, to be released; or the code to exit with,
 * having said why.
 */
int cli_ask(const struct cli *cli, json_t *request, json_t **result);

/* ---- the terminal (table.c) -------------------------------------------------- */

enum cli_color { CLI_PLAIN, CLI_BOLD, CLI_GREEN, CLI_YELLOW, CLI_RED, CLI_DIM };

/* Is this output for a person, and may it have colour (NO_COLOR, TERM=dumb)? */
bool cli_is_terminal(void);
bool cli_has_color(void);

/* Prints text in a colour, if there is any. */
void cli_print(enum cli_color color, const char *text);

struct cli_table;

/* An empty table with these headings, NULL at the end; '>' before one: to the right. */
struct cli_table *cli_table_new(const char * const *headings);

/* The next cell of the current row; a full row starts the next. */
void cli_cell(struct cli_table *table, enum cli_color color, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Prints the columns aligned, each line after `indent` blanks, and frees it. */
void cli_table_end(struct cli_table *table, unsigned int indent);

/* ---- values of results -------------------------------------------------------- */

/* A string, "-" where there is none. An integer, 0 where there is none. */
const char *cli_text(json_t *object, const char *key);
json_int_t cli_number(json_t *object, const char *key);

/* "10.0 GiB", "-" where there is none; "250 ms", "1.5 s". In a static buffer of four. */
const char *cli_size(json_t *object, const char *key);
const char *cli_time(json_int_t milliseconds);

/* Prints a result as JSON for scripts: indented, keys as documented. */
void cli_print_json(json_t *object);

#endif
