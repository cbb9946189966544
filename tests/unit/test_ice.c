/* Two agents find each other through simulated routers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/channel/ice.h"

enum {
    MS = 1000,
    SECOND = 1000 * MS,
    ONE_WAY = 10 * MS,
    FLIGHT_MAX = 256,
    HOLES_MAX = 64
};

/* What a router does with ports and with who may send to them. */
enum nat { OPEN, CONE, ADDRESS, PORT, SYMMETRIC, NO_UDP };

/* A destination that was sent to, and the port that it sees. */
struct hole {
    struct p2p_endpoint to;
    uint16_t port;
};

struct side {
    struct p2p_ice ice;
    enum nat nat;
    struct p2p_endpoint inside, outside;
    struct hole holes[HOLES_MAX];
    size_t hole_count;
    size_t sent;
};

struct flying {
    uint64_t at_us;
    struct p2p_endpoint from, to;
    uint8_t bytes[P2P_STUN_MAX];
    size_t len;
};

struct world {
    struct side side[2];
    struct flying flying[FLIGHT_MAX];
    size_t flying_count;
    uint64_t now_us;
    bool is_cut;
    unsigned lost; /* of 100 packets */
    uint64_t chance;
};

static struct p2p_endpoint
endpoint(const char *ip, uint16_t port)
{
    struct p2p_endpoint e;

    assert_int_equal(p2p_endpoint_parse(ip, port, &e), P2P_OK);
    return e;
}

/* The port that a destination sees. */
static uint16_t
port_for(struct side *s, const struct p2p_endpoint *to)
{
    for (size_t i = 0; i < s->hole_count; i++)
        if (p2p_endpoint_equal(&s->holes[i].to, to))
            return s->holes[i].port;
    assert_true(s->hole_count < HOLES_MAX);
    struct hole *h = &s->holes[s->hole_count++];
    h->to = *to;
    h->port = s->nat == SYMMETRIC ? (uint16_t)(40000 + s->hole_count) : s->outside.port;
    return h->port;
}

static bool
lets_in(const struct side *s, const struct p2p_endpoint *from, uint16_t port)
{
    if (s->nat == OPEN || (s->nat == CONE && port == s->outside.port))
        return true;
    for (size_t i = 0; i < s->hole_count; i++) {
        const struct hole *h = &s->holes[i];
        bool is_address = memcmp(h->to.ip, from->ip, sizeof(from->ip)) == 0;

        if (h->port == port &&
            (s->nat == ADDRESS ? is_address : p2p_endpoint_equal(&h->to, from)))
            return true;
    }
    return false;
}

static bool
is_lost(struct world *w)
{
    w->chance ^= w->chance << 13;
    w->chance ^= w->chance >> 7;
    w->chance ^= w->chance << 17;
    return (w->chance >> 11) % 100 < w->lost;
}

static void
fly(struct world *w, size_t i, const struct p2p_endpoint *to, const uint8_t *data,
    size_t len)
{
    struct side *s = &w->side[i];
    struct flying *f = &w->flying[w->flying_count];

    s->sent++;
    if (w->is_cut || s->nat == NO_UDP || is_lost(w))
        return;
    assert_true(w->flying_count < FLIGHT_MAX);
    *f = (struct flying){.at_us = w->now_us + ONE_WAY, .to = *to, .len = len};
    f->from = s->outside;
    f->from.port = port_for(s, to);
    memcpy(f->bytes, data, len);
    w->flying_count++;
}

static void
land(struct world *w, const struct flying *f)
{
    for (size_t i = 0; i < 2; i++) {
        struct side *s = &w->side[i];

        if (memcmp(f->to.ip, s->outside.ip, sizeof(f->to.ip)) == 0 &&
            s->nat != NO_UDP && lets_in(s, &f->from, f->to.port))
            p2p_ice_input(&s->ice, &f->from, f->bytes, f->len, w->now_us);
    }
}

static void
step(struct world *w)
{
    uint8_t out[P2P_STUN_MAX];
    struct p2p_endpoint to;
    size_t len;

    for (size_t i = 0; i < w->flying_count;) {
        struct flying f = w->flying[i];

        if (f.at_us > w->now_us) {
            i++;
            continue;
        }
        w->flying[i] = w->flying[--w->flying_count];
        land(w, &f);
    }
    for (size_t i = 0; i < 2; i++)
        while ((len = p2p_ice_output(&w->side[i].ice, w->now_us, &to, out)) > 0)
            fly(w, i, &to, out, len);
}

static void
run_until(struct world *w, uint64_t end_us)
{
    while (w->now_us < end_us) {
        uint64_t next = end_us;

        step(w);
        for (size_t i = 0; i < 2; i++) {
            uint64_t due = p2p_ice_due_us(&w->side[i].ice, w->now_us);
            next = due < next ? due : next;
        }
        for (size_t i = 0; i < w->flying_count; i++)
            next = w->flying[i].at_us < next ? w->flying[i].at_us : next;
        w->now_us = next > w->now_us ? next : w->now_us + 1;
    }
}

/* Each knows its inside address, and the outside one as a STUN server saw it. */
static void
begin(struct world *w, enum nat a, enum nat b)
{
    static const char *const insides[] = {"10.0.0.2", "10.9.9.9"};
    static const char *const outsides[] = {"192.0.2.1", "198.51.100.1"};
    struct p2p_endpoint stun = endpoint("203.0.113.1", 3478);
    struct p2p_ice_login login[2];

    memset(w, 0, sizeof(*w));
    w->now_us = 5 * SECOND;
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(p2p_ice_login_make(&login[i]), P2P_OK);
    for (size_t i = 0; i < 2; i++) {
        struct side *s = &w->side[i];
        struct p2p_ice_options opt = {login[i], login[1 - i], i == 0};

        s->nat = i == 0 ? a : b;
        s->inside = endpoint(insides[i], 7000);
        s->outside = endpoint(outsides[i], 30000);
        port_for(s, &stun);
        assert_int_equal(p2p_ice_init(&s->ice, &opt, w->now_us), P2P_OK);
    }
    for (size_t i = 0; i < 2; i++) {
        struct side *other = &w->side[1 - i];
        struct p2p_endpoint seen = other->outside;

        seen.port = port_for(other, &stun);
        p2p_ice_add(&w->side[i].ice, &other->inside,
                    p2p_ice_priority(P2P_ICE_HOST, P2P_FAMILY_4, 0));
        p2p_ice_add(&w->side[i].ice, &seen,
                    p2p_ice_priority(P2P_ICE_OUTSIDE, P2P_FAMILY_4, 0));
    }
}

static bool
both_have(const struct world *w, enum p2p_ice_state state)
{
    return w->side[0].ice.state == state && w->side[1].ice.state == state;
}

static void
who_gets_through(void **state)
{
    static const struct {
        enum nat a, b;
        bool works;
    } cases[] = {
        {OPEN, OPEN, true},
        {OPEN, PORT, true},
        {OPEN, SYMMETRIC, true},
        {CONE, CONE, true},
        {CONE, SYMMETRIC, true},
        {ADDRESS, ADDRESS, true},
        {ADDRESS, SYMMETRIC, true},
        {ADDRESS, PORT, true},
        {PORT, PORT, true},
        {PORT, SYMMETRIC, false},
        {SYMMETRIC, SYMMETRIC, false},
        {NO_UDP, OPEN, false},
    };
    static struct world w;

    (void)state;
    for (size_t i = 0; i < 2 * sizeof(cases) / sizeof(cases[0]); i++) {
        bool is_turned = i % 2 == 1;

        begin(&w, is_turned ? cases[i / 2].b : cases[i / 2].a,
              is_turned ? cases[i / 2].a : cases[i / 2].b);
        run_until(&w, w.now_us + SECOND);
        assert_int_equal(both_have(&w, P2P_ICE_CONNECTED), cases[i / 2].works);
        if (!cases[i / 2].works) {
            run_until(&w, w.now_us + 10 * SECOND);
            assert_true(both_have(&w, P2P_ICE_FAILED));
            continue;
        }
        for (size_t k = 0; k < 2; k++) {
            const struct p2p_endpoint *to = p2p_ice_selected(&w.side[k].ice);

            assert_non_null(to);
            assert_memory_equal(to->ip, w.side[1 - k].outside.ip, sizeof(to->ip));
        }
    }
}

static void
opens_fast(void **state)
{
    static struct world w;

    (void)state;
    begin(&w, PORT, PORT);
    run_until(&w, w.now_us + 250 * MS);
    assert_true(both_have(&w, P2P_ICE_CONNECTED));
    assert_int_equal(w.side[0].ice.rtt_us, 2 * ONE_WAY);
}

static void
opens_with_losses(void **state)
{
    static struct world w;

    (void)state;
    for (unsigned seed = 1; seed <= 40; seed++) {
        begin(&w, PORT, PORT);
        w.lost = 30;
        w.chance = seed * 7919;
        run_until(&w, w.now_us + 9 * SECOND);
        assert_true(both_have(&w, P2P_ICE_CONNECTED));
    }
}

/* Nobody is made to flood an address by naming it. */
static void
checks_are_bounded(void **state)
{
    static struct world w;
    char ip[] = "198.51.100.10";

    (void)state;
    begin(&w, NO_UDP, NO_UDP);
    for (int i = 0; i < 60; i++) {
        struct p2p_endpoint e;

        ip[12] = (char)('0' + i % 10);
        e = endpoint(ip, (uint16_t)(1000 + i));
        p2p_ice_add(&w.side[0].ice, &e, 1);
        p2p_ice_add(&w.side[0].ice, &e, 1);
    }
    assert_int_equal(w.side[0].ice.pair_count, P2P_ICE_REMOTES_MAX);
    run_until(&w, w.now_us + 60 * SECOND);
    assert_true(both_have(&w, P2P_ICE_FAILED));
    assert_true(w.side[0].sent <= P2P_ICE_REMOTES_MAX * P2P_ICE_CHECKS_MAX);
    for (size_t i = 0; i < w.side[0].ice.pair_count; i++)
        assert_true(w.side[0].ice.pairs[i].sent <= P2P_ICE_CHECKS_MAX);
}

static void
addresses_that_nobody_has(void **state)
{
    static struct world w;
    size_t count;

    (void)state;
    begin(&w, OPEN, OPEN);
    count = w.side[0].ice.pair_count;
    struct p2p_endpoint all = endpoint("255.255.255.255", 7), none = endpoint("::", 7);
    struct p2p_endpoint no_port = endpoint("192.0.2.3", 0);
    p2p_ice_add(&w.side[0].ice, &all, 1);
    p2p_ice_add(&w.side[0].ice, &none, 1);
    p2p_ice_add(&w.side[0].ice, &no_port, 1);
    assert_int_equal(w.side[0].ice.pair_count, count);
}

static void
roles_are_settled(void **state)
{
    static struct world w;

    (void)state;
    for (int both = 0; both < 2; both++) {
        begin(&w, PORT, PORT);
        w.side[0].ice.is_controlling = w.side[1].ice.is_controlling = both == 1;
        run_until(&w, w.now_us + 2 * SECOND);
        assert_true(both_have(&w, P2P_ICE_CONNECTED));
        assert_true(w.side[0].ice.is_controlling != w.side[1].ice.is_controlling);
    }
}

static void
consent(void **state)
{
    static struct world w;
    size_t sent;

    (void)state;
    begin(&w, PORT, PORT);
    run_until(&w, w.now_us + SECOND);
    sent = w.side[0].sent;
    run_until(&w, w.now_us + 120 * SECOND);
    assert_true(both_have(&w, P2P_ICE_CONNECTED));
    /* A check and an answer every five seconds. */
    assert_in_range(w.side[0].sent - sent, 40, 52);
    w.is_cut = true;
    run_until(&w, w.now_us + 16 * SECOND);
    assert_true(both_have(&w, P2P_ICE_FAILED));
}

/* A party that does not know the password gets no answer, and changes nothing. */
static void
strangers_get_no_answer(void **state)
{
    static struct world w;
    struct p2p_endpoint from = endpoint("203.0.113.9", 9), to;
    struct p2p_stun m = {.class = P2P_STUN_REQUEST, .has_priority = true};
    uint8_t data[P2P_STUN_MAX], out[P2P_STUN_MAX];
    size_t len, pairs;

    (void)state;
    begin(&w, OPEN, OPEN);
    pairs = w.side[0].ice.pair_count;
    strcpy(m.username, w.side[0].ice.own.ufrag);
    strcat(m.username, ":");
    strcat(m.username, w.side[0].ice.peer.ufrag);
    assert_int_equal(p2p_stun_format(&m, "a wrong password", data, &len), P2P_OK);
    p2p_ice_input(&w.side[0].ice, &from, data, len, w.now_us);
    assert_int_equal(p2p_stun_format(&m, NULL, data, &len), P2P_OK);
    p2p_ice_input(&w.side[0].ice, &from, data, len, w.now_us);
    assert_int_equal(w.side[0].ice.answer_count, 0);
    assert_int_equal(w.side[0].ice.pair_count, pairs);
    /* With it, there is an answer and a new pair. */
    assert_int_equal(p2p_stun_format(&m, w.side[0].ice.own.pwd, data, &len), P2P_OK);
    p2p_ice_input(&w.side[0].ice, &from, data, len, w.now_us);
    assert_int_equal(w.side[0].ice.pair_count, pairs + 1);
    assert_true(p2p_ice_output(&w.side[0].ice, w.now_us, &to, out) > 0);
    assert_true(p2p_endpoint_equal(&to, &from));
    /* And for another one's name there is none. */
    m.username[0] ^= 1;
    assert_int_equal(p2p_stun_format(&m, w.side[0].ice.own.pwd, data, &len), P2P_OK);
    p2p_ice_input(&w.side[0].ice, &from, data, len, w.now_us);
    assert_int_equal(w.side[0].ice.answer_count, 0);
}

/* The lower one is told first, but the better one is there in time. */
static void
the_better_pair_is_used(void **state)
{
    static struct world w;

    (void)state;
    begin(&w, OPEN, OPEN);
    w.side[0].inside = w.side[0].outside;
    struct p2p_endpoint better = w.side[1].outside;
    better.port = 31000;
    p2p_ice_add(&w.side[0].ice, &better, UINT32_MAX);
    run_until(&w, w.now_us + SECOND);
    assert_true(both_have(&w, P2P_ICE_CONNECTED));
    assert_int_equal(p2p_ice_selected(&w.side[0].ice)->port, 30000);
}

static void
logins(void **state)
{
    struct p2p_ice_login a, b;

    (void)state;
    assert_int_equal(p2p_ice_login_make(&a), P2P_OK);
    assert_int_equal(p2p_ice_login_make(&b), P2P_OK);
    assert_true(p2p_ice_login_is_valid(&a));
    assert_string_not_equal(a.pwd, b.pwd);
    a.pwd[21] = '\0';
    assert_false(p2p_ice_login_is_valid(&a));
    b.ufrag[2] = ':';
    assert_false(p2p_ice_login_is_valid(&b));
    memset(b.ufrag, 'a', sizeof(b.ufrag));
    assert_false(p2p_ice_login_is_valid(&b));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_gets_through),
        cmocka_unit_test(opens_fast),
        cmocka_unit_test(opens_with_losses),
        cmocka_unit_test(checks_are_bounded),
        cmocka_unit_test(addresses_that_nobody_has),
        cmocka_unit_test(roles_are_settled),
        cmocka_unit_test(consent),
        cmocka_unit_test(strangers_get_no_answer),
        cmocka_unit_test(the_better_pair_is_used),
        cmocka_unit_test(logins),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
