#include "core/delta/match.h"

#include <stdlib.h>
#include <string.h>

#include "p2p/limits.h"

#define NONE UINT32_MAX
/* False matches that are allowed: some by accident, and two for each block. */
#define FALSE_MIN 64
#define FALSE_PER 2

struct match {
    struct match_want *wants;
    uint32_t *heads; /* the first block of each place in the table, or NONE */
    uint8_t *filter; /* a bit for each place of a larger table: most windows end here */
    unsigned head_bits, filter_bits;
    size_t left; /* blocks without a place */
    uint64_t false_matches, false_max;
};

static uint32_t
place(uint32_t sum, unsigned bits)
{
    return (sum * 0x9e3779b1u) >> (32 - bits);
}

static void
put(struct match *m, uint32_t i)
{
    uint32_t sum = m->wants[i].sum, bit = place(sum, m->filter_bits);
    uint32_t *head = &m->heads[place(sum, m->head_bits)];

    m->wants[i].next = *head;
    *head = i;
    m->filter[bit / 8] |= (uint8_t)(1u << bit % 8);
    m->left++;
}

enum p2p_err
p2p_match_new(struct match_want *wants, size_t count, struct match **out)
{
    struct match *m = calloc(1, sizeof(*m));
    size_t places = 1024;

    *out = NULL;
    if (m == NULL)
        return P2P_ERR_NOMEM;
    m->wants = wants;
    for (m->head_bits = 10; places < 2 * count; m->head_bits++)
        places *= 2;
    m->filter_bits = m->head_bits + 4;
    m->heads = malloc(places * sizeof(*m->heads));
    m->filter = calloc(places * 2, 1);
    if (m->heads == NULL || m->filter == NULL || count > MATCH_WANTS_MAX) {
        enum p2p_err err = count > MATCH_WANTS_MAX ? P2P_ERR_RANGE : P2P_ERR_NOMEM;
        p2p_match_free(m);
        return err;
    }
    memset(m->heads, 0xff, places * sizeof(*m->heads));
    for (size_t i = 0; i < count; i++)
        if (wants[i].at == 0)
            put(m, (uint32_t)i);
    m->false_max = FALSE_MIN + FALSE_PER * (uint64_t)m->left;
    *out = m;
    return P2P_OK;
}

void
p2p_match_free(struct match *m)
{
    if (m == NULL)
        return;
    free(m->heads);
    free(m->filter);
    free(m);
}

bool
p2p_match_is_over(const struct match *m)
{
    return m->left == 0 || m->false_matches > m->false_max;
}

/* The first block behind `*link` with this sum; NULL: there is none. */
static uint32_t *
find_sum(const struct match *m, uint32_t *link, uint32_t sum)
{
    while (*link != NONE && m->wants[*link].sum != sum)
        link = &m->wants[*link].next;
    return *link != NONE ? link : NULL;
}

/* Gives its place to each block with this content, and takes it out of the table. */
static enum p2p_err
take_window(struct match *m, const uint8_t *window, uint32_t sum, uint64_t offset,
            bool *is_match)
{
    uint32_t *link = &m->heads[place(sum, m->head_bits)];
    struct p2p_digest hash;
    enum p2p_err err;

    *is_match = false;
    if ((link = find_sum(m, link, sum)) == NULL)
        return P2P_OK;
    if ((err = p2p_sha256(window, P2P_BLOCK_SIZE, &hash)) != P2P_OK)
        return err;
    while (link != NULL) {
        struct match_want *want = &m->wants[*link];
        if (memcmp(&want->hash, &hash, sizeof(hash)) == 0) {
            want->at = offset + 1;
            *link = want->next;
            m->left--;
            *is_match = true;
        } else {
            link = &want->next;
        }
        link = find_sum(m, link, sum);
    }
    m->false_matches += !*is_match;
    return P2P_OK;
}

enum p2p_err
p2p_match_feed(struct match *m, const uint8_t *data, size_t len, uint64_t offset,
               size_t *used)
{
    const size_t block = P2P_BLOCK_SIZE;
    enum p2p_err err = P2P_OK;
    size_t at = 0;

    while (err == P2P_OK && len - at >= block && !p2p_match_is_over(m)) {
        uint32_t sum = p2p_leaf_sum(data + at, block);
        bool is_match = false;
        for (;; at++) { /* at each turn, `sum` is that of the window at `at` */
            uint32_t bit = place(sum, m->filter_bits);
            if (m->filter[bit / 8] & 1u << bit % 8) {
                err = take_window(m, data + at, sum, offset + at, &is_match);
                if (err != P2P_OK || is_match || p2p_match_is_over(m))
                    break;
            }
            if (at + block >= len)
                break;
            sum = p2p_leaf_sum_move(sum, block, data[at], data[at + block]);
        }
        at += is_match ? block : 1;
    }
    *used = at < len ? at : len;
    return err;
}
