/*
 * test_keys - key pairs from tests/vectors/keys, because making a key takes longer than
 * most tests. Include after cmocka.h.
 */
#ifndef TESTS_UNIT_TEST_KEYS_H
#define TESTS_UNIT_TEST_KEYS_H

#include <stdio.h>

#include "p2p/crypto.h"

enum { TEST_KEYS = 8 };

/* The PEM text of one of the TEST_KEYS keys; returns its length. */
static inline size_t
test_key_read(unsigned i, char pem[4096])
{
    char path[64];

    snprintf(path, sizeof(path), "tests/vectors/keys/peer%u.pem", i + 1);
    FILE *f = fopen(path, "re");
    if (f == NULL)
        fail_msg("cannot open %s: run from the project's folder", path);
    size_t len = fread(pem, 1, 4095, f);
    fclose(f);
    pem[len] = '\0';
    return len;
}

/* *Returns owned*, free with p2p_rsa_free. */
static inline struct p2p_rsa *
test_key(unsigned i)
{
    char pem[4096];
    struct p2p_rsa *key;

    assert_int_equal(p2p_rsa_parse_pem(pem, test_key_read(i, pem), NULL, &key), P2P_OK);
    return key;
}

#endif
