/* GET /l and its parts: the page that guests of links open (docs/HTTP.md). */
#include <string.h>

#include "discovery/http/app.h"
#include "discovery/http/page.h"

/* The page talks with this registry and with peers, and loads nothing else. */
static const char policy[] =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'";

static void
reply(struct http_request *req, const char *type, const char *text, uint64_t len)
{
    http_set_header(req, "Content-Security-Policy", policy);
    http_set_header(req, "X-Content-Type-Options", "nosniff");
    http_set_header(req, "Referrer-Policy", "no-referrer");
    http_set_header(req, "Cache-Control", "no-cache");
    http_reply(req, 200, type, text, (size_t)len);
}

void
get_page(struct http_request *req, void *app)
{
    (void)app;
    reply(req, "text/html; charset=utf-8", discovery_page_html,
          discovery_page_html_len);
}

void
get_page_part(struct http_request *req, void *app)
{
    const char *name = http_param(req, "name");

    (void)app;
    if (strcmp(name, "link.js") == 0)
        reply(req, "text/javascript; charset=utf-8", discovery_page_js,
              discovery_page_js_len);
    else if (strcmp(name, "link.css") == 0)
        reply(req, "text/css; charset=utf-8", discovery_page_css,
              discovery_page_css_len);
    else
        http_fail(req, 404, "not_found", "there is nothing at this path");
}
