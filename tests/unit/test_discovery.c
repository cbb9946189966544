// uses tests/unit/fake_registry.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "discovery_fixture.h"

#define NOBODY "http://127.0.0.1:9"

/* ---- Answers ---- */

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

/* The list that the client reads from this answer to /peers. */
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
        enum p2p_err err = peers_from(wrong[i], &list);
        /* An answer that does not begin as an object does not come from a registry. */
        if (err != (wrong[i][0] == '{' ? P2P_ERR_MALFORMED : P2P_ERR_NOT_REGISTRY))
            fail_msg("accepted: %s", wrong[i]);
        assert_int_equal(list.count, 0);
    }
    memset(deep, '[', sizeof(deep) - 1);
    deep[sizeof(deep) - 1] = '\0';
    assert_int_equal(peers_from(deep, &list), P2P_ERR_NOT_REGISTRY);
}

static void
statuses_mean_something(void **state)
{
    static const struct {
        int status;
        enum p2p_err err;
    } cases[] = {{401, P2P_ERR_NOT_ALLOWED},  {404, P2P_ERR_NOT_FOUND},
                 {429, P2P_ERR_RATE_LIMITED}, {500, P2P_ERR_REMOTE},
                 {503, P2P_ERR_BUSY},         {302, P2P_ERR_MOVED}};

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
        assert_int_equal(states[0].reachable, status != 302);
        assert_int_equal(states[0].last_error, cases[i].err);
        assert_string_equal(states[0].detail,
                            status == 302 ? "to /elsewhere" : "no\\x1b[31m");
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
    assert_int_equal(list.at[0].id.b[0], 0xbb); /* each registry in turn */
    assert_int_equal(list.at[0].registry, 0);
    assert_string_equal(list.at[1].addr.host, "10.0.0.9"); /* the signed one */
    assert_int_equal(list.at[1].registry, 2);
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
    assert_string_equal(a.requests[0].target, "/peers?file=x&limit=1000&names=0");
    fake_clear(&a);
    fake_clear(&b);
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
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
