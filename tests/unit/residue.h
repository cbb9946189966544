/*
 * residue - checks whether a secret is anywhere in this process. It searches all
 * writable memory except for what is_expected (may be NULL) claims. Secrets are given
 * in hex and kept masked, so that the search does not find itself. Include after
 * cmocka.h.
 */
#ifndef P2P_RESIDUE_H
#define P2P_RESIDUE_H

#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "p2p/crypto.h"

enum { MASK = 0xa5, PIECE = 16, WINDOW = 1 << 20 };

/* Half of a secret, masked; as bytes or as the words SHA-256 makes of them. */
struct piece {
    uint8_t masked[PIECE];
};

static uint8_t
hex_byte(const char *hex, size_t i)
{
    unsigned value = 0;

    sscanf(hex + 2 * i, "%2x", &value);
    return (uint8_t)value;
}

static struct piece
piece_of(const char *hex, size_t from, bool swapped)
{
    struct piece p;

    for (size_t i = 0; i < PIECE; i++)
        p.masked[i] = hex_byte(hex, from + (swapped ? i ^ 3 : i)) ^ MASK;
    return p;
}

static bool
is_at(const uint8_t *at, const struct piece *p)
{
    for (size_t i = 0; i < PIECE; i++)
        if ((at[i] ^ MASK) != p->masked[i])
            return false;
    return true;
}

static bool
is_in(const uint8_t *data, size_t len, const struct piece *p)
{
    const uint8_t first = p->masked[0] ^ MASK, *at = data;

    while (len >= PIECE && (at = memchr(at, first, len - PIECE + 1)) != NULL) {
        if (is_at(at, p))
            return true;
        at++;
        len -= (size_t)(at - data);
        data = at;
        if (len < PIECE)
            break;
    }
    return false;
}

/* Reads through /proc/self/mem, which works for every mapping and does not disturb
 * sanitizers. */
static bool
region_holds(int mem, unsigned long from, unsigned long to, const struct piece *p)
{
    static uint8_t window[WINDOW];

    while (from + PIECE <= to) {
        size_t len = to - from < WINDOW ? to - from : WINDOW;
        ssize_t got = pread(mem, window, len, (off_t)from);
        bool found = got > 0 && is_in(window, (size_t)got, p);

        p2p_wipe(window,
                 sizeof(window)); /* so that the next search does not find it here */
        if (found || got <= PIECE)
            return found;
        from += (size_t)got - PIECE + 1; /* a piece may lie across two windows */
    }
    return false;
}

static bool (*is_expected)(const void *region);

/* Heap, stack, data and anonymous memory, but not the reserves of a sanitizer. */
static bool
memory_holds(const struct piece *p)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    int mem = open("/proc/self/mem", O_RDONLY);
    char line[512];
    bool found = false;

    assert_non_null(maps);
    assert_true(mem >= 0);
    while (!found && fgets(line, sizeof(line), maps) != NULL) {
        unsigned long from, to;
        char mode[8];

        if (sscanf(line, "%lx-%lx %7s", &from, &to, mode) == 3 && mode[1] == 'w' &&
            to - from < 1ul << 30 &&
            !(is_expected != NULL && is_expected((const void *)(uintptr_t)from)))
            found = region_holds(mem, from, to, p);
    }
    fclose(maps);
    close(mem);
    return found;
}

#endif
