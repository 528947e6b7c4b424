// SPDX-License-Identifier: GPL-2.0
/*
 * The manifest's encoding; see manifest.h. All numbers are little-endian.
 *
 *   header   magic (8) version (4) bytes (4, all of it) crc (4, of the sections)
 *            reserved (4, zero)
 *   section  tag (4) bytes (4, of the payload) payload
 */
#include "manifest.h"

#include <stdlib.h>

#include "text.h"

#define MANIFEST_VERSION	1

#define SECTION_MUST		0x80000000u
#define SECTION_VOLUME		(SECTION_MUST | 1)
#define SECTION_CHANGE		(SECTION_MUST | 2)
#define SECTION_PEERS		(SECTION_MUST | 3)
#define SECTION_GENERATION	(SECTION_MUST | 4)	/* one for each, in order */
#define SECTION_TABLE		(SECTION_MUST | 5)

static const char manifest_magic[8] = "SXTMANIF";

struct manifest_header {
	char   magic[8];
	__le32 version;
	__le32 bytes;
	__le32 crc;
	__le32 reserved;
};

struct section_header {
	__le32 tag;
	__le32 bytes;
};

struct section_volume {
	u8     volume[SEXTANT_UUID_BYTES];
	char   name[SEXTANT_NAME_BYTES];
	__le64 size_blocks;
	__le32 pg_blocks;
	__le32 region;
	__le32 transport;
	__le32 lease_ms;
	__le64 created_unix_s;
};

struct section_change {
	struct sextant_wire_ballot ballot;
	__le64 sequence;
};

struct section_generation {
	u8     origin[SEXTANT_UUID_BYTES];
	u8     commitment[SEXTANT_COMMIT_BYTES];
	char   key_name[SEXTANT_NAME_BYTES];
	__le64 first_lsn;
	__le32 generation;
	__le32 wrapped_bytes;	/* that many follow */
};

/* ---- what a manifest must keep to ------------------------------------ */

static const char *check_volume(const struct sextant_manifest *m)
{
	if (sextant_is_zero(m->volume, sizeof(m->volume)))
		return "the volume has no UUID";
	if (!sextant_field_valid(m->name, sizeof(m->name)) || !sextant_name_valid(m->name))
		return "the volume's name is not a name";
	if (!m->size_blocks || m->size_blocks > INT64_MAX >> SEXTANT_BLOCK_SHIFT)
		return "the volume's size is zero or too large";
	if (!m->pg_blocks || m->pg_blocks % SEXTANT_RECORD_BLOCKS_MAX)
		return "the size of a protection group is not a multiple of 128 KiB";
	if ((m->size_blocks - 1) / m->pg_blocks >= UINT32_MAX)
		return "the volume has too many protection groups";
	if (m->region >= SEXTANT_REGIONS)
		return "the Region's number is above 7";
	if (m->transport != SEXTANT_TRANSPORT_TLS && m->transport != SEXTANT_TRANSPORT_PLAIN)
		return "the transport is unknown";
	if (m->lease_ms && (m->lease_ms < SEXTANT_LEASE_MS_MIN ||
			    m->lease_ms > SEXTANT_LEASE_MS_MAX))
		return "the lease is not within 0.5 s and 30 s";
	if (!m->ballot.epoch || m->ballot.epoch > SEXTANT_EPOCH_MAX || !m->sequence)
		return "the change has no ballot or no sequence number";
	return NULL;
}

static bool same_address(const char *a, const char *b)
{
	struct sockaddr_storage address_a, address_b;
	socklen_t bytes_a, bytes_b;

	return !sextant_address_parse(a, &address_a, &bytes_a) &&
	       !sextant_address_parse(b, &address_b, &bytes_b) &&
	       bytes_a == bytes_b && !memcmp(&address_a, &address_b, bytes_a);
}

static const char *check_peer(const struct sextant_manifest_peer *peer)
{
	struct sockaddr_storage address;
	socklen_t bytes;

	if (!sextant_field_valid(peer->name, sizeof(peer->name)) ||
	    !sextant_name_valid(peer->name))
		return "a peer's name is not a name";
	if (!sextant_field_valid(peer->az, sizeof(peer->az)) || !sextant_name_valid(peer->az))
		return "a peer's Availability Zone is not a name";
	if (!sextant_field_valid(peer->address, sizeof(peer->address)) ||
	    sextant_address_parse(peer->address, &address, &bytes))
		return "a peer's address is not a numeric host:port";
	if (sextant_is_zero(peer->incarnation, sizeof(peer->incarnation)))
		return "a peer has no store incarnation";
	return NULL;
}

static const char *check_peers(const struct sextant_manifest *m)
{
	const char *why;
	u32 a, b, in_az;

	for (a = 0; a < SEXTANT_PEERS; a++) {
		why = check_peer(&m->peers[a]);
		if (why)
			return why;
		in_az = 0;
		for (b = 0; b < SEXTANT_PEERS; b++) {
			if (!strcmp(m->peers[a].az, m->peers[b].az))
				in_az++;
			if (a == b)
				continue;
			if (!strcmp(m->peers[a].name, m->peers[b].name))
				return "two peers have one name";
			if (same_address(m->peers[a].address, m->peers[b].address))
				return "two peers have one address";
		}
		if (in_az != 2)
			return "the peers are not two in each of three Availability Zones";
	}
	return NULL;
}

static const char *check_generations(const struct sextant_manifest *m)
{
	u32 i;

	if (!m->generation_count || m->generation_count > SEXTANT_MANIFEST_GENERATIONS_MAX)
		return "there is no key generation, or there are too many";
	for (i = 0; i < m->generation_count; i++) {
		const struct sextant_manifest_generation *g = &m->generations[i];

		if (!g->generation || (i && g->generation <= g[-1].generation) ||
		    (i && g->first_lsn < g[-1].first_lsn))
			return "the key generations do not rise";
		if (!sextant_field_valid(g->key_name, sizeof(g->key_name)) || !g->key_name[0])
			return "a key generation names no key";
		if (g->wrapped_bytes > SEXTANT_WRAPPED_KEY_BYTES_MAX)
			return "a wrapped key is too long";
	}
	return NULL;
}

static const char *check_manifest(const struct sextant_manifest *m)
{
	struct sextant_table table = { m->table_count, m->table };
	const char *why;

	why = check_volume(m);
	if (!why)
		why = check_peers(m);
	if (!why)
		why = check_generations(m);
	if (why)
		return why;
	if (!sextant_table_valid(&table))
		return "the epoch table does not rise";
	if (table.count && le32_to_cpu(table.entries[table.count - 1].epoch) > m->ballot.epoch)
		return "the epoch table is above the ballot that changed the manifest";
	return NULL;
}

/* ---- encoding --------------------------------------------------------- */

static size_t encoded_bytes(const struct sextant_manifest *m)
{
	size_t bytes = sizeof(struct manifest_header) + 4 * sizeof(struct section_header) +
		       sizeof(struct section_volume) + sizeof(struct section_change) +
		       sizeof(m->peers) + m->table_count * sizeof(m->table[0]);
	u32 i;

	for (i = 0; i < m->generation_count; i++)
		bytes += sizeof(struct section_header) + sizeof(struct section_generation) +
			 m->generations[i].wrapped_bytes;
	return bytes;
}

static u8 *put(u8 *at, const void *from, size_t bytes)
{
	if (bytes)
		memcpy(at, from, bytes);
	return at + bytes;
}

static u8 *put_header(u8 *at, u32 tag, size_t bytes)
{
	struct section_header header = { cpu_to_le32(tag), cpu_to_le32((u32)bytes) };

	return put(at, &header, sizeof(header));
}

static u8 *put_volume(u8 *at, const struct sextant_manifest *m)
{
	struct section_volume volume = {
		.size_blocks = cpu_to_le64(m->size_blocks),
		.pg_blocks = cpu_to_le32(m->pg_blocks),
		.region = cpu_to_le32(m->region),
		.transport = cpu_to_le32(m->transport),
		.lease_ms = cpu_to_le32(m->lease_ms ? m->lease_ms : SEXTANT_LEASE_MS_DEFAULT),
		.created_unix_s = cpu_to_le64(m->created_unix_s),
	};
	struct section_change change = { .sequence = cpu_to_le64(m->sequence) };

	memcpy(volume.volume, m->volume, sizeof(volume.volume));
	memcpy(volume.name, m->name, sizeof(volume.name));
	at = put_header(at, SECTION_VOLUME, sizeof(volume));
	at = put(at, &volume, sizeof(volume));
	sextant_ballot_to_wire(&change.ballot, &m->ballot);
	at = put_header(at, SECTION_CHANGE, sizeof(change));
	return put(at, &change, sizeof(change));
}

static u8 *put_generation(u8 *at, const struct sextant_manifest_generation *g)
{
	struct section_generation section = {
		.first_lsn = cpu_to_le64(g->first_lsn),
		.generation = cpu_to_le32(g->generation),
		.wrapped_bytes = cpu_to_le32(g->wrapped_bytes),
	};

	memcpy(section.origin, g->origin, sizeof(section.origin));
	memcpy(section.commitment, g->commitment, sizeof(section.commitment));
	memcpy(section.key_name, g->key_name, sizeof(section.key_name));
	at = put_header(at, SECTION_GENERATION, sizeof(section) + g->wrapped_bytes);
	at = put(at, &section, sizeof(section));
	return put(at, g->wrapped, g->wrapped_bytes);
}

int sextant_manifest_encode(const struct sextant_manifest *manifest, u8 **bytes, size_t *size)
{
	struct manifest_header header = { .version = cpu_to_le32(MANIFEST_VERSION) };
	u8 *start, *at;
	size_t total;
	u32 i;

	if (check_manifest(manifest))
		return -EINVAL;
	total = encoded_bytes(manifest);
	if (total > SEXTANT_MANIFEST_BYTES_MAX)
		return -EINVAL;
	start = malloc(total);
	if (!start)
		return -ENOMEM;
	at = put_volume(start + sizeof(header), manifest);
	at = put_header(at, SECTION_PEERS, sizeof(manifest->peers));
	at = put(at, manifest->peers, sizeof(manifest->peers));
	for (i = 0; i < manifest->generation_count; i++)
		at = put_generation(at, &manifest->generations[i]);
	at = put_header(at, SECTION_TABLE, manifest->table_count * sizeof(manifest->table[0]));
	put(at, manifest->table, manifest->table_count * sizeof(manifest->table[0]));

	memcpy(header.magic, manifest_magic, sizeof(header.magic));
	header.bytes = cpu_to_le32((u32)total);
	header.crc = cpu_to_le32(sextant_crc32c(start + sizeof(header), total - sizeof(header)));
	memcpy(start, &header, sizeof(header));
	*bytes = start;
	*size = total;
	return 0;
}

/* ---- decoding --------------------------------------------------------- */

/* What has been seen of the sections that come once. */
struct decoding {
	struct sextant_manifest *manifest;
	bool volume, change, peers, table;
	const char *why;
};

static int refuse(struct decoding *d, const char *why)
{
	d->why = why;
	return -EINVAL;
}

static int take_volume(struct decoding *d, const u8 *payload, size_t bytes)
{
	struct sextant_manifest *m = d->manifest;
	struct section_volume volume;

	if (d->volume || bytes != sizeof(volume))
		return refuse(d, "the volume section is doubled or of a wrong length");
	memcpy(&volume, payload, sizeof(volume));
	memcpy(m->volume, volume.volume, sizeof(m->volume));
	memcpy(m->name, volume.name, sizeof(m->name));
	m->size_blocks = le64_to_cpu(volume.size_blocks);
	m->pg_blocks = le32_to_cpu(volume.pg_blocks);
	m->region = le32_to_cpu(volume.region);
	m->transport = le32_to_cpu(volume.transport);
	m->lease_ms = le32_to_cpu(volume.lease_ms);
	if (!m->lease_ms)
		return refuse(d, "there is no lease time");
	m->created_unix_s = le64_to_cpu(volume.created_unix_s);
	d->volume = true;
	return 0;
}

static int take_change(struct decoding *d, const u8 *payload, size_t bytes)
{
	struct section_change change;

	if (d->change || bytes != sizeof(change))
		return refuse(d, "the change section is doubled or of a wrong length");
	memcpy(&change, payload, sizeof(change));
	sextant_ballot_from_wire(&d->manifest->ballot, &change.ballot);
	d->manifest->sequence = le64_to_cpu(change.sequence);
	d->change = true;
	return 0;
}

static int take_peers(struct decoding *d, const u8 *payload, size_t bytes)
{
	if (d->peers || bytes != sizeof(d->manifest->peers))
		return refuse(d, "there are not six peers");
	memcpy(d->manifest->peers, payload, bytes);
	d->peers = true;
	return 0;
}

static int take_generation(struct decoding *d, const u8 *payload, size_t bytes)
{
	struct sextant_manifest_generation *grown, *g;
	struct sextant_manifest *m = d->manifest;
	struct section_generation section;

	if (bytes < sizeof(section) || m->generation_count >= SEXTANT_MANIFEST_GENERATIONS_MAX)
		return refuse(d, "a key generation is cut short, or there are too many");
	memcpy(&section, payload, sizeof(section));
	if (le32_to_cpu(section.wrapped_bytes) > SEXTANT_WRAPPED_KEY_BYTES_MAX ||
	    le32_to_cpu(section.wrapped_bytes) != bytes - sizeof(section))
		return refuse(d, "a wrapped key has a wrong length");
	grown = realloc(m->generations, (m->generation_count + 1) * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	m->generations = grown;
	g = &grown[m->generation_count++];
	memset(g, 0, sizeof(*g));
	g->generation = le32_to_cpu(section.generation);
	g->first_lsn = le64_to_cpu(section.first_lsn);
	g->wrapped_bytes = le32_to_cpu(section.wrapped_bytes);
	memcpy(g->origin, section.origin, sizeof(g->origin));
	memcpy(g->commitment, section.commitment, sizeof(g->commitment));
	memcpy(g->key_name, section.key_name, sizeof(g->key_name));
	memcpy(g->wrapped, payload + sizeof(section), g->wrapped_bytes);
	return 0;
}

static int take_table(struct decoding *d, const u8 *payload, size_t bytes)
{
	struct sextant_manifest *m = d->manifest;

	if (d->table || bytes % sizeof(m->table[0]) ||
	    bytes / sizeof(m->table[0]) > SEXTANT_TABLE_ENTRIES_MAX)
		return refuse(d, "the epoch table is doubled or of a wrong length");
	d->table = true;
	if (!bytes)
		return 0;
	m->table = malloc(bytes);
	if (!m->table)
		return -ENOMEM;
	memcpy(m->table, payload, bytes);
	m->table_count = (u32)(bytes / sizeof(m->table[0]));
	return 0;
}

static int take_section(struct decoding *d, u32 tag, const u8 *payload, size_t bytes)
{
	switch (tag) {
	case SECTION_VOLUME:
		return take_volume(d, payload, bytes);
	case SECTION_CHANGE:
		return take_change(d, payload, bytes);
	case SECTION_PEERS:
		return take_peers(d, payload, bytes);
	case SECTION_GENERATION:
		return take_generation(d, payload, bytes);
	case SECTION_TABLE:
		return take_table(d, payload, bytes);
	default:
		if (tag & SECTION_MUST)
			return refuse(d, "it has a section that this version must know and does not");
		return 0;
	}
}

static int take_sections(struct decoding *d, const u8 *at, const u8 *end)
{
	struct section_header header;
	int error;

	while (at < end) {
		if ((size_t)(end - at) < sizeof(header))
			return refuse(d, "a section is cut short");
		memcpy(&header, at, sizeof(header));
		at += sizeof(header);
		if (le32_to_cpu(header.bytes) > (size_t)(end - at))
			return refuse(d, "a section is cut short");
		error = take_section(d, le32_to_cpu(header.tag), at, le32_to_cpu(header.bytes));
		if (error)
			return error;
		at += le32_to_cpu(header.bytes);
	}
	if (!d->volume || !d->change || !d->peers || !d->table)
		return refuse(d, "a section is missing");
	d->why = check_manifest(d->manifest);
	return d->why ? -EINVAL : 0;
}

int sextant_manifest_decode(const u8 *bytes, size_t size, struct sextant_manifest *manifest,
			    const char **why)
{
	struct decoding d = { .manifest = manifest, .why = "it is damaged" };
	struct manifest_header header;
	int error = -EBADMSG;

	memset(manifest, 0, sizeof(*manifest));
	if (why)
		*why = d.why;
	if (size < sizeof(header) || size > SEXTANT_MANIFEST_BYTES_MAX)
		return -EBADMSG;
	memcpy(&header, bytes, sizeof(header));
	if (memcmp(header.magic, manifest_magic, sizeof(header.magic)))
		return -EBADMSG;
	if (le32_to_cpu(header.version) != MANIFEST_VERSION) {
		if (why)
			*why = "it is of another version";
		return -EPROTONOSUPPORT;
	}
	if (le32_to_cpu(header.bytes) == size && !header.reserved &&
	    le32_to_cpu(header.crc) == sextant_crc32c(bytes + sizeof(header),
						      size - sizeof(header)))
		error = take_sections(&d, bytes + sizeof(header), bytes + size);
	if (error) {
		sextant_manifest_release(manifest);
		if (why)
			*why = error == -ENOMEM ? "no memory" : d.why;
	}
	return error;
}

void sextant_manifest_release(struct sextant_manifest *manifest)
{
	free(manifest->generations);
	free(manifest->table);
	memset(manifest, 0, sizeof(*manifest));
}
