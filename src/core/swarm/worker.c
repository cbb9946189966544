/* The thread of one connection: connects, and does the work of the task until there is
 * no more to do. */
#include "core/swarm/swarm.h"

#include <unistd.h>

#include "p2p/log.h"

#define THROTTLE_SLICE_US 100000

void
p2p_dl_throttle(struct dl_worker *w, uint64_t bytes)
{
    struct p2p_download *dl = w->dl;
    uint64_t wait_us;

    if (dl->opt.rate == NULL)
        return;
    while ((wait_us = p2p_rate_take(dl->opt.rate, bytes, p2p_now_us())) > 0) {
        usleep((useconds_t)(wait_us < THROTTLE_SLICE_US ? wait_us : THROTTLE_SLICE_US));
        p2p_lock(&dl->lock);
        bool stop = w->stop;
        if (dl->task->on_throttle != NULL)
            dl->task->on_throttle(w);
        p2p_unlock(&dl->lock);
        if (stop)
            return;
    }
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
    struct dl_source *s = &w->dl->swarm.sources[w->source];
    if (s->rtt_us == 0 && rtt_us > 0) {
        s->rtt_us = rtt_us;
        /* Distant sources get more connections, unless it is a path for one only. */
        if (!s->path_known)
            s->path = p2p_conn_path(conn);
        p2p_dl_wake(w->dl);
    }
    p2p_unlock(&w->dl->lock);
}

static enum p2p_err
connect_to_source(struct dl_worker *w, struct p2p_conn **conn)
{
    struct p2p_download *dl = w->dl;
    struct p2p_conn_options opt = {.identity = dl->opt.identity,
                                   .protocol = dl->opt.protocol,
                                   .timeout_ms = dl->opt.timeout_ms,
                                   .reach = dl->opt.reach};
    struct p2p_reach better;
    struct p2p_addr others[P2P_CONN_OTHERS_MAX];
    struct p2p_id expected;
    enum p2p_err err;

    p2p_lock(&dl->lock);
    struct dl_source *s = &dl->swarm.sources[w->source];
    opt.addr = s->addr;
    opt.others = others;
    opt.other_count = p2p_dl_other_addresses(dl, s, others);
    expected = s->id_known ? s->id : s->expected;
    if (s->id_known || s->is_expected)
        opt.expected = &expected;
    opt.expected_by_user = s->by_user;
    opt.is_unreached = s->is_unreached;
    if (w->is_scout) {
        better = *dl->opt.reach;
        if (s->path == P2P_PATH_RELAY)
            better.no_relay = true;
        else
            better.wish = P2P_WISH_DIRECT;
        opt.reach = &better;
    }
    p2p_unlock(&dl->lock);
    err = p2p_conn_open_shown(&opt, show_connection, w, conn);
    if (err == P2P_OK) {
        p2p_lock(&dl->lock);
        p2p_dl_source_is_at(dl, s, p2p_conn_address(*conn));
        p2p_unlock(&dl->lock);
    }
    return err;
}

/* A peer that the user named counts as met once it has proven its key; a peer that a
 * registry or the network named, once it has delivered. */
static void
remember_source(struct dl_worker *w, struct p2p_conn *conn)
{
    struct p2p_download *dl = w->dl;
    enum p2p_rank who = p2p_rank_of(dl->opt.identity, p2p_conn_peer(conn));

    p2p_lock(&dl->lock);
    struct dl_source *s = &dl->swarm.sources[w->source];
    if (!s->remembered && !s->is_expected)
        s->who = who;
    bool is_due = !s->remembered && (s->by_user || !s->is_expected || s->received > 0);
    s->remembered |= is_due;
    p2p_unlock(&dl->lock);
    if (is_due)
        p2p_conn_remember(conn);
}

/* ---- better paths ---- */

static enum p2p_err spawn(struct p2p_download *dl, unsigned source, bool is_scout)
    P2P_REQUIRES(p2p_dl_lock);

/* Pauses before the scouts: a path may appear soon after the start (a port is mapped),
 * or when a laptop comes home. */
static uint64_t
scout_pause_ms(unsigned scouts)
{
    static const uint64_t pauses[] = {5000, 30000, 300000};

    return pauses[scouts < 2 ? scouts : 2];
}

/* The scout has connected. It downloads from now on, and the connections on the worse
 * path end once they have received what they requested. So no byte is sent twice. */
static void
join_workers(struct dl_worker *scout, struct dl_source *s) P2P_REQUIRES(p2p_dl_lock)
{
    struct p2p_download *dl = scout->dl;

    for (unsigned i = 0; i < DL_WORKERS; i++) {
        struct dl_worker *w = &dl->swarm.workers[i];
        if (w != scout && w->running && w->source == scout->source)
            w->retire = true;
    }
    scout->is_scout = false;
    s->workers++;
    s->is_scouted = false;
    s->scout_ms = s->scouts = 0;
    p2p_dl_wake(dl);
}

void
p2p_dl_send_scouts(struct p2p_download *dl)
{
    uint64_t now = p2p_now_ms();

    if (dl->opt.reach == NULL || dl->opt.reach->wish != P2P_WISH_AUTO)
        return;
    for (unsigned i = 0; i < dl->swarm.source_count; i++) {
        struct dl_source *s = &dl->swarm.sources[i];
        if (s->path == P2P_PATH_DIRECT || s->workers == 0 || s->is_scouted ||
            s->scout_ms == 0 || now < s->scout_ms || spawn(dl, i, true) != P2P_OK)
            continue;
        s->is_scouted = true;
        s->scout_ms = now + scout_pause_ms(++s->scouts);
    }
}

static void
note_path(struct dl_worker *w, const struct p2p_conn *conn)
{
    uint64_t rtt_us = p2p_conn_rtt_us(conn);
    enum p2p_path_kind path = p2p_conn_path(conn);
    char label[DL_LABEL_MAX];

    p2p_lock(&w->dl->lock);
    struct dl_source *s = &w->dl->swarm.sources[w->source];
    enum p2p_path_kind before = s->path;
    bool is_other = s->path_known && s->path != path, was_scout = w->is_scout;
    s->path = path;
    s->path_known = true;
    if (s->rtt_us == 0 || is_other)
        s->rtt_us = rtt_us;
    if (was_scout)
        join_workers(w, s);
    if (s->path != P2P_PATH_DIRECT && s->scout_ms == 0)
        s->scout_ms = p2p_now_ms() + scout_pause_ms(0);
    p2p_dl_source_label(s, label);
    p2p_unlock(&w->dl->lock);
    if (was_scout)
        p2p_log_info("a better path replaces another source=\"%s\" path=%s before=%s",
                     label, p2p_path_kind_name(path), p2p_path_kind_name(before));
}

static void *
worker_main(void *arg)
{
    struct dl_worker *w = arg;
    struct p2p_conn *conn = NULL;
    enum p2p_err err = connect_to_source(w, &conn);

    if (err == P2P_OK) {
        note_path(w, conn);
        remember_source(w, conn);
        err = w->dl->task->work(w);
        remember_source(w, conn);
    }
    p2p_lock(&w->dl->lock);
    w->conn = NULL;
    p2p_unlock(&w->dl->lock);
    p2p_conn_close(conn);
    p2p_lock(&w->dl->lock);
    w->end = w->stop || w->is_scout ? P2P_OK : err; /* a scout that finds nothing */
    w->finished = true;
    p2p_dl_wake(w->dl);
    p2p_unlock(&w->dl->lock);
    return NULL;
}

static enum p2p_err
spawn(struct p2p_download *dl, unsigned source, bool is_scout)
{
    unsigned lane = 0;

    while (lane < DL_WORKERS && dl->swarm.workers[lane].running)
        lane++;
    if (lane == DL_WORKERS)
        return P2P_ERR_BUSY;
    struct dl_worker *w = &dl->swarm.workers[lane];
    *w = (struct dl_worker){.dl = dl,
                            .lane = lane,
                            .source = source,
                            .running = true,
                            .is_scout = is_scout};
    int rc = pthread_create(&w->thread, NULL, worker_main, w);
    if (rc != 0) {
        w->running = false;
        return p2p_err_from_errno(rc);
    }
    dl->swarm.sources[source].workers += !is_scout;
    return P2P_OK;
}

enum p2p_err
p2p_dl_worker_spawn(struct p2p_download *dl, unsigned source)
{
    return spawn(dl, source, false);
}

void
p2p_dl_spawn_workers(struct p2p_download *dl)
{
    uint64_t now = p2p_now_ms();

    p2p_dl_share_out_connections(dl);
    for (unsigned i = 0; i < dl->swarm.source_count; i++) {
        struct dl_source *s = &dl->swarm.sources[i];
        while (s->workers < s->wanted && s->next_try_ms <= now &&
               s->failures < dl->opt.retries) {
            if (s->workers == 0)
                s->state = P2P_SRC_CONNECTING;
            if (p2p_dl_worker_spawn(dl, i) != P2P_OK)
                return;
        }
    }
}

bool
p2p_dl_worker_is_stopped(struct dl_worker *w)
{
    p2p_lock(&w->dl->lock);
    bool stop = w->stop;
    p2p_unlock(&w->dl->lock);
    return stop;
}

static void
stop_all(struct p2p_download *dl)
{
    p2p_lock(&dl->lock);
    for (unsigned i = 0; i < DL_WORKERS; i++) {
        struct dl_worker *w = &dl->swarm.workers[i];
        if (!w->running)
            continue;
        w->stop = true;
        if (w->conn != NULL)
            p2p_conn_interrupt(w->conn);
    }
    p2p_dl_wake(dl);
    p2p_unlock(&dl->lock);
}

static void
on_local_error(struct p2p_download *dl, unsigned source, enum p2p_err err)
{
    char label[DL_LABEL_MAX];

    p2p_lock(&dl->lock);
    p2p_dl_source_label(&dl->swarm.sources[source], label);
    if (dl->swarm.local_error == P2P_OK)
        dl->swarm.local_error = err;
    p2p_unlock(&dl->lock);
    p2p_log_warn("a local error ended a connection error=%s source=\"%s\"",
                 p2p_err_name(err), label);
}

/* Decides about a source after its connection has ended. */
static void
judge_end(struct p2p_download *dl, unsigned source, enum p2p_err end)
{
    switch (end) {
    case P2P_OK:
        return;
    case P2P_ERR_UNREACHABLE:
    case P2P_ERR_CLOSED:
    case P2P_ERR_REFUSED:
    case P2P_ERR_TIMEOUT:
    case P2P_ERR_BUSY:
    case P2P_ERR_RATE_LIMITED:
    case P2P_ERR_REMOTE:
    case P2P_ERR_SYS:
        p2p_dl_source_failed(dl, source, end);
        return;
    case P2P_ERR_DISK_FULL:
    case P2P_ERR_QUOTA:
    case P2P_ERR_NO_INODES:
    case P2P_ERR_READ_ONLY:
    case P2P_ERR_TARGET_NAME:
    case P2P_ERR_IN_THE_WAY:
    case P2P_ERR_OTHER_DISK:
    case P2P_ERR_NO_SEEK:
    case P2P_ERR_EXISTS:
    case P2P_ERR_NOMEM:
    case P2P_ERR_PERMISSION:
    case P2P_ERR_CRYPTO:
        on_local_error(dl, source, end);
        return;
    default:
        p2p_dl_drop_source(dl, source, end);
    }
}

/* True when it had finished; `*end` is how. */
static bool
join_finished(struct p2p_download *dl, struct dl_worker *w, enum p2p_err *end)
{
    p2p_lock(&dl->lock);
    bool finished = w->finished;
    p2p_unlock(&dl->lock);
    if (!finished)
        return false;
    pthread_join(w->thread, NULL);
    p2p_lock(&dl->lock);
    w->running = false;
    if (w->is_scout)
        dl->swarm.sources[w->source].is_scouted = false;
    else
        dl->swarm.sources[w->source].workers--;
    *end = w->end;
    p2p_unlock(&dl->lock);
    return true;
}

/* Only the control thread spawns and joins, so the array and `running` stay as they are
 * without the lock. */
static struct dl_worker *
worker_at(struct p2p_download *dl, unsigned i) P2P_NO_LOCK_CHECK
{
    return &dl->swarm.workers[i];
}

bool
p2p_dl_workers_reap(struct p2p_download *dl)
{
    enum p2p_err end;
    bool none = true;

    for (unsigned i = 0; i < DL_WORKERS; i++) {
        struct dl_worker *w = worker_at(dl, i);
        if (w->running && join_finished(dl, w, &end))
            judge_end(dl, w->source, end);
        none &= !w->running;
    }
    return none;
}

void
p2p_dl_workers_end(struct p2p_download *dl)
{
    stop_all(dl);
    while (!p2p_dl_workers_reap(dl))
        p2p_dl_rest(dl);
}
