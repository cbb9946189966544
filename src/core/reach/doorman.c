/* Reads the own boxes at the registries, and answers the calls of those who may. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/reach/box_listener.h"
#include "core/reach/candidate.h"
#include "core/reach/gather.h"
#include "core/reach/ways.h"
#include "p2p/bytes.h"
#include "p2p/log.h"
#include "p2p/reach.h"

enum { ANSWERS_MAX = 32 }; /* that are under way */

struct p2p_doorman {
    struct p2p_doorman_options opt;
    struct p2p_box_listener *listener;
    struct p2p_stop *stop; /* the listener's */
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

/* Where TCP may come through, too: on the same network, over IPv6, through a port that
 * the router forwards. */
static void
tell_addresses(const struct p2p_doorman_options *opt, struct p2p_call_channel *out)
{
    struct p2p_addr at[P2P_REACH_ADDRESSES_MAX];

    if (opt->own_addresses != NULL)
        p2p_candidate_add_tcp(
            out, at, opt->own_addresses(opt->arg, at, P2P_REACH_ADDRESSES_MAX));
}

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
    if (a->port != NULL) {
        p2p_channel_port_tell(a->port, &answer.channel);
        tell_addresses(&d->opt, &answer.channel);
    }
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
    p2p_log_info("a path to a caller is open kind=%s peer=%.16s",
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

static void
run_answer(void *arg)
{
    struct answering *a = arg;
    char from[P2P_ID_HEX_LEN + 1];
    enum p2p_err err = answer(a);

    p2p_hex_format(a->call.from.b, sizeof(a->call.from.b), from);
    if (err != P2P_OK && err != P2P_ERR_CANCELLED)
        p2p_log_warn("cannot answer a call peer=%.16s reason=\"%s\"", from,
                     p2p_err_text(err));
    free(a);
}

/* ---- listening ---- */

static enum p2p_err
start_answer(struct p2p_doorman *d, size_t registry, const struct p2p_call *call)
{
    struct answering *a = malloc(sizeof(*a));
    enum p2p_err err = a != NULL ? P2P_OK : P2P_ERR_NOMEM;

    if (err == P2P_OK)
        err = p2p_box_listener_take(d->listener, &call->session, &call->from);
    if (err == P2P_OK) {
        *a = (struct answering){.doorman = d, .registry = registry, .call = *call};
        if (p2p_box_listener_answer(d->listener, run_answer, a))
            return P2P_OK;
        err = P2P_ERR_SYS;
    }
    free(a);
    return err;
}

/* The order of the checks is that of PROTOCOL.md. A caller that fails one gets no
 * answer, so it does not learn whether this peer is there. */
static void
on_message(void *arg, size_t registry, const char *text, size_t len)
{
    struct p2p_doorman *d = arg;
    uint64_t now_s = p2p_discovery_time_s(d->opt.discovery, registry);
    struct p2p_call call;
    enum p2p_err err = p2p_call_parse(text, len, &call);

    if (err == P2P_OK && call.type != P2P_CALL)
        err = P2P_ERR_PROTOCOL;
    if (err == P2P_OK && !p2p_id_equal(&call.to, p2p_identity_id(d->opt.identity)))
        err = P2P_ERR_WRONG_PEER;
    if (err == P2P_OK && p2p_box_listener_knows(d->listener, &call.session))
        err = P2P_ERR_EXISTS;
    if (err == P2P_OK)
        err = p2p_call_check(&call, now_s);
    if (err == P2P_OK && !d->opt.may_call(d->opt.arg, &call.from))
        err = P2P_ERR_NOT_ALLOWED;
    if (err == P2P_OK)
        err = start_answer(d, registry, &call);
    count_call(d, err);
    if (err != P2P_OK)
        p2p_log_debug("a call is not answered reason=%s", p2p_err_name(err));
}

/* So that no call waits for the registry's offer. Without it, a call asks again. */
static void
refresh_offer(void *arg, size_t registry)
{
    struct p2p_doorman *d = arg;
    struct p2p_reach_offer offer;

    (void)!p2p_reach_offer_soon(d->opt.discovery, registry, d->stop, &offer);
}

/* ---- life ---- */

enum p2p_err
p2p_doorman_start(const struct p2p_doorman_options *opt, struct p2p_doorman **out)
{
    struct p2p_doorman *d = calloc(1, sizeof(*d));
    struct p2p_box_listener_options listener = {.discovery = opt->discovery,
                                                .key = p2p_identity_key(opt->identity),
                                                .answers_max = ANSWERS_MAX,
                                                .on_message = on_message,
                                                .on_wait = refresh_offer,
                                                .arg = d};
    enum p2p_err err;

    *out = NULL;
    if (d == NULL)
        return P2P_ERR_NOMEM;
    d->opt = *opt;
    p2p_box_of_peer(p2p_identity_id(opt->identity), listener.box);
    err = p2p_box_listener_new(&listener, &d->listener);
    if (err == P2P_OK) {
        d->stop = p2p_box_listener_stop(d->listener);
        err = p2p_box_listener_start(d->listener);
    }
    if (err == P2P_OK)
        *out = d;
    else
        p2p_doorman_stop(d);
    return err;
}

void
p2p_doorman_stop(struct p2p_doorman *d)
{
    if (d == NULL)
        return;
    p2p_box_listener_free(d->listener);
    free(d);
}
