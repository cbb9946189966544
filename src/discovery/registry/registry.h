/*
 * The registry: peers, what they have, since when they are silent.
 *
 * Knows neither HTTP nor JSON. Safe from any thread: readers work side by side; a
 * writer shuts them out only for slices of some tens of microseconds, however long its
 * list is. Of two writers one waits. Time is CLOCK_MONOTONIC in ms unless a name ends
 * in _s (time of day).
 */
#ifndef P2P_DISCOVERY_REGISTRY_H
#define P2P_DISCOVERY_REGISTRY_H

#include "discovery/index/dict.h"
#include "discovery/registry/catalogue.h"
#include "discovery/registry/record.h"

struct registry;

/* Signatures are valid for so long at most, and what a peer leaves behind is kept for
 * so long. */
#define REGISTRY_SIGNATURE_MAX_S (2u * 3600)
/* A seq is a clock in ms. One so far ahead of ours is not taken, once ours is set. */
#define REGISTRY_SEQ_AHEAD_MS (24u * 3600 * 1000)
#define REGISTRY_CLOCK_SET_S  1704067200u /* 2024: before it a clock is not set */
/* Whether it is too far ahead. */
bool registry_seq_is_ahead(uint64_t seq, uint64_t now_s);

struct registry_options {
    uint64_t ttl_ms; /* a peer that is not heard for so long is gone */
    uint32_t max_peers;
    uint32_t max_peers_per_ip; /* that one address registers; loopback is exempt */
    /*
     * Bytes of all that is kept: peers, names, contents, the search index; a sixteenth
     * of it is for tombstones. And of what one address registers, counted as if nobody
     * else had the same files. 0: no limit.
     */
    uint64_t max_bytes, max_bytes_per_ip;
    /*
     * Told of every change, after it, with no lock held and from any thread. May be
     * NULL.
     */
    void (*on_change)(void *arg, const struct p2p_id *id, bool is_gone);
    void *arg;
};

enum registry_result {
    REGISTRY_OK,
    REGISTRY_UNKNOWN, /* no such live peer (or, for a delta, no signed record) */
    REGISTRY_STALE,   /* seq is not above, or base is not, the one that is known; or,
                         unsigned, the stamp */
    REGISTRY_SIGNED,  /* an unsigned record may not replace a signed one */
    REGISTRY_FULL,    /* max_peers */
    REGISTRY_NO_ROOM, /* max_bytes, and nobody is worth less to keep */
    REGISTRY_CROWDED, /* max_peers_per_ip */
    REGISTRY_HEAVY,   /* max_bytes_per_ip */
    REGISTRY_NOMEM,
    REGISTRY_REPEATED, /* not returned: the same record again is REGISTRY_OK */
};

P2P_MUST_CHECK enum p2p_err registry_open(const struct registry_options *opt,
                                          struct registry **result);
void registry_close(struct registry *r); /* accepts NULL */

/* ---- changes ---- */

/*
 * Takes a record in the place of what is known of the peer. `known_seq` gets the seq
 * the registry remembers, also from a record that is gone. `heard_ms` 0: now.
 *
 * An unsigned record with stamp 0 replaces any unsigned one and is given a stamp: the
 * time of day, but above that of the record it replaces, whatever the clocks of other
 * registries say. With a stamp (it comes from another registry, or from a file) it is
 * STALE when what is known is newer.
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
enum registry_result registry_apply_delta(struct registry *r,
                                          const struct registry_delta *delta,
                                          uint64_t *known_seq);
enum registry_result registry_leave(struct registry *r, const struct p2p_id *id,
                                    uint64_t seq, uint64_t *known_seq);

/* False: no such live peer. A later heard_ms than is known counts; 0: now. */
bool registry_heartbeat(struct registry *r, const struct p2p_id *id, uint64_t heard_ms);

/*
 * A heartbeat from this address (text). MOVED: the peer is not where it registered
 * from, did not say where it is, and should register again; told once a minute at most,
 * and no sign of life. Other heartbeats are one, whoever sends them; none changes a
 * record.
 */
enum registry_beat_result {
    REGISTRY_BEAT_OK,
    REGISTRY_BEAT_UNKNOWN,
    REGISTRY_BEAT_MOVED
};
enum registry_beat_result
registry_heartbeat_from(struct registry *r, const struct p2p_id *id, const char *ip);

/* For registries that share a store. One that another registry has heard of: */
void registry_heard_elsewhere(struct registry *r, const struct p2p_id *id,
                              uint64_t heard_ms);
/* What is known of the peer here is known to the others: no beat has to tell them. */
void registry_mark_told(struct registry *r, const struct p2p_id *id);
struct registry_beat {
    struct p2p_id id;
    uint64_t heard_ms;
};
/*
 * Up to `max` peers that were heard here and not told of yet, from place `*from` on (0
 * at first, UINT32_MAX after the last); they count as told from now on.
 */
size_t registry_take_beats(struct registry *r, uint32_t *from,
                           struct registry_beat *out, size_t max);

/* Removes what is due; returns when the next can be, or UINT64_MAX without peers. */
uint64_t registry_expire(struct registry *r, uint64_t now_ms);

/* Now and then, from one thread: gives memory back when many names are left that nobody
 * has any more, and has the search index learn which names have become common. */
void registry_tidy(struct registry *r);

/* ---- asking ---- */

/* The key of a live peer's signed record. */
bool registry_key(struct registry *r, const struct p2p_id *id, struct p2p_spki *key);

/* A peer as it is shown; borrowed for the call it is given to. */
struct registry_peer {
    struct p2p_id id;
    char ip[RECORD_IP_MAX + 1];
    uint16_t port;
    uint8_t protocols;
    bool is_signed, has_content;
    bool is_ip_claimed;
    uint64_t heard_ms, seq, expires_at_s;
    uint32_t file_count;
    const uint32_t *files; /* of the catalogue */
    const struct catalogue *catalogue;
    const struct p2p_spki *key; /* NULL when unsigned */
    struct registry *registry;
    uint32_t number; /* in it */
};

/*
 * To be called, on a copy of what was given, by a visit that goes through a long list:
 * lets writers in. The list may be another one afterwards, or empty: the peer has gone.
 */
void registry_let_others_in(struct registry_peer *peer);
#define REGISTRY_VISIT_SLICE 128u /* files between two calls */

/* Called with readers' lock: must be quick and must not call the registry. False: stop.
 */
typedef bool registry_visit(void *arg, const struct registry_peer *peer);

/* One live peer; false when there is none. */
bool registry_visit_one(struct registry *r, const struct p2p_id *id,
                        registry_visit *visit, void *arg);

/* Which peers; all fields NULL: all. */
struct registry_filter {
    const char *file; /* spelled exactly so */
    const struct p2p_digest *root, *sha256;
};

/*
 * Visits live peers that fit in the order of their ids, beginning after `after` (NULL:
 * the first). The order is the same in every registry, so a page may follow one of
 * another.
 */
void registry_visit_peers(struct registry *r, const struct registry_filter *filter,
                          const struct p2p_id *after, registry_visit *visit, void *arg);

/* ---- keeping elsewhere ---- */

/* A peer for a snapshot or another registry. */
struct registry_exported {
    struct p2p_id id;
    uint64_t heard_ms;
    uint64_t seq, seq_until_s;
    const uint8_t *bytes; /* of record_encode(); NULL: only its seq is remembered */
    size_t len;
};
typedef bool registry_visit_export(void *arg, const struct registry_exported *peer);

/* Visits all, with no lock held during a visit. False: stopped, or out of memory. */
bool registry_export(struct registry *r, registry_visit_export *visit, void *arg);
/* One peer, live or remembered; false when it is neither. */
bool registry_export_one(struct registry *r, const struct p2p_id *id,
                         registry_visit_export *visit, void *arg);

/* Remembers the seq of a peer that is not there: nothing older may come back. */
void registry_remember(struct registry *r, const struct p2p_id *id, uint64_t seq,
                       uint64_t seq_until_s);
/* Takes a peer away, whatever its seq: another registry has said so. */
void registry_remove(struct registry *r, const struct p2p_id *id);

struct registry_stats {
    uint32_t peers, signed_peers, remembered; /* remembered: gone, but for their seq */
    uint64_t bytes, max_bytes, evicted;
    uint64_t postings;
    uint32_t names, contents, files;
};
void registry_stats(struct registry *r, struct registry_stats *out);

/* For search.c: the dictionary, and the catalogue under the readers' lock. */
struct dict *registry_dict(struct registry *r);
const struct catalogue *registry_lock_catalogue(struct registry *r);
void registry_unlock_catalogue(struct registry *r);
/* A peer as a source: who and where it is. */
struct registry_source {
    struct p2p_id id;
    uint8_t ip[16]; /* IPv4 as ::ffff:a.b.c.d */
    uint16_t port;
    bool is_signed, is_ip_claimed;
};
/* With that lock held: those whose numbers are in postings. */
void registry_sources(const struct registry *r, const uint32_t *peers, uint32_t count,
                      struct registry_source *out);

#endif
