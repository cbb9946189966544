#include "relay/options.h"

#include "p2p/limits.h"

#define FIELD(name) offsetof(struct relay_settings, name)

/* clang-format off */
static const struct p2p_option table[] = {
    {"host", P2P_OPT_TEXT, FIELD(host), 0, 0, "ADDRESS", "address to listen on"},
    {"port", P2P_OPT_NUMBER, FIELD(port), 0, 65535, "PORT", "port to listen on; 0: any free port"},
    {"admin-host", P2P_OPT_TEXT, FIELD(admin_host), 0, 0, "ADDRESS", "address for /health and /metrics"},
    {"admin-port", P2P_OPT_NUMBER, FIELD(admin_port), 0, 65535, "PORT", "port for /health and /metrics; 0: any free port"},
    {"relay-secret-file", P2P_OPT_TEXT, FIELD(relay_secret_file), 0, 0, "FILE", "file with the secret that the relay shares with its registries (at least 16 characters); required"},
    {"limit-rate", P2P_OPT_TEXT, FIELD(limit_rate), 0, 0, "RATE", "bytes per second of each session, both directions together: 20M, off, or a timetable \"08:00,2M 23:00,off\""},
    {"limit-rate-total", P2P_OPT_SIZE, FIELD(limit_rate_total), 0, P2P_FILE_SIZE_MAX, "SIZE", "bytes per second of all sessions together; off: no limit"},
    {"quota", P2P_OPT_SIZE, FIELD(quota), 0, P2P_FILE_SIZE_MAX, "SIZE", "bytes per peer and day (UTC); an address (IPv6: /64) gets four times as much; off: no limit"},
    {"quota-total", P2P_OPT_SIZE, FIELD(quota_total), 0, P2P_FILE_SIZE_MAX, "SIZE", "bytes per day of all peers together; off: no limit"},
    {"max-sessions", P2P_OPT_NUMBER, FIELD(max_sessions), 1, 10000, "N", "sessions in total"},
    {"max-per-peer", P2P_OPT_NUMBER, FIELD(max_per_peer), 1, 10000, "N", "sessions of one peer; an address (IPv6: /64) gets four times as many"},
    {"max-time", P2P_OPT_DURATION, FIELD(max_time_ms), 1000, 30ull * 86400000, "TIME", "end a session after this long"},
    {"idle-timeout", P2P_OPT_DURATION, FIELD(idle_timeout_ms), 1000, 86400000, "TIME", "end a session in which no byte has passed for this long"},
    {"max-memory", P2P_OPT_SIZE, FIELD(max_memory), 1 << 20, 1ull << 40, "SIZE", "memory for bytes in transit, of all sessions together"},
    P2P_GUARDIAN_OPTIONS(FIELD(guardian)),
};
/* clang-format on */

/* The parent opens the sockets and knows the user to serve as. */
const char *const relay_fixed_options[] = {
    "host", "port", "admin-host", "admin-port", "user", "run-as-root", "sandbox", NULL};
const char *const relay_live_options[] = {
    "limit-rate",   "limit-rate-total", "quota",        "quota-total", "max-sessions",
    "max-per-peer", "max-time",         "idle-timeout", "max-memory",  NULL};

const struct p2p_option_set relay_option_set = {
    .program = "p2p-relay",
    .usage = "--relay-secret-file FILE [options]",
    .summary = "Joins the connections of two peers that find no other way to each "
               "other. It sees only encrypted bytes.",
    .options = table,
    .count = sizeof(table) / sizeof(table[0]),
};

static const struct relay_settings defaults = {
    .host = "0.0.0.0",
    .port = 7100,
    .admin_host = "127.0.0.1",
    .admin_port = 7101,
    .limit_rate = "20M",
    .quota = 10 * P2P_GIB,
    .quota_total = 1000 * P2P_GIB,
    .max_sessions = 256,
    .max_per_peer = 4,
    .max_time_ms = 6 * 3600 * 1000,
    .idle_timeout_ms = 5 * 60 * 1000,
    .max_memory = 64 * P2P_MIB,
    .guardian = {.sandbox = true},
};

static enum p2p_err
check(const struct relay_settings *opt, const struct p2p_options_text *text,
      int arguments, char **argv)
{
    const char *program = relay_option_set.program;
    struct p2p_timetable rates;

    if (arguments > 0)
        return p2p_options_refuse(
            program, "unexpected argument %s; --help lists the options", argv[1]);
    if (opt->relay_secret_file == NULL)
        return p2p_options_refuse(
            program, "missing --relay-secret-file: make a secret with `openssl rand "
                     "-hex 32 >relay.secret`, and give the same file to p2p-discovery");
    if (p2p_timetable_parse(opt->limit_rate, &rates) != P2P_OK)
        return p2p_options_refuse(
            program,
            "%s must be a rate such as 2M, off, or a timetable such as "
            "\"08:00,2M 23:00,off\"",
            p2p_options_place(text, opt->limit_rate));
    return P2P_OK;
}

void
relay_options_limits(const struct relay_settings *opt, struct relay_limits *out)
{
    *out = (struct relay_limits){
        .rate_in_total = opt->limit_rate_total,
        .quota_per_peer = opt->quota,
        .quota_in_total = opt->quota_total,
        .max_sessions = (unsigned)opt->max_sessions,
        .max_per_peer = (unsigned)opt->max_per_peer,
        .max_time_ms = opt->max_time_ms,
        .idle_timeout_ms = opt->idle_timeout_ms,
        .max_memory = opt->max_memory,
    };
    if (p2p_timetable_parse(opt->limit_rate, &out->rates) != P2P_OK)
        out->rates.count = 0; /* checked before: cannot happen */
}

enum p2p_err
relay_options_parse(struct relay_settings *opt, int argc, char **argv,
                    struct p2p_options_text **text)
{
    enum p2p_err err;
    int arguments = 0;

    *opt = defaults;
    err = p2p_options_parse(&relay_option_set, opt, argc, argv, &arguments, text);
    if (err != P2P_OK)
        return err;
    if ((err = check(opt, *text, arguments, argv)) != P2P_OK) {
        p2p_options_free(*text);
        *text = NULL;
    }
    return err;
}
