/* Sources of requests and their networks: how much of a shared budget each one may use.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "http/source/source.h"

#define BUDGET 1000u

static struct http_sources table;

static struct http_source *
hold(const char *ip)
{
    struct sockaddr_in6 six = {.sin6_family = AF_INET6};
    struct sockaddr_in four = {.sin_family = AF_INET};
    struct http_address address;

    if (inet_pton(AF_INET, ip, &four.sin_addr) == 1)
        http_address_from((struct sockaddr *)&four, &address);
    else {
        assert_int_equal(inet_pton(AF_INET6, ip, &six.sin6_addr), 1);
        http_address_from((struct sockaddr *)&six, &address);
    }
    return http_source_hold(&table, &address);
}

static int
open_table(void **state)
{
    (void)state;
    http_sources_init(&table);
    return 0;
}

static int
close_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < HTTP_SOURCE_BUCKETS; i++)
        assert_null(table.buckets[i]); /* every source was released */
    http_sources_clear(&table);
    return 0;
}

static void
one_address_is_one_source(void **state)
{
    struct http_source *a = hold("192.0.2.1"), *b = hold("192.0.2.2"),
                       *again = hold("192.0.2.1");

    (void)state;
    assert_ptr_equal(a, again);
    assert_ptr_not_equal(a, b);
    assert_ptr_equal(a->network, a);
    http_source_release(&table, a);
    http_source_release(&table, b);
    http_source_release(&table, again);
}

static void
a_slash_48_is_one_network(void **state)
{
    struct http_source *a = hold("2001:db8:1:1::1"), *b = hold("2001:db8:1:2::1"),
                       *same = hold("2001:db8:1:1::2"), *other = hold("2001:db8:2::1");

    (void)state;
    assert_ptr_equal(a, same);
    assert_ptr_not_equal(a, b);
    assert_ptr_equal(a->network, b->network);
    assert_ptr_not_equal(a->network, a);
    assert_ptr_not_equal(a->network, other->network);
    http_source_release(&table, a);
    http_source_release(&table, same);
    http_source_release(&table, other);
    http_source_release(&table, b);
}

/* Asks for a body of as many bytes as fit; 0: no byte fits. */
static uint64_t
take(struct http_source *s, uint64_t always)
{
    uint64_t bytes = 0;

    while (http_source_take_body(&table, s, 1, BUDGET, always))
        bytes++;
    return bytes;
}

static void
many_prefixes_of_one_network_get_what_one_gets(void **state)
{
    struct http_source *of[20], *other = hold("2001:db8:2::1"),
                                *four = hold("192.0.2.1");
    uint64_t total = 0, taken[20], others, fours;
    char ip[64];

    (void)state;
    for (int i = 0; i < 20; i++) {
        snprintf(ip, sizeof(ip), "2001:db8:1:%x::1", i);
        of[i] = hold(ip);
        total += taken[i] = take(of[i], 0);
    }
    assert_int_equal(total, BUDGET / 2);
    assert_int_equal(others = take(other, 0), BUDGET / 4);
    assert_int_equal(fours = take(four, 0), BUDGET / 8);
    for (int i = 0; i < 20; i++) {
        http_source_give_body(&table, of[i], taken[i]);
        http_source_release(&table, of[i]);
    }
    http_source_give_body(&table, other, others);
    http_source_give_body(&table, four, fours);
    assert_int_equal(table.body_bytes, 0);
    http_source_release(&table, other);
    http_source_release(&table, four);
}

static void
a_small_body_always_fits(void **state)
{
    struct http_source *a = hold("2001:db8:1:1::1"), *b = hold("2001:db8:1:2::1");
    uint64_t first = take(a, 0), second = take(b, 10);

    (void)state;
    assert_int_equal(second, 10);
    http_source_give_body(&table, a, first);
    http_source_give_body(&table, b, second);
    http_source_release(&table, a);
    http_source_release(&table, b);
}

static void
unread_answers_count_for_the_network(void **state)
{
    struct http_source *a = hold("2001:db8:1:1::1"), *b = hold("2001:db8:1:2::1"),
                       *other = hold("192.0.2.1");

    (void)state;
    http_source_add_answer(&table, a, BUDGET / 4);
    assert_int_equal(http_source_may_answer(&table, a, BUDGET), HTTP_HAS_ENOUGH);
    assert_int_equal(http_source_may_answer(&table, b, BUDGET), HTTP_HAS_ENOUGH);
    assert_int_equal(http_source_may_answer(&table, other, BUDGET), HTTP_MAY_ANSWER);
    http_source_add_answer(&table, other, BUDGET);
    assert_int_equal(http_source_may_answer(&table, other, BUDGET), HTTP_ALL_IS_FULL);
    http_source_sub_answer(&table, other, BUDGET);
    http_source_sub_answer(&table, a, BUDGET / 4);
    assert_int_equal(http_source_may_answer(&table, b, BUDGET), HTTP_MAY_ANSWER);
    http_source_release(&table, a);
    http_source_release(&table, b);
    http_source_release(&table, other);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, open_table, close_table)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(one_address_is_one_source),
        TEST(a_slash_48_is_one_network),
        TEST(many_prefixes_of_one_network_get_what_one_gets),
        TEST(a_small_body_always_fits),
        TEST(unread_answers_count_for_the_network),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
