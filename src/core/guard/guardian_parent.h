/* guardian_parent - the state of the parent process (guardian.c, guardian_answer.c).
 * For no other files. */
#ifndef P2P_GUARDIAN_PARENT_H
#define P2P_GUARDIAN_PARENT_H

#include <signal.h>

#include "core/guard/guardian_internal.h"

/* Connections to the system bus that children of one parent have at once. */
enum { GUARDIAN_RELAYS_MAX = 8 };
#define P2P_GUARDIAN_RELAY_NAME "p2p-bus"

struct guardian {
    struct p2p_guardian_options *opt;
    struct p2p_guardian_user user;
    int signals; /* signalfd */
    int state;   /* a file in memory; -1: none */
    sigset_t child_mask;
    int status;
    uint64_t alive_ms;
    bool is_stopping;       /* a signal said so */
    uint64_t same_until_ms; /* until then, another signal is the same request */
    bool is_reloaded;       /* SIGHUP came: the next try need not wait */
    bool is_ready;          /* the ready line was printed */
    unsigned retry_ms; /* pause before the last try; 0: the last child became ready */
    char *passphrase;  /* the passphrase as it was given, for the next child; NULL: not
                        * asked for yet */

    pid_t relays[GUARDIAN_RELAYS_MAX]; /* processes between a child and the bus */
    size_t relay_count;

    /* the child */
    pid_t pid;
    int orders, requests;
    bool is_sealed;      /* the child can name no more folders */
    bool is_up;          /* the child has said that it is ready */
    bool has_passphrase; /* the child got the passphrase: it gets it only once */
    bool is_ending, is_replacing;
    bool wants_reload; /* the child asked to read the settings again */
    uint64_t kill_at_ms, look_at_ms;
    struct {
        char *path;
        int fd;        /* the folders in the child's rules */
        unsigned seen; /* successive checks that found a different folder there */
    } watched[P2P_SANDBOX_WATCHED_MAX];
    size_t watched_count;
};

/* Handles one order; true: a new child is needed. */
bool guardian_on_order(struct guardian *g);
/* Receives one request and answers it. */
void guardian_on_request(struct guardian *g);
/* True if two checks in a row found a different folder at a watched path: by then,
 * whoever replaces it has had time to finish. */
bool guardian_look(struct guardian *g);
void guardian_forget_watched(struct guardian *g);
void guardian_forget_secrets(struct guardian *g);

/* ---- The system bus (guardian_relay.c) ---- */

/* Puts a process with a filter before a connection to the system bus: takes `*fd` and
 * gives the other end instead. BUSY: there are too many. */
P2P_MUST_CHECK enum p2p_err guardian_relay(struct guardian *g, int *fd);
/* Forgets those that have ended. */
void guardian_reap_relays(struct guardian *g);
/* Ends all of them, and returns when they have ended. */
void guardian_end_relays(struct guardian *g);

#endif
