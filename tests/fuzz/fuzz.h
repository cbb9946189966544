/*
 * fuzz - what all targets have in common: one function that takes any bytes and never
 * crashes, reads past their end, leaks, or breaks a promise of a header (MUST aborts).
 * `make fuzz` runs it with libFuzzer, and `make check` with replay.c over the
 * committed corpus.
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "p2p/crypto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(claim)                                                             \
    do {                                                                        \
        if (!(claim)) {                                                         \
            fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #claim); \
            abort();                                                            \
        }                                                                       \
    } while (0)

/* tests/vectors/keys/<name>.pem; lives until the process ends. */
struct p2p_rsa *fuzz_key(const char *name);

#endif
