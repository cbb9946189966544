/* The ways that a call opens: which one is taken when several are possible. */
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/reach/ways.h"
#include "p2p/clock.h"
#include "p2p/io.h"
#include "p2p/net.h"
#include "patience.h"
#include "segments.h"

/* A relay that says "+" to each client; and one that says nothing, if it is not run. */
struct relay {
    struct p2p_addr addr;
    int listener, client;
    pthread_t thread;
};

static void
relay_open(struct relay *r)
{
    *r = (struct relay){.addr = {.host = "127.0.0.1"}, .client = -1};
    assert_int_equal(
        p2p_net_listen(r->addr.host, 0, false, 4, &r->listener, &r->addr.port), P2P_OK);
}

static void *
say_plus(void *arg)
{
    struct relay *r = arg;
    struct pollfd news = {.fd = r->listener, .events = POLLIN};

    (void)!poll(&news, 1, 30000);
    r->client = accept(r->listener, NULL, NULL);
    (void)!write(r->client, "+\n", 2);
    return NULL;
}

static void
relay_run(struct relay *r)
{
    assert_int_equal(pthread_create(&r->thread, NULL, say_plus, r), 0);
}

static bool
relay_was_asked(struct relay *r)
{
    int fd = accept4(r->listener, NULL, NULL, SOCK_NONBLOCK);

    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static void
relay_close(struct relay *r)
{
    p2p_fd_close(&r->client);
    p2p_fd_close(&r->listener);
}

/* Makes two ports. peer[i] is what port i is told about the other one. */
static void
two_ports(struct p2p_channel_port *port[2], struct p2p_call_channel peer[2])
{
    for (int i = 0; i < 2; i++) {
        assert_int_equal(p2p_channel_port_new(NULL, 0, NULL, &port[i]), P2P_OK);
        p2p_channel_port_tell(port[i], &peer[1 - i]);
    }
}

static struct p2p_ways *
start(struct p2p_channel_port *port, const struct p2p_call_channel *peer, bool calls,
      const struct relay *relay, const struct p2p_stop *stop)
{
    const struct p2p_ways_options opt = {.port = port,
                                         .peer = peer,
                                         .calls = calls,
                                         .relay = relay != NULL ? &relay->addr : NULL,
                                         .token = "token",
                                         .stop = stop};
    struct p2p_ways *w;

    assert_int_equal(p2p_ways_start(&opt, &w), P2P_OK);
    return w;
}

static void
a_channel_that_opens_spares_the_relay(void **state)
{
    struct p2p_channel_port *port[2];
    struct p2p_call_channel peer[2];
    struct p2p_ways *w[2];
    struct p2p_way way[2], other;
    struct relay relay;
    uint64_t began_ms = p2p_now_ms();
    char text[2];

    (void)state;
    if (!segments_pass())
        skip(); /* an emulator */
    relay_open(&relay);
    two_ports(port, peer);
    w[0] = start(port[0], &peer[0], true, &relay, NULL);
    w[1] = start(port[1], &peer[1], false, &relay, NULL);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(p2p_ways_first(w[i], &way[i]), P2P_OK);
        assert_int_equal(way[i].kind, P2P_PATH_CHANNEL);
        assert_int_not_equal(p2p_ways_other(w[i], &other), P2P_OK);
        p2p_ways_free(w[i]);
    }
    assert_int_equal(p2p_net_write(way[0].fd, "hi", 2, patience_end_ms()), P2P_OK);
    assert_int_equal(p2p_net_read(way[1].fd, text, 2, patience_end_ms()), P2P_OK);
    assert_memory_equal(text, "hi", 2);
    if (p2p_now_ms() - began_ms < P2P_WAYS_RELAY_AFTER_MS)
        assert_false(relay_was_asked(&relay));
    for (int i = 0; i < 2; i++)
        close(way[i].fd);
    assert_true(p2p_reach_settle(patience_ms()));
    relay_close(&relay);
}

/* It does not wait for its time. */
static void
a_channel_that_fails_brings_the_relay(void **state)
{
    struct p2p_channel_port *port[2];
    struct p2p_call_channel peer[2];
    struct p2p_ways *w;
    struct p2p_way way;
    struct relay relay;

    (void)state;
    relay_open(&relay);
    relay_run(&relay);
    two_ports(port, peer);
    p2p_channel_port_close(port[1]);
    peer[0].pwd[0] = '\0';
    w = start(port[0], &peer[0], true, &relay, NULL);
    assert_int_equal(p2p_ways_first(w, &way), P2P_OK);
    assert_int_equal(way.kind, P2P_PATH_RELAY);
    p2p_ways_free(w);
    pthread_join(relay.thread, NULL);
    close(way.fd);
    relay_close(&relay);
}

static void
a_relay_alone_is_asked_at_once(void **state)
{
    struct p2p_ways *w;
    struct p2p_way way;
    struct relay relay;

    (void)state;
    relay_open(&relay);
    relay_run(&relay);
    w = start(NULL, NULL, false, &relay, NULL);
    assert_int_equal(p2p_ways_first(w, &way), P2P_OK);
    assert_int_equal(way.kind, P2P_PATH_RELAY);
    assert_int_not_equal(p2p_ways_other(w, &way), P2P_OK);
    p2p_ways_free(w);
    pthread_join(relay.thread, NULL);
    relay_close(&relay);
}

static void
nothing_is_no_way(void **state)
{
    const struct p2p_ways_options none = {.token = "token"};
    struct p2p_ways *w;
    struct p2p_way way;
    struct relay relay;

    (void)state;
    assert_int_equal(p2p_ways_start(&none, &w), P2P_ERR_UNREACHABLE);
    assert_null(w);
    p2p_ways_free(NULL);
    relay_open(&relay);
    relay_close(&relay); /* its port refuses */
    w = start(NULL, NULL, true, &relay, NULL);
    assert_int_equal(p2p_ways_first(w, &way), P2P_ERR_UNREACHABLE);
    assert_int_equal(way.fd, -1);
    p2p_ways_free(w);
}

static void *
set_stop(void *arg)
{
    p2p_stop_set(arg);
    return NULL;
}

/* Neither of the two ways would ever open. */
static void
whoever_waits_can_be_stopped(void **state)
{
    struct p2p_channel_port *port[2];
    struct p2p_call_channel peer[2];
    struct p2p_stop *stop;
    struct p2p_ways *w;
    struct p2p_way way;
    struct relay relay;
    pthread_t thread;

    (void)state;
    relay_open(&relay);
    assert_int_equal(p2p_stop_new(&stop), P2P_OK);
    two_ports(port, peer);
    w = start(port[0], &peer[0], true, &relay, stop);
    assert_int_equal(pthread_create(&thread, NULL, set_stop, stop), 0);
    assert_int_equal(p2p_ways_first(w, &way), P2P_ERR_CANCELLED);
    assert_int_equal(way.fd, -1);
    pthread_join(thread, NULL);
    p2p_ways_free(w);
    p2p_channel_port_close(port[1]);
    p2p_stop_free(stop);
    relay_close(&relay);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_channel_that_opens_spares_the_relay),
        cmocka_unit_test(a_channel_that_fails_brings_the_relay),
        cmocka_unit_test(a_relay_alone_is_asked_at_once),
        cmocka_unit_test(nothing_is_no_way),
        cmocka_unit_test(whoever_waits_can_be_stopped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
