#include "ui/grants_api.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#include "p2p/bytes.h"
#include "p2p/grants.h"
#include "ui/activity.h"
#include "ui/reply/json.h"
#include "ui/reply/refuse.h"

static const char *
keys_of(void *arg)
{
    return ((const struct ui_activity *)arg)->keys_dir;
}

static void
put_grant(struct http_json_out *o, const struct p2p_grant *g)
{
    http_json_begin(o, NULL, '{');
    http_json_put_u64(o, "id", g->id);
    http_json_put_string(o, "folder", g->folder[0] != '\0' ? g->folder : "/");
    http_json_put_bool(o, "everyone", g->everyone);
    http_json_begin(o, "peers", '[');
    for (size_t i = 0; i < g->peer_count; i++)
        http_json_put_hex(o, NULL, g->peers[i].b, sizeof(g->peers[i].b));
    http_json_end(o, ']');
    http_json_put_u64(o, "created", g->created_s);
    http_json_end(o, '}');
}

static void
reply_list(struct http_request *req, const char *keys_dir)
{
    struct p2p_grant *grants;
    struct http_json_out o;
    size_t count;
    enum p2p_err err = p2p_grants_list(keys_dir, &grants, &count);

    if (err != P2P_OK) {
        ui_fail(req, err, "cannot read " P2P_GRANTS_FILE " in the keys folder");
        return;
    }
    ui_json_begin(&o, 1024);
    http_json_begin(&o, "grants", '[');
    for (size_t i = 0; i < count; i++)
        put_grant(&o, &grants[i]);
    http_json_end(&o, ']');
    ui_json_reply(&o, req, 200);
    free(grants);
}

void
ui_grants_handle_list(struct http_request *req, void *arg)
{
    reply_list(req, keys_of(arg));
}

/* False: a member is no id of a peer, or there are too many. */
static bool
read_peers(const cJSON *array, struct p2p_id *out, size_t *count)
{
    const cJSON *item;

    *count = 0;
    cJSON_ArrayForEach(item, array)
    {
        const char *hex = cJSON_GetStringValue(item);
        if (hex == NULL || *count == P2P_ACCESS_PEERS_MAX ||
            p2p_hex_parse(hex, out[*count].b, sizeof(out[*count].b)) != P2P_OK)
            return false;
        (*count)++;
    }
    return true;
}

void
ui_grants_handle_set(struct http_request *req, void *arg)
{
    struct p2p_id peers[P2P_ACCESS_PEERS_MAX];
    char folder[P2P_NAME_MAX + 2];
    const cJSON *body = http_json(req), *list, *everyone;
    const char *text;
    size_t count = 0;
    enum p2p_err err;

    if (body == NULL)
        return;
    text = http_json_string(body, "folder");
    list = cJSON_GetObjectItemCaseSensitive(body, "peers");
    everyone = cJSON_GetObjectItemCaseSensitive(body, "everyone");
    if (text == NULL || p2p_grants_folder(text, folder) != P2P_OK) {
        ui_fail_value(req, "folder", "the name of a shared folder, or / for all");
        return;
    }
    if (cJSON_IsTrue(everyone) == cJSON_IsArray(list) ||
        !read_peers(list, peers, &count)) {
        ui_fail_value(req, "peers",
                      "a list of at most 64 ids of peers, or \"everyone\": true");
        return;
    }
    err = cJSON_IsTrue(everyone)
              ? p2p_grants_set_public(keys_of(arg), folder)
              : p2p_grants_set_private(keys_of(arg), folder, peers, count);
    if (err != P2P_OK)
        ui_fail(req, err, "cannot write " P2P_GRANTS_FILE " in the keys folder");
    else
        reply_list(req, keys_of(arg));
}

void
ui_grants_handle_delete(struct http_request *req, void *arg)
{
    const char *text = http_param(req, "id");
    uint64_t id = 0;
    enum p2p_err err = P2P_ERR_NOT_FOUND;

    if (p2p_decimal_parse(text, strlen(text), INT64_MAX, &id) == P2P_OK)
        err = p2p_grants_remove(keys_of(arg), id);
    if (err != P2P_OK)
        ui_fail(req, err,
                err == P2P_ERR_NOT_FOUND ? "there is no such grant"
                                         : "cannot write " P2P_GRANTS_FILE);
    else
        reply_list(req, keys_of(arg));
}
