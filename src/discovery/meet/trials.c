#include "discovery/meet/trials.h"

#include <stdlib.h>
#include <string.h>

#include "p2p/siphash.h"

enum place_state { PLACE_FREE, PLACE_WAITS, PLACE_RUNS };

struct place {
    enum place_state state;
    uint64_t turn; /* the lowest one is next */
    struct trial trial;
};

/* When the source's next trial would be free if it spent nothing in advance. Sources
 * share a place when their hashes do; then they share the budget, too. */
struct trials {
    struct place at[TRIALS_MAX];
    uint64_t free_ms[TRIALS_SOURCES];
    uint64_t turn;
    unsigned running;
    uint64_t key[2];
};

struct trials *
trials_new(void)
{
    struct trials *t = calloc(1, sizeof(*t));

    if (t != NULL && p2p_random(t->key, sizeof(t->key)) != P2P_OK) {
        free(t);
        return NULL;
    }
    return t;
}

void
trials_free(struct trials *t)
{
    free(t);
}

static bool
pay(struct trials *t, const struct box_source *source, uint64_t now_ms)
{
    uint64_t hash = p2p_siphash13(t->key, source->b, sizeof(source->b));
    uint64_t *free_ms = &t->free_ms[hash % TRIALS_SOURCES];
    uint64_t start_ms = *free_ms > now_ms ? *free_ms : now_ms;

    if (start_ms > now_ms + (uint64_t)(TRIALS_BURST - 1) * TRIALS_EVERY_MS)
        return false;
    *free_ms = start_ms + TRIALS_EVERY_MS;
    return true;
}

/* The place of this peer's trial that waits, or a free one; NULL: all are taken. */
static struct place *
place_for(struct trials *t, const struct p2p_id *peer)
{
    struct place *unused = NULL;

    for (size_t i = 0; i < TRIALS_MAX; i++) {
        if (t->at[i].state == PLACE_FREE && unused == NULL)
            unused = &t->at[i];
        if (t->at[i].state == PLACE_WAITS && p2p_id_equal(&t->at[i].trial.peer, peer))
            return &t->at[i];
    }
    return unused;
}

bool
trials_add(struct trials *t, const struct trial *trial, uint64_t now_ms)
{
    struct place *place = place_for(t, &trial->peer);

    if (place == NULL || !pay(t, &trial->source, now_ms))
        return false;
    if (place->state == PLACE_FREE)
        place->turn = t->turn++;
    place->state = PLACE_WAITS;
    place->trial = *trial;
    return true;
}

static bool
is_busy(const struct trials *t, const struct box_source *source)
{
    for (size_t i = 0; i < TRIALS_MAX; i++)
        if (t->at[i].state == PLACE_RUNS &&
            memcmp(&t->at[i].trial.source, source, sizeof(*source)) == 0)
            return true;
    return false;
}

int
trials_begin(struct trials *t, struct trial *out)
{
    struct place *next = NULL;

    if (t->running == TRIALS_AT_ONCE)
        return -1;
    for (size_t i = 0; i < TRIALS_MAX; i++) {
        struct place *place = &t->at[i];

        if (place->state == PLACE_WAITS && (next == NULL || place->turn < next->turn) &&
            !is_busy(t, &place->trial.source))
            next = place;
    }
    if (next == NULL)
        return -1;
    next->state = PLACE_RUNS;
    t->running++;
    *out = next->trial;
    return (int)(next - t->at);
}

void
trials_end(struct trials *t, int number)
{
    t->at[number].state = PLACE_FREE;
    t->running--;
}
