/* Regularly asks the registry which other peers have the content, and where those that
 * are silent are now. */
#include "core/download/file.h"

#include <stdlib.h>
#include <string.h>

#include "p2p/log.h"

#define INTERVAL_MS 15000
#define HURRY_MS \
    2000 /* first interval, doubled each time; also used while no source delivers */

/* Without a byte for this long, connections may lead to an address where the peer no
 * longer is. */
#define SILENT_MS 3000
#define LOOK_MS   500

struct dl_source_finder {
    struct p2p_download *dl;
    pthread_t thread;
    uint64_t received,
        heard_ms; /* bytes received at the last check; time of the last increase */
    bool stop P2P_GUARDED_BY(p2p_dl_lock);
};

static void
add_found(struct p2p_download *dl, const struct p2p_peer_list *list)
{
    const struct p2p_id *own = p2p_identity_id(dl->opt.identity);
    enum p2p_err err = P2P_OK;

    for (size_t i = 0; i < list->count && err != P2P_ERR_NOMEM; i++) {
        struct p2p_source_spec spec = {.addr = list->at[i].addr,
                                       .id = &list->at[i].id,
                                       .is_unreached = list->at[i].is_unreached};
        memcpy(spec.others, list->at[i].others, sizeof(spec.others));
        if (!p2p_id_equal(&list->at[i].id, own))
            err = p2p_dl_offer_source(dl, &spec, i); /* TOO_LARGE: better ones wait */
    }
}

/* True if no byte has arrived for a while. */
static bool
is_silent(struct dl_source_finder *f) P2P_REQUIRES(p2p_dl_lock)
{
    uint64_t now = p2p_now_ms();

    if (f->dl->report.received != f->received) {
        f->received = f->dl->report.received;
        f->heard_ms = now;
    }
    return now - f->heard_ms >= SILENT_MS;
}

static bool
somebody_delivers(struct dl_source_finder *f) P2P_REQUIRES(p2p_dl_lock)
{
    const struct p2p_download *dl = f->dl;

    if (is_silent(f))
        return false;
    for (size_t i = 0; i < dl->swarm.source_count; i++)
        if (dl->swarm.sources[i].workers > 0 && dl->swarm.sources[i].agreed)
            return true;
    return false;
}

static void
ask(struct dl_source_finder *f)
{
    struct p2p_download *dl = f->dl;
    struct p2p_peer_list list = {0};

    p2p_lock(&dl->lock);
    struct p2p_digest root = dl->file->meta.root;
    p2p_unlock(&dl->lock);
    enum p2p_err err = p2p_discovery_find_root(dl->opt.discovery, &root, &list);
    if (err == P2P_OK)
        add_found(dl, &list);
    p2p_peer_list_clear(&list);
    p2p_lock(&dl->lock);
    if (is_silent(f))
        p2p_dl_reconnect(dl);
    p2p_unlock(&dl->lock);
}

/* Waits for the next time to ask, in `interval_ms`, or sooner while no source delivers.
 * False: told to stop. */
static bool
rest(struct dl_source_finder *f, uint64_t interval_ms)
{
    struct p2p_download *dl = f->dl;

    p2p_lock(&dl->lock);
    uint64_t begin = p2p_now_ms(), now = begin;
    /* A silence may begin at any time. */
    while (!f->stop && now < begin + (somebody_delivers(f) ? interval_ms : HURRY_MS)) {
        p2p_dl_wait(dl, LOOK_MS);
        now = p2p_now_ms();
    }
    bool goes_on = !f->stop;
    p2p_unlock(&dl->lock);
    return goes_on;
}

static void *
finder_main(void *arg)
{
    struct dl_source_finder *f = arg;
    uint64_t interval_ms = HURRY_MS, pause_ms;

    do {
        ask(f);
        pause_ms = interval_ms;
        interval_ms = 2 * interval_ms < INTERVAL_MS ? 2 * interval_ms : INTERVAL_MS;
    } while (rest(f, pause_ms));
    return NULL;
}

enum p2p_err
p2p_dl_source_finder_start(struct p2p_download *dl, struct dl_source_finder **out)
{
    struct dl_source_finder *f = calloc(1, sizeof(*f));

    if (f == NULL)
        return P2P_ERR_NOMEM;
    f->dl = dl;
    f->heard_ms = p2p_now_ms();
    int rc = pthread_create(&f->thread, NULL, finder_main, f);
    if (rc != 0) {
        free(f);
        return p2p_err_from_errno(rc);
    }
    *out = f;
    return P2P_OK;
}

void
p2p_dl_source_finder_stop(struct dl_source_finder *f)
{
    if (f == NULL)
        return;
    p2p_lock(&f->dl->lock);
    f->stop = true;
    p2p_dl_wake(f->dl);
    p2p_unlock(&f->dl->lock);
    pthread_join(f->thread, NULL);
    free(f);
}
