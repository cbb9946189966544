/* A form that arrives in pieces gives the same events as in one piece. First byte: the
 * size of the pieces. */
#include <string.h>

#include "fuzz.h"
#include "http/text/multipart.h"

/* The events as text, without the places where the content was cut. */
struct seen {
    uint64_t hash;
};

static void
note(struct seen *s, const void *data, size_t len)
{
    const uint8_t *p = data;

    for (size_t i = 0; i < len; i++)
        s->hash = (s->hash ^ p[i]) * 0x100000001b3u;
}

static enum p2p_err
on_part(void *arg, const char *name, const char *filename)
{
    note(arg, name, strlen(name) + 1);
    if (filename != NULL)
        note(arg, filename, strlen(filename) + 1);
    return P2P_OK;
}

static enum p2p_err
on_data(void *arg, const void *data, size_t len)
{
    note(arg, data, len);
    return P2P_OK;
}

static enum p2p_err
on_part_end(void *arg)
{
    note(arg, "end", 4);
    return P2P_OK;
}

static enum p2p_err
parse(const uint8_t *data, size_t size, size_t step, struct seen *s)
{
    static const struct http_multipart_events events = {on_part, on_data, on_part_end};
    struct http_multipart *m = http_multipart_new("XX", &events, s);
    enum p2p_err err = P2P_OK;

    MUST(m != NULL);
    for (size_t i = 0; i < size && err == P2P_OK; i += step)
        err = http_multipart_feed(m, data + i, size - i < step ? size - i : step);
    if (err == P2P_OK)
        err = http_multipart_finish(m);
    http_multipart_free(m);
    return err;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct seen whole = {0}, cut = {0};
    char out[HTTP_MULTIPART_BOUNDARY_MAX + 1], type[256];
    size_t n = size < sizeof(type) - 1 ? size : sizeof(type) - 1;
    enum p2p_err err;

    memcpy(type, data, n);
    type[n] = '\0';
    err = http_multipart_boundary(type, out);
    MUST(err != P2P_OK || strlen(out) <= HTTP_MULTIPART_BOUNDARY_MAX);
    if (size < 1)
        return 0;
    err = parse(data + 1, size - 1, size, &whole);
    MUST(err == P2P_OK || err == P2P_ERR_MALFORMED);
    MUST(parse(data + 1, size - 1, data[0] % 16 + 1u, &cut) == err);
    MUST(err != P2P_OK || whole.hash == cut.hash);
    return 0;
}
