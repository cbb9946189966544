/*
 * share_internal - the parts of the share module.
 *
 *     share.c           open, close, what is asked from outside
 *     share_loop.c      the share's own thread: owner or follower of the index
 *     share_scan.c      the owner's work: what is on disk, what has to be hashed
 *     share_results.c   what came of it
 *     share_follow.c    the follower's work: what the owner wrote down
 *     share_watch.c     inotify on every folder
 *     share_hash.c      the threads that read and hash
 *     share_job.c       one file that is hashed
 *     share_progress.c  how far a large one has come, for the next start
 *     share_index.c     index.db
 *     share_view.c      the catalogue in memory, for readers
 *     share_file.c      files that are served
 *
 * One thread (share_loop.c) changes the view and the index; any thread reads the view.
 */
#ifndef P2P_SHARE_INTERNAL_H
#define P2P_SHARE_INTERNAL_H

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "p2p/clock.h"
#include "p2p/share.h"

/* ---- One file ---- */

/* What tells whether a file is still the one that was hashed. */
struct p2p_file_state {
    uint64_t size, inode;
    int64_t mtime_ns, ctime_ns;
};
struct p2p_file_state p2p_file_state_of(const struct stat *st);
bool p2p_file_state_equal(const struct p2p_file_state *a,
                          const struct p2p_file_state *b);

enum p2p_item_state {
    P2P_ITEM_NOTED,   /* somebody spoke of it: not looked at yet */
    P2P_ITEM_PENDING, /* there, to be hashed */
    P2P_ITEM_READY,   /* hashed: shared */
    P2P_ITEM_REFUSED, /* there, but it cannot be read */
    P2P_ITEM_GONE,    /* to be freed when nothing holds it any more */
};

/* What is known of a hashed file. */
struct p2p_file_facts {
    struct p2p_file_state state;
    uint32_t chunk_size, version;
    struct p2p_digest root, sha256;
    bool sha256_known;
};

/* A file of the catalogue. Readers see `facts`, `state`, `layer` and the links by root,
 * under the view's lock; the rest is the loop's alone. */
struct p2p_item {
    enum p2p_item_state state;
    struct p2p_file_facts
        facts; /* while PENDING: state as last seen, the rest as before */
    struct p2p_digest *layer; /* owned; only while the index could not take it */
    struct p2p_item *next_by_root;
    bool is_sorted; /* a pointer to it is in `sorted` */
    bool is_dirty, is_queued, is_with_hasher, is_owed;
    struct p2p_item *next_dirty, *next_queued;
    uint64_t due_ms; /* dirty: when to look */
    uint64_t owed_bytes;
    uint32_t seen; /* the scan that saw it last */
    char name[];
};

/* ---- The catalogue in memory ---- */

struct p2p_view {
    pthread_rwlock_t lock;
    void *by_name; /* tsearch(3): look-ups stay fast whatever names others think up */
    struct p2p_item **by_root;
    size_t root_buckets;
    struct p2p_item **sorted; /* READY at the last commit; check the state */
    size_t sorted_count;
    struct p2p_share_totals totals;
    struct p2p_item **fresh; /* to be sorted in at the next commit */
    size_t fresh_count, fresh_cap;
    struct p2p_item **graves;
    size_t graves_count, graves_cap;
    size_t item_count;
    bool is_changed; /* since the last commit */
};

P2P_MUST_CHECK enum p2p_err p2p_view_init(struct p2p_view *view);
void p2p_view_clear(struct p2p_view *view);
struct p2p_item *p2p_view_find(const struct p2p_view *view, const char *name);
/* The item of this name, made (NOTED) when there is none; NULL: out of memory. */
struct p2p_item *p2p_view_get(struct p2p_view *view, const char *name);
/* Shared from now on (in lists after the next commit). Takes `layer` (may be NULL). */
P2P_MUST_CHECK enum p2p_err p2p_view_set_ready(struct p2p_view *view,
                                               struct p2p_item *item,
                                               const struct p2p_file_facts *facts,
                                               struct p2p_digest *layer);
/* Not shared for now: PENDING, REFUSED or NOTED. */
void p2p_view_set_state(struct p2p_view *view, struct p2p_item *item,
                        enum p2p_item_state state);
void p2p_view_set_sha256(struct p2p_view *view, struct p2p_item *item,
                         const struct p2p_digest *sha256);
void p2p_view_count_hashed(struct p2p_view *view, uint64_t bytes);
void p2p_view_remove(struct p2p_view *view, struct p2p_item *item);
/* Calls for each item, in order of name; it must not add or remove any. */
void p2p_view_each(struct p2p_view *view, void (*each)(struct p2p_item *, void *),
                   void *arg);
/* The work that is left because of this item, for the totals. */
void p2p_view_owe(struct p2p_view *view, struct p2p_item *item, bool owed);
/* Makes the changes visible in lists. True when there were any. */
bool p2p_view_commit(struct p2p_view *view);
/* The next READY item with this root after `previous` (NULL: the first). With the lock.
 */
const struct p2p_item *p2p_view_by_root(const struct p2p_view *view,
                                        const struct p2p_digest *root,
                                        const struct p2p_item *previous);

/* ---- The index ---- */

struct p2p_index; /* *returned owned*, free with p2p_index_close */

/* `owner`: may write; a damaged file is put aside (index.db.damaged) and begun anew;
 * where nothing can be written it lives in memory. A follower gets the error instead.
 */
P2P_MUST_CHECK enum p2p_err p2p_index_open(const struct p2p_root *root, bool owner,
                                           struct p2p_index **out);
void p2p_index_close(struct p2p_index *index);
bool p2p_index_is_in_memory(const struct p2p_index *index);
sqlite3 *p2p_index_db(const struct p2p_index *index); /* the loop's connection */

/* Rows changed after change number `after`, in order of change; NULL facts: the file
 * went. */
typedef enum p2p_err p2p_index_visit(void *arg, const char *name,
                                     const struct p2p_file_facts *facts);
P2P_MUST_CHECK enum p2p_err p2p_index_load(struct p2p_index *index, int64_t after,
                                           p2p_index_visit *visit, void *arg,
                                           int64_t *last_change);
P2P_MUST_CHECK enum p2p_err p2p_index_begin(struct p2p_index *index);
P2P_MUST_CHECK enum p2p_err p2p_index_commit(struct p2p_index *index);
/* `layer` NULL: the row's layer stays. */
P2P_MUST_CHECK enum p2p_err p2p_index_put(struct p2p_index *index, const char *name,
                                          const struct p2p_file_facts *facts,
                                          const struct p2p_digest *layer);
P2P_MUST_CHECK enum p2p_err p2p_index_remove(struct p2p_index *index, const char *name);
/* The layer of a file, checked against the root. Any thread. */
P2P_MUST_CHECK enum p2p_err p2p_index_layer(struct p2p_index *index, const char *name,
                                            const struct p2p_chunks *g,
                                            const struct p2p_digest *root,
                                            struct p2p_digest *out);

/* What the owner tells its followers beside the files. */
struct p2p_index_status {
    int64_t epoch; /* another one: an owner began anew, read everything */
    int64_t hashing_files, hashing_bytes;
};
P2P_MUST_CHECK enum p2p_err p2p_index_get_status(struct p2p_index *index,
                                                 struct p2p_index_status *out);
P2P_MUST_CHECK enum p2p_err p2p_index_set_status(struct p2p_index *index,
                                                 const struct p2p_index_status *status);

/* ---- Hashing ---- */

/* One file to hash: what was asked, then what came of it. */
struct p2p_hash_job {
    struct p2p_hash_job *next;
    struct p2p_item *item; /* for the loop; the threads do not look at it */
    struct p2p_file_state state;
    uint32_t chunk_size;
    bool flat;        /* only the SHA-256 of the whole file */
    enum p2p_err err; /* FILE_CHANGED: look again */
    struct p2p_digest root, sha256;
    bool sha256_known;
    struct p2p_digest *layer; /* owned; NULL for one chunk or none */
    /* Where it begins: chunks that `layer` holds already, bytes in `flat_state`. */
    uint64_t begin;
    struct p2p_sha256_state flat_state;
    uint64_t saved; /* the loop's: chunks or bytes that are in the index */
    /* The threads' own. */
    struct p2p_chunks geometry;
    int fd;
    uint64_t claimed, done, settled; /* chunks; settled: all before it are hashed */
    bool *settled_spans;             /* owned */
    char name[];
};

/* One job (share_job.c). CANCELLED, FILE_CHANGED: not what was to be hashed. */
struct p2p_hash_job *p2p_hash_job_new(const char *name);
void p2p_hash_job_free(struct p2p_hash_job *job);
P2P_MUST_CHECK enum p2p_err p2p_hash_job_open(struct p2p_hash_job *job,
                                              const struct p2p_root *root);
P2P_MUST_CHECK enum p2p_err p2p_hash_job_check(const struct p2p_hash_job *job);
/* Exactly `len` bytes; a file that ends before has changed. */
P2P_MUST_CHECK enum p2p_err p2p_hash_job_read(const struct p2p_hash_job *job,
                                              uint8_t *buf, size_t len,
                                              uint64_t offset);
/* Chunks in a span: what is claimed and settled at once. */
#define P2P_HASH_SPAN_BYTES (16 * P2P_MIB)
uint64_t p2p_hash_job_span(const struct p2p_hash_job *job);
/* The span that begins at chunk `first` is in the layer. */
void p2p_hash_job_settle(struct p2p_hash_job *job, uint64_t first);

struct p2p_hasher; /* *returned owned*, free with p2p_hasher_free */
P2P_MUST_CHECK enum p2p_err p2p_hasher_new(const struct p2p_root *root,
                                           unsigned threads, int wake_fd,
                                           struct p2p_hasher **out);
void p2p_hasher_free(struct p2p_hasher *hasher);
void p2p_hasher_add(struct p2p_hasher *hasher, struct p2p_hash_job *job); /* takes it */
/* Finished jobs as a list (owned), NULL for none. wake_fd (an eventfd) is written when
 * there are. */
struct p2p_hash_job *p2p_hasher_take(struct p2p_hasher *hasher);

/* How far the jobs of large files have come. They stay the hasher's; of `layer` only
 * what is settled may be read. */
struct p2p_hash_progress {
    struct p2p_hash_job *job;
    uint64_t settled;                   /* tree: chunks */
    struct p2p_sha256_state flat_state; /* flat */
};
#define P2P_HASH_SAVED_MIN (64 * P2P_MIB)
size_t p2p_hasher_progress(struct p2p_hasher *hasher, struct p2p_hash_progress *out,
                           size_t max);

/* Up to this size the SHA-256 comes with the tree; beyond, the tree first: that is when
 * the file can be shared, and it takes a fifth of the time. */
#define P2P_HASH_TOGETHER_MAX (256 * P2P_KIB)

/* ---- What is left over when a program ends while it hashes (share_progress.c) ---- */

/* In the owner's index; the loop's. Functions take NULL, too: nothing is kept. */
struct p2p_progress; /* *returned owned*, free with p2p_progress_close */
P2P_MUST_CHECK enum p2p_err p2p_progress_open(struct p2p_index *index,
                                              struct p2p_progress **out);
void p2p_progress_close(struct p2p_progress *progress);
/* Where a new job may begin. */
void p2p_progress_load(struct p2p_progress *progress, struct p2p_hash_job *job);
/* True about once a second: time to save. */
bool p2p_progress_is_due(struct p2p_progress *progress, uint64_t now_ms);
uint64_t p2p_progress_due_ms(const struct p2p_progress *progress);
/* In a transaction. */
P2P_MUST_CHECK enum p2p_err p2p_progress_put(struct p2p_progress *progress,
                                             const struct p2p_hash_progress *now);
/* In a transaction: nothing is being hashed, so nothing is to be gone on with. */
P2P_MUST_CHECK enum p2p_err p2p_progress_clear(struct p2p_progress *progress);
bool p2p_progress_is_empty(const struct p2p_progress *progress);

/* ---- Watching ---- */

struct p2p_watch {
    int fd;         /* inotify, or -1 */
    char **folders; /* by watch descriptor */
    size_t cap;
    bool is_incomplete; /* the system ran out of watches: scan now and then instead */
};
enum p2p_watch_event {
    P2P_WATCH_WRITING, /* a file is being written */
    P2P_WATCH_TOUCHED, /* a file was closed after writing, came, went, changed */
    P2P_WATCH_FOLDER,  /* a folder came */
    P2P_WATCH_LOST, /* events were lost, or a folder went elsewhere: scan all (name "")
                     */
};
typedef void p2p_watch_visit(void *arg, enum p2p_watch_event event, const char *name);
void p2p_watch_open(struct p2p_watch *watch);
void p2p_watch_close(struct p2p_watch *watch);
void p2p_watch_add(struct p2p_watch *watch, const char *folder, int fd);
/* Everything that waits to be read. */
void p2p_watch_read(struct p2p_watch *watch, p2p_watch_visit *visit, void *arg);

/* ---- The share ---- */

#define P2P_LAYERS_CACHED 8
struct p2p_layer_cache {
    pthread_mutex_t lock;
    struct {
        struct p2p_digest root;
        struct p2p_digest *hashes; /* owned */
        uint64_t count;
    } slots[P2P_LAYERS_CACHED];
    unsigned next;
};

/* Items in line, linked by next_queued. */
struct p2p_queue {
    struct p2p_item *first, *last;
};

struct p2p_share {
    struct p2p_root *root;
    uint32_t chunk_size;
    unsigned threads;
    p2p_share_changed *on_change;
    void *arg;

    struct p2p_view view;
    struct p2p_layer_cache layers;
    pthread_rwlock_t index_lock; /* of the pointer: the loop may open another one */
    struct p2p_index *index;

    /* Messages to the loop; under `lock` what is no atomic. */
    pthread_t thread;
    bool is_running;
    int wake_fd;
    atomic_bool stop, hurry;
    pthread_mutex_t lock;
    pthread_cond_t idle;
    uint64_t idle_wanted, idle_reached;
    char suspect[P2P_NAME_MAX + 1];  /* not on disk as it was hashed: look */
    char doubtful[P2P_NAME_MAX + 1]; /* its layer is not in the index: hash again */

    /* The loop's own. */
    int lock_fd;
    bool is_owner, is_broken;
    struct p2p_watch watch;
    uint32_t scan; /* number of the last one */
    uint64_t callback_due_ms;

    /* The loop's as owner. */
    struct p2p_hasher *hasher;
    struct p2p_progress *progress;
    struct p2p_item *dirty;
    struct p2p_queue trees, flats;
    size_t with_hasher;
    bool is_lost, is_scanned, is_in_transaction, has_warned;
    size_t skipped;
    uint64_t next_scan_ms, last_commit_ms;

    /* The loop's as follower. */
    int64_t epoch, last_change;
    ino_t index_inode;
    bool is_stale;
    uint64_t follow_due_ms;
};

/* Changes are gathered this long before on_change is called. */
#define P2P_SHARE_DEBOUNCE_MS 250

void p2p_share_wake(struct p2p_share *share);
void *p2p_share_loop(void *share);
/* Leaves a name in one of the two slots above and wakes the loop. A second name before
 * the loop comes takes the place of the first: these are hints, inotify is the rule. */
void p2p_share_tell(struct p2p_share *share, char slot[P2P_NAME_MAX + 1],
                    const char *name);
/* Closes the index and opens it as owner or follower. */
P2P_MUST_CHECK enum p2p_err p2p_share_open_index(struct p2p_share *share);
/* Removes what the last scan or load did not see. `forget` is told before (may be
 * NULL). */
void p2p_share_remove_unseen(struct p2p_share *share,
                             void (*forget)(struct p2p_share *, struct p2p_item *));

/* Items on their way (share_results.c). */

/* After the last write before a file counts as quiet; after it was closed or moved in.
 */
#define P2P_QUIET_MS  500
#define P2P_SETTLE_MS 20

/* To be looked at after a while; a later note puts it off. */
void p2p_results_note(struct p2p_share *share, struct p2p_item *item,
                      uint64_t delay_ms);
void p2p_results_enqueue(struct p2p_queue *queue, struct p2p_item *item);
void p2p_results_want_sha256(struct p2p_share *share, struct p2p_item *item);
/* Gives the hasher as much as is good for it, and takes what it has finished. */
void p2p_results_feed(struct p2p_share *share);
void p2p_results_collect(struct p2p_share *share);
/* Writes down how far the hasher has come with large files, or that it has done all. */
void p2p_results_save(struct p2p_share *share);
void p2p_results_clear_saved(struct p2p_share *share);
/* Out of the index. */
void p2p_results_forget(struct p2p_share *share, struct p2p_item *item);
void p2p_results_commit(struct p2p_share *share);
void p2p_results_warn(struct p2p_share *share, enum p2p_err err); /* once */

/* The owner's work (share_scan.c). */
P2P_MUST_CHECK enum p2p_err p2p_scan_start(struct p2p_share *share);
void p2p_scan_stop(struct p2p_share *share);
/* One round: events, files that are due, results. True when nothing is left to do;
 * `*due_ms` is when the next round is due at the latest. */
bool p2p_scan_round(struct p2p_share *share, uint64_t *due_ms);

/* A follower's (share_follow.c). */
bool p2p_follow_round(struct p2p_share *share, uint64_t *due_ms);

#endif
