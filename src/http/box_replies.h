/*
 * box_replies - the answers about boxes (meet/boxes.h), which both daemons give: the
 * number of a message that was left, and the messages that wait (docs/HTTP.md).
 */
#ifndef P2P_HTTP_BOX_REPLIES_H
#define P2P_HTTP_BOX_REPLIES_H

#include "http/http.h"
#include "http/meet/boxes.h"

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
