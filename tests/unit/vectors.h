/*
 * vectors - reads the known answers of tests/vectors for the unit tests, which run in
 * the project's folder. A missing file or field ends the test. Free cJSON objects with
 * cJSON_Delete, and bytes with free.
 */
#ifndef TESTS_UNIT_VECTORS_H
#define TESTS_UNIT_VECTORS_H

#include <cjson/cJSON.h>
#include <stddef.h>
#include <stdint.h>

#include "p2p/crypto.h"

/* The content of tests/vectors/<name>, parsed. *Returns owned.* */
cJSON *vectors_load(const char *name);

/* tests/vectors/keys/<name>.pem. *Returns owned.* */
struct p2p_rsa *vectors_key(const char *name);

/* A text field, and the number of a field. */
const char *vectors_text(const cJSON *object, const char *field);
uint64_t vectors_number(const cJSON *object, const char *field);

/* A hex field as bytes in a heap block of exactly that size. *Returns owned.* */
uint8_t *vectors_bytes(const cJSON *object, const char *field, size_t *len);
/* The same, written to `out`; the field must have exactly `len` bytes. */
void vectors_fill(const cJSON *object, const char *field, void *out, size_t len);
/* Asserts that a hex field has these bytes. */
void vectors_assert_equal(const cJSON *object, const char *field, const void *bytes,
                          size_t len);

/*
 * Makes OpenSSL's random generator return `count` * 32 bytes, in order, to requests
 * for 32 bytes (PSS salts, OAEP seeds). Other requests (blinding) get arbitrary bytes.
 * Ends with vectors_random_off.
 */
void vectors_random_on(const uint8_t *answers, size_t count);
void vectors_random_off(void);

#endif
