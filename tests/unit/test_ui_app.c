// uses p2p-ui
/* All of p2p-ui in this process, used over HTTP: what the owner gets, what is refused,
 * and the decision who is the owner. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "keys_fixture.h"
#include "p2p/log.h"
#include "p2p/service.h"
#include "ui/access/access.h"
#include "ui/app.h"

#define ID   "00000000000000000000000000000000000000000000000000000000000000aa"
#define ROOT "1111111111111111111111111111111111111111111111111111111111111111"

static struct ui_app app = {.pictures = -1};
static struct keys *keys;

/* ---- asking ---- */

/* Sends one request on a new connection; the answer is valid until the next call.
 * `who`: header lines that identify the caller. */
static const char *
ask(const char *who, const char *method, const char *path, const char *body)
{
    static char text[128 * 1024];
    struct sockaddr_in sa = {.sin_family = AF_INET,
                             .sin_port = htons(http_server_port(app.http)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const struct timeval limit = {.tv_sec = 20};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    size_t have = 0;
    ssize_t n;

    assert_true(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
    n = snprintf(
        text, sizeof(text),
        "%s %s HTTP/1.1\r\nConnection: close\r\n%s%sContent-Length: %zu\r\n\r\n%s",
        method, path, who, body[0] != '\0' ? "Content-Type: application/json\r\n" : "",
        strlen(body), body);
    assert_int_equal(send(fd, text, (size_t)n, MSG_NOSIGNAL), n);
    while (have < sizeof(text) - 1 &&
           (n = recv(fd, text + have, sizeof(text) - 1 - have, 0)) > 0)
        have += (size_t)n;
    text[have] = '\0';
    close(fd);
    return text;
}

static unsigned
status_of(const char *answer)
{
    unsigned status = 0;

    (void)sscanf(answer, "HTTP/1.1 %u", &status);
    return status;
}

/* With the owner's token. */
static const char *
own(const char *method, const char *path, const char *body)
{
    char who[256];

    snprintf(who, sizeof(who), "Host: localhost\r\nAuthorization: Bearer %s\r\n",
             app.access.owner_token);
    return ask(who, method, path, body);
}

struct row {
    const char *method, *path, *body;
    unsigned status;
};

static void
check(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *answer = own(rows[i].method, rows[i].path, rows[i].body);
        if (status_of(answer) != rows[i].status)
            fail_msg("%s %s: expected %u, got %.300s", rows[i].method, rows[i].path,
                     rows[i].status, answer);
    }
}
#define CHECK(rows) check(rows, sizeof(rows) / sizeof(rows[0]))

/* ---- the app ---- */

static int
set_up(void **state)
{
    /* The options point into these. */
    static char program[] = "p2p-ui", port[] = "--port=0", host[] = "--host=127.0.0.1";
    static char arguments[5][PATH_MAX + 32];
    char *argv[] = {program,      arguments[0], arguments[1],
                    arguments[2], arguments[3], arguments[4],
                    port,         host,         NULL};
    void *made = NULL;

    (void)state;
    p2p_log_init("test_ui_app", P2P_LOG_ERROR);
    if (keys_setup(&made) != 0)
        return -1;
    keys = made;
    scratch_folder(&keys->scratch, "shared");
    scratch_put(&keys->scratch, "shared/mine.txt", "mine");
    scratch_folder(&keys->scratch, "web");
    scratch_put(&keys->scratch, "web/index.html", "<title>a page</title>");
    setenv("P2P_HOME", keys->scratch.dir, 1);
    snprintf(arguments[0], sizeof(arguments[0]), "--keys-dir=%s", keys->dir);
    snprintf(arguments[1], sizeof(arguments[1]), "--shared-dir=%s/shared",
             keys->scratch.dir);
    snprintf(arguments[2], sizeof(arguments[2]), "--downloads-dir=%s/downloads",
             keys->scratch.dir);
    snprintf(arguments[3], sizeof(arguments[3]), "--web-dir=%s/web", keys->scratch.dir);
    snprintf(arguments[4], sizeof(arguments[4]), "--discovery=http://127.0.0.1:1");
    if (ui_options_parse(&app.opt, 8, argv) != P2P_OK ||
        http_listen("127.0.0.1", 0, &app.listener) != P2P_OK)
        return -1;
    return ui_app_open(&app) == P2P_OK ? 0 : -1;
}

static int
tear_down(void **state)
{
    void *made = keys;

    (void)state;
    ui_app_close(&app);
    ui_options_clear(&app.opt);
    keys_teardown(&made);
    return 0;
}

/* ---- tests ---- */

/* Both searches ask a registry, and none is running. */
static void
the_owner_sees_every_room(void **state)
{
    static const struct row rows[] = {
        {"GET", "/", "", 200},
        {"GET", "/health", "", 200},
        {"GET", "/metrics", "", 200},
        {"GET", "/api/openapi.yaml", "", 200},
        {"GET", "/api/status", "", 200},
        {"GET", "/api/peers", "", 200},
        {"GET", "/api/peers/search?filename=x", "", 503},
        {"GET", "/api/search?q=mine", "", 503},
        {"GET", "/api/shares/problems", "", 200},
        {"GET", "/api/shared", "", 200},
        {"GET", "/api/shared/mine.txt", "", 200},
        {"GET", "/api/downloads", "", 200},
        {"GET", "/api/transfers", "", 200},
        {"POST", "/api/pair/code", "{}", 201},
        {"GET", "/api/pair/code", "", 200},
        {"POST", "/api/owner/link", "{}", 200},
        {"GET", "/api/devices", "", 200},
        {"GET", "/api/config", "", 200},
        {"POST", "/api/transfers/pause-all", "{}", 200},
        {"POST", "/api/transfers/clear-finished", "{}", 200},
    };

    (void)state;
    CHECK(rows);
}

static void
what_is_not_there_is_not_found(void **state)
{
    static const struct row rows[] = {
        {"GET", "/api/nothing", "", 404},
        {"POST", "/nothing", "{}", 405},
        {"GET", "/no-such-page.html", "", 404},
        {"GET", "/../keys/owner.token", "", 404},
        {"GET", "/api/shared/other.txt", "", 404},
        {"DELETE", "/api/shared/other.txt", "", 404},
        {"GET", "/api/downloads/other.txt", "", 404},
        {"GET", "/api/transfers/9999", "", 404},
        {"POST", "/api/transfers/9999/pause", "{}", 404},
        {"DELETE", "/api/devices/9999", "", 404},
        {"GET", "/api/peers/" ID, "", 404},
    };

    (void)state;
    CHECK(rows);
}

static void
what_makes_no_sense_is_refused(void **state)
{
    static const struct row rows[] = {
        {"POST", "/api/uploads", "", 412},
        {"HEAD", "/api/uploads/0123", "", 412},
        {"PATCH", "/api/uploads/0123", "", 412},
        {"DELETE", "/api/uploads/0123", "", 412},
        {"GET", "/api/thumb?of=shared&path=mine.txt&size=5", "", 400},
        {"GET", "/api/thumb?of=nothing&path=mine.txt", "", 400},
        {"GET", "/api/thumb/xyz", "", 400},
        {"POST", "/api/transfers", "{}", 422},
        {"POST", "/api/transfers", "{\"filename\":\"../x\"}", 400},
        {"POST", "/api/transfers", "{\"filename\":\"x\",\"root\":\"zz\"}", 422},
        {"POST", "/api/transfers", "not json", 400},
        {"POST", "/api/peers", "{\"address\":\"\"}", 422},
        {"POST", "/api/peers/short/trust", "{}", 400},
        {"PATCH", "/api/config", "{\"max_running\":-1}", 422},
        {"PATCH", "/api/config", "{\"no_such_setting\":1}", 422},
        {"POST", "/api/shared/mine.txt/rename", "{\"to\":\"../x\"}", 400},
        {"POST", "/api/status", "{}", 405},
        {"POST", "/api/pair", "{\"code\":1}", 400},
    };

    (void)state;
    CHECK(rows);
    assert_true(scratch_holds(&keys->scratch, "shared/mine.txt", "mine"));
}

/* A program that does not identify itself, behind a program that forwards connections.
 */
static void
nobody_else_is_the_owner(void **state)
{
    static const char *const paths[] = {"/api/status",  "/api/shared",    "/api/config",
                                        "/api/devices", "/api/pair/code", "/metrics"};
    static const char *const who[] = {
        "Host: localhost\r\nX-Forwarded-For: 192.0.2.7\r\n",
        "Host: localhost\r\nVia: 1.1 proxy\r\n",
        "Host: localhost\r\nAuthorization: Bearer " ROOT "\r\n"
        "Forwarded: for=192.0.2.7\r\n",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(who) / sizeof(who[0]); i++) {
        for (size_t k = 0; k < sizeof(paths) / sizeof(paths[0]); k++) {
            unsigned status = status_of(ask(who[i], "GET", paths[k], ""));
            if (status != 401 && status != 403)
                fail_msg("%s for %s: %u", paths[k], who[i], status);
        }
    }
}

static void
another_name_or_origin_is_refused(void **state)
{
    char who[300];

    (void)state;
    assert_int_equal(status_of(ask("Host: evil.example\r\n", "GET", "/", "")), 421);
    snprintf(who, sizeof(who),
             "Host: localhost\r\nOrigin: http://evil.example\r\n"
             "Authorization: Bearer %s\r\n",
             app.access.owner_token);
    assert_int_equal(status_of(ask(who, "POST", "/api/transfers/pause-all", "{}")),
                     403);
}

static void
a_file_is_renamed_deleted_and_restored(void **state)
{
    static const struct row renamed[] = {
        {"POST", "/api/shared/mine.txt/rename", "{\"to\":\"yours.txt\"}", 200},
        {"GET", "/api/shared/yours.txt", "", 200},
        {"POST", "/api/shared/yours.txt/rename", "{\"to\":\"mine.txt\"}", 200},
    };
    static const struct row gone[] = {{"DELETE", "/api/shared/mine.txt", "", 200},
                                      {"GET", "/api/shared/mine.txt", "", 404}};
    static const struct row back[] = {
        {"POST", "/api/shared/mine.txt/restore", "{}", 200},
        {"GET", "/api/shared/mine.txt", "", 200}};

    (void)state;
    CHECK(renamed);
    CHECK(gone);
    assert_false(scratch_has(&keys->scratch, "shared/mine.txt"));
    CHECK(back);
    assert_true(scratch_holds(&keys->scratch, "shared/mine.txt", "mine"));
}

#define GRANTEE "ab12cd34ab12cd34ab12cd34ab12cd34ab12cd34ab12cd34ab12cd34ab12cd34"

static void
folders_become_private_and_public(void **state)
{
    static const struct row rows[] = {
        {"POST", "/api/grants", "{}", 422},
        {"POST", "/api/grants", "{\"folder\":\"photos\"}", 422},
        {"POST", "/api/grants", "{\"folder\":\"../x\",\"peers\":[]}", 422},
        {"POST", "/api/grants", "{\"folder\":\"photos\",\"peers\":[\"ab\"]}", 422},
        {"POST", "/api/grants",
         "{\"folder\":\"photos\",\"peers\":[],\"everyone\":true}", 422},
        {"POST", "/api/grants", "{\"folder\":\"photos\",\"peers\":[\"" GRANTEE "\"]}",
         200},
        {"DELETE", "/api/grants/x", "", 404},
        {"DELETE", "/api/grants/99", "", 404},
    };
    static const struct row ends[] = {
        {"POST", "/api/grants", "{\"folder\":\"photos/\",\"everyone\":true}", 200},
        {"POST", "/api/grants", "{\"folder\":\"/\",\"peers\":[]}", 200},
    };

    (void)state;
    CHECK(rows);
    assert_non_null(strstr(own("GET", "/api/grants", ""), "\"" GRANTEE "\""));
    CHECK(ends);
    assert_null(strstr(own("GET", "/api/grants", ""), GRANTEE));
    assert_non_null(strstr(own("GET", "/api/grants", ""), "\"folder\":\"/\""));
    assert_int_equal(status_of(ask("Host: localhost\r\nX-Forwarded-For: 1.2.3.4\r\n",
                                   "GET", "/api/grants", "")),
                     401);
}

static void
a_link_opens_once(void **state)
{
    struct ui_links links;
    char secret[UI_LINK_LEN + 1], other[UI_LINK_LEN + 1];

    (void)state;
    ui_links_init(&links);
    assert_int_equal(ui_links_make(&links, 100, secret), P2P_OK);
    assert_int_equal(strlen(secret), UI_LINK_LEN);
    memset(other, '0', UI_LINK_LEN);
    other[UI_LINK_LEN] = '\0';
    assert_false(ui_links_take(&links, 101, other));
    assert_false(ui_links_take(&links, 101, ""));
    assert_false(ui_links_take(&links, 100 + UI_LINK_LIFE_S + 1, secret));
    assert_int_equal(ui_links_make(&links, 200, secret), P2P_OK);
    assert_true(ui_links_take(&links, 201, secret));
    assert_false(ui_links_take(&links, 202, secret));
    ui_links_clear(&links);
}

static void
wrong_options_are_refused(void **state)
{
    static const char *const words[] = {"--port=x",         "--max-running=0",
                                        "--no-such-option", "--allow-host=http://a",
                                        "--verify=never",   "extra"};

    (void)state;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        char *argv[] = {(char[]){"p2p-ui"}, (char *)(uintptr_t)words[i], NULL};
        struct ui_options opt;
        if (ui_options_parse(&opt, 2, argv) != P2P_ERR_USAGE)
            fail_msg("%s was taken", words[i]);
        ui_options_clear(&opt);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_owner_sees_every_room),
        cmocka_unit_test(what_is_not_there_is_not_found),
        cmocka_unit_test(what_makes_no_sense_is_refused),
        cmocka_unit_test(nobody_else_is_the_owner),
        cmocka_unit_test(another_name_or_origin_is_refused),
        cmocka_unit_test(a_file_is_renamed_deleted_and_restored),
        cmocka_unit_test(folders_become_private_and_public),
        cmocka_unit_test(a_link_opens_once),
        cmocka_unit_test(wrong_options_are_refused),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
