#include "discovery/registry/registry_internal.h"

#include <stdlib.h>
#include <string.h>

#include "p2p/lock.h"

/* ---- the tables of peers ---- */

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

static const struct table_items id_items = {hash_id, next_id, NULL};

/* ---- what the dictionary asks ---- */

/* True if the number still belongs to this name. */
static bool
is_that_name(const struct registry *r, const struct segment_name *n)
{
    return catalogue_name(&r->catalogue, n->id)->text == n->text;
}

static uint32_t
weigh_locked(const struct registry *r, struct segment_name *names, uint32_t count)
{
    uint32_t gone = 0;

    for (uint32_t i = 0; i < count; i++)
        __builtin_prefetch(catalogue_name(&r->catalogue, names[i].id));
    for (uint32_t i = 0; i < count; i++) {
        uint32_t sources = is_that_name(r, &names[i])
                               ? catalogue_sources(&r->catalogue, names[i].id)
                               : 0;

        names[i].weight = sources > 0 ? catalogue_weight(sources) : DICT_GONE;
        gone += sources == 0;
    }
    return gone;
}

static void
weigh_names(void *arg, struct segment_name *names, uint32_t count)
{
    struct registry *r = arg;

    p2p_read_lock(&r->lock);
    weigh_locked(r, names, count);
    p2p_rw_unlock(&r->lock);
}

/* There are few writers: readers are only excluded if there is something to drop. */
static void
sift_names(void *arg, struct segment_name *names, uint32_t count)
{
    struct registry *r = arg;
    uint32_t gone;

    p2p_read_lock(&r->lock);
    gone = weigh_locked(r, names, count);
    p2p_rw_unlock(&r->lock);
    if (gone == 0)
        return;
    registry_lock(r);
    for (uint32_t i = 0; i < count; i++)
        if (names[i].weight == DICT_GONE && is_that_name(r, &names[i]) &&
            !catalogue_drop_name(&r->catalogue, names[i].id))
            names[i].weight = 0; /* somebody has it again */
    registry_unlock(r);
}

/* A concurrent reader sees the old text or the new one, and both are valid. */
static void
move_names(void *arg, const struct segment_name *names, uint32_t count)
{
    struct registry *r = arg;

    p2p_read_lock(&r->lock);
    for (uint32_t i = 0; i < count; i++)
        atomic_store_explicit(&catalogue_name(&r->catalogue, names[i].id)->text,
                              names[i].text, memory_order_release);
    p2p_rw_unlock(&r->lock);
}

static void
let_readers_end(void *arg)
{
    registry_lock(arg);
    registry_unlock(arg);
}

/* ---- life ---- */

/* They have their own share of the memory; without a memory limit, there are as many as
 * peers. */
static uint32_t
max_tombstones(const struct registry_options *opt)
{
    uint64_t max = opt->max_bytes / REGISTRY_STONES_PART / TOMBSTONE_BYTES;

    if (opt->max_bytes == 0 || max > 4ull * opt->max_peers)
        max = opt->max_peers;
    return (uint32_t)max;
}

/* Many peers behind one address may leave and come back several times per hour. */
static uint32_t
stones_per_ip(const struct registry_options *opt, uint32_t max)
{
    if (opt->max_peers_per_ip == 0)
        return max;
    return opt->max_peers_per_ip < max / 4 ? opt->max_peers_per_ip * 4 : max;
}

enum p2p_err
registry_open(const struct registry_options *opt, struct registry **result)
{
    struct registry *r = calloc(1, sizeof(*r));
    struct dict_owner owner = {r, weigh_names, sift_names, move_names, let_readers_end};
    uint32_t stones = max_tombstones(opt);
    enum p2p_err err;

    *result = NULL;
    if (r == NULL)
        return P2P_ERR_NOMEM;
    r->opt = *opt;
    if (p2p_random(&r->mark, sizeof(r->mark)) != P2P_OK) {
        free(r);
        return P2P_ERR_CRYPTO;
    }
    p2p_rwlock_init(&r->lock);
    p2p_mutex_init(&r->writer);
    if ((err = slab_init(&r->peers, sizeof(struct peer), opt->max_peers)) != P2P_OK ||
        (err = table_init(&r->by_id, &id_items, r, opt->max_peers)) != P2P_OK ||
        (err = sources_init(&r->sources, opt->max_peers + stones)) != P2P_OK ||
        (err = tombstones_init(&r->tombstones, &r->sources, stones,
                               stones_per_ip(opt, stones))) != P2P_OK ||
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
    p2p_rwlock_unshared(&r->lock);
    catalogue_clear(&r->catalogue);
    for (uint32_t i = 0; i < r->peers.used; i++) {
        free(peer_at(r, i)->files);
        free(peer_at(r, i)->key);
        free(peer_at(r, i)->addresses);
    }
    table_clear(&r->by_id);
    tombstones_clear(&r->tombstones);
    sources_clear(&r->sources);
    slab_clear(&r->peers);
    p2p_rwlock_clear(&r->lock);
    p2p_mutex_clear(&r->writer);
    free(r);
}

/* ---- small questions ---- */

/* Two threads at once: both values are right to within a millisecond. */
static void
hear(struct peer *p, uint64_t heard_ms)
{
    if (atomic_load_explicit(&p->heard_ms, memory_order_relaxed) < heard_ms)
        atomic_store_explicit(&p->heard_ms, heard_ms, memory_order_relaxed);
}

bool
registry_heartbeat(struct registry *r, const struct p2p_id *id, uint64_t heard_ms)
{
    bool is_live = false;
    uint32_t at;

    p2p_read_lock(&r->lock);
    if ((at = registry_find(r, id)) != SLAB_NONE) {
        hear(peer_at(r, at), heard_ms != 0 ? heard_ms : p2p_now_ms());
        is_live = true;
    }
    p2p_rw_unlock(&r->lock);
    return is_live;
}

#define TELL_MOVE_EVERY_MS 60000u

/*
 * True if the peer should be told that it has moved: once a minute. But if the
 * heartbeat comes from a different source than the last one that was told, it is told
 * when the record is a minute old; otherwise a stranger's heartbeats would hide the
 * news from the peer.
 */
static bool
may_be_told(struct peer *p, const uint8_t source[16], uint64_t now_ms)
{
    uint32_t mark = (uint32_t)table_hash(source, 16) | 1;
    uint64_t told_ms = atomic_load(&p->told_move_ms);

    if (told_ms != 0 && now_ms - told_ms < TELL_MOVE_EVERY_MS &&
        (atomic_load(&p->told_source) == mark ||
         now_ms - p->put_ms < TELL_MOVE_EVERY_MS))
        return false;
    atomic_store(&p->told_move_ms, now_ms);
    atomic_store(&p->told_source, mark);
    return true;
}

static bool
is_listed(const struct peer *p, const uint8_t source[16])
{
    char ip[RECORD_IP_MAX + 1];

    record_format_ip(source, ip);
    return p->addresses != NULL && record_lists_host(p->addresses, ip);
}

enum registry_beat_result
registry_heartbeat_from(struct registry *r, const struct p2p_id *id, const char *ip)
{
    enum registry_beat_result result = REGISTRY_BEAT_UNKNOWN;
    uint64_t now_ms = p2p_now_ms();
    uint8_t source[16];
    uint32_t at;

    record_read_ip(ip, source);
    p2p_read_lock(&r->lock);
    if ((at = registry_find(r, id)) != SLAB_NONE) {
        struct peer *p = peer_at(r, at);

        result = REGISTRY_BEAT_OK;
        if (p->is_home_known && !p->is_ip_stated &&
            memcmp(p->ip, source, sizeof(source)) != 0 && !is_listed(p, source) &&
            may_be_told(p, source, now_ms))
            result = REGISTRY_BEAT_MOVED;
        else
            hear(p, now_ms);
    }
    p2p_rw_unlock(&r->lock);
    return result;
}

void
registry_heard_elsewhere(struct registry *r, const struct p2p_id *id, uint64_t heard_ms)
{
    uint32_t at;

    p2p_read_lock(&r->lock);
    if ((at = registry_find(r, id)) != SLAB_NONE) {
        struct peer *p = peer_at(r, at);

        if (p->heard_ms < heard_ms) {
            atomic_store(&p->told_ms, heard_ms);
            atomic_store(&p->heard_ms, heard_ms);
        }
    }
    p2p_rw_unlock(&r->lock);
}

void
registry_mark_told(struct registry *r, const struct p2p_id *id)
{
    uint32_t at;

    p2p_read_lock(&r->lock);
    if ((at = registry_find(r, id)) != SLAB_NONE)
        atomic_store(&peer_at(r, at)->told_ms, peer_at(r, at)->heard_ms);
    p2p_rw_unlock(&r->lock);
}

size_t
registry_take_beats(struct registry *r, uint32_t *from, struct registry_beat *out,
                    size_t max)
{
    uint32_t at = *from;
    size_t n = 0;

    p2p_read_lock(&r->lock);
    for (; at < r->peers.used && n < max; at++) {
        struct peer *p = peer_at(r, at);
        uint64_t heard_ms = p->heard_ms;

        if (!p->is_used || heard_ms <= p->told_ms)
            continue;
        atomic_store(&p->told_ms, heard_ms);
        out[n++] = (struct registry_beat){p->id, heard_ms};
    }
    *from = at < r->peers.used ? at : UINT32_MAX;
    p2p_rw_unlock(&r->lock);
    return n;
}

bool
registry_key(struct registry *r, const struct p2p_id *id, struct p2p_spki *key)
{
    bool found = false;
    uint32_t at;

    p2p_read_lock(&r->lock);
    at = registry_find(r, id);
    if (at != SLAB_NONE && peer_at(r, at)->key != NULL) {
        *key = *peer_at(r, at)->key;
        found = true;
    }
    p2p_rw_unlock(&r->lock);
    return found;
}

void
registry_stats(struct registry *r, struct registry_stats *out)
{
    p2p_read_lock(&r->lock);
    *out = (struct registry_stats){
        .peers = r->peers.live,
        .signed_peers = r->live_signed,
        .remembered = r->tombstones.slab.live,
        .bytes =
            registry_bytes(r) + (uint64_t)r->tombstones.slab.live * TOMBSTONE_BYTES,
        .max_bytes = r->opt.max_bytes,
        .evicted = r->evicted,
        .postings = r->catalogue.postings,
        .names = r->catalogue.names.live,
        .contents = r->catalogue.contents.live,
        .files = r->catalogue.files.live,
    };
    p2p_rw_unlock(&r->lock);
}

#define WEIGH_EVERY_MS 30000u

/* Weights only choose among too many names, so they may be a little old. */
static bool
weights_are_old(struct registry *r, uint64_t changes, uint64_t postings, uint64_t now)
{
    uint64_t since = changes - r->weighed_changes;

    if (since == 0 || (since < postings / 8 && now - r->weighed_ms < WEIGH_EVERY_MS))
        return false;
    r->weighed_changes = changes;
    r->weighed_ms = now;
    return true;
}

void
registry_tidy(struct registry *r)
{
    uint64_t changes, postings;
    uint64_t dead_bytes;
    uint32_t names, files;

    p2p_read_lock(&r->lock);
    dead_bytes = r->catalogue.dead_bytes;
    names = r->catalogue.names.live;
    files = r->catalogue.files.live;
    changes = r->catalogue.changes;
    postings = r->catalogue.postings;
    p2p_rw_unlock(&r->lock);
    /* Names of the open part cannot be dropped. So ask at most twice, not forever. */
    if (names > 2 * (files + DICT_OPEN_NAMES) ||
        (r->opt.max_bytes > 0 && dead_bytes > r->opt.max_bytes / 8 &&
         names > files + DICT_OPEN_NAMES))
        dict_compact(r->dict);
    if (weights_are_old(r, changes, postings, p2p_now_ms()))
        dict_reweigh(r->dict);
}

struct dict *
registry_dict(struct registry *r)
{
    return r->dict;
}

const struct catalogue *
registry_lock_catalogue(struct registry *r) P2P_ACQUIRES_READ(registry_data_lock)
{
    p2p_read_lock(&r->lock);
    return &r->catalogue;
}

void
registry_unlock_catalogue(struct registry *r) P2P_RELEASES(registry_data_lock)
{
    p2p_rw_unlock(&r->lock);
}

void
registry_sources(const struct registry *r, const uint32_t *peers, uint32_t count,
                 struct registry_source *out)
{
    for (uint32_t i = 0; i < count; i++) {
        __builtin_prefetch(&peer_at(r, peers[i])->id);
        __builtin_prefetch(&peer_at(r, peers[i])->ip);
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct peer *p = peer_at(r, peers[i]);

        out[i] = (struct registry_source){.id = p->id,
                                          .port = p->port,
                                          .is_signed = p->key != NULL,
                                          .is_ip_claimed = p->is_ip_claimed,
                                          .number = peers[i]};
        memcpy(out[i].ip, p->ip, sizeof(out[i].ip));
    }
}

void
registry_visit_sources(struct registry *r, const struct registry_source *sources,
                       uint32_t count, registry_visit_claims *visit, void *arg)
{
    p2p_read_lock(&r->lock);
    for (uint32_t i = 0; i < count; i++)
        __builtin_prefetch(&peer_at(r, sources[i].number)->about);
    for (uint32_t i = 0; i < count; i++) {
        const struct peer *p = peer_at(r, sources[i].number);
        struct registry_claims claims = {
            .about = &p->about,
            .addresses = p->addresses != NULL ? p->addresses : "",
            .direct = p->direct,
        };
        bool is_here = p->is_used && p2p_id_equal(&p->id, &sources[i].id);

        visit(arg, &sources[i], is_here ? &claims : NULL);
    }
    p2p_rw_unlock(&r->lock);
}
