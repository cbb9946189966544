/*
 * What the parent does for its child, which it does not trust. It opens a file only if
 * its path is one of those given at start, it sends the passphrase only once, and it
 * accepts folders only before the sandbox is closed.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/guard/guardian_parent.h"
#include "p2p/bytes.h"
#include "p2p/clock.h"
#include "p2p/control.h"
#include "p2p/crypto.h"
#include "p2p/io.h"
#include "p2p/log.h"
#include "p2p/vault.h"

/* ---- Orders ---- */

/* Takes `fd`. */
static void
watch(struct guardian *g, const char *path, int fd)
{
    char *copy = NULL;

    if (!g->is_sealed && fd >= 0 && g->watched_count < P2P_SANDBOX_WATCHED_MAX)
        copy = strdup(path);
    if (copy == NULL) {
        p2p_fd_close(&fd);
        return;
    }
    g->watched[g->watched_count].path = copy;
    g->watched[g->watched_count].seen = 0;
    g->watched[g->watched_count++].fd = fd;
}

/* Only for the first child: the program that started us waits for one line. */
static void
on_ready(struct guardian *g, const char *line)
{
    char safe[512];

    g->is_up = true;
    if (g->opt->reload != NULL)
        p2p_reload_accept(g->opt->reload);
    if (g->is_ready) {
        p2p_log_info("serving again");
        return;
    }
    g->is_ready = true;
    p2p_service_say_ready(p2p_log_escape(line, strlen(line), safe, sizeof(safe)));
}

bool
guardian_on_order(struct guardian *g)
{
    struct p2p_guardian_message order;
    int fd;

    if (!p2p_guardian_take(g->orders, &order, &fd)) {
        p2p_fd_close(&g->orders); /* it is about to end, or it sends invalid messages */
        return false;
    }
    if (order.verb == P2P_GUARDIAN_WATCH) {
        watch(g, order.text, fd);
        return false;
    }
    p2p_fd_close(&fd);
    switch (order.verb) {
    case P2P_GUARDIAN_SEALED:
        g->is_sealed = true;
        break;
    case P2P_GUARDIAN_READY:
        on_ready(g, order.text);
        break;
    case P2P_GUARDIAN_ALIVE:
        p2p_service_notify("WATCHDOG=1");
        break;
    case P2P_GUARDIAN_REPLACE:
        return true;
    case P2P_GUARDIAN_REREAD:
        g->wants_reload = true;
        break;
    default:
        break;
    }
    return false;
}

/* ---- Requests ---- */

static enum p2p_err
open_file(const struct guardian *g, const char *path, int *fd)
{
    for (const char *const *file = g->opt->files; *file != NULL; file++) {
        if (strcmp(*file, path) != 0)
            continue;
        *fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        return *fd >= 0 ? P2P_OK : p2p_err_from_errno(errno);
    }
    return P2P_ERR_NOT_ALLOWED;
}

static const char *
passphrase(struct guardian *g, const char *prompt)
{
    char safe[512];

    if (g->has_passphrase || g->opt->passphrase == NULL)
        return NULL;
    g->has_passphrase = true;
    if (g->passphrase == NULL) {
        p2p_log_escape(prompt, strlen(prompt), safe, sizeof(safe));
        g->passphrase = g->opt->passphrase(NULL, safe);
    }
    return g->passphrase;
}

static bool
take_address(const uint8_t bytes[P2P_GUARDIAN_ADDR_SIZE], struct sockaddr_storage *out)
{
    memset(out, 0, sizeof(*out));
    memcpy(out, bytes, P2P_GUARDIAN_ADDR_SIZE);
    return out->ss_family == AF_INET || out->ss_family == AF_INET6;
}

/* Acts with the rights of the serving user: root may do more, and the other side would
 * see root. */
static bool
begin_as_user(const struct guardian *g)
{
    return !g->user.changes || seteuid(g->user.uid) == 0;
}

static void
end_as_user(const struct guardian *g)
{
    if (g->user.changes && seteuid(0) != 0)
        abort();
}

static enum p2p_err
connect_avahi(struct guardian *g, const char *wanted, int *fd)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    char path[P2P_GUARDIAN_SOCKET_MAX];
    enum p2p_err err = P2P_OK;

    if (!g->opt->avahi || p2p_guardian_socket(wanted, path) == NULL)
        return P2P_ERR_NOT_ALLOWED;
    strcpy(to.sun_path, path);
    *fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (*fd < 0)
        return p2p_err_from_errno(errno);
    if (!begin_as_user(g) || connect(*fd, (struct sockaddr *)&to, sizeof(to)) != 0)
        err = p2p_err_from_errno(errno);
    end_as_user(g);
    /* Avahi's own socket resolves names and does nothing else. */
    if (err == P2P_OK && !p2p_guardian_is_avahi(path))
        err = guardian_relay(g, fd);
    if (err != P2P_OK)
        p2p_fd_close(fd);
    return err;
}

/* The peer sees the user who serves, as it checks. */
static enum p2p_err
connect_control(const struct guardian *g, int *fd)
{
    enum p2p_err err = P2P_ERR_NOT_ALLOWED;

    if (g->opt->control_dir == NULL)
        return err;
    if (begin_as_user(g))
        err = p2p_control_connect(g->opt->control_dir, fd);
    end_as_user(g);
    return err;
}

static enum p2p_err
check_caller(const struct guardian *g, const char *text,
             char reason[P2P_CALLER_REASON_MAX])
{
    uint8_t both[2][P2P_GUARDIAN_ADDR_SIZE];
    struct sockaddr_storage ours, theirs;
    enum p2p_caller caller = P2P_CALLER_UNPROVEN;

    if (g->opt->caller == NULL ||
        p2p_hex_parse(text, both[0], sizeof(both)) != P2P_OK ||
        !take_address(both[0], &ours) || !take_address(both[1], &theirs))
        return P2P_ERR_NOT_ALLOWED;
    if (begin_as_user(g))
        caller = g->opt->caller((const struct sockaddr *)&ours,
                                (const struct sockaddr *)&theirs, reason,
                                P2P_CALLER_REASON_MAX);
    end_as_user(g);
    return caller == P2P_CALLER_SAME_USER ? P2P_OK : P2P_ERR_NOT_ALLOWED;
}

void
guardian_on_request(struct guardian *g)
{
    struct p2p_guardian_message request;
    enum p2p_err err = P2P_ERR_NOT_ALLOWED;
    char reason[P2P_CALLER_REASON_MAX] = "";
    const char *text = NULL;
    int fd = -1;

    if (!p2p_guardian_take(g->requests, &request, &fd)) {
        p2p_fd_close(&g->requests);
        return;
    }
    p2p_fd_close(&fd);
    if (request.verb == P2P_GUARDIAN_OPEN) {
        err = open_file(g, request.text, &fd);
    } else if (request.verb == P2P_GUARDIAN_PASSPHRASE) {
        text = passphrase(g, request.text);
        err = text != NULL ? P2P_OK : P2P_ERR_PASSPHRASE;
    } else if (request.verb == P2P_GUARDIAN_SOCKET) {
        err = connect_avahi(g, request.text, &fd);
    } else if (request.verb == P2P_GUARDIAN_CONTROL) {
        err = connect_control(g, &fd);
    } else if (request.verb == P2P_GUARDIAN_CALLER) {
        err = check_caller(g, request.text, reason);
        text = reason;
    }
    (void)p2p_guardian_send(g->requests, err, text != NULL ? text : "", fd);
    p2p_fd_close(&fd);
}

/* ---- Watched folders ---- */

/* True if something else has the name now. A missing file is no reason: it may come
 * back. */
static bool
is_another(const char *path, int fd)
{
    struct stat now, then;

    return stat(path, &now) == 0 && S_ISDIR(now.st_mode) && fstat(fd, &then) == 0 &&
           !p2p_stat_is_same_file(&now, &then);
}

bool
guardian_look(struct guardian *g)
{
    bool any = false;

    for (size_t i = 0; i < g->watched_count; i++) {
        if (is_another(g->watched[i].path, g->watched[i].fd))
            g->watched[i].seen++;
        else
            g->watched[i].seen = 0;
        any = any || g->watched[i].seen >= 2;
    }
    return any;
}

void
guardian_forget_watched(struct guardian *g)
{
    for (size_t i = 0; i < g->watched_count; i++) {
        free(g->watched[i].path);
        p2p_fd_close(&g->watched[i].fd);
    }
    g->watched_count = 0;
}

void
guardian_forget_secrets(struct guardian *g)
{
    if (g->passphrase != NULL) {
        p2p_vault_free(g->passphrase);
        g->passphrase = NULL;
    }
}
