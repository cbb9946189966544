/* p2p doctor: checks everything that must work; prints one line for each check, with
 * advice. */
#include <cjson/cJSON.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "cli/ask/running.h"
#include "cli/commands/commands.h"
#include "cli/machine/daemons.h"
#include "cli/machine/shared.h"
#include "cli/machine/upgrades.h"
#include "p2p/box.h"
#include "p2p/bytes.h"
#include "p2p/conn.h"
#include "p2p/hardening.h"
#include "p2p/mdns.h"
#include "p2p/nat.h"
#include "p2p/rank.h"
#include "p2p/sandbox.h"

enum {
    SKEW_MAX_S = 60,
    OTHERS_MAX = 5,
    OWN_MAX = 32, /* addresses of this machine that are looked at */
    DAEMONS_MAX = 16,
    UPGRADES_MAX = 64,
    ADVICE_MAX = 512
};

struct doctor_options {
    struct cli_common common;
    uint64_t peer_port;
    const char *output_dir;
    struct p2p_option_list shared_dirs;
};
#define AT(field) offsetof(struct doctor_options, field)
static const struct p2p_option options[] = {
    CLI_OPTION_DISCOVERY(struct doctor_options),
    {"peer-port", P2P_OPT_NUMBER, AT(peer_port), 1, 65535, "PORT",
     "port of this device's p2p-peer"},
    {"shared-dir", P2P_OPT_LIST, AT(shared_dirs), 0, 0, "DIR",
     "shared folder to check (default: the one that p2p-peer shares, or shared)"},
    {"output-dir", P2P_OPT_TEXT, AT(output_dir), 0, 0, "DIR",
     "folder where downloads are stored"},
    CLI_OPTION_TIMEOUT(struct doctor_options),
    CLI_OPTIONS_NAME(struct doctor_options),
    CLI_OPTION_KEYS(struct doctor_options),
    CLI_OPTION_MDNS(struct doctor_options),
    CLI_OPTION_JSON(struct doctor_options),
};
static const struct p2p_option_set set = {
    "p2p doctor", "[PEER] [options]",
    "Checks everything that peers need to connect, and explains what does not work.",
    options, sizeof(options) / sizeof(options[0])};

enum verdict { GOOD, NOTE, BAD };

struct doctor {
    struct doctor_options opt;
    struct p2p_identity *identity;
    struct p2p_discovery *discovery;
    struct cli_peers peers;
    struct cJSON *checks; /* with --json */
    bool any_bad;
};

__attribute__((format(printf, 4, 5))) static void
report(struct doctor *doc, enum verdict verdict, const char *what, const char *format,
       ...)
{
    static const char *const words[] = {
        [GOOD] = "ok", [NOTE] = "note", [BAD] = "PROBLEM"};
    char text[ADVICE_MAX];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    doc->any_bad = doc->any_bad || verdict == BAD;
    if (doc->checks != NULL) {
        struct cJSON *item = cli_add_object(doc->checks);
        cli_put_text(item, "check", what);
        cli_put_text(item, "result", verdict == BAD ? "problem" : words[verdict]);
        cli_put_text(item, "text", text);
    } else {
        printf("%-8s %-14s %s\n", words[verdict], what, text);
        fflush(stdout);
    }
}

static bool
check_keys(struct doctor *doc)
{
    char why[512] = "";
    enum p2p_err err =
        p2p_identity_open(doc->opt.common.keys_dir, true, p2p_passphrase_default, NULL,
                          &doc->identity, why, sizeof(why));

    if (err != P2P_OK)
        report(doc, BAD, "keys", "%s", why[0] != '\0' ? why : p2p_err_text(err));
    else
        report(doc, GOOD, "keys", "this device is %.16s...",
               p2p_identity_id_hex(doc->identity));
    return err == P2P_OK;
}

/* This command's memory is like that of the other programs: they do the same in the
 * same place. The key was used before this check. */
static void
check_memory(struct doctor *doc)
{
    struct p2p_hardening now = p2p_hardening_look();
    char size[CLI_SHORT];

    if (now.is_dumpable || !now.has_core_limit_zero)
        report(doc, NOTE, "key memory",
               "a core dump of this program could contain the key");
    else if (now.locked_bytes < now.key_memory_bytes || now.key_memory_bytes == 0)
        report(doc, NOTE, "key memory",
               "keys never get into a core dump, but some may be written to swap: only "
               "%s of memory can be locked. Raise the limit (ulimit -l, "
               "LimitMEMLOCK=)",
               cli_size(now.memlock_bytes, size));
    else
        report(doc, GOOD, "key memory",
               "keys never get into a core dump or into swap (%s locked)",
               cli_size(now.locked_bytes, size));
}

static void
check_registry(struct doctor *doc, const struct p2p_registry_state *r)
{
    int64_t skew = r->skew_s < 0 ? -r->skew_s : r->skew_s;

    if (r->detail[0] != '\0')
        report(doc, BAD, "registry", "%s: %s: %s", r->url, p2p_err_text(r->last_error),
               r->detail);
    else if (r->last_error == P2P_ERR_NO_HOST)
        report(doc, BAD, "registry", "%s: no such host. Check the name in --discovery",
               r->url);
    else if (!r->reachable)
        report(doc, BAD, "registry",
               "%s: %s. Check that p2p-discovery runs there and that its firewall "
               "allows the port",
               r->url, p2p_err_text(r->last_error));
    else if (r->last_error != P2P_OK)
        report(doc, BAD, "registry", "%s answered with an error: %s (%s)", r->url,
               r->detail, p2p_err_text(r->last_error));
    else
        report(doc, GOOD, "registry", "%s answers", r->url);
    if (r->skew_known && skew > SKEW_MAX_S)
        report(doc, BAD, "clock",
               "this machine's clock is %lld s %s the clock of the registry %s. "
               "Correct the wrong one (timedatectl set-ntp true)",
               (long long)skew, r->skew_s > 0 ? "ahead of" : "behind", r->url);
    else if (r->skew_known)
        report(doc, GOOD, "clock", "at most %d s from the clock of %s", SKEW_MAX_S,
               r->url);
}

static void
check_body_limit(struct doctor *doc, size_t i, const char *url)
{
    size_t limit = p2p_discovery_body_limit(doc->discovery, i);
    char size[CLI_SHORT];

    if (limit > 0)
        report(doc, NOTE, "registry",
               "the server in front of the registry %s accepts at most %s per "
               "request, so long file lists are sent in parts. Raise its limit (nginx: "
               "client_max_body_size) to 16 MB",
               url, cli_size(limit, size));
}

static void
check_registries(struct doctor *doc)
{
    struct p2p_registry_state states[P2P_OPTION_LIST_MAX];
    size_t count = 0;

    if (cli_open_discovery(&doc->opt.common, &doc->discovery) != P2P_OK ||
        cli_find_peers(&doc->opt.common, doc->discovery, doc->identity, &doc->peers) !=
            P2P_OK)
        return;
    if (doc->discovery != NULL)
        count = p2p_discovery_states(doc->discovery, states, P2P_OPTION_LIST_MAX);
    for (size_t i = 0; i < count; i++) {
        check_registry(doc, &states[i]);
        if (states[i].reachable)
            check_body_limit(doc, i, states[i].url);
    }
}

static enum p2p_err
can_connect(const struct doctor *doc, const struct p2p_addr *addr)
{
    int fd;
    enum p2p_err err =
        p2p_net_connect(addr, p2p_now_ms() + doc->opt.common.timeout_ms, &fd);

    p2p_fd_close(&fd);
    return err;
}

/* Why a peer cannot be reached at its address, and what to do about it. */
static const char *
reason(const struct doctor *doc, const struct p2p_addr *addr, enum p2p_err err)
{
    if (err == P2P_ERR_UNREACHABLE && can_connect(doc, addr) == P2P_ERR_UNREACHABLE) {
        if (errno == ECONNREFUSED)
            return "the connection is refused: no program listens on this port there. "
                   "p2p-peer may be stopped, or the port is wrong";
        if (errno == ENETUNREACH || errno == EHOSTUNREACH)
            return "there is no route to this address: the device is off, or in "
                   "another "
                   "network";
    }
    if (err == P2P_ERR_TIMEOUT)
        return "no answer: a firewall drops the connection, or the device is off or "
               "has "
               "another address now";
    if (err == P2P_ERR_REFUSED)
        return "it refused this device: it may share with devices that it trusts only, "
               "or be busy. Ask its owner to trust this device (p2p id), or to start "
               "p2p-peer with --public";
    if (err == P2P_ERR_WRONG_PEER || err == P2P_ERR_KEY_CHANGED)
        return "a device with another identity answers at this address";
    return p2p_err_text(err);
}

/* Checks this device's peer: whether it runs, is registered, and can be reached at the
 * registered address. */
static void
check_own_peer(struct doctor *doc)
{
    struct p2p_addr here = {"localhost", (uint16_t)doc->opt.peer_port};
    const struct cli_peer *self = NULL;
    char address[CLI_ADDRESS];
    enum p2p_err err;

    for (size_t i = 0; i < doc->peers.count; i++)
        if (doc->peers.at[i].is_self)
            self = &doc->peers.at[i];
    if (self != NULL)
        here.port = self->addr.port;
    err = can_connect(doc, &here);
    report(doc, err == P2P_OK ? GOOD : NOTE, "own peer",
           err == P2P_OK ? "listens on port %u"
                         : "nothing listens on port %u, so this device shares nothing. "
                           "Start p2p-peer, or name its port with --peer-port",
           here.port);
    if (self == NULL) {
        report(doc, NOTE, "own peer",
               "is not registered, so others cannot find it. Check that it uses the "
               "same --keys-dir and --discovery");
        return;
    }
    p2p_addr_format(&self->addr, address, sizeof(address));
    err = can_connect(doc, &self->addr);
    if (p2p_addr_is_loopback(&self->addr))
        report(doc, NOTE, "own peer",
               "is registered as %s, which only this machine can reach. Start p2p-peer "
               "with --advertise and this machine's address",
               address);
    else if (err == P2P_OK)
        report(doc, GOOD, "own peer", "is registered as %s and can be reached there",
               address);
    else
        report(doc, BAD, "own peer",
               "is registered as %s but cannot be reached there: %s. Check the "
               "firewall, the router's port forwarding, and p2p-peer --advertise",
               address, reason(doc, &self->addr, err));
}

/* Strangers who reach a public address get nothing, which surprises the owner of a
 * server. */
static void
check_public(struct doctor *doc)
{
    enum p2p_err err;
    cJSON *status = cli_ask_running(doc->opt.common.keys_dir, "status", &err);
    const cJSON *is_public = cli_running_public(status);
    struct p2p_addr own[OTHERS_MAX];
    struct p2p_net_of net;
    size_t count = p2p_net_own_addresses(0, own, OTHERS_MAX), i = 0;

    while (i < count && !p2p_rank_net(&own[i], &net))
        i++;
    if (cJSON_IsTrue(is_public))
        report(doc, NOTE, "who may get",
               "everyone on the Internet who can connect to this peer (--public)");
    else if (cJSON_IsFalse(is_public) && i < count)
        report(doc, NOTE, "who may get",
               "this machine has a public address (%s), but strangers from outside get "
               "nothing: trust their devices (p2p peers trust ID), or start p2p-peer "
               "with --public",
               own[i].host);
    else if (cJSON_IsFalse(is_public))
        report(doc, GOOD, "who may get",
               "everyone on the local networks, and trusted devices from anywhere");
    cJSON_Delete(status);
}

/* The running peer has noticed it. */
static void
check_copy(struct doctor *doc)
{
    enum p2p_err err;
    cJSON *status = cli_ask_running(doc->opt.common.keys_dir, "status", &err);
    const char *at = cli_running_copy(status);
    char shown[CLI_TEXT];

    if (at != NULL)
        report(
            doc, BAD, "identity",
            "another device at %s uses the identity of this one, so registries list "
            "only one of the two. Its keys folder is a copy: stop one of the two, move "
            "its keys folder away, and start it again",
            cli_text(at, shown));
    cJSON_Delete(status);
}

static void
check_peer(struct doctor *doc, const struct cli_peer *peer)
{
    struct p2p_addr others[P2P_CONN_OTHERS_MAX], at = peer->addr;
    const struct p2p_conn_options conn_options = {
        .identity = doc->identity,
        .addr = peer->addr,
        .expected = &peer->id,
        .protocol = 2,
        .timeout_ms = doc->opt.common.timeout_ms,
        .others = others,
        .other_count = p2p_addr_list_read(peer->others, others, P2P_CONN_OTHERS_MAX),
    };
    char address[CLI_ADDRESS], called[P2P_CALLED_MAX];
    struct p2p_conn *conn = NULL;
    uint64_t rtt_us = 0;
    enum p2p_err err = p2p_conn_open(&conn_options, &conn);

    if (err == P2P_OK)
        err = p2p_conn_ping(conn, &rtt_us);
    p2p_peer_called(doc->identity, &peer->id,
                    conn != NULL && p2p_conn_about(conn) != NULL ? p2p_conn_about(conn)
                                                                 : &peer->about,
                    called);
    if (conn != NULL)
        at = *p2p_conn_address(conn);
    p2p_conn_close(conn);
    p2p_addr_format(&at, address, sizeof(address));
    if (err == P2P_OK)
        report(doc, GOOD, "peer", "%s at %s: identity proven, round trip %.2f ms",
               called, address, (double)rtt_us / 1000);
    else
        report(doc, NOTE, "peer", "%s at %s: %s", called, address,
               reason(doc, &peer->addr, err));
}

/* ---- ways from and to outside ---- */

static void
report_nat(struct doctor *doc, const struct p2p_reach_offer *offer, enum p2p_nat nat,
           const struct p2p_addr *outside)
{
    switch (nat) {
    case P2P_NAT_BLOCKED:
        report(
            doc, NOTE, "nat",
            "no answer by UDP from %s, ports %u and %u: UDP is blocked here or there. "
            "Only TCP and relays work",
            offer->stun[0].host, offer->stun[0].port, offer->stun[1].port);
        break;
    case P2P_NAT_UNKNOWN:
        report(doc, NOTE, "nat", "only one of the UDP ports %u and %u of %s answers",
               offer->stun[0].port, offer->stun[1].port, offer->stun[0].host);
        break;
    case P2P_NAT_NONE:
        report(doc, GOOD, "nat",
               "UDP passes, and no router translates addresses on the way to the "
               "registry, which sees %s",
               outside->host);
        break;
    case P2P_NAT_STEADY:
        report(
            doc, GOOD, "nat",
            "UDP passes. A router shows this machine as %s, with the same port to "
            "everybody, and lets in only answers: paths over UDP open to most peers, "
            "but not to those whose router is symmetric",
            outside->host);
        break;
    case P2P_NAT_CONE:
        report(
            doc, GOOD, "nat",
            "UDP passes. A router shows this machine as %s, with the same port to "
            "everybody, and lets in what comes from other ports: paths over UDP open "
            "to nearly every peer",
            outside->host);
        break;
    case P2P_NAT_CHANGING:
        report(doc, NOTE, "nat",
               "UDP passes. A router shows this machine as %s, with another port to "
               "each destination (symmetric): paths over UDP open only to peers whose "
               "router lets in more; others need a forwarded port or a relay",
               outside->host);
        break;
    }
}

static void
check_relay(struct doctor *doc, const struct p2p_addr *relay)
{
    char address[CLI_ADDRESS];
    enum p2p_err err = can_connect(doc, relay);

    p2p_addr_format(relay, address, sizeof(address));
    if (err == P2P_OK)
        report(doc, GOOD, "relay", "%s accepts connections", address);
    else
        report(doc, BAD, "relay",
               "%s: %s. Check that p2p-relay runs there and that its "
               "firewall allows the port",
               address, p2p_err_text(err));
}

/* At the first registry that answers by UDP: they all see the same router. */
static void
check_ways(struct doctor *doc)
{
    size_t count = doc->discovery != NULL ? p2p_discovery_count(doc->discovery) : 0;
    struct p2p_reach_offer offer;
    bool is_nat_known = false;
    struct p2p_addr outside;
    enum p2p_nat nat;

    for (size_t i = 0; i < count; i++) {
        if (p2p_reach_offer(doc->discovery, i, &offer) != P2P_OK)
            continue;
        if (offer.relay.port != 0)
            check_relay(doc, &offer.relay);
        if (is_nat_known || offer.stun[0].port == 0 || offer.stun[1].port == 0 ||
            p2p_nat_check(offer.stun, doc->opt.common.timeout_ms, &nat, &outside) !=
                P2P_OK)
            continue;
        report_nat(doc, &offer, nat, &outside);
        is_nat_known = nat != P2P_NAT_BLOCKED;
    }
}

/* Global addresses begin with the bits 001 (RFC 4291). */
static bool
is_global_ipv6(const char *host)
{
    return strchr(host, ':') != NULL && (host[0] == '2' || host[0] == '3');
}

static void
check_ipv6(struct doctor *doc)
{
    struct p2p_addr own[OWN_MAX];
    size_t count = p2p_net_own_addresses(1, own, OWN_MAX);

    for (size_t i = 0; i < count; i++)
        if (is_global_ipv6(own[i].host)) {
            report(doc, GOOD, "ipv6",
                   "this machine has %s: peers with IPv6 need no address translation, "
                   "but a router's firewall may keep them out; then a path over UDP "
                   "opens it",
                   own[i].host);
            return;
        }
    report(doc, NOTE, "ipv6",
           "this machine has no IPv6 address for the Internet; IPv4 is used");
}

/* What the registry has found out when this device's peer registered. */
static void
check_own_port(struct doctor *doc)
{
    for (size_t i = 0; i < doc->peers.count; i++) {
        const struct cli_peer *peer = &doc->peers.at[i];
        char address[CLI_ADDRESS];

        if (!peer->is_self || (!peer->is_reached && !peer->is_unreached))
            continue;
        p2p_addr_format(&peer->addr, address, sizeof(address));
        if (peer->is_reached)
            report(doc, GOOD, "port", "the registry reaches this device at %s",
                   address);
        else
            report(doc, NOTE, "port",
                   "the registry does not reach this device at %s: a router or a "
                   "firewall lets no connection in. Forward the port in the router, "
                   "or use a relay",
                   address);
    }
}

/* Tries every path: first the addresses, then a relay. */
static void
check_path(struct doctor *doc, const struct cli_peer *peer)
{
    const struct p2p_reach reach = {.identity = doc->identity,
                                    .discovery = doc->discovery};
    struct p2p_addr others[P2P_CONN_OTHERS_MAX];
    const struct p2p_conn_options conn_options = {
        .identity = doc->identity,
        .addr = peer->addr,
        .expected = peer->id_known ? &peer->id : NULL,
        .protocol = 2,
        .timeout_ms = doc->opt.common.timeout_ms,
        .others = others,
        .other_count = p2p_addr_list_read(peer->others, others, P2P_CONN_OTHERS_MAX),
        .reach = doc->discovery != NULL ? &reach : NULL,
        .is_unreached = peer->is_unreached,
    };
    static const char *const words[] = {[P2P_PATH_DIRECT] = "direct",
                                        [P2P_PATH_RELAY] = "through a relay",
                                        [P2P_PATH_CHANNEL] = "through NAT"};
    uint64_t began = p2p_now_ms(), rtt_us = 0, opened;
    char address[CLI_ADDRESS];
    struct p2p_conn *conn = NULL;
    enum p2p_err err = p2p_conn_open(&conn_options, &conn);

    opened = p2p_now_ms() - began;
    p2p_addr_format(&peer->addr, address, sizeof(address));
    if (err == P2P_OK)
        err = p2p_conn_ping(conn, &rtt_us);
    if (err == P2P_OK)
        report(doc, GOOD, "path", "to %s: %s, round trip %.2f ms, opened in %.1f s",
               address, words[p2p_conn_path(conn)], (double)rtt_us / 1000,
               (double)opened / 1000);
    else
        report(doc, BAD, "path",
               "to %s: %s. A relay needs a registry that names one (--relay), and the "
               "other device must trust this one",
               address, p2p_err_text(err));
    p2p_conn_close(conn);
}

/* False: there is no such peer; that was said. */
static bool
check_named_peer(struct doctor *doc, const char *text)
{
    struct cli_peer peer;

    if (cli_resolve_peer(&doc->opt.common, doc->identity, text, &peer) != P2P_OK)
        return false;
    check_path(doc, &peer);
    return true;
}

static void
check_other_peers(struct doctor *doc)
{
    unsigned tried = 0;

    for (size_t i = 0; i < doc->peers.count && tried < OTHERS_MAX; i++) {
        const struct cli_peer *peer = &doc->peers.at[i];
        if (peer->is_self || peer->trust == P2P_TRUST_BLOCKED)
            continue;
        check_peer(doc, peer);
        tried++;
    }
    if (tried == 0)
        report(doc, NOTE, "peers", "no other peer is online");
}

static void
check_lan(struct doctor *doc)
{
    struct p2p_mdns_peer one;
    size_t count;

    if (!doc->opt.common.mdns)
        return;
    if (p2p_mdns_browse(100, &one, 1, &count) == P2P_OK)
        report(doc, GOOD, "local network", "mDNS works (Avahi)");
    else
        report(doc, NOTE, "local network",
               "mDNS is off because avahi-daemon does not run. Registries and direct "
               "addresses work without it");
}

static void
check_disk(struct doctor *doc)
{
    struct statvfs fs;
    char size[CLI_SHORT];

    if (statvfs(doc->opt.output_dir, &fs) != 0)
        report(doc, NOTE, "downloads", "%s does not exist yet", doc->opt.output_dir);
    else
        report(doc, fs.f_bavail > 0 ? GOOD : BAD, "downloads", "%s free in %s",
               cli_size((uint64_t)fs.f_bavail * fs.f_frsize, size),
               doc->opt.output_dir);
}

static void
check_shared(struct doctor *doc)
{
    struct cli_shared shared;
    char text[ADVICE_MAX];
    size_t problems;
    uint64_t missing;

    cli_find_shared(doc->opt.common.keys_dir, cli_first_shared(&doc->opt.shared_dirs),
                    &shared);
    if (cli_tell_shared(&shared, text, sizeof(text)))
        report(doc, NOTE, "shared folder", "%s", text);
    else if (cli_look_at_shared(&shared, &problems, &missing) == P2P_OK)
        report(doc, GOOD, "shared folder", "everything in %s is shared", shared.dir);
    else
        report(doc, NOTE, "shared folder",
               "no running program shares %s; name the right folder with --shared-dir",
               shared.dir);
}

static void
check_sandbox(struct doctor *doc)
{
    struct cli_daemon daemons[DAEMONS_MAX];
    size_t count = cli_find_daemons(daemons, DAEMONS_MAX);
    int landlock = p2p_sandbox_landlock_abi();

    if (landlock > 0 && p2p_sandbox_has_seccomp())
        report(doc, GOOD, "sandbox", "available: Landlock version %d and seccomp",
               landlock);
    else
        report(doc, NOTE, "sandbox", "incomplete: %s%s",
               landlock > 0 ? "" : "this kernel has no Landlock; ",
               p2p_sandbox_has_seccomp() ? "" : "this kernel or build has no seccomp");
    for (size_t i = 0; i < count; i++) {
        const struct cli_daemon *d = &daemons[i];
        if (d->is_filtered && !d->has_rights)
            report(doc, GOOD, "sandbox", "%s (pid %d) runs in the sandbox", d->name,
                   d->pid);
        else
            report(doc, NOTE, "sandbox",
                   "%s (pid %d) runs without the sandbox; its log tells the reason",
                   d->name, d->pid);
    }
}

static void
check_libraries(struct doctor *doc)
{
    struct cli_upgrade upgrades[UPGRADES_MAX];
    size_t count = 0;

    if (!cli_find_upgrades(upgrades, UPGRADES_MAX, &count)) {
        report(doc, NOTE, "libraries",
               "cannot check for newer versions, because this system does not use apt");
        return;
    }
    for (size_t i = 0; i < count && i < UPGRADES_MAX; i++)
        report(doc, NOTE, "libraries",
               "%s %s can be upgraded to %s. Upgrade it with apt, then restart the "
               "programs",
               upgrades[i].package, upgrades[i].installed, upgrades[i].newer);
    if (count > UPGRADES_MAX)
        report(doc, NOTE, "libraries", "%zu more packages can be upgraded",
               count - UPGRADES_MAX);
    if (count == 0)
        report(doc, GOOD, "libraries", "apt knows no newer version of any of them");
}

int
cmd_doctor(int argc, char **argv)
{
    struct doctor doc = {
        .opt = {.common = CLI_DEFAULTS, .peer_port = 9000, .output_dir = "downloads"}};
    struct cJSON *object = NULL;
    int arguments, status;
    bool has_peer = true;

    doc.opt.common.timeout_ms = 5000;
    if (!cli_parse(&set, &doc.opt, argc, argv, &arguments, &status))
        return status;
    if (arguments > 1)
        return cli_fail(P2P_ERR_USAGE, "p2p doctor takes one peer at most");
    if (doc.opt.common.json) {
        object = cli_object();
        doc.checks = cli_put_array(object, "checks");
    }
    if (check_keys(&doc)) {
        check_registries(&doc);
        check_own_peer(&doc);
        check_public(&doc);
        check_copy(&doc);
        check_own_port(&doc);
        check_ways(&doc);
        check_ipv6(&doc);
        if (arguments == 0)
            check_other_peers(&doc);
        else
            has_peer = check_named_peer(&doc, argv[1]);
    }
    check_memory(&doc);
    check_lan(&doc);
    check_shared(&doc);
    check_disk(&doc);
    check_sandbox(&doc);
    check_libraries(&doc);
    if (object != NULL)
        cli_print_json(object);
    cli_peers_clear(&doc.peers);
    p2p_discovery_close(doc.discovery);
    p2p_identity_close(doc.identity);
    return doc.any_bad || !has_peer ? 1 : 0;
}
