/*
 * discovery - the client of registries (p2p-discovery, docs/HTTP.md): register,
 * heartbeat, find. Every call goes to all given registries. Answers are merged by peer
 * id, and one registry that answers is enough. Uses HTTP with libcurl, with deadlines,
 * limits for answers, no redirects, http and https only. Registries are trusted for
 * names and addresses only, never for keys: the handshake proves ids. Answers are
 * checked field by field; invalid entries are left out. Thread-safe.
 */
#ifndef P2P_DISCOVERY_H
#define P2P_DISCOVERY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "p2p/about.h"
#include "p2p/crypto.h"
#include "p2p/limits.h"
#include "p2p/net.h"

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

struct p2p_discovery; /* *returned owned*, free with p2p_discovery_close */
struct p2p_identity;

/* urls: `count` URLs such as "http://host:port", copied. USAGE if one is invalid. */
P2P_MUST_CHECK enum p2p_err p2p_discovery_open(const char *const *urls, size_t count,
                                               uint64_t timeout_ms,
                                               struct p2p_discovery **out);
/* Accepts NULL. No other thread may use `d` any longer. Does not unregister the peer:
 * see p2p_discovery_leave. */
void p2p_discovery_close(struct p2p_discovery *d);
/* Stores the last seq of registrations with this identity (borrowed until close), so
 * that the next one is higher whatever the clock shows. Call it before the first
 * registration. */
void p2p_discovery_keep_seq(struct p2p_discovery *d, struct p2p_identity *identity);

/* One peer, as the registries describe it. */
#define P2P_PEER_OTHERS_MAX  8
#define P2P_PEER_OTHERS_TEXT 192
struct p2p_peer_info {
    struct p2p_id id;
    struct p2p_addr addr;
    /* Its further addresses, see p2p_addr_list: as many as there is room for. */
    char others[P2P_PEER_OTHERS_TEXT];
    struct p2p_about about; /* its claims about itself, as the registry states them */
    bool verified;          /* its registration was signed */
    bool is_reached;        /* a registry could connect to `addr` */
    bool is_unreached;      /* a registry could not connect to `addr` */
    bool unproven;          /* it was asked directly (ask.h) and did not confirm this */
    uint64_t last_seen_s;   /* 0: not said */
    size_t registry;        /* the registries that list it */
    char **files;           /* checked names; owned by the list; may be incomplete */
    size_t file_count;
    size_t files_total; /* number of shared files, as the registry states it */
};
struct p2p_peer_list {
    struct p2p_peer_info *at;
    size_t count;
};
/* Frees the content of the list and leaves it empty. */
void p2p_peer_list_clear(struct p2p_peer_list *list);
/* The same for one peer. */
void p2p_peer_info_clear(struct p2p_peer_info *peer);

/*
 * Three lists: all peers, sorted by id; the peers that share exactly `name`; the peers
 * that have `root`. Sources, and the peers of a search result, are taken from each
 * registry in turn. Those of one registry are in random order: however many peers one
 * registry invents, the first few come from all registries, and no peer comes first
 * because of its id. rank.h decides which of them are asked. UNREACHABLE if no registry
 * answers.
 *
 * Of all peers, only the first P2P_PEER_NAMES_KEPT names of each are kept, in total at
 * most P2P_NAMES_BYTES_MAX bytes; of sources, only the requested name.
 */
#define P2P_PEER_NAMES_KEPT 100
#define P2P_NAMES_BYTES_MAX (4u * 1024 * 1024)
/* Every peer, by id. Clear `out` with p2p_peer_list_clear, here and below. */
P2P_MUST_CHECK enum p2p_err p2p_discovery_peers(struct p2p_discovery *d,
                                                struct p2p_peer_list *out);
/* The peers that share exactly `name`, in the order above. */
P2P_MUST_CHECK enum p2p_err p2p_discovery_find(struct p2p_discovery *d,
                                               const char *name,
                                               struct p2p_peer_list *out);
/* The peers that share the content `root`, in the order above. */
P2P_MUST_CHECK enum p2p_err p2p_discovery_find_root(struct p2p_discovery *d,
                                                    const struct p2p_digest *root,
                                                    struct p2p_peer_list *out);

/* Search over names, grouped by content. */
struct p2p_search_result {
    char name[P2P_NAME_MAX + 1];
    uint64_t size;
    struct p2p_digest root;
    bool root_known;
    struct p2p_digest sha256;
    bool sha256_known;
    bool is_cut; /* a registry has not shown all of its peers */
    struct p2p_peer_list peers;
};
struct p2p_search_results {
    struct p2p_search_result *at;
    size_t count;
    bool is_cut; /* there may be more: the limit, or that of a registry, was reached */
};
/* Frees the content of the results and leaves them empty. */
void p2p_search_results_clear(struct p2p_search_results *results);
enum p2p_search_mode {
    P2P_SEARCH_EXACT,
    P2P_SEARCH_PREFIX,
    P2P_SEARCH_SUBSTRING,
    P2P_SEARCH_FUZZY,
};
#define P2P_SEARCH_RESULTS_MAX 1000
/* Peers of one result that are taken from each registry; an honest one names 100. */
#define P2P_SEARCH_PEERS_MAX 1000
/* At most `limit` results, at most P2P_SEARCH_RESULTS_MAX, best first. Clear `out` with
 * p2p_search_results_clear. UNREACHABLE when no registry answers. */
P2P_MUST_CHECK enum p2p_err p2p_discovery_search(struct p2p_discovery *d,
                                                 const char *text,
                                                 enum p2p_search_mode mode,
                                                 size_t limit,
                                                 struct p2p_search_results *out);

/* ---- What a peer sends about itself ---- */

struct p2p_reg_file {
    const char *name;
    uint64_t size;
    struct p2p_digest root, sha256;
    bool sha256_known;
    uint64_t mtime_s;
    uint32_t version;
};
/* Registries accept signatures for two hours; the rest is a reserve for clocks that
 * differ. */
#define P2P_REG_TTL_MAX_S (2 * 3600 - 120)
struct p2p_reg {
    const struct p2p_rsa *key;     /* signs; borrowed during the call */
    const struct p2p_about *about; /* name and kind; NULL: not told */
    const char *advertise;         /* IP to be listed under, or NULL */
    uint16_t port;
    /* Further addresses; at most P2P_PEER_OTHERS_MAX count. Sent with `about` only. */
    const struct p2p_addr *others;
    size_t other_count;
    bool no_protocol_1; /* the peer supports only protocol 2 */
    uint32_t ttl_s; /* signature expires this much later; P2P_REG_TTL_MAX_S at most */
    const struct p2p_reg_file *files; /* sorted by name, bytewise */
    size_t count;
};
/*
 * Registers with every registry that does not have this state yet. Registrations are
 * signed. A registry that has the state before gets a delta; if that fails, it gets the
 * whole list. A registry that does not support signatures gets the documented unsigned
 * form. Does nothing if all registries are up to date and more than half of the
 * signature's time is left. Long lists are sent in several requests. P2P_OK if at least
 * one registry has everything. `force`: sends the whole list to all registries.
 *
 * A registry that answers 413, or that has no room for all files, gets them in smaller
 * requests, as far as it takes them. One that answers 429 or 503 with Retry-After gets
 * nothing before that time, five minutes at most (RATE_LIMITED until then).
 *
 * seq is the clock in ms or the last one + 1, whichever is higher. A registry's answer
 * can raise it at most 60 s above this clock; otherwise one registry could make this
 * peer sign a number that blocks its later registrations at the others. A registry
 * whose clock is behind gets a seq of that clock. expires_at follows the registry's
 * clock.
 */
P2P_MUST_CHECK enum p2p_err
p2p_discovery_register(struct p2p_discovery *d, const struct p2p_reg *reg, bool force);
/* The first time at which a registry that asked to wait (Retry-After) takes a
 * registration again, as p2p_now_ms; 0: none of them waits. */
uint64_t p2p_discovery_held_until(struct p2p_discovery *d);
/* True if a registry saw the last registration, which stated no address, come from this
 * one. Asks no registry. */
bool p2p_discovery_is_seen_at(struct p2p_discovery *d, const char *ip);
/* Sends a heartbeat. NOT_FOUND: register again, because a registry has forgotten this
 * peer, does not have everything, or half of the signature's time is over. UNREACHABLE.
 * Does not wait for a registration in another thread. */
P2P_MUST_CHECK enum p2p_err p2p_discovery_heartbeat(struct p2p_discovery *d,
                                                    const struct p2p_id *id);
/* Makes registrations and heartbeats in other threads return soon, and later ones
 * return at once. */
void p2p_discovery_stop(struct p2p_discovery *d);
/* Unregisters at once (signed), also after a stop. Failures are ignored. */
void p2p_discovery_leave(struct p2p_discovery *d, const struct p2p_rsa *key);

/* Where this device is: its port, and all its addresses. */
struct p2p_own_place {
    uint16_t port;
    const struct p2p_addr *at;
    size_t count;
};
/*
 * True if a registry lists a newer record of this identity than our last one, at a
 * place that is not ours: another device has the same keys. `*at` is where. A copy
 * behind the same router with the same addresses and the same port cannot be told from
 * this device.
 */
bool p2p_discovery_find_copy(struct p2p_discovery *d, const struct p2p_id *id,
                             const struct p2p_own_place *own, struct p2p_addr *at);

/* The state of each registry, for status pages. */
struct p2p_registry_state {
    char url[256];
    bool reachable, registered;
    bool is_signed; /* the registration it holds */
    enum p2p_err last_error;
    char detail[160]; /* the registry's error text, escaped; may be empty */
    /* The largest request that was accepted after a larger one was refused (413): the
     * proxy in front of the registry accepts no more. 0: none was refused. */
    size_t body_limit_bytes;
    bool skew_known;
    int64_t skew_s; /* this clock minus the registry's, at the last answer */
};
/* Fills `out` for the first `max` registries, in the order in which they were given,
 * and returns their number. Asks no registry: these are the results of earlier calls.
 */
size_t p2p_discovery_states(struct p2p_discovery *d, struct p2p_registry_state *out,
                            size_t max);

/* How many bytes registry i accepts in one registration, approximately; found by
 * announcing lengths (no body is sent). 0: no limit below the usual one. */
size_t p2p_discovery_body_limit(struct p2p_discovery *d, size_t i);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop

#endif
