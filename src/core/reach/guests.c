#include "p2p/guests.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/reach/callers.h"
#include "core/reach/gather.h"
#include "p2p/box.h"
#include "p2p/clock.h"
#include "p2p/lock.h"
#include "p2p/log.h"

enum {
    WAIT_S = 50,
    PAUSE_MIN_MS = 1000, /* after a failure, doubled each time */
    PAUSE_MAX_MS = 30000,
    ANSWERS_MAX = 8, /* that are under way */
    CHANNEL_MS = 20000,
    REGISTRIES_MAX = 16,
};

/* One thread for each registry. */
struct listener {
    struct p2p_guests *guests;
    size_t registry;
    pthread_t thread;
};

P2P_MUTEX_KIND(p2p_guests_lock);
struct p2p_guests {
    struct p2p_guests_options opt;
    struct p2p_stop *stop;
    struct listener listeners[REGISTRIES_MAX];
    size_t listener_count;
    struct p2p_guests_lock lock;
    pthread_cond_t changed; /* stop, or an answer has ended */
    struct p2p_callers callers P2P_GUARDED_BY(p2p_guests_lock);
    unsigned answers P2P_GUARDED_BY(p2p_guests_lock);
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
    json = p2p_guest_answer_format(&a->call, &g->opt.keys, &g->opt.peer, &channel);
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

static void *
answer_main(void *arg)
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
    p2p_lock(&g->lock);
    g->answers--;
    pthread_cond_broadcast(&g->changed);
    p2p_unlock(&g->lock);
    return NULL;
}

static void
start_answer(struct p2p_guests *g, size_t registry, const struct p2p_guest_call *call)
{
    struct answering *a = malloc(sizeof(*a));
    pthread_attr_t detached;
    pthread_t thread;
    bool is_started = false;

    if (a != NULL && pthread_attr_init(&detached) == 0) {
        *a = (struct answering){g, registry, *call};
        pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
        is_started = pthread_create(&thread, &detached, answer_main, a) == 0;
        pthread_attr_destroy(&detached);
    }
    if (is_started)
        return;
    free(a);
    p2p_lock(&g->lock);
    g->answers--;
    p2p_unlock(&g->lock);
}

/* ---- listening ---- */

/* Takes a place for the answer. Guests count by the number that they chose, and all
 * together. */
static bool
has_place(struct p2p_guests *g, const struct p2p_guest_call *call)
{
    struct p2p_id from = {{0}};

    memcpy(from.b, call->guest.b, sizeof(call->guest.b));
    p2p_lock(&g->lock);
    bool has = !p2p_callers_knows(&g->callers, &call->session, p2p_now_ms()) &&
               g->answers < ANSWERS_MAX &&
               p2p_callers_take(&g->callers, &call->session, &from, p2p_now_ms());
    g->answers += has;
    p2p_unlock(&g->lock);
    return has;
}

/* Who fails gets no answer. */
static void
on_message(void *arg, const char *text, size_t len)
{
    struct listener *l = arg;
    struct p2p_guests *g = l->guests;
    uint64_t now_s = p2p_discovery_time_s(g->opt.discovery, l->registry);
    struct p2p_guest_call call;
    enum p2p_err err = p2p_guest_call_parse(text, len, &g->opt.keys, now_s, &call);

    if (err == P2P_OK && !has_place(g, &call))
        err = P2P_ERR_RATE_LIMITED;
    if (err == P2P_OK)
        start_answer(g, l->registry, &call);
    else
        p2p_log_debug("a guest gets no answer reason=%s", p2p_err_name(err));
}

static void
rest(struct p2p_guests *g, uint64_t ms)
{
    uint64_t until = p2p_now_ms() + ms;

    p2p_lock(&g->lock);
    while (!p2p_stop_is_set(g->stop) && p2p_wait_until(&g->changed, &g->lock, until))
        continue;
    p2p_unlock(&g->lock);
}

static void *
listen_main(void *arg)
{
    struct listener *l = arg;
    struct p2p_guests *g = l->guests;
    uint64_t pause_ms = PAUSE_MIN_MS, after = 0;
    char box[P2P_BOX_TEXT];
    const struct p2p_box_wait wait = {.box = box, .wait_s = WAIT_S, .stop = g->stop};

    p2p_box_of_number(&g->opt.keys.box, box);
    while (!p2p_stop_is_set(g->stop)) {
        enum p2p_err err =
            p2p_box_read(g->opt.discovery, l->registry, &wait, &after, on_message, l);
        if (err == P2P_OK) {
            pause_ms = PAUSE_MIN_MS;
            continue;
        }
        rest(g, pause_ms);
        pause_ms = pause_ms * 2 < PAUSE_MAX_MS ? pause_ms * 2 : PAUSE_MAX_MS;
    }
    /* Guests learn at once that nobody is there any longer. */
    p2p_box_drop(g->opt.discovery, l->registry, &g->opt.keys.box, NULL);
    return NULL;
}

/* ---- life ---- */

enum p2p_err
p2p_guests_start(const struct p2p_guests_options *opt, struct p2p_guests **out)
{
    struct p2p_guests *g = calloc(1, sizeof(*g));
    size_t count = p2p_discovery_count(opt->discovery);
    enum p2p_err err;

    *out = NULL;
    if (g == NULL)
        return P2P_ERR_NOMEM;
    g->opt = *opt;
    p2p_mutex_init(&g->lock);
    p2p_cond_init(&g->changed);
    err = p2p_stop_new(&g->stop);
    for (size_t i = 0; i < count && i < REGISTRIES_MAX && err == P2P_OK; i++) {
        struct listener *l = &g->listeners[i];
        *l = (struct listener){.guests = g, .registry = i};
        if (pthread_create(&l->thread, NULL, listen_main, l) != 0)
            err = P2P_ERR_SYS;
        else
            g->listener_count++;
    }
    if (err != P2P_OK) {
        p2p_guests_stop(g);
        return err;
    }
    *out = g;
    return P2P_OK;
}

void
p2p_guests_stop(struct p2p_guests *g)
{
    if (g == NULL)
        return;
    p2p_lock(&g->lock);
    if (g->stop != NULL)
        p2p_stop_set(g->stop);
    pthread_cond_broadcast(&g->changed);
    p2p_unlock(&g->lock);
    for (size_t i = 0; i < g->listener_count; i++)
        pthread_join(g->listeners[i].thread, NULL);
    p2p_lock(&g->lock);
    while (g->answers > 0)
        p2p_wait(&g->changed, &g->lock);
    p2p_unlock(&g->lock);
    p2p_stop_free(g->stop);
    pthread_cond_destroy(&g->changed);
    p2p_mutex_clear(&g->lock);
    p2p_wipe(&g->opt.keys, sizeof(g->opt.keys));
    free(g);
}
