#include "core/reach/upnp.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

bool
p2p_upnp_is_at(const char *url, const uint8_t router[4])
{
    static const char scheme[] = "http://";
    char host[INET_ADDRSTRLEN];
    size_t len;

    if (inet_ntop(AF_INET, router, host, sizeof(host)) == NULL ||
        strncmp(url, scheme, sizeof(scheme) - 1) != 0)
        return false;
    url += sizeof(scheme) - 1;
    len = strlen(host);
    return strncmp(url, host, len) == 0 && (url[len] == ':' || url[len] == '/');
}

#ifdef P2P_WITH_MINIUPNPC

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <miniupnpc/miniupnpc.h>
#include <miniupnpc/upnpcommands.h>

#include "p2p/bytes.h"
#include "p2p/log.h"

enum { SEARCH_MS = 2000, TTL = 2, TEXT_MAX = 256, NUMBER = 8 };

/* Two hold it: who has asked, and the thread. */
struct p2p_upnp_job {
    atomic_uint holders;
    uint8_t router[4], own_ip[4];
    uint16_t port;
    int news_fd;
    /* Written before news_fd becomes readable: */
    bool is_mapped;
    struct p2p_mapping mapping;
    char control[TEXT_MAX], service[TEXT_MAX];
};

bool
p2p_upnp_is_built(void)
{
    return true;
}

/* Leaves only the router's own devices in the list. */
static struct UPNPDev *
keep_router(struct UPNPDev *list, const uint8_t router[4])
{
    struct UPNPDev *kept = NULL;

    while (list != NULL) {
        struct UPNPDev *next = list->pNext;
        bool is_router = list->descURL != NULL && p2p_upnp_is_at(list->descURL, router);

        list->pNext = is_router ? kept : NULL;
        if (is_router)
            kept = list;
        else
            freeUPNPDevlist(list);
        list = next;
    }
    return kept;
}

static int
find_gateway(struct UPNPDev *list, struct UPNPUrls *urls, struct IGDdatas *data)
{
    char lan[TEXT_MAX];
#if MINIUPNPC_API_VERSION >= 18
    char wan[TEXT_MAX];

    return UPNP_GetValidIGD(list, urls, data, lan, sizeof(lan), wan, sizeof(wan));
#else
    return UPNP_GetValidIGD(list, urls, data, lan, sizeof(lan));
#endif
}

/* The port may be somebody else's already; some routers refuse a lease that ends. */
static bool
map_at(struct p2p_upnp_job *job, uint16_t outside)
{
    char inner[NUMBER], outer[NUMBER], life[16], own[INET_ADDRSTRLEN];
    int rc;

    snprintf(inner, sizeof(inner), "%u", job->port);
    snprintf(outer, sizeof(outer), "%u", outside);
    snprintf(life, sizeof(life), "%u", (unsigned)P2P_PORTMAP_LIFE_S);
    inet_ntop(AF_INET, job->own_ip, own, sizeof(own));
    rc = UPNP_AddPortMapping(job->control, job->service, outer, inner, own, "p2p-peer",
                             "TCP", NULL, life);
    if (rc == 725) /* OnlyPermanentLeasesSupported */
        rc = UPNP_AddPortMapping(job->control, job->service, outer, inner, own,
                                 "p2p-peer", "TCP", NULL, "0");
    job->mapping.port = outside;
    return rc == UPNPCOMMAND_SUCCESS;
}

static bool
map(struct p2p_upnp_job *job)
{
    char outside[64] = "";

    if (UPNP_GetExternalIPAddress(job->control, job->service, outside) !=
            UPNPCOMMAND_SUCCESS ||
        inet_pton(AF_INET, outside, job->mapping.ip) != 1)
        return false;
    job->mapping.by = P2P_PORTMAP_UPNP;
    return map_at(job, job->port) || map_at(job, (uint16_t)(49152 + job->port % 16384));
}

static void
ask_router(struct p2p_upnp_job *job)
{
    struct UPNPDev *list = NULL;
    struct UPNPUrls urls = {0};
    struct IGDdatas data = {0};
    char own[INET_ADDRSTRLEN];
    int error = 0, found = 0;

    inet_ntop(AF_INET, job->own_ip, own, sizeof(own));
    list =
        keep_router(upnpDiscover(SEARCH_MS, own, NULL, 0, 0, TTL, &error), job->router);
    if (list != NULL)
        found = find_gateway(list, &urls, &data);
    if (found == 1 && urls.controlURL != NULL &&
        strlen(urls.controlURL) < sizeof(job->control) &&
        strlen(data.first.servicetype) < sizeof(job->service)) {
        strcpy(job->control, urls.controlURL);
        strcpy(job->service, data.first.servicetype);
        job->is_mapped = map(job);
    }
    if (found != 0)
        FreeUPNPUrls(&urls);
    freeUPNPDevlist(list);
}

static void *
job_main(void *arg)
{
    struct p2p_upnp_job *job = arg;

    ask_router(job);
    (void)eventfd_write(job->news_fd, 1);
    p2p_upnp_drop(job);
    return NULL;
}

enum p2p_err
p2p_upnp_ask(const uint8_t router[4], const uint8_t own_ip[4], uint16_t port,
             struct p2p_upnp_job **out)
{
    struct p2p_upnp_job *job = calloc(1, sizeof(*job));
    pthread_attr_t detached;
    pthread_t thread;
    int rc;

    *out = NULL;
    if (job == NULL)
        return P2P_ERR_NOMEM;
    memcpy(job->router, router, sizeof(job->router));
    memcpy(job->own_ip, own_ip, sizeof(job->own_ip));
    job->port = port;
    job->holders = 2;
    if ((job->news_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0) {
        free(job);
        return p2p_err_from_errno(errno);
    }
    if ((rc = pthread_attr_init(&detached)) == 0) {
        pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
        rc = pthread_create(&thread, &detached, job_main, job);
        pthread_attr_destroy(&detached);
    }
    if (rc != 0) {
        job->holders = 1;
        p2p_upnp_drop(job);
        return p2p_err_from_errno(rc);
    }
    *out = job;
    return P2P_OK;
}

int
p2p_upnp_fd(const struct p2p_upnp_job *job)
{
    return job != NULL ? job->news_fd : -1;
}

bool
p2p_upnp_result(const struct p2p_upnp_job *job, struct p2p_mapping *out)
{
    *out = job->mapping;
    return job->is_mapped;
}

void
p2p_upnp_unmap(const struct p2p_upnp_job *job)
{
    char outer[NUMBER];

    snprintf(outer, sizeof(outer), "%u", job->mapping.port);
    if (job->is_mapped)
        (void)!UPNP_DeletePortMapping(job->control, job->service, outer, "TCP", NULL);
}

void
p2p_upnp_drop(struct p2p_upnp_job *job)
{
    if (job == NULL || atomic_fetch_sub(&job->holders, 1) > 1)
        return;
    close(job->news_fd);
    free(job);
}

#else

bool
p2p_upnp_is_built(void)
{
    return false;
}

enum p2p_err
p2p_upnp_ask(const uint8_t router[4], const uint8_t own_ip[4], uint16_t port,
             struct p2p_upnp_job **out)
{
    (void)router, (void)own_ip, (void)port;
    *out = NULL;
    return P2P_ERR_UNSUPPORTED;
}

int
p2p_upnp_fd(const struct p2p_upnp_job *job)
{
    (void)job;
    return -1;
}

bool
p2p_upnp_result(const struct p2p_upnp_job *job, struct p2p_mapping *out)
{
    (void)job;
    *out = (struct p2p_mapping){.by = P2P_PORTMAP_NONE};
    return false;
}

void
p2p_upnp_unmap(const struct p2p_upnp_job *job)
{
    (void)job;
}

void
p2p_upnp_drop(struct p2p_upnp_job *job)
{
    (void)job;
}

#endif
