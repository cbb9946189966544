/*
 * exchange - what sender and receiver of a code tell each other through two boxes at a
 * registry (PROTOCOL.md, "Codes"): SPAKE2 over the words, then one sealed text each
 * way. The registry sees neither words nor texts. The first message decides: whoever
 * answers with wrong words has used the code up.
 *
 * Pure: messages go in and out as JSON; no sockets, no clock. Trust boundary:
 * p2p_exchange_take. One object, one thread at a time.
 */
#ifndef P2P_EXCHANGE_H
#define P2P_EXCHANGE_H

#include "p2p/call.h"
#include "p2p/code.h"
#include "p2p/spake2.h"

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

#define P2P_EXCHANGE_TEXT_MAX  P2P_CALL_TEXT_MAX /* of one message */
#define P2P_EXCHANGE_INNER_MAX (5u * 1024)       /* of a sealed text */

enum p2p_exchange_side { P2P_EXCHANGE_SENDER, P2P_EXCHANGE_RECEIVER };

enum p2p_exchange_state {
    P2P_EXCHANGE_OPEN,    /* nobody has come */
    P2P_EXCHANGE_SHARED,  /* both shares are there */
    P2P_EXCHANGE_AGREED,  /* the other side knows the words */
    P2P_EXCHANGE_USED_UP, /* it does not */
};

struct p2p_exchange {
    enum p2p_exchange_side side;
    enum p2p_exchange_state state;
    uint32_t number;
    struct p2p_box_number box;   /* of the code: the sender reads there */
    struct p2p_box_number reply; /* of the receiver */
    struct p2p_spake2 run;
    struct p2p_spake2_keys keys;
    uint64_t sealed, opened; /* texts, each way */
    bool is_done;            /* the receiver has everything */
};

/* What a message was. */
enum p2p_exchange_news {
    P2P_EXCHANGE_NOTHING, /* ignored: malformed, or not its turn */
    P2P_EXCHANGE_CLAIMED, /* sender: somebody asks for the number */
    P2P_EXCHANGE_SHARE,   /* both sides: send the answer to the other box */
    P2P_EXCHANGE_PROVEN,  /* the other side knows the words; here is its text */
    P2P_EXCHANGE_WRONG, /* it does not: the code is used up; send the answer, if any */
    P2P_EXCHANGE_DONE,  /* sender: the receiver has everything */
};

/* Begins. `reply` is the receiver's box (NULL for the sender). CRYPTO. */
P2P_MUST_CHECK enum p2p_err p2p_exchange_begin(struct p2p_exchange *x,
                                               enum p2p_exchange_side side,
                                               const struct p2p_code *code,
                                               const struct p2p_box_number *box,
                                               const struct p2p_box_number *reply);
/* Wipes the secrets. */
void p2p_exchange_clear(struct p2p_exchange *x);

/* The receiver's first message; *returns owned*, free(). NULL: out of memory. */
char *p2p_exchange_hello(const struct p2p_exchange *x);
/* Takes a message of a box. `*answer` and `*inner` are owned texts or NULL, free().
 * `own` is the text that the receiver seals when its turn comes (borrowed). */
enum p2p_exchange_news p2p_exchange_take(struct p2p_exchange *x, const char *text,
                                         size_t len, const char *own, char **answer,
                                         char **inner);
/* After PROVEN, the sender's offer; its text is `inner`. TOO_LARGE, NOMEM. */
P2P_MUST_CHECK enum p2p_err p2p_exchange_offer(struct p2p_exchange *x,
                                               const char *inner, char **out);
/* After PROVEN, the receiver's word that it has everything. */
P2P_MUST_CHECK enum p2p_err p2p_exchange_finish(struct p2p_exchange *x, char **out);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop

#endif
