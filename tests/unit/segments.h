/* segments - whether this machine cuts what is sent with UDP_SEGMENT as the kernel
 * does. QEMU passes its size on as it is, so of a machine with the other byte order the
 * kernel reads another size, and several datagrams arrive as one. */
#ifndef TESTS_UNIT_SEGMENTS_H
#define TESTS_UNIT_SEGMENTS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

/* Sends two datagrams to this socket itself. A kernel that refuses the option is fine.
 */
static inline bool
segments_pass(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    uint8_t bytes[200] = {0};
    uint16_t size = sizeof(bytes) / 2;
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(uint16_t))];
    } control = {.room = {0}};
    struct iovec all = {bytes, sizeof(bytes)};
    struct msghdr message = {.msg_name = &at,
                             .msg_namelen = sizeof(at),
                             .msg_iov = &all,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof(control)};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    bool pass = true;

    head->cmsg_level = IPPROTO_UDP;
    head->cmsg_type = UDP_SEGMENT;
    head->cmsg_len = CMSG_LEN(sizeof(size));
    memcpy(CMSG_DATA(head), &size, sizeof(size));
    if (fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0 &&
        getsockname(fd, (struct sockaddr *)&at, &len) == 0 &&
        sendmsg(fd, &message, 0) == sizeof(bytes))
        pass = recv(fd, bytes, sizeof(bytes), 0) == size;
    if (fd >= 0)
        close(fd);
    return pass;
}

#endif
