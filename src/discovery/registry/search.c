#include "discovery/registry/search.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "discovery/index/fold.h"
#include "discovery/registry/group.h"

/* ---- cursors ---- */

static void
format_cursor(const struct group_key *k, char out[SEARCH_CURSOR_MAX])
{
    snprintf(out, SEARCH_CURSOR_MAX, "%x-%x-%llx", k->rank, k->sources,
             (unsigned long long)k->tie);
}

static bool
parse_cursor(const char *text, struct group_key *k)
{
    char again[SEARCH_CURSOR_MAX];
    unsigned long long tie;

    if (sscanf(text, "%x-%x-%llx", &k->rank, &k->sources, &tie) != 3)
        return false;
    k->tie = tie;
    format_cursor(k, again);
    return strcmp(text, again) == 0;
}

/* ---- results ---- */

/* Numbers of the peers of one result. */
struct sources {
    uint32_t peers[SEARCH_SOURCES];
    uint32_t count;
};

static void
add_sources(struct sources *s, const struct file *f)
{
    uint32_t before =
        s->count; /* of other names; a peer occurs only once for each name */

    for (uint32_t i = 0; i < f->count && s->count < SEARCH_SOURCES; i++) {
        uint32_t peer = file_peers(f)[i], k = 0;

        while (k < before && s->peers[k] != peer)
            k++;
        if (k == before)
            s->peers[s->count++] = peer;
    }
}

/* Adds all contents with this root and size; they differ only in the claimed SHA-256.
 */
static void
fill_content(const struct catalogue *c, uint32_t first, struct search_result *res,
             struct sources *sources)
{
    const struct content *shown = catalogue_content(c, first);
    uint32_t at = catalogue_find_root(c, &shown->root), file;

    res->has_content = true;
    res->size = shown->size;
    res->root = shown->root;
    res->sha256 = shown->sha256;
    for (; at != SLAB_NONE; at = catalogue_next_root(c, at)) {
        if (catalogue_content(c, at)->size != shown->size)
            continue;
        file = catalogue_content(c, at)->first_file;
        for (; file != SLAB_NONE; file = catalogue_file(c, file)->next_of_content)
            add_sources(sources, catalogue_file(c, file));
    }
}

/* With the lock held. False: it was removed meanwhile. */
static bool
fill_result(struct registry *r, const struct catalogue *c, const struct group *g,
            struct search_result *res)
{
    struct sources sources;
    uint32_t file;

    sources.count = 0;
    if (!group_is_current(c, g->name, g->text))
        return false;
    file = catalogue_name(c, g->name)->first_file;
    while (file != SLAB_NONE && catalogue_file(c, file)->content != g->content)
        file = catalogue_file(c, file)->next_of_name;
    if (file == SLAB_NONE)
        return false;
    res->sources = g->key.sources;
    if (g->content != SLAB_NONE)
        fill_content(c, g->content, res, &sources);
    else
        add_sources(&sources, catalogue_file(c, file));
    res->name = strdup(fold_spelling(g->text));
    res->peers = malloc((sources.count + 1u) * sizeof(*res->peers));
    if (res->name == NULL || res->peers == NULL)
        return false;
    registry_sources(r, sources.peers, sources.count, res->peers);
    res->n_peers = sources.count;
    return true;
}

static bool
fill_page(struct registry *r, const struct group *groups, uint32_t count,
          struct search_results *out)
{
    out->at = calloc(count + 1u, sizeof(*out->at));
    if (out->at == NULL)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        struct search_result *res = &out->at[out->count];

        if (fill_result(r, registry_lock_catalogue(r), &groups[i], res))
            out->count++;
        else {
            free(res->name);
            free(res->peers);
            *res = (struct search_result){0};
        }
        registry_unlock_catalogue(r);
    }
    return true;
}

void
search_results_clear(struct search_results *results)
{
    for (uint32_t i = 0; i < results->count; i++) {
        free(results->at[i].name);
        free(results->at[i].peers);
    }
    free(results->at);
    *results = (struct search_results){0};
}

static enum p2p_err
search_view(struct registry *r, const struct dict_view *view,
            const struct search_query *q, const char *folded,
            const struct group_key *after, struct search_results *out)
{
    enum p2p_err err = P2P_ERR_NOMEM;
    struct match_list list = {0};
    struct groups groups = {0};
    bool has_more;
    uint32_t n;

    if (!match_names(view, q->mode, folded, &list) ||
        !groups_of_matches(r, &list, &groups))
        goto out;
    n = groups_choose_page(&groups, after, q->limit, &has_more);
    if (!fill_page(r, groups.at, n, out))
        goto out;
    if (has_more && n > 0)
        format_cursor(&groups.at[n - 1].key, out->next);
    out->is_cut = list.is_cut;
    err = P2P_OK;
out:
    match_clear(&list);
    groups_clear(&groups);
    return err;
}

enum p2p_err
search_run(struct registry *r, const struct search_query *q, struct search_results *out)
{
    char folded[MATCH_QUERY_MAX * FOLD_GROWTH + 1];
    size_t len = strlen(q->text);
    struct dict_view *view;
    struct group_key after;
    enum p2p_err err;

    *out = (struct search_results){0};
    if (len == 0 || len > MATCH_QUERY_MAX)
        return P2P_ERR_RANGE;
    len = fold_text(q->text, len, folded);
    if (len == 0 || len > MATCH_QUERY_MAX)
        return P2P_ERR_RANGE;
    if (q->cursor != NULL && !parse_cursor(q->cursor, &after))
        return P2P_ERR_MALFORMED;
    view = dict_acquire(registry_dict(r));
    err = search_view(r, view, q, folded, q->cursor != NULL ? &after : NULL, out);
    dict_release(view);
    return err;
}
