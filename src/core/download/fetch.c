/*
 * Downloads chunks over one connection of protocol 2: sends requests, puts their
 * answers together, and stores finished chunks. Everything that the other side sends is
 * checked against the requests.
 */
#include "core/download/fetch.h"

#include <string.h>
#include <sys/resource.h>

#include "p2p/lock.h"
#include "p2p/log.h"

#define SLICE_MS 200 /* longest wait for bytes before the plan is consulted again */
/* Compression costs more time than it saves beyond this (bytes per microsecond). */
#define ZSTD_WORTH_RATE 60.0
/* Bytes that may be stored before the hash of the whole file has reached them. */
#define HASH_BACKLOG (32 * P2P_MIB)
#define HASH_NICE    10

static void
fetch_init(struct fetch *f, struct dl_worker *w, uint32_t max_get)
{
    *f = (struct fetch){.w = w, .max_get = max_get, .last_bytes_ms = p2p_now_ms()};
    p2p_window_init(&f->window, w->dl->file->meta.geometry.chunk_size, PLAN_HELD_MAX);
    p2p_window_on_rtt(&f->window, p2p_conn_rtt_us(w->conn));
}

/* Finishes parked chunks, even when the connection failed: a wrong one shows that this
 * source lied. Returns all buffers. Incomplete chunks go back to the plan when the lane
 * is closed. */
static enum p2p_err
fetch_clear(struct fetch *f)
{
    struct p2p_download *dl = f->w->dl;
    enum p2p_err err = p2p_fetch_take_back(f);

    p2p_lock(&dl->lock);
    dl->report.received += f->uncounted;
    for (unsigned i = 0; i < FETCH_SLOTS; i++)
        if (f->slots[i].buf != NULL)
            p2p_pool_put(&dl->file->pool, f->slots[i].buf);
    p2p_dl_wake(dl);
    p2p_unlock(&dl->lock);
    return err;
}

/* ---- Asking ---- */

static enum p2p_err
ask_part(struct fetch *f, unsigned slot_index)
{
    struct fetch_slot *slot = &f->slots[slot_index];
    const struct p2p_download *dl = f->w->dl;
    struct request *r;
    struct p2p_msg get = {.type = P2P_MSG_GET};

    r = p2p_requests_add(&f->requests, p2p_conn_next_req(f->w->conn), slot_index,
                         slot->asked, p2p_fetch_part(slot, f->max_get));
    get.req = r->req;
    get.get.root = dl->file->meta.root;
    get.get.offset = p2p_chunk_offset(&dl->file->meta.geometry, slot->chunk) + r->base;
    get.get.length = r->length;
#ifdef P2P_WITH_ZSTD
    if (f->window.rate > 0 && f->window.rate < ZSTD_WORTH_RATE)
        get.get.flags = P2P_GET_ZSTD;
#endif
    slot->asked += r->length;
    p2p_fetch_skip(slot);
    return p2p_conn_put(f->w->conn, &get);
}

static unsigned
free_slot(const struct fetch *f)
{
    unsigned i = 0;

    while (f->slots[i].buf != NULL)
        i++;
    return i;
}

/*
 * Near the end a connection takes no more than its share of the remaining chunks.
 * Otherwise one connection would still work through its queue when the others are done.
 * This applies only if a chunk takes long compared with a round trip, so that the pause
 * before the next chunk costs little.
 */
static unsigned
taper(const struct fetch *f, unsigned limit, unsigned lanes) P2P_REQUIRES(p2p_dl_lock)
{
    const struct window *w = &f->window;
    uint64_t share = f->w->dl->file->plan.free / (lanes > 0 ? lanes : 1) + 1;
    double chunk_us = w->rate > 0 ? w->chunk_size / w->rate : 0;

    return chunk_us > 2.0 * (double)w->rtt_us && share < limit ? (unsigned)share
                                                               : limit;
}

/* Chunks that are being received; parked ones do not count. */
static unsigned
in_flight(const struct fetch *f)
{
    return f->slot_count - f->parked;
}

static bool
is_full(const struct fetch *f) P2P_REQUIRES(p2p_dl_lock)
{
    unsigned limit = taper(f, f->window.limit, p2p_fetch_open_lanes(f->w->dl));

    return f->slot_count >= p2p_fetch_buffer_share(f) || in_flight(f) >= limit;
}

/*
 * At the end, the whole download waits for the hash of the whole file. So if receiving
 * is faster than hashing, the hash gets the processor: this connection requests nothing
 * until the hash has caught up, and lowers its priority for the rest of its life (on
 * Linux, setpriority applies to the thread). This does not apply while the hash itself
 * waits for a chunk that has not arrived.
 */
static bool
hash_is_behind(struct fetch *f) P2P_REQUIRES(p2p_dl_lock)
{
    const struct p2p_download *dl = f->w->dl;
    bool behind = dl->file->hashing && dl->file->frontier.idle_us == 0 &&
                  dl->file->fetched > dl->file->hashed + HASH_BACKLOG;

    if (behind && !f->stepped_back)
        (void)setpriority(PRIO_PROCESS, 0, HASH_NICE);
    f->stepped_back |= behind;
    return behind;
}

/* Takes a chunk and a buffer for it; false if there is none. */
static bool
take_chunk(struct fetch *f) P2P_REQUIRES(p2p_dl_lock)
{
    struct p2p_download *dl = f->w->dl;
    struct fetch_slot *slot;
    uint64_t chunk;
    bool is_warm = dl->file->pool.idle > 0;
    uint8_t *buf;

    if (f->w->retire || f->slot_count == FETCH_SLOTS || is_full(f) ||
        hash_is_behind(f) || dl->file->reuse.busy)
        return false;
    buf = p2p_pool_get(&dl->file->pool);
    if (buf == NULL)
        return false;
    if (!p2p_plan_take(&dl->file->plan, f->w->lane, p2p_now_us(), &chunk)) {
        p2p_pool_put(&dl->file->pool, buf);
        return false;
    }
    slot = &f->slots[free_slot(f)];
    *slot = (struct fetch_slot){.chunk = chunk,
                                .buf = buf,
                                .is_warm = is_warm,
                                .offer = FRONTIER_REFUSED,
                                .length =
                                    p2p_chunk_length(&dl->file->meta.geometry, chunk)};
    f->slot_count++;
    return true;
}

/* ---- Giving up on chunks ---- */

static enum p2p_err
cancel_request(struct fetch *f, struct request *r)
{
    struct p2p_msg cancel = {.type = P2P_MSG_CANCEL, .req = r->req};
    /* Bytes of the request may still be on their way. They arrive before the PONG;
     * bytes of this request that arrive after it are an error of the other side. */
    struct p2p_msg ping = {.type = P2P_MSG_PING, .ping = r->req};
    enum p2p_err err = p2p_conn_put(f->w->conn, &cancel);

    r->cancelled = true;
    return err == P2P_OK ? p2p_conn_put(f->w->conn, &ping) : err;
}

static enum p2p_err
cancel_slot(struct fetch *f, unsigned slot)
{
    enum p2p_err err = P2P_OK;

    for (unsigned i = 0; i < f->requests.count && err == P2P_OK; i++)
        if (f->requests.at[i].slot == slot && !f->requests.at[i].cancelled)
            err = cancel_request(f, &f->requests.at[i]);
    return err;
}

/* True for a chunk that has come over another connection meanwhile. Parked chunks are
 * handled when they are collected. */
static bool
is_lost(const struct fetch *f, unsigned slot) P2P_REQUIRES(p2p_dl_lock)
{
    const struct fetch_slot *s = &f->slots[slot];

    return s->buf != NULL && s->offer == FRONTIER_REFUSED &&
           p2p_plan_is_done(&f->w->dl->file->plan, s->chunk);
}

/* True for a chunk of which nothing has arrived, and which can wait: a reader has
 * moved, and needs others. */
static bool
gives_way(const struct fetch *f, unsigned slot) P2P_REQUIRES(p2p_dl_lock)
{
    const struct fetch_slot *s = &f->slots[slot];

    return s->buf != NULL && !s->has_begun && s->received == 0 &&
           p2p_plan_should_yield(&f->w->dl->file->plan, f->w->lane, s->chunk);
}

/* Gives these chunks up. With `takes_next`, another one takes the place of each at
 * once, so that no more give way than are needed. */
static enum p2p_err
give_up(struct fetch *f, bool (*is_given_up)(const struct fetch *f, unsigned slot),
        bool takes_next)
{
    struct p2p_download *dl = f->w->dl;
    enum p2p_err err = P2P_OK;

    for (unsigned i = 0; i < FETCH_SLOTS && err == P2P_OK; i++) {
        p2p_lock(&dl->lock);
        bool ends = is_given_up(f, i);
        if (ends)
            p2p_plan_give_back(&dl->file->plan, f->w->lane, f->slots[i].chunk);
        p2p_unlock(&dl->lock);
        if (!ends)
            continue;
        err = cancel_slot(f, i);
        p2p_lock(&dl->lock);
        p2p_fetch_release_slot(f, i);
        if (takes_next)
            (void)take_chunk(f);
        p2p_unlock(&dl->lock);
    }
    return err;
}

/* ---- Whole chunks ---- */

/* What was here has changed, or the source sent something wrong: the next one who
 * fetches the chunk asks for all of it, and then it is clear who. */
static void
fetch_anew(struct fetch *f, uint64_t chunk) P2P_REQUIRES(p2p_dl_lock)
{
    struct p2p_download *dl = f->w->dl;

    p2p_dl_reuse_bar(dl, chunk);
    p2p_plan_give_back(&dl->file->plan, f->w->lane, chunk);
}

static enum p2p_err
finish_slot(struct fetch *f, unsigned slot_index)
{
    struct fetch_slot *slot = &f->slots[slot_index];
    bool is_mixed = slot->reused > 0;
    enum p2p_err err;

    if (!is_mixed && p2p_fetch_offer(f, slot_index))
        return P2P_OK;
    err = p2p_dl_store_chunk(f->w, slot->chunk, slot->buf, slot->reused);
    f->proven |= err == P2P_OK && !is_mixed;
    p2p_lock(&f->w->dl->lock);
    if (is_mixed && err == P2P_ERR_HASH_MISMATCH) {
        fetch_anew(f, slot->chunk);
        err = P2P_OK;
    }
    p2p_fetch_release_slot(f, slot_index);
    p2p_unlock(&f->w->dl->lock);
    return err;
}

static enum p2p_err
ask_rest(struct fetch *f)
{
    enum p2p_err err = P2P_OK;

    for (unsigned i = 0; i < FETCH_SLOTS && err == P2P_OK; i++) {
        struct fetch_slot *slot = &f->slots[i];
        if (slot->buf == NULL)
            continue;
        if (!slot->is_prepared) {
            p2p_fetch_prepare(f, slot);
            if (slot->received == slot->length) {
                err = finish_slot(f, i);
                continue;
            }
        }
        while (err == P2P_OK && slot->asked < slot->length &&
               f->requests.count < REQUESTS_MAX)
            err = ask_part(f, i);
    }
    return err;
}

static enum p2p_err
refill(struct fetch *f)
{
    struct p2p_download *dl = f->w->dl;
    enum p2p_err err = P2P_OK;

    p2p_lock(&dl->lock);
    bool doubled = dl->file->plan.doubled > 0;
    bool has_readers = dl->file->plan.reading > 0;
    while (take_chunk(f)) {
    }
    p2p_unlock(&dl->lock);
    if (doubled)
        err = give_up(f, is_lost, false);
    if (err == P2P_OK && has_readers)
        err = give_up(f, gives_way, true);
    if (err == P2P_OK)
        err = ask_rest(f);
    return err == P2P_OK ? p2p_conn_flush(f->w->conn) : err;
}

/* ---- Answers ---- */

static void
count_bytes(struct fetch *f, uint64_t bytes)
{
    struct p2p_download *dl = f->w->dl;
    uint64_t now_us = p2p_now_us();

    f->last_bytes_ms = now_us / 1000;
    f->taken += bytes;
    f->uncounted += bytes;
    if (!p2p_window_on_bytes(&f->window, bytes, now_us))
        return;
    p2p_window_on_rtt(&f->window, p2p_conn_rtt_us(f->w->conn));
    p2p_lock(&dl->lock);
    p2p_plan_on_bytes(&dl->file->plan, f->w->lane, now_us, f->window.rate);
    dl->report.received += f->uncounted;
    p2p_unlock(&dl->lock);
    f->uncounted = 0;
}

/* A request has its buffer long before its bytes come, so the buffers would be filled
 * in turn, and each would cost memory. The first bytes of a chunk go into one that was
 * used before, and whoever waits with that one gets the new one. */
static uint8_t *
buffer_of(struct fetch *f, unsigned slot_index)
{
    struct fetch_slot *slot = &f->slots[slot_index];

    for (unsigned i = 0; !slot->has_begun && !slot->is_warm && i < FETCH_SLOTS; i++) {
        struct fetch_slot *other = &f->slots[i];
        uint8_t *warm = other->buf;

        if (warm == NULL || other->has_begun || !other->is_warm)
            continue;
        other->buf = slot->buf;
        slot->buf = warm;
        other->is_warm = false;
        slot->is_warm = true;
    }
    slot->has_begun = true;
    return slot->buf;
}

static enum p2p_err
on_data(struct fetch *f, const struct p2p_msg *msg)
{
    struct request *r = p2p_requests_find(&f->requests, msg->req);
    enum p2p_err err;

    if (r == NULL)
        return P2P_ERR_PROTOCOL;
    err = p2p_request_take(r, &msg->data, r->cancelled ? NULL : buffer_of(f, r->slot));
    if (err != P2P_OK)
        return err;
    count_bytes(f, msg->data.len);
    if (r->received < r->length)
        return P2P_OK;
    unsigned slot = r->slot;
    bool cancelled = r->cancelled;
    uint32_t length = r->length;
    if (cancelled) /* stays in the table until its PONG: later bytes are an error */
        return P2P_OK;
    p2p_requests_forget(&f->requests, r);
    f->slots[slot].received += length;
    return f->slots[slot].received == f->slots[slot].length ? finish_slot(f, slot)
                                                            : P2P_OK;
}

static enum p2p_err
on_pong(struct fetch *f, uint64_t value)
{
    struct request *r =
        value <= UINT32_MAX ? p2p_requests_find(&f->requests, (uint32_t)value) : NULL;

    if (r == NULL || !r->cancelled)
        return P2P_ERR_PROTOCOL;
    p2p_requests_forget(&f->requests, r);
    return P2P_OK;
}

static enum p2p_err
on_refusal(struct fetch *f, const struct p2p_msg *msg)
{
    struct request *r = p2p_requests_find(&f->requests, msg->req);

    if (r == NULL)
        return P2P_ERR_PROTOCOL;
    return r->cancelled ? P2P_OK : p2p_conn_refusal(f->w->conn, msg);
}

static enum p2p_err
on_message(struct fetch *f, const struct p2p_msg *msg)
{
    switch (msg->type) {
    case P2P_MSG_DATA:
        return on_data(f, msg);
    case P2P_MSG_PONG:
        return on_pong(f, msg->ping);
    case P2P_MSG_ERROR:
        return on_refusal(f, msg);
    default:
        return P2P_ERR_PROTOCOL;
    }
}

/* Waits once for bytes, then handles all complete messages. */
static enum p2p_err
receive(struct fetch *f)
{
    struct p2p_conn *conn = f->w->conn;
    enum p2p_err err = P2P_OK;

    do {
        struct p2p_msg msg;
        err = p2p_conn_receive(conn, p2p_now_ms() + SLICE_MS, &msg);
        if (err == P2P_OK)
            err = on_message(f, &msg);
    } while (err == P2P_OK && p2p_conn_is_ready(conn) && in_flight(f) > 0 &&
             in_flight(f) >= f->window.limit);
    if (err != P2P_ERR_TIMEOUT)
        return err;
    return p2p_now_ms() - f->last_bytes_ms < p2p_conn_timeout_ms(conn)
               ? P2P_OK
               : P2P_ERR_TIMEOUT;
}

/* Nothing is in flight: waits until the plan may have a chunk for this lane. False: the
 * connection should end. */
static bool
wait_for_work(struct fetch *f)
{
    struct p2p_download *dl = f->w->dl;

    p2p_lock(&dl->lock);
    bool more = !f->w->stop && !f->w->retire && dl->file->plan.left > 0;
    if (more)
        p2p_dl_wait_for_chunk(dl, SLICE_MS / 2);
    p2p_unlock(&dl->lock);
    p2p_window_on_idle(&f->window);
    f->last_bytes_ms = p2p_now_ms();
    return more;
}

enum p2p_err
p2p_dl_fetch(struct dl_worker *w)
{
    struct fetch f;
    uint32_t max_get;
    enum p2p_err err = P2P_OK;

    p2p_lock(&w->dl->lock);
    max_get = w->dl->swarm.sources[w->source].meta.geometry.chunk_size;
    p2p_unlock(&w->dl->lock);
    fetch_init(&f, w, max_get);
    while (err == P2P_OK && !p2p_dl_worker_is_stopped(w)) {
        uint64_t before = f.taken;
        err = p2p_fetch_collect(&f);
        if (err == P2P_OK && f.slot_count == 0)
            err = p2p_dl_reuse(w);
        if (err == P2P_OK)
            err = refill(&f);
        if (err != P2P_OK)
            break;
        if (f.slot_count == 0) {
            if (!wait_for_work(&f))
                break;
            continue;
        }
        if (in_flight(&f) == 0) {
            p2p_fetch_wait_parked(&f);
            f.last_bytes_ms = p2p_now_ms();
            continue;
        }
        err = receive(&f);
        if (err == P2P_OK && f.taken > before)
            p2p_dl_throttle(w, f.taken - before);
    }
    enum p2p_err parked = fetch_clear(&f);
    return parked != P2P_OK ? parked : err;
}
