/* Asks trusted and met peers directly, with one thread per address. */
#include "p2p/ask.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "p2p/conn.h"
#include "p2p/contents.h"
#include "p2p/lock.h"
#include "p2p/log.h"
#include "p2p/mdns.h"

/* One answer takes milliseconds. A peer that is off must not hold up the person. */
enum { TRUSTED_MS = 2000, MET_MS = 1000, LIST_MS = 3000 };
enum { BROWSE_MS = 1000, NEIGHBORS_MAX = 256, TARGETS_MAX = 64, HINTS_MAX = 6 };

struct asked {
    struct p2p_id id;
    enum p2p_rank rank;
    atomic_bool is_reached; /* one address is enough */
    bool has_answered;
    struct p2p_addr at[P2P_PEER_ADDRESSES_MAX + HINTS_MAX];
    size_t count;
};

P2P_MUTEX_KIND(asking_lock);
struct asking {
    struct p2p_identity *identity;
    const struct p2p_ask *ask;
    struct asked peers[P2P_ASK_PEERS_MAX];
    size_t count;
    struct asking_lock lock;
    struct p2p_search_results *results P2P_GUARDED_BY(asking_lock);
    size_t added P2P_GUARDED_BY(asking_lock);
};

/* One address of one of them. */
struct target {
    struct asking *asking;
    struct asked *peer;
    struct p2p_addr addr;
    pthread_t thread;
};

/* ---- whom ---- */

static bool
is_listed(const struct p2p_search_results *results, const struct p2p_id *id)
{
    for (size_t i = 0; i < results->count; i++)
        for (size_t k = 0; k < results->at[i].peers.count; k++)
            if (p2p_id_equal(&results->at[i].peers.at[k].id, id))
                return true;
    return false;
}

static void
add_address(struct asked *peer, const struct p2p_addr *addr)
{
    for (size_t i = 0; i < peer->count; i++)
        if (p2p_addr_equal(&peer->at[i], addr))
            return;
    if (peer->count < sizeof(peer->at) / sizeof(peer->at[0]))
        peer->at[peer->count++] = *addr;
}

/* Its addresses in the results. */
static void
add_hints(struct asked *peer, const struct p2p_search_results *results)
{
    size_t most = peer->count + HINTS_MAX;

    for (size_t i = 0; i < results->count; i++)
        for (size_t k = 0; k < results->at[i].peers.count && peer->count < most; k++) {
            const struct p2p_peer_info *said = &results->at[i].peers.at[k];
            struct p2p_addr others[P2P_PEER_OTHERS_MAX];
            size_t count;

            if (!p2p_id_equal(&said->id, &peer->id))
                continue;
            add_address(peer, &said->addr);
            count = p2p_addr_list_read(said->others, others, P2P_PEER_OTHERS_MAX);
            for (size_t n = 0; n < count && peer->count < most; n++)
                add_address(peer, &others[n]);
        }
}

static int
compare_known(const void *a, const void *b)
{
    const struct p2p_known_peer *x = a, *y = b;

    return memcmp(x->id.b, y->id.b, sizeof(x->id.b));
}

/* Which of the known ones, sorted, are listed. There may be very many listed ones. */
static void
mark_listed(const struct p2p_known_peer *known, size_t count,
            const struct p2p_search_results *results, bool *listed)
{
    for (size_t i = 0; i < results->count; i++)
        for (size_t k = 0; k < results->at[i].peers.count; k++) {
            const struct p2p_known_peer like = {.id = results->at[i].peers.at[k].id};
            const struct p2p_known_peer *found =
                bsearch(&like, known, count, sizeof(*known), compare_known);
            if (found != NULL)
                listed[found - known] = true;
        }
}

/* The best ranked ones; of one rank those that are listed, then the last met. */
static size_t
rank_known(struct asking *a, const struct p2p_known_peer *known, size_t count,
           const bool *listed, struct p2p_ranked *ranked)
{
    size_t kept = 0;

    for (size_t i = 0; i < count; i++) {
        enum p2p_rank rank = p2p_rank_of(a->identity, &known[i].id);
        bool is_said = listed[i];
        if (rank > (a->ask->only_trusted ? P2P_RANK_TRUSTED : P2P_RANK_MET) ||
            (a->ask->root != NULL && is_said))
            continue;
        ranked[kept++] = (struct p2p_ranked){.rank = rank,
                                             .turn = !is_said,
                                             .order = UINT64_MAX - known[i].last_seen_s,
                                             .index = i};
    }
    p2p_rank_sort(ranked, kept);
    return kept;
}

static enum p2p_err
choose_peers(struct asking *a, const struct p2p_search_results *results)
{
    struct p2p_known_peer *known = NULL;
    struct p2p_ranked *ranked = NULL;
    bool *listed = NULL;
    size_t count = 0;
    enum p2p_err err = p2p_known_list(a->identity, &known, &count);

    if (err == P2P_OK && ((ranked = calloc(count + 1, sizeof(*ranked))) == NULL ||
                          (listed = calloc(count + 1, sizeof(*listed))) == NULL))
        err = P2P_ERR_NOMEM;
    if (err == P2P_OK && count > 0) {
        qsort(known, count, sizeof(*known), compare_known);
        mark_listed(known, count, results, listed);
        count = rank_known(a, known, count, listed, ranked);
    }
    for (size_t i = 0; i < count && a->count < P2P_ASK_PEERS_MAX && err == P2P_OK;
         i++) {
        struct asked *peer = &a->peers[a->count++];
        peer->id = known[ranked[i].index].id;
        peer->rank = ranked[i].rank;
        peer->count = p2p_rank_remembered(a->identity, &peer->id, peer->at);
        add_hints(peer, results);
    }
    free(ranked);
    free(listed);
    free(known);
    return err;
}

static bool
is_cut(const struct p2p_ask *ask, const struct p2p_search_results *results)
{
    for (size_t i = 0; i < results->count; i++)
        if (results->at[i].is_cut && strcmp(results->at[i].name, ask->name) == 0)
            return true;
    return results->count >= P2P_SEARCH_RESULTS_MAX;
}

/* A registry shows some of the peers of a content and some of the contents of a name. A
 * crowd must not hide where a known peer is. */
static enum p2p_err
find_hidden(struct asking *a, struct p2p_search_results *results)
{
    struct p2p_search_result hearsay = {.root_known = false};
    struct p2p_peer_list all = {0};
    enum p2p_err err = P2P_OK;

    if (a->ask->discovery == NULL || a->ask->name == NULL || !is_cut(a->ask, results) ||
        p2p_discovery_find(a->ask->discovery, a->ask->name, &all) != P2P_OK)
        return P2P_OK;
    memcpy(hearsay.name, a->ask->name, strlen(a->ask->name) + 1);
    for (size_t i = 0; i < all.count && err == P2P_OK; i++)
        if (p2p_rank_of(a->identity, &all.at[i].id) <= P2P_RANK_MET &&
            !is_listed(results, &all.at[i].id) &&
            !p2p_results_add(results, &hearsay, &all.at[i]))
            err = P2P_ERR_NOMEM;
    p2p_peer_list_clear(&all);
    return err;
}

/* ---- asking ---- */

static void
take(struct asking *a, const struct p2p_search_result *said,
     const struct p2p_peer_info *from)
{
    p2p_lock(&a->lock);
    if (a->added < P2P_ASK_RESULTS_MAX && p2p_results_add(a->results, said, from))
        a->added++;
    p2p_unlock(&a->lock);
}

static void
take_meta(struct asking *a, const struct p2p_meta *meta, const char *name,
          const struct p2p_peer_info *from)
{
    struct p2p_search_result said = {.size = meta->geometry.size,
                                     .root = meta->root,
                                     .root_known = meta->root_known,
                                     .sha256 = meta->sha256,
                                     .sha256_known = meta->sha256_known};

    memcpy(said.name, name, strlen(name) + 1);
    take(a, &said, from);
}

struct listing {
    struct asking *asking;
    const struct p2p_peer_info *from;
};

static enum p2p_err
visit_file(void *arg, const char *name, const struct p2p_list_entry *entry)
{
    struct listing *listing = arg;
    struct p2p_search_result said = {
        .size = entry->size, .root = entry->root, .root_known = true};

    if (strcasestr(name, listing->asking->ask->text) == NULL)
        return P2P_OK;
    memcpy(said.name, name, strlen(name) + 1);
    take(listing->asking, &said, listing->from);
    return P2P_OK;
}

/* An empty folder is a result without bytes: it shows who has the folder. */
static enum p2p_err
visit_folder(void *arg, const char *name)
{
    const struct p2p_list_entry entry = {.size = 0};

    return visit_file(arg, name, &entry);
}

/* P2P_OK and NOT_FOUND are answers. */
static enum p2p_err
ask_one(struct target *t, struct p2p_conn *conn)
{
    const struct p2p_ask *ask = t->asking->ask;
    struct p2p_peer_info from = {.id = t->peer->id, .addr = t->addr};
    struct listing listing = {t->asking, &from};
    const struct p2p_list_visitor visitor = {
        .file = visit_file,
        .folder = t->asking->ask->folders ? visit_folder : NULL,
        .arg = &listing};
    struct p2p_meta meta;
    enum p2p_err err;

    if (ask->text != NULL)
        return p2p_conn_list_all(conn, p2p_now_ms() + LIST_MS, &visitor);
    err = ask->root != NULL ? p2p_conn_meta_by_root(conn, ask->root, &meta)
                            : p2p_conn_meta_by_name(conn, ask->name, &meta);
    if (err == P2P_OK)
        take_meta(t->asking, &meta, ask->root != NULL ? meta.name : ask->name, &from);
    return err;
}

static void *
run(void *arg)
{
    struct target *t = arg;
    uint64_t most = t->peer->rank == P2P_RANK_TRUSTED ? TRUSTED_MS : MET_MS;
    const struct p2p_conn_options options = {
        .identity = t->asking->identity,
        .addr = t->addr,
        .expected = &t->peer->id,
        .protocol = 2,
        .timeout_ms =
            t->asking->ask->timeout_ms < most ? t->asking->ask->timeout_ms : most,
    };
    struct p2p_conn *conn = NULL;
    enum p2p_err err = p2p_conn_open(&options, &conn);

    if (err == P2P_OK && !atomic_exchange(&t->peer->is_reached, true)) {
        err = ask_one(t, conn);
        /* Only this thread uses it now; readers wait for the end of the thread. */
        t->peer->has_answered = err == P2P_OK || err == P2P_ERR_NOT_FOUND;
    }
    p2p_conn_close(conn);
    return NULL;
}

static void
run_all(struct target *targets, size_t count)
{
    size_t started = 0;

    while (started < count &&
           pthread_create(&targets[started].thread, NULL, run, &targets[started]) == 0)
        started++;
    if (started < count)
        p2p_log_debug("cannot start a thread, so some known peers are not asked");
    for (size_t i = 0; i < started; i++)
        pthread_join(targets[i].thread, NULL);
}

/* The first address of each, then the second of each, as far as there is room. */
static void
ask_addresses(struct asking *a)
{
    struct target targets[TARGETS_MAX];
    size_t count = 0;

    for (size_t n = 0; n < P2P_PEER_ADDRESSES_MAX + HINTS_MAX; n++)
        for (size_t i = 0; i < a->count && count < TARGETS_MAX; i++)
            if (n < a->peers[i].count)
                targets[count++] = (struct target){
                    .asking = a, .peer = &a->peers[i], .addr = a->peers[i].at[n]};
    run_all(targets, count);
}

static void
ask_neighbors(struct asking *a)
{
    struct p2p_mdns_peer *found = calloc(NEIGHBORS_MAX, sizeof(*found));
    struct target targets[P2P_ASK_PEERS_MAX];
    size_t seen = 0, count = 0;

    if (found == NULL ||
        p2p_mdns_browse(BROWSE_MS, found, NEIGHBORS_MAX, &seen) != P2P_OK)
        seen = 0;
    for (size_t i = 0; i < seen; i++)
        for (size_t k = 0; k < a->count && count < P2P_ASK_PEERS_MAX; k++)
            if (p2p_id_equal(&found[i].id, &a->peers[k].id) && !a->peers[k].is_reached)
                targets[count++] = (struct target){
                    .asking = a, .peer = &a->peers[k], .addr = found[i].addr};
    run_all(targets, count);
    free(found);
}

static bool
misses_a_trusted_one(const struct asking *a)
{
    for (size_t i = 0; i < a->count; i++)
        if (a->peers[i].rank == P2P_RANK_TRUSTED && !a->peers[i].is_reached)
            return true;
    return false;
}

/* ---- what it is worth ---- */

static bool
has_answered(const struct asking *a, const struct p2p_id *id)
{
    for (size_t i = 0; i < a->count; i++)
        if (p2p_id_equal(&a->peers[i].id, id))
            return a->peers[i].has_answered;
    return false;
}

static bool
is_asked_about(const struct p2p_ask *ask, const struct p2p_search_result *r)
{
    if (ask->text != NULL)
        return strcasestr(r->name, ask->text) != NULL;
    return ask->name != NULL && strcmp(r->name, ask->name) == 0;
}

/* Handles one result from before they were asked: statements of others about peers that
 * have answered are removed, and about the other peers they are marked as unproven. */
static void
correct(const struct asking *a, struct p2p_search_result *r)
{
    size_t kept = 0;

    for (size_t i = 0; i < r->peers.count; i++) {
        struct p2p_peer_info *peer = &r->peers.at[i];
        if (!has_answered(a, &peer->id)) {
            peer->unproven = true;
            r->peers.at[kept++] = *peer;
        } else
            p2p_peer_info_clear(peer);
    }
    r->peers.count = kept;
}

/* A root has one result, with the first known name. */
static enum p2p_err
join_root(struct p2p_search_results *results, const struct p2p_search_results *said)
{
    for (size_t i = 0; i < said->count && results->count > 0; i++) {
        struct p2p_search_result *r = &results->at[0];
        const struct p2p_peer_list *peers = &said->at[i].peers;
        if (r->name[0] == '\0') {
            const struct p2p_peer_list before = r->peers;
            *r = said->at[i];
            r->peers = before;
        }
        for (size_t k = 0; k < peers->count; k++)
            (void)p2p_results_add(results, &results->at[0], &peers->at[k]);
    }
    return results->count > 0 ? P2P_OK : p2p_results_join(results, said);
}

enum p2p_err
p2p_ask_known(struct p2p_identity *identity, const struct p2p_ask *ask,
              struct p2p_search_results *results)
{
    struct asking *a = calloc(1, sizeof(*a));
    struct p2p_search_results said = {0};
    enum p2p_err err = a != NULL ? P2P_OK : P2P_ERR_NOMEM;

    if (err != P2P_OK)
        return err;
    a->identity = identity;
    a->ask = ask;
    p2p_mutex_init(&a->lock);
    a->results = &said;
    err = find_hidden(a, results);
    if (err == P2P_OK)
        err = choose_peers(a, results);
    if (err == P2P_OK && a->count > 0)
        ask_addresses(a);
    if (err == P2P_OK && ask->mdns && misses_a_trusted_one(a))
        ask_neighbors(a);
    for (size_t i = 0; i < results->count; i++)
        if (is_asked_about(ask, &results->at[i]))
            correct(a, &results->at[i]);
    if (err == P2P_OK)
        err = ask->root != NULL ? join_root(results, &said)
                                : p2p_results_join(results, &said);
    p2p_search_results_clear(&said);
    p2p_mutex_clear(&a->lock);
    free(a);
    return err;
}
