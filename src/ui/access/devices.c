/* Pairing codes and paired devices over HTTP. */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/text/json.h"
#include "p2p/crypto.h"
#include "p2p/log.h"
#include "p2p/net.h"
#include "ui/access/access.h"
#include "ui/access/addresses.h"
#include "ui/access/cookie.h"
#include "ui/access/revoke.h"
#include "ui/reply/json.h"
#include "ui/reply/refuse.h"
#include "ui/state/events.h"

static void
put_device(struct http_json_out *o, const char *name, const struct p2p_device *d,
           bool is_current)
{
    http_json_begin(o, name, '{');
    http_json_put_string(o, "id", d->id);
    http_json_put_string(o, "name", d->name);
    http_json_put_string(o, "kind", p2p_device_kind_name(d->kind));
    http_json_put_u64(o, "created", d->created_s);
    ui_json_number(o, "last_seen", d->last_seen_s);
    ui_json_text(o, "address", d->address);
    http_json_put_bool(o, "administrator", d->is_admin);
    http_json_put_bool(o, "current", is_current);
    http_json_end(o, '}');
}

void
ui_access_tell_devices(struct ui_access *access)
{
    struct p2p_device *list = NULL;
    size_t count = 0;

    if (p2p_devices_list(access->devices, &list, &count) == P2P_OK)
        ui_event_count(access->events, "devices", count);
    free(list);
}

/* ---- POST /api/pair ---- */

/* A short name that is enough to tell devices apart. */
void
ui_access_name_browser(const struct http_request *req, char *out, size_t cap)
{
    const char *agent = http_header(req, "User-Agent");
    static const char *const browsers[][2] = {{"Edg/", "Edge"},
                                              {"OPR/", "Opera"},
                                              {"Firefox/", "Firefox"},
                                              {"Chrome/", "Chrome"},
                                              {"Safari/", "Safari"}};
    static const char *const systems[][2] = {
        {"Android", "Android"}, {"iPhone", "iPhone"}, {"iPad", "iPad"},
        {"Windows", "Windows"}, {"Mac OS", "macOS"},  {"Linux", "Linux"}};
    const char *browser = "A browser", *system = NULL;

    for (size_t i = 5; i-- > 0 && agent != NULL;)
        if (strstr(agent, browsers[i][0]) != NULL)
            browser = browsers[i][1];
    for (size_t i = 6; i-- > 0 && agent != NULL;)
        if (strstr(agent, systems[i][0]) != NULL)
            system = systems[i][1];
    snprintf(out, cap, "%s%s%s", browser, system != NULL ? " on " : "",
             system != NULL ? system : "");
}

static void
reply_paired(struct http_request *req, struct ui_access *access,
             const struct p2p_device *device, const char *token)
{
    struct http_json_out o;

    ui_cookie_set(req, access, token);
    ui_json_begin(&o, 256);
    http_json_put_string(&o, "status", "paired");
    put_device(&o, "device", device, true);
    ui_json_reply(&o, req, 200);
}

static void
let_in(struct http_request *req, struct ui_access *access, const char *name)
{
    char token[P2P_DEVICE_TOKEN_LEN + 1], made[P2P_DEVICE_NAME_MAX + 1];
    struct p2p_device device;
    enum p2p_err err;

    if (name == NULL || *name == '\0') {
        ui_access_name_browser(req, made, sizeof(made));
        name = made;
    }
    err = p2p_devices_add(access->devices, P2P_DEVICE_BROWSER, name,
                          http_client_ip(req), &device, token);
    if (err == P2P_OK) {
        p2p_log_info("paired a device id=%s address=%s", device.id,
                     http_client_ip(req));
        reply_paired(req, access, &device, token);
        ui_access_tell_devices(access);
    } else if (err == P2P_ERR_TOO_LARGE)
        http_fail(
            req, 403, "too_many_devices",
            "there are too many paired devices; remove one that you no longer use");
    else
        ui_fail(req, err, NULL);
    p2p_wipe(token, sizeof(token));
}

static void
refuse_code(struct http_request *req, struct ui_access *access,
            const struct ui_pairing_answer *answer)
{
    p2p_log_warn("wrong pairing code address=%s", http_client_ip(req));
    if (answer->is_alarm_raised) {
        p2p_log_warn("someone may be guessing pairing codes, so codes have 12 digits "
                     "for one day");
        ui_access_show_code(access);
    }
    if (answer->is_long)
        http_fail(req, 403, "long_code",
                  "someone tried to guess the code, so it now has 12 digits: look it "
                  "up again and type all 12");
    else
        http_fail(req, 403, "wrong_code",
                  "this code is wrong, already used, or expired");
}

void
ui_access_handle_pair(struct http_request *req, void *arg)
{
    struct ui_access *access = arg;
    cJSON *body = http_json(req);
    struct ui_pairing_answer answer;
    const char *code;
    enum p2p_err err;

    if (body == NULL)
        return;
    if ((code = http_json_string(body, "code")) == NULL) {
        http_fail(req, 400, "malformed", "code must be a string of digits");
        return;
    }
    err = ui_pairing_try(&access->pairing, ui_access_now_s(), http_client_ip(req), code,
                         &answer);
    if (err == P2P_OK)
        let_in(req, access, http_json_string(body, "name"));
    else if (err == P2P_ERR_RATE_LIMITED)
        http_fail_busy(req, answer.retry_s,
                       "too many wrong codes from this address; a code of 12 digits, "
                       "which the owner can make now, still works");
    else
        refuse_code(req, access, &answer);
}

/* ---- the code, for the owner only: a paired device must not let others in, nor pair
 * itself again after it was removed ---- */

static void
reply_code(struct http_request *req, struct ui_access *access, unsigned status,
           const char *code, uint64_t left_s)
{
    struct http_json_out o;
    struct ui_urls urls;

    ui_urls_find(access, req, &urls);
    ui_json_begin(&o, 256);
    http_json_put_string(&o, "code", code);
    http_json_put_u64(&o, "expires_at", p2p_time_s() + left_s);
    http_json_begin(&o, "urls", '[');
    for (size_t i = 0; i < urls.count; i++) {
        char url[UI_URL_MAX + 16];
        snprintf(url, sizeof(url), "%s#pair=%s", urls.at[i], code);
        http_json_put_string(&o, NULL, url);
    }
    http_json_end(&o, ']');
    ui_json_reply(&o, req, status);
}

void
ui_access_handle_code(struct http_request *req, void *arg)
{
    struct ui_access *access = arg;
    char code[UI_CODE_LEN + 1];
    uint64_t left_s;

    if (ui_pairing_current(&access->pairing, ui_access_now_s(), code, &left_s))
        reply_code(req, access, 200, code, left_s);
    else
        http_fail(req, 404, "no_code",
                  "the code was used already or has expired; create a new one");
    p2p_wipe(code, sizeof(code));
}

void
ui_access_handle_new_code(struct http_request *req, void *arg)
{
    struct ui_access *access = arg;
    char code[UI_CODE_LEN + 1];
    uint64_t left_s;
    enum p2p_err err;

    if ((err = ui_pairing_renew(&access->pairing, ui_access_now_s(), code, &left_s)) !=
        P2P_OK)
        ui_fail(req, err, NULL);
    else
        reply_code(req, access, 201, code, left_s);
    p2p_wipe(code, sizeof(code));
}

/* ---- the list ---- */

void
ui_access_handle_devices(struct http_request *req, void *arg)
{
    struct ui_access *access = arg;
    struct p2p_device *list = NULL, self = {.id = ""};
    struct http_json_out o;
    size_t count = 0;
    enum p2p_err err;

    ui_access_caller(access, req, &self);
    if ((err = p2p_devices_list(access->devices, &list, &count)) != P2P_OK) {
        ui_fail(req, err, NULL);
        return;
    }
    ui_json_begin(&o, 1024);
    http_json_begin(&o, "devices", '[');
    for (size_t i = 0; i < count; i++)
        put_device(&o, NULL, &list[i], strcmp(list[i].id, self.id) == 0);
    http_json_end(&o, ']');
    ui_json_reply(&o, req, 200);
    free(list);
}

static void
reply_changed(struct http_request *req, struct ui_access *access, const char *id)
{
    struct p2p_device *list = NULL, self = {.id = ""};
    struct http_json_out o;
    size_t count = 0;

    ui_access_caller(access, req, &self);
    (void)!p2p_devices_list(access->devices, &list, &count);
    ui_json_begin(&o, 256);
    http_json_put_string(&o, "status", "changed");
    for (size_t i = 0; i < count; i++)
        if (strcmp(list[i].id, id) == 0)
            put_device(&o, "device", &list[i], strcmp(list[i].id, self.id) == 0);
    ui_json_reply(&o, req, 200);
    free(list);
}

void
ui_access_handle_device_change(struct http_request *req, void *arg)
{
    struct ui_access *access = arg;
    const cJSON *body = http_json(req), *admin;
    const char *id = http_param(req, "id");
    enum p2p_err err;

    if (body == NULL)
        return;
    admin = cJSON_GetObjectItemCaseSensitive(body, "administrator");
    if (!cJSON_IsBool(admin)) {
        ui_fail_value(req, "administrator", "true or false");
        return;
    }
    err = p2p_devices_set_admin(access->devices, id, cJSON_IsTrue(admin));
    if (err != P2P_OK) {
        ui_fail(req, err,
                err == P2P_ERR_NOT_FOUND ? "no paired browser has this id" : NULL);
        return;
    }
    p2p_log_info("administrator=%s id=%s by=%s", cJSON_IsTrue(admin) ? "yes" : "no", id,
                 http_client_ip(req));
    reply_changed(req, access, id);
    ui_access_tell_devices(access);
}

void
ui_access_handle_device_delete(struct http_request *req, void *arg)
{
    struct ui_access *access = arg;
    const char *id = http_param(req, "id");
    struct http_json_out o;
    enum p2p_err err = p2p_devices_remove(access->devices, id);

    if (err != P2P_OK) {
        ui_fail(req, err, err == P2P_ERR_NOT_FOUND ? "there is no such device" : NULL);
        return;
    }
    /* Closes the device's requests first, so that the event does not reach its stream.
     * A device that removes itself still gets the answer. */
    http_set_group(req, 0);
    ui_revoke_look(access);
    p2p_log_info("removed a device by=%s", http_client_ip(req));
    ui_json_begin(&o, 64);
    http_json_put_string(&o, "status", "deleted");
    http_json_put_string(&o, "id", id);
    ui_json_reply(&o, req, 200);
    ui_access_tell_devices(access);
}
