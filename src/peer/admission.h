/*
 * admission - who may begin a handshake, and what handshakes may cost (SECURITY.md,
 * "What a stranger may cost a peer").
 *
 * Counts unfinished handshakes in all and per source (/32, /64) and the connections
 * that came of them per source. A source pays a token for each handshake that it leaves
 * unfinished or fails, and another one for each that makes us use the private key,
 * finished or not; strangers together have a bucket for these, too. Failures cost a
 * pause.
 *
 * Loopback is exempt from what is per source and waits instead of being dropped (the
 * caller keeps it unread). Sources of known peers have reserved places as well, and do
 * not share the strangers' bucket. When the strangers' places are taken, a newcomer
 * gets the place of the oldest handshake of the source that holds most: its ticket is
 * revoked.
 *
 * The table is bounded: the source that was quiet for longest is forgotten first. Time
 * is an argument. Thread-safe.
 */
#ifndef PEER_ADMISSION_H
#define PEER_ADMISSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include "p2p/err.h"

struct admission; /* *returned owned*, free with admission_free */

struct admission_options {
    unsigned max;      /* unfinished handshakes in all */
    unsigned reserved; /* of these, for loopback and for sources of known peers */
    unsigned per_source;
    unsigned open_per_source;             /* finished ones whose connection lasts */
    unsigned rate_per_s, burst;           /* unfinished or failed ones, per source */
    unsigned work_rate_per_s, work_burst; /* all that cost a private-key operation */
    unsigned total_rate_per_s;            /* the same, of all strangers together */
    unsigned total_burst;
    unsigned sources_max; /* table size */
    /* A ticket of this owner was revoked. Called with a lock held: only wake somebody.
     */
    void (*on_revoked)(void *owner);
};

/* What is counted as one source. */
struct admission_source {
    uint8_t key[8]; /* IPv4 address, or the first 64 bits of IPv6 */
    bool is_v6, is_loopback;
};

/* One handshake, and then the connection that came of it. Part of the caller's object,
 * zeroed before the first use; only the functions here touch it. */
struct admission_ticket {
    TAILQ_ENTRY(admission_ticket) link; /* of the strangers' unfinished ones */
    struct entry *entry;                /* NULL: loopback */
    void *owner;
    bool is_unfinished, is_open, is_stranger;
    _Atomic bool revoked;
};

enum admission_verdict { ADMISSION_YES, ADMISSION_NO, ADMISSION_WAIT };

/* How an unfinished handshake ended. */
enum admission_end {
    ADMISSION_NO_AUTH, /* gone before it proved anything */
    ADMISSION_WRONG,   /* tried and failed */
    ADMISSION_LATE,    /* ran into a deadline */
};

P2P_MUST_CHECK enum p2p_err admission_new(const struct admission_options *opt,
                                          struct admission **out);
void admission_free(struct admission *a);
void admission_source_from(const struct sockaddr *sa, struct admission_source *out);
/* Of an accepted socket: from an address of this machine to the same is as
 * near as loopback. */
void admission_source_of(int fd, const struct sockaddr *from,
                         struct admission_source *out);
/* The sources where known peers were met; replaces the former ones. *Takes* the array
 * (malloc), which may be NULL when count is 0. */
void admission_know(struct admission *a, struct admission_source *sources,
                    size_t count);

/* YES counts it until admission_end. `owner` is for on_revoked. */
enum admission_verdict admission_begin(struct admission *a,
                                       struct admission_ticket *ticket,
                                       const struct admission_source *source,
                                       void *owner, uint64_t now_ms);
/* May this handshake use the private key now? False: drop it. */
bool admission_work(struct admission *a, struct admission_ticket *ticket,
                    uint64_t now_ms);
/* It has proven itself: gives its first token back, counts as open until admission_end.
 * False: it was revoked meanwhile. */
bool admission_finish(struct admission *a, struct admission_ticket *ticket,
                      uint64_t now_ms);
/* The end of what was admitted; `how` only counts for unfinished ones. Nothing happens
 * to a ticket that was never admitted, has ended or was revoked. */
void admission_end(struct admission *a, struct admission_ticket *ticket,
                   enum admission_end how, uint64_t now_ms);
/* It was, because another one needed its place: close it. */
bool admission_is_revoked(const struct admission_ticket *ticket);
unsigned admission_count(struct admission *a); /* unfinished ones */

#endif
