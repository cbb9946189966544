/*
 * One download with the engine, measured: bench_get KEYS DOWNLOADS NAME
 * HOST:PORT[,HOST:PORT...] [tree|full] [CONNECTIONS] [PROTOCOL] BENCH_KILL_AT=BYTES in
 * the environment: kill -9 of itself once so much is verified. Prints one line of
 * key=value: seconds until it is published, core-seconds, peak memory, first byte.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "p2p/download.h"
#include "p2p/log.h"
#include "p2p/net.h"

struct watch {
    bool full;
    uint64_t began_ms, first_ms, verified_ms, resumed;
    uint64_t kill_at; /* verified bytes at which this process kills itself */
    struct p2p_download_status last;
};

static void
on_event(void *arg, const struct p2p_download_status *status)
{
    struct watch *w = arg;

    if (w->last.state == P2P_DL_CONNECTING && status->state == P2P_DL_DOWNLOADING)
        w->resumed = status->verified;
    if (w->verified_ms == 0 && status->state == P2P_DL_VERIFYING &&
        status->verified == status->size &&
        (!w->full || status->hashed == status->size))
        w->verified_ms = p2p_now_ms();
    w->last = *status;
    if (w->kill_at > 0 && status->verified >= w->kill_at) {
        printf("killed verified=%llu received=%llu\n",
               (unsigned long long)status->verified,
               (unsigned long long)status->received);
        fflush(stdout);
        raise(SIGKILL);
    }
}

/* Finer than events come. */
static void
watch_first_byte(struct watch *w, struct p2p_download *dl)
{
    struct p2p_download_status status = {0};

    while (dl != NULL && status.received == 0 && status.state < P2P_DL_VERIFYING) {
        usleep(1000);
        p2p_download_status(dl, &status);
    }
    w->first_ms = p2p_now_ms();
}

static size_t
parse_sources(char *text, struct p2p_source_spec *out, size_t max)
{
    size_t count = 0;

    for (char *part = strtok(text, ","); part && count < max; part = strtok(NULL, ","))
        if (p2p_addr_parse(part, 9000, &out[count].addr) == P2P_OK)
            count++;
    return count;
}

static double
core_seconds(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void
print_result(const struct watch *w, enum p2p_err err, uint64_t ended_ms)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    printf(
        "result=%s seconds=%.3f verified_s=%.3f first_ms=%llu core_s=%.3f rss_mib=%ld "
        "received=%llu resumed=%llu size=%llu stored=\"%s\"\n",
        p2p_err_name(err), (double)(ended_ms - w->began_ms) / 1000,
        w->verified_ms ? (double)(w->verified_ms - w->began_ms) / 1000 : 0,
        (unsigned long long)(w->first_ms ? w->first_ms - w->began_ms : 0),
        core_seconds(), u.ru_maxrss / 1024, (unsigned long long)w->last.received,
        (unsigned long long)w->resumed, (unsigned long long)w->last.size,
        w->last.stored);
}

int
main(int argc, char **argv)
{
    struct p2p_source_spec sources[P2P_DOWNLOAD_SOURCES_MAX] = {0};
    struct p2p_download_options opt = {.conflict = P2P_CONFLICT_OVERWRITE,
                                       .sources = sources};
    struct p2p_identity *identity = NULL;
    struct p2p_root *root = NULL;
    struct p2p_download *dl = NULL;
    struct watch watch = {0};
    char why[256] = "";

    if (argc < 5)
        return 2;
    p2p_log_init("bench_get", P2P_LOG_WARN);
    if (p2p_crypto_init() != P2P_OK ||
        p2p_identity_open(argv[1], true, NULL, NULL, &identity, why, sizeof(why)) ||
        p2p_root_open(argv[2], true, 0700, &root) != P2P_OK) {
        fprintf(stderr, "cannot begin %s\n", why);
        return 1;
    }
    opt.identity = identity;
    opt.downloads = root;
    opt.name = argv[3];
    opt.source_count = parse_sources(argv[4], sources, P2P_DOWNLOAD_SOURCES_MAX);
    opt.verify =
        argc > 5 && strcmp(argv[5], "tree") == 0 ? P2P_VERIFY_TREE : P2P_VERIFY_FULL;
    opt.connections = argc > 6 ? (unsigned)atoi(argv[6]) : 0;
    opt.protocol = argc > 7 ? atoi(argv[7]) : 2;
    watch.full = opt.verify == P2P_VERIFY_FULL;
    if (getenv("BENCH_KILL_AT") != NULL)
        watch.kill_at = strtoull(getenv("BENCH_KILL_AT"), NULL, 10);
    watch.began_ms = p2p_now_ms();
    enum p2p_err err = p2p_download_start(&opt, on_event, &watch, &dl);
    watch_first_byte(&watch, dl);
    if (err == P2P_OK)
        err = p2p_download_wait(dl);
    print_result(&watch, err, p2p_now_ms());
    if (err != P2P_OK)
        fprintf(stderr, "%s: %s\n", p2p_err_name(err), watch.last.message);
    p2p_download_free(dl);
    p2p_root_close(root);
    p2p_identity_close(identity);
    return p2p_err_exit_status(err);
}
