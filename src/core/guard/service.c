/* The life of a daemon. In the child of a guardian, the parent does everything that
 * systemd and the starting program see (guardian.h). */
#include "p2p/service.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#ifdef P2P_WITH_SYSTEMD
#include <systemd/sd-daemon.h>
#endif

#include "core/guard/guardian_internal.h"
#include "p2p/clock.h"
#include "p2p/hardening.h"
#include "p2p/log.h"

enum { READY_LINE_MAX = 1024, DESCRIPTORS_MIN = 64 };

static atomic_bool stopping;

#ifdef P2P_WITH_SYSTEMD
void
p2p_service_notify(const char *state)
{
    (void)sd_notify(0, state);
}

uint64_t
p2p_service_watchdog_ms(void)
{
    uint64_t us = 0;

    return sd_watchdog_enabled(0, &us) > 0 ? us / 2000 : 0;
}
#else
void
p2p_service_notify(const char *state)
{
    (void)state;
}

uint64_t
p2p_service_watchdog_ms(void)
{
    return 0;
}
#endif

static bool
is_ignored(int signum)
{
    struct sigaction action;

    return sigaction(signum, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

void
p2p_service_stop_signals(void *sigset)
{
    sigset_t *set = sigset;

    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGHUP);
    if (!is_ignored(SIGINT))
        sigaddset(set, SIGINT);
}

/* The soft limit is often 1024, because some programs use select(). The daemons do not.
 */
static void
allow_descriptors(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

static struct {
    bool had_one, is_ignored;
    pid_t parent;
} terminal;

static bool
has_terminal(void)
{
    int fd = open("/dev/tty", O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

bool
p2p_service_has_lost_terminal(int code, int pid)
{
    if (!terminal.had_one || terminal.is_ignored || has_terminal())
        return false;
    return code > 0 || pid == getsid(0) || pid == terminal.parent;
}

bool
p2p_service_has_descriptors(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= DESCRIPTORS_MIN)
        return true;
    p2p_log_error("the limit of %llu open files is too low, at least %d are needed: "
                  "raise it (ulimit -n 1024, LimitNOFILE=1024)",
                  (unsigned long long)limit.rlim_cur, DESCRIPTORS_MIN);
    return false;
}

int
p2p_service_exit_status(enum p2p_err err)
{
    int status = p2p_err_exit_status(err);

    return status == 0 || status == 2 ? status : 1;
}

void
p2p_service_say_no_listener(enum p2p_err err, const char *host, unsigned port)
{
    if (err == P2P_ERR_IN_USE)
        p2p_log_error("cannot listen on %s port %u: the port is already in use; choose "
                      "another one with --port",
                      host, port);
    else if (err == P2P_ERR_PERMISSION)
        p2p_log_error("cannot listen on %s port %u: permission denied; only root may "
                      "use ports below 1024, choose another one with --port",
                      host, port);
    else if (err == P2P_ERR_NO_HOST || err == P2P_ERR_NOT_OWN_ADDR)
        p2p_log_error("cannot listen on %s port %u: %s (--host)", host, port,
                      p2p_err_text(err));
    else
        p2p_log_error("cannot listen on %s port %u: %s", host, port, p2p_err_text(err));
}

void
p2p_service_begin(void)
{
    sigset_t set;

    terminal.had_one = has_terminal();
    terminal.is_ignored = is_ignored(SIGHUP);
    terminal.parent = getppid();
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file that gets too large gives an error in write(2)
                               * instead */
    p2p_service_stop_signals(&set);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    p2p_hardening_begin();
    allow_descriptors();
}

void
p2p_service_say_ready(const char *line)
{
    if (printf("ready %s\n", line) < 0 || fflush(stdout) != 0)
        p2p_log_warn("cannot write to standard output: %s; it should say: ready %s",
                     strerror(errno), line);
    p2p_service_notify("READY=1");
}

void
p2p_service_ready(const char *program, const char *format, ...)
{
    char line[READY_LINE_MAX];
    int n = snprintf(line, sizeof(line), "%s ", program);
    va_list args;

    va_start(args, format);
    vsnprintf(line + n, sizeof(line) - (size_t)n, format, args);
    va_end(args);
    if (p2p_guardian_child.orders >= 0)
        (void)p2p_guardian_send(p2p_guardian_child.orders, P2P_GUARDIAN_READY, line,
                                -1);
    else
        p2p_service_say_ready(line);
}

/* Waits for one signal of the set; 0 after `ms` (0: waits forever). */
static int
next_signal(const sigset_t *set, uint64_t ms)
{
    struct timespec wait = {(time_t)(ms / 1000), (long)(ms % 1000) * 1000000};
    int signum;

    do
        signum = sigtimedwait(set, NULL, ms > 0 ? &wait : NULL);
    while (signum < 0 && errno == EINTR);
    return signum < 0 ? 0 : signum;
}

static p2p_service_hangup_fn *on_hangup;
static void *on_hangup_arg;

void
p2p_service_on_hangup(p2p_service_hangup_fn *fn, void *arg)
{
    on_hangup = fn;
    on_hangup_arg = arg;
}

/* What p2p_service_on_hangup asked for. */
static void
hang_up(void)
{
    if (on_hangup != NULL)
        on_hangup(on_hangup_arg);
}

/* The thread of p2p_service_end_at_next. */
static void *
end_at_next(void *arg)
{
    uint64_t end_ms = p2p_now_ms() + P2P_SERVICE_SAME_MS;
    sigset_t *set = arg;

    /* At least once, so that signals which came together are one request. */
    do
        (void)next_signal(set, 1 + P2P_SERVICE_SAME_MS / 10);
    while (p2p_now_ms() < end_ms);
    pthread_sigmask(SIG_UNBLOCK, set, NULL);
    while (pause() != 0)
        continue;
    return NULL;
}

void
p2p_service_end_at_next(const void *sigset)
{
    static sigset_t set;
    static atomic_bool is_started;
    pthread_t thread;

    if (atomic_exchange(&is_started, true))
        return;
    set = *(const sigset_t *)sigset;
    if (pthread_create(&thread, NULL, end_at_next, &set) == 0)
        pthread_detach(thread);
    else
        pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static void
wait_alone(void)
{
    uint64_t watch_ms = p2p_service_watchdog_ms();
    sigset_t set;
    int signum;

    p2p_service_stop_signals(&set);
    do {
        if (watch_ms > 0)
            p2p_service_notify("WATCHDOG=1");
        signum = next_signal(&set, watch_ms);
        if (signum == SIGHUP)
            hang_up();
    } while (signum != SIGTERM && signum != SIGINT);
    atomic_store(&stopping, true);
    p2p_service_notify("STOPPING=1");

    sigdelset(&set, SIGHUP);
    p2p_service_end_at_next(&set);
}

void
p2p_service_wait(void)
{
    if (p2p_guardian_child.orders < 0) {
        wait_alone();
        return;
    }
    p2p_guardian_wait_child(hang_up); /* the parent handles a second signal */
    atomic_store(&stopping, true);
}

void
p2p_service_stop(void)
{
    if (!atomic_exchange(&stopping, true))
        kill(getpid(), SIGTERM);
}
