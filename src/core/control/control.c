/*
 * The thread that answers at the control socket. It serves few clients of the same
 * user, one after the other, and never waits for one: a client that does not read its
 * answer is not asked for more.
 */
#include "p2p/control.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/control/control_internal.h"
#include "p2p/clock.h"
#include "p2p/io.h"
#include "p2p/log.h"

/* Until a full request has arrived, its memory grows with what was sent. */
enum { READ_SIZE = 4096, WHY_MAX = 512 };

struct client {
    int fd; /* -1: a free place */
    uint8_t *in;
    size_t in_len, in_cap;
    uint8_t *out;
    size_t out_len, out_at;
    uint64_t asked_ms;                /* when it asked last, or connected */
    int files[P2P_CONTROL_FILES_MAX]; /* that came with the present request */
    size_t file_count;
};

struct p2p_control {
    int listener, wake;
    const char *keys_dir;
    const struct p2p_control_verb *verbs;
    void *arg;
    pthread_t thread;
    atomic_bool ending;
    struct client clients[P2P_CONTROL_CLIENTS_MAX];
};

static void
close_files(struct client *client)
{
    for (size_t i = 0; i < client->file_count; i++)
        p2p_fd_close(&client->files[i]);
    client->file_count = 0;
}

static void
drop(struct client *client)
{
    close_files(client);
    p2p_fd_close(&client->fd);
    free(client->in);
    free(client->out);
    *client = (struct client){.fd = -1};
}

/* ---- Requests ---- */

static const struct p2p_control_verb *
find_verb(const struct p2p_control *control, const char *name)
{
    const struct p2p_control_verb *verb = control->verbs;

    while (verb->name != NULL && (name == NULL || strcmp(verb->name, name) != 0))
        verb++;
    return verb->name != NULL ? verb : NULL;
}

static cJSON *
make_refusal(enum p2p_err err, const char *why)
{
    cJSON *answer = cJSON_CreateObject();

    cJSON_AddBoolToObject(answer, "ok", false);
    cJSON_AddStringToObject(answer, "error", p2p_err_name(err));
    cJSON_AddStringToObject(answer, "message",
                            why[0] != '\0' ? why : p2p_err_text(err));
    return answer;
}

static cJSON *
answer_request(const struct p2p_control *control, const struct client *client,
               const cJSON *request)
{
    const struct p2p_control_verb *verb = find_verb(
        control,
        cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(request, "verb")));
    char why[WHY_MAX] = "";
    cJSON *answer = cJSON_CreateObject();
    enum p2p_err err = P2P_ERR_UNSUPPORTED;

    cJSON_AddBoolToObject(answer, "ok", true);
    if (request == NULL)
        err = P2P_ERR_MALFORMED;
    else if (verb == NULL)
        strcpy(why, "this p2p-peer does not know the request; its version is "
                    "\"" P2P_VERSION "\"");
    else if (verb->run_with_files != NULL)
        err = verb->run_with_files(control->arg, request, client->files,
                                   client->file_count, answer, why, sizeof(why));
    else
        err = verb->run(control->arg, request, answer, why, sizeof(why));
    if (err == P2P_OK)
        return answer;
    cJSON_Delete(answer);
    return make_refusal(err, why);
}

static bool
queue_answer(struct client *client, cJSON *answer)
{
    enum p2p_err err = p2p_control_pack(answer, P2P_CONTROL_ANSWER_MAX, &client->out,
                                        &client->out_len);

    cJSON_Delete(answer);
    if (err == P2P_ERR_TOO_LARGE) {
        answer = make_refusal(err, "");
        err = p2p_control_pack(answer, P2P_CONTROL_ANSWER_MAX, &client->out,
                               &client->out_len);
        cJSON_Delete(answer);
    }
    client->out_at = 0;
    return err == P2P_OK;
}

/* ---- Bytes; false: the client has to go ---- */

static bool
send_more(struct client *client)
{
    ssize_t n = send(client->fd, client->out + client->out_at,
                     client->out_len - client->out_at, MSG_NOSIGNAL | MSG_DONTWAIT);

    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    client->out_at += (size_t)n;
    if (client->out_at == client->out_len) {
        free(client->out);
        client->out = NULL;
        client->out_len = client->out_at = 0;
    }
    return true;
}

static bool
make_room(struct client *client)
{
    uint8_t *grown;

    if (client->in_cap - client->in_len >= READ_SIZE)
        return true;
    if ((grown = realloc(client->in, client->in_cap + READ_SIZE)) == NULL)
        return false;
    client->in = grown;
    client->in_cap += READ_SIZE;
    return true;
}

/* Answers the first request that has arrived completely; `*taken` is false if there is
 * none, or if the former answer is not sent yet. */
static bool
take_request(const struct p2p_control *control, struct client *client, bool *taken)
{
    cJSON *request;
    size_t len, used;
    bool queued;

    *taken = false;
    if (client->out != NULL || client->in_len < P2P_CONTROL_HEAD)
        return true;
    len = p2p_control_length(client->in);
    if (len == 0 || len > P2P_CONTROL_REQUEST_MAX)
        return false;
    used = P2P_CONTROL_HEAD + len;
    if (client->in_len < used)
        return true;
    request = p2p_control_unpack(client->in + P2P_CONTROL_HEAD, len);
    queued = queue_answer(client, answer_request(control, client, request));
    close_files(client);
    cJSON_Delete(request);
    memmove(client->in, client->in + used, client->in_len - used);
    client->in_len -= used;
    client->asked_ms = p2p_now_ms();
    *taken = true;
    return queued && send_more(client);
}

static bool
take_requests(const struct p2p_control *control, struct client *client)
{
    bool taken = true, good = true;

    while (good && taken)
        good = take_request(control, client, &taken);
    return good;
}

/* Keeps the descriptors of a message; false: more than a request may have. musl's
 * CMSG_NXTHDR mixes signs. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsign-conversion"
static bool
take_files(struct client *client, struct msghdr *message)
{
    bool fits = (message->msg_flags & MSG_CTRUNC) == 0;

    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c != NULL;
         c = CMSG_NXTHDR(message, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof(fd), sizeof(fd));
            if (client->file_count < P2P_CONTROL_FILES_MAX) {
                client->files[client->file_count++] = fd;
            } else {
                close(fd);
                fits = false;
            }
        }
    }
    return fits;
}
#pragma GCC diagnostic pop

static ssize_t
receive_bytes(struct client *client, bool *fits)
{
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(P2P_CONTROL_FILES_MAX * sizeof(int))];
    } files;
    struct iovec room = {client->in + client->in_len, client->in_cap - client->in_len};
    struct msghdr message = {.msg_iov = &room,
                             .msg_iovlen = 1,
                             .msg_control = files.bytes,
                             .msg_controllen = sizeof(files.bytes)};
    ssize_t n = recvmsg(client->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

    *fits = n < 0 || take_files(client, &message);
    return n;
}

static bool
receive(const struct p2p_control *control, struct client *client)
{
    ssize_t n;
    bool fits;

    if (!make_room(client))
        return false;
    n = receive_bytes(client, &fits);
    if (!fits)
        return false;
    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    if (n == 0)
        return false;
    client->in_len += (size_t)n;
    return take_requests(control, client);
}

static bool
serve(const struct p2p_control *control, struct client *client, short events)
{
    if (client->out != NULL)
        return (events & (POLLERR | POLLHUP)) == 0 && send_more(client) &&
               take_requests(control, client);
    return receive(control, client);
}

/* ---- Clients ---- */

/* A free place, or the one of the client that has asked nothing for longest. */
static struct client *
find_place(struct p2p_control *control)
{
    struct client *best = &control->clients[0];

    for (size_t i = 0; i < P2P_CONTROL_CLIENTS_MAX; i++) {
        struct client *client = &control->clients[i];
        if (client->fd < 0)
            return client;
        if (client->asked_ms < best->asked_ms)
            best = client;
    }
    drop(best);
    return best;
}

static void
take_client(struct p2p_control *control)
{
    int fd = accept4(control->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    struct client *client;

    if (fd < 0)
        return;
    if (!p2p_control_is_own(fd)) {
        p2p_log_warn("control socket: refused a process of another user");
        close(fd);
        return;
    }
    client = find_place(control);
    client->fd = fd;
    client->asked_ms = p2p_now_ms();
}

static void
drop_idle(struct p2p_control *control)
{
    uint64_t now = p2p_now_ms();

    for (size_t i = 0; i < P2P_CONTROL_CLIENTS_MAX; i++)
        if (control->clients[i].fd >= 0 &&
            now - control->clients[i].asked_ms >= P2P_CONTROL_IDLE_MS)
            drop(&control->clients[i]);
}

static bool
has_clients(const struct p2p_control *control)
{
    for (size_t i = 0; i < P2P_CONTROL_CLIENTS_MAX; i++)
        if (control->clients[i].fd >= 0)
            return true;
    return false;
}

static void
turn(struct p2p_control *control)
{
    struct pollfd on[P2P_CONTROL_CLIENTS_MAX + 2] = {
        {.fd = control->listener, .events = POLLIN},
        {.fd = control->wake, .events = POLLIN},
    };
    struct pollfd *of_clients = on + 2;

    for (size_t i = 0; i < P2P_CONTROL_CLIENTS_MAX; i++) {
        of_clients[i].fd = control->clients[i].fd;
        of_clients[i].events = control->clients[i].out != NULL ? POLLOUT : POLLIN;
    }
    if (poll(on, P2P_CONTROL_CLIENTS_MAX + 2,
             has_clients(control) ? P2P_CONTROL_IDLE_MS / 4 : -1) <= 0) {
        drop_idle(control);
        return;
    }
    for (size_t i = 0; i < P2P_CONTROL_CLIENTS_MAX; i++)
        if (of_clients[i].fd >= 0 && of_clients[i].revents != 0 &&
            !serve(control, &control->clients[i], of_clients[i].revents))
            drop(&control->clients[i]);
    drop_idle(control);
    if (on[0].revents != 0)
        take_client(control);
}

static void *
run(void *arg)
{
    struct p2p_control *control = arg;

    while (!control->ending)
        turn(control);
    return NULL;
}

enum p2p_err
p2p_control_start(int fd, const char *keys_dir, const struct p2p_control_verb *verbs,
                  void *arg, struct p2p_control **out)
{
    struct p2p_control *control = calloc(1, sizeof(*control));

    *out = NULL;
    if (control == NULL) {
        close(fd);
        return P2P_ERR_NOMEM;
    }
    control->listener = fd;
    control->keys_dir = keys_dir;
    control->verbs = verbs;
    control->arg = arg;
    for (size_t i = 0; i < P2P_CONTROL_CLIENTS_MAX; i++)
        control->clients[i].fd = -1;
    control->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (control->wake < 0 ||
        pthread_create(&control->thread, NULL, run, control) != 0) {
        p2p_fd_close(&control->wake);
        close(fd);
        free(control);
        return P2P_ERR_SYS;
    }
    *out = control;
    return P2P_OK;
}

void
p2p_control_stop(struct p2p_control *control)
{
    uint64_t one = 1;
    ssize_t n;
    int dir;

    if (control == NULL)
        return;
    control->ending = true;
    n = write(control->wake, &one, sizeof(one));
    (void)n;
    pthread_join(control->thread, NULL);
    for (size_t i = 0; i < P2P_CONTROL_CLIENTS_MAX; i++)
        drop(&control->clients[i]);
    dir = open(control->keys_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dir >= 0) {
        (void)unlinkat(dir, P2P_CONTROL_FILE, 0);
        close(dir);
    }
    p2p_fd_close(&control->listener);
    p2p_fd_close(&control->wake);
    free(control);
}
