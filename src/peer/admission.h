/*
 * admission - who may begin a handshake (PROTOCOL.md, "Limits before M5").
 *
 * Counts unfinished handshakes in all and per source (/32, /64), the connections that
 * came of them per source, takes a token per source for each one that is unfinished or
 * failed, and remembers penalties. Loopback
 * is exempt from what is per source, and instead of being dropped at the total limit it
 * waits (the caller keeps it unread). Randomness and time are arguments. Thread-safe;
 * the table is bounded.
 */
#ifndef PEER_ADMISSION_H
#define PEER_ADMISSION_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "p2p/err.h"

struct admission; /* *returned owned*, free with admission_free */

struct admission_options {
    unsigned max;       /* unfinished handshakes in all */
    unsigned drop_from; /* random early drop begins here */
    unsigned per_source;
    unsigned open_per_source;   /* finished ones whose connection lasts */
    unsigned rate_per_s, burst; /* per source */
    unsigned sources_max;       /* table size */
};

/* What is counted as one source. */
struct admission_source {
    uint8_t key[8]; /* IPv4 address, or the first 64 bits of IPv6 */
    bool is_v6, is_loopback;
};

enum admission_verdict { ADMISSION_YES, ADMISSION_NO, ADMISSION_WAIT };

/* How an admitted handshake ended; after FINISHED comes GONE. */
enum admission_end {
    ADMISSION_FINISHED, /* gives its token back, the connection is open */
    ADMISSION_GONE,     /* the open connection is closed */
    ADMISSION_NO_AUTH,  /* gone before it proved anything */
    ADMISSION_WRONG,    /* tried and failed */
    ADMISSION_LATE,     /* ran into a deadline */
};

P2P_MUST_CHECK enum p2p_err admission_new(const struct admission_options *opt,
                                          struct admission **out);
void admission_free(struct admission *a);
void admission_source_from(const struct sockaddr *sa, struct admission_source *out);
/* The same for an accepted socket: from an address of this machine to the same is as
 * near as loopback. */
void admission_source_of(int fd, const struct sockaddr *from,
                         struct admission_source *out);
/* YES counts it: exactly one admission_end call must follow, or FINISHED and then GONE.
 * `random` is uniform. */
enum admission_verdict admission_begin(struct admission *a,
                                       const struct admission_source *source,
                                       uint64_t now_ms, uint32_t random);
void admission_end(struct admission *a, const struct admission_source *source,
                   enum admission_end how, uint64_t now_ms);
unsigned admission_count(struct admission *a); /* unfinished ones */

#endif
