/*
 * listing - the current files of the shared folders and the downloads folder. The names
 * of the shared files begin with those of their folders, as in p2p/shares.h. A listing
 * is a snapshot, sorted by name, that any number of threads read. A new one is made
 * when the folder has changed, or when it is requested and the old one is older than a
 * second (because other programs change the folder, too). Thread-safe.
 */
#ifndef P2P_UI_LISTING_H
#define P2P_UI_LISTING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "p2p/crypto.h"
#include "p2p/err.h"
#include "p2p/shares.h"

struct ui_folders;
struct ui_listings;

/* The state of a shared file for other peers. */
enum ui_file_state {
    UI_FILE_UNSEEN,     /* not noticed yet: the next scan finds it */
    UI_FILE_WAITING,    /* it was written a moment ago */
    UI_FILE_HASHING,    /* it is being read */
    UI_FILE_READY,      /* root is known and others can fetch it */
    UI_FILE_UNREADABLE, /* see `reason` */
    UI_FILE_NOT_SHARED, /* for another reason */
    UI_FILE_STATES
};
/* "ready", "waiting", ...: static text. */
const char *ui_file_state_name(enum ui_file_state state);

struct ui_file {
    char *name;
    uint64_t size;
    int64_t mtime_s; /* may be before 1970 */
    struct p2p_digest root, sha256;
    uint32_t version;
    enum ui_file_state state; /* of the shared folder only */
    char *reason;             /* UNREADABLE and NOT_SHARED: a sentence; else NULL */
    bool is_fresh;            /* it was written a moment ago */
    bool sha256_known;
};
/* A file or folder that is not shared. A folder counts once. */
struct ui_problem {
    char *name;   /* escaped for a person */
    char *reason; /* a sentence */
};
#define UI_PROBLEMS_MAX 1000

struct ui_listing {
    _Atomic unsigned refs;
    size_t count;
    uint64_t total_size;
    struct ui_file *files;
    size_t ready_count;
    uint32_t away; /* as ui_folder_away: nothing of these folders is listed */
    struct {
        uint64_t files, bytes, problems;
    } of[P2P_SHARES_MAX];        /* by position of the shared folder */
    struct ui_problem *problems; /* by name; at most UI_PROBLEMS_MAX */
    size_t problem_count, problem_total;
};

enum ui_folder { UI_SHARED, UI_DOWNLOADS, UI_FOLDERS };

/* The SHA-256 of a downloaded file, as far as it is known without reading the file. */
typedef bool ui_known_sha256(void *arg, const char *name, struct p2p_digest *out);
/* NULL: out of memory. */
struct ui_listings *ui_listings_new(ui_known_sha256 *known_sha256, void *arg);
void ui_listings_free(struct ui_listings *ls);

/* Release it with ui_listing_release. Never NULL on P2P_OK. */
P2P_MUST_CHECK enum p2p_err ui_listing_get(struct ui_folders *folders,
                                           enum ui_folder folder,
                                           const struct ui_listing **out);
void ui_listing_release(const struct ui_listing *l);
/* The folder was changed: the next get looks again, and the watch tells the dashboards.
 * Never blocks, may be called under any lock. */
void ui_listing_changed(struct ui_folders *folders, enum ui_folder folder);
/* True if a listing was made while a folder was away that is not any longer (`away`,
 * see ui_folder_away), since the last call. A client that read it knows an empty
 * folder. For the watch's thread only. */
bool ui_listing_take_back(struct ui_folders *folders, enum ui_folder folder,
                          uint32_t away);

#endif
