/* settings: changes a configuration file and keeps what the owner wrote. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "p2p/settings.h"

static char folder[64], path[80];

static int
begin(void **state)
{
    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/p2p-settings-XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(path, sizeof(path), "%s/p2p.conf", folder);
    return 0;
}

static int
end(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

static void
write_text(const char *text, size_t len)
{
    FILE *out = fopen(path, "w");

    assert_non_null(out);
    assert_int_equal(fwrite(text, 1, len, out), len);
    assert_int_equal(fclose(out), 0);
}

static void
assert_text(const char *wanted)
{
    char text[1024];
    FILE *in = fopen(path, "r");
    size_t len;

    assert_non_null(in);
    len = fread(text, 1, sizeof(text) - 1, in);
    fclose(in);
    text[len] = '\0';
    assert_string_equal(text, wanted);
}

static void
set(const char *before, const char *section, const char *name,
    const char *const *values, size_t count)
{
    struct p2p_settings *s;

    write_text(before, strlen(before));
    assert_int_equal(p2p_settings_open(path, &s), P2P_OK);
    assert_int_equal(p2p_settings_set(s, section, name, values, count), P2P_OK);
    assert_int_equal(p2p_settings_save(s), P2P_OK);
    p2p_settings_close(s);
}

#define ONE(text) ((const char *const[]){text}), 1

static void
a_value_takes_the_place_of_the_old_one(void **state)
{
    (void)state;
    set("# mine\nport = 1\n\n[p2p-ui]\nport = 2 \n", "", "port", ONE("7"));
    assert_text("# mine\nport = 7\n\n[p2p-ui]\nport = 2\n");
    set("port=1\nhost = a\nport=2\n", "", "port", ONE("7"));
    assert_text("port = 7\nhost = a\n");
}

static void
a_new_value_joins_its_section(void **state)
{
    (void)state;
    set("", "", "name", ONE("Küche"));
    assert_text("name = Küche\n");
    set("[p2p-ui]\nport = 2\n", "", "name", ONE("x"));
    assert_text("name = x\n[p2p-ui]\nport = 2\n");
    set("[p2p-ui]\nport = 2\n\n[p2p-peer]\nport = 3", "p2p-ui", "name", ONE("x"));
    assert_text("[p2p-ui]\nport = 2\nname = x\n\n[p2p-peer]\nport = 3\n");
    set("port = 2\n", "p2p get", "any", ONE("yes"));
    assert_text("port = 2\n\n[p2p get]\nany = yes\n");
}

static void
lists_and_nothing_at_all(void **state)
{
    static const char *const two[] = {"http://a:1", "http://b:2"};

    (void)state;
    set("discovery = http://c\nname = x\n", "", "discovery", two, 2);
    assert_text("discovery = http://a:1\ndiscovery = http://b:2\nname = x\n");
    set("discovery = http://c\nname = x\n", "", "discovery", NULL, 0);
    assert_text("name = x\n");
    set("name = x\n", "p2p-ui", "discovery", NULL, 0);
    assert_text("name = x\n");
}

static void
collect(void *arg, const char *section, const char *name, const char *value)
{
    char *all = arg;
    size_t len = strlen(all);

    snprintf(all + len, 512 - len, "%s.%s=%s;", section, name, value);
}

static void
what_stands_there_is_read_as_programs_read_it(void **state)
{
    static const char text[] = "\xef\xbb\xbfname = a = b \r\n;no = 1\n # no = 1\n\n"
                               "  [ p2p-ui ]\nport=2\nempty =\nno line\n";
    const char *values[2] = {NULL};
    char all[512] = "";
    struct p2p_settings *s;

    (void)state;
    write_text(text, sizeof(text) - 1);
    assert_int_equal(p2p_settings_open(path, &s), P2P_OK);
    p2p_settings_each(s, collect, all);
    assert_string_equal(all, ".name=a = b;p2p-ui.port=2;p2p-ui.empty=;");
    assert_int_equal(p2p_settings_get(s, "p2p-ui", "port", values, 2), 1);
    assert_string_equal(values[0], "2");
    assert_int_equal(p2p_settings_get(s, "", "port", values, 2), 0);
    assert_int_equal(p2p_settings_get(s, "", "no", values, 2), 0);
    p2p_settings_close(s);
}

static void
values_that_would_be_read_otherwise_are_refused(void **state)
{
    static const char *const bad[] = {"a\nb", "a\rb", " a", "a ", "\xff"};
    struct p2p_settings *s;

    (void)state;
    write_text("name = x\n", 9);
    assert_int_equal(p2p_settings_open(path, &s), P2P_OK);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(p2p_settings_set(s, "", "name", &bad[i], 1), P2P_ERR_USAGE);
    assert_int_equal(p2p_settings_save(s), P2P_OK);
    p2p_settings_close(s);
    assert_text("name = x\n");
}

static void
only_text_of_a_reasonable_size_is_read(void **state)
{
    static char large[256 * 1024 + 1];
    struct p2p_settings *s;

    (void)state;
    write_text("a = \xff\n", 6);
    assert_int_equal(p2p_settings_open(path, &s), P2P_ERR_MALFORMED);
    write_text("a = \0\n", 6);
    assert_int_equal(p2p_settings_open(path, &s), P2P_ERR_MALFORMED);
    memset(large, 'a', sizeof(large));
    write_text(large, sizeof(large));
    assert_int_equal(p2p_settings_open(path, &s), P2P_ERR_TOO_LARGE);
    assert_null(s);
}

static void
the_file_and_its_folder_are_made_for_the_owner_alone(void **state)
{
    char deep[128], made[100];
    struct p2p_settings *s;
    struct stat st;

    (void)state;
    snprintf(made, sizeof(made), "%s/new", folder);
    snprintf(deep, sizeof(deep), "%s/p2p.conf", made);
    assert_int_equal(p2p_settings_open(deep, &s), P2P_OK);
    assert_int_equal(p2p_settings_set(s, "", "name", ONE("x")), P2P_OK);
    assert_int_equal(p2p_settings_save(s), P2P_OK);
    p2p_settings_close(s);
    assert_int_equal(stat(deep, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    unlink(deep);
    assert_int_equal(rmdir(made), 0);
}

static void
unknown_sections_and_names_are_told(void **state)
{
    static const struct {
        const char *section, *name;
        bool is_known;
    } cases[] = {
        {"", "port", true},          {"", "discovery", true},
        {"p2p-ui", "port", true},    {"p2p get", "any", true},
        {"p2p", "output-dir", true}, {"", "no-mdns", true},
        {"", "prot", false},         {"p2p-iu", "port", false},
        {"p2p got", "any", false},   {"", "config", false},
        {"p2p get", "port", false},  {"", "no-port", false},
    };
    char why[256];

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        why[0] = '\0';
        if (p2p_settings_are_known(cases[i].section, cases[i].name, why, sizeof(why)) !=
            cases[i].is_known)
            fail_msg("[%s] %s", cases[i].section, cases[i].name);
        assert_int_equal(why[0] == '\0', cases[i].is_known);
    }
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(a_value_takes_the_place_of_the_old_one),
        TEST(a_new_value_joins_its_section),
        TEST(lists_and_nothing_at_all),
        TEST(what_stands_there_is_read_as_programs_read_it),
        TEST(values_that_would_be_read_otherwise_are_refused),
        TEST(only_text_of_a_reasonable_size_is_read),
        TEST(the_file_and_its_folder_are_made_for_the_owner_alone),
        TEST(unknown_sections_and_names_are_told),
    };
#undef TEST

    return cmocka_run_group_tests(tests, NULL, NULL);
}
