// uses tests/unit/mutate.c
/* Calls and answers: what is signed, and what is taken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/reach/callers.h"
#include "core/reach/candidate.h"
#include "mutate.h"
#include "p2p/call.h"
#include "p2p/clock.h"
#include "p2p/reach.h"
#include "test_keys.h"

#define NOW 1800000000ull

static struct p2p_rsa *caller, *callee;

static int
make_keys(void **state)
{
    (void)state;
    caller = test_key(0);
    callee = test_key(1);
    return p2p_crypto_init() == P2P_OK ? 0 : -1;
}

static int
free_keys(void **state)
{
    (void)state;
    p2p_rsa_free(caller);
    p2p_rsa_free(callee);
    return 0;
}

static struct p2p_id
id_of(const struct p2p_rsa *key)
{
    struct p2p_id id;

    assert_int_equal(p2p_spki_id(p2p_rsa_spki(key), &id), P2P_OK);
    return id;
}

static struct p2p_call
a_call(void)
{
    struct p2p_call call = {.type = P2P_CALL,
                            .session = {{1, 2, 3}},
                            .reply = {{4, 5, 6}},
                            .to = id_of(callee),
                            .expires_s = NOW + P2P_CALL_LIFE_S};

    assert_int_equal(p2p_call_sign(&call, caller), P2P_OK);
    return call;
}

static struct p2p_call
an_answer(void)
{
    struct p2p_call answer = {.type = P2P_CALL_ANSWER,
                              .session = {{1, 2, 3}},
                              .to = id_of(caller),
                              .expires_s = NOW + P2P_CALL_LIFE_S,
                              .token = "AbC-_9"};

    assert_int_equal(p2p_addr_parse("relay.example:7100", 0, &answer.relay), P2P_OK);
    assert_int_equal(p2p_call_sign(&answer, callee), P2P_OK);
    return answer;
}

static void
a_call_comes_back(void **state)
{
    struct p2p_call call = a_call(), back;
    char *json = p2p_call_format(&call);

    (void)state;
    assert_int_equal(p2p_call_parse(json, strlen(json), &back), P2P_OK);
    assert_int_equal(back.type, P2P_CALL);
    assert_memory_equal(&back.session, &call.session, sizeof(call.session));
    assert_memory_equal(&back.reply, &call.reply, sizeof(call.reply));
    assert_true(p2p_id_equal(&back.from, &call.from) &&
                p2p_id_equal(&back.to, &call.to));
    assert_int_equal(p2p_call_check(&back, NOW), P2P_OK);
    free(json);
}

static void
an_answer_comes_back(void **state)
{
    struct p2p_call answer = an_answer(), back;
    char *json = p2p_call_format(&answer);

    (void)state;
    assert_int_equal(p2p_call_parse(json, strlen(json), &back), P2P_OK);
    assert_int_equal(back.type, P2P_CALL_ANSWER);
    assert_true(p2p_addr_equal(&back.relay, &answer.relay));
    assert_string_equal(back.token, answer.token);
    assert_int_equal(p2p_call_check(&back, NOW), P2P_OK);
    free(json);
}

static void
a_call_is_valid_for_a_minute(void **state)
{
    struct p2p_call call = a_call();

    (void)state;
    assert_int_equal(p2p_call_check(&call, NOW + P2P_CALL_LIFE_S + P2P_CALL_LATE_MAX_S),
                     P2P_OK);
    assert_int_equal(
        p2p_call_check(&call, NOW + P2P_CALL_LIFE_S + P2P_CALL_LATE_MAX_S + 1),
        P2P_ERR_TIMEOUT);
    call.expires_s = NOW + P2P_CALL_AHEAD_MAX_S + 1;
    assert_int_equal(p2p_call_sign(&call, caller), P2P_OK);
    assert_int_equal(p2p_call_check(&call, NOW), P2P_ERR_TIMEOUT);
}

/* A registry that carries a call or an answer can change nothing in it. */
static void
everything_is_signed(void **state)
{
    struct p2p_call good = a_call(), bad, answer = an_answer();

    (void)state;
    bad = good;
    bad.session.b[15] ^= 1;
    assert_int_equal(p2p_call_check(&bad, NOW), P2P_ERR_AUTH);
    bad = good;
    bad.to.b[0] ^= 1;
    assert_int_equal(p2p_call_check(&bad, NOW), P2P_ERR_AUTH);
    bad = good;
    bad.reply.b[0] ^= 1;
    assert_int_equal(p2p_call_check(&bad, NOW), P2P_ERR_AUTH);
    bad = good;
    bad.expires_s++;
    assert_int_equal(p2p_call_check(&bad, NOW), P2P_ERR_AUTH);
    bad = good;
    bad.from = id_of(callee);
    assert_int_equal(p2p_call_check(&bad, NOW), P2P_ERR_WRONG_PEER);
    bad = good;
    bad.type = P2P_CALL_ANSWER;
    bad.relay = answer.relay;
    assert_int_equal(p2p_call_check(&bad, NOW), P2P_ERR_AUTH);
    bad = answer;
    bad.relay.port++;
    assert_int_equal(p2p_call_check(&bad, NOW), P2P_ERR_AUTH);
    bad = answer;
    bad.token[0] = 'B';
    assert_int_equal(p2p_call_check(&bad, NOW), P2P_ERR_AUTH);
    bad = answer;
    bad.session.b[0] ^= 1; /* an answer to another call */
    assert_int_equal(p2p_call_check(&bad, NOW), P2P_ERR_AUTH);
}

static bool
is_genuine(void *arg, uint8_t *data, size_t len)
{
    struct p2p_call call;

    (void)arg;
    return p2p_call_parse((const char *)data, len, &call) == P2P_OK &&
           p2p_call_check(&call, NOW) == P2P_OK;
}

/* Only flips that mean the same in JSON may pass: upper case in hex. */
static void
no_damage_passes(void **state)
{
    struct p2p_call answer = an_answer();
    char *json = p2p_call_format(&answer);
    struct mutation_counts counts;

    (void)state;
    counts = mutate_all(json, strlen(json), is_genuine, NULL);
    assert_int_equal(counts.prefixes, 0);
    assert_true(counts.flips <= 2 * (P2P_SESSION_LEN + 2 * P2P_DIGEST_LEN));
    free(json);
}

static void
other_messages_are_no_calls(void **state)
{
    static const char *const wrong[] = {
        "",
        "{}",
        "[]",
        "null",
        "{\"v\":1}",
        "{\"v\":2,\"type\":\"offer\"}",
        "{\"v\":1,\"type\":\"offer\",\"session\":\"zz\"}",
    };
    struct p2p_call call = a_call();
    char *json = p2p_call_format(&call), *large = malloc(P2P_CALL_TEXT_MAX + 1);

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_int_equal(p2p_call_parse(wrong[i], strlen(wrong[i]), &call),
                         P2P_ERR_MALFORMED);
    memset(large, ' ', P2P_CALL_TEXT_MAX + 1);
    memcpy(large, json, strlen(json));
    assert_int_equal(p2p_call_parse(large, P2P_CALL_TEXT_MAX, &call), P2P_OK);
    assert_int_equal(p2p_call_parse(large, P2P_CALL_TEXT_MAX + 1, &call),
                     P2P_ERR_TOO_LARGE);
    free(large);
    free(json);
}

/* The token goes to the relay in a line. */
static void
a_token_has_no_other_characters(void **state)
{
    static const char *const wrong[] = {"", "a b", "a\\n", "a+b", "a/b", "a="};
    char text[512];

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct p2p_call answer = an_answer(), back;
        char *json = p2p_call_format(&answer), *at = strstr(json, answer.token);
        size_t before = (size_t)(at - json);
        char *changed = malloc(strlen(json) + sizeof(text));

        memcpy(changed, json, before);
        strcpy(changed + before, wrong[i]);
        strcat(changed, at + strlen(answer.token));
        assert_int_equal(p2p_call_parse(changed, strlen(changed), &back),
                         P2P_ERR_MALFORMED);
        free(changed);
        free(json);
    }
}

static void
signatures_for_a_registry(void **state)
{
    struct p2p_id own = id_of(callee);
    struct p2p_call call = a_call(), other = call;
    struct p2p_signature s;

    (void)state;
    assert_int_equal(p2p_box_sign(callee, &own, NOW, &s), P2P_OK);
    assert_int_equal(p2p_box_verify(p2p_rsa_spki(callee), &own, NOW, &s), P2P_OK);
    assert_int_equal(p2p_box_verify(p2p_rsa_spki(callee), &own, NOW + 1, &s),
                     P2P_ERR_AUTH);
    assert_int_equal(p2p_box_verify(p2p_rsa_spki(caller), &own, NOW, &s), P2P_ERR_AUTH);
    assert_int_equal(p2p_relay_request_verify(p2p_rsa_spki(callee), &call, NOW, &s),
                     P2P_ERR_AUTH);
    assert_int_equal(p2p_relay_request_sign(callee, &call, NOW, &s), P2P_OK);
    assert_int_equal(p2p_relay_request_verify(p2p_rsa_spki(callee), &call, NOW, &s),
                     P2P_OK);
    other.session.b[0] ^= 1;
    assert_int_equal(p2p_relay_request_verify(p2p_rsa_spki(callee), &other, NOW, &s),
                     P2P_ERR_AUTH);
}

/* ---- whom a doorman answers ---- */

static struct p2p_session_id
session(unsigned number)
{
    return (struct p2p_session_id){{(uint8_t)number, (uint8_t)(number >> 8), 1}};
}

static void
a_session_is_taken_once(void **state)
{
    static struct p2p_callers c;
    struct p2p_session_id one = session(1);
    struct p2p_id from = {{1}};

    (void)state;
    memset(&c, 0, sizeof(c));
    assert_false(p2p_callers_knows(&c, &one, 1000));
    assert_true(p2p_callers_take(&c, &one, &from, 1000));
    assert_true(p2p_callers_knows(&c, &one, 1000 + P2P_CALLERS_MEMORY_MS - 1));
    assert_false(p2p_callers_knows(&c, &one, 1000 + P2P_CALLERS_MEMORY_MS));
}

static void
callers_have_budgets(void **state)
{
    static struct p2p_callers c;
    unsigned taken = 0;

    (void)state;
    memset(&c, 0, sizeof(c));
    for (unsigned i = 0; i < 2 * P2P_CALLS_PER_CALLER; i++) {
        struct p2p_session_id s = session(i);
        struct p2p_id from = {{1}};
        taken += p2p_callers_take(&c, &s, &from, 1000 + i);
    }
    assert_int_equal(taken, P2P_CALLS_PER_CALLER);
    for (unsigned i = 0; i < 2 * P2P_CALLS_IN_TOTAL; i++) {
        struct p2p_session_id s = session(1000 + i);
        struct p2p_id from = {{2, (uint8_t)i, (uint8_t)(i >> 8)}};
        taken += p2p_callers_take(&c, &s, &from, 2000);
    }
    assert_int_equal(taken, P2P_CALLS_IN_TOTAL);
    struct p2p_session_id later = session(9999);
    struct p2p_id from = {{1}};
    assert_true(p2p_callers_take(&c, &later, &from, 62001));
}

/* ---- which way is tried when ---- */

static void
addresses_first_then_the_relay(void **state)
{
    struct p2p_ladder l;

    (void)state;
    p2p_ladder_init(&l, P2P_WISH_AUTO, 2, true, 10000);
    assert_int_equal(p2p_ladder_ways(&l), 3);
    assert_int_equal(p2p_ladder_due_ms(&l, 10000), 10000);
    l.started = 1;
    assert_int_equal(p2p_ladder_due_ms(&l, 10001), 10000 + P2P_LADDER_NEXT_MS);
    l.started = 2;
    assert_int_equal(p2p_ladder_due_ms(&l, 10300), 10000 + P2P_LADDER_RELAY_MS);
    l.started = 3;
    assert_int_equal(p2p_ladder_due_ms(&l, 20000), UINT64_MAX);
}

static void
whom_the_registry_cannot_reach_is_called_sooner(void **state)
{
    struct p2p_ladder l;

    (void)state;
    p2p_ladder_init(&l, P2P_WISH_AUTO, 1, true, 10000);
    l.relay_ms = P2P_LADDER_UNREACHED_MS;
    l.started = 1;
    assert_int_equal(p2p_ladder_due_ms(&l, 10001), 10000 + P2P_LADDER_UNREACHED_MS);
}

static void
a_failure_brings_the_next_way_at_once(void **state)
{
    struct p2p_ladder l;

    (void)state;
    p2p_ladder_init(&l, P2P_WISH_AUTO, 2, true, 10000);
    l.started = l.failed = 1;
    assert_int_equal(p2p_ladder_due_ms(&l, 10005), 10005);
    l.started = 2; /* one of them still tries */
    assert_int_equal(p2p_ladder_due_ms(&l, 10005), 10000 + P2P_LADDER_RELAY_MS);
    l.failed = 2;
    assert_int_equal(p2p_ladder_due_ms(&l, 10010), 10010);
}

static void
what_the_answer_names_comes_behind_the_call(void **state)
{
    struct p2p_ladder l;

    (void)state;
    p2p_ladder_init(&l, P2P_WISH_AUTO, 1, true, 10000);
    l.started = 2;
    p2p_ladder_name(&l, 2, 12000);
    assert_int_equal(p2p_ladder_ways(&l), 4);
    assert_int_equal(p2p_ladder_due_ms(&l, 12000), 12000);
    l.started = 3;
    assert_int_equal(p2p_ladder_due_ms(&l, 12001), 12000 + P2P_LADDER_NEXT_MS);
    l.failed = 3;
    assert_int_equal(p2p_ladder_due_ms(&l, 12002), 12002);
    l.started = 4;
    assert_int_equal(p2p_ladder_due_ms(&l, 12003), UINT64_MAX);
    /* A second answer, for example of another registry, lengthens the line. */
    p2p_ladder_name(&l, 1, 15000);
    assert_true(p2p_ladder_due_ms(&l, 15000) <= 15000);
}

/* ---- addresses in a call ---- */

static void
addresses_for_tcp_come_back(void **state)
{
    const struct p2p_addr at[] = {{"192.0.2.1", 9000}, {"2001:db8::1", 9001},
                                  {"example.org", 9},  {"127.0.0.1", 9},
                                  {"224.0.0.1", 9},    {"::1", 9}};
    struct p2p_call_channel list = {.candidate_count = 1,
                                    .candidates = {"192.0.2.1 9 host 1"}};
    struct p2p_candidate c;
    struct p2p_addr back[8];

    (void)state;
    p2p_candidate_add_tcp(&list, at, sizeof(at) / sizeof(at[0]));
    assert_int_equal(p2p_candidate_tcp(&list, back, 8), 2);
    assert_true(p2p_addr_equal(&back[0], &at[0]));
    assert_true(p2p_addr_equal(&back[1], &at[1]));
    assert_int_equal(p2p_candidate_tcp(&list, back, 1), 1);
    assert_true(p2p_candidate_parse(list.candidates[0], &c) && !c.is_tcp);
    assert_true(p2p_candidate_parse(list.candidates[1], &c) && c.is_tcp);
    for (int i = 0; i < 20; i++)
        p2p_candidate_add_tcp(&list, at, 1);
    assert_int_equal(list.candidate_count, P2P_CALL_CANDIDATES_MAX);
}

static void
other_texts_are_no_addresses(void **state)
{
    static const char *const wrong[] = {"",
                                        "192.0.2.1",
                                        "192.0.2.1 9",
                                        "192.0.2.1 9 tcp",
                                        "192.0.2.1 9 tcp x",
                                        "192.0.2.1 70000 tcp 0",
                                        "192.0.2.1 -1 tcp 0",
                                        "name.local 9 tcp 0",
                                        " 9 tcp 0",
                                        "192.0.2.1 9 tcp 0 0"};
    static const char *const not_tcp[] = {
        "192.0.2.1 9 host 0", "192.0.2.1 9 tcpx 0", "192.0.2.1 9 tc 0",
        "192.0.2.1 0 tcp 0",  "0.0.0.0 9 tcp 0",    "255.255.255.255 9 tcp 0",
        "127.9.9.9 9 tcp 0",  "::1 9 tcp 0"};
    struct p2p_candidate c;
    struct p2p_addr back;

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        if (p2p_candidate_parse(wrong[i], &c))
            fail_msg("taken: %s", wrong[i]);
    for (size_t i = 0; i < sizeof(not_tcp) / sizeof(not_tcp[0]); i++) {
        struct p2p_call_channel list = {.candidate_count = 1};

        strcpy(list.candidates[0], not_tcp[i]);
        if (p2p_candidate_tcp(&list, &back, 1) != 0)
            fail_msg("taken: %s", not_tcp[i]);
    }
}

static void
a_wish_leaves_ways_out(void **state)
{
    enum p2p_path_wish wish;
    struct p2p_ladder l;

    (void)state;
    p2p_ladder_init(&l, P2P_WISH_DIRECT, 2, true, 0);
    assert_int_equal(p2p_ladder_ways(&l), 2);
    l.started = 2;
    assert_int_equal(p2p_ladder_due_ms(&l, 9999), UINT64_MAX);
    p2p_ladder_init(&l, P2P_WISH_RELAY, 2, true, 0);
    assert_int_equal(p2p_ladder_ways(&l), 1);
    assert_int_equal(p2p_ladder_due_ms(&l, 7), 7);
    p2p_ladder_init(&l, P2P_WISH_RELAY, 2, false, 0);
    assert_int_equal(p2p_ladder_ways(&l), 0);
    assert_int_equal(p2p_path_wish_parse("relay", &wish), P2P_OK);
    assert_int_equal(wish, P2P_WISH_RELAY);
    assert_int_equal(p2p_path_wish_parse("auto", &wish), P2P_OK);
    assert_int_equal(p2p_path_wish_parse("direct", &wish), P2P_OK);
    assert_int_equal(p2p_path_wish_parse("Relay", &wish), P2P_ERR_USAGE);
    assert_string_equal(p2p_path_kind_name(P2P_PATH_RELAY), "relay");
    assert_string_equal(p2p_path_kind_name(P2P_PATH_DIRECT), "direct");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_comes_back),
        cmocka_unit_test(an_answer_comes_back),
        cmocka_unit_test(a_call_is_valid_for_a_minute),
        cmocka_unit_test(everything_is_signed),
        cmocka_unit_test(no_damage_passes),
        cmocka_unit_test(other_messages_are_no_calls),
        cmocka_unit_test(a_token_has_no_other_characters),
        cmocka_unit_test(signatures_for_a_registry),
        cmocka_unit_test(a_session_is_taken_once),
        cmocka_unit_test(callers_have_budgets),
        cmocka_unit_test(addresses_first_then_the_relay),
        cmocka_unit_test(whom_the_registry_cannot_reach_is_called_sooner),
        cmocka_unit_test(a_failure_brings_the_next_way_at_once),
        cmocka_unit_test(what_the_answer_names_comes_behind_the_call),
        cmocka_unit_test(addresses_for_tcp_come_back),
        cmocka_unit_test(other_texts_are_no_addresses),
        cmocka_unit_test(a_wish_leaves_ways_out),
    };

    return cmocka_run_group_tests(tests, make_keys, free_keys);
}
