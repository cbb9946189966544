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

#include "core/base/log_line.h"
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

/* ---- Lines ---- */

static const struct p2p_log_event event = {
    .time = {1700000000, 123456789},
    .level = P2P_LOG_WARN,
    .program = "p2p-test",
};

static void
assert_line(const char *text, enum p2p_log_format format, bool for_journal,
            const char *want)
{
    struct p2p_log_event e = event;
    char out[P2P_LOG_LINE_MAX];

    e.text = text;
    assert_int_equal(p2p_log_line(&e, format, for_journal, out, sizeof(out)),
                     strlen(want));
    assert_string_equal(out, want);
}

#define JSON_HEAD                                                \
    "{\"time\":\"2023-11-14T22:13:20.123Z\",\"level\":\"warn\"," \
    "\"program\":\"p2p-test\",\"message\":"

static void
a_text_line_has_time_level_and_program(void **state)
{
    struct p2p_log_event notice = event;
    char out[256];

    (void)state;
    assert_line("lost n=5", P2P_LOG_TEXT, false,
                "2023-11-14T22:13:20.123Z warn p2p-test: lost n=5\n");
    assert_line("two\nlines\x01", P2P_LOG_TEXT, false,
                "2023-11-14T22:13:20.123Z warn p2p-test: two lines \n");
    notice.text = "run it";
    notice.is_notice = true;
    (void)p2p_log_line(&notice, P2P_LOG_TEXT, false, out, sizeof(out));
    assert_string_equal(out, "p2p-test: run it\n");
}

static void
a_line_for_the_journal_has_a_priority(void **state)
{
    static const char *const want[] = {"<3>x\n", "<4>x\n", "<6>x\n", "<7>x\n"};
    struct p2p_log_event e = event;
    char out[256];

    (void)state;
    e.text = "x";
    for (unsigned level = P2P_LOG_ERROR; level <= P2P_LOG_DEBUG; level++) {
        e.level = (enum p2p_log_level)level;
        (void)p2p_log_line(&e, P2P_LOG_TEXT, true, out, sizeof(out));
        assert_string_equal(out, want[level]);
    }
    assert_line("forged\n<2>line", P2P_LOG_TEXT, true, "<4>forged <2>line\n");
    assert_line("lost", P2P_LOG_JSON, true, "<4>" JSON_HEAD "\"lost\"}\n");
}

static void
json_keeps_the_fields_apart(void **state)
{
    (void)state;
    assert_line("lost", P2P_LOG_JSON, false, JSON_HEAD "\"lost\"}\n");
    assert_line("lost n=5 why=\"a b=c\"", P2P_LOG_JSON, false,
                JSON_HEAD "\"lost\",\"fields\":{\"n\":\"5\",\"why\":\"a b=c\"}}\n");
    assert_line("n=5", P2P_LOG_JSON, false,
                JSON_HEAD "\"\",\"fields\":{\"n\":\"5\"}}\n");
    assert_line("empty n= m=\"\"", P2P_LOG_JSON, false,
                JSON_HEAD "\"empty\",\"fields\":{\"n\":\"\",\"m\":\"\"}}\n");
    /* Not at the end, in upper case, not closed: these stay in the message. */
    assert_line("n=5 lost", P2P_LOG_JSON, false, JSON_HEAD "\"n=5 lost\"}\n");
    assert_line("raise LimitNOFILE=9", P2P_LOG_JSON, false,
                JSON_HEAD "\"raise LimitNOFILE=9\"}\n");
    assert_line("lost n=\"5", P2P_LOG_JSON, false, JSON_HEAD "\"lost n=\\u00225\"}\n");
    assert_line("", P2P_LOG_JSON, false, JSON_HEAD "\"\"}\n");
}

static void
json_escapes_hostile_text(void **state)
{
    (void)state;
    assert_line("a\"b\\c\nd\x1b\x7f", P2P_LOG_JSON, false,
                JSON_HEAD "\"a\\u0022b\\u005cc\\u000ad\\u001b\\u007f\"}\n");
    assert_line("\xc3\xa4\xff.", P2P_LOG_JSON, false,
                JSON_HEAD "\"\xc3\xa4\xef\xbf\xbd.\"}\n");
}

static void
a_long_line_is_cut_within_the_buffer(void **state)
{
    struct p2p_log_event e = event;
    char text[2048];

    (void)state;
    memset(text, 1, sizeof(text));
    text[sizeof(text) - 1] = '\0';
    e.text = text;
    for (size_t cap = 8; cap < 400; cap++) {
        for (unsigned format = P2P_LOG_TEXT; format <= P2P_LOG_JSON; format++) {
            char *out = malloc(cap);
            size_t len = p2p_log_line(&e, (enum p2p_log_format)format, true, out, cap);

            assert_int_equal(len, cap - 1);
            assert_int_equal(strlen(out), len);
            assert_int_equal(out[len - 1], '\n');
            free(out);
        }
    }
    char *whole = malloc(P2P_LOG_LINE_MAX);
    size_t len = p2p_log_line(&e, P2P_LOG_JSON, true, whole, P2P_LOG_LINE_MAX);
    assert_string_equal(whole + len - 3, "\"}\n"); /* there is room for the longest */
    free(whole);
}

static void
formats(void **state)
{
    enum p2p_log_format format;

    (void)state;
    assert_int_equal(p2p_log_parse_format("json", &format), P2P_OK);
    assert_int_equal(format, P2P_LOG_JSON);
    assert_string_equal(p2p_log_format_name(format), "json");
    assert_int_equal(p2p_log_parse_format("text", &format), P2P_OK);
    assert_int_equal(format, P2P_LOG_TEXT);
    assert_int_equal(p2p_log_parse_format("JSON", &format), P2P_ERR_USAGE);
    assert_int_equal(p2p_log_parse_format("", &format), P2P_ERR_USAGE);
}

static void
the_journal_is_recognized_by_its_inode(void **state)
{
    char own[64];
    struct stat st;

    (void)state;
    assert_int_equal(fstat(STDERR_FILENO, &st), 0);
    snprintf(own, sizeof(own), "%llu:%llu", (unsigned long long)st.st_dev,
             (unsigned long long)st.st_ino);
    setenv("JOURNAL_STREAM", own, 1);
    p2p_log_init("test", P2P_LOG_WARN);
    assert_true(p2p_log_is_journal());
    setenv("JOURNAL_STREAM", "8:1", 1); /* inherited by a program with another stderr */
    p2p_log_init("test", P2P_LOG_WARN);
    assert_false(p2p_log_is_journal());
    unsetenv("JOURNAL_STREAM");
    p2p_log_init("test", P2P_LOG_WARN);
    assert_false(p2p_log_is_journal());
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hostile_text_is_escaped),
        cmocka_unit_test(long_text_is_clipped_within_the_buffer),
        cmocka_unit_test(levels),
        cmocka_unit_test(a_sink_sees_what_is_logged),
        cmocka_unit_test(a_text_line_has_time_level_and_program),
        cmocka_unit_test(a_line_for_the_journal_has_a_priority),
        cmocka_unit_test(json_keeps_the_fields_apart),
        cmocka_unit_test(json_escapes_hostile_text),
        cmocka_unit_test(a_long_line_is_cut_within_the_buffer),
        cmocka_unit_test(formats),
        cmocka_unit_test(the_journal_is_recognized_by_its_inode),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
