// uses p2p-discovery
/* The numbers of codes at a registry. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "discovery/meet/codes.h"
#include "p2p/crypto.h"

struct world {
    struct boxes *boxes;
    struct codes *codes;
};

static const struct box_source alice = {{1}}, bob = {{2}};

static int
set_up(void **state)
{
    static struct world w;
    const struct boxes_limits limits = {64, 1 << 20, 1 << 16};

    *state = &w;
    return boxes_new(&limits, &w.boxes) != P2P_OK || codes_new(&w.codes) != P2P_OK;
}

static int
tear_down(void **state)
{
    struct world *w = *state;

    codes_free(w->codes);
    boxes_free(w->boxes);
    return 0;
}

static uint32_t
make(struct world *w, const struct box_source *source, uint64_t now_ms,
     struct box_id *box)
{
    uint32_t number;

    assert_int_equal(codes_make(w->codes, w->boxes, source, now_ms, &number, box),
                     BOX_OK);
    assert_false(box->is_peer);
    return number;
}

static void
serves_one_caller(void **state)
{
    struct world *w = *state;
    struct box_id box, found;
    uint32_t number = make(w, &alice, 1000, &box);

    assert_in_range(number, 1, 9);
    assert_int_equal(codes_claim(w->codes, w->boxes, number, 1001, &found), CODE_OK);
    assert_memory_equal(&found, &box, sizeof(box));
    assert_int_equal(codes_claim(w->codes, w->boxes, number, 1002, &found),
                     CODE_CLAIMED);
    assert_int_equal(codes_claim(w->codes, w->boxes, number == 9 ? 8 : 9, 1002, &found),
                     CODE_NONE);
    assert_int_equal(codes_claim(w->codes, w->boxes, 0, 1002, &found), CODE_NONE);
    assert_int_equal(codes_claim(w->codes, w->boxes, CODES_MAX + 1, 1002, &found),
                     CODE_NONE);
}

static void
lives_while_it_is_read(void **state)
{
    struct world *w = *state;
    struct box_id box, found;
    uint64_t now_ms = 1000;
    uint32_t number = make(w, &alice, now_ms, &box);

    for (int i = 0; i < 10; i++) {
        now_ms += BOXES_READER_MS - 1;
        assert_int_equal(boxes_attend(w->boxes, &box, &alice, now_ms), BOX_OK);
    }
    assert_int_equal(codes_count(w->codes, w->boxes, now_ms), 1);
    now_ms += BOXES_READER_MS;
    assert_int_equal(codes_claim(w->codes, w->boxes, number, now_ms, &found),
                     CODE_NONE);
    assert_int_equal(codes_count(w->codes, w->boxes, now_ms), 0);
}

static void
ends_after_a_day(void **state)
{
    struct world *w = *state;
    struct box_id box, found;
    uint64_t now_ms = 1000;
    uint32_t number = make(w, &alice, now_ms, &box);

    while (now_ms + BOXES_READER_MS / 2 < 1000 + (uint64_t)BOXES_CODE_MS) {
        now_ms += BOXES_READER_MS / 2;
        assert_int_equal(boxes_attend(w->boxes, &box, &alice, now_ms), BOX_OK);
    }
    assert_int_equal(
        codes_claim(w->codes, w->boxes, number, 1000 + BOXES_CODE_MS, &found),
        CODE_NONE);
}

static void
one_source_does_not_take_all(void **state)
{
    struct world *w = *state;
    struct box_id box;
    uint32_t number, seen[BOXES_ANSWERS_PER_SOURCE];

    for (size_t i = 0; i < BOXES_ANSWERS_PER_SOURCE; i++) {
        seen[i] = make(w, &alice, 1000, &box);
        for (size_t j = 0; j < i; j++)
            assert_int_not_equal(seen[i], seen[j]);
    }
    assert_int_equal(codes_make(w->codes, w->boxes, &alice, 1000, &number, &box),
                     BOX_CROWDED);
    make(w, &bob, 1000, &box);
}

static void
messages_go_to_the_box(void **state)
{
    struct world *w = *state;
    struct box_id box;
    uint64_t n = 0;

    make(w, &alice, 1000, &box);
    assert_int_equal(boxes_post(w->boxes, &box, &bob, "{}", 2, 1001, &n), BOX_OK);
    assert_int_equal(n, 1);
    /* Knowing the number alone is not enough to make such a box again. */
    assert_int_equal(boxes_make_for_code(w->boxes, &box, &bob, 1001), BOX_FULL);
    assert_true(boxes_has(w->boxes, &box, 1001));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(serves_one_caller, set_up, tear_down),
        cmocka_unit_test_setup_teardown(lives_while_it_is_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(ends_after_a_day, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_source_does_not_take_all, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(messages_go_to_the_box, set_up, tear_down),
    };

    return p2p_crypto_init() == P2P_OK ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
