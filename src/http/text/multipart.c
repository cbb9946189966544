/*
 * The delimiter is CR LF "--" boundary. The parser inserts CR LF before the body, so
 * that the first delimiter looks like the others. Bytes that might begin a delimiter
 * stay in the buffer until that is decided.
 */
#include "http/text/multipart.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "http/text/decode.h"

#define BUFFER_SIZE (64u * 1024)

enum state { PREAMBLE, AFTER_DELIMITER, HEADERS, DATA, EPILOGUE };

struct http_multipart {
    enum state state;
    const struct http_multipart_events *events;
    void *arg;
    unsigned parts;
    size_t delimiter_len;
    char delimiter[HTTP_MULTIPART_BOUNDARY_MAX + 5];
    size_t len;
    char buffer[BUFFER_SIZE];
};

/* ---- header values ---- */

/*
 * Copies the value of parameter `name` in `disposition; a=b; name="va\"lue"` unquoted
 * to out. Returns 1 if found, 0 if missing, -1 if malformed or too long.
 */
static int
find_parameter(const char *value, const char *name, char *out, size_t size)
{
    size_t name_len = strlen(name);
    const char *p = value + strcspn(value, ";");

    while (*p == ';') {
        bool is_it, is_quoted;
        size_t n = 0;

        p += 1 + strspn(p + 1, " \t");
        is_it = strncasecmp(p, name, name_len) == 0 && p[name_len] == '=';
        p += strcspn(p, "=;");
        if (*p != '=')
            continue;
        is_quoted = *++p == '"';
        p += is_quoted;
        for (; *p != '\0' && (is_quoted ? *p != '"' : *p != ';'); p++) {
            /* Browsers send backslashes unchanged; only \" is an escape (RFC 7578). */
            if (is_quoted && p[0] == '\\' && p[1] == '"')
                p++;
            if (is_it && n + 1 >= size)
                return -1;
            if (is_it)
                out[n++] = *p;
        }
        if (is_quoted && *p++ != '"')
            return -1;
        if (is_it) {
            while (!is_quoted && n > 0 && strchr(" \t", out[n - 1]) != NULL)
                n--;
            out[n] = '\0';
            return 1;
        }
        p += strspn(p, " \t");
    }
    return 0;
}

static bool
is_boundary(const char *b)
{
    static const char also[] = "'()+_,-./:=? ";
    size_t n = strlen(b);

    for (const char *p = b; *p != '\0'; p++)
        if (!(*p >= '0' && *p <= '9') && !(*p >= 'a' && *p <= 'z') &&
            !(*p >= 'A' && *p <= 'Z') && strchr(also, *p) == NULL)
            return false;
    return n > 0 && b[n - 1] != ' ';
}

enum p2p_err
http_multipart_boundary(const char *type, char out[HTTP_MULTIPART_BOUNDARY_MAX + 1])
{
    static const char want[] = "multipart/form-data";

    out[0] = '\0';
    if (type == NULL || strncasecmp(type, want, sizeof(want) - 1) != 0)
        return P2P_ERR_UNSUPPORTED;
    if (find_parameter(type, "boundary", out, HTTP_MULTIPART_BOUNDARY_MAX + 1) != 1 ||
        !is_boundary(out))
        return P2P_ERR_MALFORMED;
    return P2P_OK;
}

/* Browsers write these three characters as escapes in name and filename (HTML, form
 * data). */
static void
undo_form_escapes(char *s)
{
    char *o = s;

    for (; *s != '\0'; s++) {
        char c = *s;

        if (strncmp(s, "%22", 3) == 0)
            c = '"';
        else if (strncasecmp(s, "%0D", 3) == 0)
            c = '\r';
        else if (strncasecmp(s, "%0A", 3) == 0)
            c = '\n';
        s += c != *s ? 2 : 0;
        *o++ = c;
    }
    *o = '\0';
}

static enum p2p_err
begin_part(struct http_multipart *m, const char *disposition)
{
    char name[256], filename[4096];
    int has_filename;

    if (strncasecmp(disposition, "form-data", 9) != 0 ||
        find_parameter(disposition, "name", name, sizeof(name)) != 1)
        return P2P_ERR_MALFORMED;
    has_filename = find_parameter(disposition, "filename", filename, sizeof(filename));
    if (has_filename < 0 || !http_is_utf8(name, strlen(name)) ||
        (has_filename == 1 && !http_is_utf8(filename, strlen(filename))))
        return P2P_ERR_MALFORMED;
    undo_form_escapes(name);
    if (has_filename == 1)
        undo_form_escapes(filename);
    return m->events->on_part(m->arg, name, has_filename == 1 ? filename : NULL);
}

/* `head` is the header of the part without the empty line; its lines end with CR LF or
 * NUL. */
static enum p2p_err
parse_head(struct http_multipart *m, char *head, size_t len)
{
    static const char want[] = "Content-Disposition:";
    const char *disposition = NULL;

    if (++m->parts > HTTP_MULTIPART_PARTS_MAX || memchr(head, '\0', len) != NULL)
        return P2P_ERR_MALFORMED;
    head[len] = '\0';
    for (char *line = head; *line != '\0';) {
        char *end = strstr(line, "\r\n");
        char *next = end != NULL ? end + 2 : line + strlen(line);

        if (end != NULL)
            *end = '\0';
        if (strncasecmp(line, want, sizeof(want) - 1) == 0) {
            if (disposition != NULL)
                return P2P_ERR_MALFORMED;
            disposition = line + sizeof(want) - 1;
            disposition += strspn(disposition, " \t");
        }
        line = next;
    }
    return disposition != NULL ? begin_part(m, disposition) : P2P_ERR_MALFORMED;
}

/* ---- the stream ---- */

struct http_multipart *
http_multipart_new(const char *boundary, const struct http_multipart_events *events,
                   void *arg)
{
    struct http_multipart *m = malloc(sizeof(*m));
    size_t n = strlen(boundary);

    if (m == NULL || n > HTTP_MULTIPART_BOUNDARY_MAX) {
        free(m);
        return NULL;
    }
    m->state = PREAMBLE;
    m->events = events;
    m->arg = arg;
    m->parts = 0;
    memcpy(m->delimiter, "\r\n--", 4);
    memcpy(m->delimiter + 4, boundary, n + 1);
    m->delimiter_len = n + 4;
    memcpy(m->buffer, "\r\n", 2);
    m->len = 2;
    return m;
}

void
http_multipart_free(struct http_multipart *m)
{
    free(m);
}

static void
drop(struct http_multipart *m, size_t n)
{
    m->len -= n;
    memmove(m->buffer, m->buffer + n, m->len);
}

/*
 * How many bytes at the beginning of the buffer are certainly content; *found if a
 * complete delimiter follows them.
 */
static size_t
content_length(const struct http_multipart *m, bool *found)
{
    const char *at = memmem(m->buffer, m->len, m->delimiter, m->delimiter_len);
    size_t keep = m->delimiter_len - 1;
    const char *cr;

    *found = at != NULL;
    if (at != NULL)
        return (size_t)(at - m->buffer);
    if (keep > m->len)
        keep = m->len;
    /* Only a CR can begin a delimiter; without one, the rest is also content. */
    cr = memchr(m->buffer + m->len - keep, '\r', keep);
    return cr != NULL ? (size_t)(cr - m->buffer) : m->len;
}

static enum p2p_err
pass_content(struct http_multipart *m, bool *progressed)
{
    bool found;
    size_t n = content_length(m, &found);
    bool is_data = m->state == DATA;
    enum p2p_err err = P2P_OK;

    if (n > 0 && is_data)
        err = m->events->on_data(m->arg, m->buffer, n);
    if (err == P2P_OK && found && is_data)
        err = m->events->on_part_end(m->arg);
    if (found) {
        n += m->delimiter_len;
        m->state = AFTER_DELIMITER;
    }
    drop(m, n);
    *progressed = found;
    return err;
}

/* After a delimiter: "--" ends everything, padding and CR LF begin a part. */
static enum p2p_err
pass_delimiter_end(struct http_multipart *m, bool *progressed)
{
    size_t pad = 0;

    *progressed = false;
    if (m->len < 2)
        return P2P_OK;
    if (memcmp(m->buffer, "--", 2) == 0) {
        m->state = EPILOGUE;
        *progressed = true;
        return P2P_OK;
    }
    while (pad < m->len && (m->buffer[pad] == ' ' || m->buffer[pad] == '\t'))
        pad++;
    if (pad > HTTP_MULTIPART_BOUNDARY_MAX)
        return P2P_ERR_MALFORMED;
    if (m->len - pad < 2)
        return P2P_OK;
    if (memcmp(m->buffer + pad, "\r\n", 2) != 0)
        return P2P_ERR_MALFORMED;
    /* Keeps the CR LF, so that a part without headers begins with CR LF CR LF like any
     * other. */
    drop(m, pad);
    m->state = HEADERS;
    *progressed = true;
    return P2P_OK;
}

static enum p2p_err
pass_headers(struct http_multipart *m, bool *progressed)
{
    size_t limit =
        m->len < HTTP_MULTIPART_HEADER_MAX ? m->len : HTTP_MULTIPART_HEADER_MAX;
    char *end = memmem(m->buffer, limit, "\r\n\r\n", 4);
    enum p2p_err err;

    *progressed = end != NULL;
    if (end == NULL)
        return limit == HTTP_MULTIPART_HEADER_MAX ? P2P_ERR_MALFORMED : P2P_OK;
    if (end == m->buffer)
        return P2P_ERR_MALFORMED;
    err = parse_head(m, m->buffer + 2, (size_t)(end - m->buffer) - 2);
    drop(m, (size_t)(end - m->buffer) + 4);
    m->state = DATA;
    return err;
}

static enum p2p_err
run(struct http_multipart *m)
{
    enum p2p_err err = P2P_OK;
    bool progressed = true;

    while (err == P2P_OK && progressed) {
        switch (m->state) {
        case PREAMBLE:
        case DATA:
            err = pass_content(m, &progressed);
            break;
        case AFTER_DELIMITER:
            err = pass_delimiter_end(m, &progressed);
            break;
        case HEADERS:
            err = pass_headers(m, &progressed);
            break;
        case EPILOGUE:
            m->len = 0;
            progressed = false;
            break;
        }
    }
    return err;
}

enum p2p_err
http_multipart_feed(struct http_multipart *m, const void *data, size_t len)
{
    const char *p = data;

    while (len > 0) {
        size_t n = BUFFER_SIZE - m->len;
        enum p2p_err err;

        if (n > len)
            n = len;
        memcpy(m->buffer + m->len, p, n);
        m->len += n;
        p += n;
        len -= n;
        if ((err = run(m)) != P2P_OK)
            return err;
    }
    return P2P_OK;
}

enum p2p_err
http_multipart_finish(const struct http_multipart *m)
{
    return m->state == EPILOGUE ? P2P_OK : P2P_ERR_MALFORMED;
}
