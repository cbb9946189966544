/*
 * The list of changes (docs/PROTOCOL.md, "CHANGES"). The index of each shared folder
 * has one, which goes on after a restart (p2p/share.h). A client that is at another
 * list, or that missed deletions which are forgotten, is told to read the files anew.
 */
#include <stdlib.h>
#include <string.h>

#include "p2p/clock.h"
#include "p2p/name.h"
#include "peer/server/loop.h"
#include "peer/server/serve.h"
#include "peer/server/visible.h"

#define WAIT_MAX_S 60

/* The upper half is the list's own. Other rules may show other files, so the lower half
 * is theirs: with another one, the client reads the files, but what was deleted remains
 * deleted. */
static uint64_t
log_of(const struct conn *c, uint32_t log)
{
    return (uint64_t)log << 32 | visible_mark(c);
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
    struct request *request;
    struct p2p_shares_feed feed;
    struct {
        uint64_t change;
        bool is_gone;
        char *name; /* owned */
    } at[P2P_CHANGES_MAX];
    unsigned count;
};

static bool
is_inside(const struct request *request, const char *name)
{
    return request->text_len == 0 ||
           (strncmp(name, request->text, request->text_len) == 0 &&
            name[request->text_len] == '/');
}

/* With a lock of the index: names only. A file that is away comes again when it is
 * back. */
static bool
collect(void *arg, uint64_t change, const char *name, enum p2p_share_change_kind kind)
{
    struct collecting *all = arg;
    char *copy;

    if (kind == P2P_SHARE_CHANGE_AWAY || !is_inside(all->request, name) ||
        !visible_may(all->c, name))
        return true;
    if (all->count == P2P_CHANGES_MAX || (copy = strdup(name)) == NULL)
        return false;
    all->at[all->count].change = change;
    all->at[all->count].is_gone = kind == P2P_SHARE_CHANGE_GONE;
    all->at[all->count++].name = copy;
    return true;
}

/* The present state of the name. BUSY: the file is not shared yet. TOO_LARGE: there is
 * no room for it in this record. */
static enum p2p_err
put_entry(struct collecting *all, unsigned i, struct p2p_wr *wr)
{
    const char *name = all->at[i].name;
    struct p2p_change_entry out = {.change = all->at[i].change,
                                   .name = {name, strlen(name)}};
    struct p2p_share_entry entry;
    enum p2p_err err = visible_find_name(all->c, name, &entry);

    if (err == P2P_OK) {
        out.root = entry.root;
        out.size = entry.geometry.size;
        out.mtime_ns = entry.mtime_s * 1000000000u;
        out.version = entry.version;
    } else if (all->at[i].is_gone)
        out.flags = P2P_CHANGE_GONE;
    else
        return P2P_ERR_BUSY;
    return p2p_msg_changes_add(wr, &out) ? P2P_OK : P2P_ERR_TOO_LARGE;
}

/* The client continues behind what was put; BUSY: not before something changes. */
static enum p2p_err
put_entries(struct collecting *all, struct p2p_wr *wr, uint8_t *flags, uint64_t *upto)
{
    const struct p2p_shares_feed *feed = &all->feed;
    enum p2p_err err = P2P_OK;
    unsigned i = 0;

    while (i < all->count && (err = put_entry(all, i, wr)) == P2P_OK)
        i++;
    *flags = P2P_CHANGES_WHOLE;
    *upto = feed->last;
    if (err == P2P_OK && feed->is_whole)
        return P2P_OK;
    if (!feed->is_sorted ||
        (i == 0 && err == P2P_OK && feed->seen == all->request->first)) {
        *flags = P2P_CHANGES_ANEW;
        return err == P2P_ERR_BUSY ? P2P_ERR_BUSY : P2P_OK;
    }
    *upto = i < all->count ? all->at[i].change - 1 : feed->seen;
    if (err != P2P_ERR_BUSY)
        *flags = P2P_CHANGES_MORE;
    return i == 0 && err == P2P_ERR_BUSY ? P2P_ERR_BUSY : P2P_OK;
}

/* True if the answer can wait until there is more to say. */
static bool
may_wait(const struct collecting *all)
{
    return p2p_now_ms() < all->request->until_ms && !all->c->finishing;
}

/* BUSY: later. */
static enum p2p_err
put_answer(struct collecting *all, struct p2p_wr *wr)
{
    const struct p2p_wr begin = *wr;
    uint64_t log = log_of(all->c, all->feed.log), upto = all->feed.last;
    uint8_t flags = P2P_CHANGES_ANEW;
    enum p2p_err err = P2P_OK;

    p2p_msg_changes_begin(wr, all->request->req, log);
    /* The folder is away, or its index is not open yet, or of an older program. */
    if (all->feed.log == 0 && all->request->log >> 32 == 0)
        err = P2P_ERR_BUSY;
    else if (all->feed.is_known && all->request->log == log)
        err = put_entries(all, wr, &flags, &upto);
    if (err == P2P_OK && all->count == 0 && flags == P2P_CHANGES_WHOLE) {
        all->request->first = upto;
        err = P2P_ERR_BUSY;
    }
    if (err == P2P_ERR_BUSY && may_wait(all)) {
        *wr = begin;
        return err;
    }
    if (flags == P2P_CHANGES_ANEW) { /* without those that were put */
        *wr = begin;
        p2p_msg_changes_begin(wr, all->request->req, log);
        upto = all->feed.last;
    }
    p2p_msg_changes_end(wr, flags, upto);
    return P2P_OK;
}

enum p2p_err
serve_changes(struct conn *c, struct request *request, struct p2p_wr *wr)
{
    struct collecting *all = calloc(1, sizeof(*all));
    enum p2p_err err;

    if (all == NULL)
        return P2P_ERR_NOMEM;
    all->c = c;
    all->request = request;
    p2p_shares_changes(c->loop->server->opt.shares, request->text,
                       (uint32_t)(request->log >> 32), request->first, collect, all,
                       &all->feed);
    err = put_answer(all, wr);
    if (err == P2P_ERR_BUSY) {
        requests_park(&c->requests, request);
        loop_park_until(c->loop, c, request->until_ms);
    }
    for (unsigned i = 0; i < all->count; i++)
        free(all->at[i].name);
    free(all);
    return err;
}
