// uses p2p-ui
/* By which path each peer was reached last. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "ui/peers/paths.h"

static struct p2p_id
peer(unsigned number)
{
    return (struct p2p_id){{(uint8_t)number, (uint8_t)(number >> 8), 7}};
}

static void
the_last_path_counts(void **state)
{
    static struct ui_paths paths;
    struct p2p_id one = peer(1), two = peer(2);

    (void)state;
    assert_null(ui_paths_find(&paths, &one));
    ui_paths_note(&paths, &one, P2P_PATH_RELAY, 0);
    ui_paths_note(&paths, &two, P2P_PATH_DIRECT, 0);
    ui_paths_note(&paths, &one, P2P_PATH_CHANNEL, 21000);
    assert_int_equal(ui_paths_find(&paths, &one)->kind, P2P_PATH_CHANNEL);
    assert_int_equal(ui_paths_find(&paths, &one)->rtt_us, 21000);
    assert_int_equal(ui_paths_find(&paths, &two)->kind, P2P_PATH_DIRECT);
}

/* A peer of zeros is one like others, and a free place is none. */
static void
the_oldest_is_forgotten(void **state)
{
    static struct ui_paths paths;
    struct p2p_id zero = {{0}}, first = peer(0), second = peer(1);

    (void)state;
    assert_null(ui_paths_find(&paths, &zero));
    for (unsigned i = 0; i < UI_PATHS_KEPT; i++) {
        struct p2p_id id = peer(i);
        ui_paths_note(&paths, &id, P2P_PATH_DIRECT, 0);
    }
    ui_paths_note(&paths, &first, P2P_PATH_RELAY, 0); /* no longer the oldest one */
    ui_paths_note(&paths, &zero, P2P_PATH_DIRECT, 0);
    assert_non_null(ui_paths_find(&paths, &zero));
    assert_non_null(ui_paths_find(&paths, &first));
    assert_null(ui_paths_find(&paths, &second));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_path_counts),
        cmocka_unit_test(the_oldest_is_forgotten),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
