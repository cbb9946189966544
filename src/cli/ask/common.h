/*
 * common - options that several commands have, and what is opened with them: the keys,
 * the settings of the home, the registries.
 */
#ifndef CLI_COMMON_H
#define CLI_COMMON_H

#include "cli/print/print.h"
#include "p2p/discovery.h"

struct p2p_home;
struct p2p_settings;

struct cli_common {
    const char *keys_dir;
    const char *name,
        *device_kind; /* the name that others see; NULL: the machine's own */
    struct p2p_option_list discovery;
    uint64_t timeout_ms;
    bool json, mdns;
};
#define CLI_DEFAULTS                                                  \
    {                                                                 \
        .keys_dir = "keys", .discovery = {{P2P_REGISTRY_DEFAULT}, 1}, \
        .timeout_ms = P2P_TIMEOUT_MS, .mdns = true                    \
    }
/* Rows of an option table; `type` holds a struct cli_common named common. */
#define CLI_OPTION_KEYS(type)                                                   \
    {                                                                           \
        "keys-dir", P2P_OPT_TEXT, offsetof(type, common.keys_dir), 0, 0, "DIR", \
            "folder with this device's key and the list of known peers"         \
    }
#define CLI_OPTIONS_NAME(type)                                                         \
    {"name",                                                                           \
     P2P_OPT_TEXT,                                                                     \
     offsetof(type, common.name),                                                      \
     0,                                                                                \
     0,                                                                                \
     "NAME",                                                                           \
     "name of this device, shown to others (default: the host name)"},                 \
    {                                                                                  \
        "device-kind", P2P_OPT_TEXT, offsetof(type, common.device_kind), 0, 0, "KIND", \
            "kind of this device: laptop, desktop, phone, server, tablet or unknown"   \
    }
#define CLI_OPTION_JSON(type)                                          \
    {                                                                  \
        "json", P2P_OPT_FLAG, offsetof(type, common.json), 0, 0, NULL, \
            "write JSON to standard output"                            \
    }
#define CLI_OPTION_DISCOVERY(type)                                                \
    {                                                                             \
        "discovery", P2P_OPT_LIST, offsetof(type, common.discovery), 0, 0, "URL", \
            "registry to ask"                                                     \
    }
#define CLI_OPTION_TIMEOUT(type)                                                     \
    {                                                                                \
        "timeout", P2P_OPT_DURATION, offsetof(type, common.timeout_ms), 1, 86400000, \
            "TIME", "give up when there is no answer for this long"                  \
    }
#define CLI_OPTION_MDNS(type)                                          \
    {                                                                  \
        "mdns", P2P_OPT_FLAG, offsetof(type, common.mdns), 0, 0, NULL, \
            "also look for peers on the local network"                 \
    }

/* Parses the options. False: the command ends with *status. Texts of options live until
 * exit. */
bool cli_parse(const struct p2p_option_set *set, void *target, int argc, char **argv,
               int *arguments, int *status);

/* ---- Things to open; what goes wrong has been said on stderr ---- */

/* Opens the identity of --keys-dir, and makes one if there is none. Prints the reason
 * of a failure. *Returns owned*, close with p2p_identity_close. */
P2P_MUST_CHECK enum p2p_err cli_open_identity(const struct cli_common *common,
                                              struct p2p_identity **out);
/* The configuration file of this home; *out is owned by the caller. Returns 0 or the
 * exit status. */
int cli_open_settings(struct p2p_home *home, struct p2p_settings **out);
/* With "none" as the only URL: NULL and P2P_OK. */
P2P_MUST_CHECK enum p2p_err cli_open_discovery(const struct cli_common *common,
                                               struct p2p_discovery **out);

/* After a failure with a peer: prints what to check, if that is known. */
void cli_advise_peer(enum p2p_err err);
/* No registry answered: prints which ones, the reasons, and what to do. */
int cli_fail_registries(struct p2p_discovery *d, enum p2p_err err);

#endif
