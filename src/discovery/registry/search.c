#include "discovery/registry/search.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "discovery/index/fold.h"
#include "discovery/registry/group.h"
#include "p2p/bytes.h"
#include "p2p/clock.h"
#include "p2p/crypto.h"
#include "p2p/rank.h"

/* ---- cursors ---- */

static void
format_cursor(const struct group_cursor *at, char out[SEARCH_CURSOR_MAX])
{
    char exact[2 * GROUP_EXACT + 1];

    p2p_hex_format(at->exact, GROUP_EXACT, exact);
    snprintf(out, SEARCH_CURSOR_MAX, "%x-%x-%llx-%s", at->key.rank, at->key.sources,
             (unsigned long long)at->key.tie, exact);
}

static bool
parse_cursor(const char *text, struct group_cursor *at)
{
    char again[SEARCH_CURSOR_MAX], exact[2 * GROUP_EXACT + 1];
    unsigned long long tie;

    if (sscanf(text, "%x-%x-%llx-%32[0-9a-f]", &at->key.rank, &at->key.sources, &tie,
               exact) != 4 ||
        p2p_hex_parse(exact, at->exact, GROUP_EXACT) != P2P_OK)
        return false;
    at->key.tie = tie;
    format_cursor(at, again);
    return strcmp(text, again) == 0;
}

/* ---- which sources are shown ---- */

/*
 * Ids cost nothing, and the slot of a peer tells when it registered. So if a content
 * has more peers than are shown, a random choice is made. First, some peers are drawn
 * evenly from all. Then, peers of many networks are preferred, because large groups of
 * fake peers are in few networks. Both happen under the registry's lock, so a peer is
 * looked at only when it is its turn to be shown.
 */
enum { DRAWN = 4 * SEARCH_SOURCES, NAMES_LOOKED_AT = 1000 };

struct draw {
    uint32_t peers[DRAWN];
    uint32_t count;
    uint32_t files; /* number of files that these peers come from; a peer can be there
                       twice only if there are several files */
    uint64_t total, passed; /* entries: a peer has one for each name of the content */
    uint64_t random;
};

static uint64_t
next_random(struct draw *d)
{
    d->random ^= d->random << 13;
    d->random ^= d->random >> 7;
    d->random ^= d->random << 17;
    return d->random;
}

/* Once for an answer, when it first needs a choice. Never 0, because from 0 only 0
 * follows. */
static void
seed(struct draw *d)
{
    if (p2p_random(&d->random, sizeof(d->random)) != P2P_OK)
        d->random = p2p_now_us();
    d->random |= 1;
}

static void
begin_draw(struct draw *d, uint64_t total)
{
    d->count = 0;
    d->files = 0;
    d->passed = 0;
    d->total = total;
    if (total > SEARCH_SOURCES && d->random == 0)
        seed(d);
}

/* The position of the next one in the list of all: the list is divided into equal
 * parts, and one is drawn from each. */
static uint64_t
next_place(struct draw *d)
{
    uint64_t from = d->total * d->count / DRAWN;
    uint64_t to = d->total * (d->count + 1) / DRAWN;

    return d->total <= DRAWN ? d->count : from + next_random(d) % (to - from);
}

static void
draw_from(struct draw *d, const struct file *f, uint64_t *next)
{
    d->files++;
    while (d->count < DRAWN && d->count < d->total && *next < d->passed + f->count) {
        d->peers[d->count++] = file_peers(f)[*next - d->passed];
        *next = next_place(d);
    }
    d->passed += f->count;
}

static int
compare_numbers(const void *a, const void *b)
{
    const uint32_t *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

static void
drop_doubles(struct draw *d)
{
    uint32_t kept = 0;

    if (d->files < 2)
        return;
    qsort(d->peers, d->count, sizeof(d->peers[0]), compare_numbers);
    for (uint32_t i = 0; i < d->count; i++)
        if (kept == 0 || d->peers[i] != d->peers[kept - 1])
            d->peers[kept++] = d->peers[i];
    d->count = kept;
}

/* How many of the first ones are of this network. */
static uint32_t
count_net(const struct p2p_net_of *nets, uint32_t count, const struct p2p_net_of *net)
{
    uint32_t same = 0;

    for (uint32_t i = 0; i < count && net->family != 0; i++)
        same += memcmp(&nets[i], net, sizeof(*net)) == 0;
    return same;
}

static void
shuffle(struct draw *d)
{
    for (uint32_t i = d->count; i > 1; i--) {
        uint32_t k = (uint32_t)(next_random(d) % i), swap = d->peers[i - 1];
        d->peers[i - 1] = d->peers[k];
        d->peers[k] = swap;
    }
}

/* The sources that are being chosen, and those that were passed over because enough of
 * their network are among them. */
struct choice {
    struct registry_source *at;
    struct p2p_net_of nets[SEARCH_SOURCES];
    uint32_t shown, passed[DRAWN], passed_count;
};

/* Keeps at most a few of one network among the `count` sources behind the shown ones.
 */
static void
keep_some_of_each_net(struct choice *c, uint32_t count)
{
    uint32_t end = c->shown + count;

    for (uint32_t i = c->shown; i < end; i++) {
        struct p2p_net_of net;
        (void)p2p_rank_net_of_ip(c->at[i].ip, &net);
        if (count_net(c->nets, c->shown, &net) >= P2P_RANK_PER_NET_MAX) {
            c->passed[c->passed_count++] = c->at[i].number;
            continue;
        }
        c->nets[c->shown] = net;
        c->at[c->shown++] = c->at[i];
    }
}

static uint32_t
room_for(const struct choice *c, uint32_t count)
{
    uint32_t room = SEARCH_SOURCES - c->shown;

    return count < room ? count : room;
}

/* Fills `at` (SEARCH_SOURCES) and returns the number: at most a few of one network,
 * unless there is room left. */
static uint32_t
choose_shown(const struct registry *r, struct draw *d, struct choice *c,
             struct registry_source *at)
{
    uint32_t next = 0, n;

    c->at = at;
    c->shown = c->passed_count = 0;
    if (d->count > SEARCH_SOURCES)
        shuffle(d);
    while ((n = room_for(c, d->count - next)) > 0) {
        registry_sources(r, d->peers + next, n, at + c->shown);
        next += n;
        if (d->count > SEARCH_SOURCES)
            keep_some_of_each_net(c, n);
        else
            c->shown += n;
    }
    n = room_for(c, c->passed_count);
    registry_sources(r, c->passed, n, at + c->shown);
    return c->shown + n;
}

/* ---- results ---- */

/* The entries of a file, and of all other names of the same content; these differ only
 * in the claimed SHA-256. Counts them, or draws from them when `d` is given. */
static uint64_t
walk_content(const struct catalogue *c, uint32_t first, struct draw *d)
{
    const struct content *shown = catalogue_content(c, first);
    uint32_t at = catalogue_find_root(c, &shown->root), file, looked_at = 0;
    uint64_t total = 0, next = d != NULL ? next_place(d) : 0;

    for (; at != SLAB_NONE; at = catalogue_next_root(c, at)) {
        if (catalogue_content(c, at)->size != shown->size)
            continue;
        file = catalogue_content(c, at)->first_file;
        for (; file != SLAB_NONE && looked_at < NAMES_LOOKED_AT; looked_at++) {
            const struct file *f = catalogue_file(c, file);
            total += f->count;
            if (d != NULL)
                draw_from(d, f, &next);
            file = f->next_of_content;
        }
    }
    return total;
}

static void
draw_sources(const struct catalogue *c, uint32_t content, const struct file *f,
             struct draw *d)
{
    uint64_t next;

    if (content != SLAB_NONE) {
        begin_draw(d, walk_content(c, content, NULL));
        walk_content(c, content, d);
    } else {
        begin_draw(d, f->count);
        next = next_place(d);
        draw_from(d, f, &next);
    }
    drop_doubles(d);
}

static void
fill_content(const struct catalogue *c, uint32_t first, struct search_result *res)
{
    const struct content *shown = catalogue_content(c, first);

    res->has_content = true;
    res->size = shown->size;
    res->root = shown->root;
    res->sha256 = shown->sha256;
}

/* With the lock held. False: it was removed meanwhile. */
static bool
fill_result(struct registry *r, const struct catalogue *c, const struct group *g,
            struct draw *d, struct choice *choice, struct search_result *res)
{
    uint32_t file;

    if (!group_is_current(c, g->name, g->text))
        return false;
    file = catalogue_name(c, g->name)->first_file;
    while (file != SLAB_NONE && catalogue_file(c, file)->content != g->content)
        file = catalogue_file(c, file)->next_of_name;
    if (file == SLAB_NONE)
        return false;
    res->sources = g->key.sources;
    if (g->content != SLAB_NONE)
        fill_content(c, g->content, res);
    draw_sources(c, g->content, catalogue_file(c, file), d);
    res->name = strdup(fold_spelling(g->text));
    res->peers = malloc((d->count < SEARCH_SOURCES ? d->count + 1u : SEARCH_SOURCES) *
                        sizeof(*res->peers));
    if (res->name == NULL || res->peers == NULL)
        return false;
    res->n_peers = choose_shown(r, d, choice, res->peers);
    return true;
}

static bool
fill_page(struct registry *r, const struct group *groups, uint32_t count,
          struct search_results *out)
{
    struct draw draw = {.count = 0}; /* KBs: cleared once, not for each result */
    struct choice choice = {.shown = 0};

    out->at = calloc(count + 1u, sizeof(*out->at));
    if (out->at == NULL)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        struct search_result *res = &out->at[out->count];
        bool is_filled =
            fill_result(r, registry_lock_catalogue(r), &groups[i], &draw, &choice, res);

        registry_unlock_catalogue(r);
        if (is_filled) {
            out->count++;
        } else {
            free(res->name);
            free(res->peers);
            *res = (struct search_result){0};
        }
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
search_dict(struct registry *r, const struct dict_view *view,
            const struct search_query *q, const char *folded,
            const struct group_cursor *after, struct search_results *out)
{
    enum p2p_err err = P2P_ERR_NOMEM;
    struct match_list list = {0};
    struct groups groups = {0};
    struct group_cursor last;
    bool has_more;
    uint32_t n;

    if (!match_names(view, q->mode, folded, &list) ||
        !groups_of_matches(r, &list, &groups))
        goto out;
    n = groups_choose_page(r, &groups, after, q->limit, &has_more);
    if (!fill_page(r, groups.at, n, out))
        goto out;
    if (has_more && n > 0) {
        group_cursor_of(r, &groups.at[n - 1], &last);
        format_cursor(&last, out->next);
    }
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
    struct group_cursor after;
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
    err = search_dict(r, view, q, folded, q->cursor != NULL ? &after : NULL, out);
    dict_release(view);
    return err;
}
