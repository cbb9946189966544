/* The handle: the registries in use, and the state of each. */
#include "p2p/discovery.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/registry/discovery_internal.h"
#include "p2p/bytes.h"
#include "p2p/identity.h"
#include "p2p/lock.h"
#include "p2p/log.h"

/* A part of a URL that is not allowed: a login, a query. */
static bool
has_part(CURLU *url, CURLUPart part)
{
    char *text = NULL;
    bool has = curl_url_get(url, part, &text, 0) == CURLUE_OK;

    curl_free(text);
    return has;
}

/* Accepts http or https, a host and a path; removes slashes at the end. */
static enum p2p_err
check_url(const char *text, char *out, size_t cap)
{
    CURLU *url = curl_url();
    char *scheme = NULL, *whole = NULL;
    enum p2p_err err = P2P_ERR_USAGE;
    size_t len;

    if (url == NULL)
        return P2P_ERR_NOMEM;
    if (curl_url_set(url, CURLUPART_URL, text, 0) != CURLUE_OK ||
        curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
        (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0) ||
        has_part(url, CURLUPART_USER) || has_part(url, CURLUPART_QUERY) ||
        has_part(url, CURLUPART_FRAGMENT) ||
        curl_url_get(url, CURLUPART_URL, &whole, 0) != CURLUE_OK)
        goto out;
    for (len = strlen(whole); len > 0 && whole[len - 1] == '/';)
        whole[--len] = '\0';
    if (len < cap) {
        memcpy(out, whole, len + 1);
        err = P2P_OK;
    }
out:
    curl_free(scheme);
    curl_free(whole);
    curl_url_cleanup(url);
    return err;
}

enum p2p_err
p2p_discovery_open(const char *const *urls, size_t count, uint64_t timeout_ms,
                   struct p2p_discovery **out)
{
    struct p2p_discovery *d;
    enum p2p_err err;

    *out = NULL;
    p2p_http_global_init();
    d = calloc(1, sizeof(*d) + count * sizeof(d->at[0]));
    if (d == NULL)
        return P2P_ERR_NOMEM;
    if ((err = p2p_stop_new(&d->stop)) != P2P_OK) {
        free(d);
        return err;
    }
    p2p_mutex_init(&d->lock);
    p2p_mutex_init(&d->reg_lock);
    p2p_cond_init(&d->dropped);
    d->page_max = P2P_HTTP_ANSWER_MAX;
    d->timeout_ms = timeout_ms > 0 ? timeout_ms : P2P_TIMEOUT_MS;
    for (size_t i = 0; i < count; i++) {
        struct p2p_registry *r = &d->at[d->count];
        bool is_known = false;

        err = check_url(urls[i], r->url, sizeof(r->url));
        for (size_t k = 0; k < d->count; k++)
            is_known = is_known || strcmp(d->at[k].url, r->url) == 0;
        if (err != P2P_OK) {
            p2p_discovery_close(d);
            return err;
        }
        d->count += !is_known; /* a registry that is given twice counts once */
    }
    *out = d;
    return P2P_OK;
}

void
p2p_discovery_close(struct p2p_discovery *d)
{
    if (d == NULL)
        return;
    p2p_box_settle(d);
    for (size_t i = 0; i < d->count; i++)
        p2p_reg_state_clear(&d->at[i].state);
    pthread_cond_destroy(&d->dropped);
    p2p_mutex_clear(&d->lock);
    p2p_mutex_clear(&d->reg_lock);
    p2p_stop_free(d->stop);
    free(d);
}

/* A Date header has whole seconds only: smaller differences count as none. */
static int64_t
skew_of(const struct p2p_registry *r) P2P_REQUIRES(p2p_discovery_lock)
{
    return ((int64_t)p2p_time_ms() - (int64_t)p2p_registry_now_ms(r)) / 1000;
}

void
p2p_discovery_keep_seq(struct p2p_discovery *d, struct p2p_identity *identity)
{
    uint64_t stored = 0;
    enum p2p_err err = p2p_identity_load_seq(identity, &stored);

    if (err != P2P_OK && err != P2P_ERR_NOT_FOUND)
        p2p_log_warn(
            "cannot read the number of the last registration; if this device's clock "
            "is behind, the registry will refuse it reason=\"%s\"",
            p2p_err_text(err));
    p2p_lock(&d->reg_lock);
    d->last_seq = d->stored_seq = stored;
    d->seq_identity = identity;
    p2p_unlock(&d->reg_lock);
}

enum { REST_MIN_MS = 30 * 1000, REST_MAX_MS = 5 * 60 * 1000 };

static void
note_rest(struct p2p_registry *r, enum p2p_err err) P2P_REQUIRES(p2p_discovery_lock)
{
    if (err != P2P_ERR_TIMEOUT) {
        r->rest_ms = r->rests_until_ms = 0;
        return;
    }
    r->rest_ms = r->rest_ms == 0                ? REST_MIN_MS
                 : r->rest_ms * 2 < REST_MAX_MS ? r->rest_ms * 2
                                                : REST_MAX_MS;
    r->rests_until_ms = p2p_now_ms() + r->rest_ms;
}

enum p2p_err
p2p_registry_note(struct p2p_discovery *d, size_t i, const struct p2p_http_call *call)
{
    struct p2p_registry *r = &d->at[i];
    char detail[sizeof(r->detail)];
    enum p2p_err err = p2p_answer_judge(call, detail, sizeof(detail));

    p2p_lock(&d->lock);
    r->reachable =
        call->err == P2P_OK && err != P2P_ERR_NOT_REGISTRY && err != P2P_ERR_MOVED;
    r->last_error = err;
    note_rest(r, call->err);
    memcpy(r->detail, detail, sizeof(r->detail));
    if (call->err == P2P_OK) { /* for a registry that does not answer, the last known
                                * value */
        r->date_s = call->date_s;
        r->date_at_ms = p2p_now_ms();
    }
    p2p_unlock(&d->lock);
    return err;
}

void
p2p_registry_note_malformed(struct p2p_discovery *d, size_t i,
                            const struct p2p_http_call *call)
{
    struct p2p_registry *r = &d->at[i];

    p2p_lock(&d->lock);
    r->last_error = P2P_ERR_NOT_REGISTRY;
    r->reachable = false;
    snprintf(r->detail, sizeof(r->detail), "it sent a malformed list of peers%s%s%s",
             call->type[0] != '\0' ? " (" : "", call->type,
             call->type[0] != '\0' ? ")" : "");
    p2p_unlock(&d->lock);
}

size_t
p2p_discovery_states(struct p2p_discovery *d, struct p2p_registry_state *out,
                     size_t max)
{
    size_t count = d->count < max ? d->count : max;

    p2p_lock(&d->lock);
    for (size_t i = 0; i < count; i++) {
        const struct p2p_registry *r = &d->at[i];
        out[i] = (struct p2p_registry_state){.reachable = r->reachable,
                                             .registered = r->registered,
                                             .is_signed = r->is_signed,
                                             .last_error = r->last_error,
                                             .body_limit_bytes = r->body_limit_bytes,
                                             .skew_known = r->date_s != 0,
                                             .skew_s = skew_of(r)};
        memcpy(out[i].url, r->url, sizeof(out[i].url));
        memcpy(out[i].detail, r->detail, sizeof(out[i].detail));
    }
    p2p_unlock(&d->lock);
    return count;
}
