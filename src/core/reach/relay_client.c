/* The client's side of p2p-relay. */
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "core/reach/relay_client.h"
#include "p2p/net.h"
#include "p2p/relay.h"

enum { CONNECT_MS = 10000, PARTNER_MS = 25000, ANSWER_MAX = 16 };

/* The relay's answer, without its newline. Not a byte beyond it is read: that is from
 * the other side. */
static enum p2p_err
read_answer(int fd, const struct p2p_stop *stop, char out[ANSWER_MAX + 1])
{
    uint64_t end = p2p_now_ms() + PARTNER_MS, now;
    struct pollfd fds[] = {{.fd = fd, .events = POLLIN},
                           {.fd = p2p_stop_fd(stop), .events = POLLIN}};
    size_t len = 0, got;

    while (len < ANSWER_MAX && (now = p2p_now_ms()) < end) {
        enum p2p_err err;

        (void)!poll(fds, 2, (int)(end - now));
        if (p2p_stop_is_set(stop))
            return P2P_ERR_CANCELLED;
        err = p2p_net_try_read(fd, out + len, 1, &got);
        if (err == P2P_ERR_BUSY)
            continue;
        if (err != P2P_OK)
            return err;
        if (out[len] == '\n') {
            out[len] = '\0';
            return P2P_OK;
        }
        len++;
    }
    return len == ANSWER_MAX ? P2P_ERR_PROTOCOL : P2P_ERR_TIMEOUT;
}

static enum p2p_err
meaning_of(const char *answer)
{
    static const struct {
        const char *answer;
        enum p2p_err err;
    } known[] = {
        {"+", P2P_OK},
        {"-busy", P2P_ERR_BUSY},
        {"-quota", P2P_ERR_RATE_LIMITED},
        {"-expired", P2P_ERR_TIMEOUT},
        {"-used", P2P_ERR_CLOSED},
        {"-alone", P2P_ERR_TIMEOUT},
    };

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (strcmp(answer, known[i].answer) == 0)
            return known[i].err;
    return P2P_ERR_PROTOCOL;
}

enum p2p_err
p2p_relay_connect(const struct p2p_addr *relay, const char *token,
                  const struct p2p_stop *stop, int *fd)
{
    char line[P2P_RELAY_LINE_MAX + 1], answer[ANSWER_MAX + 1];
    int len = snprintf(line, sizeof(line), "%s%s\n", P2P_RELAY_HELLO, token);
    enum p2p_err err = P2P_ERR_TOO_LARGE;

    *fd = -1;
    if (len > 0 && (size_t)len < sizeof(line))
        err = p2p_net_connect_or_stop(relay, p2p_now_ms() + CONNECT_MS,
                                      p2p_stop_fd(stop), fd);
    if (err == P2P_OK)
        err = p2p_net_write(*fd, line, (size_t)len, p2p_now_ms() + CONNECT_MS);
    if (err == P2P_OK)
        err = read_answer(*fd, stop, answer);
    if (err == P2P_OK)
        err = meaning_of(answer);
    if (err != P2P_OK)
        p2p_fd_close(fd);
    return err;
}
