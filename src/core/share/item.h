/*
 * item - one file of the catalogue, and what tells whether it is still the file that was hashed.
 */
#ifndef P2P_SHARE_ITEM_H
#define P2P_SHARE_ITEM_H

#include <stdint.h>
#include <sys/stat.h>

#include "p2p/share.h"

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
 * under the catalogue's lock; the rest is the loop's alone. */
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

#endif
