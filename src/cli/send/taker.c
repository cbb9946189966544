#include "cli/send/taker.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/print/print.h"
#include "p2p/clock.h"
#include "p2p/discovery.h"
#include "p2p/guests.h"
#include "p2p/intake.h"
#include "p2p/io.h"
#include "p2p/sandbox.h"

enum { STATUS_MS = 500, MESSAGE_MAX = 16384, END_MS = 5000, END_STEP_MS = 20 };

/* ---- in the process ---- */

struct taking {
    const struct taker_options *opt;
    int fd;
    struct p2p_root *root;
    struct p2p_discovery *discovery;
    struct p2p_intake *intake;
    struct p2p_guests *guests;
};

/* From any thread: the kernel keeps messages apart. */
static void
send_message(int fd, cJSON *object)
{
    char *text = cJSON_PrintUnformatted(object);

    if (text != NULL)
        (void)!send(fd, text, strlen(text), MSG_NOSIGNAL);
    free(text);
    cJSON_Delete(object);
}

static cJSON *
new_message(const char *event)
{
    cJSON *object = cli_object();

    cli_put_text(object, "event", event);
    return object;
}

static void
on_event(void *arg, enum p2p_intake_event event, const char *name, uint64_t size)
{
    static const char *const names[] = {[P2P_INTAKE_GUEST] = "guest",
                                        [P2P_INTAKE_STORED] = "stored",
                                        [P2P_INTAKE_DONE] = "guest_done"};
    const struct taking *t = arg;
    cJSON *object = new_message(names[event]);

    if (event == P2P_INTAKE_STORED) {
        cli_put_text(object, "name", name);
        cli_put_number(object, "size", size);
    }
    send_message(t->fd, object);
}

static void
on_guest(void *arg, int fd, const struct p2p_id *link, const struct p2p_guest_id *guest)
{
    struct taking *t = arg;

    (void)link;
    p2p_intake_serve(t->intake, fd, guest);
}

static void
send_status(const struct taking *t)
{
    struct p2p_intake_status status;
    cJSON *object = new_message("status");

    p2p_intake_status(t->intake, &status);
    cli_put_number(object, "uses", status.uses);
    cli_put_number(object, "done", status.done);
    cli_put_number(object, "files", status.files);
    cli_put_number(object, "received", status.received);
    cli_put_number(object, "guests", status.guests);
    cli_put_number(object, "parts", status.parts);
    if (status.uses_left != P2P_INTAKE_NO_LIMIT)
        cli_put_number(object, "uses_left", status.uses_left);
    if (status.bytes_left != P2P_INTAKE_NO_LIMIT)
        cli_put_number(object, "bytes_left", status.bytes_left);
    if (status.name[0] != '\0') {
        cli_put_text(object, "name", status.name);
        cli_put_number(object, "size", status.size);
        cli_put_number(object, "got", status.got);
    }
    send_message(t->fd, object);
}

static enum p2p_err
confine(const char *folder)
{
    struct p2p_sandbox_rules rules;
    struct p2p_sandbox_state state;
    enum p2p_err err;

    if (!p2p_sandbox_is_possible())
        return P2P_OK;
    p2p_sandbox_rules_init(&rules);
    err = p2p_sandbox_allow_folder(&rules, folder, 0755, P2P_SANDBOX_WRITE);
    if (err == P2P_OK)
        err = p2p_sandbox_allow_system(&rules);
    if (err == P2P_OK)
        err = p2p_sandbox_enter(&rules, &state);
    p2p_sandbox_rules_clear(&rules);
    return err;
}

static enum p2p_err
begin(struct taking *t)
{
    const struct taker_options *opt = t->opt;
    const char *const urls[] = {opt->url};
    struct p2p_intake_options intake = {.title = opt->title,
                                        .name = opt->name,
                                        .expires_s = opt->expires_s,
                                        .uses = opt->uses,
                                        .bytes = opt->bytes,
                                        .keep_free = P2P_KEEP_FREE,
                                        .is_signed = true,
                                        .has_pin = opt->has_pin,
                                        .pin = opt->pin,
                                        .on_event = on_event,
                                        .arg = t};
    struct p2p_guests_options guests = {.peer = opt->peer,
                                        .key = opt->key,
                                        .keys = opt->keys,
                                        .on_guest = on_guest,
                                        .arg = t};
    enum p2p_err err = p2p_root_open(opt->folder, true, 0755, &t->root);

    if (err == P2P_OK)
        err = confine(opt->folder);
    if (err == P2P_OK)
        err = p2p_discovery_open(urls, 1, opt->timeout_ms, &t->discovery);
    intake.root = t->root;
    if (err == P2P_OK)
        err = p2p_intake_new(&intake, &t->intake);
    guests.discovery = t->discovery;
    return err == P2P_OK ? p2p_guests_start(&guests, &t->guests) : err;
}

/* Until the program that started it closes its end. */
static int
take(const struct taker_options *opt, int fd)
{
    struct taking t = {.opt = opt, .fd = fd};
    struct pollfd on = {.fd = fd, .events = POLLIN};
    enum p2p_err err = begin(&t);
    cJSON *first = new_message(err == P2P_OK ? "ready" : "failed");

    if (err != P2P_OK)
        cli_put_text(first, "error", p2p_err_text(err));
    send_message(fd, first);
    while (err == P2P_OK && poll(&on, 1, STATUS_MS) <= 0)
        send_status(&t);
    if (t.intake != NULL)
        p2p_intake_stop(t.intake);
    p2p_guests_stop(t.guests);
    p2p_intake_free(t.intake);
    p2p_discovery_close(t.discovery);
    p2p_root_close(t.root);
    return 0;
}

/* ---- outside ---- */

enum p2p_err
taker_start(struct taker *t, const struct taker_options *opt)
{
    int fds[2];

    *t = (struct taker){.fd = -1};
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
        return p2p_err_from_errno(errno);
    t->pid = fork();
    if (t->pid == 0) {
        /* Ctrl-C is for the other one, which ends this one. */
        signal(SIGINT, SIG_IGN);
        signal(SIGHUP, SIG_IGN);
        close(fds[0]);
        _exit(take(opt, fds[1]));
    }
    close(fds[1]);
    t->fd = fds[0];
    if (t->pid > 0)
        return P2P_OK;
    t->pid = 0;
    p2p_fd_close(&t->fd);
    return p2p_err_from_errno(errno);
}

cJSON *
taker_read(const struct taker *t)
{
    char *text = malloc(MESSAGE_MAX + 1);
    cJSON *object = NULL;
    ssize_t n = -1;

    if (text != NULL)
        while ((n = recv(t->fd, text, MESSAGE_MAX, 0)) < 0 && errno == EINTR)
            continue;
    if (n > 0) {
        text[n] = '\0';
        object = cJSON_Parse(text);
    }
    free(text);
    return object;
}

void
taker_stop(struct taker *t)
{
    p2p_fd_close(&t->fd);
    if (t->pid <= 0)
        return;
    for (int left_ms = END_MS; waitpid(t->pid, NULL, WNOHANG) == 0;
         left_ms -= END_STEP_MS) {
        if (left_ms <= 0) {
            kill(t->pid, SIGKILL);
            waitpid(t->pid, NULL, 0);
            break;
        }
        poll(NULL, 0, END_STEP_MS);
    }
    t->pid = 0;
}
