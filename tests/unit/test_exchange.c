/* The messages of a code: both sides, wrong words, and what a registry could do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "p2p/exchange.h"

#define OFFER "{\"peer\":\"x\"}"
#define CLAIM "{\"id\":\"y\"}"

struct sides {
    struct p2p_exchange sender, receiver;
    char *answer, *inner; /* of the last message */
};

static void
forget(struct sides *s)
{
    free(s->answer);
    free(s->inner);
    s->answer = s->inner = NULL;
}

static void
clear(struct sides *s)
{
    forget(s);
    p2p_exchange_clear(&s->sender);
    p2p_exchange_clear(&s->receiver);
}

static void
begin(struct sides *s, const struct p2p_code *at_sender,
      const struct p2p_code *at_receiver)
{
    const struct p2p_box_number box = {{1, 2, 3}}, reply = {{4, 5, 6}};

    memset(s, 0, sizeof(*s));
    assert_int_equal(
        p2p_exchange_begin(&s->sender, P2P_EXCHANGE_SENDER, at_sender, &box, NULL),
        P2P_OK);
    assert_int_equal(p2p_exchange_begin(&s->receiver, P2P_EXCHANGE_RECEIVER,
                                        at_receiver, &box, &reply),
                     P2P_OK);
}

/* Gives a message, which it takes, to one side. */
static enum p2p_exchange_news
give(struct sides *s, struct p2p_exchange *to, char *text)
{
    assert_non_null(text);
    forget(s);
    enum p2p_exchange_news news =
        p2p_exchange_take(to, text, strlen(text), CLAIM, &s->answer, &s->inner);
    free(text);
    return news;
}

static char *
take_answer(struct sides *s)
{
    char *answer = s->answer;

    s->answer = NULL;
    return answer;
}

static const struct p2p_code code = {.number = 7, .words = {1, 2}};
static const struct p2p_code wrong = {.number = 7, .words = {1, 3}};

/* Up to the point where the sender knows. */
static enum p2p_exchange_news
run(struct sides *s)
{
    enum p2p_exchange_news news = give(s, &s->sender, p2p_exchange_hello(&s->receiver));

    assert_int_equal(news, P2P_EXCHANGE_SHARE);
    assert_memory_equal(&s->sender.reply, &s->receiver.reply, sizeof(s->sender.reply));
    assert_int_equal(give(s, &s->receiver, take_answer(s)), P2P_EXCHANGE_SHARE);
    return give(s, &s->sender, take_answer(s));
}

static void
both_sides_agree(void **state)
{
    struct sides s;
    char *text;

    (void)state;
    begin(&s, &code, &code);
    assert_int_equal(give(&s, &s.sender, strdup("{\"v\":1,\"type\":\"claimed\"}")),
                     P2P_EXCHANGE_CLAIMED);
    assert_int_equal(p2p_exchange_offer(&s.sender, OFFER, &text), P2P_ERR_PROTOCOL);
    assert_int_equal(run(&s), P2P_EXCHANGE_PROVEN);
    assert_string_equal(s.inner, CLAIM);
    assert_int_equal(p2p_exchange_finish(&s.receiver, &text), P2P_ERR_PROTOCOL);
    assert_int_equal(p2p_exchange_offer(&s.sender, OFFER, &text), P2P_OK);
    assert_null(strstr(text, "peer"));
    assert_int_equal(give(&s, &s.receiver, text), P2P_EXCHANGE_PROVEN);
    assert_string_equal(s.inner, OFFER);
    assert_int_equal(p2p_exchange_finish(&s.receiver, &text), P2P_OK);
    char *again = strdup(text);
    assert_int_equal(give(&s, &s.sender, text), P2P_EXCHANGE_DONE);
    assert_int_equal(give(&s, &s.sender, again), P2P_EXCHANGE_NOTHING);
    clear(&s);
}

static void
one_wrong_guess_uses_the_code_up(void **state)
{
    struct sides s, second;

    (void)state;
    begin(&s, &code, &wrong);
    assert_int_equal(run(&s), P2P_EXCHANGE_WRONG);
    assert_int_equal(s.sender.state, P2P_EXCHANGE_USED_UP);
    assert_int_equal(give(&s, &s.receiver, take_answer(&s)), P2P_EXCHANGE_WRONG);
    /* The right one comes too late. */
    begin(&second, &code, &code);
    assert_int_equal(give(&s, &s.sender, p2p_exchange_hello(&second.receiver)),
                     P2P_EXCHANGE_NOTHING);
    clear(&s);
    clear(&second);
}

static void
a_second_caller_is_ignored(void **state)
{
    struct sides s, second;

    (void)state;
    begin(&s, &code, &code);
    begin(&second, &code, &wrong);
    assert_int_equal(give(&s, &s.sender, p2p_exchange_hello(&s.receiver)),
                     P2P_EXCHANGE_SHARE);
    char *share = take_answer(&s);
    assert_int_equal(give(&s, &s.sender, p2p_exchange_hello(&second.receiver)),
                     P2P_EXCHANGE_NOTHING);
    assert_int_equal(give(&s, &s.receiver, share), P2P_EXCHANGE_SHARE);
    assert_int_equal(give(&s, &s.sender, take_answer(&s)), P2P_EXCHANGE_PROVEN);
    clear(&s);
    clear(&second);
}

/* The number and the box are what both mean, too. */
static void
another_place_does_not_agree(void **state)
{
    struct sides s;

    (void)state;
    begin(&s, &code, &code);
    s.receiver.number = 8;
    assert_int_equal(run(&s), P2P_EXCHANGE_WRONG);
    clear(&s);
    begin(&s, &code, &code);
    s.receiver.box.b[0] ^= 1;
    assert_int_equal(run(&s), P2P_EXCHANGE_WRONG);
    clear(&s);
}

/* Every byte of the proof and of the sealed text, as a registry could change them. */
static void
changed_messages_do_not_pass(void **state)
{
    struct sides s;
    size_t len = 1;

    (void)state;
    for (size_t at = 0; at < len; at += 5) {
        begin(&s, &code, &code);
        assert_int_equal(give(&s, &s.sender, p2p_exchange_hello(&s.receiver)),
                         P2P_EXCHANGE_SHARE);
        assert_int_equal(give(&s, &s.receiver, take_answer(&s)), P2P_EXCHANGE_SHARE);
        char *text = take_answer(&s);
        len = strlen(text);
        text[at] = text[at] == 'A' ? 'B' : 'A';
        assert_int_not_equal(give(&s, &s.sender, text), P2P_EXCHANGE_PROVEN);
        clear(&s);
    }
}

static void
an_offer_is_not_made_up(void **state)
{
    struct sides s;
    char *offer;

    (void)state;
    begin(&s, &code, &code);
    assert_int_equal(run(&s), P2P_EXCHANGE_PROVEN);
    assert_int_equal(p2p_exchange_offer(&s.sender, OFFER, &offer), P2P_OK);
    char *proof = strstr(offer, "\"proof\":\"");
    assert_non_null(proof);
    proof[12] = proof[12] == 'x' ? 'y' : 'x';
    assert_int_equal(give(&s, &s.receiver, offer), P2P_EXCHANGE_WRONG);
    clear(&s);
}

static void
ignores_what_it_does_not_know(void **state)
{
    static const char *const texts[] = {
        "",
        "{}",
        "[]",
        "null",
        "{\"type\":7}",
        "{\"type\":\"hello\"}",
        "{\"type\":\"hello\",\"reply\":\"00\",\"share\":\"AAAA\"}",
        "{\"type\":\"proof\"}",
        "{\"type\":\"done\",\"sealed\":\"AAAA\"}",
        "{\"type\":\"offer\"}",
        "{\"type\":\"wrong\"}",
    };
    struct sides s;

    (void)state;
    begin(&s, &code, &code);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        assert_int_equal(give(&s, &s.sender, strdup(texts[i])), P2P_EXCHANGE_NOTHING);
    assert_int_equal(s.sender.state, P2P_EXCHANGE_OPEN);
    /* A share that is no point is a guess, too. */
    assert_int_equal(
        give(
            &s, &s.sender,
            strdup("{\"type\":\"hello\",\"reply\":\"00000000000000000000000000000000\","
                   "\"share\":\"AAAA\"}")),
        P2P_EXCHANGE_WRONG);
    clear(&s);
}

static void
has_limits(void **state)
{
    static char big[P2P_EXCHANGE_TEXT_MAX + 2];
    struct sides s;
    char *text;

    (void)state;
    begin(&s, &code, &code);
    assert_int_equal(run(&s), P2P_EXCHANGE_PROVEN);
    memset(big, 'x', P2P_EXCHANGE_INNER_MAX + 1);
    assert_int_equal(p2p_exchange_offer(&s.sender, big, &text), P2P_ERR_TOO_LARGE);
    big[P2P_EXCHANGE_INNER_MAX] = '\0';
    assert_int_equal(p2p_exchange_offer(&s.sender, big, &text), P2P_OK);
    assert_true(strlen(text) <= P2P_EXCHANGE_TEXT_MAX);
    assert_int_equal(give(&s, &s.receiver, text), P2P_EXCHANGE_PROVEN);
    clear(&s);
    begin(&s, &code, &code);
    memset(big, ' ', sizeof(big) - 1);
    assert_int_equal(give(&s, &s.sender, strdup(big)), P2P_EXCHANGE_NOTHING);
    clear(&s);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_sides_agree),
        cmocka_unit_test(one_wrong_guess_uses_the_code_up),
        cmocka_unit_test(a_second_caller_is_ignored),
        cmocka_unit_test(another_place_does_not_agree),
        cmocka_unit_test(changed_messages_do_not_pass),
        cmocka_unit_test(an_offer_is_not_made_up),
        cmocka_unit_test(ignores_what_it_does_not_know),
        cmocka_unit_test(has_limits),
    };

    return p2p_crypto_init() == P2P_OK ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
