/*
 * mirror - keeps a folder here in step with a folder of a peer, in one direction: this
 * device downloads, and nobody writes to the peer.
 *
 * The jobs are in `keep.db` in the keys directory (0600), which the command line and
 * the dashboard write. A keeper runs them: p2p-ui, or `p2p keeper` on a machine without
 * it. What a mirror has put into its folder is in `.p2p/mirror-ID.db` of that folder.
 *
 * A file that changed at the source is replaced here, and one that is gone there is
 * removed here only if the job follows deletions. Both become versions (versions.h); a
 * mirror that cannot keep the old content waits and says so. The brake (P2P_MIRROR_...
 * in core/mirror/plan.h) holds changes that are too many, or that would empty a folder,
 * until the user accepts them. Files that are new, or missing here, are downloaded all
 * the while.
 *
 * The functions are thread-safe, and for several processes.
 */
#ifndef P2P_MIRROR_H
#define P2P_MIRROR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "p2p/identity.h"
#include "p2p/limits.h"
#include "p2p/reach.h"

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

#define P2P_MIRROR_ID_LEN   8
#define P2P_MIRRORS_MAX     64
#define P2P_MIRROR_PATH_MAX 4096

/* The numbers are stored. */
enum p2p_mirror_state {
    P2P_MIRROR_NEW,     /* no round has run yet */
    P2P_MIRROR_WORKING, /* a round runs */
    P2P_MIRROR_IN_STEP,
    P2P_MIRROR_WAITING, /* something is held back: `message` says what to do */
    P2P_MIRROR_AWAY,    /* the source or the folder here is not there now */
    P2P_MIRROR_FAILED,  /* some files, or all, could not be mirrored; it tries again */
};
/* "new", "working", "in_step", "waiting", "away", "failed". */
const char *p2p_mirror_state_name(enum p2p_mirror_state state);

struct p2p_mirror {
    char id[P2P_MIRROR_ID_LEN + 1];
    struct p2p_id peer;
    char address[P2P_ADDRESS_MAX];  /* HOST:PORT; "": where the peer was met or is
                                     * listed */
    char folder[P2P_NAME_MAX + 1];  /* at the peer, without a slash at its end; "":
                                     * everything that it shares */
    char base[P2P_MIRROR_PATH_MAX]; /* absolute: the folder here, or the shared folder
                                     * that it is in */
    char prefix[P2P_NAME_MAX + 1];  /* in `base`; "": `base` itself */
    bool deletes;                   /* follows deletions */
    bool once;                      /* pauses after a round that ends in step */
    bool is_paused;
    uint64_t quota; /* bytes of the source at most; 0: no limit */
    uint64_t created_s;

    /* What the last round has found. */
    enum p2p_mirror_state state;
    enum p2p_err error;
    char message[256];     /* a sentence; "" if there is nothing to say */
    uint64_t files, bytes; /* at the source */
    uint64_t todo;         /* files that are not in step yet */
    uint64_t held_changes, held_removals; /* that wait */
    uint64_t in_step_s, checked_s;        /* wall clock; 0: never */

    /* For the keeper alone; not stored. */
    bool wants_list; /* the round reads the whole list, even if it knows what changed */
    uint64_t feed_log, feed_after; /* how far the round has read the source's changes */
};

/* ---- The jobs ---- */

/* All jobs, oldest first; *returns owned* array of `*count`, free(). */
P2P_MUST_CHECK enum p2p_err p2p_mirrors_list(const char *keys_dir,
                                             struct p2p_mirror **out, size_t *count);
/* NOT_FOUND. */
P2P_MUST_CHECK enum p2p_err p2p_mirrors_find(const char *keys_dir, const char *id,
                                             struct p2p_mirror *out);
/* Adds a job: fills `id` and `created_s`, and makes its folder and its record there.
 * EXISTS: another mirror writes into the same folder, one above it or one in it.
 * TOO_LARGE: too many. */
P2P_MUST_CHECK enum p2p_err p2p_mirrors_add(const char *keys_dir,
                                            struct p2p_mirror *job);
/* Forgets a job. Its files stay. NOT_FOUND. */
P2P_MUST_CHECK enum p2p_err p2p_mirrors_remove(const char *keys_dir, const char *id);
/* Pauses or resumes a job. NOT_FOUND. */
P2P_MUST_CHECK enum p2p_err p2p_mirrors_pause(const char *keys_dir, const char *id,
                                              bool is_paused);
/* Lets through what is held now, and nothing that is held later; then as check. */
P2P_MUST_CHECK enum p2p_err p2p_mirrors_accept(const char *keys_dir, const char *id);
/* Visits the first `max` names of what is held, in the mirror's folder. NOT_FOUND: that
 * folder is away. */
typedef void p2p_mirror_visit_held(void *arg, const char *name, bool is_removal);
P2P_MUST_CHECK enum p2p_err p2p_mirror_held(const struct p2p_mirror *job, size_t max,
                                            p2p_mirror_visit_held *visit, void *arg);
/* Makes the keeper run the job now. */
P2P_MUST_CHECK enum p2p_err p2p_mirrors_check(const char *keys_dir, const char *id);

/* ---- The keeper ---- */

struct p2p_keeper; /* *returned owned*, free with p2p_keeper_stop */

/* Called from the keeper's thread when the state of a job has changed. */
typedef void p2p_keeper_changed(void *arg, const struct p2p_mirror *job);

struct p2p_keeper_options {
    const char *keys_dir; /* copied */
    struct p2p_identity *identity;
    const struct p2p_reach *reach; /* with its registries; borrowed until stop */
    struct p2p_rate *rate;         /* of downloads; may be NULL; borrowed */
    uint64_t every_ms;             /* between two rounds of a job; 0: 30 s */
    p2p_keeper_changed *on_change; /* may be NULL */
    void *arg;
};
/* Starts the thread that runs the jobs. While another process runs those of this keys
 * directory, it waits. */
P2P_MUST_CHECK enum p2p_err p2p_keeper_start(const struct p2p_keeper_options *opt,
                                             struct p2p_keeper **out);
/* Ends the running round and the thread. NULL is fine. */
void p2p_keeper_stop(struct p2p_keeper *keeper);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop

#endif
