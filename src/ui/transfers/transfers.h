/*
 * transfers - every download of this dashboard: the list, the queue, the threads.
 *
 * The list is in memory and, at each change of state, in the store; after a restart
 * what ran goes on by itself. One manager thread starts queued transfers while fewer
 * than `max_running` run (higher priority first, then by place), tells running ones to
 * stop, tries again what failed for want of a peer (15 s, doubled up to 10 min) and
 * lets those that met a full disk go on once there is space. It sleeps without a time
 * limit when none of that is due. Each running transfer has a thread that waits for its
 * p2p_download.
 *
 * Verbs only note what is wanted and answer at once: nothing here blocks. Thread-safe.
 */
#ifndef P2P_UI_TRANSFERS_H
#define P2P_UI_TRANSFERS_H

#include "ui/transfers/transfer.h"

#define UI_TRANSFERS_MAX 10000

struct ui_app;
struct ui_transfers;

/* Loads the list from app->store; nothing runs before ui_transfers_start. */
P2P_MUST_CHECK enum p2p_err ui_transfers_new(struct ui_app *app,
                                             struct ui_transfers **out);
P2P_MUST_CHECK enum p2p_err ui_transfers_start(struct ui_transfers *ts);
/* Stops all running transfers and leaves them queued, so that they resume at the next
 * start. Accepts NULL. */
void ui_transfers_free(struct ui_transfers *ts);

/* A download request; all pointers are borrowed. */
struct ui_wish {
    const char *filename;
    const struct p2p_digest *root; /* NULL: what the first source says */
    uint64_t size;                 /* 0: not known */
    const struct ui_source *sources;
    size_t source_count;
    bool is_auto;
    enum ui_priority priority;
    const char *save_as; /* NULL or "": as filename */
    enum p2p_on_conflict conflict;
};
/*
 * Queues it; `id` gets its id. `*is_new` false: the same content (or, without a root,
 * the same name from the same source) is on its way already, and this is its id.
 * RATE_LIMITED: the list is full.
 */
P2P_MUST_CHECK enum p2p_err ui_transfers_add(struct ui_transfers *ts,
                                             const struct ui_wish *wish,
                                             char id[UI_TRANSFER_ID_LEN + 1],
                                             bool *is_new);

enum ui_verb { UI_PAUSE, UI_RESUME, UI_CANCEL, UI_RETRY, UI_REMOVE };
/* NOT_FOUND; USAGE when the state does not allow it. */
P2P_MUST_CHECK enum p2p_err ui_transfers_do(struct ui_transfers *ts, const char *id,
                                            enum ui_verb verb);
/* The same for all that allow it: RETRY failed ones only, REMOVE completed and
 * cancelled ones only. */
size_t ui_transfers_do_all(struct ui_transfers *ts, enum ui_verb verb);

/* NULL or negative members stay as they are. */
struct ui_change {
    const enum ui_priority *priority;
    const uint64_t *position;
    const uint64_t *limit_rate;
    const char *save_as; /* of one that is not running; the next try uses it */
};
/* NOT_FOUND; USAGE: it runs or is over, so its name stays. */
P2P_MUST_CHECK enum p2p_err ui_transfers_change(struct ui_transfers *ts, const char *id,
                                                const struct ui_change *change);

/* Settings changed: speed limit, how many may run. */
void ui_transfers_reconfigure(struct ui_transfers *ts);
/* A peer was blocked: transfers that use it are restarted without it. */
void ui_transfers_without(struct ui_transfers *ts, const struct p2p_id *id);

/* ---- reading ---- */

/* The object `Transfer` under `name`; false when there is none of this id. */
bool ui_transfers_put(struct ui_transfers *ts, const char *id, struct http_json_out *o,
                      const char *name);
struct ui_page {
    const bool *states;   /* UI_STATES of them; NULL: all */
    size_t offset, limit; /* limit 0: all */
};
/* Members `transfers`, `totals` and `next`. */
void ui_transfers_put_page(struct ui_transfers *ts, const struct ui_page *page,
                           struct http_json_out *o);

/* The latest transfer of this name, for the documented progress. NOT_FOUND. */
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

struct ui_counts {
    size_t by_state[UI_STATES];
    uint64_t speed, size, verified; /* size, verified: of those not over */
};
void ui_transfers_count(struct ui_transfers *ts, struct ui_counts *out);

/* The SHA-256 of a file that a transfer put under this name. */
bool ui_transfers_find_path(struct ui_transfers *ts, const char *path,
                            struct p2p_digest *sha256);
/* Whether a completed transfer brought this content. */
bool ui_transfers_have(struct ui_transfers *ts, const struct p2p_digest *root);

#endif
