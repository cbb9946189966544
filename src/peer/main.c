/* p2p-peer: serves a shared folder to other peers. The parent listens, the child does
 * all the rest (p2p/guardian.h). */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "p2p/chunk.h"
#include "p2p/guardian.h"
#include "p2p/io.h"
#include "p2p/lock.h"
#include "p2p/log.h"
#include "p2p/mdns.h"
#include "p2p/net.h"
#include "p2p/portmap.h"
#include "p2p/reach.h"
#include "p2p/service.h"
#include "p2p/tender.h"
#include "peer/control.h"
#include "peer/options.h"
#include "peer/registration/announcer.h"
#include "peer/server/server.h"

enum { STOP_GRACE_MS = 5000, DISCOVERY_TIMEOUT_MS = 5000 };

P2P_MUTEX_KIND(peer_lock);
P2P_MUTEX_KIND(rates_lock);
struct peer {
    int argc;
    char **argv;
    struct peer_options opt;
    struct p2p_options_text *text;
    char *own_keys; /* FOLDER.keys, of a further peer on this machine; or NULL */
    uint16_t port;  /* the actual one */
    int listeners[PEER_THREADS_MAX];
    struct rates_lock rates_lock;
    struct p2p_timetable rates P2P_GUARDED_BY(rates_lock);
    struct p2p_identity *identity;
    struct p2p_shares_folders folders; /* those that can be opened */
    struct p2p_shares *shares;
    struct p2p_tender *tender; /* NULL: nobody looks after old versions */
    struct access *access;
    struct offers *offers;
    struct uploads *uploads;
    int claim;          /* of the keys directory */
    int control_socket; /* until `control` has it; -1: none */
    struct control_view view;
    struct p2p_control *control;
    struct p2p_discovery *discovery;
    /* The share's thread uses these two as soon as they are there. */
    struct peer_lock lock;
    struct server *server P2P_GUARDED_BY(peer_lock);
    struct announcer *announcer P2P_GUARDED_BY(peer_lock);
    struct p2p_mdns *mdns;
    struct duplicate duplicate;
    struct p2p_doorman *doorman;
    struct p2p_portmapper *portmapper;
};

static void
on_share_changed(void *arg)
{
    struct peer *peer = arg;

    p2p_lock(&peer->lock);
    announcer_poke(peer->announcer);
    if (peer->server != NULL)
        server_files_changed(peer->server);
    p2p_unlock(&peer->lock);
}

/* Registries get the names that everyone may see from now on. */
static void
on_rules(void *arg)
{
    struct peer *peer = arg;

    p2p_lock(&peer->lock);
    announcer_poke(peer->announcer);
    p2p_unlock(&peer->lock);
}

/* The server as the main thread sees it, which alone sets it. */
static struct server *
own_server(const struct peer *peer) P2P_NO_LOCK_CHECK
{
    return peer->server;
}

/* The rate of this minute, from the timetable. */
static void
on_tick(void *arg)
{
    struct peer *peer = arg;
    time_t now = time(NULL);
    struct tm local;
    uint64_t rate;

    localtime_r(&now, &local);
    p2p_lock(&peer->rates_lock);
    rate =
        p2p_timetable_rate(&peer->rates, (unsigned)(local.tm_hour * 60 + local.tm_min));
    p2p_unlock(&peer->rates_lock);
    server_set_rate(own_server(peer), rate);
}

static enum p2p_err
read_rates(struct peer *peer)
{
    struct p2p_timetable rates;
    enum p2p_err err = p2p_timetable_parse(peer->opt.limit_rate, &rates);

    if (err != P2P_OK)
        return err;
    p2p_lock(&peer->rates_lock);
    peer->rates = rates;
    p2p_unlock(&peer->rates_lock);
    return P2P_OK;
}

/* The lists are read again when they change; this is for operators who do not rely on
 * that. The rates are those of the settings, which may have changed. */
static void
on_hangup(void *arg)
{
    struct peer *peer = arg;

    server_recheck(own_server(peer));
    if (read_rates(peer) == P2P_OK)
        on_tick(peer);
    server_set_rate_per_peer(own_server(peer), peer->opt.limit_rate_per_peer);
}

static enum p2p_err
open_identity(struct peer *peer)
{
    char why[512] = "";
    enum p2p_err err =
        p2p_identity_open(peer->opt.keys_dir, true, p2p_guardian_passphrase, NULL,
                          &peer->identity, why, sizeof(why));

    if (err != P2P_OK)
        p2p_log_error("keys: %s", why[0] != '\0' ? why : p2p_err_text(err));
    if (err != P2P_OK)
        return err;
    p2p_identity_set_about(peer->identity, &peer->opt.about);
    return P2P_OK;
}

static enum p2p_err
open_shares(struct peer *peer)
{
    struct p2p_share_options options = {
        .chunk_size = p2p_chunk_size_floor(peer->opt.chunk_size),
        .on_change = on_share_changed,
        .arg = peer,
        .keys_dir = peer->opt.keys_dir,
        .program = "p2p-peer",
    };
    size_t failed;
    enum p2p_err err =
        p2p_shares_open(&peer->folders, &options, &peer->shares, &failed);

    if (err != P2P_OK)
        p2p_log_error("shared folder '%s': %s", peer->folders.at[failed].path,
                      p2p_err_text(err));
    return err;
}

/* Without it the peer serves as well. */
static void
start_tender(struct peer *peer)
{
    struct p2p_tender_options options = {.count = 0};
    enum p2p_err err;

    for (size_t i = 0; i < p2p_shares_folders(peer->shares)->count; i++)
        options.roots[options.count++] = p2p_share_root(p2p_shares_at(peer->shares, i));
    err = p2p_tender_start(&options, &peer->tender);
    if (err != P2P_OK)
        p2p_log_warn("old versions are not looked after: %s", p2p_err_text(err));
}

static enum p2p_err
open_access(struct peer *peer)
{
    const struct access_options options = {
        .identity = peer->identity,
        .allow_file = peer->opt.allow_peers,
        .trusted_only = peer->opt.trusted_only,
        .keys_dir = peer->opt.keys_dir,
        .offers = peer->offers,
        .is_public = peer->opt.is_public,
    };
    enum p2p_err err = access_open(&options, &peer->access);

    if (err != P2P_OK || !access_needs_proof(peer->access) || !peer->opt.protocol_1)
        return err;
    p2p_log_info("protocol 1 is off, because its clients cannot prove who they are and "
                 "only %s may download",
                 peer->opt.allow_peers == NULL ? "trusted peers" : "listed peers");
    peer->opt.protocol_1 = false;
    return P2P_OK;
}

static struct admission_options
admission_options(const struct peer_options *opt)
{
    return (struct admission_options){
        .max = (unsigned)opt->max_handshakes,
        .reserved = opt->max_handshakes > 4 * P2P_HANDSHAKES_RESERVED
                        ? P2P_HANDSHAKES_RESERVED
                        : (unsigned)opt->max_handshakes / 4,
        .per_source = (unsigned)opt->handshakes_per_source,
        .open_per_source = (unsigned)opt->connections_per_source,
        .rate_per_s = (unsigned)opt->handshake_rate,
        .burst = P2P_HANDSHAKE_BURST_PER_SOURCE,
        .work_rate_per_s = (unsigned)opt->handshake_work_rate,
        .work_burst = (unsigned)opt->handshake_work_rate * P2P_HANDSHAKE_WORK_BURST_S,
        .total_rate_per_s = (unsigned)opt->handshake_total_rate,
        .total_burst =
            (unsigned)opt->handshake_total_rate * P2P_HANDSHAKE_TOTAL_BURST_S,
        .sources_max = P2P_HANDSHAKE_SOURCES_MAX,
    };
}

static enum p2p_err
open_server(struct peer *peer)
{
    const struct peer_options *opt = &peer->opt;
    struct server_options options = {
        .listeners = peer->listeners,
        .threads = (unsigned)opt->threads,
        .max_connections = (unsigned)opt->max_connections,
        .reserved_connections = (unsigned)opt->reserved_connections,
        .client_memory = opt->client_memory,
        .chunk_size = (uint32_t)opt->chunk_size,
        .protocol_1 = opt->protocol_1,
        .compress = opt->compress,
        .identity = peer->identity,
        .shares = peer->shares,
        .access = peer->access,
        .offers = peer->offers,
        .on_rules = on_rules,
        .arg = peer,
        .uploads = peer->uploads,
        .keys_dir = opt->keys_dir,
        .allow_file = opt->allow_peers,
        .admission = admission_options(opt),
        .handshake_timeout_ms = opt->handshake_timeout_ms,
        .idle_timeout_ms = opt->idle_timeout_ms,
        .stall_timeout_ms = opt->stall_timeout_ms,
        .rate_per_peer = opt->limit_rate_per_peer,
    };
    enum p2p_err err;

    p2p_lock(&peer->lock); /* a change of the files waits until it can be told */
    err = server_open(&options, &peer->server);
    p2p_unlock(&peer->lock);
    if (err != P2P_OK)
        p2p_log_error("cannot serve: %s", p2p_err_text(err));
    return err;
}

/* Without it the peer serves as well, only nobody can ask it. */
static void
start_control(struct peer *peer)
{
    int fd = peer->control_socket;

    peer->view = (struct control_view){
        .identity = peer->identity,
        .shares = peer->shares,
        .server = own_server(peer),
        .uploads = peer->uploads,
        .offers = peer->offers,
        .duplicate = &peer->duplicate,
        .folders = &peer->opt.folders,
        .port = peer->port,
        .is_public = peer->opt.is_public,
    };
    peer->control_socket = -1;
    if (fd < 0)
        return;
    enum p2p_err err =
        control_start(fd, peer->opt.keys_dir, &peer->view, &peer->control);
    if (err != P2P_OK)
        p2p_log_warn("control socket: %s", p2p_err_text(err));
}

static bool
listens_everywhere(const struct peer *peer)
{
    const char *host = peer->opt.host;

    return strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0 ||
           strcmp(host, "[::]") == 0;
}

/* A registry on this machine sees us as 127.0.0.1, which other machines cannot use. A
 * peer that listens for them then states its own address. */
static bool
is_seen_as_loopback(const struct peer *peer)
{
    const struct p2p_option_list *urls = &peer->opt.discovery;
    bool is_local = false;

    if (!listens_everywhere(peer))
        return false;
    for (size_t i = 0; i < urls->count; i++) {
        const char *authority = strstr(urls->at[i], "://");
        struct p2p_addr addr;
        char text[P2P_HOST_MAX + 9];
        if (authority == NULL)
            continue;
        snprintf(text, sizeof(text), "%.*s", (int)strcspn(authority + 3, "/"),
                 authority + 3);
        is_local = is_local || (p2p_addr_parse(text, 80, &addr) == P2P_OK &&
                                p2p_addr_is_loopback(&addr));
    }
    return is_local;
}

static enum p2p_err
start_announcer(struct peer *peer)
{
    const struct p2p_option_list *urls = &peer->opt.discovery;
    struct announcer_options options = {
        .identity = peer->identity,
        .duplicate = &peer->duplicate,
        .shares = peer->shares,
        .access = peer->access,
        .advertise = peer->opt.advertise.at,
        .advertise_count = peer->opt.advertise.count,
        .listens_everywhere = listens_everywhere(peer),
        .advertise_own = is_seen_as_loopback(peer),
        .port = peer->port,
        .heartbeat_ms = peer->opt.heartbeat_ms,
        .tick = on_tick,
        .arg = peer,
    };
    enum p2p_err err = P2P_OK;

    if (urls->count != 1 || strcmp(urls->at[0], "none") != 0)
        err = p2p_discovery_open(urls->at, urls->count, DISCOVERY_TIMEOUT_MS,
                                 &peer->discovery);
    if (err != P2P_OK) {
        p2p_log_error("invalid --discovery: %s",
                      err == P2P_ERR_USAGE ? "use a URL such as http://192.168.1.2:8000"
                                           : p2p_err_text(err));
        return err;
    }
    options.discovery = peer->discovery;
    if (peer->discovery != NULL)
        p2p_discovery_keep_seq(peer->discovery, peer->identity);
    /* With the lock: a change of the files during the start waits for the announcer,
     * which could not be told of it otherwise. */
    p2p_lock(&peer->lock);
    err = announcer_start(&options, &peer->announcer);
    p2p_unlock(&peer->lock);
    return err;
}

/* A help, not a need: without Avahi registries and addresses work as they do. Who
 * listens for this machine only has nothing to tell the others. */
static void
start_mdns(struct peer *peer)
{
    const struct p2p_mdns_announcement announcement = {
        .id = *p2p_identity_id(peer->identity),
        .port = peer->port,
        .protocol_1 = peer->opt.protocol_1,
        .name = peer->opt.about.name,
    };
    struct p2p_addr here;

    if (p2p_addr_parse(peer->opt.host, announcement.port, &here) != P2P_OK)
        snprintf(here.host, sizeof(here.host), "%s", peer->opt.host);
    if (!peer->opt.mdns || p2p_addr_is_loopback(&here))
        return;
    if (p2p_mdns_announce(&announcement, &peer->mdns) != P2P_OK)
        p2p_log_info("mDNS is off: Avahi is not available, so this peer is not "
                     "announced on the local network");
}

static bool
may_call(void *arg, const struct p2p_id *from)
{
    struct peer *peer = arg;
    struct access_standing standing;

    access_look(peer->access, from, &standing);
    return !standing.refused_outside;
}

static void
on_path(void *arg, int fd, const struct p2p_id *from)
{
    server_adopt(own_server(arg), fd, from);
}

/* Trusted peers reach this one through a relay if nothing else comes through. */
static enum p2p_err
start_doorman(struct peer *peer)
{
    const struct p2p_doorman_options options = {
        .identity = peer->identity,
        .discovery = peer->discovery,
        .may_call = may_call,
        .on_path = on_path,
        .arg = peer,
        .counts = &peer->view.calls,
    };

    if (peer->discovery == NULL || !peer->opt.reach)
        return P2P_OK;
    p2p_reach_limit_channels((unsigned)peer->opt.max_channels,
                             peer->opt.channel_memory);
    return p2p_doorman_start(&options, &peer->doorman);
}

static void
on_mapping(void *arg, const struct p2p_addr *addr, const char *by)
{
    struct peer *peer = arg;

    (void)by;
    p2p_lock(&peer->lock);
    struct announcer *announcer = peer->announcer;
    p2p_unlock(&peer->lock);
    announcer_set_mapped(announcer, addr);
}

/* Not for a peer that only its own network can reach, nor for one whose outside address
 * the user has given. */
static enum p2p_err
start_portmapper(struct peer *peer)
{
    const struct p2p_portmap_options options = {
        .port = peer->port, .on_change = on_mapping, .arg = peer};

    if (!peer->opt.port_map || peer->discovery == NULL || !listens_everywhere(peer) ||
        peer->opt.advertise.count > 0)
        return P2P_OK;
    return p2p_portmapper_start(&options, &peer->portmapper);
}

static enum p2p_err
start(struct peer *peer)
{
    enum p2p_err err = read_rates(peer);

    if (err != P2P_OK || (err = p2p_crypto_init()) != P2P_OK ||
        (err = open_identity(peer)) != P2P_OK ||
        (err = offers_new(&peer->offers)) != P2P_OK ||
        (err = open_access(peer)) != P2P_OK || (err = open_shares(peer)) != P2P_OK ||
        (err = uploads_open(peer->opt.keys_dir, &peer->uploads)) != P2P_OK ||
        (err = open_server(peer)) != P2P_OK)
        return err;
    p2p_service_on_hangup(on_hangup, peer);
    on_tick(peer);
    start_tender(peer);
    start_control(peer);
    start_mdns(peer);
    err = start_announcer(peer);
    if (err == P2P_OK)
        err = start_doorman(peer);
    return err == P2P_OK ? start_portmapper(peer) : err;
}

/* ---- Parent and child ---- */

static enum p2p_err
open_listeners(struct peer *peer)
{
    const struct peer_options *opt = &peer->opt;
    enum p2p_err err;

    if (!p2p_service_has_descriptors())
        return P2P_ERR_SYS;
    peer->port = (uint16_t)opt->port;
    err = server_listen(opt->host, &peer->port, peer->listeners, (size_t)opt->threads);
    if (err != P2P_OK)
        p2p_service_say_no_listener(err, opt->host, (unsigned)opt->port);
    return err;
}

/* Registries list one peer for an identity: two would take each other's place. */
static enum p2p_err
claim_keys(struct peer *peer)
{
    const char *keys = peer->opt.keys_dir;
    enum p2p_err err = p2p_keys_claim(keys, &peer->claim);

    if (err == P2P_ERR_BUSY)
        p2p_log_error("another p2p-peer uses %s; give this one its own --keys-dir",
                      keys);
    else if (err != P2P_OK)
        p2p_log_error("keys: cannot lock %s: %s", keys, p2p_err_text(err));
    return err;
}

/* The sandbox allows no new Unix socket. */
static void
bind_control(struct peer *peer)
{
    enum p2p_err err = p2p_control_bind(peer->opt.keys_dir, &peer->control_socket);

    if (err != P2P_OK)
        p2p_log_warn("cannot create %s/%s: %s; `p2p status` and the dashboard cannot "
                     "show uploads",
                     peer->opt.keys_dir, P2P_CONTROL_FILE, p2p_err_text(err));
}

/* A folder that had files is not created again when it is missing. */
static enum p2p_err
allow_folder(const struct peer *peer, size_t i, struct p2p_sandbox_rules *rules)
{
    const char *path = peer->opt.folders.at[i].path, *keys = peer->opt.keys_dir;
    enum p2p_err err = p2p_shares_is_missing(&peer->opt.folders, i, keys, "p2p-peer")
                           ? p2p_sandbox_allow_away(rules, path, keys)
                           : p2p_sandbox_allow_shared(rules, path);

    if (err == P2P_OK)
        err = p2p_sandbox_watch(rules, path);
    if (err != P2P_OK)
        p2p_log_error("shared folder '%s': %s", path, p2p_err_text(err));
    return err;
}

/* The disk of one folder may be away while the others are there: it is left out, unless
 * it is the only one. */
static enum p2p_err
allow_shared(struct peer *peer, struct p2p_sandbox_rules *rules)
{
    const struct p2p_shares_folders *all = &peer->opt.folders;
    enum p2p_err err = P2P_OK;
    char why[1024];

    if ((err = p2p_shares_check(all, why, sizeof(why))) != P2P_OK) {
        p2p_log_error("%s", why);
        return err;
    }
    peer->folders.count = 0;
    for (size_t i = 0; i < all->count; i++) {
        enum p2p_err one = allow_folder(peer, i, rules);
        if (one == P2P_OK)
            peer->folders.at[peer->folders.count++] = all->at[i];
        else if (err == P2P_OK)
            err = one;
    }
    if (peer->folders.count == 0)
        return err;
    if (err != P2P_OK)
        p2p_log_warn("the other folders are shared; send SIGHUP when that one is back");
    return P2P_OK;
}

/* The files that the child may use, in addition to the system's. */
static enum p2p_err
allow(void *arg, struct p2p_sandbox_rules *rules)
{
    struct peer *peer = arg;
    const char *keys = peer->opt.keys_dir;
    enum p2p_err err = p2p_sandbox_allow_folder(rules, keys, 0700, P2P_SANDBOX_WRITE);

    if (err != P2P_OK) {
        p2p_log_error("keys: %s: %s", keys, p2p_err_text(err));
        return err;
    }
    if ((err = claim_keys(peer)) != P2P_OK)
        return err;
    bind_control(peer);
    return allow_shared(peer, rules);
}

/* First no new clients, then the running requests end, then everything that they used
 * is freed. */
static void
stop(struct peer *peer)
{
    p2p_lock(&peer->lock);
    struct server *server = peer->server;
    struct announcer *announcer = peer->announcer;
    p2p_unlock(&peer->lock);

    p2p_service_on_hangup(NULL, NULL);
    p2p_control_stop(peer->control);
    p2p_mdns_stop(peer->mdns);
    p2p_portmapper_stop(peer->portmapper);
    p2p_doorman_stop(peer->doorman);
    announcer_stop(announcer);
    p2p_lock(&peer->lock);
    peer->server = NULL;
    p2p_unlock(&peer->lock);
    server_close(server, STOP_GRACE_MS);
    (void)p2p_reach_settle(P2P_REACH_SETTLE_MS);
    uploads_close(peer->uploads);
    p2p_tender_stop(peer->tender);
    p2p_shares_close(peer->shares);
    announcer_free(announcer);
    p2p_discovery_close(peer->discovery);
    access_close(peer->access);
    offers_free(peer->offers);
    p2p_identity_close(peer->identity);
    p2p_fd_close(&peer->control_socket);
    p2p_fd_close(&peer->claim);
}

/* Protocol 2 has powers of two only. */
static void
log_chunk_size(const struct peer *peer)
{
    uint64_t asked = peer->opt.chunk_size;

    if (peer->opt.protocol_1)
        p2p_log_info("chunk size: protocol 1 %llu bytes, protocol 2 %u bytes",
                     (unsigned long long)asked, p2p_chunk_size_floor(asked));
    else
        p2p_log_info("chunk size: protocol 2 %u bytes", p2p_chunk_size_floor(asked));
}

static int
serve(void *arg)
{
    struct peer *peer = arg;
    enum p2p_err err = start(peer);

    if (err == P2P_OK) {
        p2p_service_ready("p2p-peer", "port=%u peer_id=%s", peer->port,
                          p2p_identity_id_hex(peer->identity));
        log_chunk_size(peer);
        p2p_service_wait();
    }
    stop(peer);
    return p2p_service_exit_status(err);
}

static enum p2p_err
parse(void *arg, void *fresh, struct p2p_options_text **text)
{
    const struct peer *peer = arg;

    enum p2p_err err = peer_options_parse(peer->argc, peer->argv, fresh, text);

    if (err == P2P_OK)
        peer_options_use_own_keys(fresh, *text, peer->own_keys);
    return err;
}

static void
describe(void *arg, struct p2p_guardian_options *guardian)
{
    const struct peer_options *opt = &((const struct peer *)arg)->opt;

    size_t count = opt->folders.count;

    for (size_t i = 0; i < count; i++)
        guardian->folders[i] = opt->folders.at[i].path;
    guardian->folders[count] = opt->keys_dir;
    guardian->folders[count + 1] = NULL;
    guardian->files[0] = opt->allow_peers;
    guardian->avahi = opt->mdns;
}

static int
run(struct peer *peer)
{
    struct p2p_reload reload = {
        .set = &peer_option_set,
        .fixed = peer_fixed_options,
        .live = peer_live_options,
        .target = &peer->opt,
        .size = sizeof(peer->opt),
        .text = &peer->text,
        .parse = parse,
        .arg = peer,
    };
    const struct p2p_guardian_options guardian = {
        .program = "p2p-peer",
        .settings = peer->opt.guardian,
        .describe = describe,
        .reload = &reload,
        .descriptors = peer->listeners,
        .descriptor_count = (unsigned)peer->opt.threads,
        .passphrase = p2p_passphrase_default,
        .allow = allow,
        .serve = serve,
        .arg = peer,
    };
    enum p2p_err err = open_listeners(peer);

    return err == P2P_OK ? p2p_guardian_run(&guardian) : p2p_service_exit_status(err);
}

static enum p2p_err
choose_keys(struct peer *peer)
{
    enum p2p_err err =
        peer_options_find_own_keys(&peer->opt, peer->text, &peer->own_keys);

    if (err == P2P_OK && peer->own_keys != NULL) {
        p2p_log_info("another p2p-peer has the identity in %s, so this one has its own "
                     "in %s",
                     peer->opt.keys_dir, peer->own_keys);
        peer_options_use_own_keys(&peer->opt, peer->text, peer->own_keys);
    }
    return err;
}

int
main(int argc, char **argv)
{
    static struct peer peer = {.lock = P2P_MUTEX_INITIALIZER,
                               .duplicate.lock = P2P_MUTEX_INITIALIZER,
                               .rates_lock = P2P_MUTEX_INITIALIZER,
                               .claim = -1,
                               .control_socket = -1};
    enum p2p_err err;
    int status = 0; /* --help, --version */

    p2p_service_begin();
    p2p_log_init("p2p-peer", P2P_LOG_INFO);
    peer.argc = argc;
    peer.argv = argv;
    err = peer_options_parse(argc, argv, &peer.opt, &peer.text);
    if (err == P2P_OK)
        err = choose_keys(&peer);
    if (err != P2P_ERR_CANCELLED)
        status = err == P2P_OK ? run(&peer) : p2p_service_exit_status(err);
    p2p_options_free(peer.text);
    free(peer.own_keys);
    return status;
}
