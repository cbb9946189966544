#include "peer/registration/announcer.h"

#include <arpa/inet.h>
#include <limits.h>
#include <malloc.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "p2p/array.h"
#include "p2p/bytes.h"
#include "p2p/lock.h"
#include "p2p/log.h"
#include "p2p/net.h"
#include "p2p/options.h"

enum {
    BACKOFF_MIN_MS = 1000,
    PAGE = 256,
    OWN_ADDRESSES_MAX = 16,
    COPY_EVERY_MS = 10 * 60 * 1000,
    SETTLE_MS = 1000, /* a new network means several changes: wait for the last ones */
    REGISTRIES_MAX = P2P_OPTION_LIST_MAX,
    SIGNATURE_TTL_S = 3600, /* the whole list is registered again when half of this time
                             * is over */
};

P2P_MUTEX_KIND(announcer_lock);
/*
 * There are two threads. One registers the shared files, which may take long: many
 * files, or a registry that hangs. The other one sends heartbeats by the clock and does
 * nothing that could delay them. So a living peer stays registered, whatever happens in
 * its folder or at one of the registries.
 */
struct announcer {
    struct announcer_options opt;
    pthread_t teller, beater;
    int end_fd;       /* becomes readable at the end, for the heartbeat thread */
    int watch_fd;     /* -1: looks for a new address at every heartbeat only */
    uint64_t copy_ms; /* when to look for a copy; used by the same thread */
    uint64_t look_ms; /* when to look at them again; used by the same thread */
    /* This machine's current addresses; used by the heartbeat thread only. */
    struct p2p_addr own[OWN_ADDRESSES_MAX];

    struct announcer_lock lock; /* everything below */
    pthread_cond_t wake;
    /* The files. */
    bool changed P2P_GUARDED_BY(announcer_lock);
    /* A registry needs a new registration. */
    bool forgotten P2P_GUARDED_BY(announcer_lock);
    /* This machine has another address. */
    bool moved P2P_GUARDED_BY(announcer_lock);
    /* The router's address and port for this peer; port 0: none. */
    struct p2p_addr mapped P2P_GUARDED_BY(announcer_lock);
    bool ending P2P_GUARDED_BY(announcer_lock);
    /* No registry answered last time. */
    bool is_away P2P_GUARDED_BY(announcer_lock);
    /* At least once since the start. */
    bool is_told P2P_GUARDED_BY(announcer_lock);
    /* The last registration failed: retry after the back-off. */
    bool has_failed P2P_GUARDED_BY(announcer_lock);
    uint64_t backoff_ms P2P_GUARDED_BY(announcer_lock);
    /* Of the files, when they were last read to be registered. */
    uint64_t generation P2P_GUARDED_BY(announcer_lock);
    struct seen {
        bool is_registered, has_limit;
        enum p2p_err error;
    } seen[REGISTRIES_MAX] P2P_GUARDED_BY(
        announcer_lock); /* what was last logged about each registry */
};

/* The shared files in the form of a registration. */
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

    grown = p2p_array_room(c->files, c->count, &c->cap, sizeof(*grown));
    if (grown == NULL)
        return P2P_ERR_NOMEM;
    c->files = grown;
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

/* A registry tells everyone. */
static enum p2p_err
catalogue_add_visible(struct catalogue *c, const struct p2p_access *rules,
                      const struct p2p_share_entry *entry)
{
    static const struct p2p_access_caller everyone = {.id = NULL};

    return p2p_access_may(rules, &everyone, entry->name) ? catalogue_add(c, entry)
                                                         : P2P_OK;
}

/* Pages of the share are sorted by name, bytewise, as a registration requires. */
static enum p2p_err
catalogue_fill(struct catalogue *c, struct p2p_shares *shares,
               const struct p2p_access *rules)
{
    struct p2p_share_entry *page = calloc(PAGE, sizeof(*page));
    char after[P2P_NAME_MAX + 1] = "";
    size_t count = PAGE;
    enum p2p_err err = page == NULL ? P2P_ERR_NOMEM : P2P_OK;

    while (err == P2P_OK && count == PAGE && c->count < P2P_REGISTER_FILES_MAX) {
        err = p2p_shares_list(shares, after, page, PAGE, &count);
        for (size_t i = 0; i < count && err == P2P_OK; i++)
            err = catalogue_add_visible(c, rules, &page[i]);
        if (count > 0)
            memcpy(after, page[count - 1].name, sizeof(after));
    }
    if (c->count > P2P_REGISTER_FILES_MAX)
        p2p_log_warn("the shared folder has more than %d files; the others are not "
                     "registered, so searches do not find them",
                     P2P_REGISTER_FILES_MAX);
    free(page);
    return err;
}

/* The addresses of a registration. */
struct places {
    struct p2p_addr first; /* host "": the address that the registry sees */
    struct p2p_addr others[P2P_PEER_OTHERS_MAX];
    size_t count;
};

static bool
is_literal(const char *host)
{
    unsigned char ip[sizeof(struct in6_addr)];

    return inet_pton(AF_INET, host, ip) == 1 || inet_pton(AF_INET6, host, ip) == 1;
}

static void
add_place(struct places *p, const struct p2p_addr *addr)
{
    if (p2p_addr_equal(addr, &p->first))
        return;
    for (size_t i = 0; i < p->count; i++)
        if (p2p_addr_equal(addr, &p->others[i]))
            return;
    if (p->count < P2P_PEER_OTHERS_MAX)
        p->others[p->count++] = *addr;
}

/* The port under which the address that the registry sees leads here. */
static uint16_t
outer_port(struct announcer *a)
{
    struct p2p_addr mapped;

    p2p_lock(&a->lock);
    mapped = a->mapped;
    p2p_unlock(&a->lock);
    return mapped.port != 0 && a->opt.discovery != NULL &&
                   p2p_discovery_is_seen_at(a->opt.discovery, mapped.host)
               ? mapped.port
               : a->opt.port;
}

/* Determined each time, because a laptop moves. */
static void
find_places(struct announcer *a, struct places *p)
{
    struct p2p_addr own[OWN_ADDRESSES_MAX], given;
    size_t count = 0;

    *p = (struct places){.first.port = a->opt.port};
    for (size_t i = 0; i < a->opt.advertise_count && p->first.host[0] == '\0'; i++)
        if (p2p_addr_parse(a->opt.advertise[i], a->opt.port, &given) == P2P_OK &&
            is_literal(given.host))
            p->first = given;
    if (p->first.host[0] == '\0' && a->opt.advertise_own)
        (void)p2p_net_own_address(p->first.host, sizeof(p->first.host));
    if (p->first.host[0] == '\0')
        p->first.port = outer_port(a);
    for (size_t i = 0; i < a->opt.advertise_count; i++)
        if (p2p_addr_parse(a->opt.advertise[i], a->opt.port, &given) == P2P_OK)
            add_place(p, &given);
    if (a->opt.listens_everywhere)
        count = p2p_net_own_addresses(a->opt.port, own, OWN_ADDRESSES_MAX);
    for (size_t i = 0; i < count; i++)
        add_place(p, &own[i]);
}

/* A registration needs memory for each file, several times over. Afterwards this
 * returns the memory to the system, because the allocator would keep it. */
static void
give_back_memory(void)
{
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}

static enum p2p_err
announce(struct announcer *a, bool force, uint16_t *port)
{
    struct catalogue catalogue = {0};
    struct p2p_about about;
    struct places places;
    struct p2p_reg reg = {
        .key = p2p_identity_key(a->opt.identity),
        .about = &about,
        .ttl_s = (uint32_t)(a->opt.heartbeat_ms / 1000 * 4 + SIGNATURE_TTL_S),
    };
    struct p2p_access *rules = access_rules(a->opt.access);
    enum p2p_err err = catalogue_fill(&catalogue, a->opt.shares, rules);

    p2p_access_put(rules);
    p2p_identity_get_about(a->opt.identity, &about);

    find_places(a, &places);
    reg.advertise = places.first.host[0] != '\0' ? places.first.host : NULL;
    reg.port = *port = places.first.port;
    reg.others = places.others;
    reg.other_count = places.count;
    if (err == P2P_OK) {
        reg.files = catalogue.files;
        reg.count = catalogue.count < P2P_REGISTER_FILES_MAX ? catalogue.count
                                                             : P2P_REGISTER_FILES_MAX;
        err = p2p_discovery_register(a->opt.discovery, &reg, force);
    }
    catalogue_clear(&catalogue);
    give_back_memory();
    return err;
}

/* Logs the state of one registry if it changed. With the lock. */
static void
note_registry(struct announcer *a, size_t i, const struct p2p_registry_state *now)
{
    struct seen *seen = &a->seen[i];
    char size[P2P_SIZE_TEXT_MAX];
    bool registered = now->registered && now->last_error == P2P_OK;
    bool is_partly = now->registered && (now->last_error == P2P_ERR_RATE_LIMITED ||
                                         now->last_error == P2P_ERR_BUSY);

    if (registered && !seen->is_registered)
        p2p_log_info("registry %s: registered", now->url);
    else if (!registered && (seen->is_registered || seen->error != now->last_error))
        p2p_log_warn("registry %s: cannot register%s, will retry: %s%s%s", now->url,
                     is_partly ? " all files" : "", p2p_err_text(now->last_error),
                     now->detail[0] != '\0' ? ": " : "", now->detail);
    if (registered && now->body_limit_bytes > 0 && !seen->has_limit)
        p2p_log_warn("registry %s: the proxy in front of it accepts at most about %s "
                     "per request, so the file list is sent in parts",
                     now->url, p2p_size_format(now->body_limit_bytes, size));
    seen->has_limit = now->body_limit_bytes > 0;
    seen->is_registered = registered;
    seen->error = registered ? P2P_OK : now->last_error;
}

/* Logs that a registry is away or has come back. A registry that has forgotten us is
 * registered again at once, without a log line. With the lock. */
static void
note_state(struct announcer *a, enum p2p_err err) P2P_REQUIRES(announcer_lock)
{
    struct p2p_registry_state states[REGISTRIES_MAX];
    size_t count;

    a->is_away = err != P2P_OK;
    a->is_told = a->is_told || !a->is_away;
    count = p2p_discovery_states(a->opt.discovery, states, REGISTRIES_MAX);
    for (size_t i = 0; i < count; i++)
        if (states[i].registered || states[i].last_error != P2P_OK)
            if (states[i].last_error != P2P_ERR_NOT_FOUND)
                note_registry(a, i, &states[i]);
}

/* ---- telling ---- */

/* Waits until there is something to register, or a failed registration is due again.
 * With the lock. */
static void
wait_for_news(struct announcer *a) P2P_REQUIRES(announcer_lock)
{
    uint64_t until_ms = a->has_failed ? p2p_now_ms() + a->backoff_ms : P2P_NO_DEADLINE;
    uint64_t held_ms = p2p_discovery_held_until(a->opt.discovery);

    /* A registry that asked to wait is tried again at that time. */
    if (held_ms > 0 && (!a->has_failed || held_ms > until_ms))
        until_ms = held_ms;

    while (!a->changed && !a->forgotten && !a->moved && !a->ending &&
           p2p_wait_until(&a->wake, &a->lock, until_ms))
        continue;
}

static void
note_told(struct announcer *a, enum p2p_err err) P2P_REQUIRES(announcer_lock)
{
    a->has_failed = err != P2P_OK;
    if (!a->has_failed)
        a->backoff_ms = 0;
    else if (a->backoff_ms < a->opt.heartbeat_ms)
        a->backoff_ms = a->backoff_ms == 0 ? BACKOFF_MIN_MS : 2 * a->backoff_ms;
    if (a->backoff_ms > a->opt.heartbeat_ms)
        a->backoff_ms = a->opt.heartbeat_ms;
    note_state(a, err);
}

static uint64_t
generation_now(const struct announcer *a)
{
    struct p2p_share_totals totals;

    p2p_shares_totals(a->opt.shares, &totals);
    return totals.generation;
}

static bool
has_another_place(struct announcer *a, uint16_t port)
{
    struct places places;

    find_places(a, &places);
    return places.first.port != port;
}

static void *
tell(void *arg)
{
    struct announcer *a = arg;
    bool force = false;

    p2p_lock(&a->lock);
    while (!a->ending) {
        uint16_t port = 0;
        enum p2p_err err;

        force = force || a->moved;
        a->changed = a->forgotten = a->moved = false;
        a->generation = generation_now(a);
        p2p_unlock(&a->lock);
        err = announce(a, force, &port);
        force = force && err != P2P_OK;
        /* The first answer has shown the address that the router's must equal. */
        bool has_other_port = err == P2P_OK && has_another_place(a, port);
        p2p_lock(&a->lock);
        a->moved = a->moved || has_other_port;
        note_told(a, err);
        wait_for_news(a);
    }
    p2p_unlock(&a->lock);
    return NULL;
}

/* ---- beating ---- */

/* True if this machine's addresses have changed since the last look. */
static bool
has_moved(struct announcer *a)
{
    struct p2p_addr now[OWN_ADDRESSES_MAX];

    memset(now, 0, sizeof(now));
    (void)p2p_net_own_addresses(a->opt.port, now, OWN_ADDRESSES_MAX);
    if (memcmp(now, a->own, sizeof(now)) == 0)
        return false;
    memcpy(a->own, now, sizeof(now));
    return true;
}

static void
ask_to_tell(struct announcer *a, bool *what)
{
    p2p_lock(&a->lock);
    *what = true;
    pthread_cond_signal(&a->wake);
    p2p_unlock(&a->lock);
}

/* Looks for another device with this identity: when a registry wants a new
 * registration, and now and then. */
static void
look_for_copy(struct announcer *a, bool is_due)
{
    struct p2p_own_place own = {.port = a->opt.port};
    struct p2p_addr at, all[1 + P2P_PEER_OTHERS_MAX + OWN_ADDRESSES_MAX];
    struct places places;
    uint64_t now = p2p_now_ms();

    if (!is_due && now < a->copy_ms)
        return;
    a->copy_ms = now + COPY_EVERY_MS;
    find_places(a, &places);
    all[own.count++] = places.first;
    for (size_t i = 0; i < places.count; i++)
        all[own.count++] = places.others[i];
    own.count += p2p_net_own_addresses(a->opt.port, all + own.count, OWN_ADDRESSES_MAX);
    own.at = all;
    if (p2p_discovery_find_copy(a->opt.discovery, p2p_identity_id(a->opt.identity),
                                &own, &at))
        duplicate_note(a->opt.duplicate, &at);
}

/* Sends one heartbeat and returns the time of the next one. Registries that do not
 * answer are tried more often. */
static uint64_t
beat(struct announcer *a, uint64_t *pause_ms)
{
    enum p2p_err err =
        p2p_discovery_heartbeat(a->opt.discovery, p2p_identity_id(a->opt.identity));

    if (err == P2P_OK || err == P2P_ERR_NOT_FOUND)
        *pause_ms = a->opt.heartbeat_ms;
    else
        *pause_ms = *pause_ms == a->opt.heartbeat_ms ? BACKOFF_MIN_MS : 2 * *pause_ms;
    if (*pause_ms > a->opt.heartbeat_ms)
        *pause_ms = a->opt.heartbeat_ms;
    if (err == P2P_OK || err == P2P_ERR_NOT_FOUND)
        look_for_copy(a, err == P2P_ERR_NOT_FOUND); /* before it is replaced */
    if (err == P2P_ERR_NOT_FOUND)
        ask_to_tell(a, &a->forgotten);
    p2p_lock(&a->lock);
    if (err != P2P_ERR_NOT_FOUND && a->is_told)
        note_state(a, err);
    /* A poke is only a hint: a change of the files that came without one is registered
     * now. */
    if (a->generation != generation_now(a)) {
        a->changed = true;
        pthread_cond_signal(&a->wake);
    }
    p2p_unlock(&a->lock);
    return *pause_ms;
}

/* Looks at the addresses if that is due. Registers again if they have changed. */
static void
look_for_move(struct announcer *a, uint64_t now)
{
    if (now < a->look_ms)
        return;
    a->look_ms = P2P_NO_DEADLINE;
    if (has_moved(a))
        ask_to_tell(a, &a->moved);
}

/* False at the end. */
static bool
wait_for_beat(struct announcer *a, uint64_t until_ms)
{
    struct pollfd fds[] = {{.fd = a->end_fd, .events = POLLIN},
                           {.fd = a->watch_fd, .events = POLLIN}};
    uint64_t now = p2p_now_ms();

    while (now < until_ms) {
        uint64_t next_ms = a->look_ms < until_ms ? a->look_ms : until_ms;
        uint64_t left_ms = next_ms > now ? next_ms - now : 0;
        int n = poll(fds, 2, left_ms < INT_MAX ? (int)left_ms : INT_MAX);

        if (n > 0 && fds[0].revents != 0)
            return false;
        now = p2p_now_ms();
        if (n > 0 && fds[1].revents != 0) {
            p2p_net_watch_drain(a->watch_fd);
            if (a->look_ms == P2P_NO_DEADLINE)
                a->look_ms = now + SETTLE_MS;
        }
        look_for_move(a, now);
    }
    return true;
}

static void *
keep_beating(void *arg)
{
    struct announcer *a = arg;
    uint64_t pause_ms = a->opt.heartbeat_ms, next_ms = p2p_now_ms() + pause_ms;

    while (wait_for_beat(a, next_ms)) {
        uint64_t now = p2p_now_ms();

        a->opt.tick(a->opt.arg);
        next_ms = now + pause_ms;
        if (a->opt.discovery == NULL)
            continue;
        a->look_ms = now;
        look_for_move(a, now);
        next_ms = now + beat(a, &pause_ms);
    }
    return NULL;
}

/* ---- life ---- */

static void
end_threads(struct announcer *a)
{
    uint64_t one = 1;

    p2p_lock(&a->lock);
    a->ending = true;
    pthread_cond_signal(&a->wake);
    p2p_unlock(&a->lock);
    if (a->end_fd >= 0 && write(a->end_fd, &one, sizeof(one)) < 0)
        p2p_log_error("cannot stop a thread");
}

enum p2p_err
announcer_start(const struct announcer_options *opt, struct announcer **out)
{
    struct announcer *a = calloc(1, sizeof(*a));

    *out = NULL;
    if (a == NULL)
        return P2P_ERR_NOMEM;
    a->opt = *opt;
    p2p_mutex_init(&a->lock);
    p2p_cond_init(&a->wake);
    a->end_fd = eventfd(0, EFD_CLOEXEC);
    a->watch_fd = opt->discovery != NULL ? p2p_net_watch_open() : -1;
    a->look_ms = P2P_NO_DEADLINE;
    (void)has_moved(a);
    if (a->end_fd < 0 || pthread_create(&a->beater, NULL, keep_beating, a) != 0) {
        announcer_free(a);
        return P2P_ERR_SYS;
    }
    if (opt->discovery != NULL && pthread_create(&a->teller, NULL, tell, a) != 0) {
        end_threads(a);
        pthread_join(a->beater, NULL);
        announcer_free(a);
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
    p2p_lock(&a->lock);
    a->changed = true;
    pthread_cond_signal(&a->wake);
    p2p_unlock(&a->lock);
}

void
announcer_set_mapped(struct announcer *a, const struct p2p_addr *addr)
{
    p2p_lock(&a->lock);
    a->mapped = addr != NULL ? *addr : (struct p2p_addr){.port = 0};
    a->moved = true;
    pthread_cond_signal(&a->wake);
    p2p_unlock(&a->lock);
}

void
announcer_stop(struct announcer *a)
{
    if (a == NULL)
        return;
    if (a->opt.discovery != NULL)
        p2p_discovery_stop(a->opt.discovery);
    end_threads(a);
    pthread_join(a->beater, NULL);
    if (a->opt.discovery == NULL)
        return;
    pthread_join(a->teller, NULL);
    p2p_mutex_unshared(&a->lock);
    if (!a->is_away)
        p2p_discovery_leave(a->opt.discovery, p2p_identity_key(a->opt.identity));
}

void
announcer_free(struct announcer *a)
{
    if (a == NULL)
        return;
    if (a->end_fd >= 0)
        close(a->end_fd);
    if (a->watch_fd >= 0)
        close(a->watch_fd);
    pthread_cond_destroy(&a->wake);
    p2p_mutex_clear(&a->lock);
    free(a);
}
