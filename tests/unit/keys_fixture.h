/* keys_fixture - a separate keys directory for each test. All have the same key pair,
 * unless a test asks for another one. */
#ifndef P2P_KEYS_FIXTURE_H
#define P2P_KEYS_FIXTURE_H

#include "p2p/bytes.h"
#include "p2p/identity.h"
#include "scratch.h"
#include "test_keys.h"

struct keys {
    struct scratch scratch;
    char dir[PATH_MAX];
    struct p2p_identity *identity;
};

static UNUSED_OK struct p2p_identity *
keys_open(const struct keys *k)
{
    struct p2p_identity *identity;
    char why[300];

    if (p2p_identity_open(k->dir, true, NULL, NULL, &identity, why, sizeof(why)))
        fail_msg("%s", why);
    return identity;
}

/* Puts key pair `i` of tests/vectors/keys into the new folder keys/. */
static UNUSED_OK void
keys_put(struct scratch *scratch, unsigned i)
{
    char pem[4096];

    scratch_folder(scratch, "keys");
    assert_int_equal(chmod(scratch_path(scratch, "keys"), 0700), 0);
    scratch_put_bytes(scratch, "keys/private_key.pem", pem, test_key_read(i, pem));
    assert_int_equal(chmod(scratch_path(scratch, "keys/private_key.pem"), 0600), 0);
}

static UNUSED_OK struct keys *
keys_new(unsigned i)
{
    struct keys *k = calloc(1, sizeof(*k));

    assert_non_null(k);
    scratch_make(&k->scratch);
    snprintf(k->dir, sizeof(k->dir), "%s/keys", k->scratch.dir);
    keys_put(&k->scratch, i);
    k->identity = keys_open(k);
    return k;
}

static UNUSED_OK int
keys_setup(void **state)
{
    *state = keys_new(TEST_KEYS - 1);
    return 0;
}

static UNUSED_OK int
keys_teardown(void **state)
{
    struct keys *k = *state;

    p2p_identity_close(k->identity);
    scratch_remove(&k->scratch);
    free(k);
    return 0;
}

/* What is remembered of this peer. */
static UNUSED_OK struct p2p_known_peer
keys_get(struct p2p_identity *identity, const struct p2p_id *id)
{
    struct p2p_known_peer peer;

    assert_int_equal(p2p_known_find(identity, id, &peer), P2P_OK);
    return peer;
}

/* A peer id whose bytes are all the same. */
static UNUSED_OK struct p2p_id
keys_peer(uint8_t byte)
{
    struct p2p_id id;

    memset(id.b, byte, sizeof(id.b));
    return id;
}

#endif
