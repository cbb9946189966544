/* RAND_set_rand_method is deprecated, but it is still the only way to fix the padding.
 */
#define OPENSSL_SUPPRESS_DEPRECATED

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/rand.h>

#include "p2p/bytes.h"
#include "vectors.h"

static char *
read_file(const char *path, size_t *len)
{
    FILE *f = fopen(path, "rb");
    char *text = malloc(1 << 20);

    if (f == NULL)
        fail_msg("cannot open %s: run from the project's folder", path);
    assert_non_null(text);
    *len = fread(text, 1, (1 << 20) - 1, f);
    text[*len] = '\0';
    fclose(f);
    return text;
}

cJSON *
vectors_load(const char *name)
{
    char path[256];
    size_t len;
    char *text;
    cJSON *json;

    snprintf(path, sizeof(path), "tests/vectors/%s", name);
    text = read_file(path, &len);
    json = cJSON_ParseWithLength(text, len);
    free(text);
    assert_non_null(json);
    return json;
}

struct p2p_rsa *
vectors_key(const char *name)
{
    char path[256];
    size_t len;
    char *pem;
    struct p2p_rsa *key;

    snprintf(path, sizeof(path), "tests/vectors/keys/%s.pem", name);
    pem = read_file(path, &len);
    assert_int_equal(p2p_rsa_parse_pem(pem, len, NULL, &key), P2P_OK);
    free(pem);
    return key;
}

const char *
vectors_text(const cJSON *object, const char *field)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, field);

    if (!cJSON_IsString(item))
        fail_msg("no text field %s", field);
    return item->valuestring;
}

uint64_t
vectors_number(const cJSON *object, const char *field)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, field);

    if (!cJSON_IsNumber(item))
        fail_msg("no number field %s", field);
    /* cJSON stores doubles: 2^64 - 1 is read as 2^64. */
    return item->valuedouble >= 0x1p64 ? UINT64_MAX : (uint64_t)item->valuedouble;
}

uint8_t *
vectors_bytes(const cJSON *object, const char *field, size_t *len)
{
    const char *hex = vectors_text(object, field);
    uint8_t *bytes;

    *len = strlen(hex) / 2;
    bytes = malloc(*len > 0 ? *len : 1);
    assert_non_null(bytes);
    assert_int_equal(p2p_hex_parse(hex, bytes, *len), P2P_OK);
    return bytes;
}

void
vectors_fill(const cJSON *object, const char *field, void *out, size_t len)
{
    size_t have;
    uint8_t *bytes = vectors_bytes(object, field, &have);

    assert_int_equal(have, len);
    memcpy(out, bytes, len);
    free(bytes);
}

void
vectors_assert_equal(const cJSON *object, const char *field, const void *bytes,
                     size_t len)
{
    size_t have;
    uint8_t *expected = vectors_bytes(object, field, &have);

    assert_int_equal(len, have);
    assert_memory_equal(bytes, expected, len);
    free(expected);
}

static const uint8_t *answers_left;
static size_t answers_count;

static int
give_bytes(unsigned char *out, int len)
{
    if (len == 32 && answers_count > 0) {
        memcpy(out, answers_left, 32);
        answers_left += 32;
        answers_count--;
        return 1;
    }
    for (int i = 0; i < len; i++)
        out[i] = (unsigned char)(i * 7 + 1);
    return 1;
}

static int
always_ready(void)
{
    return 1;
}

void
vectors_random_on(const uint8_t *answers, size_t count)
{
    static const RAND_METHOD method = {
        .bytes = give_bytes, .pseudorand = give_bytes, .status = always_ready};

    answers_left = answers;
    answers_count = count;
    assert_int_equal(RAND_set_rand_method(&method), 1);
}

void
vectors_random_off(void)
{
    assert_int_equal(answers_count, 0);
    assert_int_equal(RAND_set_rand_method(NULL), 1);
}
