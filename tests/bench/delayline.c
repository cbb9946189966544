/*
 * A long link on one machine:
 *   delayline NETNS_A NETNS_B DELAY_MS RATE_MBIT [LOSS_PERCENT [MTU]]
 * Makes a TUN device "d0" in each of two network namespaces (10.77.0.1 and 10.77.0.2)
 * and carries packets between them, each after DELAY_MS and at RATE_MBIT, through a
 * queue that drops when it is full (as a router does); LOSS_PERCENT of them vanish.
 * With NETNS:DEVICE in place of NETNS, it makes a TAP device of that name without an
 * address: a long cable that a bridge or a router can use (tests/net).
 * For machines without netem. Needs root. Prints "ready" and runs until it is ended.
 * DELAYLINE_TRACE=1 in the environment: what went from B to A, every 100 ms, on stderr.
 */
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define MTU_DEFAULT 9000
#define MTU_MAX     65535
#define SLOTS       65536
#define TRACE_US    100000

struct packet {
    uint64_t due_us;
    size_t len;
    uint8_t *bytes;
};

struct direction {
    int in, out;
    uint64_t delay_us;
    double bytes_per_us;
    size_t queued, queue_max;
    double free_us; /* when the wire has sent what is queued */
    struct packet ring[SLOTS];
    size_t head, tail;
    unsigned long dropped, lost, delivered;
    unsigned loss_ppm, seed;
    pthread_mutex_t lock;
    pthread_cond_t more;
};

static uint64_t
now_us(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static void
die(const char *what)
{
    perror(what);
    exit(1);
}

/* A descriptor made in a namespace goes on working when the thread has left it. */
static int
open_tun(const char *end, const char *address, int mtu)
{
    char path[128], command[256], netns[64];
    const char *device = strchr(end, ':');
    struct ifreq ifr = {.ifr_flags = (device != NULL ? IFF_TAP : IFF_TUN) | IFF_NO_PI};

    snprintf(netns, sizeof(netns), "%.*s", (int)strcspn(end, ":"), end);
    snprintf(path, sizeof(path), "/run/netns/%s", netns);
    int ns = open(path, O_RDONLY | O_CLOEXEC);
    if (ns < 0 || setns(ns, CLONE_NEWNET) < 0)
        die(path);
    close(ns);
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s",
             device != NULL ? device + 1 : "d0");
    if (fd < 0 || ioctl(fd, TUNSETIFF, &ifr) < 0)
        die("/dev/net/tun");
    if (device != NULL)
        snprintf(command, sizeof(command), "ip link set %s mtu %d txqueuelen 10000 up",
                 ifr.ifr_name, mtu);
    else
        snprintf(command, sizeof(command),
                 "ip link set lo up && ip addr add %s/24 dev d0 && "
                 "ip link set d0 mtu %d txqueuelen 10000 up",
                 address, mtu);
    if (system(command) != 0)
        die("ip");
    return fd;
}

static void
enqueue(struct direction *d, const uint8_t *bytes, size_t len)
{
    double now = (double)now_us();

    pthread_mutex_lock(&d->lock);
    struct packet *p = &d->ring[d->head % SLOTS];
    if (d->loss_ppm > 0 && (unsigned)rand_r(&d->seed) % 1000000 < d->loss_ppm) {
        d->lost++;
    } else if (d->head - d->tail == SLOTS || d->queued + len > d->queue_max) {
        d->dropped++;
    } else if ((p->bytes = malloc(len)) != NULL) {
        memcpy(p->bytes, bytes, len);
        p->len = len;
        d->free_us =
            (d->free_us > now ? d->free_us : now) + (double)len / d->bytes_per_us;
        p->due_us = (uint64_t)d->free_us + d->delay_us;
        d->queued += len;
        d->head++;
        pthread_cond_signal(&d->more);
    }
    pthread_mutex_unlock(&d->lock);
}

static void *
read_main(void *arg)
{
    struct direction *d = arg;
    uint8_t buf[MTU_MAX];
    ssize_t n;

    while ((n = read(d->in, buf, sizeof(buf))) > 0)
        enqueue(d, buf, (size_t)n);
    return NULL;
}

static void *
write_main(void *arg)
{
    struct direction *d = arg;

    for (;;) {
        pthread_mutex_lock(&d->lock);
        while (d->head == d->tail)
            pthread_cond_wait(&d->more, &d->lock);
        struct packet p = d->ring[d->tail % SLOTS];
        pthread_mutex_unlock(&d->lock);
        uint64_t now = now_us();
        if (p.due_us > now)
            usleep((useconds_t)(p.due_us - now));
        if (write(d->out, p.bytes, p.len) < 0)
            d->dropped++;
        free(p.bytes);
        pthread_mutex_lock(&d->lock);
        d->tail++;
        d->queued -= p.len;
        d->delivered += p.len;
        pthread_mutex_unlock(&d->lock);
    }
    return NULL;
}

struct line {
    double delay_ms, mbit, loss_percent;
    int mtu;
};

static void
start(struct direction *d, int in, int out, const struct line *line)
{
    pthread_t thread;

    d->in = in;
    d->out = out;
    d->delay_us = (uint64_t)(line->delay_ms * 1000);
    d->bytes_per_us = line->mbit / 8;
    d->loss_ppm = (unsigned)(line->loss_percent * 10000);
    d->seed = (unsigned)in; /* the same losses in every run */
    /* What is on the way, and a router's buffer of as much again. */
    d->queue_max = (size_t)(d->bytes_per_us * (double)d->delay_us * 4) + 256 * 1024;
    pthread_mutex_init(&d->lock, NULL);
    pthread_cond_init(&d->more, NULL);
    if (pthread_create(&thread, NULL, read_main, d) != 0 ||
        pthread_create(&thread, NULL, write_main, d) != 0)
        die("pthread_create");
}

/* Bytes that came out, how long the router's queue is, what it dropped, what was lost.
 */
static void
trace(struct direction *d)
{
    unsigned long before = 0;
    uint64_t began = now_us();

    for (uint64_t at = began;; at += TRACE_US) {
        uint64_t now = now_us();
        if (at > now)
            usleep((useconds_t)(at - now));
        pthread_mutex_lock(&d->lock);
        double waiting_us = d->free_us - (double)now_us();
        if (d->delivered != before)
            fprintf(stderr, "t=%.1f bytes=%lu queue_ms=%.0f dropped=%lu lost=%lu\n",
                    (double)(at - began) / 1e6, d->delivered - before,
                    waiting_us > 0 ? waiting_us / 1000 : 0, d->dropped, d->lost);
        before = d->delivered;
        pthread_mutex_unlock(&d->lock);
    }
}

int
main(int argc, char **argv)
{
    static struct direction there, back;
    struct line line = {.mtu = MTU_DEFAULT};

    if (argc < 5 || argc > 7) {
        fprintf(stderr, "usage: delayline NETNS_A NETNS_B DELAY_MS RATE_MBIT "
                        "[LOSS_PERCENT [MTU]]\n");
        return 2;
    }
    line.delay_ms = atof(argv[3]);
    line.mbit = atof(argv[4]);
    line.loss_percent = argc > 5 ? atof(argv[5]) : 0;
    line.mtu = argc > 6 ? atoi(argv[6]) : MTU_DEFAULT;
    int a = open_tun(argv[1], "10.77.0.1", line.mtu);
    int b = open_tun(argv[2], "10.77.0.2", line.mtu);
    start(&there, a, b, &line);
    start(&back, b, a, &line);
    puts("ready");
    fflush(stdout);
    if (getenv("DELAYLINE_TRACE") != NULL)
        trace(&back);
    for (;;)
        pause();
}
