#include "peer/announcer.h"

#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "p2p/log.h"
#include "p2p/net.h"

enum {
    BACKOFF_MIN_MS = 1000,
    PAGE = 256,
    SIGNATURE_TTL_S = 3600, /* renewed, as a whole list, when half of it is over */
};

struct announcer {
    struct announcer_options opt;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool changed, ending;
    bool is_away; /* no registry answered last time */
    uint64_t backoff_ms;
};

/* The catalogue as a registration lists it. */
struct catalogue {
    struct p2p_reg_file *files;
    size_t count, cap;
};

static void
catalogue_clear(struct catalogue *c)
{
    for (size_t i = 0; i < c->count; i++)
        free((char *)(uintptr_t)c->files[i].name);
    free(c->files);
    *c = (struct catalogue){0};
}

static enum p2p_err
catalogue_add(struct catalogue *c, const struct p2p_share_entry *entry)
{
    struct p2p_reg_file *grown;
    char *name;

    if (c->count == c->cap) {
        size_t cap = c->cap > 0 ? 2 * c->cap : PAGE;
        if ((grown = realloc(c->files, cap * sizeof(*grown))) == NULL)
            return P2P_ERR_NOMEM;
        c->files = grown;
        c->cap = cap;
    }
    if ((name = strdup(entry->name)) == NULL)
        return P2P_ERR_NOMEM;
    c->files[c->count++] = (struct p2p_reg_file){
        .name = name,
        .size = entry->geometry.size,
        .root = entry->root,
        .sha256 = entry->sha256,
        .sha256_known = entry->sha256_known,
        .mtime_s = entry->mtime_s,
        .version = entry->version,
    };
    return P2P_OK;
}

/* Pages of the share are in order of name, bytewise: as a registration wants them. */
static enum p2p_err
catalogue_fill(struct catalogue *c, struct p2p_share *share)
{
    struct p2p_share_entry *page = calloc(PAGE, sizeof(*page));
    char after[P2P_NAME_MAX + 1] = "";
    size_t count = PAGE;
    enum p2p_err err = page == NULL ? P2P_ERR_NOMEM : P2P_OK;

    while (err == P2P_OK && count == PAGE && c->count < P2P_REGISTER_FILES_MAX) {
        err = p2p_share_list(share, after, page, PAGE, &count);
        for (size_t i = 0; i < count && err == P2P_OK; i++)
            err = catalogue_add(c, &page[i]);
        if (count > 0)
            memcpy(after, page[count - 1].name, sizeof(after));
    }
    if (c->count > P2P_REGISTER_FILES_MAX)
        p2p_log_warn("more than %d files: the rest is not announced",
                     P2P_REGISTER_FILES_MAX);
    free(page);
    return err;
}

static enum p2p_err
announce(struct announcer *a, bool force)
{
    struct catalogue catalogue = {0};
    char own[INET6_ADDRSTRLEN];
    struct p2p_reg reg = {
        .key = p2p_identity_key(a->opt.identity),
        .advertise = a->opt.advertise,
        .port = a->opt.port,
        .ttl_s = (uint32_t)(a->opt.heartbeat_ms / 1000 * 4 + SIGNATURE_TTL_S),
    };
    enum p2p_err err = catalogue_fill(&catalogue, a->opt.share);

    /* Asked each time: a laptop moves. */
    if (a->opt.advertise_own && reg.advertise == NULL &&
        p2p_net_own_address(own, sizeof(own)))
        reg.advertise = own;
    if (err == P2P_OK) {
        reg.files = catalogue.files;
        reg.count = catalogue.count < P2P_REGISTER_FILES_MAX ? catalogue.count
                                                             : P2P_REGISTER_FILES_MAX;
        err = p2p_discovery_register(a->opt.discovery, &reg, force);
    }
    catalogue_clear(&catalogue);
    return err;
}

/* One exchange with the registries; says so when they went away or came back. */
static void
exchange(struct announcer *a, bool changed)
{
    enum p2p_err err = P2P_ERR_NOT_FOUND;
    bool was_away = a->is_away;

    if (!changed && !was_away)
        err =
            p2p_discovery_heartbeat(a->opt.discovery, p2p_identity_id(a->opt.identity));
    if (err == P2P_ERR_NOT_FOUND)
        err = announce(a, was_away);
    a->is_away = err != P2P_OK;
    if (a->is_away && !was_away)
        p2p_log_warn("registry: not registered, trying again (%s)", p2p_err_text(err));
    else if (!a->is_away && (was_away || a->backoff_ms == 0))
        p2p_log_info("registry: registered");
    if (!a->is_away)
        a->backoff_ms = BACKOFF_MIN_MS;
    else if (a->backoff_ms < a->opt.heartbeat_ms)
        a->backoff_ms = a->backoff_ms == 0 ? BACKOFF_MIN_MS : 2 * a->backoff_ms;
}

/* Sleeps until it is time, the files changed, or the end. */
static void
sleep_until_next(struct announcer *a)
{
    uint64_t wait_ms = a->opt.heartbeat_ms;
    uint64_t until_ms;

    if (a->is_away && a->backoff_ms < wait_ms)
        wait_ms = a->backoff_ms;
    until_ms = p2p_now_ms() + wait_ms;
    while (!a->changed && !a->ending &&
           p2p_cond_wait_until(&a->wake, &a->lock, until_ms))
        continue;
}

static void *
run(void *arg)
{
    struct announcer *a = arg;

    pthread_mutex_lock(&a->lock);
    while (!a->ending) {
        bool changed = a->changed;
        a->changed = false;
        pthread_mutex_unlock(&a->lock);
        if (a->opt.discovery != NULL)
            exchange(a, changed);
        a->opt.tick(a->opt.arg);
        pthread_mutex_lock(&a->lock);
        if (!a->changed && !a->ending)
            sleep_until_next(a);
    }
    pthread_mutex_unlock(&a->lock);
    return NULL;
}

enum p2p_err
announcer_start(const struct announcer_options *opt, struct announcer **out)
{
    struct announcer *a = calloc(1, sizeof(*a));

    *out = NULL;
    if (a == NULL)
        return P2P_ERR_NOMEM;
    a->opt = *opt;
    a->changed = true;
    pthread_mutex_init(&a->lock, NULL);
    p2p_cond_init(&a->wake);
    if (pthread_create(&a->thread, NULL, run, a) != 0) {
        pthread_cond_destroy(&a->wake);
        pthread_mutex_destroy(&a->lock);
        free(a);
        return P2P_ERR_SYS;
    }
    *out = a;
    return P2P_OK;
}

void
announcer_poke(struct announcer *a)
{
    if (a == NULL)
        return;
    pthread_mutex_lock(&a->lock);
    a->changed = true;
    pthread_cond_signal(&a->wake);
    pthread_mutex_unlock(&a->lock);
}

void
announcer_stop(struct announcer *a)
{
    if (a == NULL)
        return;
    pthread_mutex_lock(&a->lock);
    a->ending = true;
    pthread_cond_signal(&a->wake);
    pthread_mutex_unlock(&a->lock);
    pthread_join(a->thread, NULL);
    if (a->opt.discovery != NULL && !a->is_away)
        p2p_discovery_leave(a->opt.discovery, p2p_identity_key(a->opt.identity));
}

void
announcer_free(struct announcer *a)
{
    if (a == NULL)
        return;
    pthread_cond_destroy(&a->wake);
    pthread_mutex_destroy(&a->lock);
    free(a);
}
