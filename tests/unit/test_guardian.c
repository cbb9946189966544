/* The parent of a daemon, and how it answers requests of a child that it does not
 * trust. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/guard/guardian_internal.h"
#include "p2p/guardian.h"
#include "p2p/service.h"
#include "p2p/vault.h"

#define LISTED "/etc/passwd"

static char folder[] = "/tmp/p2p-guardian-XXXXXX";

static enum p2p_err
allow(void *arg, struct p2p_sandbox_rules *rules)
{
    (void)arg;
    return p2p_sandbox_allow(rules, folder, P2P_SANDBOX_WRITE);
}

static char *
passphrase(void *arg, const char *prompt)
{
    (void)arg, (void)prompt;
    return strdup("correct horse");
}

static enum p2p_caller
same_user(const struct sockaddr *ours, const struct sockaddr *theirs, char *reason,
          size_t cap)
{
    snprintf(reason, cap, "families %d and %d", ours->sa_family, theirs->sa_family);
    return ours->sa_family == theirs->sa_family ? P2P_CALLER_SAME_USER
                                                : P2P_CALLER_UNPROVEN;
}

/* The exit status of a daemon whose child runs `serve`. It needs a separate process,
 * because parent and child both return from p2p_guardian_run. */
static int
status_of(int (*serve)(void *), bool sandbox)
{
    const struct p2p_guardian_options opt = {
        .program = "p2p-test",
        .settings = {.sandbox = sandbox, .run_as_root = true},
        .folders = {folder},
        .files = {LISTED},
        .passphrase = passphrase,
        .caller = same_user,
        .avahi = true,
        .look_ms = 40,
        .allow = allow,
        .serve = serve,
    };
    int status;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        alarm(30);
        p2p_service_begin();
        _exit(p2p_guardian_run(&opt));
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* Runs in the child: returns 0 if everything was right, otherwise the line */

#define EXPECT(condition)              \
    do {                               \
        if (!(condition))              \
            return __LINE__ % 100 + 1; \
    } while (0)

static int
asks_for_files(void *arg)
{
    static const char *const others[] = {
        "/etc/group",
        "",
        "/etc",
        "passwd",
        "/etc/./passwd",
        "/etc//passwd",
        "/etc/../etc/passwd",
        LISTED "/",
        LISTED "x",
    };
    int fd = -1;

    (void)arg;
    EXPECT(p2p_guardian_open(LISTED, &fd) == P2P_OK && fd >= 0);
    close(fd);
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        EXPECT(p2p_guardian_open(others[i], &fd) == P2P_ERR_NOT_ALLOWED && fd < 0);
    return 0;
}

static int
asks_for_the_passphrase(void *arg)
{
    char *first = p2p_guardian_passphrase(NULL, "Passphrase: ");
    char *second = p2p_guardian_passphrase(NULL, "Passphrase: ");

    (void)arg;
    EXPECT(first != NULL && strcmp(first, "correct horse") == 0);
    EXPECT(second == NULL); /* one child may ask only once */
    p2p_vault_free(first);
    return 0;
}

static int
asks_who_calls(void *arg)
{
    const struct sockaddr_in v4 = {.sin_family = AF_INET};
    const struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    struct p2p_guardian_message answer;
    char reason[P2P_CALLER_REASON_MAX];
    int fd;

    (void)arg;
    EXPECT(p2p_guardian_caller((const void *)&v4, (const void *)&v4, reason,
                               sizeof(reason)) == P2P_CALLER_SAME_USER);
    EXPECT(p2p_guardian_caller((const void *)&v4, (const void *)&v6, reason,
                               sizeof(reason)) == P2P_CALLER_UNPROVEN);
    EXPECT(strstr(reason, "families") != NULL);
    /* Not two addresses. */
    EXPECT(
        p2p_guardian_send(p2p_guardian_child.requests, P2P_GUARDIAN_CALLER, "00", -1) &&
        p2p_guardian_take(p2p_guardian_child.requests, &answer, &fd));
    EXPECT(answer.verb == P2P_ERR_NOT_ALLOWED);
    return 0;
}

static int
asks_for_what_there_is_not(void *arg)
{
    struct p2p_guardian_message answer;
    int fd;

    (void)arg;
    EXPECT(p2p_guardian_send(p2p_guardian_child.requests, 4711, "x", STDERR_FILENO) &&
           p2p_guardian_take(p2p_guardian_child.requests, &answer, &fd));
    EXPECT(answer.verb == P2P_ERR_NOT_ALLOWED && fd < 0);
    return 0;
}

static int
sends_nonsense(void *arg)
{
    static const char *const nonsense[] = {"", "x", "0123456789"};
    int fd;

    (void)arg;
    for (size_t i = 0; i < sizeof(nonsense) / sizeof(nonsense[0]); i++)
        (void)send(p2p_guardian_child.requests, nonsense[i], strlen(nonsense[i]),
                   MSG_NOSIGNAL);
    /* The parent no longer talks to it, and keeps running. */
    EXPECT(p2p_guardian_open(LISTED, &fd) != P2P_OK);
    EXPECT(p2p_guardian_send(p2p_guardian_child.orders, P2P_GUARDIAN_ALIVE, "", -1));
    return 0;
}

/* Folders must be named before the sandbox is closed; otherwise the parent would start
 * a new child again and again. */
static int
names_a_folder_too_late(void *arg)
{
    (void)arg;
    EXPECT(p2p_guardian_send(p2p_guardian_child.orders, P2P_GUARDIAN_WATCH, "/",
                             STDERR_FILENO));
    usleep(150 * 1000); /* three checks, in which nothing may happen */
    return 7;
}

static int
asks_for_sockets(void *arg)
{
    static const char *const others[] = {"/run/user/0/bus", "/run/docker.sock", "",
                                         "/run/dbus/../docker.sock",
                                         "/run/dbus/system_bus_socket2"};
    int fd;

    (void)arg;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        EXPECT(p2p_guardian_ask_socket(others[i], &fd) == P2P_ERR_NOT_ALLOWED &&
               fd < 0);
    return 0;
}

static int
ends_with_7(void *arg)
{
    (void)arg;
    return 7;
}

static int
is_killed(void *arg)
{
    (void)arg;
    raise(SIGKILL);
    return 0;
}

/* The first child asks for a successor, and leaves a mark for it. */
static int
is_replaced(void *arg)
{
    char mark[64];
    FILE *out;

    (void)arg;
    snprintf(mark, sizeof(mark), "%s/mark", folder);
    if (access(mark, F_OK) == 0) {
        p2p_service_ready("p2p-test", "port=1");
        return unlink(mark) == 0 ? 9 : 1;
    }
    EXPECT((out = fopen(mark, "w")) != NULL);
    fclose(out);
    p2p_service_ready("p2p-test", "port=1");
    p2p_guardian_replace();
    p2p_service_wait();
    return 8;
}

/* The second child cannot start, for example because a folder is wrong at that moment;
 * the third one can. */
static int
starts_late(void *arg)
{
    char mark[64], later[64];
    FILE *out;

    (void)arg;
    snprintf(mark, sizeof(mark), "%s/mark", folder);
    snprintf(later, sizeof(later), "%s/later", folder);
    if (access(later, F_OK) == 0) {
        p2p_service_ready("p2p-test", "port=1");
        return unlink(later) == 0 && unlink(mark) == 0 ? 9 : 1;
    }
    EXPECT((out = fopen(access(mark, F_OK) == 0 ? later : mark, "w")) != NULL);
    fclose(out);
    if (access(later, F_OK) == 0)
        return 1;
    p2p_service_ready("p2p-test", "port=1");
    p2p_guardian_replace();
    p2p_service_wait();
    return 8;
}

/* The first byte comes when it is ready, the second one when it was told to stop. It
 * stops when it gets one itself. */
static int stops_slowly_out[2], stops_slowly_in[2];

static int
stops_slowly(void *arg)
{
    pid_t self = getpid();
    char byte;

    (void)arg;
    p2p_service_ready("p2p-test", "port=1");
    EXPECT(write(stops_slowly_out[1], &self, sizeof(self)) == sizeof(self));
    p2p_service_wait();
    EXPECT(write(stops_slowly_out[1], "s", 1) == 1);
    EXPECT(read(stops_slowly_in[0], &byte, 1) == 1);
    return 7;
}

struct slow {
    pid_t parent, child;
};

static struct slow
start_slow(unsigned same_ms)
{
    struct slow slow;
    int descriptors[2];

    assert_int_equal(pipe(stops_slowly_out), 0);
    assert_int_equal(pipe(stops_slowly_in), 0);
    descriptors[0] = stops_slowly_out[1];
    descriptors[1] = stops_slowly_in[0];
    fflush(NULL);
    slow.parent = fork();
    assert_true(slow.parent >= 0);
    if (slow.parent == 0) {
        const struct p2p_guardian_options opt = {
            .program = "p2p-test",
            .settings = {.run_as_root = true},
            .folders = {folder},
            .descriptors = descriptors,
            .descriptor_count = 2,
            .same_ms = same_ms,
            .allow = allow,
            .serve = stops_slowly,
        };
        alarm(60);
        signal(SIGINT, SIG_DFL); /* a program in the background ignores it */
        p2p_service_begin();
        _exit(p2p_guardian_run(&opt));
    }
    close(stops_slowly_out[1]);
    close(stops_slowly_in[0]);
    assert_int_equal(read(stops_slowly_out[0], &slow.child, sizeof(slow.child)),
                     sizeof(slow.child));
    return slow;
}

static int
end_of(struct slow slow)
{
    int status;

    assert_int_equal(waitpid(slow.parent, &status, 0), slow.parent);
    close(stops_slowly_out[0]);
    close(stops_slowly_in[1]);
    return status;
}

/* ---- Tests ---- */

static void
the_parent_opens_only_what_is_listed(void **state)
{
    (void)state;
    assert_int_equal(status_of(asks_for_files, true), 0);
    assert_int_equal(status_of(asks_for_files, false), 0);
}

static void
the_passphrase_is_told_once(void **state)
{
    (void)state;
    assert_int_equal(status_of(asks_for_the_passphrase, true), 0);
}

static void
callers_are_checked_by_the_parent(void **state)
{
    (void)state;
    assert_int_equal(status_of(asks_who_calls, true), 0);
}

static void
other_questions_are_refused(void **state)
{
    (void)state;
    assert_int_equal(status_of(asks_for_what_there_is_not, true), 0);
    assert_int_equal(status_of(sends_nonsense, true), 0);
    assert_int_equal(status_of(asks_for_sockets, true), 0);
    assert_int_equal(status_of(names_a_folder_too_late, true), 7);
}

static void
the_status_is_the_childs(void **state)
{
    (void)state;
    assert_int_equal(status_of(ends_with_7, true), 7);
    assert_int_equal(status_of(ends_with_7, false), 7);
    assert_int_equal(status_of(is_killed, true), 128 + SIGKILL);
}

static void
a_child_can_be_replaced(void **state)
{
    (void)state;
    assert_int_equal(status_of(is_replaced, true), 9);
}

static void
a_child_that_cannot_start_is_tried_again(void **state)
{
    (void)state;
    assert_int_equal(status_of(starts_late, true), 9);
}

static void
one_request_to_stop_may_come_as_several_signals(void **state)
{
    struct slow slow = start_slow(600 * 1000);
    char byte;
    int status;

    (void)state;
    kill(slow.parent, SIGTERM);
    kill(slow.parent, SIGINT);
    assert_int_equal(read(stops_slowly_out[0], &byte, 1), 1);
    kill(slow.parent, SIGTERM);
    kill(slow.parent, SIGHUP);
    kill(slow.child, SIGTERM); /* as to a whole group */
    assert_int_equal(write(stops_slowly_in[1], "x", 1), 1);
    status = end_of(slow);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 7);
}

static void
a_second_signal_ends_the_child_and_then_the_parent(void **state)
{
    static const int second[] = {SIGTERM, SIGINT};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct slow slow = start_slow(1);
        char byte;
        int status;

        kill(slow.parent, SIGTERM);
        assert_int_equal(read(stops_slowly_out[0], &byte, 1), 1);
        usleep(2000);
        kill(slow.parent, second[i]);
        status = end_of(slow);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), second[i]);
        assert_int_equal(kill(slow.child, 0), -1); /* not even as a zombie */
    }
}

static void
avahi_is_where_it_should_be(void **state)
{
    char out[P2P_GUARDIAN_SOCKET_MAX];

    (void)state;
    unsetenv("DBUS_SYSTEM_BUS_ADDRESS");
    assert_non_null(p2p_guardian_socket("/run/dbus/system_bus_socket", out));
    assert_non_null(p2p_guardian_socket("/var/run/dbus/system_bus_socket", out));
    assert_non_null(p2p_guardian_socket("/var/run/avahi-daemon/socket", out));
    assert_string_equal(out, "/run/avahi-daemon/socket");
    setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/x/bus,guid=1", 1);
    assert_non_null(p2p_guardian_socket("/x/bus", out));
    assert_null(p2p_guardian_socket("/run/dbus/system_bus_socket", out));
    setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:abstract=/x/bus", 1);
    assert_null(p2p_guardian_socket("/x/bus", out));
    unsetenv("DBUS_SYSTEM_BUS_ADDRESS");
}

static void
without_a_parent_files_are_opened_directly(void **state)
{
    int fd;

    (void)state;
    assert_int_equal(p2p_guardian_open("/dev/null", &fd), P2P_OK);
    close(fd);
    assert_int_equal(p2p_guardian_open("/does not exist", &fd), P2P_ERR_NOT_FOUND);
    assert_null(p2p_guardian_passphrase(NULL, ""));
    p2p_guardian_replace();
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_parent_opens_only_what_is_listed),
        cmocka_unit_test(the_passphrase_is_told_once),
        cmocka_unit_test(callers_are_checked_by_the_parent),
        cmocka_unit_test(other_questions_are_refused),
        cmocka_unit_test(the_status_is_the_childs),
        cmocka_unit_test(a_child_can_be_replaced),
        cmocka_unit_test(a_child_that_cannot_start_is_tried_again),
        cmocka_unit_test(one_request_to_stop_may_come_as_several_signals),
        cmocka_unit_test(a_second_signal_ends_the_child_and_then_the_parent),
        cmocka_unit_test(avahi_is_where_it_should_be),
        cmocka_unit_test(without_a_parent_files_are_opened_directly),
    };
    int failed;

    if (mkdtemp(folder) == NULL)
        return 1;
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    rmdir(folder);
    return failed;
}
