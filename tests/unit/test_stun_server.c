// uses p2p-discovery
/* The registry's answers by STUN, over loopback. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/channel/stun.h"
#include "discovery/meet/stun_server.h"
#include "p2p/nat.h"
#include "p2p/net.h"

struct world {
    int listener, fds[STUN_PORTS];
    struct stun_server *server;
    int client;
    struct sockaddr_in own;
};

/* The next port may be in use: another pair is tried then. */
static void
listen_somewhere(struct world *w)
{
    uint16_t port;

    for (int i = 0; i < 100; i++) {
        assert_int_equal(p2p_net_listen("127.0.0.1", 0, false, 1, &w->listener, &port),
                         P2P_OK);
        if (stun_server_listen(w->listener, w->fds) == STUN_PORTS)
            return;
        close(w->listener);
        for (unsigned k = 0; k < STUN_PORTS; k++)
            if (w->fds[k] >= 0)
                close(w->fds[k]);
    }
    fail();
}

static int
set_up(void **state)
{
    static struct world w;
    socklen_t len = sizeof(w.own);

    memset(&w, 0, sizeof(w));
    listen_somewhere(&w);
    assert_int_equal(stun_server_start(w.fds, &w.server), P2P_OK);
    w.client = socket(AF_INET, SOCK_DGRAM, 0);
    w.own = (struct sockaddr_in){.sin_family = AF_INET,
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(bind(w.client, (struct sockaddr *)&w.own, sizeof(w.own)), 0);
    assert_int_equal(getsockname(w.client, (struct sockaddr *)&w.own, &len), 0);
    *state = &w;
    return 0;
}

static int
tear_down(void **state)
{
    struct world *w = *state;

    stun_server_stop(w->server);
    for (unsigned i = 0; i < STUN_PORTS; i++)
        close(w->fds[i]);
    close(w->listener);
    close(w->client);
    return 0;
}

static void
send_to(const struct world *w, unsigned port, const void *data, size_t len)
{
    struct sockaddr_in to;
    socklen_t size = sizeof(to);

    assert_int_equal(getsockname(w->fds[port], (struct sockaddr *)&to, &size), 0);
    assert_int_equal(
        sendto(w->client, data, len, 0, (struct sockaddr *)&to, sizeof(to)), len);
}

static void
ask(const struct world *w, unsigned port, uint8_t number)
{
    const struct p2p_stun_id id = {{number}};
    uint8_t bytes[P2P_STUN_QUESTION_LEN];

    p2p_stun_question(&id, false, bytes);
    send_to(w, port, bytes, sizeof(bytes));
}

/* As a browser asks: the answer is longer. */
static void
ask_briefly(const struct world *w, uint8_t number)
{
    struct p2p_stun question = {.class = P2P_STUN_REQUEST, .id = {{number}}};
    uint8_t bytes[P2P_STUN_MAX];
    size_t len;

    assert_int_equal(p2p_stun_format(&question, NULL, bytes, &len), P2P_OK);
    assert_int_equal(len, 20);
    send_to(w, 0, bytes, len);
}

/* Waits for an answer; checks it. */
static uint8_t
hear(const struct world *w)
{
    struct pollfd fd = {.fd = w->client, .events = POLLIN};
    struct p2p_endpoint own =
        p2p_endpoint_make((const uint8_t *)&w->own.sin_addr, 4, ntohs(w->own.sin_port));
    uint8_t bytes[P2P_STUN_MAX];
    struct p2p_stun answer;
    ssize_t n;

    assert_int_equal(poll(&fd, 1, 60000), 1);
    n = recv(w->client, bytes, sizeof(bytes), 0);
    assert_true(n > 0 && n <= 44);
    assert_int_equal(p2p_stun_parse(bytes, (size_t)n, &answer), P2P_OK);
    assert_int_equal(answer.class, P2P_STUN_SUCCESS);
    assert_true(p2p_endpoint_equal(&answer.mapped, &own));
    return answer.id.b[0];
}

static void
both_ports_tell_the_address(void **state)
{
    const struct world *w = *state;

    ask(w, 0, 17);
    assert_int_equal(hear(w), 17);
    ask(w, 1, 18);
    assert_int_equal(hear(w), 18);
    assert_int_equal(stun_server_answers(w->server), 2);
}

/* The router of a client lets it in, or keeps it out. */
static void
an_answer_comes_from_the_other_port_if_asked(void **state)
{
    const struct p2p_stun_id id = {{19}};
    const struct world *w = *state;
    uint8_t bytes[P2P_STUN_QUESTION_LEN];
    struct pollfd fd = {.fd = w->client, .events = POLLIN};
    struct sockaddr_in other, from;
    socklen_t size = sizeof(other), len = sizeof(from);

    p2p_stun_question(&id, true, bytes);
    send_to(w, 0, bytes, sizeof(bytes));
    assert_int_equal(poll(&fd, 1, 60000), 1);
    assert_true(recvfrom(w->client, bytes, sizeof(bytes), 0, (struct sockaddr *)&from,
                         &len) > 0);
    assert_int_equal(getsockname(w->fds[1], (struct sockaddr *)&other, &size), 0);
    assert_int_equal(from.sin_port, other.sin_port);
}

/* The answer to a later question is the first one: nothing else was answered. */
static void
what_is_no_question_gets_no_answer(void **state)
{
    struct p2p_stun answer = {.class = P2P_STUN_SUCCESS, .id = {{9}}};
    const struct world *w = *state;
    uint8_t bytes[2 * P2P_STUN_MAX] = {0};
    size_t len;

    send_to(w, 0, "", 0);
    send_to(w, 0, "GET / HTTP/1.1\r\n\r\n", 18);
    send_to(w, 0, bytes, sizeof(bytes));
    assert_int_equal(p2p_stun_format(&answer, NULL, bytes, &len), P2P_OK);
    send_to(w, 0, bytes, len);
    ask(w, 0, 21);
    assert_int_equal(hear(w), 21);
    assert_int_equal(stun_server_answers(w->server), 1);
}

static void
a_source_gets_so_many_answers(void **state)
{
    const struct world *w = *state;
    unsigned answers = 0;
    uint64_t began = p2p_now_ms(), seconds;

    for (unsigned i = 0; i < 4 * STUN_ANSWERS_PER_SECOND; i++)
        ask(w, 0, 1);
    /* The last question is on the other port, until it is answered: then those before
     * it were read. */
    while (answers == 0 || p2p_now_ms() - began < 100) {
        struct pollfd fd = {.fd = w->client, .events = POLLIN};

        if (poll(&fd, 1, 50) == 1)
            answers += hear(w) == 1;
    }
    seconds = (p2p_now_ms() - began) / 1000 + 1;
    assert_true(stun_server_answers(w->server) <=
                (seconds + 1) * STUN_ANSWERS_PER_SECOND);
}

/* An attacker that forges the address of a victim gains little. An answer to a full
 * question shows that all those before it were read. */
static void
few_answers_are_longer_than_their_questions(void **state)
{
    const struct world *w = *state;
    struct pollfd fd = {.fd = w->client, .events = POLLIN};
    uint64_t began = p2p_now_ms(), seconds;
    unsigned answers = 0, which = 0;

    for (unsigned i = 0; i < 2 * STUN_ANSWERS_PER_SECOND; i++)
        ask_briefly(w, 1);
    while (which != 2) {
        if (poll(&fd, 1, 50) != 1)
            ask(w, 0, 2); /* again: nothing is left of the budget at first */
        else if ((which = hear(w)) == 1)
            answers++;
    }
    seconds = (p2p_now_ms() - began) / 1000 + 1;
    assert_true(answers >= 1);
    assert_true(answers <= 10 + (seconds + 1) * STUN_SHORT_PER_SECOND);
}

/* ---- the client's side ---- */

static void
addresses_of(const struct world *w, struct p2p_addr out[P2P_NAT_SERVERS])
{
    for (unsigned i = 0; i < P2P_NAT_SERVERS; i++) {
        struct sockaddr_in sa;
        socklen_t len = sizeof(sa);

        assert_int_equal(getsockname(w->fds[i], (struct sockaddr *)&sa, &len), 0);
        p2p_addr_from_sockaddr((struct sockaddr *)&sa, &out[i]);
    }
}

static void
a_client_learns_its_address(void **state)
{
    struct world *w = *state;
    struct p2p_addr servers[P2P_NAT_SERVERS], outside;
    enum p2p_nat nat;

    addresses_of(w, servers);
    assert_int_equal(p2p_nat_check(servers, 60000, &nat, &outside), P2P_OK);
    assert_int_equal(nat, P2P_NAT_NONE);
    assert_string_equal(outside.host, "127.0.0.1");
    /* Nobody reads the questions: they are in the way of nothing. */
    stun_server_stop(w->server);
    w->server = NULL;
    assert_int_equal(p2p_nat_check(servers, 100, &nat, &outside), P2P_OK);
    assert_int_equal(nat, P2P_NAT_BLOCKED);
    assert_int_equal(outside.port, 0);
}

static void
what_two_answers_mean(void **state)
{
    const struct p2p_addr own = {"192.168.1.5", 5000}, nothing = {"", 0},
                          router = {"203.0.113.9", 5000},
                          other_port = {"203.0.113.9", 5001};

    (void)state;
    assert_int_equal(p2p_nat_of(&own, (struct p2p_addr[]){own, own}), P2P_NAT_NONE);
    assert_int_equal(p2p_nat_of(&own, (struct p2p_addr[]){router, router}),
                     P2P_NAT_STEADY);
    assert_int_equal(p2p_nat_of(&own, (struct p2p_addr[]){router, other_port}),
                     P2P_NAT_CHANGING);
    assert_int_equal(p2p_nat_of(&own, (struct p2p_addr[]){router, nothing}),
                     P2P_NAT_UNKNOWN);
    assert_int_equal(p2p_nat_of(&own, (struct p2p_addr[]){nothing, router}),
                     P2P_NAT_UNKNOWN);
    assert_int_equal(p2p_nat_of(&own, (struct p2p_addr[]){nothing, nothing}),
                     P2P_NAT_BLOCKED);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(both_ports_tell_the_address, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_no_question_gets_no_answer, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(an_answer_comes_from_the_other_port_if_asked,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_client_learns_its_address, set_up, tear_down),
        cmocka_unit_test(what_two_answers_mean),
        cmocka_unit_test_setup_teardown(a_source_gets_so_many_answers, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(few_answers_are_longer_than_their_questions,
                                        set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
