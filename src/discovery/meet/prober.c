#include "discovery/meet/prober.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "p2p/clock.h"
#include "p2p/lock.h"

P2P_MUTEX_KIND(prober_lock);
struct prober {
    prober_result *on_result;
    void *arg;
    pthread_t thread;
    int news_fd; /* readable: a trial was added, or the end */
    /* For its own thread only: */
    struct attempt {
        int fd; /* -1: free */
        int number;
        uint64_t end_ms;
        struct trial trial;
    } at[TRIALS_AT_ONCE];
    struct prober_lock lock;
    struct trials *trials P2P_GUARDED_BY(prober_lock);
    struct prober_stats stats P2P_GUARDED_BY(prober_lock);
    bool is_ending P2P_GUARDED_BY(prober_lock);
};

static socklen_t
sockaddr_of(const struct p2p_addr *addr, struct sockaddr_storage *out)
{
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
    struct sockaddr_in *v4 = (struct sockaddr_in *)out;

    memset(out, 0, sizeof(*out));
    if (inet_pton(AF_INET, addr->host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(addr->port);
        return sizeof(*v4);
    }
    if (inet_pton(AF_INET6, addr->host, &v6->sin6_addr) != 1)
        return 0;
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(addr->port);
    return sizeof(*v6);
}

/* What the error of a connection says. Errors of this machine say nothing. */
static enum trial_result
meaning_of(int error)
{
    switch (error) {
    case 0:
        return TRIAL_REACHED;
    case ECONNREFUSED:
    case ECONNRESET:
    case EHOSTUNREACH:
    case ETIMEDOUT:
        return TRIAL_FAILED;
    default:
        return TRIAL_UNKNOWN;
    }
}

static void
end_attempt(struct prober *p, struct attempt *a, enum trial_result result)
{
    if (a->fd >= 0)
        close(a->fd);
    a->fd = -1;
    p2p_lock(&p->lock);
    trials_end(p->trials, a->number);
    p->stats.reached += result == TRIAL_REACHED;
    p->stats.failed += result == TRIAL_FAILED;
    p2p_unlock(&p->lock);
    if (result != TRIAL_UNKNOWN)
        p->on_result(p->arg, &a->trial, result);
}

static void
start_attempt(struct prober *p, struct attempt *a)
{
    struct sockaddr_storage sa;
    socklen_t len = sockaddr_of(&a->trial.addr, &sa);

    a->end_ms = p2p_now_ms() + TRIALS_MS;
    if (len > 0)
        a->fd = socket(sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (a->fd < 0)
        end_attempt(p, a, TRIAL_UNKNOWN);
    else if (connect(a->fd, (struct sockaddr *)&sa, len) == 0)
        end_attempt(p, a, TRIAL_REACHED);
    else if (errno != EINPROGRESS)
        end_attempt(p, a, meaning_of(errno));
}

static struct attempt *
unused(struct prober *p)
{
    for (size_t i = 0; i < TRIALS_AT_ONCE; i++)
        if (p->at[i].fd < 0)
            return &p->at[i];
    return NULL;
}

/* False: the thread is to end. */
static bool
start_attempts(struct prober *p)
{
    bool goes_on = true;
    struct attempt *a;

    while (goes_on && (a = unused(p)) != NULL) {
        p2p_lock(&p->lock);
        a->number = trials_begin(p->trials, &a->trial);
        goes_on = !p->is_ending;
        p2p_unlock(&p->lock);
        if (a->number < 0)
            break;
        start_attempt(p, a);
    }
    return goes_on;
}

static void
check_attempts(struct prober *p, const struct pollfd *fds)
{
    uint64_t now = p2p_now_ms();

    for (size_t i = 0; i < TRIALS_AT_ONCE; i++) {
        struct attempt *a = &p->at[i];
        int error = 0;
        socklen_t len = sizeof(error);

        if (a->fd < 0)
            continue;
        if (fds[i].revents != 0) {
            if (getsockopt(a->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
                error = errno;
            end_attempt(p, a, meaning_of(error));
        } else if (now >= a->end_ms) {
            end_attempt(p, a, TRIAL_FAILED);
        }
    }
}

static int
time_left(const struct prober *p)
{
    uint64_t now = p2p_now_ms(), end = UINT64_MAX;

    for (size_t i = 0; i < TRIALS_AT_ONCE; i++)
        if (p->at[i].fd >= 0 && p->at[i].end_ms < end)
            end = p->at[i].end_ms;
    if (end == UINT64_MAX)
        return -1;
    return end > now ? (int)(end - now) : 0;
}

static void *
prober_main(void *arg)
{
    struct prober *p = arg;

    while (start_attempts(p)) {
        struct pollfd fds[TRIALS_AT_ONCE + 1];
        eventfd_t ignored;

        for (size_t i = 0; i < TRIALS_AT_ONCE; i++)
            fds[i] = (struct pollfd){.fd = p->at[i].fd, .events = POLLOUT};
        fds[TRIALS_AT_ONCE] = (struct pollfd){.fd = p->news_fd, .events = POLLIN};
        if (poll(fds, TRIALS_AT_ONCE + 1, time_left(p)) < 0)
            memset(fds, 0, sizeof(fds));
        if (fds[TRIALS_AT_ONCE].revents != 0)
            (void)eventfd_read(p->news_fd, &ignored);
        check_attempts(p, fds);
    }
    return NULL;
}

static void
release(struct prober *p) P2P_NO_LOCK_CHECK
{
    for (size_t i = 0; i < TRIALS_AT_ONCE; i++)
        if (p->at[i].fd >= 0)
            close(p->at[i].fd);
    if (p->news_fd >= 0)
        close(p->news_fd);
    trials_free(p->trials);
    p2p_mutex_clear(&p->lock);
    free(p);
}

enum p2p_err
prober_start(prober_result *on_result, void *arg, struct prober **out)
{
    struct prober *p = calloc(1, sizeof(*p));

    *out = NULL;
    if (p == NULL)
        return P2P_ERR_NOMEM;
    p->on_result = on_result;
    p->arg = arg;
    for (size_t i = 0; i < TRIALS_AT_ONCE; i++)
        p->at[i].fd = -1;
    p2p_mutex_init(&p->lock);
    p->trials = trials_new();
    p->news_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (p->trials == NULL || p->news_fd < 0 ||
        pthread_create(&p->thread, NULL, prober_main, p) != 0) {
        release(p);
        return P2P_ERR_SYS;
    }
    *out = p;
    return P2P_OK;
}

void
prober_stop(struct prober *p)
{
    if (p == NULL)
        return;
    p2p_lock(&p->lock);
    p->is_ending = true;
    p2p_unlock(&p->lock);
    (void)eventfd_write(p->news_fd, 1);
    pthread_join(p->thread, NULL);
    release(p);
}

void
prober_ask(struct prober *p, const struct trial *trial)
{
    bool is_new;

    if (p == NULL)
        return;
    p2p_lock(&p->lock);
    is_new = trials_add(p->trials, trial, p2p_now_ms());
    p2p_unlock(&p->lock);
    if (is_new)
        (void)eventfd_write(p->news_fd, 1);
}

void
prober_stats(struct prober *p, struct prober_stats *out)
{
    *out = (struct prober_stats){0};
    if (p == NULL)
        return;
    p2p_lock(&p->lock);
    *out = p->stats;
    p2p_unlock(&p->lock);
}
