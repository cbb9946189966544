/* Registers with several registries at once. Each one gets the difference between what
 * it has and what is shared now, in the smallest step that it supports. */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/registry/discovery_internal.h"
#include "p2p/bytes.h"
#include "p2p/identity.h"
#include "p2p/lock.h"
#include "p2p/log.h"

/* Request bodies stay well below the registry's limit (P2P_REGISTER_BODY_MAX). */
enum { BODY_BUDGET = 8 * 1024 * 1024, BODY_BUDGET_MIN = 2048, ROUNDS_MAX = 1024 };
/* A 429 may be about the number of requests: then smaller ones would not help. */
enum { BODY_BUDGET_BUSY = 256 * 1024 };
/* The time that slow registries have after another one has answered, in addition to the
 * time for the body at 100 kB/s. */
enum { PATIENCE_MS = 5000, PATIENCE_BYTES_PER_MS = 100, LEAVE_PATIENCE_MS = 1000 };
/* A heartbeat is small and answered from memory. It must not delay the next one. */
enum { BEAT_PATIENCE_MS = 2000 };
/* A registry that did not accept everything is tried again after this time, whatever
 * the others do. */
enum { RETRY_PAUSE_MIN_MS = 1000, RETRY_PAUSE_MAX_MS = 120 * 1000 };

enum step { STEP_NONE, STEP_DELTA, STEP_WHOLE, STEP_UNSIGNED };

/* A registry's answer can raise this peer's seq at most this far above its clock. */
#define SEQ_AHEAD_MS 60000u
/* The stored seq is this far ahead, because it is written at most once a minute. */
#define SEQ_STORED_AHEAD_MS 60000u

/* The state of the registration with one registry. */
struct job {
    struct p2p_registry *registry;
    enum step step;
    struct p2p_reg_diff diff;
    uint64_t seq, renew_at_ms;
    uint64_t expires_at_s;
    unsigned seq_conflicts, clock_tries;
    bool has_new_clock; /* the registry refused a seq so far ahead: use its clock */
    bool done, is_held;
    enum p2p_err err;
};

static const char *
advertised(const struct p2p_reg *reg)
{
    return reg->advertise != NULL ? reg->advertise : "";
}

static uint32_t
ttl_of(const struct p2p_reg *reg)
{
    return reg->ttl_s < P2P_REG_TTL_MAX_S ? reg->ttl_s : P2P_REG_TTL_MAX_S;
}

/* True if the address or the way of registering has changed, or the next full
 * registration is due. */
static bool
must_be_told_again(const struct p2p_registry *r, const struct p2p_reg *reg,
                   uint64_t renew_at_ms) P2P_REQUIRES(p2p_discovery_reg_lock)
{
    return r->port != reg->port || strcmp(r->ip, advertised(reg)) != 0 ||
           renew_at_ms <= p2p_now_ms();
}

static void
forget(struct p2p_discovery *d, struct p2p_registry *r)
{
    p2p_reg_state_clear(&r->state);
    p2p_lock(&d->lock);
    r->registered = false;
    p2p_unlock(&d->lock);
}

/*
 * The next seq. It rises across restarts and across programs with the same identity: it
 * is the clock in milliseconds. All registries of a round get the same number.
 * Registries that share one store then recognize the second registration as the same
 * record.
 */
static uint64_t
next_seq(struct p2p_discovery *d) P2P_REQUIRES(p2p_discovery_reg_lock)
{
    uint64_t ms = p2p_time_ms();

    d->last_seq = ms > d->last_seq ? ms : d->last_seq + 1;
    return d->last_seq;
}

/* Stores the seq after a registry has accepted it. A number that none has accepted is
 * not stored: it may come from a wrong clock. */
static void
store_seq(struct p2p_discovery *d, uint64_t seq) P2P_REQUIRES(p2p_discovery_reg_lock)
{
    if (d->seq_identity == NULL || seq <= d->stored_seq)
        return;
    d->stored_seq = seq + SEQ_STORED_AHEAD_MS;
    if (p2p_identity_store_seq(d->seq_identity, d->stored_seq, false) != P2P_OK)
        p2p_log_warn(
            "cannot save the number of the last registration: after a restart with a "
            "wrong clock, registries may refuse this device for a while");
}

/* The highest seq that a registry whose clock is behind accepts; never above the limit
 * for others. */
static uint64_t
clock_of(struct p2p_discovery *d, const struct p2p_registry *r)
{
    uint64_t own_ms = p2p_time_ms(), its_ms = p2p_registry_time_ms(d, r);

    return its_ms < own_ms + SEQ_AHEAD_MS ? its_ms : own_ms + SEQ_AHEAD_MS;
}

/* The round's seq, unless the registry's clock is far behind ours: it would refuse that
 * number. */
static uint64_t
seq_for(struct p2p_discovery *d, const struct job *job, uint64_t seq)
    P2P_REQUIRES(p2p_discovery_reg_lock)
{
    const struct p2p_registry *r = job->registry;
    uint64_t its_ms = clock_of(d, r);

    if (job->has_new_clock || its_ms + SEQ_AHEAD_MS < p2p_time_ms())
        seq = its_ms;
    return seq > r->seq ? seq : r->seq + 1;
}

/* The stored seq comes from a wrong clock that was corrected since, and no registry
 * accepts it: begin again with the clock. */
static void
drop_wrong_seq(struct p2p_discovery *d, struct p2p_registry *r)
    P2P_REQUIRES(p2p_discovery_reg_lock)
{
    uint64_t most = p2p_time_ms() + SEQ_AHEAD_MS;

    r->seq = 0;
    if (d->last_seq <= most && d->stored_seq <= most)
        return;
    d->last_seq = p2p_time_ms();
    d->stored_seq = d->last_seq;
    if (d->seq_identity != NULL &&
        p2p_identity_store_seq(d->seq_identity, d->last_seq, true) != P2P_OK)
        p2p_log_warn("cannot save the number of the last registration");
}

/* Which step comes first. */
static void
plan_first(struct p2p_discovery *d, struct job *job, const struct p2p_reg *reg,
           bool force) P2P_REQUIRES(p2p_discovery_reg_lock)
{
    struct p2p_registry *r = job->registry;
    bool is_unsigned_and_same = false, registered, is_signed, again;

    p2p_lock(&d->lock);
    job->is_held = r->held_until_ms > p2p_now_ms();
    registered = r->registered;
    is_signed = r->is_signed;
    again = must_be_told_again(r, reg, r->renew_at_ms);
    p2p_unlock(&d->lock);
    if (job->is_held) {
        if (force)
            forget(d, r); /* it gets the whole list then */
        job->done = true;
        job->err = P2P_ERR_RATE_LIMITED;
        return;
    }
    if (!force && registered && !is_signed && !again) {
        /* For a registry that only knows the documented request: sends everything, and
         * only if something changed. */
        job->err = p2p_reg_diff_make(&r->state, reg->files, reg->count, BODY_BUDGET,
                                     &job->diff);
        is_unsigned_and_same = job->err == P2P_OK && job->diff.complete &&
                               job->diff.added_count + job->diff.removed_count == 0;
        p2p_reg_diff_clear(&job->diff);
    }
    if (is_unsigned_and_same) {
        job->done = true;
        return;
    }
    job->step = force || !registered || !is_signed || again ? STEP_WHOLE : STEP_DELTA;
    if (job->step == STEP_WHOLE)
        forget(d, r);
}

static size_t
budget_of(const struct p2p_registry *r) P2P_REQUIRES(p2p_discovery_reg_lock)
{
    return r->budget_bytes > 0 ? r->budget_bytes : BODY_BUDGET;
}

/* Sends less per request from now on, but not less than `least`; the rest follows as
 * deltas. False: the request cannot be smaller. */
static bool
send_less(struct job *job, size_t body_bytes, size_t least)
    P2P_REQUIRES(p2p_discovery_reg_lock)
{
    struct p2p_registry *r = job->registry;
    size_t budget = budget_of(r);

    if (job->diff.added_count + job->diff.removed_count < 2 || budget <= least)
        return false;
    /* The list may be smaller than the limit: use the size that was sent. */
    r->budget_bytes = (body_bytes < budget ? body_bytes : budget) / 2;
    if (r->budget_bytes < least)
        r->budget_bytes = least;
    return true;
}

/* A 413 comes from a proxy in front of the registry, because the registry itself
 * accepts more than we send. */
static bool
fit_proxy(struct p2p_discovery *d, struct job *job, size_t body_bytes)
    P2P_REQUIRES(p2p_discovery_reg_lock)
{
    struct p2p_registry *r = job->registry;

    if (!send_less(job, body_bytes, BODY_BUDGET_MIN))
        return false;
    p2p_lock(&d->lock);
    r->body_limit_bytes = 1; /* until a size is found that the registry accepts */
    p2p_unlock(&d->lock);
    return true;
}

/* Builds the body of the next step; done without a body when nothing is left to
 * send. */
static enum p2p_err
make_call(struct p2p_discovery *d, struct job *job, const struct p2p_reg *reg,
          uint64_t seq, struct p2p_http_call *call) P2P_REQUIRES(p2p_discovery_reg_lock)
{
    struct p2p_registry *r = job->registry;
    const char *path = job->step == STEP_DELTA ? "/register/delta" : "/register";
    uint32_t ttl_s = ttl_of(reg);
    enum p2p_err err;

    job->seq = seq_for(d, job, seq);
    job->renew_at_ms = p2p_now_ms() + (uint64_t)ttl_s * 500;
    err =
        p2p_reg_diff_make(&r->state, reg->files, reg->count, budget_of(r), &job->diff);
    if (err != P2P_OK)
        return err;
    if (job->step == STEP_DELTA &&
        job->diff.added_count + job->diff.removed_count == 0) {
        job->done = true;
        return P2P_OK;
    }
    if (job->step == STEP_DELTA) {
        err = p2p_reg_body_delta(reg, &job->diff, job->seq, r->seq, &call->body);
    } else if (job->step == STEP_WHOLE) {
        job->expires_at_s = p2p_registry_time_ms(d, r) / 1000 + ttl_s;
        err = p2p_reg_body_whole(reg, &job->diff, job->seq, job->expires_at_s,
                                 &call->body);
    } else {
        err = p2p_reg_body_unsigned(reg, &job->diff, &call->body);
    }
    call->method = "POST";
    call->expected = P2P_ANSWER_MESSAGE;
    if (err == P2P_OK)
        call->url = p2p_http_url(r->url, path, NULL, 0);
    return err;
}

/* The registry has accepted it: remember that, and continue with the rest. */
static void
on_accepted(struct p2p_discovery *d, struct job *job, const struct p2p_reg *reg,
            size_t body_bytes) P2P_REQUIRES(p2p_discovery_reg_lock)
{
    struct p2p_registry *r = job->registry;
    bool complete = job->diff.complete;

    job->err = p2p_reg_state_apply(&r->state, &job->diff);
    if (job->err != P2P_OK)
        forget(d, r);
    if (job->step != STEP_UNSIGNED) {
        r->seq = job->seq;
        store_seq(d, job->seq);
    }
    r->port = reg->port;
    snprintf(r->ip, sizeof(r->ip), "%s", advertised(reg));
    p2p_lock(&d->lock);
    if (job->step != STEP_DELTA)
        r->renew_at_ms = job->renew_at_ms;
    r->registered = job->err == P2P_OK;
    if (job->step != STEP_UNSIGNED)
        r->told_seq = job->seq;
    r->is_signed = job->step != STEP_UNSIGNED;
    r->has_record |= r->is_signed;
    r->last_error = P2P_OK;
    r->detail[0] = '\0';
    if (r->body_limit_bytes > 0 && body_bytes > r->body_limit_bytes)
        r->body_limit_bytes = body_bytes;
    p2p_unlock(&d->lock);
    /* An unsigned list cannot be sent in parts: what did not fit is not registered. */
    job->done = complete || job->err != P2P_OK || job->step == STEP_UNSIGNED;
    job->step = STEP_DELTA;
}

/* Status 409: the registry tells which record it has. It may be this very one. */
static void
on_conflict(struct p2p_discovery *d, struct job *job, const struct p2p_reg *reg,
            const struct p2p_http_call *call) P2P_REQUIRES(p2p_discovery_reg_lock)
{
    struct p2p_registry *r = job->registry;
    cJSON *json = p2p_json_parse(call->answer, call->len);
    uint64_t has = 0;

    if (!p2p_json_u64(json, "base", UINT64_MAX, &has))
        (void)p2p_json_u64(json, "seq", UINT64_MAX, &has);
    cJSON_Delete(json);
    if (has == job->seq && job->step != STEP_UNSIGNED) {
        on_accepted(d, job, reg, strlen(call->body));
        return;
    }
    /* Our clock went back: continue above the registry's seq, at most twice, and not
     * far above our clock. A registry that states a very high number may only want a
     * signed registration. */
    if (job->step == STEP_UNSIGNED || job->seq_conflicts++ > 1 ||
        has > p2p_time_ms() + SEQ_AHEAD_MS) {
        job->done = true;
        job->err = P2P_ERR_EXISTS;
        return;
    }
    if (has > r->seq)
        r->seq = has;
    job->step = STEP_WHOLE;
    forget(d, r);
}

static bool
has_code(const struct p2p_http_call *call, const char *code)
{
    cJSON *json = p2p_json_parse(call->answer, call->len);
    const char *text = p2p_json_text(json, "code");
    bool has = text != NULL && strcmp(text, code) == 0;

    cJSON_Delete(json);
    return has;
}

/* A signed registration was refused. True if a wrong clock (ours or the registry's) was
 * the reason, and another try with the registry's clock may succeed. */
static bool
is_about_clocks(struct p2p_discovery *d, struct job *job, const struct p2p_reg *reg,
                const struct p2p_http_call *call) P2P_REQUIRES(p2p_discovery_reg_lock)
{
    uint64_t until_s = p2p_registry_time_ms(d, job->registry) / 1000 + ttl_of(reg);
    uint64_t off_s = until_s > job->expires_at_s ? until_s - job->expires_at_s
                                                 : job->expires_at_s - until_s;
    bool is_ahead = has_code(call, "seq_ahead");

    if (job->clock_tries++ > 1 || (!is_ahead && off_s < 60))
        return false;
    if (is_ahead) {
        drop_wrong_seq(d, job->registry);
        job->has_new_clock = true;
    }
    return true;
}

/* True for an error that says nothing about the record: too many requests, or a proxy
 * that cannot reach the registry. */
static bool
is_passing(const struct p2p_http_call *call)
{
    return call->err == P2P_OK && (call->status == 413 || call->status == 429 ||
                                   (call->status >= 500 && call->status != 501));
}

/* The registry wants no more now (429, 503): it gets nothing before the time that it
 * states, and then less at once. */
static void
hold(struct p2p_discovery *d, struct job *job, const struct p2p_http_call *call)
    P2P_REQUIRES(p2p_discovery_reg_lock)
{
    struct p2p_registry *r = job->registry;

    if (call->status == 429)
        (void)send_less(job, strlen(call->body), BODY_BUDGET_BUSY);
    p2p_lock(&d->lock);
    if (call->retry_after_ms > 0)
        r->held_until_ms = p2p_now_ms() + call->retry_after_ms;
    p2p_unlock(&d->lock);
}

/* The registry has no room for all files, but perhaps for some. */
static bool
lacks_room(const struct p2p_http_call *call)
{
    return (call->status == 429 && has_code(call, "too_many_files")) ||
           (call->status == 503 && has_code(call, "no_memory"));
}

/* The address that the registry lists is the one from which it saw the request come,
 * if none was stated. */
static void
note_seen(struct p2p_discovery *d, struct p2p_registry *r,
          const struct p2p_http_call *call)
{
    cJSON *json = p2p_json_parse(call->answer, call->len);
    const char *ip = p2p_json_text(json, "ip");

    p2p_lock(&d->lock);
    if (ip != NULL)
        snprintf(r->seen_ip, sizeof(r->seen_ip), "%s", ip);
    p2p_unlock(&d->lock);
    cJSON_Delete(json);
}

bool
p2p_discovery_is_seen_at(struct p2p_discovery *d, const char *ip)
{
    bool is_seen = false;

    p2p_lock(&d->lock);
    for (size_t i = 0; i < d->count; i++)
        is_seen = is_seen || strcmp(d->at[i].seen_ip, ip) == 0;
    p2p_unlock(&d->lock);
    return is_seen;
}

static void
on_answer(struct p2p_discovery *d, struct job *job, const struct p2p_reg *reg,
          const struct p2p_http_call *call, enum p2p_err err)
    P2P_REQUIRES(p2p_discovery_reg_lock)
{
    bool refused = call->status == 400 || call->status == 415 || call->status == 422;

    if (err == P2P_OK) {
        if (reg->advertise == NULL)
            note_seen(d, job->registry, call);
        on_accepted(d, job, reg, strlen(call->body));
    } else if (call->err == P2P_OK && call->status == 413 &&
               fit_proxy(d, job, strlen(call->body))) {
        return; /* the next round sends less */
    } else if (call->err == P2P_OK && lacks_room(call) &&
               send_less(job, strlen(call->body), BODY_BUDGET_MIN)) {
        return;
    } else if (is_passing(call)) {
        hold(d, job, call);
        job->done = true; /* the registry keeps what it has; the rest follows later */
        job->err = err;
    } else if (err == P2P_ERR_EXISTS) {
        on_conflict(d, job, reg, call);
    } else if (call->err == P2P_OK && job->step == STEP_DELTA) {
        job->step = STEP_WHOLE; /* the registry has forgotten us, or does not support
                                 * deltas */
        forget(d, job->registry);
    } else if (call->err == P2P_OK && job->step == STEP_WHOLE && refused) {
        if (!is_about_clocks(d, job, reg, call))
            job->step = STEP_UNSIGNED;
    } else {
        job->done = true;
        job->err = err;
    }
}

/* A registry that hangs must not delay the heartbeats to the others; but long lists
 * take their time. */
static uint64_t
patience_for(const struct p2p_http_call *calls, size_t count)
{
    size_t longest = 0;

    for (size_t i = 0; i < count; i++)
        if (calls[i].body != NULL && strlen(calls[i].body) > longest)
            longest = strlen(calls[i].body);
    return PATIENCE_MS + longest / PATIENCE_BYTES_PER_MS;
}

/* Sends one request to each registry that is not done. */
static void
run_round(struct p2p_discovery *d, struct job *jobs, const struct p2p_reg *reg)
    P2P_REQUIRES(p2p_discovery_reg_lock)
{
    struct p2p_http_call *calls = calloc(d->count, sizeof(*calls));
    size_t *owner = calloc(d->count, sizeof(*owner)), count = 0;
    uint64_t seq = next_seq(d);

    for (size_t i = 0; i < d->count; i++) {
        enum p2p_err err = P2P_ERR_NOMEM;
        if (jobs[i].done)
            continue;
        if (calls != NULL && owner != NULL)
            err = make_call(d, &jobs[i], reg, seq, &calls[count]);
        if (err != P2P_OK) {
            jobs[i].done = true;
            jobs[i].err = err;
        }
        if (!jobs[i].done)
            owner[count++] = i;
        else if (calls != NULL)
            p2p_http_call_clear(&calls[count]);
    }
    if (count > 0)
        p2p_http_run(calls, count, d->timeout_ms, patience_for(calls, count), d->stop);
    for (size_t c = 0; c < count; c++) {
        struct job *job = &jobs[owner[c]];
        on_answer(d, job, reg, &calls[c], p2p_registry_note(d, owner[c], &calls[c]));
        p2p_http_call_clear(&calls[c]);
    }
    for (size_t i = 0; i < d->count; i++)
        p2p_reg_diff_clear(&jobs[i].diff);
    free(calls);
    free(owner);
}

/* The best result counts: one success is a success; otherwise the last error. */
static enum p2p_err
sum_up(const struct job *jobs, size_t count)
{
    enum p2p_err err = P2P_ERR_UNREACHABLE;

    for (size_t i = 0; i < count; i++) {
        if (jobs[i].done && jobs[i].err == P2P_OK)
            return P2P_OK;
        if (jobs[i].err != P2P_OK)
            err = jobs[i].err;
    }
    return err;
}

static void
note_behind(struct p2p_discovery *d, const struct job *jobs)
{
    p2p_lock(&d->lock);
    for (size_t i = 0; i < d->count; i++) {
        struct p2p_registry *r = &d->at[i];

        r->is_behind = !jobs[i].done || jobs[i].err != P2P_OK;
        if (jobs[i].is_held)
            continue; /* it was not asked */
        r->retry_at_ms = p2p_now_ms() + r->retry_pause_ms;
        if (r->retry_at_ms < r->held_until_ms)
            r->retry_at_ms = r->held_until_ms;
        if (!r->is_behind)
            r->retry_pause_ms = 0;
        else if (r->retry_pause_ms < RETRY_PAUSE_MAX_MS)
            r->retry_pause_ms = 2 * r->retry_pause_ms + RETRY_PAUSE_MIN_MS;
    }
    p2p_unlock(&d->lock);
}

enum p2p_err
p2p_discovery_register(struct p2p_discovery *d, const struct p2p_reg *reg, bool force)
{
    struct job *jobs = calloc(d->count + 1, sizeof(*jobs));
    enum p2p_err err;
    size_t open = d->count;

    if (jobs == NULL)
        return P2P_ERR_NOMEM;
    p2p_lock(&d->reg_lock);
    for (size_t i = 0; i < d->count; i++) {
        jobs[i].registry = &d->at[i];
        plan_first(d, &jobs[i], reg, force);
    }
    for (unsigned round = 0;
         open > 0 && round < ROUNDS_MAX && !p2p_stop_is_set(d->stop); round++) {
        run_round(d, jobs, reg);
        open = 0;
        for (size_t i = 0; i < d->count; i++)
            open += !jobs[i].done;
    }
    note_behind(d, jobs);
    p2p_unlock(&d->reg_lock);
    err = sum_up(jobs, d->count);
    free(jobs);
    return err;
}

uint64_t
p2p_discovery_held_until(struct p2p_discovery *d)
{
    uint64_t first_ms = 0, now_ms = p2p_now_ms();

    p2p_lock(&d->lock);
    for (size_t i = 0; i < d->count; i++) {
        uint64_t until_ms = d->at[i].held_until_ms;
        if (until_ms > now_ms && (first_ms == 0 || until_ms < first_ms))
            first_ms = until_ms;
    }
    p2p_unlock(&d->lock);
    return first_ms;
}

/* ---- Heartbeat, leave ---- */

static void
calls_clear(struct p2p_http_call *calls, size_t count)
{
    for (size_t i = 0; calls != NULL && i < count; i++)
        p2p_http_call_clear(&calls[i]);
    free(calls);
}

/* Handles the answer to a heartbeat. True: the registry must get a new registration. */
static bool
wants_to_be_told(struct p2p_discovery *d, size_t i, enum p2p_err answer)
{
    struct p2p_registry *r = &d->at[i];
    bool wants;

    p2p_lock(&d->lock);
    if (answer == P2P_ERR_NOT_FOUND)
        r->registered = r->has_record =
            false; /* its state is forgotten when it is registered again */
    wants = answer == P2P_ERR_NOT_FOUND ||
            (answer == P2P_OK && r->is_behind && r->retry_at_ms <= p2p_now_ms()) ||
            (r->registered && r->renew_at_ms <= p2p_now_ms());
    p2p_unlock(&d->lock);
    return wants;
}

enum p2p_err
p2p_discovery_heartbeat(struct p2p_discovery *d, const struct p2p_id *id)
{
    struct p2p_http_call *calls = calloc(d->count + 1, sizeof(*calls));
    enum p2p_err err = P2P_ERR_UNREACHABLE;
    char hex[P2P_ID_HEX_LEN + 1];
    const char *argument = hex;
    bool forgotten = false;

    if (calls == NULL)
        return P2P_ERR_NOMEM;
    p2p_hex_format(id->b, sizeof(id->b), hex);
    for (size_t i = 0; i < d->count; i++) {
        calls[i].method = "GET";
        calls[i].expected = P2P_ANSWER_MESSAGE;
        calls[i].url =
            p2p_http_url(d->at[i].url, "/heartbeat?peer_id=%s", &argument, 1);
    }
    p2p_http_run(calls, d->count, d->timeout_ms, BEAT_PATIENCE_MS, d->stop);
    for (size_t i = 0; i < d->count; i++) {
        enum p2p_err one = p2p_registry_note(d, i, &calls[i]);

        forgotten |= wants_to_be_told(d, i, one);
        if (one == P2P_OK || err == P2P_ERR_UNREACHABLE)
            err = one;
    }
    calls_clear(calls, d->count);
    return forgotten ? P2P_ERR_NOT_FOUND : err;
}

void
p2p_discovery_stop(struct p2p_discovery *d)
{
    p2p_stop_set(d->stop);
}

/* True if it has a signed record of ours; from now on it counts as removed. */
static bool
take_record(struct p2p_discovery *d, struct p2p_registry *r)
{
    bool has;

    p2p_lock(&d->lock);
    has = r->has_record;
    r->has_record = false;
    p2p_unlock(&d->lock);
    return has;
}

void
p2p_discovery_leave(struct p2p_discovery *d, const struct p2p_rsa *key)
{
    struct p2p_http_call *calls = calloc(d->count + 1, sizeof(*calls));
    size_t count = 0;
    uint64_t seq;

    if (calls == NULL)
        return;
    p2p_lock(&d->reg_lock);
    seq = next_seq(d);
    for (size_t i = 0; i < d->count; i++) {
        struct p2p_registry *r = &d->at[i];
        if (!take_record(d, r))
            continue;
        r->seq = seq_for(d, &(struct job){.registry = r}, seq);
        store_seq(d, r->seq);
        if (p2p_reg_body_leave(key, r->seq, &calls[count].body) != P2P_OK)
            continue;
        calls[count].method = "DELETE";
        calls[count++].url = p2p_http_url(r->url, "/register", NULL, 0);
        forget(d, r);
    }
    if (count > 0)
        p2p_http_run(calls, count, d->timeout_ms, LEAVE_PATIENCE_MS, NULL);
    p2p_unlock(&d->reg_lock);
    calls_clear(calls, count);
}
