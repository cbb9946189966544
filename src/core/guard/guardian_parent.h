/* guardian_parent - what the parent knows (guardian.c, guardian_answer.c). Nobody else.
 */
#ifndef P2P_GUARDIAN_PARENT_H
#define P2P_GUARDIAN_PARENT_H

#include <signal.h>

#include "core/guard/guardian_internal.h"

struct guardian {
    const struct p2p_guardian_options *opt;
    struct p2p_guardian_user user;
    int signals; /* signalfd */
    sigset_t child_mask;
    int status;
    uint64_t alive_ms;
    bool is_stopping; /* a signal said so */
    bool is_ready;    /* the ready line is out */
    char *passphrase; /* as it was given, for the next child; NULL: not asked for yet */

    /* the child */
    pid_t pid;
    int orders, requests;
    bool is_sealed;      /* it names no more folders */
    bool has_passphrase; /* it got it: once is enough */
    bool is_ending, is_replacing;
    uint64_t kill_at_ms, look_at_ms;
    struct {
        char *path;
        int fd;        /* what the child's rules hold */
        unsigned seen; /* looks in a row that saw another one there */
    } watched[P2P_SANDBOX_WATCHED_MAX];
    size_t watched_count;
};

/* Takes one order; true: a new child is wanted. */
bool guardian_on_order(struct guardian *g);
/* Takes one request and answers it. */
void guardian_on_request(struct guardian *g);
/* Whether a watched folder has been another one for two looks: whoever makes it anew
 * has had time to finish. */
bool guardian_look(struct guardian *g);
void guardian_forget_watched(struct guardian *g);
void guardian_forget_secrets(struct guardian *g);

#endif
