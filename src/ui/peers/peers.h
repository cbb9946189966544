/*
 * peers - the list of peers: from the registries, from the local network and added by
 * hand, merged by id. The list is a snapshot; it is refreshed when it is requested and
 * older than two seconds. Functions marked *asks* wait for the network: call them only
 * on workers (jobs.h), the watch thread and the transfers' threads. Thread-safe.
 */
#ifndef P2P_UI_PEERS_H
#define P2P_UI_PEERS_H

#include <stdbool.h>

#include "http/http.h"
#include "http/text/json.h"
#include "p2p/conn.h"
#include "p2p/discovery.h"
#include "ui/peers/source.h"

struct ui_jobs;
struct ui_peers;
struct ui_store;
struct ui_watch;

enum ui_found_by { UI_BY_REGISTRY, UI_BY_MDNS, UI_BY_HAND };

/* A file as a neighbor describes it. */
struct ui_content {
    uint64_t size;
    struct p2p_digest root;
};

struct ui_peer {
    struct p2p_id id;
    struct p2p_addr addr;
    struct p2p_about about; /* as it says, or a registry or mDNS says for it */
    bool verified;
    uint64_t last_seen_s;
    enum ui_found_by found_by;
    bool is_asked; /* a neighbor that was asked for its files at least once */
    char **files;  /* owned */
    struct ui_content *contents; /* of each file; owned; NULL: a registry's list */
    size_t file_count;           /* of those */
    size_t files_total;          /* the files it shares, as far as known */
    bool is_met;                 /* this machine, remembered, or added by hand */
};

/* Peers of the snapshot: known ones first, then the others by id. */
#define UI_PEERS_MAX 10000

/* What the list is made with; all borrowed. */
struct ui_peers_parts {
    struct p2p_identity *identity;
    struct p2p_discovery *discovery;
    struct ui_store *store; /* peers added by hand */
    struct ui_watch *watch; /* is told about news */
    const struct p2p_reach *reach;
    uint64_t timeout_ms; /* of a connection */
};
struct ui_peers *
ui_peers_new(const struct ui_peers_parts *parts); /* NULL: out of memory */
/* From now on workers ask the neighbors. Call it before other threads use the list. */
void ui_peers_use_jobs(struct ui_peers *peers, struct ui_jobs *jobs);
void ui_peers_stop(
    struct ui_peers *peers); /* makes work on workers end soon; accepts NULL */
void ui_peers_free(struct ui_peers *peers);

/* Asks. Refreshes the snapshot if it is old. */
void ui_peers_refresh(struct ui_peers *peers);
/* Asks. Refreshes the snapshot in any case; true if something changed. */
bool ui_peers_look(struct ui_peers *peers);
size_t ui_peers_count(struct ui_peers *peers);
/* True if the registries were last asked more than ten seconds ago. */
bool ui_peers_is_old(struct ui_peers *peers);

/*
 * The members `peers`, `discovery_reachable` and `next`: a page from the snapshot,
 * whose file lists have together at most UI_FILE_LISTS_BYTES.
 */
#define UI_FILE_LISTS_BYTES (1024u * 1024)
/* Writes `limit` peers from number `offset` on as JSON. */
void ui_peers_put_list(struct ui_peers *peers, struct http_json_out *o, size_t offset,
                       size_t limit, bool with_files);
/* Writes the members of one `Peer` into an open object; false if the peer is not known
 * at all. */
bool ui_peers_put_one(struct ui_peers *peers, const struct p2p_id *id,
                      struct http_json_out *o);

/* The same for a peer that is neither online nor remembered (any longer). */
void ui_peers_put_stranger(struct ui_peers *peers, const struct p2p_id *id,
                           const struct p2p_addr *addr, struct http_json_out *o);

/* From the snapshot: what a peer says of itself; empty if it is not there. */
void ui_peers_said(struct ui_peers *peers, const struct p2p_id *id,
                   struct p2p_about *out);
/* True if the registry lists this machine; also gives the address. */
bool ui_peers_own(struct ui_peers *peers, uint16_t *port);
/* Finds the address of a peer by its id, or by the first 16 digits and "...".
 * NOT_FOUND. */
P2P_MUST_CHECK enum p2p_err
ui_peers_locate(struct ui_peers *peers, const struct p2p_id *id, struct p2p_addr *out);
P2P_MUST_CHECK enum p2p_err ui_peers_resolve(struct ui_peers *peers, const char *text,
                                             struct p2p_id *out);
bool ui_peers_is_blocked(struct ui_peers *peers, const struct ui_source *source);

/* Asks. Finds all peers that share the name or have the root, except this machine and
 * blocked peers: the best `max` of them, in the order of rank.h. */
size_t ui_peers_find_sources(struct ui_peers *peers, const char *name,
                             const struct p2p_digest *root, struct ui_source *out,
                             size_t max);
/*
 * From the snapshot: visits files of neighbours, which no registry lists. Visits those
 * whose name is `name`, contains `part` (without regard to case), and whose content has
 * `root`; NULL means any. `content` may be NULL.
 */
struct ui_file_filter {
    const char *name, *part;
    const struct p2p_digest *root;
};
typedef void ui_file_visit(void *arg, const struct ui_peer *peer, const char *name,
                           const struct ui_content *content);
void ui_peers_each_neighbor_file(struct ui_peers *peers,
                                 const struct ui_file_filter *filter,
                                 ui_file_visit *visit, void *arg);

/* Adds the same files to the results of a search: to existing groups, and as new groups
 * up to `max` in total. */
void ui_peers_add_neighbor_results(struct ui_peers *peers,
                                   const struct ui_file_filter *filter, size_t max,
                                   struct p2p_search_results *results);

/* A peer was reached by this path; shown with the peer. */
void ui_peers_note_path(struct ui_peers *peers, const struct p2p_id *id,
                        enum p2p_path_kind kind, uint64_t rtt_us);

/* Asks. Connects, and the peer proves its key; notes the path. */
P2P_MUST_CHECK enum p2p_err ui_peers_connect(struct ui_peers *peers,
                                             const struct p2p_addr *addr,
                                             const struct p2p_id *expected,
                                             struct p2p_conn **out);
/* Asks. Connects to the peer at an address and remembers it as added by hand. EXISTS:
 * it is this machine. */
P2P_MUST_CHECK enum p2p_err
ui_peers_add(struct ui_peers *peers, const struct p2p_addr *addr, struct p2p_id *id);
/* Forgets that it was added by hand. */
void ui_peers_drop(struct ui_peers *peers, const struct p2p_id *id);

/* GET /api/peers/{id}/files: lists the files that a peer shares. */
struct ui_browse {
    struct ui_peers *peers;
    struct ui_jobs *jobs;
};
void ui_api_peer_files(struct http_request *req, void *browse);

/* Texts for a failure to reach a peer. */
const char *ui_peers_explain(enum p2p_err err);

#endif
