// uses p2p-discovery
/* Which of two unsigned records of a peer is the newer one (registry_put). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "discovery/registry/registry.h"
#include "p2p/net.h"

static struct registry *registry;

static int
open_registry(void **state)
{
    struct registry_options opt = {.ttl_ms = 60000, .max_peers = 10};

    (void)state;
    return p2p_crypto_init() == P2P_OK && registry_open(&opt, &registry) == P2P_OK ? 0
                                                                                   : -1;
}

static int
close_registry(void **state)
{
    (void)state;
    registry_close(registry);
    return 0;
}

static const struct p2p_id peer_id = {{1, 2, 3}};

static struct record
unsigned_record(uint16_t port)
{
    return (struct record){
        .id = peer_id, .ip = "127.0.0.1", .port = port, .protocols = 1};
}

/* A record that another registry accepted `ms` after 1970. */
static enum registry_result
put_stamped(uint64_t ms, unsigned mark, uint16_t port)
{
    struct record r = unsigned_record(port);
    uint64_t seq;

    r.stamp = ms << 16 | mark;
    return registry_put(registry, &r, 0, &seq);
}

static bool
take_port(void *arg, const struct registry_peer *p)
{
    *(uint16_t *)arg = p->port;
    return true;
}

static uint16_t
listed_port(void)
{
    uint16_t port = 0;

    registry_visit_one(registry, &peer_id, take_port, &port);
    return port;
}

static bool
take_stamp(void *arg, const struct registry_exported *p)
{
    struct record r;

    assert_int_equal(record_decode(p->bytes, p->len, &r), P2P_OK);
    *(uint64_t *)arg = r.stamp;
    record_clear(&r);
    return true;
}

static void
of_two_unsigned_records_the_newer_stays(void **state)
{
    uint64_t ahead_ms = (p2p_time_s() + 3600) * 1000, stamp, seq;
    struct record here = unsigned_record(9008);

    (void)state;
    assert_int_equal(put_stamped(1000, 2, 9001), REGISTRY_OK);
    assert_int_equal(put_stamped(999, 3, 9002), REGISTRY_STALE);
    assert_int_equal(put_stamped(1000, 1, 9003), REGISTRY_STALE);
    assert_int_equal(put_stamped(1000, 2, 9004), REGISTRY_OK); /* the same again */
    assert_int_equal(listed_port(), 9001);
    assert_int_equal(put_stamped(1000, 3, 9005), REGISTRY_OK); /* of one moment */
    assert_int_equal(put_stamped(1001, 1, 9006), REGISTRY_OK);
    assert_int_equal(listed_port(), 9006);
    /* The clock of the other registry is ahead; a record that is registered here later
     * is still the newer one. */
    assert_int_equal(put_stamped(ahead_ms, 1, 9007), REGISTRY_OK);
    assert_int_equal(registry_put(registry, &here, 0, &seq), REGISTRY_OK);
    assert_int_equal(put_stamped(ahead_ms, 65535, 9009), REGISTRY_STALE);
    assert_int_equal(listed_port(), 9008);
    assert_true(registry_export_one(registry, &peer_id, take_stamp, &stamp));
    assert_int_equal(stamp >> 16, ahead_ms + 1);
    /* A record that was removed does not count. */
    registry_remove(registry, &peer_id);
    assert_int_equal(put_stamped(5, 1, 9010), REGISTRY_OK);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(of_two_unsigned_records_the_newer_stays,
                                        open_registry, close_registry),
    };

    return cmocka_run_group_tests_name("registry_order", tests, NULL, NULL);
}
