/*
 * Changes. Each is a series of short holds of the lock: readers may see a peer with a
 * part of its new list, never a broken one. `writer` keeps two changes apart.
 */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "discovery/index/fold.h"
#include "discovery/registry/registry_internal.h"
#include "p2p/limits.h"
#include "p2p/net.h"

/* ---- addresses ---- */

static void
parse_ip(const char *text, uint8_t out[16])
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

    memcpy(out, mapped, sizeof(mapped));
    if (inet_pton(AF_INET, text, out + 12) != 1)
        inet_pton(AF_INET6, text, out);
}

static bool
is_loopback(const uint8_t ip[16])
{
    const struct in6_addr *v6 = (const void *)ip;

    return IN6_IS_ADDR_LOOPBACK(v6) || (IN6_IS_ADDR_V4MAPPED(v6) && ip[12] == 127);
}

/*
 * Whose peers are counted together. Not where they are listed: anybody may give any
 * address, and would use up the room of its owner. False: nobody's, as of a peer that
 * another registry has counted, or of this machine.
 */
static bool
counts_for(const struct record *rec, uint8_t from[16])
{
    if (rec->from[0] == '\0')
        return false;
    parse_ip(rec->from, from);
    if (is_loopback(from))
        return false;
    if (!IN6_IS_ADDR_V4MAPPED((const struct in6_addr *)(const void *)from))
        memset(from + 8, 0, 8);
    return true;
}

static bool
has_room(const struct registry *r, const uint8_t from[16])
{
    uint32_t at = table_chain(&r->by_ip, table_hash(from, 16)), n = 0;

    if (r->opt.max_peers_per_ip == 0)
        return true;
    for (; at != SLAB_NONE && n < r->opt.max_peers_per_ip;
         at = peer_at(r, at)->next_of_ip)
        n += memcmp(peer_at(r, at)->from, from, 16) == 0;
    return n < r->opt.max_peers_per_ip;
}

void
registry_set_from(struct registry *r, uint32_t at, const uint8_t from[16])
{
    struct peer *p = peer_at(r, at);

    if (p->is_counted)
        table_remove(&r->by_ip, at);
    p->is_counted = from != NULL;
    if (from == NULL)
        return;
    memcpy(p->from, from, 16);
    table_insert(&r->by_ip, at);
}

/* ---- lists of files ---- */

static int
compare_numbers(const void *a, const void *b)
{
    const uint32_t *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

/* Posts every entry; `files` gets their numbers, ascending. Holds the lock on return.
 */
static enum registry_result
post_all(struct registry *r, uint32_t peer, const struct p2p_reg_entry *entries,
         uint32_t count, bool has_content, uint32_t *files, uint32_t *posted)
{
    for (*posted = 0; *posted < count; (*posted)++) {
        uint32_t file =
            catalogue_file_of(&r->catalogue, &entries[*posted], has_content);

        if (file == SLAB_NONE || catalogue_post(&r->catalogue, file, peer) != P2P_OK)
            return REGISTRY_NOMEM;
        files[*posted] = file;
        registry_breathe(r, *posted);
    }
    qsort(files, count, sizeof(*files), compare_numbers);
    return REGISTRY_OK;
}

/* Takes away the postings of `old` that `now` does not have; both ascending. */
static void
unpost_missing(struct registry *r, uint32_t peer, const uint32_t *old, uint32_t n_old,
               const uint32_t *now, uint32_t n_now)
{
    uint32_t k = 0;

    for (uint32_t i = 0; i < n_old; i++) {
        while (k < n_now && now[k] < old[i])
            k++;
        if (k < n_now && now[k] == old[i])
            continue;
        catalogue_unpost(&r->catalogue, old[i], peer);
        registry_breathe(r, i);
    }
}

void
registry_swap_files(struct registry *r, uint32_t at, uint32_t *files, uint32_t count)
{
    struct peer *p = peer_at(r, at);
    uint32_t *old = p->files, n_old = p->count;

    p->files = files;
    p->count = count;
    unpost_missing(r, at, old, n_old, files, count);
    free(old);
}

/* ---- put ---- */

uint32_t
registry_new_peer(struct registry *r, const struct p2p_id *id)
{
    uint32_t at = slab_take(&r->peers);

    if (at == SLAB_NONE)
        return at;
    peer_at(r, at)->id = *id;
    peer_at(r, at)->is_used = true;
    table_insert(&r->by_id, at);
    return at;
}

/* A hash of all that a signed record says; 0 without memory. */
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

/* Several registries that share a store are told the same by a peer that registers with
 * all. */
static bool
is_repeated(const struct peer *p, const struct record *rec, uint64_t tag)
{
    return p->is_live && p->key != NULL && p->seq == rec->seq && p->tag == tag &&
           tag != 0;
}

/* Above the one it replaces, so that a clock that is behind loses nothing. */
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

static enum registry_result
check_put(const struct registry *r, uint32_t at, const struct record *rec, uint64_t tag,
          uint64_t *known_seq)
{
    const struct peer *p = at != SLAB_NONE ? peer_at(r, at) : NULL;
    enum registry_result result;
    uint8_t from[16];

    *known_seq = p != NULL ? p->seq : 0;
    if (p != NULL && p->is_live && p->key != NULL && !rec->is_signed)
        return REGISTRY_SIGNED;
    if (p != NULL && p->is_live && !rec->is_signed &&
        (result = check_stamp(p, rec)) != REGISTRY_OK)
        return result;
    if (p != NULL && rec->is_signed && p->seq >= rec->seq)
        return is_repeated(p, rec, tag) ? REGISTRY_REPEATED : REGISTRY_STALE;
    if (!counts_for(rec, from) ||
        (p != NULL && p->is_counted && memcmp(p->from, from, 16) == 0))
        return REGISTRY_OK;
    return has_room(r, from) ? REGISTRY_OK : REGISTRY_CROWDED;
}

/* Everything but the files; the record was checked. `key` is taken. */
static void
take_facts(struct registry *r, uint32_t at, const struct record *rec,
           struct p2p_spki *key, uint64_t heard_ms)
{
    struct peer *p = peer_at(r, at);
    uint8_t from[16];

    r->live += !p->is_live;
    r->live_signed += rec->is_signed;
    r->live_signed -= p->is_live && p->key != NULL;
    registry_set_from(r, at, counts_for(rec, from) ? from : NULL);
    parse_ip(rec->ip, p->ip);
    free(p->key);
    p->key = key;
    p->port = rec->port;
    p->protocols = rec->protocols;
    p->has_content = rec->has_content;
    p->is_live = true;
    p->stamp = rec->is_signed || rec->stamp != 0 ? rec->stamp : next_stamp(r, p);
    p->expires_at_s = rec->is_signed ? rec->expires_at_s : 0;
    if (rec->is_signed) {
        p->seq = rec->seq;
        if (rec->expires_at_s > p->seq_until_s)
            p->seq_until_s = rec->expires_at_s;
    }
    atomic_store(&p->heard_ms, heard_ms != 0 ? heard_ms : p2p_now_ms());
}

enum registry_result
registry_put(struct registry *r, const struct record *rec, uint64_t heard_ms,
             uint64_t *known_seq)
{
    uint32_t *files = malloc((rec->count + 1u) * sizeof(*files));
    struct p2p_spki *key = rec->is_signed ? malloc(sizeof(*key)) : NULL;
    enum registry_result result = REGISTRY_NOMEM;
    uint32_t at, posted = 0;
    uint64_t tag = tag_of(rec);

    *known_seq = 0;
    pthread_mutex_lock(&r->writer);
    registry_lock(r);
    if (files == NULL || (rec->is_signed && key == NULL))
        goto out;
    at = registry_find(r, &rec->id);
    if ((result = check_put(r, at, rec, tag, known_seq)) != REGISTRY_OK)
        goto out;
    if (at == SLAB_NONE && (at = registry_new_peer(r, &rec->id)) == SLAB_NONE) {
        result = REGISTRY_FULL;
        goto out;
    }
    if (key != NULL)
        *key = rec->key;
    take_facts(r, at, rec, key, heard_ms);
    peer_at(r, at)->tag = tag;
    key = NULL;
    result =
        post_all(r, at, rec->entries, rec->count, rec->has_content, files, &posted);
    /* Out of memory: what could be posted is kept as the list, nothing dangles. */
    if (result != REGISTRY_OK)
        qsort(files, posted, sizeof(*files), compare_numbers);
    registry_swap_files(r, at, files, posted);
    files = NULL;
out:
    registry_unlock(r);
    pthread_mutex_unlock(&r->writer);
    free(files);
    free(key);
    if (result == REGISTRY_OK)
        registry_announce(r, &rec->id, false);
    else if (result == REGISTRY_REPEATED && registry_heartbeat(r, &rec->id, heard_ms))
        result = REGISTRY_OK;
    return result;
}

/* ---- delta ---- */

uint32_t
registry_find_signed(const struct registry *r, const struct p2p_id *id)
{
    uint32_t at = registry_find(r, id);

    if (at == SLAB_NONE || !peer_at(r, at)->is_live || peer_at(r, at)->key == NULL)
        return SLAB_NONE;
    return at;
}

/* Whether the name of a file is among `remove` or the names of `add`. */
static bool
is_replaced(const struct registry *r, uint32_t file, const struct registry_delta *d)
{
    uint32_t name = catalogue_file(&r->catalogue, file)->name;
    const char *spelling = fold_spelling(catalogue_name(&r->catalogue, name)->text);
    struct p2p_text text = {spelling, strlen(spelling)};
    struct p2p_reg_entry entry = {.name = text};

    return bsearch(&text, d->remove, d->n_remove, sizeof(text), record_compare_texts) ||
           bsearch(&entry, d->add, d->n_add, sizeof(entry), record_compare_entries);
}

/* The old list without what goes, then what comes; `now` has room for both. */
static enum registry_result
build_list(struct registry *r, uint32_t at, const struct registry_delta *d,
           uint32_t *now, uint32_t *count)
{
    struct peer *p = peer_at(r, at);
    enum registry_result result;
    uint32_t kept = 0, posted;

    for (uint32_t i = 0; i < p->count; i++) {
        if (!is_replaced(r, p->files[i], d))
            now[kept++] = p->files[i];
        registry_breathe(r, i);
    }
    result = post_all(r, at, d->add, d->n_add, true, now + kept, &posted);
    *count = kept + posted;
    qsort(now, *count, sizeof(*now), compare_numbers);
    return result;
}

enum registry_result
registry_apply_delta(struct registry *r, const struct registry_delta *d,
                     uint64_t *known_seq)
{
    enum registry_result result = REGISTRY_NOMEM;
    uint32_t *now = NULL, count = 0, at;

    *known_seq = 0;
    pthread_mutex_lock(&r->writer);
    registry_lock(r);
    if ((at = registry_find_signed(r, &d->id)) == SLAB_NONE) {
        result = REGISTRY_UNKNOWN;
        goto out;
    }
    *known_seq = peer_at(r, at)->seq;
    if (*known_seq != d->base || d->seq <= *known_seq) {
        result = REGISTRY_STALE;
        goto out;
    }
    if (peer_at(r, at)->count + d->n_add > P2P_REGISTER_FILES_MAX) {
        result = REGISTRY_FULL;
        goto out;
    }
    now = malloc((peer_at(r, at)->count + d->n_add + 1u) * sizeof(*now));
    if (now == NULL)
        goto out;
    result = build_list(r, at, d, now, &count);
    if (result == REGISTRY_OK)
        peer_at(r, at)->seq = d->seq;
    peer_at(r, at)->tag = 0;
    atomic_store(&peer_at(r, at)->heard_ms, p2p_now_ms());
    registry_swap_files(r, at, now, count);
    now = NULL;
out:
    registry_unlock(r);
    pthread_mutex_unlock(&r->writer);
    free(now);
    if (result == REGISTRY_OK)
        registry_announce(r, &d->id, false);
    return result;
}
