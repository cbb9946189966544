/* home: which folders are used when no option names them. */
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "p2p/home.h"

static char top[64]; /* the current folder of each test */

static const char *const variables[] = {
    "P2P_HOME", "STATE_DIRECTORY", "HOME", "CONFIGURATION_DIRECTORY", "XDG_CONFIG_HOME",
    NULL};

static void
make(const char *path, const char *text)
{
    char folder[256];
    int fd;

    for (const char *slash = strchr(path, '/'); slash != NULL;
         slash = strchr(slash + 1, '/')) {
        snprintf(folder, sizeof(folder), "%.*s", (int)(slash - path), path);
        mkdir(folder, 0700);
    }
    fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static int
begin(void **state)
{
    char user[128];

    (void)state;
    snprintf(top, sizeof(top), "/tmp/p2p-home-XXXXXX");
    if (mkdtemp(top) == NULL || chdir(top) != 0)
        return -1;
    for (size_t i = 0; variables[i] != NULL; i++)
        unsetenv(variables[i]);
    snprintf(user, sizeof(user), "%s/user", top);
    setenv("HOME", user, 1);
    return 0;
}

static int
end(void **state)
{
    char command[128];

    (void)state;
    snprintf(command, sizeof(command), "rm -rf '%s'", top);
    return chdir("/") == 0 ? system(command) : -1;
}

static void
assert_below_top(const char *path, const char *rest)
{
    char wanted[P2P_HOME_PATH_MAX];

    snprintf(wanted, sizeof(wanted), "%s/%s", top, rest);
    assert_string_equal(path, wanted);
}

static void
a_user_has_one_home_in_every_folder(void **state)
{
    struct p2p_home home;

    (void)state;
    assert_int_equal(p2p_home_find_for(NULL, &home), P2P_OK);
    assert_int_equal(home.kind, P2P_HOME_USER);
    assert_below_top(home.config, "user/.config/p2p/p2p.conf");
    assert_below_top(home.keys_dir, "user/.config/p2p/keys");
    assert_below_top(home.shared_dir, "user/Shared");
    assert_below_top(home.downloads_dir, "user/Downloads");
}

static void
the_desktop_says_where_downloads_go(void **state)
{
    static const char *const lines[][2] = {
        {"XDG_DOWNLOAD_DIR=\"$HOME/Geladen\"\n", "user/Geladen"},
        {"# c\n  XDG_DOWNLOAD_DIR=\"$HOME/a b\"\n", "user/a b"},
        {"XDG_MUSIC_DIR=\"$HOME/m\"\n", "user/Downloads"},
        {"XDG_DOWNLOAD_DIR=\"relative\"\n", "user/Downloads"},
        {"XDG_DOWNLOAD_DIR=\"\"\n", "user/Downloads"},
        {"XDG_DOWNLOAD_DIR=\"/no end\n", "user/Downloads"},
    };
    struct p2p_home home;

    (void)state;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        make("user/.config/user-dirs.dirs", lines[i][0]);
        assert_int_equal(p2p_home_find_for(NULL, &home), P2P_OK);
        assert_below_top(home.downloads_dir, lines[i][1]);
    }
    make("user/.config/user-dirs.dirs", "XDG_DOWNLOAD_DIR=\"/srv/loads\"\n");
    assert_int_equal(p2p_home_find_for(NULL, &home), P2P_OK);
    assert_string_equal(home.downloads_dir, "/srv/loads");
}

static void
xdg_config_home_counts_when_it_is_absolute(void **state)
{
    struct p2p_home home;

    (void)state;
    setenv("XDG_CONFIG_HOME", "/srv/settings", 1);
    assert_int_equal(p2p_home_find_for(NULL, &home), P2P_OK);
    assert_string_equal(home.keys_dir, "/srv/settings/p2p/keys");
    setenv("XDG_CONFIG_HOME", "relative", 1);
    assert_int_equal(p2p_home_find_for(NULL, &home), P2P_OK);
    assert_below_top(home.keys_dir, "user/.config/p2p/keys");
}

static void
a_named_home_holds_everything(void **state)
{
    struct p2p_home home;

    (void)state;
    setenv("STATE_DIRECTORY", "/var/lib/p2p", 1);
    setenv("P2P_HOME", "/srv/p2p", 1);
    assert_int_equal(p2p_home_find_for(NULL, &home), P2P_OK);
    assert_int_equal(home.kind, P2P_HOME_NAMED);
    assert_string_equal(home.config, "/srv/p2p/p2p.conf");
    assert_string_equal(home.shared_dir, "/srv/p2p/shared");
    setenv("P2P_HOME", "here", 1);
    assert_int_equal(p2p_home_find_for(NULL, &home), P2P_OK);
    assert_below_top(home.keys_dir, "here/keys");
}

static void
a_unit_has_the_folders_that_systemd_gives_it(void **state)
{
    struct p2p_home home;

    (void)state;
    setenv("STATE_DIRECTORY", "/var/lib/p2p:/var/lib/other", 1);
    assert_int_equal(p2p_home_find_for(NULL, &home), P2P_OK);
    assert_int_equal(home.kind, P2P_HOME_UNIT);
    assert_string_equal(home.keys_dir, "/var/lib/p2p/keys");
    assert_string_equal(home.config, "/etc/p2p/p2p.conf");
    setenv("CONFIGURATION_DIRECTORY", "/etc/other", 1);
    assert_int_equal(p2p_home_find_for(NULL, &home), P2P_OK);
    assert_string_equal(home.config, "/etc/other/p2p.conf");
}

static void
a_source_tree_counts_once_it_has_an_identity(void **state)
{
    struct p2p_home home;
    char program[P2P_HOME_PATH_MAX];

    (void)state;
    make("tree/scripts/run.sh", "");
    snprintf(program, sizeof(program), "%s/tree/bin/p2p", top);
    assert_int_equal(p2p_home_find_for(program, &home), P2P_OK);
    assert_int_equal(home.kind, P2P_HOME_USER);
    make("tree/keys/private_key.pem", "");
    assert_int_equal(p2p_home_find_for(program, &home), P2P_OK);
    assert_int_equal(home.kind, P2P_HOME_CHECKOUT);
    assert_below_top(home.keys_dir, "tree/keys");
    assert_below_top(home.downloads_dir, "tree/downloads");
    snprintf(program, sizeof(program), "%s/tree/elsewhere/p2p", top);
    assert_int_equal(p2p_home_find_for(program, &home), P2P_OK);
    assert_int_equal(home.kind, P2P_HOME_USER);
    unlink("tree/scripts/run.sh");
    snprintf(program, sizeof(program), "%s/tree/bin/p2p", top);
    assert_int_equal(p2p_home_find_for(program, &home), P2P_OK);
    assert_int_equal(home.kind, P2P_HOME_USER);
}

static void
an_identity_in_the_folder_serves_who_has_no_other(void **state)
{
    struct p2p_home home;

    (void)state;
    make("keys/private_key.pem", "");
    assert_int_equal(p2p_home_find_for(NULL, &home), P2P_OK);
    assert_int_equal(home.kind, P2P_HOME_FOLDER);
    assert_string_equal(home.keys_dir, "./keys");
    assert_below_top(home.config, "user/.config/p2p/p2p.conf");
    make("user/.config/p2p/p2p.conf", "");
    assert_int_equal(p2p_home_find_for(NULL, &home), P2P_OK);
    assert_int_equal(home.kind, P2P_HOME_USER);
    unlink("user/.config/p2p/p2p.conf");
    make("user/.config/p2p/keys/private_key.pem", "");
    assert_int_equal(p2p_home_find_for(NULL, &home), P2P_OK);
    assert_int_equal(home.kind, P2P_HOME_USER);
}

static void
a_path_that_is_too_long_is_refused(void **state)
{
    static char path[P2P_HOME_PATH_MAX];
    struct p2p_home home;

    (void)state;
    memset(path, 'a', sizeof(path) - 1);
    path[0] = '/';
    setenv("P2P_HOME", path, 1);
    assert_int_equal(p2p_home_find_for(NULL, &home), P2P_ERR_RANGE);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(a_user_has_one_home_in_every_folder),
        TEST(the_desktop_says_where_downloads_go),
        TEST(xdg_config_home_counts_when_it_is_absolute),
        TEST(a_named_home_holds_everything),
        TEST(a_unit_has_the_folders_that_systemd_gives_it),
        TEST(a_source_tree_counts_once_it_has_an_identity),
        TEST(an_identity_in_the_folder_serves_who_has_no_other),
        TEST(a_path_that_is_too_long_is_refused),
    };
#undef TEST

    return cmocka_run_group_tests(tests, NULL, NULL);
}
