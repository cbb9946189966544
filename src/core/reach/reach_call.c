/* The caller's side of boxes: a call, and the answer to it. */
#include <stdlib.h>
#include <string.h>

#include "core/reach/relay_client.h"
#include "p2p/box.h"
#include "p2p/log.h"
#include "p2p/net.h"
#include "p2p/reach.h"

enum { ANSWER_MS = 12000, WAIT_S = 10, POLL_PAUSE_S = 1 };

/* One call at one registry. */
struct calling {
    const struct p2p_reach *reach;
    const struct p2p_id *peer;
    size_t registry;
    struct p2p_call call, answer;
    bool is_answered;
};

/* Only the peer that was called, for this session, now. */
static void
take_answer(void *arg, const char *text, size_t len)
{
    struct calling *c = arg;
    uint64_t now_s = p2p_discovery_time_s(c->reach->discovery, c->registry);
    struct p2p_call answer;

    if (c->is_answered || p2p_call_parse(text, len, &answer) != P2P_OK ||
        answer.type != P2P_CALL_ANSWER || !p2p_id_equal(&answer.from, c->peer) ||
        !p2p_id_equal(&answer.to, p2p_identity_id(c->reach->identity)) ||
        memcmp(&answer.session, &c->call.session, sizeof(answer.session)) != 0 ||
        p2p_call_check(&answer, now_s) != P2P_OK)
        return;
    c->answer = answer;
    c->is_answered = true;
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

static enum p2p_err
wait_for_answer(struct calling *c, struct p2p_box_wait *wait, uint64_t *after)
{
    uint64_t end = p2p_now_ms() + ANSWER_MS;
    enum p2p_err err = P2P_OK;

    wait->wait_s = WAIT_S;
    while (err == P2P_OK && !c->is_answered && p2p_now_ms() < end &&
           !p2p_stop_is_set(wait->stop)) {
        err =
            p2p_box_read(c->reach->discovery, c->registry, wait, after, take_answer, c);
        wait->wait_s = POLL_PAUSE_S;
    }
    if (p2p_stop_is_set(wait->stop))
        return P2P_ERR_CANCELLED;
    if (err != P2P_OK)
        return err;
    return c->is_answered ? P2P_OK : P2P_ERR_TIMEOUT;
}

/* NOT_FOUND: the peer has no box there. */
static enum p2p_err
call_at(struct calling *c, const struct p2p_stop *stop)
{
    char box[P2P_BOX_TEXT];
    struct p2p_box_wait wait = {.box = box, .stop = stop};
    uint64_t after = 0;
    enum p2p_err err = p2p_random(&c->call.reply, sizeof(c->call.reply));

    p2p_box_of_number(&c->call.reply, box);
    /* Makes the box for the answer, and tells the registry's time. */
    if (err == P2P_OK)
        err = p2p_box_read(c->reach->discovery, c->registry, &wait, &after, take_answer,
                           c);
    if (err == P2P_OK)
        err = make_call(c);
    if (err == P2P_OK)
        err = post(c, stop);
    return err == P2P_OK ? wait_for_answer(c, &wait, &after) : err;
}

enum p2p_err
p2p_reach_relay(const struct p2p_reach *reach, const struct p2p_id *peer,
                const struct p2p_stop *stop, int *fd)
{
    struct calling c = {.reach = reach, .peer = peer};
    enum p2p_err err = P2P_ERR_UNREACHABLE, last;

    *fd = -1;
    if (reach->discovery == NULL)
        return P2P_ERR_UNREACHABLE;
    for (; c.registry < p2p_discovery_count(reach->discovery) && !p2p_stop_is_set(stop);
         c.registry++) {
        last = call_at(&c, stop);
        if (last == P2P_OK)
            return p2p_relay_connect(&c.answer.relay, c.answer.token, stop, fd);
        /* What says most: that it did not answer. */
        if (err != P2P_ERR_TIMEOUT)
            err = last;
    }
    p2p_log_debug("no way through a relay error=%s", p2p_err_name(err));
    return p2p_stop_is_set(stop) ? P2P_ERR_CANCELLED : err;
}
