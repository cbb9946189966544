#include "p2p/guests.h"

#include <stdlib.h>
#include <string.h>

#include "core/reach/box_listener.h"
#include "core/reach/gather.h"
#include "p2p/clock.h"
#include "p2p/log.h"

enum {
    ANSWERS_MAX = 8, /* that are under way */
    CHANNEL_MS = 20000,
};

struct p2p_guests {
    struct p2p_guests_options opt;
    struct p2p_box_listener *listener;
    struct p2p_stop *stop; /* the listener's */
};

/* ---- answering ---- */

struct answering {
    struct p2p_guests *guests;
    size_t registry;
    struct p2p_guest_call call;
};

static enum p2p_err
post_answer(const struct answering *a, const struct p2p_channel_port *port)
{
    struct p2p_guests *g = a->guests;
    struct p2p_call_channel channel;
    char box[P2P_BOX_TEXT], *json;
    enum p2p_err err = P2P_ERR_NOMEM;

    memset(&channel, 0, sizeof(channel));
    p2p_channel_port_tell(port, &channel);
    p2p_box_of_number(&a->call.reply, box);
    json = p2p_guest_answer_format(&a->call, &g->opt.keys, g->opt.key, &g->opt.peer,
                                   &channel);
    if (json != NULL)
        err = p2p_box_post(g->opt.discovery, a->registry, box, json, g->stop);
    free(json);
    return err;
}

static enum p2p_err
answer(const struct answering *a, int *fd)
{
    struct p2p_guests *g = a->guests;
    struct p2p_channel_port *port = p2p_gather(g->opt.discovery, a->registry, g->stop);
    struct p2p_channel_way way;
    enum p2p_err err = port != NULL ? post_answer(a, port) : P2P_ERR_BUSY;

    if (err != P2P_OK) {
        p2p_channel_port_close(port);
        return err;
    }
    err = p2p_channel_port_open(port, &a->call.channel, false,
                                p2p_now_ms() + CHANNEL_MS, g->stop, &way);
    *fd = err == P2P_OK ? way.fd : -1;
    return err;
}

static void
run_answer(void *arg)
{
    struct answering *a = arg;
    struct p2p_guests *g = a->guests;
    int fd = -1;
    enum p2p_err err = answer(a, &fd);

    if (err == P2P_OK)
        g->opt.on_guest(g->opt.arg, fd, &g->opt.keys.guest, &a->call.guest);
    else if (err != P2P_ERR_CANCELLED)
        p2p_log_warn("cannot answer a guest of a link reason=\"%s\"",
                     p2p_err_text(err));
    free(a);
}

/* ---- listening ---- */

/* Guests count by the number that they chose, and all together. */
static enum p2p_err
start_answer(struct p2p_guests *g, size_t registry, const struct p2p_guest_call *call)
{
    struct answering *a = malloc(sizeof(*a));
    struct p2p_id from = {{0}};
    enum p2p_err err = a != NULL ? P2P_OK : P2P_ERR_NOMEM;

    memcpy(from.b, call->guest.b, sizeof(call->guest.b));
    if (err == P2P_OK)
        err = p2p_box_listener_take(g->listener, &call->session, &from);
    if (err == P2P_OK) {
        *a = (struct answering){g, registry, *call};
        if (p2p_box_listener_answer(g->listener, run_answer, a))
            return P2P_OK;
        err = P2P_ERR_SYS;
    }
    free(a);
    return err;
}

/* A guest whose call fails a check gets no answer. */
static void
on_message(void *arg, size_t registry, const char *text, size_t len)
{
    struct p2p_guests *g = arg;
    uint64_t now_s = p2p_discovery_time_s(g->opt.discovery, registry);
    struct p2p_guest_call call;
    enum p2p_err err = p2p_guest_call_parse(text, len, &g->opt.keys, now_s, &call);

    if (err == P2P_OK)
        err = start_answer(g, registry, &call);
    if (err != P2P_OK)
        p2p_log_debug("a guest is not answered reason=%s", p2p_err_name(err));
}

/* Guests learn at once that nobody is there any longer. */
static void
drop_box(void *arg, size_t registry)
{
    struct p2p_guests *g = arg;

    p2p_box_drop(g->opt.discovery, registry, &g->opt.keys.box);
}

/* ---- life ---- */

enum p2p_err
p2p_guests_start(const struct p2p_guests_options *opt, struct p2p_guests **out)
{
    struct p2p_guests *g = calloc(1, sizeof(*g));
    struct p2p_box_listener_options listener = {.discovery = opt->discovery,
                                                .is_link = true,
                                                .answers_max = ANSWERS_MAX,
                                                .on_message = on_message,
                                                .on_end = drop_box,
                                                .arg = g};
    enum p2p_err err;

    *out = NULL;
    if (g == NULL)
        return P2P_ERR_NOMEM;
    g->opt = *opt;
    p2p_box_of_number(&opt->keys.box, listener.box);
    err = p2p_box_listener_new(&listener, &g->listener);
    if (err == P2P_OK) {
        g->stop = p2p_box_listener_stop(g->listener);
        err = p2p_box_listener_start(g->listener);
    }
    if (err == P2P_OK)
        *out = g;
    else
        p2p_guests_stop(g);
    return err;
}

void
p2p_guests_stop(struct p2p_guests *g)
{
    if (g == NULL)
        return;
    p2p_box_listener_free(g->listener);
    p2p_wipe(&g->opt.keys, sizeof(g->opt.keys));
    free(g);
}
