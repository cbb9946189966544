// uses tests/unit/http_fixture.c
/* The HTTP server and time: long polls, event streams, slow senders, long work, and the
 * stop. */
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http_fixture.h"
#include "patience.h"

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
    assert_has(receive(fd, "\n\n"), "text/event-stream");
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

/* A stream that saw no event has an id, too, with which it can come back. */
static void
a_newcomer_is_told_to_read_everything(void **state)
{
    unsigned long long id = 0;
    char last[64];
    const char *text;
    int fd = dial();

    (void)state;
    send_text(fd, "GET /events HTTP/1.1\r\n" LOCAL "\r\n");
    text = receive(fd, "{}");
    assert_has(text, "event: resync");
    assert_int_equal(sscanf(strstr(text, "id: "), "id: %llu", &id), 1);
    close(fd);

    http_sse_publish(events, "missed", "[3]", 3);
    fd = dial();
    send_text(fd, "GET /events HTTP/1.1\r\n" LOCAL);
    snprintf(last, sizeof(last), "Last-Event-ID: %llu\r\n\r\n", id);
    send_text(fd, last);
    text = receive(fd, "[3]");
    assert_has(text, "event: missed");
    assert_null(strstr(text, "resync"));
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
cuts_off_slow_senders(void **state)
{
    int fd = dial();

    (void)state;
    send_text(fd, "POST /json HTTP/1.1\r\n" LOCAL "Content-Length: 900\r\n\r\n{");
    for (int i = 0; i < 3000; i++) {
        if (send(fd, " ", 1, MSG_NOSIGNAL) != 1)
            break;
        usleep(20 * 1000);
        if (recv(fd, (char[1]){0}, 1, MSG_PEEK | MSG_DONTWAIT) >= 0)
            break;
    }
    shutdown(fd, SHUT_WR); /* so that the server waits for no more */
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
    assert_has(ask(GET("/version?since=1&wait_ms=1100")), "{\"version\":\"1\"}");
}

static void
await_end_of(uint64_t serial)
{
    AWAIT(last_ended == serial);
}

/* A waiting request ends when its client leaves, and the program is told once, with its
 * number. */
static void
tells_when_a_request_is_over(void **state)
{
    uint64_t before;
    int ended, fd;

    (void)state;
    assert_starts(ask(GET("/version?since=9")), "200");
    await_end_of(last_serial);
    before = last_serial;
    for (int how = 0; how < 2; how++) {
        const struct linger reset = {.l_onoff = 1, .l_linger = 0};

        ended = n_ended;
        fd = dial();
        send_text(fd, "GET /version?since=1&wait_ms=9000 HTTP/1.1\r\n" LOCAL "\r\n");
        while (http_waitlist_count(waiters) == 0)
            usleep(1000);
        assert_true(last_serial > before);
        assert_int_not_equal(last_ended, last_serial);
        if (how == 0)
            setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
        close(fd);
        await_end_of(last_serial);
        assert_int_equal(n_ended, ended + 1);
        before = last_serial;
    }
    /* A request that a route table row refuses, or no row matches, ends as well. */
    ended = n_ended;
    assert_starts(ask(GET("/nowhere")), "404");
    AWAIT(n_ended != ended);
    assert_int_equal(n_ended, ended + 1);
}

/* ---- answers whose bytes are not all there ---- */

static void
wait_for_waiting(size_t count)
{
    AWAIT(http_waitlist_count(waiters) == count);
}

static void
wait_for_end(int count)
{
    AWAIT(arrivals_ended >= count);
}

static void
bytes_are_sent_as_they_arrive(void **state)
{
    int ended = arrivals_ended, fd = dial();

    (void)state;
    n_arrived = 3;
    send_text(fd, "GET /arrivals?wait_ms=60000 HTTP/1.1\r\n" LOCAL
                  "Range: bytes=1-8\r\nConnection: close\r\n\r\n");
    assert_has(receive(fd, "12"), "Content-Range: bytes 1-8/10");
    for (int i = 3; i <= 9; i++) { /* first, nothing new: it waits again */
        wait_for_waiting(1);
        n_arrived = i;
        http_waitlist_wake(waiters);
    }
    assert_non_null(strstr(receive(fd, NULL), "8"));
    wait_for_end(ended + 1);
    close(fd);
}

static void
what_does_not_arrive_is_broken_off(void **state)
{
    int ended = arrivals_ended;
    const char *text;

    (void)state;
    n_arrived = 3;
    text = ask(GET("/arrivals?wait_ms=50"));
    assert_has(text, "Content-Length: 10");
    assert_has(text, "\r\n\r\n012");
    assert_null(strstr(text, "0123"));
    wait_for_end(ended + 1);
    n_arrived = -1;
    (void)ask(GET("/arrivals?wait_ms=60000"));
    wait_for_end(ended + 2);
}

static void
nothing_waits_for_a_client_that_left(void **state)
{
    int ended = arrivals_ended, fd = dial();

    (void)state;
    n_arrived = 1;
    send_text(fd, "GET /arrivals?wait_ms=60000 HTTP/1.1\r\n" LOCAL "\r\n");
    assert_has(receive(fd, "\r\n\r\n0"), "200");
    wait_for_waiting(1);
    close(fd);
    wait_for_end(ended + 1);
    wait_for_waiting(0);
}

/* More answers wait than the server has threads, and others are still served. */
static void
waiting_answers_use_no_thread(void **state)
{
    int ended = arrivals_ended, fds[40];

    (void)state;
    n_arrived = 1;
    for (size_t i = 0; i < 40; i++) {
        fds[i] = dial();
        send_text(fds[i], "GET /arrivals?wait_ms=60000 HTTP/1.1\r\n" LOCAL "\r\n");
    }
    wait_for_waiting(40);
    assert_starts(ask(GET("/ready")), "200");
    n_arrived = 10;
    http_waitlist_wake(waiters);
    wait_for_end(ended + 40);
    for (size_t i = 0; i < 40; i++) {
        assert_non_null(strstr(receive(fds[i], "0123456789"), "0123456789"));
        close(fds[i]);
    }
}

static void
stops_while_clients_wait(void **state)
{
    int wait_fd = dial(), events_fd = dial(), arrivals_fd = dial();

    (void)state;
    n_arrived = 1;
    send_text(arrivals_fd, "GET /arrivals?wait_ms=60000 HTTP/1.1\r\n" LOCAL "\r\n");
    wait_for_waiting(1);
    send_text(events_fd, "GET /events HTTP/1.1\r\n" LOCAL "\r\n");
    receive(events_fd, "\n\n");
    send_text(wait_fd, "GET /version?since=1&wait_ms=9000 HTTP/1.1\r\n" LOCAL "\r\n");
    wait_for_waiting(2);
    stop_serving();
    close(arrivals_fd);
    close(wait_fd);
    close(events_fd);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waits_until_it_is_woken_or_over),
        cmocka_unit_test(streams_events_and_replays_them),
        cmocka_unit_test(a_newcomer_is_told_to_read_everything),
        cmocka_unit_test(tells_a_client_that_fell_behind),
        cmocka_unit_test(cuts_off_slow_senders),
        cmocka_unit_test(long_work_holds_nobody_up),
        cmocka_unit_test(a_wait_may_be_longer_than_the_time_for_headers),
        cmocka_unit_test(tells_when_a_request_is_over),
        cmocka_unit_test(bytes_are_sent_as_they_arrive),
        cmocka_unit_test(what_does_not_arrive_is_broken_off),
        cmocka_unit_test(nothing_waits_for_a_client_that_left),
        cmocka_unit_test(waiting_answers_use_no_thread),
        cmocka_unit_test(stops_while_clients_wait),
    };

    body_timeout_ms = 100;
    return cmocka_run_group_tests_name("http_waiting", tests, start_http, stop_http);
}
