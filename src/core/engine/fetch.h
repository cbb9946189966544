/*
 * fetch - the requests of one connection. A slot is a chunk being put together in a
 * buffer; it is asked for in one request, or in several when the source's chunk size is
 * smaller than the download's.
 */
#ifndef P2P_FETCH_H
#define P2P_FETCH_H

#include "dl.h"
#include "window.h"

#define FETCH_SLOTS    PLAN_HELD_MAX
#define FETCH_REQUESTS P2P_REQUESTS_IN_FLIGHT

struct fetch_slot {
    uint64_t chunk;
    uint8_t *buf; /* NULL: free */
    uint32_t length, asked, received;
};

struct fetch_request {
    uint32_t req;
    unsigned slot;
    uint32_t base, length, received; /* within the slot's chunk */
    bool cancelled;                  /* its slot is gone; known until its PONG */
};

struct fetch {
    struct dl_worker *w;
    struct window window;
    uint32_t max_get;
    struct fetch_slot slots[FETCH_SLOTS];
    struct fetch_request requests[FETCH_REQUESTS];
    unsigned slot_count, request_count;
    uint64_t last_bytes_ms;
    uint64_t taken;     /* bytes of DATA so far */
    uint64_t uncounted; /* bytes that the download's counters do not have yet */
};

/*
 * Unpacks a zstd frame of at most `room` bytes to `out` (NULL: only looks how many).
 * The frame must state its content size, between 1 and `room` and P2P_DATA_MAX: checked
 * before a byte is unpacked. PROTOCOL otherwise; UNSUPPORTED when built without zstd
 * (nobody asked for it then).
 */
P2P_MUST_CHECK enum p2p_err fetch_unpack(const uint8_t *data, size_t len, uint8_t *out,
                                         size_t room, size_t *got);

#endif
