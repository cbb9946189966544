/* One question over the control socket. */
#include <cjson/cJSON.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "core/control/control_internal.h"
#include "p2p/clock.h"

static enum p2p_err
wait_for(int fd, short events, uint64_t deadline_ms)
{
    struct pollfd on = {.fd = fd, .events = events};
    uint64_t now = p2p_now_ms();
    int n;

    if (now >= deadline_ms)
        return P2P_ERR_TIMEOUT;
    n = poll(&on, 1, deadline_ms - now > 60000 ? 60000 : (int)(deadline_ms - now));
    return n >= 0 || errno == EINTR ? P2P_OK : p2p_err_from_errno(errno);
}

/* Moves exactly `len` bytes. */
static enum p2p_err
move(int fd, uint8_t *bytes, size_t len, bool sends, uint64_t deadline_ms)
{
    size_t done = 0;

    while (done < len) {
        ssize_t n =
            sends ? send(fd, bytes + done, len - done, MSG_NOSIGNAL | MSG_DONTWAIT)
                  : recv(fd, bytes + done, len - done, MSG_DONTWAIT);
        if (n > 0) {
            done += (size_t)n;
            continue;
        }
        if (n == 0)
            return P2P_ERR_CLOSED;
        if (errno != EAGAIN && errno != EINTR)
            return p2p_err_from_errno(errno);
        enum p2p_err err = wait_for(fd, sends ? POLLOUT : POLLIN, deadline_ms);
        if (err != P2P_OK)
            return err;
    }
    return P2P_OK;
}

static enum p2p_err
receive(int fd, uint64_t deadline_ms, cJSON **answer)
{
    uint8_t head[P2P_CONTROL_HEAD], *bytes;
    enum p2p_err err = move(fd, head, sizeof(head), false, deadline_ms);
    size_t len;

    if (err != P2P_OK)
        return err;
    len = p2p_control_length(head);
    if (len == 0 || len > P2P_CONTROL_ANSWER_MAX)
        return P2P_ERR_MALFORMED;
    if ((bytes = malloc(len)) == NULL)
        return P2P_ERR_NOMEM;
    err = move(fd, bytes, len, false, deadline_ms);
    if (err == P2P_OK && (*answer = p2p_control_unpack(bytes, len)) == NULL)
        err = P2P_ERR_MALFORMED;
    free(bytes);
    return err;
}

/* The error that the answer tells. */
static enum p2p_err
judge(const cJSON *answer, char *why, size_t cap)
{
    const cJSON *ok = cJSON_GetObjectItemCaseSensitive(answer, "ok");
    const cJSON *message = cJSON_GetObjectItemCaseSensitive(answer, "message");

    if (cJSON_IsTrue(ok))
        return P2P_OK;
    if (!cJSON_IsFalse(ok))
        return P2P_ERR_MALFORMED;
    if (why != NULL && cJSON_IsString(message))
        snprintf(why, cap, "%s", message->valuestring);
    return p2p_control_error(
        cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(answer, "error")));
}

/* Sends the first byte, and the files with it. */
static enum p2p_err
send_files(int fd, uint8_t *first, const int *files, size_t count, uint64_t deadline_ms)
{
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(P2P_CONTROL_FILES_MAX * sizeof(int))];
    } control = {.bytes = {0}};
    struct iovec byte = {first, 1};
    struct msghdr message = {.msg_iov = &byte,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen =
                                 (socklen_t)CMSG_SPACE(count * sizeof(int))};
    struct cmsghdr *c = CMSG_FIRSTHDR(&message);
    enum p2p_err err = P2P_OK;

    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = (socklen_t)CMSG_LEN(count * sizeof(int));
    memcpy(CMSG_DATA(c), files, count * sizeof(int));
    while (err == P2P_OK) {
        if (sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) == 1)
            return P2P_OK;
        if (errno != EAGAIN && errno != EINTR)
            return p2p_err_from_errno(errno);
        err = wait_for(fd, POLLOUT, deadline_ms);
    }
    return err;
}

enum p2p_err
p2p_control_ask(int fd, const cJSON *request, uint64_t timeout_ms, cJSON **answer,
                char *why, size_t cap)
{
    return p2p_control_ask_with_files(fd, request, NULL, 0, timeout_ms, answer, why,
                                      cap);
}

enum p2p_err
p2p_control_ask_with_files(int fd, const cJSON *request, const int *files, size_t count,
                           uint64_t timeout_ms, cJSON **answer, char *why, size_t cap)
{
    size_t sent = count > 0 ? 1 : 0;
    uint64_t deadline_ms = p2p_now_ms() + timeout_ms;
    uint8_t *bytes;
    size_t len;
    enum p2p_err err = p2p_control_pack(request, P2P_CONTROL_REQUEST_MAX, &bytes, &len);

    *answer = NULL;
    if (why != NULL && cap > 0)
        why[0] = '\0';
    if (err == P2P_OK && count > P2P_CONTROL_FILES_MAX)
        err = P2P_ERR_TOO_LARGE;
    if (err == P2P_OK && count > 0)
        err = send_files(fd, bytes, files, count, deadline_ms);
    if (err == P2P_OK)
        err = move(fd, bytes + sent, len - sent, true, deadline_ms);
    free(bytes);
    if (err == P2P_OK)
        err = receive(fd, deadline_ms, answer);
    if (err == P2P_OK)
        err = judge(*answer, why, cap);
    if (why != NULL && cap > 0 && err != P2P_OK && why[0] == '\0')
        snprintf(why, cap, "%s", p2p_err_text(err));
    if (err != P2P_OK) {
        cJSON_Delete(*answer);
        *answer = NULL;
    }
    return err;
}
