/*
 * Load for a p2p-peer, with epoll; one line of `key=value` on stdout.
 *
 *   peer_load handshakes HOST:PORT N SECONDS         N at a time, again and again
 *   peer_load idle       HOST:PORT N SECONDS         N connections that say nothing
 *   peer_load active     HOST:PORT N SECONDS NAME [THREADS [PEER_PID]]   N that fetch
 *   peer_load stalled    HOST:PORT N SECONDS NAME    N clients that ask and do not read
 *
 * With PEER_PID the processor time of that process is reported too. "core_s" is of the
 * measured seconds only, without the opening of the connections.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "p2p/chunk.h"
#include "p2p/handshake.h"
#include "p2p/msg.h"
#include "p2p/net.h"

enum mode { HANDSHAKES, IDLE, ACTIVE, STALLED };
static const char *const mode_names[] = {"handshakes", "idle", "active", "stalled"};

enum {
    RX_SIZE = P2P_FRAME_SIZE(P2P_RECORD_PLAIN_MAX),
    OPENING_MAX = 64, /* handshakes of ours under way */
    WINDOW = 2,       /* GETs in flight of an active client */
    STALLED_WINDOW = 16,
    THREADS_MAX = 8,
};

/* One thread's clients. */
struct load {
    pthread_t thread;
    pthread_barrier_t *opened; /* all threads have opened theirs */
    struct client *clients;
    double seconds; /* to measure, and how long it took in the end */
    enum mode mode;
    struct sockaddr_in to;
    unsigned wanted, opening, open;
    const char *name;
    struct p2p_rsa *key;
    int epoll_fd;
    uint64_t handshakes, failures;
    uint64_t measure_from_ms;
};

struct client {
    struct load *load;
    int fd;
    struct p2p_handshake *hs; /* until it is done */
    struct p2p_direction in, out;
    uint8_t *rx;
    size_t rx_len;
    bool has_meta;
    struct p2p_digest root;
    struct p2p_chunks geometry;
    uint64_t next_chunk;
    uint64_t bytes; /* since the measuring began */
};

static void
must(enum p2p_err err, const char *what)
{
    if (err == P2P_OK)
        return;
    fprintf(stderr, "peer_load: %s: %s\n", what, p2p_err_text(err));
    exit(1);
}

static void
send_all(struct client *c, const uint8_t *data, size_t len)
{
    must(p2p_net_write(c->fd, data, len, p2p_now_ms() + 10000), "send");
}

static void
send_message(struct client *c, const struct p2p_msg *msg)
{
    uint8_t frame[2048];
    struct p2p_nonce nonce;
    struct p2p_wr wr;
    size_t len;

    p2p_wr_init(&wr, frame + P2P_FRAME_PREFIX, sizeof(frame) - P2P_FRAME_OVERHEAD);
    p2p_msg_put(&wr, msg);
    must(p2p_wr_end(&wr, &len), "encode");
    must(p2p_random(&nonce, sizeof(nonce)), "random");
    must(p2p_direction_seal(&c->out, frame, len, &nonce), "seal");
    send_all(c, frame, P2P_FRAME_SIZE(len));
}

static void
ask_chunk(struct client *c)
{
    uint64_t i = c->next_chunk++ % c->geometry.count;
    struct p2p_msg get = {
        .type = P2P_MSG_GET,
        .req = (uint32_t)c->next_chunk,
        .get = {.root = c->root,
                .offset = p2p_chunk_offset(&c->geometry, i),
                .length = p2p_chunk_length(&c->geometry, i)},
    };

    send_message(c, &get);
}

/* ---- Life ---- */

static void open_client(struct client *c);

static void
close_client(struct client *c)
{
    close(c->fd);
    p2p_handshake_free(c->hs);
    c->hs = NULL;
    c->rx_len = 0;
}

static void
start_asking(struct client *c)
{
    struct p2p_msg ask = {.type = P2P_MSG_META_GET,
                          .meta_get = {.by = P2P_META_BY_NAME,
                                       .name = {c->load->name, strlen(c->load->name)}}};

    send_message(c, &ask);
}

static void
on_open(struct client *c)
{
    struct load *load = c->load;

    must(p2p_handshake_take_session(c->hs, p2p_now_ms() / 1000, &c->out, &c->in),
         "session");
    p2p_handshake_free(c->hs);
    c->hs = NULL;
    load->opening--;
    load->open++;
    load->handshakes++;
    if (load->mode == HANDSHAKES) {
        close_client(c);
        load->open--;
        open_client(c);
    } else if (load->mode != IDLE) {
        start_asking(c);
    }
}

static void
begin_handshake(struct client *c)
{
    struct p2p_handshake_random rnd;

    must(p2p_random(&rnd, sizeof(rnd)), "random");
    must(p2p_handshake_new(P2P_CLIENT, c->load->key, &rnd, &c->hs), "handshake");
}

/* Does what needs no bytes from the other side. */
static void
advance(struct client *c)
{
    for (;;) {
        uint8_t out[P2P_M4_SIZE];
        struct p2p_nonce nonce;
        size_t len;

        switch (p2p_handshake_next(c->hs)) {
        case P2P_HS_WRITE:
            must(p2p_random(&nonce, sizeof(nonce)), "random");
            must(p2p_handshake_write(c->hs, &nonce, out, &len), "write");
            send_all(c, out, len);
            break;
        case P2P_HS_TRUST:
            must(p2p_handshake_trust(c->hs, P2P_OK), "trust");
            break;
        case P2P_HS_WORK:
            must(p2p_handshake_work(c->hs), "work");
            break;
        case P2P_HS_DONE:
            on_open(c);
            return;
        case P2P_HS_READ:
            return;
        case P2P_HS_FAILED:
            must(P2P_ERR_AUTH, "handshake");
        }
    }
}

static void
open_client(struct client *c)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    int on = 1;

    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 ||
        connect(c->fd, (struct sockaddr *)&c->load->to, sizeof(c->load->to)) != 0) {
        fprintf(stderr, "peer_load: connect: %s\n", strerror(errno));
        exit(1);
    }
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    epoll_ctl(c->load->epoll_fd, EPOLL_CTL_ADD, c->fd, &event);
    c->load->opening++;
    begin_handshake(c);
    advance(c);
}

/* ---- Bytes ---- */

static void
on_meta(struct client *c, const struct p2p_msg_meta *meta)
{
    unsigned window = c->load->mode == STALLED ? STALLED_WINDOW : WINDOW;

    c->has_meta = true;
    c->root = meta->root;
    must(p2p_chunks_init(&c->geometry, meta->size, meta->chunk_size), "geometry");
    for (unsigned i = 0; i < window; i++)
        ask_chunk(c);
    if (c->load->mode == STALLED) /* never again */
        epoll_ctl(c->load->epoll_fd, EPOLL_CTL_DEL, c->fd, NULL);
}

static void
on_record(struct client *c, const uint8_t *plain, size_t len)
{
    struct p2p_msg msg;

    must(p2p_msg_parse(plain, len, &msg), "parse");
    if (msg.type == P2P_MSG_META) {
        on_meta(c, &msg.meta);
    } else if (msg.type == P2P_MSG_DATA) {
        if (p2p_now_ms() >= c->load->measure_from_ms)
            c->bytes += msg.data.len;
        if (msg.data.flags & P2P_DATA_LAST)
            ask_chunk(c);
    } else {
        fprintf(stderr, "peer_load: unexpected answer 0x%02x\n", msg.type);
        exit(1);
    }
}

static void
take_records(struct client *c)
{
    size_t used = 0, size = 0;

    while (p2p_direction_peek(c->rx + used, c->rx_len - used, &size) == P2P_OK) {
        uint8_t *plain;
        size_t len;
        must(p2p_direction_open(&c->in, c->rx + used, size, p2p_now_ms() / 1000, &plain,
                                &len),
             "open");
        if (len > 0)
            on_record(c, plain, len);
        used += size;
    }
    c->rx_len -= used;
    memmove(c->rx, c->rx + used, c->rx_len);
}

static void
on_readable(struct client *c)
{
    size_t want = c->hs != NULL ? p2p_handshake_want(c->hs) : RX_SIZE;
    ssize_t n = recv(c->fd, c->rx + c->rx_len, want - c->rx_len, MSG_DONTWAIT);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        c->load->failures++;
        if (c->hs != NULL)
            c->load->opening--;
        else
            c->load->open--;
        close_client(c);
        return;
    }
    c->rx_len += (size_t)n;
    if (c->hs == NULL) {
        take_records(c);
    } else if (c->rx_len == want) {
        c->rx_len = 0;
        must(p2p_handshake_read(c->hs, c->rx, want), "read");
        advance(c);
    }
}

static void
turn(struct load *load)
{
    struct epoll_event events[256];
    int n = epoll_wait(load->epoll_fd, events, 256, 100);

    for (int i = 0; i < n; i++)
        on_readable(events[i].data.ptr);
}

/* ---- Results ---- */

static double
cpu_s_of(const char *pid)
{
    char path[64];
    unsigned long user = 0, system = 0;

    snprintf(path, sizeof(path), "/proc/%.20s/stat", pid);
    FILE *f = fopen(path, "r");
    if (f == NULL)
        return 0;
    if (fscanf(f, "%*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %lu %lu", &user,
               &system) != 2)
        user = system = 0;
    fclose(f);
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

static double
jain(const struct client *clients, unsigned n)
{
    double sum = 0, squares = 0;

    for (unsigned i = 0; i < n; i++) {
        sum += (double)clients[i].bytes;
        squares += (double)clients[i].bytes * (double)clients[i].bytes;
    }
    return squares > 0 ? sum * sum / (n * squares) : 0;
}

/* Seconds of processors, and of the clock. */
struct spent {
    double own, peer, opening;
};

static void
report(const struct load *loads, unsigned threads, const struct spent *spent)
{
    const struct client *clients = loads[0].clients;
    uint64_t handshakes = 0, failures = 0;
    unsigned wanted = 0, open = 0;
    double bytes = 0, seconds = loads[0].seconds;

    for (unsigned i = 0; i < threads; i++) {
        handshakes += loads[i].handshakes;
        failures += loads[i].failures;
        wanted += loads[i].wanted;
        open += loads[i].open;
    }
    for (unsigned i = 0; i < wanted; i++)
        bytes += (double)clients[i].bytes;
    printf("mode=%s clients=%u open=%u failures=%llu", mode_names[loads->mode], wanted,
           open, (unsigned long long)failures);
    if (loads->mode == HANDSHAKES)
        printf(" handshakes_per_s=%.0f", (double)handshakes / seconds);
    else
        printf(" opened_in_s=%.2f", spent->opening);
    if (loads->mode == ACTIVE)
        printf(" bytes_per_s=%.0f jain=%.4f load_core_s=%.2f load_core_s_per_gb=%.3f "
               "peer_core_s=%.2f peer_core_s_per_gb=%.3f",
               bytes / seconds, jain(clients, wanted), spent->own,
               1e9 * spent->own / bytes, spent->peer, 1e9 * spent->peer / bytes);
    printf("\n");
}

static void
parse_address(const char *text, struct sockaddr_in *out)
{
    struct p2p_addr addr;

    must(p2p_addr_parse(text, 0, &addr), "address");
    *out = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(addr.port)};
    if (inet_pton(AF_INET, addr.host, &out->sin_addr) != 1)
        must(P2P_ERR_USAGE, "an IPv4 address is needed");
}

static bool
parse_mode(const char *text, enum mode *mode)
{
    for (int i = HANDSHAKES; i <= STALLED; i++) {
        if (strcmp(text, mode_names[i]) == 0) {
            *mode = (enum mode)i;
            return true;
        }
    }
    return false;
}

static void
open_all(struct load *load)
{
    for (unsigned i = 0; i < load->wanted; i++) {
        struct client *c = &load->clients[i];
        c->load = load;
        if ((c->rx = malloc(RX_SIZE)) == NULL)
            must(P2P_ERR_NOMEM, "memory");
        open_client(c);
        while (load->opening >= OPENING_MAX && load->mode != HANDSHAKES)
            turn(load);
    }
    while (load->opening > 0 && load->mode != HANDSHAKES)
        turn(load);
}

static void *
load_main(void *arg)
{
    struct load *load = arg;
    uint64_t began_ms;

    load->measure_from_ms = P2P_NO_DEADLINE;
    open_all(load);
    pthread_barrier_wait(load->opened);
    pthread_barrier_wait(load->opened); /* main has looked at the clocks */
    began_ms = p2p_now_ms();
    load->handshakes = 0;
    load->measure_from_ms = began_ms;
    while (p2p_now_ms() < began_ms + (uint64_t)(load->seconds * 1000))
        turn(load);
    load->seconds = (double)(p2p_now_ms() - began_ms) / 1000;
    return NULL;
}

/* The clients in equal parts, one for each thread. */
static void
share_out(struct load *loads, unsigned threads, const struct load *all,
          pthread_barrier_t *opened)
{
    struct client *clients = calloc(all->wanted, sizeof(*clients));
    unsigned given = 0;

    if (clients == NULL)
        must(P2P_ERR_NOMEM, "memory");
    for (unsigned i = 0; i < threads; i++) {
        loads[i] = *all;
        loads[i].wanted = (all->wanted - given) / (threads - i);
        loads[i].clients = clients + given;
        loads[i].opened = opened;
        loads[i].epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        given += loads[i].wanted;
    }
}

int
main(int argc, char **argv)
{
    struct load all = {0}, loads[THREADS_MAX];
    struct spent spent = {0};
    pthread_barrier_t opened;
    const char *peer = argc > 7 ? argv[7] : "none";
    unsigned threads = argc > 6 ? (unsigned)atoi(argv[6]) : 1;

    if (argc < 5 || !parse_mode(argv[1], &all.mode) ||
        (all.mode >= ACTIVE) != (argc > 5) || threads < 1 || threads > THREADS_MAX) {
        fprintf(stderr, "usage: peer_load handshakes|idle|active|stalled HOST:PORT N "
                        "SECONDS [NAME [THREADS [PEER_PID]]]\n");
        return 2;
    }
    parse_address(argv[2], &all.to);
    all.wanted = (unsigned)atoi(argv[3]);
    all.seconds = atof(argv[4]);
    all.name = argv[5];
    must(p2p_crypto_init(), "crypto");
    must(p2p_rsa_generate(&all.key), "key");
    pthread_barrier_init(&opened, NULL, threads + 1);
    share_out(loads, threads, &all, &opened);

    uint64_t begun_ms = p2p_now_ms();
    for (unsigned i = 0; i < threads; i++)
        if (pthread_create(&loads[i].thread, NULL, load_main, &loads[i]) != 0)
            return 1;
    pthread_barrier_wait(&opened);
    spent.opening = (double)(p2p_now_ms() - begun_ms) / 1000;
    printf("opened=%u\n", all.mode == HANDSHAKES ? 0 : all.wanted);
    fflush(stdout);
    spent.own = -(double)clock() / CLOCKS_PER_SEC;
    spent.peer = -cpu_s_of(peer);
    pthread_barrier_wait(&opened);
    for (unsigned i = 0; i < threads; i++)
        pthread_join(loads[i].thread, NULL);
    spent.own += (double)clock() / CLOCKS_PER_SEC;
    spent.peer += cpu_s_of(peer);
    report(loads, threads, &spent);
    for (unsigned i = 0; i < threads; i++)
        if (loads[i].failures > 0)
            return 1;
    return 0;
}
