#include "cli/send/carrier.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/print/print.h"
#include "p2p/box.h"
#include "p2p/bytes.h"
#include "p2p/clock.h"
#include "p2p/control.h"
#include "p2p/io.h"

enum {
    ASK_MS = 30000,
    READY_MS = 60000,
    END_MS = 10000,
    ARGUMENTS_MAX = 24,
    VARIABLES_MAX = 512,
    DEPTH_MAX = 16
};

/* ---- asking ---- */

static cJSON *
request_for(const struct carrier *c, const char *verb)
{
    cJSON *request = cli_object();

    cli_put_text(request, "verb", verb);
    cli_put_text(request, "offer", c->offer);
    return request;
}

/* Takes the request. `*answer` may be NULL if it does not matter. */
static enum p2p_err
ask(struct carrier *c, cJSON *request, const int *files, size_t count, cJSON **answer)
{
    cJSON *got = NULL;
    enum p2p_err err = p2p_control_ask_with_files(c->control, request, files, count,
                                                  ASK_MS, &got, NULL, 0);

    cJSON_Delete(request);
    if (answer != NULL)
        *answer = got;
    else
        cJSON_Delete(got);
    return err;
}

static enum p2p_err
begin_offer(struct carrier *c)
{
    uint8_t number[4];
    cJSON *answer = NULL;
    enum p2p_err err = p2p_random(number, sizeof(number));

    if (err != P2P_OK)
        return err;
    p2p_hex_format(number, sizeof(number), c->offer);
    err = ask(c, request_for(c, "offer.begin"), NULL, 0, &answer);
    const char *id =
        cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(answer, "peer_id"));
    const cJSON *port = cJSON_GetObjectItemCaseSensitive(answer, "port");
    if (err == P2P_OK &&
        (id == NULL || strlen(id) != P2P_ID_HEX_LEN || !cJSON_IsNumber(port) ||
         port->valuedouble < 1 || port->valuedouble > UINT16_MAX))
        err = P2P_ERR_PROTOCOL;
    if (err == P2P_OK) {
        memcpy(c->peer_id, id, sizeof(c->peer_id));
        c->port = (uint16_t)port->valuedouble;
    }
    cJSON_Delete(answer);
    return err;
}

/* ---- the running peer ---- */

/* It serves if the registry of the code knows it, so that others find a way to it. */
static bool
use_running(struct carrier *c, const struct carrier_options *opt)
{
    struct p2p_id id;

    if (p2p_control_connect(opt->keys_dir, &c->control) != P2P_OK)
        return false;
    if (begin_offer(c) == P2P_OK &&
        p2p_hex_parse(c->peer_id, id.b, sizeof(id.b)) == P2P_OK &&
        p2p_discovery_lists(opt->discovery, 0, &id))
        return true;
    p2p_fd_close(&c->control);
    return false;
}

/* ---- one of our own ---- */

/* p2p-peer beside this program, else wherever the shell finds it. */
static void
find_program(char out[PATH_MAX])
{
    ssize_t n = readlink("/proc/self/exe", out, PATH_MAX - 16);
    char *slash;

    if (n > 0) {
        out[n] = '\0';
        if ((slash = strrchr(out, '/')) != NULL) {
            strcpy(slash + 1, "p2p-peer");
            if (access(out, X_OK) == 0)
                return;
        }
    }
    strcpy(out, "p2p-peer");
}

static enum p2p_err
make_folder(struct carrier *c)
{
    const char *base = getenv("XDG_RUNTIME_DIR");

    for (int i = 0; i < 2; i++) {
        int n = snprintf(c->dir, sizeof(c->dir), "%s/p2p-send-XXXXXX",
                         i == 0 && base != NULL ? base : "/tmp");
        if (n > 0 && (size_t)n < sizeof(c->dir) && mkdtemp(c->dir) != NULL)
            return P2P_OK;
    }
    c->dir[0] = '\0';
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

static size_t
make_arguments(const struct carrier_options *opt, const char *dir, char *program,
               char *paths[2], char *argv[ARGUMENTS_MAX])
{
    size_t n = 0;

    if (asprintf(&paths[0], "%s/keys", dir) < 0)
        paths[0] = NULL;
    if (asprintf(&paths[1], "%s/empty", dir) < 0)
        paths[1] = NULL;
    argv[n++] = program;
    argv[n++] = (char *)"--keys-dir";
    argv[n++] = paths[0];
    argv[n++] = (char *)"--shared-dir";
    argv[n++] = paths[1];
    argv[n++] = (char *)"--discovery";
    argv[n++] = (char *)(uintptr_t)opt->url;
    argv[n++] = (char *)"--port";
    argv[n++] = (char *)"0";
    argv[n++] = (char *)"--no-mdns";
    argv[n++] = (char *)"--no-protocol-1";
    argv[n++] = (char *)"--log-level";
    argv[n++] = (char *)"error";
    if (opt->name != NULL) {
        argv[n++] = (char *)"--name";
        argv[n++] = (char *)(uintptr_t)opt->name;
    }
    if (opt->device_kind != NULL) {
        argv[n++] = (char *)"--device-kind";
        argv[n++] = (char *)(uintptr_t)opt->device_kind;
    }
    argv[n] = NULL;
    return n;
}

/* In the child. It ends when this program does, however that happens. */
static void
become_peer(char *program, char **argv, char **environment, int out, pid_t parent)
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

static enum p2p_err
start(struct carrier *c, const struct carrier_options *opt, int *ready)
{
    char program[PATH_MAX], *argv[ARGUMENTS_MAX], *paths[2] = {NULL, NULL};
    char **environment = make_environment(c->dir);
    enum p2p_err err = P2P_ERR_NOMEM;
    pid_t self = getpid();
    int pair[2] = {-1, -1};

    find_program(program);
    make_arguments(opt, c->dir, program, paths, argv);
    if (environment != NULL && paths[0] != NULL && paths[1] != NULL)
        err = pipe2(pair, O_CLOEXEC) == 0 ? P2P_OK : p2p_err_from_errno(errno);
    fflush(NULL);
    if (err == P2P_OK && (c->pid = fork()) == 0)
        become_peer(program, argv, environment, pair[1], self);
    if (err == P2P_OK && c->pid < 0) {
        c->pid = 0;
        err = p2p_err_from_errno(errno);
    }
    p2p_fd_close(&pair[1]);
    *ready = pair[0];
    free(paths[0]);
    free(paths[1]);
    for (char **at = environment; environment != NULL && *at != NULL; at++)
        if (at[1] == NULL)
            free(*at); /* the last one is ours */
    free(environment);
    return err;
}

/* Waits for its ready line. Takes the descriptor. */
static enum p2p_err
wait_until_ready(int fd)
{
    uint64_t end_ms = p2p_now_ms() + READY_MS, now_ms;
    char line[512];
    size_t len = 0;
    enum p2p_err err = P2P_ERR_TIMEOUT;

    while (err == P2P_ERR_TIMEOUT && (now_ms = p2p_now_ms()) < end_ms) {
        struct pollfd on = {.fd = fd, .events = POLLIN};
        if (poll(&on, 1, (int)(end_ms - now_ms)) <= 0)
            continue;
        ssize_t n = read(fd, line + len, sizeof(line) - 1 - len);
        if (n <= 0 || (len += (size_t)n) == sizeof(line) - 1)
            err = P2P_ERR_CLOSED;
        else if (memchr(line, '\n', len) != NULL)
            err = P2P_OK;
    }
    close(fd);
    return err;
}

static enum p2p_err
start_own(struct carrier *c, const struct carrier_options *opt)
{
    char keys[sizeof(c->dir) + 8];
    int ready = -1;
    enum p2p_err err = make_folder(c);

    if (err == P2P_OK)
        err = start(c, opt, &ready);
    if (err == P2P_OK)
        err = wait_until_ready(ready);
    snprintf(keys, sizeof(keys), "%s/keys", c->dir);
    if (err == P2P_OK)
        err = p2p_control_connect(keys, &c->control);
    if (err == P2P_OK)
        err = begin_offer(c);
    if (err != P2P_OK)
        cli_say("cannot start p2p-peer, which serves the files: %s", p2p_err_text(err));
    return err;
}

enum p2p_err
carrier_open(struct carrier *c, const struct carrier_options *opt)
{
    *c = (struct carrier){.control = -1};
    if (!opt->own && use_running(c, opt))
        return P2P_OK;
    return start_own(c, opt);
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st, (void)type, (void)at;
    remove(path);
    return 0;
}

static void
end_own(struct carrier *c)
{
    uint64_t end_ms = p2p_now_ms() + END_MS;
    int status;

    if (c->pid > 0) {
        kill(c->pid, SIGTERM);
        while (waitpid(c->pid, &status, WNOHANG) == 0 && p2p_now_ms() < end_ms)
            poll(NULL, 0, 20);
    }
    if (c->dir[0] != '\0')
        nftw(c->dir, remove_one, DEPTH_MAX, FTW_DEPTH | FTW_PHYS);
}

void
carrier_close(struct carrier *c)
{
    if (c->control >= 0)
        (void)!ask(c, request_for(c, "offer.end"), NULL, 0, NULL);
    p2p_fd_close(&c->control);
    end_own(c);
}

/* ---- files ---- */

/* A file in memory with the hashes. */
static enum p2p_err
put_layer(const struct carrier_file *file, int *fd)
{
    size_t len = (size_t)file->geometry.count * sizeof(*file->layer);

    *fd = memfd_create("p2p layer", MFD_CLOEXEC);
    if (*fd < 0)
        return p2p_err_from_errno(errno);
    for (size_t done = 0; done < len;) {
        ssize_t n = write(*fd, (const char *)file->layer + done, len - done);
        if (n < 0 && errno != EINTR)
            return p2p_err_from_errno(errno);
        done += n > 0 ? (size_t)n : 0;
    }
    return P2P_OK;
}

enum p2p_err
carrier_add(struct carrier *c, const struct carrier_file *file)
{
    cJSON *request = request_for(c, "offer.file");
    bool is_folder = file->name[strlen(file->name) - 1] == '/';
    char mtime[P2P_U64_TEXT_MAX];
    int files[2] = {file->fd, -1};
    enum p2p_err err = P2P_OK;

    cli_put_text(request, "name", file->name);
    if (!is_folder) {
        p2p_u64_format(file->mtime_ns, mtime);
        cli_put_text(request, "mtime_ns", mtime);
        cli_put_number(request, "chunk_size", file->geometry.chunk_size);
        cli_put_hex(request, "root", file->root.b, true);
        cli_put_hex(request, "sha256", file->sha256.b, true);
        err = put_layer(file, &files[1]);
    }
    if (err == P2P_OK)
        err = ask(c, request, files, is_folder ? 0 : 2, NULL);
    else
        cJSON_Delete(request);
    p2p_fd_close(&files[1]);
    return err;
}

enum p2p_err
carrier_allow(struct carrier *c, const char *peer_id)
{
    cJSON *request = request_for(c, "offer.open");

    cli_put_text(request, "peer", peer_id);
    return ask(c, request, NULL, 0, NULL);
}

cJSON *
carrier_status(struct carrier *c)
{
    cJSON *answer = NULL;

    (void)!ask(c, request_for(c, "offer.status"), NULL, 0, &answer);
    return answer;
}
