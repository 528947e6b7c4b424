// SPDX-License-Identifier: GPL-2.0
/*
 * The test vectors of the seals, computed by OpenSSL as Documentation/sealing.rst
 * says: the module's self-test compares the kernel with the same ones.
 */
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include "core.h"
#include "tap.h"
#include "../../kernel/selftest_seal_vectors.h"

#define ASSOCIATED_BYTES	48
#define NONCE_BYTES		12
#define KEY_BYTES		32

/* What OpenSSL does not do, this test cannot go on without. */
static void must(bool worked, const char *what)
{
	if (!worked)
		bail(what);
}

static u8 *put(u8 *at, const void *bytes, size_t count)
{
	memcpy(at, bytes, count);
	return at + count;
}

static u8 *put_be32(u8 *at, u32 value)
{
	value = htobe32(value);
	return put(at, &value, sizeof(value));
}

static u8 *put_be64(u8 *at, u64 value)
{
	value = htobe64(value);
	return put(at, &value, sizeof(value));
}

/* HKDF-Expand-SHA-256 of the data key with the info from `info` up to `end`. */
static void expand(const u8 *info, const u8 *end, u8 *key)
{
	int mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY;
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	EVP_KDF_CTX *context = EVP_KDF_CTX_new(kdf);
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode),
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)"SHA256", 0),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)vector_data_key,
						  sizeof(vector_data_key)),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, (void *)info,
						  (size_t)(end - info)),
		OSSL_PARAM_construct_end(),
	};

	must(context && EVP_KDF_derive(context, key, KEY_BYTES, params) > 0, "HKDF");
	EVP_KDF_CTX_free(context);
	EVP_KDF_free(kdf);
}

static void derive_commitment(u8 *commitment)
{
	static const char label[] = "sextant commit v1";
	u8 info[64], *end = info;

	end = put(end, label, sizeof(label));	/* with its NUL */
	end = put(end, vector_origin, sizeof(vector_origin));
	end = put_be32(end, VECTOR_GENERATION);
	expand(info, end, commitment);
}

static void derive_seal_key(u64 window, u8 *key)
{
	static const char label[] = "sextant seal v1";
	u8 info[96], *end = info;

	end = put(end, label, sizeof(label));
	end = put(end, vector_origin, sizeof(vector_origin));
	end = put_be32(end, VECTOR_GENERATION);
	end = put_be32(end, VECTOR_EPOCH);
	end = put(end, vector_attach_id, sizeof(vector_attach_id));
	end = put_be64(end, window);
	expand(info, end, key);
}

/* Seals text_bytes of text in place. */
static void seal(const u8 *key, u8 type, u64 block, u64 lsn, u32 count, u8 *text, int text_bytes,
		 u8 *tag)
{
	EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
	u8 associated[ASSOCIATED_BYTES] = { type }, nonce[NONCE_BYTES], *end = associated + 4;
	int length;

	end = put(end, vector_origin, sizeof(vector_origin));
	end = put_be64(end, block);
	end = put_be64(end, lsn);
	end = put_be32(end, VECTOR_EPOCH);
	end = put_be32(end, VECTOR_GENERATION);
	end = put_be32(end, count);
	must(end == associated + sizeof(associated), "associated data");
	put_be64(put_be32(nonce, VECTOR_EPOCH), lsn);

	must(context && EVP_EncryptInit_ex2(context, EVP_aes_256_gcm(), key, nonce, NULL) > 0,
	     "AES-256-GCM");
	must(EVP_EncryptUpdate(context, NULL, &length, associated, sizeof(associated)) > 0,
	     "associated data");
	if (text_bytes)
		must(EVP_EncryptUpdate(context, text, &length, text, text_bytes) > 0, "text");
	must(EVP_EncryptFinal_ex(context, tag, &length) > 0, "final");
	must(EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, SEXTANT_TAG_BYTES, tag) > 0,
	     "tag");
	EVP_CIPHER_CTX_free(context);
}

int main(void)
{
	u8 commitment[KEY_BYTES], key[KEY_BYTES], tag[SEXTANT_TAG_BYTES];
	u8 block[SEXTANT_BLOCK_BYTES];

	is_u64(VECTOR_BLOCK_LSN >> 31, VECTOR_BLOCK_WINDOW, "window of the block");
	is_u64(VECTOR_DISCARD_LSN >> 31, VECTOR_DISCARD_WINDOW, "window of the discard");

	derive_commitment(commitment);
	is_mem(commitment, vector_commitment, sizeof(commitment), "commitment");

	for (u32 i = 0; i < sizeof(block); i++)
		block[i] = VECTOR_PLAINTEXT(i);
	derive_seal_key(VECTOR_BLOCK_WINDOW, key);
	is_mem(key, vector_block_seal_key, sizeof(key), "seal key of the block");
	seal(key, 1, VECTOR_BLOCK, VECTOR_BLOCK_LSN, 1, block, sizeof(block), tag);
	is_mem(block, vector_block_start, sizeof(vector_block_start), "start of the sealed block");
	is_u64(sextant_crc32c(block, sizeof(block)), VECTOR_BLOCK_CRC,
	       "CRC32C of the sealed block");
	is_mem(tag, vector_block_tag, sizeof(tag), "tag of the block");

	derive_seal_key(VECTOR_DISCARD_WINDOW, key);
	is_mem(key, vector_discard_seal_key, sizeof(key), "seal key of the discard");
	seal(key, 2, VECTOR_DISCARD_BLOCK, VECTOR_DISCARD_LSN, VECTOR_DISCARD_COUNT, NULL, 0, tag);
	is_mem(tag, vector_discard_tag, sizeof(tag), "tag of the discard");
	return done_testing();
}
