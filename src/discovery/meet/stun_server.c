#include "discovery/meet/stun_server.h"

#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/channel/stun.h"
#include "http/source/address.h"
#include "http/source/ratelimit.h"
#include "p2p/clock.h"

enum {
    SOURCES = 16384,
    TURN_MAX = 64,
    SHORT_COST = STUN_ANSWERS_PER_SECOND / STUN_SHORT_PER_SECOND,
};

struct stun_server {
    int fds[STUN_PORTS];
    int end_fd;                       /* readable: the end */
    struct http_ratelimit *budget;    /* of a source */
    struct http_ratelimit *shortcuts; /* of all questions shorter than their answers */
    pthread_t thread;
    _Atomic uint64_t answers;
};

/* The control messages bring the local address at which a datagram arrived, and take it
 * along, so that the answer comes from there. */
union control {
    char bytes[CMSG_SPACE(sizeof(struct in6_pktinfo)) +
               CMSG_SPACE(sizeof(struct in_pktinfo))];
    struct cmsghdr align;
};

/* ---- sockets ---- */

static void
set_port(struct sockaddr_storage *sa, uint16_t port)
{
    if (sa->ss_family == AF_INET6)
        ((struct sockaddr_in6 *)sa)->sin6_port = htons(port);
    else
        ((struct sockaddr_in *)sa)->sin_port = htons(port);
}

static uint16_t
port_of(const struct sockaddr_storage *sa)
{
    return ntohs(sa->ss_family == AF_INET6
                     ? ((const struct sockaddr_in6 *)sa)->sin6_port
                     : ((const struct sockaddr_in *)sa)->sin_port);
}

static int
open_beside(const struct sockaddr_storage *sa, socklen_t len, int is_v6only)
{
    int fd = socket(sa->ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int one = 1;

    if (fd < 0)
        return -1;
    if (sa->ss_family == AF_INET6) {
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &is_v6only, sizeof(is_v6only));
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &one, sizeof(one));
    } else {
        (void)setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &one, sizeof(one));
    }
    if (bind(fd, (const struct sockaddr *)sa, len) == 0)
        return fd;
    close(fd);
    return -1;
}

unsigned
stun_server_listen(int listener, int fds[STUN_PORTS])
{
    struct sockaddr_storage sa = {0};
    socklen_t len = sizeof(sa), size = sizeof(int);
    int is_v6only = 0;
    unsigned count = 0;
    uint16_t port;

    for (unsigned i = 0; i < STUN_PORTS; i++)
        fds[i] = -1;
    if (getsockname(listener, (struct sockaddr *)&sa, &len) != 0 ||
        (sa.ss_family != AF_INET && sa.ss_family != AF_INET6))
        return 0;
    if (sa.ss_family == AF_INET6)
        (void)getsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &is_v6only, &size);
    port = port_of(&sa);
    for (unsigned i = 0; i < STUN_PORTS && port + i <= UINT16_MAX; i++) {
        set_port(&sa, (uint16_t)(port + i));
        fds[i] = open_beside(&sa, len, is_v6only);
        count += fds[i] >= 0;
    }
    return count;
}

/* ---- answers ---- */

static bool
endpoint_of(const struct sockaddr_storage *sa, struct p2p_endpoint *out)
{
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)sa;
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)sa;

    if (sa->ss_family == AF_INET6)
        *out = p2p_endpoint_make(v6->sin6_addr.s6_addr, sizeof(v6->sin6_addr),
                                 port_of(sa));
    else
        *out = p2p_endpoint_make((const uint8_t *)&v4->sin_addr, sizeof(v4->sin_addr),
                                 port_of(sa));
    return p2p_endpoint_is_unicast(out);
}

/* A sender can put somebody else's address on a question. So the server sends only few
 * answers that are longer than their requests (browsers send such requests), to one
 * address and in total. */
static bool
has_budget(struct stun_server *s, const struct sockaddr_storage *from, bool is_short)
{
    static const char all[] = "all";
    uint64_t now_ms = p2p_now_ms();
    struct http_address source;

    http_address_from((const struct sockaddr *)from, &source);
    source = http_address_source(&source);
    return http_ratelimit_take(s->budget, source.b, sizeof(source.b),
                               is_short ? SHORT_COST : 1, now_ms) == 0 &&
           (!is_short ||
            http_ratelimit_take(s->shortcuts, all, sizeof(all), 1, now_ms) == 0);
}

/* False: nothing waits. */
static bool
answer_one(struct stun_server *s, unsigned at)
{
    uint8_t question[P2P_STUN_MAX], answer[P2P_STUN_MAX];
    struct sockaddr_storage from = {0};
    union control control;
    struct iovec in = {question, sizeof(question)}, out = {answer, 0};
    struct msghdr m = {.msg_name = &from,
                       .msg_namelen = sizeof(from),
                       .msg_iov = &in,
                       .msg_iovlen = 1,
                       .msg_control = control.bytes,
                       .msg_controllen = sizeof(control.bytes)};
    struct p2p_endpoint seen;
    bool change_port;
    ssize_t n = recvmsg(s->fds[at], &m, 0);

    if (n < 0)
        return false;
    if ((m.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0 || !endpoint_of(&from, &seen) ||
        !p2p_stun_answer(question, (size_t)n, &seen, &change_port, answer,
                         &out.iov_len) ||
        !has_budget(s, &from, out.iov_len > (size_t)n))
        return true;
    m.msg_iov = &out;
    m.msg_flags = 0;
    if (m.msg_controllen == 0)
        m.msg_control = NULL;
    atomic_fetch_add_explicit(&s->answers, 1, memory_order_relaxed);
    /* A full buffer: it is lost. */
    (void)!sendmsg(s->fds[change_port ? 1 - at : at], &m, MSG_DONTWAIT | MSG_NOSIGNAL);
    return true;
}

static void *
stun_main(void *arg)
{
    struct stun_server *s = arg;
    struct pollfd fds[STUN_PORTS + 1];

    for (unsigned i = 0; i < STUN_PORTS; i++)
        fds[i] = (struct pollfd){.fd = s->fds[i], .events = POLLIN};
    fds[STUN_PORTS] = (struct pollfd){.fd = s->end_fd, .events = POLLIN};
    for (;;) {
        if (poll(fds, STUN_PORTS + 1, -1) < 0)
            continue;
        if (fds[STUN_PORTS].revents != 0)
            return NULL;
        for (unsigned i = 0; i < STUN_PORTS; i++)
            for (int n = 0; fds[i].revents != 0 && n < TURN_MAX; n++)
                if (!answer_one(s, i))
                    break;
    }
}

/* ---- life ---- */

static void
release(struct stun_server *s)
{
    if (s->end_fd >= 0)
        close(s->end_fd);
    http_ratelimit_free(s->budget);
    http_ratelimit_free(s->shortcuts);
    free(s);
}

enum p2p_err
stun_server_start(const int fds[STUN_PORTS], struct stun_server **out)
{
    struct stun_server *s = calloc(1, sizeof(*s));

    *out = NULL;
    if (s == NULL)
        return P2P_ERR_NOMEM;
    memcpy(s->fds, fds, sizeof(s->fds));
    s->end_fd = eventfd(0, EFD_CLOEXEC);
    s->budget =
        http_ratelimit_new(STUN_ANSWERS_PER_SECOND, STUN_ANSWERS_PER_SECOND, SOURCES);
    s->shortcuts = http_ratelimit_new(STUN_SHORT_IN_TOTAL, STUN_SHORT_IN_TOTAL, 1);
    if (s->end_fd < 0 || s->budget == NULL || s->shortcuts == NULL ||
        pthread_create(&s->thread, NULL, stun_main, s) != 0) {
        release(s);
        return P2P_ERR_SYS;
    }
    *out = s;
    return P2P_OK;
}

void
stun_server_stop(struct stun_server *s)
{
    if (s == NULL)
        return;
    (void)eventfd_write(s->end_fd, 1);
    pthread_join(s->thread, NULL);
    release(s);
}

uint64_t
stun_server_answers(const struct stun_server *s)
{
    return s != NULL ? atomic_load_explicit(&s->answers, memory_order_relaxed) : 0;
}
