/*
 * box_listener - reads one box at each registry, and runs the answers to its messages.
 *
 * It has one thread for each registry, which waits for messages, and one for each
 * answer that is under way. It decides how many answers there may be (callers.h), and
 * knows nothing of what a message or an answer is. Thread-safe.
 */
#ifndef P2P_BOX_LISTENER_H
#define P2P_BOX_LISTENER_H

#include "core/reach/callers.h"
#include "p2p/box.h"

struct p2p_box_listener; /* *returned owned*, free with p2p_box_listener_free */

struct p2p_box_listener_options {
    struct p2p_discovery *discovery; /* borrowed until free */
    char box[P2P_BOX_TEXT];
    const struct p2p_rsa *key; /* as in struct p2p_box_wait; borrowed until free */
    bool is_link;              /* as there */
    unsigned answers_max;      /* that are under way at one time */
    /* On the registry's thread, for each message; the text is borrowed for the call. */
    void (*on_message)(void *arg, size_t registry, const char *text, size_t len);
    /* On the registry's thread: before each wait, and after the last one. Either may be
     * NULL. */
    void (*on_wait)(void *arg, size_t registry);
    void (*on_end)(void *arg, size_t registry);
    void *arg;
};
/* Listens to nothing yet. NOMEM, SYS. */
P2P_MUST_CHECK enum p2p_err
p2p_box_listener_new(const struct p2p_box_listener_options *opt,
                     struct p2p_box_listener **out);
/* Starts the threads of the registries; once. SYS. */
P2P_MUST_CHECK enum p2p_err p2p_box_listener_start(struct p2p_box_listener *l);
/* Stops, and waits for all threads. NULL is fine. */
void p2p_box_listener_free(struct p2p_box_listener *l);

/* Is set when the listener stops; answers end early then. Borrowed. */
struct p2p_stop *p2p_box_listener_stop(struct p2p_box_listener *l);

/* True if this session came before. */
bool p2p_box_listener_knows(struct p2p_box_listener *l,
                            const struct p2p_session_id *session);
/* Takes a place for an answer; p2p_box_listener_answer uses it. EXISTS: this session
 * came before. RATE_LIMITED: too many answers are under way, or too many calls came. */
P2P_MUST_CHECK enum p2p_err p2p_box_listener_take(struct p2p_box_listener *l,
                                                  const struct p2p_session_id *session,
                                                  const struct p2p_id *from);
/* Runs `answer(arg)` on a thread of its own, and gives the place back afterwards.
 * Takes `arg`; false, and it is still the caller's, if there is no thread. */
bool p2p_box_listener_answer(struct p2p_box_listener *l, void (*answer)(void *arg),
                             void *arg);

#endif
