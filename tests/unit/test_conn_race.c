// uses tests/unit/fake_peer.c
/* One peer at several addresses: which address is used, and which error is reported if
 * none works. */
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/remote/conn_internal.h"
#include "deaf.h"
#include "fake_peer.h"
#include "keys_fixture.h"

struct world {
    struct keys *keys;
    struct fake_peer peer, other; /* this device, and another one */
    int no_listener;              /* holds a port where nothing listens */
    uint16_t no_port;
};

static int
setup(void **state)
{
    struct sockaddr_in any = {.sin_family = AF_INET,
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct world *w = calloc(1, sizeof(*w));
    socklen_t len = sizeof(any);

    assert_non_null(w);
    assert_int_equal(keys_setup((void **)&w->keys), 0);
    w->no_listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(w->no_listener, (const struct sockaddr *)&any, sizeof(any)),
                     0);
    assert_int_equal(getsockname(w->no_listener, (struct sockaddr *)&any, &len), 0);
    w->no_port = ntohs(any.sin_port);
    fake_peer_start(&w->peer);
    fake_peer_start(&w->other);
    *state = w;
    return 0;
}

static int
teardown(void **state)
{
    struct world *w = *state;
    void *keys = w->keys;

    fake_peer_stop(&w->peer);
    fake_peer_stop(&w->other);
    close(w->no_listener);
    keys_teardown(&keys);
    free(w);
    return 0;
}

static struct p2p_addr
at(uint16_t port)
{
    struct p2p_addr addr;

    assert_int_equal(p2p_addr_make("127.0.0.1", port, &addr), P2P_OK);
    return addr;
}

static enum p2p_err
open_at(struct world *w, const struct p2p_addr *addresses, size_t count,
        const struct p2p_id *expected, struct p2p_conn **conn)
{
    const struct p2p_conn_options opt = {
        .identity = w->keys->identity,
        .addr = addresses[0],
        .expected = expected,
        .protocol = 2,
        .timeout_ms = 30000,
        .others = addresses + 1,
        .other_count = count - 1,
    };

    return p2p_conn_open(&opt, conn);
}

static void
assert_reached(struct world *w, const struct p2p_addr *addresses, size_t count)
{
    const struct p2p_addr right = at(w->peer.port);
    struct p2p_conn *conn = NULL;

    assert_int_equal(open_at(w, addresses, count, &w->peer.id, &conn), P2P_OK);
    assert_true(p2p_id_equal(p2p_conn_peer(conn), &w->peer.id));
    assert_true(p2p_addr_equal(p2p_conn_address(conn), &right));
    p2p_conn_close(conn);
}

static void
the_right_address_wins_wherever_it_stands(void **state)
{
    struct world *w = *state;
    struct p2p_addr dead = at(w->no_port), wrong = at(w->other.port),
                    here = at(w->peer.port);

    assert_reached(w, &here, 1);
    assert_reached(w, (const struct p2p_addr[]){here, dead, wrong}, 3);
    assert_reached(w, (const struct p2p_addr[]){dead, here}, 2);
    assert_reached(w, (const struct p2p_addr[]){wrong, here}, 2);
    assert_reached(w, (const struct p2p_addr[]){dead, wrong, dead, here}, 4);
}

/* Alone, the first address would use up all of the time for the handshake and fail. */
static void
silence_holds_nobody_up(void **state)
{
    struct world *w = *state;
    struct p2p_addr here = at(w->peer.port);
    struct deaf deaf;
    uint16_t mute_port;
    int mute;

    deaf_open(&deaf);
    /* The kernel accepts the connection, and no program answers. */
    assert_int_equal(p2p_net_listen("127.0.0.1", 0, false, 8, &mute, &mute_port),
                     P2P_OK);
    assert_reached(w, (const struct p2p_addr[]){deaf.addr, at(mute_port), here}, 3);
    close(mute);
    deaf_close(&deaf);
}

static void
of_all_failures_one_that_may_pass_is_told(void **state)
{
    struct world *w = *state;
    struct p2p_addr dead = at(w->no_port), wrong = at(w->other.port);
    struct p2p_conn *conn = NULL;

    assert_int_equal(
        open_at(w, (const struct p2p_addr[]){wrong, dead}, 2, &w->peer.id, &conn),
        P2P_ERR_UNREACHABLE);
    assert_null(conn);
    assert_int_equal(
        open_at(w, (const struct p2p_addr[]){wrong, wrong}, 2, &w->peer.id, &conn),
        P2P_ERR_WRONG_PEER);
    assert_null(conn);
}

/* Addresses of different peers do not count as addresses of one peer. */
static void
without_an_id_there_is_one_address(void **state)
{
    struct world *w = *state;
    struct p2p_addr both[] = {at(w->no_port), at(w->peer.port)};
    struct p2p_conn *conn = NULL;

    assert_int_equal(open_at(w, both, 2, NULL, &conn), P2P_ERR_UNREACHABLE);
    assert_null(conn);
}

static void
more_addresses_than_are_tried_do_no_harm(void **state)
{
    struct world *w = *state;
    struct p2p_addr many[1 + 3 * P2P_CONN_OTHERS_MAX];
    struct p2p_conn *conn = NULL;
    size_t count = sizeof(many) / sizeof(many[0]);

    for (size_t i = 0; i < count; i++)
        many[i] = at(w->no_port);
    many[P2P_CONN_OTHERS_MAX] = at(w->peer.port);
    assert_reached(w, many, count);
    many[P2P_CONN_OTHERS_MAX] = at(w->no_port);
    many[P2P_CONN_OTHERS_MAX + 1] = at(w->peer.port);
    assert_int_equal(open_at(w, many, count, &w->peer.id, &conn), P2P_ERR_UNREACHABLE);
}

/* ---- stopping ---- */

struct stopper {
    pthread_mutex_t lock;
    pthread_cond_t shown;
    struct p2p_conn *conn;
    bool is_gone;
};

static void
on_shown(void *arg, struct p2p_conn *conn)
{
    struct stopper *s = arg;

    pthread_mutex_lock(&s->lock);
    s->conn = conn;
    s->is_gone = conn == NULL;
    pthread_cond_signal(&s->shown);
    pthread_mutex_unlock(&s->lock);
}

static void *
stop_it(void *arg)
{
    struct stopper *s = arg;

    pthread_mutex_lock(&s->lock);
    while (s->conn == NULL)
        pthread_cond_wait(&s->shown, &s->lock);
    p2p_conn_interrupt(s->conn);
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

static void
it_can_be_stopped(void **state)
{
    struct stopper s = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, NULL, 0};
    struct world *w = *state;
    struct p2p_conn *conn = NULL;
    struct deaf deaf;
    pthread_t thread;

    deaf_open(&deaf);
    const struct p2p_conn_options opt = {
        .identity = w->keys->identity,
        .addr = deaf.addr,
        .expected = &w->peer.id,
        .protocol = 2,
        .timeout_ms = 30000,
        .others = &deaf.addr,
        .other_count = 1,
    };
    assert_int_equal(pthread_create(&thread, NULL, stop_it, &s), 0);
    assert_int_equal(p2p_conn_open_shown(&opt, on_shown, &s, &conn), P2P_ERR_CANCELLED);
    pthread_join(thread, NULL);
    assert_null(conn);
    assert_true(s.is_gone);
    deaf_close(&deaf);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_right_address_wins_wherever_it_stands,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(silence_holds_nobody_up, setup, teardown),
        cmocka_unit_test_setup_teardown(of_all_failures_one_that_may_pass_is_told,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(without_an_id_there_is_one_address, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(more_addresses_than_are_tried_do_no_harm, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(it_can_be_stopped, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
