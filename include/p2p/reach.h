/*
 * reach - a way to a peer whose addresses nothing comes through to: by a channel
 * over UDP or through a relay, after a call (PROTOCOL.md, "Calls"). A way is a
 * connected descriptor; protocol 2 runs over it unchanged and proves who is at the
 * other end. A client asks for one (p2p_reach_call; conn.h does it where the addresses
 * fail). A peer that serves has a doorman, who reads its boxes at the registries and
 * answers. Trust boundary: registries, relays and callers; none of them is believed.
 * Thread-safe.
 */
#ifndef P2P_REACH_H
#define P2P_REACH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "p2p/discovery.h"
#include "p2p/identity.h"
#include "p2p/link.h"
#include "p2p/stop.h"

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

enum p2p_path_kind { P2P_PATH_DIRECT, P2P_PATH_RELAY, P2P_PATH_CHANNEL };
/* "direct", "relay" or "channel". */
const char *p2p_path_kind_name(enum p2p_path_kind kind);

enum p2p_path_wish { P2P_WISH_AUTO, P2P_WISH_DIRECT, P2P_WISH_RELAY, P2P_WISH_CHANNEL };
/* Reads "auto", "direct", "relay" or "channel". USAGE. */
P2P_MUST_CHECK enum p2p_err p2p_path_wish_parse(const char *text,
                                                enum p2p_path_wish *out);

/* A link whose guest this device is. */
struct p2p_visit {
    struct p2p_link_keys keys;
    struct p2p_guest_id guest;
    bool has_pin;
    struct p2p_link_pin pin;
};

/* How this program reaches peers. The members are borrowed; it may be used by many
 * threads at a time. */
struct p2p_reach {
    struct p2p_identity *identity;
    struct p2p_discovery *discovery; /* NULL: directly only */
    enum p2p_path_wish wish;
    bool no_relay; /* whatever the wish: a relay is in use already */
    /* Only the peer of this link, which serves its files to this guest; NULL: any peer.
     * Then the id of the peer is `keys.guest`: the key of the real one is not proven.
     */
    const struct p2p_visit *visit;
};

/* A way that was opened. */
struct p2p_way {
    int fd; /* a connected stream, non-blocking; its owner closes it */
    enum p2p_path_kind kind;
    uint64_t rtt_us; /* of a channel; 0: unknown */
};
/* What happens during a call. */
struct p2p_reach_listener {
    /* The peer has answered, and says that it can be reached directly at these
     * addresses. Nothing has tried them. At most P2P_REACH_ADDRESSES_MAX, borrowed for
     * the call; on the thread that calls. */
    void (*on_addresses)(void *arg, const struct p2p_addr *at, size_t count);
    void *arg;
};
#define P2P_REACH_ADDRESSES_MAX 6
/*
 * Calls the peer at each registry in turn, until one has its box, and opens the way
 * that its answer makes possible: a channel over UDP, or else through the relay that it
 * names. `listener` may be NULL. NOT_FOUND: the peer reads no box; TIMEOUT: it did not
 * answer, for example because it does not trust this device; CANCELLED: `stop`; BUSY,
 * RATE_LIMITED: the relay's limits; UNREACHABLE, ....
 */
P2P_MUST_CHECK enum p2p_err p2p_reach_call(const struct p2p_reach *reach,
                                           const struct p2p_id *peer,
                                           const struct p2p_reach_listener *listener,
                                           const struct p2p_stop *stop,
                                           struct p2p_way *out);

/*
 * Calls the peer of the link reach->visit, at each registry in turn, and opens a
 * channel to it. NOT_FOUND: nobody answers this link there; TIMEOUT: it did not answer,
 * or no pair of addresses works; CANCELLED; RATE_LIMITED; AUTH, ....
 */
P2P_MUST_CHECK enum p2p_err p2p_reach_visit(const struct p2p_reach *reach,
                                            const struct p2p_stop *stop,
                                            struct p2p_way *out);

/* ---- Channels of this process ---- */

/* How many there may be, and what their buffers may hold together beyond half a MiB for
 * each. Call it before the first one opens; without it, P2P_CHANNELS_MAX and
 * P2P_CHANNEL_MEMORY. */
void p2p_reach_limit_channels(unsigned channels, size_t memory);
/* Waits until every channel whose descriptor was closed has told the other end, at most
 * for so long. Call it before the program ends: otherwise the peer keeps the channel
 * until its time-out. True if none is left. */
bool p2p_reach_settle(uint64_t timeout_ms);
#define P2P_REACH_SETTLE_MS 1000

/* ---- Which way is tried when: pure ---- */

/* Direct ways start this long after each other, and the relay when all of them have
 * failed, or after this time. */
#define P2P_LADDER_NEXT_MS  250
#define P2P_LADDER_RELAY_MS 1500
/* The same for a peer that its registry could not reach. */
#define P2P_LADDER_UNREACHED_MS 300

struct p2p_ladder {
    size_t direct;  /* direct ways in all */
    bool has_relay; /* one more way behind them */
    size_t named;   /* direct ways that the answer to a call has named, behind that */
    uint64_t named_ms;
    size_t started; /* ways that were started, in this order */
    size_t failed;  /* of those */
    uint64_t began_ms;
    uint64_t relay_ms; /* P2P_LADDER_RELAY_MS, or the other one */
};
/* The ways that there are, by the wish; `can_call`: the peer's id and a registry are
 * known. */
void p2p_ladder_init(struct p2p_ladder *l, enum p2p_path_wish wish, size_t addresses,
                     bool can_call, uint64_t now_ms);
/* The peer has answered a call, and named so many more direct ways. The first of them
 * is due at once. */
void p2p_ladder_name(struct p2p_ladder *l, size_t addresses, uint64_t now_ms);
/* How many there are. */
size_t p2p_ladder_ways(const struct p2p_ladder *l);
/* When the next way is due; UINT64_MAX: there is none. */
uint64_t p2p_ladder_due_ms(const struct p2p_ladder *l, uint64_t now_ms);

/* ---- Who answers ---- */

struct p2p_doorman; /* *returned owned*, free with p2p_doorman_stop */

/* What a doorman has done. Its own; others read it with p2p_doorman_counts_read. */
struct p2p_doorman_counts {
    uint64_t answered; /* calls */
    uint64_t refused;  /* calls without an answer: forged, not allowed, too many */
    uint64_t channels, relays; /* ways that opened */
};
/* From any thread. */
void p2p_doorman_counts_read(const struct p2p_doorman_counts *counts,
                             struct p2p_doorman_counts *out);

struct p2p_doorman_options {
    struct p2p_identity *identity; /* borrowed until stop, as everything here */
    struct p2p_discovery *discovery;
    /* May this peer, which has signed its call, get an answer? Others hear nothing. On
     * a thread of the doorman; may read files. */
    bool (*may_call)(void *arg, const struct p2p_id *from);
    /* Where this peer listens for TCP: callers are told, so that they can try it beside
     * the other ways. NULL: nowhere. On a thread of the doorman. Returns their number.
     */
    size_t (*own_addresses)(void *arg, struct p2p_addr *out, size_t max);
    /* A way from that peer is open; takes `fd`. Who is at its other end must still be
     * proven. */
    void (*on_path)(void *arg, int fd, const struct p2p_id *from);
    void *arg;
    struct p2p_doorman_counts *counts; /* counted up; NULL: nowhere */
};
/* Starts its threads, one for each registry. SYS, NOMEM. */
P2P_MUST_CHECK enum p2p_err p2p_doorman_start(const struct p2p_doorman_options *opt,
                                              struct p2p_doorman **out);
/* NULL is fine. */
void p2p_doorman_stop(struct p2p_doorman *d);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop

#endif
