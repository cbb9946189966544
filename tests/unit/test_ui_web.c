// uses p2p-ui
/* The dashboard's files: read once, found by path and version, compressed or not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "scratch.h"
#include "ui/web.h"

#define PAGE "<script src=\"js/a.js\"></script><img src=\"icons/i.svg\">"

static struct scratch scratch;

static int
set_up(void **state)
{
    (void)state;
    scratch_make(&scratch);
    scratch_folder(&scratch, "js");
    scratch_put(&scratch, "index.html", PAGE);
    scratch_put(&scratch, "js/a.js", "let a = 1;");
    scratch_put(&scratch, "js/a.js.gz", "small");
    scratch_put(&scratch, "js/.hidden.js", "no");
    return symlink("a.js", scratch_path(&scratch, "js/link.js"));
}

static int
tear_down(void **state)
{
    (void)state;
    scratch_remove(&scratch);
    return 0;
}

static enum p2p_err
read_web(struct ui_web **out)
{
    int fd = open(scratch.dir, O_RDONLY | O_DIRECTORY);
    enum p2p_err err = ui_web_open(fd, out);

    close(fd);
    return err;
}

static const char *
versioned(const struct ui_web *web, const char *path)
{
    static char full[300];

    snprintf(full, sizeof(full), "v/%s/%s", ui_web_version(web), path);
    return full;
}

static void
the_page_names_its_own_version(void **state)
{
    struct ui_web_page page;
    struct ui_web *web;
    char wanted[200];

    (void)state;
    assert_int_equal(read_web(&web), P2P_OK);
    assert_int_equal(strlen(ui_web_version(web)), 12);
    assert_int_equal(ui_web_find(web, "", false, &page), UI_WEB_FOUND);
    snprintf(wanted, sizeof(wanted),
             "<script src=\"v/%s/js/a.js\"></script><img src=\"icons/i.svg\">",
             ui_web_version(web));
    assert_int_equal(page.len, strlen(wanted));
    assert_memory_equal(page.bytes, wanted, page.len);
    assert_false(page.is_lasting);
    assert_int_equal(ui_web_find(web, "", true, &page), UI_WEB_FOUND);
    assert_true(page.is_packed);
    ui_web_free(web);
}

static void
files_are_found_with_and_without_version(void **state)
{
    struct ui_web_page page, packed;
    struct ui_web *web;

    (void)state;
    assert_int_equal(read_web(&web), P2P_OK);
    assert_int_equal(ui_web_find(web, "js/a.js", false, &page), UI_WEB_FOUND);
    assert_false(page.is_lasting);
    assert_string_equal(page.type, "text/javascript; charset=utf-8");
    assert_memory_equal(page.bytes, "let a = 1;", page.len);
    assert_int_equal(ui_web_find(web, versioned(web, "js/a.js"), true, &packed),
                     UI_WEB_FOUND);
    assert_true(packed.is_lasting && packed.is_packed);
    assert_memory_equal(packed.bytes, "small", packed.len);
    assert_string_not_equal(page.tag, packed.tag);
    ui_web_free(web);
}

static void
the_rest_is_refused(void **state)
{
    static const char *const missing[] = {
        "js",      "js/",           "js/link.js", "js/a.js.gz", "js/.hidden.js",
        "js/b.js", "../index.html", "/js/a.js"};
    static const char *const other[] = {"v/", "v/js/a.js", "v/0123456789ab/js/a.js",
                                        "v/0123"};
    char long_path[5000];
    struct ui_web_page page;
    struct ui_web *web;

    (void)state;
    assert_int_equal(read_web(&web), P2P_OK);
    for (size_t i = 0; i < sizeof(missing) / sizeof(missing[0]); i++) {
        assert_int_equal(ui_web_find(web, missing[i], true, &page), UI_WEB_MISSING);
        assert_int_equal(ui_web_find(web, versioned(web, missing[i]), true, &page),
                         UI_WEB_MISSING);
    }
    for (size_t i = 0; i < sizeof(other) / sizeof(other[0]); i++)
        assert_int_equal(ui_web_find(web, other[i], true, &page), UI_WEB_OTHER_VERSION);
    assert_int_equal(ui_web_find(web, versioned(web, ""), true, &page), UI_WEB_MISSING);
    memset(long_path, 'a', sizeof(long_path) - 1);
    long_path[sizeof(long_path) - 1] = '\0';
    assert_int_equal(ui_web_find(web, long_path, true, &page), UI_WEB_MISSING);
    ui_web_free(web);
}

/* A page that was opened before goes on with the files that it knows; the next program
 * refuses them. */
static void
a_change_on_disk_is_another_version(void **state)
{
    static const struct timespec later[2] = {{2000000000, 0}, {2000000000, 0}};
    struct ui_web_page page;
    struct ui_web *old, *new;

    (void)state;
    assert_int_equal(read_web(&old), P2P_OK);
    scratch_put(&scratch, "js/a.js", "let a = 2;");
    assert_int_equal(utimensat(AT_FDCWD, scratch_path(&scratch, "js/a.js"), later, 0),
                     0);
    assert_int_equal(ui_web_find(old, versioned(old, "js/a.js"), false, &page),
                     UI_WEB_FOUND);
    assert_memory_equal(page.bytes, "let a = 1;", page.len);
    assert_int_equal(read_web(&new), P2P_OK);
    assert_string_not_equal(ui_web_version(old), ui_web_version(new));
    assert_int_equal(ui_web_find(new, versioned(old, "js/a.js"), false, &page),
                     UI_WEB_OTHER_VERSION);
    /* The compressed copy is older than the file now. */
    assert_int_equal(ui_web_find(new, "js/a.js", true, &page), UI_WEB_FOUND);
    assert_false(page.is_packed);
    ui_web_free(old);
    ui_web_free(new);
    assert_string_equal(ui_web_version(NULL), "");
}

static void
a_folder_without_a_page_is_none(void **state)
{
    struct ui_web *web;

    (void)state;
    assert_int_equal(unlink(scratch_path(&scratch, "index.html")), 0);
    assert_int_equal(read_web(&web), P2P_ERR_NOT_FOUND);
    assert_null(web);
    ui_web_free(web);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_page_names_its_own_version),
        TEST(files_are_found_with_and_without_version),
        TEST(the_rest_is_refused),
        TEST(a_change_on_disk_is_another_version),
        TEST(a_folder_without_a_page_is_none),
    };

    return cmocka_run_group_tests_name("ui_web", tests, NULL, NULL);
}
