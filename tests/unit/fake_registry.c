#include "fake_registry.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "p2p/net.h"

enum { HEAD_MAX = 16384, DEADLINE_MS = 5000 };

/* Reads the head up to its empty line, byte by byte: this is simple, and fast enough.
 */
static bool
read_head(int fd, char head[HEAD_MAX])
{
    size_t len = 0;

    while (len < HEAD_MAX - 1) {
        if (p2p_net_read(fd, head + len, 1, p2p_now_ms() + DEADLINE_MS) != P2P_OK)
            return false;
        head[++len] = '\0';
        if (len >= 4 && strcmp(head + len - 4, "\r\n\r\n") == 0)
            return true;
    }
    return false;
}

static void
serve(struct fake_registry *fake, int fd)
{
    struct fake_request *r = &fake->requests[fake->count];
    char head[HEAD_MAX], target[HEAD_MAX], reply[512];
    const char *length;
    char *answer;
    size_t len;
    int status = 200;

    if (!read_head(fd, head) || sscanf(head, "%7s %16000s", r->method, target) != 2)
        return;
    length = strcasestr(head, "\r\nContent-Length:");
    len = length != NULL ? strtoul(length + 17, NULL, 10) : 0;
    r->target = strdup(target);
    r->body = calloc(1, len + 1);
    if (p2p_net_read(fd, r->body, len, p2p_now_ms() + DEADLINE_MS) != P2P_OK)
        return;
    if (fake->count + 1 < sizeof(fake->requests) / sizeof(fake->requests[0]))
        fake->count++;
    answer = fake->answer(fake, r, &status);
    if (answer == NULL)
        return;
    len = (size_t)snprintf(
        reply, sizeof(reply),
        "HTTP/1.1 %d X\r\nContent-Length: %zu\r\nConnection: close\r\n"
        "%s\r\n",
        status, strlen(answer), fake->extra_header != NULL ? fake->extra_header : "");
    if (p2p_net_write(fd, reply, len, p2p_now_ms() + DEADLINE_MS) == P2P_OK)
        (void)!p2p_net_write(fd, answer, strlen(answer), p2p_now_ms() + DEADLINE_MS);
    free(answer);
}

static void *
run(void *arg)
{
    struct fake_registry *fake = arg;

    for (;;) {
        int fd = accept4(fake->listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0)
            return NULL;
        serve(fake, fd);
        p2p_fd_close(&fd);
    }
}

void
fake_start(struct fake_registry *fake, fake_answer *answer, void *arg)
{
    uint16_t port;

    *fake = (struct fake_registry){.answer = answer, .arg = arg};
    if (p2p_net_listen("127.0.0.1", 0, false, 16, &fake->listener, &port) != P2P_OK)
        abort();
    /* accept blocks until the listener is shut down. */
    if (fcntl(fake->listener, F_SETFL, 0) != 0)
        abort();
    snprintf(fake->url, sizeof(fake->url), "http://127.0.0.1:%u", port);
    pthread_create(&fake->thread, NULL, run, fake);
}

void
fake_stop(struct fake_registry *fake)
{
    shutdown(fake->listener, SHUT_RDWR);
    pthread_join(fake->thread, NULL);
    p2p_fd_close(&fake->listener);
}

void
fake_clear(struct fake_registry *fake)
{
    for (size_t i = 0; i <= fake->count; i++) {
        free(fake->requests[i].target);
        free(fake->requests[i].body);
    }
    fake->count = 0;
    memset(fake->requests, 0, sizeof(fake->requests));
}
