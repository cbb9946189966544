/*
 * The list of changes (docs/PROTOCOL.md, "CHANGES"). The shares remember the names that
 * changed last. A client that is too far behind, or asks for the list of another run or
 * of other rules, is told to read the files anew.
 */
#include <stdlib.h>
#include <string.h>

#include "p2p/clock.h"
#include "p2p/name.h"
#include "peer/server/loop.h"
#include "peer/server/serve.h"
#include "peer/server/visible.h"

#define LOOKED_MAX 4096 /* names that one answer looks at */
#define WAIT_MAX_S 60

/* Other rules may show other files, so each version of them has a list of its own. */
static uint64_t
log_of(const struct conn *c)
{
    uint64_t log = c->loop->server->log + c->loop->server->access_generation;

    return log != 0 ? log : 1;
}

enum p2p_err
serve_changes_take(const struct conn *c, struct request *request,
                   const struct p2p_msg_changes_get *msg)
{
    uint64_t wait_ms = (msg->wait_s < WAIT_MAX_S ? msg->wait_s : WAIT_MAX_S) * 1000u;
    uint64_t most_ms = c->loop->server->opt.idle_timeout_ms / 2;

    if (msg->kind != 0)
        return P2P_ERR_NOT_ALLOWED;
    if (msg->folder.len > 0 &&
        p2p_name_check(msg->folder.at, msg->folder.len, true) != P2P_OK)
        return P2P_ERR_NAME;
    request->log = msg->log;
    request->first = msg->after;
    request->until_ms = p2p_now_ms() + (wait_ms < most_ms ? wait_ms : most_ms);
    return P2P_OK;
}

/* The names of a folder that have changed. */
struct collecting {
    struct conn *c;
    const struct request *request;
    struct {
        uint64_t change;
        char *name; /* owned */
    } at[P2P_CHANGES_MAX];
    unsigned looked, count;
    bool is_full;
};

static bool
is_inside(const struct request *request, const char *name)
{
    return request->text_len == 0 ||
           (strncmp(name, request->text, request->text_len) == 0 &&
            name[request->text_len] == '/');
}

/* Under the catalogue's lock: names only. */
static bool
collect(void *arg, uint64_t change, const char *name)
{
    struct collecting *all = arg;
    char *copy;

    if (++all->looked > LOOKED_MAX)
        all->is_full = true;
    else if (is_inside(all->request, name) && visible_may(all->c, name)) {
        all->is_full = all->count == P2P_CHANGES_MAX || (copy = strdup(name)) == NULL;
        if (!all->is_full) {
            all->at[all->count].change = change;
            all->at[all->count++].name = copy;
        }
    }
    return !all->is_full;
}

/* What the name is now. A file that is being hashed comes later, as another change. */
static bool
put_entry(struct conn *c, uint64_t change, const char *name, struct p2p_wr *wr)
{
    struct p2p_change_entry out = {.change = change, .name = {name, strlen(name)}};
    struct p2p_share_entry entry;
    enum p2p_err err = visible_find_name(c, name, &entry);

    if (err == P2P_ERR_BUSY)
        return true;
    if (err == P2P_OK) {
        out.root = entry.root;
        out.size = entry.geometry.size;
        out.mtime_ns = entry.mtime_s * 1000000000u;
        out.version = entry.version;
    } else
        out.flags = P2P_CHANGE_GONE;
    return p2p_msg_changes_add(wr, &out);
}

static enum p2p_err
put_answer(struct collecting *all, uint64_t now, bool is_whole, struct p2p_wr *wr)
{
    const struct p2p_wr begin = *wr;
    uint64_t log = log_of(all->c);

    p2p_msg_changes_begin(wr, all->request->req, log);
    for (unsigned i = 0; i < all->count && is_whole; i++)
        is_whole = put_entry(all->c, all->at[i].change, all->at[i].name, wr);
    if (!is_whole) {
        *wr = begin;
        p2p_msg_changes_begin(wr, all->request->req, log);
    }
    p2p_msg_changes_end(wr, is_whole ? P2P_CHANGES_WHOLE : P2P_CHANGES_ANEW, now);
    return P2P_OK;
}

static void
park(struct conn *c, struct request *request, uint64_t now)
{
    request->first = now;
    requests_park(&c->requests, request);
    loop_park_until(c->loop, c, request->until_ms);
}

enum p2p_err
serve_changes(struct conn *c, struct request *request, struct p2p_wr *wr)
{
    struct collecting *all = calloc(1, sizeof(*all));
    uint64_t now = p2p_share_changes_now();
    bool is_whole;
    enum p2p_err err = P2P_OK;

    if (all == NULL)
        return P2P_ERR_NOMEM;
    all->c = c;
    all->request = request;
    is_whole =
        request->log == log_of(c) && request->first <= now &&
        p2p_shares_changes(c->loop->server->opt.shares, request->first, collect, all) &&
        !all->is_full;
    if (is_whole && all->count == 0 && p2p_now_ms() < request->until_ms &&
        !c->finishing) {
        park(c, request, now);
        err = P2P_ERR_BUSY;
    } else
        err = put_answer(all, now, is_whole, wr);
    for (unsigned i = 0; i < all->count; i++)
        free(all->at[i].name);
    free(all);
    return err;
}
