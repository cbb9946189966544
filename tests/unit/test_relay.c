// uses p2p-relay
/* The parts of p2p-relay, and its loop with real sockets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "p2p/io.h"
#include "p2p/net.h"
#include "patience.h"
#include "relay/accounts.h"
#include "relay/admin.h"
#include "relay/options.h"
#include "relay/relay.h"
#include "relay/tickets.h"

enum { DAY = 86400 };

/* ---- accounts ---- */

static struct account_key
peer(uint8_t number)
{
    const struct p2p_id id = {{number}};

    return account_key_of_peer(&id);
}

static struct account_key
source(const char *text)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};

    if (inet_pton(AF_INET, text, &v4.sin_addr) == 1)
        return account_key_of_source((struct sockaddr *)&v4);
    assert_int_equal(inet_pton(AF_INET6, text, &v6.sin6_addr), 1);
    return account_key_of_source((struct sockaddr *)&v6);
}

static struct accounts *
accounts(unsigned sessions, uint64_t quota, uint64_t total, size_t max)
{
    const struct accounts_limits limits = {sessions, quota, total, max};
    struct accounts *a;

    assert_int_equal(accounts_new(&limits, &a), P2P_OK);
    return a;
}

/* Opens a session between the peers `from` and `to`, at two addresses. */
static enum accounts_verdict
open_at(struct accounts *a, uint8_t from, uint8_t to, const char *where,
        const char *other, uint64_t now, struct accounts_bill *bill)
{
    const struct account_key keys[] = {peer(from), peer(to), source(where),
                                       source(other)};

    return accounts_open(a, keys, now, bill);
}

static void
sources_are_networks_of_one_customer(void **state)
{
    struct account_key a = source("2001:db8:1:2::1"), b = source("2001:db8:1:2:3::4"),
                       c = source("2001:db8:1:3::1"), d = source("192.0.2.1"),
                       e = source("::ffff:192.0.2.1"), f = source("192.0.2.2");

    (void)state;
    assert_memory_equal(&a, &b, sizeof(a));
    assert_memory_not_equal(&a, &c, sizeof(a));
    assert_memory_equal(&d, &e, sizeof(d));
    assert_memory_not_equal(&d, &f, sizeof(d));
}

static void
a_peer_has_so_many_sessions(void **state)
{
    struct accounts *a = accounts(2, 0, 0, 100);
    struct accounts_bill bills[3];

    (void)state;
    assert_int_equal(open_at(a, 1, 2, "192.0.2.1", "192.0.2.2", 0, &bills[0]),
                     ACCOUNTS_YES);
    assert_int_equal(open_at(a, 3, 1, "192.0.2.3", "192.0.2.1", 0, &bills[1]),
                     ACCOUNTS_YES);
    /* The same for callers and callees; the other one keeps what it had. */
    assert_int_equal(open_at(a, 1, 4, "192.0.2.1", "192.0.2.4", 0, &bills[2]),
                     ACCOUNTS_BUSY);
    assert_int_equal(open_at(a, 4, 1, "192.0.2.4", "192.0.2.1", 0, &bills[2]),
                     ACCOUNTS_BUSY);
    accounts_close(a, &bills[0]);
    assert_int_equal(open_at(a, 4, 1, "192.0.2.4", "192.0.2.1", 0, &bills[2]),
                     ACCOUNTS_YES);
    accounts_free(a);
}

/* Ids cost nothing: all ids of one address share the allowance of four peers. */
static void
an_address_has_so_many_sessions(void **state)
{
    struct accounts *a = accounts(2, 0, 0, 100);
    struct accounts_bill bills[9];

    (void)state;
    for (uint8_t i = 0; i < 8; i++) {
        char other[32];
        snprintf(other, sizeof(other), "198.51.100.%u", i);
        assert_int_equal(open_at(a, (uint8_t)(10 + i), (uint8_t)(30 + i), "192.0.2.1",
                                 other, 0, &bills[i]),
                         ACCOUNTS_YES);
    }
    assert_int_equal(open_at(a, 50, 51, "192.0.2.1", "198.51.100.99", 0, &bills[8]),
                     ACCOUNTS_BUSY);
    assert_int_equal(open_at(a, 50, 51, "192.0.2.2", "198.51.100.99", 0, &bills[8]),
                     ACCOUNTS_YES);
    accounts_free(a);
}

static void
a_quota_is_of_a_day(void **state)
{
    struct accounts *a = accounts(9, 1000, 0, 100);
    struct accounts_bill bill, other;

    (void)state;
    assert_int_equal(open_at(a, 1, 2, "192.0.2.1", "192.0.2.2", DAY, &bill),
                     ACCOUNTS_YES);
    assert_true(accounts_charge(a, &bill, 999, DAY));
    assert_false(accounts_charge(a, &bill, 1, DAY));
    accounts_close(a, &bill);
    assert_int_equal(open_at(a, 1, 3, "192.0.2.1", "192.0.2.3", 2 * DAY - 1, &other),
                     ACCOUNTS_QUOTA);
    assert_int_equal(open_at(a, 3, 4, "192.0.2.1", "192.0.2.3", 2 * DAY - 1, &other),
                     ACCOUNTS_YES); /* an address may have four times as many */
    accounts_close(a, &other);
    assert_int_equal(open_at(a, 1, 3, "192.0.2.1", "192.0.2.3", 2 * DAY, &other),
                     ACCOUNTS_YES);
    accounts_free(a);
}

static void
new_ids_do_not_renew_the_quota_of_an_address(void **state)
{
    struct accounts *a = accounts(9, 1000, 0, 1000);
    struct accounts_bill bill;
    uint64_t moved = 0;
    uint8_t id = 1;

    (void)state;
    while (open_at(a, id, (uint8_t)(id + 1), "192.0.2.1", "192.0.2.1", DAY, &bill) ==
           ACCOUNTS_YES) {
        moved += 500;
        (void)accounts_charge(a, &bill, 500, DAY);
        accounts_close(a, &bill);
        id += 2;
        assert_true(id < 100);
    }
    assert_int_equal(moved, 4000);
    accounts_free(a);
}

static void
all_together_have_a_quota(void **state)
{
    struct accounts *a = accounts(9, 0, 1000, 100);
    struct accounts_bill bill;

    (void)state;
    assert_int_equal(open_at(a, 1, 2, "192.0.2.1", "192.0.2.2", DAY, &bill),
                     ACCOUNTS_YES);
    assert_false(accounts_charge(a, &bill, 1000, DAY)); /* counted once */
    assert_int_equal(open_at(a, 3, 4, "192.0.2.3", "192.0.2.4", DAY, &bill),
                     ACCOUNTS_QUOTA);
    assert_int_equal(open_at(a, 3, 4, "192.0.2.3", "192.0.2.4", 2 * DAY, &bill),
                     ACCOUNTS_YES);
    accounts_free(a);
}

/* Filling the table does not renew a quota, and the table is bounded. */
static void
the_table_is_bounded(void **state)
{
    struct accounts *a = accounts(9, 1000, 0, 8);
    struct accounts_bill bill;

    (void)state;
    assert_int_equal(open_at(a, 1, 2, "192.0.2.1", "192.0.2.2", DAY, &bill),
                     ACCOUNTS_YES);
    assert_false(accounts_charge(a, &bill, 1000, DAY));
    accounts_close(a, &bill);
    for (uint8_t i = 10; i < 40; i++) {
        if (open_at(a, i, (uint8_t)(i + 100), "192.0.2.3", "192.0.2.4", DAY, &bill) !=
            ACCOUNTS_YES)
            continue;
        (void)accounts_charge(a, &bill, 1, DAY);
        accounts_close(a, &bill);
    }
    assert_true(accounts_count(a) <= 8);
    assert_int_equal(open_at(a, 1, 2, "192.0.2.1", "192.0.2.2", DAY, &bill),
                     ACCOUNTS_QUOTA);
    assert_int_equal(open_at(a, 50, 51, "192.0.2.5", "192.0.2.6", DAY, &bill),
                     ACCOUNTS_FULL);
    /* A day later, unused entries make room. */
    assert_int_equal(open_at(a, 50, 51, "192.0.2.5", "192.0.2.6", 2 * DAY, &bill),
                     ACCOUNTS_YES);
    accounts_free(a);
}

/* ---- tickets ---- */

static struct p2p_relay_token
token_of(uint8_t session, enum p2p_relay_side side, uint64_t expires_s)
{
    return (struct p2p_relay_token){.session = {{session}},
                                    .from = {{1}},
                                    .to = {{2}},
                                    .side = side,
                                    .expires_s = expires_s};
}

static void
both_sides_make_a_session(void **state)
{
    struct p2p_relay_token a = token_of(1, P2P_RELAY_CALLEE, 1060),
                           b = token_of(1, P2P_RELAY_CALLER, 1060);
    struct tickets *t;
    void *other;
    int one, two;

    (void)state;
    assert_int_equal(tickets_new(10, &t), P2P_OK);
    assert_int_equal(tickets_show(t, &a, &one, 1000, &other), TICKET_FIRST);
    assert_int_equal(tickets_show(t, &a, &two, 1000, &other), TICKET_USED);
    assert_int_equal(tickets_show(t, &b, &two, 1000, &other), TICKET_SECOND);
    assert_ptr_equal(other, &one);
    assert_int_equal(tickets_show(t, &a, &one, 1001, &other), TICKET_USED);
    assert_int_equal(tickets_show(t, &b, &two, 1001, &other), TICKET_USED);
    tickets_free(t);
}

static void
one_who_left_is_not_joined(void **state)
{
    struct p2p_relay_token a = token_of(1, P2P_RELAY_CALLEE, 1060),
                           b = token_of(1, P2P_RELAY_CALLER, 1060);
    struct tickets *t;
    void *other;
    int one, two;

    (void)state;
    assert_int_equal(tickets_new(10, &t), P2P_OK);
    assert_int_equal(tickets_show(t, &a, &one, 1000, &other), TICKET_FIRST);
    tickets_leave(t, &a.session, &two); /* not its own */
    tickets_leave(t, &a.session, &one);
    assert_int_equal(tickets_show(t, &b, &two, 1000, &other), TICKET_USED);
    assert_null(other);
    tickets_free(t);
}

static void
tokens_of_other_peers_are_not_joined(void **state)
{
    struct p2p_relay_token a = token_of(1, P2P_RELAY_CALLEE, 1060),
                           b = token_of(1, P2P_RELAY_CALLER, 1060);
    struct tickets *t;
    void *other;
    int one, two;

    (void)state;
    b.from.b[0] = 9;
    assert_int_equal(tickets_new(10, &t), P2P_OK);
    assert_int_equal(tickets_show(t, &a, &one, 1000, &other), TICKET_FIRST);
    assert_int_equal(tickets_show(t, &b, &two, 1000, &other), TICKET_USED);
    tickets_free(t);
}

static void
tickets_expire_and_are_bounded(void **state)
{
    struct p2p_relay_token late = token_of(1, P2P_RELAY_CALLER, 999),
                           early =
                               token_of(1, P2P_RELAY_CALLER, 1001 + TICKET_LIFE_MAX_S);
    struct tickets *t;
    void *other;
    int one;

    (void)state;
    assert_int_equal(tickets_new(3, &t), P2P_OK);
    assert_int_equal(tickets_show(t, &late, &one, 1000, &other), TICKET_EXPIRED);
    assert_int_equal(tickets_show(t, &early, &one, 1000, &other), TICKET_EXPIRED);
    for (uint8_t i = 0; i < 4; i++) {
        struct p2p_relay_token token = token_of(i, P2P_RELAY_CALLER, 1010);
        assert_int_equal(tickets_show(t, &token, &one, 1000, &other),
                         i < 3 ? TICKET_FIRST : TICKET_FULL);
    }
    assert_int_equal(tickets_expire(t, 1010), 3);
    assert_int_equal(tickets_expire(t, 1011), 0);
    tickets_free(t);
}

/* ---- the loop ---- */

struct running {
    struct relay *relay;
    struct p2p_secret key;
    struct p2p_addr at;
};

static const struct relay_limits plenty = {
    .max_sessions = 8,
    .max_per_peer = 4,
    .max_time_ms = 3600000,
    .idle_timeout_ms = 3600000,
    .max_memory = 1 << 20,
};

static void
begin(struct running *r, const struct relay_limits *limits)
{
    struct relay_options opt = {.limits = *limits, .look_ms = 50};

    assert_int_equal(p2p_relay_key("0123456789abcdef", 16, &r->key), P2P_OK);
    opt.key = r->key;
    memset(&r->at, 0, sizeof(r->at));
    snprintf(r->at.host, sizeof(r->at.host), "127.0.0.1");
    assert_int_equal(
        p2p_net_listen("127.0.0.1", 0, false, 16, &opt.listener, &r->at.port), P2P_OK);
    assert_int_equal(relay_open(&opt, &r->relay), P2P_OK);
}

static int
dial(const struct running *r)
{
    int fd;

    assert_int_equal(p2p_net_connect(&r->at, patience_end_ms(), &fd), P2P_OK);
    return fd;
}

static void
say(int fd, const char *text, size_t len)
{
    assert_int_equal(p2p_net_write(fd, text, len, patience_end_ms()), P2P_OK);
}

/* Connects and shows a token. */
static int
show(const struct running *r, const struct p2p_relay_token *token)
{
    char text[P2P_RELAY_TOKEN_TEXT], line[P2P_RELAY_LINE_MAX + 1];
    int fd = dial(r);

    assert_int_equal(p2p_relay_token_format(&r->key, token, text), P2P_OK);
    snprintf(line, sizeof(line), "%s%s\n", P2P_RELAY_HELLO, text);
    say(fd, line, strlen(line));
    return fd;
}

static void
hears(int fd, const char *text)
{
    char got[64] = "";
    size_t len = strlen(text);

    assert_true(len < sizeof(got));
    assert_int_equal(p2p_net_read(fd, got, len, patience_end_ms()), P2P_OK);
    assert_string_equal(got, text);
}

static void
is_closed(int fd)
{
    char byte;

    assert_int_equal(p2p_net_read(fd, &byte, 1, patience_end_ms()), P2P_ERR_CLOSED);
    close(fd);
}

static struct p2p_relay_token
fresh(uint8_t session, enum p2p_relay_side side)
{
    return token_of(session, side, p2p_time_s() + 60);
}

static void
join(const struct running *r, uint8_t session, int ends[2])
{
    struct p2p_relay_token callee = fresh(session, P2P_RELAY_CALLEE),
                           caller = fresh(session, P2P_RELAY_CALLER);

    ends[1] = show(r, &callee);
    ends[0] = show(r, &caller);
    hears(ends[0], "+\n");
    hears(ends[1], "+\n");
}

/* Waits until the loop has noticed it. */
static struct relay_stats
stats_when(struct relay *relay, bool (*is_so)(const struct relay_stats *))
{
    uint64_t end = patience_end_ms();
    struct relay_stats s;

    do {
        relay_stats(relay, &s);
        assert_true(p2p_now_ms() < end);
    } while (!is_so(&s) && usleep(1000) == 0);
    return s;
}

static bool
has_no_session(const struct relay_stats *s)
{
    return s->sessions == 0;
}

static bool
has_one_waiting(const struct relay_stats *s)
{
    return s->waiting == 1;
}

static void
bytes_pass_both_ways_and_end(void **state)
{
    static char much[1 << 20], got[1 << 20];
    struct running r;
    int ends[2];

    (void)state;
    begin(&r, &plenty);
    join(&r, 1, ends);
    say(ends[0], "hello", 5);
    hears(ends[1], "hello");
    for (size_t i = 0; i < sizeof(much); i++)
        much[i] = (char)(i * 7 + i / 251);
    /* More than all buffers hold, so the other side reads meanwhile. */
    for (size_t at = 0; at < sizeof(much); at += 1 << 16) {
        say(ends[1], much + at, 1 << 16);
        assert_int_equal(p2p_net_read(ends[0], got + at, 1 << 16, patience_end_ms()),
                         P2P_OK);
    }
    assert_memory_equal(much, got, sizeof(much));
    /* The end of one direction is passed on; the other direction continues. */
    shutdown(ends[0], SHUT_WR);
    {
        char byte;
        assert_int_equal(p2p_net_read(ends[1], &byte, 1, patience_end_ms()),
                         P2P_ERR_CLOSED);
    }
    say(ends[1], "last", 4);
    hears(ends[0], "last");
    close(ends[1]);
    is_closed(ends[0]);
    struct relay_stats s = stats_when(r.relay, has_no_session);
    assert_int_equal(s.sessions_total, 1);
    assert_int_equal(s.bytes_total, sizeof(much) + 5 + 4);
    relay_close(r.relay);
}

static void
one_who_does_not_read_holds_up_nobody(void **state)
{
    static char much[1 << 16];
    struct running r;
    int slow[2], quick[2];
    size_t sent = 0, n;

    (void)state;
    begin(&r, &plenty);
    join(&r, 1, slow);
    join(&r, 2, quick);
    for (int i = 0; i < 2; i++) { /* so that they are full soon */
        const int size = 1 << 16;
        setsockopt(slow[i], SOL_SOCKET, i == 0 ? SO_SNDBUF : SO_RCVBUF, &size,
                   sizeof(size));
    }
    while (p2p_net_try_write(slow[0], much, sizeof(much), &n) == P2P_OK) {
        sent += n;
        assert_true(sent < (size_t)1 << 30); /* the relay does not take everything */
        (void)poll(&(struct pollfd){.fd = slow[0], .events = POLLOUT}, 1, 200);
    }
    say(quick[0], "quick", 5);
    hears(quick[1], "quick");
    /* It gets all of it when it finally reads. */
    for (size_t got = 0; got < sent; got += n)
        assert_int_equal(
            p2p_net_read_some(slow[1], much, sizeof(much), patience_end_ms(), &n),
            P2P_OK);
    for (int i = 0; i < 2; i++) {
        close(slow[i]);
        close(quick[i]);
    }
    relay_close(r.relay);
}

static void
strangers_get_no_answer(void **state)
{
    static const char *const said[] = {
        "GET / HTTP/1.1\r\n\r\n", "P2PRELAY1 \n",     "\n",
        "P2PRELAY1 AAAA\n",       "P2PRELAY2 AAAA\n",
    };
    struct p2p_relay_token token = fresh(1, P2P_RELAY_CALLER);
    struct running r, other;
    char flood[2 * P2P_RELAY_LINE_MAX];
    int fd;

    (void)state;
    begin(&r, &plenty);
    for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++) {
        fd = dial(&r);
        say(fd, said[i], strlen(said[i]));
        is_closed(fd);
    }
    memset(flood, 'A', sizeof(flood));
    fd = dial(&r);
    say(fd, flood, sizeof(flood));
    is_closed(fd);
    other = r;
    assert_int_equal(p2p_relay_key("another secret of mine", 22, &other.key), P2P_OK);
    is_closed(show(&other, &token));
    relay_close(r.relay);
}

static void
a_token_works_once(void **state)
{
    struct p2p_relay_token caller = fresh(1, P2P_RELAY_CALLER);
    struct running r;
    int ends[2], fd;

    (void)state;
    begin(&r, &plenty);
    join(&r, 1, ends);
    fd = show(&r, &caller);
    hears(fd, "-used\n");
    is_closed(fd);
    close(ends[0]);
    close(ends[1]);
    (void)stats_when(r.relay, has_no_session);
    fd = show(&r, &caller);
    hears(fd, "-used\n");
    is_closed(fd);
    caller.expires_s = p2p_time_s() - 5;
    caller.session.b[0] = 77;
    fd = show(&r, &caller);
    hears(fd, "-expired\n");
    is_closed(fd);
    relay_close(r.relay);
}

static void
one_who_waits_has_to_wait_silently(void **state)
{
    struct p2p_relay_token a = fresh(1, P2P_RELAY_CALLEE),
                           b = fresh(2, P2P_RELAY_CALLEE);
    struct running r;
    int fd;

    (void)state;
    begin(&r, &plenty);
    fd = show(&r, &a);
    (void)stats_when(r.relay, has_one_waiting);
    say(fd, "early", 5);
    hears(fd, "-alone\n");
    close(fd);
    fd = show(&r, &b);
    (void)stats_when(r.relay, has_one_waiting);
    close(fd); /* it leaves, so the token of its side is used up */
    b.side = P2P_RELAY_CALLER;
    do {
        struct relay_stats s;
        relay_stats(r.relay, &s);
        if (s.waiting == 0)
            break;
    } while (usleep(1000) == 0);
    fd = show(&r, &b);
    hears(fd, "-used\n");
    is_closed(fd);
    relay_close(r.relay);
}

static void
limits_of_sessions_and_bytes(void **state)
{
    struct relay_limits few = plenty;
    struct p2p_relay_token callee = fresh(9, P2P_RELAY_CALLEE),
                           caller = fresh(9, P2P_RELAY_CALLER);
    static char much[2048];
    struct running r;
    int first[2], fd, other;

    (void)state;
    few.max_sessions = 1;
    few.quota_per_peer = sizeof(much);
    begin(&r, &few);
    join(&r, 1, first);
    fd = show(&r, &callee);
    other = show(&r, &caller);
    hears(fd, "-busy\n");
    hears(other, "-busy\n");
    is_closed(fd);
    is_closed(other);
    say(first[0], much, sizeof(much)); /* the quota, to the byte */
    (void)stats_when(r.relay, has_no_session);
    close(first[0]);
    close(first[1]);
    callee.session.b[0] = caller.session.b[0] = 10;
    fd = show(&r, &callee);
    other = show(&r, &caller);
    hears(fd, "-quota\n");
    hears(other, "-quota\n");
    is_closed(fd);
    is_closed(other);
    relay_close(r.relay);
}

static void
a_session_has_an_end(void **state)
{
    struct relay_limits brief = plenty;
    struct running r;
    int ends[2];

    (void)state;
    brief.max_time_ms = 1;
    begin(&r, &brief);
    join(&r, 1, ends);
    is_closed(ends[0]);
    is_closed(ends[1]);
    brief.max_time_ms = plenty.max_time_ms;
    brief.idle_timeout_ms = 1;
    relay_set_limits(r.relay, &brief);
    join(&r, 2, ends);
    is_closed(ends[0]);
    is_closed(ends[1]);
    relay_close(r.relay);
}

/* The rate is for both directions together. This test does not measure how fast it is.
 */
static void
a_session_with_a_rate_gets_everything(void **state)
{
    static char much[1 << 19], got[1 << 19];
    struct relay_limits slow = plenty;
    struct running r;
    int ends[2];

    (void)state;
    assert_int_equal(p2p_timetable_parse("2M", &slow.rates), P2P_OK);
    slow.rate_in_total = 1 << 20;
    begin(&r, &slow);
    join(&r, 1, ends);
    memset(much, 'm', sizeof(much));
    for (size_t at = 0; at < sizeof(much); at += 1 << 15) {
        say(ends[0], much + at, 1 << 15);
        assert_int_equal(p2p_net_read(ends[1], got + at, 1 << 15, patience_end_ms()),
                         P2P_OK);
    }
    assert_memory_equal(much, got, sizeof(much));
    close(ends[0]);
    close(ends[1]);
    relay_close(r.relay);
}

/* ---- around it ---- */

static void
options_become_limits(void **state)
{
    char *argv[] = {
        "p2p-relay", "--relay-secret-file", "f", "--limit-rate", "off", "--quota", "1G",
        NULL};
    char *none[] = {"p2p-relay", NULL};
    char *wrong[] = {"p2p-relay", "--relay-secret-file", "f", "--limit-rate", "x",
                     NULL};
    struct p2p_options_text *text;
    struct relay_settings opt;
    struct relay_limits limits;

    (void)state;
    assert_int_equal(relay_options_parse(&opt, 7, argv, &text), P2P_OK);
    relay_options_limits(&opt, &limits);
    assert_int_equal(limits.quota_per_peer, 1 << 30);
    assert_int_equal(p2p_timetable_rate(&limits.rates, 0), 0);
    assert_int_equal(limits.max_sessions, 256);
    p2p_options_free(text);
    assert_int_equal(relay_options_parse(&opt, 1, none, &text), P2P_ERR_USAGE);
    assert_int_equal(relay_options_parse(&opt, 5, wrong, &text), P2P_ERR_USAGE);
}

static void
the_operator_sees_numbers(void **state)
{
    static const char question[] = "GET /metrics HTTP/1.0\r\n\r\n";
    struct running r;
    struct admin admin;
    struct p2p_addr at = {.host = "127.0.0.1"};
    static char answer[65536];
    size_t len = 0, got = 1;
    int listener, fd;

    (void)state;
    begin(&r, &plenty);
    admin.relay = r.relay;
    assert_int_equal(http_listen("127.0.0.1", 0, &listener), P2P_OK);
    assert_int_equal(admin_open(&admin, listener), P2P_OK);
    at.port = http_server_port(admin.server);
    assert_int_equal(p2p_net_connect(&at, patience_end_ms(), &fd), P2P_OK);
    say(fd, question, sizeof(question) - 1);
    while (p2p_net_read_some(fd, answer + len, sizeof(answer) - 1 - len,
                             patience_end_ms(), &got) == P2P_OK)
        len += got;
    assert_non_null(strstr(answer, "\np2p_relay_sessions 0\n"));
    assert_non_null(strstr(answer, "p2p_relay_refused_total{reason=\"bad_token\"} 0"));
    close(fd);
    admin_close(&admin);
    relay_close(r.relay);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sources_are_networks_of_one_customer),
        cmocka_unit_test(a_peer_has_so_many_sessions),
        cmocka_unit_test(an_address_has_so_many_sessions),
        cmocka_unit_test(a_quota_is_of_a_day),
        cmocka_unit_test(new_ids_do_not_renew_the_quota_of_an_address),
        cmocka_unit_test(all_together_have_a_quota),
        cmocka_unit_test(the_table_is_bounded),
        cmocka_unit_test(both_sides_make_a_session),
        cmocka_unit_test(one_who_left_is_not_joined),
        cmocka_unit_test(tokens_of_other_peers_are_not_joined),
        cmocka_unit_test(tickets_expire_and_are_bounded),
        cmocka_unit_test(bytes_pass_both_ways_and_end),
        cmocka_unit_test(one_who_does_not_read_holds_up_nobody),
        cmocka_unit_test(strangers_get_no_answer),
        cmocka_unit_test(a_token_works_once),
        cmocka_unit_test(one_who_waits_has_to_wait_silently),
        cmocka_unit_test(limits_of_sessions_and_bytes),
        cmocka_unit_test(a_session_has_an_end),
        cmocka_unit_test(a_session_with_a_rate_gets_everything),
        cmocka_unit_test(options_become_limits),
        cmocka_unit_test(the_operator_sees_numbers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
