/* The kernel's notices about changes of this machine's addresses. */
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include "p2p/net.h"

int
p2p_net_watch_open(void)
{
    struct sockaddr_nl all = {
        .nl_family = AF_NETLINK,
        .nl_groups = RTMGRP_IPV4_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_IFADDR |
                     RTMGRP_IPV6_ROUTE,
    };
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);

    if (fd >= 0 && bind(fd, (const struct sockaddr *)&all, sizeof(all)) != 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

/* Reads and discards the notices: the caller looks at the addresses itself. An error
 * means that notices were lost, which counts as a change. */
void
p2p_net_watch_drain(int fd)
{
    char message[8192];

    while (recv(fd, message, sizeof(message), MSG_DONTWAIT) > 0)
        ;
}
