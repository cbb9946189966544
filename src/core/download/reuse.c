/*
 * The file that is here: a download that replaces a file, or stands beside an older
 * version of it, takes what both have from the disk. One worker compares, before it
 * fetches: first whole chunks, then, if its source knows LEAVES?, blocks of 16 KiB.
 * What is found in part is completed by fetch.c. All of it is checked like what comes
 * over the network, so a file that changes meanwhile, or a source that lies, costs time
 * only.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/delta/match.h"
#include "core/download/file.h"
#include "p2p/lock.h"
#include "p2p/log.h"

/* A smaller file is fetched faster than compared. */
#define SIZE_MIN (4 * P2P_BLOCK_SIZE)
/* Requests in flight. */
#define ASKED_MAX 4
/* A source whose LEAVES? failed so often is not asked for leaves again. */
#define FAILED_MAX 2

/* ---- The file ---- */

static bool
is_missing(void *arg, uint64_t chunk)
{
    struct dl_worker *w = arg;

    return !p2p_journal_has(w->dl->file->journal, chunk);
}

static enum p2p_err
take_found(void *arg, uint64_t chunk, const uint8_t *data)
{
    struct dl_worker *w = arg;

    return p2p_dl_keep_found(w->dl, chunk, data);
}

static bool
is_stopped(void *arg)
{
    return p2p_dl_worker_is_stopped(arg);
}

void
p2p_dl_reuse_begin(struct p2p_download *dl)
{
    struct dl_file *file = dl->file;
    struct p2p_base *base = NULL;
    uint8_t *barred;
    struct stat st;
    int fd = -1;

    file->reuse.calls = (struct base_calls){
        .is_missing = is_missing, .take = take_found, .is_stopped = is_stopped};
    if (file->layer == NULL || file->meta.geometry.size < SIZE_MIN ||
        p2p_journal_done_count(file->journal) == file->meta.geometry.count ||
        p2p_root_open_file(dl->opt.downloads, dl->opt.base, &fd, &st) != P2P_OK)
        return;
    if (p2p_base_open(fd, &file->meta.geometry, file->layer, &file->reuse.calls,
                      &base) != P2P_OK)
        return;
    if ((barred = calloc((size_t)file->meta.geometry.count, 1)) == NULL) {
        p2p_base_close(base);
        return;
    }
    p2p_lock(&dl->lock);
    file->reuse.base = base;
    file->reuse.barred = barred;
    file->reuse.scanned = file->reuse.over = false;
    p2p_unlock(&dl->lock);
}

void
p2p_dl_reuse_end(struct p2p_download *dl)
{
    struct dl_reuse *reuse = &dl->file->reuse;

    p2p_lock(&dl->lock);
    struct p2p_base *base = reuse->base;
    free(reuse->barred);
    reuse->barred = NULL;
    reuse->base = NULL;
    p2p_unlock(&dl->lock);
    p2p_base_close(base);
}

uint32_t
p2p_dl_reuse_fill(struct p2p_download *dl, uint64_t chunk, uint8_t *buf,
                  struct base_blocks *have)
{
    struct dl_reuse *reuse = &dl->file->reuse;

    p2p_lock(&dl->lock);
    bool is_ready = reuse->base != NULL && reuse->over && !reuse->barred[chunk];
    p2p_unlock(&dl->lock);
    return is_ready ? p2p_base_fill(reuse->base, chunk, buf, have) : 0;
}

void
p2p_dl_reuse_bar(struct p2p_download *dl, uint64_t chunk)
{
    if (dl->file->reuse.barred != NULL)
        dl->file->reuse.barred[chunk] = 1;
}

/* ---- Asking for leaves ---- */

/* A request: the leaves of some chunks that follow each other. */
struct asked {
    uint32_t req;
    uint64_t chunk;
    unsigned chunks;
    uint16_t leaves;
};

struct asking {
    struct dl_worker *w;
    struct p2p_base *base;
    uint64_t next;   /* the chunk that is looked at next */
    uint32_t leaves; /* asked for so far */
    struct asked open[ASKED_MAX];
    unsigned count;
    bool is_refused; /* no more is asked */
};

/* The next run of missing chunks, as far as one answer has their leaves. */
static bool
next_run(struct asking *a, struct asked *out)
{
    uint64_t end = a->w->dl->file->meta.geometry.count;

    *out = (struct asked){0};
    while (a->next < end && !is_missing(a->w, a->next))
        a->next++;
    out->chunk = a->next;
    for (; a->next < end && is_missing(a->w, a->next); a->next++) {
        uint32_t n = p2p_base_leaves_of(a->base, a->next);
        if (out->leaves + n > P2P_LEAVES_MAX || a->leaves + n > MATCH_WANTS_MAX)
            break;
        out->leaves = (uint16_t)(out->leaves + n);
        out->chunks++;
        a->leaves += n;
    }
    return out->chunks > 0;
}

static enum p2p_err
ask_more(struct asking *a)
{
    struct p2p_conn *conn = a->w->conn;
    const struct p2p_meta *meta = &a->w->dl->file->meta;
    enum p2p_err err = P2P_OK;

    while (err == P2P_OK && !a->is_refused && a->count < ASKED_MAX) {
        struct asked *next = &a->open[a->count];
        if (!next_run(a, next))
            break;
        next->req = p2p_conn_next_req(conn);
        a->count++;
        const struct p2p_msg msg = {
            .type = P2P_MSG_LEAVES_GET,
            .req = next->req,
            .leaves_get = {.root = meta->root,
                           .first = p2p_chunk_offset(&meta->geometry, next->chunk) /
                                    P2P_BLOCK_SIZE,
                           .count = next->leaves},
        };
        err = p2p_conn_put(conn, &msg);
    }
    return err == P2P_OK ? p2p_conn_flush(conn) : err;
}

static enum p2p_err
take_leaves(struct asking *a, const struct asked *asked,
            const struct p2p_msg_leaves *msg)
{
    const struct p2p_chunks *g = &a->w->dl->file->meta.geometry;
    struct p2p_leaf leaves[P2P_LEAVES_MAX];
    enum p2p_err err = P2P_OK;
    uint32_t at = 0;

    if (msg->count != asked->leaves ||
        msg->first != p2p_chunk_offset(g, asked->chunk) / P2P_BLOCK_SIZE)
        return P2P_ERR_PROTOCOL;
    for (uint16_t i = 0; i < msg->count; i++)
        p2p_msg_get_leaf(msg, i, &leaves[i]);
    for (unsigned i = 0; i < asked->chunks && err == P2P_OK; i++) {
        err = p2p_base_want(a->base, asked->chunk + i, leaves + at);
        at += p2p_base_leaves_of(a->base, asked->chunk + i);
    }
    return err;
}

/* Waits for one answer. */
static enum p2p_err
take_answer(struct asking *a)
{
    struct p2p_conn *conn = a->w->conn;
    struct p2p_download *dl = a->w->dl;
    struct p2p_msg msg;
    enum p2p_err err =
        p2p_conn_receive(conn, p2p_now_ms() + p2p_conn_timeout_ms(conn), &msg);
    unsigned i = 0;

    if (err != P2P_OK)
        return err;
    while (i < a->count && a->open[i].req != msg.req)
        i++;
    if (i == a->count || (msg.type != P2P_MSG_LEAVES && msg.type != P2P_MSG_ERROR))
        return P2P_ERR_PROTOCOL;
    struct asked asked = a->open[i];
    a->open[i] = a->open[--a->count];
    if (msg.type == P2P_MSG_ERROR) {
        a->is_refused = true;
        return P2P_OK;
    }
    uint64_t bytes = (uint64_t)msg.leaves.count * P2P_LEAF_LEN;
    p2p_lock(&dl->lock);
    dl->report.received += bytes;
    p2p_unlock(&dl->lock);
    err = take_leaves(a, &asked, &msg.leaves);
    p2p_dl_throttle(a->w, bytes);
    return err;
}

/* Asks for the leaves of all missing chunks. */
static enum p2p_err
ask_leaves(struct dl_worker *w, struct p2p_base *base)
{
    struct asking a = {.w = w, .base = base};
    enum p2p_err err;

    p2p_base_forget(base);
    do {
        err = p2p_dl_worker_is_stopped(w) ? P2P_ERR_CANCELLED : ask_more(&a);
        if (err == P2P_OK && a.count > 0)
            err = take_answer(&a);
    } while (err == P2P_OK && a.count > 0);
    return err == P2P_OK && a.is_refused ? P2P_ERR_UNSUPPORTED : err;
}

/* ---- Comparing ---- */

/* Stores the chunks of which every block was found. */
static enum p2p_err
store_whole(struct dl_worker *w, struct p2p_base *base)
{
    struct p2p_download *dl = w->dl;
    const struct p2p_chunks *g = &dl->file->meta.geometry;
    struct base_blocks have;
    uint8_t *buf = malloc(g->chunk_size);
    enum p2p_err err = buf != NULL ? P2P_OK : P2P_ERR_NOMEM;
    uint64_t chunk;
    bool is_whole;

    for (size_t i = 0; err == P2P_OK && p2p_base_found(base, i, &chunk, &is_whole);
         i++) {
        if (!is_whole || !is_missing(w, chunk))
            continue;
        if (p2p_dl_worker_is_stopped(w))
            err = P2P_ERR_CANCELLED;
        else if (p2p_base_fill(base, chunk, buf, &have) == p2p_chunk_length(g, chunk))
            err = p2p_dl_store_found(dl, chunk, buf);
        if (err != P2P_ERR_HASH_MISMATCH)
            continue;
        err = P2P_OK; /* the file has changed */
        p2p_lock(&dl->lock);
        p2p_dl_reuse_bar(dl, chunk);
        p2p_unlock(&dl->lock);
    }
    free(buf);
    return err;
}

static enum p2p_err
compare_leaves(struct dl_worker *w, struct p2p_base *base)
{
    struct p2p_download *dl = w->dl;
    enum p2p_err err = ask_leaves(w, base);

    if (err != P2P_OK && err != P2P_ERR_CANCELLED) {
        p2p_lock(&dl->lock);
        struct dl_source *s = &dl->swarm.sources[w->source];
        s->leaves_failed += err == P2P_ERR_UNSUPPORTED ? FAILED_MAX : 1;
        p2p_unlock(&dl->lock);
        p2p_log_debug("a peer sent no leaves error=%s", p2p_err_name(err));
    }
    if (err == P2P_OK)
        err = p2p_base_match(base);
    return err == P2P_OK ? store_whole(w, base) : err;
}

/* True if this worker may ask for leaves. */
static bool
can_ask(const struct dl_worker *w) P2P_REQUIRES(p2p_dl_lock)
{
    const struct dl_source *s = &w->dl->swarm.sources[w->source];

    return (s->features & P2P_FEATURE_LEAVES) != 0 && s->leaves_failed < FAILED_MAX;
}

enum p2p_err
p2p_dl_reuse(struct dl_worker *w)
{
    struct p2p_download *dl = w->dl;
    struct dl_reuse *reuse = &dl->file->reuse;
    enum p2p_err err = P2P_OK;

    p2p_lock(&dl->lock);
    bool asks = can_ask(w), scans = !reuse->scanned;
    bool is_mine =
        reuse->base != NULL && !reuse->over && !reuse->busy && (asks || scans);
    reuse->busy |= is_mine;
    p2p_unlock(&dl->lock);
    if (!is_mine)
        return P2P_OK;
    reuse->calls.arg = w;
    if (scans)
        err = p2p_base_scan(reuse->base);
    bool is_scanned = err == P2P_OK;
    if (err == P2P_OK && asks)
        err = compare_leaves(w, reuse->base);
    p2p_lock(&dl->lock);
    reuse->busy = false;
    reuse->scanned |= is_scanned;
    reuse->over |= is_scanned && asks && err == P2P_OK;
    dl->file->plan.lanes[w->lane].last_us = p2p_now_us();
    p2p_dl_wake_waiters(dl);
    p2p_unlock(&dl->lock);
    return err == P2P_ERR_CANCELLED || err == P2P_ERR_UNSUPPORTED ? P2P_OK : err;
}
