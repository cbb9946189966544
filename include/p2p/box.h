/*
 * box - the client of boxes and relays at registries (docs/HTTP.md): leave a message
 * for a peer, wait for messages, get tokens for a relay. Each call goes to one registry
 * and blocks until its answer, its time-out, or `stop`. What comes back is not trusted:
 * the caller checks signatures (call.h). Thread-safe.
 */
#ifndef P2P_BOX_H
#define P2P_BOX_H

#include "p2p/call.h"
#include "p2p/discovery.h"
#include "p2p/stop.h"

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

/* Number of registries; they are numbered from 0 on. */
size_t p2p_discovery_count(const struct p2p_discovery *d);
/* The time of day at this registry, as far as it is known; otherwise that of this
 * machine. */
uint64_t p2p_discovery_time_s(struct p2p_discovery *d, size_t registry);

#define P2P_BOX_TEXT (P2P_ID_HEX_LEN + 1)
/* The name of a peer's own box. */
void p2p_box_of_peer(const struct p2p_id *id, char out[P2P_BOX_TEXT]);
/* The name of a box for answers. */
void p2p_box_of_number(const struct p2p_box_number *number, char out[P2P_BOX_TEXT]);

/* Leaves a message (JSON). NOT_FOUND: nobody reads there, or the registry has no
 * boxes. */
P2P_MUST_CHECK enum p2p_err p2p_box_post(struct p2p_discovery *d, size_t registry,
                                         const char *box, const char *json,
                                         const struct p2p_stop *stop);

struct p2p_box_wait {
    const char *box;
    const struct p2p_rsa
        *key;        /* for a peer's own box; NULL: one for answers. Borrowed */
    unsigned wait_s; /* 0: does not wait. The box exists from then on in any case */
    bool is_code;    /* the box of a code: NOT_FOUND if it has ended. Older registries
                      * make a new one */
    bool is_link;    /* the box of a link: reading keeps it. To older registries it is
                      * one for answers */
    const struct p2p_stop *stop;
};
/* Called for each message; the text is borrowed for the call. */
typedef void p2p_box_visit(void *arg, const char *text, size_t len);
/* Waits for messages behind `*after` (0 at first), which becomes the next one to ask
 * for. P2P_OK also without messages. */
P2P_MUST_CHECK enum p2p_err p2p_box_read(struct p2p_discovery *d, size_t registry,
                                         const struct p2p_box_wait *wait,
                                         uint64_t *after, p2p_box_visit *visit,
                                         void *arg);

/* A box for the answer to a call, at one registry. The caller sets the first members;
 * all is borrowed. */
struct p2p_answer_box {
    struct p2p_discovery *discovery;
    size_t registry;
    struct p2p_box_number number; /* random */
    const struct p2p_stop *stop;
    p2p_box_visit *take; /* sets `is_answered` if the message is the answer */
    void *arg;
    bool is_answered;
    uint64_t after; /* the message to ask for next */
};
/* Makes the box, and learns the registry's time. An address has few such boxes, and
 * those that are left from before end after a minute: while there are too many, tries
 * again for so long. RATE_LIMITED: there are still too many; CANCELLED. */
P2P_MUST_CHECK enum p2p_err p2p_answer_box_make(struct p2p_answer_box *box,
                                                uint64_t patience_ms);
/* Reads until the answer has come. TIMEOUT: it has not, although a peer that is there
 * would have had time; CANCELLED. */
P2P_MUST_CHECK enum p2p_err p2p_answer_box_wait(struct p2p_answer_box *box);

/* Ends the box for answers with this number: nobody reads there any longer. Without it,
 * the registry keeps it for a minute, and has few of them for each address. Best
 * effort, and quick: older registries do not know it. */
void p2p_box_drop(struct p2p_discovery *d, size_t registry,
                  const struct p2p_box_number *number);
/* The same on a thread of its own: the caller does not wait, p2p_discovery_close does,
 * for a second at most. */
void p2p_box_drop_soon(struct p2p_discovery *d, size_t registry,
                       const struct p2p_box_number *number);

/* A new number for a code, and the box in which its owner reads: it lives as long as it
 * is read. NOT_FOUND: the registry is too old for codes. */
P2P_MUST_CHECK enum p2p_err p2p_box_of_new_code(struct p2p_discovery *d,
                                                size_t registry,
                                                const struct p2p_stop *stop,
                                                uint32_t *number,
                                                struct p2p_box_number *box);
/* The box of a number, once. NOT_FOUND: there is none; EXISTS: somebody has used it. */
P2P_MUST_CHECK enum p2p_err p2p_box_of_code(struct p2p_discovery *d, size_t registry,
                                            uint32_t number,
                                            const struct p2p_stop *stop,
                                            struct p2p_box_number *box);

/* Does the registry list this peer now? */
bool p2p_discovery_lists(struct p2p_discovery *d, size_t registry,
                         const struct p2p_id *id);

/* What a registry offers to peers that look for a path. */
struct p2p_reach_offer {
    struct p2p_addr stun[2]; /* its UDP ports; port 0: none */
    struct p2p_addr relay;   /* port 0: none */
    bool has_links;          /* it has the page for guests of links */
};
/* NOT_FOUND: the registry is too old. Of the UDP ports, only those of the registry's
 * own host count: otherwise it could point its clients at others. */
P2P_MUST_CHECK enum p2p_err p2p_reach_offer(struct p2p_discovery *d, size_t registry,
                                            struct p2p_reach_offer *out);

/* The same, or the last answer if that is younger than five minutes, so that a call
 * does not have to wait for the registry. */
P2P_MUST_CHECK enum p2p_err p2p_reach_offer_soon(struct p2p_discovery *d,
                                                 size_t registry,
                                                 const struct p2p_stop *stop,
                                                 struct p2p_reach_offer *out);

/* A relay, and a token for each side. */
struct p2p_relay_pass {
    struct p2p_addr relay;
    char caller[P2P_RELAY_TOKEN_TEXT], callee[P2P_RELAY_TOKEN_TEXT];
};
/* Asks for tokens for this call, to which the peer with `key` was called. NOT_FOUND:
 * the registry knows no relay. */
P2P_MUST_CHECK enum p2p_err p2p_relay_request(struct p2p_discovery *d, size_t registry,
                                              const struct p2p_rsa *key,
                                              const struct p2p_call *call,
                                              const struct p2p_stop *stop,
                                              struct p2p_relay_pass *out);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop

#endif
