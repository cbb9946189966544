#include "ui/mirrors_api.h"

#include <cjson/cJSON.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "p2p/bytes.h"
#include "p2p/guardian.h"
#include "p2p/log.h"
#include "ui/folders/folders.h"
#include "ui/folders/place.h"
#include "ui/reply/json.h"
#include "ui/reply/refuse.h"
#include "ui/state/events.h"

#define HELD_SHOWN 10

static void
put_held(void *arg, const char *name, bool is_removal)
{
    struct http_json_out *o = arg;

    http_json_begin(o, NULL, '{');
    http_json_put_string(o, "name", name);
    http_json_put_bool(o, "removal", is_removal);
    http_json_end(o, '}');
}

static void
put_job(struct http_json_out *o, const char *key, const struct p2p_mirror *job)
{
    char target[P2P_MIRROR_PATH_MAX + P2P_NAME_MAX + 2];

    snprintf(target, sizeof(target), "%s%s%s", job->base,
             job->prefix[0] != '\0' ? "/" : "", job->prefix);
    http_json_begin(o, key, '{');
    http_json_put_string(o, "id", job->id);
    http_json_put_hex(o, "peer_id", job->peer.b, sizeof(job->peer.b));
    http_json_put_string(o, "folder", job->folder);
    http_json_put_string(o, "target", target);
    http_json_put_bool(o, "delete", job->deletes);
    http_json_put_string(o, "state",
                         job->is_paused ? "paused" : p2p_mirror_state_name(job->state));
    ui_json_text(o, "error_code", job->error != P2P_OK ? p2p_err_name(job->error) : "");
    ui_json_text(o, "message", job->message);
    http_json_put_u64(o, "files", job->files);
    http_json_put_u64(o, "bytes", job->bytes);
    http_json_put_u64(o, "todo", job->todo);
    http_json_begin(o, "held", '{');
    http_json_put_u64(o, "changes", job->held_changes);
    http_json_put_u64(o, "removals", job->held_removals);
    http_json_begin(o, "examples", '[');
    if (job->held_changes + job->held_removals > 0 &&
        p2p_mirror_held(job, HELD_SHOWN, put_held, o) != P2P_OK)
        p2p_log_debug("cannot read what a mirror holds back id=%s", job->id);
    http_json_end(o, ']');
    http_json_end(o, '}');
    ui_json_number(o, "in_step_since", job->in_step_s);
    ui_json_number(o, "checked_at", job->checked_s);
    http_json_end(o, '}');
}

static void
fail(struct http_request *req, enum p2p_err err)
{
    if (err == P2P_ERR_EXISTS)
        http_fail(req, 409, "exists",
                  "another mirror writes into this folder, one above it or one in it");
    else
        ui_fail(req, err,
                err == P2P_ERR_NOT_FOUND ? "there is no such mirror"
                                         : "cannot use keep.db in the keys folder");
}

void
ui_mirrors_handle_list(struct http_request *req, void *arg)
{
    const struct ui_mirrors *m = arg;
    struct p2p_mirror *jobs;
    struct http_json_out o;
    size_t count;
    enum p2p_err err = p2p_mirrors_list(m->keys_dir, &jobs, &count);

    if (err != P2P_OK) {
        fail(req, err);
        return;
    }
    ui_json_begin(&o, 1024);
    http_json_begin(&o, "mirrors", '[');
    for (size_t i = 0; i < count; i++)
        put_job(&o, NULL, &jobs[i]);
    http_json_end(&o, ']');
    ui_json_reply(&o, req, 200);
    free(jobs);
}

static void
reply_one(struct http_request *req, const struct ui_mirrors *m, const char *id,
          unsigned status)
{
    struct p2p_mirror *job = malloc(sizeof(*job));
    struct http_json_out o;
    enum p2p_err err =
        job != NULL ? p2p_mirrors_find(m->keys_dir, id, job) : P2P_ERR_NOMEM;

    if (err != P2P_OK)
        fail(req, err);
    else {
        ui_json_begin(&o, 1024);
        put_job(&o, "mirror", job);
        ui_json_reply(&o, req, status);
    }
    free(job);
}

void
ui_mirrors_handle_one(struct http_request *req, void *arg)
{
    reply_one(req, arg, http_param(req, "id"), 200);
}

/* ---- Adding ---- */

static bool
read_peer(struct http_request *req, const cJSON *body, struct p2p_mirror *job)
{
    const char *hex = http_json_string(body, "peer_id");

    if (hex != NULL && p2p_hex_parse(hex, job->peer.b, sizeof(job->peer.b)) == P2P_OK)
        return true;
    ui_fail_value(req, "peer_id", "the full id of a peer");
    return false;
}

/* A folder as people write it, with or without its last slash. */
static bool
read_folder(const cJSON *body, const char *key, char out[P2P_NAME_MAX + 1])
{
    const char *text = http_json_string(body, key);
    size_t len = text != NULL ? strlen(text) : 0;

    while (len > 0 && text[len - 1] == '/')
        len--;
    if (len > P2P_NAME_MAX || (len > 0 && p2p_name_check(text, len, true) != P2P_OK))
        return false;
    memcpy(out, len > 0 ? text : "", len);
    out[len] = '\0';
    return text != NULL;
}

static bool
read_target(struct http_request *req, const struct ui_mirrors *m, const cJSON *body,
            struct p2p_mirror *job)
{
    char name[P2P_NAME_MAX + 1];
    struct ui_spot at;

    if (!read_folder(body, "target", name) || name[0] == '\0') {
        ui_fail_value(req, "target", "a folder in a shared folder, such as photos");
        return false;
    }
    if (!ui_check_spot(req, m->folders, UI_SHARED, name, &at))
        return false;
    snprintf(job->prefix, sizeof(job->prefix), "%s", at.name);
    if (p2p_root_resolve(p2p_root_path(at.root), job->base) == P2P_OK)
        return true;
    ui_fail(req, P2P_ERR_NOT_FOUND, "the shared folder is not there");
    return false;
}

static bool
read_job(struct http_request *req, const struct ui_mirrors *m, struct p2p_mirror *job)
{
    const cJSON *body = http_json(req), *quota;

    if (body == NULL || !read_peer(req, body, job) || !read_target(req, m, body, job))
        return false;
    if (!read_folder(body, "folder", job->folder)) {
        ui_fail_value(req, "folder", "a folder of the peer, or \"\" for everything");
        return false;
    }
    quota = cJSON_GetObjectItemCaseSensitive(body, "quota");
    if (quota != NULL && (!cJSON_IsNumber(quota) || quota->valuedouble < 0 ||
                          quota->valuedouble > 9e15)) {
        ui_fail_value(req, "quota", "a number of bytes");
        return false;
    }
    job->quota = quota != NULL ? (uint64_t)quota->valuedouble : 0;
    job->deletes = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(body, "delete"));
    return true;
}

void
ui_mirrors_handle_add(struct http_request *req, void *arg)
{
    const struct ui_mirrors *m = arg;
    struct p2p_mirror *job = calloc(1, sizeof(*job));
    enum p2p_err err;

    if (job == NULL)
        fail(req, P2P_ERR_NOMEM);
    else if (read_job(req, m, job)) {
        err = p2p_mirrors_add(m->keys_dir, job);
        if (err == P2P_OK)
            reply_one(req, m, job->id, 201);
        else
            fail(req, err);
    }
    free(job);
}

/* ---- Changing ---- */

void
ui_mirrors_handle_act(struct http_request *req, void *arg)
{
    const struct ui_mirrors *m = arg;
    const char *id = http_param(req, "id"), *verb = http_param(req, "verb");
    enum p2p_err err;

    if (strcmp(verb, "accept") == 0)
        err = p2p_mirrors_accept(m->keys_dir, id);
    else if (strcmp(verb, "check") == 0)
        err = p2p_mirrors_check(m->keys_dir, id);
    else if (strcmp(verb, "pause") == 0 || strcmp(verb, "resume") == 0)
        err = p2p_mirrors_pause(m->keys_dir, id, verb[0] == 'p');
    else {
        ui_fail(req, P2P_ERR_NOT_FOUND,
                "unknown action: use pause, resume, accept or check");
        return;
    }
    if (err == P2P_OK)
        reply_one(req, m, id, 200);
    else
        fail(req, err);
}

void
ui_mirrors_handle_delete(struct http_request *req, void *arg)
{
    const struct ui_mirrors *m = arg;
    const char *id = http_param(req, "id");
    struct http_json_out o;
    enum p2p_err err = p2p_mirrors_remove(m->keys_dir, id);

    if (err != P2P_OK) {
        fail(req, err);
        return;
    }
    ui_json_begin(&o, 64);
    http_json_put_string(&o, "status", "deleted");
    http_json_put_string(&o, "id", id);
    ui_json_reply(&o, req, 200);
}

static bool
is_allowed(const struct ui_mirrors *m, const struct p2p_mirror *job)
{
    for (size_t i = 0; i < m->allowed_count; i++)
        if (strcmp(m->allowed[i], job->id) == 0)
            return true;
    return false;
}

void
ui_mirrors_tell(void *arg, const struct p2p_mirror *job)
{
    const struct ui_mirrors *m = arg;
    struct http_json_out o;

    if (job->error == P2P_ERR_PERMISSION && !is_allowed(m, job)) {
        p2p_log_info("a mirror has a folder that is new to p2p-ui, so the serving "
                     "process is replaced folder=%s",
                     job->base);
        p2p_guardian_replace();
    }
    ui_json_begin(&o, 1024);
    put_job(&o, "mirror", job);
    http_json_end(&o, '}');
    ui_event_publish(m->events, "mirror", &o);
}
