#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "p2p/bytes.h"
#include "p2p/log.h"

static void
assert_escaped(const char *text, size_t len, size_t cap, const char *want)
{
    char *out = malloc(cap), *exact = malloc(len > 0 ? len : 1);

    memcpy(exact, text, len);
    assert_ptr_equal(p2p_log_escape(exact, len, out, cap), out);
    assert_string_equal(out, want);
    free(out);
    free(exact);
}

static void
hostile_text_is_escaped(void **state)
{
    (void)state;
    assert_escaped("plain ä😀.txt", 16, 64, "plain ä😀.txt");
    assert_escaped("a\nb\r\t", 5, 64, "a\\x0ab\\x0d\\x09");
    assert_escaped("\x1b[31mred", 8, 64, "\\x1b[31mred");
    assert_escaped("\"\\", 2, 64, "\\x22\\x5c");
    assert_escaped("\xc2\x9b", 2, 64, "\\xc2\\x9b");          /* C1: CSI */
    assert_escaped("\xe2\x80\xae", 3, 64, "\\xe2\\x80\\xae"); /* U+202E */
    assert_escaped("\xff\xfe", 2, 64, "\\xff\\xfe");          /* not UTF-8 */
    assert_escaped("a\0b", 3, 64, "a\\x00b");
    assert_escaped("", 0, 64, "");
}

static void
long_text_is_clipped_within_the_buffer(void **state)
{
    char hostile[300];

    (void)state;
    assert_escaped("abcdefghij", 10, 8, "abcd...");
    memset(hostile, '\n', sizeof(hostile));
    for (size_t cap = 4; cap < 300; cap++) {
        char *out = malloc(cap);

        p2p_log_escape(hostile, sizeof(hostile), out, cap);
        assert_true(strlen(out) < cap);
        assert_non_null(strstr(out, "..."));
        free(out);
    }
    assert_string_equal(p2p_log_escape("abc", 3, hostile, 1), "");
    assert_string_equal(p2p_log_escape("abc", 3, NULL, 0), "");
}

static void
levels(void **state)
{
    enum p2p_log_level level;

    (void)state;
    assert_int_equal(p2p_log_parse_level("debug", &level), P2P_OK);
    assert_int_equal(level, P2P_LOG_DEBUG);
    assert_int_equal(p2p_log_parse_level("DEBUG", &level), P2P_ERR_USAGE);
    p2p_log_init("test", P2P_LOG_WARN);
    assert_true(p2p_log_is_on(P2P_LOG_ERROR));
    assert_true(p2p_log_is_on(P2P_LOG_WARN));
    assert_false(p2p_log_is_on(P2P_LOG_INFO));
}

static void
keep_line(void *arg, enum p2p_log_level level, const char *text)
{
    snprintf(arg, 64, "%d %s", (int)level, text);
}

static void
a_sink_sees_what_is_logged(void **state)
{
    char seen[64] = "";

    (void)state;
    p2p_log_init("test", P2P_LOG_WARN);
    p2p_log_set_sink(keep_line, seen);
    p2p_log_info("not this");
    assert_string_equal(seen, "");
    p2p_log_warn("a test line n=%d", 5);
    assert_string_equal(seen, "1 a test line n=5");
    p2p_log_set_sink(NULL, NULL);
    p2p_log_error("nobody listens");
    assert_string_equal(seen, "1 a test line n=5");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hostile_text_is_escaped),
        cmocka_unit_test(long_text_is_clipped_within_the_buffer),
        cmocka_unit_test(levels),
        cmocka_unit_test(a_sink_sees_what_is_logged),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
