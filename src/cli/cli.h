/*
 * cli - what the commands of `p2p` share: options, keys, registries, messages. A
 * command is a function that gets its own argv and returns the exit status. Data goes
 * to stdout and messages go to stderr. With --json, stdout is one object (get: one per
 * line). Single-threaded, except for the callbacks of a download.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "p2p/discovery.h"
#include "p2p/identity.h"
#include "p2p/names.h"
#include "p2p/options.h"

struct cJSON;
struct p2p_home;
struct p2p_settings;

struct cli_command {
    const char *name;
    int (*run)(int argc, char **argv); /* argv[0] is the command */
    const char *arguments;
    const char *summary;
};
int cmd_get(int argc, char **argv);
int cmd_search(int argc, char **argv);
int cmd_peers(int argc, char **argv);
int cmd_ls(int argc, char **argv);
int cmd_status(int argc, char **argv);
int cmd_id(int argc, char **argv);
int cmd_key(int argc, char **argv);
int cmd_token(int argc, char **argv);
int cmd_share(int argc, char **argv);
int cmd_unfinished(int argc, char **argv);
int cmd_doctor(int argc, char **argv);
int cmd_ui(int argc, char **argv);
int cmd_init(int argc, char **argv);
int cmd_config(int argc, char **argv);

/* ---- Options that several commands have ---- */

struct cli_common {
    const char *keys_dir;
    const char *name,
        *device_kind; /* the name that others see; NULL: the machine's own */
    struct p2p_option_list discovery;
    uint64_t timeout_ms;
    bool json, mdns;
};
#define CLI_DEFAULTS                                                     \
    {                                                                    \
        .keys_dir = "keys", .discovery = {{"http://localhost:8000"}, 1}, \
        .timeout_ms = P2P_TIMEOUT_MS, .mdns = true                       \
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
     "Name of this device, shown to others (default: the host name)"},                 \
    {                                                                                  \
        "device-kind", P2P_OPT_TEXT, offsetof(type, common.device_kind), 0, 0, "KIND", \
            "Kind of this device: laptop, desktop, phone, server, tablet or unknown"   \
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

/* ---- outcome.c: with --json stdout tells every outcome, failures included ---- */

void cli_outcome_begin(const struct p2p_option_set *set, const void *target, int argc,
                       char **argv, enum p2p_err parsed);
void cli_outcome_note(enum p2p_err err, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));
void cli_outcome_note_printed(const struct cJSON *object);
/* At the end: prints an object if none was printed, and checks that all output was
 * written. Returns the exit status. */
int cli_outcome_end(int status);

/* ---- Things to open; what goes wrong has been said on stderr ---- */

P2P_MUST_CHECK enum p2p_err cli_open_identity(const struct cli_common *common,
                                              struct p2p_identity **out);
/* The configuration file of this home; *out is owned by the caller. Returns 0 or the
 * exit status. */
int cli_open_settings(struct p2p_home *home, struct p2p_settings **out);
/* With "none" as the only URL: NULL and P2P_OK. */
P2P_MUST_CHECK enum p2p_err cli_open_discovery(const struct cli_common *common,
                                               struct p2p_discovery **out);

/* ---- Talk ---- */

/* "p2p: ..." on stderr. */
void cli_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The same; returns the exit status of the error. */
int cli_fail(enum p2p_err err, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* After a failure with a peer: prints what to check, if that is known. */
void cli_advise_peer(enum p2p_err err);
/* No registry answered: prints which ones, the reasons, and what to do. */
int cli_fail_registries(struct p2p_discovery *d, enum p2p_err err);

/* Valid file names are shown unchanged, other text is escaped. Returns out. */
#define CLI_TEXT 1100
const char *cli_text(const char *text, char out[CLI_TEXT]);
/* "1.2 GiB", "96.0 MiB/s", "1:02:03", "2026-01-31 23:59". Return out. */
#define CLI_SHORT 32
const char *cli_size(uint64_t bytes, char out[CLI_SHORT]);
const char *cli_duration(uint64_t seconds, char out[CLI_SHORT]);
const char *cli_time(uint64_t seconds, char out[CLI_SHORT]);

/* ---- JSON; out of memory ends the program ---- */

struct cJSON *cli_object(void);
void cli_put_text(struct cJSON *object, const char *name,
                  const char *text); /* NULL: null */
void cli_put_number(struct cJSON *object, const char *name, uint64_t value);
void cli_put_bool(struct cJSON *object, const char *name, bool value);
void cli_put_hex(struct cJSON *object, const char *name, const uint8_t digest[32],
                 bool is_known);
/* The name of a peer that may be known; null when it has none. */
void cli_put_name(struct cJSON *object, struct p2p_identity *identity,
                  const struct p2p_id *id, const struct p2p_about *said);
struct cJSON *cli_put_array(struct cJSON *object, const char *name);
struct cJSON *cli_add_object(struct cJSON *array);
/* Prints the object as one line on stdout and frees it. */
void cli_print_json(struct cJSON *object);

/* ---- Peers ---- */

#define CLI_ADDRESS (P2P_HOST_MAX + 9)

/* One peer, wherever it was found. */
struct cli_peer {
    struct p2p_id id;
    struct p2p_addr addr;
    bool id_known, verified, in_registry, on_lan, is_self;
    struct p2p_about about;           /* as a registry or mDNS says */
    char called[P2P_CALLED_MAX];      /* what to show for it */
    char name[P2P_PEER_NAME_MAX + 1]; /* given by the user */
    size_t file_count;
    uint64_t last_seen_s;
    enum p2p_trust trust;
};
struct cli_peers {
    struct cli_peer *at;
    size_t count;
    enum p2p_err registry_err; /* result of asking the registries */
};
/* All online peers: those of the registries and, with common->mdns, those of the local
 * network, one entry per peer id. Only NOMEM is an error. d may be NULL. */
P2P_MUST_CHECK enum p2p_err cli_find_peers(const struct cli_common *common,
                                           struct p2p_discovery *d,
                                           struct p2p_identity *identity,
                                           struct cli_peers *out);
/* Only the peers of the local network (takes about a second). */
P2P_MUST_CHECK enum p2p_err cli_find_lan(const struct cli_common *common,
                                         struct p2p_identity *identity,
                                         struct cli_peers *out);
void cli_peers_clear(struct cli_peers *peers);

/*
 * Finds the peer that a person named: as HOST:PORT, or as an id or its beginning (at
 * least 8 digits) or a name that only one peer has: looked up among known and online
 * peers. Fills addr and, if known, id. A peer that is not online, or that no registry
 * knows, is where it was last met. Prints its own error message.
 */
P2P_MUST_CHECK enum p2p_err cli_resolve_peer(const struct cli_common *common,
                                             struct p2p_identity *identity,
                                             const char *text, struct cli_peer *out);
/* Finds only the id; also for peers that are not online. */
P2P_MUST_CHECK enum p2p_err cli_resolve_id(const struct cli_common *common,
                                           struct p2p_identity *identity,
                                           const char *text, struct p2p_id *out);

#endif
