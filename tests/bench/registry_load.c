/*
 * Peers that come and change, for p2p-discovery.
 *
 * registry_load fill PORT PEERS FILES NAMES
 *     Registers them, and says how fast that went.
 *
 * registry_load churn PORT PEERS FILES NAMES SECONDS RATE
 *     RATE registrations a second, each with a tenth of its files changed.
 *
 * registry_load beat PORT PEERS
 *     A heartbeat of each.
 *
 * registry_load id PEER
 *     The id of a peer of `fill`.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "load/load.h"

#define THREADS 4

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

        post_registration(
            fd, body,
            make_body(peer, j->files, j->names, j->version + (unsigned)i, body),
            answer);
        if (j->until_s == 0)
            continue;
        next += j->pause_s;
        if (next > j->until_s)
            break;
        sleep_until(next);
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

/* ---- heartbeats ---- */

/* Hears of everybody as fast as that goes: they will fall due together. */
static void
beat(unsigned port, uint64_t peers)
{
    char *answer = malloc(ANSWER_MAX), path[96] = "/heartbeat?peer_id=";
    size_t head = strlen(path);
    double start = now_s();
    int fd = dial(port);

    if (answer == NULL)
        die("out of memory");
    for (uint64_t i = 0; i < peers; i++) {
        make_id(i, path + head);
        ask(fd, path);
        if (receive(fd, answer) != 200)
            die(answer);
    }
    printf("peers=%llu seconds=%.2f\n", (unsigned long long)peers, now_s() - start);
    free(answer);
    close(fd);
}

int
main(int argc, char **argv)
{
    const char *what = argc > 2 ? argv[1] : "";
    uint64_t n[8] = {0};

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
    else if (strcmp(what, "beat") == 0 && argc == 4)
        beat((unsigned)n[0], n[1]);
    else if (strcmp(what, "id") == 0 && argc == 3) {
        char hex[65];

        make_id(n[0], hex);
        puts(hex);
    } else {
        fputs("usage: see the top of tests/bench/registry_load.c\n", stderr);
        return 2;
    }
    return 0;
}
