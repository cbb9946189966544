#include "p2p/service.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#ifdef P2P_WITH_SYSTEMD
#include <systemd/sd-daemon.h>
#endif

static atomic_bool stopping;

#ifdef P2P_WITH_SYSTEMD
static void
notify(const char *state)
{
    (void)sd_notify(0, state);
}

/* Half the interval after which systemd gives up on us; 0 when it does not watch. */
static uint64_t
watchdog_us(void)
{
    uint64_t us = 0;

    return sd_watchdog_enabled(0, &us) > 0 ? us / 2 : 0;
}
#else
static void
notify(const char *state)
{
    (void)state;
}

static uint64_t
watchdog_us(void)
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

static void
stop_signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGHUP);
    if (!is_ignored(SIGINT))
        sigaddset(set, SIGINT);
}

/* Keys are in memory: no core file, and no other process of this user may look. Leak
 * checks of the sanitizers need to look. */
static void
hide_memory(void)
{
    const struct rlimit none = {0, 0};

    (void)setrlimit(RLIMIT_CORE, &none);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__clang__)
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#elif defined(__clang__)
#if !__has_feature(address_sanitizer)
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#endif
#endif
}

/* The soft limit is often 1024, for programs that use select(): we do not. */
static void
allow_descriptors(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

void
p2p_service_begin(void)
{
    sigset_t set;

    signal(SIGPIPE, SIG_IGN);
    stop_signals(&set);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    hide_memory();
    allow_descriptors();
}

void
p2p_service_ready(const char *program, const char *format, ...)
{
    va_list args;

    printf("ready %s ", program);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
    fflush(stdout);
    notify("READY=1");
}

/* One signal of the set, or 0 after `us` microseconds (0: waits for ever). */
static int
next_signal(const sigset_t *set, uint64_t us)
{
    struct timespec wait = {(time_t)(us / 1000000), (long)(us % 1000000) * 1000};
    int signum;

    do
        signum = sigtimedwait(set, NULL, us > 0 ? &wait : NULL);
    while (signum < 0 && errno == EINTR);
    return signum < 0 ? 0 : signum;
}

void
p2p_service_wait(void)
{
    uint64_t watch_us = watchdog_us();
    sigset_t set;
    int signum;

    stop_signals(&set);
    do {
        if (watch_us > 0)
            notify("WATCHDOG=1");
        signum = next_signal(&set, watch_us);
    } while (signum != SIGTERM && signum != SIGINT);
    atomic_store(&stopping, true);
    notify("STOPPING=1");

    /* From here on the default action: the second signal ends the process. */
    sigdelset(&set, SIGHUP);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

void
p2p_service_stop(void)
{
    if (!atomic_exchange(&stopping, true))
        kill(getpid(), SIGTERM);
}
