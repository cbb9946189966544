/* The rows of peers: finding, making and removing one, and what belongs to it: its
 * source, its list of files, its seq. Knows no reason for a change. */
#include <stdlib.h>
#include <string.h>

#include "discovery/registry/registry_internal.h"
#include "p2p/bytes.h"
#include "p2p/net.h"

/* ---- finding ---- */

uint64_t
registry_id_hash(const struct p2p_id *id)
{
    uint64_t h = p2p_load_u64(id->b);

    h = (h & 0x5555555555555555u) << 1 | (h >> 1 & 0x5555555555555555u);
    h = (h & 0x3333333333333333u) << 2 | (h >> 2 & 0x3333333333333333u);
    h = (h & 0x0f0f0f0f0f0f0f0fu) << 4 | (h >> 4 & 0x0f0f0f0f0f0f0f0fu);
    return __builtin_bswap64(h);
}

uint32_t
registry_find(const struct registry *r, const struct p2p_id *id)
{
    uint32_t at = table_chain(&r->by_id, registry_id_hash(id));

    while (at != SLAB_NONE && !p2p_id_equal(&peer_at(r, at)->id, id))
        at = peer_at(r, at)->next;
    return at;
}

uint32_t
registry_find_signed(const struct registry *r, const struct p2p_id *id)
{
    uint32_t at = registry_find(r, id);

    if (at == SLAB_NONE || peer_at(r, at)->key == NULL)
        return SLAB_NONE;
    return at;
}

void
registry_fill_peer(const struct registry *r, uint32_t peer, struct registry_peer *out)
{
    const struct peer *p = peer_at(r, peer);

    *out = (struct registry_peer){
        .id = p->id,
        .port = p->port,
        .protocols = p->protocols,
        .is_signed = p->key != NULL,
        .is_ip_claimed = p->is_ip_claimed,
        .direct = p->direct,
        .has_content = p->has_content,
        .heard_ms = atomic_load_explicit(&p->heard_ms, memory_order_relaxed),
        .seq = p->seq,
        .expires_at_s = p->expires_at_s,
        .file_count = p->count,
        .files = p->files,
        .catalogue = &r->catalogue,
        .key = p->key,
        .about = &p->about,
        .addresses = p->addresses != NULL ? p->addresses : "",
        .registry = (struct registry *)(uintptr_t)r,
        .number = peer,
    };
    record_format_ip(p->ip, out->ip);
}

/* ---- source and memory ---- */

void
registry_set_source(struct registry *r, uint32_t at, const uint8_t *from,
                    uint64_t charge)
{
    struct peer *p = peer_at(r, at);
    uint32_t old = p->source;

    sources_remove_peer(&r->sources, old, p->charge);
    p->source = from != NULL ? sources_get(&r->sources, from) : SLAB_NONE;
    p->charge = charge;
    sources_add_peer(&r->sources, p->source, charge);
    sources_drop_if_empty(&r->sources, old);
}

/* It is enough to hold `writer`, because nobody else changes these numbers then. */
uint64_t
registry_bytes(const struct registry *r) P2P_NO_LOCK_CHECK
{
    return r->catalogue.bytes + r->list_bytes + (uint64_t)r->peers.live * PEER_BYTES;
}

/* ---- lists of files ---- */

static int
compare_numbers(const void *a, const void *b)
{
    const uint32_t *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

void
registry_sort_files(uint32_t *files, uint32_t count)
{
    qsort(files, count, sizeof(*files), compare_numbers);
}

void
registry_unpost_missing(struct registry *r, uint32_t peer, const uint32_t *old,
                        uint32_t n_old, const uint32_t *now, uint32_t n_now)
{
    uint32_t k = 0;

    for (uint32_t i = 0; i < n_old; i++) {
        while (k < n_now && now[k] < old[i])
            k++;
        if (k < n_now && now[k] == old[i])
            continue;
        catalogue_unpost(&r->catalogue, old[i], peer);
        registry_breathe_unlocks(r, i);
    }
}

void
registry_swap_files(struct registry *r, uint32_t at, uint32_t *files, uint32_t count)
{
    struct peer *p = peer_at(r, at);
    uint32_t *old = p->files, n_old = p->count;

    p->files = files;
    p->count = count;
    r->list_bytes += (uint64_t)count * sizeof(*files);
    r->list_bytes -= (uint64_t)n_old * sizeof(*files);
    registry_unpost_missing(r, at, old, n_old, files, count);
    free(old);
}

/* ---- signatures ---- */

bool
registry_seq_is_ahead(uint64_t seq, uint64_t now_s)
{
    return now_s >= REGISTRY_CLOCK_SET_S && seq > now_s * 1000 + REGISTRY_SEQ_AHEAD_MS;
}

uint64_t
registry_seq_that_counts(uint64_t seq)
{
    return registry_seq_is_ahead(seq, p2p_time_s()) ? p2p_time_ms() : seq;
}

uint64_t
registry_guard_ms(uint64_t until_s, uint64_t now_s)
{
    uint64_t left_s = until_s > now_s ? until_s - now_s : 0;

    if (left_s > REGISTRY_SIGNATURE_MAX_S)
        left_s = REGISTRY_SIGNATURE_MAX_S;
    return left_s > 0 ? p2p_now_ms() + left_s * 1000 : 0;
}

/* ---- rows ---- */

uint32_t
registry_new_peer(struct registry *r, const struct p2p_id *id)
{
    uint32_t at = slab_take(&r->peers);

    if (at == SLAB_NONE)
        return at;
    peer_at(r, at)->id = *id;
    peer_at(r, at)->source = SLAB_NONE;
    peer_at(r, at)->is_used = true;
    table_insert(&r->by_id, at);
    return at;
}

void
registry_bury(struct registry *r, uint32_t at)
{
    struct peer *p = peer_at(r, at);
    uint64_t seq = p->seq, until_ms = p->guard_ms;
    uint8_t from[16];
    bool has_source = p->source != SLAB_NONE;
    struct p2p_id id = p->id;

    if (has_source)
        memcpy(from, source_at(&r->sources, p->source)->from, sizeof(from));
    registry_swap_files(r, at, NULL, 0);
    r->live_signed -= p->key != NULL;
    /* This has to come before the source is dropped. */
    if (seq > 0 && until_ms > p2p_now_ms())
        tombstones_put(&r->tombstones, has_source ? from : NULL, &id, seq, until_ms);
    registry_set_source(r, at, NULL, 0);
    free(p->key);
    p->key = NULL;
    free(p->addresses);
    p->addresses = NULL;
    p->direct = REGISTRY_DIRECT_UNKNOWN;
    p->about = (struct p2p_about){.kind = P2P_ABOUT_UNKNOWN};
    table_remove(&r->by_id, at);
    p->is_used = false;
    slab_give_back(&r->peers, at);
}
