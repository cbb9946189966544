// uses tests/unit/link.c
/* A whole channel: over a simulated path, and over real sockets of this machine. */
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/channel/channel.h"
#include "core/reach/channel_port.h"
#include "link.h"
#include "p2p/clock.h"
#include "p2p/io.h"
#include "p2p/limits.h"
#include "p2p/reach.h"
#include "patience.h"

enum { MS = 1000, SECOND = 1000 * MS };
#define WAIT_MS patience_ms()

/* ---- pure ---- */

struct world {
    struct p2p_channel *end[2];
    struct p2p_dtls_identity *identity[2];
    struct p2p_endpoint at[2];
    struct link link[2]; /* from each end to the other one */
    uint64_t now_us;
};

static void
begin(struct world *w, bool is_wrong)
{
    static const struct link_options path = {.delay_us = 10 * MS};
    struct p2p_ice_login login[2];

    memset(w, 0, sizeof(*w));
    w->now_us = 9 * SECOND;
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(p2p_ice_login_make(&login[i]), P2P_OK);
        assert_int_equal(p2p_dtls_identity_new(&w->identity[i]), P2P_OK);
        assert_int_equal(
            p2p_endpoint_parse("192.0.2.1", (uint16_t)(7000 + i), &w->at[i]), P2P_OK);
        link_init(&w->link[i], &path, 1 + i);
    }
    for (size_t i = 0; i < 2; i++) {
        struct p2p_channel_options opt = {
            .own = login[i],
            .peer = login[1 - i],
            .identity = w->identity[i],
            .fingerprint = *p2p_dtls_fingerprint(w->identity[1 - i]),
            .calls = i == 0,
        };

        opt.fingerprint.b[0] ^= is_wrong && i == 0;
        assert_int_equal(p2p_channel_new(&opt, w->now_us, &w->end[i]), P2P_OK);
        p2p_channel_add(w->end[i], &w->at[1 - i], 1);
    }
}

static void
end(struct world *w)
{
    for (size_t i = 0; i < 2; i++) {
        p2p_channel_free(w->end[i]);
        p2p_dtls_identity_free(w->identity[i]);
        link_clear(&w->link[i]);
    }
}

static void
run(struct world *w, uint64_t for_us)
{
    uint64_t until_us = w->now_us + for_us;
    uint8_t packet[LINK_PACKET_MAX];
    struct p2p_endpoint to;
    size_t len;

    for (; w->now_us < until_us; w->now_us += MS)
        for (size_t i = 0; i < 2; i++) {
            while ((len = link_receive(&w->link[1 - i], w->now_us, packet)) > 0)
                p2p_channel_input(w->end[i], &w->at[1 - i], packet, len, w->now_us);
            while ((len = p2p_channel_output(w->end[i], w->now_us, &to, packet)) > 0)
                link_send(&w->link[i], packet, len, w->now_us);
        }
}

static void
opens_over_a_path(void **state)
{
    struct world w;
    size_t len;

    (void)state;
    begin(&w, false);
    run(&w, 300 * MS); /* at 20 ms of round trip */
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(p2p_channel_error(w.end[i]), P2P_OK);
        assert_true(p2p_channel_is_open(w.end[i]));
        assert_in_range(p2p_channel_rtt_us(w.end[i]), 20 * MS, 25 * MS);
        assert_true(p2p_endpoint_equal(p2p_channel_remote(w.end[i]), &w.at[1 - i]));
    }
    assert_int_equal(p2p_sctp_write(p2p_channel_stream(w.end[0]), "hello", 5), 5);
    run(&w, 20 * MS);
    assert_memory_equal(p2p_sctp_peek(p2p_channel_stream(w.end[1]), &len), "hello", 5);
    assert_int_equal(len, 5);
    end(&w);
}

static void
another_certificate_opens_nothing(void **state)
{
    struct world w;

    (void)state;
    begin(&w, true);
    run(&w, SECOND);
    assert_int_equal(p2p_channel_error(w.end[0]), P2P_ERR_AUTH);
    assert_false(p2p_channel_is_open(w.end[1]));
    assert_null(p2p_channel_stream(w.end[0]));
    end(&w);
}

/* Packets from addresses that have answered no check are dropped unread. */
static void
strangers_are_not_heard(void **state)
{
    struct p2p_endpoint stranger;
    uint8_t noise[200] = {23, 254, 253};
    struct world w;

    (void)state;
    begin(&w, false);
    assert_int_equal(p2p_endpoint_parse("203.0.113.4", 9, &stranger), P2P_OK);
    run(&w, 300 * MS);
    for (int i = 0; i < 100; i++)
        p2p_channel_input(w.end[0], &stranger, noise, sizeof(noise), w.now_us);
    run(&w, 100 * MS);
    assert_true(p2p_channel_is_open(w.end[0]));
    end(&w);
}

static void
a_dead_path_ends_it(void **state)
{
    struct world w;

    (void)state;
    begin(&w, false);
    run(&w, 300 * MS);
    w.link[0].opt.lost = w.link[1].opt.lost = 10000;
    run(&w, 40 * SECOND);
    for (size_t i = 0; i < 2; i++) {
        assert_true(p2p_channel_is_over(w.end[i]));
        assert_int_equal(p2p_channel_error(w.end[i]), P2P_ERR_TIMEOUT);
    }
    end(&w);
}

/* ---- real sockets ---- */

struct opener {
    struct p2p_channel_port *port;
    struct p2p_call_channel peer;
    bool calls;
    struct p2p_stop *stop;
    struct p2p_channel_way way;
    enum p2p_err err;
    uint64_t wait_ms;
};

static void *
open_main(void *arg)
{
    struct opener *o = arg;

    o->err = p2p_channel_port_open(o->port, &o->peer, o->calls,
                                   p2p_now_ms() + o->wait_ms, o->stop, &o->way);
    return NULL;
}

static void
open_both(struct opener o[2])
{
    pthread_t thread;

    for (size_t i = 0; i < 2; i++)
        p2p_channel_port_tell(o[i].port, &o[1 - i].peer);
    assert_int_equal(pthread_create(&thread, NULL, open_main, &o[1]), 0);
    open_main(&o[0]);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static void
make_both(struct opener o[2], struct p2p_stop **stop)
{
    memset(o, 0, 2 * sizeof(o[0]));
    assert_int_equal(p2p_stop_new(stop), P2P_OK);
    for (size_t i = 0; i < 2; i++) {
        o[i] = (struct opener){.calls = i == 0, .stop = *stop, .wait_ms = WAIT_MS};
        assert_int_equal(p2p_channel_port_new(NULL, 0, *stop, &o[i].port), P2P_OK);
    }
}

static void
wait_for(int fd, short events)
{
    struct pollfd p = {.fd = fd, .events = events};

    assert_int_equal(poll(&p, 1, (int)WAIT_MS), 1);
}

static const size_t all_bytes = 8 * 1024 * 1024;

static uint8_t
byte_at(size_t offset)
{
    return (uint8_t)(offset * 2654435761u >> 11);
}

static void *
write_main(void *arg)
{
    int fd = *(int *)arg;
    static uint8_t piece[65536];
    size_t done = 0;

    for (size_t i = 0; i < sizeof(piece); i++)
        piece[i] = byte_at(i);
    while (done < all_bytes) {
        size_t at = done % sizeof(piece);
        ssize_t n;

        wait_for(fd, POLLOUT);
        n = write(fd, piece + at, sizeof(piece) - at);
        if (n > 0)
            done += (size_t)n;
    }
    close(fd); /* all of it is delivered nevertheless */
    return NULL;
}

static void
bytes_pass_between_sockets(void **state)
{
    struct opener o[2];
    struct p2p_stop *stop;
    pthread_t writer;
    uint8_t piece[65536];
    size_t done = 0;
    uint64_t began_us;
    ssize_t n = 1;

    (void)state;
    make_both(o, &stop);
    open_both(o);
    assert_int_equal(o[0].err, P2P_OK);
    assert_int_equal(o[1].err, P2P_OK);
    began_us = p2p_now_us();
    assert_int_equal(pthread_create(&writer, NULL, write_main, &o[1].way.fd), 0);
    while (n != 0) {
        wait_for(o[0].way.fd, POLLIN);
        n = read(o[0].way.fd, piece, sizeof(piece));
        for (ssize_t i = 0; i < n; i += 1009)
            assert_int_equal(piece[i], byte_at((done + (size_t)i) % sizeof(piece)));
        done += n > 0 ? (size_t)n : 0;
    }
    assert_int_equal(done, all_bytes);
    if (getenv("P2P_SHOW") != NULL)
        printf("%.1f MB/s, round trip %u us\n",
               (double)done / (double)(p2p_now_us() - began_us),
               (unsigned)o[0].way.rtt_us);
    pthread_join(writer, NULL);
    close(o[0].way.fd);
    p2p_stop_free(stop);
}

/* Reads until the end. */
static void
wait_for_the_end(int fd)
{
    uint8_t piece[65536];
    ssize_t n = 1;

    while (n > 0) {
        wait_for(fd, POLLIN);
        n = read(fd, piece, sizeof(piece));
    }
}

/* A program that says its last words while the other side still sends, and reads no
 * more: the words arrive. */
static void
last_words_arrive_while_the_other_side_sends(void **state)
{
    static const uint8_t piece[65536], words[] = "everything is here";

    (void)state;
    for (int round = 0; round < 8; round++) { /* which comes first is by chance */
        struct opener o[2];
        struct p2p_stop *stop;
        uint8_t heard[sizeof(words)];
        size_t got = 0;

        make_both(o, &stop);
        open_both(o);
        while (write(o[0].way.fd, piece, sizeof(piece)) > 0) /* until nothing fits */
            wait_for(o[1].way.fd, POLLIN);
        assert_int_equal(write(o[1].way.fd, words, sizeof(words)), sizeof(words));
        close(o[1].way.fd);
        while (got < sizeof(words)) {
            wait_for(o[0].way.fd, POLLIN);
            ssize_t n = read(o[0].way.fd, heard + got, sizeof(words) - got);
            assert_true(n > 0);
            got += (size_t)n;
        }
        assert_memory_equal(heard, words, sizeof(words));
        close(o[0].way.fd);
        p2p_stop_free(stop);
    }
}

/* Whether the other side is silent or sends all the time: both ends are free long
 * before a time-out of the path. */
static void
both_sides_hear_of_the_end(void **state)
{
    struct opener o[2];
    struct p2p_stop *stop;
    static uint8_t much[1024 * 1024];

    (void)state;
    for (int sends = 0; sends < 2; sends++) {
        uint64_t began_ms;

        make_both(o, &stop);
        open_both(o);
        assert_int_equal(o[0].err, P2P_OK);
        assert_int_equal(o[1].err, P2P_OK);
        assert_false(p2p_reach_settle(0)); /* two are open */
        began_ms = p2p_now_ms();
        while (sends && write(o[1].way.fd, much, sizeof(much)) > 0)
            continue;
        close(o[0].way.fd);
        wait_for_the_end(o[1].way.fd);
        close(o[1].way.fd);
        assert_true(p2p_reach_settle(WAIT_MS));
        assert_true(p2p_now_ms() - began_ms < 20000);
        p2p_stop_free(stop);
    }
}

/* Many channels of one process share its memory, and each of them moves. */
static void
many_at_once(void **state)
{
    enum { CHANNELS = 24 };
    static struct opener o[CHANNELS][2];
    struct p2p_stop *stop[CHANNELS];
    static uint8_t piece[100 * 1024];

    (void)state;
    assert_true(p2p_reach_settle(WAIT_MS));
    p2p_reach_limit_channels(2 * CHANNELS, P2P_MIB);
    for (size_t i = 0; i < CHANNELS; i++) {
        make_both(o[i], &stop[i]);
        open_both(o[i]);
        assert_int_equal(o[i][0].err, P2P_OK);
        assert_int_equal(o[i][1].err, P2P_OK);
    }
    for (size_t i = 0; i < CHANNELS; i++) {
        memset(piece, (int)i, sizeof(piece));
        assert_int_equal(
            p2p_net_write(o[i][0].way.fd, piece, sizeof(piece), patience_end_ms()),
            P2P_OK);
    }
    for (size_t i = CHANNELS; i-- > 0;) {
        assert_int_equal(
            p2p_net_read(o[i][1].way.fd, piece, sizeof(piece), patience_end_ms()),
            P2P_OK);
        assert_int_equal(piece[0], i);
        assert_int_equal(piece[sizeof(piece) - 1], i);
        close(o[i][0].way.fd);
        close(o[i][1].way.fd);
        p2p_stop_free(stop[i]);
    }
    assert_true(p2p_reach_settle(WAIT_MS));
    p2p_reach_limit_channels(P2P_CHANNELS_MAX, P2P_CHANNEL_MEMORY);
}

static void
no_more_channels_than_allowed(void **state)
{
    struct p2p_channel_port *port, *other;

    (void)state;
    assert_true(p2p_reach_settle(WAIT_MS));
    p2p_reach_limit_channels(1, P2P_CHANNEL_MEMORY);
    assert_int_equal(p2p_channel_port_new(NULL, 0, NULL, &port), P2P_OK);
    assert_int_equal(p2p_channel_port_new(NULL, 0, NULL, &other), P2P_ERR_BUSY);
    assert_null(other);
    p2p_channel_port_close(port);
    assert_int_equal(p2p_channel_port_new(NULL, 0, NULL, &port), P2P_OK);
    p2p_channel_port_close(port);
    p2p_reach_limit_channels(P2P_CHANNELS_MAX, P2P_CHANNEL_MEMORY);
}

static void
a_wrong_password_opens_nothing(void **state)
{
    struct opener o[2];
    struct p2p_stop *stop;

    (void)state;
    make_both(o, &stop);
    for (size_t i = 0; i < 2; i++)
        o[i].wait_ms = 300;
    p2p_channel_port_tell(o[1].port, &o[0].peer);
    p2p_channel_port_tell(o[0].port, &o[1].peer);
    o[0].peer.pwd[3] ^= 1;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, open_main, &o[1]), 0);
    open_main(&o[0]);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_not_equal(o[0].err, P2P_OK);
    assert_int_equal(o[0].way.fd, -1);
    assert_int_not_equal(o[1].err, P2P_OK);
    p2p_stop_free(stop);
}

static void
what_a_peer_told_wrongly(void **state)
{
    struct opener o[2];
    struct p2p_stop *stop;

    (void)state;
    make_both(o, &stop);
    p2p_channel_port_tell(o[1].port, &o[0].peer);
    p2p_channel_port_tell(o[0].port, &o[1].peer);
    strcpy(o[0].peer.ufrag, "x y z");
    open_main(&o[0]);
    assert_int_equal(o[0].err, P2P_ERR_MALFORMED);
    /* Addresses that cannot be read are left out. */
    o[1].peer.candidate_count = 4;
    strcpy(o[1].peer.candidates[0], "name.local 1 host 1");
    strcpy(o[1].peer.candidates[1], "192.0.2.1");
    strcpy(o[1].peer.candidates[2], "192.0.2.1 70000 host 1");
    strcpy(o[1].peer.candidates[3], "   ");
    o[1].wait_ms = 50;
    open_main(&o[1]);
    assert_int_equal(o[1].err, P2P_ERR_TIMEOUT);
    p2p_stop_free(stop);
}

static void
a_stop_ends_the_search(void **state)
{
    struct opener o[2];
    struct p2p_stop *stop;

    (void)state;
    make_both(o, &stop);
    p2p_channel_port_tell(o[1].port, &o[0].peer);
    p2p_channel_port_close(o[1].port);
    p2p_stop_set(stop);
    open_main(&o[0]);
    assert_int_equal(o[0].err, P2P_ERR_CANCELLED);
    p2p_stop_free(stop);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opens_over_a_path),
        cmocka_unit_test(another_certificate_opens_nothing),
        cmocka_unit_test(strangers_are_not_heard),
        cmocka_unit_test(a_dead_path_ends_it),
        cmocka_unit_test(bytes_pass_between_sockets),
        cmocka_unit_test(last_words_arrive_while_the_other_side_sends),
        cmocka_unit_test(both_sides_hear_of_the_end),
        cmocka_unit_test(many_at_once),
        cmocka_unit_test(no_more_channels_than_allowed),
        cmocka_unit_test(a_wrong_password_opens_nothing),
        cmocka_unit_test(what_a_peer_told_wrongly),
        cmocka_unit_test(a_stop_ends_the_search),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
