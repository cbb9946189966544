#include "ui/activity.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "p2p/about.h"
#include "p2p/bytes.h"
#include "p2p/control.h"
#include "p2p/guardian.h"
#include "p2p/io.h"
#include "ui/reply/jobs.h"
#include "ui/reply/json.h"

enum { TIMEOUT_MS = 2000, ID_MAX = 24 };
#define NUMBER_MAX (UINT64_C(1) << 53)

cJSON *
ui_activity_ask(const struct ui_activity *a, const char *verb)
{
    cJSON *request = cJSON_CreateObject(), *answer = NULL;
    int fd = -1;
    enum p2p_err err = p2p_guardian_control(a->keys_dir, &fd);

    cJSON_AddStringToObject(request, "verb", verb);
    if (err == P2P_OK)
        err = p2p_control_ask(fd, request, TIMEOUT_MS, &answer, NULL, 0);
    p2p_fd_close(&fd);
    cJSON_Delete(request);
    return err == P2P_OK ? answer : NULL;
}

static uint64_t
number(const cJSON *object, const char *name)
{
    uint64_t value = 0;

    (void)http_json_u64(object, name, 0, NUMBER_MAX, &value);
    return value;
}

static void
put_numbers(struct http_json_out *o, const cJSON *from, const char *const *names)
{
    for (; *names != NULL; names++)
        http_json_put_u64(o, *names, number(from, *names));
}

/* peer_id, peer_id_full, peer: the name and what it is; false without a valid id. */
static bool
put_who(struct http_json_out *o, const struct ui_activity *a, const cJSON *from)
{
    const char *hex = http_json_string(from, "peer_id");
    const char *claim = http_json_string(from, "claimed_name");
    struct p2p_about said = {.kind = P2P_ABOUT_UNKNOWN};
    struct p2p_id id;

    if (hex == NULL || p2p_hex_parse(hex, id.b, sizeof(id.b)) != P2P_OK)
        return false;
    http_json_begin(o, NULL, '{');
    ui_json_id(o, &id);
    http_json_put_bool(o, "proven",
                       cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(from, "proven")));
    http_json_begin(o, "peer", '{');
    if (claim != NULL)
        (void)p2p_about_set_name(&said, claim, strlen(claim));
    ui_json_name(o, a->identity, &id, &said);
    http_json_end(o, '}');
    return true;
}

static void
put_upload(struct http_json_out *o, const struct ui_activity *a, const cJSON *from)
{
    const char *name = http_json_string(from, "name");
    char id[ID_MAX];

    if (name == NULL || !put_who(o, a, from))
        return;
    snprintf(id, sizeof(id), "up-%llu", (unsigned long long)number(from, "id"));
    http_json_put_string(o, "id", id);
    http_json_put_string(o, "direction", "up");
    http_json_put_string(o, "name", name);
    http_json_put_u64(o, "size", number(from, "size"));
    http_json_put_u64(o, "done", number(from, "sent"));
    http_json_put_u64(o, "speed", number(from, "speed"));
    http_json_put_u64(o, "started", number(from, "started"));
    ui_json_number(o, "ended", number(from, "ended"));
    http_json_end(o, '}');
}

static void
put_peer(struct http_json_out *o, const struct ui_activity *a, const cJSON *from)
{
    static const char *const names[] = {"uploads", "bytes", "last", NULL};

    if (!put_who(o, a, from))
        return;
    put_numbers(o, from, names);
    http_json_end(o, '}');
}

static void
put_array(struct http_json_out *o, const struct ui_activity *a, const char *name,
          const cJSON *from,
          void (*put)(struct http_json_out *, const struct ui_activity *,
                      const cJSON *))
{
    const cJSON *item;

    http_json_begin(o, name, '[');
    cJSON_ArrayForEach(item, from)
    {
        put(o, a, item);
    }
    http_json_end(o, ']');
}

/* ---- GET /api/activity ---- */

struct question {
    cJSON *answer; /* NULL: no peer is running */
};

static void
work(void *context, void *arg)
{
    ((struct question *)arg)->answer = ui_activity_ask(context, "uploads");
}

static void
answer(struct http_request *req, void *context, void *arg)
{
    static const char *const names[] = {"running", "speed", "uploads",
                                        "bytes",   "since", NULL};
    const cJSON *from = ((const struct question *)arg)->answer;
    struct http_json_out o;

    ui_json_begin(&o, 4096);
    http_json_put_bool(&o, "peer_running", from != NULL);
    http_json_begin(&o, "uploaded", '{');
    put_numbers(&o, cJSON_GetObjectItemCaseSensitive(from, "uploaded"), names);
    http_json_end(&o, '}');
    put_array(&o, context, "activity",
              cJSON_GetObjectItemCaseSensitive(from, "uploads"), put_upload);
    put_array(&o, context, "peers", cJSON_GetObjectItemCaseSensitive(from, "peers"),
              put_peer);
    ui_json_reply(&o, req, 200);
}

static void
release(void *arg)
{
    cJSON_Delete(((struct question *)arg)->answer);
    free(arg);
}

void
ui_activity_handle(struct http_request *req, void *arg)
{
    static const struct ui_job_kind kind = {work, answer, release, false};
    struct ui_activity *a = arg;

    if (!ui_job_resume(a->jobs, req))
        ui_job_begin(a->jobs, req, &kind, a, calloc(1, sizeof(struct question)));
}
