/*
 * Changes. A change holds the lock several times for a short time. In between, readers
 * may see a peer with a part of its new list, but never an inconsistent one. `writer`
 * makes sure that there is only one change at a time.
 */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "discovery/index/fold.h"
#include "discovery/registry/registry_internal.h"
#include "p2p/limits.h"
#include "p2p/lock.h"
#include "p2p/net.h"

/* ---- addresses ---- */

static bool
is_loopback(const uint8_t ip[16])
{
    const struct in6_addr *v6 = (const void *)ip;

    return IN6_IS_ADDR_LOOPBACK(v6) || (IN6_IS_ADDR_V4MAPPED(v6) && ip[12] == 127);
}

/*
 * The source that a peer counts for. It is not the address that the peer is listed
 * under: anyone may state any address, and would use up the limits of its owner. False:
 * none, because another registry has counted the peer, or because it is on this
 * machine.
 */
static bool
counts_for(const struct record *rec, uint8_t from[16])
{
    if (rec->from[0] == '\0')
        return false;
    record_read_ip(rec->from, from);
    if (is_loopback(from))
        return false;
    if (!IN6_IS_ADDR_V4MAPPED((const struct in6_addr *)(const void *)from))
        memset(from + 8, 0, 8);
    return true;
}

/* The same for one prefix length of the source's address. */
static enum registry_result
check_width(const struct registry *r, const struct peer *p, const uint8_t from[16],
            uint64_t charge)
{
    uint32_t at = sources_find(&r->sources, from);
    const struct source *s = at != SLAB_NONE ? source_at(&r->sources, at) : NULL;
    bool is_counted =
        p != NULL && s != NULL && sources_is_within(&r->sources, p->source, at);
    uint64_t bytes = (s != NULL ? s->bytes : 0) - (is_counted ? p->charge : 0);
    uint64_t factor = source_factor(from);

    if (r->opt.max_peers_per_ip > 0 && !is_counted && s != NULL &&
        s->peers >= r->opt.max_peers_per_ip * factor)
        return REGISTRY_CROWDED;
    /* A peer that becomes smaller is not limited. */
    if (r->opt.max_bytes_per_ip > 0 &&
        bytes + charge > r->opt.max_bytes_per_ip * factor &&
        !(is_counted && charge <= p->charge))
        return REGISTRY_HEAVY;
    return REGISTRY_OK;
}

/* True if the source, and those that contain it, may register one more peer of this
 * many bytes, instead of `p` (or NULL). */
static enum registry_result
check_source(const struct registry *r, const struct peer *p, const uint8_t from[16],
             uint64_t charge)
{
    uint8_t key[16], wider[16];
    enum registry_result result;

    memcpy(wider, from, sizeof(wider));
    do {
        memcpy(key, wider, sizeof(key));
        result = check_width(r, p, key, charge);
    } while (result == REGISTRY_OK && source_widen(key, wider));
    return result;
}

/* ---- memory ---- */

/* How a change gets the memory that it needs. */
struct room {
    uint32_t peer;        /* the peer that is changed; SLAB_NONE: it is new */
    uint64_t score;       /* see pressure.h */
    uint64_t start_bytes; /* what was kept before */
    struct evicted evicted;
};

/*
 * Names that no peer has any longer take memory until the dictionary drops them. They
 * may take a quarter of the limit; the dictionary is asked to drop them when they take
 * an eighth.
 */
static bool
is_over(const struct registry *r, const struct room *room)
    P2P_REQUIRES(registry_data_lock)
{
    uint64_t max = r->opt.max_bytes - r->opt.max_bytes / REGISTRY_STONES_PART;
    uint64_t bytes = registry_bytes(r), dead = r->catalogue.dead_bytes;

    if (dead > max / 4)
        bytes += dead - max / 4;
    return r->opt.max_bytes > 0 && bytes > max && bytes > room->start_bytes;
}

/* False: over the limit, and there is no peer that is less worth keeping. */
static bool
has_memory(struct registry *r, struct room *room) P2P_REQUIRES(registry_data_lock)
{
    while (is_over(r, room)) {
        if (r->catalogue.dead_bytes > r->opt.max_bytes / 8)
            dict_compact(r->dict);
        if (!pressure_evict(r, room->score, room->peer, &room->evicted))
            return false;
    }
    return true;
}

static uint64_t
charge_of(const struct record *rec)
{
    uint64_t charge = PEER_BYTES + strlen(rec->addresses);

    for (uint32_t i = 0; i < rec->count; i++)
        charge += catalogue_cost(rec->entries[i].name.len, rec->has_content);
    return charge;
}

/* The usage of a source if the peer has this many bytes and counts for it. */
static uint64_t
bytes_with(const struct registry *r, const struct peer *p, const uint8_t from[16],
           uint64_t charge)
{
    uint32_t at = sources_find(&r->sources, from);

    if (at == SLAB_NONE)
        return charge;
    if (p != NULL && sources_is_within(&r->sources, p->source, at))
        charge -= p->charge; /* wraps and comes back */
    return source_at(&r->sources, at)->bytes + charge;
}

/* The score of the peer (pressure.h) if it has this many bytes from this source (NULL:
 * none). */
static uint64_t
score_for(const struct registry *r, const struct peer *p, const uint8_t *from,
          uint64_t charge, bool is_signed)
{
    uint64_t bytes = charge;
    uint8_t key[16], wider[16];

    if (from != NULL) {
        memcpy(wider, from, sizeof(wider));
        do {
            uint64_t of_key;
            memcpy(key, wider, sizeof(key));
            of_key = bytes_with(r, p, key, charge) / source_factor(key);
            bytes = of_key > bytes ? of_key : bytes;
        } while (source_widen(key, wider));
    }
    return pressure_score(bytes, is_signed, p != NULL ? p2p_now_ms() - p->since_ms : 0);
}

static void
announce_evicted(struct registry *r, const struct evicted *evicted)
{
    for (uint32_t i = 0; i < evicted->count; i++)
        registry_announce(r, &evicted->ids[i], true);
}

/* ---- lists of files ---- */

/* Posts every entry; `files` gets their numbers, ascending. Holds the lock on return.
 */
static enum registry_result
post_all(struct registry *r, uint32_t peer, const struct p2p_reg_entry *entries,
         uint32_t count, bool has_content, uint32_t *files, uint32_t *posted,
         struct room *room) P2P_REQUIRES(registry_data_lock)
{
    for (*posted = 0; *posted < count; (*posted)++) {
        uint32_t file =
            catalogue_file_of(&r->catalogue, &entries[*posted], has_content);

        if (file == SLAB_NONE || catalogue_post(&r->catalogue, file, peer) != P2P_OK)
            return REGISTRY_NOMEM;
        files[*posted] = file;
        if (!has_memory(r, room)) {
            ++*posted;
            return REGISTRY_NO_ROOM;
        }
        registry_breathe_unlocks(r, *posted);
    }
    registry_sort_files(files, count);
    return REGISTRY_OK;
}

/* Undoes a failed change: removes its postings, except for those of the old list. */
static void
take_back(struct registry *r, uint32_t at, uint32_t *files, uint32_t posted)
    P2P_REQUIRES(registry_data_lock)
{
    const struct peer *p = peer_at(r, at);

    registry_sort_files(files, posted);
    registry_unpost_missing(r, at, files, posted, p->files, p->count);
}

/* ---- put ---- */

/* A hash of the content of a signed record; 0 when out of memory. */
static uint64_t
tag_of(const struct record *rec)
{
    uint8_t *bytes;
    uint64_t tag;
    size_t len;

    if (!rec->is_signed || record_encode(rec, &bytes, &len) != P2P_OK)
        return 0;
    tag = table_hash(bytes, len);
    free(bytes);
    return tag;
}

/* A peer that registers with several registries of one store sends the same record to
 * each. */
static bool
is_repeated(const struct peer *p, const struct record *rec, uint64_t tag)
{
    return p->key != NULL && p->seq == rec->seq && p->tag == tag && tag != 0;
}

/* Higher than the stamp that it replaces, so that a clock that is behind loses no
 * registration. */
static uint64_t
next_stamp(const struct registry *r, const struct peer *p)
{
    uint64_t now_ms = p2p_time_ms(), after_ms = (p->stamp >> 16) + 1;

    return (now_ms > after_ms ? now_ms : after_ms) << 16 | r->mark;
}

/* Both unsigned. */
static enum registry_result
check_stamp(const struct peer *p, const struct record *rec)
{
    if (rec->stamp == 0 || rec->stamp > p->stamp)
        return REGISTRY_OK;
    return rec->stamp == p->stamp ? REGISTRY_REPEATED : REGISTRY_STALE;
}

/* The seq that a new record has to exceed: that of the live peer or of its tombstone.
 */
static uint64_t
known_seq_of(const struct registry *r, uint32_t at, const struct p2p_id *id)
{
    uint32_t stone;

    if (at != SLAB_NONE)
        return registry_seq_that_counts(peer_at(r, at)->seq);
    stone = tombstones_find(&r->tombstones, id);
    if (stone == SLAB_NONE ||
        tombstone_at(&r->tombstones, stone)->until_ms <= p2p_now_ms())
        return 0;
    return registry_seq_that_counts(tombstone_at(&r->tombstones, stone)->seq);
}

static enum registry_result
check_put(const struct registry *r, uint32_t at, const struct record *rec, uint64_t tag,
          uint64_t *known_seq)
{
    const struct peer *p = at != SLAB_NONE ? peer_at(r, at) : NULL;
    enum registry_result result;

    *known_seq = known_seq_of(r, at, &rec->id);
    if (p != NULL && p->key != NULL && !rec->is_signed)
        return REGISTRY_SIGNED;
    if (p != NULL && !rec->is_signed && (result = check_stamp(p, rec)) != REGISTRY_OK)
        return result;
    if (rec->is_signed && *known_seq >= rec->seq)
        return p != NULL && is_repeated(p, rec, tag) ? REGISTRY_REPEATED
                                                     : REGISTRY_STALE;
    return REGISTRY_OK;
}

static void
take_signature(struct peer *p, const struct record *rec)
{
    uint64_t until_ms = registry_guard_ms(rec->expires_at_s, p2p_time_s());

    p->seq = rec->seq;
    p->expires_at_s = rec->expires_at_s;
    p->expires_ms = until_ms;
    if (until_ms > p->guard_ms)
        p->guard_ms = until_ms;
}

/* Takes the seq over from the peer's tombstone, if that still counts. */
static void
take_tombstone(struct registry *r, uint32_t at)
{
    struct peer *p = peer_at(r, at);
    uint32_t place = tombstones_find(&r->tombstones, &p->id);
    const struct tombstone *stone;
    uint64_t seq;

    if (place == SLAB_NONE)
        return;
    stone = tombstone_at(&r->tombstones, place);
    seq = registry_seq_that_counts(stone->seq);
    if (stone->until_ms > p2p_now_ms()) {
        if (p->guard_ms < stone->until_ms)
            p->guard_ms = stone->until_ms;
        if (p->seq < seq)
            p->seq = seq;
    }
    tombstones_drop(&r->tombstones, place);
}

/* Stores the peer's address, as far as heartbeats need it. */
static void
take_home(struct peer *p, const struct record *rec)
{
    if (rec->from[0] == '\0')
        return;
    p->is_home_known = true;
    p->is_ip_stated = rec->is_ip_stated;
    p->put_ms = p2p_now_ms();
}

/* Without memory, the addresses are left out. */
static void
take_claims(struct peer *p, const struct p2p_about *about, const char *addresses)
{
    p->about = *about;
    free(p->addresses);
    p->addresses = addresses[0] != '\0' ? strdup(addresses) : NULL;
}

void
registry_set_claims(struct registry *r, const struct p2p_id *id,
                    const struct p2p_about *about, const char *addresses)
{
    uint32_t at;

    p2p_lock(&r->writer);
    registry_lock(r);
    if ((at = registry_find_signed(r, id)) != SLAB_NONE)
        take_claims(peer_at(r, at), about, addresses);
    registry_unlock(r);
    p2p_unlock(&r->writer);
}

static bool
is_listed_at(const struct peer *p, const char *ip, uint16_t port)
{
    uint8_t bytes[16];

    record_read_ip(ip, bytes);
    return p->port == port && memcmp(p->ip, bytes, sizeof(bytes)) == 0;
}

void
registry_set_direct(struct registry *r, const struct p2p_id *id, const char *ip,
                    uint16_t port, enum registry_direct direct)
{
    bool is_news = false;
    uint32_t at;

    p2p_lock(&r->writer);
    registry_lock(r);
    if ((at = registry_find_signed(r, id)) != SLAB_NONE &&
        is_listed_at(peer_at(r, at), ip, port)) {
        is_news = peer_at(r, at)->direct != direct;
        peer_at(r, at)->direct = direct;
    }
    registry_unlock(r);
    p2p_unlock(&r->writer);
    if (is_news)
        registry_announce(r, id, false);
}

/* The registry has the record already, perhaps without the claims that only the peer
 * itself sends. */
static void
take_again(struct peer *p, const struct record *rec)
{
    take_home(p, rec);
    if (rec->about.name[0] != '\0' || rec->addresses[0] != '\0')
        take_claims(p, &rec->about, rec->addresses);
}

/* Stores all of the record but the files. The record was checked. Takes `key`. */
static void
take_facts(struct registry *r, uint32_t at, const struct record *rec,
           struct p2p_spki *key, uint64_t heard_ms, uint64_t charge)
    P2P_REQUIRES(registry_data_lock)
{
    struct peer *p = peer_at(r, at);
    uint8_t from[16];

    r->live_signed += rec->is_signed;
    r->live_signed -= p->key != NULL;
    registry_set_source(r, at, counts_for(rec, from) ? from : NULL, charge);
    if (!is_listed_at(p, rec->ip, rec->port))
        p->direct = REGISTRY_DIRECT_UNKNOWN;
    record_read_ip(rec->ip, p->ip);
    free(p->key);
    p->key = key;
    p->port = rec->port;
    p->protocols = rec->protocols;
    p->has_content = rec->has_content;
    p->is_ip_claimed = rec->is_ip_claimed;
    p->is_home_known = false;
    take_home(p, rec);
    if (rec->from[0] != '\0' || rec->has_claims) /* others do not know them */
        take_claims(p, &rec->about, rec->addresses);
    p->stamp = rec->is_signed || rec->stamp != 0 ? rec->stamp : next_stamp(r, p);
    p->expires_at_s = 0;
    if (rec->is_signed)
        take_signature(p, rec);
    atomic_store(&p->heard_ms, heard_ms != 0 ? heard_ms : p2p_now_ms());
}

/* A place for a peer that is not there yet. */
static enum registry_result
make_peer(struct registry *r, const struct record *rec, struct room *room)
    P2P_REQUIRES(registry_data_lock)
{
    if (!has_memory(r, room))
        return REGISTRY_NO_ROOM;
    while (r->peers.live >= r->opt.max_peers)
        if (!pressure_evict(r, room->score, SLAB_NONE, &room->evicted))
            return REGISTRY_FULL;
    room->peer = registry_new_peer(r, &rec->id);
    if (room->peer == SLAB_NONE)
        return REGISTRY_FULL;
    peer_at(r, room->peer)->since_ms = p2p_now_ms();
    return REGISTRY_OK;
}

/* Removes a new peer whose registration failed. */
static void
unmake_peer(struct registry *r, uint32_t at) P2P_REQUIRES(registry_data_lock)
{
    peer_at(r, at)->seq = 0;
    registry_bury(r, at);
}

/*
 * With the lock held and the record checked. Readers may see a part of a new peer's
 * list. A known peer gets its new list only when it is complete.
 */
static enum registry_result
put_checked(struct registry *r, const struct record *rec, struct p2p_spki *key,
            uint64_t heard_ms, uint64_t charge, uint64_t tag, uint32_t *files,
            struct room *room) P2P_REQUIRES(registry_data_lock)
{
    bool is_new = room->peer == SLAB_NONE;
    enum registry_result result = REGISTRY_OK;
    uint32_t posted;

    if (is_new && (result = make_peer(r, rec, room)) != REGISTRY_OK) {
        free(key);
        free(files);
        return result;
    }
    if (is_new)
        take_facts(r, room->peer, rec, key, heard_ms, charge);
    result = post_all(r, room->peer, rec->entries, rec->count, rec->has_content, files,
                      &posted, room);
    if (result != REGISTRY_OK) {
        take_back(r, room->peer, files, posted);
        free(files);
        if (is_new)
            unmake_peer(r, room->peer);
        else
            free(key);
        return result;
    }
    if (!is_new)
        take_facts(r, room->peer, rec, key, heard_ms, charge);
    take_tombstone(r, room->peer);
    peer_at(r, room->peer)->tag = tag;
    registry_swap_files(r, room->peer, files, posted);
    return REGISTRY_OK;
}

enum registry_result
registry_put(struct registry *r, const struct record *rec, uint64_t heard_ms,
             uint64_t *known_seq)
{
    uint32_t *files = malloc((rec->count + 1u) * sizeof(*files));
    struct p2p_spki *key = rec->is_signed ? malloc(sizeof(*key)) : NULL;
    enum registry_result result = REGISTRY_NOMEM;
    uint64_t tag = tag_of(rec), charge = charge_of(rec);
    struct room room = {.peer = SLAB_NONE};
    const struct peer *p = NULL;
    uint8_t from[16];
    bool is_counted = counts_for(rec, from);

    *known_seq = 0;
    if (key != NULL)
        *key = rec->key;
    p2p_lock(&r->writer);
    registry_lock(r);
    if (files == NULL || (rec->is_signed && key == NULL))
        goto out;
    room.peer = registry_find(r, &rec->id);
    p = room.peer != SLAB_NONE ? peer_at(r, room.peer) : NULL;
    if ((result = check_put(r, room.peer, rec, tag, known_seq)) == REGISTRY_OK &&
        is_counted)
        result = check_source(r, p, from, charge);
    if (result == REGISTRY_REPEATED) /* another registry has sent the same one first */
        take_again(peer_at(r, room.peer), rec);
    if (result != REGISTRY_OK)
        goto out;
    room.start_bytes = registry_bytes(r);
    room.score = score_for(r, p, is_counted ? from : NULL, charge, rec->is_signed);
    result = put_checked(r, rec, key, heard_ms, charge, tag, files, &room);
    key = NULL;
    files = NULL;
out:
    registry_unlock(r);
    p2p_unlock(&r->writer);
    free(files);
    free(key);
    announce_evicted(r, &room.evicted);
    if (result == REGISTRY_OK)
        registry_announce(r, &rec->id, false);
    else if (result == REGISTRY_REPEATED && registry_heartbeat(r, &rec->id, heard_ms))
        result = REGISTRY_OK;
    return result;
}

/* ---- delta ---- */

/* True if the name of a file is among `remove` or the names of `add`. */
static bool
is_replaced(const struct registry *r, uint32_t file, const struct registry_delta *d)
{
    uint32_t name = catalogue_file(&r->catalogue, file)->name;
    const char *spelling = fold_spelling(catalogue_name(&r->catalogue, name)->text);
    struct p2p_text text = {spelling, strlen(spelling)};
    struct p2p_reg_entry entry = {.name = text};

    return (d->n_remove > 0 && bsearch(&text, d->remove, d->n_remove, sizeof(text),
                                       record_compare_texts) != NULL) ||
           (d->n_add > 0 && bsearch(&entry, d->add, d->n_add, sizeof(entry),
                                    record_compare_entries) != NULL);
}

/* Makes the new list: the old one without the removed files, then the added ones. `now`
 * has room for both. `charge` gets the cost of the list. */
static enum registry_result
build_list(struct registry *r, const struct registry_delta *d, uint32_t *now,
           uint32_t *count, uint64_t *charge, struct room *room)
    P2P_REQUIRES(registry_data_lock)
{
    struct peer *p = peer_at(r, room->peer);
    enum registry_result result;
    uint32_t kept = 0, posted;

    *charge = PEER_BYTES;
    for (uint32_t i = 0; i < d->n_add; i++)
        *charge += catalogue_cost(d->add[i].name.len, true);
    for (uint32_t i = 0; i < p->count; i++) {
        uint32_t name = catalogue_file(&r->catalogue, p->files[i])->name;

        registry_breathe_unlocks(r, i);
        if (is_replaced(r, p->files[i], d))
            continue;
        now[kept++] = p->files[i];
        *charge += catalogue_cost(
            strlen(fold_spelling(catalogue_name(&r->catalogue, name)->text)), true);
    }
    if (p->source != SLAB_NONE &&
        (result = check_source(r, p, source_at(&r->sources, p->source)->from,
                               *charge)) != REGISTRY_OK)
        return result;
    room->score = score_for(
        r, p, p->source != SLAB_NONE ? source_at(&r->sources, p->source)->from : NULL,
        *charge, true);
    result = post_all(r, room->peer, d->add, d->n_add, true, now + kept, &posted, room);
    if (result != REGISTRY_OK) {
        take_back(r, room->peer, now + kept, posted);
        return result;
    }
    *count = kept + posted;
    registry_sort_files(now, *count);
    return REGISTRY_OK;
}

/* Applies the rest of a delta after the list is complete. Takes `now`. */
static void
take_delta(struct registry *r, uint32_t at, const struct registry_delta *d,
           uint32_t *now, uint32_t count, uint64_t charge)
    P2P_REQUIRES(registry_data_lock)
{
    struct peer *p = peer_at(r, at);
    uint8_t from[16];
    bool is_counted = p->source != SLAB_NONE;

    if (is_counted)
        memcpy(from, source_at(&r->sources, p->source)->from, sizeof(from));
    registry_set_source(r, at, is_counted ? from : NULL, charge);
    p->seq = d->seq;
    p->tag = 0;
    atomic_store(&p->heard_ms, p2p_now_ms());
    registry_swap_files(r, at, now, count);
}

enum registry_result
registry_apply_delta(struct registry *r, const struct registry_delta *d,
                     uint64_t *known_seq)
{
    enum registry_result result = REGISTRY_NOMEM;
    uint32_t *now = NULL, count = 0;
    struct room room = {.peer = SLAB_NONE};
    uint64_t charge;

    *known_seq = 0;
    p2p_lock(&r->writer);
    registry_lock(r);
    if ((room.peer = registry_find_signed(r, &d->id)) == SLAB_NONE) {
        result = REGISTRY_UNKNOWN;
        goto out;
    }
    *known_seq = registry_seq_that_counts(peer_at(r, room.peer)->seq);
    if (peer_at(r, room.peer)->seq != d->base || d->seq <= *known_seq) {
        result = REGISTRY_STALE;
        goto out;
    }
    if (peer_at(r, room.peer)->count + d->n_add > P2P_REGISTER_FILES_MAX) {
        result = REGISTRY_FULL;
        goto out;
    }
    now = malloc((peer_at(r, room.peer)->count + d->n_add + 1u) * sizeof(*now));
    if (now == NULL)
        goto out;
    room.start_bytes = registry_bytes(r);
    result = build_list(r, d, now, &count, &charge, &room);
    if (result == REGISTRY_OK) {
        take_delta(r, room.peer, d, now, count, charge);
        now = NULL;
    }
out:
    registry_unlock(r);
    p2p_unlock(&r->writer);
    free(now);
    announce_evicted(r, &room.evicted);
    if (result == REGISTRY_OK)
        registry_announce(r, &d->id, false);
    return result;
}
