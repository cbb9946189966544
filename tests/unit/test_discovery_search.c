// uses tests/unit/fake_registry.c
/* The requests of the client and how it reads long answers: pages, names in URLs,
 * search. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/registry/discovery_internal.h"
#include "discovery_fixture.h"

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

#define VAST (256 * 1024)

/* Each page is almost as long as an answer may be; most of it is blanks. */
static char *
answer_vast_pages(struct fake_registry *fake, const struct fake_request *request,
                  int *status)
{
    const char page[] = "{\"peers\":[],\"next\":\"more\"}";
    size_t len = VAST - 1;
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
    const char *url;

    (void)state;
    fake_start(&fake, answer_vast_pages, NULL);
    url = fake.url;
    d = open_at(&url, 1, 60000);
    d->page_max = VAST;
    assert_int_equal(p2p_discovery_peers(d, &list), P2P_OK);
    p2p_peer_list_clear(&list);
    assert_in_range(fake.count, 4, 5);
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
    assert_string_equal(fake.requests[1].target,
                        "/peers?limit=1000&names=100&cursor=1%26");
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
    assert_string_equal(
        fake.requests[0].target,
        "/peers?file=a%20b%26c%3D%25s%23%3F%2F%C3%A9&limit=1000&names=0");
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
        cmocka_unit_test(vast_pages_are_not_all_taken),
        cmocka_unit_test(pages_are_followed_and_bounded),
        cmocka_unit_test(names_in_urls_are_encoded),
        cmocka_unit_test(search_groups_by_content),
        cmocka_unit_test(a_registry_without_search_is_searched_by_its_list),
    };

    return cmocka_run_group_tests_name("discovery_search", tests, NULL, NULL);
}
