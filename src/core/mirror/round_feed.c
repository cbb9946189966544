/*
 * What the source says that it changed (CHANGES? of docs/PROTOCOL.md). A file that is
 * missing in a list may only be away. So the mirror deletes nothing that the source
 * does not say it deleted, in the list of changes whose place the mirror knows.
 *
 * If the record had everything at that place, the record and the changes are the list
 * of the source, and a round in which nothing changed is one request.
 */
#include <stdlib.h>
#include <string.h>

#include "core/mirror/round.h"
#include "p2p/log.h"

#define ANSWERS_MAX 10000 /* of 256 changes */

/* ---- Reading ---- */

struct reading {
    const struct p2p_mirror *job;
    struct p2p_round_feed *feed;
};

static enum p2p_err
add_news(void *arg, const struct p2p_conn_change *change)
{
    const struct reading *reading = arg;
    struct p2p_round_feed *feed = reading->feed;
    const char *inner = p2p_mirror_inner(reading->job, change->name);
    char *name;

    if (inner == NULL)
        return P2P_OK;
    if (feed->count == feed->room) {
        size_t room = feed->room * 2 + 64;
        struct p2p_round_news *grown = realloc(feed->at, room * sizeof(*grown));
        if (grown == NULL)
            return P2P_ERR_NOMEM;
        feed->at = grown;
        feed->room = room;
    }
    if ((name = strdup(inner)) == NULL)
        return P2P_ERR_NOMEM;
    feed->at[feed->count] = (struct p2p_round_news){
        .name = name,
        .is_gone = change->is_gone,
        .file = {.name = name,
                 .root = change->root,
                 .size = change->size,
                 .mtime_s = change->mtime_s},
        .order = feed->count,
    };
    feed->count++;
    return P2P_OK;
}

static bool
is_same_log(const struct p2p_conn_place *a, const struct p2p_conn_place *b)
{
    return a->log >> 32 == b->log >> 32;
}

/* The place in `now` is that of an answer that begins anew. True: the list is the same,
 * and only the rules for who sees what are others, so that the changes since `known`
 * can still be had. */
static bool
goes_on(struct p2p_conn_place *now, const struct p2p_conn_place *known, bool *was_asked)
{
    if (*was_asked || !is_same_log(now, known) || now->after < known->after)
        return false;
    *was_asked = true;
    now->after = known->after;
    return true;
}

static enum p2p_err
read_changes(struct p2p_round *r)
{
    struct p2p_round_feed *feed = &r->feed;
    struct reading reading = {.job = r->job, .feed = feed};
    struct p2p_conn_place place = feed->was.at, known;
    bool was_asked = false;
    uint8_t flags = P2P_CHANGES_MORE;
    enum p2p_err err = P2P_OK;

    for (int i = 0; (flags & P2P_CHANGES_MORE) != 0 && err == P2P_OK; i++) {
        if (i == ANSWERS_MAX || p2p_round_is_stopped(r))
            return P2P_ERR_CANCELLED;
        known = place;
        err = p2p_conn_changes(r->source.conn, r->job->folder, 0, &place, add_news,
                               &reading, &flags);
        if (err != P2P_OK || (flags & P2P_CHANGES_ANEW) == 0)
            continue;
        feed->is_quick = false;
        if (place.log >> 32 == 0)
            place = known; /* it cannot say now; later it may go on */
        else if (goes_on(&place, &known, &was_asked))
            flags = P2P_CHANGES_MORE;
    }
    feed->now.at = place;
    return err;
}

/* ---- Sorting: the last news of a name count ---- */

static int
by_name_and_order(const void *a, const void *b)
{
    const struct p2p_round_news *x = a, *y = b;
    int order = strcmp(x->name, y->name);

    return order != 0 ? order : (x->order > y->order) - (x->order < y->order);
}

static void
sort_news(struct p2p_round_feed *feed)
{
    size_t n = 0;

    if (feed->count > 0)
        qsort(feed->at, feed->count, sizeof(*feed->at), by_name_and_order);
    for (size_t i = 0; i < feed->count; i++)
        if (i + 1 < feed->count && strcmp(feed->at[i].name, feed->at[i + 1].name) == 0)
            free(feed->at[i].name);
        else
            feed->at[n++] = feed->at[i];
    feed->count = n;
}

/* ---- The record and the changes ---- */

static enum p2p_err
add_known(struct p2p_round *r, const struct p2p_applied_file *known)
{
    const struct p2p_mirror_file file = {
        .name = known->name,
        .root = known->put,
        .size = known->size,
        .mtime_s = known->mtime_ns > 0 ? (uint64_t)known->mtime_ns / 1000000000u : 0,
    };

    return known->is_missing ? P2P_OK : p2p_mirror_add_file(&r->source, &file);
}

/* Goes through both, which are sorted: notes what is gone, and lists what is there. */
static enum p2p_err
merge(struct p2p_round *r, bool with_list)
{
    struct p2p_round_feed *feed = &r->feed;
    struct p2p_applied_list *known = &r->known;
    size_t i = 0, k = 0;
    enum p2p_err err = P2P_OK;

    while ((i < feed->count || k < known->count) && err == P2P_OK) {
        int order = i == feed->count    ? 1
                    : k == known->count ? -1
                                        : strcmp(feed->at[i].name, known->at[k].name);
        struct p2p_applied_file *old = order >= 0 ? &known->at[k++] : NULL;
        const struct p2p_round_news *news = order <= 0 ? &feed->at[i++] : NULL;
        if (old != NULL && news != NULL && old->is_gone != news->is_gone) {
            old->is_gone = news->is_gone;
            err = p2p_applied_set_gone(r->applied, old->name, old->is_gone);
        }
        if (with_list && err == P2P_OK && news == NULL)
            err = add_known(r, old);
        else if (with_list && err == P2P_OK && !news->is_gone)
            err = p2p_mirror_add_file(&r->source, &news->file);
    }
    return err;
}

static bool
is_moved(const struct p2p_round_feed *feed)
{
    return feed->now.at.log != feed->was.at.log ||
           feed->now.at.after != feed->was.at.after ||
           feed->now.is_whole != feed->was.is_whole;
}

/* Stores what is gone together with the place, so that neither is without the other. */
static enum p2p_err
take_news(struct p2p_round *r)
{
    struct p2p_round_feed *feed = &r->feed;
    enum p2p_err err;

    feed->now.is_whole = feed->is_quick && feed->count == 0;
    if (!is_moved(feed))
        return merge(r, feed->is_quick);
    if ((err = p2p_applied_begin(r->applied)) != P2P_OK)
        return err;
    err = merge(r, feed->is_quick);
    if (err == P2P_OK)
        err = p2p_applied_set_place(r->applied, &feed->now);
    return p2p_applied_end(r->applied, err);
}

/* A record in which something was not put by the mirror is not the source's. */
static bool
has_all(const struct p2p_applied_list *known)
{
    for (size_t i = 0; i < known->count; i++)
        if (!known->at[i].is_put && !known->at[i].is_missing)
            return false;
    return true;
}

enum p2p_err
p2p_round_list(struct p2p_round *r)
{
    struct p2p_round_feed *feed = &r->feed;
    enum p2p_err err = p2p_applied_get_place(r->applied, &feed->was);

    if (err != P2P_OK)
        return err;
    feed->is_quick = feed->was.is_whole && !r->job->wants_list && has_all(&r->known);
    err = read_changes(r);
    feed->is_told = err == P2P_OK;
    if (err == P2P_ERR_UNSUPPORTED) {
        feed->is_quick = false;
        return p2p_mirror_read_list(r->job, &r->source);
    }
    if (err != P2P_OK)
        return err;
    if (feed->was.at.log != 0 && !is_same_log(&feed->was.at, &feed->now.at))
        p2p_log_info("the source of a mirror has another list of changes id=%s",
                     r->job->id);
    sort_news(feed);
    r->job->feed_log = feed->now.at.log;
    r->job->feed_after = feed->now.at.after;
    err = take_news(r);
    if (err == P2P_OK && !feed->is_quick)
        err = p2p_mirror_read_list(r->job, &r->source);
    return err;
}

enum p2p_err
p2p_round_feed_done(struct p2p_round *r)
{
    struct p2p_round_feed *feed = &r->feed;

    if (!feed->is_told || feed->now.is_whole)
        return P2P_OK;
    feed->now.is_whole = true;
    return p2p_applied_set_place(r->applied, &feed->now);
}

void
p2p_round_feed_clear(struct p2p_round_feed *feed)
{
    for (size_t i = 0; i < feed->count; i++)
        free(feed->at[i].name);
    free(feed->at);
    *feed = (struct p2p_round_feed){.count = 0};
}
