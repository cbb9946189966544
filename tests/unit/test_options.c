#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "p2p/options.h"

struct sample {
    const char *host;
    uint64_t port, size, wait_ms;
    bool fast, careful;
    struct p2p_option_list urls;
};
#define AT(field) offsetof(struct sample, field)
static const struct p2p_option options[] = {
    {"host", P2P_OPT_TEXT, AT(host), 0, 0, "IP", "where to listen"},
    {"port", P2P_OPT_NUMBER, AT(port), 0, 65535, "PORT", "the port"},
    {"chunk-size", P2P_OPT_SIZE, AT(size), 16384, 1 << 24, "SIZE", "of a chunk"},
    {"wait", P2P_OPT_DURATION, AT(wait_ms), 0, 0, "TIME", "how long"},
    {"fast", P2P_OPT_FLAG, AT(fast), 0, 0, NULL, "be quick"},
    {"careful", P2P_OPT_FLAG, AT(careful), 0, 0, NULL, "be careful"},
    {"discovery", P2P_OPT_LIST, AT(urls), 0, 0, "URL", "a registry"},
};
static const struct p2p_option_set set = {"p2p-peer", "[options] NAME", "A test.",
                                          options,
                                          sizeof(options) / sizeof(options[0])};

static const struct sample defaults = {
    .host = "0.0.0.0",
    .port = 9000,
    .size = 1 << 20,
    .wait_ms = 30000,
    .careful = true,
    .urls = {{"http://default"}, 1},
};

struct parsed {
    struct sample got;
    struct p2p_options_text *text;
    char *argv[24];
    int arguments;
    enum p2p_err err;
};

/* Parses "words of a line"; '~' stands for a space within a word. */
static void
parse(struct parsed *p, const struct p2p_option_set *with, const char *line)
{
    static char copy[1024];
    int argc = 1;

    snprintf(copy, sizeof(copy), "%s", line);
    *p = (struct parsed){.got = defaults};
    p->argv[0] = (char *)(uintptr_t) "program";
    for (char *word = strtok(copy, " "); word != NULL; word = strtok(NULL, " "))
        p->argv[argc++] = word;
    p->err = p2p_options_parse(with, &p->got, argc, p->argv, &p->arguments, &p->text);
}

static void
write_config(char path[], const char *text)
{
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static void
flags_of_every_kind(void **state)
{
    struct parsed p;

    (void)state;
    parse(
        &p, &set,
        "one --host ::1 --port=0 two --chunk-size 64K --wait 250ms --fast --no-careful "
        "--discovery http://a --discovery=http://b -- --three");
    assert_int_equal(p.err, P2P_OK);
    assert_string_equal(p.got.host, "::1");
    assert_int_equal(p.got.port, 0);
    assert_int_equal(p.got.size, 65536);
    assert_int_equal(p.got.wait_ms, 250);
    assert_true(p.got.fast);
    assert_false(p.got.careful);
    assert_int_equal(p.got.urls.count, 2);
    assert_string_equal(p.got.urls.at[0], "http://a");
    assert_string_equal(p.got.urls.at[1], "http://b");
    assert_int_equal(p.arguments, 3);
    assert_string_equal(p.argv[1], "one");
    assert_string_equal(p.argv[2], "two");
    assert_string_equal(p.argv[3], "--three");
    p2p_options_free(p.text);
}

static void
defaults_stay(void **state)
{
    struct parsed p;

    (void)state;
    parse(&p, &set, "");
    assert_int_equal(p.err, P2P_OK);
    assert_memory_equal(&p.got, &defaults, sizeof(defaults));
    p2p_options_free(p.text);
}

static void
wrong_lines_are_usage(void **state)
{
    static const char *const lines[] = {
        "--nothing",
        "--port",
        "--port 65536",
        "--port -1",
        "--port 08",
        "--port 1x",
        "--port=",
        "-p 1",
        "--chunk-size 1K",
        "--chunk-size 1G",
        "--chunk-size 1X",
        "--wait soon",
        "--fast=perhaps",
        "--host --fast",
        "--no-host",
        "--no-port 1",
        "--log-level loud",
        "--config /does/not/exist",
        "--port 18446744073709551616",
        "--chunk-size 99999999999999T",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        struct parsed p;
        parse(&p, &set, lines[i]);
        if (p.err != P2P_ERR_USAGE)
            fail_msg("accepted: %s", lines[i]);
        assert_null(p.text);
    }
}

static void
help_and_version_end_it(void **state)
{
    struct parsed p;

    (void)state;
    parse(&p, &set, "--nothing --help");
    assert_int_equal(p.err, P2P_ERR_CANCELLED);
    parse(&p, &set, "--version");
    assert_int_equal(p.err, P2P_ERR_CANCELLED);
    parse(&p, &set, "-- --help");
    assert_int_equal(p.err, P2P_OK);
    p2p_options_free(p.text);
}

static void
environment_is_weaker_than_flags(void **state)
{
    struct parsed p;

    (void)state;
    setenv("P2P_PORT", "1234", 1);
    setenv("P2P_CHUNK_SIZE", "2M", 1);
    setenv("P2P_DISCOVERY", "http://x  http://y", 1);
    setenv("P2P_CAREFUL", "off", 1);
    setenv("P2P_HOST", "", 1);
    parse(&p, &set, "--port 77");
    assert_int_equal(p.err, P2P_OK);
    assert_int_equal(p.got.port, 77);
    assert_int_equal(p.got.size, 2 << 20);
    assert_int_equal(p.got.urls.count, 2);
    assert_string_equal(p.got.urls.at[1], "http://y");
    assert_false(p.got.careful);
    assert_string_equal(p.got.host, "0.0.0.0");
    p2p_options_free(p.text);
    setenv("P2P_PORT", "many", 1);
    parse(&p, &set, "");
    assert_int_equal(p.err, P2P_ERR_USAGE);
    unsetenv("P2P_PORT");
    unsetenv("P2P_CHUNK_SIZE");
    unsetenv("P2P_DISCOVERY");
    unsetenv("P2P_CAREFUL");
    unsetenv("P2P_HOST");
}

static void
file_is_weakest(void **state)
{
    char path[] = "/tmp/test-options-XXXXXX", line[64];
    struct parsed p;

    (void)state;
    write_config(path,
                 "\xef\xbb\xbf# everyone\nhost = 10.0.0.1\nrequire-pairing = "
                 "1\n\n[p2p-ui]\nport=1\n"
                 "nonsense = 2\n [p2p-peer] \r\n port =  5  \nwait=2m\n; a comment\n"
                 "discovery = http://one\ndiscovery = http://two\n");
    setenv("P2P_WAIT", "7", 1);
    snprintf(line, sizeof(line), "--config %s --discovery http://flag", path);
    parse(&p, &set, line);
    assert_int_equal(p.err, P2P_OK);
    assert_string_equal(p.got.host, "10.0.0.1");
    assert_int_equal(p.got.port, 5);
    assert_int_equal(p.got.wait_ms, 7000);
    assert_int_equal(p.got.urls.count, 1);
    assert_string_equal(p.got.urls.at[0], "http://flag");
    p2p_options_free(p.text);

    unsetenv("P2P_WAIT");
    setenv("P2P_CONFIG", path, 1);
    parse(&p, &set, "");
    assert_int_equal(p.err, P2P_OK);
    assert_int_equal(p.got.wait_ms, 120000);
    assert_int_equal(p.got.urls.count, 2);
    assert_string_equal(p.got.urls.at[0], "http://one");
    p2p_options_free(p.text);
    unsetenv("P2P_CONFIG");
    unlink(path);
}

static void
wrong_files_are_usage(void **state)
{
    static const char *const texts[] = {
        "[p2p-peer]\nprot = 1\n",
        "port\n",
        "port = x\n",
        "[p2p-peer]\nhelp\n",
        "port =\n",
        /* names that no program has, in any spelling */
        "requre-pairing = yes\n",
        "PORT = 1\n",
        "--port = 1\n",
        "\xc2\xa0port = 1\n",
        "port\xc2\xa0= 1\n",
        "host = \xc2\xa0::1\n",
        "host = ::1\xe2\x80\x8b\n",
        "host = ::1\xe3\x80\x80\n",
        "no-host = yes\n",
        "no-port = 1\n",
        "no-careful = perhaps\n",
        /* sections of nobody */
        "[ui]\nport = 1\n",
        "[p2p_ui]\n",
        "[P2P-UI]\n",
        "[p2p fetch]\n",
        "[]\n",
        /* what a file cannot say */
        "config = other\n",
        "help = yes\n",
        "[p2p-peer]\nversion = yes\n",
        "host = \xff\n",
        "\xef\xbb\xbf\xef\xbb\xbfport = 1\n",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        char path[] = "/tmp/test-options-XXXXXX", line[64];
        struct parsed p;
        write_config(path, texts[i]);
        snprintf(line, sizeof(line), "--config %s", path);
        parse(&p, &set, line);
        unlink(path);
        if (p.err != P2P_ERR_USAGE)
            fail_msg("accepted: %s", texts[i]);
    }
}

static void
a_flag_is_turned_off_everywhere(void **state)
{
    char path[] = "/tmp/test-options-XXXXXX", line[64];
    struct parsed p;

    (void)state;
    parse(&p, &set, "--no-careful=no --no-fast=no");
    assert_int_equal(p.err, P2P_OK);
    assert_true(p.got.careful && p.got.fast);
    p2p_options_free(p.text);

    write_config(path, "no-careful = yes\n[p2p-peer]\nno-fast = off\n");
    snprintf(line, sizeof(line), "--config %s", path);
    parse(&p, &set, line);
    assert_int_equal(p.err, P2P_OK);
    assert_false(p.got.careful);
    assert_true(p.got.fast);
    p2p_options_free(p.text);

    setenv("P2P_NO_FAST", "1", 1);
    parse(&p, &set, line);
    assert_int_equal(p.err, P2P_OK);
    assert_false(p.got.fast);
    p2p_options_free(p.text);
    setenv("P2P_FAST", "1", 1); /* ambiguous: which of the two is meant? */
    parse(&p, &set, line);
    assert_int_equal(p.err, P2P_ERR_USAGE);
    unsetenv("P2P_FAST");
    unsetenv("P2P_NO_FAST");
    unlink(path);
}

static void
a_variable_that_is_nearly_one_is_usage(void **state)
{
    static const char *const wrong[] = {"P2P_REQURE_PAIRING", "P2P_Port",
                                        "P2P_LOG_LEVEl", "P2P_KEY_DIR", "p2p_HOST"};
    static const char *const others[] = {"P2P_UI_SERVICE_HOST",
                                         "P2P_PASSPHRASE_FD",
                                         "P2P_NO_MDNS",
                                         "P2P_SAVE_AS",
                                         "P2P_XY",
                                         "P2PX"};
    struct parsed p;

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        setenv(wrong[i], "1", 1);
        parse(&p, &set, "");
        if (p.err != P2P_ERR_USAGE)
            fail_msg("accepted: %s", wrong[i]);
        unsetenv(wrong[i]);
    }
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        setenv(others[i], "1", 1);
        parse(&p, &set, "");
        if (p.err != P2P_OK)
            fail_msg("refused: %s", others[i]);
        p2p_options_free(p.text);
        unsetenv(others[i]);
    }
}

static void
a_section_of_the_program_serves_its_commands(void **state)
{
    static const struct p2p_option_set get = {"p2p get", "NAME", "Get.", options,
                                              sizeof(options) / sizeof(options[0])};
    char path[] = "/tmp/test-options-XXXXXX", line[64];
    struct parsed p;

    (void)state;
    write_config(path, "[p2p]\nhost = h\nsave-as = 1\n[p2p get]\nport = 8\n");
    snprintf(line, sizeof(line), "--config %s", path);
    parse(&p, &get, line);
    unlink(path);
    assert_int_equal(p.err, P2P_OK);
    assert_string_equal(p.got.host, "h");
    assert_int_equal(p.got.port, 8);
    p2p_options_free(p.text);
}

static void
too_long_a_list_is_usage(void **state)
{
    char words[P2P_OPTION_LIST_MAX * 8 + 16] = "";
    struct p2p_options_text *text;
    struct sample got = defaults;
    char *argv[P2P_OPTION_LIST_MAX + 3];
    int argc = 1, arguments;

    (void)state;
    strcpy(words, "--discovery=x");
    for (; argc < P2P_OPTION_LIST_MAX + 2; argc++)
        argv[argc] = words;
    argv[0] = words;
    assert_int_equal(p2p_options_parse(&set, &got, argc, argv, &arguments, &text),
                     P2P_ERR_USAGE);
}

static void
sizes_and_durations(void **state)
{
    static const struct {
        const char *text;
        uint64_t value;
    } sizes[] = {{"0", 0},
                 {"off", 0},
                 {"1", 1},
                 {"1k", 1024},
                 {"3MiB", 3ull << 20},
                 {"2G", 2ull << 30},
                 {"5tb", 5ull << 40},
                 {"18446744073709551615", UINT64_MAX}},
      times[] = {{"0", 0},        {"30", 30000},  {"30s", 30000},  {"5m", 300000},
                 {"2h", 7200000}, {"250ms", 250}, {"1d", 86400000}};
    static const char *const wrong[] = {"",
                                        "-1",
                                        "+1",
                                        " 1",
                                        "1 ",
                                        "1.5M",
                                        "M",
                                        "0x10",
                                        "01",
                                        "1KK",
                                        "18446744073709551616",
                                        "17179869184G"};
    uint64_t value;

    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        assert_int_equal(p2p_size_parse(sizes[i].text, &value), P2P_OK);
        assert_int_equal(value, sizes[i].value);
    }
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        assert_int_equal(p2p_duration_parse(times[i].text, &value), P2P_OK);
        assert_int_equal(value, times[i].value);
    }
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_not_equal(p2p_size_parse(wrong[i], &value), P2P_OK);
        assert_int_equal(value, 0);
    }
    assert_int_equal(p2p_duration_parse("off", &value), P2P_ERR_USAGE);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flags_of_every_kind),
        cmocka_unit_test(defaults_stay),
        cmocka_unit_test(wrong_lines_are_usage),
        cmocka_unit_test(help_and_version_end_it),
        cmocka_unit_test(environment_is_weaker_than_flags),
        cmocka_unit_test(file_is_weakest),
        cmocka_unit_test(wrong_files_are_usage),
        cmocka_unit_test(a_flag_is_turned_off_everywhere),
        cmocka_unit_test(a_variable_that_is_nearly_one_is_usage),
        cmocka_unit_test(a_section_of_the_program_serves_its_commands),
        cmocka_unit_test(too_long_a_list_is_usage),
        cmocka_unit_test(sizes_and_durations),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
