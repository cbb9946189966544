#include "ui/transfers/request.h"

#include <arpa/inet.h>
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/text/json.h"
#include "p2p/ask.h"
#include "p2p/bytes.h"
#include "ui/peers/peers.h"
#include "ui/reply/refuse.h"

/* ---- from JSON ---- */

bool
ui_request_check_name(struct http_request *req, const char *name)
{
    size_t len = name != NULL ? strlen(name) : 0;
    bool is_short;

    if (name == NULL) {
        ui_fail_value(req, "filename", "a file name");
        return false;
    }
    is_short = len <= P2P_NAME_MAX; /* with the slash of a folder */
    if (len > 1 && name[len - 1] == '/')
        len--;
    if (is_short && p2p_name_check(name, len, true) == P2P_OK)
        return true;
    http_fail(req, 400, "bad_name", "%s", p2p_err_text(P2P_ERR_NAME));
    return false;
}

/* Registries and people give addresses, not names, so names are not resolved here. */
static bool
is_address(const char *text)
{
    struct in6_addr raw;

    return text != NULL && (inet_pton(AF_INET, text, &raw) == 1 ||
                            inet_pton(AF_INET6, text, &raw) == 1);
}

void
ui_request_fail_id(struct http_request *req)
{
    ui_fail_value(
        req, "peer_id",
        "64 hexadecimal digits, or the first digits of the id of an online peer");
}

static bool
parse_id(struct http_request *req, struct ui_peers *peers, const cJSON *object,
         bool needs_id, struct ui_source *out)
{
    const char *text = http_json_string(object, "peer_id");

    if (!needs_id && cJSON_GetObjectItemCaseSensitive(object, "peer_id") == NULL)
        return true;
    if (text != NULL && ui_peers_resolve(peers, text, &out->id) == P2P_OK) {
        out->id_known = true;
        return true;
    }
    ui_request_fail_id(req);
    return false;
}

bool
ui_request_parse_address(struct http_request *req, const cJSON *object,
                         struct ui_source *out)
{
    const char *ip = http_json_string(object, "ip");
    uint64_t port;

    memset(out, 0, sizeof(*out));
    if (!is_address(ip)) {
        ui_fail_value(req, "ip", "an IP address");
        return false;
    }
    if (!http_json_u64(object, "port", 1, 65535, &port)) {
        ui_fail_value(req, "port", "a whole number from 1 to 65535");
        return false;
    }
    if (p2p_addr_make(ip, (uint16_t)port, &out->addr) != P2P_OK) {
        ui_fail_value(req, "ip", "an IP address");
        return false;
    }
    return true;
}

bool
ui_request_parse_source(struct http_request *req, struct ui_peers *peers,
                        const cJSON *object, bool needs_id, struct ui_source *out)
{
    return ui_request_parse_address(req, object, out) &&
           parse_id(req, peers, object, needs_id, out);
}

static bool
parse_peers(struct http_request *req, struct ui_peers *peers, const cJSON *body,
            struct ui_request *r)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(body, "peers");
    const cJSON *peer;

    if (list == NULL)
        return true;
    if (!cJSON_IsArray(list) || cJSON_GetArraySize(list) > UI_TRANSFER_SOURCES_MAX) {
        ui_fail_value(req, "peers", "a list of at most 64 peers");
        return false;
    }
    cJSON_ArrayForEach(peer, list)
    {
        if (!ui_request_parse_source(req, peers, peer, false,
                                     &r->sources[r->source_count]))
            return false;
        r->source_count++;
    }
    return true;
}

static bool
parse_content(struct http_request *req, const cJSON *body, struct ui_request *r)
{
    const cJSON *root = cJSON_GetObjectItemCaseSensitive(body, "root");
    const char *filename = http_json_string(body, "filename");

    if (root != NULL && !cJSON_IsNull(root)) {
        r->root_known =
            cJSON_IsString(root) &&
            p2p_hex_parse(root->valuestring, r->root.b, sizeof(r->root.b)) == P2P_OK;
        if (!r->root_known) {
            ui_fail_value(req, "root", "64 hexadecimal digits");
            return false;
        }
    }
    if (filename == NULL && r->root_known &&
        cJSON_GetObjectItemCaseSensitive(body, "filename") == NULL)
        p2p_hex_format(r->root.b, sizeof(r->root.b), r->filename);
    else if (!ui_request_check_name(req, filename))
        return false;
    else
        snprintf(r->filename, sizeof(r->filename), "%s", filename);
    return true;
}

static bool
parse_rest(struct http_request *req, const cJSON *body, struct ui_request *r)
{
    const cJSON *is_auto = cJSON_GetObjectItemCaseSensitive(body, "auto");
    const cJSON *size = cJSON_GetObjectItemCaseSensitive(body, "size");
    const cJSON *is_any = cJSON_GetObjectItemCaseSensitive(body, "any");

    r->priority = UI_NORMAL;
    if (cJSON_GetObjectItemCaseSensitive(body, "priority") != NULL &&
        !ui_priority_parse(http_json_string(body, "priority"), &r->priority)) {
        ui_fail_value(req, "priority", "low, normal or high");
        return false;
    }
    if (size != NULL && !cJSON_IsNull(size) &&
        !http_json_u64(body, "size", 0, P2P_FILE_SIZE_MAX, &r->size)) {
        ui_fail_value(req, "size", "a whole number of bytes");
        return false;
    }
    if (is_auto != NULL && !cJSON_IsBool(is_auto)) {
        ui_fail_value(req, "auto", "true or false");
        return false;
    }
    if (is_any != NULL && !cJSON_IsBool(is_any)) {
        ui_fail_value(req, "any", "true or false");
        return false;
    }
    r->is_any = cJSON_IsTrue(is_any);
    r->is_auto = is_auto != NULL ? cJSON_IsTrue(is_auto) : r->source_count == 0;
    if (!r->is_auto && r->source_count == 0) {
        ui_fail_value(req, "peers", "given when auto is false");
        return false;
    }
    return true;
}

static bool
is_folder_name(const char *name)
{
    return name[0] != '\0' && name[strlen(name) - 1] == '/';
}

static bool
parse_target(struct http_request *req, const cJSON *body, struct ui_request *r)
{
    const cJSON *save_as = cJSON_GetObjectItemCaseSensitive(body, "save_as");
    const cJSON *conflict = cJSON_GetObjectItemCaseSensitive(body, "on_conflict");

    r->conflict = P2P_CONFLICT_RENAME;
    if (conflict != NULL && !cJSON_IsNull(conflict) &&
        !ui_conflict_parse(http_json_string(body, "on_conflict"), &r->conflict)) {
        ui_fail_value(req, "on_conflict", "rename, overwrite or skip");
        return false;
    }
    if (save_as == NULL || cJSON_IsNull(save_as))
        return true;
    if (!cJSON_IsString(save_as) || strlen(save_as->valuestring) > P2P_NAME_MAX ||
        is_folder_name(save_as->valuestring) != is_folder_name(r->filename)) {
        ui_fail_value(req, "save_as",
                      "a file name, or for a folder one that ends in /");
        return false;
    }
    if (!ui_request_check_name(req, save_as->valuestring))
        return false;
    snprintf(r->save_as, sizeof(r->save_as), "%s", save_as->valuestring);
    return true;
}

struct ui_request *
ui_request_parse(struct http_request *req, struct ui_peers *peers, const cJSON *body)
{
    struct ui_request *r = calloc(1, sizeof(*r));

    if (r == NULL) {
        http_fail_err(req, P2P_ERR_NOMEM, NULL);
        return NULL;
    }
    if (parse_content(req, body, r) && parse_peers(req, peers, body, r) &&
        parse_rest(req, body, r) && parse_target(req, body, r))
        return r;
    free(r);
    return NULL;
}

/* ---- from the network ---- */

enum { CONTENTS_MAX = 1000 };

/* Decides which content the name means: the only one, or the only one at a trusted
 * peer. AMBIGUOUS keeps the contents for the answer. */
static enum p2p_err
choose_content(struct ui_request *r)
{
    const struct p2p_content *chosen = NULL;
    enum p2p_err err = p2p_contents_choose(&r->contents, &chosen);

    if (err == P2P_ERR_AMBIGUOUS && r->is_any) {
        chosen = &r->contents.at[0];
        err = P2P_OK;
    }
    if (err == P2P_OK && chosen != NULL && chosen->root_known) {
        r->root = chosen->root;
        r->root_known = true;
        r->size = chosen->size;
    }
    return err;
}

/* Asks trusted and met peers directly, whatever registries state or leave out. */
static enum p2p_err
ask_known(const struct ui_network *network, const struct p2p_ask *what,
          struct p2p_search_results *results)
{
    struct p2p_ask ask = *what;

    ask.timeout_ms = network->timeout_ms;
    ask.discovery = network->discovery;
    return p2p_ask_known(network->identity, &ask, results);
}

/* *asked: how the registries answered. */
static enum p2p_err
find_content(const struct ui_network *network, struct ui_request *r,
             enum p2p_err *asked)
{
    const struct ui_file_filter filter = {.name = r->filename};
    struct p2p_search_results results = {0};
    enum p2p_err err;

    *asked = p2p_discovery_search(network->discovery, r->filename, P2P_SEARCH_EXACT,
                                  CONTENTS_MAX, &results);
    ui_peers_add_neighbor_results(network->peers, &filter, CONTENTS_MAX, &results);
    err = ask_known(network, &(struct p2p_ask){.name = r->filename}, &results);
    if (err == P2P_OK)
        err = p2p_contents_find(network->identity, &results, r->filename, &r->contents);
    p2p_search_results_clear(&results);
    return err == P2P_OK ? choose_content(r) : err;
}

static void
add_holders(struct ui_request *r, const struct p2p_peer_list *peers)
{
    for (size_t i = 0; i < peers->count && r->source_count < UI_TRANSFER_SOURCES_MAX;
         i++)
        r->sources[r->source_count++] = (struct ui_source){
            .addr = peers->at[i].addr, .id = peers->at[i].id, .id_known = true};
}

/* A folder has no root. Its sources are the peers that share files in it, best first.
 * If they share different folders and trust does not decide, there are no sources and
 * the error is AMBIGUOUS. */
static enum p2p_err
find_folder(const struct ui_network *network, struct ui_request *r, enum p2p_err *asked)
{
    const struct ui_file_filter filter = {.part = r->filename};
    struct p2p_search_results results = {0};
    bool disputed = false;
    enum p2p_err err;

    *asked = p2p_discovery_search(network->discovery, r->filename, P2P_SEARCH_PREFIX,
                                  CONTENTS_MAX, &results);
    ui_peers_add_neighbor_results(network->peers, &filter, CONTENTS_MAX, &results);
    err = ask_known(network, &(struct p2p_ask){.text = r->filename, .folders = true},
                    &results);
    if (err == P2P_OK)
        err = p2p_contents_of_folder(network->identity, &results, r->filename,
                                     &r->contents, &disputed);
    p2p_search_results_clear(&results);
    if (err == P2P_OK && disputed && !r->is_any)
        return P2P_ERR_AMBIGUOUS;
    for (size_t i = 0; i < r->contents.count; i++)
        add_holders(r, &r->contents.at[i].peers);
    return err;
}

void
ui_request_find(const struct ui_network *network, struct ui_request *r)
{
    struct ui_source found[UI_TRANSFER_SOURCES_MAX];
    bool is_folder = r->filename[strlen(r->filename) - 1] == '/';
    enum p2p_err asked = P2P_OK;
    size_t count;

    r->err = P2P_OK;
    if (!r->is_auto)
        return;
    if (is_folder)
        r->err = find_folder(network, r, &asked);
    else if (!r->root_known)
        r->err = find_content(network, r, &asked);
    if (r->err != P2P_OK)
        return;
    count = is_folder ? 0
                      : ui_peers_find_sources(network->peers, r->filename,
                                              r->root_known ? &r->root : NULL, found,
                                              UI_TRANSFER_SOURCES_MAX);
    for (size_t i = 0; i < count && r->source_count < UI_TRANSFER_SOURCES_MAX; i++)
        r->sources[r->source_count++] = found[i];
    if (r->source_count == 0)
        r->err = asked == P2P_ERR_UNREACHABLE || asked == P2P_ERR_TIMEOUT
                     ? asked
                     : P2P_ERR_NO_SOURCE;
}

void
ui_request_free(void *request)
{
    struct ui_request *r = request;

    if (r != NULL)
        p2p_contents_clear(&r->contents);
    free(r);
}
