/*
 * The bare encrypted copy: what a transfer costs when nothing but the bytes is done.
 * bench_copy FILE OUT [CONNECTIONS] A child reads, seals records of 64 KiB and sends;
 * the parent receives, opens and writes. No handshake, no requests, no verification, no
 * flush: the yardstick for those that do these things. Prints seconds and core-seconds.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "p2p/frame.h"
#include "p2p/limits.h"
#include "p2p/net.h"

#define THREADS_MAX 16

struct lane {
    pthread_t thread;
    int sock, file;
    uint64_t from, to;
    bool sends;
};

static const struct p2p_secret key = {{1, 2, 3}};

static void
die(const char *what)
{
    perror(what);
    _exit(1);
}

static void
send_range(const struct lane *l, uint8_t *frame)
{
    for (uint64_t at = l->from; at < l->to;) {
        size_t len = l->to - at < P2P_DATA_MAX ? (size_t)(l->to - at) : P2P_DATA_MAX;
        struct p2p_nonce nonce;
        if (pread(l->file, frame + P2P_FRAME_PREFIX, len, (off_t)at) != (ssize_t)len)
            die("pread");
        if (p2p_random(&nonce, sizeof(nonce)) != P2P_OK ||
            p2p_frame_seal(frame, len, &key, &nonce, NULL, 0) != P2P_OK ||
            p2p_net_write(l->sock, frame, P2P_FRAME_SIZE(len), P2P_NO_DEADLINE) !=
                P2P_OK)
            die("send");
        at += len;
    }
}

static void
receive_range(const struct lane *l, uint8_t *buf, size_t cap)
{
    size_t have = 0;

    for (uint64_t at = l->from; at < l->to;) {
        size_t size, len, got, used = 0;
        uint8_t *plain;
        if (p2p_net_read_some(l->sock, buf + have, cap - have, P2P_NO_DEADLINE, &got) !=
            P2P_OK)
            die("receive");
        have += got;
        while (p2p_frame_peek(buf + used, have - used, 1, P2P_DATA_MAX, &size) ==
               P2P_OK) {
            if (p2p_frame_open(buf + used, size, &key, NULL, 0, &plain, &len) !=
                    P2P_OK ||
                pwrite(l->file, plain, len, (off_t)at) != (ssize_t)len)
                die("write");
            at += len;
            used += size;
        }
        memmove(buf, buf + used, have - used);
        have -= used;
    }
}

static void *
lane_main(void *arg)
{
    struct lane *l = arg;
    size_t cap = 4 * P2P_FRAME_SIZE(P2P_DATA_MAX);
    uint8_t *buf = malloc(cap);

    if (buf == NULL)
        die("malloc");
    if (l->sends)
        send_range(l, buf);
    else
        receive_range(l, buf, cap);
    free(buf);
    return NULL;
}

static void
run_lanes(struct lane *lanes, unsigned count, int file, uint64_t size, bool sends)
{
    uint64_t part = (size / count + P2P_DATA_MAX) / P2P_DATA_MAX * P2P_DATA_MAX;

    for (unsigned i = 0; i < count; i++) {
        struct lane *l = &lanes[i];
        l->file = file;
        l->sends = sends;
        l->from = i * part < size ? i * part : size;
        l->to = (i + 1) * part < size ? (i + 1) * part : size;
        if (pthread_create(&l->thread, NULL, lane_main, l) != 0)
            die("pthread_create");
    }
    for (unsigned i = 0; i < count; i++)
        pthread_join(lanes[i].thread, NULL);
}

static double
core_seconds(int who)
{
    struct rusage u;

    getrusage(who, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

int
main(int argc, char **argv)
{
    struct lane ours[THREADS_MAX] = {0}, theirs[THREADS_MAX] = {0};
    unsigned count = argc > 3 ? (unsigned)atoi(argv[3]) : 4;
    struct p2p_addr addr = {.host = "127.0.0.1"};
    struct stat st;
    int listener;

    if (argc < 3 || count == 0 || count > THREADS_MAX || p2p_crypto_init() != P2P_OK)
        return 2;
    int in = open(argv[1], O_RDONLY | O_CLOEXEC);
    int out = open(argv[2], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (in < 0 || out < 0 || fstat(in, &st) < 0)
        die("open");
    if (p2p_net_listen(addr.host, 0, false, 16, &listener, &addr.port) != P2P_OK)
        die("listen");
    for (unsigned i = 0; i < count; i++) {
        if (p2p_net_connect(&addr, p2p_now_ms() + 5000, &ours[i].sock) != P2P_OK)
            die("connect");
        theirs[i].sock = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    }
    uint64_t began = p2p_now_ms();
    pid_t child = fork();
    if (child == 0) {
        run_lanes(theirs, count, in, (uint64_t)st.st_size, true);
        _exit(0);
    }
    run_lanes(ours, count, out, (uint64_t)st.st_size, false);
    double seconds = (double)(p2p_now_ms() - began) / 1000;
    waitpid(child, NULL, 0);
    printf("seconds=%.3f core_s=%.3f server_core_s=%.3f\n", seconds,
           core_seconds(RUSAGE_SELF), core_seconds(RUSAGE_CHILDREN));
    return 0;
}
