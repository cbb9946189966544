#include "peer/peer.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "p2p/chunk.h"
#include "p2p/guardian.h"
#include "p2p/io.h"
#include "p2p/log.h"
#include "p2p/net.h"
#include "p2p/public_url.h"
#include "p2p/service.h"
#include "peer/history/history.h"

enum { STOP_GRACE_MS = 5000, DISCOVERY_TIMEOUT_MS = 5000 };

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
    struct server *server = peer->server;
    p2p_unlock(&peer->lock);
    if (links_follow(peer->links, peer->opt.keys_dir) && server != NULL)
        server_recheck(server);
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
    uint64_t rate;

    p2p_lock(&peer->rates_lock);
    rate = p2p_timetable_rate_at(&peer->rates, time(NULL));
    p2p_unlock(&peer->rates_lock);
    server_set_rate(own_server(peer), rate);
    links_store(peer->links, peer->opt.keys_dir);
    offers_sweep(peer->offers);
    if (links_sweep(peer->links))
        server_recheck(own_server(peer));
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

    for (size_t i = 0; i < p2p_shares_folders(peer->shares)->count; i++) {
        options.shares[i] = p2p_shares_at(peer->shares, i);
        options.roots[i] = p2p_share_root(options.shares[i]);
        options.count++;
    }
    err = p2p_tender_start(&options, &peer->tender);
    if (err != P2P_OK)
        p2p_log_warn("old versions are not cleaned up: %s", p2p_err_text(err));
}

/* Other devices see old versions only while something looks after these. */
static enum p2p_err
start_history(struct peer *peer)
{
    start_tender(peer);
    return history_new(peer->shares, peer->tender, &peer->history);
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
        .history = peer->history,
        .access = peer->access,
        .offers = peer->offers,
        .inbox = peer->inbox,
        .links = peer->links,
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
        .inbox = peer->inbox,
        .links = peer->links,
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
        struct p2p_addr addr;
        is_local = is_local ||
                   (p2p_url_host(urls->at[i], &addr) && p2p_addr_is_loopback(&addr));
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
on_guest(void *arg, int fd, const struct p2p_id *link, const struct p2p_guest_id *guest)
{
    server_adopt_guest(own_server(arg), fd, link, guest);
}

static bool
has_offer(void *arg, uint32_t number)
{
    const struct peer *peer = arg;

    return offers_exists(peer->offers, number);
}

static enum p2p_err
open_links(struct peer *peer)
{
    const struct links_options options = {.peer = *p2p_identity_id(peer->identity),
                                          .key = p2p_identity_key(peer->identity),
                                          .on_guest = on_guest,
                                          .has_offer = has_offer,
                                          .arg = peer};

    return links_new(&options, &peer->links);
}

static void
on_path(void *arg, int fd, const struct p2p_id *from)
{
    server_adopt(own_server(arg), fd, from);
}

/* What the user has advertised, what the router forwards, and those of this machine. */
static size_t
own_addresses(void *arg, struct p2p_addr *out, size_t max)
{
    struct peer *peer = arg;
    size_t count = 0;

    for (size_t i = 0; i < peer->opt.advertise.count && count < max; i++)
        count += p2p_addr_parse(peer->opt.advertise.at[i], peer->port, &out[count]) ==
                 P2P_OK;
    p2p_lock(&peer->lock);
    if (peer->mapped.port != 0 && count < max)
        out[count++] = peer->mapped;
    p2p_unlock(&peer->lock);
    if (listens_everywhere(peer))
        count += p2p_net_own_addresses(peer->port, out + count, max - count);
    else if (count < max)
        count += p2p_addr_make(peer->opt.host, peer->port, &out[count]) == P2P_OK;
    return count;
}

/* Trusted peers reach this one by a call if nothing else comes through. */
static enum p2p_err
start_doorman(struct peer *peer)
{
    const struct p2p_doorman_options options = {
        .identity = peer->identity,
        .discovery = peer->discovery,
        .may_call = may_call,
        .own_addresses = own_addresses,
        .on_path = on_path,
        .arg = peer,
        .counts = &peer->view.calls,
    };
    const uint64_t memory = peer->opt.channel_memory;

    if (!peer->opt.reach)
        return P2P_OK;
    /* size_t has 32 bits on some machines. */
    p2p_reach_limit_channels((unsigned)peer->opt.max_channels,
                             memory < SIZE_MAX ? (size_t)memory : SIZE_MAX);
    links_begin(peer->links, peer->discovery);
    (void)links_follow(peer->links, peer->opt.keys_dir);
    return peer->discovery != NULL ? p2p_doorman_start(&options, &peer->doorman)
                                   : P2P_OK;
}

static void
on_mapping(void *arg, const struct p2p_addr *addr, const char *by)
{
    struct peer *peer = arg;

    (void)by;
    p2p_lock(&peer->lock);
    peer->mapped = addr != NULL ? *addr : (struct p2p_addr){.port = 0};
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

enum p2p_err
peer_open(struct peer *peer)
{
    enum p2p_err err = read_rates(peer);

    if (err != P2P_OK || (err = p2p_crypto_init()) != P2P_OK ||
        (err = open_identity(peer)) != P2P_OK ||
        (err = offers_new(&peer->offers)) != P2P_OK ||
        (err = inbox_open(peer->opt.keys_dir, peer->opt.offers_from, &peer->inbox)) !=
            P2P_OK ||
        (err = open_links(peer)) != P2P_OK || (err = open_access(peer)) != P2P_OK ||
        (err = open_shares(peer)) != P2P_OK ||
        (err = uploads_open(peer->opt.keys_dir, &peer->uploads)) != P2P_OK ||
        (err = start_history(peer)) != P2P_OK || (err = open_server(peer)) != P2P_OK)
        return err;
    p2p_service_on_hangup(on_hangup, peer);
    on_tick(peer);
    start_control(peer);
    start_mdns(peer);
    err = start_announcer(peer);
    if (err == P2P_OK)
        err = start_doorman(peer);
    return err == P2P_OK ? start_portmapper(peer) : err;
}

/* First no new clients, then the running requests end, then everything that they used
 * is freed. */
void
peer_close(struct peer *peer)
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
    links_store(peer->links, peer->opt.keys_dir);
    links_halt(peer->links);
    announcer_stop(announcer);
    p2p_lock(&peer->lock);
    peer->server = NULL;
    p2p_unlock(&peer->lock);
    server_close(server, STOP_GRACE_MS);
    (void)p2p_reach_settle(P2P_REACH_SETTLE_MS);
    uploads_close(peer->uploads);
    history_free(peer->history);
    p2p_tender_stop(peer->tender);
    p2p_shares_close(peer->shares);
    announcer_free(announcer);
    p2p_discovery_close(peer->discovery);
    access_close(peer->access);
    links_free(peer->links);
    offers_free(peer->offers);
    inbox_close(peer->inbox);
    p2p_identity_close(peer->identity);
    p2p_fd_close(&peer->control_socket);
    p2p_fd_close(&peer->claim);
}
