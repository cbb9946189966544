// uses p2p-ui
/* Selections that are kept for an archive. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "p2p/crypto.h"
#include "ui/folders/chosen.h"

static struct ui_chosen *chosen;

static int
set_up(void **state)
{
    (void)state;
    assert_int_equal(p2p_crypto_init(), P2P_OK);
    assert_non_null(chosen = ui_chosen_new());
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    ui_chosen_free(chosen);
    return 0;
}

static void
keep(const char *path, uint64_t now_s, char id[UI_CHOSEN_ID_LEN + 1])
{
    struct ui_picks picks = {0};

    assert_int_equal(ui_picks_add(&picks, path), P2P_OK);
    assert_int_equal(ui_picks_add(&picks, "b/c"), P2P_OK);
    assert_int_equal(ui_chosen_keep(chosen, UI_DOWNLOADS, &picks, now_s, id), P2P_OK);
    assert_null(picks.at);
}

static void
a_selection_is_kept_for_an_hour(void **state)
{
    char id[UI_CHOSEN_ID_LEN + 1];
    enum ui_folder folder = UI_SHARED;
    struct ui_picks found;
    const char *path;

    (void)state;
    keep("a", 100, id);
    for (int again = 0; again < 2; again++) {
        assert_int_equal(ui_chosen_find(chosen, id, 100 + UI_CHOSEN_S, &folder, &found),
                         P2P_OK);
        assert_int_equal(folder, UI_DOWNLOADS);
        assert_int_equal(found.count, 2);
        path = ui_picks_next(&found, NULL);
        assert_string_equal(path, "a");
        path = ui_picks_next(&found, path);
        assert_string_equal(path, "b/c");
        assert_null(ui_picks_next(&found, path));
        ui_picks_clear(&found);
        assert_null(ui_picks_next(&found, NULL));
    }
    assert_int_equal(ui_chosen_find(chosen, id, 101 + UI_CHOSEN_S, &folder, &found),
                     P2P_ERR_NOT_FOUND);
}

static void
the_oldest_goes_and_no_other_text_is_an_id(void **state)
{
    char first[UI_CHOSEN_ID_LEN + 1], last[UI_CHOSEN_ID_LEN + 1];
    static const char *const wrong[] = {"", "0", "00000000000000000000000000000000"};
    enum ui_folder folder;
    struct ui_picks found;

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_int_equal(ui_chosen_find(chosen, wrong[i], 1, &folder, &found),
                         P2P_ERR_NOT_FOUND);
    keep("first", 1, first);
    for (unsigned i = 0; i < UI_CHOSEN_MAX; i++) {
        assert_int_equal(ui_chosen_find(chosen, first, 1, &folder, &found), P2P_OK);
        ui_picks_clear(&found);
        keep("later", 1, last);
    }
    assert_int_equal(ui_chosen_find(chosen, first, 1, &folder, &found),
                     P2P_ERR_NOT_FOUND);
    assert_int_equal(ui_chosen_find(chosen, last, 1, &folder, &found), P2P_OK);
    ui_picks_clear(&found);
}

static void
the_number_of_paths_is_bounded(void **state)
{
    struct ui_picks picks = {0};

    (void)state;
    for (unsigned i = 0; i < UI_CHOSEN_PATHS_MAX; i++)
        assert_int_equal(ui_picks_add(&picks, "x"), P2P_OK);
    assert_int_equal(ui_picks_add(&picks, "x"), P2P_ERR_TOO_LARGE);
    assert_int_equal(picks.count, UI_CHOSEN_PATHS_MAX);
    ui_picks_clear(&picks);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_selection_is_kept_for_an_hour),
        TEST(the_oldest_goes_and_no_other_text_is_an_id),
        TEST(the_number_of_paths_is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
