// uses p2p-ui
/* The owner's one-time links, and the token in keys/owner.token. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "p2p/owner.h"

#include "scratch.h"
#include "ui/access/links.h"

/* ---- links ---- */

static void
a_link_works_once(void **state)
{
    char secret[UI_LINK_LEN + 1];
    struct ui_links links;

    (void)state;
    ui_links_init(&links);
    assert_int_equal(ui_links_make(&links, 1000, secret), P2P_OK);
    assert_int_equal(strlen(secret), UI_LINK_LEN);
    assert_true(ui_links_take(&links, 1001, secret));
    assert_false(ui_links_take(&links, 1001, secret));
    ui_links_clear(&links);
}

static void
a_link_expires(void **state)
{
    char secret[UI_LINK_LEN + 1];
    struct ui_links links;

    (void)state;
    ui_links_init(&links);
    assert_int_equal(ui_links_make(&links, 1000, secret), P2P_OK);
    assert_false(ui_links_take(&links, 1000 + UI_LINK_LIFE_S, secret));
    assert_true(ui_links_take(&links, 1000 + UI_LINK_LIFE_S - 1, secret));
    ui_links_clear(&links);
}

static void
other_secrets_open_nothing(void **state)
{
    char secret[UI_LINK_LEN + 1], flipped[UI_LINK_LEN + 1];
    static char zeros[UI_LINK_LEN + 1];
    struct ui_links links;

    (void)state;
    memset(zeros, '0', UI_LINK_LEN);
    ui_links_init(&links);
    assert_false(ui_links_take(&links, 0, zeros));
    assert_int_equal(ui_links_make(&links, 1000, secret), P2P_OK);
    assert_false(ui_links_take(&links, 1000, zeros));
    assert_false(ui_links_take(&links, 1000, ""));
    for (size_t i = 0; i < UI_LINK_LEN; i++) {
        memcpy(flipped, secret, sizeof(flipped));
        flipped[i] = flipped[i] == '0' ? '1' : '0';
        assert_false(ui_links_take(&links, 1000, flipped));
        memcpy(flipped, secret, sizeof(flipped));
        flipped[i] = '\0'; /* a prefix */
        assert_false(ui_links_take(&links, 1000, flipped));
    }
    assert_true(ui_links_take(&links, 1000, secret));
    ui_links_clear(&links);
}

static void
the_oldest_of_too_many_is_forgotten(void **state)
{
    char secrets[UI_LINKS_MAX + 1][UI_LINK_LEN + 1];
    struct ui_links links;

    (void)state;
    ui_links_init(&links);
    for (unsigned i = 0; i <= UI_LINKS_MAX; i++)
        assert_int_equal(ui_links_make(&links, 1000 + i, secrets[i]), P2P_OK);
    assert_false(ui_links_take(&links, 1100, secrets[0]));
    for (unsigned i = 1; i <= UI_LINKS_MAX; i++)
        assert_true(ui_links_take(&links, 1100, secrets[i]));
    ui_links_clear(&links);
}

/* ---- keys/owner.token ---- */

static void
write_file(const char *path, const char *text, mode_t mode)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    assert_int_equal(chmod(path, mode), 0);
}

static void
the_token_is_made_once(void **state)
{
    char first[P2P_OWNER_TOKEN_LEN + 1], again[P2P_OWNER_TOKEN_LEN + 1], path[4096];
    const char *dir = *state;
    struct stat st;
    uid_t uid;

    snprintf(path, sizeof(path), "%s/owner.token", dir);
    assert_int_equal(p2p_owner_token_read(dir, first, &uid), P2P_ERR_NOT_FOUND);
    assert_int_equal(p2p_owner_token_obtain(dir, first), P2P_OK);
    assert_int_equal(strlen(first), P2P_OWNER_TOKEN_LEN);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(p2p_owner_token_obtain(dir, again), P2P_OK);
    assert_string_equal(first, again);
    assert_int_equal(p2p_owner_token_read(dir, again, &uid), P2P_OK);
    assert_string_equal(first, again);
    assert_int_equal(uid, geteuid());
}

static void
a_token_that_is_unfit_is_replaced(void **state)
{
    static const struct {
        const char *text; /* NULL: the token as it was */
        mode_t mode;
    } cases[] = {
        {NULL, 0644},
        {NULL, 0640},
        {"", 0600},
        {"secret\n", 0600},
        {"zz23456789012345678901234567890123456789012345678901234567890123\n", 0600}};
    char before[P2P_OWNER_TOKEN_LEN + 1], after[P2P_OWNER_TOKEN_LEN + 1], path[4096];
    const char *dir = *state;

    snprintf(path, sizeof(path), "%s/owner.token", dir);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(p2p_owner_token_obtain(dir, before), P2P_OK);
        write_file(path, cases[i].text != NULL ? cases[i].text : before, cases[i].mode);
        assert_int_equal(p2p_owner_token_read(dir, after, NULL), P2P_ERR_CORRUPT);
        assert_string_equal(after, "");
        assert_int_equal(p2p_owner_token_obtain(dir, after), P2P_OK);
        assert_string_not_equal(before, after);
        assert_int_equal(p2p_owner_token_read(dir, before, NULL), P2P_OK);
        assert_string_equal(before, after);
    }
}

static int
make_dir(void **state)
{
    static struct scratch scratch;

    scratch_make(&scratch);
    *state = scratch.dir;
    return 0;
}

static int
remove_dir(void **state)
{
    struct scratch scratch;

    snprintf(scratch.dir, sizeof(scratch.dir), "%s", (const char *)*state);
    scratch_remove(&scratch);
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_link_works_once),
        cmocka_unit_test(a_link_expires),
        cmocka_unit_test(other_secrets_open_nothing),
        cmocka_unit_test(the_oldest_of_too_many_is_forgotten),
        cmocka_unit_test_setup_teardown(the_token_is_made_once, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(a_token_that_is_unfit_is_replaced, make_dir,
                                        remove_dir),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
