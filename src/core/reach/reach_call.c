/* The caller's side of boxes: a call, the answer to it, and the way that follows. */
#include <stdlib.h>
#include <string.h>

#include "core/reach/candidate.h"
#include "core/reach/gather.h"
#include "core/reach/ways.h"
#include "p2p/box.h"
#include "p2p/log.h"
#include "p2p/net.h"
#include "p2p/reach.h"

/* One call at one registry. */
struct calling {
    const struct p2p_reach *reach;
    const struct p2p_id *peer;
    const struct p2p_reach_listener *listener; /* may be NULL */
    size_t registry;
    struct p2p_call call, answer;
    struct p2p_channel_port *port; /* NULL: without a channel */
    bool has_box;                  /* for the answer */
    struct p2p_answer_box box;
};

/* Only the peer that was called, for this session, now. */
static void
take_answer(void *arg, const char *text, size_t len)
{
    struct calling *c = arg;
    uint64_t now_s = p2p_discovery_time_s(c->reach->discovery, c->registry);
    struct p2p_call answer;

    if (c->box.is_answered || p2p_call_parse(text, len, &answer) != P2P_OK ||
        answer.type != P2P_CALL_ANSWER || !p2p_id_equal(&answer.from, c->peer) ||
        !p2p_id_equal(&answer.to, p2p_identity_id(c->reach->identity)) ||
        memcmp(&answer.session, &c->call.session, sizeof(answer.session)) != 0)
        return;
    answer.called = c->call.channel.fingerprint;
    if (p2p_call_check(&answer, now_s) != P2P_OK)
        return;
    c->answer = answer;
    c->box.is_answered = true;
}

static enum p2p_err
make_call(struct calling *c)
{
    struct p2p_call *call = &c->call;
    enum p2p_err err;

    call->type = P2P_CALL;
    call->to = *c->peer;
    call->expires_s =
        p2p_discovery_time_s(c->reach->discovery, c->registry) + P2P_CALL_LIFE_S;
    if (c->port != NULL)
        p2p_channel_port_tell(c->port, &call->channel);
    if ((err = p2p_random(&call->session, sizeof(call->session))) != P2P_OK)
        return err;
    return p2p_call_sign(call, p2p_identity_key(c->reach->identity));
}

static enum p2p_err
post(struct calling *c, const struct p2p_stop *stop)
{
    char box[P2P_BOX_TEXT];
    char *json = p2p_call_format(&c->call);
    enum p2p_err err = P2P_ERR_NOMEM;

    p2p_box_of_peer(c->peer, box);
    if (json != NULL)
        err = p2p_box_post(c->reach->discovery, c->registry, box, json, stop);
    free(json);
    return err;
}

/* NOT_FOUND: the peer has no box there. */
static enum p2p_err
call_at(struct calling *c, const struct p2p_stop *stop)
{
    enum p2p_err err = p2p_random(&c->call.reply, sizeof(c->call.reply));

    c->box = (struct p2p_answer_box){.discovery = c->reach->discovery,
                                     .registry = c->registry,
                                     .number = c->call.reply,
                                     .stop = stop,
                                     .take = take_answer,
                                     .arg = c};
    if (err == P2P_OK)
        err = p2p_answer_box_make(&c->box, 0);
    c->has_box = err == P2P_OK || err == P2P_ERR_CANCELLED;
    if (err == P2P_OK && c->reach->wish != P2P_WISH_RELAY)
        c->port = p2p_gather(c->reach->discovery, c->registry, stop);
    if (err == P2P_OK)
        err = make_call(c);
    if (err == P2P_OK)
        err = post(c, stop);
    return err == P2P_OK ? p2p_answer_box_wait(&c->box) : err;
}

/* A wish for one kind of way leaves no choice. */
static void
name_addresses(struct calling *c)
{
    struct p2p_addr at[P2P_REACH_ADDRESSES_MAX];
    size_t count = p2p_candidate_tcp(&c->answer.channel, at, P2P_REACH_ADDRESSES_MAX);

    if (c->listener != NULL && c->reach->wish == P2P_WISH_AUTO && count > 0)
        c->listener->on_addresses(c->listener->arg, at, count);
}

/* The ways that the answer makes possible. */
static enum p2p_err
open_way(struct calling *c, const struct p2p_stop *stop, struct p2p_way *out)
{
    bool has_channel = c->port != NULL && c->answer.channel.ufrag[0] != '\0';
    bool has_relay = c->answer.relay.host[0] != '\0' && !c->reach->no_relay &&
                     c->reach->wish != P2P_WISH_CHANNEL;
    const struct p2p_ways_options opt = {
        .port = has_channel ? c->port : NULL,
        .peer = &c->answer.channel,
        .calls = true,
        .relay = has_relay ? &c->answer.relay : NULL,
        .token = c->answer.token,
        .stop = stop,
    };
    struct p2p_ways *ways;
    enum p2p_err err;

    name_addresses(c);
    if (has_channel)
        c->port = NULL;
    if ((err = p2p_ways_start(&opt, &ways)) != P2P_OK)
        return err;
    err = p2p_ways_first(ways, out);
    p2p_ways_free(ways);
    return err;
}

enum p2p_err
p2p_reach_call(const struct p2p_reach *reach, const struct p2p_id *peer,
               const struct p2p_reach_listener *listener, const struct p2p_stop *stop,
               struct p2p_way *out)
{
    struct calling c = {.reach = reach, .peer = peer, .listener = listener};
    enum p2p_err err = P2P_ERR_UNREACHABLE, last;

    *out = (struct p2p_way){.fd = -1, .kind = P2P_PATH_RELAY};
    if (reach->discovery == NULL)
        return P2P_ERR_UNREACHABLE;
    for (; c.registry < p2p_discovery_count(reach->discovery) && !p2p_stop_is_set(stop);
         c.registry++) {
        bool is_answered = (last = call_at(&c, stop)) == P2P_OK;

        /* The call was answered, has failed or was cancelled: the box is not needed any
         * longer. */
        if (c.has_box)
            p2p_box_drop_soon(reach->discovery, c.registry, &c.call.reply);
        if (is_answered)
            last = open_way(&c, stop, out);
        p2p_channel_port_close(c.port);
        c.port = NULL;
        if (is_answered)
            return last;
        /* What says most: that it did not answer. */
        if (err != P2P_ERR_TIMEOUT)
            err = last;
    }
    p2p_log_debug("no path opened after a call error=%s", p2p_err_name(err));
    return p2p_stop_is_set(stop) ? P2P_ERR_CANCELLED : err;
}
