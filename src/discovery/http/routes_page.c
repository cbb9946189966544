/* GET /l and its parts: the page that guests of links open (docs/HTTP.md). */
#include "discovery/http/app.h"
#include "http/link_page.h"

void
get_page(struct http_request *req, void *app)
{
    (void)app;
    http_reply_link_page(req, "");
}

void
get_page_part(struct http_request *req, void *app)
{
    (void)app;
    http_reply_link_page(req, http_param(req, "name"));
}
