#include "discovery/discovery.h"

#include <limits.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "discovery/housekeeper.h"
#include "discovery/http/meeting_news.h"
#include "discovery/meet/prober.h"
#include "discovery/registry/snapshot.h"
#include "http/source/ratelimit.h"
#include "p2p/crypto.h"
#include "p2p/guardian.h"
#include "p2p/log.h"
#include "p2p/net.h"

static void
on_change(void *arg, const struct p2p_id *id, bool is_gone)
{
    struct discovery *d = arg;

    changes_note(d->app.changes, id, is_gone);
    housekeeper_poke(d->housekeeper);
}

/* Otherwise the allocator would keep memory in addition to --max-memory. */
static void
on_long_body_freed(void *arg)
{
    const struct app *app = arg;

    housekeeper_trim_soon(app->housekeeper);
}

static enum p2p_err
open_registry(struct discovery *d)
{
    struct registry_options opt = {
        .ttl_ms = d->opt.ttl_ms,
        .max_peers = (uint32_t)d->opt.max_peers,
        .max_peers_per_ip = (uint32_t)d->opt.max_peers_per_ip,
        .max_bytes = d->opt.max_memory,
        .max_bytes_per_ip = d->opt.max_memory_per_ip,
        .on_change = on_change,
        .arg = d,
    };

    if ((d->app.changes = changes_new()) == NULL)
        return P2P_ERR_NOMEM;
    if (d->opt.register_rate > 0 &&
        (d->app.registrations =
             http_ratelimit_new((double)d->opt.register_rate / 60,
                                (double)d->opt.register_rate / 2, 65536)) == NULL)
        return P2P_ERR_NOMEM;
    return registry_open(&opt, &d->app.registry);
}

static enum p2p_err
start_stun(struct discovery *d)
{
    uint16_t port = http_server_port(d->app.server);

    if (d->descriptor_count < 2)
        return P2P_OK;
    for (unsigned i = 0; i < STUN_PORTS; i++)
        d->app.stun_ports[i] = d->stun[i] >= 0 ? (uint16_t)(port + i) : 0;
    return stun_server_start(d->stun, &d->app.stun);
}

static enum p2p_err
open_server(struct discovery *d)
{
    static const struct http_header headers[] = {
        {"X-Content-Type-Options", "nosniff"},
        {"Cache-Control", "no-cache"},
        {NULL, NULL},
    };
    static const char beat[] = "{\"message\":\"heartbeat received\"}";
    const struct discovery_options *o = &d->opt;
    struct http_options opt = {
        .has_listener = true,
        .listener = d->listener,
        .threads = (unsigned)o->threads,
        .max_connections = (unsigned)o->max_connections,
        .max_connections_per_ip = (unsigned)o->max_connections_per_ip,
        .body_budget = (size_t)o->max_body_memory,
        .rate = (double)o->rate,
        .tls = {o->tls.cert, o->tls.key, p2p_guardian_open},
        .trusted_proxies = o->trusted_proxies.count > 0 ? o->trusted_proxies.at : NULL,
        /* Peers may call by any name and address. Browsers must use a name that is
           known to be the registry's, because the owner of a page can make the page's
           name point here. */
        .guard = {.check_browser_host = true,
                  .check_origin = true,
                  .allow_hosts = o->allow_host.at},
        .headers = headers,
        .routes = discovery_routes,
        .on_long_body_freed = on_long_body_freed,
        .app = &d->app,
        /* With a store, a registration waits for Redis on one of these threads. */
        .pool_threads = d->app.store != NULL ? 8 : 2,
        .starts_later = true,
    };
    enum p2p_err err = http_server_open(&opt, &d->app.server);

    if (err != P2P_OK) {
        p2p_log_error("cannot serve: %s", p2p_err_text(err));
        return err;
    }
    d->app.waiters = http_waitlist_new(d->app.server);
    d->app.heartbeat_answer =
        http_prepare(d->app.server, "application/json", beat, sizeof(beat) - 1);
    if (d->app.waiters == NULL || d->app.heartbeat_answer == NULL)
        return P2P_ERR_NOMEM;
    changes_set_waitlist(d->app.changes, d->app.waiters);
    if ((err = meeting_open(&d->app.meeting, d->app.server)) != P2P_OK)
        return err;
    if (d->app.store != NULL)
        store_listen(d->app.store, meeting_on_news, &d->app);
    if ((err = start_stun(d)) != P2P_OK)
        return err;
    return http_server_start(d->app.server);
}

/* The registry starts even if the snapshot is damaged: peers register again within a
 * heartbeat. The damaged file is kept for examination. */
static void
report_snapshot(const char *path, enum p2p_err err)
{
    char aside[PATH_MAX];

    if (snapshot_set_aside(path, aside, sizeof(aside)))
        p2p_log_warn("cannot use the snapshot, so it was renamed file=%s reason=\"%s\" "
                     "renamed=%s",
                     path, p2p_err_text(err), aside);
    else
        p2p_log_warn(
            "cannot use the snapshot, so it will be replaced file=%s reason=\"%s\"",
            path, p2p_err_text(err));
}

/* From the process that served before this one; the snapshot is not newer. */
static bool
take_over(struct discovery *d)
{
    int fd = p2p_guardian_state();
    enum p2p_err err = P2P_ERR_NOT_FOUND;
    uint32_t count;

    if (fd >= 0)
        err = snapshot_take_over(d->app.registry, fd, d->opt.ttl_ms, &count);
    if (err == P2P_OK)
        p2p_log_info("took over from the previous process peers=%u", count);
    else if (err != P2P_ERR_NOT_FOUND)
        p2p_log_warn("cannot take over from the previous process reason=\"%s\"",
                     p2p_err_text(err));
    return err == P2P_OK;
}

static void
hand_over(struct discovery *d)
{
    int fd = p2p_guardian_state();
    enum p2p_err err;

    if (fd < 0 || d->app.registry == NULL)
        return;
    err = snapshot_hand_over(d->app.registry, fd);
    if (err != P2P_OK)
        p2p_log_warn("cannot hand over to the next process reason=\"%s\"",
                     p2p_err_text(err));
}

static void
load_snapshot(struct discovery *d)
{
    const char *path = d->opt.snapshot;
    enum p2p_err err;
    uint32_t count;

    if (take_over(d) || path == NULL)
        return;
    err = snapshot_load(d->app.registry, path, d->opt.ttl_ms, &count);
    if (err == P2P_OK)
        p2p_log_info("loaded the snapshot file=%s peers=%u", path, count);
    else if (err != P2P_ERR_NOT_FOUND)
        report_snapshot(path, err);
}

/* It would be taken for a damaged list, and set aside. */
static bool
is_folder(const char *path)
{
    struct stat st;

    return path != NULL && stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* A list that cannot be kept is worth knowing now, not after the first registration. */
static enum p2p_err
try_snapshot(struct discovery *d)
{
    const char *path = d->opt.snapshot;
    enum p2p_err err = path != NULL ? snapshot_write(d->app.registry, path) : P2P_OK;

    if (err != P2P_OK)
        p2p_log_error("cannot write --snapshot %s: %s", path, p2p_err_text(err));
    return err;
}

#define STORE_FIRST_WAIT_MS 3000

/* The registry also starts without Redis, and sends its registrations once Redis is
 * available. */
static enum p2p_err
open_store(struct discovery *d)
{
    const struct discovery_options *o = &d->opt;
    enum p2p_err err;

    if (strcmp(o->store, "memory") == 0)
        return P2P_OK;
    err = store_open(o->store, d->app.registry, o->ttl_ms, &d->app.store);
    if (err != P2P_OK)
        p2p_log_error("store %s: %s", o->store, p2p_err_text(err));
    else if (!store_wait(d->app.store, STORE_FIRST_WAIT_MS))
        p2p_log_warn("store %s: no answer yet; starting without it and trying again",
                     o->store);
    return err;
}

/* Otherwise free() keeps up to 64 MiB of each arena; malloc_trim does not touch it. A
 * search takes a byte a name for a moment: less than this much comes from memory that
 * the process has already, without page faults. */
#define KEPT_BYTES (4 << 20)

static enum p2p_err
know_relay(struct discovery *d)
{
    struct meeting *m = &d->app.meeting;

    m->has_relay = d->opt.relay != NULL;
    m->relay = d->opt.relay_at;
    return m->has_relay
               ? p2p_guardian_relay_key(d->opt.relay_secret_file, &m->relay_key)
               : P2P_OK;
}

static enum p2p_err
know_turn(struct discovery *d)
{
    struct turn *t = &d->app.meeting.turn;
    enum p2p_err err = P2P_OK;

    for (size_t i = 0; i < d->opt.turn.count && err == P2P_OK; i++)
        err = turn_add(t, d->opt.turn.at[i]); /* checked with the options */
    if (err == P2P_OK && t->count > 0)
        err = p2p_random(t->seed, sizeof(t->seed));
    return err == P2P_OK && t->count > 0
               ? p2p_guardian_turn_secret(d->opt.turn_secret_file, &t->secret)
               : err;
}

static void
on_trial(void *arg, const struct trial *trial, enum trial_result result)
{
    struct discovery *d = arg;

    meeting_tell_trial(&d->app, trial, result);
    registry_set_direct(
        d->app.registry, &trial->peer, trial->addr.host, trial->addr.port,
        result == TRIAL_REACHED ? REGISTRY_DIRECT_YES : REGISTRY_DIRECT_NO);
}

static enum p2p_err
start_prober(struct discovery *d)
{
    return d->opt.probe ? prober_start(on_trial, d, &d->app.prober) : P2P_OK;
}

enum p2p_err
discovery_open(struct discovery *d)
{
    enum p2p_err err;

    d->app.started_ms = p2p_now_ms();
    d->app.require_signed = d->opt.require_signed;
    d->app.snapshot = d->opt.snapshot;
#ifdef __GLIBC__
    (void)mallopt(M_TRIM_THRESHOLD, KEPT_BYTES);
    (void)mallopt(M_MMAP_THRESHOLD, KEPT_BYTES);
#endif
    if ((err = p2p_crypto_init()) != P2P_OK || (err = open_registry(d)) != P2P_OK ||
        (err = housekeeper_start(&d->app, &d->housekeeper)) != P2P_OK)
        return err;
    d->app.housekeeper = d->housekeeper;
    if (is_folder(d->opt.snapshot)) {
        p2p_log_error(
            "cannot write --snapshot %s: it is a folder; give the name of a file",
            d->opt.snapshot);
        return P2P_ERR_USAGE;
    }
    load_snapshot(d);
    if ((err = try_snapshot(d)) != P2P_OK)
        return err;
    if ((err = know_relay(d)) != P2P_OK || (err = know_turn(d)) != P2P_OK ||
        (err = open_store(d)) != P2P_OK || (err = start_prober(d)) != P2P_OK ||
        (err = open_server(d)) != P2P_OK)
        return err;
    return P2P_OK;
}

void
discovery_close(struct discovery *d)
{
    http_server_close(d->app.server);
    prober_stop(d->app.prober);
    stun_server_stop(d->app.stun);
    http_prepared_free(d->app.heartbeat_answer);
    store_close(d->app.store);
    housekeeper_stop(d->housekeeper);
    hand_over(d);
    http_waitlist_free(d->app.waiters);
    meeting_close(&d->app.meeting);
    registry_close(d->app.registry);
    changes_free(d->app.changes);
    http_ratelimit_free(d->app.registrations);
}
