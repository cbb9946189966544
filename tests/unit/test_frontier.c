/* Which chunk is hashed from memory, and which connection has to check its own chunk.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/plan/frontier.h"

#define T0 1000000u

static const uint8_t bytes[1];

static struct frontier
opened(uint64_t next)
{
    return (struct frontier){.open = true, .next = next};
}

static int
offer(struct frontier *f, uint64_t chunk)
{
    return p2p_frontier_offer(f, chunk, bytes, T0);
}

static void
chunks_are_taken_in_order(void **state)
{
    struct frontier f = opened(5);
    int later = offer(&f, 6), first = offer(&f, 5);
    enum p2p_err verdict = P2P_ERR_SYS;

    (void)state;
    assert_int_equal(p2p_frontier_take(&f), first);
    assert_int_equal(p2p_frontier_take(&f), FRONTIER_REFUSED); /* 6 is not next yet */
    assert_int_equal(p2p_frontier_collect(&f, first, T0, &verdict), FRONTIER_WAIT);
    p2p_frontier_settle(&f, first, P2P_OK);
    assert_int_equal(f.next, 6);
    assert_int_equal(p2p_frontier_take(&f), later);
    p2p_frontier_settle(&f, later, P2P_OK);
    assert_int_equal(p2p_frontier_collect(&f, later, T0, &verdict), FRONTIER_CHECKED);
    assert_int_equal(verdict, P2P_OK);
    assert_int_equal(f.next, 7);
}

static void
a_wrong_chunk_is_asked_for_again(void **state)
{
    struct frontier f = opened(0);
    int bad = offer(&f, 0), good;
    enum p2p_err verdict = P2P_OK;

    (void)state;
    assert_int_equal(p2p_frontier_take(&f), bad);
    p2p_frontier_settle(&f, bad, P2P_ERR_HASH_MISMATCH);
    assert_int_equal(f.next, 0);
    good = offer(&f, 0);
    assert_int_not_equal(good, bad); /* its owner has not collected the verdict yet */
    assert_int_equal(p2p_frontier_take(&f), good);
    p2p_frontier_settle(&f, good, P2P_OK);
    assert_int_equal(p2p_frontier_collect(&f, bad, T0, &verdict), FRONTIER_CHECKED);
    assert_int_equal(verdict, P2P_ERR_HASH_MISMATCH);
    assert_int_equal(p2p_frontier_collect(&f, good, T0, &verdict), FRONTIER_CHECKED);
    assert_int_equal(verdict, P2P_OK);
}

static void
what_is_behind_or_far_ahead_is_refused(void **state)
{
    struct frontier f = opened(10);

    (void)state;
    assert_int_equal(offer(&f, 9), FRONTIER_REFUSED);
    assert_int_equal(offer(&f, 10 + FRONTIER_WINDOW), FRONTIER_REFUSED);
    assert_int_not_equal(offer(&f, 10 + FRONTIER_WINDOW - 1), FRONTIER_REFUSED);
    f.open = false;
    assert_int_equal(offer(&f, 10), FRONTIER_REFUSED);
}

static void
a_full_table_refuses(void **state)
{
    struct frontier f = opened(0);

    (void)state;
    for (unsigned i = 0; i < FRONTIER_WINDOW; i++)
        assert_int_not_equal(offer(&f, i % 2), FRONTIER_REFUSED);
    assert_int_equal(offer(&f, 0), FRONTIER_REFUSED);
}

static void
nobody_waits_long_for_a_gap(void **state)
{
    struct frontier f = opened(0);
    int waiting = offer(&f, 1);
    enum p2p_err verdict;

    (void)state;
    assert_int_equal(p2p_frontier_take(&f), FRONTIER_REFUSED);
    p2p_frontier_idle(&f, T0);
    p2p_frontier_idle(&f, T0 + 5); /* still the same wait */
    assert_int_equal(
        p2p_frontier_collect(&f, waiting, T0 + FRONTIER_PATIENCE_US, &verdict),
        FRONTIER_WAIT);
    uint64_t late = T0 + FRONTIER_PATIENCE_US + 1;
    assert_int_equal(p2p_frontier_collect(&f, waiting, late, &verdict),
                     FRONTIER_UNCHECKED);
    assert_int_equal(p2p_frontier_offer(&f, 2, bytes, late), FRONTIER_REFUSED);
    assert_int_not_equal(p2p_frontier_offer(&f, 0, bytes, late), FRONTIER_REFUSED);
}

static void
a_busy_verifier_is_waited_for(void **state)
{
    struct frontier f = opened(0);
    int waiting = offer(&f, 1);
    enum p2p_err verdict;

    (void)state;
    p2p_frontier_idle(&f, T0);
    p2p_frontier_pass(&f); /* 0 was on disk, so there was work again */
    assert_int_equal(
        p2p_frontier_collect(&f, waiting, T0 + 10 * FRONTIER_PATIENCE_US, &verdict),
        FRONTIER_WAIT);
}

static void
a_chunk_the_hash_has_passed_is_given_back(void **state)
{
    struct frontier f = opened(3);
    int doubled = offer(&f, 3);
    enum p2p_err verdict;

    (void)state;
    p2p_frontier_pass(&f); /* the copy of another connection was on disk first */
    assert_int_equal(p2p_frontier_collect(&f, doubled, T0, &verdict),
                     FRONTIER_UNCHECKED);
}

static void
a_closed_frontier_gives_everything_back(void **state)
{
    struct frontier f = opened(3);
    int o = offer(&f, 4);
    enum p2p_err verdict;

    (void)state;
    f.open = false;
    assert_int_equal(p2p_frontier_collect(&f, o, T0, &verdict), FRONTIER_UNCHECKED);
}

static void
an_owner_may_leave_unless_it_is_being_hashed(void **state)
{
    struct frontier f = opened(0);
    int taken = offer(&f, 0), waiting = offer(&f, 1);
    enum p2p_err verdict;

    (void)state;
    assert_int_equal(p2p_frontier_take(&f), taken);
    assert_int_equal(p2p_frontier_withdraw(&f, waiting, &verdict), FRONTIER_UNCHECKED);
    assert_int_equal(p2p_frontier_withdraw(&f, taken, &verdict), FRONTIER_WAIT);
    p2p_frontier_settle(&f, taken, P2P_OK);
    assert_int_equal(p2p_frontier_withdraw(&f, taken, &verdict), FRONTIER_CHECKED);
    assert_int_equal(f.offers[taken].state, FRONTIER_FREE);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chunks_are_taken_in_order),
        cmocka_unit_test(a_wrong_chunk_is_asked_for_again),
        cmocka_unit_test(what_is_behind_or_far_ahead_is_refused),
        cmocka_unit_test(a_full_table_refuses),
        cmocka_unit_test(nobody_waits_long_for_a_gap),
        cmocka_unit_test(a_busy_verifier_is_waited_for),
        cmocka_unit_test(a_chunk_the_hash_has_passed_is_given_back),
        cmocka_unit_test(a_closed_frontier_gives_everything_back),
        cmocka_unit_test(an_owner_may_leave_unless_it_is_being_hashed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
