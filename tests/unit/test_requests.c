// uses p2p-peer
/* The queue of a client's requests: order, turns, errors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "peer/server/requests.h"

static struct request *
make(enum p2p_msg_type type, uint32_t req)
{
    struct request *request = request_new(type, req, (struct p2p_text){"name", 4});

    assert_non_null(request);
    assert_string_equal(request->text, "name");
    return request;
}

/* The numbers of the requests in their order, for example "3 1 2". */
static void
assert_order(const struct requests *r, const uint32_t *wanted, unsigned count)
{
    const struct request *request;
    unsigned i = 0;

    assert_int_equal(r->count, count);
    TAILQ_FOREACH(request, &r->list, link)
    {
        assert_true(i < count);
        assert_int_equal(request->req, wanted[i++]);
    }
    assert_int_equal(i, count);
}

static void
questions_go_ahead_of_data(void **state)
{
    struct requests r;

    (void)state;
    requests_init(&r);
    requests_add(&r, make(P2P_MSG_GET, 1));
    requests_add(&r, make(P2P_MSG_GET, 2));
    requests_add(&r, make(P2P_MSG_META_GET, 3));
    requests_add(&r, make(P2P_MSG_PING, 4));
    requests_add(&r, make(P2P_MSG_GET, 5));
    assert_order(&r, (uint32_t[]){3, 4, 1, 2, 5}, 5);
    requests_clear(&r);
    assert_order(&r, NULL, 0);
}

static void
protocol_1_keeps_the_order(void **state)
{
    struct requests r;

    (void)state;
    requests_init(&r);
    requests_add_in_order(&r, make(P2P_MSG_GET, 1));
    requests_add_in_order(&r, make(P2P_MSG_META_GET, 2));
    requests_add_in_order(&r, make(P2P_MSG_GET, 3));
    assert_order(&r, (uint32_t[]){1, 2, 3}, 3);
    requests_clear(&r);
}

static void
two_gets_take_turns(void **state)
{
    struct requests r;

    (void)state;
    requests_init(&r);
    for (uint32_t i = 1; i <= 3; i++)
        requests_add(&r, make(P2P_MSG_GET, i));
    requests_interleave(&r, TAILQ_FIRST(&r.list));
    assert_order(&r, (uint32_t[]){2, 1, 3}, 3);
    requests_interleave(&r, TAILQ_FIRST(&r.list));
    assert_order(&r, (uint32_t[]){1, 2, 3}, 3);
    requests_remove(&r, TAILQ_FIRST(&r.list));
    requests_remove(&r, TAILQ_FIRST(&r.list));
    requests_interleave(&r, TAILQ_FIRST(&r.list)); /* alone: stays */
    assert_order(&r, (uint32_t[]){3}, 1);
    requests_clear(&r);
}

static void
a_failed_request_is_its_error(void **state)
{
    static const char text[] = "a text that is clipped when it is longer than an error "
                               "may be: 0123456789 0123456789 0123456789 0123456789 "
                               "0123456789 0123456789";
    struct requests r;
    struct request *get;

    (void)state;
    requests_init(&r);
    get = make(P2P_MSG_GET, 7);
    requests_add(&r, get);
    assert_ptr_equal(requests_find(&r, 7), get);
    requests_fail(&r, get, 6, text);
    assert_int_equal(get->type, P2P_MSG_ERROR);
    assert_int_equal(get->code, 6);
    assert_int_equal(get->text_len, 120);
    assert_memory_equal(get->text, text, 120);
    assert_int_equal(r.uncounted, 1);
    assert_null(requests_find(&r, 7)); /* too late to cancel */
    requests_clear(&r);
    assert_int_equal(r.uncounted, 0);
}

static void
a_parked_request_comes_back(void **state)
{
    struct requests r;

    (void)state;
    requests_init(&r);
    requests_add(&r, make(P2P_MSG_HASH_GET, 1));
    requests_add(&r, make(P2P_MSG_GET, 2));
    requests_park(&r, TAILQ_FIRST(&r.list));
    assert_int_equal(r.count, 2); /* it is still in flight */
    assert_int_equal(TAILQ_FIRST(&r.list)->req, 2);
    requests_resume(&r);
    requests_resume(&r);
    assert_order(&r, (uint32_t[]){1, 2}, 2);
    requests_park(&r, TAILQ_FIRST(&r.list));
    requests_clear(&r);
    assert_order(&r, NULL, 0);
}

static void
cancel_finds_the_right_one(void **state)
{
    struct requests r;

    (void)state;
    requests_init(&r);
    requests_add(&r, make(P2P_MSG_PING, 9)); /* not a request with a number */
    requests_add(&r, make(P2P_MSG_LIST_GET, 8));
    assert_null(requests_find(&r, 9));
    assert_int_equal(requests_find(&r, 8)->type, P2P_MSG_LIST_GET);
    requests_clear(&r);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(questions_go_ahead_of_data),
        cmocka_unit_test(protocol_1_keeps_the_order),
        cmocka_unit_test(two_gets_take_turns),
        cmocka_unit_test(a_failed_request_is_its_error),
        cmocka_unit_test(a_parked_request_comes_back),
        cmocka_unit_test(cancel_finds_the_right_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
