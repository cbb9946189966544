/* A client that does not read its answer: the time that it gets, and the memory that it
 * can hold. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "http/http.h"
#include "p2p/clock.h"
#include "patience.h"

#define VAST ((size_t)16 * 1024 * 1024)

static _Atomic int n_ended;

static void
get_vast(struct http_request *req, void *app)
{
    char *body = calloc(1, VAST);

    (void)app;
    http_reply(req, 200, "text/plain", body, VAST);
    free(body);
}

static void
on_end(uint64_t serial, void *app)
{
    (void)serial, (void)app;
    n_ended++;
}

static const struct http_route routes[] = {{"GET", "/vast", get_vast, 0, 0, 0}, {0}};

static struct http_server *
serve(unsigned timeout_ms, unsigned min_rate)
{
    struct http_options opt = {
        .host = "127.0.0.1",
        .routes = routes,
        .on_end = on_end,
        .answer_timeout_ms = timeout_ms,
        .answer_min_rate = min_rate,
    };
    struct http_server *server;

    n_ended = 0;
    assert_int_equal(http_server_open(&opt, &server), P2P_OK);
    return server;
}

/* Requests the very large answer. The kernel buffers little for this client. */
static int
ask(const struct http_server *server)
{
    static const char text[] =
        "GET /vast HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    struct sockaddr_in sa = {.sin_family = AF_INET,
                             .sin_port = htons(http_server_port(server)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval limit = {.tv_sec = patience_ms() / 1000};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), small = 4096;

    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
    assert_int_equal(send(fd, text, sizeof(text) - 1, MSG_NOSIGNAL), sizeof(text) - 1);
    return fd;
}

static size_t
read_all(int fd)
{
    static char buffer[256 * 1024];
    size_t total = 0;
    ssize_t n;

    while ((n = recv(fd, buffer, sizeof(buffer), 0)) > 0)
        total += (size_t)n;
    return total;
}

static void
an_answer_that_nobody_reads_ends(void **state)
{
    struct http_server *server = serve(100, 1u << 30);
    int fd = ask(server);
    uint64_t end_ms = patience_end_ms();

    (void)state;
    while (n_ended == 0 && p2p_now_ms() < end_ms)
        usleep(1000);
    assert_int_equal(n_ended, 1);
    assert_true(read_all(fd) < VAST);
    close(fd);
    http_server_close(server);
}

static void
each_byte_of_an_answer_gives_time(void **state)
{
    struct http_server *server = serve(1, (unsigned)VAST / 60); /* a minute */
    int fd = ask(server);

    (void)state;
    usleep(100 * 1000); /* far beyond the time that it would get without these bytes */
    assert_int_equal(n_ended, 0);
    assert_true(read_all(fd) > VAST);
    close(fd);
    http_server_close(server);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_that_nobody_reads_ends),
        cmocka_unit_test(each_byte_of_an_answer_gives_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
