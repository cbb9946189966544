/*
 * One end of a channel over UDP, for tests with other programs at the other end:
 *   channel_end calls|answers BYTES
 * Says on stdout what the other side has to know, a line for each thing and then "end",
 * and reads the same of the other side from stdin. Opens the channel, sends BYTES
 * bytes, reads as many, and prints one line of `key=value`. Byte i of both streams is i
 * modulo 251. "calls": this side has made the offer, and the other one opens the data
 * channel.
 */
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/reach/channel_port.h"
#include "p2p/bytes.h"
#include "p2p/clock.h"
#include "p2p/crypto.h"
#include "p2p/reach.h"

enum { OPEN_MS = 60000, SILENCE_MS = 60000, PERIOD = 251, PIECE = PERIOD * 256 };

static uint8_t pattern[PERIOD + PIECE];

static void
die(const char *what)
{
    printf("failed=%s\n", what);
    exit(1);
}

static void
tell(const struct p2p_channel_port *port)
{
    struct p2p_call_channel own;
    char hex[2 * sizeof(own.fingerprint.b) + 1];

    p2p_channel_port_tell(port, &own);
    p2p_hex_format(own.fingerprint.b, sizeof(own.fingerprint.b), hex);
    printf("ufrag %s\npwd %s\nfingerprint %s\n", own.ufrag, own.pwd, hex);
    for (size_t i = 0; i < own.candidate_count; i++)
        printf("candidate %s\n", own.candidates[i]);
    printf("end\n");
    fflush(stdout);
}

static void
take(struct p2p_call_channel *peer, const char *key, const char *value)
{
    if (strcmp(key, "ufrag") == 0)
        snprintf(peer->ufrag, sizeof(peer->ufrag), "%s", value);
    else if (strcmp(key, "pwd") == 0)
        snprintf(peer->pwd, sizeof(peer->pwd), "%s", value);
    else if (strcmp(key, "fingerprint") == 0 &&
             p2p_hex_parse(value, peer->fingerprint.b, sizeof(peer->fingerprint.b)) !=
                 P2P_OK)
        die("fingerprint");
    else if (strcmp(key, "candidate") == 0 &&
             peer->candidate_count < P2P_CALL_CANDIDATES_MAX)
        snprintf(peer->candidates[peer->candidate_count++], P2P_CALL_CANDIDATE_TEXT,
                 "%s", value);
}

static void
hear(struct p2p_call_channel *peer)
{
    char line[256];

    memset(peer, 0, sizeof(*peer));
    while (fgets(line, sizeof(line), stdin) != NULL) {
        char *value;

        line[strcspn(line, "\n")] = '\0';
        if (strcmp(line, "end") == 0)
            return;
        if ((value = strchr(line, ' ')) != NULL) {
            *value++ = '\0';
            take(peer, line, value);
        }
    }
    die("stdin");
}

static void
wait_for(int fd, short events)
{
    struct pollfd p = {.fd = fd, .events = events};

    if (poll(&p, 1, SILENCE_MS) != 1)
        die(events == POLLIN ? "silence" : "blocked");
}

struct sending {
    int fd;
    size_t bytes;
};

static void *
send_main(void *arg)
{
    const struct sending *s = arg;

    for (size_t done = 0; done < s->bytes;) {
        size_t len = s->bytes - done < PIECE ? s->bytes - done : PIECE;
        ssize_t n;

        wait_for(s->fd, POLLOUT);
        n = write(s->fd, pattern + done % PERIOD, len);
        done += n > 0 ? (size_t)n : 0;
    }
    return NULL;
}

static void
receive(int fd, size_t bytes)
{
    static uint8_t piece[PIECE];

    for (size_t done = 0; done < bytes;) {
        ssize_t n;

        wait_for(fd, POLLIN);
        n = read(fd, piece, sizeof(piece));
        if (n == 0)
            die("closed");
        if (n > 0 && memcmp(piece, pattern + done % PERIOD, (size_t)n) != 0)
            die("changed");
        done += n > 0 ? (size_t)n : 0;
    }
}

int
main(int argc, char **argv)
{
    bool calls = argc > 1 && strcmp(argv[1], "calls") == 0;
    struct sending sending = {-1, argc > 2 ? strtoul(argv[2], NULL, 10) : 0};
    struct p2p_channel_port *port;
    struct p2p_call_channel peer;
    struct p2p_channel_way way;
    pthread_t sender;
    enum p2p_err err;
    uint64_t began_ms;

    for (size_t i = 0; i < sizeof(pattern); i++)
        pattern[i] = (uint8_t)(i % PERIOD);
    if (p2p_crypto_init() != P2P_OK ||
        p2p_channel_port_new(NULL, 0, NULL, &port) != P2P_OK)
        die("port");
    tell(port);
    hear(&peer);
    began_ms = p2p_now_ms();
    err = p2p_channel_port_open(port, &peer, calls, began_ms + OPEN_MS, NULL, &way);
    if (err != P2P_OK)
        die(p2p_err_name(err));
    printf("opened_ms=%u ", (unsigned)(p2p_now_ms() - began_ms));
    sending.fd = way.fd;
    if (pthread_create(&sender, NULL, send_main, &sending) != 0)
        die("thread");
    receive(way.fd, sending.bytes);
    pthread_join(sender, NULL);
    close(way.fd);
    printf("received=%zu settled=%d\n", sending.bytes,
           p2p_reach_settle(P2P_REACH_SETTLE_MS));
    return 0;
}
