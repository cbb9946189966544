// uses p2p-discovery tests/unit/mutate.c
/* The registry's boxes: who finds what, and what everything costs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "http/meet/boxes.h"
#include "discovery/meet/news.h"
#include "mutate.h"

static const struct boxes_limits plenty = {1000, 1 << 20, 1 << 18};

static struct boxes *
boxes(const struct boxes_limits *limits)
{
    struct boxes *b;

    assert_int_equal(boxes_new(limits, &b), P2P_OK);
    return b;
}

static struct box_id
of_peer(uint8_t number)
{
    return (struct box_id){.b = {number}, .is_peer = true};
}

static struct box_id
for_answers(uint8_t number)
{
    return (struct box_id){.b = {number}};
}

static struct box_source
from(uint8_t number)
{
    return (struct box_source){
        {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, number}};
}

static enum box_result
attend(struct boxes *b, struct box_id id, uint8_t source, uint64_t now)
{
    struct box_source s = from(source);

    return boxes_attend(b, &id, &s, now);
}

static enum box_result
post(struct boxes *b, struct box_id id, uint8_t source, const char *text, uint64_t now)
{
    struct box_source s = from(source);
    uint64_t number = 0;

    return boxes_post(b, &id, &s, text, strlen(text), now, &number);
}

static void
add(void *arg, uint64_t number, const char *text, size_t len)
{
    char *all = arg;

    assert_int_equal(strlen(text), len);
    sprintf(all + strlen(all), "%llu:%s ", (unsigned long long)number, text);
}

static const char *
read_all(struct boxes *b, struct box_id id, uint64_t after, uint64_t now)
{
    static char all[4096];
    uint64_t next;

    all[0] = '\0';
    if (boxes_read(b, &id, after, now, add, all, &next) != BOX_OK)
        return NULL;
    return all;
}

static void
messages_wait_in_order(void **state)
{
    struct boxes *b = boxes(&plenty);

    (void)state;
    assert_int_equal(post(b, of_peer(1), 1, "early", 0), BOX_NONE);
    assert_null(read_all(b, of_peer(1), 0, 0));
    assert_int_equal(attend(b, of_peer(1), 9, 0), BOX_OK);
    assert_int_equal(post(b, of_peer(1), 1, "a", 1), BOX_OK);
    assert_int_equal(post(b, of_peer(1), 2, "b", 2), BOX_OK);
    assert_string_equal(read_all(b, of_peer(1), 0, 3), "1:a 2:b ");
    assert_string_equal(read_all(b, of_peer(1), 1, 3), "2:b ");
    assert_string_equal(read_all(b, of_peer(1), 2, 3), "");
    /* A number of before a restart of the registry. */
    assert_string_equal(read_all(b, of_peer(1), 77, 3), "1:a 2:b ");
    assert_int_equal(post(b, of_peer(2), 1, "c", 3), BOX_NONE);
    assert_int_equal(post(b, for_answers(1), 1, "d", 3), BOX_NONE);
    boxes_free(b);
}

static void
what_is_old_is_gone(void **state)
{
    struct boxes *b = boxes(&plenty);
    struct boxes_stats s;

    (void)state;
    assert_int_equal(attend(b, of_peer(1), 9, 0), BOX_OK);
    assert_int_equal(attend(b, for_answers(1), 9, 0), BOX_OK);
    assert_int_equal(post(b, of_peer(1), 1, "a", 10), BOX_OK);
    assert_int_equal(post(b, of_peer(1), 1, "b", 20), BOX_OK);
    assert_string_equal(read_all(b, of_peer(1), 0, 10 + BOXES_MESSAGE_MS), "2:b ");
    assert_int_equal(attend(b, for_answers(1), 9, BOXES_ANSWER_MS - 1), BOX_OK);
    assert_non_null(read_all(b, for_answers(1), 0, BOXES_ANSWER_MS - 1));
    assert_null(
        read_all(b, for_answers(1), 0, BOXES_ANSWER_MS)); /* reading kept it not */
    assert_int_equal(post(b, of_peer(1), 1, "c", BOXES_READER_MS - 1), BOX_OK);
    assert_int_equal(post(b, of_peer(1), 1, "d", BOXES_READER_MS), BOX_NONE);
    assert_int_equal(attend(b, of_peer(2), 9, 10 * BOXES_READER_MS), BOX_OK);
    boxes_stats(b, &s);
    assert_int_equal(s.boxes, 1);
    assert_int_equal(s.messages, 0);
    assert_int_equal(s.bytes, 0);
    assert_int_equal(s.posted, 3);
    boxes_free(b);
}

/* A flood of one source does not keep the call of another one out. */
static void
one_source_does_not_fill_a_box(void **state)
{
    struct boxes *b = boxes(&plenty);
    char text[16];

    (void)state;
    assert_int_equal(attend(b, of_peer(1), 9, 0), BOX_OK);
    for (int i = 0; i < BOXES_IN_PEERS_BOX; i++) {
        snprintf(text, sizeof(text), "f%d", i);
        assert_int_equal(post(b, of_peer(1), 1, text, 1), BOX_OK);
    }
    assert_int_equal(post(b, of_peer(1), 1, "more", 1), BOX_FULL);
    assert_int_equal(post(b, of_peer(1), 2, "friend", 1), BOX_OK);
    assert_int_equal(post(b, of_peer(1), 3, "other", 1), BOX_OK);
    assert_non_null(strstr(read_all(b, of_peer(1), 0, 2), "friend"));
    assert_null(strstr(read_all(b, of_peer(1), 0, 2), "1:f0 "));
    /* What was read makes room for everybody. */
    (void)read_all(b, of_peer(1), 30, 2);
    assert_int_equal(post(b, of_peer(1), 1, "more", 3), BOX_OK);
    assert_non_null(strstr(read_all(b, of_peer(1), 30, 3), "friend"));
    boxes_free(b);
}

static void
a_source_has_few_boxes(void **state)
{
    struct boxes *b = boxes(&plenty);

    (void)state;
    for (uint8_t i = 0; i < BOXES_ANSWERS_PER_SOURCE; i++)
        assert_int_equal(attend(b, for_answers(i), 1, 0), BOX_OK);
    assert_int_equal(attend(b, for_answers(200), 1, 0), BOX_CROWDED);
    assert_int_equal(attend(b, for_answers(0), 1, 0), BOX_OK); /* it has this one */
    assert_int_equal(attend(b, for_answers(200), 2, 0), BOX_OK);
    assert_int_equal(attend(b, for_answers(201), 1, BOXES_ANSWER_MS), BOX_OK);
    boxes_free(b);
}

/* A caller that tries again and again ends its box each time: it never has too many. */
static void
a_reader_ends_its_box(void **state)
{
    struct boxes *b = boxes(&plenty);
    const struct box_id peer = of_peer(1), code = for_answers(250);
    struct box_source s = from(1);
    struct boxes_stats stats;

    (void)state;
    for (uint8_t i = 0; i < 3 * BOXES_ANSWERS_PER_SOURCE; i++) {
        struct box_id id = for_answers(i);

        assert_int_equal(attend(b, id, 1, 0), BOX_OK);
        assert_int_equal(post(b, id, 2, "an answer", 0), BOX_OK);
        assert_int_equal(boxes_drop(b, &id, 0), BOX_OK);
        assert_int_equal(boxes_drop(b, &id, 0), BOX_NONE);
        assert_int_equal(post(b, id, 2, "late", 0), BOX_NONE);
    }
    boxes_stats(b, &stats);
    assert_true(stats.boxes == 0 && stats.bytes == 0 && stats.messages == 0);
    /* A peer's box and that of a code end otherwise. */
    assert_int_equal(attend(b, peer, 1, 0), BOX_OK);
    assert_int_equal(boxes_drop(b, &peer, 0), BOX_NONE);
    assert_int_equal(boxes_make_for_code(b, &code, &s, 0), BOX_OK);
    assert_int_equal(boxes_drop(b, &code, 0), BOX_NONE);
    assert_true(boxes_has(b, &peer, 0) && boxes_has(b, &code, 0));
    boxes_free(b);
}

/* The box of a link lives while it is read, and is counted for itself. */
static void
a_link_is_read_for_long(void **state)
{
    struct boxes *b = boxes(&plenty);
    const struct box_id link = for_answers(1), code = for_answers(2),
                        free_one = for_answers(100);
    const uint64_t later = BOXES_READER_MS - 1, latest = later + BOXES_READER_MS - 1;
    struct box_source s = from(1), other = from(2);

    (void)state;
    assert_int_equal(attend(b, link, 2, 0), BOX_OK); /* a guest was first */
    assert_false(boxes_has_link(b, &link, 0));
    assert_int_equal(boxes_attend_link(b, &link, &s, 0), BOX_OK);
    assert_true(boxes_has_link(b, &link, later));
    assert_int_equal(boxes_attend_link(b, &link, &s, later), BOX_OK);
    assert_int_equal(attend(b, link, 2, latest), BOX_OK); /* keeps it not */
    assert_int_equal(post(b, link, 2, "a call", latest), BOX_OK);
    assert_int_equal(post(b, link, 2, "late", latest + 1), BOX_NONE);
    assert_int_equal(boxes_attend_link(b, &link, &s, latest + 1), BOX_OK);
    assert_int_equal(boxes_drop(b, &link, latest + 1), BOX_OK);
    assert_false(boxes_has_link(b, &link, latest + 1));
    assert_int_equal(boxes_make_for_code(b, &code, &s, 0), BOX_OK);
    assert_int_equal(boxes_attend_link(b, &code, &s, 0), BOX_NONE);
    for (uint8_t i = 3; i < 3 + BOXES_LINKS_PER_SOURCE; i++) {
        struct box_id id = for_answers(i);
        assert_int_equal(boxes_attend_link(b, &id, &s, 0), BOX_OK);
    }
    assert_int_equal(boxes_attend_link(b, &link, &s, 0), BOX_CROWDED);
    assert_int_equal(attend(b, link, 1, 0), BOX_OK); /* for an answer */
    assert_int_equal(boxes_attend_link(b, &link, &s, 0), BOX_CROWDED);
    assert_int_equal(boxes_attend_link(b, &free_one, &other, 0), BOX_OK);
    boxes_free(b);
}

static void
bytes_are_bounded(void **state)
{
    const struct boxes_limits small = {
        .max_boxes = 2, .max_bytes = 20000, .max_bytes_per_source = 9000};
    struct boxes *b = boxes(&small);
    static char text[BOXES_MESSAGE_MAX + 2];

    (void)state;
    assert_int_equal(attend(b, of_peer(1), 9, 0), BOX_OK);
    assert_int_equal(attend(b, of_peer(2), 9, 0), BOX_OK);
    assert_int_equal(attend(b, of_peer(3), 9, 0), BOX_FULL);
    assert_int_equal(attend(b, of_peer(3), 9, BOXES_READER_MS), BOX_OK);
    memset(text, 'x', sizeof(text) - 1);
    assert_int_equal(post(b, of_peer(3), 1, text, BOXES_READER_MS), BOX_FULL);
    text[BOXES_MESSAGE_MAX] = '\0';
    assert_int_equal(post(b, of_peer(3), 1, text, BOXES_READER_MS), BOX_OK);
    assert_int_equal(post(b, of_peer(3), 1, text, BOXES_READER_MS), BOX_CROWDED);
    assert_int_equal(post(b, of_peer(3), 2, text, BOXES_READER_MS), BOX_OK);
    assert_int_equal(post(b, of_peer(3), 3, text, BOXES_READER_MS), BOX_FULL);
    assert_int_equal(post(b, of_peer(3), 3, "small", BOXES_READER_MS), BOX_OK);
    boxes_free(b);
}

/* Random use: the sums come out. */
static void
nothing_is_lost_in_the_accounts(void **state)
{
    const struct boxes_limits small = {
        .max_boxes = 6, .max_bytes = 3000, .max_bytes_per_source = 1000};
    struct boxes *b = boxes(&small);
    struct boxes_stats s;
    uint64_t now = 0;

    (void)state;
    srand(7);
    for (int i = 0; i < 20000; i++) {
        uint8_t box = (uint8_t)(rand() % 8), source = (uint8_t)(rand() % 5);
        struct box_id id = rand() % 2 == 0 ? of_peer(box) : for_answers(box);

        now += (uint64_t)(rand() % 2000);
        struct box_source by = from(source);
        if (rand() % 3 == 0)
            (void)(rand() % 2 == 0 || id.is_peer ? attend(b, id, source, now)
                                                 : boxes_attend_link(b, &id, &by, now));
        else if (rand() % 2 == 0)
            (void)post(b, id, source, "some text of some length", now);
        else
            (void)read_all(b, id, (uint64_t)(rand() % 10), now);
        boxes_stats(b, &s);
        assert_true(s.boxes <= 6 && s.bytes <= 3000);
        assert_true((s.messages == 0) == (s.bytes == 0));
    }
    (void)attend(b, of_peer(1), 1, now + 10 * BOXES_READER_MS);
    boxes_stats(b, &s);
    assert_int_equal(s.messages, 0);
    assert_int_equal(s.boxes, 1);
    boxes_free(b);
}

/* ---- several registries ---- */

/* A reader who goes on at another registry finds what is new by the number there. */
static void
numbers_rise_and_can_be_asked_for(void **state)
{
    struct boxes *b = boxes(&plenty);
    struct box_id id = of_peer(1);
    struct box_source s = from(1);
    uint64_t number = 500;

    (void)state;
    assert_int_equal(attend(b, id, 9, 0), BOX_OK);
    assert_int_equal(boxes_post(b, &id, &s, "a", 1, 1, &number), BOX_OK);
    assert_int_equal(number, 500);
    number = 400; /* of a registry whose clock is behind */
    assert_int_equal(boxes_post(b, &id, &s, "b", 1, 1, &number), BOX_OK);
    assert_int_equal(number, 501);
    boxes_free(b);
}

static void
others_hear_of_a_reader_now_and_then(void **state)
{
    struct boxes *b = boxes(&plenty);
    struct box_id id = of_peer(1);

    (void)state;
    assert_false(boxes_is_news(b, &id, 0));
    assert_int_equal(attend(b, id, 9, 0), BOX_OK);
    assert_true(boxes_is_news(b, &id, 0));
    assert_false(boxes_is_news(b, &id, BOXES_TELL_MS - 1));
    assert_true(boxes_is_news(b, &id, BOXES_TELL_MS));
    boxes_free(b);
}

static struct meet_news
some_news(enum meet_news_type type)
{
    return (struct meet_news){.type = type,
                              .box = of_peer(3),
                              .source = from(4),
                              .number = 1800000000000,
                              .text = "{\"v\":1}",
                              .len = 7,
                              .peer = {{5}},
                              .addr = {"203.0.113.9", 9000},
                              .is_reached = true};
}

static void
news_come_back(void **state)
{
    uint8_t bytes[MEET_NEWS_MAX];

    (void)state;
    for (int type = MEET_OPEN; type <= MEET_OPEN_LINK; type++) {
        struct meet_news news = some_news((enum meet_news_type)type), back;
        size_t len = meet_news_format(&news, bytes);

        assert_true(len > 0);
        if (type == MEET_OPEN_LINK) { /* not of a peer */
            assert_int_equal(meet_news_parse(bytes, len, &back), P2P_ERR_MALFORMED);
            news.box = for_answers(3);
            len = meet_news_format(&news, bytes);
        }
        assert_int_equal(meet_news_parse(bytes, len, &back), P2P_OK);
        assert_int_equal(back.type, type);
        if (type == MEET_REACHED) {
            assert_memory_equal(&back.peer, &news.peer, sizeof(news.peer));
            assert_true(p2p_addr_equal(&back.addr, &news.addr) && back.is_reached);
        } else {
            assert_memory_equal(&back.box, &news.box, sizeof(news.box));
            assert_memory_equal(&back.source, &news.source, sizeof(news.source));
        }
        if (type == MEET_MESSAGE) {
            assert_int_equal(back.number, news.number);
            assert_int_equal(back.len, news.len);
            assert_memory_equal(back.text, news.text, news.len);
        }
    }
}

static bool
is_news(void *arg, uint8_t *data, size_t len)
{
    struct meet_news out;

    (void)arg;
    return meet_news_parse(data, len, &out) == P2P_OK;
}

static void
no_other_bytes_are_news(void **state)
{
    uint8_t bytes[MEET_NEWS_MAX + 1] = {MEET_OPEN};
    struct meet_news out, open = some_news(MEET_OPEN), trial = some_news(MEET_REACHED),
                          long_one = some_news(MEET_MESSAGE);
    static char text[BOXES_MESSAGE_MAX + 1];
    size_t len;

    (void)state;
    len = meet_news_format(&open, bytes);
    assert_int_equal(mutate_all(bytes, len, is_news, NULL).prefixes, 0);
    assert_int_equal(meet_news_parse(bytes, len + 1, &out), P2P_ERR_MALFORMED);
    len = meet_news_format(&trial, bytes);
    assert_int_equal(mutate_all(bytes, len, is_news, NULL).prefixes, 0);
    bytes[0] = 0;
    assert_int_equal(meet_news_parse(bytes, len, &out), P2P_ERR_MALFORMED);
    bytes[0] = MEET_REACHED + 1;
    assert_int_equal(meet_news_parse(bytes, len, &out), P2P_ERR_MALFORMED);
    long_one.text = text;
    long_one.len = sizeof(text);
    assert_int_equal(meet_news_format(&long_one, bytes), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_wait_in_order),
        cmocka_unit_test(what_is_old_is_gone),
        cmocka_unit_test(one_source_does_not_fill_a_box),
        cmocka_unit_test(a_source_has_few_boxes),
        cmocka_unit_test(a_reader_ends_its_box),
        cmocka_unit_test(a_link_is_read_for_long),
        cmocka_unit_test(bytes_are_bounded),
        cmocka_unit_test(nothing_is_lost_in_the_accounts),
        cmocka_unit_test(numbers_rise_and_can_be_asked_for),
        cmocka_unit_test(others_hear_of_a_reader_now_and_then),
        cmocka_unit_test(news_come_back),
        cmocka_unit_test(no_other_bytes_are_news),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
