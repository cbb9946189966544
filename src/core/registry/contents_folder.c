/* Finds out what a folder's name means. A folder has no root, so its peers and files
 * decide. */
#include <stdlib.h>
#include <string.h>

#include "core/registry/contents_internal.h"

/* One peer, and what it shares in the folder. */
struct owner {
    struct p2p_peer_info peer;
    enum p2p_rank rank;
    uint64_t size;
    uint64_t mark; /* hash of names and roots; an attacker cannot make two equal ones */
};
struct owners {
    struct owner *at;
    size_t count;
};

static struct owner *
owner_of(struct owners *owners, const struct p2p_peer_info *peer, enum p2p_rank rank,
         bool *is_full)
{
    struct owner *grown;

    *is_full = false;
    for (size_t i = 0; i < owners->count; i++)
        if (p2p_id_equal(&owners->at[i].peer.id, &peer->id))
            return &owners->at[i];
    *is_full = rank == P2P_RANK_NEW && owners->count >= P2P_CONTENT_STRANGERS_MAX;
    if (*is_full)
        return NULL;
    grown = realloc(owners->at, (owners->count + 1) * sizeof(*grown));
    if (grown == NULL)
        return NULL;
    owners->at = grown;
    grown += owners->count++;
    *grown = (struct owner){.peer = *peer, .rank = rank};
    grown->peer.files = NULL;
    grown->peer.file_count = 0;
    return grown;
}

static uint64_t
mark_of(const struct p2p_search_result *r)
{
    uint64_t parts[2] = {p2p_rank_order(r->name, strlen(r->name)),
                         p2p_rank_order(&r->root, sizeof(r->root))};

    return p2p_rank_order(parts, sizeof(parts));
}

/* *best: of those that count. */
static enum p2p_err
add_file(struct p2p_identity *identity, struct owners *owners,
         const struct p2p_search_result *r, enum p2p_rank *best)
{
    uint64_t mark = mark_of(r);

    *best = P2P_RANK_BLOCKED;
    for (size_t i = 0; i < r->peers.count; i++) {
        const struct p2p_id *id = &r->peers.at[i].id;
        enum p2p_rank rank = p2p_peer_info_rank(identity, &r->peers.at[i]);
        struct owner *owner;
        bool is_full;
        if (rank == P2P_RANK_BLOCKED || p2p_id_equal(id, p2p_identity_id(identity)))
            continue;
        owner = owner_of(owners, &r->peers.at[i], rank, &is_full);
        if (is_full)
            continue;
        if (owner == NULL)
            return P2P_ERR_NOMEM;
        owner->size += r->size;
        owner->mark += mark;
        *best = rank < *best ? rank : *best;
    }
    return P2P_OK;
}

static bool
are_rivals(const struct p2p_search_result *a, const struct p2p_search_result *b)
{
    return a->root_known && b->root_known && strcmp(a->name, b->name) == 0 &&
           (a->size != b->size || memcmp(&a->root, &b->root, sizeof(a->root)) != 0);
}

/* True if two files have the same name and different contents. If trusted peers have
 * the folder, only their files count. */
static bool
is_disputed(const struct p2p_search_results *results, const enum p2p_rank *best)
{
    enum p2p_rank last = P2P_RANK_NEW;

    for (size_t i = 0; i < results->count; i++)
        if (best[i] == P2P_RANK_TRUSTED)
            last = P2P_RANK_TRUSTED;
    for (size_t i = 0; i < results->count; i++)
        for (size_t k = 0; k < i && best[i] <= last; k++)
            if (best[k] <= last && are_rivals(&results->at[i], &results->at[k]))
                return true;
    return false;
}

/* Peers that have the same files become one content. */
static enum p2p_err
group(const struct owners *owners, struct p2p_contents *out)
{
    uint64_t *marks = calloc(owners->count + 1, sizeof(*marks));
    enum p2p_err err = P2P_OK;

    out->at = calloc(owners->count + 1, sizeof(*out->at));
    if (marks == NULL || out->at == NULL)
        err = P2P_ERR_NOMEM;
    for (size_t i = 0; i < owners->count && err == P2P_OK; i++) {
        const struct owner *o = &owners->at[i];
        size_t k = 0;
        while (k < out->count && marks[k] != o->mark)
            k++;
        if (k == out->count) {
            marks[out->count++] = o->mark;
            out->at[k].size = o->size;
            out->at[k].best = P2P_RANK_BLOCKED;
        }
        err = p2p_content_add_peer(&out->at[k], &o->peer, o->rank);
    }
    free(marks);
    return err;
}

enum p2p_err
p2p_contents_of_folder(struct p2p_identity *identity,
                       const struct p2p_search_results *results, const char *folder,
                       struct p2p_contents *out, bool *disputed)
{
    enum p2p_rank *best = calloc(results->count + 1, sizeof(*best));
    struct owners owners = {0};
    enum p2p_err err = best != NULL ? P2P_OK : P2P_ERR_NOMEM;

    *out = (struct p2p_contents){.at = NULL};
    *disputed = false;
    for (size_t i = 0; i < results->count && err == P2P_OK; i++) {
        best[i] = P2P_RANK_BLOCKED;
        if (strncmp(results->at[i].name, folder, strlen(folder)) == 0)
            err = add_file(identity, &owners, &results->at[i], &best[i]);
    }
    if (err == P2P_OK)
        err = group(&owners, out);
    if (err == P2P_OK)
        err = p2p_contents_sort(identity, out);
    if (err == P2P_OK)
        *disputed = is_disputed(results, best);
    else
        p2p_contents_clear(out);
    free(owners.at);
    free(best);
    return err;
}
