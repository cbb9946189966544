/*
 * The life of an offer:
 *
 *     FREE --offer--> WAITING --take--> TAKEN --settle--> SETTLED --collect--> FREE
 *                        `--collect or withdraw, unchecked--> FREE
 *
 * The connection owns the offer in all states but TAKEN, when the verifier reads the
 * buffer without the lock; so an offer in TAKEN is never given back. A wrong chunk does
 * not move `next`: the verifier then waits for the same chunk from another connection.
 *
 * A connection that parks chunks has fewer buffers for receiving. So a parked chunk
 * must not depend on a chunk that never comes: once the verifier was idle for
 * FRONTIER_PATIENCE_US, the frontier is stalled. Then only the next chunk itself is
 * accepted, and all other offers go back to their connections, which check and write
 * these chunks themselves. The verifier reads them from the disk later.
 */
#include "core/plan/frontier.h"

static bool
is_stalled(const struct frontier *f, uint64_t now_us)
{
    return f->idle_us > 0 && now_us > f->idle_us + FRONTIER_PATIENCE_US;
}

int
p2p_frontier_offer(struct frontier *f, uint64_t chunk, const uint8_t *data,
                   uint64_t now_us)
{
    if (!f->open || chunk < f->next || chunk - f->next >= FRONTIER_WINDOW ||
        (is_stalled(f, now_us) && chunk != f->next))
        return FRONTIER_REFUSED;
    for (int i = 0; i < FRONTIER_WINDOW; i++)
        if (f->offers[i].state == FRONTIER_FREE) {
            f->offers[i] = (struct p2p_frontier_offer){
                .state = FRONTIER_WAITING, .chunk = chunk, .data = data};
            return i;
        }
    return FRONTIER_REFUSED;
}

enum frontier_answer
p2p_frontier_withdraw(struct frontier *f, int offer, enum p2p_err *verdict)
{
    struct p2p_frontier_offer *o = &f->offers[offer];
    enum frontier_state state = o->state;

    if (state == FRONTIER_TAKEN)
        return FRONTIER_WAIT;
    *verdict = o->verdict;
    *o = (struct p2p_frontier_offer){.state = FRONTIER_FREE};
    return state == FRONTIER_SETTLED ? FRONTIER_CHECKED : FRONTIER_UNCHECKED;
}

enum frontier_answer
p2p_frontier_collect(struct frontier *f, int offer, uint64_t now_us,
                     enum p2p_err *verdict)
{
    const struct p2p_frontier_offer *o = &f->offers[offer];
    /* A chunk behind the hash came over another connection as well. */
    bool hopeless = !f->open || is_stalled(f, now_us) || o->chunk < f->next;

    if (o->state == FRONTIER_WAITING && !hopeless)
        return FRONTIER_WAIT;
    return p2p_frontier_withdraw(f, offer, verdict);
}

int
p2p_frontier_take(struct frontier *f)
{
    for (int i = 0; i < FRONTIER_WINDOW; i++) {
        struct p2p_frontier_offer *o = &f->offers[i];
        if (o->state != FRONTIER_WAITING || o->chunk != f->next)
            continue;
        o->state = FRONTIER_TAKEN;
        f->idle_us = 0;
        return i;
    }
    return FRONTIER_REFUSED;
}

void
p2p_frontier_settle(struct frontier *f, int offer, enum p2p_err verdict)
{
    f->offers[offer].state = FRONTIER_SETTLED;
    f->offers[offer].verdict = verdict;
    if (verdict == P2P_OK)
        p2p_frontier_pass(f);
}

void
p2p_frontier_pass(struct frontier *f)
{
    f->next++;
    f->idle_us = 0;
}

void
p2p_frontier_idle(struct frontier *f, uint64_t now_us)
{
    if (f->idle_us == 0)
        f->idle_us = now_us;
}
