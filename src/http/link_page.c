#include "http/link_page.h"

#include <string.h>

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
