/* Old contents (docs/PROTOCOL.md, "Versions"): what needs the disk runs on a worker. */
#include <stdlib.h>
#include <string.h>

#include "peer/history/history.h"
#include "peer/server/loop.h"
#include "peer/server/serve.h"
#include "peer/server/visible.h"

/* One question to the versions; the connection waits for it. */
struct seek {
    struct conn_job job; /* first member */
    struct history *history;
    struct history_asker asker;
    struct p2p_id id; /* of the caller */
    bool is_list;
    struct p2p_digest root;
    char name[P2P_NAME_MAX + 1];
    uint32_t before, req;
    bool is_done; /* `err` and `page` are the answer for `req` */
    enum p2p_err err;
    struct history_page page;
};

void
seek_free(struct seek *seek)
{
    if (seek != NULL)
        p2p_access_put(seek->asker.rules);
    free(seek);
}

static void
run(struct job *job)
{
    struct seek *s = (struct seek *)job;

    s->err = s->is_list
                 ? history_list(s->history, &s->asker, s->name, s->before, &s->page)
                 : history_seek(s->history, &s->asker, &s->root);
    s->is_done = true;
}

static void
resume(struct conn *c)
{
    loop_run_soon(c->loop, c);
}

/* BUSY: the connection will run again. */
static enum p2p_err
begin(struct conn *c, const struct request *request)
{
    struct seek *s = c->seek;
    enum p2p_err err;

    if (s == NULL && (s = c->seek = calloc(1, sizeof(*s))) == NULL)
        return P2P_ERR_NOMEM;
    p2p_access_put(s->asker.rules);
    s->job.conn = c;
    s->job.resume = resume;
    s->history = c->loop->server->opt.history;
    s->asker.rules = p2p_access_hold(c->loop->rules);
    s->asker.caller = visible_caller(c);
    s->id = *s->asker.caller.id;
    s->asker.caller.id = &s->id;
    s->is_list = request->type == P2P_MSG_HISTORY_GET;
    s->root = request->root;
    memcpy(s->name, request->text, request->text_len);
    s->name[request->text_len] = '\0';
    s->before = (uint32_t)request->first;
    s->req = request->req;
    s->is_done = false;
    err = loop_submit(c->loop->server->disk, &s->job, run);
    return err == P2P_OK ? P2P_ERR_BUSY : P2P_ERR_NOMEM;
}

static bool
is_answered(const struct conn *c, const struct request *request)
{
    return c->seek != NULL && c->seek->is_done && c->seek->req == request->req;
}

enum p2p_err
serve_seek(struct conn *c, struct request *request)
{
    if (request->is_sought)
        return P2P_ERR_NOT_FOUND;
    if (!is_answered(c, request))
        return begin(c, request) == P2P_ERR_BUSY ? P2P_ERR_MORE : P2P_ERR_BUSY;
    c->seek->is_done = false;
    request->is_sought = c->seek->err == P2P_OK;
    return c->seek->err;
}

enum p2p_err
serve_history(struct conn *c, struct request *request, const struct history_page **out)
{
    *out = NULL;
    if (c->loop->server->opt.history == NULL || visible_caller(c).id == NULL ||
        client_is_guest(c->client))
        return P2P_ERR_NOT_FOUND;
    if (!is_answered(c, request))
        return begin(c, request) == P2P_ERR_BUSY ? P2P_ERR_MORE : P2P_ERR_BUSY;
    c->seek->is_done = false;
    *out = &c->seek->page;
    return c->seek->err;
}

enum p2p_err
serve_open(struct conn *c, struct request *request)
{
    enum p2p_err err;

    if (request->file != NULL)
        return P2P_OK;
    err = visible_open(c, &request->root, &request->file);
    if (err == P2P_ERR_MORE && (err = serve_seek(c, request)) == P2P_OK)
        err = visible_open(c, &request->root, &request->file);
    if (err == P2P_OK)
        request->is_sought = false; /* it may be opened again later */
    return err;
}
