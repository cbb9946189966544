#include "ui/pictures/helper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/libc.h"
#include "p2p/clock.h"
#include "p2p/io.h"
#include "ui/pictures/confine.h"
#include "ui/pictures/picture.h"

#define AT_ONCE  2 /* processes that decode */
#define WAITING  8 /* callers */
#define WAIT_MS  20000u
#define PAUSE_MS 200 /* before a helper is replaced */

/* A request: the side, with the file and the end of a pipe. */
union descriptors {
    struct cmsghdr head;
    char space[CMSG_SPACE(2 * sizeof(int))];
};

/* ---- the process that decodes ---- */

static uint8_t *
read_all(size_t *len)
{
    size_t cap = 1u << 16;
    uint8_t *data = malloc(cap);

    *len = 0;
    while (data != NULL) {
        ssize_t n;
        if (*len == cap) {
            uint8_t *more = cap < UI_HELPER_IN_MAX ? realloc(data, cap * 2) : NULL;
            if (more == NULL)
                break;
            data = more;
            cap *= 2;
        }
        n = read(0, data + *len, cap - *len);
        if (n == 0)
            return data;
        if (n < 0)
            break;
        *len += (size_t)n;
    }
    free(data);
    return NULL;
}

static void
decode(unsigned side)
{
    size_t len, out_len = 0, at = 0;
    uint8_t *in = read_all(&len);
    uint8_t *out = in != NULL ? ui_picture_shrink(in, len, side, &out_len) : NULL;

    while (out != NULL && at < out_len) {
        ssize_t n = write(1, out + at, out_len - at);
        if (n <= 0)
            break;
        at += (size_t)n;
    }
    _exit(0);
}

/* ---- the helper ---- */

static bool
take(int sock, uint32_t *side, int fds[2], bool *is_over)
{
    union descriptors control = {0};
    struct iovec iov = {side, sizeof(*side)};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control.space,
                         .msg_controllen = sizeof(control.space)};
    ssize_t n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
    struct cmsghdr *head = CMSG_FIRSTHDR(&msg);

    *is_over = n == 0 || (n < 0 && errno != EINTR);
    if (n < 0 || head == NULL || head->cmsg_type != SCM_RIGHTS ||
        head->cmsg_len < CMSG_LEN(sizeof(int)))
        return false;
    fds[1] = -1;
    memcpy(fds, CMSG_DATA(head), head->cmsg_len - CMSG_LEN(0));
    if (n == (ssize_t)sizeof(*side) && head->cmsg_len == CMSG_LEN(2 * sizeof(int)))
        return true;
    close(fds[0]);
    p2p_fd_close(&fds[1]);
    return false;
}

/* Waits until fewer than `most` processes run. */
static void
reap(unsigned *running, unsigned most)
{
    while (*running > 0 && waitpid(-1, NULL, *running >= most ? 0 : WNOHANG) > 0)
        --*running;
}

static void
serve(int sock, bool is_confined)
{
    unsigned running = 0;
    bool is_over = false;

    while (!is_over) {
        int fds[2];
        uint32_t side;
        pid_t pid;

        if (!take(sock, &side, fds, &is_over))
            continue;
        reap(&running, AT_ONCE);
        if ((pid = fork()) == 0) {
            if (ui_confine(fds[0], fds[1], is_confined))
                decode(side);
            _exit(1);
        }
        if (pid > 0)
            running++;
        close(fds[0]);
        close(fds[1]);
    }
    _exit(0);
}

/* Ends with its parent, whatever ends that. */
static void
end_with(pid_t parent)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (getppid() != parent)
        _exit(1);
}

/* A helper that was killed, for example because memory ran out, gets a successor, which
 * reads from the same socket. One that ended by itself has seen the end of it. */
static void
keep(int sock, bool is_confined)
{
    pid_t own = getpid(), pid;
    int status = 0;

    for (;;) {
        if ((pid = fork()) == 0) {
            end_with(own);
            serve(sock, is_confined);
        }
        while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
            continue;
        if (pid > 0 && WIFEXITED(status))
            _exit(0);
        (void)poll(NULL, 0, PAUSE_MS);
    }
}

static pid_t helper_pid;

int
ui_helper_start(bool is_confined)
{
    pid_t parent = getpid(), pid;
    sigset_t none;
    int socks[2];

    if (!ui_picture_is_possible() ||
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, socks) != 0)
        return -1;
    if ((pid = fork()) == 0) {
        int sock = dup2(socks[1], 3);
        /* Its parent stops it; a terminal's keys do not. */
        signal(SIGINT, SIG_IGN);
        signal(SIGHUP, SIG_IGN);
        sigemptyset(&none);
        (void)sigprocmask(SIG_SETMASK, &none, NULL);
        end_with(parent);
        (void)prctl(PR_SET_NAME, "p2p-pictures", 0, 0, 0);
        if (sock < 0)
            _exit(1);
        closefrom(4);
        keep(sock, is_confined);
    }
    close(socks[1]);
    if (pid < 0)
        p2p_fd_close(&socks[0]);
    helper_pid = pid;
    return pid < 0 ? -1 : socks[0];
}

void
ui_helper_stop(int helper)
{
    if (helper < 0)
        return;
    close(helper); /* others may hold it, so the end is not enough */
    kill(helper_pid, SIGTERM);
    while (waitpid(helper_pid, NULL, 0) < 0 && errno == EINTR)
        continue;
}

/* ---- the daemon ---- */

static bool
send_request(int helper, unsigned side, int file, int pipe_end)
{
    uint32_t body = side;
    int fds[2] = {file, pipe_end};
    union descriptors control = {0};
    struct iovec iov = {&body, sizeof(body)};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control.space,
                         .msg_controllen = sizeof(control.space)};

    control.head.cmsg_level = SOL_SOCKET;
    control.head.cmsg_type = SCM_RIGHTS;
    control.head.cmsg_len = CMSG_LEN(sizeof(fds));
    memcpy(CMSG_DATA(&control.head), fds, sizeof(fds));
    return sendmsg(helper, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)sizeof(body);
}

static enum p2p_err
receive(int fd, uint8_t *out, size_t *len)
{
    uint64_t end_ms = p2p_now_ms() + WAIT_MS;

    for (*len = 0; *len <= UI_HELPER_OUT_MAX;) {
        struct pollfd on = {.fd = fd, .events = POLLIN};
        uint64_t now = p2p_now_ms();
        ssize_t n;

        if (now >= end_ms || poll(&on, 1, (int)(end_ms - now)) == 0)
            return P2P_ERR_TIMEOUT;
        n = read(fd, out + *len, UI_HELPER_OUT_MAX + 1 - *len);
        if (n < 0 && errno != EINTR)
            return P2P_ERR_SYS;
        if (n == 0)
            break;
        if (n > 0)
            *len += (size_t)n;
    }
    /* Nothing else goes to browsers as a picture. */
    return *len >= 4 && *len <= UI_HELPER_OUT_MAX && memcmp(out, "\xff\xd8\xff", 3) == 0
               ? P2P_OK
               : P2P_ERR_NOT_FOUND;
}

enum p2p_err
ui_helper_ask(int helper, int file, unsigned side, uint8_t **out, size_t *out_len)
{
    static atomic_uint waiting;
    enum p2p_err err = P2P_ERR_BUSY;
    int ends[2] = {-1, -1};

    *out = NULL;
    if (helper < 0)
        return P2P_ERR_NOT_FOUND;
    if (atomic_fetch_add(&waiting, 1) < WAITING && pipe2(ends, O_CLOEXEC) == 0 &&
        send_request(helper, side, file, ends[1])) {
        p2p_fd_close(&ends[1]);
        *out = malloc(UI_HELPER_OUT_MAX + 1);
        err = *out != NULL ? receive(ends[0], *out, out_len) : P2P_ERR_NOMEM;
    }
    atomic_fetch_sub(&waiting, 1);
    p2p_fd_close(&ends[0]);
    p2p_fd_close(&ends[1]);
    if (err != P2P_OK) {
        free(*out);
        *out = NULL;
    }
    return err;
}
