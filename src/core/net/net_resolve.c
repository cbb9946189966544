/* Looks up host names, with a deadline. */
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "core/net/net_internal.h"
#include "core/net/resolve.h"
#include "p2p/lock.h"

P2P_MUTEX_KIND(lookup_lock);
/* One lookup, shared by the waiting caller and the thread that asks the resolver. The
 * last of the two frees it, so a caller that gives up never waits for a slow name
 * server. */
struct lookup {
    struct lookup_lock lock;
    int holders P2P_GUARDED_BY(lookup_lock);
    int done_fd; /* an eventfd: readable when the answer has arrived */
    bool done P2P_GUARDED_BY(lookup_lock);
    int status P2P_GUARDED_BY(lookup_lock);
    struct addrinfo *result P2P_GUARDED_BY(lookup_lock);
    char host[P2P_HOST_MAX + 1], port[6];
};

static void
forget(struct lookup *lookup)
{
    p2p_mutex_unshared(&lookup->lock);
    if (lookup->result != NULL)
        freeaddrinfo(lookup->result);
    p2p_fd_close(&lookup->done_fd);
    p2p_mutex_clear(&lookup->lock);
    free(lookup);
}

static void
release(struct lookup *lookup)
{
    bool last;

    p2p_lock(&lookup->lock);
    last = --lookup->holders == 0;
    p2p_unlock(&lookup->lock);
    if (last)
        forget(lookup);
}

static int
ask(const char *host, const char *port, int flags, struct addrinfo **out)
{
    const struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = flags};

    *out = NULL;
    return getaddrinfo(host, port, &hints, out);
}

static void *
lookup_thread(void *arg)
{
    struct lookup *lookup = arg;
    struct addrinfo *result;
    int status = ask(lookup->host, lookup->port, AI_ADDRCONFIG, &result);

    p2p_lock(&lookup->lock);
    lookup->status = status;
    lookup->result = result;
    lookup->done = true;
    (void)eventfd_write(lookup->done_fd, 1); /* fails only if it is readable already */
    p2p_unlock(&lookup->lock);
    release(lookup);
    return NULL;
}

static struct lookup *
start_lookup(const char *host, const char *port)
{
    struct lookup *lookup = calloc(1, sizeof(*lookup));
    pthread_t thread;

    if (lookup == NULL)
        return NULL;
    snprintf(lookup->host, sizeof(lookup->host), "%s", host);
    snprintf(lookup->port, sizeof(lookup->port), "%s", port);
    p2p_mutex_init(&lookup->lock);
    lookup->holders = 2;
    lookup->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (lookup->done_fd < 0 ||
        pthread_create(&thread, NULL, lookup_thread, lookup) != 0) {
        forget(lookup);
        return NULL;
    }
    pthread_detach(thread);
    return lookup;
}

/* True when the name servers say that the name does not exist; false when they could
 * not be asked. */
static enum p2p_err
meaning_of(int status)
{
    switch (status) {
    case 0:
        return P2P_OK;
    case EAI_NONAME:
    case EAI_NODATA:
    case EAI_ADDRFAMILY:
        return P2P_ERR_NO_HOST;
    default:
        return P2P_ERR_UNREACHABLE;
    }
}

static enum p2p_err
wait_lookup(struct lookup *lookup, uint64_t deadline_ms, int stop_fd,
            struct addrinfo **out)
{
    enum p2p_err err = p2p_net_wait(lookup->done_fd, POLLIN, deadline_ms, stop_fd);

    p2p_lock(&lookup->lock);
    if (lookup->done && err != P2P_ERR_CANCELLED) {
        err = meaning_of(lookup->status);
        *out = lookup->result;
        lookup->result = NULL;
    }
    p2p_unlock(&lookup->lock);
    return err;
}

enum p2p_err
p2p_net_resolve(const struct p2p_addr *addr, uint64_t deadline_ms, int stop_fd,
                struct addrinfo **out)
{
    struct lookup *lookup;
    enum p2p_err err;
    char port[6];

    snprintf(port, sizeof(port), "%u", addr->port);
    if (ask(addr->host, port, AI_NUMERICHOST, out) == 0)
        return P2P_OK;
    *out = NULL;
    lookup = start_lookup(addr->host, port);
    if (lookup == NULL)
        return P2P_ERR_NOMEM;
    err = wait_lookup(lookup, deadline_ms, stop_fd, out);
    release(lookup);
    return err;
}
