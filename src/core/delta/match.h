/*
 * match - finds blocks of a new file in an old one, at any offset: rsync's search, with
 * the sums and hashes of LEAVES. Pure: no files, no locks. The caller feeds the old
 * file's bytes.
 *
 * A sum is a claim of the peer and only tells where a hash is worth its time. A peer
 * could choose sums that occur everywhere: after two false matches per block the search
 * is over.
 */
#ifndef P2P_MATCH_H
#define P2P_MATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "p2p/leaves.h"

/* The sum of the window of `len` bytes that begins one byte later: `first` leaves it,
 * `next` comes. */
static inline uint32_t
p2p_leaf_sum_move(uint32_t sum, size_t len, uint8_t first, uint8_t next)
{
    uint32_t a = sum - first + next;
    uint32_t b = (sum >> 16) - (uint32_t)len * first + a;

    return (a & 0xffff) | b << 16;
}

/* Blocks of one search: 24 MiB. */
#define MATCH_WANTS_MAX (1u << 19)

/* A block of P2P_BLOCK_SIZE that is looked for. */
struct match_want {
    struct p2p_digest hash;
    uint32_t sum;
    uint32_t next; /* of those with the same place in the table */
    uint64_t at;   /* where it is in the old file, plus one; 0: not found */
};

struct match; /* *returned owned*, free with p2p_match_free */

/* Looks for the blocks of `wants` that have no place yet; borrowed. RANGE: more than
 * MATCH_WANTS_MAX. */
P2P_MUST_CHECK enum p2p_err p2p_match_new(struct match_want *wants, size_t count,
                                          struct match **out);
void p2p_match_free(struct match *m);
/*
 * Looks at each window of P2P_BLOCK_SIZE in `data`, which stands at `offset` in the old
 * file. Behind a match, the next window begins at its end. Returns where the first
 * window begins that was not looked at: give the bytes from there on again, with more
 * behind them.
 */
P2P_MUST_CHECK enum p2p_err p2p_match_feed(struct match *m, const uint8_t *data,
                                           size_t len, uint64_t offset, size_t *used);
/* True if every block has a place, or the search was given up. */
bool p2p_match_is_over(const struct match *m);

#endif
