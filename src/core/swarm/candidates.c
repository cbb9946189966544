/*
 * Decides which candidates become sources. Candidates wait in the order of rank.h.
 * Unknown peers never take the places that are reserved for trusted and met peers, and
 * only a few unknown peers of one network of the open Internet are asked at a time. A
 * source that fails gives its place to a candidate that has failed less often, and
 * waits as a candidate itself. So a thousand dead addresses can delay an honest peer,
 * but not shut it out.
 */
#include "core/swarm/swarm.h"

#include <stdlib.h>
#include <string.h>

#include "p2p/lock.h"

#define STRANGERS_MAX (DL_SOURCES - P2P_DOWNLOAD_SOURCES_KEPT)
#define NO_PLACE      DL_SOURCES

/* ---- Offers ---- */

/* The addresses to try for one source: the given one, and those where the peer was
 * met. */
struct dl_offer {
    struct dl_candidate at[1 + P2P_PEER_OTHERS_MAX + P2P_PEER_ADDRESSES_MAX];
    size_t count;
};

static void
add_to_offer(struct dl_offer *offer, const struct dl_candidate *like,
             const struct p2p_addr *addr)
{
    for (size_t i = 0; i < offer->count; i++)
        if (p2p_addr_equal(&offer->at[i].addr, addr))
            return;
    struct dl_candidate *c = &offer->at[offer->count++];
    *c = *like;
    c->addr = *addr;
    (void)p2p_rank_net(addr, &c->net);
}

static void
make_offer(struct p2p_download *dl, const struct p2p_source_spec *spec, size_t turn,
           struct dl_offer *out)
{
    struct p2p_addr remembered[P2P_PEER_ADDRESSES_MAX], others[P2P_PEER_OTHERS_MAX];
    struct dl_candidate c = {.addr = spec->addr, .rank.turn = turn};
    size_t count = p2p_rank_remembered(dl->opt.identity, spec->id, remembered);
    size_t other_count = 0;
    char text[P2P_ADDR_TEXT];

    *out = (struct dl_offer){.count = 0};
    c.rank.rank = c.who = p2p_rank_of(dl->opt.identity, spec->id);
    if (spec->id != NULL) {
        c.expected = *spec->id;
        c.is_expected = true;
        c.by_user = spec->by_user;
        c.is_unreached = spec->is_unreached;
        c.rank.order = p2p_rank_order(spec->id->b, sizeof(spec->id->b));
    } else {
        p2p_addr_format(&spec->addr, text, sizeof(text));
        c.rank.order = p2p_rank_order(text, strlen(text));
    }
    /* A peer that the user names does not count as unknown. If it is blocked, the
     * handshake fails with the reason. */
    if (c.rank.rank >= P2P_RANK_NEW && (spec->id == NULL || spec->by_user))
        c.rank.rank = P2P_RANK_MET;
    add_to_offer(out, &c, &spec->addr);
    if (spec->id != NULL)
        other_count = p2p_addr_list_read(spec->others, others, P2P_PEER_OTHERS_MAX);
    for (size_t i = 0; i < other_count; i++)
        add_to_offer(out, &c, &others[i]);
    for (size_t i = 0; i < count; i++)
        add_to_offer(out, &c, &remembered[i]);
}

/* ---- Waiting ---- */

static bool
is_same_id(const struct dl_source *s, const struct dl_candidate *c)
{
    return c->is_expected &&
           ((s->is_expected && p2p_id_equal(&s->expected, &c->expected)) ||
            (s->id_known && p2p_id_equal(&s->id, &c->expected)));
}

/* Two entries with the same address are the same source, unless both name a peer and
 * the peers differ. */
static bool
is_known_already(const struct p2p_download *dl, const struct dl_candidate *c)
    P2P_REQUIRES(p2p_dl_lock)
{
    for (size_t i = 0; i < dl->swarm.source_count; i++) {
        const struct dl_source *s = &dl->swarm.sources[i];
        if (p2p_addr_equal(&s->addr, &c->addr) &&
            (!s->is_expected || !c->is_expected || is_same_id(s, c)))
            return true;
    }
    for (size_t i = 0; i < dl->swarm.waiting_count; i++) {
        const struct dl_candidate *w = &dl->swarm.waiting[i];
        if (p2p_addr_equal(&w->addr, &c->addr) && w->is_expected == c->is_expected &&
            (!w->is_expected || p2p_id_equal(&w->expected, &c->expected)))
            return true;
    }
    return false;
}

/* Keeps the list sorted. A candidate that has failed comes after the others of its
 * rank. */
static int
compare(const struct dl_candidate *a, const struct dl_candidate *b)
{
    if (a->rank.rank == b->rank.rank && a->failures != b->failures)
        return a->failures < b->failures ? -1 : 1;
    return p2p_rank_compare(&a->rank, &b->rank);
}

static enum p2p_err
wait_in_line(struct p2p_download *dl, const struct dl_candidate *c)
    P2P_REQUIRES(p2p_dl_lock)
{
    size_t at = dl->swarm.waiting_count;

    if (c->rank.rank >= P2P_RANK_BLOCKED)
        return P2P_OK;
    if (dl->swarm.waiting == NULL)
        dl->swarm.waiting =
            calloc(P2P_DOWNLOAD_WAITING_MAX, sizeof(*dl->swarm.waiting));
    if (dl->swarm.waiting == NULL)
        return P2P_ERR_NOMEM;
    while (at > 0 && compare(c, &dl->swarm.waiting[at - 1]) < 0)
        at--;
    if (at == P2P_DOWNLOAD_WAITING_MAX)
        return P2P_ERR_TOO_LARGE;
    if (dl->swarm.waiting_count == P2P_DOWNLOAD_WAITING_MAX)
        dl->swarm.waiting_count--; /* the last one is left out */
    memmove(&dl->swarm.waiting[at + 1], &dl->swarm.waiting[at],
            (dl->swarm.waiting_count - at) * sizeof(*dl->swarm.waiting));
    dl->swarm.waiting[at] = *c;
    dl->swarm.waiting_count++;
    return P2P_OK;
}

/* A source has one more address: tries it now, whatever the others have led to. */
static void
tell_source(struct p2p_download *dl, const struct dl_candidate *c)
    P2P_REQUIRES(p2p_dl_lock)
{
    for (size_t i = 0; i < dl->swarm.source_count; i++) {
        struct dl_source *s = &dl->swarm.sources[i];
        if (!is_same_id(s, c) || s->state == P2P_SRC_DROPPED)
            continue;
        s->has_new_address = true;
        s->next_try_ms = 0;
    }
}

static enum p2p_err
take_offer(struct p2p_download *dl, const struct dl_offer *offer)
    P2P_REQUIRES(p2p_dl_lock)
{
    enum p2p_err err = P2P_OK;

    for (size_t i = 0; i < offer->count && err == P2P_OK; i++) {
        if (is_known_already(dl, &offer->at[i]))
            continue;
        err = wait_in_line(dl, &offer->at[i]);
        tell_source(dl, &offer->at[i]);
    }
    p2p_dl_wake(dl); /* the control thread gives out places */
    return err;
}

enum p2p_err
p2p_dl_offer_source(struct p2p_download *dl, const struct p2p_source_spec *spec,
                    size_t turn)
{
    struct dl_offer offer;

    make_offer(dl, spec, turn, &offer);
    p2p_lock(&dl->lock);
    enum p2p_err err = take_offer(dl, &offer);
    p2p_unlock(&dl->lock);
    return err;
}

/* ---- Several addresses of one source ---- */

/* The candidates that are tried together with the source. */
static struct dl_candidate *
next_twin(struct p2p_download *dl, const struct dl_source *s, size_t *from)
    P2P_REQUIRES(p2p_dl_lock)
{
    while (*from < dl->swarm.waiting_count) {
        struct dl_candidate *c = &dl->swarm.waiting[(*from)++];
        if (is_same_id(s, c))
            return c;
    }
    return NULL;
}

size_t
p2p_dl_other_addresses(struct p2p_download *dl, const struct dl_source *s,
                       struct p2p_addr out[P2P_CONN_OTHERS_MAX])
{
    size_t count = 0, from = 0;
    const struct dl_candidate *c;

    while (count < P2P_CONN_OTHERS_MAX && (c = next_twin(dl, s, &from)) != NULL)
        out[count++] = c->addr;
    return count;
}

void
p2p_dl_source_is_at(struct p2p_download *dl, struct dl_source *s,
                    const struct p2p_addr *addr)
{
    struct dl_candidate *c;
    size_t from = 0;

    if (p2p_addr_equal(&s->addr, addr))
        return;
    while ((c = next_twin(dl, s, &from)) != NULL)
        if (p2p_addr_equal(&c->addr, addr))
            c->addr = s->addr;
    s->addr = *addr;
    (void)p2p_rank_net(addr, &s->net);
}

void
p2p_dl_all_addresses_failed(struct p2p_download *dl, const struct dl_source *s)
{
    struct dl_candidate *c;
    size_t count = 0, from = 0;

    while (count++ < P2P_CONN_OTHERS_MAX && (c = next_twin(dl, s, &from)) != NULL)
        c->failures++;
}

/* ---- Places ---- */

bool
p2p_dl_source_is_live(const struct p2p_download *dl, const struct dl_source *s)
{
    return s->workers > 0 || s->is_scouted ||
           (s->state != P2P_SRC_DROPPED && s->failures < dl->opt.retries);
}

/* True if the source keeps failing and has delivered nothing, and the candidate has
 * failed less often. */
static bool
gives_way(const struct p2p_download *dl, const struct dl_source *s,
          const struct dl_candidate *c) P2P_REQUIRES(p2p_dl_lock)
{
    return p2p_dl_source_is_live(dl, s) && s->workers == 0 && !s->is_scouted &&
           s->received == 0 && s->failures > c->failures &&
           s->rank.rank >= c->rank.rank;
}

/* Finds the live source that is this peer, or that has this address. */
static unsigned
find_twin(const struct p2p_download *dl, const struct dl_candidate *c)
    P2P_REQUIRES(p2p_dl_lock)
{
    for (unsigned i = 0; i < dl->swarm.source_count; i++) {
        const struct dl_source *s = &dl->swarm.sources[i];
        if (p2p_dl_source_is_live(dl, s) &&
            (is_same_id(s, c) || p2p_addr_equal(&s->addr, &c->addr)))
            return i;
    }
    return NO_PLACE;
}

static bool
is_same_net(const struct p2p_net_of *a, const struct p2p_net_of *b)
{
    return a->family != 0 && a->family == b->family &&
           memcmp(a->prefix, b->prefix, sizeof(a->prefix)) == 0;
}

/* Counts live unknown peers, all of them or those of the candidate's network, and finds
 * one that can be replaced. */
static unsigned
count_strangers(const struct p2p_download *dl, const struct dl_candidate *c,
                bool same_net, unsigned *tired) P2P_REQUIRES(p2p_dl_lock)
{
    unsigned count = 0;

    *tired = NO_PLACE;
    for (unsigned i = 0; i < dl->swarm.source_count; i++) {
        const struct dl_source *s = &dl->swarm.sources[i];
        if (s->rank.rank != P2P_RANK_NEW || !p2p_dl_source_is_live(dl, s) ||
            (same_net && !is_same_net(&s->net, &c->net)))
            continue;
        count++;
        if (gives_way(dl, s, c))
            *tired = i;
    }
    return count;
}

/* Finds a place that can be reused. Sources that have delivered keep theirs as long as
 * there are others. */
static unsigned
free_place(const struct p2p_download *dl, const struct dl_candidate *c)
    P2P_REQUIRES(p2p_dl_lock)
{
    unsigned dead = NO_PLACE, tired = NO_PLACE;

    if (dl->swarm.source_count < DL_SOURCES)
        return (unsigned)dl->swarm.source_count;
    for (unsigned i = 0; i < dl->swarm.source_count; i++) {
        const struct dl_source *s = &dl->swarm.sources[i];
        if (gives_way(dl, s, c))
            tired = i;
        if (!p2p_dl_source_is_live(dl, s) &&
            (dead == NO_PLACE || dl->swarm.sources[dead].received > s->received))
            dead = i;
    }
    return dead != NO_PLACE ? dead : tired;
}

static unsigned
place_for(const struct p2p_download *dl, const struct dl_candidate *c)
    P2P_REQUIRES(p2p_dl_lock)
{
    unsigned tired, twin = find_twin(dl, c);

    if (twin != NO_PLACE)
        return gives_way(dl, &dl->swarm.sources[twin], c) ? twin : NO_PLACE;
    if (c->rank.rank == P2P_RANK_NEW) {
        if (count_strangers(dl, c, true, &tired) >= P2P_RANK_PER_NET_MAX)
            return tired;
        if (count_strangers(dl, c, false, &tired) >= STRANGERS_MAX)
            return tired;
    }
    return free_place(dl, c);
}

/* The source that had the place becomes a candidate again. */
static void
step_back(struct p2p_download *dl, const struct dl_source *s) P2P_REQUIRES(p2p_dl_lock)
{
    const struct dl_candidate c = {.addr = s->addr,
                                   .expected = s->expected,
                                   .is_expected = s->is_expected,
                                   .by_user = s->by_user,
                                   .is_unreached = s->is_unreached,
                                   .rank = s->rank,
                                   .net = s->net,
                                   .who = s->who,
                                   .failures = s->failures,
                                   .next_try_ms = s->next_try_ms};

    (void)!wait_in_line(dl, &c); /* no room: better ones wait */
}

static void
seat(struct p2p_download *dl, unsigned place, const struct dl_candidate *c)
    P2P_REQUIRES(p2p_dl_lock)
{
    struct dl_source *s = &dl->swarm.sources[place], former = *s;
    bool was_live = place < dl->swarm.source_count && p2p_dl_source_is_live(dl, s);

    *s = (struct dl_source){.addr = c->addr,
                            .expected = c->expected,
                            .is_expected = c->is_expected,
                            .by_user = c->by_user,
                            .is_unreached = c->is_unreached,
                            .rank = c->rank,
                            .net = c->net,
                            .who = c->who,
                            .failures = c->failures,
                            .next_try_ms = c->next_try_ms,
                            .state = P2P_SRC_CONNECTING};
    if (place == dl->swarm.source_count)
        dl->swarm.source_count++;
    if (dl->task->on_seat != NULL)
        dl->task->on_seat(dl, place);
    if (was_live)
        step_back(dl, &former);
    p2p_dl_wake(dl);
}

void
p2p_dl_fill_places(struct p2p_download *dl)
{
    uint64_t now = p2p_now_ms();

    for (size_t i = 0; i < dl->swarm.waiting_count;) {
        struct dl_candidate c = dl->swarm.waiting[i];
        bool is_hopeless = c.failures >= dl->opt.retries;
        unsigned place =
            c.next_try_ms <= now && !is_hopeless ? place_for(dl, &c) : NO_PLACE;
        if (place == NO_PLACE && !(is_hopeless && find_twin(dl, &c) == NO_PLACE)) {
            i++;
            continue;
        }
        dl->swarm.waiting_count--;
        memmove(&dl->swarm.waiting[i], &dl->swarm.waiting[i + 1],
                (dl->swarm.waiting_count - i) * sizeof(*dl->swarm.waiting));
        if (place != NO_PLACE)
            seat(dl, place, &c);
    }
}
