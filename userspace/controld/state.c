// SPDX-License-Identifier: GPL-2.0
/* Manifests of running volumes; see state.h. */
#include "state.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"
#include "text.h"

static void state_path(char path[PATH_MAX], const char *state_dir, const u8 *volume,
		       const char *suffix)
{
	char uuid[SEXTANT_UUID_TEXT_BYTES];

	sextant_uuid_format(uuid, volume);
	if (snprintf(path, PATH_MAX, "%s/%s.%s", state_dir, uuid, suffix) >= PATH_MAX)
		path[0] = '\0';
}

void state_save(const char *state_dir, const u8 *volume, const u8 *bytes, size_t size)
{
	char path[PATH_MAX], unfinished[PATH_MAX];
	bool written;
	int fd;

	state_path(path, state_dir, volume, "manifest");
	state_path(unfinished, state_dir, volume, "manifest.new");
	mkdir(state_dir, 0700);
	fd = open(unfinished, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	written = fd >= 0 && write(fd, bytes, size) == (ssize_t)size;
	if (fd >= 0 && close(fd))
		written = false;
	if (!written || rename(unfinished, path))
		sextant_log(SEXTANT_LOG_WARNING, "cannot write %s: %s", path, strerror(errno));
}

void state_remove(const char *state_dir, const u8 *volume)
{
	char path[PATH_MAX];

	state_path(path, state_dir, volume, "manifest");
	unlink(path);
}

int state_load(const char *state_dir, const u8 *volume, u32 epoch,
	       struct sextant_manifest *manifest)
{
	u8 *bytes = malloc(SEXTANT_MANIFEST_BYTES_MAX);
	char path[PATH_MAX];
	ssize_t got = -1;
	int fd;

	if (!bytes)
		return -ENOENT;
	state_path(path, state_dir, volume, "manifest");
	fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0) {
		got = read(fd, bytes, SEXTANT_MANIFEST_BYTES_MAX);
		close(fd);
	}
	if (got > 0 && !sextant_manifest_decode(bytes, (size_t)got, manifest, NULL)) {
		free(bytes);
		if (manifest->ballot.epoch == epoch && manifest->table_count &&
		    !memcmp(manifest->volume, volume, SEXTANT_UUID_BYTES))
			return 0;
		sextant_manifest_release(manifest);
		return -ENOENT;
	}
	free(bytes);
	return -ENOENT;
}
