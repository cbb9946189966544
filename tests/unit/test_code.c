/* Codes: the list of words, reading, writing, completing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "p2p/code.h"
#include "p2p/crypto.h"

static void
words_are_sorted_and_differ_early(void **state)
{
    (void)state;
    for (unsigned i = 0; i < P2P_CODE_WORDS; i++) {
        const char *word = p2p_code_word((uint8_t)i);
        assert_in_range(strlen(word), 4, P2P_CODE_WORD_MAX);
        assert_int_equal(strspn(word, "abcdefghijklmnopqrstuvwxyz"), strlen(word));
        if (i > 0)
            assert_true(
                strncmp(p2p_code_word((uint8_t)(i - 1)), word, P2P_CODE_PREFIX) < 0);
    }
}

static void
assert_code(const char *text, const char *want, const char *registry)
{
    char shown[P2P_CODE_TEXT], why[256] = "";
    struct p2p_code code;

    if (p2p_code_parse(text, &code, why, sizeof(why)) != P2P_OK)
        fail_msg("%s: %s", text, why);
    assert_string_equal(p2p_code_format(&code, shown), want);
    assert_string_equal(code.registry, registry);
}

static void
reads_what_people_write(void **state)
{
    (void)state;
    assert_code("7-guitar-tiger", "7-guitar-tiger", "");
    assert_code("7 Guitar TIGER", "7-guitar-tiger", "");
    assert_code(" 7 - gui -- tig ", "7-guitar-tiger", "");
    assert_code("7_guita_tige", "7-guitar-tiger", "");
    assert_code("999999-acorn-acorn", "999999-acorn-acorn", "");
    assert_code("7-gui-tig@p2p.example.org", "7-guitar-tiger@p2p.example.org",
                "https://p2p.example.org");
    assert_code("7-gui-tig@192.168.1.5:8000", "7-guitar-tiger@192.168.1.5:8000",
                "http://192.168.1.5:8000");
    assert_code("7-gui-tig@[fd00::1]:8000", "7-guitar-tiger@[fd00::1]:8000",
                "http://[fd00::1]:8000");
    assert_code("7-gui-tig@https://a.example:8443",
                "7-guitar-tiger@https://a.example:8443", "https://a.example:8443");
    assert_code("7-gui-tig@http://a.example", "7-guitar-tiger@http://a.example",
                "http://a.example");
}

static void
assert_wrong(const char *text, const char *part)
{
    char why[256] = "";
    struct p2p_code code;

    assert_int_equal(p2p_code_parse(text, &code, why, sizeof(why)), P2P_ERR_USAGE);
    if (strstr(why, part) == NULL)
        fail_msg("%s: %s", text, why);
}

static void
says_what_is_wrong(void **state)
{
    (void)state;
    assert_wrong("", "two words");
    assert_wrong("-", "two words");
    assert_wrong("7", "two words");
    assert_wrong("7-guitar", "two words");
    assert_wrong("7-guitar-tiger-acorn", "two words");
    assert_wrong("7-guitar-t\xc3\xadger", "two words");
    assert_wrong("7/guitar/tiger", "two words");
    assert_wrong("guitar-tiger-7", "number");
    assert_wrong("0-guitar-tiger", "number");
    assert_wrong("07-guitar-tiger", "number");
    assert_wrong("1000000-guitar-tiger", "number");
    assert_wrong("7-gitar-tiger", "\"guitar\" is");
    assert_wrong("7-guitar-tyger", "\"tiger\" is");
    assert_wrong("7-guitars-tiger", "\"guitar\" is");
    assert_wrong("7-xylophone-tiger", "is not a word");
    assert_wrong("7-gu-tiger", "first three letters");
    assert_wrong("7-guitar-tiger@", "registry");
    assert_wrong("7-guitar-tiger@a b", "registry");
    assert_wrong("7-guitar-tiger@ftp://a.example", "registry");
    /* Very long: refused, and nothing is written behind the buffers. */
    char text[1200];
    memset(text, 'a', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    assert_wrong(text, "two words");
    memcpy(text, "7-guitar-tiger@", 15);
    assert_wrong(text, "registry");
}

static void
knows_what_may_be_a_code(void **state)
{
    (void)state;
    assert_true(p2p_code_is_meant("7-guitar-tiger"));
    assert_true(p2p_code_is_meant("12 gitar"));
    assert_false(p2p_code_is_meant("photo.jpg"));
    assert_false(p2p_code_is_meant("7"));
    assert_false(p2p_code_is_meant("7-"));
    assert_false(p2p_code_is_meant("7-8"));
    assert_false(p2p_code_is_meant("2026.zip"));
    assert_false(p2p_code_is_meant(""));
}

static void
new_codes_differ(void **state)
{
    unsigned same = 0;

    (void)state;
    for (unsigned i = 0; i < 64; i++) {
        struct p2p_code a, b;
        assert_int_equal(p2p_code_make(7, &a), P2P_OK);
        assert_int_equal(p2p_code_make(7, &b), P2P_OK);
        assert_int_equal(a.number, 7);
        same += memcmp(a.words, b.words, sizeof(a.words)) == 0;
    }
    assert_true(same < 4);
}

struct found {
    unsigned count;
    char last[P2P_CODE_TEXT];
};

static void
keep(void *arg, const char *text)
{
    struct found *found = arg;

    found->count++;
    snprintf(found->last, sizeof(found->last), "%s", text);
}

static struct found
complete(const char *text)
{
    struct found found = {0};

    p2p_code_complete(text, keep, &found);
    return found;
}

static void
completes_words(void **state)
{
    (void)state;
    assert_string_equal(complete("7-gui").last, "7-guitar-");
    assert_string_equal(complete("7-guitar-ti").last, "7-guitar-tiger");
    assert_string_equal(complete("7-guitar-TIG").last, "7-guitar-tiger");
    assert_int_equal(complete("7-").count, P2P_CODE_WORDS);
    assert_int_equal(complete("7-guitar-").count, P2P_CODE_WORDS);
    assert_int_equal(complete("").count, 0);
    assert_int_equal(complete("7").count, 0);
    assert_int_equal(complete("x-").count, 0);
    assert_int_equal(complete("7-guitar-tiger-").count, 0);
    assert_int_equal(complete("7-guitar-tiger@").count, 0);
    assert_int_equal(complete("7-zzz").count, 0);
}

static void
an_id_has_words_to_compare(void **state)
{
    struct p2p_id id = {.b = {0, 1, 2, 255, 4, 5, 6, 7, 8}}, other = id;
    char text[P2P_CODE_ID_TEXT], again[P2P_CODE_ID_TEXT],
        want[P2P_CODE_ID_TEXT + 8] = "";

    (void)state;
    for (size_t i = 0; i < P2P_CODE_ID_WORDS; i++) {
        strcat(want, i > 0 ? " " : "");
        strcat(want, p2p_code_word(id.b[i]));
    }
    assert_string_equal(p2p_code_id_words(&id, text), want);
    other.b[7] ^= 1;
    assert_string_not_equal(p2p_code_id_words(&other, again), want);
    other = id;
    other.b[8] ^= 1; /* beyond the words */
    assert_string_equal(p2p_code_id_words(&other, again), want);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_sorted_and_differ_early),
        cmocka_unit_test(an_id_has_words_to_compare),
        cmocka_unit_test(reads_what_people_write),
        cmocka_unit_test(says_what_is_wrong),
        cmocka_unit_test(knows_what_may_be_a_code),
        cmocka_unit_test(new_codes_differ),
        cmocka_unit_test(completes_words),
    };

    return p2p_crypto_init() == P2P_OK ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
