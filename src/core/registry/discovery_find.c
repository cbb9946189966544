/* Lists and searches of all registries, checked and merged by peer. */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/registry/discovery_internal.h"
#include "p2p/bytes.h"
#include "p2p/lock.h"

enum { PAGES_MAX = 200, CURSOR_MAX = 2048 };
/* After one registry has answered completely, the others have this much more time. */
enum { PATIENCE_MS = 1000 };
/* The whole list may take this many times as long as one page, because a list may be
 * endless. */
enum { WALK_TIMEOUTS = 3 };
/* A list that is longer than so many pages of the largest size is cut off. */
enum { WALK_PAGES_MAX = 4 };

/* ---- Asking all registries, page by page ---- */

struct walk {
    char *cursor; /* URL of the next page; owned */
    uint64_t bytes;
    bool done;
    enum p2p_err err;
};

static char *
page_url(const struct p2p_discovery *d, size_t i, const char *path,
         const char *argument, const char *cursor)
{
    const char *arguments[] = {argument, cursor};
    size_t first = argument == NULL;
    char form[128];

    snprintf(form, sizeof(form), "%s%s", path, cursor != NULL ? "&cursor=%s" : "");
    return p2p_http_url(d->at[i].url, form, arguments + first,
                        (size_t)(cursor != NULL) + !first);
}

/* Reads the content of the page and the cursor of the next one. */
static void
on_page(struct walk *walk, size_t registry, const struct p2p_http_call *call,
        p2p_page_visit *visit, void *arg)
{
    cJSON *json = p2p_json_parse(call->answer, call->len);
    const char *next = p2p_json_text(json, "next");

    free(walk->cursor);
    walk->cursor = NULL;
    walk->err = json == NULL ? P2P_ERR_MALFORMED : visit(arg, registry, json);
    if (walk->err == P2P_OK && next != NULL && next[0] != '\0' &&
        strlen(next) <= CURSOR_MAX)
        walk->cursor = strdup(next);
    walk->bytes += call->len;
    walk->done =
        walk->cursor == NULL || walk->bytes >= WALK_PAGES_MAX * call->answer_max;
    cJSON_Delete(json);
}

static void
walk_round(struct p2p_discovery *d, struct walk *walks, struct p2p_http_call *calls,
           const char *path, const char *argument, p2p_page_visit *visit, void *arg,
           uint64_t timeout_ms)
{
    size_t count = 0;

    for (size_t i = 0; i < d->count; i++) {
        if (walks[i].done)
            continue;
        calls[count].method = "GET";
        calls[count].answer_max = d->page_max;
        calls[count].expected =
            strncmp(path, "/peers", 6) == 0 ? P2P_ANSWER_LIST : P2P_ANSWER_ANY;
        calls[count++].url = page_url(d, i, path, argument, walks[i].cursor);
    }
    p2p_http_run(calls, count, timeout_ms, PATIENCE_MS, d->stop);
    for (size_t i = 0, c = 0; i < d->count; i++) {
        enum p2p_err err;
        if (walks[i].done)
            continue;
        err = p2p_registry_note(d, i, &calls[c]);
        if (err == P2P_OK) {
            on_page(&walks[i], i, &calls[c], visit, arg);
            if (walks[i].err == P2P_ERR_MALFORMED)
                p2p_registry_note_malformed(d, i, &calls[c]);
        } else {
            /* Earlier pages stay valid; a failure of a later page only ends the list.
             */
            walks[i].err = walks[i].cursor != NULL ? P2P_OK : err;
            walks[i].done = true;
        }
        p2p_http_call_clear(&calls[c++]);
    }
}

/* Registries that have just failed are left out, unless all have. */
static size_t
begin_walks(struct p2p_discovery *d, struct walk *walks)
{
    uint64_t now = p2p_now_ms();
    size_t open = 0;

    p2p_lock(&d->lock);
    for (size_t i = 0; i < d->count; i++) {
        walks[i].done = d->at[i].rests_until_ms > now;
        walks[i].err = walks[i].done ? P2P_ERR_TIMEOUT : P2P_OK;
        open += !walks[i].done;
    }
    p2p_unlock(&d->lock);
    for (size_t i = 0; open == 0 && i < d->count; i++)
        walks[i].done = false;
    return open > 0 ? open : d->count;
}

/* The number of registries with more pages; `said_all` is true if one has sent its last
 * page. */
static size_t
count_open(const struct walk *walks, size_t count, bool *said_all)
{
    size_t open = 0;

    for (size_t i = 0; i < count; i++) {
        open += !walks[i].done;
        *said_all = *said_all || (walks[i].done && walks[i].err == P2P_OK);
    }
    return open;
}

enum p2p_err
p2p_discovery_ask(struct p2p_discovery *d, const char *path, const char *argument,
                  size_t pages, p2p_page_visit *visit, void *arg)
{
    struct p2p_http_call *calls = calloc(d->count + 1, sizeof(*calls));
    struct walk *walks = calloc(d->count + 1, sizeof(*walks));
    enum p2p_err err = P2P_ERR_UNREACHABLE;
    uint64_t now = p2p_now_ms(), deadline = now + WALK_TIMEOUTS * d->timeout_ms;
    bool said_all = false;
    size_t open = 0;

    if (calls == NULL || walks == NULL)
        err = P2P_ERR_NOMEM;
    else
        open = begin_walks(d, walks);
    for (size_t page = 0; open > 0 && page < pages && now < deadline; page++) {
        uint64_t left = deadline - now;

        walk_round(d, walks, calls, path, argument, visit, arg,
                   left < d->timeout_ms ? left : d->timeout_ms);
        open = count_open(walks, d->count, &said_all);
        now = p2p_now_ms();
        if (said_all && deadline > now + PATIENCE_MS)
            deadline = now + PATIENCE_MS;
    }
    for (size_t i = 0; walks != NULL && i < d->count; i++) {
        if (walks[i].err == P2P_OK || (err != P2P_OK && err != P2P_ERR_NOT_FOUND))
            err = walks[i].err;
        free(walks[i].cursor);
    }
    free(calls);
    free(walks);
    return err;
}

static enum p2p_err
visit_peers(void *arg, size_t registry, const cJSON *json)
{
    const cJSON *array = cJSON_GetObjectItemCaseSensitive(json, "peers");

    return cJSON_IsArray(array) ? p2p_peers_take(array, registry, arg)
                                : P2P_ERR_MALFORMED;
}

static enum p2p_err
find(struct p2p_discovery *d, const char *path, const char *argument,
     const struct p2p_peers *wanted, struct p2p_peer_list *out)
{
    struct p2p_peers peers = *wanted;
    enum p2p_err err =
        p2p_discovery_ask(d, path, argument, PAGES_MAX, visit_peers, &peers);

    *out = (struct p2p_peer_list){0};
    if (err != P2P_OK) {
        p2p_peer_list_clear(&peers.list);
        return err;
    }
    p2p_peers_merge(&peers.list);
    *out = peers.list;
    return P2P_OK;
}

enum p2p_err
p2p_discovery_peers_with_names(struct p2p_discovery *d, struct p2p_peer_list *out)
{
    return find(d, "/peers?limit=1000", NULL,
                &(struct p2p_peers){.names_max = P2P_REGISTER_FILES_MAX,
                                    .bytes_left = 4 * P2P_NAMES_BYTES_MAX},
                out);
}

enum p2p_err
p2p_discovery_peers(struct p2p_discovery *d, struct p2p_peer_list *out)
{
    char path[48];

    snprintf(path, sizeof(path), "/peers?limit=1000&names=%d", P2P_PEER_NAMES_KEPT);
    return find(d, path, NULL,
                &(struct p2p_peers){.names_max = P2P_PEER_NAMES_KEPT,
                                    .bytes_left = P2P_NAMES_BYTES_MAX},
                out);
}

/* A registry that ignores ?file= would return all peers as sources. It is recognized by
 * names that were not asked for. */
enum p2p_err
p2p_discovery_find(struct p2p_discovery *d, const char *name, struct p2p_peer_list *out)
{
    enum p2p_err err =
        find(d, "/peers?file=%s&limit=1000&names=0", name,
             &(struct p2p_peers){
                 .only = name, .names_max = 1, .bytes_left = P2P_NAMES_BYTES_MAX},
             out);
    size_t kept = 0;

    if (err == P2P_OK)
        err = p2p_peers_take_turns(out, d->count);
    for (size_t i = 0; i < out->count; i++) {
        if (out->at[i].files_total > 0 && !p2p_peer_has(&out->at[i], name))
            p2p_peer_info_clear(&out->at[i]);
        else
            out->at[kept++] = out->at[i];
    }
    out->count = kept;
    if (err != P2P_OK)
        p2p_peer_list_clear(out);
    return err;
}

enum p2p_err
p2p_discovery_find_root(struct p2p_discovery *d, const struct p2p_digest *root,
                        struct p2p_peer_list *out)
{
    char hex[2 * P2P_DIGEST_LEN + 1];
    enum p2p_err err;

    p2p_hex_format(root->b, sizeof(root->b), hex);
    err =
        find(d, "/peers?root=%s&limit=1000&names=0", hex, &(struct p2p_peers){0}, out);
    if (err == P2P_OK)
        err = p2p_peers_take_turns(out, d->count);
    if (err != P2P_OK)
        p2p_peer_list_clear(out);
    return err;
}
