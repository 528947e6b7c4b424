// SPDX-License-Identifier: GPL-2.0
/* Data keys in files; see keyfile.h. */
#include "keyfile.h"

#include <dirent.h>
#include <fcntl.h>
#include <keyutils.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"
#include "text.h"

#define KEY_TEXT_BYTES	(2 * KEYFILE_KEY_BYTES + 1)	/* the newline included */

static struct keyfile_key *key_alloc(void)
{
	struct keyfile_key *key = mmap(NULL, sizeof(*key), PROT_READ | PROT_WRITE,
				       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (key == MAP_FAILED)
		return NULL;
	if (mlock(key, sizeof(*key)) || madvise(key, sizeof(*key), MADV_DONTDUMP)) {
		munmap(key, sizeof(*key));
		return NULL;
	}
	return key;
}

void keyfile_release(struct keyfile_key *key)
{
	if (!key)
		return;
	OPENSSL_cleanse(key, sizeof(*key));
	munmap(key, sizeof(*key));
}

int keyfile_commitment(const u8 key[KEYFILE_KEY_BYTES], const u8 origin[SEXTANT_UUID_BYTES],
		       u32 generation, u8 commitment[SEXTANT_COMMIT_BYTES])
{
	static const char label[] = "sextant commit v1";	/* its NUL is the 00 behind it */
	u8 info[sizeof(label) + SEXTANT_UUID_BYTES + 4 + 1];
	u8 *at = info;
	size_t bytes;
	u32 big = htobe32(generation);

	memcpy(at, label, sizeof(label));
	at += sizeof(label);
	memcpy(at, origin, SEXTANT_UUID_BYTES);
	at += SEXTANT_UUID_BYTES;
	memcpy(at, &big, sizeof(big));
	at += sizeof(big);
	*at = 1;	/* HKDF's block counter: one block is all that is wanted */
	if (!EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, key, KEYFILE_KEY_BYTES, info,
		       sizeof(info), commitment, SEXTANT_COMMIT_BYTES, &bytes) ||
	    bytes != SEXTANT_COMMIT_BYTES)
		return -EIO;
	return 0;
}

static int key_path(char path[PATH_MAX], const char *key_dir, const u8 *volume, u32 generation)
{
	char uuid[SEXTANT_UUID_TEXT_BYTES];

	sextant_uuid_format(uuid, volume);
	return snprintf(path, PATH_MAX, "%s/%s.%u.key", key_dir, uuid, generation) < PATH_MAX ?
	       0 : -ENAMETOOLONG;
}

/* ---- creating ---------------------------------------------------------- */

static int sync_directory(const char *directory)
{
	int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int error = fd < 0 || fsync(fd) ? -errno : 0;

	if (fd >= 0)
		close(fd);
	return error;
}

static int check_directory(const char *key_dir, struct report *report)
{
	struct stat info;

	if (mkdir(key_dir, 0700) && errno != EEXIST)
		return report_fail(report, SEXTANT_CODE_FAILED,
				   "cannot make the directory for keys %s: %s", key_dir,
				   strerror(errno));
	if (stat(key_dir, &info))
		return report_fail(report, SEXTANT_CODE_FAILED,
				   "cannot look at the directory for keys %s: %s", key_dir,
				   strerror(errno));
	if (!S_ISDIR(info.st_mode) || info.st_uid != geteuid() || info.st_mode & 077)
		return report_fail(report, SEXTANT_CODE_FAILED,
				   "others may enter the directory for keys %s: chown it to sextantd's user and chmod 700",
				   key_dir);
	return 0;
}

static int write_key(const char *path, const struct keyfile_key *key)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	int error = 0;

	if (fd < 0)
		return -errno;
	if (fchmod(fd, 0600) || write(fd, key->text, KEY_TEXT_BYTES) != KEY_TEXT_BYTES ||
	    fsync(fd))
		error = errno ? -errno : -EIO;
	if (close(fd) && !error)
		error = -errno;
	if (error)
		unlink(path);
	return error;
}

int keyfile_create(const char *key_dir, const u8 *volume, u32 generation,
		   u8 commitment[SEXTANT_COMMIT_BYTES], struct report *report)
{
	struct keyfile_key *key;
	char path[PATH_MAX];
	int error;

	if (check_directory(key_dir, report))
		return report->code;
	key = key_alloc();
	error = key ? key_path(path, key_dir, volume, generation) : -ENOMEM;
	if (!error && getrandom(key->bytes, sizeof(key->bytes), 0) != sizeof(key->bytes))
		error = -EIO;
	if (!error) {
		sextant_hex_format(key->text, key->bytes, sizeof(key->bytes));
		key->text[KEY_TEXT_BYTES - 1] = '\n';
		error = keyfile_commitment(key->bytes, volume, generation, commitment);
	}
	if (!error)
		error = write_key(path, key);
	if (!error)
		error = sync_directory(key_dir);
	keyfile_release(key);
	if (error)
		return report_fail(report, SEXTANT_CODE_FAILED,
				   "cannot store the data key in %s: %s", key_dir, strerror(-error));
	return 0;
}

/* ---- reading ----------------------------------------------------------- */

/* Fills key->text and key->bytes; a failure says what is wrong with the file. */
static int read_key(const char *path, struct keyfile_key *key, struct report *report)
{
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	struct stat info;
	ssize_t got;

	if (fd < 0)
		return report_fail(report, SEXTANT_CODE_KEY,
				   "cannot read the key file %s: %s; bring it from the host where the volume was created",
				   path, strerror(errno));
	if (fstat(fd, &info) || !S_ISREG(info.st_mode) || info.st_uid != geteuid() ||
	    info.st_mode & 077) {
		close(fd);
		return report_fail(report, SEXTANT_CODE_KEY,
				   "the key file %s must be a regular file of sextantd's user with mode 0600: chown and chmod it",
				   path);
	}
	got = read(fd, key->text, sizeof(key->text));
	close(fd);
	if (got == KEY_TEXT_BYTES && key->text[KEY_TEXT_BYTES - 1] == '\n') {
		key->text[KEY_TEXT_BYTES - 1] = '\0';
		if (!sextant_hex_parse(key->text, key->bytes, sizeof(key->bytes)))
			return 0;
	}
	return report_fail(report, SEXTANT_CODE_KEY,
			   "the key file %s is damaged: it must hold 64 hex digits and a newline; restore it from a copy",
			   path);
}

int keyfile_read(const char *key_dir, const u8 *volume,
		 const struct sextant_manifest_generation *generation,
		 struct keyfile_key **key, struct report *report)
{
	u8 commitment[SEXTANT_COMMIT_BYTES];
	char path[PATH_MAX];

	*key = NULL;
	if (strcmp(generation->key_name, "file"))
		return report_fail(report, SEXTANT_CODE_KEY,
				   "data key generation %u is opened by key '%s', not by a file: this version knows key files only",
				   generation->generation, generation->key_name);
	if (key_path(path, key_dir, volume, generation->generation))
		return report_fail(report, SEXTANT_CODE_KEY, "the path of key_dir is too long");
	*key = key_alloc();
	if (!*key)
		return report_fail(report, SEXTANT_CODE_FAILED,
				   "cannot lock memory for a key: %s; raise RLIMIT_MEMLOCK",
				   strerror(errno));
	if (read_key(path, *key, report))
		goto release;
	if (!keyfile_commitment((*key)->bytes, generation->origin, generation->generation,
				commitment) &&
	    !CRYPTO_memcmp(commitment, generation->commitment, sizeof(commitment)))
		return 0;
	report_fail(report, SEXTANT_CODE_KEY,
		    "wrong key: %s is not the key that this volume was sealed with; put the right one in its place",
		    path);
release:
	keyfile_release(*key);
	*key = NULL;
	return report->code;
}

int keyfile_ring_add(const struct keyfile_key *key, const u8 *volume, u32 generation)
{
	char uuid[SEXTANT_UUID_TEXT_BYTES], description[SEXTANT_UUID_TEXT_BYTES + 24];

	sextant_uuid_format(uuid, volume);
	snprintf(description, sizeof(description), "sextant:%s:%u", uuid, generation);
	return add_key("logon", description, key->bytes, sizeof(key->bytes),
		       KEY_SPEC_PROCESS_KEYRING);
}

void keyfile_ring_drop(int serial)
{
	if (keyctl_unlink(serial, KEY_SPEC_PROCESS_KEYRING))
		sextant_log(SEXTANT_LOG_WARNING, "a data key stays in the keyring: %s",
			    strerror(errno));
}

void keyfile_delete(const char *key_dir, const u8 *volume)
{
	char uuid[SEXTANT_UUID_TEXT_BYTES];
	DIR *directory = opendir(key_dir);
	struct dirent *entry;

	if (!directory)
		return;
	sextant_uuid_format(uuid, volume);
	while ((entry = readdir(directory)))
		if (!strncmp(entry->d_name, uuid, sizeof(uuid) - 1) &&
		    entry->d_name[sizeof(uuid) - 1] == '.' &&
		    unlinkat(dirfd(directory), entry->d_name, 0))
			sextant_log(SEXTANT_LOG_WARNING, "cannot remove the key file %s/%s: %s",
				    key_dir, entry->d_name, strerror(errno));
	fsync(dirfd(directory));
	closedir(directory);
}
