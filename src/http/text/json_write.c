#include "http/text/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "p2p/bytes.h"

void
http_json_init(struct http_json_out *o, size_t expected)
{
    *o = (struct http_json_out){0};
    o->cap = expected + 64;
    o->text = malloc(o->cap);
    o->failed = o->text == NULL;
}

void
http_json_clear(struct http_json_out *o)
{
    free(o->text);
    *o = (struct http_json_out){.failed = true};
}

/* Returns room for n more bytes, or NULL; the caller adds the used bytes to o->len. */
static char *
room(struct http_json_out *o, size_t n)
{
    if (o->failed)
        return NULL;
    if (o->cap - o->len < n) {
        size_t cap = o->cap * 2 + n;
        char *text = realloc(o->text, cap);

        if (text == NULL) {
            o->failed = true;
            return NULL;
        }
        o->text = text;
        o->cap = cap;
    }
    return o->text + o->len;
}

static void
put_raw(struct http_json_out *o, const char *s, size_t n)
{
    char *at = room(o, n);

    if (at == NULL)
        return;
    memcpy(at, s, n);
    o->len += n;
}

static size_t
escape(char *out, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    static const char plain[] = "\"\\\b\f\n\r\t", letter[] = "\"\\bfnrt";
    const char *known = memchr(plain, c, sizeof(plain) - 1);

    out[0] = '\\';
    if (known != NULL) {
        out[1] = letter[known - plain];
        return 2;
    }
    memcpy(out + 1, "u00", 3);
    out[4] = hex[c >> 4];
    out[5] = hex[c & 15];
    return 6;
}

static inline bool
is_escaped(unsigned char c)
{
    return c < 0x20 || c == '"' || c == '\\' || c == 0x7f;
}

/* Most texts have nothing to escape, so what comes before such a byte is copied at
 * once. */
static void
put_quoted(struct http_json_out *o, const char *s, size_t n)
{
    char *out = room(o, n * 6 + 2);
    char *at = out;

    if (out == NULL)
        return;
    *at++ = '"';
    for (size_t i = 0, plain; i < n; i = plain) {
        for (plain = i; plain < n && !is_escaped((unsigned char)s[plain]);)
            plain++;
        memcpy(at, s + i, plain - i);
        at += plain - i;
        if (plain < n)
            at += escape(at, (unsigned char)s[plain++]);
    }
    *at++ = '"';
    o->len += (size_t)(at - out);
}

static void
put_name(struct http_json_out *o, const char *name)
{
    size_t len = name != NULL ? strlen(name) : 0;
    char *at = room(o, len + 4);

    if (at == NULL)
        return;
    if (o->needs_comma)
        *at++ = ',';
    o->needs_comma = true;
    if (name != NULL) {
        *at++ = '"';
        memcpy(at, name, len);
        at += len;
        *at++ = '"';
        *at++ = ':';
    }
    o->len = (size_t)(at - o->text);
}

void
http_json_begin(struct http_json_out *o, const char *name, char bracket)
{
    put_name(o, name);
    put_raw(o, &bracket, 1);
    o->needs_comma = false;
}

void
http_json_end(struct http_json_out *o, char bracket)
{
    put_raw(o, &bracket, 1);
    o->needs_comma = true;
}

void
http_json_put_bytes(struct http_json_out *o, const char *name, const char *value,
                    size_t len)
{
    put_name(o, name);
    put_quoted(o, value, len);
}

void
http_json_put_string(struct http_json_out *o, const char *name, const char *value)
{
    http_json_put_bytes(o, name, value, strlen(value));
}

void
http_json_put_hex(struct http_json_out *o, const char *name, const uint8_t *bytes,
                  size_t len)
{
    static const char hex[] = "0123456789abcdef";
    char *at;

    put_name(o, name);
    if ((at = room(o, len * 2 + 2)) == NULL)
        return;
    *at++ = '"';
    for (size_t i = 0; i < len; i++) {
        *at++ = hex[bytes[i] >> 4];
        *at++ = hex[bytes[i] & 15];
    }
    *at = '"';
    o->len += len * 2 + 2;
}

void
http_json_put_u64(struct http_json_out *o, const char *name, uint64_t value)
{
    char digits[P2P_U64_TEXT_MAX];
    size_t len = p2p_u64_format(value, digits);

    put_name(o, name);
    put_raw(o, digits, len);
}

void
http_json_put_i64(struct http_json_out *o, const char *name, int64_t value)
{
    char digits[P2P_U64_TEXT_MAX];
    size_t len =
        p2p_u64_format(value < 0 ? 0 - (uint64_t)value : (uint64_t)value, digits);

    put_name(o, name);
    if (value < 0)
        put_raw(o, "-", 1);
    put_raw(o, digits, len);
}

void
http_json_put_json(struct http_json_out *o, const char *name, const char *json,
                   size_t len)
{
    put_name(o, name);
    put_raw(o, json, len);
}

void
http_json_put_thousandths(struct http_json_out *o, const char *name, uint64_t value)
{
    char text[32];
    int n = snprintf(text, sizeof(text), "%llu.%03u",
                     (unsigned long long)(value / 1000), (unsigned)(value % 1000));

    put_name(o, name);
    put_raw(o, text, (size_t)n);
}

void
http_json_put_bool(struct http_json_out *o, const char *name, bool value)
{
    put_name(o, name);
    put_raw(o, value ? "true" : "false", value ? 4 : 5);
}

void
http_json_put_null(struct http_json_out *o, const char *name)
{
    put_name(o, name);
    put_raw(o, "null", 4);
}

char *
http_json_take(struct http_json_out *o, size_t *len)
{
    char *text = room(o, 1);

    *len = 0;
    if (text == NULL) {
        http_json_clear(o);
        return NULL;
    }
    *text = '\0';
    text = o->text;
    *len = o->len;
    *o = (struct http_json_out){.failed = true};
    return text;
}
