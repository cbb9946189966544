#include "http/source/forwarded.h"

#include <string.h>
#include <strings.h>

/* Lines with more hops than this are not believed. */
#define HOPS_MAX 64u

struct span {
    const char *at;
    size_t len;
};

static struct span
trim(struct span s)
{
    while (s.len > 0 && (s.at[0] == ' ' || s.at[0] == '\t'))
        s.at++, s.len--;
    while (s.len > 0 && (s.at[s.len - 1] == ' ' || s.at[s.len - 1] == '\t'))
        s.len--;
    return s;
}

/* Parses `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1` or `[2001:db8::1]:80`, quoted or
 * not. */
static bool
parse_hop(struct span s, struct http_address *out)
{
    s = trim(s);
    if (s.len >= 2 && s.at[0] == '"' && s.at[s.len - 1] == '"')
        s = (struct span){s.at + 1, s.len - 2};
    if (s.len > 0 && s.at[0] == '[') {
        const char *end = memchr(s.at, ']', s.len);

        return end != NULL &&
               http_address_parse(s.at + 1, (size_t)(end - s.at) - 1, out);
    }
    if (s.len > 0 && memchr(s.at, ':', s.len) == memrchr(s.at, ':', s.len)) {
        const char *colon = memchr(s.at, ':', s.len);

        s.len = colon != NULL ? (size_t)(colon - s.at) : s.len;
    }
    return http_address_parse(s.at, s.len, out);
}

/* ---- X-Forwarded-For: values and commas ---- */

static bool
next_value(const char **at, struct span *out)
{
    if (*at == NULL)
        return false;
    *out = (struct span){*at, strcspn(*at, ",")};
    *at = (*at)[out->len] == ',' ? *at + out->len + 1 : NULL;
    return true;
}

/* False if the line has too many hops. */
static bool
split_values(const char *line, struct span *out, size_t *count)
{
    *count = 0;
    while (*count < HOPS_MAX && next_value(&line, &out[*count]))
        ++*count;
    return line == NULL;
}

/* ---- Forwarded: elements of name=value pairs, values may be quoted ---- */

/* Skips a quoted string; NULL if it does not end. */
static const char *
skip_quoted(const char *at)
{
    for (at++; *at != '"'; at++) {
        if (*at == '\\' && at[1] != '\0')
            at++;
        else if (*at == '\0')
            return NULL;
    }
    return at + 1;
}

/*
 * Parses one pair, up to the `;` or `,` behind it. It is strict on purpose: a client's
 * open quotation mark must not hide what the proxy appends.
 */
static bool
take_pair(const char **at, struct span *name, struct span *value)
{
    const char *p = *at + strspn(*at, " \t"), *end;

    *name = (struct span){p, strcspn(p, "=;,\"")};
    if (p[name->len] != '=')
        return false;
    p += name->len + 1;
    end = *p == '"' ? skip_quoted(p) : p + strcspn(p, ";,\" \t");
    if (end == NULL)
        return false;
    *value = (struct span){p, (size_t)(end - p)};
    *at = end + strspn(end, " \t");
    return **at == '\0' || **at == ';' || **at == ',';
}

/* Finds the `for` of each element; an element without one gives an empty text. */
static bool
split_elements(const char *line, struct span *out, size_t *count)
{
    struct span name, value;

    for (*count = 0; *count < HOPS_MAX; ++*count) {
        out[*count] = (struct span){"", 0};
        do {
            if (!take_pair(&line, &name, &value))
                return false;
            if (name.len == 3 && strncasecmp(name.at, "for", 3) == 0)
                out[*count] = value;
        } while (*line == ';' && *++line != '\0');
        if (*line == '\0') {
            ++*count;
            return true;
        }
        line++;
    }
    return false;
}

bool
http_forwarded_client(enum http_forwarded_kind kind, const char *const *lines,
                      size_t count, const struct http_networks *trusted,
                      struct http_address *out)
{
    struct span hops[HOPS_MAX];
    size_t n;

    while (count-- > 0) {
        bool is_clear = kind == HTTP_FORWARDED ? split_elements(lines[count], hops, &n)
                                               : split_values(lines[count], hops, &n);

        while (is_clear && n > 0) {
            if (!(is_clear = parse_hop(hops[--n], out)))
                break;
            if (!http_networks_contain(trusted, out))
                return true;
        }
        if (!is_clear) {
            memset(out, 0, sizeof(*out));
            return false;
        }
    }
    return true;
}

const char *
http_forwarded_last(const char *line)
{
    const char *comma = strrchr(line, ',');

    line = comma != NULL ? comma + 1 : line;
    return line + strspn(line, " \t");
}
