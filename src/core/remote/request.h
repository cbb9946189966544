/*
 * request - the unanswered GETs of one connection, and the checks of their answers: the
 * bytes of a request must arrive once, in order, and completely. Pure: no sockets, no
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
    unsigned slot; /* the owner's */
    uint32_t base, length,
        received;   /* position within the data that the slot collects */
    bool cancelled; /* its slot is freed; the request is kept until its
                     * PONG arrives */
};
struct requests {
    struct request at[REQUESTS_MAX];
    unsigned count;
};

/* For count < REQUESTS_MAX. */
struct request *p2p_requests_add(struct requests *t, uint32_t req, unsigned slot,
                                 uint32_t base, uint32_t length);
struct request *p2p_requests_find(struct requests *t, uint32_t req); /* or NULL */
/* Other requests may move: pointers into the table become invalid. */
void p2p_requests_forget(struct requests *t, struct request *r);

/*
 * Handles a DATA record that answers `r`: copies its bytes to `buf` + base (NULL:
 * discards them). PROTOCOL if they are not exactly the next bytes, if there are too
 * many, or if the flag "last" is missing or comes too early.
 */
P2P_MUST_CHECK enum p2p_err
p2p_request_take(struct request *r, const struct p2p_msg_data *data, uint8_t *buf);

/*
 * Unpacks a zstd frame of at most `room` bytes to `out` (NULL: only determines the
 * size). The frame must state its content size, between 1 and the smaller of `room` and
 * P2P_DATA_MAX; this is checked before a byte is unpacked. PROTOCOL otherwise;
 * UNSUPPORTED in a build without zstd, which never asks for compression.
 */
P2P_MUST_CHECK enum p2p_err p2p_unpack(const uint8_t *data, size_t len, uint8_t *out,
                                       size_t room, size_t *got);

#endif
