/*
 * attack - what code that was taken over might try, from inside a daemon.
 *
 * Linked into copies of the daemons (make hooked) with --wrap=p2p_service_ready: when
 * the daemon is about to say that it is ready, it does what P2P_ATTACK lists, separated
 * by spaces, `WHAT` or `WHAT=ARGUMENT`, and prints one line each on stderr:
 * `attack WHAT=ARGUMENT: done`, or the error. tests/e2e/test_sandbox.py reads them. The
 * programs that are installed have nothing of this.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/guard/guardian_internal.h"
#include "p2p/guardian.h"
#include "p2p/service.h"

void __real_p2p_service_ready(const char *program, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void __wrap_p2p_service_ready(const char *program, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Each attack returns -1 and errno if it was refused. */

static int
try_open(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC, 0600);

    return fd < 0 ? -1 : close(fd);
}

static int
try_read(const char *path)
{
    return try_open(path, O_RDONLY);
}

static int
try_write(const char *path)
{
    return try_open(path, O_WRONLY | O_CREAT);
}

static int
try_list(const char *path)
{
    return try_open(path, O_RDONLY | O_DIRECTORY);
}

static int
try_chmod(const char *path)
{
    return chmod(path, 0600);
}

static int
try_symlink(const char *path)
{
    return symlink("/etc/passwd", path);
}

/* In a new process, or in this one if none can be created. */
static int
try_exec(const char *path)
{
    char *const argv[] = {(char *)(uintptr_t)path, NULL}, *const envp[] = {NULL};
    pid_t pid = fork();
    int status;

    if (pid <= 0) {
        execve(path, argv, envp);
        if (pid == 0)
            _exit(127);
        return -1;
    }
    if (waitpid(pid, &status, 0) == pid && WIFEXITED(status) &&
        WEXITSTATUS(status) == 0)
        return 0;
    errno = EACCES;
    return -1;
}

static int
try_fork(const char *unused)
{
    pid_t pid = fork();

    (void)unused;
    if (pid == 0)
        _exit(0);
    return pid < 0 || waitpid(pid, NULL, 0) != pid ? -1 : 0;
}

static int
try_ptrace(const char *pid)
{
    pid_t victim = (pid_t)atoi(pid);

    if (ptrace(PTRACE_SEIZE, victim, NULL, NULL) != 0)
        return -1;
    /* It is killed, because otherwise the parent would wait for this process when it
     * ends. */
    ptrace(PTRACE_INTERRUPT, victim, NULL, NULL);
    waitpid(victim, NULL, __WALL);
    ptrace(PTRACE_DETACH, victim, NULL, NULL);
    return 0;
}

static int
try_peek(const char *pid)
{
    char byte;
    struct iovec here = {&byte, 1}, there = {(void *)(uintptr_t)try_peek, 1};

    /* A missing address would give EFAULT: the call is allowed, but nothing is found.
     */
    return process_vm_readv(atoi(pid), &here, 1, &there, 1, 0) >= 0 || errno == EFAULT
               ? 0
               : -1;
}

static int
try_kill(const char *pid)
{
    return kill(atoi(pid), 0);
}

static int
try_socket(int family, int type, int protocol)
{
    int fd = socket(family, type, protocol);

    return fd < 0 ? -1 : close(fd);
}

static int
try_raw(const char *unused)
{
    (void)unused;
    return try_socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
}

static int
try_packet(const char *unused)
{
    (void)unused;
    return try_socket(AF_PACKET, SOCK_DGRAM, 0);
}

static int
try_unix(const char *path)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    /* Bypasses the functions of the program, as an attacker would. */
    int fd = (int)syscall(SYS_socket, AF_UNIX, SOCK_STREAM, 0), rc, saved;

    if (fd < 0)
        return -1;
    snprintf(to.sun_path, sizeof(to.sun_path), "%s", path);
    rc = (int)syscall(SYS_connect, fd, &to, sizeof(to));
    saved = errno;
    close(fd);
    errno = saved;
    return rc;
}

/* A pair is two sockets of this process; a datagram socket can be connected to another
 * socket. */
static int
try_pair(const char *path)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int pair[2], rc, saved;

    if (syscall(SYS_socketpair, AF_UNIX, SOCK_DGRAM, 0, pair) != 0)
        return -1;
    snprintf(to.sun_path, sizeof(to.sun_path), "%s", path);
    rc = (int)syscall(SYS_sendto, pair[0], "x", 1, 0, &to, sizeof(to));
    if (rc < 0)
        rc = (int)syscall(SYS_connect, pair[0], &to, sizeof(to));
    saved = errno;
    close(pair[0]);
    close(pair[1]);
    errno = saved;
    return rc;
}

/* The same with the pairs that the sandbox allows: their other end cannot be changed.
 */
static int
try_stream_pair(const char *path)
{
    static const int types[] = {SOCK_STREAM, SOCK_SEQPACKET};
    struct sockaddr_un to = {.sun_family = AF_UNIX};

    snprintf(to.sun_path, sizeof(to.sun_path), "%s", path);
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        int pair[2], rc;
        if (syscall(SYS_socketpair, AF_UNIX, types[i], 0, pair) != 0)
            return -1;
        close(pair[1]);
        rc = (int)syscall(SYS_connect, pair[0], &to, sizeof(to));
        close(pair[0]);
        if (rc == 0)
            return 0;
    }
    errno = EISCONN;
    return -1;
}

/* ---- The system bus ---- */

/* Directly, as an attacker would, or through the parent, which the daemon may ask. */
static int
connect_to_bus(const char *path)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int fd = (int)syscall(SYS_socket, AF_UNIX, SOCK_STREAM, 0);

    snprintf(to.sun_path, sizeof(to.sun_path), "%s", path);
    if (fd >= 0 && syscall(SYS_connect, fd, &to, sizeof(to)) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    errno = EACCES;
    return p2p_guardian_ask_socket(path, &fd) == P2P_OK ? fd : -1;
}

static size_t
put_text(uint8_t *out, size_t at, uint8_t code, char type, const char *text)
{
    uint32_t len = (uint32_t)strlen(text);

    while (at % 8 != 0)
        out[at++] = 0;
    out[at++] = code;
    out[at++] = 1;
    out[at++] = (uint8_t)type;
    out[at++] = 0;
    memcpy(out + at, &len, 4);
    memcpy(out + at + 4, text, len + 1);
    return at + 4 + len + 1;
}

/* A call without arguments, in the byte order of this machine. */
static size_t
put_call(uint8_t *out, uint32_t serial, const char *to, const char *interface,
         const char *member)
{
    const uint16_t one = 1;
    uint32_t fields;
    size_t at = 16;

    memset(out, 0, 16);
    out[0] = *(const uint8_t *)&one == 1 ? 'l' : 'B';
    out[1] = 1;
    out[3] = 1;
    memcpy(out + 8, &serial, 4);
    at = put_text(out, at, 1, 'o', "/");
    at = put_text(out, at, 2, 's', interface);
    at = put_text(out, at, 3, 's', member);
    at = put_text(out, at, 6, 's', to);
    fields = (uint32_t)at - 16;
    memcpy(out + 12, &fields, 4);
    while (at % 8 != 0)
        out[at++] = 0;
    return at;
}

/* True if the bus passes on this process's call to `to`: there is an answer, even if it
 * is an error. */
static int
call_by_bus(const char *path, const char *to, const char *interface, const char *member)
{
    static const char auth[] = "AUTH EXTERNAL\r\nDATA\r\n", begin[] = "BEGIN\r\n";
    uint8_t out[1024], in[4096];
    struct timeval wait = {.tv_sec = 10};
    int fd = connect_to_bus(path);
    size_t len;
    ssize_t n;

    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
    (void)!write(fd, "", 1);
    (void)!write(fd, auth, sizeof(auth) - 1);
    do
        n = read(fd, in, sizeof(in));
    while (n > 0 && memmem(in, (size_t)n, "OK ", 3) == NULL);
    (void)!write(fd, begin, sizeof(begin) - 1);
    len = put_call(out, 1, "org.freedesktop.DBus", "org.freedesktop.DBus", "Hello");
    (void)!write(fd, out, len);
    usleep(200000); /* answers to this call do not count for the next one */
    (void)!recv(fd, in, sizeof(in), MSG_DONTWAIT);
    len = put_call(out, 2, to, interface, member);
    (void)!write(fd, out, len);
    n = read(fd, in, sizeof(in));
    close(fd);
    errno = EACCES;
    return n > 0 ? 0 : -1;
}

static int
try_bus(const char *path)
{
    return call_by_bus(path, "org.freedesktop.systemd1",
                       "org.freedesktop.systemd1.Manager", "Reboot");
}

static int
try_bus_driver(const char *path)
{
    return call_by_bus(path, "org.freedesktop.DBus", "org.freedesktop.DBus.Monitoring",
                       "BecomeMonitor");
}

static int
try_bus_avahi(const char *path)
{
    return call_by_bus(path, "org.freedesktop.Avahi", "org.freedesktop.Avahi.Server",
                       "GetVersionString");
}

static int
try_listen(const char *unused)
{
    struct sockaddr_in any = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_STREAM, 0), rc, saved;

    (void)unused;
    if (fd < 0)
        return -1;
    rc = bind(fd, (struct sockaddr *)&any, sizeof(any));
    rc = rc == 0 ? listen(fd, 1) : rc;
    saved = errno;
    close(fd);
    errno = saved;
    return rc;
}

static int
try_code(const char *unused)
{
    void *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    (void)unused;
    if (at != MAP_FAILED)
        return munmap(at, 4096);
    at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return at != MAP_FAILED ? mprotect(at, 4096, PROT_READ | PROT_EXEC) : -1;
}

static int
try_namespace(const char *unused)
{
    (void)unused;
    return unshare(CLONE_NEWNS);
}

static int
try_mount(const char *path)
{
    return mount("none", path, "tmpfs", 0, NULL) == 0 ? umount2(path, MNT_DETACH) : -1;
}

static int
try_root(const char *unused)
{
    (void)unused;
    return (int)syscall(SYS_setuid, 0);
}

/* The parent checks each request. */
static int
try_parent(const char *path)
{
    int fd;
    enum p2p_err err = p2p_guardian_open(path, &fd);

    errno = EACCES;
    return err == P2P_OK ? close(fd) : -1;
}

static const struct {
    const char *name;
    int (*run)(const char *argument);
} attacks[] = {
    {"read", try_read},
    {"write", try_write},
    {"list", try_list},
    {"chmod", try_chmod},
    {"symlink", try_symlink},
    {"exec", try_exec},
    {"fork", try_fork},
    {"ptrace", try_ptrace},
    {"peek", try_peek},
    {"kill", try_kill},
    {"raw", try_raw},
    {"packet", try_packet},
    {"unix", try_unix},
    {"listen", try_listen},
    {"code", try_code},
    {"namespace", try_namespace},
    {"mount", try_mount},
    {"root", try_root},
    {"bus", try_bus},
    {"bus-driver", try_bus_driver},
    {"bus-avahi", try_bus_avahi},
    {"parent", try_parent},
    {"pair", try_pair},
    {"stream-pair", try_stream_pair},
};

static void
attack(char *word)
{
    char *argument = strchr(word, '=');
    size_t len = argument != NULL ? (size_t)(argument - word) : strlen(word);

    for (size_t i = 0; i < sizeof(attacks) / sizeof(attacks[0]); i++)
        if (strlen(attacks[i].name) == len &&
            strncmp(attacks[i].name, word, len) == 0) {
            int rc = attacks[i].run(argument != NULL ? argument + 1 : "");
            fprintf(stderr, "attack %s: %s\n", word,
                    rc >= 0 ? "done" : strerror(errno));
            return;
        }
    fprintf(stderr, "attack %s: unknown\n", word);
}

void
__wrap_p2p_service_ready(const char *program, const char *format, ...)
{
    const char *list = getenv("P2P_ATTACK");
    char line[512], *words, *save = NULL;
    va_list args;

    va_start(args, format);
    vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    words = list != NULL ? strdup(list) : NULL;
    for (char *word = words != NULL ? strtok_r(words, " ", &save) : NULL; word != NULL;
         word = strtok_r(NULL, " ", &save))
        attack(word);
    free(words);
    __real_p2p_service_ready(program, "%s", line);
}
