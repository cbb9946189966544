#include "ui/peers/peers.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "p2p/ask.h"
#include "p2p/bytes.h"
#include "p2p/contents.h"
#include "p2p/lock.h"
#include "p2p/log.h"
#include "p2p/net.h"
#include "p2p/rank.h"
#include "ui/peers/peers_internal.h"
#include "ui/state/watch.h"

#define FRESH_MS 2000

struct ui_peer *
ui_peers_find(struct ui_peers *p, const struct p2p_id *id)
{
    for (size_t i = 0; i < p->count; i++)
        if (p2p_id_equal(&p->list[i].id, id))
            return &p->list[i];
    return NULL;
}

/* ---- life ---- */

struct ui_peers *
ui_peers_new(const struct ui_peers_parts *parts)
{
    struct ui_peers *p = calloc(1, sizeof(*p));

    if (p == NULL)
        return NULL;
    p->parts = *parts;
    p2p_mutex_init(&p->lock);
    p2p_mutex_init(&p->looking);
    ui_neighbors_load(p);
    return p;
}

void
ui_peers_use_jobs(struct ui_peers *p, struct ui_jobs *jobs)
{
    p->jobs = jobs;
}

void
ui_peers_stop(struct ui_peers *p)
{
    if (p != NULL)
        p->is_stopping = true;
}

void
ui_peers_free(struct ui_peers *p)
{
    if (p == NULL)
        return;
    p2p_mutex_unshared(&p->lock);
    ui_peers_clear_list(p->list, p->count);
    ui_peers_clear_list(p->neighbors, p->neighbor_count);
    p2p_mutex_clear(&p->looking);
    p2p_mutex_clear(&p->lock);
    free(p);
}

void
ui_peers_said(struct ui_peers *p, const struct p2p_id *id, struct p2p_about *out)
{
    const struct ui_peer *peer;

    *out = (struct p2p_about){.kind = P2P_ABOUT_UNKNOWN};
    p2p_lock(&p->lock);
    if ((peer = ui_peers_find(p, id)) != NULL)
        *out = peer->about;
    p2p_unlock(&p->lock);
}

/* ---- a new snapshot ---- */

struct snapshot {
    struct ui_peer *list;
    size_t count, cap;
};

static bool
knows(const struct snapshot *s, const struct p2p_id *id)
{
    for (size_t i = 0; i < s->count; i++)
        if (p2p_id_equal(&s->list[i].id, id))
            return true;
    return false;
}

/* Takes the names over. */
static void
add_registered(struct snapshot *s, struct p2p_peer_info *info)
{
    s->list[s->count++] = (struct ui_peer){.id = info->id,
                                           .addr = info->addr,
                                           .about = info->about,
                                           .verified = info->verified,
                                           .last_seen_s = info->last_seen_s,
                                           .found_by = UI_BY_REGISTRY,
                                           .files = info->files,
                                           .file_count = info->file_count,
                                           .files_total = info->files_total};
    info->files = NULL;
    info->file_count = 0;
}

/* Under the lock. Registries come first, because their addresses are the most recent.
 */
static void
add_neighbours(struct ui_peers *p, struct snapshot *s) P2P_REQUIRES(ui_peers_lock)
{
    for (size_t i = 0; i < p->neighbor_count; i++)
        if (!knows(s, &p->neighbors[i].id) &&
            ui_peer_copy(&s->list[s->count], &p->neighbors[i]))
            s->count++;
}

static bool
is_met(struct ui_peers *p, const struct ui_peer *peer)
{
    struct p2p_known_peer known;

    return peer->found_by == UI_BY_HAND ||
           p2p_id_equal(&peer->id, p2p_identity_id(p->parts.identity)) ||
           (p2p_known_find(p->parts.identity, &peer->id, &known) == P2P_OK &&
            known.trust != P2P_TRUST_PENDING);
}

/* Puts known peers first, so that unknown ones do not push them off the first page or
 * out of the list. */
static void
put_met_first(struct ui_peers *p, struct snapshot *s)
{
    struct ui_peer *ordered = calloc(s->count + 1, sizeof(*ordered));
    size_t count = 0;

    if (ordered == NULL)
        return;
    for (size_t i = 0; i < s->count; i++)
        s->list[i].is_met = is_met(p, &s->list[i]);
    for (int strangers = 0; strangers < 2; strangers++)
        for (size_t i = 0; i < s->count; i++)
            if (s->list[i].is_met == !strangers)
                ordered[count++] = s->list[i];
    while (count > UI_PEERS_MAX)
        ui_peer_clear(&ordered[--count]);
    free(s->list);
    s->list = ordered;
    s->count = count;
}

static bool
is_same_peer(const struct ui_peer *a, const struct ui_peer *b)
{
    return p2p_id_equal(&a->id, &b->id) && a->files_total == b->files_total &&
           a->verified == b->verified && a->found_by == b->found_by &&
           strcmp(a->about.name, b->about.name) == 0 &&
           p2p_addr_equal(&a->addr, &b->addr);
}

/* Under the lock: replaces the snapshot; true if it differs from the one before. */
static bool
replace(struct ui_peers *p, struct snapshot *s) P2P_REQUIRES(ui_peers_lock)
{
    bool differs = s->count != p->count;

    for (size_t i = 0; i < s->count && !differs; i++)
        differs = !is_same_peer(&s->list[i], &p->list[i]);
    ui_peers_clear_list(p->list, p->count);
    p->list = s->list;
    p->count = s->count;
    p->made_ms = p2p_now_ms();
    return differs;
}

/* Asks the registries and builds the list again; one thread at a time (p->looking). */
static bool
look(struct ui_peers *p)
{
    struct p2p_peer_list found = {0};
    struct snapshot s = {0};
    bool differs = false;
    uint64_t asked_ms = p2p_now_ms();
    enum p2p_err err = p2p_discovery_peers(p->parts.discovery, &found);

    p2p_lock(&p->lock);
    p->took_ms = p2p_now_ms() - asked_ms;
    differs = p->is_reachable != (err == P2P_OK);
    p->is_reachable = err == P2P_OK;
    s.list = calloc(found.count + p->neighbor_count + 1, sizeof(*s.list));
    for (size_t i = 0; i < found.count && s.list != NULL; i++)
        add_registered(&s, &found.at[i]);
    if (s.list != NULL) {
        add_neighbours(p, &s);
        put_met_first(p, &s);
        differs |= replace(p, &s);
    }
    p2p_unlock(&p->lock);
    p2p_peer_list_clear(&found);
    return differs;
}

/* A registry that hangs is asked less often, because every caller waits while it hangs.
 */
static bool
is_fresh(struct ui_peers *p)
{
    bool fresh;

    p2p_lock(&p->lock);
    fresh =
        p->made_ms != 0 && p2p_now_ms() - p->made_ms <
                               (p->is_reachable ? FRESH_MS : FRESH_MS + 2 * p->took_ms);
    p2p_unlock(&p->lock);
    return fresh;
}

/* The registries were silent, and another thread is asking them again: waiting for it
 * would be useless. */
static bool
was_silent(struct ui_peers *p)
{
    bool silent;

    p2p_lock(&p->lock);
    silent = p->made_ms != 0 && !p->is_reachable;
    p2p_unlock(&p->lock);
    return silent;
}

void
ui_peers_refresh(struct ui_peers *p)
{
    if (!p2p_try_lock(&p->looking)) {
        if (was_silent(p))
            return;
        p2p_lock(&p->looking);
    }
    if (!is_fresh(p)) {
        ui_neighbors_look(p);
        look(p);
    }
    p2p_unlock(&p->looking);
}

bool
ui_peers_look(struct ui_peers *p)
{
    bool differs;

    p2p_lock(&p->looking);
    ui_neighbors_look(p);
    differs = look(p);
    p2p_unlock(&p->looking);
    return differs;
}

enum p2p_err
ui_peers_add(struct ui_peers *p, const struct p2p_addr *addr, struct p2p_id *id)
{
    enum p2p_err err = ui_neighbors_add(p, addr, id);

    if (err != P2P_OK)
        return err;
    ui_peers_look(p);
    ui_watch_report(p->parts.watch, UI_NEWS_PEERS);
    return P2P_OK;
}

/* ---- questions ---- */

size_t
ui_peers_count(struct ui_peers *p)
{
    size_t count;

    p2p_lock(&p->lock);
    count = p->count;
    p2p_unlock(&p->lock);
    return count;
}

bool
ui_peers_is_old(struct ui_peers *p)
{
    bool old;

    p2p_lock(&p->lock);
    old = p2p_now_ms() - p->made_ms > 10000;
    p2p_unlock(&p->lock);
    return old;
}

bool
ui_peers_own(struct ui_peers *p, uint16_t *port)
{
    const struct ui_peer *own;

    p2p_lock(&p->lock);
    own = ui_peers_find(p, p2p_identity_id(p->parts.identity));
    if (own != NULL && own->found_by != UI_BY_REGISTRY)
        own = NULL;
    if (own != NULL)
        *port = own->addr.port;
    p2p_unlock(&p->lock);
    return own != NULL;
}

enum p2p_err
ui_peers_locate(struct ui_peers *p, const struct p2p_id *id, struct p2p_addr *out)
{
    struct p2p_known_peer known;
    const struct ui_peer *peer;

    p2p_lock(&p->lock);
    if ((peer = ui_peers_find(p, id)) != NULL)
        *out = peer->addr;
    p2p_unlock(&p->lock);
    if (peer != NULL)
        return P2P_OK;
    if (p2p_known_find(p->parts.identity, id, &known) != P2P_OK ||
        p2p_addr_parse(known.addresses[0], 0, out) != P2P_OK)
        return P2P_ERR_NOT_FOUND;
    return P2P_OK;
}

/* The documented lists show "0123456789abcdef...": if two peers have the same 16
 * digits, neither is found. */
static size_t
resolve_short(struct ui_peers *p, const char *text, struct p2p_id *out)
    P2P_REQUIRES(ui_peers_lock)
{
    uint8_t prefix[8];
    char digits[17];
    size_t matches = 0;

    snprintf(digits, sizeof(digits), "%.16s", text);
    if (strcmp(text + 16, "...") != 0 ||
        p2p_hex_parse(digits, prefix, sizeof(prefix)) != P2P_OK)
        return 0;
    for (size_t i = 0; i < p->count; i++)
        if (memcmp(p->list[i].id.b, prefix, sizeof(prefix)) == 0) {
            *out = p->list[i].id;
            matches++;
        }
    return matches;
}

enum p2p_err
ui_peers_resolve(struct ui_peers *p, const char *text, struct p2p_id *out)
{
    size_t matches;

    if (strlen(text) == P2P_ID_HEX_LEN)
        return p2p_hex_parse(text, out->b, sizeof(out->b));
    if (strlen(text) != 19)
        return P2P_ERR_MALFORMED;
    p2p_lock(&p->lock);
    matches = resolve_short(p, text, out);
    p2p_unlock(&p->lock);
    return matches == 1 ? P2P_OK : P2P_ERR_NOT_FOUND;
}

bool
ui_peers_is_blocked(struct ui_peers *p, const struct ui_source *source)
{
    struct p2p_known_peer known;

    return source->id_known &&
           p2p_known_find(p->parts.identity, &source->id, &known) == P2P_OK &&
           known.trust == P2P_TRUST_BLOCKED;
}

static bool
fits(const struct ui_file_filter *f, const char *name, const struct ui_content *content)
{
    return (f->name == NULL || strcmp(name, f->name) == 0) &&
           (f->part == NULL || strcasestr(name, f->part) != NULL) &&
           (f->root == NULL || (content != NULL && memcmp(&content->root, f->root,
                                                          sizeof(content->root)) == 0));
}

void
ui_peers_each_neighbor_file(struct ui_peers *p, const struct ui_file_filter *filter,
                            ui_file_visit *visit, void *arg)
{
    p2p_lock(&p->lock);
    for (size_t i = 0; i < p->count; i++) {
        const struct ui_peer *peer = &p->list[i];
        if (peer->found_by == UI_BY_REGISTRY)
            continue;
        for (size_t k = 0; k < peer->file_count; k++) {
            const struct ui_content *content =
                peer->contents != NULL ? &peer->contents[k] : NULL;
            if (fits(filter, peer->files[k], content))
                visit(arg, peer, peer->files[k], content);
        }
    }
    p2p_unlock(&p->lock);
}

/* ---- sources of a file ---- */

struct collector {
    struct ui_peers *p;
    struct ui_source *at;
    struct p2p_ranked *ranked;
    size_t count, cap;
};

static bool
make_room(struct collector *c)
{
    size_t cap = c->cap > 0 ? c->cap * 2 : 64;
    void *at = realloc(c->at, cap * sizeof(*c->at)), *ranked;

    if (at == NULL)
        return false;
    c->at = at;
    ranked = realloc(c->ranked, cap * sizeof(*c->ranked));
    if (ranked == NULL)
        return false;
    c->ranked = ranked;
    c->cap = cap;
    return true;
}

static void
collect(struct collector *c, const struct p2p_id *id, const struct p2p_addr *addr)
{
    enum p2p_rank rank = p2p_rank_of(c->p->parts.identity, id);

    if (p2p_id_equal(id, p2p_identity_id(c->p->parts.identity)) ||
        rank == P2P_RANK_BLOCKED || (c->count == c->cap && !make_room(c)))
        return;
    c->ranked[c->count] =
        (struct p2p_ranked){.rank = rank, .turn = c->count, .index = c->count};
    c->at[c->count++] = (struct ui_source){.addr = *addr, .id = *id, .id_known = true};
}

/* A peer may have one content under several names, and a registry may list it, too. */
static void
collect_neighbour(void *arg, const struct ui_peer *peer, const char *name,
                  const struct ui_content *content)
{
    struct collector *c = arg;

    (void)name, (void)content;
    for (size_t i = 0; i < c->count; i++)
        if (p2p_id_equal(&c->at[i].id, &peer->id))
            return;
    collect(c, &peer->id, &peer->addr);
}

/* Adds known peers that are not listed, because a registry may leave them out. */
static void
collect_known(struct collector *c, const struct p2p_digest *root)
{
    const struct p2p_ask ask = {.root = root, .timeout_ms = c->p->parts.timeout_ms};
    struct p2p_search_results said = {.at = NULL};
    struct p2p_search_result listed = {.root = *root, .root_known = true};

    for (size_t i = 0; i < c->count; i++)
        if (c->ranked[i].rank <= P2P_RANK_MET)
            (void)p2p_results_add(&said, &listed,
                                  &(struct p2p_peer_info){.id = c->at[i].id});
    if (p2p_ask_known(c->p->parts.identity, &ask, &said) != P2P_OK)
        p2p_log_warn("out of memory: cannot ask known peers for a file");
    for (size_t i = 0; i < said.count; i++)
        for (size_t k = 0; k < said.at[i].peers.count; k++) {
            const struct p2p_peer_info *peer = &said.at[i].peers.at[k];
            if (peer->addr.host[0] != '\0') /* not one of those above */
                collect(c, &peer->id, &peer->addr);
        }
    p2p_search_results_clear(&said);
}

size_t
ui_peers_find_sources(struct ui_peers *p, const char *name,
                      const struct p2p_digest *root, struct ui_source *out, size_t max)
{
    struct collector c = {.p = p};
    struct p2p_peer_list found = {0};
    enum p2p_err err = P2P_ERR_NOT_FOUND;
    size_t count;

    if (root != NULL)
        err = p2p_discovery_find_root(p->parts.discovery, root, &found);
    if (err != P2P_OK ||
        found.count == 0) { /* roots are not signed: uses the name then */
        p2p_peer_list_clear(&found);
        err = p2p_discovery_find(p->parts.discovery, name, &found);
    }
    for (size_t i = 0; i < found.count && err == P2P_OK; i++)
        collect(&c, &found.at[i].id, &found.at[i].addr);
    p2p_peer_list_clear(&found);
    ui_peers_each_neighbor_file(
        p, &(struct ui_file_filter){.name = root == NULL ? name : NULL, .root = root},
        collect_neighbour, &c);
    if (root != NULL)
        collect_known(&c, root);
    p2p_rank_sort(c.ranked, c.count);
    count = c.count < max ? c.count : max;
    for (size_t i = 0; i < count; i++)
        out[i] = c.at[c.ranked[i].index];
    free(c.at);
    free(c.ranked);
    return count;
}
