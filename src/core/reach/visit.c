/* The guest's side of a link: a call with the link's MAC, the answer to it, and the
 * channel that follows (PROTOCOL.md, "Links"). */
#include <stdlib.h>
#include <string.h>

#include "core/reach/gather.h"
#include "p2p/box.h"
#include "p2p/clock.h"
#include "p2p/log.h"
#include "p2p/reach.h"

enum { CHANNEL_MS = 15000, BOX_MS = 70000 };

/* One call at one registry. */
struct visiting {
    const struct p2p_reach *reach;
    size_t registry;
    struct p2p_guest_call call;
    struct p2p_id peer;
    struct p2p_call_channel answer;
    struct p2p_answer_box box;
    struct p2p_channel_port *port;
};

/* Only what carries the link's MAC for this call; all else could be from anybody. */
static void
take_answer(void *arg, const char *text, size_t len)
{
    struct visiting *v = arg;

    if (!v->box.is_answered)
        v->box.is_answered =
            p2p_guest_answer_parse(text, len, &v->call, &v->reach->visit->keys,
                                   &v->peer, &v->answer) == P2P_OK;
}

static enum p2p_err
post(struct visiting *v, const struct p2p_stop *stop)
{
    const struct p2p_visit *visit = v->reach->visit;
    char box[P2P_BOX_TEXT], *json;
    enum p2p_err err = P2P_ERR_NOMEM;

    v->call.guest = visit->guest;
    v->call.box = visit->keys.box;
    v->call.expires_s =
        p2p_discovery_time_s(v->reach->discovery, v->registry) + P2P_CALL_LIFE_S;
    p2p_channel_port_tell(v->port, &v->call.channel);
    p2p_box_of_number(&visit->keys.box, box);
    if ((json = p2p_guest_call_format(&v->call, &visit->keys)) != NULL)
        err = p2p_box_post(v->reach->discovery, v->registry, box, json, stop);
    free(json);
    return err;
}

static enum p2p_err
call_at(struct visiting *v, const struct p2p_stop *stop)
{
    enum p2p_err err = p2p_random(&v->call.reply, sizeof(v->call.reply));

    if (err == P2P_OK)
        err = p2p_random(&v->call.session, sizeof(v->call.session));
    v->box = (struct p2p_answer_box){.discovery = v->reach->discovery,
                                     .registry = v->registry,
                                     .number = v->call.reply,
                                     .stop = stop,
                                     .take = take_answer,
                                     .arg = v};
    if (err == P2P_OK)
        err = p2p_answer_box_make(&v->box, BOX_MS);
    if (err == P2P_OK) {
        v->port = p2p_gather(v->reach->discovery, v->registry, stop);
        err = v->port != NULL ? post(v, stop) : P2P_ERR_BUSY;
    }
    return err == P2P_OK ? p2p_answer_box_wait(&v->box) : err;
}

static enum p2p_err
open_channel(struct visiting *v, const struct p2p_stop *stop, struct p2p_way *out)
{
    struct p2p_channel_port *port = v->port;
    struct p2p_channel_way way;
    enum p2p_err err;

    v->port = NULL;
    err = p2p_channel_port_open(port, &v->answer, true, p2p_now_ms() + CHANNEL_MS, stop,
                                &way);
    if (err == P2P_OK)
        *out = (struct p2p_way){way.fd, P2P_PATH_CHANNEL, way.rtt_us};
    return err;
}

enum p2p_err
p2p_reach_visit(const struct p2p_reach *reach, const struct p2p_stop *stop,
                struct p2p_way *out)
{
    struct visiting v = {.reach = reach};
    enum p2p_err err = P2P_ERR_UNREACHABLE;

    *out = (struct p2p_way){.fd = -1, .kind = P2P_PATH_CHANNEL};
    if (reach->discovery == NULL || reach->visit == NULL)
        return err;
    for (; v.registry < p2p_discovery_count(reach->discovery) && !p2p_stop_is_set(stop);
         v.registry++) {
        err = call_at(&v, stop);
        p2p_box_drop_soon(reach->discovery, v.registry, &v.call.reply);
        if (err == P2P_OK)
            err = open_channel(&v, stop, out);
        p2p_channel_port_close(v.port);
        v.port = NULL;
        if (err == P2P_OK || v.box.is_answered)
            break;
    }
    p2p_wipe(&v, sizeof(v));
    return p2p_stop_is_set(stop) && err != P2P_OK ? P2P_ERR_CANCELLED : err;
}
