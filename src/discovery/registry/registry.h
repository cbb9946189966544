/*
 * The registry: the peers, their files, and how long they have been silent. It knows
 * neither HTTP nor JSON. Safe from any thread. Readers run at the same time; a writer
 * excludes them only for slices of some tens of microseconds, however long its list is.
 * Writers run one at a time. Times are CLOCK_MONOTONIC in ms unless a name ends in _s
 * (time of day).
 */
#ifndef P2P_DISCOVERY_REGISTRY_H
#define P2P_DISCOVERY_REGISTRY_H

#include "discovery/index/dict.h"
#include "discovery/registry/catalogue.h"
#include "discovery/registry/record.h"

struct registry;

/* The maximum validity of signatures; the records of peers that have left are kept for
 * this time. */
#define REGISTRY_SIGNATURE_MAX_S (2u * 3600)
/* A seq is a time in ms. A seq this far ahead of our clock is refused, if our clock is
 * set. */
#define REGISTRY_SEQ_AHEAD_MS (24u * 3600 * 1000)
#define REGISTRY_CLOCK_SET_S \
    1704067200u /* the year 2024: an earlier clock is not set */
/* True if the seq is too far ahead. */
bool registry_seq_is_ahead(uint64_t seq, uint64_t now_s);

struct registry_options {
    uint64_t ttl_ms; /* a peer that was silent for this long is removed */
    uint32_t max_peers;
    uint32_t
        max_peers_per_ip; /* peers that one address registers; loopback is exempt */
    /* Limit in bytes for everything: peers, names, contents, the search index; and a
     * sixteenth of it for tombstones. And the limit for what one address registers,
     * counted as if no other peer had the same files. 0: no limit. */
    uint64_t max_bytes, max_bytes_per_ip;
    /* Called after every change, without locks and from any thread. May be NULL. */
    void (*on_change)(void *arg, const struct p2p_id *id, bool is_gone);
    void *arg;
};

enum registry_result {
    REGISTRY_OK,
    REGISTRY_UNKNOWN, /* no such live peer (or, for a delta, no signed record) */
    REGISTRY_STALE,   /* the seq (without a signature, the stamp) is not higher than the
                       * known one, or the base is another one */
    REGISTRY_SIGNED,  /* an unsigned record may not replace a signed one */
    REGISTRY_FULL,    /* max_peers */
    REGISTRY_NO_ROOM, /* max_bytes is reached, and no peer may be removed for this one
                       */
    REGISTRY_CROWDED, /* max_peers_per_ip */
    REGISTRY_HEAVY,   /* max_bytes_per_ip */
    REGISTRY_NOMEM,
    REGISTRY_REPEATED, /* not returned: the same record again is REGISTRY_OK */
};

/* An empty registry. Copies the options; *returns owned*. */
P2P_MUST_CHECK enum p2p_err registry_open(const struct registry_options *opt,
                                          struct registry **result);
void registry_close(struct registry *r); /* accepts NULL */

/* ---- changes ---- */

/*
 * Stores a record, which replaces what is known of the peer. `known_seq` gets the seq
 * that the registry remembers, also from a removed record. `heard_ms` 0: now.
 *
 * An unsigned record with stamp 0 replaces any unsigned one and gets a new stamp: the
 * time of day, but higher than the stamp that it replaces, whatever the clocks of other
 * registries show. A record with a stamp (from another registry or a file) is STALE if
 * a newer one is known.
 */
enum registry_result registry_put(struct registry *r, const struct record *record,
                                  uint64_t heard_ms, uint64_t *known_seq);

struct registry_delta {
    struct p2p_id id;
    uint64_t seq, base;
    const struct p2p_reg_entry *add; /* sorted by name */
    uint32_t n_add;
    const struct p2p_text *remove;
    uint32_t n_remove;
};
/* Changes the list of a peer. STALE: the base is not the version that the registry has,
 * `*known_seq`. */
enum registry_result registry_apply_delta(struct registry *r,
                                          const struct registry_delta *delta,
                                          uint64_t *known_seq);
/* Removes a peer, and remembers its `seq` so that an old registration does not bring it
 * back. `*known_seq` as above. */
enum registry_result registry_leave(struct registry *r, const struct p2p_id *id,
                                    uint64_t seq, uint64_t *known_seq);

/* A sign of life. False: there is no such live peer. Only a later heard_ms than the
 * known one counts; 0: now. */
bool registry_heartbeat(struct registry *r, const struct p2p_id *id, uint64_t heard_ms);

/*
 * A heartbeat from this address (text). MOVED: the peer registered from another address
 * without stating one, and should register again; reported at most once a minute, and
 * such a heartbeat is no sign of life. All other heartbeats count, whoever sends them.
 * None changes a record.
 */
enum registry_beat_result {
    REGISTRY_BEAT_OK,
    REGISTRY_BEAT_UNKNOWN,
    REGISTRY_BEAT_MOVED
};
enum registry_beat_result
registry_heartbeat_from(struct registry *r, const struct p2p_id *id, const char *ip);

/* For registries that share a store. A sign of life that another registry reports: */
void registry_heard_elsewhere(struct registry *r, const struct p2p_id *id,
                              uint64_t heard_ms);
/* Marks the peer as known to the other registries, so that no heartbeat needs to be
 * reported. */
void registry_mark_told(struct registry *r, const struct p2p_id *id);
struct registry_beat {
    struct p2p_id id;
    uint64_t heard_ms;
};
/*
 * Up to `max` peers whose heartbeats were not yet reported, from position `*from` on (0
 * at first, UINT32_MAX after the last); they count as reported from now on.
 */
size_t registry_take_beats(struct registry *r, uint32_t *from,
                           struct registry_beat *out, size_t max);

/* Removes expired peers; returns the time of the next one, or UINT64_MAX without
 * peers. */
uint64_t registry_expire(struct registry *r, uint64_t now_ms);

/* Call it now and then from one thread: frees memory if many names are left that no
 * peer has, and updates in the search index which names are common. */
void registry_tidy(struct registry *r);

/* ---- asking ---- */

/* The key of a live peer's signed record. */
bool registry_key(struct registry *r, const struct p2p_id *id, struct p2p_spki *key);

/* Whether a connection from the registry to the peer's address succeeds. */
enum registry_direct {
    REGISTRY_DIRECT_UNKNOWN,
    REGISTRY_DIRECT_YES,
    REGISTRY_DIRECT_NO
};

/* A peer as shown to clients; borrowed for the call that it is passed to. */
struct registry_peer {
    struct p2p_id id;
    char ip[RECORD_IP_MAX + 1];
    uint16_t port;
    uint8_t protocols;
    bool is_signed, has_content;
    bool is_ip_claimed;
    enum registry_direct direct;
    uint64_t heard_ms, seq, expires_at_s;
    uint32_t file_count;
    const uint32_t *files; /* of the catalogue */
    const struct catalogue *catalogue;
    const struct p2p_spki *key; /* NULL when unsigned */
    const struct p2p_about *about;
    const char *addresses; /* see record.h; may be empty */
    struct registry *registry;
    uint32_t number; /* in it */
};

/*
 * A visit of a long list calls this with a copy of its argument, so that writers get
 * the lock in between. Afterwards the list may have changed, or be empty if the peer
 * has left.
 */
void registry_let_others_in_unlocks(struct registry_peer *peer);
#define REGISTRY_VISIT_SLICE 128u /* files between two calls */

/* Called with readers' lock: must be quick and must not call the registry. False: stop.
 */
typedef bool registry_visit(void *arg, const struct registry_peer *peer);

/* One live peer; false when there is none. */
bool registry_visit_one(struct registry *r, const struct p2p_id *id,
                        registry_visit *visit, void *arg);

/* Selects peers; all fields NULL: all peers. */
struct registry_filter {
    const char *file; /* spelled exactly so */
    const struct p2p_digest *root, *sha256;
};

/*
 * Visits the selected live peers in the order of their ids, beginning after `after`
 * (NULL: the first). The order is the same in every registry, so the next page may come
 * from another one.
 */
void registry_visit_peers(struct registry *r, const struct registry_filter *filter,
                          const struct p2p_id *after, registry_visit *visit, void *arg);

/* ---- reaching ---- */

/* Tells whether the peer could be reached at this address. Counts only while it is the
 * one that the peer is listed under. */
void registry_set_direct(struct registry *r, const struct p2p_id *id, const char *ip,
                         uint16_t port, enum registry_direct direct);

/* ---- keeping elsewhere ---- */

/* A peer for a snapshot or another registry. */
struct registry_exported {
    struct p2p_id id;
    uint64_t heard_ms;
    uint64_t seq, seq_until_s;
    const uint8_t
        *bytes; /* bytes of record_encode(); NULL: only its seq is remembered */
    size_t len;
    /* What is not in these bytes; borrowed during the visit, "" for none. */
    struct p2p_about about;
    const char *addresses;
};
/* True if the peer states anything beside its record. */
bool registry_has_claims(const struct registry_exported *peer);
typedef bool registry_visit_export(void *arg, const struct registry_exported *peer);

/* Visits all peers; no lock is held during a visit. False: stopped, or out of
 * memory. */
bool registry_export(struct registry *r, registry_visit_export *visit, void *arg);
/* Finds one peer, live or remembered; false if it is neither. */
bool registry_export_one(struct registry *r, const struct p2p_id *id,
                         registry_visit_export *visit, void *arg);

/* Sets what a snapshot knows about a peer in addition to its record. */
void registry_set_claims(struct registry *r, const struct p2p_id *id,
                         const struct p2p_about *about, const char *addresses);

/* Remembers the seq of a peer that has left, so that no older record can come back. */
void registry_remember(struct registry *r, const struct p2p_id *id, uint64_t seq,
                       uint64_t seq_until_s);
/* Removes a peer, whatever its seq, because another registry has reported it. */
void registry_remove(struct registry *r, const struct p2p_id *id);

struct registry_stats {
    uint32_t peers, signed_peers,
        remembered; /* peers that have left and whose seq is remembered */
    uint64_t bytes, max_bytes, evicted;
    uint64_t postings;
    uint32_t names, contents, files;
};
/* From any thread. */
void registry_stats(struct registry *r, struct registry_stats *out);

/* For search.c: the dictionary, and the catalogue under the readers' lock. */
struct dict *registry_dict(struct registry *r);
const struct catalogue *registry_lock_catalogue(struct registry *r);
void registry_unlock_catalogue(struct registry *r);
/* A peer as a source: its id and address. */
struct registry_source {
    struct p2p_id id;
    uint8_t ip[16]; /* IPv4 as ::ffff:a.b.c.d */
    uint16_t port;
    bool is_signed, is_ip_claimed;
    uint32_t number; /* of the peer, as long as it stays */
};
/* With that lock held: the peers whose numbers are in postings. */
void registry_sources(const struct registry *r, const uint32_t *peers, uint32_t count,
                      struct registry_source *out);

/* What a peer says of itself, and whether it was reached. */
struct registry_claims {
    const struct p2p_about *about;
    const char *addresses; /* see record.h; may be empty */
    enum registry_direct direct;
};
/* Called with the readers' lock, like registry_visit. NULL: the peer has left. */
typedef void registry_visit_claims(void *arg, const struct registry_source *source,
                                   const struct registry_claims *claims);
/* Visits a few sources together with these claims. */
void registry_visit_sources(struct registry *r, const struct registry_source *sources,
                            uint32_t count, registry_visit_claims *visit, void *arg);

#endif
