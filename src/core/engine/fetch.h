/*
 * fetch - the requests of one connection. A slot is a chunk being put together in a
 * buffer; it is asked for in one request, or in several when the source's chunk size is
 * smaller than the download's.
 */
#ifndef P2P_FETCH_H
#define P2P_FETCH_H

#include "dl.h"
#include "request.h"
#include "window.h"

#define FETCH_SLOTS PLAN_HELD_MAX

struct fetch_slot {
    uint64_t chunk;
    uint8_t *buf; /* NULL: free */
    uint32_t length, asked, received;
};

struct fetch {
    struct dl_worker *w;
    struct window window;
    uint32_t max_get;
    struct fetch_slot slots[FETCH_SLOTS];
    struct requests requests;
    unsigned slot_count;
    uint64_t last_bytes_ms;
    uint64_t taken;     /* bytes of DATA so far */
    uint64_t uncounted; /* bytes that the download's counters do not have yet */
};

#endif
