/*
 * catalogue - the shared files in memory, for readers.
 *
 * One thread (share_loop.c) changes it; any thread reads it under its lock.
 */
#ifndef P2P_SHARE_CATALOGUE_H
#define P2P_SHARE_CATALOGUE_H

#include <pthread.h>

#include "core/share/item.h"
#include "p2p/lock.h"

/* Names in order. */
struct p2p_names {
    char *text; /* all of them, each with its NUL; owned */
    const char **at;
    size_t count;
};

P2P_RWLOCK_KIND(p2p_catalogue_lock);
struct p2p_catalogue {
    struct p2p_catalogue_lock lock;
    /* tsearch(3): lookups stay fast for any choice of names. */
    void *by_name P2P_GUARDED_BY(p2p_catalogue_lock);
    /* Both of `buckets` chains. */
    struct p2p_item **by_root P2P_GUARDED_BY(p2p_catalogue_lock);
    struct p2p_item **by_inode P2P_GUARDED_BY(p2p_catalogue_lock);
    size_t buckets P2P_GUARDED_BY(p2p_catalogue_lock);
    /* Items that were READY at the last commit; check the state. */
    struct p2p_item **sorted P2P_GUARDED_BY(p2p_catalogue_lock);
    size_t sorted_count P2P_GUARDED_BY(p2p_catalogue_lock);
    struct p2p_share_totals totals P2P_GUARDED_BY(p2p_catalogue_lock);
    /* The empty folders; the names end in '/'. */
    struct p2p_names folders P2P_GUARDED_BY(p2p_catalogue_lock);
    /* The loop's own. */
    struct p2p_item **fresh; /* will be sorted in at the next commit */
    size_t fresh_count, fresh_cap;
    struct p2p_item **graves;
    size_t graves_count, graves_cap;
    size_t item_count;
    bool is_changed; /* since the last commit */
};

/* How many files are shared, for the loop, which needs no lock. */
static inline uint64_t
p2p_catalogue_own_files(const struct p2p_catalogue *catalogue)
{
    p2p_sole_writer(&catalogue->lock);
    return catalogue->totals.files;
}

/* Empty. NOMEM. */
P2P_MUST_CHECK enum p2p_err p2p_catalogue_init(struct p2p_catalogue *catalogue);
/* Frees all items; no reader is left. */
void p2p_catalogue_clear(struct p2p_catalogue *catalogue);
/* The item of this name, or NULL. Borrowed while the lock is held. */
struct p2p_item *p2p_catalogue_find(const struct p2p_catalogue *catalogue,
                                    const char *name)
    P2P_REQUIRES_READ(p2p_catalogue_lock);
/* The same for the share's loop, which needs no lock. */
struct p2p_item *p2p_catalogue_find_own(const struct p2p_catalogue *catalogue,
                                        const char *name);
/* Finds the item of this name, or makes one (NOTED); NULL: out of memory. */
struct p2p_item *p2p_catalogue_get(struct p2p_catalogue *catalogue, const char *name)
    P2P_EXCLUDES(p2p_catalogue_lock);
/* The item is shared from now on (in lists after the next commit). Takes `layer` (may
 * be NULL). */
P2P_MUST_CHECK enum p2p_err
p2p_catalogue_set_ready(struct p2p_catalogue *catalogue, struct p2p_item *item,
                        const struct p2p_file_facts *facts, struct p2p_digest *layer)
    P2P_EXCLUDES(p2p_catalogue_lock);
/* The item is not shared for now: PENDING, REFUSED or NOTED. */
void p2p_catalogue_set_state(struct p2p_catalogue *catalogue, struct p2p_item *item,
                             enum p2p_item_state state)
    P2P_EXCLUDES(p2p_catalogue_lock);
/* The item becomes NOTED and is kept in case its file returns. */
void p2p_catalogue_hold(struct p2p_catalogue *catalogue, struct p2p_item *item)
    P2P_EXCLUDES(p2p_catalogue_lock);
/* The item is not shared, because it cannot be read. */
void p2p_catalogue_refuse(struct p2p_catalogue *catalogue, struct p2p_item *item,
                          enum p2p_err problem) P2P_EXCLUDES(p2p_catalogue_lock);
/* Sets the facts from the index for a NOTED item, which waits until the scan finds its
 * file on disk. */
void p2p_catalogue_load(struct p2p_catalogue *catalogue, struct p2p_item *item,
                        const struct p2p_file_facts *facts)
    P2P_EXCLUDES(p2p_catalogue_lock);
/* The inode has a new ctime; the bytes are the same. */
void p2p_catalogue_touch(struct p2p_catalogue *catalogue, struct p2p_item *item,
                         int64_t ctime_ns) P2P_EXCLUDES(p2p_catalogue_lock);
/* The index has stored the layer. */
void p2p_catalogue_drop_layer(struct p2p_catalogue *catalogue, struct p2p_item *item)
    P2P_EXCLUDES(p2p_catalogue_lock);
void p2p_catalogue_set_sha256(struct p2p_catalogue *catalogue, struct p2p_item *item,
                              const struct p2p_digest *sha256)
    P2P_EXCLUDES(p2p_catalogue_lock);
void p2p_catalogue_count_hashed(struct p2p_catalogue *catalogue, uint64_t bytes)
    P2P_EXCLUDES(p2p_catalogue_lock);
void p2p_catalogue_remove(struct p2p_catalogue *catalogue, struct p2p_item *item)
    P2P_EXCLUDES(p2p_catalogue_lock);
/* Calls `visit` for each item, in order of name; it must not add or remove any. */
void p2p_catalogue_each(struct p2p_catalogue *catalogue,
                        void (*each)(struct p2p_item *, void *), void *arg);
/* The remaining work for this item, for the totals. */
void p2p_catalogue_owe(struct p2p_catalogue *catalogue, struct p2p_item *item,
                       bool owed) P2P_EXCLUDES(p2p_catalogue_lock);
/* Replaces the list of empty folders. Takes `names` and clears it. */
void p2p_catalogue_set_folders(struct p2p_catalogue *catalogue, struct p2p_names *names)
    P2P_EXCLUDES(p2p_catalogue_lock);
/* Makes the changes visible in lists. True if there were any. */
bool p2p_catalogue_commit(struct p2p_catalogue *catalogue)
    P2P_EXCLUDES(p2p_catalogue_lock);
/* The next READY item with this root after `previous` (NULL: the first). Needs the
 * lock. */
const struct p2p_item *p2p_catalogue_by_root(const struct p2p_catalogue *catalogue,
                                             const struct p2p_digest *root,
                                             const struct p2p_item *previous)
    P2P_REQUIRES_READ(p2p_catalogue_lock);

/* Finds another item with known facts whose file is the same one on disk: the old name
 * of a renamed file, or a hard link. For the share's loop only. */
const struct p2p_item *p2p_catalogue_twin(const struct p2p_catalogue *catalogue,
                                          const struct p2p_file_state *state,
                                          const struct p2p_item *but);
/* The next item with known facts and this inode after `previous` (NULL: the first). For
 * the share's loop only. */
struct p2p_item *p2p_catalogue_by_inode(const struct p2p_catalogue *catalogue,
                                        uint64_t inode, struct p2p_item *previous);
/* True if a file in this state is shared with this root now, under any name. Takes the
 * lock. */
bool p2p_catalogue_has_file(struct p2p_catalogue *catalogue,
                            const struct p2p_digest *root,
                            const struct p2p_file_state *state)
    P2P_EXCLUDES(p2p_catalogue_lock);

#endif
