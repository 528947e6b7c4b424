/* SPDX-License-Identifier: GPL-2.0 */
/* How values are written for people and in files, and read back. */
#ifndef SEXTANT_TEXT_H
#define SEXTANT_TEXT_H

#include <sys/socket.h>

#include "core.h"

#define SEXTANT_UUID_TEXT_BYTES		37	/* NUL included */
#define SEXTANT_SIZE_TEXT_BYTES		24
#define SEXTANT_VOLUME_NAME_MAX		63

/* Lower-case hex of bytes bytes and a NUL: text has room for 2 * bytes + 1. */
void sextant_hex_format(char *text, const void *data, size_t bytes);

/* Exactly 2 * bytes hex digits, of either case, and the end. 0 or -EINVAL. */
int sextant_hex_parse(const char *text, void *data, size_t bytes);

/* "01234567-89ab-cdef-0123-456789abcdef"; parse takes upper case too. 0 or -EINVAL. */
void sextant_uuid_format(char text[SEXTANT_UUID_TEXT_BYTES], const u8 uuid[SEXTANT_UUID_BYTES]);
int sextant_uuid_parse(const char *text, u8 uuid[SEXTANT_UUID_BYTES]);

/* A random UUID (version 4). 0 or -errno of getrandom(2). */
int sextant_uuid_draw(u8 uuid[SEXTANT_UUID_BYTES]);

/* Are all bytes zero? */
bool sextant_is_zero(const void *data, size_t bytes);

/*
 * A name for a volume or a peer: 1 to 63 of A-Z a-z 0-9 . _ + -, the first one a
 * letter or a digit. So a name is never an option, a path or a UUID's rival in a
 * device's name.
 */
bool sextant_name_valid(const char *name);

/* Copies a string into a field of `room` bytes, zero-filled. 0, or -ENAMETOOLONG. */
int sextant_field_set(char *field, size_t room, const char *text);

/* Is the field of `room` bytes a string: a NUL within it and only zeros after? */
bool sextant_field_valid(const char *field, size_t room);

/*
 * "4096", "512K", "10G", "1T", also "10GiB": bytes in powers of 1024. 0, or
 * -EINVAL (not a size), -ERANGE (above 2^63 - 1).
 */
int sextant_size_parse(const char *text, u64 *bytes);

/* "10.0 GiB", for people. */
void sextant_size_format(char text[SEXTANT_SIZE_TEXT_BYTES], u64 bytes);

/* A whole decimal number from minimum to maximum. 0, -EINVAL or -ERANGE. */
int sextant_number_parse(const char *text, u64 minimum, u64 maximum, u64 *number);

/*
 * "192.0.2.1:4860" or "[2001:db8::1]:4860": numeric, so that no name service is
 * asked in the path of I/O. Fills the address and its length. 0 or -EINVAL.
 */
int sextant_address_parse(const char *text, struct sockaddr_storage *address, socklen_t *bytes);

#endif
