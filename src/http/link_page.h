/*
 * The page for guests of links (docs/HTTP.md): the files of web/link when the program
 * was built, so that no daemon needs a folder for it.
 */
#ifndef P2P_HTTP_LINK_PAGE_H
#define P2P_HTTP_LINK_PAGE_H

#include "http/http.h"

/* Answers with a part of the page, such as "link.js"; "" is the page itself. 404: there
 * is no such part. */
void http_reply_link_page(struct http_request *req, const char *name);

#endif
