/* caller: finds out which process holds the other end of a loopback connection. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/guard/caller_internal.h"
#include "p2p/caller.h"

/* ---- rules ---- */

static void
carriers_are_known_by_name(void **state)
{
    static const char *const yes[] = {"ssh",
                                      "sshd",
                                      "sshd-session",
                                      "socat",
                                      "socat1",
                                      "ncat",
                                      "nc",
                                      "nc.openbsd",
                                      "nc.traditional",
                                      "cloudflared",
                                      "ngrok",
                                      "frpc",
                                      "frpc_linux_amd64",
                                      "tailscaled",
                                      "haproxy",
                                      "haproxy-2.6",
                                      "nginx",
                                      "caddy",
                                      "apache2",
                                      "httpd",
                                      "qemu-system-x86_64",
                                      "systemd-socket-proxyd",
                                      "systemd-socket-",
                                      "rootlesskit-doc",
                                      "autossh",
                                      "sshuttle",
                                      "stunnel4"};
    static const char *const no[] = {"",
                                     "curl",
                                     "bash",
                                     "chromium",
                                     "firefox-esr",
                                     "python3",
                                     "ncdu",
                                     "sshfoo",
                                     "ssh-agent",
                                     "ssh-add",
                                     "nginxy",
                                     "caddyshack",
                                     "socatx",
                                     "p2p",
                                     "systemd",
                                     "systemd-socket",
                                     "tmux: server",
                                     "gnome-terminal-",
                                     "wget",
                                     "Socket Process"};

    (void)state;
    for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
        if (!p2p_caller_is_carrier(yes[i]))
            fail_msg("%s is a carrier", yes[i]);
    for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
        if (p2p_caller_is_carrier(no[i]))
            fail_msg("%s is none", no[i]);
    assert_true(p2p_caller_is_login("sshd"));
    assert_true(p2p_caller_is_login("tailscaled"));
    assert_false(p2p_caller_is_login("ssh"));
    assert_false(p2p_caller_is_login("socat"));
}

static void
units_are_told_apart(void **state)
{
    static const struct {
        const char *cgroup;
        enum p2p_caller_unit kind;
    } cases[] = {
        {"/", P2P_CALLER_NO_UNIT},
        {"", P2P_CALLER_NO_UNIT},
        {"/docker/0123", P2P_CALLER_NO_UNIT},
        {"/system.slice/docker-0123.scope", P2P_CALLER_NO_UNIT},
        {"/user.slice/user-1000.slice/session-2.scope", P2P_CALLER_NO_UNIT},
        {"/user.slice/user-1000.slice/user@1000.service/app.slice/app-x-1.scope",
         P2P_CALLER_NO_UNIT},
        {"/user.slice/user-1000.slice/user@1000.service/init.scope",
         P2P_CALLER_NO_UNIT},
        {"/user.slice/user-1000.slice/user@1000.service/app.slice/x.service",
         P2P_CALLER_USER_SERVICE},
        {"/user.slice/user-1000.slice/user@1000.service/app.slice/x.service/inner",
         P2P_CALLER_USER_SERVICE},
        {"/system.slice/cron.service", P2P_CALLER_SYSTEM_SERVICE},
        {"/system.slice/system-getty.slice/getty@tty1.service",
         P2P_CALLER_SYSTEM_SERVICE},
        {"/system.slice/p2p-ui.service/inner", P2P_CALLER_SYSTEM_SERVICE},
        {"/machine.slice/machine-a.scope/system.slice/nginx.service",
         P2P_CALLER_SYSTEM_SERVICE},
        {"/.service", P2P_CALLER_NO_UNIT},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (p2p_caller_unit_kind(cases[i].cgroup) != cases[i].kind)
            fail_msg("%s", cases[i].cgroup);
}

/* ---- a server of our own ---- */

struct connection {
    int fd;
    struct sockaddr_storage ours, theirs;
};

static socklen_t
loopback(int family, struct sockaddr_storage *out)
{
    struct sockaddr_in *v4 = (void *)out;
    struct sockaddr_in6 *v6 = (void *)out;

    memset(out, 0, sizeof(*out));
    out->ss_family = (sa_family_t)family;
    if (family == AF_INET)
        v4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    else
        v6->sin6_addr = in6addr_loopback;
    return family == AF_INET ? sizeof(*v4) : sizeof(*v6);
}

static int
listen_on(int family, struct sockaddr_storage *at)
{
    socklen_t len = loopback(family, at);
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)at, len), 0);
    assert_int_equal(listen(fd, 4), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)at, &len), 0);
    return fd;
}

static void
accept_one(int listener, struct connection *c)
{
    socklen_t len = sizeof(c->theirs);

    c->fd = accept(listener, (struct sockaddr *)&c->theirs, &len);
    assert_true(c->fd >= 0);
    len = sizeof(c->ours);
    assert_int_equal(getsockname(c->fd, (struct sockaddr *)&c->ours, &len), 0);
}

static enum p2p_caller
check(const struct connection *c, char *reason)
{
    return p2p_caller_check((const struct sockaddr *)&c->ours,
                            (const struct sockaddr *)&c->theirs, reason,
                            P2P_CALLER_REASON_MAX);
}

/*
 * A client in a separate process. `prepare` runs in it before it connects and sets up
 * what the test is about: a session, a user, a name, a listener. The client ends when
 * its connection does.
 */
typedef void prepare_fn(void);

static void
be_client(const struct sockaddr_storage *at, prepare_fn *prepare)
{
    socklen_t len = at->ss_family == AF_INET ? sizeof(struct sockaddr_in)
                                             : sizeof(struct sockaddr_in6);
    char byte;
    int fd;

    for (fd = 3; fd < 64; fd++)
        close(fd);
    if (prepare != NULL)
        prepare();
    fd = socket(at->ss_family, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)at, len) != 0)
        _exit(1);
    while (read(fd, &byte, 1) > 0)
        ;
    _exit(0);
}

/* The verdict about a client that was prepared in this way. A process that is not an
 * ancestor of the client in its session asks. */
static enum p2p_caller
ask_about(int family, prepare_fn *prepare, char *reason)
{
    struct sockaddr_storage at;
    int listener = listen_on(family, &at);
    enum p2p_caller answer;
    struct connection c;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0)
        be_client(&at, prepare);
    accept_one(listener, &c);
    answer = check(&c, reason);
    close(c.fd);
    close(listener);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    return answer;
}

/* False under an emulator of one program, which does not pass the question on to the
 * kernel (NETLINK_SOCK_DIAG): then no caller is accepted, and why is always the same.
 */
static bool
kernel_tells(void)
{
    int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);

    if (fd < 0) {
        print_message("no socket monitor: %s\n", strerror(errno));
        return false;
    }
    close(fd);
    return true;
}

static void
begin_session(void)
{
    if (setsid() < 0)
        _exit(1);
}

static void
without_an_answer_of_the_kernel_nobody_is_accepted(void **state)
{
    char reason[P2P_CALLER_REASON_MAX];

    (void)state;
    if (kernel_tells())
        skip();
    assert_int_equal(ask_about(AF_INET, begin_session, reason), P2P_CALLER_UNPROVEN);
    assert_non_null(strstr(reason, "the kernel does not tell"));
}

static void
the_same_user_is_accepted(void **state)
{
    char reason[P2P_CALLER_REASON_MAX];

    (void)state;
    if (!kernel_tells())
        skip();
    if (ask_about(AF_INET, begin_session, reason) != P2P_CALLER_SAME_USER &&
        (strstr(reason, "system unit") != NULL || strstr(reason, "hides") != NULL))
        skip(); /* no caller is accepted here */
    assert_string_equal(reason, "");
    assert_int_equal(ask_about(AF_INET6, begin_session, reason), P2P_CALLER_SAME_USER);
}

/* The test itself listens, and it is the parent in the same session. */
static void
an_ancestor_that_listens_counts(void **state)
{
    char reason[P2P_CALLER_REASON_MAX];

    (void)state;
    if (!kernel_tells())
        skip();
    assert_int_equal(ask_about(AF_INET, NULL, reason), P2P_CALLER_UNPROVEN);
    assert_non_null(strstr(reason, "listens"));
}

static void
listen_and_begin_session(void)
{
    struct sockaddr_storage at;

    begin_session();
    (void)listen_on(AF_INET6, &at);
}

static void
fork_below_a_listener(void)
{
    struct sockaddr_storage at;
    int listener;

    begin_session();
    listener = listen_on(AF_INET, &at);
    if (fork() != 0) {
        (void)wait(NULL);
        _exit(0);
    }
    close(listener);
}

static void
rename_to_socat(void)
{
    begin_session();
    (void)prctl(PR_SET_NAME, "socat", 0, 0, 0);
}

static void
fork_below_ssh(void)
{
    begin_session();
    (void)prctl(PR_SET_NAME, "ssh", 0, 0, 0);
    if (fork() != 0) {
        (void)wait(NULL);
        _exit(0);
    }
    (void)prctl(PR_SET_NAME, "cat", 0, 0, 0);
}

/* The relay starts the connecting program in a new session. */
static void
fork_a_session_below_socat(void)
{
    rename_to_socat();
    if (fork() != 0) {
        (void)wait(NULL);
        _exit(0);
    }
    (void)prctl(PR_SET_NAME, "cat", 0, 0, 0);
    begin_session();
}

/* The programs of a user who has logged in over ssh belong to this user. */
static void
fork_a_session_below_sshd(void)
{
    begin_session();
    (void)prctl(PR_SET_NAME, "sshd", 0, 0, 0);
    if (fork() != 0) {
        (void)wait(NULL);
        _exit(0);
    }
    (void)prctl(PR_SET_NAME, "bash", 0, 0, 0);
    begin_session();
}

static void
hide_descriptors(void)
{
    begin_session();
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

static void
forwarders_are_refused(void **state)
{
    static const struct {
        prepare_fn *prepare;
        const char *why;
    } cases[] = {{listen_and_begin_session, "listens"},
                 {fork_below_a_listener, "listens"},
                 {rename_to_socat, "forwards"},
                 {fork_below_ssh, "forwards"},
                 {fork_a_session_below_socat, "forwards"}};

    (void)state;
    if (!kernel_tells())
        skip();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char reason[P2P_CALLER_REASON_MAX] = "";

        assert_int_equal(ask_about(AF_INET, cases[i].prepare, reason),
                         P2P_CALLER_UNPROVEN);
        if (strstr(reason, cases[i].why) == NULL)
            fail_msg("case %zu: %s", i, reason);
    }
}

static void
a_login_is_no_forwarder(void **state)
{
    char reason[P2P_CALLER_REASON_MAX];

    (void)state;
    if (!kernel_tells())
        skip();
    if (ask_about(AF_INET, fork_a_session_below_sshd, reason) != P2P_CALLER_SAME_USER)
        fail_msg("%s", reason);
}

static void
become_nobody(void)
{
    begin_session();
    if (setgid(65534) != 0 || setuid(65534) != 0)
        _exit(1);
}

static void
another_user_is_refused(void **state)
{
    char reason[P2P_CALLER_REASON_MAX];

    (void)state;
    if (!kernel_tells())
        skip();
    if (geteuid() != 0)
        skip();
    assert_int_equal(ask_about(AF_INET, become_nobody, reason), P2P_CALLER_UNPROVEN);
    assert_non_null(strstr(reason, "user 65534"));
}

/* A process of this user that cannot be inspected. Root can inspect everything, so the
 * asking process becomes another user first. */
static void
what_cannot_be_read_is_refused(void **state)
{
    struct sockaddr_storage at;
    int listener, status = -1;
    pid_t asker;

    (void)state;
    if (!kernel_tells())
        skip();
    listener = listen_on(AF_INET, &at);
    asker = fork();
    assert_true(asker >= 0);
    if (asker == 0) {
        char reason[P2P_CALLER_REASON_MAX];
        struct connection c;
        pid_t client;

        if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0))
            _exit(2);
        if ((client = fork()) == 0)
            be_client(&at, hide_descriptors);
        accept_one(listener, &c);
        _exit(check(&c, reason) == P2P_CALLER_UNPROVEN &&
                      strstr(reason, "may inspect") != NULL
                  ? 0
                  : 1);
    }
    assert_int_equal(waitpid(asker, &status, 0), asker);
    assert_int_equal(status, 0);
    close(listener);
}

static void
a_connection_that_ended_is_refused(void **state)
{
    char reason[P2P_CALLER_REASON_MAX];
    struct sockaddr_storage at;
    int listener = listen_on(AF_INET, &at);
    struct connection c;
    int status, client = socket(AF_INET, SOCK_STREAM, 0);

    (void)state;
    assert_int_equal(
        connect(client, (struct sockaddr *)&at, sizeof(struct sockaddr_in)), 0);
    accept_one(listener, &c);
    close(client);
    for (status = 1; status > 0;) {
        char byte;
        status = (int)read(c.fd, &byte, 1);
    }
    assert_int_equal(check(&c, reason), P2P_CALLER_UNPROVEN);
    close(c.fd);
    close(listener);
}

static void
other_addresses_are_refused(void **state)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(1)}, b = a;
    struct sockaddr_in6 mapped = {.sin6_family = AF_INET6, .sin6_port = htons(1)};
    struct sockaddr odd = {.sa_family = AF_UNIX};

    (void)state;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    b.sin_addr.s_addr = htonl(0xc0000201); /* 192.0.2.1 */
    inet_pton(AF_INET6, "::ffff:192.0.2.1", &mapped.sin6_addr);
    assert_int_equal(p2p_caller_check((void *)&a, (void *)&b, NULL, 0),
                     P2P_CALLER_UNPROVEN);
    assert_int_equal(p2p_caller_check((void *)&b, (void *)&a, NULL, 0),
                     P2P_CALLER_UNPROVEN);
    assert_int_equal(p2p_caller_check((void *)&mapped, (void *)&mapped, NULL, 0),
                     P2P_CALLER_UNPROVEN);
    assert_int_equal(p2p_caller_check(&odd, &odd, NULL, 0), P2P_CALLER_UNPROVEN);
    assert_int_equal(p2p_caller_check((void *)&a, (void *)&a, NULL, 0),
                     P2P_CALLER_UNPROVEN); /* there is no such connection */
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(carriers_are_known_by_name),
        cmocka_unit_test(units_are_told_apart),
        cmocka_unit_test(without_an_answer_of_the_kernel_nobody_is_accepted),
        cmocka_unit_test(the_same_user_is_accepted),
        cmocka_unit_test(an_ancestor_that_listens_counts),
        cmocka_unit_test(forwarders_are_refused),
        cmocka_unit_test(a_login_is_no_forwarder),
        cmocka_unit_test(another_user_is_refused),
        cmocka_unit_test(what_cannot_be_read_is_refused),
        cmocka_unit_test(a_connection_that_ended_is_refused),
        cmocka_unit_test(other_addresses_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
