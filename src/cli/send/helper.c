#include "cli/send/helper.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "p2p/clock.h"
#include "p2p/io.h"

#define PREFIX "p2p-send-"
enum {
    READY_MS = 60000,
    END_MS = 10000,
    VARIABLES_MAX = 512,
    DEPTH_MAX = 16,
    SWEEP_AFTER_S = 60
};

/* Beside this program, else wherever the shell finds it. */
static void
find_program(const char *name, char out[PATH_MAX])
{
    ssize_t n = readlink("/proc/self/exe", out, PATH_MAX - 32);
    char *slash;

    if (n > 0) {
        out[n] = '\0';
        if ((slash = strrchr(out, '/')) != NULL) {
            snprintf(slash + 1, 32, "%s", name);
            if (access(out, X_OK) == 0)
                return;
        }
    }
    snprintf(out, PATH_MAX, "%s", name);
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st, (void)type, (void)at;
    remove(path);
    return 0;
}

/* Removes the folders of commands that were killed: a living one holds a lock. */
static void
sweep(const char *base)
{
    DIR *dir = opendir(base);
    struct dirent *entry;
    char path[4096];
    struct stat st;

    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        int n = snprintf(path, sizeof(path), "%s/%s", base, entry->d_name), fd;
        if (strncmp(entry->d_name, PREFIX, strlen(PREFIX)) != 0 || n < 0 ||
            (size_t)n >= sizeof(path) || lstat(path, &st) != 0 ||
            !S_ISDIR(st.st_mode) || st.st_uid != geteuid() ||
            st.st_mtime + SWEEP_AFTER_S > time(NULL))
            continue;
        fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
            nftw(path, remove_one, DEPTH_MAX, FTW_DEPTH | FTW_PHYS);
        p2p_fd_close(&fd);
    }
    if (dir != NULL)
        closedir(dir);
}

enum p2p_err
helper_make_folder(struct helper *h)
{
    const char *base = getenv("XDG_RUNTIME_DIR");

    *h = (struct helper){.pid = 0};
    h->lock = -1;
    for (int i = 0; i < 2; i++) {
        const char *at = i == 0 && base != NULL ? base : "/tmp";
        int n = snprintf(h->dir, sizeof(h->dir), "%s/" PREFIX "XXXXXX", at);
        if (n < 0 || (size_t)n >= sizeof(h->dir) || mkdtemp(h->dir) == NULL)
            continue;
        h->lock = open(h->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (h->lock >= 0)
            (void)flock(h->lock, LOCK_EX | LOCK_NB);
        sweep(at);
        return P2P_OK;
    }
    h->dir[0] = '\0';
    return p2p_err_from_errno(errno);
}

/* Nothing of the user's settings reaches it: they are those of another peer. */
static char **
make_environment(const char *home)
{
    extern char **environ;
    char **out = calloc(VARIABLES_MAX, sizeof(*out));
    size_t n = 0;

    for (char **at = environ; out != NULL && *at != NULL && n < VARIABLES_MAX - 2; at++)
        if (strncmp(*at, "P2P_", 4) != 0 || strncmp(*at, "P2P_RUN_AS_ROOT=", 16) == 0)
            out[n++] = *at;
    if (out != NULL && asprintf(&out[n], "P2P_HOME=%s", home) < 0)
        out[n] = NULL;
    return out;
}

/* In the child. It ends when this program does, however that happens. */
static void
become_program(const char *program, char **argv, char **environment, int out,
               pid_t parent)
{
    sigset_t none;
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    /* Ctrl-C is for this program, which then ends the peer in order. */
    if (getppid() != parent || setpgid(0, 0) != 0 || null < 0 ||
        dup2(null, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0)
        _exit(127);
    execvpe(program, argv, environment);
    _exit(127);
}

static char **
make_arguments(const char *program, const char *const *arguments)
{
    size_t n = 0;
    char **argv;

    while (arguments[n] != NULL)
        n++;
    if ((argv = calloc(n + 2, sizeof(*argv))) == NULL)
        return NULL;
    argv[0] = (char *)(uintptr_t)program;
    for (size_t i = 0; i < n; i++)
        argv[i + 1] = (char *)(uintptr_t)arguments[i];
    return argv;
}

static enum p2p_err
run(struct helper *h, const char *program, const char *const *arguments, int *ready)
{
    char path[PATH_MAX], **argv = NULL, **environment = make_environment(h->dir);
    enum p2p_err err = P2P_ERR_NOMEM;
    pid_t self = getpid();
    int pair[2] = {-1, -1};

    find_program(program, path);
    argv = make_arguments(path, arguments);
    if (environment != NULL && argv != NULL)
        err = pipe2(pair, O_CLOEXEC) == 0 ? P2P_OK : p2p_err_from_errno(errno);
    fflush(NULL);
    if (err == P2P_OK && (h->pid = fork()) == 0)
        become_program(path, argv, environment, pair[1], self);
    if (err == P2P_OK && h->pid < 0) {
        h->pid = 0;
        err = p2p_err_from_errno(errno);
    }
    p2p_fd_close(&pair[1]);
    *ready = pair[0];
    for (char **at = environment; environment != NULL && *at != NULL; at++)
        if (at[1] == NULL)
            free(*at); /* the last one is ours */
    free(environment);
    free(argv);
    return err;
}

/* Waits for its ready line. Takes the descriptor. */
static enum p2p_err
wait_until_ready(struct helper *h, int fd)
{
    uint64_t end_ms = p2p_now_ms() + READY_MS, now_ms;
    size_t len = 0;
    enum p2p_err err = P2P_ERR_TIMEOUT;

    while (err == P2P_ERR_TIMEOUT && (now_ms = p2p_now_ms()) < end_ms) {
        struct pollfd on = {.fd = fd, .events = POLLIN};
        if (poll(&on, 1, (int)(end_ms - now_ms)) <= 0)
            continue;
        ssize_t n = read(fd, h->ready + len, sizeof(h->ready) - 1 - len);
        if (n <= 0 || (len += (size_t)n) == sizeof(h->ready) - 1)
            err = P2P_ERR_CLOSED;
        else if (memchr(h->ready, '\n', len) != NULL)
            err = P2P_OK;
    }
    close(fd);
    return err;
}

enum p2p_err
helper_start(struct helper *h, const char *program, const char *const *arguments)
{
    int ready = -1;
    enum p2p_err err = run(h, program, arguments, &ready);

    return err == P2P_OK ? wait_until_ready(h, ready) : err;
}

void
helper_stop(struct helper *h)
{
    uint64_t end_ms = p2p_now_ms() + END_MS;
    int status;

    if (h->pid > 0) {
        kill(h->pid, SIGTERM);
        while (waitpid(h->pid, &status, WNOHANG) == 0 && p2p_now_ms() < end_ms)
            poll(NULL, 0, 20);
    }
    if (h->dir[0] != '\0')
        p2p_fd_close(&h->lock);
    if (h->dir[0] != '\0')
        nftw(h->dir, remove_one, DEPTH_MAX, FTW_DEPTH | FTW_PHYS);
    *h = (struct helper){.pid = 0};
}
