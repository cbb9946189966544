/*
 * transfer - one download as the dashboard shows it, from the request to the file. It
 * is a plain struct that the store saves, the queue runs and the API shows. The lock of
 * its ui_transfers guards it (transfers.h).
 */
#ifndef P2P_UI_TRANSFER_H
#define P2P_UI_TRANSFER_H

#include <stdbool.h>
#include <stdint.h>

#include "http/text/json.h"
#include "p2p/download.h"
#include "p2p/limits.h"
#include "ui/peers/source.h"

#define UI_TRANSFER_ID_LEN      36
#define UI_TRANSFER_SOURCES_MAX 64

enum ui_state {
    UI_QUEUED,
    UI_CONNECTING,
    UI_DOWNLOADING,
    UI_VERIFYING,
    UI_PAUSED,
    UI_COMPLETED,
    UI_FAILED,
    UI_CANCELLED,
    UI_STATES
};
/* Names of states in the API, and back. False: there is no such state. */
const char *ui_state_name(enum ui_state state);
bool ui_state_parse(const char *text, size_t len, enum ui_state *out);
/* True for a state in which the download uses the network or the disk. */
bool ui_state_is_running(enum ui_state state);
bool ui_state_is_over(enum ui_state state); /* completed, failed, cancelled */

enum ui_priority { UI_LOW, UI_NORMAL, UI_HIGH };
/* Names of priorities in the API, and back. False: there is no such priority. */
const char *ui_priority_name(enum ui_priority priority);
bool ui_priority_parse(const char *text, enum ui_priority *out);

/* "rename", "overwrite", "skip". */
const char *ui_conflict_name(enum p2p_on_conflict conflict);
bool ui_conflict_parse(const char *text, enum p2p_on_conflict *out);

/* The reason to end a run before its download is complete. */
enum ui_stop { UI_GO_ON, UI_STOP_KEEP, UI_STOP_DISCARD };

struct ui_transfer {
    struct ui_transfer *next; /* newest first */
    char id[UI_TRANSFER_ID_LEN + 1];

    /* What is wanted. */
    char filename[P2P_NAME_MAX + 1];
    char save_as[P2P_NAME_MAX + 1]; /* "": its filename */
    enum p2p_on_conflict conflict;  /* never FAIL */
    struct p2p_digest root;
    bool root_known;
    struct ui_source *sources; /* given by the user or found last; owned */
    size_t source_count;
    bool is_auto; /* ask the registries for (more) sources */
    enum ui_priority priority;
    uint64_t place; /* order among the queued ones of the same priority, rising */
    uint64_t limit_rate;

    /* How it stands. */
    enum ui_state state;
    uint64_t size;
    bool size_known;
    struct p2p_digest sha256;
    bool sha256_known;
    uint64_t verified;
    char path[P2P_NAME_MAX + 1]; /* completed: its name in the downloads folder */
    enum p2p_err error;
    char message[256];
    char works[P2P_NAME_MAX + 1]; /* with TARGET_NAME: a name that the file system
                                   * allows */
    uint64_t created_s, finished_s;
    uint64_t retry_at_s; /* 0: not by itself */
    bool wants_room;     /* the disk was full just now: old versions may go */
    unsigned attempts;   /* number of failures in a row without a new byte */

    /* While it runs. */
    bool has_thread;
    enum ui_stop stop;
    bool is_removed;       /* removed from all lists; the manager frees it */
    bool is_discarding;    /* the manager must delete the unfinished data */
    bool is_checksum_kept; /* the manager has stored it, so a removed one can go */
    struct p2p_download *dl;
    bool is_told;         /* dl was told to stop */
    unsigned users;       /* threads that use dl without the lock */
    bool is_ending;       /* its thread waits for them; nobody else may begin */
    struct p2p_rate rate; /* its own limit, within the limit of all downloads */
    uint64_t speed, eta_s, verified_at_start;
    uint64_t reused;                /* of files that were here; also when it is over */
    struct p2p_source_status *live; /* P2P_DOWNLOAD_SOURCES_MAX; owned */
    size_t live_count;
    struct p2p_download_pieces *pieces; /* of the runs that are over; owned */
};

/* *Returns owned*, free with ui_transfer_free; a fresh id, queued, now. NULL: no
 * memory. */
struct ui_transfer *ui_transfer_new(void);
void ui_transfer_free(struct ui_transfer *t);
/* Copies the sources in place of the old ones. */
P2P_MUST_CHECK enum p2p_err ui_transfer_set_sources(struct ui_transfer *t,
                                                    const struct ui_source *sources,
                                                    size_t count);

/* The API's `error_code` for an error, and a sentence that tells what to do. */
const char *ui_error_code(enum p2p_err err);
const char *ui_error_advice(enum p2p_err err);

/* Whole percent; 100 only for a completed one. */
unsigned ui_transfer_percent(const struct ui_transfer *t);

/* The object `Transfer` of docs/openapi.yaml; `position` is -1 unless queued. */
void ui_transfer_json(struct http_json_out *o, const char *name,
                      struct p2p_identity *identity, const struct ui_transfer *t,
                      long position);

#endif
