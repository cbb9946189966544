/*
 * How a chunk is assigned. Each chunk has one byte of state: how many lanes hold it,
 * or done. `next` is a lower bound for the lowest free chunk, so that a search starts
 * there and not at the beginning; it moves back when a chunk below it becomes free.
 *
 * A lane that asks for work first looks for a chunk that is late at another lane. While
 * free chunks are left, only chunks of silent lanes count as late: a lane that sends
 * nothing must not block the beginning of the file. When no free chunk is left (the
 * endgame), chunks of slow lanes count, too. The expected time of a lane's i-th chunk
 * follows from its rate. A chunk is requested a second time if this lane would need
 * less than half of that time, and if at least ENDGAME_GAIN_US are saved; among these
 * chunks the latest one is chosen. There is a third request only while all who hold the
 * chunk are silent, and of other sources. The chunk that a reader waits for counts as
 * late in the same way at any time. If nothing is late, the lane takes the lowest free
 * chunk from the place of a reader on; without a reader, or when nothing is free there,
 * the lowest free chunk of all.
 *
 * Invariants: `free` counts the chunks in state 0, `left` the chunks that are not done,
 * no chunk below `next` is free, and none between the place of a reader and its `next`.
 */
#include "core/plan/plan.h"

#include <float.h>
#include <stdlib.h>
#include <string.h>

#define PLAN_DONE 0xff
/* In the endgame a chunk is requested twice only if that saves at least this time. */
#define ENDGAME_GAIN_US 20000

enum p2p_err
p2p_plan_init(struct plan *p, const struct p2p_chunks *g)
{
    *p = (struct plan){.geometry = *g, .free = g->count, .left = g->count};
    for (unsigned i = 0; i < PLAN_READERS; i++)
        p->readers[i].at = PLAN_NOWHERE;
    p->state = calloc((size_t)g->count + 1, 1);
    return p->state != NULL ? P2P_OK : P2P_ERR_NOMEM;
}

void
p2p_plan_clear(struct plan *p)
{
    free(p->state);
    *p = (struct plan){0};
}

bool
p2p_plan_is_done(const struct plan *p, uint64_t chunk)
{
    return p->state[chunk] == PLAN_DONE;
}

void
p2p_plan_set_done(struct plan *p, uint64_t chunk)
{
    if (p2p_plan_is_done(p, chunk))
        return;
    if (p->state[chunk] == 0)
        p->free--;
    p->state[chunk] = PLAN_DONE;
    p->left--;
}

static void
now_free(struct plan *p, uint64_t chunk)
{
    p->free++;
    if (chunk < p->next)
        p->next = chunk;
    for (unsigned i = 0; i < PLAN_READERS && p->reading > 0; i++) {
        struct plan_reader *r = &p->readers[i];
        if (r->at <= chunk && chunk < r->next)
            r->next = chunk;
    }
}

void
p2p_plan_set_free(struct plan *p, uint64_t chunk)
{
    if (!p2p_plan_is_done(p, chunk))
        return;
    p->state[chunk] = 0;
    p->left++;
    now_free(p, chunk);
}

/* ---- Readers ---- */

void
p2p_plan_read_from(struct plan *p, unsigned reader, uint64_t chunk)
{
    struct plan_reader *r = &p->readers[reader];
    uint64_t at = chunk < p->geometry.count ? chunk : PLAN_NOWHERE;
    bool goes_on = r->at != PLAN_NOWHERE && at >= r->at && at <= r->next;

    p->reading -= r->at != PLAN_NOWHERE;
    p->reading += at != PLAN_NOWHERE;
    r->at = at;
    if (!goes_on)
        r->next = at;
}

bool
p2p_plan_is_awaited(const struct plan *p, uint64_t chunk)
{
    for (unsigned i = 0; i < PLAN_READERS && p->reading > 0; i++)
        if (p->readers[i].at == chunk)
            return true;
    return false;
}

/* Moves to the lowest free chunk from the reader's place on; false: there is none. */
static bool
find_free(const struct plan *p, struct plan_reader *r)
{
    if (r->at == PLAN_NOWHERE)
        return false;
    while (r->next < p->geometry.count && p->state[r->next] != 0)
        r->next++;
    return r->next < p->geometry.count;
}

static bool
is_soon(const struct plan_reader *r, uint64_t chunk)
{
    return r->at <= chunk && chunk - r->at < PLAN_SOON;
}

static bool
is_needed_soon(const struct plan *p, uint64_t chunk)
{
    for (unsigned i = 0; i < PLAN_READERS; i++)
        if (is_soon(&p->readers[i], chunk))
            return true;
    return false;
}

/* True if a reader needs soon what no lane holds. */
static bool
lacks_something(const struct plan *p)
{
    for (unsigned i = 0; i < PLAN_READERS; i++) {
        const struct plan_reader *r = &p->readers[i];
        for (uint64_t c = r->next; is_soon(r, c) && c < p->geometry.count; c++)
            if (p->state[c] == 0)
                return true;
    }
    return false;
}

bool
p2p_plan_should_yield(const struct plan *p, unsigned lane, uint64_t chunk)
{
    const struct plan_lane *l = &p->lanes[lane];
    bool is_before = false; /* the lane requested it before something that is needed */

    if (p->reading == 0 || is_needed_soon(p, chunk))
        return false;
    for (unsigned i = l->count; i > 0 && l->held[i - 1] != chunk; i--)
        is_before |= is_needed_soon(p, l->held[i - 1]);
    return is_before || lacks_something(p);
}

/* Takes turns between the readers. */
static bool
next_for_readers(struct plan *p, uint64_t *chunk)
{
    for (unsigned i = 0; i < PLAN_READERS && p->reading > 0; i++) {
        unsigned turn = p->turn++ % PLAN_READERS;
        if (!find_free(p, &p->readers[turn]))
            continue;
        *chunk = p->readers[turn].next++;
        return true;
    }
    return false;
}

/* ---- Lanes ---- */

void
p2p_plan_open_lane(struct plan *p, unsigned lane, unsigned source, uint64_t now_us)
{
    p->lanes[lane] =
        (struct plan_lane){.open = true, .source = source, .last_us = now_us};
}

static void
drop_holder(struct plan *p, uint64_t chunk)
{
    if (!p2p_plan_is_done(p, chunk) && --p->state[chunk] == 0)
        now_free(p, chunk);
}

void
p2p_plan_close_lane(struct plan *p, unsigned lane)
{
    struct plan_lane *l = &p->lanes[lane];

    for (unsigned i = 0; i < l->count; i++)
        drop_holder(p, l->held[i]);
    *l = (struct plan_lane){0};
}

static int
held_index(const struct plan_lane *l, uint64_t chunk)
{
    for (unsigned i = 0; i < l->count; i++)
        if (l->held[i] == chunk)
            return (int)i;
    return -1;
}

static void
let_go(struct plan_lane *l, int index)
{
    l->count--;
    memmove(&l->held[index], &l->held[index + 1],
            (l->count - (unsigned)index) * sizeof(l->held[0]));
}

static void
hold(struct plan *p, struct plan_lane *l, uint64_t chunk, uint64_t now_us)
{
    if (l->count == 0)
        l->last_us = now_us;
    l->held[l->count++] = chunk;
    p->state[chunk]++;
}

static bool
is_silent(const struct plan_lane *l, uint64_t now_us)
{
    return l->count > 0 && now_us > l->last_us + PLAN_SILENT_US;
}

/* Estimates when the lane's i-th chunk will be complete, from now. */
static double
expected_us(const struct plan *p, const struct plan_lane *l, unsigned i,
            uint64_t now_us)
{
    if (is_silent(l, now_us))
        return DBL_MAX;
    if (l->rate <= 0)
        return 0; /* unknown rate: do not double its chunks before it is silent */
    return (double)(i + 1) * p->geometry.chunk_size / l->rate;
}

/* Who is helped while there are free chunks: a silent lane, and a reader that waits. */
static bool
may_help(const struct plan *p, const struct plan_lane *l, uint64_t chunk,
         uint64_t now_us)
{
    return is_silent(l, now_us) || p2p_plan_is_awaited(p, chunk);
}

/* Lanes hold it, all are silent, and none is of this lane's source: without another
 * one, the chunk would wait until they are given up. */
static bool
is_stuck(const struct plan *p, unsigned source, uint64_t chunk, uint64_t now_us)
{
    for (unsigned n = 0; n < PLAN_LANES; n++) {
        const struct plan_lane *l = &p->lanes[n];
        if (held_index(l, chunk) >= 0 && (l->source == source || !is_silent(l, now_us)))
            return false;
    }
    return true;
}

/*
 * Finds a chunk that only one other lane holds, or only silent ones, and that this lane
 * would have much earlier. From a lane of the same source it takes chunks only if that
 * lane is silent, because lanes of one source share its rate.
 */
static bool
find_late(const struct plan *p, unsigned lane, uint64_t now_us, uint64_t *chunk)
{
    const struct plan_lane *me = &p->lanes[lane];
    double own = me->rate > 0 ? (me->count + 1) * p->geometry.chunk_size / me->rate : 0;
    double worst = 2 * own + ENDGAME_GAIN_US;
    bool found = false;

    for (unsigned n = 0; n < PLAN_LANES; n++) {
        const struct plan_lane *l = &p->lanes[n];
        if (n == lane)
            continue;
        for (unsigned i = 0; i < l->count; i++) {
            if (p->free > 0 && !may_help(p, l, l->held[i], now_us))
                continue;
            double expected = expected_us(p, l, i, now_us);
            bool silent = expected == DBL_MAX;
            if (expected <= worst || p2p_plan_is_done(p, l->held[i]))
                continue;
            if (p->state[l->held[i]] > 1 &&
                !is_stuck(p, me->source, l->held[i], now_us))
                continue;
            if (!silent && (l->source == me->source || me->rate <= 0))
                continue;
            worst = expected;
            *chunk = l->held[i];
            found = true;
        }
    }
    return found;
}

bool
p2p_plan_take(struct plan *p, unsigned lane, uint64_t now_us, uint64_t *chunk)
{
    struct plan_lane *me = &p->lanes[lane];

    if (!me->open || me->count == PLAN_HELD_MAX)
        return false;
    if (find_late(p, lane, now_us, chunk)) {
        p->doubled++;
        hold(p, me, *chunk, now_us);
        return true;
    }
    if (p->free == 0)
        return false;
    if (!next_for_readers(p, chunk)) {
        while (p->state[p->next] != 0)
            p->next++;
        *chunk = p->next++;
    }
    p->free--;
    hold(p, me, *chunk, now_us);
    return true;
}

void
p2p_plan_give_back(struct plan *p, unsigned lane, uint64_t chunk)
{
    struct plan_lane *l = &p->lanes[lane];
    int index = held_index(l, chunk);

    if (index < 0)
        return;
    let_go(l, index);
    drop_holder(p, chunk);
}

bool
p2p_plan_complete(struct plan *p, unsigned lane, uint64_t chunk)
{
    struct plan_lane *l = &p->lanes[lane];
    int index = held_index(l, chunk);
    if (index < 0)
        return false;
    let_go(l, index);
    if (p2p_plan_is_done(p, chunk))
        return false;
    p->state[chunk] = PLAN_DONE;
    p->left--;
    return true;
}

void
p2p_plan_on_bytes(struct plan *p, unsigned lane, uint64_t now_us, double rate)
{
    p->lanes[lane].last_us = now_us;
    p->lanes[lane].rate = rate;
}
