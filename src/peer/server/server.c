#include "peer/server/server.h"

#include <stdlib.h>

#include "p2p/log.h"
#include "p2p/net.h"
#include "peer/server/loop.h"
#include "peer/server/server_internal.h"

enum {
    LISTEN_BACKLOG = 1024,
    DISK_THREADS = 2,
    DISK_QUEUE = 4096,
    /* The queue's length is chosen so that waiting takes only a fraction of the
     * handshake's deadline. */
    CRYPTO_QUEUE_PER_THREAD = 512,
};

/* With SO_REUSEPORT, a second peer of this user would share the port without a
 * message. */
static enum p2p_err
check_port_is_free(const char *host, uint16_t port)
{
    uint16_t actual;
    int fd = -1;
    enum p2p_err err;

    if (port == 0)
        return P2P_OK;
    err = p2p_net_listen(host, port, false, 1, &fd, &actual);
    p2p_fd_close(&fd);
    return err;
}

enum p2p_err
server_listen(const char *host, uint16_t *port, int *listeners, size_t count)
{
    enum p2p_err err = check_port_is_free(host, *port);
    size_t i;

    for (i = 0; i < count; i++)
        listeners[i] = -1;
    /* The first listener may choose the port; the others use the same one. */
    for (i = 0; i < count && err == P2P_OK; i++)
        err = p2p_net_listen(host, *port, true, LISTEN_BACKLOG, &listeners[i], port);
    for (i = 0; i < count && err != P2P_OK; i++)
        p2p_fd_close(&listeners[i]);
    return err;
}

static enum p2p_err
start_loops(struct server *s)
{
    enum p2p_err err = P2P_OK;

    for (unsigned i = 0; i < s->opt.threads && err == P2P_OK; i++) {
        err = loop_new(s, s->opt.listeners[i], &s->loops[i]);
        if (err == P2P_OK)
            s->loop_count++;
    }
    for (unsigned i = 0; i < s->loop_count && err == P2P_OK; i++)
        err = loop_start(s->loops[i]);
    return err;
}

enum p2p_err
server_open(const struct server_options *opt, struct server **out)
{
    struct server *s = calloc(1, sizeof(*s));
    enum p2p_err err;

    *out = NULL;
    if (s == NULL)
        return P2P_ERR_NOMEM;
    s->opt = *opt;
    s->opt.admission.on_revoked = loop_on_revoked;
    p2p_rate_init(&s->rate, 0, 0);
    p2p_rate_init(&s->greeting_rate, 0, 0);
    if ((err = admission_new(&s->opt.admission, &s->admission)) != P2P_OK ||
        (err = clients_new(opt->rate_per_peer, &s->rate, &s->clients)) != P2P_OK ||
        (err = workers_new(opt->threads, CRYPTO_QUEUE_PER_THREAD * opt->threads,
                           &s->crypto)) != P2P_OK ||
        (err = workers_new(DISK_THREADS, DISK_QUEUE, &s->disk)) != P2P_OK ||
        (err = recheck_new(s, &s->recheck)) != P2P_OK ||
        (err = start_loops(s)) != P2P_OK ||
        (err = recheck_start(s->recheck)) != P2P_OK) {
        server_close(s, 0);
        return err;
    }
    *out = s;
    return P2P_OK;
}

void
server_set_rate(struct server *s, uint64_t bytes_per_s)
{
    uint64_t now_us = p2p_now_ms() * 1000;

    p2p_rate_set(&s->rate, bytes_per_s, now_us);
    p2p_rate_set(&s->greeting_rate, (bytes_per_s + GREETING_PART - 1) / GREETING_PART,
                 now_us);
}

void
server_set_rate_per_peer(struct server *s, uint64_t bytes_per_s)
{
    clients_set_rate(s->clients, bytes_per_s);
}

void
server_files_changed(struct server *s)
{
    for (unsigned i = 0; i < s->loop_count; i++)
        loop_files_changed(s->loops[i]);
}

void
server_recheck(struct server *s)
{
    recheck_poke(s->recheck);
}

void
server_totals(struct server *s, struct server_totals *out)
{
    out->connections = s->connections;
    out->proven = s->open;
}

struct loop *
server_pick_loop(struct server *s, struct loop *own)
{
    struct loop *best = own;

    for (unsigned i = 0; i < s->loop_count; i++) {
        if (loop_load(s->loops[i]) + 1 < loop_load(best))
            best = s->loops[i];
    }
    return best;
}

void
server_close(struct server *s, uint64_t grace_ms)
{
    if (s == NULL)
        return;
    s->grace_ms = grace_ms;
    s->stopping = true; /* from here on loops may read grace_ms */
    for (unsigned i = 0; i < s->loop_count; i++)
        loop_wake(s->loops[i]);
    for (unsigned i = 0; i < s->loop_count; i++)
        loop_join(s->loops[i]);
    /* Stops the workers first, because their jobs belong to connections. */
    workers_free(s->crypto);
    workers_free(s->disk);
    recheck_free(s->recheck);
    for (unsigned i = 0; i < s->loop_count; i++)
        loop_free(s->loops[i]);
    clients_free(s->clients);
    admission_free(s->admission);
    p2p_rate_clear(&s->rate);
    p2p_rate_clear(&s->greeting_rate);
    free(s);
}
