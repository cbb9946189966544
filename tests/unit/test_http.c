/* The HTTP server from outside: raw bytes over a socket, as clients and attackers send.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "http/file.h"
#include "http/http.h"
#include "http/offload.h"
#include "http/sse.h"
#include "http/upload.h"
#include "http/wait.h"

static struct http_server *server;
static struct http_waitlist *waiters;
static struct http_sse *events;
static struct http_prepared *prepared;
static int pages_fd = -1;
static char pages_dir[] = "/tmp/p2p-test-http-XXXXXX";
static _Atomic int version, uploads_freed, gate_is_open;

/* ---- the program under test ---- */

static void
get_prepared(struct http_request *req, void *app)
{
    (void)app;
    http_reply_prepared(req, 200, prepared);
}

static void
get_item(struct http_request *req, void *app)
{
    char text[512];

    (void)app;
    snprintf(text, sizeof(text), "%s|%s|%s", http_param(req, "name"),
             http_query(req, "q") ? http_query(req, "q") : "-", http_client_ip(req));
    http_reply(req, 200, "text/plain", text, strlen(text));
}

static void
post_json(struct http_request *req, void *app)
{
    cJSON *json = http_json(req);

    (void)app;
    if (json != NULL)
        http_reply_json(req, 200, cJSON_Duplicate(json, true));
}

static void
get_version(struct http_request *req, void *app)
{
    uint64_t seen = http_waitlist_generation(waiters), since, wait_ms;

    (void)app;
    if (!http_query_u64(req, "since", 0, 1000, 0, &since) ||
        !http_query_u64(req, "wait_ms", 0, 10000, 0, &wait_ms))
        return;
    if (version == (int)since && http_wait(req, waiters, seen, (unsigned)wait_ms))
        return;
    http_reply_message(req, 200, "version", version == 0 ? "0" : "1");
}

static void
get_events(struct http_request *req, void *app)
{
    (void)app;
    http_sse_follow(events, req);
}

static void
get_page(struct http_request *req, void *app)
{
    (void)app;
    http_reply_static(req, pages_fd, http_param(req, "path"));
}

static void
get_nothing(struct http_request *req, void *app)
{
    (void)req, (void)app;
}

static void
get_long(struct http_request *req, void *app)
{
    (void)app;
    if (http_offload(req))
        return;
    while (!gate_is_open)
        usleep(1000);
    http_reply(req, 200, "text/plain", "long", 4);
}

struct seen {
    char text[256];
};

static enum p2p_err
on_part(void *arg, const char *name, const char *filename)
{
    struct seen *s = arg;

    snprintf(s->text + strlen(s->text), 64, "<%s,%s>", name, filename ? filename : "-");
    return P2P_OK;
}

static enum p2p_err
on_data(void *arg, const void *data, size_t len)
{
    struct seen *s = arg;

    strncat(s->text, data, len < 100 ? len : 100);
    return P2P_OK;
}

static enum p2p_err
on_part_end(void *arg)
{
    strcat(((struct seen *)arg)->text, ";");
    return P2P_OK;
}

static void
on_done(void *arg, struct http_request *req, enum p2p_err err)
{
    if (err != P2P_OK)
        http_fail_err(req, err, NULL);
    else
        http_reply(req, 200, "text/plain", arg, strlen(((struct seen *)arg)->text));
}

static void
on_free(void *arg)
{
    free(arg);
    uploads_freed++;
}

static void
post_upload(struct http_request *req, void *app)
{
    static const struct http_upload_sink sink = {
        {on_part, on_data, on_part_end}, on_done, on_free};

    (void)app;
    http_upload_into(req, &sink, calloc(1, sizeof(struct seen)));
}

static const struct http_route routes[] = {
    {"GET", "/ready", get_prepared, 0, 0},
    {"GET", "/item/{name}", get_item, 0, 0},
    {"GET", "/tree/{name*}", get_item, 0, 0},
    {"POST", "/json", post_json, 1000, 0},
    {"PUT", "/json", post_json, 1000, 0},
    {"GET", "/version", get_version, 0, 0},
    {"GET", "/events", get_events, 0, 0},
    {"GET", "/pages/{path*}", get_page, 0, 0},
    {"GET", "/long", get_long, 0, 0},
    {"GET", "/nothing", get_nothing, 0, 0},
    {"POST", "/upload", post_upload, 0, HTTP_MULTIPART},
    {0},
};

static const struct http_header headers[] = {
    {"X-Content-Type-Options", "nosniff"},
    {NULL, NULL},
};

static int
start(void **state)
{
    struct http_options opt = {
        .host = "127.0.0.1",
        .guard = {.check_host = true, .check_origin = true},
        .headers = headers,
        .routes = routes,
        .header_timeout_s = 1,
        .body_timeout_s = 1,
        .idle_timeout_s = 2,
    };
    FILE *f;
    char path[128];

    (void)state;
    if (mkdtemp(pages_dir) == NULL)
        return -1;
    snprintf(path, sizeof(path), "%s/index.html", pages_dir);
    if ((f = fopen(path, "w")) == NULL)
        return -1;
    fputs("0123456789", f);
    fclose(f);
    snprintf(path, sizeof(path), "%s/link.html", pages_dir);
    if (symlink("/etc/passwd", path) != 0)
        return -1;
    pages_fd = open(pages_dir, O_DIRECTORY | O_CLOEXEC);
    if (http_server_open(&opt, &server) != P2P_OK)
        return -1;
    waiters = http_waitlist_new(server);
    events = http_sse_new(server, 4, 3);
    prepared = http_prepare(server, "text/plain", "ready", 5);
    return 0;
}

static int
stop(void **state)
{
    char path[128];

    (void)state;
    http_prepared_free(prepared);
    http_server_close(server);
    http_waitlist_free(waiters);
    http_sse_free(events);
    close(pages_fd);
    snprintf(path, sizeof(path), "%s/index.html", pages_dir);
    unlink(path);
    snprintf(path, sizeof(path), "%s/link.html", pages_dir);
    unlink(path);
    rmdir(pages_dir);
    return 0;
}

/* ---- a client of raw bytes ---- */

static int
dial(void)
{
    struct sockaddr_in sa = {.sin_family = AF_INET,
                             .sin_port = htons(http_server_port(server)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval limit = {.tv_sec = 10};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
    return fd;
}

static void
send_text(int fd, const char *text)
{
    size_t n = strlen(text);

    assert_int_equal(send(fd, text, n, MSG_NOSIGNAL), (ssize_t)n);
}

/* Everything until the server closes or `until` was seen. */
static const char *
receive(int fd, const char *until)
{
    static char buffer[64 * 1024];
    size_t have = 0;

    buffer[0] = '\0';
    while (have < sizeof(buffer) - 1) {
        ssize_t n = recv(fd, buffer + have, sizeof(buffer) - 1 - have, 0);

        if (n <= 0)
            break;
        have += (size_t)n;
        buffer[have] = '\0';
        if (until != NULL && strstr(buffer, until) != NULL)
            break;
    }
    return buffer;
}

static const char *
ask(const char *request)
{
    int fd = dial();
    const char *answer;

    send_text(fd, request);
    answer = receive(fd, NULL);
    close(fd);
    return answer;
}

#define LOCAL     "Host: localhost\r\nConnection: close\r\n"
#define GET(path) "GET " path " HTTP/1.1\r\n" LOCAL "\r\n"
#define assert_starts(text, want) \
    assert_memory_equal(text, "HTTP/1.1 " want, sizeof("HTTP/1.1 " want) - 1)
#define assert_has(text, want) assert_non_null(strstr(text, want))

static const char *
post(const char *path, const char *extra, const char *body)
{
    static char request[8192];

    snprintf(request, sizeof(request),
             "POST %s HTTP/1.1\r\n" LOCAL "%sContent-Length: %zu\r\n\r\n%s", path,
             extra, strlen(body), body);
    return ask(request);
}

/* ---- tests ---- */

static void
answers_prepared_and_keeps_the_connection(void **state)
{
    int fd = dial();

    (void)state;
    for (int i = 0; i < 3; i++) {
        const char *answer;

        send_text(fd, "GET /ready HTTP/1.1\r\nHost: localhost\r\n\r\n");
        answer = receive(fd, "\r\n\r\nready");
        assert_starts(answer, "200");
        assert_has(answer, "X-Content-Type-Options: nosniff");
    }
    close(fd);
}

static void
decodes_parameters_once(void **state)
{
    (void)state;
    assert_has(ask(GET("/item/a%2520b%2Fc?q=%C3%A4+x%26")),
               "a%20b/c|\xc3\xa4 x&|127.0.0.1");
    assert_has(ask(GET("/tree/a/b%20c/d")), "a/b c/d|-|");
}

static void
refuses_paths_that_decode_badly(void **state)
{
    (void)state;
    assert_starts(ask(GET("/item/a%00b")), "400");
    assert_starts(ask(GET("/item/a%2")), "400");
    assert_starts(ask(GET("/item/%zz")), "400");
    assert_starts(ask(GET("/item/%ff")), "400");
    assert_starts(ask(GET("/item/%c0%af")), "400");
    assert_starts(ask(GET("/item/%ed%a0%80")), "400");
    assert_starts(ask(GET("/item/a?q=%00")), "400");
}

static void
names_what_is_missing_and_what_is_allowed(void **state)
{
    const char *answer = ask(GET("/no/such"));

    (void)state;
    assert_starts(answer, "404");
    assert_has(answer, "application/problem+json");
    assert_has(answer, "\"status\":404");
    assert_has(answer, "\"error\":\"");
    answer = ask(GET("/json"));
    assert_starts(answer, "405");
    assert_has(answer, "Allow: POST, PUT\r\n");
    assert_starts(ask(GET("/item/")), "404");
    assert_starts(ask(GET("/nothing")), "500");
}

static void
takes_json_and_refuses_what_is_not(void **state)
{
    (void)state;
    assert_has(post("/json", "", "{\"a\": [1, \"\xc3\xa4\"]}"),
               "{\"a\":[1,\"\xc3\xa4\"]}");
    assert_starts(post("/json", "", "{\"a\":1}x"), "400");
    assert_starts(post("/json", "", "{\"a\":1,\"a\":2}"), "400");
    assert_starts(post("/json", "", "{\"a\":\"\\u0000\"}"), "400");
    assert_starts(post("/json", "", "{\"a\":\"\xff\"}"), "400");
    assert_starts(post("/json", "", "[1]"), "400");
    assert_starts(post("/json", "", ""), "400");
    assert_starts(post("/json", "Content-Type: text/plain\r\n", "{}"), "415");
    assert_starts(
        post("/json", "Content-Type: application/json; charset=utf-8\r\n", "{}"),
        "200");
}

static void
refuses_bodies_over_the_cap(void **state)
{
    static char big[2000];

    (void)state;
    memset(big, ' ', sizeof(big) - 1);
    assert_starts(post("/json", "", big), "413");
    /* With Expect it is said before a byte of the body is sent. */
    assert_starts(ask("POST /json HTTP/1.1\r\n" LOCAL "Content-Length: 99999999999\r\n"
                      "Expect: 100-continue\r\n\r\n"),
                  "413");
    assert_starts(ask("POST /json HTTP/1.1\r\n" LOCAL
                      "Transfer-Encoding: chunked\r\n\r\n"
                      "7\r\n{\"a\":1}\r\n0\r\n\r\n"),
                  "200");
}

static void
refuses_unclear_framing(void **state)
{
    (void)state;
    assert_starts(ask("POST /json HTTP/1.1\r\n" LOCAL "Content-Length: 2\r\n"
                      "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
                  "400");
    assert_starts(ask("POST /json HTTP/1.1\r\n" LOCAL
                      "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}x"),
                  "400");
    assert_starts(ask("GET /ready HTTP/1.1\r\n" LOCAL "Host: evil.example\r\n\r\n"),
                  "400");
    assert_starts(ask("POST /json HTTP/1.1\r\n" LOCAL "Content-Length: -2\r\n\r\n{}"),
                  "400");
}

static void
refuses_long_addresses_and_many_headers(void **state)
{
    static char request[20000];
    size_t n;

    (void)state;
    n = (size_t)sprintf(request, "GET /ready?");
    memset(request + n, 'a', 5000);
    sprintf(request + n + 5000, " HTTP/1.1\r\n" LOCAL "\r\n");
    assert_starts(ask(request), "414");
    n = (size_t)sprintf(request, "GET /ready HTTP/1.1\r\n" LOCAL);
    for (int i = 0; i < 120; i++)
        n += (size_t)sprintf(request + n, "X-%d: y\r\n", i);
    sprintf(request + n, "\r\n");
    assert_starts(ask(request), "431");
}

static void
takes_only_its_own_hosts(void **state)
{
    (void)state;
#define HOST(h) "GET /ready HTTP/1.1\r\nConnection: close\r\nHost: " h "\r\n\r\n"
    assert_starts(ask(HOST("localhost:1234")), "200");
    assert_starts(ask(HOST("127.0.0.1")), "200");
    assert_starts(ask(HOST("[::1]:8080")), "200");
    assert_starts(ask(HOST("evil.example")), "421");
    assert_starts(ask(HOST("localhost.evil.example")), "421");
    assert_starts(ask(HOST("127.0.0.1.nip.io")), "421");
    assert_starts(ask(HOST("localhost:80x")), "421");
    assert_starts(ask(HOST("127.0.0.2")), "421");
}

static void
takes_changes_only_from_its_own_pages(void **state)
{
    (void)state;
    assert_starts(post("/json", "Origin: http://localhost\r\n", "{}"), "200");
    assert_starts(post("/json", "Sec-Fetch-Site: same-origin\r\n", "{}"), "200");
    assert_starts(post("/json", "Origin: http://evil.example\r\n", "{}"), "403");
    assert_starts(post("/json", "Origin: null\r\n", "{}"), "403");
    assert_starts(post("/json", "Sec-Fetch-Site: cross-site\r\n", "{}"), "403");
    assert_starts(post("/json", "Sec-Fetch-Site: same-site\r\n", "{}"), "403");
}

static void
waits_until_it_is_woken_or_over(void **state)
{
    int fd = dial();

    (void)state;
    send_text(fd, "GET /version?since=0&wait_ms=9000 HTTP/1.1\r\n" LOCAL "\r\n");
    while (http_waitlist_count(waiters) == 0)
        usleep(1000);
    version = 1;
    http_waitlist_wake(waiters);
    assert_has(receive(fd, NULL), "{\"version\":\"1\"}");
    close(fd);
    assert_has(ask(GET("/version?since=1&wait_ms=50")), "{\"version\":\"1\"}");
    assert_starts(ask(GET("/version?since=x")), "400");
    assert_starts(ask(GET("/version?since=99999999999999999999")), "400");
}

static void
streams_events_and_replays_them(void **state)
{
    char last[64];
    uint64_t id;
    int fd = dial();

    (void)state;
    send_text(fd, "GET /events HTTP/1.1\r\n" LOCAL "\r\n");
    assert_has(receive(fd, ":\n\n"), "text/event-stream");
    id = http_sse_publish(events, "one", "{}", 2);
    assert_has(receive(fd, "\n\n"), "event: one\ndata: {}\n\n");
    close(fd);

    http_sse_publish(events, "two", "[2]", 3);
    fd = dial();
    send_text(fd, "GET /events HTTP/1.1\r\n" LOCAL);
    snprintf(last, sizeof(last), "Last-Event-ID: %llu\r\n\r\n", (unsigned long long)id);
    send_text(fd, last);
    assert_has(receive(fd, "[2]"), "event: two");
    close(fd);
}

static void
tells_a_client_that_fell_behind(void **state)
{
    int fd;

    (void)state;
    for (int i = 0; i < 6; i++)
        http_sse_publish(events, "many", "{}", 2);
    fd = dial();
    send_text(fd, "GET /events HTTP/1.1\r\n" LOCAL "Last-Event-ID: 7\r\n\r\n");
    assert_has(receive(fd, "{}"), "event: resync");
    close(fd);
}

static void
takes_uploads_in_parts(void **state)
{
    int freed = uploads_freed;

    (void)state;
    assert_has(post("/upload", "Content-Type: multipart/form-data; boundary=XX\r\n",
                    "--XX\r\nContent-Disposition: form-data; name=\"file\"; "
                    "filename=\"a.txt\"\r\n\r\nhello\r\n--XX--\r\n"),
               "<file,a.txt>hello;");
    assert_starts(
        post("/upload", "Content-Type: multipart/form-data; boundary=XX\r\n",
             "--XX\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nhel"),
        "400");
    assert_starts(post("/upload", "Content-Type: text/plain\r\n", "x"), "415");
    assert_starts(
        post("/upload", "Content-Type: multipart/form-data; boundary=\r\n", "x"),
        "400");
    assert_int_equal(uploads_freed, freed + 4);
}

static void
serves_files_with_ranges(void **state)
{
    const char *answer = ask(GET("/pages/"));

    (void)state;
    assert_starts(answer, "200");
    assert_has(answer, "text/html");
    assert_has(answer, "\r\n\r\n0123456789");
#define RANGE(r) "GET /pages/index.html HTTP/1.1\r\n" LOCAL "Range: " r "\r\n\r\n"
    answer = ask(RANGE("bytes=2-4"));
    assert_starts(answer, "206");
    assert_has(answer, "Content-Range: bytes 2-4/10\r\n");
    assert_has(answer, "\r\n\r\n234");
    assert_has(ask(RANGE("bytes=-3")), "\r\n\r\n789");
    assert_starts(ask(RANGE("bytes=10-")), "416");
    assert_starts(ask(GET("/pages/../index.html")), "404");
    assert_starts(ask(GET("/pages/%2e%2e/index.html")), "404");
    assert_starts(ask(GET("/pages/link.html")), "404");
    assert_starts(ask(GET("/pages//etc/passwd")), "404");
}

static void
cuts_off_slow_senders(void **state)
{
    int fd = dial();

    (void)state;
    send_text(fd, "POST /json HTTP/1.1\r\n" LOCAL "Content-Length: 900\r\n\r\n{");
    for (int i = 0; i < 100; i++) {
        if (send(fd, " ", 1, MSG_NOSIGNAL) != 1)
            break;
        usleep(100 * 1000);
        if (recv(fd, (char[1]){0}, 1, MSG_PEEK | MSG_DONTWAIT) >= 0)
            break;
    }
    assert_starts(receive(fd, NULL), "408");
    close(fd);
}

static void
long_work_holds_nobody_up(void **state)
{
    int fds[2];

    (void)state;
    for (int i = 0; i < 2; i++) {
        fds[i] = dial();
        send_text(fds[i], GET("/long"));
    }
    for (int i = 0; i < 10; i++)
        assert_starts(ask(GET("/ready")), "200");
    gate_is_open = 1;
    for (int i = 0; i < 2; i++) {
        assert_has(receive(fds[i], NULL), "\r\n\r\nlong");
        close(fds[i]);
    }
}

static void
a_wait_may_be_longer_than_the_time_for_headers(void **state)
{
    (void)state;
    assert_has(ask(GET("/version?since=1&wait_ms=5000")), "{\"version\":\"1\"}");
}

static void
stops_while_clients_wait(void **state)
{
    int wait_fd = dial(), events_fd = dial();

    (void)state;
    send_text(events_fd, "GET /events HTTP/1.1\r\n" LOCAL "\r\n");
    receive(events_fd, ":\n\n");
    send_text(wait_fd, "GET /version?since=1&wait_ms=9000 HTTP/1.1\r\n" LOCAL "\r\n");
    while (http_waitlist_count(waiters) == 0)
        usleep(1000);
    http_prepared_free(prepared);
    prepared = NULL;
    http_server_close(server);
    server = NULL;
    close(wait_fd);
    close(events_fd);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_prepared_and_keeps_the_connection),
        cmocka_unit_test(decodes_parameters_once),
        cmocka_unit_test(refuses_paths_that_decode_badly),
        cmocka_unit_test(names_what_is_missing_and_what_is_allowed),
        cmocka_unit_test(takes_json_and_refuses_what_is_not),
        cmocka_unit_test(refuses_bodies_over_the_cap),
        cmocka_unit_test(refuses_unclear_framing),
        cmocka_unit_test(refuses_long_addresses_and_many_headers),
        cmocka_unit_test(takes_only_its_own_hosts),
        cmocka_unit_test(takes_changes_only_from_its_own_pages),
        cmocka_unit_test(waits_until_it_is_woken_or_over),
        cmocka_unit_test(streams_events_and_replays_them),
        cmocka_unit_test(tells_a_client_that_fell_behind),
        cmocka_unit_test(takes_uploads_in_parts),
        cmocka_unit_test(serves_files_with_ranges),
        cmocka_unit_test(cuts_off_slow_senders),
        cmocka_unit_test(long_work_holds_nobody_up),
        cmocka_unit_test(a_wait_may_be_longer_than_the_time_for_headers),
        cmocka_unit_test(stops_while_clients_wait),
    };

    return cmocka_run_group_tests_name("http", tests, start, stop);
}
