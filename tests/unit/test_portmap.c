/* Port mapping: what is asked, what is believed, and when. The router of this test is
 * written from the RFCs, not from the code. */
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/reach/portmap.h"
#include "core/reach/upnp.h"
#include "p2p/net.h"
#include "p2p/portmap.h"

static const uint8_t own_ip[4] = {192, 168, 1, 5}, outside[4] = {203, 0, 113, 11};
static const uint8_t nonce[12] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
enum { NOW = 1000000, PORT = 9000 };

static uint32_t
u32_at(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void
put_u32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> (24 - 8 * i));
}

static struct p2p_portmap
begin(void)
{
    struct p2p_portmap m;

    p2p_portmap_init(&m, own_ip, PORT, nonce, NOW);
    return m;
}

/* The answer of a PCP router: 60 bytes. */
static void
pcp_answer(uint8_t out[60], const uint8_t question[60], uint32_t epoch)
{
    memcpy(out, question, 60);
    out[1] |= 0x80;
    out[2] = out[3] = 0;
    put_u32(out + 4, 7200);
    put_u32(out + 8, epoch);
    memset(out + 12, 0, 12);
    out[42] = 9001 >> 8;
    out[43] = 9001 & 0xff;
    memset(out + 44, 0, 10);
    out[54] = out[55] = 0xff;
    memcpy(out + 56, outside, 4);
}

static void
map_by_pcp(struct p2p_portmap *m, uint64_t now, uint32_t epoch)
{
    uint8_t question[P2P_PORTMAP_MESSAGE_MAX], answer[60];

    assert_int_equal(p2p_portmap_on_time(m, now, question), 60);
    pcp_answer(answer, question, epoch);
    p2p_portmap_on_datagram(m, answer, sizeof(answer), now);
    assert_int_equal(m->mapping.by, P2P_PORTMAP_PCP);
}

static void
the_question_by_pcp_is_that_of_the_rfc(void **state)
{
    struct p2p_portmap m = begin();
    uint8_t q[P2P_PORTMAP_MESSAGE_MAX];

    (void)state;
    assert_int_equal(p2p_portmap_due_ms(&m), NOW);
    assert_int_equal(p2p_portmap_on_time(&m, NOW, q), 60);
    assert_int_equal(q[0], 2); /* version */
    assert_int_equal(q[1], 1); /* MAP, a request */
    assert_int_equal(u32_at(q + 4), 7200);
    assert_memory_equal(q + 8, "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\xa8\x01\x05", 16);
    assert_memory_equal(q + 24, nonce, 12);
    assert_int_equal(q[36], 6); /* TCP */
    assert_int_equal(u32_at(q + 40), (uint32_t)PORT << 16 | PORT);
    assert_memory_equal(q + 44, "\0\0\0\0\0\0\0\0\0\0\xff\xff\0\0\0\0", 16);
}

static void
pcp_maps_and_renews_at_half_time(void **state)
{
    struct p2p_portmap m = begin();
    uint8_t q[P2P_PORTMAP_MESSAGE_MAX];

    (void)state;
    map_by_pcp(&m, NOW, 100);
    assert_int_equal(m.mapping.port, 9001);
    assert_memory_equal(m.mapping.ip, outside, 4);
    assert_int_equal(p2p_portmap_due_ms(&m), NOW + 3600 * 1000);
    assert_int_equal(p2p_portmap_on_time(&m, NOW + 3599 * 1000, q), 0);
    map_by_pcp(&m, NOW + 3600 * 1000, 100 + 3600);
    assert_int_equal(m.end_ms, NOW + (3600 + 7200) * 1000);
    /* The end: no time, the same nonce and port. */
    assert_int_equal(p2p_portmap_end(&m, q), 60);
    assert_int_equal(u32_at(q + 4), 0);
    assert_memory_equal(q + 24, nonce, 12);
}

/* Asks by NAT-PMP until the mapping is there. */
static void
map_by_pmp(struct p2p_portmap *m, uint64_t now)
{
    uint8_t q[P2P_PORTMAP_MESSAGE_MAX];
    uint8_t address[12] = {0, 128, 0, 0, 0, 0, 0, 9, 203, 0, 113, 11};
    uint8_t map[16] = {0, 130, 0, 0, 0, 0, 0, 9, PORT >> 8, PORT & 0xff};

    assert_int_equal(p2p_portmap_on_time(m, now, q), 2);
    assert_int_equal(q[0] | q[1], 0);
    p2p_portmap_on_datagram(m, address, sizeof(address), now);
    assert_int_equal(p2p_portmap_on_time(m, now, q), 12);
    assert_memory_equal(q, "\0\2\0\0", 4);
    assert_int_equal(u32_at(q + 4), (uint32_t)PORT << 16 | PORT);
    assert_int_equal(u32_at(q + 8), 7200);
    map[10] = 9002 >> 8;
    map[11] = 9002 & 0xff;
    put_u32(map + 12, 7200);
    p2p_portmap_on_datagram(m, map, sizeof(map), now);
    assert_int_equal(m->mapping.by, P2P_PORTMAP_NAT_PMP);
    assert_int_equal(m->mapping.port, 9002);
    assert_memory_equal(m->mapping.ip, outside, 4);
}

static void
a_router_without_pcp_says_so(void **state)
{
    const uint8_t unknown_version[8] = {0, 129, 0, 1};
    struct p2p_portmap m = begin();
    uint8_t q[P2P_PORTMAP_MESSAGE_MAX];

    (void)state;
    assert_int_equal(p2p_portmap_on_time(&m, NOW, q), 60);
    p2p_portmap_on_datagram(&m, unknown_version, sizeof(unknown_version), NOW);
    map_by_pmp(&m, NOW);
    assert_int_equal(p2p_portmap_end(&m, q), 12);
    assert_int_equal(u32_at(q + 4), (uint32_t)PORT << 16);
    assert_int_equal(u32_at(q + 8), 0);
}

/* Both protocols are tried some times, at growing pauses; later all of it again. */
static void
silence_ends_in_a_pause(void **state)
{
    struct p2p_portmap m = begin();
    uint8_t q[P2P_PORTMAP_MESSAGE_MAX];
    unsigned pcp = 0, pmp = 0;
    uint64_t now = NOW;

    (void)state;
    while (now < NOW + 60000) {
        size_t len = p2p_portmap_on_time(&m, now, q);

        pcp += len == 60;
        pmp += len == 2;
        now = p2p_portmap_due_ms(&m);
    }
    assert_int_equal(pcp, 5);
    assert_int_equal(pmp, 5);
    assert_true(now >= NOW + P2P_PORTMAP_AGAIN_MS);
    assert_int_equal(p2p_portmap_on_time(&m, now, q), 60);
    assert_int_equal(p2p_portmap_end(&m, q), 0);
}

static void
a_mapping_that_nobody_renews_ends(void **state)
{
    struct p2p_portmap m = begin();
    uint8_t q[P2P_PORTMAP_MESSAGE_MAX];
    uint64_t now = NOW;

    (void)state;
    map_by_pcp(&m, NOW, 5);
    while (m.mapping.by != P2P_PORTMAP_NONE) {
        assert_true(now <= NOW + 7200 * 1000);
        now = p2p_portmap_due_ms(&m);
        (void)p2p_portmap_on_time(&m, now, q);
    }
    assert_true(now >= NOW + 7200 * 1000);
}

/* Its news to all: its clock has begun anew. */
static void
a_router_that_restarted_is_asked_at_once(void **state)
{
    uint8_t news[24] = {2, 0x80}, q[P2P_PORTMAP_MESSAGE_MAX];
    uint8_t address[12] = {0, 128, 0, 0, 0, 0, 0, 1, 203, 0, 113, 11};
    struct p2p_portmap m = begin();

    (void)state;
    map_by_pcp(&m, NOW, 5000);
    put_u32(news + 8, 5060); /* a minute later: all is well */
    p2p_portmap_on_datagram(&m, news, sizeof(news), NOW + 60000);
    assert_int_equal(p2p_portmap_on_time(&m, NOW + 60000, q), 0);
    put_u32(news + 8, 2);
    p2p_portmap_on_datagram(&m, news, sizeof(news), NOW + 70000);
    assert_int_equal(p2p_portmap_on_time(&m, NOW + 70000, q), 60);

    m = begin();
    map_by_pcp(&m, NOW, 5000);
    p2p_portmap_on_datagram(&m, address, sizeof(address), NOW + 70000);
    assert_int_equal(p2p_portmap_on_time(&m, NOW + 70000, q), 60);
}

/* ---- what is not believed ---- */

static void
is_refused(const uint8_t *data, size_t len)
{
    struct p2p_portmap m = begin();
    uint8_t q[P2P_PORTMAP_MESSAGE_MAX], *exact = malloc(len > 0 ? len : 1);

    assert_non_null(exact);
    memcpy(exact, data, len);
    assert_int_equal(p2p_portmap_on_time(&m, NOW, q), 60);
    p2p_portmap_on_datagram(&m, exact, len, NOW);
    assert_int_equal(m.mapping.by, P2P_PORTMAP_NONE);
    free(exact);
}

static void
other_answers_by_pcp_are_refused(void **state)
{
    uint8_t q[P2P_PORTMAP_MESSAGE_MAX], good[60], bad[60];
    struct p2p_portmap m = begin();

    (void)state;
    assert_int_equal(p2p_portmap_on_time(&m, NOW, q), 60);
    pcp_answer(good, q, 1);
    for (size_t len = 0; len < 60; len++)
        is_refused(good, len);
    is_refused(q, 60); /* the question itself, come back */
    /* Each byte that has one right value: version, operation, result, nonce, protocol,
     * inner port, the prefix of an IPv4 address. */
    for (size_t i = 0; i < 60; i++) {
        bool is_fixed = i < 2 || i == 3 || (i >= 24 && i <= 36) || i == 40 || i == 41 ||
                        (i >= 44 && i < 56);
        for (int bit = 0; is_fixed && bit < 8; bit++) {
            memcpy(bad, good, 60);
            bad[i] ^= (uint8_t)(1 << bit);
            is_refused(bad, 60);
        }
    }
    memcpy(bad, good, 60);
    put_u32(bad + 4, 0); /* no time */
    is_refused(bad, 60);
    memcpy(bad, good, 60);
    bad[42] = bad[43] = 0; /* no port */
    is_refused(bad, 60);
    for (size_t i = 0; i < 3; i++) {
        static const uint8_t nowhere[3][4] = {
            {0, 0, 0, 0}, {127, 0, 0, 1}, {224, 0, 0, 1}};

        memcpy(bad, good, 60);
        memcpy(bad + 56, nowhere[i], 4);
        is_refused(bad, 60);
    }
}

static void
an_answer_without_a_question_is_refused(void **state)
{
    uint8_t q[P2P_PORTMAP_MESSAGE_MAX], answer[60];
    struct p2p_portmap m = begin(), asked = begin();

    (void)state;
    assert_int_equal(p2p_portmap_on_time(&asked, NOW, q), 60);
    pcp_answer(answer, q, 1);
    p2p_portmap_on_datagram(&m, answer, sizeof(answer), NOW);
    assert_int_equal(m.mapping.by, P2P_PORTMAP_NONE);
    /* And a second one changes nothing. */
    p2p_portmap_on_datagram(&asked, answer, sizeof(answer), NOW);
    answer[43]++;
    p2p_portmap_on_datagram(&asked, answer, sizeof(answer), NOW);
    assert_int_equal(asked.mapping.port, 9001);
}

/* A router chooses the time; it gets neither a second nor a year. */
static void
the_time_has_bounds(void **state)
{
    static const uint32_t lives[] = {1, UINT32_MAX};
    static const uint64_t kept_s[] = {120, 24 * 3600};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct p2p_portmap m = begin();
        uint8_t q[P2P_PORTMAP_MESSAGE_MAX], answer[60];

        assert_int_equal(p2p_portmap_on_time(&m, NOW, q), 60);
        pcp_answer(answer, q, 1);
        put_u32(answer + 4, lives[i]);
        p2p_portmap_on_datagram(&m, answer, sizeof(answer), NOW);
        assert_int_equal(m.end_ms, NOW + kept_s[i] * 1000);
    }
}

/* ---- the thread ---- */

static void
never(void *arg, const struct p2p_addr *addr, const char *by)
{
    (void)arg, (void)addr, (void)by;
}

static void
the_thread_stops_at_once(void **state)
{
    const struct p2p_portmap_options opt = {.port = 9, .on_change = never};
    struct p2p_portmapper *p;
    uint8_t gateway[4];

    (void)state;
    /* Not in the network of this machine, whose router would be asked. */
    if (unshare(CLONE_NEWNET) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0)
        skip();
    assert_false(p2p_net_gateway(gateway));
    assert_int_equal(p2p_portmapper_start(&opt, &p), P2P_OK);
    p2p_portmapper_stop(p);
    p2p_portmapper_stop(NULL);
}

/* ---- UPnP, when nothing else works ---- */

/* Asks until the machine wants to ask by UPnP; its time then. */
static uint64_t
until_upnp(struct p2p_portmap *m)
{
    uint8_t q[P2P_PORTMAP_MESSAGE_MAX];
    uint64_t now = NOW;

    for (int i = 0; i < 100 && !m->wants_upnp; i++) {
        now = p2p_portmap_due_ms(m);
        (void)p2p_portmap_on_time(m, now, q);
    }
    assert_true(m->wants_upnp);
    assert_int_equal(p2p_portmap_due_ms(m), UINT64_MAX); /* it waits for the answer */
    return now;
}

static const struct p2p_mapping by_upnp = {P2P_PORTMAP_UPNP, {203, 0, 113, 11}, 9001};

static void
upnp_maps_and_renews_at_half_time(void **state)
{
    struct p2p_portmap m = begin();
    uint8_t q[P2P_PORTMAP_MESSAGE_MAX];
    uint64_t now;

    (void)state;
    m.has_upnp = true;
    now = until_upnp(&m);
    p2p_portmap_on_upnp(&m, &by_upnp, now);
    assert_int_equal(m.mapping.by, P2P_PORTMAP_UPNP);
    assert_int_equal(m.mapping.port, 9001);
    assert_memory_equal(m.mapping.ip, outside, 4);
    assert_int_equal(p2p_portmap_end(&m, q), 0);
    assert_int_equal(p2p_portmap_due_ms(&m), now + P2P_PORTMAP_LIFE_S * 500);
    assert_false(m.wants_upnp);
    assert_int_equal(p2p_portmap_on_time(&m, p2p_portmap_due_ms(&m), q), 0);
    assert_true(m.wants_upnp);
}

static void
a_router_without_upnp_is_asked_again_later(void **state)
{
    static const struct p2p_mapping nonsense = {P2P_PORTMAP_UPNP, {127, 0, 0, 1}, 9001};
    struct p2p_portmap m = begin();
    uint64_t now;

    (void)state;
    p2p_portmap_on_upnp(&m, &by_upnp, NOW); /* nobody has asked */
    assert_int_equal(m.mapping.by, P2P_PORTMAP_NONE);
    m.has_upnp = true;
    now = until_upnp(&m);
    p2p_portmap_on_upnp(&m, NULL, now);
    assert_int_equal(m.mapping.by, P2P_PORTMAP_NONE);
    assert_int_equal(p2p_portmap_due_ms(&m), now + P2P_PORTMAP_AGAIN_MS);
    now = until_upnp(&m);
    p2p_portmap_on_upnp(&m, &nonsense, now);
    assert_int_equal(m.mapping.by, P2P_PORTMAP_NONE);
}

/* Nothing listens there: the next protocol is tried at once. */
static void
a_refusal_saves_the_wait(void **state)
{
    struct p2p_portmap m = begin();
    uint8_t q[P2P_PORTMAP_MESSAGE_MAX];

    (void)state;
    m.has_upnp = true;
    p2p_portmap_on_refusal(&m, NOW); /* of what was not asked */
    assert_int_equal(p2p_portmap_on_time(&m, NOW, q), 60);
    p2p_portmap_on_refusal(&m, NOW);
    assert_int_equal(p2p_portmap_on_time(&m, NOW, q), 2);
    p2p_portmap_on_refusal(&m, NOW);
    assert_int_equal(p2p_portmap_on_time(&m, NOW, q), 0);
    assert_true(m.wants_upnp);
}

/* Others on the network could send the question anywhere. */
static void
only_the_router_is_asked(void **state)
{
    static const char *const wrong[] = {
        "",
        "http://",
        "http://192.168.1.50/a",
        "http://192.168.1.5.example/a",
        "http://192.168.1.5",
        "http://192.168.1.5@other/",
        "https://192.168.1.5/a",
        "http://router:5000/a",
        "http://192.168.001.5/a",
    };

    (void)state;
    assert_true(p2p_upnp_is_at("http://192.168.1.5:5000/rootDesc.xml", own_ip));
    assert_true(p2p_upnp_is_at("http://192.168.1.5/rootDesc.xml", own_ip));
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_false(p2p_upnp_is_at(wrong[i], own_ip));
}

/* Nobody has to wait for the job, and nothing answers for this router. */
static void
a_job_can_be_left_alone(void **state)
{
    static const uint8_t nobody[4] = {127, 0, 0, 1};
    struct p2p_upnp_job *job;
    enum p2p_err err = p2p_upnp_ask(nobody, nobody, PORT, &job);

    (void)state;
    assert_int_equal(err, p2p_upnp_is_built() ? P2P_OK : P2P_ERR_UNSUPPORTED);
    assert_int_equal(p2p_upnp_fd(job) >= 0, err == P2P_OK);
    p2p_upnp_drop(job);
    p2p_upnp_drop(NULL);
    assert_int_equal(p2p_upnp_fd(NULL), -1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_question_by_pcp_is_that_of_the_rfc),
        cmocka_unit_test(pcp_maps_and_renews_at_half_time),
        cmocka_unit_test(a_router_without_pcp_says_so),
        cmocka_unit_test(silence_ends_in_a_pause),
        cmocka_unit_test(a_mapping_that_nobody_renews_ends),
        cmocka_unit_test(a_router_that_restarted_is_asked_at_once),
        cmocka_unit_test(other_answers_by_pcp_are_refused),
        cmocka_unit_test(an_answer_without_a_question_is_refused),
        cmocka_unit_test(the_time_has_bounds),
        cmocka_unit_test(the_thread_stops_at_once),
        cmocka_unit_test(upnp_maps_and_renews_at_half_time),
        cmocka_unit_test(a_router_without_upnp_is_asked_again_later),
        cmocka_unit_test(a_refusal_saves_the_wait),
        cmocka_unit_test(only_the_router_is_asked),
        cmocka_unit_test(a_job_can_be_left_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
