/* The parent process: starts the child, passes signals on to it, and replaces it. */
#include "p2p/guardian.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/guard/guardian_internal.h"
#include "core/guard/guardian_parent.h"
#include "p2p/clock.h"
#include "p2p/io.h"
#include "p2p/log.h"
#include "p2p/service.h"

enum {
    LOOK_MS = 1000,
    REPLACE_GRACE_MS = 5000, /* time after which a replaced child is killed */
    KILLED_STATUS = 128,     /* plus the number of the signal, as in a shell */
    KILL_PAUSE_MS = 5,
    RETRY_MAX_MS = 30000,
};

/* ---- The child's beginning and end ---- */

static bool
make_sockets(int orders[2], int requests[2])
{
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, orders) == 0 &&
           socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, requests) == 0;
}

/* Returns 0 in the child, and the child's pid or -1 in the parent. */
static pid_t
start_child(struct guardian *g)
{
    int orders[2] = {-1, -1}, requests[2] = {-1, -1};
    pid_t parent = getpid(), pid = -1;

    if (make_sockets(orders, requests))
        pid = fork();
    if (pid == 0) {
        struct p2p_guardian_child child = {.orders = orders[1],
                                           .requests = requests[1],
                                           .state = g->state,
                                           .alive_ms = g->alive_ms};
        pthread_sigmask(SIG_SETMASK, &g->child_mask, NULL);
        g->status = p2p_guardian_serve(g->opt, &g->user, &child, parent);
        return 0;
    }
    p2p_fd_close(&orders[1]);
    p2p_fd_close(&requests[1]);
    if (pid < 0) {
        p2p_fd_close(&orders[0]);
        p2p_fd_close(&requests[0]);
    }
    g->pid = pid;
    g->orders = orders[0];
    g->requests = requests[0];
    g->is_sealed = g->is_up = g->has_passphrase = false;
    g->is_ending = g->is_replacing = false;
    return pid;
}

static void
forget_child(struct guardian *g)
{
    guardian_forget_watched(g);
    p2p_fd_close(&g->orders);
    p2p_fd_close(&g->requests);
    g->pid = -1;
}

/* Never to a group, or to all: between two children there is none. */
static void
signal_child(const struct guardian *g, int signum)
{
    if (g->pid > 0)
        kill(g->pid, signum);
}

static void
stop_child(struct guardian *g)
{
    g->is_ending = true;
    if (!p2p_guardian_send(g->orders, P2P_GUARDIAN_STOP, "", -1))
        signal_child(g, SIGTERM);
}

static void
begin_replacing(struct guardian *g)
{
    if (g->is_ending)
        return;
    g->is_replacing = true;
    g->kill_at_ms = p2p_now_ms() + REPLACE_GRACE_MS;
    stop_child(g);
}

/* ---- What happens ---- */

/* Its port and its lock are free when the program has ended. Gives up on a child that
 * hangs in a system call. */
static void
kill_child(struct guardian *g)
{
    uint64_t end_ms = p2p_now_ms() + REPLACE_GRACE_MS;

    signal_child(g, SIGKILL);
    while (g->pid > 0 && waitpid(g->pid, NULL, WNOHANG) == 0 && p2p_now_ms() < end_ms)
        poll(NULL, 0, KILL_PAUSE_MS);
    g->pid = -1;
}

/* A second signal ends the program at once, with that signal. */
static void
end_at_once(struct guardian *g, int signum)
{
    sigset_t set;

    p2p_log_warn("stopping at once, because another signal came (%s)",
                 strsignal(signum));
    kill_child(g);
    guardian_end_relays(g);
    signal(signum, SIG_DFL);
    sigemptyset(&set);
    sigaddset(&set, signum);
    raise(signum);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    _exit(KILLED_STATUS + signum); /* the first process of a container is spared */
}

static void
describe(struct guardian *g)
{
    if (g->opt->describe != NULL)
        g->opt->describe(g->opt->arg, g->opt);
}

/* Lists and certificates are read again by the child in any case. */
static void
reload(struct guardian *g)
{
    struct p2p_reload_news news = {0};

    if (g->opt->reload != NULL && p2p_reload_read(g->opt->reload, &news) == P2P_OK)
        describe(g);
    g->is_reloaded = true;
    if (g->pid < 0 || g->is_ending) /* the next child begins with what is set now */
        return;
    if (news.needs_process ||
        !p2p_guardian_send(g->orders, P2P_GUARDIAN_RELOAD, news.live, -1))
        begin_replacing(g);
}

static void
on_signal(struct guardian *g)
{
    struct signalfd_siginfo info;

    if (read(g->signals, &info, sizeof(info)) != (ssize_t)sizeof(info))
        return;
    if (info.ssi_signo == SIGHUP &&
        p2p_service_has_lost_terminal(info.ssi_code, (int)info.ssi_pid)) {
        p2p_log_info("the terminal was closed: stopping (start with nohup or setsid to "
                     "keep running)");
        info.ssi_signo = SIGTERM;
        if (g->is_stopping)
            return; /* the kernel and the shell may both send it */
    }
    if (info.ssi_signo == SIGHUP) {
        if (!g->is_stopping)
            reload(g);
        return;
    }
    if (info.ssi_signo != SIGTERM && info.ssi_signo != SIGINT)
        return; /* SIGCHLD: its end is noticed below */
    if (g->is_stopping) {
        if (p2p_now_ms() >= g->same_until_ms)
            end_at_once(g, (int)info.ssi_signo);
        return;
    }
    g->is_stopping = true;
    g->same_until_ms = p2p_now_ms() + g->opt->same_ms;
    g->is_replacing = false;
    p2p_service_notify("STOPPING=1");
    if (!g->is_ending)
        stop_child(g);
}

/* True if a new child did not become ready and was not told to stop: its settings may
 * be wrong. */
static bool
goes_back(struct guardian *g)
{
    if (g->is_up || g->is_stopping || g->opt->reload == NULL ||
        !p2p_reload_go_back(g->opt->reload))
        return false;
    p2p_log_error("settings: the program could not start with the new settings and "
                  "uses the old ones again");
    describe(g);
    return true;
}

/* A folder that is missing or cannot be read may be right again soon. At the first
 * start the daemon ends instead: the person who starts it sees the reason. */
static bool
retries(struct guardian *g)
{
    uint64_t end_ms;

    if (!g->is_ready || g->is_up || g->is_stopping)
        return false;
    g->retry_ms = g->retry_ms == 0                 ? g->opt->look_ms
                  : g->retry_ms > RETRY_MAX_MS / 2 ? RETRY_MAX_MS
                                                   : 2 * g->retry_ms;
    p2p_log_error("the new process could not start; trying again in %u s",
                  g->retry_ms / 1000);
    g->is_reloaded = false;
    end_ms = p2p_now_ms() + g->retry_ms;
    while (p2p_now_ms() < end_ms && !g->is_stopping && !g->is_reloaded) {
        struct pollfd on = {.fd = g->signals, .events = POLLIN};
        if (poll(&on, 1, (int)g->opt->look_ms / 4) > 0)
            on_signal(g);
        p2p_service_notify("WATCHDOG=1");
    }
    return !g->is_stopping;
}

/* True if the daemon continues; otherwise g->status is its exit status. */
static bool
on_end(struct guardian *g, int status)
{
    bool was_asked = g->is_ending;

    if (WIFSIGNALED(status)) {
        g->status = KILLED_STATUS + WTERMSIG(status);
        if (!g->is_replacing)
            p2p_log_error(
                "the serving process (pid %d) was killed by signal %d (%s); stopping",
                (int)g->pid, WTERMSIG(status), strsignal(WTERMSIG(status)));
    } else {
        g->status = WEXITSTATUS(status);
        if (!was_asked && g->is_up)
            p2p_log_error("the serving process (pid %d) ended with status %d; stopping",
                          (int)g->pid, g->status);
    }
    return g->is_replacing || goes_back(g);
}

/* True if the child has ended; also gives its status. */
static bool
has_ended(struct guardian *g, int *status)
{
    pid_t pid;

    do
        pid = waitpid(g->pid, status, WNOHANG);
    while (pid < 0 && errno == EINTR);
    return pid == g->pid;
}

/* Once a second. */
static void
look(struct guardian *g)
{
    if (guardian_look(g)) {
        p2p_log_info("a shared folder was replaced by another one: restarting the "
                     "serving process");
        begin_replacing(g);
    } else if (g->opt->reload != NULL && p2p_reload_is_due(g->opt->reload)) {
        reload(g);
    }
}

static void
on_time(struct guardian *g)
{
    uint64_t now = p2p_now_ms();

    if (g->is_replacing && now >= g->kill_at_ms) {
        g->kill_at_ms = now + REPLACE_GRACE_MS;
        signal_child(g, SIGKILL);
    }
    if (now >= g->look_at_ms) {
        g->look_at_ms = now + g->opt->look_ms;
        if (!g->is_ending)
            look(g);
    }
}

/* Reads the last messages of an ended child, because it matters whether it was
 * ready. */
static void
hear_last_orders(struct guardian *g)
{
    struct pollfd on = {.fd = g->orders, .events = POLLIN};

    while (g->orders >= 0 && poll(&on, 1, 0) > 0)
        (void)guardian_on_order(g);
}

/* Until on_time has something to do; -1: nothing. */
static int
time_left(const struct guardian *g)
{
    uint64_t now = p2p_now_ms(), due = UINT64_MAX;

    if (g->is_replacing)
        due = g->kill_at_ms;
    if (g->watched_count > 0 && g->look_at_ms < due)
        due = g->look_at_ms;
    return due == UINT64_MAX ? -1 : due > now ? (int)(due - now) : 0;
}

/* Waits until the child has ended. */
static int
mind_child(struct guardian *g)
{
    int status = 0;

    while (!has_ended(g, &status)) {
        struct pollfd on[] = {{.fd = g->signals, .events = POLLIN},
                              {.fd = g->orders, .events = POLLIN},
                              {.fd = g->requests, .events = POLLIN}};
        int n = poll(on, 3, time_left(g));

        if (n > 0 && on[0].revents != 0)
            on_signal(g);
        if (n > 0 && on[1].revents != 0 && guardian_on_order(g))
            begin_replacing(g);
        if (g->wants_reload && !g->is_stopping)
            reload(g);
        g->wants_reload = false;
        if (n > 0 && on[2].revents != 0)
            guardian_on_request(g);
        on_time(g);
        guardian_reap_relays(g);
    }
    hear_last_orders(g);
    return status;
}

static bool
open_signals(struct guardian *g)
{
    sigset_t set;

    p2p_service_stop_signals(&set);
    sigaddset(&set, SIGCHLD);
    pthread_sigmask(SIG_BLOCK, &set, &g->child_mask);
    g->signals = signalfd(-1, &set, SFD_CLOEXEC);
    return g->signals >= 0;
}

int
p2p_guardian_run(const struct p2p_guardian_options *given)
{
    struct p2p_guardian_options opt = *given;
    struct guardian g = {.opt = &opt,
                         .orders = -1,
                         .requests = -1,
                         .pid = -1,
                         .signals = -1,
                         .state = -1,
                         .status = 1};
    bool goes_on = true;

    if (opt.look_ms == 0)
        opt.look_ms = LOOK_MS;
    if (opt.same_ms == 0)
        opt.same_ms = P2P_SERVICE_SAME_MS;
    describe(&g);
    if (p2p_guardian_choose_user(&opt, &g.user) != P2P_OK)
        return 2;
    g.alive_ms = p2p_service_watchdog_ms();
    if (opt.keeps_state)
        g.state = memfd_create("p2p-state", MFD_CLOEXEC);
    if ((opt.keeps_state && g.state < 0) || !open_signals(&g)) {
        p2p_log_error("cannot start: %s", strerror(errno));
        return 1;
    }
    while (goes_on) {
        pid_t pid = start_child(&g);
        if (pid < 0) {
            p2p_log_error("cannot start the serving process: %s", strerror(errno));
            goes_on = false;
        }
        if (pid <= 0)
            break;
        goes_on = on_end(&g, mind_child(&g));
        forget_child(&g);
        if (g.is_up)
            g.retry_ms = 0;
        goes_on = goes_on || (g.status < KILLED_STATUS && retries(&g));
    }
    if (!goes_on) /* not in a child */
        guardian_end_relays(&g);
    guardian_forget_secrets(&g);
    if (g.signals >= 0)
        close(g.signals);
    return g.status;
}
