// uses p2p
/* The output of ldd, dpkg-query and apt-cache, as `p2p doctor` reads it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cli/machine/upgrades.h"

static void
test_paths_of_libraries(void **state)
{
    struct cli_words words = {NULL, 0};

    (void)state;
    assert_true(cli_parse_ldd("/opt/bin/p2p:\n"
                              "\tlinux-vdso.so.1 (0x00007f44)\n"
                              "\tlibssl.so.3 => /lib/x/libssl.so.3 (0x00007f44)\n"
                              "\tlibgone.so.1 => not found\n"
                              "\tlibz.so.1 => /usr/lib/x/libz.so.1 (0x00007f45)\n"
                              "\t/lib64/ld-linux.so.2 (0x00007f46)\n"
                              "\tlibssl.so.3 => /lib/x/libssl.so.3 (0x00007f47)\n"
                              "\tlibend.so => /lib/libend.so",
                              &words));
    assert_int_equal(words.count, 6);
    assert_string_equal(words.at[0], "/lib/x/libssl.so.3");
    assert_string_equal(words.at[1], "/usr/lib/x/libssl.so.3");
    assert_string_equal(words.at[2], "/usr/lib/x/libz.so.1");
    assert_string_equal(words.at[3], "/lib/x/libz.so.1");
    assert_string_equal(words.at[4], "/lib/libend.so");
    assert_null(words.at[6]);
    cli_words_clear(&words);
    assert_true(cli_parse_ldd("", &words));
    assert_int_equal(words.count, 0);
}

static void
test_owners_of_paths(void **state)
{
    struct cli_words words = {NULL, 0};

    (void)state;
    assert_true(cli_parse_owners("libssl3:amd64: /usr/lib/x/libssl.so.3\n"
                                 "libssl3:amd64: /usr/lib/x/libcrypto.so.3\n"
                                 "diversion by dash from: /bin/sh\n"
                                 "dpkg-query: no path found matching pattern /x\n"
                                 "a:i386, b:amd64: /usr/lib/both\n"
                                 "plain: /lib/plain.so\n"
                                 "--option: /lib/x.so\n"
                                 "nothing",
                                 &words));
    assert_int_equal(words.count, 3);
    assert_string_equal(words.at[0], "libssl3:amd64");
    assert_string_equal(words.at[1], "a:i386");
    assert_string_equal(words.at[2], "plain");
    cli_words_clear(&words);
}

static const char policy[] = "libssl3:\n"
                             "  Installed: 3.0.1-1\n"
                             "  Candidate: 3.0.9-1\n"
                             "  Version table:\n"
                             " *** 3.0.1-1 100\n"
                             "libc6:\n"
                             "  Installed: 2.36\n"
                             "  Candidate: 2.36\n"
                             "absent:\n"
                             "  Installed: (none)\n"
                             "  Candidate: 1.0\n"
                             "local:\n"
                             "  Installed: 1.0\n"
                             "  Candidate: (none)\n"
                             "odd:\n"
                             "  Candidate: 7\n"
                             "last:\n"
                             "  Installed: 1:1\n"
                             "  Candidate: 1:2";

static void
test_versions(void **state)
{
    struct cli_upgrade found[4];

    (void)state;
    assert_int_equal(cli_parse_policy(policy, found, 4), 2);
    assert_string_equal(found[0].package, "libssl3");
    assert_string_equal(found[0].installed, "3.0.1-1");
    assert_string_equal(found[0].newer, "3.0.9-1");
    assert_string_equal(found[1].package, "last");
    assert_string_equal(found[1].newer, "1:2");
    assert_int_equal(cli_parse_policy("", found, 4), 0);
}

static void
test_more_than_there_is_room_for(void **state)
{
    struct cli_upgrade found[2] = {{"", "", ""}, {"untouched", "", ""}};

    (void)state;
    assert_int_equal(cli_parse_policy(policy, found, 1), 2);
    assert_string_equal(found[0].package, "libssl3");
    assert_string_equal(found[1].package, "untouched");
}

static void
test_long_texts_are_cut(void **state)
{
    char text[600];
    struct cli_upgrade found;

    (void)state;
    memset(text, 'x', sizeof(text));
    memcpy(text + 200, ":\n  Installed: ", 15);
    memcpy(text + 400, "\n  Candidate: ", 14);
    text[414] = 'y';
    text[sizeof(text) - 1] = '\0';
    assert_int_equal(cli_parse_policy(text, &found, 1), 1);
    assert_int_equal(strlen(found.package), CLI_VERSION_MAX - 1);
    assert_int_equal(strlen(found.newer), CLI_VERSION_MAX - 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths_of_libraries),
        cmocka_unit_test(test_owners_of_paths),
        cmocka_unit_test(test_versions),
        cmocka_unit_test(test_more_than_there_is_room_for),
        cmocka_unit_test(test_long_texts_are_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
