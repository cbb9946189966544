/*
 * Load for p2p-discovery: peers that come and change, people who search.
 *
 *   registry_load fill  PORT PEERS FILES NAMES     registers; prints peers a second
 *   registry_load churn PORT PEERS FILES NAMES SECONDS RATE
 *                                                  RATE registrations a second, each
 * with a tenth of its files changed registry_load search PORT MODE NAMES SECONDS   one
 * person after another; percentiles registry_load id PEER prints the id of a peer of
 * `fill` registry_load name N                           prints a name
 *
 * Everything follows from the numbers, so that two runs meet the same peers. Keys are
 * random numbers that pass for RSA-2048 moduli: making 100,000 real ones would take
 * hours.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "p2p/bytes.h"
#include "p2p/crypto.h"

#define THREADS     4
#define BODY_MAX    (64u * 1024)
#define ANSWER_MAX  (4u * 1024 * 1024)
#define SAMPLES_MAX 200000u

static uint64_t
next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static double
now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void
die(const char *what)
{
    fprintf(stderr, "registry_load: %s\n", what);
    exit(1);
}

/* ---- names and peers ---- */

static void
make_word(uint64_t *state, char *out)
{
    static const char *const syllables[] = {
        "ba",  "ren", "lo", "ti", "mus", "ka", "der", "sol", "pi",  "gan", "ve", "cho",
        "rai", "nor", "el", "fu", "zan", "hi", "mer", "ost", "qui", "jal", "wy", "dro"};
    unsigned n = 2 + (unsigned)(next_random(state) % 2);

    *out = '\0';
    while (n-- > 0)
        strcat(out, syllables[next_random(state) % 24]);
}

/* "word word 0123.ext", 20 to 40 bytes. */
static void
make_name(uint64_t n, char out[96])
{
    static const char *const ends[] = {"jpg", "mp4", "pdf",  "txt", "zip",
                                       "png", "mkv", "flac", "iso", "docx"};
    uint64_t state = n * 0x2545f4914f6cdd1du + 1;
    char a[16], b[16], c[16];

    make_word(&state, a);
    make_word(&state, b);
    make_word(&state, c);
    snprintf(out, 96, "%s %s %s %llu.%s", a, b, c, (unsigned long long)(n % 10000),
             ends[next_random(&state) % 10]);
}

/* A number that passes the registry's checks of a modulus. */
static void
make_key(uint64_t peer, struct p2p_spki *key)
{
    static const uint8_t head[] = {0x30, 0x82, 0x01, 0x22, 0x30, 0x0d, 0x06, 0x09, 0x2a,
                                   0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05,
                                   0x00, 0x03, 0x82, 0x01, 0x0f, 0x00, 0x30, 0x82, 0x01,
                                   0x0a, 0x02, 0x82, 0x01, 0x01, 0x00};
    static const uint8_t tail[] = {0x02, 0x03, 0x01, 0x00, 0x01};
    uint64_t seed = peer, state = next_random(&seed); /* streams must not overlap */

    memcpy(key->b, head, sizeof(head));
    memcpy(key->b + P2P_SPKI_LEN - sizeof(tail), tail, sizeof(tail));
    do {
        for (size_t i = sizeof(head); i < sizeof(head) + 256; i += 8)
            p2p_store_u64(key->b + i, next_random(&state));
        key->b[sizeof(head)] |= 0x80;
        key->b[sizeof(head) + 255] |= 1;
    } while (p2p_spki_check(key->b) != P2P_OK);
}

/* The file a peer has at a place: half of them common, half rare. */
static uint64_t
file_of(uint64_t peer, unsigned place, uint64_t names, unsigned version)
{
    uint64_t state = peer << 20 | (place + 1);

    if (place % 10 == 9)
        state += (uint64_t)version << 50;
    state = next_random(&state);
    return place % 2 == 0 ? state % names : state % (names / 20 + 1);
}

static size_t
make_body(uint64_t peer, unsigned files, uint64_t names, unsigned version, char *out)
{
    char pem[P2P_PEM_LEN + 1], escaped[P2P_PEM_LEN * 2], hex[65], name[96];
    struct p2p_spki key;
    struct p2p_id id;
    size_t n = 0;

    make_key(peer, &key);
    p2p_spki_to_pem(&key, pem);
    if (p2p_spki_id(&key, &id) != P2P_OK)
        die("no id");
    for (const char *p = pem; *p != '\0'; p++) {
        if (*p == '\n')
            escaped[n++] = '\\';
        escaped[n++] = *p == '\n' ? 'n' : *p;
    }
    escaped[n] = '\0';
    p2p_hex_format(id.b, sizeof(id.b), hex);
    n = (size_t)sprintf(out,
                        "{\"peer_id\":\"%s\",\"public_key\":\"%s\",\"port\":9000,"
                        "\"ip\":\"10.%u.%u.%u\",\"entries\":[",
                        hex, escaped, (unsigned)(peer >> 16) & 255,
                        (unsigned)(peer >> 8) & 255, (unsigned)peer & 255);
    for (unsigned i = 0; i < files; i++) {
        uint64_t file = file_of(peer, i, names, version), seen = 0;
        struct p2p_digest root;

        for (unsigned k = 0; k < i && !seen; k++)
            seen = file_of(peer, k, names, version) == file;
        if (seen)
            continue;
        make_name(file, name);
        if (p2p_sha256(name, strlen(name), &root) != P2P_OK)
            die("no hash");
        p2p_hex_format(root.b, sizeof(root.b), hex);
        n += (size_t)sprintf(out + n,
                             "%s{\"name\":\"%s\",\"size\":%llu,\"root\":\"%s\"}",
                             out[n - 1] == '[' ? "" : ",", name,
                             (unsigned long long)(file * 4096 + 1), hex);
    }
    return n + (size_t)sprintf(out + n, "]}");
}

/* ---- HTTP, as little as is needed ---- */

static int
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

static void
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

/* Reads one answer; returns its status. */
static int
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

static void
post(int fd, const char *body, size_t len, char *answer)
{
    char head[160];
    int n = snprintf(head, sizeof(head),
                     "POST /register HTTP/1.1\r\nHost: localhost\r\n"
                     "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
                     len);

    send_all(fd, head, (size_t)n);
    send_all(fd, body, len);
    if (receive(fd, answer) != 200)
        die(answer);
}

/* ---- fill and churn ---- */

struct job {
    unsigned port, files, first, step, version;
    uint64_t peers, names;
    double until_s, pause_s;
};

static void *
run_job(void *arg)
{
    const struct job *j = arg;
    char *body = malloc(BODY_MAX), *answer = malloc(ANSWER_MAX);
    uint64_t state = j->first;
    double next = now_s();
    int fd = dial(j->port);

    if (body == NULL || answer == NULL)
        die("out of memory");
    for (uint64_t i = j->first; j->until_s > 0 || i < j->peers; i += j->step) {
        uint64_t peer = j->until_s > 0 ? next_random(&state) % j->peers : i;

        post(fd, body,
             make_body(peer, j->files, j->names, j->version + (unsigned)i, body),
             answer);
        if (j->until_s == 0)
            continue;
        next += j->pause_s;
        if (next > j->until_s)
            break;
        if (next > now_s())
            usleep((useconds_t)((next - now_s()) * 1e6));
    }
    close(fd);
    free(body);
    free(answer);
    return NULL;
}

static void
run_jobs(struct job base, unsigned threads)
{
    pthread_t ids[THREADS];
    struct job jobs[THREADS];

    for (unsigned i = 0; i < threads; i++) {
        jobs[i] = base;
        jobs[i].first = i;
        jobs[i].step = threads;
        if (pthread_create(&ids[i], NULL, run_job, &jobs[i]) != 0)
            die("no thread");
    }
    for (unsigned i = 0; i < threads; i++)
        pthread_join(ids[i], NULL);
}

static void
fill(unsigned port, uint64_t peers, unsigned files, uint64_t names)
{
    double start = now_s();

    run_jobs((struct job){.port = port, .files = files, .peers = peers, .names = names},
             THREADS);
    printf("peers=%llu seconds=%.2f peers_per_s=%.0f entries_per_s=%.0f\n",
           (unsigned long long)peers, now_s() - start,
           (double)peers / (now_s() - start),
           (double)peers * files / (now_s() - start));
}

/* ---- search ---- */

/* What a person would type to find a name. */
static void
make_query(const char *mode, const char *name, uint64_t *state, char out[96])
{
    size_t len = strlen(name), from;

    strcpy(out, name);
    if (strcmp(mode, "exact") == 0)
        return;
    if (strcmp(mode, "prefix") == 0) {
        out[6 + next_random(state) % 8] = '\0';
        return;
    }
    from = next_random(state) % (len - 10);
    memmove(out, name + from, 10);
    out[5 + next_random(state) % 6] = '\0';
    if (strcmp(mode, "fuzzy") == 0) {
        size_t at = next_random(state) % (strlen(out) - 1);
        char c = out[at];

        out[at] = out[at + 1]; /* neighbours swapped, the commonest slip */
        out[at + 1] = c;
    }
}

static void
send_query(int fd, const char *mode, const char *query)
{
    char request[512];
    size_t n = (size_t)snprintf(request, sizeof(request),
                                "GET /search?mode=%s&limit=20&q=", mode);

    for (const char *p = query; *p != '\0'; p++)
        n += (size_t)snprintf(request + n, sizeof(request) - n, "%%%02x",
                              (unsigned char)*p);
    n += (size_t)snprintf(request + n, sizeof(request) - n,
                          " HTTP/1.1\r\nHost: localhost\r\n\r\n");
    send_all(fd, request, n);
}

static int
compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void
search(unsigned port, const char *mode, uint64_t names, double seconds)
{
    double *took = malloc(SAMPLES_MAX * sizeof(*took)), start = now_s();
    char *answer = malloc(ANSWER_MAX), name[96], query[96];
    uint64_t state = 42;
    size_t n = 0;
    int fd = dial(port);

    if (took == NULL || answer == NULL)
        die("out of memory");
    while (n < SAMPLES_MAX && now_s() < start + seconds) {
        double begin;

        make_name(next_random(&state) % names, name);
        make_query(mode, name, &state, query);
        begin = now_s();
        send_query(fd, mode, query);
        if (receive(fd, answer) != 200)
            die(answer);
        took[n++] = now_s() - begin;
    }
    qsort(took, n, sizeof(*took), compare_doubles);
    printf("mode=%s queries=%zu p50_ms=%.3f p90_ms=%.3f p99_ms=%.3f max_ms=%.3f\n",
           mode, n, took[n / 2] * 1e3, took[n * 9 / 10] * 1e3, took[n * 99 / 100] * 1e3,
           took[n - 1] * 1e3);
    free(took);
    free(answer);
    close(fd);
}

static void
print_id(uint64_t peer)
{
    struct p2p_spki key;
    struct p2p_id id;
    char hex[65];

    make_key(peer, &key);
    if (p2p_spki_id(&key, &id) != P2P_OK)
        die("no id");
    p2p_hex_format(id.b, sizeof(id.b), hex);
    puts(hex);
}

int
main(int argc, char **argv)
{
    const char *what = argc > 2 ? argv[1] : "";
    uint64_t n[8] = {0};
    char name[96];

    for (int i = 2; i < argc && i < 10; i++)
        n[i - 2] = strtoull(argv[i], NULL, 10);
    if (p2p_crypto_init() != P2P_OK)
        return 1;
    if (strcmp(what, "fill") == 0 && argc == 6)
        fill((unsigned)n[0], n[1], (unsigned)n[2], n[3]);
    else if (strcmp(what, "churn") == 0 && argc == 8)
        run_jobs((struct job){.port = (unsigned)n[0],
                              .peers = n[1],
                              .files = (unsigned)n[2],
                              .names = n[3],
                              .version = 1,
                              .until_s = now_s() + (double)n[4],
                              .pause_s = 1.0 / (double)n[5]},
                 1);
    else if (strcmp(what, "search") == 0 && argc == 6)
        search((unsigned)n[0], argv[3], n[2], (double)n[3]);
    else if (strcmp(what, "id") == 0 && argc == 3)
        print_id(n[0]);
    else if (strcmp(what, "name") == 0 && argc == 3) {
        make_name(n[0], name);
        puts(name);
    } else {
        fputs("usage: see the top of tests/bench/registry_load.c\n", stderr);
        return 2;
    }
    return 0;
}
