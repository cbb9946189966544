/*
 * The task of a file of protocol 1, and the download of its chunks over a connection. A
 * chunk is one answer, matched by its index. Only the SHA-256 of the whole file can be
 * checked.
 */
#include <string.h>

#include "core/download/file.h"

#define SLICE_MS 200
#define WINDOW1  4
/* Frames left of a session when another connection takes over: the other side may end
 * it a little before the last. */
#define WORN_MARGIN 1024

struct fetch1 {
    struct dl_worker *w;
    uint64_t asked[WINDOW1];
    unsigned count;
    uint64_t last_bytes_ms;
};

static enum p2p_err
ask_chunk(struct fetch1 *f, uint64_t chunk)
{
    const char *name = f->w->dl->opt.name;
    struct p2p_msg1 get = {
        .type = P2P_MSG1_GET, .name = {name, strlen(name)}, .index = chunk};

    f->asked[f->count++] = chunk;
    return p2p_conn_put1(f->w->conn, &get);
}

static bool
is_leaving(const struct fetch1 *f) P2P_REQUIRES(p2p_dl_lock)
{
    return f->w->retire || p2p_conn_is_worn(f->w->conn, WORN_MARGIN);
}

static enum p2p_err
refill(struct fetch1 *f)
{
    struct p2p_download *dl = f->w->dl;
    enum p2p_err err = P2P_OK;

    while (err == P2P_OK && f->count < WINDOW1) {
        uint64_t chunk;
        p2p_lock(&dl->lock);
        bool taken = !is_leaving(f) &&
                     p2p_plan_take(&dl->file->plan, f->w->lane, p2p_now_us(), &chunk);
        p2p_unlock(&dl->lock);
        if (!taken)
            break;
        err = ask_chunk(f, chunk);
    }
    return err == P2P_OK ? p2p_conn_flush(f->w->conn) : err;
}

static enum p2p_err
take_chunk(struct fetch1 *f, const struct p2p_msg1 *msg)
{
    struct p2p_download *dl = f->w->dl;
    unsigned i = 0;

    while (i < f->count && f->asked[i] != msg->index)
        i++;
    if (i == f->count ||
        msg->len != p2p_chunk_length(&dl->file->meta.geometry, msg->index))
        return P2P_ERR_PROTOCOL;
    f->asked[i] = f->asked[--f->count];
    f->last_bytes_ms = p2p_now_ms();
    p2p_lock(&dl->lock);
    dl->report.received += msg->len;
    p2p_plan_on_bytes(&dl->file->plan, f->w->lane, p2p_now_us(), 0);
    p2p_unlock(&dl->lock);
    enum p2p_err err = p2p_dl_store_chunk(f->w, msg->index, msg->bytes, 0);
    p2p_dl_throttle(f->w, msg->len);
    return err;
}

static enum p2p_err
receive(struct fetch1 *f)
{
    struct p2p_msg1 msg;
    enum p2p_err err = p2p_conn_receive1(f->w->conn, p2p_now_ms() + SLICE_MS, &msg);

    if (err == P2P_ERR_TIMEOUT)
        return p2p_now_ms() - f->last_bytes_ms < f->w->dl->opt.timeout_ms ? P2P_OK
                                                                          : err;
    if (err != P2P_OK)
        return err;
    switch (msg.type) {
    case P2P_MSG1_CHUNK:
        return take_chunk(f, &msg);
    case P2P_MSG1_ERROR:
        return P2P_ERR_FILE_CHANGED; /* it had the file a moment ago */
    default:
        return P2P_ERR_PROTOCOL;
    }
}

enum p2p_err
p2p_dl_fetch1(struct dl_worker *w)
{
    struct fetch1 f = {.w = w, .last_bytes_ms = p2p_now_ms()};
    enum p2p_err err = P2P_OK;

    while (err == P2P_OK) {
        err = refill(&f);
        if (err == P2P_OK && f.count > 0)
            err = receive(&f);
        p2p_lock(&w->dl->lock);
        bool done = w->stop ||
                    (f.count == 0 && (is_leaving(&f) || w->dl->file->plan.left == 0));
        if (!done && f.count == 0)
            p2p_dl_wait(w->dl, SLICE_MS);
        p2p_unlock(&w->dl->lock);
        if (done)
            break;
    }
    return err;
}

/* ---- The task ---- */

static enum p2p_err
work1(struct dl_worker *w)
{
    return p2p_dl_work_in_lane(w, p2p_dl_fetch1);
}

static unsigned
wanted1(const struct p2p_download *dl, const struct dl_source *s, unsigned usable,
        unsigned share) P2P_REQUIRES(p2p_dl_lock)
{
    return dl->file->ready ? p2p_dl_file_wanted(dl, s, usable, share) : 1;
}

const struct dl_task p2p_dl_file1_task = {
    .one_source = true,
    .work = work1,
    .wanted = wanted1,
    .is_open = p2p_dl_file_is_open,
    .on_throttle = p2p_dl_lane_on_throttle,
    .on_tick = p2p_dl_file_on_tick,
    .begin = p2p_dl_file_begin,
    .step = p2p_dl_file_step,
    .finish = p2p_dl_file_finish,
    .retry = p2p_dl_file_retry,
    .close = p2p_dl_file_close,
    .has_room = p2p_dl_file_has_room,
    .bytes_to_come = p2p_dl_file_bytes_to_come,
    .explain = p2p_dl_file_explain,
    .fill_status = p2p_dl_file_fill_status,
    .free = p2p_dl_file_free,
};
