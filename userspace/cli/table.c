// SPDX-License-Identifier: GPL-2.0
/* Tables and colours; see cli.h. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "text.h"

#define CELL_BYTES	96
#define COLUMNS_MAX	16

struct cell {
	char text[CELL_BYTES];
	enum cli_color color;
};

struct cli_table {
	const char * const *headings;
	unsigned int columns;
	size_t count, room;
	struct cell *cells;
};

bool cli_is_terminal(void)
{
	return isatty(STDOUT_FILENO);
}

bool cli_has_color(void)
{
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");

	return cli_is_terminal() && !(no_color && *no_color) && term && strcmp(term, "dumb");
}

static const char *color_code(enum cli_color color)
{
	static const char * const codes[] = {
		[CLI_PLAIN] = "", [CLI_BOLD] = "\033[1m", [CLI_GREEN] = "\033[32m",
		[CLI_YELLOW] = "\033[33m", [CLI_RED] = "\033[31m", [CLI_DIM] = "\033[2m",
	};

	return codes[color];
}

static void print_padded(enum cli_color color, const char *text, int width)
{
	bool colored = color != CLI_PLAIN && cli_has_color();

	printf("%s%*s%s", colored ? color_code(color) : "", width, text, colored ? "\033[0m" : "");
}

void cli_print(enum cli_color color, const char *text)
{
	print_padded(color, text, 0);
}

struct cli_table *cli_table_new(const char * const *headings)
{
	struct cli_table *table = calloc(1, sizeof(*table));

	if (!table)
		abort();
	table->headings = headings;
	while (headings[table->columns] && table->columns < COLUMNS_MAX)
		table->columns++;
	return table;
}

void cli_cell(struct cli_table *table, enum cli_color color, const char *format, ...)
{
	struct cell *grown;
	va_list arguments;

	if (table->count == table->room) {
		table->room = table->room ? 2 * table->room : 64;
		grown = realloc(table->cells, table->room * sizeof(*grown));
		if (!grown)
			abort();
		table->cells = grown;
	}
	table->cells[table->count].color = color;
	va_start(arguments, format);
	vsnprintf(table->cells[table->count].text, CELL_BYTES, format, arguments);
	va_end(arguments);
	table->count++;
}

static bool right_aligned(const struct cli_table *table, unsigned int column)
{
	return table->headings[column][0] == '>';
}

static const char *heading(const struct cli_table *table, unsigned int column)
{
	return table->headings[column] + right_aligned(table, column);
}

static void print_cell(const struct cli_table *table, unsigned int column, int width,
		       enum cli_color color, const char *text)
{
	bool last = column + 1 == table->columns;

	if (right_aligned(table, column))
		print_padded(color, text, width);
	else
		print_padded(color, text, last ? 0 : -width);
	fputs(last ? "\n" : "  ", stdout);
}

void cli_table_end(struct cli_table *table, unsigned int indent)
{
	int widths[COLUMNS_MAX];
	unsigned int column;
	size_t i;

	for (column = 0; column < table->columns; column++)
		widths[column] = (int)strlen(heading(table, column));
	for (i = 0; i < table->count; i++) {
		int width = (int)strlen(table->cells[i].text);

		if (width > widths[i % table->columns])
			widths[i % table->columns] = width;
	}
	printf("%*s", (int)indent, "");
	for (column = 0; column < table->columns; column++)
		print_cell(table, column, widths[column], CLI_BOLD, heading(table, column));
	for (i = 0; i < table->count; i++) {
		column = (unsigned int)(i % table->columns);
		if (!column)
			printf("%*s", (int)indent, "");
		print_cell(table, column, widths[column], table->cells[i].color,
			   table->cells[i].text);
	}
	free(table->cells);
	free(table);
}

const char *cli_text(json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "-";
}

json_int_t cli_number(json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

/* Room for a few values in one line of output. */
static char *next_buffer(void)
{
	static char buffers[4][SEXTANT_SIZE_TEXT_BYTES];
	static unsigned int next;

	return buffers[next++ % 4];
}

const char *cli_size(json_t *object, const char *key)
{
	json_t *value = json_object_get(object, key);
	char *text = next_buffer();

	if (!json_is_integer(value))
		return "-";
	sextant_size_format(text, (u64)json_integer_value(value));
	return text;
}

const char *cli_time(json_int_t milliseconds)
{
	char *text = next_buffer();

	if (milliseconds < 1000)
		snprintf(text, SEXTANT_SIZE_TEXT_BYTES, "%lld ms", (long long)milliseconds);
	else if (milliseconds < 100000)
		snprintf(text, SEXTANT_SIZE_TEXT_BYTES, "%.1f s", (double)milliseconds / 1000);
	else
		snprintf(text, SEXTANT_SIZE_TEXT_BYTES, "%lld s", (long long)milliseconds / 1000);
	return text;
}

void cli_print_json(json_t *object)
{
	json_object_del(object, "ok");
	json_dumpf(object, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
	putchar('\n');
	fflush(stdout);
}
