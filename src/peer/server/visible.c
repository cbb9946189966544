#include "peer/server/visible.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "peer/history/history.h"
#include "peer/server/loop.h"

static struct p2p_shares *
shares_of(const struct conn *c)
{
    return c->loop->server->opt.shares;
}

/* The id of protocol 1 is only a claim. */
struct p2p_access_caller
visible_caller(const struct conn *c)
{
    bool is_proven = c->state == CONN_OPEN2;

    return (struct p2p_access_caller){
        .id = is_proven ? client_id(c->client) : NULL,
        .link = c->state == CONN_GUEST ? client_id(c->client) : NULL,
        .is_outside = c->is_outside,
        .is_trusted = is_proven && client_is_trusted(c->client),
    };
}

/* The offers, and who asks for what is in them: NULL without a proven id. */
static struct offers *
offers_of(const struct conn *c)
{
    return c->loop->server->opt.offers;
}

static const struct p2p_id *
receiver(const struct conn *c)
{
    return c->state == CONN_OPEN2 || c->state == CONN_GUEST ? client_id(c->client)
                                                            : NULL;
}

static bool
is_guest(const struct conn *c)
{
    return c->state != CONN_GUEST && client_is_guest(c->client);
}

static bool
may_all(const struct conn *c)
{
    struct p2p_access_caller caller = visible_caller(c);

    return !is_guest(c) && p2p_access_may_all(c->loop->rules, &caller);
}

static bool
may(void *arg, const char *name)
{
    const struct conn *c = arg;
    struct p2p_access_caller caller = visible_caller(c);

    return !is_guest(c) && p2p_access_may(c->loop->rules, &caller, name);
}

bool
visible_may(const struct conn *c, const char *name)
{
    return may((void *)(uintptr_t)c, name);
}

uint32_t
visible_mark(const struct conn *c)
{
    struct p2p_access_caller caller = visible_caller(c);

    return is_guest(c) ? 0 : (uint32_t)p2p_access_mark(c->loop->rules, &caller);
}

/* ---- Old contents ---- */

/* True if this client may ask for old contents. */
static bool
ask_history(const struct conn *c, struct history_asker *asker)
{
    *asker =
        (struct history_asker){.rules = c->loop->rules, .caller = visible_caller(c)};
    return asker->caller.id != NULL && !is_guest(c) &&
           history_is_on(c->loop->server->opt.history);
}

static struct history *
history_of(const struct conn *c)
{
    return c->loop->server->opt.history;
}

static enum p2p_err
seek_first(enum p2p_err err)
{
    return err == P2P_ERR_BUSY ? P2P_ERR_MORE : err;
}

/* ---- Lookups ---- */

/* The rule comes first, so that a hidden file and one that does not exist take the same
 * way. */
enum p2p_err
visible_find_name(const struct conn *c, const char *name, struct p2p_share_entry *out)
{
    memset(out, 0, sizeof(*out));
    if (offers_find_name(offers_of(c), receiver(c), name, out) == P2P_OK)
        return P2P_OK;
    if (!may((void *)(uintptr_t)c, name))
        return P2P_ERR_NOT_FOUND;
    return p2p_shares_find_name(shares_of(c), name, out);
}

static enum p2p_err
find_root(const struct conn *c, const struct p2p_digest *root,
          struct p2p_share_entry *out)
{
    if (offers_find_root(offers_of(c), receiver(c), root, out) == P2P_OK)
        return P2P_OK;
    if (may_all(c) || offers_allows(offers_of(c), receiver(c), root))
        return p2p_shares_find_root(shares_of(c), root, out);
    return p2p_shares_find_root_if(shares_of(c), root, may, (void *)(uintptr_t)c, out);
}

enum p2p_err
visible_find_root(const struct conn *c, const struct p2p_digest *root,
                  struct p2p_share_entry *out)
{
    struct history_asker asker;
    enum p2p_err err = find_root(c, root, out);

    if (err != P2P_ERR_NOT_FOUND || !ask_history(c, &asker))
        return err;
    return seek_first(history_find_root(history_of(c), &asker, root, out));
}

bool
visible_is_old(const struct conn *c, const struct p2p_digest *root)
{
    struct p2p_share_entry entry;

    return history_is_on(history_of(c)) &&
           find_root(c, root, &entry) == P2P_ERR_NOT_FOUND;
}

/* True if the client may get this content from the shares. */
static enum p2p_err
check_root(const struct conn *c, const struct p2p_digest *root)
{
    struct p2p_share_entry entry;

    if (may_all(c) || offers_allows(offers_of(c), receiver(c), root))
        return P2P_OK;
    return p2p_shares_find_root_if(shares_of(c), root, may, (void *)(uintptr_t)c,
                                   &entry);
}

enum p2p_err
visible_layer(const struct conn *c, const struct p2p_digest *root, uint64_t first,
              uint32_t count, struct p2p_digest *out)
{
    struct history_asker asker;
    enum p2p_err err = offers_layer(offers_of(c), receiver(c), root, first, count, out);

    if (err != P2P_ERR_NOT_FOUND)
        return err;
    err = check_root(c, root);
    if (err == P2P_OK)
        err = p2p_shares_layer(shares_of(c), root, first, count, out);
    if (err != P2P_ERR_NOT_FOUND || !ask_history(c, &asker))
        return err;
    return seek_first(history_layer(history_of(c), &asker, root, first, count, out));
}

enum p2p_err
visible_open(const struct conn *c, const struct p2p_digest *root,
             struct p2p_share_file **out)
{
    struct history_asker asker;
    enum p2p_err err = offers_file_open(offers_of(c), receiver(c), root, out);

    if (err != P2P_ERR_NOT_FOUND)
        return err;
    err = check_root(c, root);
    if (err == P2P_OK)
        err = p2p_shares_file_open(shares_of(c), root, out);
    if (err != P2P_ERR_NOT_FOUND || !ask_history(c, &asker))
        return err;
    return seek_first(history_file_open(history_of(c), &asker, root, out));
}

/* ---- The list ---- */

/* Keeps the visible entries of a page until the first one that is not. True: skip to
 * `place` and look on. */
static bool
keep_visible(const struct conn *c, struct p2p_share_entry *page, size_t *count,
             char place[P2P_ACCESS_PLACE_MAX])
{
    struct p2p_access_caller caller = visible_caller(c);

    for (size_t i = 0; i < *count; i++) {
        if (may((void *)(uintptr_t)c, page[i].name))
            continue;
        p2p_access_skip(c->loop->rules, &caller, page[i].name, place);
        *count = i;
        return true;
    }
    return false;
}

/* Each round fills the page or passes a rule, so their number has a limit. */
static enum p2p_err
list_shares(const struct conn *c, const char *after, struct p2p_share_entry *out,
            size_t max, size_t *count, bool *more)
{
    char place[P2P_ACCESS_PLACE_MAX];
    bool all = may_all(c), skips = true;
    enum p2p_err err = P2P_OK;

    snprintf(place, sizeof(place), "%s", after);
    *count = 0;
    *more = false;
    while (err == P2P_OK && skips && *count < max) {
        size_t n = 0;
        err = p2p_shares_list_all(shares_of(c), place, out + *count, max - *count, &n);
        skips = err == P2P_OK && !all && keep_visible(c, out + *count, &n, place);
        *count += n;
    }
    *more = *count == max;
    return err;
}

static int
by_name(const void *a, const void *b)
{
    return strcmp(((const struct p2p_share_entry *)a)->name,
                  ((const struct p2p_share_entry *)b)->name);
}

/* Both lists begin behind `after`, so the first ones of both together are the page. */
static enum p2p_err
merge(struct p2p_share_entry *out, size_t max, size_t *count, bool *more,
      const struct p2p_share_entry *offered, size_t n)
{
    struct p2p_share_entry *all = calloc(*count + n, sizeof(*all));

    if (all == NULL)
        return P2P_ERR_NOMEM;
    memcpy(all, out, *count * sizeof(*all));
    memcpy(all + *count, offered, n * sizeof(*all));
    qsort(all, *count + n, sizeof(*all), by_name);
    *more = *more || n == max || *count + n > max;
    *count = *count + n < max ? *count + n : max;
    memcpy(out, all, *count * sizeof(*all));
    free(all);
    return P2P_OK;
}

enum p2p_err
visible_list(const struct conn *c, const char *after, struct p2p_share_entry *out,
             size_t max, size_t *count, bool *more)
{
    enum p2p_err err = P2P_OK;
    struct p2p_share_entry *offered;
    size_t n;

    *count = 0;
    *more = false;
    if (!is_guest(c))
        err = list_shares(c, after, out, max, count, more);
    if (err != P2P_OK || !offers_has(offers_of(c), receiver(c)))
        return err;
    if ((offered = calloc(max, sizeof(*offered))) == NULL)
        return P2P_ERR_NOMEM;
    n = offers_list(offers_of(c), receiver(c), after, offered, max);
    if (n > 0)
        err = merge(out, max, count, more, offered, n);
    free(offered);
    return err;
}
