#include "ui/links_api.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/offload.h"
#include "p2p/box.h"
#include "p2p/bytes.h"
#include "p2p/clock.h"
#include "p2p/links.h"
#include "p2p/public_url.h"
#include "ui/access/access.h"
#include "ui/folders/listing.h"
#include "ui/reply/json.h"
#include "ui/reply/refuse.h"

/* ---- the list ---- */

static void
put_limit(struct http_json_out *o, const char *name, uint64_t value)
{
    if (value == P2P_LINKS_NO_LIMIT)
        http_json_put_null(o, name);
    else
        http_json_put_u64(o, name, value);
}

static void
put_names(struct http_json_out *o, const char *names)
{
    char name[P2P_NAME_MAX + 2];
    size_t len;

    http_json_begin(o, "files", '[');
    for (; *names != '\0'; names += len + (names[len] != '\0')) {
        len = strcspn(names, "\n");
        snprintf(name, sizeof(name), "%.*s", (int)len, names);
        http_json_put_string(o, NULL, name);
    }
    http_json_end(o, ']');
}

static void
put_row(struct http_json_out *o, const struct p2p_links_row *row)
{
    char guest[P2P_ID_HEX_LEN + 1];

    http_json_begin(o, NULL, '{');
    http_json_put_u64(o, "id", row->id);
    http_json_put_string(o, "title", row->title);
    put_names(o, row->names);
    p2p_hex_format(row->keys.guest.b, sizeof(row->keys.guest.b), guest);
    http_json_put_string(o, "guest", guest);
    http_json_put_u64(o, "created", row->created_s);
    http_json_put_u64(o, "expires", row->expires_s);
    put_limit(o, "uses_left", row->uses_left);
    put_limit(o, "bytes_left", row->bytes_left);
    http_json_put_bool(o, "has_pin", row->has_pin);
    if (row->folder[0] != '\0')
        http_json_put_string(o, "folder", row->folder);
    http_json_end(o, '}');
}

static void
put_url(struct http_json_out *o, const char *url)
{
    size_t len = 0;
    char *svg = ui_qr_draw(url, &len);

    http_json_put_string(o, "url", url);
    if (svg != NULL) {
        http_json_put_string(o, "qr", svg);
        p2p_wipe(svg, len);
    }
    free(svg);
}

/* `url`: of the link that was made, or NULL. */
static void
reply_list(struct http_request *req, const char *keys_dir, unsigned status,
           const char *url)
{
    struct p2p_links_row *rows;
    struct http_json_out o;
    size_t count;
    enum p2p_err err = p2p_links_list(keys_dir, &rows, &count);

    if (err != P2P_OK) {
        ui_fail(req, err, "cannot read the links in the keys folder");
        return;
    }
    ui_json_begin(&o, 1024);
    if (url != NULL)
        put_url(&o, url);
    http_json_begin(&o, "links", '[');
    for (size_t i = 0; i < count; i++)
        put_row(&o, &rows[i]);
    http_json_end(&o, ']');
    ui_json_reply(&o, req, status);
    if (rows != NULL)
        p2p_wipe(rows, count * sizeof(*rows));
    free(rows);
}

void
ui_links_handle_list(struct http_request *req, void *arg)
{
    reply_list(req, ((const struct ui_links_api *)arg)->keys_dir, 200, NULL);
}

/* ---- a new one ---- */

/* A member that may be missing. False: it is no number from 1 to `max`. */
static bool
read_number(const cJSON *body, const char *name, uint64_t max, uint64_t *out)
{
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(body, name);

    if (value == NULL || cJSON_IsNull(value))
        return true;
    if (!cJSON_IsNumber(value) || value->valuedouble < 1 ||
        value->valuedouble > (double)max)
        return false;
    *out = (uint64_t)value->valuedouble;
    return true;
}

static bool
read_files(const cJSON *body, struct p2p_links_row *row)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(body, "files"), *item;

    if (!cJSON_IsArray(list))
        return false;
    cJSON_ArrayForEach(item, list)
    {
        const char *name = cJSON_GetStringValue(item);
        if (name == NULL || p2p_links_name(row, name) != P2P_OK)
            return false;
    }
    return row->names[0] != '\0';
}

static bool
has_file(const struct ui_listing *listing, const char *name)
{
    size_t len = strlen(name);
    bool is_folder = name[len - 1] == '/';

    for (size_t i = 0; i < listing->count; i++)
        if (is_folder ? strncmp(listing->files[i].name, name, len) == 0
                      : strcmp(listing->files[i].name, name) == 0)
            return true;
    return false;
}

/* A link to nothing would only be noticed by its guests. Answers if a name is not
 * shared. */
static bool
are_shared(struct http_request *req, struct ui_folders *folders, const cJSON *body)
{
    const cJSON *item, *list = cJSON_GetObjectItemCaseSensitive(body, "files");
    const struct ui_listing *listing;
    const char *missing = NULL;
    enum p2p_err err = ui_listing_get(folders, UI_SHARED, &listing);

    if (err != P2P_OK) {
        ui_fail(req, err, "cannot read the shared folders");
        return false;
    }
    cJSON_ArrayForEach(item, list)
    {
        const char *name = cJSON_GetStringValue(item);
        if (missing == NULL && name != NULL && !has_file(listing, name))
            missing = name;
    }
    ui_listing_release(listing);
    if (missing == NULL)
        return true;
    ui_fail(req, P2P_ERR_NOT_FOUND,
            "one of the files is not shared, or the folder is "
            "empty");
    return false;
}

/* Answers the first thing that is wrong. */
static bool
read_body(struct http_request *req, const cJSON *body, struct p2p_links_row *row)
{
    const char *title = http_json_string(body, "title");
    uint64_t lifetime_s = P2P_LINKS_DEFAULT_S;

    row->uses_left = row->bytes_left = P2P_LINKS_NO_LIMIT;
    if (!read_files(body, row))
        ui_fail_value(req, "files",
                      "names of shared files, and of folders with a / at the end");
    else if (title != NULL && strlen(title) > P2P_LINKS_TITLE_MAX)
        ui_fail_value(req, "title", "at most 200 bytes");
    else if (!read_number(body, "expires", P2P_LINKS_MAX_S, &lifetime_s))
        ui_fail_value(req, "expires", "seconds from now, at most a year");
    else if (!read_number(body, "uses", UINT32_MAX, &row->uses_left))
        ui_fail_value(req, "uses", "a number of guests, at least 1");
    else if (!read_number(body, "bytes", P2P_FILE_SIZE_MAX, &row->bytes_left))
        ui_fail_value(req, "bytes", "a number of bytes, at least 1");
    else {
        snprintf(row->title, sizeof(row->title), "%s", title != NULL ? title : "");
        row->created_s = p2p_time_s();
        row->expires_s = row->created_s + lifetime_s;
        return true;
    }
    return false;
}

/* The registry that sends the page to guests. */
static bool
find_place(struct http_request *req, struct p2p_discovery *d,
           char out[P2P_CODE_REGISTRY_MAX])
{
    struct p2p_registry_state state;
    struct p2p_reach_offer offer;

    if (d == NULL || p2p_discovery_states(d, &state, 1) == 0 ||
        p2p_reach_offer(d, 0, &offer) != P2P_OK || !offer.has_links) {
        http_fail(req, 503, "no_registry",
                  "no registry that has a page for links answers");
        return false;
    }
    p2p_url_for_others(state.url, out);
    if (p2p_url_is_safe_for_links(out))
        return true;
    http_fail(req, 409, "no_https",
              "the registry has no https, so others could change the page before it "
              "arrives and read the link");
    return false;
}

static enum p2p_err
make(const char *keys_dir, const char *registry, const char *pin,
     struct p2p_links_row *row, char url[P2P_LINK_URL])
{
    struct p2p_link_secret secret;
    enum p2p_err err = p2p_link_make(&secret);

    if (err == P2P_OK)
        err = p2p_link_derive(&secret, &row->keys);
    row->has_pin = pin != NULL;
    if (err == P2P_OK && pin != NULL)
        err = p2p_link_pin_of(&row->keys, pin, &row->pin);
    if (err == P2P_OK)
        err = p2p_link_url(registry, &secret, url);
    if (err == P2P_OK)
        err = p2p_links_add(keys_dir, row);
    p2p_wipe(&secret, sizeof(secret));
    return err;
}

void
ui_links_handle_make(struct http_request *req, void *arg)
{
    const struct ui_links_api *api = arg;
    char registry[P2P_CODE_REGISTRY_MAX], url[P2P_LINK_URL];
    struct p2p_links_row row = {.id = 0};
    const cJSON *body = http_json(req);
    enum p2p_err err;

    if (body == NULL || !read_body(req, body, &row) || http_offload(req) ||
        !are_shared(req, api->folders, body) ||
        !find_place(req, api->discovery, registry))
        return;
    err = make(api->keys_dir, registry, http_json_string(body, "pin"), &row, url);
    if (err == P2P_ERR_TOO_LARGE)
        ui_fail(req, err,
                "there are 32 links already, as many as p2p-peer answers; revoke one "
                "first");
    else if (err != P2P_OK)
        ui_fail(req, err, "cannot store the link in the keys folder");
    else
        reply_list(req, api->keys_dir, 201, url);
    p2p_wipe(&row, sizeof(row));
    p2p_wipe(url, sizeof(url));
}

void
ui_links_handle_revoke(struct http_request *req, void *arg)
{
    const struct ui_links_api *api = arg;
    const char *text = http_param(req, "id");
    uint64_t id = 0;
    enum p2p_err err = P2P_ERR_NOT_FOUND;

    if (p2p_decimal_parse(text, strlen(text), INT64_MAX, &id) == P2P_OK)
        err = p2p_links_revoke(api->keys_dir, id);
    if (err != P2P_OK)
        ui_fail(req, err,
                err == P2P_ERR_NOT_FOUND ? "there is no such link"
                                         : "cannot write the links");
    else
        reply_list(req, api->keys_dir, 200, NULL);
}
