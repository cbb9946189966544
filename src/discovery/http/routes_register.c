/* POST /register, POST /register/delta, DELETE /register. */
#include <string.h>

#include "discovery/http/app.h"
#include "discovery/http/register_parse.h"
#include "discovery/meet/prober.h"
#include "http/offload.h"
#include "http/source/address.h"
#include "http/source/ratelimit.h"
#include "http/text/json.h"
#include "p2p/log.h"
#include "p2p/net.h"

static void
fail_register(struct http_request *req, const struct register_error *e)
{
    http_fail(req, e->status, e->code, "%s", e->detail);
}

/* Bodies of at least this size take milliseconds to parse and verify. */
#define LONG_BODY (64u * 1024)

/* With a store, the answer waits until Redis has the change, which may block. */
static bool
goes_elsewhere(struct http_request *req, const struct app *app)
{
    size_t len;

    http_body(req, &len);
    return (len > LONG_BODY || app->store != NULL) && http_offload(req);
}

/* Tells the other registries. False, with the answer sent: the queue to Redis is full.
 */
static bool
is_shared(struct http_request *req, struct app *app, const struct p2p_id *id)
{
    if (app->store == NULL || store_put(app->store, id) == P2P_OK)
        return true;
    http_set_header(req, "Retry-After", "5");
    http_fail(req, 503, "store_full",
              "the registry cannot reach its Redis store, and too many changes are "
              "waiting; try again later");
    return false;
}

/* Sends the answer if the registry refused the record. False: it accepted the record.
 */
static bool
is_refused(struct http_request *req, enum registry_result result, uint64_t known_seq)
{
    switch (result) {
    case REGISTRY_OK:
        return false;
    case REGISTRY_UNKNOWN:
        http_fail(req, 404, "peer_not_found", "peer not found");
        break;
    case REGISTRY_STALE:
        http_problem_member(req, "base", known_seq);
        http_fail(req, 409, "stale_seq",
                  "the registry already has seq %llu of this peer",
                  (unsigned long long)known_seq);
        break;
    case REGISTRY_SIGNED:
        http_fail(req, 409, "signed_record",
                  "this peer's record is signed: only its key can change it");
        break;
    case REGISTRY_CROWDED:
        http_fail_busy(req, 60, "too many peers are registered from this address");
        break;
    case REGISTRY_HEAVY:
        http_set_header(req, "Retry-After", "60");
        http_fail(req, 429, "too_many_files",
                  "the peers of this address register more files than the registry "
                  "allows (--max-memory-per-ip): share fewer files, or ask the "
                  "registry's operator to raise the limit");
        break;
    case REGISTRY_FULL:
        http_set_header(req, "Retry-After", "60");
        http_fail(req, 503, "full",
                  "the registry is full (--max-peers): try again later, or ask the "
                  "registry's operator to raise the limit");
        break;
    case REGISTRY_NO_ROOM:
        http_set_header(req, "Retry-After", "60");
        http_fail(req, 503, "no_memory",
                  "the registry has no memory left for this file list (--max-memory): "
                  "try again later, share fewer files, or ask the registry's operator "
                  "to raise the limit");
        break;
    case REGISTRY_NOMEM:
    case REGISTRY_REPEATED:
        http_fail_err(req, P2P_ERR_NOMEM, NULL);
        break;
    }
    return true;
}

static bool
is_within_rate(struct http_request *req, struct app *app, const struct p2p_id *id)
{
    unsigned wait_s;

    if (app->registrations == NULL || http_client_is_loopback(req))
        return true;
    wait_s =
        http_ratelimit_take(app->registrations, id->b, sizeof(id->b), 1, p2p_now_ms());
    if (wait_s > 0)
        http_fail_busy(req, wait_s, "this peer registers too often");
    return wait_s == 0;
}

static void
reply_registered(struct http_request *req, const struct record *r)
{
    struct http_json_out o;
    size_t len;
    char *text;

    http_json_init(&o, 128);
    http_json_begin(&o, NULL, '{');
    http_json_put_string(&o, "message", "registered");
    http_json_put_string(&o, "ip", r->ip);
    if (r->is_signed) {
        http_json_put_bool(&o, "verified", !r->is_ip_claimed);
        http_json_put_u64(&o, "seq", r->seq);
    }
    http_json_end(&o, '}');
    text = http_json_take(&o, &len);
    http_reply_owned(req, 200, "application/json", text, len);
}

/* A peer that is listed under the address of a proxy could not be reached. */
static bool
has_address(struct http_request *req, const struct cJSON *json)
{
    if (http_json_string(json, "ip") != NULL || !http_client_is_hidden(req))
        return true;
    http_fail(req, 400, "behind_proxy",
              "the registry does not know this peer's address, because a proxy "
              "forwarded the request: start the registry with --trusted-proxy and the "
              "proxy's address, or send ip in the registration");
    return false;
}

/* Only the address from which this request came, and only for peers that can sign: so
 * nobody can point the registry at others. */
static void
try_to_reach(struct http_request *req, struct app *app, const struct record *r)
{
    struct http_address source;
    struct trial trial = {.peer = r->id};

    if (app->prober == NULL || !r->is_signed || strcmp(r->ip, r->from) != 0 ||
        http_client_is_loopback(req) ||
        !http_address_parse(r->from, strlen(r->from), &source) ||
        p2p_addr_make(r->from, r->port, &trial.addr) != P2P_OK)
        return;
    source = http_address_source(&source);
    memcpy(trial.source.b, source.b, sizeof(trial.source.b));
    prober_ask(app->prober, &trial);
}

void
post_register(struct http_request *req, void *arg)
{
    struct app *app = arg;
    enum registry_result result;
    struct register_error error;
    const struct cJSON *json;
    struct record record;
    uint64_t known_seq;

    if (goes_elsewhere(req, arg) || (json = http_json(req)) == NULL ||
        !has_address(req, json))
        return;
    if (!register_parse(json, http_client_ip(req), p2p_time_s(), &record, &error)) {
        fail_register(req, &error);
        return;
    }
    if (app->require_signed && !record.is_signed)
        http_fail(req, 401, "signature_required",
                  "this registry accepts only signed registrations");
    else if (is_within_rate(req, app, &record.id)) {
        result = registry_put(app->registry, &record, 0, &known_seq);
        if (!is_refused(req, result, known_seq) && is_shared(req, app, &record.id))
            reply_registered(req, &record);
        if (result == REGISTRY_OK)
            try_to_reach(req, app, &record);
    }
    record_clear(&record);
}

/* ---- delta and leave ---- */

static void
fail_signature(struct http_request *req)
{
    http_fail(req, 401, "bad_signature", "invalid signature");
}

static void
reply_seq(struct http_request *req, const char *message, uint64_t seq)
{
    struct http_json_out o;
    size_t len;
    char *text;

    http_json_init(&o, 64);
    http_json_begin(&o, NULL, '{');
    http_json_put_string(&o, "message", message);
    http_json_put_u64(&o, "seq", seq);
    http_json_end(&o, '}');
    text = http_json_take(&o, &len);
    http_reply_owned(req, 200, "application/json", text, len);
}

static void
apply_delta(struct http_request *req, struct app *app, const struct register_delta *d)
{
    enum registry_result result;
    struct p2p_spki key;
    uint64_t known_seq;

    if (!is_within_rate(req, app, &d->delta.id))
        return;
    if (!registry_key(app->registry, &d->delta.id, &key))
        is_refused(req, REGISTRY_UNKNOWN, 0);
    else if (!register_delta_is_genuine(d, &key))
        fail_signature(req);
    else {
        result = registry_apply_delta(app->registry, &d->delta, &known_seq);
        if (!is_refused(req, result, known_seq) && is_shared(req, app, &d->delta.id))
            reply_seq(req, "updated", d->delta.seq);
    }
}

void
post_delta(struct http_request *req, void *arg)
{
    const struct cJSON *json;
    struct register_error error;
    struct register_delta delta;

    if (goes_elsewhere(req, arg) || (json = http_json(req)) == NULL)
        return;
    if (!register_parse_delta(json, p2p_time_s(), &delta, &error)) {
        fail_register(req, &error);
        return;
    }
    apply_delta(req, arg, &delta);
    register_delta_clear(&delta);
}

void
delete_register(struct http_request *req, void *arg)
{
    const struct cJSON *json;
    struct app *app = arg;
    enum registry_result result;
    struct register_leave leave;
    struct register_error error;
    struct p2p_spki key;
    uint64_t known_seq;

    if (goes_elsewhere(req, arg) || (json = http_json(req)) == NULL)
        return;
    if (!register_parse_leave(json, p2p_time_s(), &leave, &error))
        fail_register(req, &error);
    else if (!registry_key(app->registry, &leave.id, &key))
        is_refused(req, REGISTRY_UNKNOWN, 0);
    else if (!register_leave_is_genuine(&leave, &key))
        fail_signature(req);
    else {
        result = registry_leave(app->registry, &leave.id, leave.seq, &known_seq);
        if (is_refused(req, result, known_seq))
            return;
        if (app->store != NULL &&
            store_left(app->store, &leave.id, leave.seq) != P2P_OK)
            p2p_log_warn("store: cannot publish that a peer left; its record will "
                         "expire instead");
        reply_seq(req, "left", leave.seq);
    }
}
