/*
 * mutate - gives a decoder all prefixes and all single-bit flips of a valid input.
 * Each is in a heap block of its exact size, so that a sanitizer sees the first byte
 * that is read too far.
 */
#ifndef TESTS_UNIT_MUTATE_H
#define TESTS_UNIT_MUTATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Decodes data[0..len) and returns true if it was accepted. May change data. */
typedef bool decode_fn(void *arg, uint8_t *data, size_t len);

/* Returns how many of the mutations were accepted; the caller knows how many may be. */
struct mutation_counts {
    size_t prefixes, flips;
};
struct mutation_counts mutate_all(const void *valid, size_t len, decode_fn *decode,
                                  void *arg);

#endif
