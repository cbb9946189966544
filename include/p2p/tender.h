/*
 * tender - a thread that looks after the versions of some folders: about once a minute
 * it records what is in their mailboxes, and removes what the settings allow
 * (p2p/versions.h). What other programs change is recorded after a few seconds. p2p-ui
 * and p2p-peer each have one; for a folder of both, one of them at a time removes.
 *
 * Thread-safe.
 */
#ifndef P2P_TENDER_H
#define P2P_TENDER_H

#include "p2p/versions.h"

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

struct p2p_tender; /* *returned owned*, free with p2p_tender_stop */

#define P2P_TENDER_FOLDERS_MAX 18

/* Called from the thread after each round. */
typedef void p2p_tender_round(void *arg);
/* Called from the thread when old versions in the folder came or went. */
typedef void p2p_tender_changed(void *arg, const struct p2p_root *root);

struct p2p_tender_options {
    const struct p2p_root *roots[P2P_TENDER_FOLDERS_MAX]; /* borrowed until stop */
    struct p2p_share *shares[P2P_TENDER_FOLDERS_MAX];     /* of these roots; NULL: what
                                                           * other programs change is
                                                           * not kept. Borrowed */
    size_t count;
    p2p_tender_round *on_round;    /* may be NULL */
    p2p_tender_changed *on_change; /* may be NULL */
    void *arg;
};
/* Opens the versions of all folders and starts the thread. A folder that cannot be
 * written to is left out, with a warning; one that is away is opened when it is back.
 */
P2P_MUST_CHECK enum p2p_err p2p_tender_start(const struct p2p_tender_options *opt,
                                             struct p2p_tender **out);
/* Stops the thread and closes the versions. NULL is fine. */
void p2p_tender_stop(struct p2p_tender *tender);
/* The versions of one of the folders, borrowed until stop; NULL: there are none. */
struct p2p_versions *p2p_tender_of(struct p2p_tender *tender,
                                   const struct p2p_root *root);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop

#endif
