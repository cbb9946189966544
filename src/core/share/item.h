/*
 * item - one file of the catalogue, and the data that tells whether the file is still
 * the one that was hashed.
 */
#ifndef P2P_SHARE_ITEM_H
#define P2P_SHARE_ITEM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "p2p/share.h"

struct p2p_hash_job;

/* The data that tells whether a file is still the one that was hashed. */
struct p2p_file_state {
    uint64_t size, inode;
    int64_t mtime_ns, ctime_ns;
};
/* The part of `st` by which changes are noticed. */
struct p2p_file_state p2p_file_state_of(const struct stat *st);

/*
 * The result of comparing two states of a file. Size, modification time and inode tell
 * whether its bytes changed. The time of the inode (ctime) alone tells nothing: chmod,
 * link, rename and extended attributes change it, too.
 */
enum p2p_file_change {
    P2P_FILE_SAME,
    P2P_FILE_TOUCHED, /* only the ctime differs: the bytes are probably the same */
    P2P_FILE_CHANGED,
};
enum p2p_file_change p2p_file_state_compare(const struct p2p_file_state *a,
                                            const struct p2p_file_state *b);

enum p2p_item_state {
    P2P_ITEM_NOTED,   /* named by an event or by the index, and not examined yet */
    P2P_ITEM_PENDING, /* there, to be hashed */
    P2P_ITEM_READY,   /* hashed: shared */
    P2P_ITEM_REFUSED, /* there, but it cannot be read: see `problem` */
    P2P_ITEM_GONE,    /* removed; freed when nothing holds it any longer */
};

/* The facts about a hashed file. */
struct p2p_file_facts {
    struct p2p_file_state state;
    uint32_t chunk_size, version;
    struct p2p_digest root, sha256;
    bool sha256_known;
};

/* A file of the catalogue. Readers may use `facts`, `state`, `problem`, `layer` and the
 * links by root, under the catalogue's lock; the other fields belong to the share's
 * loop. */
struct p2p_item {
    enum p2p_item_state state;
    enum p2p_err problem; /* REFUSED: why */
    /* While PENDING: the state when it was last seen; the other fields are unchanged.
     */
    struct p2p_file_facts facts;
    struct p2p_digest *layer; /* owned; only while the index has not stored it */
    struct p2p_item *next_by_root;
    struct p2p_item *next_by_inode; /* with facts, that is a version above 0 */
    bool is_sorted;                 /* a pointer to it is in `sorted` */
    bool is_dirty, is_queued, is_owed, is_missing, is_unsaved, is_by_inode;
    bool is_unchecked; /* may have been written without an event: hash it again */
    bool is_hidden;    /* its row in the index is marked: followers do not list it */
    bool is_held;      /* among the missing files, see share_missing.c */
    bool is_absent;    /* and its disk is not there */
    bool is_written; /* an event has reported a write since it was hashed, whatever the
                      * times show */
    struct p2p_hash_job *job; /* with the hasher */
    struct p2p_item *next_dirty, *next_queued, *next_unsaved;
    uint64_t due_ms; /* dirty: when to look */
    uint64_t owed_bytes;
    uint64_t hashed_ms,
        hash_cost_ms;  /* when it was last hashed, and how long that took */
    unsigned failures; /* failures to read it, in a row */
    uint32_t seen;     /* number of the scan in or after which it was last seen */
    char name[];
};

#endif
