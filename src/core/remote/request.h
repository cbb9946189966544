/*
 * request - the GETs of one connection that are in flight, and what may be said in
 * answer to each: its bytes, once, in order, to the last one. Pure: no sockets, no
 * lock.
 */
#ifndef P2P_REQUEST_H
#define P2P_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "p2p/limits.h"
#include "p2p/msg.h"

#define REQUESTS_MAX P2P_REQUESTS_IN_FLIGHT

struct request {
    uint32_t req;
    unsigned slot;                   /* the owner's */
    uint32_t base, length, received; /* within what the slot puts together */
    bool cancelled;                  /* its slot is gone; known until its PONG */
};
struct requests {
    struct request at[REQUESTS_MAX];
    unsigned count;
};

/* For count < REQUESTS_MAX. */
struct request *p2p_requests_add(struct requests *t, uint32_t req, unsigned slot,
                                 uint32_t base, uint32_t length);
struct request *p2p_requests_find(struct requests *t, uint32_t req); /* or NULL */
/* Others may move: pointers into the table are stale afterwards. */
void p2p_requests_forget(struct requests *t, struct request *r);

/*
 * A DATA record that answers `r`: its bytes go to `buf` + base (NULL: to nowhere).
 * PROTOCOL when they are not exactly the next ones, too many, or "last" is said too
 * early or not at all.
 */
P2P_MUST_CHECK enum p2p_err
p2p_request_take(struct request *r, const struct p2p_msg_data *data, uint8_t *buf);

/*
 * Unpacks a zstd frame of at most `room` bytes to `out` (NULL: only looks how many).
 * The frame must state its content size, between 1 and `room` and P2P_DATA_MAX: checked
 * before a byte is unpacked. PROTOCOL otherwise; UNSUPPORTED when built without zstd
 * (nobody asked for it then).
 */
P2P_MUST_CHECK enum p2p_err p2p_unpack(const uint8_t *data, size_t len, uint8_t *out,
                                       size_t room, size_t *got);

#endif
