/* Finds the row of the route table for a request. */
#include "http/internal.h"
#include "http/text/decode.h"

#include <stdio.h>
#include <string.h>

struct span {
    const char *at;
    size_t len;
};

struct match {
    struct span names[HTTP_MAX_PARAMS];
    struct span values[HTTP_MAX_PARAMS]; /* as sent */
    unsigned n;
};

/* Returns the part of `*at` up to the next slash, and moves `*at` behind it. */
static struct span
take_segment(const char **at)
{
    struct span s = {*at, strcspn(*at, "/")};

    *at += s.len + (s.at[s.len] == '/');
    return s;
}

static bool
is_param(struct span pattern)
{
    return pattern.len > 2 && pattern.at[0] == '{';
}

static bool
is_rest(struct span pattern)
{
    return is_param(pattern) && pattern.at[pattern.len - 2] == '*';
}

static void
note_param(struct match *m, struct span pattern, struct span value)
{
    m->names[m->n] = (struct span){pattern.at + 1, pattern.len - 2 - is_rest(pattern)};
    m->values[m->n] = value;
    m->n++;
}

static bool
pattern_fits(const char *pattern, const char *path, struct match *m)
{
    m->n = 0;
    if (*pattern++ != '/' || *path++ != '/')
        return false;
    for (;;) {
        const char *rest = path;
        struct span want = take_segment(&pattern);
        struct span have = take_segment(&path);
        bool want_ends = want.at[want.len] == '\0',
             have_ends = have.at[have.len] == '\0';

        if (is_rest(want)) {
            note_param(m, want, (struct span){rest, strlen(rest)});
            return true;
        }
        if (is_param(want) && have.len > 0)
            note_param(m, want, have);
        else if (want.len != have.len || memcmp(want.at, have.at, have.len) != 0)
            return false;
        if (want_ends || have_ends)
            return want_ends && have_ends;
    }
}

bool
http_route_table_is_valid(const struct http_route *routes)
{
    for (const struct http_route *r = routes; r->method != NULL; r++) {
        unsigned braces = 0;

        for (const char *p = r->pattern; *p != '\0'; p++)
            braces += *p == '{';
        if (r->pattern[0] != '/' || r->handler == NULL || braces > HTTP_MAX_PARAMS)
            return false;
    }
    return true;
}

static bool
method_fits(const char *route, const char *sent)
{
    return strcmp(route, sent) == 0 ||
           (strcmp(route, "GET") == 0 && strcmp(sent, "HEAD") == 0);
}

static bool
decode_params(struct http_request *req, const struct match *m)
{
    for (unsigned i = 0; i < m->n; i++) {
        char *text = http_request_text(req, m->values[i].len + 1);
        size_t len;

        if (text == NULL ||
            !http_percent_decode(m->values[i].at, m->values[i].len, text, &len)) {
            http_fail(req, 400, "malformed",
                      "the path is not valid percent-encoded UTF-8");
            return false;
        }
        req->params[i] = (struct http_pair){m->names[i].at, m->names[i].len, text};
        req->n_params = i + 1;
    }
    return true;
}

/* Collects the methods of the matching rows; of fallback rows only if nothing else
 * matches. */
static void
list_methods(const struct http_request *req, unsigned flag, char allow[128])
{
    size_t used = 0;
    struct match m;

    *allow = '\0';
    for (const struct http_route *r = req->server->opt.routes; r->method; r++) {
        if ((r->flags & HTTP_FALLBACK) != flag ||
            !pattern_fits(r->pattern, req->path, &m) ||
            strstr(allow, r->method) != NULL)
            continue;
        used +=
            (size_t)snprintf(allow + used, 128 - used, "%s%s%s", used > 0 ? ", " : "",
                             r->method, strcmp(r->method, "GET") == 0 ? ", HEAD" : "");
        if (used >= 128)
            break;
    }
}

static void
fail_method(struct http_request *req)
{
    char allow[128];

    list_methods(req, 0, allow);
    if (*allow == '\0')
        list_methods(req, HTTP_FALLBACK, allow);
    http_set_header(req, "Allow", allow);
    http_fail(req, 405, "method_not_allowed", "allowed here: %s", allow);
}

bool
http_route_find(struct http_request *req)
{
    bool path_fits = false;
    struct match m;

    for (const struct http_route *r = req->server->opt.routes; r->method; r++) {
        if ((path_fits && (r->flags & HTTP_FALLBACK)) ||
            !pattern_fits(r->pattern, req->path, &m))
            continue;
        path_fits = true;
        if (method_fits(r->method, req->method)) {
            req->route = r;
            return decode_params(req, &m);
        }
    }
    if (path_fits)
        fail_method(req);
    else
        http_fail(req, 404, "not_found", "there is nothing at this path");
    return false;
}
