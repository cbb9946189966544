/* The child process: how it enters the sandbox, and its requests to the parent. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "core/base/libc.h"
#include "core/guard/guardian_internal.h"
#include "p2p/bytes.h"
#include "p2p/control.h"
#include "p2p/crypto.h"
#include "p2p/io.h"
#include "p2p/lock.h"
#include "p2p/log.h"
#include "p2p/vault.h"

struct p2p_guardian_child p2p_guardian_child = {
    .orders = -1, .requests = -1, .state = -1};
static struct p2p_reload *settings;

P2P_MUTEX_KIND(guardian_asking_lock);
/* Only one request at a time, because answers have no number. */
static struct guardian_asking_lock asking = P2P_MUTEX_INITIALIZER;

/* ---- Into the sandbox ---- */

static bool
is_kept(const struct p2p_guardian_options *opt, int fd)
{
    if (fd == p2p_guardian_child.orders || fd == p2p_guardian_child.requests ||
        fd == p2p_guardian_child.state)
        return true;
    for (size_t i = 0; i < opt->descriptor_count; i++)
        if (opt->descriptors[i] == fd)
            return true;
    return false;
}

/* Closes all descriptors that the parent has open or was started with. */
static void
close_others(const struct p2p_guardian_options *opt)
{
    int last = STDERR_FILENO;

    for (int fd = last + 1; fd < 1024; fd++)
        if (is_kept(opt, fd))
            last = fd;
        else
            close(fd);
    closefrom(last + 1 > 1024 ? last + 1 : 1024);
}

/* The parent may have died before this call told the kernel to end the child with it. A
 * change of the user would clear the setting, so call this afterwards. */
static void
die_with(pid_t parent)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (getppid() != parent)
        _exit(1);
}

static void
log_sandbox(const struct p2p_sandbox_state *state)
{
    if (state->landlock_abi > 0 && state->seccomp)
        p2p_log_info("process confined sandbox=on landlock=%d seccomp=on uid=%u",
                     state->landlock_abi, (unsigned)geteuid());
    else
        p2p_log_warn("process partly confined, because this kernel or build supports "
                     "no more sandbox=partial landlock=%d seccomp=%s uid=%u",
                     state->landlock_abi, state->seccomp ? "on" : "off",
                     (unsigned)geteuid());
}

static bool
wants_sandbox(const struct p2p_guardian_options *opt)
{
    if (!opt->settings.sandbox)
        p2p_log_warn("process not confined sandbox=off reason=\"--no-sandbox\"");
    else if (!p2p_sandbox_is_possible())
        p2p_log_warn(
            "process not confined sandbox=off reason=\"this build has sanitizers\"");
    return opt->settings.sandbox && p2p_sandbox_is_possible();
}

/* The parent gets exactly the folders that the rules contain. */
static bool
report_watched(const struct p2p_sandbox_rules *rules)
{
    for (size_t i = 0; i < rules->watched_count; i++)
        if (!p2p_guardian_send(p2p_guardian_child.orders, P2P_GUARDIAN_WATCH,
                               rules->watched[i].path, rules->watched[i].fd))
            return false;
    return true;
}

static enum p2p_err
enter(const struct p2p_guardian_options *opt)
{
    struct p2p_sandbox_rules rules;
    struct p2p_sandbox_state state;
    enum p2p_err err;

    p2p_sandbox_rules_init(&rules);
    err = opt->allow(opt->arg, &rules); /* it has logged the reason */
    if (err == P2P_OK && !report_watched(&rules))
        err = P2P_ERR_CLOSED;
    if (err == P2P_OK && wants_sandbox(opt)) {
        if ((err = p2p_sandbox_allow_system(&rules)) == P2P_OK)
            err = p2p_sandbox_enter(&rules, &state);
        if (err == P2P_OK) {
            p2p_guardian_child.is_confined = state.seccomp;
            log_sandbox(&state);
        } else {
            p2p_log_error(
                "cannot start the sandbox: %s; --no-sandbox starts without it",
                p2p_err_text(err));
        }
    }
    if (err == P2P_OK &&
        !p2p_guardian_send(p2p_guardian_child.orders, P2P_GUARDIAN_SEALED, "", -1))
        err = P2P_ERR_CLOSED;
    p2p_sandbox_rules_clear(&rules);
    return err;
}

int
p2p_guardian_serve(const struct p2p_guardian_options *opt,
                   const struct p2p_guardian_user *user,
                   const struct p2p_guardian_child *child, pid_t parent)
{
    enum p2p_err err;

    p2p_guardian_child = *child;
    settings = opt->reload;
    close_others(opt);
    if ((err = p2p_guardian_become(user)) != P2P_OK) {
        p2p_log_error("cannot become user %s (uid %u): %s", user->name,
                      (unsigned)user->uid, p2p_err_text(err));
        return 1;
    }
    die_with(parent);
    if ((err = enter(opt)) != P2P_OK)
        return err == P2P_ERR_USAGE ? 2 : 1;
    return opt->serve(opt->arg);
}

/* ---- Orders ---- */

/* Live settings, then whatever the program looks at again. */
static void
reload(const char *live, void (*hang_up)(void))
{
    if (settings != NULL && !p2p_reload_take(settings, live))
        p2p_log_error(
            "settings: some new values could not be applied to the running process");
    hang_up();
}

/* Whether to go on. */
static bool
take_order(void (*hang_up)(void))
{
    struct p2p_guardian_message order;
    int fd;

    if (!p2p_guardian_take(p2p_guardian_child.orders, &order, &fd))
        _exit(1); /* without a parent, nothing would end this process */
    if (fd >= 0)
        close(fd);
    if (order.verb == P2P_GUARDIAN_RELOAD)
        reload(order.text, hang_up);
    return order.verb != P2P_GUARDIAN_STOP;
}

void
p2p_guardian_wait_child(void (*hang_up)(void))
{
    uint64_t alive_ms = p2p_guardian_child.alive_ms;
    struct pollfd on[2] = {{.fd = p2p_guardian_child.orders, .events = POLLIN},
                           {.fd = -1, .events = POLLIN}};
    sigset_t term;
    bool goes_on = true;

    sigemptyset(&term);
    sigaddset(&term, SIGTERM); /* a signal to this process only, or p2p_service_stop */
    on[1].fd = signalfd(-1, &term, SFD_CLOEXEC);
    while (goes_on) {
        if (alive_ms > 0)
            (void)p2p_guardian_send(p2p_guardian_child.orders, P2P_GUARDIAN_ALIVE, "",
                                    -1);
        int n = poll(on, 2, alive_ms > 0 ? (int)alive_ms : -1);
        if (n > 0 && on[0].revents != 0)
            goes_on = take_order(hang_up);
        if (n > 0 && on[1].revents != 0)
            goes_on = false;
    }
    p2p_fd_close(&on[1].fd);
}

int
p2p_guardian_state(void)
{
    return p2p_guardian_child.state;
}

void
p2p_guardian_replace(void)
{
    if (p2p_guardian_child.orders >= 0)
        (void)p2p_guardian_send(p2p_guardian_child.orders, P2P_GUARDIAN_REPLACE, "",
                                -1);
}

void
p2p_guardian_reload(void)
{
    if (p2p_guardian_child.orders >= 0)
        (void)p2p_guardian_send(p2p_guardian_child.orders, P2P_GUARDIAN_REREAD, "", -1);
}

/* ---- Requests ---- */

static enum p2p_err
ask(uint32_t verb, const char *text, struct p2p_guardian_message *answer, int *fd)
{
    bool answered;

    *fd = -1;
    answer->len = 0;
    p2p_lock(&asking);
    answered = p2p_guardian_send(p2p_guardian_child.requests, verb, text, -1) &&
               p2p_guardian_take(p2p_guardian_child.requests, answer, fd);
    p2p_unlock(&asking);
    if (!answered)
        return P2P_ERR_CLOSED;
    return answer->verb < P2P_ERR_COUNT ? (enum p2p_err)answer->verb : P2P_ERR_SYS;
}

enum p2p_err
p2p_guardian_open(const char *path, int *fd)
{
    struct p2p_guardian_message answer;
    enum p2p_err err;

    if (p2p_guardian_child.requests < 0) {
        *fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        return *fd >= 0 ? P2P_OK : p2p_err_from_errno(errno);
    }
    err = ask(P2P_GUARDIAN_OPEN, path, &answer, fd);
    return err == P2P_OK && *fd < 0 ? P2P_ERR_SYS : err;
}

enum p2p_err
p2p_guardian_ask_socket(const char *path, int *fd)
{
    struct p2p_guardian_message answer;
    enum p2p_err err = ask(P2P_GUARDIAN_SOCKET, path, &answer, fd);

    return err == P2P_OK && *fd < 0 ? P2P_ERR_SYS : err;
}

enum p2p_err
p2p_guardian_control(const char *keys_dir, int *fd)
{
    struct p2p_guardian_message answer;
    enum p2p_err err;

    if (p2p_guardian_child.requests < 0)
        return p2p_control_connect(keys_dir, fd);
    err = ask(P2P_GUARDIAN_CONTROL, "", &answer, fd);
    return err == P2P_OK && *fd < 0 ? P2P_ERR_SYS : err;
}

static void
put_address(const struct sockaddr *address, uint8_t out[P2P_GUARDIAN_ADDR_SIZE])
{
    size_t size = address->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6)
                                                 : sizeof(struct sockaddr_in);

    memset(out, 0, P2P_GUARDIAN_ADDR_SIZE);
    memcpy(out, address, size);
}

enum p2p_caller
p2p_guardian_caller(const struct sockaddr *ours, const struct sockaddr *theirs,
                    char *reason, size_t cap)
{
    struct p2p_guardian_message answer;
    uint8_t both[2][P2P_GUARDIAN_ADDR_SIZE];
    char text[2 * sizeof(both) + 1];
    enum p2p_err err = P2P_ERR_UNSUPPORTED;
    int fd = -1;

    answer.len = 0;
    if (p2p_guardian_child.requests >= 0) {
        put_address(ours, both[0]);
        put_address(theirs, both[1]);
        p2p_hex_format(both[0], sizeof(both), text);
        err = ask(P2P_GUARDIAN_CALLER, text, &answer, &fd);
        p2p_fd_close(&fd);
    }
    if (reason != NULL)
        snprintf(reason, cap, "%s", answer.len > 0 ? answer.text : p2p_err_text(err));
    return err == P2P_OK ? P2P_CALLER_SAME_USER : P2P_CALLER_UNPROVEN;
}

char *
p2p_guardian_passphrase(void *arg, const char *prompt)
{
    struct p2p_guardian_message answer;
    char *text = NULL;
    int fd = -1;

    (void)arg;
    if (p2p_guardian_child.requests < 0)
        return NULL;
    if (ask(P2P_GUARDIAN_PASSPHRASE, prompt, &answer, &fd) == P2P_OK && answer.len > 0)
        text = p2p_vault_new(strlen(answer.text) + 1);
    if (text != NULL)
        strcpy(text, answer.text);
    p2p_fd_close(&fd);
    p2p_wipe(&answer, sizeof(answer));
    return text;
}
