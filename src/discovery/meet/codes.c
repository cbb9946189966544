#include "discovery/meet/codes.h"

#include <stdlib.h>
#include <string.h>

#include "p2p/crypto.h"
#include "p2p/lock.h"

enum { SWEEP_EVERY_MS = 1000, RANGE_MIN = 9, TRIES = 16 };

struct code {
    struct box_id box;
    bool is_used, is_claimed;
};

P2P_MUTEX_KIND(codes_lock);
struct codes {
    struct codes_lock lock;
    size_t count P2P_GUARDED_BY(codes_lock);
    uint64_t swept_ms P2P_GUARDED_BY(codes_lock);
    struct code at[CODES_MAX + 1] P2P_GUARDED_BY(codes_lock); /* by number, from 1 on */
};

enum p2p_err
codes_new(struct codes **out)
{
    *out = calloc(1, sizeof(**out));
    if (*out == NULL)
        return P2P_ERR_NOMEM;
    p2p_mutex_init(&(*out)->lock);
    return P2P_OK;
}

void
codes_free(struct codes *c)
{
    if (c == NULL)
        return;
    p2p_mutex_clear(&c->lock);
    free(c);
}

/* A number whose box has gone is free. */
static void
refresh(struct codes *c, struct boxes *boxes, uint32_t number, uint64_t now_ms)
    P2P_REQUIRES(codes_lock)
{
    struct code *code = &c->at[number];

    if (!code->is_used || boxes_has(boxes, &code->box, now_ms))
        return;
    code->is_used = false;
    c->count--;
}

static void
sweep(struct codes *c, struct boxes *boxes, uint64_t now_ms) P2P_REQUIRES(codes_lock)
{
    if (c->count == 0 || now_ms < c->swept_ms + SWEEP_EVERY_MS)
        return;
    c->swept_ms = now_ms;
    for (uint32_t i = 1; i <= CODES_MAX; i++)
        refresh(c, boxes, i, now_ms);
}

/* Chooses a free number that is short, and probably not one that was in use a moment
 * ago: a random one of a range of which at most a quarter is in use. 0: there is none.
 */
static uint32_t
free_number(struct codes *c) P2P_REQUIRES(codes_lock)
{
    uint32_t range = RANGE_MIN, drawn[TRIES];

    while (range < CODES_MAX && range < 4 * c->count)
        range = range * 10 + 9 < CODES_MAX ? range * 10 + 9 : CODES_MAX;
    if (p2p_random(drawn, sizeof(drawn)) != P2P_OK)
        return 0;
    for (size_t i = 0; i < TRIES; i++)
        if (!c->at[1 + drawn[i] % range].is_used)
            return 1 + drawn[i] % range;
    for (uint32_t i = 1; i <= CODES_MAX; i++)
        if (!c->at[i].is_used)
            return i;
    return 0;
}

enum box_result
codes_make(struct codes *c, struct boxes *boxes, const struct box_source *source,
           uint64_t now_ms, uint32_t *number, struct box_id *box)
{
    enum box_result result = BOX_FULL;

    memset(box, 0, sizeof(*box));
    p2p_lock(&c->lock);
    sweep(c, boxes, now_ms);
    *number = free_number(c);
    if (*number > 0 && p2p_random(box->b, sizeof(box->b) / 2) == P2P_OK)
        result = boxes_make_for_code(boxes, box, source, now_ms);
    if (result == BOX_OK) {
        c->at[*number] = (struct code){.box = *box, .is_used = true};
        c->count++;
    }
    p2p_unlock(&c->lock);
    return result;
}

enum code_result
codes_claim(struct codes *c, struct boxes *boxes, uint32_t number, uint64_t now_ms,
            struct box_id *box)
{
    enum code_result result = CODE_NONE;

    if (number == 0 || number > CODES_MAX)
        return CODE_NONE;
    p2p_lock(&c->lock);
    refresh(c, boxes, number, now_ms);
    struct code *code = &c->at[number];
    if (code->is_used) {
        result = code->is_claimed ? CODE_CLAIMED : CODE_OK;
        code->is_claimed = true;
        *box = code->box;
    }
    p2p_unlock(&c->lock);
    return result;
}

size_t
codes_count(struct codes *c, struct boxes *boxes, uint64_t now_ms)
{
    p2p_lock(&c->lock);
    sweep(c, boxes, now_ms);
    size_t count = c->count;
    p2p_unlock(&c->lock);
    return count;
}
