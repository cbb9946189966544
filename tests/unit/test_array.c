/* Arrays that grow. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "p2p/array.h"

static void
items_stay_while_it_grows(void **state)
{
    uint32_t *at = NULL;
    size_t cap = 0;

    (void)state;
    for (size_t count = 0; count < 1000; count++) {
        uint32_t *grown = p2p_array_room(at, count, &cap, sizeof(*grown));

        assert_non_null(grown);
        assert_true(cap > count);
        at = grown;
        at[count] = (uint32_t)count;
    }
    for (size_t i = 0; i < 1000; i++)
        assert_int_equal(at[i], i);
    free(at);
}

static void
one_with_room_stays_where_it_is(void **state)
{
    size_t cap = 0;
    char *at = p2p_array_room(NULL, 0, &cap, 1);
    size_t before = cap;

    (void)state;
    assert_non_null(at);
    for (size_t count = 0; count < before; count++)
        assert_ptr_equal(p2p_array_room(at, count, &cap, 1), at);
    assert_int_equal(cap, before);
    free(at);
}

/* The array is still there, and is the caller's. */
static void
what_cannot_be_had_is_refused(void **state)
{
    char *at = malloc(1);
    size_t cap = SIZE_MAX / 64;

    (void)state;
    assert_null(p2p_array_room(at, cap, &cap, 64));
    assert_int_equal(cap, SIZE_MAX / 64);
    cap = SIZE_MAX / 2 + 1;
    assert_null(p2p_array_room(at, cap, &cap, 1));
    assert_int_equal(cap, SIZE_MAX / 2 + 1);
    free(at);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_stay_while_it_grows),
        cmocka_unit_test(one_with_room_stays_where_it_is),
        cmocka_unit_test(what_cannot_be_had_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
