/*
 * The 6,541 odd primes below 2^16 are packed into products that fit 64 bits. n is
 * reduced by each product with multiplications only (Jebelean, "Exact division", 1993:
 * the carry of an exact division is -n / 2^2048 modulo the product), and a prime
 * divides n just when it divides that remainder, which is one more multiplication and a
 * comparison.
 */
#include "core/crypto/small_factor.h"

#include <pthread.h>
#include <string.h>

#include "p2p/bytes.h"

enum { LIMIT = 1 << 16, PRIMES = 6541, LIMBS = 256 / 8, ABREAST = 8 };

/* x is a multiple of p if and only if x * inverse mod 2^64 <= most. */
struct prime {
    uint64_t inverse, most;
};
struct product {
    uint64_t value, inverse;
    unsigned first, count; /* its primes */
};

/* The upper half of the product. */
static inline uint64_t
multiply_high(uint64_t a, uint64_t b)
{
#ifdef __SIZEOF_INT128__
    __extension__ typedef unsigned __int128 uint128;
    return (uint64_t)((uint128)a * b >> 64);
#else /* machines of 32 bits: four products of halves; none of the sums overflows */
    uint64_t a0 = (uint32_t)a, a1 = a >> 32, b0 = (uint32_t)b, b1 = b >> 32;
    uint64_t middle = a1 * b0 + (a0 * b0 >> 32);
    uint64_t other = a0 * b1 + (uint32_t)middle;

    return a1 * b1 + (middle >> 32) + (other >> 32);
#endif
}

static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct prime primes[PRIMES];
static struct product products[PRIMES + ABREAST];
static unsigned product_count;

/* The inverse of an odd number modulo 2^64. Each Newton step doubles the number of
 * correct bits, beginning with 3. */
static uint64_t
inverse_of(uint64_t odd)
{
    uint64_t x = odd;

    for (int i = 0; i < 5; i++)
        x *= 2 - odd * x;
    return x;
}

static void
add_prime(unsigned index, uint64_t p)
{
    struct product *last = &products[product_count > 0 ? product_count - 1 : 0];

    primes[index] = (struct prime){inverse_of(p), UINT64_MAX / p};
    if (product_count == 0 || last->value > UINT64_MAX / p) {
        last = &products[product_count++];
        *last = (struct product){.value = 1, .first = index};
    }
    last->value *= p;
    last->inverse = inverse_of(last->value);
    last->count++;
}

static void
make_tables(void)
{
    static bool composite[LIMIT];
    unsigned index = 0;

    for (unsigned p = 3; p < LIMIT; p += 2) {
        if (composite[p])
            continue;
        add_prime(index++, p);
        for (unsigned long multiple = (unsigned long)p * p; multiple < LIMIT;
             multiple += 2 * p)
            composite[multiple] = true;
    }
}

/*
 * rest[k] = -n / 2^2048 modulo by[k]; the least significant limb comes first. Each step
 * of a chain of multiplications waits for the step before, so several chains run side
 * by side.
 */
static void
exact_remainders(const uint64_t limbs[LIMBS], const struct product by[ABREAST],
                 uint64_t rest[ABREAST])
{
    memset(rest, 0, ABREAST * sizeof(rest[0]));
    for (int i = 0; i < LIMBS; i++) {
        for (int k = 0; k < ABREAST; k++) {
            uint64_t borrow = limbs[i] < rest[k];
            uint64_t quotient = (limbs[i] - rest[k]) * by[k].inverse;

            rest[k] = multiply_high(quotient, by[k].value) + borrow;
        }
    }
}

static bool
divides_one(const struct product *by, uint64_t rest)
{
    for (unsigned i = by->first; i < by->first + by->count; i++)
        if (rest * primes[i].inverse <= primes[i].most)
            return true;
    return false;
}

bool
p2p_has_small_factor(const uint8_t n[256])
{
    uint64_t limbs[LIMBS], rest[ABREAST];

    pthread_once(&once, make_tables);
    for (int i = 0; i < LIMBS; i++)
        limbs[i] = p2p_load_u64(n + 8 * (LIMBS - 1 - i));
    /* The table is filled up with empty products, so that the number of rows fits the
     * loop. */
    for (unsigned at = 0; at < product_count; at += ABREAST) {
        exact_remainders(limbs, products + at, rest);
        for (unsigned k = 0; k < ABREAST; k++)
            if (divides_one(&products[at + k], rest[k]))
                return true;
    }
    return false;
}
