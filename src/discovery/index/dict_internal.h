/* Declarations shared by dict.c and dict_seal.c. */
#ifndef P2P_DISCOVERY_DICT_INTERNAL_H
#define P2P_DISCOVERY_DICT_INTERNAL_H

#include <pthread.h>

#include "discovery/index/dict.h"
#include "p2p/lock.h"

enum dict_work {
    DICT_SEAL = 1,    /* closed parts wait */
    DICT_COMPACT = 2, /* rebuild every segment */
    DICT_REWEIGH = 4,
};

P2P_MUTEX_KIND(dict_lock);
struct dict {
    struct dict_owner owner;
    struct dict_lock lock;
    pthread_cond_t wake, idle;
    struct dict_view *view P2P_GUARDED_BY(dict_lock);
    /* Part of the view; only dict_add's thread writes into it. */
    struct dict_part *open;
    pthread_t thread;
    /* Of enum dict_work. */
    unsigned work P2P_GUARDED_BY(dict_lock);
    bool has_thread;
    bool is_busy P2P_GUARDED_BY(dict_lock);
    bool is_stopping P2P_GUARDED_BY(dict_lock);
};

/* Drops one reference; the last one frees the segment. */
void dict_segment_release(struct dict_segment *s);

/* Makes a view of these parts and segments, and holds each of them once more. */
struct dict_view *dict_view_new(struct dict_segment **segments, uint32_t n_segments,
                                struct dict_part **parts, uint32_t n_parts);

/* dict_seal.c: one round of the thread's work. */
void dict_seal(struct dict *d, bool wants_all);
void dict_weigh_all(struct dict *d);

#endif
