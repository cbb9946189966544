#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "p2p/service.h"

/* A daemon in a child process: its standard output is `out`; it writes "stopping" when
 * the wait is over. */
struct child {
    pid_t pid;
    FILE *out;
};

static void
run_daemon(bool ignores_interrupt, bool stops_itself)
{
    /* The test run may have inherited this setting: a program in the background ignores
     * the signal. */
    signal(SIGINT, ignores_interrupt ? SIG_IGN : SIG_DFL);
    p2p_service_begin();
    p2p_service_ready("p2p-test", "port=%d name=%s", 7, "x");
    if (stops_itself)
        p2p_service_stop();
    p2p_service_wait();
    p2p_service_stop(); /* too late, so this has no effect */
    puts("stopping");
    fflush(stdout);
    for (;;)
        pause();
}

static struct child
start(bool ignores_interrupt, bool stops_itself)
{
    struct child child;
    int ends[2];

    assert_int_equal(pipe(ends), 0);
    fflush(stdout);
    child.pid = fork();
    assert_true(child.pid >= 0);
    if (child.pid == 0) {
        alarm(20); /* whatever happens, it ends */
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        close(ends[1]);
        run_daemon(ignores_interrupt, stops_itself);
    }
    close(ends[1]);
    child.out = fdopen(ends[0], "r");
    return child;
}

static void
assert_line(struct child *child, const char *expected)
{
    char line[128] = "";

    assert_non_null(fgets(line, sizeof(line), child->out));
    assert_string_equal(line, expected);
}

/* The signal that ended it. */
static int
finish(struct child *child)
{
    int status;

    assert_int_equal(waitpid(child->pid, &status, 0), child->pid);
    fclose(child->out);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

/* Signals soon after the first one are the same request, and have no effect. */
static int
finish_with(struct child *child, int signum)
{
    siginfo_t info = {0};

    while (waitid(P_PID, (id_t)child->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid == 0) {
        kill(child->pid, signum);
        usleep(5000);
    }
    return finish(child);
}

static void
the_first_signal_stops_the_second_ends(void **state)
{
    static const int pairs[][2] = {
        {SIGTERM, SIGTERM}, {SIGINT, SIGINT}, {SIGINT, SIGTERM}};
    struct child children[3];

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        children[i] = start(false, false);
        assert_line(&children[i], "ready p2p-test port=7 name=x\n");
        kill(children[i].pid, pairs[i][0]);
        assert_line(&children[i], "stopping\n");
    }
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(finish_with(&children[i], pairs[i][1]), pairs[i][1]);
}

/* As timeout(1) sends it: to the program, and to its group. */
static void
signals_that_come_together_are_one_request(void **state)
{
    struct child child = start(false, false);

    (void)state;
    assert_line(&child, "ready p2p-test port=7 name=x\n");
    kill(child.pid, SIGSTOP);
    kill(child.pid, SIGTERM);
    kill(child.pid, SIGINT);
    kill(child.pid, SIGCONT);
    assert_line(&child, "stopping\n");
    assert_int_equal(finish_with(&child, SIGTERM), SIGTERM);
}

static void
hangups_and_broken_pipes_are_nothing(void **state)
{
    struct child child = start(false, false);

    (void)state;
    assert_line(&child, "ready p2p-test port=7 name=x\n");
    kill(child.pid, SIGHUP);
    kill(child.pid, SIGPIPE);
    kill(child.pid, SIGTERM);
    assert_line(&child, "stopping\n");
    kill(child.pid, SIGKILL);
    assert_int_equal(finish(&child), SIGKILL);
}

static void
an_interrupt_that_was_ignored_stays_ignored(void **state)
{
    struct child child = start(true, false);

    (void)state;
    assert_line(&child, "ready p2p-test port=7 name=x\n");
    kill(child.pid, SIGINT);
    kill(child.pid, SIGTERM);
    assert_line(&child, "stopping\n"); /* once, by SIGTERM ... */
    kill(child.pid, SIGINT);           /* ... and not ended by this */
    assert_int_equal(finish_with(&child, SIGTERM), SIGTERM);
}

static void
a_program_can_stop_itself(void **state)
{
    struct child child = start(false, true);

    (void)state;
    assert_line(&child, "ready p2p-test port=7 name=x\n");
    assert_line(&child, "stopping\n");
    assert_int_equal(finish_with(&child, SIGTERM), SIGTERM);
}

/* The soft limit is usually 1024; the limits of connections are higher. */
static void
takes_all_the_descriptors_it_may_have(void **state)
{
    struct rlimit limit;
    int status;
    pid_t pid = fork();

    (void)state;
    assert_true(pid >= 0);
    if (pid == 0) {
        if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
            _exit(1);
        limit.rlim_cur = 64;
        if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
            _exit(1);
        p2p_service_begin();
        if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
            _exit(1);
        _exit(limit.rlim_cur == limit.rlim_max ? 0 : 2);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_signal_stops_the_second_ends),
        cmocka_unit_test(signals_that_come_together_are_one_request),
        cmocka_unit_test(hangups_and_broken_pipes_are_nothing),
        cmocka_unit_test(an_interrupt_that_was_ignored_stays_ignored),
        cmocka_unit_test(a_program_can_stop_itself),
        cmocka_unit_test(takes_all_the_descriptors_it_may_have),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
