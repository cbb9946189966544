/*
 * admission - decides who may begin a handshake, and limits what handshakes may cost
 * (SECURITY.md, "What a stranger may cost a peer").
 *
 * It counts unfinished handshakes in total and per source (/32 of IPv4, /64 of IPv6),
 * and the open connections per source. The sources of one /48 together have four times
 * the limits of one, and count as one client when places are short. A source pays one
 * token for each handshake that it leaves unfinished or fails, and one for each
 * handshake that makes us use the private key, finished or not. All unknown sources
 * share a second bucket for the private key. Failures cost a pause.
 *
 * Loopback addresses are exempt from the limits per source, and wait instead of being
 * dropped (the caller does not read them meanwhile). Sources of known peers have
 * reserved places, and do not use the bucket of the unknown ones. When all places are
 * taken, a new client gets the place of the oldest handshake of the source that holds
 * most: the ticket of that handshake is revoked. The table is bounded: the source that
 * was quiet for longest is forgotten first. Time is an argument.
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
    unsigned max; /* unfinished handshakes in all */
    unsigned
        reserved; /* of these, reserved for loopback and for sources of known peers */
    unsigned per_source;
    unsigned open_per_source;   /* finished handshakes with an open connection */
    unsigned rate_per_s, burst; /* unfinished or failed ones, per source */
    unsigned work_rate_per_s, work_burst; /* handshakes that need a private-key
                                           * operation */
    unsigned total_rate_per_s; /* the same, for all unknown sources together */
    unsigned total_burst;
    unsigned sources_max; /* table size */
    /* Tells that a ticket of this owner was revoked. Called with a lock held: it may
     * only wake a thread. */
    void (*on_revoked)(void *owner);
};

/* Addresses that count as one source. */
struct admission_source {
    uint8_t key[8]; /* IPv4 address, or the first 64 bits of IPv6 */
    bool is_v6, is_loopback;
};

/* A ticket for one handshake and then for its connection. It is part of the caller's
 * object and zeroed before the first use. Only the functions here access it. */
struct admission_ticket {
    TAILQ_ENTRY(admission_ticket)
    link;                /* among the unfinished handshakes of unknown
                          * clients */
    struct entry *entry; /* NULL: loopback */
    void *owner;
    bool is_unfinished, is_open, is_stranger;
    _Atomic bool revoked;
};

enum admission_verdict { ADMISSION_YES, ADMISSION_NO, ADMISSION_WAIT };

/* How an unfinished handshake ended. */
enum admission_end {
    ADMISSION_NO_AUTH, /* the client left before it proved anything */
    ADMISSION_WRONG,   /* tried and failed */
    ADMISSION_LATE,    /* ran into a deadline */
    ADMISSION_REFUSED, /* did nothing wrong, but may not download: no penalty, because
                          others have the same address */
};

/* Copies the options; *returns owned*, free with admission_free. */
P2P_MUST_CHECK enum p2p_err admission_new(const struct admission_options *opt,
                                          struct admission **out);
/* NULL is fine. */
void admission_free(struct admission *a);
/* The source that an address counts for. */
void admission_source_from(const struct sockaddr *sa, struct admission_source *out);
/* True for an accepted socket whose two ends have the same address: such a connection
 * counts as loopback. */
void admission_source_of(int fd, const struct sockaddr *from,
                         struct admission_source *out);
/* Sets the sources of known peers; replaces the former ones. *Takes* the array
 * (malloc), which may be NULL if count is 0. */
void admission_know(struct admission *a, struct admission_source *sources,
                    size_t count);

/* Asks for a place. YES counts the handshake until admission_end. `owner` is passed to
 * on_revoked. */
enum admission_verdict admission_begin(struct admission *a,
                                       struct admission_ticket *ticket,
                                       const struct admission_source *source,
                                       void *owner, uint64_t now_ms);
/* True if this handshake may use the private key now. False: drop it. */
bool admission_work(struct admission *a, struct admission_ticket *ticket,
                    uint64_t now_ms);
/* The client has proven its identity: returns its first token, and counts as open until
 * admission_end. False: the ticket was revoked meanwhile. */
bool admission_finish(struct admission *a, struct admission_ticket *ticket,
                      uint64_t now_ms);
/* Ends a ticket; `how` only matters for unfinished handshakes. Does nothing if the
 * ticket was never admitted, has ended or was revoked. */
void admission_end(struct admission *a, struct admission_ticket *ticket,
                   enum admission_end how, uint64_t now_ms);
/* True if the ticket was revoked because another client needed its place: close the
 * connection. */
bool admission_is_revoked(const struct admission_ticket *ticket);
unsigned admission_count(struct admission *a); /* unfinished ones */

#endif
