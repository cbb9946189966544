/* The thread that keeps a port mapped: sockets and time for the machine of portmap.h.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/reach/portmap.h"
#include "core/reach/upnp.h"
#include "p2p/crypto.h"
#include "p2p/log.h"
#include "p2p/net.h"
#include "p2p/portmap.h"
#include "p2p/stop.h"

enum {
    SETTLE_MS = 1000,         /* a new network means several changes */
    NO_ROUTER_MS = 60 * 1000, /* pause before the next search for a router */
};

/* All but `stop` belongs to the thread. */
struct p2p_portmapper {
    struct p2p_portmap_options opt;
    struct p2p_stop *stop;
    pthread_t thread;
    int fd;       /* to the router; -1: there is none */
    int news_fd;  /* the router's news to all; -1: not heard */
    int watch_fd; /* changes of addresses and routes */
    uint8_t router[4];
    uint64_t look_ms; /* when to look for the router */
    struct p2p_portmap machine;
    struct p2p_mapping told;
    struct p2p_upnp_job *asking; /* by UPnP, without an answer yet */
    struct p2p_upnp_job *mapped; /* the last one that has mapped */
};

/* ---- the router ---- */

static int
connect_to(const uint8_t router[4], uint8_t own_ip[4])
{
    struct sockaddr_in sa = {.sin_family = AF_INET,
                             .sin_port = htons(P2P_PORTMAP_SERVER_PORT)};
    struct sockaddr_in own = {0};
    socklen_t len = sizeof(own);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    memcpy(&sa.sin_addr, router, 4);
    if (fd < 0)
        return -1;
    if (connect(fd, (const struct sockaddr *)&sa, sizeof(sa)) != 0 ||
        getsockname(fd, (struct sockaddr *)&own, &len) != 0) {
        close(fd);
        return -1;
    }
    memcpy(own_ip, &own.sin_addr, 4);
    return fd;
}

static int
open_news(void)
{
    struct sockaddr_in sa = {.sin_family = AF_INET,
                             .sin_port = htons(P2P_PORTMAP_NEWS_PORT)};
    struct ip_mreq all = {.imr_multiaddr.s_addr = htonl(INADDR_ALLHOSTS_GROUP)};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int one = 1;

    if (fd < 0)
        return -1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(fd, (const struct sockaddr *)&sa, sizeof(sa)) != 0) {
        close(fd);
        return -1;
    }
    /* Every machine is in this group already, but not each kernel delivers then. */
    (void)setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &all, sizeof(all));
    return fd;
}

/* Begins anew if there is another router, or another address towards it. */
static void
find_router(struct p2p_portmapper *p, uint64_t now_ms)
{
    uint8_t router[4], own_ip[4], nonce[12];
    int fd = -1;

    p->look_ms = UINT64_MAX;
    if (p2p_net_gateway(router))
        fd = connect_to(router, own_ip);
    if (fd >= 0 && p->fd >= 0 && memcmp(router, p->router, 4) == 0 &&
        memcmp(own_ip, p->machine.own_ip, 4) == 0) {
        close(fd);
        return;
    }
    p2p_fd_close(&p->fd);
    p->fd = fd;
    if (fd < 0 || p2p_random(nonce, sizeof(nonce)) != P2P_OK) {
        p->machine = (struct p2p_portmap){.due_ms = UINT64_MAX};
        p->look_ms = now_ms + NO_ROUTER_MS;
        p2p_fd_close(&p->fd);
        return;
    }
    memcpy(p->router, router, 4);
    p2p_portmap_init(&p->machine, own_ip, p->opt.port, nonce, now_ms);
    p->machine.has_upnp = p2p_upnp_is_built();
    p2p_upnp_drop(p->asking);
    p->asking = NULL;
}

/* ---- UPnP ---- */

static void
ask_by_upnp(struct p2p_portmapper *p, uint64_t now_ms)
{
    if (!p->machine.wants_upnp || p->asking != NULL)
        return;
    if (p2p_upnp_ask(p->router, p->machine.own_ip, p->opt.port, &p->asking) != P2P_OK)
        p2p_portmap_on_upnp(&p->machine, NULL, now_ms);
}

static void
hear_upnp(struct p2p_portmapper *p)
{
    struct p2p_mapping mapping;
    bool is_mapped = p2p_upnp_result(p->asking, &mapping);

    p2p_portmap_on_upnp(&p->machine, is_mapped ? &mapping : NULL, p2p_now_ms());
    if (is_mapped) {
        p2p_upnp_drop(p->mapped);
        p->mapped = p->asking;
    } else {
        p2p_upnp_drop(p->asking);
    }
    p->asking = NULL;
}

/* ---- datagrams ---- */

static void
hear(struct p2p_portmapper *p)
{
    uint8_t data[1100];
    ssize_t n;

    for (int i = 0; i < 16; i++) {
        if ((n = recv(p->fd, data, sizeof(data), MSG_DONTWAIT)) <= 0) {
            if (n < 0 && errno == ECONNREFUSED)
                p2p_portmap_on_refusal(&p->machine, p2p_now_ms());
            return;
        }
        p2p_portmap_on_datagram(&p->machine, data, (size_t)n, p2p_now_ms());
    }
}

static void
hear_news(struct p2p_portmapper *p)
{
    uint8_t data[1100];
    struct sockaddr_in from = {0};
    socklen_t len = sizeof(from);
    ssize_t n = recvfrom(p->news_fd, data, sizeof(data), MSG_DONTWAIT,
                         (struct sockaddr *)&from, &len);

    if (n > 0 && p->fd >= 0 && memcmp(&from.sin_addr, p->router, 4) == 0)
        p2p_portmap_on_datagram(&p->machine, data, (size_t)n, p2p_now_ms());
}

static void
speak(struct p2p_portmapper *p, uint64_t now_ms)
{
    uint8_t out[P2P_PORTMAP_MESSAGE_MAX];
    size_t len = p->fd >= 0 ? p2p_portmap_on_time(&p->machine, now_ms, out) : 0;

    /* Refused: the router knows nothing of this; the next one is tried in time. */
    if (len > 0)
        (void)!send(p->fd, out, len, MSG_NOSIGNAL);
}

static void
tell(struct p2p_portmapper *p)
{
    const struct p2p_mapping *m = &p->machine.mapping;
    const char *by = p2p_portmap_by_name(m->by);
    char host[INET_ADDRSTRLEN];
    struct p2p_addr addr;

    if (m->by == p->told.by &&
        (m->by == P2P_PORTMAP_NONE ||
         (m->port == p->told.port && memcmp(m->ip, p->told.ip, 4) == 0)))
        return;
    /* While it is renewed by NAT-PMP, address and port are those of one answer each. */
    p->told = *m;
    if (m->by == P2P_PORTMAP_NONE) {
        p2p_log_info("the router forwards no port any longer");
        p->opt.on_change(p->opt.arg, NULL, by);
        return;
    }
    inet_ntop(AF_INET, m->ip, host, sizeof(host));
    if (p2p_addr_make(host, m->port, &addr) != P2P_OK)
        return;
    p2p_log_info("the router forwards a port outside=%s:%u port=%u by=%s", host,
                 m->port, p->opt.port, by);
    p->opt.on_change(p->opt.arg, &addr, by);
}

/* ---- the thread ---- */

static int
time_left(const struct p2p_portmapper *p, uint64_t now_ms)
{
    uint64_t due = p->fd >= 0 ? p2p_portmap_due_ms(&p->machine) : UINT64_MAX;

    if (p->look_ms < due)
        due = p->look_ms;
    if (due == UINT64_MAX)
        return -1;
    if (due <= now_ms)
        return 0;
    return due - now_ms < INT_MAX ? (int)(due - now_ms) : INT_MAX;
}

static void
wait_and_hear(struct p2p_portmapper *p)
{
    uint64_t now = p2p_now_ms();
    struct pollfd fds[] = {{.fd = p2p_stop_fd(p->stop), .events = POLLIN},
                           {.fd = p->fd, .events = POLLIN},
                           {.fd = p->news_fd, .events = POLLIN},
                           {.fd = p->watch_fd, .events = POLLIN},
                           {.fd = p2p_upnp_fd(p->asking), .events = POLLIN}};

    if (poll(fds, sizeof(fds) / sizeof(fds[0]), time_left(p, now)) <= 0)
        return;
    if (fds[1].revents != 0)
        hear(p);
    if (fds[2].revents != 0)
        hear_news(p);
    if (fds[4].revents != 0)
        hear_upnp(p);
    if (fds[3].revents != 0) {
        p2p_net_watch_drain(p->watch_fd);
        if (p->look_ms > p2p_now_ms() + SETTLE_MS)
            p->look_ms = p2p_now_ms() + SETTLE_MS;
    }
}

static void *
run(void *arg)
{
    struct p2p_portmapper *p = arg;
    uint8_t out[P2P_PORTMAP_MESSAGE_MAX];
    size_t len;

    while (!p2p_stop_is_set(p->stop)) {
        uint64_t now = p2p_now_ms();

        if (now >= p->look_ms)
            find_router(p, now);
        speak(p, now);
        ask_by_upnp(p, now);
        tell(p);
        wait_and_hear(p);
    }
    if (p->machine.mapping.by == P2P_PORTMAP_UPNP && p->mapped != NULL)
        p2p_upnp_unmap(p->mapped);
    len = p->fd >= 0 ? p2p_portmap_end(&p->machine, out) : 0;
    if (len > 0)
        (void)!send(p->fd, out, len, MSG_NOSIGNAL);
    return NULL;
}

static void
release(struct p2p_portmapper *p)
{
    p2p_fd_close(&p->fd);
    p2p_fd_close(&p->news_fd);
    p2p_fd_close(&p->watch_fd);
    p2p_upnp_drop(p->asking);
    p2p_upnp_drop(p->mapped);
    p2p_stop_free(p->stop);
    free(p);
}

enum p2p_err
p2p_portmapper_start(const struct p2p_portmap_options *opt, struct p2p_portmapper **out)
{
    struct p2p_portmapper *p = calloc(1, sizeof(*p));
    enum p2p_err err;

    *out = NULL;
    if (p == NULL)
        return P2P_ERR_NOMEM;
    p->opt = *opt;
    p->fd = -1;
    p->news_fd = open_news();
    p->watch_fd = p2p_net_watch_open();
    if ((err = p2p_stop_new(&p->stop)) == P2P_OK &&
        pthread_create(&p->thread, NULL, run, p) != 0)
        err = P2P_ERR_SYS;
    if (err != P2P_OK) {
        release(p);
        return err;
    }
    *out = p;
    return P2P_OK;
}

void
p2p_portmapper_stop(struct p2p_portmapper *p)
{
    if (p == NULL)
        return;
    p2p_stop_set(p->stop);
    pthread_join(p->thread, NULL);
    release(p);
}
