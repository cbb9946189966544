/*
 * What both daemons give to guests of links (docs/HTTP.md): the page, which is the
 * files of web/link when the program was built, so that no daemon needs a folder for
 * it; and the answers about boxes (meet/boxes.h).
 */
#ifndef P2P_HTTP_LINK_PAGE_H
#define P2P_HTTP_LINK_PAGE_H

#include "http/http.h"
#include "http/meet/boxes.h"

/* Answers with a part of the page, such as "link.js"; "" is the page itself. 404: there
 * is no such part. */
void http_reply_link_page(struct http_request *req, const char *name);

struct http_waitlist;

/* Where the request comes from. */
void http_box_source(struct http_request *req, struct box_source *out);
/* 202 with the number, or why not. */
void http_reply_posted(struct http_request *req, enum box_result result,
                       uint64_t number);

struct http_box_read {
    struct boxes *boxes;
    const struct box_id *id;
    struct http_waitlist *list; /* that is woken with the box */
    uint64_t seen;              /* its generation before the box was looked at */
    uint64_t after;
    unsigned wait_ms;
};
/* The messages behind `after`, as soon as there is one. The handler may run again. */
void http_reply_box(struct http_request *req, const struct http_box_read *read);

#endif
