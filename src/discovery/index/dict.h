/*
 * The dictionary of names. A search reads it without ever waiting for writers.
 *
 * New names go into an open part, which a search reads from end to end. A full part is
 * closed, and the dictionary's own thread merges it with smaller segments into a new
 * segment. A reader holds a view: the parts as they were at one moment. A name in a
 * view may have been dropped meanwhile, and its number used again, so a match counts
 * only if the catalogue still has that text.
 */
#ifndef P2P_DISCOVERY_DICT_H
#define P2P_DISCOVERY_DICT_H

#include <stdatomic.h>

#include "discovery/index/segment.h"

#define DICT_OPEN_NAMES   4096u
#define DICT_SEGMENTS_MAX 64u
#define DICT_CLOSED_MAX   4096u

/* Names in the order they came; written by one thread at a time, read by any. */
struct dict_part {
    _Atomic uint32_t count;
    struct segment_name names[DICT_OPEN_NAMES];
    uint32_t starts[DICT_OPEN_NAMES]; /* hint.h */
    uint64_t bytes[DICT_OPEN_NAMES];
    struct dict_block *blocks; /* memory of the texts */
    size_t block_left;
    _Atomic uint32_t refs;
};

struct dict_view {
    _Atomic uint32_t refs;
    uint32_t n_segments, n_parts; /* the last part is the open one */
    struct dict_segment **segments;
    struct dict_part **parts;
};

struct dict_segment {
    _Atomic uint32_t refs;
    struct segment *segment;
};

/* The functions of the owner of the names. The dictionary's thread calls them for at
 * most DICT_SLICE names at once; the owner takes its own locks. */
struct dict_owner {
    void *arg;
    /* Sets the weights. DICT_GONE: no peer has the name any longer. */
    void (*weigh)(void *arg, struct segment_name *names, uint32_t count);
    /*
     * The same, and drops the names that no peer has. The number of a name may have
     * been used again; the pointer to its text shows this.
     */
    void (*sift)(void *arg, struct segment_name *names, uint32_t count);
    /* The texts of these names have moved. */
    void (*moved)(void *arg, const struct segment_name *names, uint32_t count);
    /* Returns when no reader can still use a text from before the last call of moved.
     */
    void (*settle)(void *arg);
};
#define DICT_SLICE 256u
#define DICT_GONE  UINT32_MAX

struct dict;
/* An empty dictionary. Copies `owner`; *returns owned*. */
P2P_MUST_CHECK enum p2p_err dict_open(const struct dict_owner *owner,
                                      struct dict **result);
void dict_close(struct dict *d); /* ends the thread; accepts NULL */

/* Adds a name (valid UTF-8); returns its stored text, valid until `moved`. NULL: out of
 * memory. */
const char *dict_add(struct dict *d, uint32_t id, const char *text, size_t len);

/* Asks the thread to drop all names that no peer has. Otherwise that happens when parts
 * are sealed. */
void dict_compact(struct dict *d);

/* Asks the thread to set all weights again, because names have become more or less
 * common. */
void dict_reweigh(struct dict *d);

/* The names as they are now, for a search without locks. Release it soon, because it
 * keeps memory that was replaced. */
struct dict_view *dict_acquire(struct dict *d);
/* Gives a view back. */
void dict_release(struct dict_view *view);

/* Waits until everything that is closed has been sealed. For tests and benchmarks. */
void dict_settle(struct dict *d);

struct dict_stats {
    uint32_t segments, names, waiting; /* waiting: names not in a segment */
    size_t bytes;
};
/* From any thread. */
void dict_stats(struct dict *d, struct dict_stats *out);

#endif
