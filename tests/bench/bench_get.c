/*
 * One download with the engine, measured: bench_get KEYS DOWNLOADS NAME HOST:PORT[,HOST:PORT...]
 *     [tree|full] [CONNECTIONS] [PROTOCOL]
 * Prints one line of key=value: seconds until it is published, core-seconds, peak memory, first byte.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "p2p/download.h"
#include "p2p/log.h"
#include "p2p/net.h"

struct watch {
    uint64_t began_ms, first_ms, verified_ms;
    struct p2p_download_status last;
};

static void
on_event(void *arg, const struct p2p_download_status *status)
{
    struct watch *w = arg;

    if (w->first_ms == 0 && status->received > 0)
        w->first_ms = p2p_now_ms();
    if (w->verified_ms == 0 && status->state == P2P_DL_VERIFYING &&
        status->verified == status->size)
        w->verified_ms = p2p_now_ms();
    w->last = *status;
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
    printf("result=%s seconds=%.3f verified_s=%.3f first_ms=%llu core_s=%.3f rss_mib=%ld "
           "received=%llu size=%llu stored=\"%s\"\n",
           p2p_err_name(err), (double)(ended_ms - w->began_ms) / 1000,
           w->verified_ms ? (double)(w->verified_ms - w->began_ms) / 1000 : 0,
           (unsigned long long)(w->first_ms ? w->first_ms - w->began_ms : 0),
           core_seconds(), u.ru_maxrss / 1024, (unsigned long long)w->last.received,
           (unsigned long long)w->last.size, w->last.stored);
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
    opt.verify = argc > 5 && strcmp(argv[5], "tree") == 0 ? P2P_VERIFY_TREE
                                                          : P2P_VERIFY_FULL;
    opt.connections = argc > 6 ? (unsigned)atoi(argv[6]) : 0;
    opt.protocol = argc > 7 ? atoi(argv[7]) : 2;
    watch.began_ms = p2p_now_ms();
    enum p2p_err err = p2p_download_start(&opt, on_event, &watch, &dl);
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
