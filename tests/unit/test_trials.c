// uses p2p-discovery
/* Whom the registry tries to reach, what that costs, and what a trial finds out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "discovery/meet/prober.h"
#include "p2p/clock.h"
#include "p2p/lock.h"
#include "p2p/net.h"

static struct trial
trial(uint8_t peer, uint8_t source, uint16_t port)
{
    struct trial t = {.peer = {{peer}}, .source = {{0, 0, 1, source}}};

    assert_int_equal(p2p_addr_make("127.0.0.1", port, &t.addr), P2P_OK);
    return t;
}

static bool
add(struct trials *t, uint8_t peer, uint8_t source, uint64_t now_ms)
{
    struct trial one = trial(peer, source, 9000);

    return trials_add(t, &one, now_ms);
}

static void
the_first_one_comes_first(void **state)
{
    struct trials *t = trials_new();
    struct trial out;

    (void)state;
    assert_non_null(t);
    assert_int_equal(trials_begin(t, &out), -1);
    assert_true(add(t, 1, 1, 5000));
    assert_true(add(t, 2, 2, 5000));
    assert_int_equal(trials_begin(t, &out), 0);
    assert_int_equal(out.peer.b[0], 1);
    assert_int_equal(trials_begin(t, &out), 1);
    assert_int_equal(out.peer.b[0], 2);
    assert_int_equal(trials_begin(t, &out), -1);
    trials_free(t);
}

static void
a_source_is_tried_once_at_a_time(void **state)
{
    struct trials *t = trials_new();
    struct trial out;

    (void)state;
    assert_true(add(t, 1, 7, 5000));
    assert_true(add(t, 2, 7, 5000));
    int first = trials_begin(t, &out);
    assert_true(first >= 0);
    assert_int_equal(trials_begin(t, &out), -1);
    trials_end(t, first);
    assert_true(trials_begin(t, &out) >= 0);
    assert_int_equal(out.peer.b[0], 2);
    trials_free(t);
}

static void
a_peer_waits_once_with_its_last_address(void **state)
{
    struct trials *t = trials_new();
    struct trial one = trial(1, 1, 9000), other = trial(1, 1, 9001), out;

    (void)state;
    assert_true(trials_add(t, &one, 5000));
    assert_true(trials_add(t, &other, 5000));
    assert_true(trials_begin(t, &out) >= 0);
    assert_int_equal(out.addr.port, 9001);
    assert_int_equal(trials_begin(t, &out), -1);
    trials_free(t);
}

static void
a_source_pays(void **state)
{
    struct trials *t = trials_new();
    unsigned taken = 0;

    (void)state;
    for (uint8_t i = 0; i < 100; i++)
        taken += add(t, i, 3, 5000);
    assert_int_equal(taken, TRIALS_BURST);
    assert_true(add(t, 200, 4, 5000)); /* another one pays for itself */
    assert_false(add(t, 201, 3, 5000 + TRIALS_EVERY_MS - 1));
    assert_true(add(t, 201, 3, 5000 + TRIALS_EVERY_MS));
    assert_false(add(t, 202, 3, 5000 + TRIALS_EVERY_MS));
    trials_free(t);
}

static void
the_queue_and_what_runs_are_bounded(void **state)
{
    struct trials *t = trials_new();
    struct trial out;
    unsigned taken = 0, begun = 0;

    (void)state;
    for (unsigned i = 0; i < 2 * TRIALS_MAX; i++) {
        struct trial one = trial(1, 1, 9000);

        memcpy(one.peer.b, &i, sizeof(i));
        memcpy(one.source.b, &i, sizeof(i));
        taken += trials_add(t, &one, 5000);
    }
    assert_true(taken <= TRIALS_MAX && taken > TRIALS_MAX / 2);
    while (trials_begin(t, &out) >= 0)
        begun++;
    assert_int_equal(begun, TRIALS_AT_ONCE);
    trials_free(t);
}

/* ---- with sockets ---- */

P2P_MUTEX_KIND(heard_lock);
struct heard {
    struct heard_lock lock;
    pthread_cond_t news;
    unsigned count;
    enum trial_result of[3]; /* by the first byte of the peer */
};

static void
on_result(void *arg, const struct trial *t, enum trial_result result)
{
    struct heard *h = arg;

    p2p_lock(&h->lock);
    h->of[t->peer.b[0]] = result;
    h->count++;
    pthread_cond_broadcast(&h->news);
    p2p_unlock(&h->lock);
}

static void
who_listens_is_reached(void **state)
{
    struct heard h = {.count = 0};
    struct prober_stats stats;
    struct prober *p;
    uint16_t open_port, closed_port;
    int open_fd, closed_fd;

    (void)state;
    p2p_mutex_init(&h.lock);
    p2p_cond_init(&h.news);
    assert_int_equal(p2p_net_listen("127.0.0.1", 0, false, 8, &open_fd, &open_port),
                     P2P_OK);
    assert_int_equal(p2p_net_listen("127.0.0.1", 0, false, 8, &closed_fd, &closed_port),
                     P2P_OK);
    close(closed_fd);
    assert_int_equal(prober_start(on_result, &h, &p), P2P_OK);
    struct trial good = trial(1, 1, open_port), bad = trial(2, 2, closed_port);
    prober_ask(p, &good);
    prober_ask(p, &bad);
    p2p_lock(&h.lock);
    while (h.count < 2)
        assert_true(p2p_wait_until(&h.news, &h.lock, p2p_now_ms() + 60000));
    p2p_unlock(&h.lock);
    assert_int_equal(h.of[1], TRIAL_REACHED);
    assert_int_equal(h.of[2], TRIAL_FAILED);
    prober_stats(p, &stats);
    assert_int_equal(stats.reached, 1);
    assert_int_equal(stats.failed, 1);
    prober_stop(p);
    prober_stop(NULL);
    close(open_fd);
    pthread_cond_destroy(&h.news);
    p2p_mutex_clear(&h.lock);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_one_comes_first),
        cmocka_unit_test(a_source_is_tried_once_at_a_time),
        cmocka_unit_test(a_peer_waits_once_with_its_last_address),
        cmocka_unit_test(a_source_pays),
        cmocka_unit_test(the_queue_and_what_runs_are_bounded),
        cmocka_unit_test(who_listens_is_reached),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
