#include "http/file.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "http/internal.h"
#include "http/wait.h"

/* ---- header values ---- */

/* Parses digits; false if there are none. A number that is too large becomes the
 * largest one. */
static bool
take_number(const char **p, uint64_t *out)
{
    const char *start = *p;

    *out = 0;
    for (; **p >= '0' && **p <= '9'; (*p)++) {
        *out = *out > (UINT64_MAX - 9) / 10 ? UINT64_MAX
                                            : *out * 10 + (uint64_t)(**p - '0');
    }
    return *p > start;
}

enum http_range
http_range_parse(const char *value, uint64_t size, uint64_t *first, uint64_t *len)
{
    uint64_t a = 0, b = size - 1;
    const char *p = value;

    *first = 0;
    *len = size;
    if (value == NULL || strncasecmp(p, "bytes=", 6) != 0 || strchr(p, ',') != NULL)
        return HTTP_RANGE_NONE;
    p += 6;
    if (*p == '-') { /* the last n bytes */
        p++;
        if (!take_number(&p, &a) || *p != '\0')
            return HTTP_RANGE_NONE;
        if (a == 0 || size == 0)
            return HTTP_RANGE_BAD;
        a = a < size ? size - a : 0;
    } else {
        if (!take_number(&p, &a) || *p++ != '-')
            return HTTP_RANGE_NONE;
        if (*p != '\0' && (!take_number(&p, &b) || *p != '\0' || b < a))
            return HTTP_RANGE_NONE;
        if (a >= size)
            return HTTP_RANGE_BAD;
        if (b >= size)
            b = size - 1;
    }
    *first = a;
    *len = b - a + 1;
    return HTTP_RANGE_PART;
}

static bool
is_word(const char *at, size_t len, const char *word)
{
    return len == strlen(word) && strncasecmp(at, word, len) == 0;
}

/* The weight of one item of a list, "gzip;q=0.5": true unless it is zero. */
static bool
has_weight(const char *params, const char *end)
{
    const char *p = params;

    while (p < end && (*p == ';' || *p == ' ' || *p == '\t'))
        p++;
    if (end - p < 3 || strncasecmp(p, "q=", 2) != 0)
        return true;
    for (p += 2; p < end; p++)
        if (*p >= '1' && *p <= '9')
            return true;
    return false;
}

bool
http_accepts_gzip(const char *value)
{
    bool any = false;
    const char *p = value != NULL ? value : "";

    while (*p != '\0') {
        const char *item = p + strspn(p, ", \t");
        const char *end = item + strcspn(item, ",");
        size_t len = strcspn(item, ",; \t");

        if (is_word(item, len, "gzip") || is_word(item, len, "x-gzip"))
            return has_weight(item + len, end);
        if (is_word(item, len, "*"))
            any = has_weight(item + len, end);
        p = end;
    }
    return any;
}

static bool
is_token_safe(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c != '\0' && strchr("!#$&+-.^_`|~", c) != NULL);
}

struct cut {
    char *out;
    size_t left; /* without the NUL */
};

/* Appends the whole text; if it does not fit, appends nothing now or later. */
static void
put(struct cut *c, const char *text, size_t len)
{
    if (len > c->left) {
        c->left = 0;
        return;
    }
    memcpy(c->out, text, len);
    c->out += len;
    c->left -= len;
}

/* The name for old clients: only ASCII characters that need no escape. */
static void
put_plain(struct cut *c, const char *name)
{
    for (const char *p = name; *p != '\0'; p++) {
        unsigned char byte = (unsigned char)*p;
        bool is_strange = byte < 0x20 || byte >= 0x7f || strchr("\"\\/%", byte) != NULL;

        if (byte >= 0x80 && byte < 0xc0)
            continue; /* one underscore a character, not a byte */
        put(c, is_strange ? "_" : p, 1);
    }
}

static void
put_encoded(struct cut *c, const char *name)
{
    char code[4];

    for (const char *p = name; *p != '\0'; p++) {
        snprintf(code, sizeof(code), "%%%02X", (unsigned char)*p);
        if (is_token_safe((unsigned char)*p))
            put(c, p, 1);
        else
            put(c, code, 3);
    }
}

void
http_disposition(const char *kind, const char *name, char *out, size_t size)
{
    static const char begin[] = "; filename=\"", middle[] = "\"; filename*=UTF-8''";
    struct cut c = {out, size - 1};

    put(&c, kind, strlen(kind));
    put(&c, begin, sizeof(begin) - 1);
    put_plain(&c, name);
    put(&c, middle, sizeof(middle) - 1);
    put_encoded(&c, name);
    *c.out = '\0';
}

/* ---- a file as an answer ---- */

/* If-Range: ranges of different versions of a file must not be mixed. */
static bool
range_applies(struct http_request *req, const char *quoted_tag)
{
    const char *condition = http_header(req, "If-Range");

    return condition == NULL || strcmp(condition, quoted_tag) == 0;
}

static void
add_headers(struct http_request *req, const struct http_file *f)
{
    char disposition[4096];

    http_set_header(req, "Accept-Ranges", "bytes");
    http_set_header(req, "Content-Type",
                    f->type != NULL ? f->type : "application/octet-stream");
    if (f->download_name == NULL)
        return;
    http_disposition(f->is_shown ? "inline" : "attachment", f->download_name,
                     disposition, sizeof(disposition));
    http_set_header(req, "Content-Disposition", disposition);
    http_set_header(req, "Content-Security-Policy",
                    f->policy != NULL ? f->policy : "sandbox; default-src 'none'");
}

static void
fail_range(struct http_request *req, uint64_t size)
{
    char text[40];

    snprintf(text, sizeof(text), "bytes */%llu", (unsigned long long)size);
    http_set_header(req, "Content-Range", text);
    http_fail(req, 416, "bad_range", "the range is outside the file");
}

/* ---- bytes that are made while they are sent ---- */

#define BLOCK (128u * 1024)

struct reply_source {
    struct http_source_of_bytes bytes;
    struct http_request *req; /* it lasts as long as its answer is read */
};

/* The library calls it again when the request was resumed. */
static ssize_t
read_source(void *arg, uint64_t pos, char *out, size_t max)
{
    const struct reply_source *source = arg;
    struct http_waitlist *list = source->bytes.list;

    (void)pos; /* the library reads in order */
    for (;;) {
        uint64_t seen = list != NULL ? http_waitlist_generation(list) : 0;
        ssize_t n = source->bytes.read(source->bytes.arg, out, max);

        if (n > 0)
            source->req->has_waited = false;
        if (n > 0)
            return n;
        if (n < 0 || list == NULL)
            return MHD_CONTENT_READER_END_WITH_ERROR;
        if (http_wait(source->req, list, seen, source->bytes.wait_ms))
            return 0;
        if (http_wait_is_over(source->req))
            return MHD_CONTENT_READER_END_WITH_ERROR;
    }
}

static void
end_source(void *arg)
{
    struct reply_source *source = arg;

    source->bytes.end(source->bytes.arg);
    free(source);
}

/* Takes the source. NULL: answered, or out of memory. */
static struct MHD_Response *
respond_from_source(struct http_request *req, const struct http_source_of_bytes *given,
                    uint64_t first, uint64_t len)
{
    struct reply_source *source = malloc(sizeof(*source));
    enum p2p_err err = source != NULL ? given->begin(given->arg, first) : P2P_ERR_NOMEM;
    struct MHD_Response *r = NULL;

    if (err != P2P_OK) {
        http_fail_err(req, err, NULL);
    } else {
        *source = (struct reply_source){*given, req};
        req->has_waited = false; /* each piece has its own time */
        r = MHD_create_response_from_callback(len, BLOCK, read_source, source,
                                              end_source);
    }
    if (r == NULL) {
        free(source);
        given->end(given->arg);
    }
    return r;
}

/* Closes what a file or source holds when it was not taken. */
static void
drop(const struct http_file *f)
{
    if (f->source != NULL)
        f->source->end(f->source->arg);
    else
        close(f->fd);
}

void
http_reply_file(struct http_request *req, const struct http_file *f)
{
    char tag[160] = "0", quoted[168], text[80];
    enum http_range range;
    uint64_t first, len;
    struct MHD_Response *r;
    struct stat st;

    if (f->etag != NULL)
        snprintf(tag, sizeof(tag), "%s", f->etag);
    else if (fstat(f->fd, &st) == 0)
        snprintf(tag, sizeof(tag), "%llx-%llx.%lx", (unsigned long long)st.st_size,
                 (unsigned long long)st.st_mtim.tv_sec,
                 (unsigned long)st.st_mtim.tv_nsec);
    snprintf(quoted, sizeof(quoted), "\"%s\"", tag);
    if (http_not_modified(req, tag)) {
        drop(f);
        return;
    }
    range = http_range_parse(http_header(req, "Range"), f->size, &first, &len);
    if (range != HTTP_RANGE_NONE && !range_applies(req, quoted)) {
        range = HTTP_RANGE_NONE;
        first = 0;
        len = f->size;
    }
    if (range == HTTP_RANGE_BAD) {
        fail_range(req, f->size);
        drop(f);
        return;
    }
    if (f->source != NULL)
        r = respond_from_source(req, f->source, first, len);
    else if ((r = MHD_create_response_from_fd_at_offset64(len, f->fd, first)) == NULL)
        close(f->fd);
    if (r == NULL)
        return;
    add_headers(req, f);
    if (range == HTTP_RANGE_PART) {
        snprintf(text, sizeof(text), "bytes %llu-%llu/%llu", (unsigned long long)first,
                 (unsigned long long)(first + len - 1), (unsigned long long)f->size);
        http_set_header(req, "Content-Range", text);
    }
    /* The response closes the descriptor, or ends the source. */
    http_answer(req, range == HTTP_RANGE_PART ? 206 : 200, r);
}

/* ---- pages of a folder ---- */

const char *
http_type_of(const char *path)
{
    static const char *const types[][2] = {
        {".html", "text/html; charset=utf-8"},
        {".css", "text/css; charset=utf-8"},
        {".js", "text/javascript; charset=utf-8"},
        {".mjs", "text/javascript; charset=utf-8"},
        {".json", "application/json"},
        {".webmanifest", "application/manifest+json"},
        {".svg", "image/svg+xml"},
        {".png", "image/png"},
        {".jpg", "image/jpeg"},
        {".ico", "image/x-icon"},
        {".woff2", "font/woff2"},
        {".txt", "text/plain; charset=utf-8"},
        {".yaml", "application/yaml"},
    };
    const char *dot = strrchr(path, '.');

    for (size_t i = 0; dot != NULL && i < sizeof(types) / sizeof(types[0]); i++)
        if (strcasecmp(dot, types[i][0]) == 0)
            return types[i][1];
    return "application/octet-stream";
}
