/*
 * Downloading: the files that are missing or have changed, in batches, each a download
 * of its own that keeps the old contents as versions.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/mirror/round.h"
#include "p2p/download.h"
#include "p2p/log.h"

#define BATCH       5000
#define POLL_MAX_MS 250
#define LABEL       "mirror/"

/* A file with another time was written by somebody else since it was published. */
static void
note_arrival(struct p2p_round *r, const struct p2p_round_step *s, const char *target)
{
    struct stat st;

    if (p2p_root_stat(r->root, target, &st) != P2P_OK)
        return;
    struct p2p_file_state state = p2p_file_state_of(&st);
    if (state.size != s->source->size || (uint64_t)st.st_mtime != s->source->mtime_s)
        state.inode = 0;
    if (p2p_round_record(r, s, &state) != P2P_OK)
        p2p_log_warn("cannot write the record of a mirror folder=%s", r->job->base);
}

static enum p2p_err
wait_for(struct p2p_round *r, struct p2p_download *dl)
{
    struct p2p_download_status *status = calloc(1, sizeof(*status));
    enum p2p_err space = P2P_OK;
    bool is_over = status == NULL;
    unsigned pause_ms = 4; /* a small download is over soon */

    while (!is_over) {
        p2p_download_status(dl, status);
        is_over = status->state == P2P_DL_COMPLETED || status->state == P2P_DL_FAILED ||
                  status->state == P2P_DL_CANCELLED;
        if (status->state == P2P_DL_PAUSED && p2p_err_is_space(status->error))
            space = status->error;
        if (!is_over && (space != P2P_OK || p2p_round_is_stopped(r))) {
            p2p_download_cancel(dl, true);
            is_over = true;
        }
        if (!is_over) {
            usleep(pause_ms * 1000);
            pause_ms = pause_ms < POLL_MAX_MS / 2 ? 2 * pause_ms : POLL_MAX_MS;
        }
    }
    free(status);
    enum p2p_err err = p2p_download_wait(dl);
    return space != P2P_OK ? space : err;
}

struct batch {
    struct p2p_wanted *wanted;
    size_t *steps;
    char (*targets)[P2P_NAME_MAX + 1];
    char (*bases)[P2P_NAME_MAX + 1];
    size_t count;
    const struct p2p_round_step **here; /* files that are here, sorted by content */
    size_t here_count;
};

/* ---- Files that were renamed or copied at the source ---- */

static int
by_content(const void *a, const void *b)
{
    const struct p2p_round_step *x = *(const struct p2p_round_step *const *)a,
                                *y = *(const struct p2p_round_step *const *)b;

    return memcmp(&x->here, &y->here, sizeof(x->here));
}

static int
has_content(const void *root, const void *item)
{
    const struct p2p_round_step *s = *(const struct p2p_round_step *const *)item;

    return memcmp(root, &s->here, sizeof(s->here));
}

static enum p2p_err
sort_contents(const struct p2p_round *r, struct batch *b)
{
    b->here = calloc(r->count + 1, sizeof(*b->here));
    if (b->here == NULL)
        return P2P_ERR_NOMEM;
    for (size_t i = 0; i < r->count; i++)
        if (r->steps[i].is_there && !r->steps[i].is_unread)
            b->here[b->here_count++] = &r->steps[i];
    if (b->here_count > 0)
        qsort(b->here, b->here_count, sizeof(*b->here), by_content);
    return P2P_OK;
}

/* A file here that has the content; NULL: there is none. Files are removed only after
 * all downloads. */
static const char *
find_base(const struct p2p_round *r, const struct batch *b,
          const struct p2p_digest *root, char out[P2P_NAME_MAX + 1])
{
    const struct p2p_round_step **found =
        b->here_count > 0
            ? bsearch(root, b->here, b->here_count, sizeof(*b->here), has_content)
            : NULL;

    return found != NULL && p2p_round_name_here(r, (*found)->name, out) ? out : NULL;
}

/* ---- Downloading ---- */

static enum p2p_err
download(struct p2p_round *r, const struct batch *b)
{
    char others[P2P_PEER_OTHERS_TEXT] = "";
    struct p2p_source_spec spec = {
        .addr = r->source.at[0], .id = &r->job->peer, .by_user = true};
    struct p2p_download_options opt = {
        .identity = r->opt->identity,
        .downloads = r->root,
        .name = LABEL,
        .conflict = P2P_CONFLICT_VERSION,
        .sources = &spec,
        .source_count = 1,
        .reach = r->opt->reach,
        .rate = r->opt->rate,
        .verify = P2P_VERIFY_TREE,
        .keep_free = P2P_KEEP_FREE,
        .list = b->wanted,
        .list_count = b->count,
    };
    struct p2p_download *dl = NULL;
    enum p2p_err err;

    for (size_t i = 1; i < r->source.at_count; i++)
        (void)p2p_addr_list_add(others, sizeof(others), &r->source.at[i]);
    memcpy(spec.others, others, sizeof(others));
    err = p2p_download_start(&opt, NULL, NULL, &dl);
    if (err != P2P_OK)
        return err;
    err = wait_for(r, dl);
    enum p2p_err one = p2p_applied_begin(r->applied);
    for (size_t i = 0; i < b->count && one == P2P_OK; i++)
        if (p2p_download_has_file(dl, i))
            note_arrival(r, &r->steps[b->steps[i]], b->targets[i]);
        else {
            r->failed++;
            if (r->failure == P2P_OK)
                r->failure = err != P2P_OK ? err : P2P_ERR_NOT_FOUND;
        }
    if (one == P2P_OK)
        one = p2p_applied_end(r->applied, P2P_OK);
    p2p_download_free(dl);
    return one != P2P_OK ? one : err;
}

static void
fill(struct p2p_round *r, struct batch *b, size_t *next)
{
    b->count = 0;
    for (; *next < r->count && b->count < BATCH; ++*next) {
        const struct p2p_round_step *s = &r->steps[*next];
        char *target = b->targets[b->count];
        if (s->act != P2P_MIRROR_FETCH && s->act != P2P_MIRROR_REPLACE)
            continue;
        if (!p2p_round_name_here(r, s->name, target)) {
            r->failed++;
            r->failure = P2P_ERR_NAME;
            continue;
        }
        b->steps[b->count] = *next;
        b->wanted[b->count] = (struct p2p_wanted){
            .name = s->name,
            .save_as = target,
            .base = find_base(r, b, &s->source->root, b->bases[b->count]),
            .root = s->source->root,
            .size = s->source->size,
            .mtime_s = s->source->mtime_s};
        b->count++;
    }
}

enum p2p_err
p2p_round_fetch(struct p2p_round *r)
{
    struct batch b = {.wanted = calloc(BATCH, sizeof(*b.wanted)),
                      .steps = calloc(BATCH, sizeof(*b.steps)),
                      .targets = calloc(BATCH, sizeof(*b.targets)),
                      .bases = calloc(BATCH, sizeof(*b.bases))};
    enum p2p_err err = P2P_OK;

    if (b.wanted == NULL || b.steps == NULL || b.targets == NULL || b.bases == NULL)
        err = P2P_ERR_NOMEM;
    if (err == P2P_OK)
        err = sort_contents(r, &b);
    for (size_t next = 0;
         next < r->count && err == P2P_OK && !p2p_round_is_stopped(r);) {
        fill(r, &b, &next);
        enum p2p_err one = b.count > 0 ? download(r, &b) : P2P_OK;
        if (p2p_err_is_space(one) || one == P2P_ERR_READ_ONLY || one == P2P_ERR_NOMEM)
            err = one;
    }
    free(b.wanted);
    free(b.steps);
    free(b.targets);
    free(b.bases);
    free(b.here);
    return err;
}
