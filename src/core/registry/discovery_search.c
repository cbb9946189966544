/* Searches file names and groups the results by content. For registries without a
 * search, it searches their lists. */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/registry/discovery_internal.h"
#include "p2p/array.h"
#include "p2p/path.h"

enum { PAGE_RESULTS = 200 };

struct search {
    const char *text;
    enum p2p_search_mode mode;
    size_t limit;
    struct p2p_search_results found;
    size_t cap;
};

void
p2p_search_results_clear(struct p2p_search_results *results)
{
    for (size_t i = 0; i < results->count; i++)
        p2p_peer_list_clear(&results->at[i].peers);
    free(results->at);
    *results = (struct p2p_search_results){0};
}

/* Finds the result with the same content, or with the same name if the content is
 * unknown. */
static struct p2p_search_result *
find_group(struct search *search, const struct p2p_search_result *like)
{
    for (size_t i = 0; i < search->found.count; i++) {
        struct p2p_search_result *r = &search->found.at[i];
        if (r->root_known != like->root_known || strcmp(r->name, like->name) != 0)
            continue;
        if (!r->root_known || (r->size == like->size &&
                               memcmp(&r->root, &like->root, sizeof(r->root)) == 0))
            return r;
    }
    return NULL;
}

static struct p2p_search_result *
add_group(struct search *search, const struct p2p_search_result *like)
{
    if (search->found.count == search->limit)
        return NULL;
    void *bigger = p2p_array_room(search->found.at, search->found.count, &search->cap,
                                  sizeof(*search->found.at));
    if (bigger == NULL)
        return NULL;
    search->found.at = bigger;
    search->found.at[search->found.count] = *like;
    return &search->found.at[search->found.count++];
}

/* Adds the peers of `from` to those of the group. */
static enum p2p_err
join(struct p2p_search_result *group, size_t registry, const cJSON *from)
{
    struct p2p_peers peers = {.list = group->peers,
                              .cap = group->peers.count,
                              .count_max = P2P_SEARCH_PEERS_MAX + group->peers.count};
    enum p2p_err err;

    for (size_t i = 0; i < group->peers.count; i++)
        peers.count_max -= group->peers.at[i].registry == registry;
    err = p2p_peers_take(from, registry, &peers);
    group->peers = peers.list;
    p2p_peers_merge(&group->peers);
    return err;
}

static enum p2p_err
take_result(struct search *search, size_t registry, const cJSON *json)
{
    const cJSON *peers = cJSON_GetObjectItemCaseSensitive(json, "peers");
    struct p2p_search_result result = {0}, *group;
    const char *name = p2p_json_text(json, "name");
    uint64_t sources;

    if (name == NULL || p2p_name_check(name, strlen(name), true) != P2P_OK)
        return P2P_OK;
    snprintf(result.name, sizeof(result.name), "%s", name);
    (void)p2p_json_u64(json, "size", P2P_FILE_SIZE_MAX, &result.size);
    result.root_known = p2p_json_digest(json, "root", result.root.b);
    result.sha256_known = p2p_json_digest(json, "sha256", result.sha256.b);
    group = find_group(search, &result);
    if (group == NULL)
        group = add_group(search, &result);
    if (group == NULL)
        return P2P_OK;
    group->is_cut |= p2p_json_u64(json, "sources", UINT64_MAX, &sources) &&
                     sources > (uint64_t)cJSON_GetArraySize(peers);
    return join(group, registry, peers);
}

static enum p2p_err
visit_results(void *arg, size_t registry, const cJSON *json)
{
    const cJSON *array = cJSON_GetObjectItemCaseSensitive(json, "results"), *item;
    enum p2p_err err = cJSON_IsArray(array) ? P2P_OK : P2P_ERR_MALFORMED;
    struct search *search = arg;

    search->found.is_cut |=
        cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(json, "truncated"));
    cJSON_ArrayForEach(item, array)
    {
        if (err == P2P_OK)
            err = take_result(arg, registry, item);
    }
    return err;
}

/* ---- Without a search: the names of all peers ---- */

static bool
matches(const struct search *search, const char *name)
{
    size_t len = strlen(search->text);

    switch (search->mode) {
    case P2P_SEARCH_EXACT:
        return strcmp(name, search->text) == 0;
    case P2P_SEARCH_PREFIX:
        return strncasecmp(name, search->text, len) == 0;
    case P2P_SEARCH_SUBSTRING:
    case P2P_SEARCH_FUZZY:
        break;
    }
    return strcasestr(name, search->text) != NULL;
}

static enum p2p_err
add_source(struct search *search, const char *name, const struct p2p_peer_info *peer)
{
    struct p2p_search_result result = {0}, *group;
    struct p2p_peer_info *bigger;

    snprintf(result.name, sizeof(result.name), "%s", name);
    group = find_group(search, &result);
    if (group == NULL)
        group = add_group(search, &result);
    if (group == NULL)
        return P2P_OK;
    bigger = realloc(group->peers.at, (group->peers.count + 1) * sizeof(*bigger));
    if (bigger == NULL)
        return P2P_ERR_NOMEM;
    group->peers.at = bigger;
    bigger[group->peers.count] = *peer;
    bigger[group->peers.count].files = NULL;
    bigger[group->peers.count].files_total = 0;
    bigger[group->peers.count++].file_count = 0;
    return P2P_OK;
}

static enum p2p_err
search_lists(struct p2p_discovery *d, struct search *search)
{
    struct p2p_peer_list peers;
    enum p2p_err err = p2p_discovery_peers_with_names(d, &peers);

    for (size_t i = 0; i < peers.count; i++)
        for (size_t k = 0; k < peers.at[i].file_count && err == P2P_OK; k++)
            if (matches(search, peers.at[i].files[k]))
                err = add_source(search, peers.at[i].files[k], &peers.at[i]);
    p2p_peer_list_clear(&peers);
    return err;
}

enum p2p_err
p2p_discovery_search(struct p2p_discovery *d, const char *text,
                     enum p2p_search_mode mode, size_t limit,
                     struct p2p_search_results *out)
{
    static const char *const paths[] = {
        [P2P_SEARCH_EXACT] = "/search?q=%s&mode=exact",
        [P2P_SEARCH_PREFIX] = "/search?q=%s&mode=prefix",
        [P2P_SEARCH_SUBSTRING] = "/search?q=%s&mode=substring",
        [P2P_SEARCH_FUZZY] = "/search?q=%s&mode=fuzzy",
    };
    struct search search = {.text = text, .mode = mode, .limit = limit};
    char path[64];
    size_t page;
    enum p2p_err err;

    if (search.limit == 0 || search.limit > P2P_SEARCH_RESULTS_MAX)
        search.limit = P2P_SEARCH_RESULTS_MAX;
    page = search.limit < PAGE_RESULTS ? search.limit : PAGE_RESULTS;
    snprintf(path, sizeof(path), "%s&limit=%zu", paths[mode], page);
    err = p2p_discovery_ask(d, path, text, (search.limit + page - 1) / page,
                            visit_results, &search);
    if (err == P2P_ERR_NOT_FOUND)
        err = search_lists(d, &search);
    for (size_t i = 0; i < search.found.count && err == P2P_OK; i++)
        err = p2p_peers_take_turns(&search.found.at[i].peers, d->count);
    search.found.is_cut |= search.found.count >= search.limit;
    *out = (struct p2p_search_results){0};
    if (err == P2P_OK)
        *out = search.found;
    else
        p2p_search_results_clear(&search.found);
    return err;
}
