/* The names of all settings. Several programs read the same file, so a name that none
 * of them knows is a mistake. tests/e2e/test_settings.py compares this list with
 * --help. */
#include <stdlib.h>
#include <string.h>

#include "core/program/options_internal.h"
#include "core/program/text_distance.h"

enum { DAEMONS = 1, COMMANDS = 2, FLAG = 4, DISTANCE_MAX = 2 };

static const struct {
    const char *name;
    unsigned of;
} known[] = {
    {"address", COMMANDS},
    {"admin-host", DAEMONS},
    {"admin-port", DAEMONS},
    {"advertise", DAEMONS},
    {"allow", COMMANDS},
    {"allow-host", DAEMONS},
    {"allow-peers", DAEMONS},
    {"any", FLAG | COMMANDS},
    {"at", COMMANDS},
    {"bytes", COMMANDS},
    {"ca-file", COMMANDS},
    {"channel-memory", DAEMONS},
    {"chunk-size", DAEMONS},
    {"client-memory", DAEMONS},
    {"compress", FLAG | DAEMONS},
    {"connections", DAEMONS | COMMANDS},
    {"connections-per-source", DAEMONS},
    {"delete", FLAG | COMMANDS},
    {"deleted", FLAG | COMMANDS},
    {"device-kind", DAEMONS | COMMANDS},
    {"discovery", DAEMONS | COMMANDS},
    {"downloads-dir", DAEMONS | COMMANDS},
    {"dry-run", FLAG | COMMANDS},
    {"every", COMMANDS},
    {"expires", COMMANDS},
    {"from", COMMANDS},
    {"handshake-rate", DAEMONS},
    {"handshake-timeout", DAEMONS},
    {"handshake-total-rate", DAEMONS},
    {"handshake-work-rate", DAEMONS},
    {"handshakes-per-source", DAEMONS},
    {"heartbeat", DAEMONS},
    {"host", DAEMONS},
    {"idle-timeout", DAEMONS},
    {"insecure-link", FLAG | COMMANDS},
    {"json", FLAG | COMMANDS},
    {"keep", FLAG | COMMANDS},
    {"keep-free", DAEMONS | COMMANDS},
    {"keys-dir", DAEMONS | COMMANDS},
    {"known", FLAG | COMMANDS},
    {"lan", FLAG | COMMANDS},
    {"limit", COMMANDS},
    {"limit-rate", DAEMONS | COMMANDS},
    {"limit-rate-per-peer", DAEMONS},
    {"limit-rate-total", DAEMONS},
    {"link", FLAG | COMMANDS},
    {"log-format", DAEMONS | COMMANDS},
    {"log-level", DAEMONS | COMMANDS},
    {"max-body-memory", DAEMONS},
    {"max-channels", DAEMONS},
    {"max-connections", DAEMONS},
    {"max-connections-per-address", DAEMONS},
    {"max-connections-per-ip", DAEMONS},
    {"max-handshakes", DAEMONS},
    {"max-memory", DAEMONS},
    {"max-memory-per-ip", DAEMONS},
    {"max-peers", DAEMONS},
    {"max-peers-per-ip", DAEMONS},
    {"max-per-peer", DAEMONS},
    {"max-running", DAEMONS},
    {"max-sessions", DAEMONS},
    {"max-size", COMMANDS},
    {"max-time", DAEMONS},
    {"max-upload", DAEMONS},
    {"mdns", FLAG | DAEMONS | COMMANDS},
    {"metrics", FLAG | COMMANDS},
    {"mode", COMMANDS},
    {"name", DAEMONS | COMMANDS},
    {"no-link", FLAG | COMMANDS},
    {"no-passphrase", FLAG | COMMANDS},
    {"offers", DAEMONS},
    {"on-conflict", COMMANDS},
    {"once", FLAG | COMMANDS},
    {"output", COMMANDS},
    {"output-dir", COMMANDS},
    {"pairing", FLAG | DAEMONS},
    {"path", COMMANDS},
    {"peer", COMMANDS},
    {"peer-port", DAEMONS | COMMANDS},
    {"pin", COMMANDS},
    {"port", DAEMONS},
    {"port-map", FLAG | DAEMONS},
    {"probe", FLAG | DAEMONS},
    {"problems", FLAG | COMMANDS},
    {"protocol", COMMANDS},
    {"protocol-1", FLAG | DAEMONS},
    {"public", FLAG | DAEMONS},
    {"published", DAEMONS},
    {"quiet", FLAG | COMMANDS},
    {"quota", DAEMONS | COMMANDS},
    {"quota-total", DAEMONS},
    {"rate", DAEMONS},
    {"reach", FLAG | DAEMONS | COMMANDS},
    {"register-rate", DAEMONS},
    {"relay", DAEMONS},
    {"relay-secret-file", DAEMONS},
    {"requests-per-second", DAEMONS},
    {"require-pairing", FLAG | DAEMONS},
    {"require-signed", FLAG | DAEMONS},
    {"reserved-connections", DAEMONS},
    {"root", COMMANDS},
    {"run-as-root", FLAG | DAEMONS},
    {"sandbox", FLAG | DAEMONS},
    {"save-as", COMMANDS},
    {"shared-dir", DAEMONS | COMMANDS},
    {"snapshot", DAEMONS},
    {"stall-timeout", DAEMONS},
    {"store", DAEMONS},
    {"stun", FLAG | DAEMONS},
    {"text", COMMANDS},
    {"threads", DAEMONS},
    {"timeout", DAEMONS | COMMANDS},
    {"title", COMMANDS},
    {"tls-cert", DAEMONS},
    {"tls-key", DAEMONS},
    {"to", COMMANDS},
    {"trusted-only", FLAG | DAEMONS},
    {"trusted-proxy", DAEMONS},
    {"ttl", DAEMONS},
    {"turn", DAEMONS},
    {"turn-secret-file", DAEMONS},
    {"url", COMMANDS},
    {"user", DAEMONS},
    {"uses", COMMANDS},
    {"verbose", FLAG | DAEMONS | COMMANDS},
    {"verify", DAEMONS | COMMANDS},
    {"web-dir", DAEMONS},
    {"words", FLAG | COMMANDS},
    {"yes", FLAG | COMMANDS},
};
#define KNOWN_COUNT (sizeof(known) / sizeof(known[0]))

static const char *const commands[] = {
    "get",        "send",    "receive", "search",   "peers",  "ls",
    "status",     "id",      "key",     "ui",       "token",  "share",
    "folder",     "history", "restore", "versions", "mirror", "keeper",
    "unfinished", "init",    "config",  "doctor",   "inbox",  "link",
};
static const char *const programs[] = {"p2p", "p2p-peer", "p2p-ui", "p2p-discovery",
                                       "p2p-relay"};

static bool
is_known(const char *name, unsigned of, unsigned kind)
{
    for (size_t i = 0; i < KNOWN_COUNT; i++)
        if (strcmp(known[i].name, name) == 0)
            return (known[i].of & of) != 0 && (known[i].of & kind) == kind;
    return false;
}

const char *
p2p_option_known_at(size_t index)
{
    return index < KNOWN_COUNT ? known[index].name : NULL;
}

bool
p2p_option_is_known(const char *name, bool commands_only)
{
    unsigned of = commands_only ? COMMANDS : DAEMONS | COMMANDS;

    return is_known(name, of, 0) ||
           (strncmp(name, "no-", 3) == 0 && is_known(name + 3, of, FLAG));
}

bool
p2p_option_is_section(const char *section)
{
    for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++)
        if (strcmp(programs[i], section) == 0)
            return true;
    if (strncmp(section, "p2p ", 4) != 0)
        return false;
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        if (strcmp(commands[i], section + 4) == 0)
            return true;
    return false;
}

/* The most similar name so far. */
static void
offer(const char *name, const char *candidate, unsigned *best, const char **out)
{
    unsigned d = p2p_text_distance(name, candidate);

    if (d < *best) {
        *best = d;
        *out = candidate;
    }
}

/* The program's own names come first: "port", not "root", for "prot". */
const char *
p2p_option_near(const struct p2p_option_parse *parse, const char *name)
{
    unsigned best = DISTANCE_MAX + 1;
    const char *near = NULL;
    void *field;

    while (*name == '-')
        name++;
    if (strlen(name) < 4)
        best = 1;
    for (size_t i = 0; i < parse->set->count + P2P_COMMON_OPTIONS; i++)
        offer(name, p2p_option_at(parse, i, &field)->name, &best, &near);
    for (size_t i = 0; i < KNOWN_COUNT; i++)
        offer(name, known[i].name, &best, &near);
    return near;
}

const char *
p2p_option_near_section(const char *name)
{
    unsigned best = strlen(name) < 4 ? 1 : DISTANCE_MAX + 1;
    const char *near = NULL;

    for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++)
        offer(name, programs[i], &best, &near);
    /* "ui" for "p2p-ui" */
    for (size_t i = 1; i < sizeof(programs) / sizeof(programs[0]); i++)
        offer(name, programs[i] + 4, &best, &near);
    for (size_t i = 1; i < sizeof(programs) / sizeof(programs[0]); i++)
        if (near == programs[i] + 4)
            near = programs[i];
    return near;
}
