/*
 * accounts - what each peer and each source (IPv4 /32, IPv6 /64) uses of the relay:
 * sessions now, and bytes of this day (UTC). Ids cost nothing, so sources count as
 * well; a source may have as much as ACCOUNTS_PER_SOURCE peers. The table is bounded,
 * and an account that was used today is not forgotten, so that nobody gets a new one by
 * filling it. Pure: time is an argument. One thread at a time.
 */
#ifndef RELAY_ACCOUNTS_H
#define RELAY_ACCOUNTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "p2p/crypto.h"

#define ACCOUNTS_PER_SOURCE 4u

struct accounts; /* *returned owned*, free with accounts_free */
struct account;

struct accounts_limits {
    unsigned sessions_per_peer;
    uint64_t quota_per_peer, quota_in_total; /* bytes a day; 0: no limit */
    size_t max;                              /* accounts that are kept */
};

struct account_key {
    uint8_t b[33]; /* a kind, then an id or an address */
};
/* The account of a peer. */
struct account_key account_key_of_peer(const struct p2p_id *id);
/* The account of an address: of its /64 for IPv6. */
struct account_key account_key_of_source(const struct sockaddr *from);

/* Copies the limits; *returns owned*, free with accounts_free. */
P2P_MUST_CHECK enum p2p_err accounts_new(const struct accounts_limits *limits,
                                         struct accounts **out);
/* NULL is fine. */
void accounts_free(struct accounts *a);
/* For the sessions to come, and for the bytes of those that are open. */
void accounts_set_limits(struct accounts *a, const struct accounts_limits *limits);

enum accounts_verdict { ACCOUNTS_YES, ACCOUNTS_BUSY, ACCOUNTS_QUOTA, ACCOUNTS_FULL };

/* The accounts that pay for one session: both peers and both sources. */
#define ACCOUNTS_OF_SESSION 4
struct accounts_bill {
    struct account *at[ACCOUNTS_OF_SESSION];
};
/* Opens a session for all of these, or for none. Equal keys count once. */
enum accounts_verdict accounts_open(struct accounts *a,
                                    const struct account_key keys[ACCOUNTS_OF_SESSION],
                                    uint64_t now_s, struct accounts_bill *bill);
/* Bytes have passed. False: a quota is used up. */
bool accounts_charge(struct accounts *a, const struct accounts_bill *bill,
                     uint64_t bytes, uint64_t now_s);
void accounts_close(struct accounts *a, struct accounts_bill *bill);
size_t accounts_count(const struct accounts *a);

#endif
