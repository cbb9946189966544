/* Reads the own boxes at the registries, and answers the calls of those who may. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/reach/callers.h"
#include "core/reach/gather.h"
#include "core/reach/ways.h"
#include "p2p/box.h"
#include "p2p/bytes.h"
#include "p2p/lock.h"
#include "p2p/log.h"
#include "p2p/net.h"
#include "p2p/reach.h"

enum {
    WAIT_S = 50,
    PAUSE_MIN_MS = 1000, /* after a failure, doubled each time */
    PAUSE_MAX_MS = 30000,
    ANSWERS_MAX = 16, /* that are under way */
    REGISTRIES_MAX = 16,
};

/* One thread for each registry. */
struct listener {
    struct p2p_doorman *doorman;
    size_t registry;
    pthread_t thread;
};

P2P_MUTEX_KIND(p2p_doorman_lock);
struct p2p_doorman {
    struct p2p_doorman_options opt;
    struct p2p_stop *stop;
    struct listener listeners[REGISTRIES_MAX];
    size_t listener_count;
    struct p2p_doorman_lock lock;
    pthread_cond_t changed; /* stop, or an answer has ended */
    struct p2p_callers callers P2P_GUARDED_BY(p2p_doorman_lock);
    unsigned answers P2P_GUARDED_BY(p2p_doorman_lock);
};

/* ---- counting ---- */

static void
count(uint64_t *at)
{
    __atomic_fetch_add(at, 1, __ATOMIC_RELAXED);
}

void
p2p_doorman_counts_read(const struct p2p_doorman_counts *counts,
                        struct p2p_doorman_counts *out)
{
    out->answered = __atomic_load_n(&counts->answered, __ATOMIC_RELAXED);
    out->refused = __atomic_load_n(&counts->refused, __ATOMIC_RELAXED);
    out->channels = __atomic_load_n(&counts->channels, __ATOMIC_RELAXED);
    out->relays = __atomic_load_n(&counts->relays, __ATOMIC_RELAXED);
}

static void
count_call(struct p2p_doorman *d, enum p2p_err err)
{
    if (d->opt.counts != NULL)
        count(err == P2P_OK ? &d->opt.counts->answered : &d->opt.counts->refused);
}

static void
count_way(struct p2p_doorman *d, enum p2p_path_kind kind)
{
    if (d->opt.counts != NULL)
        count(kind == P2P_PATH_RELAY ? &d->opt.counts->relays
                                     : &d->opt.counts->channels);
}

/* ---- answering ---- */

struct answering {
    struct p2p_doorman *doorman;
    size_t registry;
    struct p2p_call call;
    struct p2p_channel_port *port; /* NULL: without a channel */
    struct p2p_relay_pass pass;    /* without a relay: an empty host */
    enum p2p_err no_pass;          /* why there is none */
};

static enum p2p_err
post_answer(const struct answering *a)
{
    struct p2p_doorman *d = a->doorman;
    struct p2p_call answer = {
        .type = P2P_CALL_ANSWER,
        .session = a->call.session,
        .to = a->call.from,
        .expires_s =
            p2p_discovery_time_s(d->opt.discovery, a->registry) + P2P_CALL_LIFE_S,
        .called = a->call.channel.fingerprint,
        .relay = a->pass.relay,
    };
    char box[P2P_BOX_TEXT], *json = NULL;
    enum p2p_err err;

    memcpy(answer.token, a->pass.caller, sizeof(answer.token));
    if (a->port != NULL)
        p2p_channel_port_tell(a->port, &answer.channel);
    p2p_box_of_number(&a->call.reply, box);
    err = p2p_call_sign(&answer, p2p_identity_key(d->opt.identity));
    if (err == P2P_OK && (json = p2p_call_format(&answer)) == NULL)
        err = P2P_ERR_NOMEM;
    if (err == P2P_OK)
        err = p2p_box_post(d->opt.discovery, a->registry, box, json, d->stop);
    free(json);
    return err;
}

static void *
get_pass(void *arg)
{
    struct answering *a = arg;
    struct p2p_doorman *d = a->doorman;

    a->no_pass = p2p_relay_request(d->opt.discovery, a->registry,
                                   p2p_identity_key(d->opt.identity), &a->call, d->stop,
                                   &a->pass);
    if (a->no_pass != P2P_OK)
        memset(&a->pass, 0, sizeof(a->pass));
    return NULL;
}

/* A port for the channel if the caller has one, and tokens for a relay, both at once;
 * one of both is enough for an answer. */
static enum p2p_err
make_ways(struct answering *a)
{
    struct p2p_doorman *d = a->doorman;
    pthread_t thread;
    bool is_beside = a->call.channel.ufrag[0] != '\0' &&
                     pthread_create(&thread, NULL, get_pass, a) == 0;

    if (!is_beside)
        (void)get_pass(a);
    if (a->call.channel.ufrag[0] != '\0')
        a->port = p2p_gather(d->opt.discovery, a->registry, d->stop);
    if (is_beside)
        pthread_join(thread, NULL);
    return a->port != NULL ? P2P_OK : a->no_pass;
}

static void
hand_over(struct answering *a, const struct p2p_way *way)
{
    struct p2p_doorman *d = a->doorman;
    char from[P2P_ID_HEX_LEN + 1];

    p2p_hex_format(a->call.from.b, sizeof(a->call.from.b), from);
    p2p_log_info("a way from a caller is open kind=%s peer=%.16s",
                 p2p_path_kind_name(way->kind), from);
    count_way(d, way->kind);
    d->opt.on_path(d->opt.arg, way->fd, &a->call.from);
}

/* The way that opens first, and a moment later the other one, if the caller has taken
 * that. */
static enum p2p_err
open_ways(struct answering *a)
{
    const struct p2p_ways_options opt = {
        .port = a->port,
        .peer = &a->call.channel,
        .relay = a->pass.relay.host[0] != '\0' ? &a->pass.relay : NULL,
        .token = a->pass.callee,
        .stop = a->doorman->stop,
    };
    struct p2p_ways *ways;
    struct p2p_way way;
    enum p2p_err err;

    a->port = NULL;
    if ((err = p2p_ways_start(&opt, &ways)) != P2P_OK)
        return err;
    err = p2p_ways_first(ways, &way);
    if (err == P2P_OK) {
        hand_over(a, &way);
        if (p2p_ways_other(ways, &way) == P2P_OK)
            hand_over(a, &way);
    }
    p2p_ways_free(ways);
    return err;
}

static enum p2p_err
answer(struct answering *a)
{
    enum p2p_err err = make_ways(a);

    if (err == P2P_OK)
        err = post_answer(a);
    if (err == P2P_OK)
        err = open_ways(a);
    p2p_channel_port_close(a->port);
    a->port = NULL;
    return err;
}

static void *
answer_main(void *arg)
{
    struct answering *a = arg;
    struct p2p_doorman *d = a->doorman;
    char from[P2P_ID_HEX_LEN + 1];
    enum p2p_err err = answer(a);

    p2p_hex_format(a->call.from.b, sizeof(a->call.from.b), from);
    if (err != P2P_OK && err != P2P_ERR_CANCELLED)
        p2p_log_warn("cannot answer a call peer=%.16s reason=\"%s\"", from,
                     p2p_err_text(err));
    free(a);
    p2p_lock(&d->lock);
    d->answers--;
    pthread_cond_broadcast(&d->changed);
    p2p_unlock(&d->lock);
    return NULL;
}

static void
start_answer(struct p2p_doorman *d, size_t registry, const struct p2p_call *call)
{
    struct answering *a = malloc(sizeof(*a));
    pthread_attr_t detached;
    pthread_t thread;
    bool is_started = false;

    if (a != NULL && pthread_attr_init(&detached) == 0) {
        *a = (struct answering){.doorman = d, .registry = registry, .call = *call};
        pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
        is_started = pthread_create(&thread, &detached, answer_main, a) == 0;
        pthread_attr_destroy(&detached);
    }
    if (is_started)
        return;
    free(a);
    p2p_lock(&d->lock);
    d->answers--;
    p2p_unlock(&d->lock);
}

/* ---- listening ---- */

static bool
is_new(struct p2p_doorman *d, const struct p2p_call *call)
{
    p2p_lock(&d->lock);
    bool is_known = p2p_callers_knows(&d->callers, &call->session, p2p_now_ms());
    p2p_unlock(&d->lock);
    return !is_known;
}

/* Takes a place for the answer. */
static bool
has_place(struct p2p_doorman *d, const struct p2p_call *call)
{
    p2p_lock(&d->lock);
    bool has = d->answers < ANSWERS_MAX &&
               p2p_callers_take(&d->callers, &call->session, &call->from, p2p_now_ms());
    d->answers += has;
    p2p_unlock(&d->lock);
    return has;
}

/* The order of the checks is that of PROTOCOL.md. Whoever fails one gets no answer: it
 * does not learn whether this peer is there. */
static void
on_message(void *arg, const char *text, size_t len)
{
    struct listener *l = arg;
    struct p2p_doorman *d = l->doorman;
    uint64_t now_s = p2p_discovery_time_s(d->opt.discovery, l->registry);
    struct p2p_call call;
    enum p2p_err err = p2p_call_parse(text, len, &call);

    if (err == P2P_OK && call.type != P2P_CALL)
        err = P2P_ERR_PROTOCOL;
    if (err == P2P_OK && !p2p_id_equal(&call.to, p2p_identity_id(d->opt.identity)))
        err = P2P_ERR_WRONG_PEER;
    if (err == P2P_OK && !is_new(d, &call))
        err = P2P_ERR_EXISTS;
    if (err == P2P_OK)
        err = p2p_call_check(&call, now_s);
    if (err == P2P_OK && !d->opt.may_call(d->opt.arg, &call.from))
        err = P2P_ERR_NOT_ALLOWED;
    if (err == P2P_OK && !has_place(d, &call))
        err = P2P_ERR_RATE_LIMITED;
    count_call(d, err);
    if (err == P2P_OK)
        start_answer(d, l->registry, &call);
    else
        p2p_log_debug("a call gets no answer reason=%s", p2p_err_name(err));
}

static void
rest(struct p2p_doorman *d, uint64_t ms)
{
    uint64_t until = p2p_now_ms() + ms;

    p2p_lock(&d->lock);
    while (!p2p_stop_is_set(d->stop) && p2p_wait_until(&d->changed, &d->lock, until))
        continue;
    p2p_unlock(&d->lock);
}

static void *
listen_main(void *arg)
{
    struct listener *l = arg;
    struct p2p_doorman *d = l->doorman;
    uint64_t pause_ms = PAUSE_MIN_MS, after = 0;
    char box[P2P_BOX_TEXT];
    const struct p2p_box_wait wait = {.box = box,
                                      .key = p2p_identity_key(d->opt.identity),
                                      .wait_s = WAIT_S,
                                      .stop = d->stop};

    p2p_box_of_peer(p2p_identity_id(d->opt.identity), box);
    while (!p2p_stop_is_set(d->stop)) {
        struct p2p_reach_offer offer;
        enum p2p_err err;

        /* So that no call waits for it. Without it, a call asks again. */
        (void)!p2p_reach_offer_soon(d->opt.discovery, l->registry, d->stop, &offer);
        err = p2p_box_read(d->opt.discovery, l->registry, &wait, &after, on_message, l);
        if (err == P2P_OK) {
            pause_ms = PAUSE_MIN_MS;
            continue;
        }
        rest(d, pause_ms);
        pause_ms = pause_ms * 2 < PAUSE_MAX_MS ? pause_ms * 2 : PAUSE_MAX_MS;
    }
    return NULL;
}

/* ---- life ---- */

enum p2p_err
p2p_doorman_start(const struct p2p_doorman_options *opt, struct p2p_doorman **out)
{
    struct p2p_doorman *d = calloc(1, sizeof(*d));
    size_t count = p2p_discovery_count(opt->discovery);
    enum p2p_err err;

    *out = NULL;
    if (d == NULL)
        return P2P_ERR_NOMEM;
    d->opt = *opt;
    p2p_mutex_init(&d->lock);
    p2p_cond_init(&d->changed);
    err = p2p_stop_new(&d->stop);
    for (size_t i = 0; i < count && i < REGISTRIES_MAX && err == P2P_OK; i++) {
        struct listener *l = &d->listeners[i];
        *l = (struct listener){.doorman = d, .registry = i};
        if (pthread_create(&l->thread, NULL, listen_main, l) != 0)
            err = P2P_ERR_SYS;
        else
            d->listener_count++;
    }
    if (err != P2P_OK) {
        p2p_doorman_stop(d);
        return err;
    }
    *out = d;
    return P2P_OK;
}

void
p2p_doorman_stop(struct p2p_doorman *d)
{
    if (d == NULL)
        return;
    p2p_lock(&d->lock);
    if (d->stop != NULL)
        p2p_stop_set(d->stop);
    pthread_cond_broadcast(&d->changed);
    p2p_unlock(&d->lock);
    for (size_t i = 0; i < d->listener_count; i++)
        pthread_join(d->listeners[i].thread, NULL);
    p2p_lock(&d->lock);
    while (d->answers > 0)
        p2p_wait(&d->changed, &d->lock);
    p2p_unlock(&d->lock);
    p2p_stop_free(d->stop);
    pthread_cond_destroy(&d->changed);
    p2p_mutex_clear(&d->lock);
    free(d);
}
