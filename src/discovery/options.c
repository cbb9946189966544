#include "discovery/options.h"

#include <string.h>

#include "discovery/meet/turn.h"
#include "discovery/store/store.h"
#include "http/given.h"
#include "p2p/limits.h"

#define FIELD(name) offsetof(struct discovery_options, name)

/* clang-format off */
static const struct p2p_option table[] = {
    {"host", P2P_OPT_TEXT, FIELD(host), 0, 0, "ADDRESS", "address to listen on"},
    {"port", P2P_OPT_NUMBER, FIELD(port), 0, 65535, "PORT", "port to listen on; 0: any free port"},
    {"ttl", P2P_OPT_DURATION, FIELD(ttl_ms), 1000, 86400000, "TIME", "remove a peer that has not checked in for this long"},
    {"store", P2P_OPT_TEXT, FIELD(store), 0, 0, "STORE", "keep the list of peers here: memory, or a Redis database that several registries share (redis://HOST:PORT/DB or redis+sentinel://HOST:PORT,.../MASTER/DB)"},
    {"snapshot", P2P_OPT_TEXT, FIELD(snapshot), 0, 0, "FILE", "save the list of peers to FILE and load it at the next start"},
    {"require-signed", P2P_OPT_FLAG, FIELD(require_signed), 0, 0, NULL, "refuse unsigned registrations"},
    {"threads", P2P_OPT_NUMBER, FIELD(threads), 0, 64, "N", "threads that answer requests; 0: one per core"},
    {"max-connections", P2P_OPT_NUMBER, FIELD(max_connections), 1, 1000000, "N", "open connections in total"},
    {"max-connections-per-ip", P2P_OPT_NUMBER, FIELD(max_connections_per_ip), 0, 1000000, "N", "open connections from one address (IPv6: /64); 0: no limit"},
    {"max-body-memory", P2P_OPT_SIZE, FIELD(max_body_memory), 1048576, 1099511627776, "SIZE", "memory for the request bodies of all clients while they arrive"},
    {"max-peers", P2P_OPT_NUMBER, FIELD(max_peers), 1, 16000000, "N", "registered peers in total"},
    {"max-peers-per-ip", P2P_OPT_NUMBER, FIELD(max_peers_per_ip), 0, 1000000, "N", "peers registered from one address (IPv6: /64); 0: no limit"},
    {"max-memory", P2P_OPT_SIZE, FIELD(max_memory), 0, 1ull << 44, "SIZE", "memory for everything that peers register; 0: no limit"},
    {"max-memory-per-ip", P2P_OPT_SIZE, FIELD(max_memory_per_ip), 0, 1ull << 44, "SIZE", "memory for everything that the peers of one address register (IPv6: /64); 0: no limit"},
    {"rate", P2P_OPT_NUMBER, FIELD(rate), 0, 1000000, "N", "requests per second from one address; 0: no limit"},
    {"register-rate", P2P_OPT_NUMBER, FIELD(register_rate), 0, 1000000, "N", "registrations per minute of one peer; 0: no limit"},
    {"tls-cert", P2P_OPT_TEXT, FIELD(tls.cert), 0, 0, "FILE", "serve HTTPS with this certificate (PEM, with its chain); a changed file is loaded automatically"},
    {"tls-key", P2P_OPT_TEXT, FIELD(tls.key), 0, 0, "FILE", "private key of --tls-cert (PEM, without a passphrase)"},
    {"allow-host", P2P_OPT_LIST, FIELD(allow_host), 0, 0, "NAME", "also answer to this host name, for example files.example; without a port; may be repeated"},
    {"probe", P2P_OPT_FLAG, FIELD(probe), 0, 0, NULL, "try once whether a peer can be reached at the address from which it registers, and list the result"},
    {"stun", P2P_OPT_FLAG, FIELD(stun), 0, 0, NULL, "tell clients their outside address by UDP (STUN), at the number of --port and the next one"},
    {"relay", P2P_OPT_TEXT, FIELD(relay), 0, 0, "HOST:PORT", "send peers that find no other way to each other to this p2p-relay; needs --relay-secret-file"},
    {"relay-secret-file", P2P_OPT_TEXT, FIELD(relay_secret_file), 0, 0, "FILE", "file with the secret of that relay"},
    {"turn", P2P_OPT_LIST, FIELD(turn), 0, 0, "HOST:PORT", "name this TURN server (coturn) to browsers that open a link; or turns:HOST:PORT; may be repeated; needs --turn-secret-file"},
    {"turn-secret-file", P2P_OPT_TEXT, FIELD(turn_secret_file), 0, 0, "FILE", "file with the secret of those servers: coturn's static-auth-secret"},
    {"trusted-proxy", P2P_OPT_LIST, FIELD(trusted_proxies), 0, 0, "ADDRESS", "trust this reverse proxy to name the client's address (Forwarded or X-Forwarded-For header): an address or a network such as 172.18.0.0/16; may be repeated or separated by commas"},
    P2P_GUARDIAN_OPTIONS(FIELD(guardian)),
};
/* clang-format on */

/* The parent has the socket and the user. */
const char *const discovery_fixed_options[] = {"host",        "port",    "stun", "user",
                                               "run-as-root", "sandbox", NULL};

const struct p2p_option_set discovery_option_set = {
    .program = "p2p-discovery",
    .usage = "[options]",
    .summary = "Registry of peers: knows who is online and what they share, and "
               "searches all file names.",
    .options = table,
    .count = sizeof(table) / sizeof(table[0]),
};

static const struct discovery_options defaults = {
    .host = "0.0.0.0",
    .port = 8000,
    .ttl_ms = P2P_REGISTRY_TTL_S * 1000,
    .store = "memory",
    .max_connections = 4096,
    .max_connections_per_ip = 1024,
    .max_body_memory = HTTP_BODY_BUDGET,
    .max_peers = 1000000,
    .max_peers_per_ip = 1000,
    /* As the registry counts it, on the safe side, 100,000 peers with 100 files each
       need 500 MiB and a household less than 1 MiB. */
    .max_memory = 640 * P2P_MIB,
    .max_memory_per_ip = 64 * P2P_MIB,
    .rate = 200,
    .register_rate = 120,
    .probe = true,
    .stun = true,
    .guardian = {.sandbox = true},
};

static enum p2p_err
check_relay(struct discovery_options *opt, const struct p2p_options_text *text)
{
    const char *program = discovery_option_set.program;

    if (opt->relay == NULL)
        return P2P_OK; /* the file may name the secret for p2p-relay */
    if (opt->relay_secret_file == NULL)
        return p2p_options_refuse(program, "%s needs --relay-secret-file",
                                  p2p_options_place(text, opt->relay));
    if (p2p_addr_parse(opt->relay, 7100, &opt->relay_at) != P2P_OK)
        return p2p_options_refuse(program,
                                  "%s must be an address such as relay.example:7100",
                                  p2p_options_place(text, opt->relay));
    return P2P_OK;
}

static enum p2p_err
check_turn(const struct discovery_options *opt, const struct p2p_options_text *text)
{
    const char *program = discovery_option_set.program;
    struct turn turn = {.count = 0};

    if (opt->turn.count > 0 && opt->turn_secret_file == NULL)
        return p2p_options_refuse(program, "%s needs --turn-secret-file",
                                  p2p_options_place(text, opt->turn.at[0]));
    for (size_t i = 0; i < opt->turn.count; i++) {
        enum p2p_err err = turn_add(&turn, opt->turn.at[i]);
        if (err == P2P_ERR_TOO_LARGE)
            return p2p_options_refuse(program, "%s: these are too many servers",
                                      p2p_options_place(text, opt->turn.at[i]));
        if (err != P2P_OK)
            return p2p_options_refuse(program,
                                      "%s must be an address such as "
                                      "turn.example:3478 or turns:turn.example:5349",
                                      p2p_options_place(text, opt->turn.at[i]));
    }
    return P2P_OK;
}

static enum p2p_err
check(struct discovery_options *opt, const struct p2p_options_text *text, int arguments,
      char **argv)
{
    const char *program = discovery_option_set.program;
    enum p2p_err err;

    if (arguments > 0)
        return p2p_options_refuse(
            program, "unexpected argument %s; --help lists the options", argv[1]);
    if (strcmp(opt->store, "memory") != 0 && store_check_url(opt->store) != P2P_OK)
        return p2p_options_refuse(program,
                                  "%s must be memory, redis://HOST:PORT/DB or "
                                  "redis+sentinel://HOST:PORT,.../MASTER/DB",
                                  p2p_options_place(text, opt->store));
    if ((err = check_relay(opt, text)) != P2P_OK ||
        (err = check_turn(opt, text)) != P2P_OK ||
        (err = http_check_tls(program, text, &opt->tls)) != P2P_OK ||
        (err = http_check_list(program, text, &opt->trusted_proxies,
                               http_proxies_check)) != P2P_OK)
        return err;
    return http_check_list(program, text, &opt->allow_host, http_hosts_check);
}

enum p2p_err
discovery_options_parse(struct discovery_options *opt, int argc, char **argv,
                        struct p2p_options_text **text)
{
    enum p2p_err err;
    int arguments = 0;

    *opt = defaults;
    err = p2p_options_parse(&discovery_option_set, opt, argc, argv, &arguments, text);
    if (err != P2P_OK)
        return err;
    if ((err = check(opt, *text, arguments, argv)) != P2P_OK) {
        p2p_options_free(*text);
        *text = NULL;
    }
    return err;
}
