// SPDX-License-Identifier: GPL-2.0
/* Values as text; see text.h. */
#include "text.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

void sextant_hex_format(char *text, const void *data, size_t bytes)
{
	static const char digits[] = "0123456789abcdef";
	const u8 *from = data;
	size_t i;

	for (i = 0; i < bytes; i++) {
		text[2 * i] = digits[from[i] >> 4];
		text[2 * i + 1] = digits[from[i] & 15];
	}
	text[2 * bytes] = '\0';
}

static int hex_digit(char digit)
{
	if (digit >= '0' && digit <= '9')
		return digit - '0';
	if (digit >= 'a' && digit <= 'f')
		return digit - 'a' + 10;
	if (digit >= 'A' && digit <= 'F')
		return digit - 'A' + 10;
	return -1;
}

int sextant_hex_parse(const char *text, void *data, size_t bytes)
{
	u8 *to = data;
	size_t i;

	for (i = 0; i < bytes; i++) {
		int high = hex_digit(text[2 * i]);
		int low = high < 0 ? -1 : hex_digit(text[2 * i + 1]);

		if (low < 0)
			return -EINVAL;
		to[i] = (u8)(high << 4 | low);
	}
	return text[2 * bytes] ? -EINVAL : 0;
}

static bool uuid_dash_before(size_t byte)
{
	return byte == 4 || byte == 6 || byte == 8 || byte == 10;
}

void sextant_uuid_format(char text[SEXTANT_UUID_TEXT_BYTES], const u8 uuid[SEXTANT_UUID_BYTES])
{
	char *at = text;
	size_t i;

	for (i = 0; i < SEXTANT_UUID_BYTES; i++) {
		if (uuid_dash_before(i))
			*at++ = '-';
		sextant_hex_format(at, uuid + i, 1);
		at += 2;
	}
}

int sextant_uuid_parse(const char *text, u8 uuid[SEXTANT_UUID_BYTES])
{
	char pair[3] = "";
	size_t i;

	for (i = 0; i < SEXTANT_UUID_BYTES; i++) {
		if (uuid_dash_before(i) && *text++ != '-')
			return -EINVAL;
		pair[0] = text[0];
		pair[1] = text[0] ? text[1] : '\0';
		if (sextant_hex_parse(pair, uuid + i, 1))
			return -EINVAL;
		text += 2;
	}
	return *text ? -EINVAL : 0;
}

int sextant_uuid_draw(u8 uuid[SEXTANT_UUID_BYTES])
{
	if (getrandom(uuid, SEXTANT_UUID_BYTES, 0) != SEXTANT_UUID_BYTES)
		return -errno;
	uuid[6] = (u8)((uuid[6] & 0x0f) | 0x40);
	uuid[8] = (u8)((uuid[8] & 0x3f) | 0x80);
	return 0;
}

bool sextant_is_zero(const void *data, size_t bytes)
{
	const u8 *at = data;
	size_t i;

	for (i = 0; i < bytes; i++)
		if (at[i])
			return false;
	return true;
}

bool sextant_name_valid(const char *name)
{
	size_t i;

	if (!isalnum((unsigned char)name[0]))
		return false;
	for (i = 0; name[i]; i++)
		if (i >= SEXTANT_VOLUME_NAME_MAX ||
		    (!isalnum((unsigned char)name[i]) && !strchr("._+-", name[i])))
			return false;
	return true;
}

int sextant_field_set(char *field, size_t room, const char *text)
{
	size_t length = strlen(text);

	if (length >= room)
		return -ENAMETOOLONG;
	memset(field, 0, room);
	memcpy(field, text, length);
	return 0;
}

bool sextant_field_valid(const char *field, size_t room)
{
	size_t length = strnlen(field, room);

	return length < room && sextant_is_zero(field + length, room - length);
}

int sextant_size_parse(const char *text, u64 *bytes)
{
	static const char units[] = "KMGTPE";
	unsigned int shift = 0;
	const char *unit;
	u64 number = 0;

	if (!isdigit((unsigned char)*text))
		return -EINVAL;
	for (; isdigit((unsigned char)*text); text++) {
		if (number > (INT64_MAX - 9) / 10)
			return -ERANGE;
		number = number * 10 + (u64)(*text - '0');
	}
	if (*text && *text != 'B') {
		unit = strchr(units, toupper((unsigned char)*text));
		if (!unit)
			return -EINVAL;
		shift = 10 * (unsigned int)(unit - units + 1);
		text++;
		if (*text == 'i' && text[1] == 'B')
			text++;
	}
	if (*text == 'B')
		text++;
	if (*text)
		return -EINVAL;
	if (shift && number >> (63 - shift))
		return -ERANGE;
	*bytes = number << shift;
	return 0;
}

void sextant_size_format(char text[SEXTANT_SIZE_TEXT_BYTES], u64 bytes)
{
	static const char * const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	double value = (double)bytes;
	unsigned int unit = 0;

	while (value >= 1024 && unit < 6) {
		value /= 1024;
		unit++;
	}
	if (unit)
		snprintf(text, SEXTANT_SIZE_TEXT_BYTES, "%.1f %s", value, units[unit]);
	else
		snprintf(text, SEXTANT_SIZE_TEXT_BYTES, "%llu B", (unsigned long long)bytes);
}

int sextant_number_parse(const char *text, u64 minimum, u64 maximum, u64 *number)
{
	unsigned long long value;
	char *end;

	if (!isdigit((unsigned char)*text))
		return -EINVAL;
	errno = 0;
	value = strtoull(text, &end, 10);
	if (*end)
		return -EINVAL;
	if (errno || value < minimum || value > maximum)
		return -ERANGE;
	*number = value;
	return 0;
}

int sextant_address_parse(const char *text, struct sockaddr_storage *address, socklen_t *bytes)
{
	const char *colon = strrchr(text, ':');
	char host[SEXTANT_NAME_BYTES];
	size_t length;
	u64 port;

	if (!colon || sextant_number_parse(colon + 1, 1, 65535, &port))
		return -EINVAL;
	length = (size_t)(colon - text);
	if (!length || length >= sizeof(host))
		return -EINVAL;
	memcpy(host, text, length);
	host[length] = '\0';
	memset(address, 0, sizeof(*address));
	if (host[0] == '[' && host[length - 1] == ']') {
		struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)address;

		host[length - 1] = '\0';
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons((uint16_t)port);
		*bytes = sizeof(*v6);
		return inet_pton(AF_INET6, host + 1, &v6->sin6_addr) == 1 ? 0 : -EINVAL;
	} else {
		struct sockaddr_in *v4 = (struct sockaddr_in *)address;

		v4->sin_family = AF_INET;
		v4->sin_port = htons((uint16_t)port);
		*bytes = sizeof(*v4);
		return inet_pton(AF_INET, host, &v4->sin_addr) == 1 ? 0 : -EINVAL;
	}
}
