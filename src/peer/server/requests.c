#include "peer/server/requests.h"

#include <stdlib.h>
#include <string.h>

enum { ERROR_TEXT_MAX = 120 };

void
requests_init(struct requests *r)
{
    *r = (struct requests){0};
    TAILQ_INIT(&r->list);
    TAILQ_INIT(&r->parked);
}

void
requests_clear(struct requests *r)
{
    struct request *request;

    requests_resume(r);
    while ((request = TAILQ_FIRST(&r->list)) != NULL)
        requests_remove(r, request);
}

struct request *
request_new(enum p2p_msg_type type, uint32_t req, struct p2p_text text)
{
    /* Room for an error text, because any request may become an error. */
    size_t room = text.len > ERROR_TEXT_MAX ? text.len : ERROR_TEXT_MAX;
    struct request *request = calloc(1, sizeof(*request) + room + 1);

    if (request == NULL)
        return NULL;
    request->size = sizeof(*request) + room + 1;
    request->type = type;
    request->req = req;
    request->text_len = text.len;
    if (text.len > 0)
        memcpy(request->text, text.at, text.len);
    return request;
}

static bool
is_uncounted(const struct request *request)
{
    return request->type == P2P_MSG_ERROR || request->type == P2P_MSG_INFO_GET;
}

static void
count_in(struct requests *r, const struct request *request)
{
    r->count++;
    r->bytes += request->size;
    r->uncounted += is_uncounted(request);
}

void
requests_add_in_order(struct requests *r, struct request *request)
{
    TAILQ_INSERT_TAIL(&r->list, request, link);
    count_in(r, request);
}

void
requests_add(struct requests *r, struct request *request)
{
    struct request *get = TAILQ_LAST(&r->list, request_list), *before = NULL;

    /* The GETs are at the end of the list. */
    for (; request->type != P2P_MSG_GET && get != NULL && get->type == P2P_MSG_GET;
         get = TAILQ_PREV(get, request_list, link))
        before = get;
    if (before == NULL)
        TAILQ_INSERT_TAIL(&r->list, request, link);
    else
        TAILQ_INSERT_BEFORE(before, request, link);
    count_in(r, request);
}

void
requests_remove(struct requests *r, struct request *request)
{
    TAILQ_REMOVE(&r->list, request, link);
    r->count--;
    r->bytes -= request->size;
    r->uncounted -= is_uncounted(request);
    p2p_share_file_close(request->file);
    free(request);
}

void
requests_park(struct requests *r, struct request *request)
{
    TAILQ_REMOVE(&r->list, request, link);
    TAILQ_INSERT_TAIL(&r->parked, request, link);
}

void
requests_resume(struct requests *r)
{
    TAILQ_CONCAT(&r->parked, &r->list, link); /* the parked ones first, so that short
                                                 questions are answered before data */
    TAILQ_CONCAT(&r->list, &r->parked, link);
}

bool
requests_has(const struct requests *r, enum p2p_msg_type type)
{
    const struct request *request;

    TAILQ_FOREACH(request, &r->list, link)
    if (request->type == type)
        return true;
    TAILQ_FOREACH(request, &r->parked, link)
    if (request->type == type)
        return true;
    return false;
}

struct request *
requests_find(struct requests *r, uint32_t req)
{
    struct request *request;

    TAILQ_FOREACH(request, &r->list, link)
    {
        if (request->req == req && request->type != P2P_MSG_ERROR &&
            request->type != P2P_MSG_PING)
            return request;
    }
    return NULL;
}

void
requests_fail(struct requests *r, struct request *request, uint16_t code,
              const char *text)
{
    p2p_share_file_close(request->file);
    request->file = NULL;
    request->type = P2P_MSG_ERROR;
    request->code = code;
    request->text_len = strnlen(text, ERROR_TEXT_MAX);
    memcpy(request->text, text, request->text_len);
    r->uncounted++;
}

void
requests_interleave(struct requests *r, struct request *request)
{
    struct request *next = TAILQ_NEXT(request, link);

    if (next == NULL)
        return;
    TAILQ_REMOVE(&r->list, request, link);
    TAILQ_INSERT_AFTER(&r->list, next, request, link);
}

void
requests_close_files(struct requests *r)
{
    struct request *request;

    TAILQ_FOREACH(request, &r->list, link)
    {
        p2p_share_file_close(request->file);
        request->file = NULL;
    }
}
