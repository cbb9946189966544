#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "load.h"

int
dial(unsigned port)
{
    struct sockaddr_in sa = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), yes = 1;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
    if (fd < 0 || connect(fd, (struct sockaddr *)&sa, sizeof(sa)) != 0)
        die("cannot connect");
    return fd;
}

void
send_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

        if (n <= 0)
            die("connection lost");
        data += n;
        len -= (size_t)n;
    }
}

void
ask(int fd, const char *path)
{
    char request[1024];
    int n = snprintf(request, sizeof(request),
                     "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path);

    send_all(fd, request, (size_t)n);
}

int
receive(int fd, char *buffer)
{
    size_t have = 0, want = SIZE_MAX;
    char *end = NULL;

    while (have < want) {
        ssize_t n = recv(fd, buffer + have, ANSWER_MAX - have - 1, 0);

        if (n <= 0)
            die("connection lost");
        have += (size_t)n;
        buffer[have] = '\0';
        if (end == NULL && (end = strstr(buffer, "\r\n\r\n")) != NULL) {
            const char *length = strstr(buffer, "Content-Length: ");

            want = (size_t)(end + 4 - buffer) +
                   (length != NULL ? strtoul(length + 16, NULL, 10) : 0);
        }
    }
    return atoi(buffer + 9);
}
