// uses tests/unit/fake_registry.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "fake_registry.h"
#include "p2p/discovery.h"

#define ID_A   "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define ID_B   "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define NOBODY "http://127.0.0.1:9"

/* ---- Answers ---- */

static char *
answer_text(struct fake_registry *fake, const struct fake_request *request, int *status)
{
    (void)request;
    (void)status;
    return strdup(fake->arg);
}

static char *
answer_status(struct fake_registry *fake, const struct fake_request *request,
              int *status)
{
    (void)request;
    *status = *(const int *)fake->arg;
    return strdup("{\"detail\":\"no\\u001b[31m\"}");
}

static char *
answer_nothing(struct fake_registry *fake, const struct fake_request *request,
               int *status)
{
    (void)request;
    (void)status;
    usleep(*(const useconds_t *)fake->arg);
    return NULL;
}

static struct p2p_discovery *
open_at(const char *const *urls, size_t count, uint64_t timeout_ms)
{
    struct p2p_discovery *d;

    assert_int_equal(p2p_discovery_open(urls, count, timeout_ms, &d), P2P_OK);
    return d;
}

static struct p2p_discovery *
open_one(const struct fake_registry *fake)
{
    const char *url = fake->url;

    return open_at(&url, 1, 5000);
}

/* The list that a registry with this /peers answer gives. */
static enum p2p_err
peers_from(const char *text, struct p2p_peer_list *list)
{
    struct fake_registry fake;
    struct p2p_discovery *d;
    enum p2p_err err;

    fake_start(&fake, answer_text, (void *)(uintptr_t)text);
    d = open_one(&fake);
    err = p2p_discovery_peers(d, list);
    p2p_discovery_close(d);
    fake_stop(&fake);
    fake_clear(&fake);
    return err;
}

/* ---- Tests ---- */

static void
urls(void **state)
{
    static const char *const good[] = {"http://localhost:8000", "https://h/registry/",
                                       "http://[::1]:8000//"};
    static const char *const wrong[] = {"",
                                        "localhost:8000",
                                        "ftp://h",
                                        "file:///",
                                        "http://",
                                        "http://u:p@h",
                                        "http://h?x",
                                        "http://h#x",
                                        "javascript:1",
                                        "http://h:99999"};

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        p2p_discovery_close(open_at(&good[i], 1, 1000));
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct p2p_discovery *d;
        if (p2p_discovery_open(&wrong[i], 1, 1000, &d) != P2P_ERR_USAGE)
            fail_msg("accepted: %s", wrong[i]);
        assert_null(d);
    }
}

static void
the_same_registry_twice_is_one(void **state)
{
    static const char *const same[] = {"http://h:8000", "http://h:8000/"};
    struct p2p_registry_state states[4];
    struct p2p_discovery *d = open_at(same, 2, 1000);

    (void)state;
    assert_int_equal(p2p_discovery_states(d, states, 4), 1);
    assert_string_equal(states[0].url, "http://h:8000");
    p2p_discovery_close(d);
}

static void
a_list_as_documented(void **state)
{
    struct p2p_peer_list list;

    (void)state;
    assert_int_equal(peers_from("{\"peers\":[{\"peer_id\":\"" ID_A
                                "\",\"ip\":\"10.0.0.7\",\"port\":9000,"
                                "\"files\":[\"a.txt\",\"folder/b.txt\"]}]}\n",
                                &list),
                     P2P_OK);
    assert_int_equal(list.count, 1);
    assert_int_equal(list.at[0].id.b[0], 0xaa);
    assert_string_equal(list.at[0].addr.host, "10.0.0.7");
    assert_int_equal(list.at[0].addr.port, 9000);
    assert_false(list.at[0].verified);
    assert_int_equal(list.at[0].file_count, 2);
    assert_string_equal(list.at[0].files[1], "folder/b.txt");
    p2p_peer_list_clear(&list);
}

#define PEER(id, ip, port) "{\"peer_id\":" id ",\"ip\":" ip ",\"port\":" port "}"

static void
entries_that_are_wrong_are_left_out(void **state)
{
    static const char
        text[] =
            "{\"peers\":[null,1,\"x\",[],{}," PEER(
                "\"abc\"",
                "\"10.0.0.1\"", "1") "," PEER("\"" ID_A "0\"", "\"10.0.0.1\"",
                                              "1") "," PEER("5", "\"10.0.0.1\"",
                                                            "1") "," PEER("\"" ID_A
                                                                          "\"",
                                                                          "\"0.0.0.0\"",
                                                                          "1") "," PEER("\"" ID_A
                                                                                        "\"",
                                                                                        "\"239.1.1.1\"",
                                                                                        "1") "," PEER("\"" ID_A "\"", "\"ff02::1\"", "1") "," PEER("\"" ID_A "\"", "\"evil.example\"", "1") "," PEER("\"" ID_A "\"", "\"10.0.0.1\\n\"", "1") "," PEER("\"" ID_A "\"", "\"10.0.0.1\"", "0") "," PEER("\"" ID_A
                                                                                                                                                                                                                                                                                                    "\"",
                                                                                                                                                                                                                                                                                                    "\"10.0.0.1\"",
                                                                                                                                                                                                                                                                                                    "65536") "," PEER("\"" ID_A
                                                                                                                                                                                                                                                                                                                      "\"",
                                                                                                                                                                                                                                                                                                                      "\"10.0.0.1\"",
                                                                                                                                                                                                                                                                                                                      "-1") "," PEER("\"" ID_A "\"", "\"10.0.0.1\"", "1.5") "," PEER("\"" ID_A
                                                                                                                                                                                                                                                                                                                                                                                     "\"",
                                                                                                                                                                                                                                                                                                                                                                                     "\"10.0.0.1\"", "1e999") "," PEER("\"" ID_A "\"", "\"10.0.0.1\"", "\"9000\"") "," PEER("\"" ID_A
                                                                                                                                                                                                                                                                                                                                                                                                                                                                            "\"",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                            "7",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                            "1") "," PEER("\"" ID_B
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                          "\"",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                          "\"::1\"",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                          "9001") "]}";
    struct p2p_peer_list list;

    (void)state;
    assert_int_equal(peers_from(text, &list), P2P_OK);
    assert_int_equal(list.count, 1);
    assert_int_equal(list.at[0].id.b[0], 0xbb);
    p2p_peer_list_clear(&list);
}

static void
names_that_are_wrong_are_left_out(void **state)
{
    struct p2p_peer_list list;

    (void)state;
    assert_int_equal(peers_from("{\"peers\":[{\"peer_id\":\"" ID_A
                                "\",\"ip\":\"10.0.0.7\",\"port\":9000,"
                                "\"files\":[\"../x\",\"/etc/passwd\",7,\"\",\".p2p/"
                                "x\",\"a\\u0000b\",\"ok\","
                                "\"\\u001b[31m\",null,\"a\\\\b\",\"\xff\"]}]}",
                                &list),
                     P2P_OK);
    assert_int_equal(list.count, 1);
    assert_int_equal(list.at[0].file_count, 2); /* "ok", and "a" before the NUL */
    for (size_t i = 0; i < 2; i++)
        assert_true(strcmp(list.at[0].files[i], "ok") == 0 ||
                    strcmp(list.at[0].files[i], "a") == 0);
    p2p_peer_list_clear(&list);
}

static void
answers_that_are_none(void **state)
{
    static const char *const wrong[] = {"",       "{",
                                        "[]",     "{\"peers\":5}",
                                        "null",   "{\"peers\":[]} x",
                                        "<html>", "{\"peers\":{}}"};
    char deep[4096];
    struct p2p_peer_list list;

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        if (peers_from(wrong[i], &list) != P2P_ERR_MALFORMED)
            fail_msg("accepted: %s", wrong[i]);
        assert_int_equal(list.count, 0);
    }
    memset(deep, '[', sizeof(deep) - 1);
    deep[sizeof(deep) - 1] = '\0';
    assert_int_equal(peers_from(deep, &list), P2P_ERR_MALFORMED);
}

static void
statuses_mean_something(void **state)
{
    static const struct {
        int status;
        enum p2p_err err;
    } cases[] = {{401, P2P_ERR_NOT_ALLOWED},  {404, P2P_ERR_NOT_FOUND},
                 {429, P2P_ERR_RATE_LIMITED}, {500, P2P_ERR_REMOTE},
                 {503, P2P_ERR_BUSY},         {302, P2P_ERR_REMOTE}};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct p2p_registry_state states[1];
        struct fake_registry fake;
        struct p2p_discovery *d;
        struct p2p_peer_list list;
        int status = cases[i].status;

        fake_start(&fake, answer_status, &status);
        fake.extra_header = "Location: /elsewhere\r\n";
        d = open_one(&fake);
        assert_int_equal(p2p_discovery_peers(d, &list), cases[i].err);
        assert_int_equal(p2p_discovery_states(d, states, 1), 1);
        assert_true(states[0].reachable);
        assert_int_equal(states[0].last_error, cases[i].err);
        assert_string_equal(states[0].detail, "no\\x1b[31m");
        p2p_discovery_close(d);
        fake_stop(&fake);
        assert_int_equal(fake.count, 1); /* no redirect was followed */
        fake_clear(&fake);
    }
}

static void
silence_is_a_timeout(void **state)
{
    struct fake_registry fake;
    struct p2p_discovery *d;
    struct p2p_peer_list list;
    useconds_t pause = 400000;
    const char *url = fake.url, *nobody = NOBODY;
    uint64_t start = p2p_now_ms();

    (void)state;
    fake_start(&fake, answer_nothing, &pause);
    d = open_at(&url, 1, 150);
    assert_int_equal(p2p_discovery_peers(d, &list), P2P_ERR_TIMEOUT);
    assert_in_range(p2p_now_ms() - start, 100, 5000);
    p2p_discovery_close(d);
    fake_stop(&fake);
    fake_clear(&fake);

    pause = 0;
    fake_start(&fake, answer_nothing, &pause);
    d = open_at(&url, 1, 5000);
    assert_int_equal(p2p_discovery_peers(d, &list), P2P_ERR_CLOSED);
    p2p_discovery_close(d);
    fake_stop(&fake);
    fake_clear(&fake);

    d = open_at(&nobody, 1, 5000);
    assert_int_equal(p2p_discovery_peers(d, &list), P2P_ERR_UNREACHABLE);
    p2p_discovery_close(d);
}

static void
one_registry_is_enough_and_answers_merge(void **state)
{
    static const char first[] =
        "{\"peers\":[{\"peer_id\":\"" ID_A
        "\",\"ip\":\"10.0.0.1\",\"port\":1,\"files\":[\"x\"]},"
        "{\"peer_id\":\"" ID_B
        "\",\"ip\":\"10.0.0.2\",\"port\":2,\"files\":[\"x\",\"y\"]}]}";
    static const char second[] = "{\"peers\":[{\"peer_id\":\"" ID_A
                                 "\",\"ip\":\"10.0.0.9\",\"port\":9,\"verified\":true,"
                                 "\"files\":[\"x\"]}]}";
    struct fake_registry a, b;
    struct p2p_registry_state states[3];
    struct p2p_peer_list list;
    struct p2p_discovery *d;

    (void)state;
    fake_start(&a, answer_text, (void *)(uintptr_t)first);
    fake_start(&b, answer_text, (void *)(uintptr_t)second);
    d = open_at((const char *[]){a.url, NOBODY, b.url}, 3, 5000);
    assert_int_equal(p2p_discovery_find(d, "x", &list), P2P_OK);
    assert_int_equal(list.count, 2);
    assert_string_equal(list.at[0].addr.host, "10.0.0.9"); /* the signed one */
    assert_int_equal(list.at[1].id.b[0], 0xbb);
    p2p_peer_list_clear(&list);
    assert_int_equal(p2p_discovery_find(d, "y", &list), P2P_OK);
    assert_int_equal(list.count, 1);
    p2p_peer_list_clear(&list);
    assert_int_equal(p2p_discovery_states(d, states, 3), 3);
    assert_true(states[0].reachable);
    assert_false(states[1].reachable);
    p2p_discovery_close(d);
    fake_stop(&a);
    fake_stop(&b);
    assert_string_equal(a.requests[0].target, "/peers?file=x&limit=1000");
    fake_clear(&a);
    fake_clear(&b);
}

static char *
answer_pages(struct fake_registry *fake, const struct fake_request *request,
             int *status)
{
    const char *cursor = strstr(request->target, "cursor=");
    unsigned page = cursor != NULL ? (unsigned)atoi(cursor + 7) : 0;
    const unsigned *pages = fake->arg;
    char *text = NULL, next[32] = "";

    (void)status;
    if (page + 1 < *pages)
        snprintf(next, sizeof(next), ",\"next\":\"%u&\"", page + 1);
    assert_true(
        asprintf(
            &text,
            "{\"peers\":[{\"peer_id\":\"%064x\",\"ip\":\"10.0.0.1\",\"port\":1}]%s}",
            page, next) > 0);
    return text;
}

/* Each page all but as long as an answer may be, most of it blanks. */
static char *
answer_vast_pages(struct fake_registry *fake, const struct fake_request *request,
                  int *status)
{
    const char page[] = "{\"peers\":[],\"next\":\"more\"}";
    size_t len = (size_t)P2P_HTTP_ANSWER_MAX - 1;
    char *text = malloc(len + 1);

    (void)fake, (void)request, (void)status;
    assert_non_null(text);
    memset(text, ' ', len);
    memcpy(text, page, sizeof(page) - 1);
    text[len] = '\0';
    return text;
}

static void
vast_pages_are_not_all_taken(void **state)
{
    struct fake_registry fake;
    struct p2p_discovery *d;
    struct p2p_peer_list list;

    (void)state;
    fake_start(&fake, answer_vast_pages, NULL);
    d = open_one(&fake);
    assert_int_equal(p2p_discovery_peers(d, &list), P2P_OK);
    p2p_peer_list_clear(&list);
    assert_in_range(fake.count, 1, 5);
    p2p_discovery_close(d);
    fake_stop(&fake);
    fake_clear(&fake);
}

static void
pages_are_followed_and_bounded(void **state)
{
    struct fake_registry fake;
    struct p2p_discovery *d;
    struct p2p_peer_list list;
    unsigned pages = 3;

    (void)state;
    fake_start(&fake, answer_pages, &pages);
    d = open_one(&fake);
    assert_int_equal(p2p_discovery_peers(d, &list), P2P_OK);
    assert_int_equal(list.count, 3);
    p2p_peer_list_clear(&list);
    assert_string_equal(fake.requests[1].target, "/peers?limit=1000&cursor=1%26");
    pages = 1000000000;
    assert_int_equal(p2p_discovery_peers(d, &list), P2P_OK);
    assert_int_equal(list.count, 200);
    p2p_peer_list_clear(&list);
    p2p_discovery_close(d);
    fake_stop(&fake);
    fake_clear(&fake);
}

static void
names_in_urls_are_encoded(void **state)
{
    struct fake_registry fake;
    struct p2p_discovery *d;
    struct p2p_peer_list list;

    (void)state;
    fake_start(&fake, answer_text, (void *)(uintptr_t) "{\"peers\":[]}");
    d = open_one(&fake);
    assert_int_equal(p2p_discovery_find(d, "a b&c=%s#?/\xc3\xa9", &list), P2P_OK);
    p2p_discovery_close(d);
    fake_stop(&fake);
    assert_string_equal(fake.requests[0].target,
                        "/peers?file=a%20b%26c%3D%25s%23%3F%2F%C3%A9&limit=1000");
    fake_clear(&fake);
}

#define ROOT "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"

static void
search_groups_by_content(void **state)
{
    static const char one[] =
        "{\"results\":[{\"name\":\"f\",\"size\":5,\"root\":\"" ROOT
        "\",\"sha256\":null,\"peers\":[" PEER(
            "\"" ID_A "\"", "\"10.0.0.1\"",
            "1") "]},"
                 "{\"name\":\"../f\",\"size\":5,\"root\":\"" ROOT "\",\"peers\":[]},"
                 "{\"name\":\"f\",\"size\":6,\"root\":\"" ID_A "\",\"peers\":[]}]}";
    static const char two[] =
        "{\"results\":[{\"name\":\"f\",\"size\":5,\"root\":\"" ROOT
        "\",\"peers\":[" PEER("\"" ID_A "\"", "\"10.0.0.1\"",
                              "1") "," PEER("\"" ID_B "\"", "\"10.0.0.2\"", "1") "]}]}";
    struct p2p_search_results results;
    struct fake_registry a, b;
    struct p2p_discovery *d;

    (void)state;
    fake_start(&a, answer_text, (void *)(uintptr_t)one);
    fake_start(&b, answer_text, (void *)(uintptr_t)two);
    d = open_at((const char *[]){a.url, b.url}, 2, 5000);
    assert_int_equal(p2p_discovery_search(d, "f", P2P_SEARCH_FUZZY, 20, &results),
                     P2P_OK);
    assert_int_equal(results.count, 2);
    assert_true(results.at[0].root_known);
    assert_false(results.at[0].sha256_known);
    assert_int_equal(results.at[0].peers.count, 2);
    assert_int_equal(results.at[1].size, 6);
    p2p_search_results_clear(&results);
    p2p_discovery_close(d);
    fake_stop(&a);
    fake_stop(&b);
    assert_string_equal(a.requests[0].target, "/search?q=f&mode=fuzzy&limit=20");
    fake_clear(&a);
    fake_clear(&b);
}

static char *
answer_documented_only(struct fake_registry *fake, const struct fake_request *request,
                       int *status)
{
    (void)fake;
    if (strncmp(request->target, "/peers", 6) == 0)
        return strdup("{\"peers\":[{\"peer_id\":\"" ID_A
                      "\",\"ip\":\"10.0.0.1\",\"port\":1,"
                      "\"files\":[\"Holiday.jpg\",\"other\"]}]}");
    *status = 404;
    return strdup("{\"error\":\"no such path\"}");
}

static void
a_registry_without_search_is_searched_by_its_list(void **state)
{
    struct p2p_search_results results;
    struct fake_registry fake;
    struct p2p_discovery *d;

    (void)state;
    fake_start(&fake, answer_documented_only, NULL);
    d = open_one(&fake);
    assert_int_equal(p2p_discovery_search(d, "holi", P2P_SEARCH_FUZZY, 0, &results),
                     P2P_OK);
    assert_int_equal(results.count, 1);
    assert_string_equal(results.at[0].name, "Holiday.jpg");
    assert_int_equal(results.at[0].peers.count, 1);
    p2p_search_results_clear(&results);
    assert_int_equal(p2p_discovery_search(d, "holi", P2P_SEARCH_EXACT, 0, &results),
                     P2P_OK);
    assert_int_equal(results.count, 0);
    p2p_search_results_clear(&results);
    p2p_discovery_close(d);
    fake_stop(&fake);
    fake_clear(&fake);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls),
        cmocka_unit_test(the_same_registry_twice_is_one),
        cmocka_unit_test(a_list_as_documented),
        cmocka_unit_test(entries_that_are_wrong_are_left_out),
        cmocka_unit_test(names_that_are_wrong_are_left_out),
        cmocka_unit_test(answers_that_are_none),
        cmocka_unit_test(statuses_mean_something),
        cmocka_unit_test(silence_is_a_timeout),
        cmocka_unit_test(one_registry_is_enough_and_answers_merge),
        cmocka_unit_test(pages_are_followed_and_bounded),
        cmocka_unit_test(vast_pages_are_not_all_taken),
        cmocka_unit_test(names_in_urls_are_encoded),
        cmocka_unit_test(search_groups_by_content),
        cmocka_unit_test(a_registry_without_search_is_searched_by_its_list),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
