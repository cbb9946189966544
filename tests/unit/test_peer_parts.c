// uses p2p-peer
/* The small parts of the peer's server: worker pool, per-peer limits, compression. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#ifdef P2P_WITH_ZSTD
#include <zstd.h>
#endif

#include "p2p/limits.h"
#include "peer/access/clients.h"
#include "peer/registration/duplicate.h"
#include "peer/server/compress.h"
#include "peer/server/workers.h"

/* ---- another device with our identity ---- */

static void
a_copy_is_remembered_where_it_was_seen_last(void **state)
{
    struct duplicate d = {.lock = P2P_MUTEX_INITIALIZER};
    struct p2p_addr at;
    char text[P2P_ADDR_TEXT];

    (void)state;
    duplicate_get(&d, text);
    assert_string_equal(text, "");
    for (uint16_t port = 1; port < 4; port++) {
        assert_int_equal(p2p_addr_make("10.0.0.9", port, &at), P2P_OK);
        duplicate_note(&d, &at);
    }
    duplicate_get(&d, text);
    assert_string_equal(text, "10.0.0.9:3");
}

/* ---- workers ---- */

struct counted_job {
    struct job job;
    pthread_mutex_t *gate; /* the job waits for this */
    _Atomic int *runs, *dones;
};

static void
count_run(struct job *job)
{
    struct counted_job *counted = (struct counted_job *)job;

    if (counted->gate != NULL) {
        pthread_mutex_lock(counted->gate);
        pthread_mutex_unlock(counted->gate);
    }
    ++*counted->runs;
}

static void
count_done(struct job *job)
{
    ++*((struct counted_job *)job)->dones;
}

static void
a_queue_is_bounded_and_finished_at_the_end(void **state)
{
    pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
    _Atomic int runs = 0, dones = 0;
    struct counted_job jobs[8];
    struct workers *w;
    int taken = 0;

    (void)state;
    assert_int_equal(workers_new(1, 3, &w), P2P_OK);
    pthread_mutex_lock(&gate);
    for (int i = 0; i < 8; i++) {
        jobs[i] = (struct counted_job){.job = {.run = count_run, .done = count_done},
                                       .gate = &gate,
                                       .runs = &runs,
                                       .dones = &dones};
        enum p2p_err err = workers_submit(w, &jobs[i].job);
        assert_true(err == P2P_OK || err == P2P_ERR_BUSY);
        taken += err == P2P_OK;
    }
    assert_in_range(taken, 3, 4); /* three queued, perhaps one already taken out */
    assert_int_equal(runs, 0);
    pthread_mutex_unlock(&gate);
    workers_free(w);
    assert_int_equal(runs, taken);
    assert_int_equal(dones, taken);
}

/* ---- clients ---- */

static void
connections_of_one_peer_share_a_limit(void **state)
{
    struct p2p_id one = {{1}}, other = {{2}};
    struct client *first, *second, *stranger;
    struct clients *c;

    (void)state;
    assert_int_equal(clients_new(1000000, NULL, &c), P2P_OK);
    assert_int_equal(clients_get(c, &one, &first), P2P_OK);
    assert_int_equal(clients_get(c, &one, &second), P2P_OK);
    assert_int_equal(clients_get(c, &other, &stranger), P2P_OK);
    assert_ptr_equal(client_rate(first), client_rate(second));
    assert_ptr_not_equal(client_rate(first), client_rate(stranger));
    clients_put(c, first);
    /* The second reference keeps the object. */
    assert_int_equal(clients_get(c, &one, &first), P2P_OK);
    assert_ptr_equal(client_rate(first), client_rate(second));
    clients_put(c, first);
    clients_put(c, second);
    clients_put(c, stranger);
    clients_put(c, NULL);
    clients_free(c);
}

/* A peer that waits because of the limit of all has not used up its own limit. */
static void
a_take_passes_both_limits_or_costs_neither(void **state)
{
    struct p2p_id id = {{1}};
    struct client *client;
    struct clients *c;
    struct p2p_rate all;

    (void)state;
    p2p_rate_init(&all, 1000, 1);
    assert_int_equal(clients_new(1000000, &all, &c), P2P_OK);
    assert_int_equal(clients_get(c, &id, &client), P2P_OK);
    assert_int_equal(p2p_rate_take(client_rate(client), 70000, 1), 0); /* a burst */
    double own = client_rate(client)->tokens;
    for (int i = 0; i < 10; i++)
        assert_true(p2p_rate_take(client_rate(client), 1, 2) > 0);
    p2p_rate_set(&all, 0, 3);
    assert_true(client_rate(client)->tokens >= own);
    clients_put(c, client);
    clients_free(c);
    p2p_rate_clear(&all);
}

/* ---- compress ---- */

static void
a_connection_is_slow_only_when_the_socket_was_full(void **state)
{
    struct goodput blocked = {0}, unblocked = {0}, fast = {0};

    (void)state;
    for (uint64_t ms = 1; ms < 2000; ms += 100) {
        goodput_add(&blocked, 100000, true, ms);
        goodput_add(&unblocked, 100000, false, ms);
        goodput_add(&fast, 100 * 200000, true, ms);
    }
    assert_true(blocked.is_slow);
    assert_false(unblocked.is_slow);
    assert_false(fast.is_slow);
}

#ifdef P2P_WITH_ZSTD
static void
compresses_what_shrinks_and_leaves_the_rest(void **state)
{
    struct compressor *z = compressor_new(true);
    struct goodput slow = {.is_slow = true}, quick = {0};
    uint8_t text[P2P_DATA_MAX], noise[P2P_DATA_MAX], out[P2P_DATA_MAX],
        back[P2P_DATA_MAX];
    uint32_t random = 1;
    size_t n;

    (void)state;
    assert_non_null(z);
    for (size_t i = 0; i < sizeof(text); i++) {
        text[i] = (uint8_t) "the quick brown fox "[i % 20];
        random = random * 1664525u + 1013904223u;
        noise[i] = (uint8_t)(random >> 24);
    }
    assert_int_equal(compressor_try(z, &quick, text, sizeof(text), out), 0);
    n = compressor_try(z, &slow, text, sizeof(text), out);
    assert_in_range(n, 1, sizeof(text) - sizeof(text) / 8);
    assert_int_equal(ZSTD_getFrameContentSize(out, n), sizeof(text));
    assert_int_equal(ZSTD_decompress(back, sizeof(back), out, n), sizeof(text));
    assert_memory_equal(back, text, sizeof(text));

    assert_int_equal(compressor_try(z, &slow, noise, sizeof(noise), out), 0);
    /* After incompressible data it does not try for a while, then it tries again. */
    assert_int_equal(compressor_try(z, &slow, text, sizeof(text), out), 0);
    for (int i = 0; i < 14; i++)
        assert_int_equal(compressor_try(z, &slow, text, sizeof(text), out), 0);
    assert_int_not_equal(compressor_try(z, &slow, text, sizeof(text), out), 0);

    /* It would save space, but less than an eighth. */
    memcpy(noise, text, sizeof(noise) / 12);
    assert_int_equal(compressor_try(z, &slow, noise, sizeof(noise), out), 0);
    compressor_free(z);
}
#endif

static void
without_a_compressor_nothing_is_compressed(void **state)
{
    struct compressor *z = compressor_new(false);
    struct goodput slow = {.is_slow = true};
    uint8_t in[4096] = {0}, out[4096];

    (void)state;
    assert_null(z);
    assert_int_equal(compressor_try(z, &slow, in, sizeof(in), out), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_copy_is_remembered_where_it_was_seen_last),
        cmocka_unit_test(a_queue_is_bounded_and_finished_at_the_end),
        cmocka_unit_test(connections_of_one_peer_share_a_limit),
        cmocka_unit_test(a_take_passes_both_limits_or_costs_neither),
        cmocka_unit_test(a_connection_is_slow_only_when_the_socket_was_full),
#ifdef P2P_WITH_ZSTD
        cmocka_unit_test(compresses_what_shrinks_and_leaves_the_rest),
#endif
        cmocka_unit_test(without_a_compressor_nothing_is_compressed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
