/* recent: the names that changed last, in order, and what was forgotten. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/recent.h"

struct seen {
    char text[256];
    unsigned count;
};

static bool
see(void *arg, uint64_t number, const char *name)
{
    struct seen *seen = arg;
    size_t len = strlen(seen->text);

    assert_true(number > 0);
    if (len < 200)
        snprintf(seen->text + len, sizeof(seen->text) - len, "%s ", name);
    seen->count++;
    return true;
}

static void
names_come_in_order_once_published(void **state)
{
    struct p2p_recent r = {.at = NULL};
    struct seen seen = {.count = 0};
    uint64_t before = p2p_recent_now();

    (void)state;
    p2p_recent_add(&r, "a");
    p2p_recent_add(&r, "b");
    assert_true(p2p_recent_since(&r, before, see, &seen));
    assert_int_equal(seen.count, 0);
    p2p_recent_publish(&r);
    uint64_t between = p2p_recent_now();
    p2p_recent_add(&r, "a");
    p2p_recent_publish(&r);
    assert_true(p2p_recent_since(&r, before, see, &seen));
    assert_string_equal(seen.text, "a b a ");
    seen = (struct seen){.count = 0};
    assert_true(p2p_recent_since(&r, between, see, &seen));
    assert_string_equal(seen.text, "a ");
    assert_true(p2p_recent_since(&r, p2p_recent_now(), see, &seen));
    assert_int_equal(seen.count, 1);
    p2p_recent_clear(&r);
}

static void
the_oldest_are_forgotten(void **state)
{
    struct p2p_recent r = {.at = NULL};
    struct seen seen = {.count = 0};
    uint64_t before = p2p_recent_now();

    (void)state;
    for (unsigned i = 0; i < P2P_RECENT_MAX; i++)
        p2p_recent_add(&r, "x");
    p2p_recent_publish(&r);
    assert_true(p2p_recent_since(&r, before, see, &seen));
    assert_int_equal(seen.count, P2P_RECENT_MAX);
    p2p_recent_add(&r, "one more");
    p2p_recent_publish(&r);
    assert_false(p2p_recent_since(&r, before, see, &seen));
    assert_true(p2p_recent_since(&r, before + 1, see, &seen));
    /* More at once than it holds: nothing before this moment is complete. */
    for (unsigned i = 0; i <= P2P_RECENT_MAX; i++)
        p2p_recent_add(&r, "y");
    p2p_recent_publish(&r);
    assert_false(p2p_recent_since(&r, before + 2, see, &seen));
    assert_true(p2p_recent_since(&r, p2p_recent_now(), see, &seen));
    p2p_recent_clear(&r);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_come_in_order_once_published),
        cmocka_unit_test(the_oldest_are_forgotten),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
