/* The chunks of a file. This is the work of a connection when the file is known: a
 * received chunk is checked, written, marked and counted, in this order. */
#include "core/download/file.h"

#include <string.h>

#include "core/journal/journal_file.h"
#include "p2p/tree.h"

static enum p2p_err
check_chunk(const struct p2p_download *dl, uint64_t chunk, const uint8_t *data)
{
    const struct p2p_chunks *g = &dl->file->meta.geometry;
    struct p2p_digest hash;
    enum p2p_err err;

    if (dl->file->layer == NULL) /* protocol 1: only the whole file can be checked */
        return P2P_OK;
    err = p2p_tree_chunk(g, data, p2p_chunk_length(g, chunk), &hash);
    if (err == P2P_OK && memcmp(&hash, &dl->file->layer[chunk], sizeof(hash)) != 0)
        err = P2P_ERR_HASH_MISMATCH;
    return err;
}

/* Gives the verified bytes to the disk, and marks them. */
static enum p2p_err
write_chunk(const struct p2p_download *dl, uint64_t chunk, const uint8_t *data)
{
    const struct p2p_chunks *g = &dl->file->meta.geometry;
    enum p2p_err err =
        p2p_pwrite_full(p2p_journal_fd(dl->file->journal), data,
                        p2p_chunk_length(g, chunk), p2p_chunk_offset(g, chunk));

    return err == P2P_OK ? p2p_journal_mark(dl->file->journal, chunk) : err;
}

/* The plan has the chunk: tells those who wait for it. True: a reader does. */
static bool
count_chunk(struct p2p_download *dl, uint64_t chunk, uint32_t reused)
    P2P_REQUIRES(p2p_dl_lock)
{
    dl->file->fetched += p2p_chunk_length(&dl->file->meta.geometry, chunk);
    dl->report.reused += reused;
    if (dl->file->frontier.idle_us > 0)
        pthread_cond_signal(&dl->file->next_ready);
    if (dl->file->plan.left == 0)
        p2p_dl_wake(dl);
    p2p_dl_wake_waiters(dl);
    return p2p_plan_is_awaited(&dl->file->plan, chunk);
}

static void
tell_readers(struct p2p_download *dl, bool is_awaited)
{
    if (is_awaited && dl->opt.on_readable != NULL)
        dl->opt.on_readable(dl->opt.event_arg);
}

enum p2p_err
p2p_dl_keep_chunk(struct dl_worker *w, uint64_t chunk, const uint8_t *data,
                  uint32_t reused)
{
    struct p2p_download *dl = w->dl;
    uint32_t length = p2p_chunk_length(&dl->file->meta.geometry, chunk);
    enum p2p_err err = write_chunk(dl, chunk, data);

    if (err != P2P_OK)
        return err;
    p2p_lock(&dl->lock);
    bool is_first = p2p_plan_complete(&dl->file->plan, w->lane, chunk);
    if (is_first) {
        p2p_dl_source_delivered(dl, w->source, length - reused);
        p2p_dl_note_sender(dl, w->source, chunk);
    }
    bool is_awaited = count_chunk(dl, chunk, is_first ? reused : 0);
    p2p_unlock(&dl->lock);
    tell_readers(dl, is_awaited);
    return P2P_OK;
}

enum p2p_err
p2p_dl_store_chunk(struct dl_worker *w, uint64_t chunk, const uint8_t *data,
                   uint32_t reused)
{
    enum p2p_err err = check_chunk(w->dl, chunk, data);

    return err == P2P_OK ? p2p_dl_keep_chunk(w, chunk, data, reused) : err;
}

enum p2p_err
p2p_dl_keep_found(struct p2p_download *dl, uint64_t chunk, const uint8_t *data)
{
    enum p2p_err err = write_chunk(dl, chunk, data);

    if (err != P2P_OK)
        return err;
    p2p_lock(&dl->lock);
    bool is_first = !p2p_plan_is_done(&dl->file->plan, chunk), is_awaited = false;
    if (is_first) {
        p2p_plan_set_done(&dl->file->plan, chunk);
        p2p_dl_note_found(dl, chunk);
        is_awaited =
            count_chunk(dl, chunk, p2p_chunk_length(&dl->file->meta.geometry, chunk));
    }
    p2p_unlock(&dl->lock);
    tell_readers(dl, is_awaited);
    return P2P_OK;
}

enum p2p_err
p2p_dl_store_found(struct p2p_download *dl, uint64_t chunk, const uint8_t *data)
{
    enum p2p_err err = check_chunk(dl, chunk, data);

    return err == P2P_OK ? p2p_dl_keep_found(dl, chunk, data) : err;
}

/* From here on the plan knows the connection. */
static enum p2p_err
fetch_in_lane(struct dl_worker *w, enum p2p_err (*fetch)(struct dl_worker *))
{
    struct p2p_download *dl = w->dl;
    enum p2p_err err;

    p2p_lock(&dl->lock);
    p2p_plan_open_lane(&dl->file->plan, w->lane, w->source, p2p_now_us());
    dl->swarm.sources[w->source].state = P2P_SRC_ACTIVE;
    p2p_unlock(&dl->lock);
    err = fetch(w);
    p2p_lock(&dl->lock);
    p2p_plan_close_lane(&dl->file->plan, w->lane);
    p2p_dl_wake(dl);
    p2p_unlock(&dl->lock);
    return err;
}

enum p2p_err
p2p_dl_work_in_lane(struct dl_worker *w, enum p2p_err (*fetch)(struct dl_worker *))
{
    enum p2p_err err = p2p_dl_learn(w);

    return err == P2P_OK ? fetch_in_lane(w, fetch) : err;
}

void
p2p_dl_lane_on_throttle(struct dl_worker *w)
{
    w->dl->file->plan.lanes[w->lane].last_us = p2p_now_us();
}
