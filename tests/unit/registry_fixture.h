/* registry_fixture.h - one registry for each test, records to put into it, and a look
 * at its peers. */
#ifndef TESTS_UNIT_REGISTRY_FIXTURE_H
#define TESTS_UNIT_REGISTRY_FIXTURE_H

#include <string.h>

#include "discovery/registry/registry.h"
#include "p2p/net.h"
#include "test_keys.h"

#define TTL_MS 60000u

static struct registry *registry;

static inline int
open_registry(void **state)
{
    struct registry_options opt = {
        .ttl_ms = TTL_MS, .max_peers = 5000, .max_peers_per_ip = 3};

    (void)state;
    return p2p_crypto_init() == P2P_OK && registry_open(&opt, &registry) == P2P_OK ? 0
                                                                                   : -1;
}

static inline int
close_registry(void **state)
{
    (void)state;
    registry_close(registry);
    registry = NULL;
    return 0;
}

/* ---- records ---- */

static inline struct p2p_id
id_of(unsigned n)
{
    struct p2p_digest d;
    struct p2p_id id;

    assert_int_equal(p2p_sha256(&n, sizeof(n), &d), P2P_OK);
    memcpy(id.b, d.b, sizeof(id.b));
    return id;
}

/* A number that is accepted as a modulus. */
static inline void
make_key(struct p2p_spki *key)
{
    struct p2p_rsa *rsa = test_key(0);

    *key = *p2p_rsa_spki(rsa);
    p2p_rsa_free(rsa);
}

static inline struct record
unsigned_record(unsigned n)
{
    struct record r = {.id = id_of(n), .ip = "127.0.0.1", .port = 9000, .protocols = 1};

    return r;
}

static inline struct record
signed_record(unsigned n, uint64_t seq)
{
    static struct p2p_spki key;
    struct record r = unsigned_record(n);

    if (key.b[0] == 0)
        make_key(&key);
    r.is_signed = r.has_content = true;
    r.seq = seq;
    r.expires_at_s = p2p_time_s() + 600;
    r.key = key;
    return r;
}

static inline struct p2p_reg_entry
entry(const char *name, uint64_t size)
{
    struct p2p_reg_entry e = {.name = {name, strlen(name)}, .size = size};

    memset(e.root.b, (int)size, sizeof(e.root.b));
    return e;
}

static inline enum registry_result
put(const struct record *r)
{
    uint64_t seq;

    return registry_put(registry, r, 0, &seq);
}

static inline bool
count_one(void *arg, const struct registry_peer *p)
{
    (void)p;
    ++*(unsigned *)arg;
    return true;
}

static inline unsigned
count_peers(const char *file)
{
    struct registry_filter filter = {.file = file};
    unsigned n = 0;

    registry_visit_peers(registry, &filter, NULL, count_one, &n);
    return n;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, open_registry, close_registry)

#endif
