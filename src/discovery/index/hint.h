/*
 * What a search knows of a name in an open part without reading its text, which is
 * somewhere else in memory.
 */
#ifndef P2P_DISCOVERY_HINT_H
#define P2P_DISCOVERY_HINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* The first four bytes of a folded text; shorter texts end with zeros. */
static inline uint32_t
hint_start(const char *text, size_t len)
{
    uint32_t start = 0;

    memcpy(&start, text, len < 4 ? len : 4);
    return start;
}

/* One bit for each kind of byte in the text. The letters, digits and the usual signs of
 * a folded text have different bits. */
static inline uint64_t
hint_bytes(const char *text)
{
    uint64_t bytes = 0;

    for (; *text != '\0'; text++) {
        unsigned c = (uint8_t)*text;
        bytes |= (uint64_t)1 << ((c ^ c >> 1) & 63);
    }
    return bytes;
}

/* True if more than `allowed` kinds of bytes are wanted but not there. One edit of a
 * text adds at most one kind. */
static inline bool
hint_misses_more(uint64_t wanted, uint64_t there, unsigned allowed)
{
    uint64_t missing = wanted & ~there;

    for (; missing != 0 && allowed > 0; allowed--)
        missing &= missing - 1;
    return missing != 0;
}

#endif
