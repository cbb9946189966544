/*
 * A connection to the system bus for a child: by way of a small process of its own, so
 * that the child speaks to Avahi and to nothing else there (bus_filter.h). Otherwise
 * services that act for the user, and for root on everything, would be a way out of the
 * sandbox.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/libc.h"
#include "core/guard/bus_filter.h"
#include "core/guard/guardian_parent.h"
#include "p2p/io.h"
#include "p2p/log.h"

/* ---- The process in between ---- */

struct relay {
    int child, bus;
    bool has_opened;       /* the byte NUL was sent */
    bool is_authenticated; /* the bus said OK: it takes BEGIN now, and not before */
    bool has_begun;        /* messages, no longer lines */
    size_t used;
    uint8_t bytes[P2P_BUS_MESSAGE_MAX + 4096];
};

static bool
write_all(int fd, const uint8_t *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, bytes, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        bytes += n;
        len -= (size_t)n;
    }
    return true;
}

static bool
says_ok(const uint8_t *bytes, size_t len)
{
    return (len >= 3 && memcmp(bytes, "OK ", 3) == 0) ||
           memmem(bytes, len, "\r\nOK ", 5) != NULL;
}

/* From the bus: what it says to the daemon is the bus's decision. */
static bool
pass_back(struct relay *r)
{
    uint8_t bytes[16384];
    ssize_t n = read(r->bus, bytes, sizeof(bytes));

    if (n > 0 && !r->has_begun && says_ok(bytes, (size_t)n))
        r->is_authenticated = true;
    return n > 0 && write_all(r->child, bytes, (size_t)n);
}

static enum p2p_bus_verdict
judge(struct relay *r, const uint8_t *bytes, size_t len, size_t *size)
{
    enum p2p_bus_verdict verdict;

    *size = 0;
    if (len == 0)
        return P2P_BUS_MORE;
    if (r->has_begun)
        return p2p_bus_filter_message(bytes, len, size);
    if (!r->has_opened) {
        r->has_opened = true;
        *size = 1;
        return bytes[0] == '\0' ? P2P_BUS_PASS : P2P_BUS_REFUSE;
    }
    verdict = p2p_bus_filter_line(bytes, len, size);
    return verdict == P2P_BUS_BEGIN && !r->is_authenticated ? P2P_BUS_REFUSE : verdict;
}

/* Whether to go on. */
static bool
pass_what_may(struct relay *r)
{
    size_t at = 0, size;

    for (;;) {
        enum p2p_bus_verdict verdict = judge(r, r->bytes + at, r->used - at, &size);

        if (verdict == P2P_BUS_REFUSE) {
            p2p_log_warn("system bus: a call to something other than Avahi was "
                         "refused, and the connection closed");
            return false;
        }
        if (verdict == P2P_BUS_MORE)
            break;
        if (verdict != P2P_BUS_DROP && !write_all(r->bus, r->bytes + at, size))
            return false;
        r->has_begun = r->has_begun || verdict == P2P_BUS_BEGIN;
        at += size;
    }
    memmove(r->bytes, r->bytes + at, r->used - at);
    r->used -= at;
    return true;
}

static bool
pass_on(struct relay *r)
{
    ssize_t n;

    if (r->used >= sizeof(r->bytes)) /* the filter refuses such a message before */
        return false;
    n = read(r->child, r->bytes + r->used, sizeof(r->bytes) - r->used);
    if (n <= 0)
        return false;
    r->used += (size_t)n;
    return pass_what_may(r);
}

static void
pass_until_the_end(struct relay *r)
{
    bool goes_on = true;

    while (goes_on) {
        struct pollfd on[] = {{.fd = r->child, .events = POLLIN},
                              {.fd = r->bus, .events = POLLIN}};
        if (poll(on, 2, -1) < 0)
            continue;
        if (on[1].revents != 0)
            goes_on = pass_back(r);
        if (goes_on && on[0].revents != 0)
            goes_on = pass_on(r);
    }
}

/* Its last rights are the two connections. */
static bool
confine(const struct guardian *g, const struct relay *r)
{
    int low = r->child < r->bus ? r->child : r->bus;
    int high = r->child < r->bus ? r->bus : r->child;
    struct p2p_sandbox_rules none;
    struct p2p_sandbox_state state;

    for (int fd = STDERR_FILENO + 1; fd < high; fd++)
        if (fd != low)
            close(fd);
    closefrom(high + 1);
    if (p2p_guardian_become(&g->user) != P2P_OK)
        return false;
    if (!g->opt->settings.sandbox || !p2p_sandbox_is_possible())
        return true;
    p2p_sandbox_rules_init(&none);
    return p2p_sandbox_enter(&none, &state) == P2P_OK;
}

static void
run_relay(const struct guardian *g, int child, int bus, pid_t parent)
{
    static struct relay relay;

    (void)prctl(PR_SET_NAME, P2P_GUARDIAN_RELAY_NAME, 0, 0, 0);
    (void)fcntl(bus, F_SETFL, 0);
    relay.child = child;
    relay.bus = bus;
    pthread_sigmask(SIG_SETMASK, &g->child_mask, NULL);
    if (confine(g, &relay)) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
        if (getppid() == parent)
            pass_until_the_end(&relay);
    }
    _exit(0);
}

/* ---- The parent ---- */

void
guardian_reap_relays(struct guardian *g)
{
    size_t left = 0;

    for (size_t i = 0; i < g->relay_count; i++)
        if (waitpid(g->relays[i], NULL, WNOHANG) == 0)
            g->relays[left++] = g->relays[i];
    g->relay_count = left;
}

void
guardian_end_relays(struct guardian *g)
{
    for (size_t i = 0; i < g->relay_count; i++)
        kill(g->relays[i], SIGKILL);
    for (size_t i = 0; i < g->relay_count; i++)
        while (waitpid(g->relays[i], NULL, 0) < 0 && errno == EINTR)
            continue;
    g->relay_count = 0;
}

enum p2p_err
guardian_relay(struct guardian *g, int *fd)
{
    pid_t parent = getpid(), pid;
    int pair[2];

    guardian_reap_relays(g);
    if (g->relay_count == GUARDIAN_RELAYS_MAX)
        return P2P_ERR_BUSY;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return p2p_err_from_errno(errno);
    pid = fork();
    if (pid == 0)
        run_relay(g, pair[0], *fd, parent);
    close(pair[0]);
    p2p_fd_close(fd);
    if (pid < 0) {
        close(pair[1]);
        return P2P_ERR_SYS;
    }
    g->relays[g->relay_count++] = pid;
    *fd = pair[1];
    return P2P_OK;
}
