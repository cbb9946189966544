/* Names from outside: which are refused, which are allowed, and how a name that exists
 * is numbered. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "path_fixture.h"

static const struct name good_names[] = {
    NAME("a"),
    NAME("photo.jpg"),
    NAME("two words.txt"),
    NAME("a..b"),
    NAME("pipe|quote\"'<>*?.txt"),
    NAME("$(touch x);`id`"),
    NAME("-rf"),
    NAME("~"),
    NAME("100%.txt"),
    NAME("\U0001f468\u200d\U0001f469 family.png"),
    NAME("\u2764\ufe0f.png"),
    NAME("\u2764\ufe0f\u200d\U0001f525 on fire"),
    NAME("\u2600\ufe0e.txt"),
    NAME("1\ufe0f\u20e3 first.txt"),
    NAME("#\ufe0f\u20e3"),
    NAME("\U0001f3f3\ufe0f\u200d\U0001f308.svg"),
    NAME("\U0001f44d\U0001f3fd.gif"),
    NAME("\u0646\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645.txt"), /* Persian */
    NAME("\u0915\u094d\u200d\u0937.txt"),                               /* Hindi */
    NAME("Screenshot 2026-01-31 at 9.41.07\u202fAM.png"),
    NAME("1 =\u0338 2"),
    NAME("\u2208\u0338"),
    NAME("na\u00efve e\u0301.txt"),
    NAME("\u65e5\u672c\u8a9e"),
    NAME("and so on\u2026.mp3"),
    NAME("\u2026 and justice"),
    NAME("console.txt"),
    NAME("com10"),
    NAME("nullable"),
    NAME("connect/aux1/x"),
    NAME("folder/sub folder/file.tar.gz"),
};

static void
names_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(bad_names) / sizeof(bad_names[0]); i++) {
        /* An exact copy, so that a sanitizer sees a read past the end. */
        char *copy = malloc(bad_names[i].len + !bad_names[i].len);
        memcpy(copy, bad_names[i].text, bad_names[i].len);
        if (p2p_name_check(copy, bad_names[i].len, true) != P2P_ERR_NAME)
            fail_msg("accepted: %s", bad_names[i].text);
        assert_non_null(p2p_name_problem(copy, bad_names[i].len, true));
        free(copy);
    }
}

static void
names_are_accepted(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(good_names) / sizeof(good_names[0]); i++) {
        const struct name *n = &good_names[i];
        const char *problem = p2p_name_problem(n->text, n->len, true);
        if (problem)
            fail_msg("refused: %s (%s)", n->text, problem);
        assert_int_equal(p2p_name_check(n->text, n->len, false),
                         strchr(n->text, '/') ? P2P_ERR_NAME : P2P_OK);
    }
}

static void
lengths_and_depths_have_limits(void **state)
{
    char name[P2P_NAME_MAX + 3];

    (void)state;
    memset(name, 'a', sizeof(name));
    assert_int_equal(p2p_name_check(name, 255, true), P2P_OK);
    assert_int_equal(p2p_name_check(name, 256, true), P2P_ERR_NAME);
    for (size_t i = 200; i < sizeof(name); i += 201)
        name[i] = '/';
    assert_int_equal(p2p_name_check(name, P2P_NAME_MAX, true), P2P_OK);
    assert_int_equal(p2p_name_check(name, P2P_NAME_MAX + 1, true), P2P_ERR_NAME);
    for (size_t i = 0; i < 100; i++)
        name[i] = i % 2 ? '/' : 'a';
    assert_int_equal(p2p_name_check(name, 2 * P2P_NAME_DEPTH_MAX - 1, true), P2P_OK);
    assert_int_equal(p2p_name_check(name, 2 * P2P_NAME_DEPTH_MAX + 1, true),
                     P2P_ERR_NAME);
}

/* Random bytes: no crash, and an accepted name never leads out of the folder. */
static void
random_bytes_are_checked_safely(void **state)
{
    uint32_t seed = 12345;
    uint8_t bytes[24];

    (void)state;
    for (int round = 0; round < 100000; round++) {
        size_t len = (size_t)round % sizeof(bytes);
        for (size_t i = 0; i < len; i++) {
            seed = seed * 1664525 + 1013904223;
            bytes[i] = (uint8_t) "./\\ a%2e\xc0\xe2\x80\xaf:\0"[(seed >> 24) % 14];
        }
        if (p2p_name_check((char *)bytes, len, true) == P2P_OK) {
            assert_true(bytes[0] != '/' && bytes[0] != '.');
            assert_null(memmem(bytes, len, "/.", 2));
            assert_null(memchr(bytes, 0, len));
        }
    }
}

static void
check_numbered(const char *name, const char *expected)
{
    char out[P2P_NAME_MAX + 1];

    assert_int_equal(p2p_name_numbered(name, 1, out), P2P_OK);
    assert_string_equal(out, expected);
}

static void
numbers_go_before_the_extension(void **state)
{
    char name[300], out[P2P_NAME_MAX + 1];

    (void)state;
    check_numbered("a.txt", "a (1).txt");
    check_numbered("a", "a (1)");
    check_numbered("a.b.c.pdf", "a.b.c (1).pdf");
    check_numbered("x.tar.gz", "x (1).tar.gz");
    check_numbered("x.y/plain", "x.y/plain (1)");
    check_numbered("f/x.TAR.xz", "f/x (1).TAR.xz");
    check_numbered("Mr. Smith goes", "Mr. Smith goes (1)");
    check_numbered("a.thisisnoextensionatall", "a.thisisnoextensionatall (1)");

    /* 254 bytes of two-byte characters only: the cut is between two characters. */
    for (size_t i = 0; i < 254; i += 2)
        memcpy(name + i, "\u00e9", 2);
    name[254] = '\0';
    assert_int_equal(p2p_name_numbered(name, 1, out), P2P_OK);
    assert_int_equal(strlen(out), 250 + strlen(" (1)"));
    assert_int_equal(p2p_name_check(out, strlen(out), true), P2P_OK);
}

static void
check_usable(const char *name, const char *expected)
{
    char out[P2P_NAME_MAX + 1];

    assert_int_equal(p2p_name_usable(name, strlen(name), true, out), P2P_OK);
    assert_string_equal(out, expected);
}

static void
a_usable_name_is_near(void **state)
{
    (void)state;
    check_usable("Re: some email.eml", "Re some email.eml");
    check_usable("Screenshot from 2025-07-01 10:30:22.png",
                 "Screenshot from 2025-07-01 10-30-22.png");
    check_usable("Mr.", "Mr");
    check_usable("...and then", "and then");
    check_usable("and then...", "and then");
    check_usable("aux.c", "aux_.c");
    check_usable("CON", "CON_");
    check_usable("50%2e.txt", "50_2e.txt");
    check_usable("back\\slash.txt", "back-slash.txt");
    check_usable("a\tb\x01.txt", "a b.txt");
    check_usable("soft\u00adhyphen.txt", "softhyphen.txt");
    check_usable("no\u00a0break.txt", "no break.txt");
    check_usable("gr\xfc\xdf.txt", "gr__.txt");
    check_usable("one\u2024txt", "one.txt");
    check_usable("Season 1: x/Vol. 1./a.mkv", "Season 1 x/Vol. 1/a.mkv");
    check_usable("//a//b/", "a/b");
    check_usable("...", "unnamed");
    check_usable("", "unnamed");
    check_usable("fine name.txt", "fine name.txt");
}

static void
a_usable_name_is_cut_before_its_extension(void **state)
{
    char name[400], out[P2P_NAME_MAX + 1];

    (void)state;
    for (size_t i = 0; i < 300; i += 2)
        memcpy(name + i, "\u00e9", 2);
    memcpy(name + 300, ".tar.gz", 8);
    assert_int_equal(p2p_name_usable(name, 307, false, out), P2P_OK);
    assert_int_equal(strlen(out), 248 + strlen(".tar.gz"));
    assert_string_equal(out + 248, ".tar.gz");
    assert_int_equal(p2p_name_usable("a/b", 3, false, out), P2P_OK);
    assert_string_equal(out, "a-b");
    memset(name, 'a', 300);
    for (size_t i = 1; i < 300; i += 2)
        name[i] = '/';
    assert_int_equal(p2p_name_usable(name, 299, true, out), P2P_ERR_NAME);
}

/* For any input the result is a usable name, and a usable name is not changed. */
static void
random_bytes_become_usable(void **state)
{
    static const char *const bits[] = {
        "a",  "b",    ".",          " ",      "/",     "%2e",    ":",
        "\\", "\xc3", "\u200d",     "\u00e9", "con",   "nul",    "\x01",
        "~",  "\xff", "\U0001f600", "\u0301", "%",     "\u202e", "com1",
        "\t", "2f",   "\ufe0f",     "\u2026", "\uff0f"};
    uint32_t seed = 7;
    char name[400], out[P2P_NAME_MAX + 1];

    (void)state;
    for (int round = 0; round < 50000; round++) {
        size_t len = 0;
        for (int i = 0; i < round % 20; i++) {
            seed = seed * 1664525 + 1013904223;
            const char *bit = bits[(seed >> 20) % (sizeof(bits) / sizeof(bits[0]))];
            memcpy(name + len, bit, strlen(bit));
            len += strlen(bit);
        }
        name[len] = '\0';
        if (p2p_name_usable(name, len, true, out) != P2P_OK)
            fail_msg("no name for round %d", round);
        assert_int_equal(p2p_name_check(out, strlen(out), true), P2P_OK);
        if (p2p_name_check(name, len, true) == P2P_OK)
            assert_string_equal(out, name);
    }
}

/* The folders alone take all of the room or more: refused, and only an empty name is
 * written. */
static void
long_folders_leave_no_room(void **state)
{
    (void)state;
    for (size_t folder = P2P_NAME_MAX - 8; folder < P2P_NAME_MAX + 300; folder++) {
        char *name = malloc(folder + 2), *out = malloc(P2P_NAME_MAX + 1);

        assert_non_null(name);
        assert_non_null(out);
        memset(name, 'd', folder);
        for (size_t i = 200; i < folder; i += 200)
            name[i] = '/';
        memcpy(name + folder - 1, "/f", 3);
        if (folder + 5 <= P2P_NAME_MAX)
            assert_int_equal(p2p_name_numbered(name, 1, out), P2P_OK);
        else
            assert_int_equal(p2p_name_numbered(name, 1, out), P2P_ERR_NAME);
        assert_int_equal(strlen(out), folder + 5 <= P2P_NAME_MAX ? folder + 5 : 0);
        free(out);
        free(name);
    }
}

static void
sent_files_have_a_folder(void **state)
{
    static const char *const others[] = {
        "",
        "sent-",
        "sent-/a",
        "sent-1a2b3c4d",
        "sent-1a2b3c4d/",
        "sent-1a2b3c4/a",
        "sent-1a2b3c4d5/a",
        "sent-1A2B3C4D/a",
        "sent-1a2b3c4g/a",
        "Sent-1a2b3c4d/a",
        "x/sent-1a2b3c4d/a",
    };
    char folder[P2P_NAME_SENT_LEN + 1];

    (void)state;
    assert_string_equal(p2p_name_sent(0x1a2b3c4d, folder), "sent-1a2b3c4d/");
    assert_string_equal(p2p_name_sent(7, folder), "sent-00000007/");
    assert_int_equal(p2p_name_sent_len("sent-00000007/a/b"), P2P_NAME_SENT_LEN);
    assert_int_equal(p2p_name_sent_len("sent-ffffffff/x"), P2P_NAME_SENT_LEN);
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        assert_int_equal(p2p_name_sent_len(others[i]), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_refused),
        cmocka_unit_test(names_are_accepted),
        cmocka_unit_test(lengths_and_depths_have_limits),
        cmocka_unit_test(random_bytes_are_checked_safely),
        cmocka_unit_test(numbers_go_before_the_extension),
        cmocka_unit_test(a_usable_name_is_near),
        cmocka_unit_test(a_usable_name_is_cut_before_its_extension),
        cmocka_unit_test(random_bytes_become_usable),
        cmocka_unit_test(long_folders_leave_no_room),
        cmocka_unit_test(sent_files_have_a_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
