/*
 * transfers - all downloads of this dashboard: the list, the queue, the threads. The
 * list is in memory and, after each change of state, in the store. After a restart,
 * interrupted downloads continue automatically.
 *
 * One manager thread starts queued transfers while fewer than `max_running` are running
 * (higher priority first, then by position). It tells running ones to stop, retries
 * those that found no peer (after 15 s, doubled up to 10 min), and continues those that
 * met a full disk when there is space. It sleeps without a time limit if none of that
 * is due. Each running transfer has a thread that waits for its p2p_download. Verbs
 * note the request, write a row of the store and answer. They wait for no peer and for
 * no folder but the keys directory, which has the store and the names of peers; nobody
 * looks at the downloads folder under the lock. Thread-safe.
 */
#ifndef P2P_UI_TRANSFERS_H
#define P2P_UI_TRANSFERS_H

#include "ui/transfers/transfer.h"

#define UI_TRANSFERS_MAX 10000

struct http_server;
struct p2p_discovery;
struct p2p_identity;
struct ui_config;
struct ui_events;
struct ui_folders;
struct ui_peers;
struct ui_request;
struct ui_store;
struct ui_transfers;

/* What the transfers work with; all borrowed. */
struct ui_transfers_parts {
    struct p2p_identity *identity;
    struct p2p_discovery *discovery;
    const struct p2p_reach *reach;
    struct ui_peers *peers;     /* tells the sources */
    struct ui_folders *folders; /* files are stored in its downloads folder */
    struct ui_store *store;
    struct ui_config *config;
    const struct ui_events *events;
    uint64_t timeout_ms; /* of a source */
    uint64_t keep_free;  /* bytes of the disk that no download may use */
};
/* Loads the list from the store; nothing runs before ui_transfers_start. */
P2P_MUST_CHECK enum p2p_err ui_transfers_new(const struct ui_transfers_parts *parts,
                                             struct ui_transfers **out);
P2P_MUST_CHECK enum p2p_err ui_transfers_start(struct ui_transfers *ts);
/* Before the start and once the server is open: requests may wait for bytes. NOMEM. */
P2P_MUST_CHECK enum p2p_err ui_transfers_use_server(struct ui_transfers *ts,
                                                    struct http_server *server);
/* Stops all running transfers and leaves them queued, so that they resume at the next
 * start. Accepts NULL. */
void ui_transfers_free(struct ui_transfers *ts);

/*
 * Queues a transfer (copies the request); `id` gets its id. `*is_new` is false if the
 * same content (or, without a root, the same name from the same source) is being
 * downloaded already; then this is its id. RATE_LIMITED: the list is full.
 */
P2P_MUST_CHECK enum p2p_err ui_transfers_add(struct ui_transfers *ts,
                                             const struct ui_request *request,
                                             char id[UI_TRANSFER_ID_LEN + 1],
                                             bool *is_new);

enum ui_verb { UI_PAUSE, UI_RESUME, UI_CANCEL, UI_RETRY, UI_REMOVE };
/* Errors: NOT_FOUND; USAGE if the state does not allow it. */
P2P_MUST_CHECK enum p2p_err ui_transfers_do(struct ui_transfers *ts, const char *id,
                                            enum ui_verb verb);
/* The same for all transfers that allow it: RETRY for failed ones only, REMOVE for
 * completed and cancelled ones only. */
size_t ui_transfers_do_all(struct ui_transfers *ts, enum ui_verb verb);

/* Members that are NULL or negative stay unchanged. */
struct ui_change {
    const enum ui_priority *priority;
    const uint64_t *position;
    const uint64_t *limit_rate;
    const char *save_as; /* for a transfer that is not running; the next try uses it */
};
/* NOT_FOUND; USAGE if the transfer runs or is over, so that its name cannot change. */
P2P_MUST_CHECK enum p2p_err ui_transfers_change(struct ui_transfers *ts, const char *id,
                                                const struct ui_change *change);

/* Settings changed: the speed limit, or the number of transfers that may run. */
void ui_transfers_reconfigure(struct ui_transfers *ts);
/* A peer was blocked: transfers that use it are restarted without it. */
void ui_transfers_without(struct ui_transfers *ts, const struct p2p_id *id);

/* ---- reading ---- */

/* Writes the object `Transfer` as member `name`; false if there is no transfer with
 * this id. */
bool ui_transfers_put(struct ui_transfers *ts, const char *id, struct http_json_out *o,
                      const char *name);
struct ui_page {
    const bool *states;   /* UI_STATES of them; NULL: all */
    size_t offset, limit; /* limit 0: all */
};
/* Members `transfers`, `totals` and `next`. */
void ui_transfers_put_page(struct ui_transfers *ts, const struct ui_page *page,
                           struct http_json_out *o);

/* The latest transfer with this name, for the documented progress. NOT_FOUND. */
struct ui_progress {
    char id[UI_TRANSFER_ID_LEN + 1];
    enum ui_state state;
    unsigned percent;
    char peer[P2P_HOST_MAX + 16]; /* of the first source */
    char error[256];
};
P2P_MUST_CHECK enum p2p_err ui_transfers_progress(struct ui_transfers *ts,
                                                  const char *filename,
                                                  struct ui_progress *out);

enum { UI_PATH_KINDS = P2P_PATH_CHANNEL + 1 };

struct ui_counts {
    size_t by_state[UI_STATES];
    uint64_t speed, size, verified; /* size, verified: of the unfinished ones */
    size_t by_path[UI_PATH_KINDS];  /* sources with a connection */
};
/* The bucket of all downloads together; borrowed. */
struct p2p_rate *ui_transfers_rate(struct ui_transfers *ts);
/* The number of transfers in each state. */
void ui_transfers_count(struct ui_transfers *ts, struct ui_counts *out);

/* The SHA-256 of a file that a transfer has stored under this name. */
bool ui_transfers_find_path(struct ui_transfers *ts, const char *path,
                            struct p2p_digest *sha256);
/* True if a completed transfer has downloaded this content. */
bool ui_transfers_have(struct ui_transfers *ts, const struct p2p_digest *root);

#endif
