/* The slots of a connection: its share of the buffers, and whole chunks that are parked
 * until the hash of the whole file reaches them. */
#include "core/download/fetch.h"
#include "p2p/lock.h"

/* How many chunks one connection may have parked. This limits what a peer that turns
 * malicious can waste; more parked chunks gave no more speed. */
#define PARKED_MAX 1

/* With a smaller share than this, all buffers are needed for receiving. */
#define SHARE_MIN 4

/* Longest sleep of a connection that has only parked chunks. */
#define LOOK_MS 10

unsigned
p2p_fetch_open_lanes(const struct p2p_download *dl)
{
    unsigned lanes = 0;

    for (unsigned i = 0; i < PLAN_LANES; i++)
        lanes += dl->file->plan.lanes[i].open;
    return lanes;
}

unsigned
p2p_fetch_buffer_share(const struct fetch *f)
{
    const struct p2p_download *dl = f->w->dl;
    unsigned lanes = p2p_fetch_open_lanes(dl);
    unsigned share = lanes > 0 ? dl->file->pool.max / lanes : dl->file->pool.max;

    return share > 0 ? share : 1;
}

void
p2p_fetch_release_slot(struct fetch *f, unsigned slot)
{
    p2p_pool_put(&f->w->dl->file->pool, f->slots[slot].buf);
    f->slots[slot] = (struct fetch_slot){0};
    f->slot_count--;
    p2p_dl_wake_waiters(f->w->dl);
}

/* ---- parked chunks ---- */

bool
p2p_fetch_offer(struct fetch *f, unsigned slot)
{
    struct p2p_download *dl = f->w->dl;
    struct fetch_slot *s = &f->slots[slot];

    /* The first chunk of a connection is always checked at once. */
    if (!f->proven || f->parked >= PARKED_MAX)
        return false;
    p2p_lock(&dl->lock);
    if (p2p_fetch_buffer_share(f) >= SHARE_MIN)
        s->offer =
            p2p_frontier_offer(&dl->file->frontier, s->chunk, s->buf, p2p_now_us());
    bool waited_for = s->offer != FRONTIER_REFUSED && dl->file->frontier.idle_us > 0 &&
                      s->chunk == dl->file->frontier.next;
    if (waited_for)
        pthread_cond_signal(&dl->file->next_ready);
    p2p_unlock(&dl->lock);
    f->parked += s->offer != FRONTIER_REFUSED;
    return s->offer != FRONTIER_REFUSED;
}

/* Ends an offer: stores the chunk if it is right and still needed, and releases its
 * slot. */
static enum p2p_err
finish_offer(struct fetch *f, unsigned slot, enum frontier_answer answer,
             enum p2p_err verdict)
{
    struct p2p_download *dl = f->w->dl;
    const struct fetch_slot *s = &f->slots[slot];
    enum p2p_err err = verdict;

    p2p_lock(&dl->lock);
    bool done = p2p_plan_is_done(&dl->file->plan, s->chunk); /* by another connection */
    if (done)
        p2p_plan_give_back(&dl->file->plan, f->w->lane, s->chunk);
    p2p_unlock(&dl->lock);
    if (answer == FRONTIER_UNCHECKED)
        err = done ? P2P_OK : p2p_dl_store_chunk(f->w, s->chunk, s->buf, 0);
    else if (err == P2P_OK && !done)
        err = p2p_dl_keep_chunk(f->w, s->chunk, s->buf, 0);
    f->parked--;
    p2p_lock(&dl->lock);
    p2p_fetch_release_slot(f, slot);
    p2p_unlock(&dl->lock);
    return err;
}

static bool
is_parked(const struct fetch_slot *s)
{
    return s->buf != NULL && s->offer != FRONTIER_REFUSED;
}

enum p2p_err
p2p_fetch_collect(struct fetch *f)
{
    struct p2p_download *dl = f->w->dl;
    enum p2p_err err = P2P_OK;

    for (unsigned i = 0; i < FETCH_SLOTS && err == P2P_OK && f->parked > 0; i++) {
        enum p2p_err verdict = P2P_OK;
        if (!is_parked(&f->slots[i]))
            continue;
        p2p_lock(&dl->lock);
        enum frontier_answer answer = p2p_frontier_collect(
            &dl->file->frontier, f->slots[i].offer, p2p_now_us(), &verdict);
        p2p_unlock(&dl->lock);
        if (answer != FRONTIER_WAIT)
            err = finish_offer(f, i, answer, verdict);
    }
    return err;
}

void
p2p_fetch_wait_parked(struct fetch *f)
{
    struct p2p_download *dl = f->w->dl;
    bool settled = false;

    p2p_lock(&dl->lock);
    for (unsigned i = 0; i < FETCH_SLOTS; i++)
        settled |=
            is_parked(&f->slots[i]) &&
            dl->file->frontier.offers[f->slots[i].offer].state == FRONTIER_SETTLED;
    if (!settled && !f->w->stop)
        p2p_dl_wait_for_chunk(dl, LOOK_MS);
    p2p_unlock(&dl->lock);
}

enum p2p_err
p2p_fetch_take_back(struct fetch *f)
{
    struct p2p_download *dl = f->w->dl;
    enum p2p_err worst = P2P_OK;

    for (unsigned i = 0; i < FETCH_SLOTS; i++) {
        enum p2p_err verdict = P2P_OK, err;
        enum frontier_answer answer;
        if (!is_parked(&f->slots[i]))
            continue;
        p2p_lock(&dl->lock);
        while ((answer = p2p_frontier_withdraw(&dl->file->frontier, f->slots[i].offer,
                                               &verdict)) == FRONTIER_WAIT)
            p2p_dl_wait_for_chunk(dl, LOOK_MS);
        p2p_unlock(&dl->lock);
        err = finish_offer(f, i, answer, verdict);
        if (worst == P2P_OK)
            worst = err;
    }
    return worst;
}

/* ---- what is here already ---- */

static bool
has_block_at(const struct fetch_slot *slot, uint32_t offset)
{
    uint32_t block = offset / (uint32_t)P2P_BLOCK_SIZE;

    return slot->have.bits[block / 8] & 1u << block % 8;
}

/* Where the block that contains this offset ends. */
static uint32_t
block_end(const struct fetch_slot *slot, uint32_t offset)
{
    uint32_t end =
        offset - offset % (uint32_t)P2P_BLOCK_SIZE + (uint32_t)P2P_BLOCK_SIZE;

    return end < slot->length ? end : slot->length;
}

void
p2p_fetch_skip(struct fetch_slot *slot)
{
    while (slot->reused > 0 && slot->asked < slot->length &&
           has_block_at(slot, slot->asked))
        slot->asked = block_end(slot, slot->asked);
}

uint32_t
p2p_fetch_part(const struct fetch_slot *slot, uint32_t max)
{
    uint32_t end = slot->reused > 0 ? slot->asked : slot->length;

    while (end < slot->length && !has_block_at(slot, end))
        end = block_end(slot, end);
    return end - slot->asked < max ? end - slot->asked : max;
}

void
p2p_fetch_prepare(struct fetch *f, struct fetch_slot *slot)
{
    slot->is_prepared = true;
    slot->reused = p2p_dl_reuse_fill(f->w->dl, slot->chunk, slot->buf, &slot->have);
    if (slot->reused == 0)
        return;
    slot->has_begun = true; /* the buffer is not exchanged */
    slot->received = slot->reused;
    p2p_fetch_skip(slot);
}
