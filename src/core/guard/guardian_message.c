/* One message between parent and child. */
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/guard/guardian_internal.h"
#include "p2p/crypto.h"

enum { HEAD_SIZE = offsetof(struct p2p_guardian_message, text) };

union descriptor {
    struct cmsghdr head;
    char space[CMSG_SPACE(sizeof(int))];
};

bool
p2p_guardian_send(int sock, uint32_t verb, const char *text, int fd)
{
    struct p2p_guardian_message message = {.verb = verb};
    union descriptor control = {0};
    struct iovec iov = {.iov_base = &message};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    size_t len = strlen(text);
    ssize_t n;

    if (len > P2P_GUARDIAN_TEXT_MAX)
        return false;
    message.len = (uint32_t)len;
    memcpy(message.text, text, len);
    iov.iov_len = HEAD_SIZE + len;
    if (fd >= 0) {
        msg.msg_control = control.space;
        msg.msg_controllen = sizeof(control.space);
        control.head.cmsg_level = SOL_SOCKET;
        control.head.cmsg_type = SCM_RIGHTS;
        control.head.cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(&control.head), &fd, sizeof(fd));
    }
    /* A side that does not read must not block the other one. */
    do
        n = sendmsg(sock, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    p2p_wipe(&message, sizeof(message)); /* it may have been a passphrase */
    return n >= 0;
}

/* The first received descriptor; the kernel has closed the ones that did not fit. */
static int
take_descriptor(struct msghdr *msg)
{
    struct cmsghdr *head = CMSG_FIRSTHDR(msg);
    int fd = -1;

    if (head != NULL && head->cmsg_level == SOL_SOCKET &&
        head->cmsg_type == SCM_RIGHTS && head->cmsg_len == CMSG_LEN(sizeof(int)))
        memcpy(&fd, CMSG_DATA(head), sizeof(fd));
    return fd;
}

bool
p2p_guardian_take(int sock, struct p2p_guardian_message *message, int *fd)
{
    union descriptor control = {0};
    struct iovec iov = {.iov_base = message, .iov_len = sizeof(*message) - 1};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control.space,
                         .msg_controllen = sizeof(control.space)};
    ssize_t n;

    memset(message, 0, sizeof(*message));
    do
        n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    *fd = n > 0 ? take_descriptor(&msg) : -1;
    if (n >= HEAD_SIZE && !(msg.msg_flags & MSG_TRUNC) &&
        message->len == (size_t)n - HEAD_SIZE && strlen(message->text) == message->len)
        return true;
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
    return false;
}
