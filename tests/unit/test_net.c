#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "deaf.h"
#include "p2p/net.h"

static void
addresses(void **state)
{
    static const struct {
        const char *text;
        uint16_t default_port;
        const char *host;
        uint16_t port;
        const char *shown;
    } good[] = {
        {"host", 9000, "host", 9000, "host:9000"},
        {"host:1", 9000, "host", 1, "host:1"},
        {"10.0.0.1:65535", 0, "10.0.0.1", 65535, "10.0.0.1:65535"},
        {"::1", 9000, "::1", 9000, "[::1]:9000"},
        {"[::1]:80", 0, "::1", 80, "[::1]:80"},
        {"[fe80::1%eth0]", 5, "fe80::1%eth0", 5, "[fe80::1%eth0]:5"},
    };
    static const char *const wrong[] = {
        "",        ":9000",     "host:",    "host:0",   "host:65536",
        "host:-1", "host:1x",   "[::1",     "[::1]x",   "[]:1",
        "ho st",   "host/path", "host\n",   "http://a", "user@ho",
        "[::1]:",  "host:080",  "\xff\xfe", "a\"b",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct p2p_addr addr;
        char shown[P2P_HOST_MAX + 9];
        assert_int_equal(p2p_addr_parse(good[i].text, good[i].default_port, &addr),
                         P2P_OK);
        assert_string_equal(addr.host, good[i].host);
        assert_int_equal(addr.port, good[i].port);
        assert_string_equal(p2p_addr_format(&addr, shown, sizeof(shown)),
                            good[i].shown);
    }
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct p2p_addr addr;
        if (p2p_addr_parse(wrong[i], 9000, &addr) != P2P_ERR_USAGE)
            fail_msg("accepted: %s", wrong[i]);
    }
}

static void
own_addresses_are_for_others(void **state)
{
    struct p2p_addr own[16];
    size_t count = p2p_net_own_addresses(9000, own, 16);

    (void)state;
    assert_true(count <= 16);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(own[i].port, 9000);
        assert_false(p2p_addr_is_loopback(&own[i]));
        assert_null(strchr(own[i].host, '%'));
        for (size_t k = 0; k < i; k++)
            assert_false(p2p_addr_equal(&own[i], &own[k]));
    }
    assert_int_equal(p2p_net_own_addresses(9000, own, 1), count > 0 ? 1 : 0);
    assert_int_equal(p2p_net_own_addresses(9000, own, 0), 0);
}

static void
a_host_of_any_length_is_bounded(void **state)
{
    char text[P2P_HOST_MAX + 2];
    struct p2p_addr addr;

    (void)state;
    memset(text, 'a', sizeof(text));
    text[P2P_HOST_MAX] = '\0';
    assert_int_equal(p2p_addr_parse(text, 1, &addr), P2P_OK);
    text[P2P_HOST_MAX] = 'a';
    text[P2P_HOST_MAX + 1] = '\0';
    assert_int_equal(p2p_addr_parse(text, 1, &addr), P2P_ERR_USAGE);
}

static void
loopback_names(void **state)
{
    static const char *const yes[] = {"localhost", "127.0.0.1", "127.9.9.9", "::1"};
    static const char *const no[] = {"128.0.0.1", "::2", "127.0.0.1.example",
                                     "0.0.0.0"};

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct p2p_addr addr = {.port = 1};
        strcpy(addr.host, yes[i]);
        assert_true(p2p_addr_is_loopback(&addr));
        strcpy(addr.host, no[i]);
        assert_false(p2p_addr_is_loopback(&addr));
    }
}

/* A listener and a connection through it. */
struct pair {
    int listener, client, server;
    struct p2p_addr addr;
};

static void
pair_open(struct pair *pair, const char *listen_host, const char *host)
{
    struct sockaddr_storage ss;
    struct p2p_addr from;
    socklen_t len = sizeof(ss);

    *pair = (struct pair){-1, -1, -1, {{0}, 0}};
    strcpy(pair->addr.host, host);
    assert_int_equal(
        p2p_net_listen(listen_host, 0, false, 16, &pair->listener, &pair->addr.port),
        P2P_OK);
    assert_true(pair->addr.port > 0);
    assert_int_equal(p2p_net_connect(&pair->addr, p2p_now_ms() + 5000, &pair->client),
                     P2P_OK);
    /* The listener is non-blocking; the connection is there already over loopback. */
    pair->server = accept4(pair->listener, (struct sockaddr *)&ss, &len,
                           SOCK_NONBLOCK | SOCK_CLOEXEC);
    assert_true(pair->server >= 0);
    p2p_addr_from_sockaddr((struct sockaddr *)&ss, &from);
    assert_true(p2p_addr_is_loopback(&from));
}

static void
pair_close(struct pair *pair)
{
    p2p_fd_close(&pair->listener);
    p2p_fd_close(&pair->client);
    p2p_fd_close(&pair->server);
    assert_int_equal(pair->server, -1);
}

static void
any_address_takes_both_families(void **state)
{
    struct pair pair;

    (void)state;
    pair_open(&pair, "0.0.0.0", "127.0.0.1");
    pair_close(&pair);
    pair_open(&pair, "127.0.0.1", "localhost");
    pair_close(&pair);
    if (access("/proc/net/if_inet6", R_OK) == 0) {
        pair_open(&pair, "0.0.0.0", "::1");
        pair_close(&pair);
        pair_open(&pair, "::1", "::1");
        pair_close(&pair);
    }
}

static bool
is_near(const char *text, const struct p2p_net_link *links, size_t count)
{
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    struct sockaddr_in v4 = {.sin_family = AF_INET};

    if (inet_pton(AF_INET, text, &v4.sin_addr) == 1)
        return p2p_net_is_near((const struct sockaddr *)&v4, links, count);
    assert_int_equal(inet_pton(AF_INET6, text, &v6.sin6_addr), 1);
    return p2p_net_is_near((const struct sockaddr *)&v6, links, count);
}

/* Both forms of an IPv4 address: "0.0.0.0" listens on both families. */
static void
assert_near(const char *text, const struct p2p_net_link *links, size_t count, bool near)
{
    char mapped[64];

    if (is_near(text, links, count) != near)
        fail_msg("%s is %s", text, near ? "outside" : "near");
    snprintf(mapped, sizeof(mapped), "::ffff:%s", text);
    if (strchr(text, ':') == NULL && is_near(mapped, links, count) != near)
        fail_msg("%s is %s", mapped, near ? "outside" : "near");
}

static void
local_sources_are_near(void **state)
{
    static const char *const near[] = {
        "127.0.0.1",   "127.255.255.254",
        "10.0.0.1",    "10.255.255.255",
        "172.16.0.1",  "172.31.255.9",
        "192.168.0.1", "192.168.255.255",
        "169.254.7.7", "::1",
        "fe80::1",     "febf::1",
        "fc00::1",     "fdff:1::2",
    };
    static const char *const outside[] = {
        "0.0.0.0",
        "9.255.255.255",
        "11.0.0.0",
        "100.64.0.1",
        "126.0.0.1",
        "128.0.0.1",
        "172.15.255.1",
        "172.32.0.1",
        "192.167.0.1",
        "192.169.0.1",
        "169.253.1.1",
        "198.51.100.7",
        "255.255.255.255",
        "::",
        "::2",
        "2001:db8::7",
        "fec0::1",
        "fe00::1",
        "64:ff9b::a00:1",
        "2002:a00:1::1",
    };
    const struct sockaddr other = {.sa_family = AF_UNIX};

    (void)state;
    for (size_t i = 0; i < sizeof(near) / sizeof(near[0]); i++)
        assert_near(near[i], NULL, 0, true);
    for (size_t i = 0; i < sizeof(outside) / sizeof(outside[0]); i++)
        assert_near(outside[i], NULL, 0, false);
    assert_false(p2p_net_is_near(&other, NULL, 0));
    assert_false(p2p_net_is_near(NULL, NULL, 0));
}

/* A household with public IPv6 addresses: its network is local, the next one is not. */
static void
networks_of_interfaces_are_near(void **state)
{
    static const struct p2p_net_link links[] = {
        {{0x20, 0x01, 0x0d, 0xb8, 0, 1, 0, 2, [15] = 9}, 64},
        {{[10] = 0xff, [11] = 0xff, 198, 51, 100, 130}, 96 + 25},
        {{[10] = 0xff, [11] = 0xff, 203, 0, 113, 5}, 128},
    };
    struct p2p_net_link own[64];
    size_t count;

    (void)state;
    assert_near("2001:db8:1:2::7", links, 3, true);
    assert_near("2001:db8:1:3::7", links, 3, false);
    assert_near("198.51.100.200", links, 3, true);
    assert_near("198.51.100.127", links, 3, false);
    assert_near("203.0.113.5", links, 3, true);
    assert_near("203.0.113.4", links, 3, false);
    count = p2p_net_links(own, 64);
    for (size_t i = 0; i < count; i++)
        assert_true(own[i].prefix >= 32 && own[i].prefix <= 128);
    assert_int_equal(p2p_net_links(own, 0), 0);
}

static void
a_port_in_use_is_named(void **state)
{
    uint16_t port, again;
    int first, second;

    (void)state;
    assert_int_equal(p2p_net_listen("0.0.0.0", 0, false, 16, &first, &port), P2P_OK);
    assert_int_equal(p2p_net_listen("0.0.0.0", port, false, 16, &second, &again),
                     P2P_ERR_IN_USE);
    assert_int_equal(second, -1);
    p2p_fd_close(&first);
    assert_int_equal(p2p_net_listen("0.0.0.0", 0, true, 16, &first, &port), P2P_OK);
    assert_int_equal(p2p_net_listen("0.0.0.0", port, true, 16, &second, &again),
                     P2P_OK);
    assert_int_equal(port, again);
    p2p_fd_close(&first);
    p2p_fd_close(&second);
}

static void
nobody_listening_is_unreachable(void **state)
{
    struct pair pair;
    int fd;

    (void)state;
    pair_open(&pair, "127.0.0.1", "127.0.0.1");
    pair_close(&pair);
    assert_int_equal(p2p_net_connect(&pair.addr, p2p_now_ms() + 5000, &fd),
                     P2P_ERR_UNREACHABLE);
    assert_int_equal(fd, -1);
    strcpy(pair.addr.host, "no-such-host.invalid");
    assert_int_not_equal(p2p_net_connect(&pair.addr, p2p_now_ms() + 5000, &fd), P2P_OK);
    assert_int_equal(fd, -1);
}

static void *
stop_soon(void *arg)
{
    usleep(50000);
    assert_int_equal(eventfd_write(*(int *)arg, 1), 0);
    return NULL;
}

static void
connecting_can_be_stopped(void **state)
{
    int stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), fd;
    struct deaf deaf;
    pthread_t thread;

    (void)state;
    deaf_open(&deaf);
    assert_int_equal(p2p_net_connect(&deaf.addr, p2p_now_ms() + 100, &fd),
                     P2P_ERR_TIMEOUT);
    uint64_t began_ms = p2p_now_ms();
    assert_int_equal(pthread_create(&thread, NULL, stop_soon, &stop_fd), 0);
    assert_int_equal(
        p2p_net_connect_or_stop(&deaf.addr, began_ms + 60000, stop_fd, &fd),
        P2P_ERR_CANCELLED);
    assert_true(p2p_now_ms() < began_ms + 30000); /* long before it would give up */
    assert_int_equal(fd, -1);
    pthread_join(thread, NULL);
    /* And before a name is looked up. */
    strcpy(deaf.addr.host, "no-such-host.invalid");
    assert_int_equal(
        p2p_net_connect_or_stop(&deaf.addr, began_ms + 60000, stop_fd, &fd),
        P2P_ERR_CANCELLED);
    deaf_close(&deaf);
    p2p_fd_close(&stop_fd);
}

static void
reads_have_deadlines(void **state)
{
    struct pair pair;
    char byte[2];
    size_t got;

    (void)state;
    pair_open(&pair, "127.0.0.1", "127.0.0.1");
    assert_int_equal(p2p_net_try_read(pair.client, byte, 1, &got), P2P_ERR_BUSY);
    assert_int_equal(p2p_net_read(pair.client, byte, 1, p2p_now_ms() + 30),
                     P2P_ERR_TIMEOUT);
    /* One of two bytes arrives: the deadline is for both. */
    assert_int_equal(p2p_net_write(pair.server, "x", 1, P2P_NO_DEADLINE), P2P_OK);
    assert_int_equal(p2p_net_read(pair.client, byte, 2, p2p_now_ms() + 30),
                     P2P_ERR_TIMEOUT);
    p2p_fd_close(&pair.server);
    assert_int_equal(p2p_net_read(pair.client, byte, 1, p2p_now_ms() + 5000),
                     P2P_ERR_CLOSED);
    pair_close(&pair);
}

static void
a_reader_that_stalls_is_a_timeout(void **state)
{
    const size_t len = 32 << 20;
    char *data = calloc(1, len);
    struct pair pair;

    (void)state;
    pair_open(&pair, "127.0.0.1", "127.0.0.1");
    assert_int_equal(p2p_net_write(pair.client, data, len, p2p_now_ms() + 100),
                     P2P_ERR_TIMEOUT);
    p2p_fd_close(&pair.server); /* unread bytes: a reset, no SIGPIPE */
    assert_int_equal(p2p_net_write(pair.client, data, len, p2p_now_ms() + 5000),
                     P2P_ERR_CLOSED);
    pair_close(&pair);
    free(data);
}

enum { BIG = 24 * 1000 * 1000 + 7 }; /* more than the socket buffers hold */

static void *
write_big(void *arg)
{
    const struct pair *pair = arg;
    uint8_t *data = malloc(BIG);
    struct iovec iov[4] = {
        {data, 1}, {data, 0}, {data + 1, 999999}, {data + 1000000, 0}};
    enum p2p_err err;

    for (size_t i = 0; i < BIG; i++)
        data[i] = (uint8_t)(i * 7 + i / 256);
    iov[3].iov_len = BIG - 1000000;
    err = p2p_net_writev(pair->client, iov, 4, p2p_now_ms() + 20000);
    free(data);
    return err == P2P_OK ? arg : NULL;
}

static void
partial_writes_add_up(void **state)
{
    uint8_t *got = malloc(BIG);
    pthread_t writer;
    struct pair pair;
    void *result;

    (void)state;
    pair_open(&pair, "127.0.0.1", "127.0.0.1");
    pthread_create(&writer, NULL, write_big, &pair);
    assert_int_equal(p2p_net_read(pair.server, got, BIG, p2p_now_ms() + 20000), P2P_OK);
    pthread_join(writer, &result);
    assert_ptr_equal(result, &pair);
    for (size_t i = 0; i < BIG; i++)
        if (got[i] != (uint8_t)(i * 7 + i / 256))
            fail_msg("byte %zu", i);
    p2p_fd_close(&pair.client); /* and nothing more than that was sent */
    assert_int_equal(p2p_net_read(pair.server, got, 1, p2p_now_ms() + 5000),
                     P2P_ERR_CLOSED);
    free(got);
    pair_close(&pair);
}

static void
clocks_move_on(void **state)
{
    uint64_t us = p2p_now_us(), ms = p2p_now_ms();

    (void)state;
    assert_in_range(ms, us / 1000, us / 1000 + 1000);
    assert_true(p2p_time_s() > 1600000000);
    assert_true(p2p_now_us() >= us);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses),
        cmocka_unit_test(a_host_of_any_length_is_bounded),
        cmocka_unit_test(loopback_names),
        cmocka_unit_test(any_address_takes_both_families),
        cmocka_unit_test(local_sources_are_near),
        cmocka_unit_test(networks_of_interfaces_are_near),
        cmocka_unit_test(a_port_in_use_is_named),
        cmocka_unit_test(nobody_listening_is_unreachable),
        cmocka_unit_test(connecting_can_be_stopped),
        cmocka_unit_test(reads_have_deadlines),
        cmocka_unit_test(a_reader_that_stalls_is_a_timeout),
        cmocka_unit_test(partial_writes_add_up),
        cmocka_unit_test(clocks_move_on),
        cmocka_unit_test(own_addresses_are_for_others),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
