/* Adds the files of neighbors to search results, because no registry lists them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ui/peers/peers.h"

struct adding {
    struct p2p_search_results *results;
    size_t max;
};

/* Finds the group of a content, or adds a new one at the end. */
static struct p2p_search_result *
result_of(struct adding *a, const char *name, const struct ui_content *content)
{
    struct p2p_search_results *results = a->results;
    struct p2p_search_result *grown;

    for (size_t i = 0; i < results->count; i++) {
        struct p2p_search_result *r = &results->at[i];
        if (r->root_known && r->size == content->size &&
            memcmp(&r->root, &content->root, sizeof(r->root)) == 0 &&
            strcmp(r->name, name) == 0)
            return r;
    }
    if (results->count >= a->max)
        return NULL;
    grown = realloc(results->at, (results->count + 1) * sizeof(*grown));
    if (grown == NULL)
        return NULL;
    results->at = grown;
    grown += results->count++;
    *grown = (struct p2p_search_result){
        .size = content->size, .root = content->root, .root_known = true};
    snprintf(grown->name, sizeof(grown->name), "%s", name);
    return grown;
}

static void
add_neighbor(void *arg, const struct ui_peer *peer, const char *name,
             const struct ui_content *content)
{
    struct p2p_search_result *r =
        content != NULL ? result_of(arg, name, content) : NULL;
    struct p2p_peer_info *grown;

    if (r == NULL)
        return;
    for (size_t i = 0; i < r->peers.count; i++)
        if (p2p_id_equal(&r->peers.at[i].id, &peer->id))
            return;
    grown = realloc(r->peers.at, (r->peers.count + 1) * sizeof(*grown));
    if (grown == NULL)
        return;
    r->peers.at = grown;
    grown[r->peers.count++] =
        (struct p2p_peer_info){.id = peer->id, .addr = peer->addr};
}

void
ui_peers_add_neighbor_results(struct ui_peers *p, const struct ui_file_filter *filter,
                              size_t max, struct p2p_search_results *results)
{
    struct adding adding = {results, max};

    ui_peers_each_neighbor_file(p, filter, add_neighbor, &adding);
}
