/* Finding: lists and searches of all registries, checked, merged by peer. */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "discovery_internal.h"
#include "p2p/bytes.h"

enum { PAGES_MAX = 200, CURSOR_MAX = 2048 };
/* All pages of one registry: a list that is longer is not believed to the end. */
#define WALK_BYTES_MAX (4 * P2P_HTTP_ANSWER_MAX)

/* ---- Asking all registries, page by page ---- */

struct walk {
    char *cursor; /* of the next page; owned */
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

/* The page's content, and where the next one begins. */
static void
on_page(struct walk *walk, const struct p2p_http_call *call, p2p_page_visit *visit,
        void *arg)
{
    cJSON *json = p2p_json_parse(call->answer, call->len);
    const char *next = p2p_json_text(json, "next");

    free(walk->cursor);
    walk->cursor = NULL;
    walk->err = json == NULL ? P2P_ERR_MALFORMED : visit(arg, json);
    if (walk->err == P2P_OK && next != NULL && next[0] != '\0' &&
        strlen(next) <= CURSOR_MAX)
        walk->cursor = strdup(next);
    walk->bytes += call->len;
    walk->done = walk->cursor == NULL || walk->bytes >= WALK_BYTES_MAX;
    cJSON_Delete(json);
}

static void
walk_round(struct p2p_discovery *d, struct walk *walks, struct p2p_http_call *calls,
           const char *path, const char *argument, p2p_page_visit *visit, void *arg)
{
    size_t count = 0;

    for (size_t i = 0; i < d->count; i++) {
        if (walks[i].done)
            continue;
        calls[count].method = "GET";
        calls[count++].url = page_url(d, i, path, argument, walks[i].cursor);
    }
    p2p_http_run(calls, count, d->timeout_ms);
    for (size_t i = 0, c = 0; i < d->count; i++) {
        enum p2p_err err;
        if (walks[i].done)
            continue;
        err = p2p_registry_note(d, i, &calls[c]);
        if (err == P2P_OK) {
            on_page(&walks[i], &calls[c], visit, arg);
        } else {
            /* Pages that came before count; a later one that fails only ends the list.
             */
            walks[i].err = walks[i].cursor != NULL ? P2P_OK : err;
            walks[i].done = true;
        }
        p2p_http_call_clear(&calls[c++]);
    }
}

enum p2p_err
p2p_discovery_ask(struct p2p_discovery *d, const char *path, const char *argument,
                  size_t pages, p2p_page_visit *visit, void *arg)
{
    struct p2p_http_call *calls = calloc(d->count + 1, sizeof(*calls));
    struct walk *walks = calloc(d->count + 1, sizeof(*walks));
    enum p2p_err err = P2P_ERR_UNREACHABLE;
    size_t open = d->count;

    if (calls == NULL || walks == NULL)
        err = P2P_ERR_NOMEM;
    for (size_t page = 0; err != P2P_ERR_NOMEM && open > 0 && page < pages; page++) {
        walk_round(d, walks, calls, path, argument, visit, arg);
        open = 0;
        for (size_t i = 0; i < d->count; i++)
            open += !walks[i].done;
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
visit_peers(void *arg, const cJSON *json)
{
    const cJSON *array = cJSON_GetObjectItemCaseSensitive(json, "peers");

    return cJSON_IsArray(array) ? p2p_peers_take(array, arg) : P2P_ERR_MALFORMED;
}

static enum p2p_err
find(struct p2p_discovery *d, const char *path, const char *argument,
     struct p2p_peer_list *out)
{
    struct p2p_peers peers = {0};
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
p2p_discovery_peers(struct p2p_discovery *d, struct p2p_peer_list *out)
{
    return find(d, "/peers?limit=1000", NULL, out);
}

/* A registry that ignores ?file= would make everyone a source. */
enum p2p_err
p2p_discovery_find(struct p2p_discovery *d, const char *name, struct p2p_peer_list *out)
{
    enum p2p_err err = find(d, "/peers?file=%s&limit=1000", name, out);
    size_t kept = 0;

    for (size_t i = 0; i < out->count; i++) {
        if (out->at[i].file_count > 0 && !p2p_peer_has(&out->at[i], name))
            p2p_peer_clear(&out->at[i]);
        else
            out->at[kept++] = out->at[i];
    }
    out->count = kept;
    return err;
}

enum p2p_err
p2p_discovery_find_root(struct p2p_discovery *d, const struct p2p_digest *root,
                        struct p2p_peer_list *out)
{
    char hex[2 * P2P_DIGEST_LEN + 1];

    p2p_hex_format(root->b, sizeof(root->b), hex);
    return find(d, "/peers?root=%s&limit=1000", hex, out);
}
