/*
 * Input: cJSON, with checks that it does not make itself. Output: a small writer for
 * long or frequent lists. Pure; one object, one thread at a time.
 */
#ifndef P2P_HTTP_JSON_H
#define P2P_HTTP_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "p2p/limits.h"

struct cJSON;

#define HTTP_JSON_MAX_DEPTH  P2P_JSON_DEPTH_MAX
#define HTTP_JSON_MAX_VALUES 1000000u
#define HTTP_JSON_MAX_KEYS   64u /* of one object */

/*
 * Parses exactly one value. Refuses bytes after it, invalid UTF-8, NUL (also as
 * \u0000), more nesting or values than the limits above, and an object with the same
 * key twice (case matters). Returns owned, free with cJSON_Delete; NULL with *why set
 * to a constant text.
 */
struct cJSON *http_json_parse(const char *text, size_t len, const char **why);

/* A member that is a string; NULL if it is missing or not a string. Borrows. */
const char *http_json_string(const struct cJSON *object, const char *name);

/*
 * A member that is a whole number in [min, max] (max at most 2^53); false if it is
 * missing or anything else.
 */
bool http_json_u64(const struct cJSON *object, const char *name, uint64_t min,
                   uint64_t max, uint64_t *out);

/* ---- writing ---- */

/*
 * A growing text. The writer adds the commas. A name is NULL in arrays, else a
 * word of the program, of which nothing needs to be escaped. After a failed
 * allocation it ignores everything, and http_json_take() returns NULL.
 */
struct http_json_out {
    char *text;
    size_t len, cap;
    bool needs_comma, failed;
};

/* An empty writer; `expected` bytes are reserved at once. */
void http_json_init(struct http_json_out *o, size_t expected);
/* Frees the text that was not taken. */
void http_json_clear(struct http_json_out *o);
/* Opens an object with '{' or an array with '['. */
void http_json_begin(struct http_json_out *o, const char *name, char bracket);
/* Closes it with '}' or ']'. */
void http_json_end(struct http_json_out *o, char bracket);
/* Members and elements. A string is escaped; NULL becomes null. */
void http_json_put_string(struct http_json_out *o, const char *name, const char *value);
void http_json_put_bytes(struct http_json_out *o, const char *name, const char *value,
                         size_t len); /* UTF-8 text without NUL */
void http_json_put_hex(struct http_json_out *o, const char *name, const uint8_t *bytes,
                       size_t len);
void http_json_put_u64(struct http_json_out *o, const char *name, uint64_t value);
void http_json_put_i64(struct http_json_out *o, const char *name, int64_t value);
void http_json_put_bool(struct http_json_out *o, const char *name, bool value);
void http_json_put_null(struct http_json_out *o, const char *name);
/* A value that is JSON text already. */
void http_json_put_json(struct http_json_out *o, const char *name, const char *json,
                        size_t len);
/* A number with three decimals: 1500 is 1.500. */
void http_json_put_thousandths(struct http_json_out *o, const char *name,
                               uint64_t value);

/* Returns the text (malloc'ed, NUL-terminated; owned) and empties the writer. */
char *http_json_take(struct http_json_out *o, size_t *len);

#endif
