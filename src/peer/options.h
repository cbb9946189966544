/* options - the settings of p2p-peer, and where they come from. */
#ifndef PEER_OPTIONS_H
#define PEER_OPTIONS_H

#include "p2p/about.h"
#include "p2p/guardian.h"
#include "p2p/options.h"
#include "p2p/shares.h"
#include "peer/inbox/inbox.h"

struct peer_options {
    const char *host;
    uint64_t port;
    struct p2p_option_list shared_dirs; /* PATH or NAME=PATH */
    struct p2p_shares_folders folders;  /* of it */
    const char *keys_dir;
    struct p2p_option_list discovery;
    const char *name, *device_kind; /* as given; NULL: not given */
    struct p2p_about about;         /* from the options, or from the machine */
    struct p2p_option_list advertise;
    uint64_t heartbeat_ms;
    uint64_t chunk_size;
    uint64_t threads;
    uint64_t max_connections;
    uint64_t reserved_connections;
    uint64_t connections_per_source;
    uint64_t client_memory;
    uint64_t max_channels;
    uint64_t channel_memory;
    const char *limit_rate;
    uint64_t limit_rate_per_peer;
    const char *allow_peers;
    bool trusted_only;
    const char *offers;
    enum inbox_from offers_from; /* what it means */
    bool is_public;
    bool protocol_1;
    bool mdns;
    bool reach;
    bool port_map;
    bool compress;
    uint64_t max_handshakes;
    uint64_t handshakes_per_source;
    uint64_t handshake_rate, handshake_work_rate, handshake_total_rate;
    uint64_t handshake_timeout_ms;
    uint64_t idle_timeout_ms;
    uint64_t stall_timeout_ms;
    struct p2p_guardian_settings guardian;
};

/* The table; and what changes in a running process, and what never does
 * (p2p/reload.h). */
extern const struct p2p_option_set peer_option_set;
extern const char *const peer_fixed_options[];
extern const char *const peer_live_options[];

/* Like p2p_options_parse; also checks combinations of options. */
P2P_MUST_CHECK enum p2p_err peer_options_parse(int argc, char **argv,
                                               struct peer_options *opt,
                                               struct p2p_options_text **text);

/* A further peer on this machine gets keys of its own without --keys-dir: if its folder
 * was named on the command line, and another p2p-peer uses the keys directory or
 * FOLDER.keys exists, the keys are in FOLDER.keys. `*keys_dir` is that path, owned, or
 * NULL. Call it once: a running peer would find that its keys directory is in use. */
P2P_MUST_CHECK enum p2p_err
peer_options_find_own_keys(const struct peer_options *opt,
                           const struct p2p_options_text *text, char **keys_dir);
/* Uses that path, unless the options name another one. Its name is then that of the
 * machine with that of the folder, unless --name gives one. */
void peer_options_use_own_keys(struct peer_options *opt,
                               const struct p2p_options_text *text,
                               const char *keys_dir);

#endif
