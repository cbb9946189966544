/* Options that are read again: which change, which stay, and the return to the old
 * ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "p2p/log.h"
#include "p2p/reload.h"

struct sample {
    const char *host, *name;
    struct p2p_option_list many;
    bool flag;
    uint64_t number, size, time;
};

#define AT(field) offsetof(struct sample, field)
static const struct p2p_option table[] = {
    {"host", P2P_OPT_TEXT, AT(host), 0, 0, "ADDRESS", "x"},
    {"name", P2P_OPT_TEXT, AT(name), 0, 0, "NAME", "x"},
    {"discovery", P2P_OPT_LIST, AT(many), 0, 0, "URL", "x"},
    {"mdns", P2P_OPT_FLAG, AT(flag), 0, 0, NULL, "x"},
    {"threads", P2P_OPT_NUMBER, AT(number), 0, 100, "N", "x"},
    {"max-memory", P2P_OPT_SIZE, AT(size), 0, 0, "SIZE", "x"},
    {"timeout", P2P_OPT_DURATION, AT(time), 0, 0, "TIME", "x"},
};
static const struct p2p_option_set set = {
    .program = "p2p-test",
    .usage = "",
    .summary = "x",
    .options = table,
    .count = sizeof(table) / sizeof(table[0]),
};
static const char *const live[] = {"name",       "mdns",    "threads",
                                   "max-memory", "timeout", NULL};
static const char *const fixed[] = {"host", "discovery", NULL};

static char file[] = "/tmp/p2p-settings-XXXXXX";
static struct sample now;
static struct p2p_options_text *text;
static char last[4096]; /* the log lines */

static void
sink(void *arg, enum p2p_log_level level, const char *line)
{
    size_t used = strlen(last);

    (void)arg, (void)level;
    snprintf(last + used, sizeof(last) - used, "%s\n", line);
}

static enum p2p_err
parse(void *arg, void *fresh, struct p2p_options_text **out)
{
    static const struct sample defaults = {
        .host = "here", .number = 1, .size = 2, .time = 3};
    char *argv[] = {"p2p-test", "--config", file, NULL};
    struct sample *sample = fresh;
    int arguments;

    (void)arg;
    *sample = defaults;
    return p2p_options_parse(&set, sample, 3, argv, &arguments, out);
}

static struct p2p_reload settings = {
    .set = &set,
    .live = live,
    .fixed = fixed,
    .target = &now,
    .size = sizeof(now),
    .text = &text,
    .parse = parse,
};

static void
write_file(const char *content)
{
    FILE *out = fopen(file, "w");

    assert_non_null(out);
    fputs(content, out);
    assert_int_equal(fclose(out), 0);
}

static enum p2p_err
read_again(const char *content, struct p2p_reload_news *news)
{
    write_file(content);
    last[0] = '\0';
    return p2p_reload_read(&settings, news);
}

static int
begin(void **state)
{
    (void)state;
    write_file("");
    return parse(NULL, &now, &text) == P2P_OK ? 0 : -1;
}

static int
end(void **state)
{
    (void)state;
    p2p_reload_accept(&settings);
    p2p_options_free(text);
    text = NULL;
    return 0;
}

static void
nothing_has_changed(void **state)
{
    struct p2p_reload_news news;

    (void)state;
    assert_int_equal(read_again("# no more\n", &news), P2P_OK);
    assert_false(news.needs_process);
    assert_string_equal(news.live, "");
    assert_string_equal(last, "settings: read again, nothing to change\n");
}

/* The other process has the old state, as after a fork. */
static void
live_options_reach_the_other_process(void **state)
{
    struct sample other = now;
    struct p2p_options_text *other_text = NULL;
    struct p2p_reload there = settings;
    struct p2p_reload_news news;

    (void)state;
    assert_int_equal(parse(NULL, &other, &other_text), P2P_OK);
    there.target = &other;
    there.text = &other_text;
    assert_int_equal(
        read_again("name = a = b\nmdns = yes\nthreads = 7\nmax-memory = 1M\n"
                   "timeout = 2m\nlog-level = debug\n",
                   &news),
        P2P_OK);
    assert_false(news.needs_process);
    assert_true(p2p_reload_take(&there, news.live));
    assert_string_equal(other.name, "a = b");
    assert_true(other.flag);
    assert_int_equal(other.number, 7);
    assert_int_equal(other.size, 1 << 20);
    assert_int_equal(other.time, 120000);
    assert_true(p2p_log_is_on(P2P_LOG_DEBUG));
    assert_string_equal(now.name, "a = b");
    p2p_options_free(other_text);
}

static void
fixed_options_stay(void **state)
{
    struct p2p_reload_news news;

    (void)state;
    assert_int_equal(read_again("host = there\ndiscovery = http://x\n", &news), P2P_OK);
    assert_false(news.needs_process);
    assert_string_equal(now.host, "here");
    assert_int_equal(now.many.count, 0);
    assert_non_null(strstr(last, "--host cannot change while p2p-test runs"));
    assert_non_null(strstr(last, "--discovery cannot change while p2p-test runs"));
    /* and once more: values that stay are not lost with their old text */
    assert_int_equal(read_again("host = elsewhere\nname = n\n", &news), P2P_OK);
    assert_string_equal(now.host, "here");
    assert_string_equal(now.name, "n");
}

static void
a_text_that_is_taken_away_needs_a_process(void **state)
{
    struct p2p_reload_news news;

    (void)state;
    assert_int_equal(read_again("name = n\n", &news), P2P_OK);
    assert_false(news.needs_process);
    assert_int_equal(read_again("", &news), P2P_OK);
    assert_true(news.needs_process);
    assert_null(now.name);
}

static void
what_is_wrong_changes_nothing(void **state)
{
    static const char *const wrong[] = {
        "name = n\nthreads = 101\n", "name = n\nthraeds = 1\n",
        "name = n\nlog-level = x\n", "name = n\n[x\n",
        "name = n\n\xff\n",
    };
    struct p2p_reload_news news;

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_equal(read_again(wrong[i], &news), P2P_ERR_USAGE);
        assert_null(now.name);
        assert_string_equal(news.live, "");
        assert_non_null(strstr(last, file));
        assert_non_null(strstr(last, "settings: nothing was changed"));
    }
}

static void
the_former_settings_come_back(void **state)
{
    static const char *const only_name[] = {"name", NULL};
    struct p2p_reload_news news;

    (void)state;
    settings.live = only_name;
    assert_int_equal(read_again("name = known\n", &news), P2P_OK);
    assert_false(p2p_reload_go_back(&settings));
    assert_int_equal(read_again("name = new\nthreads = 5\n", &news), P2P_OK);
    assert_true(news.needs_process);
    /* a second change before the first one has proved that it works */
    assert_int_equal(read_again("name = newer\nthreads = 6\n", &news), P2P_OK);
    assert_true(p2p_reload_go_back(&settings));
    assert_string_equal(now.name, "known");
    assert_int_equal(now.number, 1);
    assert_false(p2p_reload_go_back(&settings));

    assert_int_equal(read_again("threads = 7\nname = good\n", &news), P2P_OK);
    p2p_reload_accept(&settings);
    assert_false(p2p_reload_go_back(&settings));
    assert_string_equal(now.name, "good");
    settings.live = live;
}

/* Only the parent sends changes to the child; even so, it accepts live options only. */
static void
other_lines_are_refused(void **state)
{
    static const char *const wrong[] = {
        "host=x\n",   "name\n",           "nothing=1\n", "threads=101\n",
        "threads=\n", "log-level=loud\n", "config=x\n",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_false(p2p_reload_take(&settings, wrong[i]));
    assert_true(p2p_reload_take(&settings, ""));
    assert_string_equal(now.host, "here");
    assert_int_equal(now.number, 1);
}

static bool
is_due(const char *content)
{
    write_file(content);
    last[0] = '\0';
    return p2p_reload_is_due(&settings);
}

static void
followed_options_are_noticed(void **state)
{
    static const char *const follow[] = {"threads", NULL};

    (void)state;
    assert_false(p2p_reload_is_due(&settings)); /* nothing is followed */
    settings.follow = follow;
    assert_false(p2p_reload_is_due(&settings)); /* the first look */
    assert_false(is_due("max-memory = 2M\n"));        /* another option */
    assert_false(is_due("threads = x\n"));       /* a mistake */
    assert_non_null(strstr(last, "threads"));
    assert_true(is_due("threads = 17\nmax-memory = 2M\n"));
    last[0] = '\0';
    assert_false(p2p_reload_is_due(&settings)); /* one look for each file */
    assert_int_equal(now.number, 1);            /* nothing was taken */
    assert_int_equal(remove(file), 0);
    assert_false(p2p_reload_is_due(&settings));
    assert_string_equal(last, "");
    settings.follow = NULL;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_has_changed, begin, end),
        cmocka_unit_test_setup_teardown(live_options_reach_the_other_process, begin,
                                        end),
        cmocka_unit_test_setup_teardown(fixed_options_stay, begin, end),
        cmocka_unit_test_setup_teardown(a_text_that_is_taken_away_needs_a_process,
                                        begin, end),
        cmocka_unit_test_setup_teardown(what_is_wrong_changes_nothing, begin, end),
        cmocka_unit_test_setup_teardown(the_former_settings_come_back, begin, end),
        cmocka_unit_test_setup_teardown(other_lines_are_refused, begin, end),
        cmocka_unit_test_setup_teardown(followed_options_are_noticed, begin, end),
    };
    int fd = mkstemp(file), failed;

    if (fd < 0)
        return 1;
    close(fd);
    p2p_log_init("p2p-test", P2P_LOG_INFO);
    p2p_log_set_sink(sink, NULL);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(file);
    return failed;
}
