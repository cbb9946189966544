/* The parts of src/http that need no connection: JSON, hosts and origins, ranges,
 * names, rate limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "http/file.h"
#include "http/guard.h"
#include "http/source/ratelimit.h"
#include "http/text/decode.h"
#include "http/text/json.h"

/* ---- JSON ---- */

/* In an exact heap block without NUL, so that a read past the end is seen. */
static cJSON *
parse(const char *text, size_t len)
{
    char *copy = malloc(len > 0 ? len : 1);
    const char *why;
    cJSON *json;

    memcpy(copy, text, len);
    json = http_json_parse(copy, len, &why);
    assert_true(json != NULL || why != NULL);
    free(copy);
    return json;
}

static bool
is_taken(const char *text)
{
    cJSON *json = parse(text, strlen(text));

    cJSON_Delete(json);
    return json != NULL;
}

static void
takes_json(void **state)
{
    static const char *const good[] = {"{}",
                                       " [1, 2.5, -3e2, \"x\", null, true] \n",
                                       "{\"a\":{\"b\":[{}]}}",
                                       "5",
                                       "\"\\u00e4\\ud83d\\ude00\"",
                                       "\"\xc3\xa4\"",
                                       "{\"a\":1,\"A\":2}"};

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_true(is_taken(good[i]));
}

static void
refuses_what_is_not_json(void **state)
{
    static const char *const bad[] = {"",
                                      " ",
                                      "{",
                                      "}",
                                      "[1,]x",
                                      "{\"a\":1}{",
                                      "{\"a\":1} 2",
                                      "{'a':1}",
                                      "nul",
                                      "[1 2]",
                                      "{\"a\":1,\"a\":1}",
                                      "[{\"x\":{\"a\":1,\"b\":2,\"a\":3}}]",
                                      "\"\\u0000\"",
                                      "\"a\\u0000b\"",
                                      "\"\xff\"",
                                      "\"\xc0\xaf\"",
                                      "\"\xed\xa0\x80\"",
                                      "\"a\nb\"",
                                      "\"\\ud800\"",
                                      "\"\\",
                                      "\"\\u12"};

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(is_taken(bad[i]));
    assert_null(parse("{}\0", 3));
    assert_null(parse("{\"a\":\"\0\"}", 9));
}

static void
bounds_depth_values_and_keys(void **state)
{
    char *text = malloc(4 * HTTP_JSON_MAX_VALUES);
    size_t n = 0;

    (void)state;
    for (unsigned depth = 1; depth <= HTTP_JSON_MAX_DEPTH + 1; depth++) {
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        text[2 * depth] = '\0';
        assert_int_equal(is_taken(text), depth <= HTTP_JSON_MAX_DEPTH);
    }
    memset(text, '[', 1000000);
    assert_null(parse(text, 1000000));
    text[n++] = '[';
    for (unsigned i = 0; i < HTTP_JSON_MAX_VALUES; i++) {
        text[n++] = '1';
        text[n++] = ',';
    }
    text[n++] = '1';
    text[n++] = ']';
    assert_null(parse(text, n));
    n = (size_t)sprintf(text, "{");
    for (unsigned i = 0; i <= HTTP_JSON_MAX_KEYS; i++)
        n += (size_t)sprintf(text + n, "%s\"k%u\":1", i > 0 ? "," : "", i);
    sprintf(text + n, "}");
    assert_false(is_taken(text));
    free(text);
}

static void
reads_whole_numbers_only(void **state)
{
    cJSON *json = parse(
        "{\"a\":7,\"b\":1.5,\"c\":-1,\"d\":1e300,\"e\":\"7\",\"f\":9007199254740993}",
        strlen("{\"a\":7,\"b\":1.5,\"c\":-1,\"d\":1e300,\"e\":\"7\",\"f\":"
               "9007199254740993}"));
    uint64_t v;

    (void)state;
    assert_true(http_json_u64(json, "a", 0, 7, &v) && v == 7);
    assert_false(http_json_u64(json, "a", 8, 9, &v));
    assert_false(http_json_u64(json, "a", 0, 6, &v));
    for (const char *name = "bcdef"; *name != '\0'; name++)
        assert_false(http_json_u64(json, (char[2]){*name}, 0, UINT64_MAX, &v));
    assert_false(http_json_u64(json, "none", 0, UINT64_MAX, &v));
    assert_null(http_json_string(json, "a"));
    cJSON_Delete(json);
}

static void
writes_what_it_can_read(void **state)
{
    struct http_json_out o;
    size_t len;
    char *text;

    (void)state;
    http_json_init(&o, 0);
    http_json_begin(&o, NULL, '{');
    http_json_put_string(&o, "s", "a\"\\\n\x01\x7f\xc3\xa4");
    http_json_put_u64(&o, "n", UINT64_MAX);
    http_json_put_u64(&o, "zero", 0);
    http_json_begin(&o, "list", '[');
    http_json_put_bool(&o, NULL, true);
    http_json_put_null(&o, NULL);
    http_json_put_hex(&o, NULL, (const uint8_t[]){0, 0xab}, 2);
    http_json_end(&o, ']');
    http_json_end(&o, '}');
    text = http_json_take(&o, &len);
    assert_string_equal(
        text,
        "{\"s\":\"a\\\"\\\\\\n\\u0001\\u007f\xc3\xa4\",\"n\":18446744073709551615,"
        "\"zero\":0,\"list\":[true,null,\"00ab\"]}");
    assert_true(is_taken(text));
    free(text);
}

/* ---- guard ---- */

static void
knows_its_own_hosts(void **state)
{
    static const char *const allowed[] = {"files.lan", NULL};
    static const char *const good[] = {
        "localhost", "LOCALHOST:1",         "localhost.", "127.0.0.1:65535",
        "[::1]",     "[0:0:0:0:0:0:0:1]:8", "192.0.2.7",  "192.0.2.7:80",
        "Files.LAN", "localhost:"};
    static const char *const bad[] = {"",
                                      ":80",
                                      "localhost.evil.example",
                                      "evil.example",
                                      "127.0.0.1.nip.io",
                                      "127.0.0.2",
                                      "192.0.2.8",
                                      "[::1",
                                      "::1]",
                                      "[::1]x",
                                      "[::2]",
                                      "localhost:80x",
                                      "localhost:123456",
                                      "localhost/",
                                      "a@localhost",
                                      "localhost#",
                                      " localhost",
                                      "local host",
                                      "files.lan.evil"};

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_true(http_host_is_own(good[i], "192.0.2.7", allowed));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(http_host_is_own(bad[i], "192.0.2.7", allowed));
    assert_false(http_host_is_own(NULL, "192.0.2.7", allowed));
}

static bool
is_own(const char *origin, const char *fetch_site, const char *host, const char *scheme)
{
    return http_origin_is_own(
        &(struct http_origin_headers){origin, fetch_site, host, scheme});
}

static void
knows_pages_of_its_own(void **state)
{
    const char *host = "localhost:8080";

    (void)state;
    assert_true(is_own(NULL, NULL, host, NULL));
    assert_true(is_own("http://localhost:8080", "same-origin", host, NULL));
    assert_true(is_own("https://LOCALHOST:8080", "none", host, NULL));
    assert_false(is_own("http://localhost:8081", NULL, host, NULL));
    assert_false(is_own("http://localhost:8080.evil.example", NULL, host, NULL));
    assert_false(is_own("null", NULL, host, NULL));
    assert_false(is_own("", NULL, host, NULL));
    assert_false(is_own("file://localhost:8080", NULL, host, NULL));
    assert_false(is_own(NULL, "cross-site", host, NULL));
    assert_false(is_own(NULL, "same-site", host, NULL));
    assert_false(is_own("http://localhost:8080", "cross-site", host, NULL));
    assert_false(is_own("http://localhost:8080", NULL, NULL, NULL));
    /* A page cannot set Sec-Fetch-Site, but a proxy may have changed the Host. */
    assert_true(is_own("https://files.example", "same-origin", "127.0.0.1:8080", NULL));
}

static void
knows_default_ports(void **state)
{
    (void)state;
    assert_true(is_own("https://f.example", NULL, "f.example:443", NULL));
    assert_true(is_own("https://f.example:443", NULL, "f.example", NULL));
    assert_true(is_own("http://f.example", NULL, "f.example:80", "http"));
    assert_true(is_own("https://f.example", NULL, "f.example", "https"));
    assert_true(is_own("http://[::1]", NULL, "[0:0::1]:80", NULL));
    assert_true(is_own("http://f.example.", NULL, "f.example", NULL));
    assert_false(is_own("http://f.example", NULL, "f.example:443", NULL));
    assert_false(is_own("https://f.example", NULL, "f.example:80", NULL));
    assert_false(is_own("https://f.example:8443", NULL, "f.example", NULL));
    assert_false(is_own("http://f.example", NULL, "f.example", "https"));
    assert_false(is_own("https://f.example", NULL, "f.example", "http"));
    assert_false(is_own("https://f.example@evil.example", NULL, "f.example", NULL));
    assert_false(is_own("https://f.example/", NULL, "f.example", NULL));
}

static void
takes_names_of_this_machine(void **state)
{
    static const char *const good[] = {"Files.Example:8080", "a.lan, b.lan,",
                                       "[fd00::1]:80", "fd00:0::2", NULL};
    static const char *const bad[] = {
        "http://files.example", "files.example/", "*.example",         "", "a b",
        "files.example:80x",    "a,,b",           "user@files.example"};
    static const char *const want[] = {"files.example", "a.lan", "b.lan", "fd00::1",
                                       "fd00::2"};
    struct http_hosts h;
    char why[256];

    (void)state;
    assert_int_equal(http_hosts_parse(good, &h, why, sizeof(why)), P2P_OK);
    assert_int_equal(h.count, 5);
    for (size_t i = 0; i < h.count; i++)
        assert_string_equal(h.at[i], want[i]);
    http_hosts_clear(&h);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const char *const list[] = {bad[i], NULL};

        assert_int_equal(http_hosts_check(list, why, sizeof(why)), P2P_ERR_USAGE);
    }
}

/* ---- ranges, names, escapes ---- */

static void
parses_ranges(void **state)
{
    static const struct {
        const char *value;
        uint64_t size;
        enum http_range want;
        uint64_t first, len;
    } cases[] = {
        {"bytes=0-0", 10, HTTP_RANGE_PART, 0, 1},
        {"bytes=3-", 10, HTTP_RANGE_PART, 3, 7},
        {"bytes=-4", 10, HTTP_RANGE_PART, 6, 4},
        {"bytes=-40", 10, HTTP_RANGE_PART, 0, 10},
        {"bytes=5-99999", 10, HTTP_RANGE_PART, 5, 5},
        {"Bytes=9-9", 10, HTTP_RANGE_PART, 9, 1},
        {"bytes=10-", 10, HTTP_RANGE_BAD, 0, 10},
        {"bytes=-0", 10, HTTP_RANGE_BAD, 0, 10},
        {"bytes=0-", 0, HTTP_RANGE_BAD, 0, 0},
        {"bytes=-1", 0, HTTP_RANGE_BAD, 0, 0},
        {"bytes=4-3", 10, HTTP_RANGE_NONE, 0, 10},
        {"bytes=a-b", 10, HTTP_RANGE_NONE, 0, 10},
        {"bytes=1-2,4-5", 10, HTTP_RANGE_NONE, 0, 10},
        {"bytes=1-2x", 10, HTTP_RANGE_NONE, 0, 10},
        {"bytes=", 10, HTTP_RANGE_NONE, 0, 10},
        {"bytes=-", 10, HTTP_RANGE_NONE, 0, 10},
        {"items=0-1", 10, HTTP_RANGE_NONE, 0, 10},
        {"bytes=99999999999999999999-", 10, HTTP_RANGE_BAD, 0, 10},
        {"bytes=0-99999999999999999999", 10, HTTP_RANGE_PART, 0, 10},
        {NULL, 10, HTTP_RANGE_NONE, 0, 10},
    };
    uint64_t first, len;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(http_range_parse(cases[i].value, cases[i].size, &first, &len),
                         cases[i].want);
        assert_int_equal(first, cases[i].first);
        assert_int_equal(len, cases[i].len);
    }
}

static void
knows_who_accepts_gzip(void **state)
{
    static const char *const yes[] = {
        "gzip",      "GZIP",         "deflate, gzip",     "x-gzip",
        "gzip;q=1",  "gzip ; q=0.1", "br;q=0, gzip;q=.5", "*",
        "*;q=0.001", " gzip ",       "identity;q=0, gzip"};
    static const char *const no[] = {
        "",       "identity",        "br",     "gzip;q=0", "gzip;q=0.000",
        "gzip2",  "agzip",           "*;q=0",  ",,;q=1",   "*, gzip;q=0",
        "gzi, p", "gzip;Q=0, *;q=1", ";gzip=1"};

    (void)state;
    for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
        if (!http_accepts_gzip(yes[i]))
            fail_msg("refused: %s", yes[i]);
    for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
        if (http_accepts_gzip(no[i]))
            fail_msg("accepted: %s", no[i]);
    assert_false(http_accepts_gzip(NULL));
}

static void
names_downloads_harmlessly(void **state)
{
    char out[300];

    (void)state;
    http_disposition("attachment", "a\"b\r\n\\\xc3\xa4.txt", out, sizeof(out));
    assert_string_equal(out, "attachment; filename=\"a_b____.txt\"; "
                             "filename*=UTF-8''a%22b%0D%0A%5C%C3%A4.txt");
    /* With every size of the output, in blocks of exactly this size. */
    for (size_t size = 1; size < 150; size++) {
        char *small = malloc(size);

        assert_non_null(small);
        http_disposition("attachment",
                         "a rather l\xc3\xb6ng name that does not fit.txt", small,
                         size);
        assert_true(strlen(small) < size);
        free(small);
    }
}

static void
decodes_escapes_once_and_strictly(void **state)
{
    char out[32];
    size_t len;

    (void)state;
    assert_true(http_percent_decode("a%2Fb%25%c3%A4", 14, out, &len));
    assert_string_equal(out, "a/b%\xc3\xa4");
    static const char *const bad[] = {"%",   "%4",     "%zz",       "%00",
                                      "%ff", "%c0%80", "%ed%a0%80", "a%"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(http_percent_decode(bad[i], strlen(bad[i]), out, &len));
}

/* ---- rate limits ---- */

static void
limits_each_key_by_itself(void **state)
{
    struct http_ratelimit *t = http_ratelimit_new(2, 4, 64);

    (void)state;
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(http_ratelimit_take_ip(t, "192.0.2.1", 1, 1000), 0);
    assert_int_equal(http_ratelimit_take_ip(t, "192.0.2.1", 1, 1000), 1);
    assert_int_equal(http_ratelimit_take_ip(t, "192.0.2.2", 1, 1000), 0);
    assert_int_equal(http_ratelimit_take_ip(t, "192.0.2.1", 1, 1499), 1);
    assert_int_equal(http_ratelimit_take_ip(t, "192.0.2.1", 1, 1501), 0);
    assert_int_equal(http_ratelimit_take_ip(t, "192.0.2.1", 4, 1501), 2);
    /* After a long silence, only the burst is available. */
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(http_ratelimit_take_ip(t, "192.0.2.1", 1, 9000000), 0);
    assert_true(http_ratelimit_take_ip(t, "192.0.2.1", 1, 9000000) > 0);
    http_ratelimit_free(t);
}

static void
counts_ipv6_by_network(void **state)
{
    struct http_ratelimit *t = http_ratelimit_new(1, 1, 64);

    (void)state;
    assert_int_equal(http_ratelimit_take_ip(t, "2001:db8::1", 1, 5), 0);
    assert_true(http_ratelimit_take_ip(t, "2001:db8::ffff:2", 1, 5) > 0);
    assert_int_equal(http_ratelimit_take_ip(t, "2001:db8:0:1::1", 1, 5), 0);
    http_ratelimit_free(t);
}

/* Many other clients in a small table must not reset a client that is over its limit.
 */
static void
keeps_the_guilty_when_the_table_is_full(void **state)
{
    struct http_ratelimit *t = http_ratelimit_new(0.001, 4, 64);
    unsigned forgiven = 0;

    (void)state;
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(http_ratelimit_take(t, "guilty", 6, 1, 1), 0);
    for (unsigned i = 0; i < 10000; i++) {
        (void)http_ratelimit_take(t, &i, sizeof(i), 1, 1);
        forgiven += http_ratelimit_take(t, "guilty", 6, 1, 1) == 0;
    }
    assert_int_equal(forgiven, 0);
    http_ratelimit_free(t);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_json),
        cmocka_unit_test(refuses_what_is_not_json),
        cmocka_unit_test(bounds_depth_values_and_keys),
        cmocka_unit_test(reads_whole_numbers_only),
        cmocka_unit_test(writes_what_it_can_read),
        cmocka_unit_test(knows_its_own_hosts),
        cmocka_unit_test(knows_pages_of_its_own),
        cmocka_unit_test(knows_default_ports),
        cmocka_unit_test(takes_names_of_this_machine),
        cmocka_unit_test(parses_ranges),
        cmocka_unit_test(knows_who_accepts_gzip),
        cmocka_unit_test(names_downloads_harmlessly),
        cmocka_unit_test(decodes_escapes_once_and_strictly),
        cmocka_unit_test(limits_each_key_by_itself),
        cmocka_unit_test(counts_ipv6_by_network),
        cmocka_unit_test(keeps_the_guilty_when_the_table_is_full),
    };

    return cmocka_run_group_tests_name("http_parts", tests, NULL, NULL);
}
