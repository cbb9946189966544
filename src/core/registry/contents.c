/* The different contents that peers share under one name, and the choice between
 * them. */
#include "p2p/contents.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/registry/contents_internal.h"

/* ---- Peers by rank ---- */

/* A statement of a registry about a peer does not count as the peer's own. */
enum p2p_rank
p2p_peer_info_rank(struct p2p_identity *identity, const struct p2p_peer_info *peer)
{
    enum p2p_rank rank = p2p_rank_of(identity, &peer->id);

    return peer->unproven && rank < P2P_RANK_NEW ? P2P_RANK_NEW : rank;
}

enum p2p_err
p2p_peers_rank(struct p2p_identity *identity, struct p2p_peer_list *list)
{
    struct p2p_ranked *ranked = calloc(list->count + 1, sizeof(*ranked));
    struct p2p_peer_info *sorted = calloc(list->count + 1, sizeof(*sorted));
    enum p2p_err err = ranked != NULL && sorted != NULL ? P2P_OK : P2P_ERR_NOMEM;

    for (size_t i = 0; i < list->count && err == P2P_OK; i++)
        ranked[i] = (struct p2p_ranked){
            .rank = p2p_peer_info_rank(identity, &list->at[i]), .turn = i, .index = i};
    if (err == P2P_OK) {
        p2p_rank_sort(ranked, list->count);
        for (size_t i = 0; i < list->count; i++)
            sorted[i] = list->at[ranked[i].index];
        if (list->count > 0)
            memcpy(list->at, sorted, list->count * sizeof(*sorted));
    }
    free(ranked);
    free(sorted);
    return err;
}

enum p2p_rank
p2p_peers_best(struct p2p_identity *identity, const struct p2p_peer_list *list)
{
    enum p2p_rank best = P2P_RANKS;

    for (size_t i = 0; i < list->count; i++) {
        enum p2p_rank rank = p2p_peer_info_rank(identity, &list->at[i]);
        if (rank < best && !p2p_id_equal(&list->at[i].id, p2p_identity_id(identity)))
            best = rank;
    }
    return best < P2P_RANKS ? best : P2P_RANK_NEW;
}

enum p2p_err
p2p_results_rank(struct p2p_identity *identity, struct p2p_search_results *results)
{
    struct p2p_ranked *ranked = calloc(results->count + 1, sizeof(*ranked));
    struct p2p_search_result *sorted = calloc(results->count + 1, sizeof(*sorted));
    enum p2p_err err = ranked != NULL && sorted != NULL ? P2P_OK : P2P_ERR_NOMEM;

    for (size_t i = 0; i < results->count && err == P2P_OK; i++) {
        ranked[i] =
            (struct p2p_ranked){.rank = p2p_peers_best(identity, &results->at[i].peers),
                                .turn = i,
                                .index = i};
        err = p2p_peers_rank(identity, &results->at[i].peers);
    }
    if (err == P2P_OK) {
        p2p_rank_sort(ranked, results->count);
        for (size_t i = 0; i < results->count; i++)
            sorted[i] = results->at[ranked[i].index];
        if (results->count > 0)
            memcpy(results->at, sorted, results->count * sizeof(*sorted));
    }
    free(ranked);
    free(sorted);
    return err;
}

/* ---- Joining results ---- */

static struct p2p_search_result *
find_result(const struct p2p_search_results *results,
            const struct p2p_search_result *like)
{
    for (size_t i = 0; i < results->count; i++) {
        struct p2p_search_result *r = &results->at[i];
        if (r->root_known == like->root_known && strcmp(r->name, like->name) == 0 &&
            (!r->root_known || (r->size == like->size &&
                                memcmp(&r->root, &like->root, sizeof(r->root)) == 0)))
            return r;
    }
    return NULL;
}

static struct p2p_search_result *
add_result(struct p2p_search_results *results, const struct p2p_search_result *like)
{
    struct p2p_search_result *grown =
        realloc(results->at, (results->count + 1) * sizeof(*grown));

    if (grown == NULL)
        return NULL;
    results->at = grown;
    grown += results->count++;
    *grown = *like;
    grown->peers = (struct p2p_peer_list){0};
    return grown;
}

bool
p2p_results_add(struct p2p_search_results *results,
                const struct p2p_search_result *said, const struct p2p_peer_info *from)
{
    struct p2p_search_result *r = find_result(results, said);
    struct p2p_peer_info *grown;

    if (r == NULL)
        r = add_result(results, said);
    for (size_t i = 0; r != NULL && i < r->peers.count; i++)
        if (p2p_id_equal(&r->peers.at[i].id, &from->id))
            return false;
    if (r == NULL ||
        (grown = realloc(r->peers.at, (r->peers.count + 1) * sizeof(*grown))) == NULL)
        return false;
    r->peers.at = grown;
    grown += r->peers.count++;
    *grown = *from;
    grown->files = NULL;
    grown->file_count = 0;
    return true;
}

enum p2p_err
p2p_results_join(struct p2p_search_results *results,
                 const struct p2p_search_results *from)
{
    for (size_t i = 0; i < from->count; i++)
        for (size_t k = 0; k < from->at[i].peers.count; k++)
            if (!p2p_results_add(results, &from->at[i], &from->at[i].peers.at[k]) &&
                find_result(results, &from->at[i]) == NULL)
                return P2P_ERR_NOMEM;
    return P2P_OK;
}

/* ---- Gathering ---- */

static struct p2p_content *
find(struct p2p_contents *contents, const struct p2p_search_result *r)
{
    for (size_t i = 0; i < contents->count; i++) {
        struct p2p_content *c = &contents->at[i];
        if (c->root_known == r->root_known &&
            (!r->root_known || memcmp(&c->root, &r->root, sizeof(r->root)) == 0))
            return c;
    }
    return NULL;
}

static struct p2p_content *
add(struct p2p_contents *contents, const struct p2p_search_result *r)
{
    struct p2p_content *grown =
        realloc(contents->at, (contents->count + 1) * sizeof(*grown));

    if (grown == NULL)
        return NULL;
    contents->at = grown;
    grown += contents->count++;
    *grown = (struct p2p_content){.root = r->root,
                                  .root_known = r->root_known,
                                  .size = r->size,
                                  .best = P2P_RANK_BLOCKED};
    return grown;
}

/* Among the first `count`. */
static bool
has_peer(const struct p2p_content *c, size_t count, const struct p2p_id *id)
{
    for (size_t i = 0; i < count; i++)
        if (p2p_id_equal(&c->peers.at[i].id, id))
            return true;
    return false;
}

enum p2p_err
p2p_content_add_peer(struct p2p_content *content, const struct p2p_peer_info *peer,
                     enum p2p_rank rank)
{
    struct p2p_peer_info *grown =
        realloc(content->peers.at, (content->peers.count + 1) * sizeof(*grown));

    if (grown == NULL)
        return P2P_ERR_NOMEM;
    content->peers.at = grown;
    grown += content->peers.count++;
    *grown = *peer;
    grown->files = NULL;
    grown->file_count = 0;
    content->ranks[rank]++;
    content->best = rank < content->best ? rank : content->best;
    return P2P_OK;
}

static enum p2p_err
add_peers(struct p2p_identity *identity, struct p2p_content *c,
          const struct p2p_peer_list *from)
{
    size_t before = c->peers.count; /* each list has a peer once, but two lists may have
                                     * the same peer */
    enum p2p_err err = P2P_OK;

    for (size_t i = 0; i < from->count && err == P2P_OK; i++) {
        const struct p2p_peer_info *peer = &from->at[i];
        enum p2p_rank rank = p2p_peer_info_rank(identity, peer);
        if (rank == P2P_RANK_NEW && c->ranks[rank] >= P2P_CONTENT_STRANGERS_MAX)
            continue;
        if (!p2p_id_equal(&peer->id, p2p_identity_id(identity)) &&
            rank != P2P_RANK_BLOCKED && !has_peer(c, before, &peer->id))
            err = p2p_content_add_peer(c, peer, rank);
    }
    return err;
}

/* The random order of a content: from its root, or from its first peer if it has no
 * root. */
static uint64_t
order_of(const struct p2p_content *c)
{
    return c->root_known
               ? p2p_rank_order(&c->root, sizeof(c->root))
               : p2p_rank_order(&c->peers.at[0].id, sizeof(c->peers.at[0].id));
}

/* Best first. Among equals the order is random; the number of peers does not count. */
static int
compare(const void *a, const void *b)
{
    const struct p2p_content *x = a, *y = b;

    if (x->root_known != y->root_known)
        return x->root_known ? -1 : 1;
    const struct p2p_ranked of_x = {.rank = x->best, .order = order_of(x)};
    const struct p2p_ranked of_y = {.rank = y->best, .order = order_of(y)};
    return p2p_rank_compare(&of_x, &of_y);
}

enum p2p_err
p2p_contents_sort(struct p2p_identity *identity, struct p2p_contents *contents)
{
    enum p2p_err err = P2P_OK;

    for (size_t i = 0; i < contents->count && err == P2P_OK; i++)
        err = p2p_peers_rank(identity, &contents->at[i].peers);
    if (contents->count > 1)
        qsort(contents->at, contents->count, sizeof(*contents->at), compare);
    return err;
}

static enum p2p_err
settle(struct p2p_identity *identity, struct p2p_contents *contents)
{
    enum p2p_err err;
    size_t kept = 0;

    for (size_t i = 0; i < contents->count; i++) {
        if (contents->at[i].peers.count == 0) {
            p2p_peer_list_clear(&contents->at[i].peers);
            continue;
        }
        contents->at[kept++] = contents->at[i];
    }
    contents->count = kept;
    err = p2p_contents_sort(identity, contents);
    contents->has_rootless = kept > 0 && !contents->at[kept - 1].root_known;
    contents->count -= contents->has_rootless;
    return err;
}

enum p2p_err
p2p_contents_find(struct p2p_identity *identity,
                  const struct p2p_search_results *results, const char *name,
                  struct p2p_contents *out)
{
    enum p2p_err err = P2P_OK;

    *out = (struct p2p_contents){.at = NULL};
    for (size_t i = 0; i < results->count && err == P2P_OK; i++) {
        const struct p2p_search_result *r = &results->at[i];
        struct p2p_content *c;
        if (strcmp(r->name, name) != 0 || r->peers.count == 0)
            continue;
        c = find(out, r);
        if (c == NULL)
            c = add(out, r);
        err = c != NULL ? add_peers(identity, c, &r->peers) : P2P_ERR_NOMEM;
    }
    if (err == P2P_OK)
        err = settle(identity, out);
    if (err != P2P_OK)
        p2p_contents_clear(out);
    return err;
}

void
p2p_contents_clear(struct p2p_contents *contents)
{
    for (size_t i = 0; i < contents->count + contents->has_rootless; i++)
        p2p_peer_list_clear(&contents->at[i].peers);
    free(contents->at);
    *contents = (struct p2p_contents){.at = NULL};
}

/* ---- Choosing ---- */

enum p2p_err
p2p_contents_choose(const struct p2p_contents *contents, const struct p2p_content **out)
{
    const struct p2p_content *rootless =
        contents->has_rootless ? &contents->at[contents->count] : NULL;
    size_t trusted = 0;

    *out = NULL;
    for (size_t i = 0; i < contents->count; i++)
        trusted += contents->at[i].best == P2P_RANK_TRUSTED;
    if (rootless != NULL && rootless->best < P2P_RANK_NEW &&
        (contents->count == 0 || rootless->best < contents->at[0].best)) {
        if (contents->count > 0 && rootless->best != P2P_RANK_TRUSTED)
            return P2P_ERR_AMBIGUOUS;
        *out = rootless;
        return P2P_OK;
    }
    if (contents->count > 1 && trusted != 1)
        return P2P_ERR_AMBIGUOUS;
    if (contents->count > 0)
        *out = &contents->at[0];
    return P2P_OK;
}

const char *
p2p_content_who(const struct p2p_content *content, char out[P2P_CONTENT_WHO])
{
    size_t len = 0, said = 0;

    out[0] = '\0';
    for (int rank = P2P_RANK_TRUSTED; rank <= P2P_RANK_NEW; rank++) {
        size_t n = content->ranks[rank];
        if (n == 0)
            continue;
        len += (size_t)snprintf(out + len, P2P_CONTENT_WHO - len, "%s%zu %s",
                                said++ > 0 ? ", " : "", n,
                                p2p_rank_name((enum p2p_rank)rank));
    }
    return out;
}
