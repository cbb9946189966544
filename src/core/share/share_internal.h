/*
 * share_internal - the share itself: its struct, its thread, and the steps an item goes
 * through.
 *
 *     share.c            open, close, and the questions from outside
 *     share_loop.c       the share's own thread: owner or follower of the index
 *     share_scan.c       the owner's work: compare the disk with the catalogue
 *     share_folders.c    empty folders
 *     share_missing.c    files that are gone, until it is clear that they were deleted
 *     share_disks.c      disks beneath the folder that are not mounted now
 *     share_record.c     what is remembered outside of the folder
 *     share_private.c    where the index is: in the folder or in the keys folder
 *     share_pipeline.c   items on their way to the hasher, and their results
 *     share_follow.c     the follower's work: read what the owner wrote to the index
 *     share_watch.c      inotify on every folder
 *     share_mounts.c     other file systems that are mounted beneath it
 *     share_hasher.c     the threads that read and hash
 *     share_hash_job.c   one file to hash
 *     share_progress.c   how far a large file has come, for the next start
 *     share_index.c      index.db
 *     share_catalogue.c  the catalogue in memory, for readers
 *     share_served.c     files that are served
 *     shares.c           several shares as one; shares_folders.c: which folders
 *
 * One thread (share_loop.c) changes the catalogue and the index; any thread reads the
 * catalogue.
 */
#ifndef P2P_SHARE_INTERNAL_H
#define P2P_SHARE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "core/share/catalogue.h"
#include "core/share/disks.h"
#include "core/share/folders.h"
#include "core/share/hasher.h"
#include "core/share/index.h"
#include "core/share/mounts.h"
#include "core/share/problems.h"
#include "core/share/progress.h"
#include "core/share/record.h"
#include "core/share/watch.h"
#include "p2p/clock.h"
#include "p2p/lock.h"
#include "p2p/share.h"

#define P2P_LAYERS_CACHED 8
P2P_MUTEX_KIND(p2p_layer_cache_lock);
struct p2p_layer_cache {
    struct p2p_layer_cache_lock lock;
    struct {
        struct p2p_digest root;
        struct p2p_digest *hashes; /* owned */
        uint64_t count;
    } slots[P2P_LAYERS_CACHED] P2P_GUARDED_BY(p2p_layer_cache_lock);
    unsigned next P2P_GUARDED_BY(p2p_layer_cache_lock);
};

/* A queue of items, linked by next_queued. */
struct p2p_queue {
    struct p2p_item *first, *last;
};

/* Items that wait for one kind of hash, and jobs of the hasher, by size class: the
 * hasher has jobs of every class, so that it can prefer the small ones. */
#define P2P_SIZE_CLASSES 6
struct p2p_pipeline {
    struct p2p_queue waiting[P2P_SIZE_CLASSES];
    size_t with_hasher[P2P_SIZE_CLASSES];
};

P2P_MUTEX_KIND(p2p_mailbox_lock);
/* Messages of other threads for the share's thread. */
struct p2p_share_mailbox {
    int wake_fd; /* an eventfd */
    atomic_bool stop, hurry;
    atomic_bool confirmed; /* missing files were deleted */
    struct p2p_mailbox_lock lock;
    pthread_cond_t idle;
    uint64_t idle_wanted P2P_GUARDED_BY(p2p_mailbox_lock);
    uint64_t idle_reached P2P_GUARDED_BY(p2p_mailbox_lock);
    /* A name: the file differs from the hashed one, so examine it again. */
    char suspect[P2P_NAME_MAX + 1] P2P_GUARDED_BY(p2p_mailbox_lock);
    /* Its layer is not in the index, so hash it again. */
    char doubtful[P2P_NAME_MAX + 1] P2P_GUARDED_BY(p2p_mailbox_lock);
    /* It was served, but its inode has changed since it was hashed. */
    char unchecked[P2P_NAME_MAX + 1] P2P_GUARDED_BY(p2p_mailbox_lock);
};

/* The owner writes the index: it scans the folder and hashes its files. */
struct p2p_share_owner {
    struct p2p_hasher *hasher;
    struct p2p_progress *progress;
    struct p2p_problems *problems;
    struct p2p_folders *folders; /* the empty ones */
    bool has_new_problems;       /* since they were stored */
    struct p2p_item *dirty;
    struct p2p_pipeline trees, flats;
    struct p2p_pipeline checks; /* files that are hashed again and stay shared; with the
                                   hasher they count as trees */
    struct p2p_item
        *unsaved; /* items whose row is not in a committed transaction yet */
    uint64_t resave_ms, resave_pause_ms; /* after a failed commit: when to try again */
    bool is_lost, is_scanned, is_in_transaction;
    enum p2p_err warned; /* the last failure that was logged */
    bool is_in_doubt;    /* the scan follows a time in which events were lost */
    bool is_behind;      /* a failing disk lost rows, which must be written again */
    size_t skipped;
    size_t missing;    /* items that are gone from the disk and kept */
    size_t absent;     /* of these, the ones whose disk is not mounted */
    bool must_recount; /* for each disk */
    struct p2p_disks disks;
    uint64_t waiting_ms; /* some files have been missing since this time */
    uint64_t settle_ms;  /* when they are judged */
    uint64_t confirm_ms; /* until this time, files that disappear count as deleted by
                          * the owner */
    uint64_t next_scan_ms, scan_cost_ms, last_scan_ms, last_commit_ms;
};

/* A follower reads the index that the owner writes. */
struct p2p_share_follower {
    int64_t epoch, last_change, folders_version;
    ino_t index_inode;
    bool is_stale;
    bool has_removed; /* a file, and not only because it is missing */
    uint64_t due_ms;
};

P2P_RWLOCK_KIND(p2p_share_index_lock);
struct p2p_share {
    /* As opened. */
    struct p2p_root *root;
    struct p2p_root *aside; /* NULL: the index is in `.p2p` of the folder itself */
    uint32_t chunk_size;
    unsigned threads, quiet_ms;
    p2p_share_changed *on_change;
    void *arg;

    /* For readers on any thread. */
    struct p2p_catalogue catalogue;
    struct p2p_layer_cache layers;
    struct p2p_share_index_lock index_lock; /* the pointer; the loop may replace it */
    struct p2p_index *index P2P_GUARDED_BY(p2p_share_index_lock);

    struct p2p_share_mailbox mail;
    struct p2p_record *record; /* or NULL; the loop's */
    /* Set by the share's loop: the folder is not at its path; the folder is empty and
     * had this many files. */
    atomic_bool is_gone, is_follower;
    atomic_uint_fast64_t missing_files, away_files;

    /* The loop's own. */
    pthread_t thread;
    bool is_running;
    int lock_fd;
    bool is_owner, is_broken;
    struct p2p_watch watch;
    struct p2p_mounts mounts; /* watched by the owner */
    uint32_t scan;            /* number of the last scan */
    uint64_t callback_due_ms, place_due_ms;
    struct p2p_share_owner owner;
    struct p2p_share_follower follower;
};

/* The index for the share's thread, which alone replaces it. */
static inline struct p2p_index *
p2p_share_own_index(struct p2p_share *s)
{
    p2p_sole_writer(&s->index_lock);
    return s->index;
}

/* Changes are gathered this long before on_change is called. */
#define P2P_SHARE_DEBOUNCE_MS 250

/* Makes the loop look at its mailbox; from any thread. */
void p2p_share_wake(struct p2p_share *share);
/* ---- share_place.c ---- */

/* The folder is not at its path. */
bool p2p_share_is_gone(struct p2p_share *share);
bool p2p_share_is_away(struct p2p_share *share); /* gone, or emptied */
bool p2p_share_is_emptied(struct p2p_share *share);
/* Reports a change of this state to readers and in the log. */
void p2p_share_set_emptied(struct p2p_share *share, uint64_t files);
/* The same for the files of disks beneath the folder. */
void p2p_share_set_away_files(struct p2p_share *share, uint64_t files);
/* Looks whether the folder is still at its path, when that is due. */
void p2p_share_look_at_place(struct p2p_share *share, uint64_t now_ms);

/* ---- share_loop.c ---- */

/* The thread of the share. */
void *p2p_share_loop(void *share);
/* Puts a name into one of the mailbox's slots and wakes the loop. A second name
 * replaces the first if the loop has not read it yet: these are only hints, the events
 * of inotify are complete. */
void p2p_share_tell(struct p2p_share *share, char slot[P2P_NAME_MAX + 1],
                    const char *name);
/* ---- share_private.c ---- */

/* The root whose private folder has the index. Borrowed. */
const struct p2p_root *p2p_share_private(const struct p2p_share *share);
/* Opens the folder beneath `keys_dir` that has the index of `root`; NULL: the index is
 * in `root` itself. For the programs that share the folder. */
P2P_MUST_CHECK enum p2p_err p2p_share_open_private(const struct p2p_root *root,
                                                   const char *keys_dir,
                                                   struct p2p_root **out);
/* The same for other programs: creates nothing. */
P2P_MUST_CHECK enum p2p_err p2p_share_find_private(const struct p2p_root *root,
                                                   const char *keys_dir,
                                                   struct p2p_root **out);
/* Closes the index and opens it as owner or follower. */
P2P_MUST_CHECK enum p2p_err p2p_share_open_index(struct p2p_share *share);
/* share_missing.c: calls `lose` for the items that the last scan or load did not see.
 */
void p2p_share_lose_unseen(struct p2p_share *share,
                           void (*lose)(struct p2p_share *, struct p2p_item *));

/* Items that are being hashed (share_pipeline.c). */

/* A file counts as quiet this long after it was closed or moved into the folder. */
#define P2P_SETTLE_MS 20

/* How long the file must be quiet before it is hashed. The time is longer for a file
 * that keeps changing, in proportion to its hashing time, so that the file is left
 * alone for most of the time. */
uint64_t p2p_pipeline_quiet_ms(const struct p2p_share *share,
                               const struct p2p_item *item);
/* Examine the item after a while; a later call puts it off. */
void p2p_pipeline_note(struct p2p_share *share, struct p2p_item *item,
                       uint64_t delay_ms);
/* Hash the item, with its current state and facts. */
void p2p_pipeline_want_tree(struct p2p_share *share, struct p2p_item *item);
void p2p_pipeline_want_sha256(struct p2p_share *share, struct p2p_item *item);
/* Hashes a file again that stays shared: its inode changed, but probably not its
 * bytes. */
void p2p_pipeline_recheck(struct p2p_share *share, struct p2p_item *item,
                          const struct p2p_file_state *now);
/* The same, at low priority, for a file that may have been written without an event. */
void p2p_pipeline_want_check(struct p2p_share *share, struct p2p_item *item);
/* The hasher's result for this item is no longer needed. */
void p2p_pipeline_cancel(struct p2p_share *share, struct p2p_item *item);
/* The item is not shared because it cannot be read; it is retried if time can help. */
void p2p_pipeline_refuse(struct p2p_share *share, struct p2p_item *item,
                         enum p2p_err problem);
/* Makes the item READY with the facts of its twin, which is the same file on disk.
 * False: it has to be hashed. */
bool p2p_pipeline_adopt(struct p2p_share *share, struct p2p_item *item,
                        const struct p2p_item *twin, const struct p2p_file_state *now);
/* Stores the ctime of a READY item that was touched. */
void p2p_pipeline_touch(struct p2p_share *share, struct p2p_item *item,
                        int64_t ctime_ns);
/* True if items wait to be hashed, or are being hashed. */
bool p2p_pipeline_is_busy(const struct p2p_share *share);
/* Gives new jobs to the hasher, and takes the finished ones. */
void p2p_pipeline_feed(struct p2p_share *share);
void p2p_pipeline_collect(struct p2p_share *share);
/* Saves the progress of the hasher with large files, or that everything is done. */
void p2p_pipeline_save(struct p2p_share *share);
/* Before the end: marks files that were written and not hashed again, so that they are
 * hashed at the next start. */
void p2p_pipeline_doubt_pending(struct p2p_share *share);
/* Removes the saved progress. */
void p2p_pipeline_clear_saved(struct p2p_share *share);
/* Removes the item from the index and ends its job. */
void p2p_pipeline_forget(struct p2p_share *share, struct p2p_item *item);
/* Stores in the index whether the item is on disk; and that the folder is empty and had
 * this many files (0: it is not in this state). */
void p2p_pipeline_set_missing(struct p2p_share *share, struct p2p_item *item,
                              bool is_missing);
void p2p_pipeline_set_emptied(struct p2p_share *share, uint64_t files);
/* Shows the empty folders to readers and writes them to the index. */
void p2p_pipeline_store_folders(struct p2p_share *share);
/* Writes the list of disks to the index. */
void p2p_pipeline_store_disks(struct p2p_share *share);
/* Writes the list of what is not shared to the index. */
void p2p_pipeline_store_problems(struct p2p_share *share);
/* Ends the open transaction of the index, if there is one. */
void p2p_pipeline_commit(struct p2p_share *share);
/* Writes rows again that a full or failing disk has refused, when that is due. */
void p2p_pipeline_resave(struct p2p_share *share, uint64_t now_ms);
void p2p_pipeline_warn(struct p2p_share *share, enum p2p_err err); /* once */

/* The owner's work (share_scan.c). */
P2P_MUST_CHECK enum p2p_err p2p_scan_start(struct p2p_share *share);
/* Stores what is done, then frees the hasher and the other parts of the owner. */
void p2p_scan_stop(struct p2p_share *share);
/* One round: events, files that are due, results. True when nothing is left to do;
 * `*due_ms` is when the next round is due at the latest. */
bool p2p_scan_round(struct p2p_share *share, uint64_t *due_ms);

/*
 * Missing files (share_missing.c) are gone from the disk and from every list, but are
 * kept in the index. When no other file disappears for a moment, there are two cases:
 * if other files are left, the missing ones were deleted, unless their disk is not
 * there; if none is left, the folder counts as away.
 */
void p2p_missing_add(struct p2p_share *share, struct p2p_item *item);
/* Loads the state from the index at the start. */
void p2p_missing_load(struct p2p_share *share, struct p2p_item *item);
void p2p_missing_end(struct p2p_share *share, struct p2p_item *item); /* it is back */
/* Looks at the disks beneath the folder, before a scan. */
void p2p_missing_look(struct p2p_share *share);
/* Looks at places that could not be read, after a scan. */
void p2p_missing_reopen(struct p2p_share *share);
/* The owner has confirmed that they were deleted, a moment ago or now. */
void p2p_missing_confirm(struct p2p_share *share, uint64_t now_ms);
/* One round; `*due_ms` as p2p_scan_round. */
void p2p_missing_round(struct p2p_share *share, uint64_t now_ms, uint64_t *due_ms);

/* A follower's (share_follow.c). */
bool p2p_follow_round(struct p2p_share *share, uint64_t *due_ms);

#endif
