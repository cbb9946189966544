/*
 * People who ask p2p-discovery, at a steady rate well below what it can do.
 *
 * registry_ask search PORT MODE NAMES SECONDS RATE
 *     What a person would type to find a name of registry_load. MODE stranger: the
 *     heartbeat of a peer that is not there, which keeps nobody alive.
 *
 * registry_ask walk PORT
 *     GET /peers, page after page.
 *
 * registry_ask watch PORT WATCHERS
 *     GET /changes, until a change has come to all of them.
 *
 * A request that is held up because the one before it has not been answered counts from
 * when it was due (no coordinated omission). That this program is woken late is not the
 * server's time.
 */
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "load/load.h"

#define THREADS 4

/* ---- search ---- */

struct job {
    unsigned port;
    const char *mode;
    uint64_t names, seed;
    double first_s, until_s, pause_s;
    struct samples took;
};

/* What a person would type to find a name. */
static void
make_query(const char *mode, const char *name, uint64_t *state, char out[NAME_SIZE])
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
make_search(const struct job *j, uint64_t *state, char path[512])
{
    char name[NAME_SIZE], query[NAME_SIZE];
    size_t n = (size_t)sprintf(path, "/search?mode=%s&limit=20&q=", j->mode);

    make_name(next_random(state) % j->names, name);
    make_query(j->mode, name, state, query);
    for (const char *p = query; *p != '\0'; p++)
        n += (size_t)sprintf(path + n, "%%%02x", (unsigned char)*p);
}

static void
make_path(const struct job *j, uint64_t *state, char path[512])
{
    if (strcmp(j->mode, "stranger") != 0) {
        make_search(j, state, path);
        return;
    }
    sprintf(path, "/heartbeat?peer_id=%016llx%048x",
            (unsigned long long)next_random(state), 0u);
}

static void *
run_job(void *arg)
{
    struct job *j = arg;
    char *answer = malloc(ANSWER_MAX), path[512];
    uint64_t state = j->seed;
    int fd = dial(j->port), status;

    prctl(PR_SET_TIMERSLACK, 1000ul);
    for (double due = j->first_s; answer != NULL && due < j->until_s;
         due += j->pause_s) {
        double begin = due;

        make_path(j, &state, path);
        if (now_s() < due) {
            sleep_until(due);
            begin = now_s();
        }
        ask(fd, path);
        status = receive(fd, answer);
        if (status != 200 && status != 404)
            die(answer);
        samples_add(&j->took, now_s() - begin);
    }
    free(answer);
    close(fd);
    return NULL;
}

static void
search(struct job base, double seconds, double rate)
{
    pthread_t ids[THREADS];
    struct job jobs[THREADS];
    struct samples all = {0};
    double start = now_s() + 0.01;

    for (unsigned i = 0; i < THREADS; i++) {
        jobs[i] = base;
        jobs[i].seed = 42 + i;
        jobs[i].first_s = start + i / rate;
        jobs[i].until_s = start + seconds;
        jobs[i].pause_s = THREADS / rate;
        if (pthread_create(&ids[i], NULL, run_job, &jobs[i]) != 0)
            die("no thread");
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(ids[i], NULL);
        samples_take(&all, &jobs[i].took);
    }
    samples_print(&all);
}

/* ---- all pages ---- */

static void
walk(unsigned port)
{
    char *answer = malloc(ANSWER_MAX), path[128] = "/peers";
    struct samples took = {0};
    double start = now_s();
    size_t bytes = 0, peers = 0;
    int fd = dial(port);

    for (char *next = path; answer != NULL && next != NULL;) {
        double begin = now_s();

        ask(fd, path);
        if (receive(fd, answer) != 200)
            die(answer);
        samples_add(&took, now_s() - begin);
        bytes += strlen(answer);
        for (next = answer; (next = strstr(next, "\"peer_id\"")) != NULL; next++)
            peers++;
        if ((next = strstr(answer, "\"next\":\"")) != NULL)
            snprintf(path, sizeof(path), "/peers?cursor=%.64s", next + 8);
    }
    printf("peers=%zu seconds=%.2f MB=%.0f, a page of 1000: ", peers, now_s() - start,
           (double)bytes / 1e6);
    samples_print(&took);
    free(answer);
    close(fd);
}

/* ---- watchers ---- */

static unsigned long long
number_after(const char *text, const char *label)
{
    const char *at = strstr(text, label);

    if (at == NULL)
        die("a number is missing in an answer");
    return strtoull(at + strlen(label), NULL, 10);
}

static void
start_watchers(unsigned port, struct pollfd *fds, unsigned count, char *answer)
{
    char path[128];
    int fd = dial(port);

    ask(fd, "/changes");
    receive(fd, answer);
    snprintf(path, sizeof(path), "/changes?wait=60&since=%llu",
             number_after(answer, "\"version\":"));
    for (unsigned i = 0; i < count; i++) {
        fds[i] = (struct pollfd){.fd = dial(port), .events = POLLIN};
        ask(fds[i].fd, path);
    }
    do {
        usleep(20000);
        ask(fd, "/metrics");
        receive(fd, answer);
    } while (number_after(answer, "\np2p_discovery_watchers ") < count);
    close(fd);
}

static void
watch(unsigned port, unsigned count)
{
    struct pollfd *fds = calloc(count, sizeof(*fds));
    char *answer = malloc(ANSWER_MAX), *body = malloc(BODY_MAX);
    struct rlimit files = {count + 64, count + 64};
    struct samples took = {0};
    unsigned left = count;
    double begin;
    int fd = dial(port);

    if (fds == NULL || answer == NULL || body == NULL)
        die("out of memory");
    setrlimit(RLIMIT_NOFILE, &files);
    start_watchers(port, fds, count, answer);
    begin = now_s();
    post_registration(fd, body, make_body(1u << 30, 5, 50, 0, body), answer);
    while (left > 0) {
        if (poll(fds, count, 10000) <= 0)
            die("a watcher heard nothing");
        for (unsigned i = 0; i < count; i++) {
            if (fds[i].revents == 0)
                continue;
            if (receive(fds[i].fd, answer) != 200)
                die(answer);
            samples_add(&took, now_s() - begin);
            close(fds[i].fd);
            fds[i].fd = -1;
            left--;
        }
    }
    samples_print(&took);
}

int
main(int argc, char **argv)
{
    const char *what = argc > 2 ? argv[1] : "";
    unsigned port = argc > 2 ? (unsigned)atoi(argv[2]) : 0;

    if (p2p_crypto_init() != P2P_OK)
        return 1;
    if (strcmp(what, "search") == 0 && argc == 7)
        search((struct job){.port = port,
                            .mode = argv[3],
                            .names = strtoull(argv[4], NULL, 10)},
               atof(argv[5]), atof(argv[6]));
    else if (strcmp(what, "walk") == 0 && argc == 3)
        walk(port);
    else if (strcmp(what, "watch") == 0 && argc == 4)
        watch(port, (unsigned)atoi(argv[3]));
    else {
        fputs("usage: see the top of tests/bench/registry_ask.c\n", stderr);
        return 2;
    }
    return 0;
}
