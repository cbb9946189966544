/* One connection's thread: connects, learns about the file, fetches until there is no
 * more to do. */
#include "core/download/download_internal.h"
#include "core/download/folder.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/journal/journal_file.h"
#include "p2p/lock.h"
#include "p2p/log.h"
#include "p2p/tree.h"

#define THROTTLE_SLICE_US 100000

void
p2p_dl_wait(struct p2p_download *dl, uint64_t ms)
{
    (void)p2p_wait_until(&dl->changed, &dl->lock, p2p_now_ms() + ms);
}

void
p2p_dl_feed(struct p2p_download *dl)
{
    if (dl->hungry > 0)
        pthread_cond_broadcast(&dl->changed);
}

void
p2p_dl_wait_hungry(struct p2p_download *dl, uint64_t ms)
{
    dl->hungry++;
    p2p_dl_wait(dl, ms);
    dl->hungry--;
}

void
p2p_dl_throttle(struct dl_worker *w, uint64_t bytes)
{
    struct p2p_download *dl = w->dl;
    uint64_t wait_us;

    if (dl->rate == NULL)
        return;
    while ((wait_us = p2p_rate_take(dl->rate, bytes, p2p_now_us())) > 0) {
        usleep((useconds_t)(wait_us < THROTTLE_SLICE_US ? wait_us : THROTTLE_SLICE_US));
        p2p_lock(&dl->lock);
        bool stop = w->stop;
        /* Our own limit causes this wait, so the lane must not count as silent. */
        dl->plan.lanes[w->lane].last_us = p2p_now_us();
        p2p_unlock(&dl->lock);
        if (stop)
            return;
    }
}

static enum p2p_err
check_chunk(const struct p2p_download *dl, uint64_t chunk, const uint8_t *data)
{
    const struct p2p_chunks *g = &dl->meta.geometry;
    struct p2p_digest hash;
    enum p2p_err err;

    if (dl->layer == NULL) /* protocol 1: only the whole file can be checked */
        return P2P_OK;
    err = p2p_tree_chunk(g, data, p2p_chunk_length(g, chunk), &hash);
    if (err == P2P_OK && memcmp(&hash, &dl->layer[chunk], sizeof(hash)) != 0)
        err = P2P_ERR_HASH_MISMATCH;
    return err;
}

enum p2p_err
p2p_dl_keep_chunk(struct dl_worker *w, uint64_t chunk, const uint8_t *data)
{
    struct p2p_download *dl = w->dl;
    const struct p2p_chunks *g = &dl->meta.geometry;
    uint32_t length = p2p_chunk_length(g, chunk);
    enum p2p_err err;

    err = p2p_pwrite_full(p2p_journal_fd(dl->journal), data, length,
                          p2p_chunk_offset(g, chunk));
    if (err == P2P_OK)
        err = p2p_journal_mark(dl->journal, chunk);
    if (err != P2P_OK)
        return err;
    p2p_lock(&dl->lock);
    if (p2p_plan_complete(&dl->plan, w->lane, chunk))
        p2p_dl_source_delivered(dl, w->source, length);
    dl->fetched += length;
    if (dl->frontier.idle_us > 0)
        pthread_cond_signal(&dl->next_ready);
    if (dl->plan.left == 0)
        pthread_cond_broadcast(&dl->changed);
    p2p_dl_feed(dl);
    p2p_unlock(&dl->lock);
    return P2P_OK;
}

enum p2p_err
p2p_dl_store_chunk(struct dl_worker *w, uint64_t chunk, const uint8_t *data)
{
    enum p2p_err err = check_chunk(w->dl, chunk, data);

    return err == P2P_OK ? p2p_dl_keep_chunk(w, chunk, data) : err;
}

static void
show_connection(void *arg, struct p2p_conn *conn)
{
    struct dl_worker *w = arg;

    uint64_t rtt_us = conn != NULL ? p2p_conn_rtt_us(conn) : 0;

    p2p_lock(&w->dl->lock);
    w->conn = conn;
    if (conn != NULL && w->stop)
        p2p_conn_interrupt(conn);
    if (w->dl->sources[w->source].rtt_us == 0 && rtt_us > 0) {
        w->dl->sources[w->source].rtt_us = rtt_us;
        pthread_cond_broadcast(
            &w->dl->changed); /* distant sources get more connections */
    }
    p2p_unlock(&w->dl->lock);
}

static enum p2p_err
connect_to_source(struct dl_worker *w, struct p2p_conn **conn)
{
    struct p2p_download *dl = w->dl;
    struct p2p_conn_options opt = {.identity = dl->identity,
                                   .protocol = dl->protocol,
                                   .timeout_ms = dl->timeout_ms};
    struct p2p_id expected;

    p2p_lock(&dl->lock);
    const struct dl_source *s = &dl->sources[w->source];
    opt.addr = s->addr;
    expected = s->id_known ? s->id : s->expected;
    if (s->id_known || s->is_expected)
        opt.expected = &expected;
    opt.expected_by_user = s->by_user;
    p2p_unlock(&dl->lock);
    return p2p_conn_open_shown(&opt, show_connection, w, conn);
}

/* From here on the plan knows the connection. */
static enum p2p_err
fetch_in_lane(struct dl_worker *w)
{
    struct p2p_download *dl = w->dl;
    enum p2p_err err;

    p2p_lock(&dl->lock);
    p2p_plan_open_lane(&dl->plan, w->lane, w->source, p2p_now_us());
    dl->sources[w->source].state = P2P_SRC_ACTIVE;
    p2p_unlock(&dl->lock);
    err = dl->protocol == 1 ? p2p_dl_fetch1(w) : p2p_dl_fetch(w);
    p2p_lock(&dl->lock);
    p2p_plan_close_lane(&dl->plan, w->lane);
    pthread_cond_broadcast(&dl->changed);
    p2p_unlock(&dl->lock);
    return err;
}

static enum p2p_err
file_work(struct dl_worker *w)
{
    enum p2p_err err = p2p_dl_learn(w);

    return err == P2P_OK ? fetch_in_lane(w) : err;
}

/* A peer that the user named counts as met once it has proven its key; a peer that a
 * registry or the network named, once it has delivered. */
static void
remember_source(struct dl_worker *w, struct p2p_conn *conn)
{
    struct p2p_download *dl = w->dl;
    enum p2p_rank who = p2p_rank_of(dl->identity, p2p_conn_peer(conn));

    p2p_lock(&dl->lock);
    struct dl_source *s = &dl->sources[w->source];
    if (!s->remembered && !s->is_expected)
        s->who = who;
    bool is_due = !s->remembered && (s->by_user || !s->is_expected || s->received > 0);
    s->remembered |= is_due;
    p2p_unlock(&dl->lock);
    if (is_due)
        p2p_conn_remember(conn);
}

static void *
worker_main(void *arg)
{
    struct dl_worker *w = arg;
    struct p2p_conn *conn = NULL;
    enum p2p_err err = connect_to_source(w, &conn);

    if (err == P2P_OK) {
        remember_source(w, conn);
        err = w->dl->folder != NULL ? p2p_folder_work(w) : file_work(w);
        remember_source(w, conn);
    }
    p2p_lock(&w->dl->lock);
    w->conn = NULL;
    p2p_unlock(&w->dl->lock);
    p2p_conn_close(conn);
    p2p_lock(&w->dl->lock);
    w->end = w->stop ? P2P_OK : err;
    w->finished = true;
    pthread_cond_broadcast(&w->dl->changed);
    p2p_unlock(&w->dl->lock);
    return NULL;
}

enum p2p_err
p2p_dl_worker_spawn(struct p2p_download *dl, unsigned source)
{
    unsigned lane = 0;

    while (lane < DL_WORKERS && dl->workers[lane].running)
        lane++;
    if (lane == DL_WORKERS)
        return P2P_ERR_BUSY;
    struct dl_worker *w = &dl->workers[lane];
    *w = (struct dl_worker){.dl = dl, .lane = lane, .source = source, .running = true};
    int rc = pthread_create(&w->thread, NULL, worker_main, w);
    if (rc != 0) {
        w->running = false;
        return p2p_err_from_errno(rc);
    }
    dl->sources[source].workers++;
    return P2P_OK;
}

bool
p2p_dl_worker_is_stopped(struct dl_worker *w)
{
    p2p_lock(&w->dl->lock);
    bool stop = w->stop;
    p2p_unlock(&w->dl->lock);
    return stop;
}

void
p2p_dl_workers_stop(struct p2p_download *dl)
{
    for (unsigned i = 0; i < DL_WORKERS; i++) {
        struct dl_worker *w = &dl->workers[i];
        if (!w->running)
            continue;
        w->stop = true;
        if (w->conn != NULL)
            p2p_conn_interrupt(w->conn);
    }
    pthread_cond_broadcast(&dl->changed);
}

/* Draws the conclusion about a source from how its connection ended. */
static void
judge_end(struct p2p_download *dl, const struct dl_worker *w)
{
    char label[DL_LABEL_MAX];

    switch (w->end) {
    case P2P_OK:
        return;
    case P2P_ERR_UNREACHABLE:
    case P2P_ERR_CLOSED:
    case P2P_ERR_TIMEOUT:
    case P2P_ERR_BUSY:
    case P2P_ERR_RATE_LIMITED:
    case P2P_ERR_REMOTE:
    case P2P_ERR_SYS:
        p2p_dl_source_failed(dl, w->source, w->end);
        return;
    case P2P_ERR_DISK_FULL:
    case P2P_ERR_QUOTA:
    case P2P_ERR_NO_INODES:
    case P2P_ERR_FILE_TOO_BIG:
    case P2P_ERR_READ_ONLY:
    case P2P_ERR_TARGET_NAME:
    case P2P_ERR_IN_THE_WAY:
    case P2P_ERR_OTHER_DISK:
    case P2P_ERR_EXISTS:
    case P2P_ERR_NOMEM:
    case P2P_ERR_PERMISSION:
    case P2P_ERR_CRYPTO:
        p2p_dl_source_label(&dl->sources[w->source], label);
        p2p_log_warn("a connection ended by a local error error=%s source=\"%s\"",
                     p2p_err_name(w->end), label);
        if (dl->local_error == P2P_OK)
            dl->local_error = w->end;
        return;
    default:
        p2p_dl_drop_source(dl, w->source, w->end);
    }
}

bool
p2p_dl_workers_reap(struct p2p_download *dl)
{
    bool none = true;

    for (unsigned i = 0; i < DL_WORKERS; i++) {
        struct dl_worker *w = &dl->workers[i];
        if (w->running && w->finished) {
            pthread_t thread = w->thread;
            p2p_unlock(&dl->lock);
            pthread_join(thread, NULL);
            p2p_lock(&dl->lock);
            w->running = false;
            dl->sources[w->source].workers--;
            judge_end(dl, w);
        }
        none &= !w->running;
    }
    return none;
}
