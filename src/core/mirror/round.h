/*
 * round - what the files of a round share: the round, and what is known about each
 * name.
 *
 *     round.c          opens both sides, runs the parts below in this order, sums up
 *     round_feed.c     what the source says that it changed, and the list from it
 *     round_compare.c  the source's list, the folder here and the record: what to do
 *     round_fold.c     names that are one file here
 *     round_hold.c     which removals and replacements wait
 *     round_fetch.c    downloads
 *     round_finish.c   removes, and records what is here
 */
#ifndef P2P_MIRROR_ROUND_H
#define P2P_MIRROR_ROUND_H

#include "core/mirror/mirror_internal.h"
#include "core/mirror/plan.h"
#include "p2p/versions.h"

/* What is known about one name. */
struct p2p_round_step {
    const char *name; /* in the mirror's folder; borrowed */
    const struct p2p_mirror_file *source;
    const struct p2p_applied_file *known;
    enum p2p_mirror_act act;
    bool is_there, is_unread; /* the file here */
    struct p2p_digest here;
    struct p2p_file_state state;
    uint64_t disk;
    bool
        is_unsaid; /* it is missing at the source, which does not say that it deleted it
                    */
};

/* What the source says that it changed since the last round. */
struct p2p_round_feed {
    bool is_told;  /* it knows what it deleted */
    bool is_quick; /* with the record, this is its whole list */
    struct p2p_applied_place was, now;
    struct p2p_round_news {
        char *name; /* in the mirrored folder; owned */
        bool is_gone;
        struct p2p_mirror_file file; /* its name is the same one */
        size_t order;                /* as they came */
    } * at;
    size_t count, room;
};

struct p2p_round {
    const struct p2p_keeper_options *opt;
    struct p2p_mirror *job;
    bool (*stop)(void *arg);
    void *stop_arg;
    struct p2p_root *root;
    struct p2p_versions *versions; /* NULL: it cannot have any */
    struct p2p_applied *applied;
    struct p2p_applied_list known;
    struct p2p_mirror_source source;
    struct p2p_round_step *steps;
    size_t count;
    const char **names; /* of the source */
    struct p2p_round_feed feed;
    bool is_braked, no_history;
    size_t unsaid; /* removals that wait because the source says nothing about them */
    size_t folded; /* names that are one file here with another one */
    size_t failed;
    enum p2p_err failure; /* of the first file that failed */
};

/* True if the round has to end early. */
static inline bool
p2p_round_is_stopped(const struct p2p_round *r)
{
    return r->stop(r->stop_arg);
}
/* The name in the folder here of a name at the source. False: it is too long here. */
bool p2p_round_name_here(const struct p2p_round *r, const char *name,
                         char out[P2P_NAME_MAX + 1]);

/* Reads the source's list: what has changed, if it tells that, or else all of it. */
P2P_MUST_CHECK enum p2p_err p2p_round_list(struct p2p_round *r);
/* The round has brought everything in step. */
P2P_MUST_CHECK enum p2p_err p2p_round_feed_done(struct p2p_round *r);
void p2p_round_feed_clear(struct p2p_round_feed *feed);
/* Makes the steps of all names of both lists, and decides about each. */
P2P_MUST_CHECK enum p2p_err p2p_round_compare(struct p2p_round *r);
/* Leaves out names that the file system here takes for those of other files. */
P2P_MUST_CHECK enum p2p_err p2p_round_fold(struct p2p_round *r);
/* For each step, the number of the one whose file it would share in this folder;
 * (size_t)-1: it has its own. */
P2P_MUST_CHECK enum p2p_err p2p_round_same_names(int dir,
                                                 const struct p2p_round_step *steps,
                                                 size_t count, size_t *same);
/* Puts off the removals of names that may only be missing in this list. */
P2P_MUST_CHECK enum p2p_err p2p_round_confirm(struct p2p_round *r);
/* Holds back what the brake holds, or what the history has no room for. Counts the
 * others before they happen. */
P2P_MUST_CHECK enum p2p_err p2p_round_hold(struct p2p_round *r);
/* Downloads what is missing or has changed. A failure of some files does not end the
 * round; a full disk does. */
P2P_MUST_CHECK enum p2p_err p2p_round_fetch(struct p2p_round *r);
/* Removes what may go, and records what is here. */
P2P_MUST_CHECK enum p2p_err p2p_round_finish(struct p2p_round *r);
/* Records that the source's content is here, in a file with this state. */
P2P_MUST_CHECK enum p2p_err p2p_round_record(struct p2p_round *r,
                                             const struct p2p_round_step *s,
                                             const struct p2p_file_state *state);

#endif
