#include "peer/options.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "p2p/addr.h"
#include "p2p/discovery.h"
#include "p2p/identity.h"
#include "p2p/limits.h"
#include "p2p/machine.h"
#include "p2p/path.h"
#include "p2p/rate.h"
#include "peer/server/server.h"

#define FIELD(name) offsetof(struct peer_options, name)

/* clang-format off */
static const struct p2p_option table[] = {
    {"host", P2P_OPT_TEXT, FIELD(host), 0, 0, "ADDRESS", "address to listen on"},
    {"port", P2P_OPT_NUMBER, FIELD(port), 0, 65535, "PORT", "port to listen on; 0: any free port"},
    {"shared-dir", P2P_OPT_LIST, FIELD(shared_dirs), 0, 0, "DIR", "folder to share, or NAME=DIR"},
    {"keys-dir", P2P_OPT_TEXT, FIELD(keys_dir), 0, 0, "DIR", "folder with this device's key; created at the first start"},
    {"discovery", P2P_OPT_LIST, FIELD(discovery), 0, 0, "URL", "registry to use; may be repeated; 'none': use no registry"},
    {"advertise", P2P_OPT_LIST, FIELD(advertise), 0, 0, "IP[:PORT]", "Tell registries that others reach this peer at this address, for example a forwarded port of the router (NAME:PORT, too); may be repeated, the best one first (default: the address that the registry sees)"},
    {"name", P2P_OPT_TEXT, FIELD(name), 0, 0, "NAME", "name of this device, shown to others (default: the host name)"},
    {"device-kind", P2P_OPT_TEXT, FIELD(device_kind), 0, 0, "KIND", "kind of this device: laptop, desktop, phone, server, tablet or unknown (default: from the hardware)"},
    {"heartbeat", P2P_OPT_DURATION, FIELD(heartbeat_ms), 1000, 3600000, "TIME", "interval between heartbeats to the registry"},
    {"chunk-size", P2P_OPT_SIZE, FIELD(chunk_size), P2P_CHUNK_SIZE_MIN, P2P_CHUNK_SIZE_MAX, "SIZE", "size of chunks; protocol 1 uses exactly this size, protocol 2 the largest power of two that is not above it"},
    {"threads", P2P_OPT_NUMBER, FIELD(threads), 0, PEER_THREADS_MAX, "N", "threads that serve; 0: one per core"},
    {"max-connections", P2P_OPT_NUMBER, FIELD(max_connections), 1, 1000000, "N", "open connections in total"},
    {"reserved-connections", P2P_OPT_NUMBER, FIELD(reserved_connections), 0, 1000000, "N", "how many of the connections are reserved for this machine and for known peers"},
    {"connections-per-source", P2P_OPT_NUMBER, FIELD(connections_per_source), 1, 1000000, "N", "open connections from one address"},
    {"client-memory", P2P_OPT_SIZE, FIELD(client_memory), 64 * P2P_KIB, P2P_GIB, "SIZE", "memory for the queued requests of all clients; clients wait when it is used up"},
    {"max-channels", P2P_OPT_NUMBER, FIELD(max_channels), 1, 10000, "N", "paths over UDP to other peers that are open at once; further callers use a relay"},
    {"channel-memory", P2P_OPT_SIZE, FIELD(channel_memory), P2P_MIB, 16 * P2P_GIB, "SIZE", "memory for the buffers of all paths over UDP together, beyond 512K for each; a path gets less when it is used up"},
    {"limit-rate", P2P_OPT_TEXT, FIELD(limit_rate), 0, 0, "RATE", "bytes per second for all uploads together: 2M, off, or a timetable \"08:00,2M 23:00,off\""},
    {"limit-rate-per-peer", P2P_OPT_SIZE, FIELD(limit_rate_per_peer), 0, 0, "RATE", "bytes per second for each peer; 0: no limit"},
    {"allow-peers", P2P_OPT_TEXT, FIELD(allow_peers), 0, 0, "FILE", "allow downloads only to the peer ids in this file"},
    {"trusted-only", P2P_OPT_FLAG, FIELD(trusted_only), 0, 0, NULL, "allow downloads only to peers that you trust (p2p peers trust ID)"},
    {"offers", P2P_OPT_TEXT, FIELD(offers), 0, 0, "FROM", "devices that may offer files and texts to this one: all, known (those you trust or have downloaded from) or none"},
    {"public", P2P_OPT_FLAG, FIELD(is_public), 0, 0, NULL, "share with everyone on the Internet who can connect to this peer, not only with devices on the local networks and trusted ones"},
    {"protocol-1", P2P_OPT_FLAG, FIELD(protocol_1), 0, 0, NULL, "also serve clients of protocol 1"},
    {"mdns", P2P_OPT_FLAG, FIELD(mdns), 0, 0, NULL, "announce this peer on the local network"},
    {"reach", P2P_OPT_FLAG, FIELD(reach), 0, 0, NULL, "let trusted peers that cannot connect to this one ask for a way through the registries: over UDP, or through their relay"},
    {"port-map", P2P_OPT_FLAG, FIELD(port_map), 0, 0, NULL, "ask the router to forward the port from outside (PCP, NAT-PMP or UPnP), and register its address there"},
    {"compress", P2P_OPT_FLAG, FIELD(compress), 0, 0, NULL, "compress data for slow connections when that is faster"},
    {"max-handshakes", P2P_OPT_NUMBER, FIELD(max_handshakes), 1, 100000, "N", "handshakes in progress at once"},
    {"handshakes-per-source", P2P_OPT_NUMBER, FIELD(handshakes_per_source), 1, 100000, "N", "handshakes in progress from one address"},
    {"handshake-rate", P2P_OPT_NUMBER, FIELD(handshake_rate), 1, 100000, "N", "unfinished or failed handshakes per second from one address"},
    {"handshake-work-rate", P2P_OPT_NUMBER, FIELD(handshake_work_rate), 1, 100000, "N", "completed handshakes per second from one address"},
    {"handshake-total-rate", P2P_OPT_NUMBER, FIELD(handshake_total_rate), 1, 1000000, "N", "completed handshakes per second from all unknown peers together"},
    {"handshake-timeout", P2P_OPT_DURATION, FIELD(handshake_timeout_ms), 100, 600000, "TIME", "close a connection whose handshake takes longer than this"},
    {"idle-timeout", P2P_OPT_DURATION, FIELD(idle_timeout_ms), 1000, 86400000, "TIME", "close a connection that has been silent for this long"},
    {"stall-timeout", P2P_OPT_DURATION, FIELD(stall_timeout_ms), 1000, 3600000, "TIME", "close a connection whose client stops reading for this long"},
    P2P_GUARDIAN_OPTIONS(FIELD(guardian)),
};
/* clang-format on */

/* The parent has the sockets, as many as threads, and the user. */
const char *const peer_fixed_options[] = {"host",        "port",    "threads", "user",
                                          "run-as-root", "sandbox", NULL};
const char *const peer_live_options[] = {"limit-rate", "limit-rate-per-peer", NULL};

const struct p2p_option_set peer_option_set = {
    .program = "p2p-peer",
    .usage = "[options]",
    .summary = "Serves a shared folder to other peers over an encrypted connection.",
    .options = table,
    .count = sizeof(table) / sizeof(table[0]),
};

static const struct peer_options defaults = {
    .host = "0.0.0.0",
    .port = 9000,
    .shared_dirs = {{"shared"}, 1},
    .keys_dir = "keys",
    .heartbeat_ms = P2P_HEARTBEAT_S * 1000,
    .chunk_size = P2P_CHUNK_SIZE_DEFAULT,
    .max_connections = P2P_CONNECTIONS_MAX,
    .reserved_connections = P2P_CONNECTIONS_RESERVED,
    .connections_per_source = P2P_CONNECTIONS_PER_SOURCE,
    .client_memory = P2P_CLIENT_MEMORY,
    .max_channels = P2P_CHANNELS_MAX,
    .channel_memory = P2P_CHANNEL_MEMORY,
    .limit_rate = "off",
    .offers = "all",
    .protocol_1 = true,
    .mdns = true,
    .reach = true,
    .port_map = true,
    .compress = true,
    .max_handshakes = P2P_HANDSHAKES_MAX,
    .handshakes_per_source = P2P_HANDSHAKES_PER_SOURCE,
    .handshake_rate = P2P_HANDSHAKE_RATE_PER_SOURCE,
    .handshake_work_rate = P2P_HANDSHAKE_WORK_RATE,
    .handshake_total_rate = P2P_HANDSHAKE_TOTAL_RATE,
    .handshake_timeout_ms = P2P_HANDSHAKE_TIMEOUT_MS,
    .idle_timeout_ms = P2P_IDLE_TIMEOUT_MS,
    .stall_timeout_ms = P2P_STALL_TIMEOUT_MS,
    .guardian = {.sandbox = true},
};

/* An address that another machine could connect to. A name without a port would be read
 * as this peer's own port, which a name for a forwarded port seldom means. */
static bool
is_for_others(const char *text)
{
    unsigned char ip[sizeof(struct in6_addr)];
    struct p2p_addr addr;

    if (p2p_addr_parse(text, 1, &addr) != P2P_OK)
        return false;
    if (inet_pton(AF_INET, addr.host, ip) == 1 ||
        inet_pton(AF_INET6, addr.host, ip) == 1)
        return strcmp(addr.host, "0.0.0.0") != 0 && strcmp(addr.host, "::") != 0;
    return strchr(addr.host, '.') != NULL && strchr(addr.host, '%') == NULL &&
           p2p_addr_parse(text, 0, &addr) == P2P_OK;
}

static enum p2p_err
check_advertise(const struct peer_options *opt, const struct p2p_options_text *text)
{
    const char *program = peer_option_set.program;

    for (size_t i = 0; i < opt->advertise.count; i++)
        if (!is_for_others(opt->advertise.at[i]))
            return p2p_options_refuse(
                program,
                "invalid %s %s: use an IP address of this machine that others can "
                "reach, or HOST:PORT of a forwarded port",
                p2p_options_place(text, opt->advertise.at[i]), opt->advertise.at[i]);
    if (opt->advertise.count > P2P_PEER_OTHERS_MAX)
        return p2p_options_refuse(program, "--advertise: at most %d addresses",
                                  P2P_PEER_OTHERS_MAX);
    return P2P_OK;
}

static bool
read_offers(struct peer_options *opt)
{
    static const char *const names[] = {"all", "known", "none"};

    for (int i = 0; i < 3; i++)
        if (strcmp(opt->offers, names[i]) == 0) {
            opt->offers_from = (enum inbox_from)i;
            return true;
        }
    return false;
}

static enum p2p_err
check(struct peer_options *opt, const struct p2p_options_text *text, int arguments,
      char **argv)
{
    const char *program = peer_option_set.program;
    struct p2p_timetable rates;
    char why[256];

    if (arguments > 0)
        return p2p_options_refuse(
            program, "unexpected argument %s; --help lists the options", argv[1]);
    if (check_advertise(opt, text) != P2P_OK)
        return P2P_ERR_USAGE;
    if (p2p_shares_parse(opt->shared_dirs.at, opt->shared_dirs.count, &opt->folders,
                         why, sizeof(why)) != P2P_OK)
        return p2p_options_refuse(program, "invalid --shared-dir %s", why);
    if (p2p_timetable_parse(opt->limit_rate, &rates) != P2P_OK)
        return p2p_options_refuse(program,
                                  "invalid %s %s: use a rate (2M), off, or a "
                                  "timetable (\"08:00,2M 23:00,off\")",
                                  p2p_options_place(text, opt->limit_rate),
                                  opt->limit_rate);
    if (!read_offers(opt))
        return p2p_options_refuse(program, "invalid %s %s: use all, known or none",
                                  p2p_options_place(text, opt->offers), opt->offers);
    if (p2p_machine_about(opt->name, opt->device_kind, &opt->about, why, sizeof(why)) !=
        P2P_OK)
        return p2p_options_refuse(program, "%s", why);
    return P2P_OK;
}

enum p2p_err
peer_options_parse(int argc, char **argv, struct peer_options *opt,
                   struct p2p_options_text **text)
{
    enum p2p_err err;
    int arguments = 0;

    *opt = defaults;
    if ((err = p2p_options_parse(&peer_option_set, opt, argc, argv, &arguments,
                                 text)) != P2P_OK)
        return err;
    if ((err = check(opt, *text, arguments, argv)) != P2P_OK) {
        p2p_options_free(*text);
        *text = NULL;
        return err;
    }
    if (opt->threads == 0)
        opt->threads = (uint64_t)sysconf(_SC_NPROCESSORS_ONLN);
    if (opt->threads > PEER_THREADS_MAX)
        opt->threads = PEER_THREADS_MAX;
    if (opt->reserved_connections >= opt->max_connections)
        opt->reserved_connections = opt->max_connections / 2;
    if (opt->discovery.count == 0)
        opt->discovery.at[opt->discovery.count++] = P2P_REGISTRY_DEFAULT;
    return P2P_OK;
}

/* ---- A further peer on this machine ---- */

#define KEYS_END ".keys"

static bool
is_default(const struct p2p_options_text *text, const char *value)
{
    return strcmp(p2p_options_place(text, value), "the default") == 0;
}

static bool
has_keys(const char *keys_dir)
{
    struct p2p_root *root;
    struct stat st;
    bool has = false;

    if (p2p_root_open(keys_dir, false, 0700, &root) == P2P_OK) {
        has = p2p_root_stat(root, "private_key.pem", &st) == P2P_OK;
        p2p_root_close(root);
    }
    return has;
}

enum p2p_err
peer_options_find_own_keys(const struct peer_options *opt,
                           const struct p2p_options_text *text, char **keys_dir)
{
    const char *path = opt->folders.at[0].path;
    size_t len = strlen(path);

    *keys_dir = NULL;
    if (!is_default(text, opt->keys_dir) ||
        strcmp(p2p_options_place(text, opt->shared_dirs.at[0]), "--shared-dir") != 0)
        return P2P_OK;
    while (len > 1 && path[len - 1] == '/')
        len--;
    if (asprintf(keys_dir, "%.*s" KEYS_END, (int)len, path) < 0) {
        *keys_dir = NULL;
        return P2P_ERR_NOMEM;
    }
    if (has_keys(*keys_dir) || p2p_keys_are_claimed(opt->keys_dir))
        return P2P_OK;
    free(*keys_dir);
    *keys_dir = NULL;
    return P2P_OK;
}

/* The machine's name, with that of the folder: "Kitchen (shared_b)". */
static void
name_after_folder(struct p2p_about *about, const char *keys_dir)
{
    const char *slash = strrchr(keys_dir, '/');
    const char *folder = slash != NULL ? slash + 1 : keys_dir;
    struct p2p_about named = *about;
    char text[2 * P2P_ABOUT_NAME_MAX];

    snprintf(text, sizeof(text), "%s (%.*s)", about->name,
             (int)(strlen(folder) - strlen(KEYS_END)), folder);
    if (about->name[0] != '\0' && p2p_about_set_name(&named, text, strlen(text)))
        *about = named;
}

void
peer_options_use_own_keys(struct peer_options *opt, const struct p2p_options_text *text,
                          const char *keys_dir)
{
    if (keys_dir == NULL || !is_default(text, opt->keys_dir))
        return;
    opt->keys_dir = keys_dir;
    if (opt->name == NULL || strcmp(p2p_options_place(text, opt->name), "--name") != 0)
        name_after_folder(&opt->about, keys_dir);
}
