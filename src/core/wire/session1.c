/* Protocol 1: all frames use one key, and each nonce may occur once. */
#include <stdlib.h>
#include <string.h>

#include "p2p/bytes.h"
#include "p2p/limits.h"
#include "p2p/session.h"
#include "p2p/vault.h"

enum { SLOTS_FIRST = 64 };

/*
 * The nonces seen so far: a hash table with open addressing, at most half full. The
 * other side knows the session key and chooses its nonces, so the position of a nonce
 * depends on factors that it does not know.
 */
struct seen {
    struct p2p_nonce *slots; /* all zero: empty */
    size_t capacity;         /* a power of two */
    size_t count;
    bool has_zero; /* the nonce of zeros itself */
    uint64_t factors[4];
};

struct p2p_session1 {
    struct p2p_secret key;
    struct seen seen;
};

static bool
is_zero(const struct p2p_nonce *nonce)
{
    static const struct p2p_nonce zero;

    return memcmp(nonce, &zero, sizeof(zero)) == 0;
}

/* Multiply-shift over the three words: the upper half decides. */
static size_t
place_of(const struct seen *seen, const struct p2p_nonce *nonce)
{
    uint64_t sum = seen->factors[3];

    for (size_t i = 0; i < 3; i++)
        sum += seen->factors[i] * p2p_load_u32(nonce->b + 4 * i);
    return (size_t)(sum >> 32) & (seen->capacity - 1);
}

/* The slot that holds the nonce, or the empty one where it belongs. */
static struct p2p_nonce *
slot_of(const struct seen *seen, const struct p2p_nonce *nonce)
{
    size_t i = place_of(seen, nonce);

    while (!is_zero(&seen->slots[i]) &&
           memcmp(&seen->slots[i], nonce, sizeof(*nonce)) != 0)
        i = (i + 1) & (seen->capacity - 1);
    return &seen->slots[i];
}

static bool
was_seen(const struct seen *seen, const struct p2p_nonce *nonce)
{
    return is_zero(nonce) ? seen->has_zero : !is_zero(slot_of(seen, nonce));
}

static enum p2p_err
grow(struct seen *seen)
{
    struct seen larger = *seen;

    larger.capacity = 2 * seen->capacity;
    larger.slots = calloc(larger.capacity, sizeof(*larger.slots));
    if (larger.slots == NULL)
        return P2P_ERR_NOMEM;
    for (size_t i = 0; i < seen->capacity; i++)
        if (!is_zero(&seen->slots[i]))
            *slot_of(&larger, &seen->slots[i]) = seen->slots[i];
    free(seen->slots);
    *seen = larger;
    return P2P_OK;
}

static enum p2p_err
remember(struct seen *seen, const struct p2p_nonce *nonce)
{
    enum p2p_err err = P2P_OK;

    if (seen->count >= P2P_FRAME1_NONCES_MAX)
        return P2P_ERR_PROTOCOL;
    if (2 * (seen->count + 1) > seen->capacity)
        err = grow(seen);
    if (err != P2P_OK)
        return err;
    if (is_zero(nonce))
        seen->has_zero = true;
    else
        *slot_of(seen, nonce) = *nonce;
    seen->count++;
    return P2P_OK;
}

enum p2p_err
p2p_session1_new(const struct p2p_secret *key, struct p2p_session1 **out)
{
    struct p2p_session1 *s = p2p_vault_new(sizeof(*s));
    enum p2p_err err = P2P_ERR_NOMEM;

    *out = NULL;
    if (s == NULL)
        return err;
    s->key = *key;
    s->seen.capacity = SLOTS_FIRST;
    s->seen.slots = calloc(SLOTS_FIRST, sizeof(*s->seen.slots));
    if (s->seen.slots != NULL)
        err = p2p_random(s->seen.factors, sizeof(s->seen.factors));
    if (err != P2P_OK) {
        p2p_session1_free(s);
        return err;
    }
    *out = s;
    return P2P_OK;
}

void
p2p_session1_free(struct p2p_session1 *s)
{
    if (s == NULL)
        return;
    free(s->seen.slots);
    p2p_vault_free(s);
}

bool
p2p_session1_is_worn(const struct p2p_session1 *s, size_t margin)
{
    return s != NULL && s->seen.count + margin >= P2P_FRAME1_NONCES_MAX;
}

size_t
p2p_session1_memory(const struct p2p_session1 *s)
{
    return s != NULL ? sizeof(*s) + s->seen.capacity * sizeof(*s->seen.slots) : 0;
}

enum p2p_err
p2p_session1_seal(struct p2p_session1 *s, uint8_t *frame, size_t plain_len,
                  const struct p2p_nonce *nonce)
{
    enum p2p_err err;

    if (was_seen(&s->seen, nonce))
        return P2P_ERR_AUTH;
    err = remember(&s->seen, nonce);
    if (err != P2P_OK)
        return err;
    return p2p_frame_seal(frame, plain_len, &s->key, nonce, NULL, 0);
}

enum p2p_err
p2p_session1_open(struct p2p_session1 *s, uint8_t *frame, size_t size, uint8_t **plain,
                  size_t *plain_len)
{
    struct p2p_nonce nonce;
    enum p2p_err err;

    *plain = NULL;
    *plain_len = 0;
    if (size < P2P_FRAME_OVERHEAD)
        return P2P_ERR_MALFORMED;
    memcpy(nonce.b, frame + P2P_FRAME_HEAD, sizeof(nonce.b));
    if (was_seen(&s->seen, &nonce))
        return P2P_ERR_AUTH;
    err = p2p_frame_open(frame, size, &s->key, NULL, 0, plain, plain_len);
    if (err != P2P_OK)
        return err;
    err = remember(&s->seen, &nonce); /* only valid frames, so that a stranger cannot
                                       * fill the table */
    if (err != P2P_OK)
        *plain_len = 0;
    return err;
}
