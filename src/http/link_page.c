#include "http/link_page.h"

#include <string.h>

#include "http/source/address.h"
#include "http/text/json.h"
#include "http/wait.h"
#include "p2p/clock.h"

/* The assembler includes the files unchanged; the Makefile knows the dependency. */
#define PART(part, file)                        \
    __asm__(".section .rodata\n"                \
            ".global link_page_" #part "\n"     \
            ".global link_page_" #part "_len\n" \
            "link_page_" #part ":\n"            \
            ".incbin \"web/link/" file "\"\n"   \
            "1:\n"                              \
            ".balign 8\n"                       \
            "link_page_" #part "_len:\n"        \
            ".quad 1b - link_page_" #part "\n"  \
            ".previous\n");                     \
    extern const char link_page_##part[];       \
    extern const uint64_t link_page_##part##_len;

/* clang-format off */
PART(html, "index.html")
PART(css, "link.css")
PART(js, "link.js")
PART(get, "get.js")
PART(put, "put.js")
PART(en, "en.js")
PART(de, "de.js")
PART(es, "es.js")
PART(fr, "fr.js")
PART(zh, "zh.js")
PART(ar, "ar.js")

static const char html[] = "text/html; charset=utf-8", css[] = "text/css; charset=utf-8",
                  js[] = "text/javascript; charset=utf-8";

#define IS(part) link_page_##part, &link_page_##part##_len
static const struct part {
    const char *name, *type, *text;
    const uint64_t *len;
} parts[] = {
    {"", html, IS(html)},
    {"link.css", css, IS(css)},
    {"link.js", js, IS(js)},
    {"get.js", js, IS(get)},
    {"put.js", js, IS(put)},
    {"en.js", js, IS(en)},
    {"de.js", js, IS(de)},
    {"es.js", js, IS(es)},
    {"fr.js", js, IS(fr)},
    {"zh.js", js, IS(zh)},
    {"ar.js", js, IS(ar)},
};
/* clang-format on */

/* The page talks with its own server and with peers, and loads nothing else. */
static const char policy[] =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'";

void
http_reply_link_page(struct http_request *req, const char *name)
{
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        if (strcmp(name, parts[i].name) == 0) {
            http_set_header(req, "Content-Security-Policy", policy);
            http_set_header(req, "X-Content-Type-Options", "nosniff");
            http_set_header(req, "Referrer-Policy", "no-referrer");
            http_set_header(req, "Cache-Control", "no-cache");
            http_reply(req, 200, parts[i].type, parts[i].text, (size_t)*parts[i].len);
            return;
        }
    http_fail(req, 404, "not_found", "there is nothing at this path");
}

/* ---- boxes ---- */

void
http_box_source(struct http_request *req, struct box_source *out)
{
    const char *ip = http_client_ip(req);
    struct http_address address = {{0}};

    if (http_address_parse(ip, strlen(ip), &address))
        address = http_address_source(&address);
    memcpy(out->b, address.b, sizeof(out->b));
}

void
http_reply_posted(struct http_request *req, enum box_result result, uint64_t number)
{
    struct http_json_out o;
    size_t len;
    char *text;

    switch (result) {
    case BOX_OK:
        http_json_init(&o, 32);
        http_json_begin(&o, NULL, '{');
        http_json_put_u64(&o, "n", number);
        http_json_end(&o, '}');
        text = http_json_take(&o, &len);
        http_reply_owned(req, 202, "application/json", text, len);
        break;
    case BOX_NONE:
        http_fail(req, 404, "no_box", "no such box");
        break;
    case BOX_FULL:
        http_fail(req, 507, "box_full", "the box is full");
        break;
    case BOX_CROWDED:
        http_fail_busy(req, 30, "too many messages of this address are waiting");
        break;
    }
}

static void
put_message(void *arg, uint64_t number, const char *text, size_t len)
{
    struct http_json_out *o = arg;

    http_json_begin(o, NULL, '{');
    http_json_put_u64(o, "n", number);
    http_json_put_json(o, "m", text, len);
    http_json_end(o, '}');
}

/* False if there is nothing new. */
static bool
collect(const struct http_box_read *read, struct http_json_out *o)
{
    uint64_t next = 0;
    size_t before;
    bool is_new;

    http_json_init(o, 256);
    http_json_begin(o, NULL, '{');
    http_json_begin(o, "messages", '[');
    before = o->len;
    (void)boxes_read(read->boxes, read->id, read->after, p2p_now_ms(), put_message, o,
                     &next);
    is_new = o->len > before;
    http_json_end(o, ']');
    http_json_put_u64(o, "next", next);
    http_json_end(o, '}');
    return is_new;
}

void
http_reply_box(struct http_request *req, const struct http_box_read *read)
{
    struct http_json_out o;
    size_t len;
    char *text;

    if (!collect(read, &o) && http_wait(req, read->list, read->seen, read->wait_ms)) {
        http_json_clear(&o);
        return;
    }
    text = http_json_take(&o, &len);
    http_reply_owned(req, 200, "application/json", text, len);
}
