/* /api/offers */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "p2p/bytes.h"
#include "p2p/clock.h"
#include "p2p/grants.h"
#include "p2p/names.h"
#include "ui/access/access.h"
#include "ui/offers/offers_internal.h"
#include "ui/peers/peers.h"
#include "ui/reply/jobs.h"
#include "ui/reply/json.h"
#include "ui/reply/refuse.h"

enum { ITEMS_SHOWN = 20, KEEP_S = 7 * 24 * 3600 };
#define DEVICE_PREFIX "device:"
#define NUMBER_MAX    (UINT64_C(1) << 53)

static struct ui_offers *
offers_of(void *arg)
{
    return *(struct ui_offers **)arg;
}

/* The paired browser that asks; "": one of the owner, or a program of the owner. */
static void
caller_of(struct ui_offers *os, const struct http_request *req,
          struct p2p_device *device)
{
    enum ui_caller caller;

    memset(device, 0, sizeof(*device));
    caller = ui_access_caller(os->parts.access, req, device);
    if (caller != UI_DEVICE && !(caller == UI_OWNER && device->is_admin))
        device->id[0] = '\0';
}

/* ---- GET ---- */

struct page {
    char device[P2P_DEVICE_ID_LEN + 1];
    cJSON *inbox; /* of p2p-peer, with items; NULL: none is running */
};

static void
add_items(struct ui_offers *os, cJSON *offer)
{
    cJSON *request = cJSON_CreateObject(), *answer = NULL;

    cJSON_AddStringToObject(request, "id", http_json_string(offer, "id"));
    if (ui_offers_ask(os, "inbox.items", request, &answer) != P2P_OK)
        return;
    cJSON_AddItemToObject(offer, "items", cJSON_DetachItemFromObject(answer, "items"));
    if (http_json_string(answer, "text") != NULL)
        cJSON_AddStringToObject(offer, "text", http_json_string(answer, "text"));
    cJSON_Delete(answer);
}

static void
read_inbox(void *context, void *arg)
{
    struct ui_offers *os = context;
    struct page *page = arg;
    cJSON *offer;

    if (ui_offers_ask(os, "inbox.list", cJSON_CreateObject(), &page->inbox) != P2P_OK)
        return;
    cJSON_ArrayForEach(offer, cJSON_GetObjectItemCaseSensitive(page->inbox, "offers"))
    {
        add_items(os, offer);
    }
}

static void
put_item(struct http_json_out *o, const char *name, uint64_t size)
{
    http_json_begin(o, NULL, '{');
    http_json_put_string(o, "name", name);
    http_json_put_u64(o, "size", size);
    http_json_end(o, '}');
}

static uint64_t
number_of(const cJSON *from, const char *name)
{
    uint64_t value = 0;

    (void)http_json_u64(from, name, 0, NUMBER_MAX, &value);
    return value;
}

static void
put_peer(struct http_json_out *o, struct ui_offers *os, const struct p2p_id *id,
         const char *said)
{
    struct p2p_about about;

    ui_peers_said(os->parts.peers, id, &about);
    if (about.name[0] == '\0' && said != NULL)
        (void)p2p_about_set_name(&about, said, strlen(said));
    http_json_begin(o, "peer", '{');
    ui_json_id(o, id);
    ui_json_name(o, os->parts.identity, id, &about);
    http_json_end(o, '}');
    http_json_put_null(o, "device");
}

/* One of another device. */
static void
put_incoming(struct http_json_out *o, struct ui_offers *os, const cJSON *from)
{
    const char *hex = http_json_string(from, "peer_id");
    const cJSON *item;
    struct p2p_id id;
    int n = 0;

    if (hex == NULL || p2p_hex_parse(hex, id.b, sizeof(id.b)) != P2P_OK)
        return;
    http_json_begin(o, NULL, '{');
    http_json_put_string(o, "id", http_json_string(from, "id"));
    http_json_put_string(o, "direction", "in");
    http_json_put_string(o, "state", http_json_string(from, "state"));
    put_peer(o, os, &id, http_json_string(from, "name"));
    http_json_put_bool(o, "always",
                       cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(from, "always")));
    ui_json_text(o, "text", http_json_string(from, "text"));
    http_json_put_u64(o, "count", number_of(from, "count"));
    http_json_put_u64(o, "size", number_of(from, "size"));
    http_json_begin(o, "items", '[');
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(from, "items"))
    {
        if (n++ < ITEMS_SHOWN && http_json_string(item, "name") != NULL)
            put_item(o, http_json_string(item, "name"), number_of(item, "size"));
    }
    http_json_end(o, ']');
    http_json_begin(o, "names", '[');
    http_json_end(o, ']');
    http_json_put_u64(o, "created", number_of(from, "received"));
    http_json_put_u64(o, "expires", number_of(from, "expires"));
    http_json_end(o, '}');
}

static void
put_device(struct http_json_out *o, const char *id, const char *name)
{
    http_json_put_null(o, "peer");
    http_json_begin(o, "device", '{');
    http_json_put_string(o, "id", id);
    http_json_put_string(o, "name", name);
    http_json_end(o, '}');
}

static const char *
device_name(const struct p2p_device *devices, size_t count, const char *id)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(devices[i].id, id) == 0)
            return devices[i].name;
    return "";
}

/* One that was sent from here: for its sender, or the paired browser that it is for. */
static void
put_own(struct http_json_out *o, struct ui_offers *os, const struct ui_offer *offer,
        bool incoming, const struct p2p_device *devices, size_t count)
{
    struct ui_offer_files files;
    cJSON *names = cJSON_Parse(offer->names);
    const cJSON *name;

    (void)!ui_offer_files_find(os, offer->names, &files);
    http_json_begin(o, NULL, '{');
    http_json_put_string(o, "id", offer->id);
    http_json_put_string(o, "direction", incoming ? "in" : "out");
    http_json_put_string(o, "state", ui_offer_state_name(offer->state));
    if (incoming)
        put_device(o, offer->from, offer->from_name);
    else if (offer->is_peer)
        put_peer(o, os, &offer->to, NULL);
    else
        put_device(o, offer->to_device, device_name(devices, count, offer->to_device));
    http_json_put_bool(o, "always", false);
    ui_json_text(o, "text", offer->text);
    http_json_put_u64(o, "count", files.count);
    http_json_put_u64(o, "size", files.size);
    http_json_begin(o, "items", '[');
    for (size_t i = 0; i < files.count && i < ITEMS_SHOWN; i++)
        put_item(o, files.at[i].name, files.at[i].size);
    http_json_end(o, ']');
    http_json_begin(o, "names", '[');
    cJSON_ArrayForEach(name, names)
    {
        http_json_put_string(o, NULL, cJSON_GetStringValue(name));
    }
    http_json_end(o, ']');
    http_json_put_u64(o, "created", offer->created_s);
    http_json_put_u64(o, "expires", offer->expires_s);
    http_json_end(o, '}');
    cJSON_Delete(names);
    ui_offer_files_clear(&files);
}

static void
put_all_own(struct http_json_out *o, struct ui_offers *os, const char *device,
            const struct p2p_device *devices, size_t device_count)
{
    size_t count;
    struct ui_offer *all = ui_offers_copy(os, &count);

    for (size_t i = count; i-- > 0;) {
        bool is_for_me = !all[i].is_peer && strcmp(all[i].to_device, device) == 0 &&
                         strcmp(all[i].from, device) != 0;
        bool is_mine = strcmp(all[i].from, device) == 0;
        if (all[i].expires_s > p2p_time_s() && (is_for_me || is_mine))
            put_own(o, os, &all[i], is_for_me, devices, device_count);
    }
    ui_offers_free_copies(all, count);
}

static void
answer_list(struct http_request *req, void *context, void *arg)
{
    struct ui_offers *os = context;
    const struct page *page = arg;
    struct p2p_device *devices = NULL;
    struct http_json_out o;
    const cJSON *offer;
    size_t count = 0;

    (void)!p2p_devices_list(os->parts.access->devices, &devices, &count);
    ui_json_begin(&o, 2048);
    http_json_put_bool(&o, "peer_running", page->inbox != NULL);
    http_json_begin(&o, "offers", '[');
    put_all_own(&o, os, page->device, devices, count);
    cJSON_ArrayForEach(offer, cJSON_GetObjectItemCaseSensitive(page->inbox, "offers"))
    {
        put_incoming(&o, os, offer);
    }
    http_json_end(&o, ']');
    http_json_begin(&o, "devices", '[');
    for (size_t i = 0; i < count; i++)
        if (devices[i].kind == P2P_DEVICE_BROWSER &&
            strcmp(devices[i].id, page->device) != 0) {
            http_json_begin(&o, NULL, '{');
            http_json_put_string(&o, "id", devices[i].id);
            http_json_put_string(&o, "name", devices[i].name);
            ui_json_number(&o, "last_seen", devices[i].last_seen_s);
            http_json_end(&o, '}');
        }
    http_json_end(&o, ']');
    http_json_put_bool(&o, "paired", page->device[0] != '\0');
    ui_json_reply(&o, req, 200);
    free(devices);
}

static void
release(void *arg)
{
    cJSON_Delete(((struct page *)arg)->inbox);
    free(arg);
}

void
ui_offers_handle_list(struct http_request *req, void *arg)
{
    static const struct ui_job_kind kind = {read_inbox, answer_list, release, false};
    struct ui_offers *os = offers_of(arg);
    struct p2p_device device;
    struct page *page;

    if (ui_job_resume(os->parts.jobs, req))
        return;
    if ((page = calloc(1, sizeof(*page))) != NULL) {
        caller_of(os, req, &device);
        snprintf(page->device, sizeof(page->device), "%s", device.id);
    }
    ui_job_begin(os->parts.jobs, req, &kind, os, page);
}

/* ---- POST ---- */

static bool
is_device(struct ui_offers *os, const char *id)
{
    struct p2p_device *devices = NULL;
    size_t count = 0;
    bool found = false;

    if (p2p_devices_list(os->parts.access->devices, &devices, &count) == P2P_OK)
        for (size_t i = 0; i < count; i++)
            found = found || (devices[i].kind == P2P_DEVICE_BROWSER &&
                              strcmp(devices[i].id, id) == 0);
    free(devices);
    return found;
}

static bool
read_to(struct ui_offers *os, const char *to, struct ui_offer *offer)
{
    if (to == NULL)
        return false;
    if (strcmp(to, "here") == 0)
        return offer->from[0] != '\0';
    if (strncmp(to, DEVICE_PREFIX, strlen(DEVICE_PREFIX)) == 0) {
        snprintf(offer->to_device, sizeof(offer->to_device), "%s",
                 to + strlen(DEVICE_PREFIX));
        return is_device(os, to + strlen(DEVICE_PREFIX));
    }
    offer->is_peer = true;
    return ui_peers_resolve(os->parts.peers, to, &offer->to) == P2P_OK;
}

static bool
check_names(struct http_request *req, const cJSON *files)
{
    const cJSON *item;
    int count = 0;

    cJSON_ArrayForEach(item, files)
    {
        const char *name = cJSON_GetStringValue(item);
        size_t len = name != NULL ? strlen(name) : 0;
        if (len > 1 && name[len - 1] == '/')
            len--;
        if (name == NULL || ++count > UI_OFFER_NAMES_MAX ||
            p2p_name_check(name, len, true) != P2P_OK) {
            ui_fail_value(req, "files",
                          "at most 100 names of shared files, or of folders that end "
                          "in /");
            return false;
        }
    }
    return true;
}

static bool
check_text(const char *text)
{
    if (text == NULL)
        return true;
    for (const unsigned char *at = (const unsigned char *)text; *at != '\0'; at++)
        if ((*at < 0x20 && strchr("\n\t\r", *at) == NULL) || *at == 0x7f)
            return false;
    return strlen(text) <= P2P_OFFER_TEXT_MAX;
}

/* Answers with an error, and false. */
static bool
read_offer(struct http_request *req, struct ui_offers *os, const cJSON *body,
           struct ui_offer *offer)
{
    const cJSON *files = cJSON_GetObjectItemCaseSensitive(body, "files");
    const char *text = http_json_string(body, "text");

    if (!read_to(os, http_json_string(body, "to"), offer)) {
        ui_fail_value(req, "to",
                      "the id of a device, device:ID of a paired browser, or here");
        return false;
    }
    if (!check_names(req, files))
        return false;
    if (!check_text(text) ||
        ((text == NULL || text[0] == '\0') && cJSON_GetArraySize(files) == 0)) {
        ui_fail_value(req, "text", "files, or a text of at most 4096 bytes");
        return false;
    }
    offer->names = cJSON_IsArray(files) ? cJSON_PrintUnformatted(files) : strdup("[]");
    offer->text = text != NULL && text[0] != '\0' ? strdup(text) : NULL;
    return true;
}

static void
reply_sent(struct http_request *req, const struct ui_offer *offer, unsigned status)
{
    struct http_json_out o;

    ui_json_begin(&o, 80);
    http_json_put_string(&o, "id", offer->id);
    http_json_put_string(&o, "state", ui_offer_state_name(offer->state));
    ui_json_reply(&o, req, status);
}

void
ui_offers_handle_send(struct http_request *req, void *arg)
{
    struct ui_offers *os = offers_of(arg);
    const cJSON *body = http_json(req);
    struct ui_offer offer = {.state = UI_OFFER_WAITING};
    struct ui_offer_files files = {.at = NULL};
    uint8_t id[P2P_OFFER_ID_LEN];
    struct p2p_device device;
    enum p2p_err err;

    if (body == NULL)
        return;
    caller_of(os, req, &device);
    snprintf(offer.from, sizeof(offer.from), "%s", device.id);
    if (device.id[0] != '\0')
        snprintf(offer.from_name, sizeof(offer.from_name), "%s", device.name);
    if (!read_offer(req, os, body, &offer))
        return;
    err = offer.names != NULL ? ui_offer_files_find(os, offer.names, &files)
                              : P2P_ERR_NOMEM;
    if (err == P2P_OK)
        err = p2p_random(id, sizeof(id));
    if (err == P2P_OK) {
        p2p_hex_format(id, sizeof(id), offer.id);
        offer.created_s = p2p_time_s();
        offer.expires_s = offer.created_s + KEEP_S;
        err = ui_offers_add(os, &offer);
    }
    if (err == P2P_ERR_TOO_LARGE)
        http_fail(req, 409, "too_many",
                  "this device has too many unanswered offers, or this offer has more "
                  "than 10000 files");
    else if (err != P2P_OK)
        ui_fail(req, err,
                err == P2P_ERR_NOT_FOUND ? "one of the files is not shared" : NULL);
    else {
        reply_sent(req, &offer, 201);
        ui_offers_kick(os);
        ui_offers_tell(os);
    }
    ui_offer_clear(&offer);
    ui_offer_files_clear(&files);
}

/* Everything below UI_OFFERS_FOLDER is for those that it is sent to. A rule that the
 * owner has made for it stays. */
static enum p2p_err
hide_folder(struct ui_offers *os)
{
    char folder[P2P_NAME_MAX + 2];
    struct p2p_grant *grants;
    size_t count;
    bool is_there = false;
    enum p2p_err err = p2p_grants_folder(UI_OFFERS_FOLDER, folder);

    if (err == P2P_OK)
        err = p2p_grants_list(os->parts.keys_dir, &grants, &count);
    if (err != P2P_OK)
        return err;
    for (size_t i = 0; i < count; i++)
        is_there = is_there || strcmp(grants[i].folder, folder) == 0;
    free(grants);
    return is_there ? P2P_OK
                    : p2p_grants_set_private(os->parts.keys_dir, folder, NULL, 0);
}

void
ui_offers_handle_folder(struct http_request *req, void *arg)
{
    struct ui_offers *os = offers_of(arg);
    enum p2p_err err = hide_folder(os);
    char hex[9], path[64];
    struct http_json_out o;
    uint8_t random[4];

    if (err == P2P_OK)
        err = p2p_random(random, sizeof(random));
    if (err != P2P_OK) {
        ui_fail(req, err, "cannot write " P2P_GRANTS_FILE " in the keys folder");
        return;
    }
    p2p_hex_format(random, sizeof(random), hex);
    snprintf(path, sizeof(path), UI_OFFERS_FOLDER "/%s", hex);
    ui_json_begin(&o, 64);
    http_json_put_string(&o, "path", path);
    ui_json_reply(&o, req, 201);
}

/* ---- POST /api/offers/{id}/... ---- */

struct decision {
    char id[UI_OFFER_ID_LEN + 1];
    bool accept, always;
    enum p2p_err err;
};

static enum p2p_err
set_always(struct ui_offers *os, const char *id)
{
    cJSON *answer = NULL, *request = cJSON_CreateObject();
    const char *peer = NULL;
    const cJSON *offer;
    enum p2p_err err = ui_offers_ask(os, "inbox.list", request, &answer);

    cJSON_ArrayForEach(offer, cJSON_GetObjectItemCaseSensitive(answer, "offers"))
    {
        const char *found = http_json_string(offer, "id");
        if (found != NULL && strcmp(found, id) == 0)
            peer = http_json_string(offer, "peer_id");
    }
    if (err == P2P_OK && peer == NULL)
        err = P2P_ERR_NOT_FOUND;
    if (err == P2P_OK) {
        request = cJSON_CreateObject();
        cJSON_AddStringToObject(request, "peer", peer);
        cJSON_AddBoolToObject(request, "always", true);
        err = ui_offers_ask(os, "inbox.always", request, NULL);
    }
    cJSON_Delete(answer);
    return err;
}

static void
decide(void *context, void *arg)
{
    struct ui_offers *os = context;
    struct decision *d = arg;
    cJSON *request = cJSON_CreateObject();

    d->err = d->always ? set_always(os, d->id) : P2P_OK;
    cJSON_AddStringToObject(request, "id", d->id);
    cJSON_AddStringToObject(request, "answer", d->accept ? "accept" : "decline");
    if (d->err == P2P_OK)
        d->err = ui_offers_ask(os, "inbox.answer", request, NULL);
    else
        cJSON_Delete(request);
    ui_offers_kick(os);
}

static void
reply_decided(struct http_request *req, const struct decision *d)
{
    struct http_json_out o;

    if (d->err == P2P_ERR_USAGE)
        http_fail(req, 409, "wrong_state", "this offer was accepted already");
    else if (d->err == P2P_ERR_NOT_FOUND)
        ui_fail(req, d->err, "there is no such offer");
    else if (d->err != P2P_OK)
        ui_fail(req, d->err, NULL);
    else {
        ui_json_begin(&o, 80);
        http_json_put_string(&o, "id", d->id);
        http_json_put_string(&o, "state", d->accept ? "accepted" : "declined");
        ui_json_reply(&o, req, 200);
    }
}

static void
answer_decided(struct http_request *req, void *context, void *arg)
{
    (void)context;
    reply_decided(req, arg);
}

/* One that waits in this program for the browser that asks. */
static bool
decide_own(struct ui_offers *os, const char *device, struct decision *d)
{
    size_t count;
    struct ui_offer *all = ui_offers_copy(os, &count);
    bool is_own = false;

    for (size_t i = 0; i < count; i++)
        if (strcmp(all[i].id, d->id) == 0) {
            is_own = true;
            d->err = all[i].is_peer || strcmp(all[i].to_device, device) != 0
                         ? P2P_ERR_NOT_FOUND
                     : all[i].state == UI_OFFER_ACCEPTED && !d->accept ? P2P_ERR_USAGE
                                                                       : P2P_OK;
        }
    ui_offers_free_copies(all, count);
    if (is_own && d->err == P2P_OK)
        (void)ui_offers_set_state(os, d->id,
                                  d->accept ? UI_OFFER_ACCEPTED : UI_OFFER_DECLINED);
    return is_own;
}

static void
handle_decision(struct http_request *req, void *arg, bool accept, bool always)
{
    static const struct ui_job_kind kind = {decide, answer_decided, free, true};
    struct ui_offers *os = offers_of(arg);
    struct decision *d;
    struct p2p_device device;

    if (ui_job_resume(os->parts.jobs, req))
        return;
    if ((d = calloc(1, sizeof(*d))) != NULL) {
        snprintf(d->id, sizeof(d->id), "%s", http_param(req, "id"));
        d->accept = accept;
        d->always = always;
        caller_of(os, req, &device);
        if (decide_own(os, device.id, d)) {
            reply_decided(req, d);
            free(d);
            return;
        }
    }
    ui_job_begin(os->parts.jobs, req, &kind, os, d);
}

void
ui_offers_handle_accept(struct http_request *req, void *offers)
{
    handle_decision(req, offers, true, false);
}

void
ui_offers_handle_decline(struct http_request *req, void *offers)
{
    handle_decision(req, offers, false, false);
}

void
ui_offers_handle_always(struct http_request *req, void *offers)
{
    handle_decision(req, offers, true, true);
}

void
ui_offers_handle_delete(struct http_request *req, void *arg)
{
    struct ui_offers *os = offers_of(arg);
    const char *id = http_param(req, "id");
    size_t count;
    struct ui_offer *all = ui_offers_copy(os, &count);
    struct p2p_device device;
    struct http_json_out o;
    bool is_mine = false;

    caller_of(os, req, &device);
    for (size_t i = 0; i < count; i++)
        is_mine =
            is_mine || (strcmp(all[i].id, id) == 0 &&
                        (device.id[0] == '\0' || strcmp(all[i].from, device.id) == 0));
    ui_offers_free_copies(all, count);
    if (!is_mine || !ui_offers_remove(os, id)) {
        ui_fail(req, P2P_ERR_NOT_FOUND, "there is no such offer");
        return;
    }
    ui_json_begin(&o, 80);
    http_json_put_string(&o, "status", "deleted");
    http_json_put_string(&o, "id", id);
    ui_json_reply(&o, req, 200);
}
