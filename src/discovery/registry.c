#include "discovery/registry_internal.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "p2p/bytes.h"
#include "p2p/net.h"

/* ---- the tables of peers ---- */

uint64_t
registry_id_hash(const struct p2p_id *id)
{
    uint64_t h = p2p_load_u64(id->b);

    h = (h & 0x5555555555555555u) << 1 | (h >> 1 & 0x5555555555555555u);
    h = (h & 0x3333333333333333u) << 2 | (h >> 2 & 0x3333333333333333u);
    h = (h & 0x0f0f0f0f0f0f0f0fu) << 4 | (h >> 4 & 0x0f0f0f0f0f0f0f0fu);
    return __builtin_bswap64(h);
}

static uint64_t
hash_id(const void *owner, uint32_t id)
{
    const struct registry *r = owner;

    return registry_id_hash(&peer_at(r, id)->id);
}

static uint32_t *
next_id(const void *owner, uint32_t id)
{
    const struct registry *r = owner;

    return &peer_at(r, id)->next;
}

static uint64_t
hash_ip(const void *owner, uint32_t id)
{
    const struct registry *r = owner;

    return table_hash(peer_at(r, id)->ip, 16);
}

static uint32_t *
next_ip(const void *owner, uint32_t id)
{
    const struct registry *r = owner;

    return &peer_at(r, id)->next_of_ip;
}

static const struct table_items id_items = {hash_id, next_id, NULL};
static const struct table_items ip_items = {hash_ip, next_ip, NULL};

uint32_t
registry_find(const struct registry *r, const struct p2p_id *id)
{
    uint32_t at = table_chain(&r->by_id, registry_id_hash(id));

    while (at != SLAB_NONE && !p2p_id_equal(&peer_at(r, at)->id, id))
        at = peer_at(r, at)->next;
    return at;
}

/* ---- what the dictionary asks ---- */

static void
lock_for_dict(void *arg)
{
    pthread_rwlock_wrlock(&((struct registry *)arg)->lock);
}

static void
unlock_for_dict(void *arg)
{
    pthread_rwlock_unlock(&((struct registry *)arg)->lock);
}

static bool
keep_name(void *arg, uint32_t id, const char *text)
{
    struct registry *r = arg;

    return catalogue_name(&r->catalogue, id)->text == text &&
           !catalogue_drop_name(&r->catalogue, id);
}

static void
move_name(void *arg, uint32_t id, const char *text)
{
    struct registry *r = arg;

    catalogue_name(&r->catalogue, id)->text = text;
}

/* ---- life ---- */

enum p2p_err
registry_open(const struct registry_options *opt, struct registry **result)
{
    struct registry *r = calloc(1, sizeof(*r));
    struct dict_owner owner = {r, lock_for_dict, unlock_for_dict, keep_name, move_name};
    enum p2p_err err;

    *result = NULL;
    if (r == NULL)
        return P2P_ERR_NOMEM;
    r->opt = *opt;
    if (p2p_random(&r->mark, sizeof(r->mark)) != P2P_OK) {
        free(r);
        return P2P_ERR_CRYPTO;
    }
    pthread_rwlock_init(&r->lock, NULL);
    pthread_mutex_init(&r->writer, NULL);
    if ((err = slab_init(&r->peers, sizeof(struct peer), opt->max_peers)) != P2P_OK ||
        (err = table_init(&r->by_id, &id_items, r, opt->max_peers)) != P2P_OK ||
        (err = table_init(&r->by_ip, &ip_items, r, opt->max_peers)) != P2P_OK ||
        (err = dict_open(&owner, &r->dict)) != P2P_OK ||
        (err = catalogue_init(&r->catalogue, r->dict)) != P2P_OK) {
        registry_close(r);
        return err;
    }
    *result = r;
    return P2P_OK;
}

void
registry_close(struct registry *r)
{
    if (r == NULL)
        return;
    dict_close(r->dict);
    catalogue_clear(&r->catalogue);
    for (uint32_t i = 0; i < r->peers.used; i++) {
        free(peer_at(r, i)->files);
        free(peer_at(r, i)->key);
    }
    table_clear(&r->by_id);
    table_clear(&r->by_ip);
    slab_clear(&r->peers);
    pthread_rwlock_destroy(&r->lock);
    pthread_mutex_destroy(&r->writer);
    free(r);
}

/* ---- small questions ---- */

bool
registry_heartbeat(struct registry *r, const struct p2p_id *id, uint64_t heard_ms)
{
    uint64_t heard = heard_ms != 0 ? heard_ms : p2p_now_ms();
    bool is_live = false;
    uint32_t at;

    pthread_rwlock_rdlock(&r->lock);
    if ((at = registry_find(r, id)) != SLAB_NONE && peer_at(r, at)->is_live) {
        struct peer *p = peer_at(r, at);

        /* Two at once: either is right to within a millisecond. */
        if (atomic_load_explicit(&p->heard_ms, memory_order_relaxed) < heard)
            atomic_store_explicit(&p->heard_ms, heard, memory_order_relaxed);
        is_live = true;
    }
    pthread_rwlock_unlock(&r->lock);
    return is_live;
}

void
registry_heard_elsewhere(struct registry *r, const struct p2p_id *id, uint64_t heard_ms)
{
    uint32_t at;

    pthread_rwlock_rdlock(&r->lock);
    if ((at = registry_find(r, id)) != SLAB_NONE && peer_at(r, at)->is_live) {
        struct peer *p = peer_at(r, at);

        if (p->heard_ms < heard_ms) {
            atomic_store(&p->told_ms, heard_ms);
            atomic_store(&p->heard_ms, heard_ms);
        }
    }
    pthread_rwlock_unlock(&r->lock);
}

void
registry_mark_told(struct registry *r, const struct p2p_id *id)
{
    uint32_t at;

    pthread_rwlock_rdlock(&r->lock);
    if ((at = registry_find(r, id)) != SLAB_NONE)
        atomic_store(&peer_at(r, at)->told_ms, peer_at(r, at)->heard_ms);
    pthread_rwlock_unlock(&r->lock);
}

size_t
registry_take_beats(struct registry *r, uint32_t *from, struct registry_beat *out,
                    size_t max)
{
    uint32_t at = *from;
    size_t n = 0;

    pthread_rwlock_rdlock(&r->lock);
    for (; at < r->peers.used && n < max; at++) {
        struct peer *p = peer_at(r, at);
        uint64_t heard_ms = p->heard_ms;

        if (!p->is_used || !p->is_live || heard_ms <= p->told_ms)
            continue;
        atomic_store(&p->told_ms, heard_ms);
        out[n++] = (struct registry_beat){p->id, heard_ms};
    }
    *from = at < r->peers.used ? at : UINT32_MAX;
    pthread_rwlock_unlock(&r->lock);
    return n;
}

bool
registry_key(struct registry *r, const struct p2p_id *id, struct p2p_spki *key)
{
    bool found = false;
    uint32_t at;

    pthread_rwlock_rdlock(&r->lock);
    at = registry_find(r, id);
    if (at != SLAB_NONE && peer_at(r, at)->is_live && peer_at(r, at)->key != NULL) {
        *key = *peer_at(r, at)->key;
        found = true;
    }
    pthread_rwlock_unlock(&r->lock);
    return found;
}

void
registry_stats(struct registry *r, struct registry_stats *out)
{
    pthread_rwlock_rdlock(&r->lock);
    *out = (struct registry_stats){
        .peers = r->live,
        .signed_peers = r->live_signed,
        .remembered = r->peers.live - r->live,
        .postings = r->catalogue.postings,
        .names = r->catalogue.names.live,
        .contents = r->catalogue.contents.live,
        .files = r->catalogue.files.live,
    };
    pthread_rwlock_unlock(&r->lock);
}

void
registry_fill_view(const struct registry *r, uint32_t peer, struct registry_peer *out)
{
    const struct peer *p = peer_at(r, peer);
    bool is_v4 = IN6_IS_ADDR_V4MAPPED((const struct in6_addr *)(const void *)p->ip);

    *out = (struct registry_peer){
        .id = p->id,
        .port = p->port,
        .protocols = p->protocols,
        .is_signed = p->key != NULL,
        .has_content = p->has_content,
        .heard_ms = atomic_load_explicit(&p->heard_ms, memory_order_relaxed),
        .seq = p->seq,
        .expires_at_s = p->expires_at_s,
        .file_count = p->count,
        .files = p->files,
        .catalogue = &r->catalogue,
        .key = p->key,
    };
    inet_ntop(is_v4 ? AF_INET : AF_INET6, is_v4 ? p->ip + 12 : p->ip, out->ip,
              sizeof(out->ip));
}

void
registry_tidy(struct registry *r)
{
    uint32_t names, files;

    pthread_rwlock_rdlock(&r->lock);
    names = r->catalogue.names.live;
    files = r->catalogue.files.live;
    pthread_rwlock_unlock(&r->lock);
    /* Names of the open part cannot be dropped; twice as many must not ask for ever. */
    if (names > 2 * (files + DICT_OPEN_NAMES))
        dict_compact(r->dict);
}

struct dict *
registry_dict(struct registry *r)
{
    return r->dict;
}

const struct catalogue *
registry_lock_catalogue(struct registry *r)
{
    pthread_rwlock_rdlock(&r->lock);
    return &r->catalogue;
}

void
registry_unlock_catalogue(struct registry *r)
{
    pthread_rwlock_unlock(&r->lock);
}

const struct p2p_id *
registry_id_at(const struct registry *r, uint32_t peer)
{
    return &peer_at(r, peer)->id;
}
