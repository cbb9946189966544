/*
 * One round: list the source, compare, decide, download, remove, record.
 *
 * A round that is killed anywhere is repeated by the next one, which finds the contents
 * that have arrived by their roots. What the brake counts is written before it happens.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/keep/versions_internal.h"
#include "core/mirror/mirror_internal.h"
#include "p2p/clock.h"
#include "p2p/download.h"
#include "p2p/io.h"
#include "p2p/log.h"

#define WINDOW_S    (24 * 3600)
#define BATCH       5000
#define POLL_MS     250
#define LABEL       "mirror/"
#define WAIT_FOR_MS 600000 /* that a source stays away during a download */

/* What is known about one name. */
struct step {
    const char *name; /* in the mirror's folder; borrowed */
    const struct p2p_mirror_file *source;
    const struct p2p_applied_file *known;
    enum p2p_mirror_act act;
    bool is_there, is_unread; /* the file here */
    struct p2p_digest here;
    struct p2p_file_state state;
    uint64_t disk;
};

struct round {
    const struct p2p_keeper_options *opt;
    struct p2p_mirror *job;
    bool (*stop)(void *arg);
    void *stop_arg;
    struct p2p_root *root;
    struct p2p_versions *versions; /* NULL: it cannot have any */
    struct p2p_applied *applied;
    struct p2p_applied_list known;
    struct p2p_mirror_source source;
    struct step *steps;
    size_t count;
    const char **names; /* of the source */
    bool is_braked, no_history;
    size_t failed;
    enum p2p_err failure; /* of the first file that failed */
};

__attribute__((format(printf, 4, 5))) static void
say(struct p2p_mirror *job, enum p2p_mirror_state state, enum p2p_err error,
    const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(job->message, sizeof(job->message), format, args);
    va_end(args);
    job->state = state;
    job->error = error;
}

static bool
is_stopped(const struct round *r)
{
    return r->stop(r->stop_arg);
}

/* False: the name is too long here. */
static bool
name_here(const struct round *r, const char *name, char out[P2P_NAME_MAX + 1])
{
    const char *prefix = r->job->prefix;
    int n = snprintf(out, P2P_NAME_MAX + 1, "%s%s%s", prefix,
                     prefix[0] != '\0' ? "/" : "", name);

    return n > 0 && n <= P2P_NAME_MAX && p2p_name_check(out, (size_t)n, true) == P2P_OK;
}

/* ---- Opening ---- */

static bool
open_target(struct round *r)
{
    struct p2p_mirror *job = r->job;
    enum p2p_err err = p2p_root_open(job->base, false, 0755, &r->root);

    if (err == P2P_OK)
        err = p2p_applied_open(r->root, job->id, false, &r->applied);
    if (err == P2P_ERR_NOT_FOUND)
        say(job, P2P_MIRROR_AWAY, err,
            "the folder here is missing or empty: mount its disk; nothing was changed");
    else if (err == P2P_ERR_PERMISSION)
        say(job, P2P_MIRROR_FAILED, err,
            "this program may not write to the folder here: if it is p2p-ui, restart "
            "it once, because the folder is new to it");
    else if (err != P2P_OK)
        say(job, P2P_MIRROR_FAILED, err, "cannot open the folder here: %s",
            p2p_err_text(err));
    if (err != P2P_OK)
        return false;
    err = p2p_versions_open(r->root, &r->versions);
    if (err != P2P_OK)
        p2p_log_warn("a mirror cannot keep old versions, so it changes nothing "
                     "folder=%s error=%s",
                     job->base, p2p_err_name(err));
    err = p2p_applied_load(r->applied, &r->known);
    if (err != P2P_OK)
        say(job, P2P_MIRROR_FAILED, err, "cannot read the record of the mirror: %s",
            p2p_err_text(err));
    return err == P2P_OK;
}

static bool
read_source(struct round *r)
{
    struct p2p_mirror *job = r->job;
    enum p2p_err err = p2p_mirror_connect(r->opt, job, &r->source);

    if (err != P2P_OK) {
        bool is_away = p2p_err_class(err) == P2P_CLASS_AGAIN ||
                       err == P2P_ERR_UNREACHABLE || err == P2P_ERR_TIMEOUT;
        say(job, is_away ? P2P_MIRROR_AWAY : P2P_MIRROR_FAILED, err,
            "cannot connect to the source: %s", p2p_err_text(err));
        return false;
    }
    err = p2p_mirror_read_list(job, &r->source);
    if (err != P2P_OK) {
        say(job, P2P_MIRROR_FAILED, err, "cannot list the source: %s",
            p2p_err_text(err));
        return false;
    }
    job->files = r->source.count;
    job->bytes = r->source.bytes;
    if (job->quota > 0 && job->bytes > job->quota) {
        say(job, P2P_MIRROR_WAITING, P2P_ERR_QUOTA,
            "the source has more bytes than --quota allows; nothing was downloaded");
        return false;
    }
    return true;
}

/* ---- Comparing ---- */

static enum p2p_err
hash_here(const struct round *r, const char *target, struct step *s)
{
    struct stat before, after;
    int fd = -1;
    enum p2p_err err = p2p_root_open_file(r->root, target, &fd, &before);

    if (err == P2P_OK)
        err = p2p_versions_hash(fd, (uint64_t)before.st_size, r->stop, r->stop_arg,
                                &s->here);
    if (err == P2P_OK && fstat(fd, &after) != 0)
        err = P2P_ERR_SYS;
    p2p_fd_close(&fd);
    if (err != P2P_OK)
        return err;
    const struct p2p_file_state a = p2p_file_state_of(&before),
                                b = p2p_file_state_of(&after);
    s->state = b;
    return p2p_file_state_compare(&a, &b) == P2P_FILE_CHANGED ? P2P_ERR_FILE_CHANGED
                                                              : P2P_OK;
}

static void
look_here(const struct round *r, struct step *s)
{
    const struct p2p_applied_file *k = s->known;
    char target[P2P_NAME_MAX + 1];
    struct stat st;

    if (!name_here(r, s->name, target) || p2p_root_stat(r->root, target, &st) != P2P_OK)
        return;
    s->is_there = true;
    s->state = p2p_file_state_of(&st);
    s->disk = (uint64_t)st.st_blocks * 512;
    if (k != NULL && k->size == s->state.size && k->inode == s->state.inode &&
        k->mtime_ns == s->state.mtime_ns)
        s->here = k->seen;
    else
        s->is_unread = hash_here(r, target, s) != P2P_OK;
}

static void
decide(const struct round *r, struct step *s)
{
    const struct p2p_mirror_name name = {
        .source = s->source != NULL ? &s->source->root : NULL,
        .here = s->is_there && !s->is_unread ? &s->here : NULL,
        .put = s->known != NULL && s->known->is_put ? &s->known->put : NULL,
        .is_unread = s->is_unread,
        .follows = r->job->deletes,
    };

    s->act = p2p_mirror_decide(&name);
}

/* Both lists are sorted. */
static enum p2p_err
compare(struct round *r)
{
    const struct p2p_mirror_source *src = &r->source;
    const struct p2p_applied_list *known = &r->known;
    size_t i = 0, k = 0;

    r->steps = calloc(src->count + known->count + 1, sizeof(*r->steps));
    r->names = calloc(src->count + 1, sizeof(*r->names));
    if (r->steps == NULL || r->names == NULL)
        return P2P_ERR_NOMEM;
    while (i < src->count || k < known->count) {
        struct step *s = &r->steps[r->count++];
        int order = i == src->count     ? 1
                    : k == known->count ? -1
                                        : strcmp(src->files[i].name, known->at[k].name);
        if (is_stopped(r))
            return P2P_ERR_CANCELLED;
        if (order >= 0)
            s->known = &known->at[k++];
        if (order <= 0) {
            r->names[i] = src->files[i].name;
            s->source = &src->files[i++];
        }
        s->name = s->source != NULL ? s->source->name : s->known->name;
        look_here(r, s);
        decide(r, s);
    }
    return P2P_OK;
}

/* ---- What waits ---- */

static int
by_root(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct p2p_digest));
}

/* The roots of the source, sorted; owned by the caller. */
static struct p2p_digest *
sorted_roots(const struct p2p_mirror_source *src)
{
    struct p2p_digest *roots = calloc(src->count + 1, sizeof(*roots));

    for (size_t i = 0; roots != NULL && i < src->count; i++)
        roots[i] = src->files[i].root;
    if (roots != NULL && src->count > 0)
        qsort(roots, src->count, sizeof(*roots), by_root);
    return roots;
}

/* A name that is missing in one list may be back in the next: a source that has just
 * started may not know all its files yet. */
static bool
is_confirmed(struct round *r, const struct step *s)
{
    struct p2p_meta meta;
    char name[P2P_NAME_MAX + 1];
    const char *folder = r->job->folder;

    if (!p2p_applied_was_missing(r->applied, s->name))
        return false;
    if (snprintf(name, sizeof(name), "%s%s%s", folder, folder[0] != '\0' ? "/" : "",
                 s->name) > P2P_NAME_MAX)
        return true;
    return p2p_conn_meta_by_name(r->source.conn, name, &meta) == P2P_ERR_NOT_FOUND;
}

static enum p2p_err
confirm_removals(struct round *r)
{
    enum p2p_err err = P2P_OK;

    for (size_t i = 0; i < r->count; i++) {
        struct step *s = &r->steps[i];
        if (s->act == P2P_MIRROR_REMOVE && !is_confirmed(r, s))
            s->act = P2P_MIRROR_LATER;
    }
    if ((err = p2p_applied_begin(r->applied)) != P2P_OK)
        return err;
    err = p2p_applied_miss_none(r->applied);
    for (size_t i = 0; i < r->count && err == P2P_OK; i++)
        if (r->steps[i].source == NULL)
            err = p2p_applied_miss(r->applied, r->steps[i].name);
    return p2p_applied_end(r->applied, err);
}

static bool
is_change(const struct step *s)
{
    return s->act == P2P_MIRROR_REPLACE || s->act == P2P_MIRROR_REMOVE;
}

static const struct p2p_digest *
root_of(const struct step *s)
{
    return s->source != NULL ? &s->source->root : NULL;
}

static size_t
collect_changes(struct round *r, const struct p2p_digest *roots,
                struct p2p_mirror_change *changes)
{
    size_t n = 0;

    for (size_t i = 0; i < r->count; i++) {
        const struct step *s = &r->steps[i];
        if (!is_change(s))
            continue;
        changes[n++] = (struct p2p_mirror_change){
            .name = s->name,
            .is_removal = s->act == P2P_MIRROR_REMOVE,
            .is_moved = s->act == P2P_MIRROR_REMOVE && r->source.count > 0 &&
                        bsearch(&s->here, roots, r->source.count, sizeof(*roots),
                                by_root) != NULL,
            .is_accepted = p2p_applied_is_accepted(r->applied, s->name, root_of(s)),
        };
    }
    return n;
}

/* Only what the history can keep may go. */
static void
hold_without_history(struct round *r, struct p2p_mirror_change *changes)
{
    uint64_t bytes = 0;
    size_t n = 0;

    for (size_t i = 0; i < r->count; i++) {
        const struct step *s = &r->steps[i];
        if (!is_change(s))
            continue;
        struct p2p_mirror_change *c = &changes[n++];
        if (c->is_held)
            continue;
        if (!r->no_history)
            r->no_history = r->versions == NULL ||
                            !p2p_versions_has_room(r->versions, bytes + s->disk);
        c->is_held = r->no_history;
        bytes += s->disk;
    }
}

/* Counts what will happen before it happens, and notes what is held. */
static enum p2p_err
note_changes(struct round *r, const struct p2p_mirror_change *changes, uint64_t now_k)
{
    struct p2p_mirror *job = r->job;
    uint64_t spent = 0;
    size_t n = 0;
    enum p2p_err err = p2p_applied_begin(r->applied);

    if (err != P2P_OK)
        return err;
    err = p2p_applied_hold_none(r->applied);
    for (size_t i = 0; i < r->count && err == P2P_OK; i++) {
        struct step *s = &r->steps[i];
        if (!is_change(s))
            continue;
        const struct p2p_mirror_change *c = &changes[n++];
        if (!c->is_held) {
            spent += !c->is_accepted && !c->is_moved;
            continue;
        }
        if (!c->is_accepted)
            err = p2p_applied_hold(r->applied, s->name, root_of(s));
        job->held_removals += c->is_removal;
        job->held_changes += !c->is_removal;
        s->act = P2P_MIRROR_NOTHING;
    }
    if (err == P2P_OK && spent > 0)
        err = p2p_applied_spend(r->applied, now_k, spent);
    return p2p_applied_end(r->applied, err);
}

static enum p2p_err
hold_back(struct round *r)
{
    struct p2p_mirror_change *changes = calloc(r->count + 1, sizeof(*changes));
    struct p2p_digest *roots = sorted_roots(&r->source);
    uint64_t now_k = r->versions != NULL ? p2p_versions_now(r->versions) : 0;
    uint64_t spent = 0;
    enum p2p_err err = changes != NULL && roots != NULL ? P2P_OK : P2P_ERR_NOMEM;

    if (err == P2P_OK)
        err = p2p_applied_spent(r->applied, now_k > WINDOW_S ? now_k - WINDOW_S : 0,
                                &spent);
    if (err == P2P_OK) {
        size_t n = collect_changes(r, roots, changes);
        r->is_braked = p2p_mirror_hold(changes, n, r->names, r->source.count,
                                       r->known.count, spent);
        hold_without_history(r, changes);
        err = note_changes(r, changes, now_k);
    }
    free(roots);
    free(changes);
    return err;
}

/* ---- Downloading ---- */

/* What is here now under the name. Without a `root`, the next round reads it. */
static enum p2p_err
record(struct round *r, const struct step *s, const struct p2p_file_state *state)
{
    const struct p2p_applied_file file = {
        .name = (char *)(uintptr_t)s->name,
        .is_put = true,
        .put = s->source->root,
        .seen = s->source->root,
        .size = state->size,
        .inode = state->inode,
        .mtime_ns = state->mtime_ns,
    };

    return p2p_applied_put(r->applied, &file);
}

/* A file with another time was written by somebody else since it was published. */
static void
note_arrival(struct round *r, const struct step *s, const char *target)
{
    struct stat st;

    if (p2p_root_stat(r->root, target, &st) != P2P_OK)
        return;
    struct p2p_file_state state = p2p_file_state_of(&st);
    if (state.size != s->source->size || (uint64_t)st.st_mtime != s->source->mtime_s)
        state.inode = 0;
    if (record(r, s, &state) != P2P_OK)
        p2p_log_warn("cannot write the record of a mirror folder=%s", r->job->base);
}

static enum p2p_err
wait_for(struct round *r, struct p2p_download *dl)
{
    struct p2p_download_status *status = calloc(1, sizeof(*status));
    enum p2p_err space = P2P_OK;
    bool is_over = status == NULL;

    while (!is_over) {
        p2p_download_status(dl, status);
        is_over = status->state == P2P_DL_COMPLETED || status->state == P2P_DL_FAILED ||
                  status->state == P2P_DL_CANCELLED;
        if (status->state == P2P_DL_PAUSED && p2p_err_is_space(status->error))
            space = status->error;
        if (!is_over && (space != P2P_OK || is_stopped(r))) {
            p2p_download_cancel(dl, true);
            is_over = true;
        }
        if (!is_over)
            usleep(POLL_MS * 1000);
    }
    free(status);
    enum p2p_err err = p2p_download_wait(dl);
    return space != P2P_OK ? space : err;
}

struct batch {
    struct p2p_wanted *wanted;
    size_t *steps;
    char (*targets)[P2P_NAME_MAX + 1];
    size_t count;
};

static enum p2p_err
download(struct round *r, const struct batch *b)
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
fill(struct round *r, struct batch *b, size_t *next)
{
    b->count = 0;
    for (; *next < r->count && b->count < BATCH; ++*next) {
        const struct step *s = &r->steps[*next];
        char *target = b->targets[b->count];
        if (s->act != P2P_MIRROR_FETCH && s->act != P2P_MIRROR_REPLACE)
            continue;
        if (!name_here(r, s->name, target)) {
            r->failed++;
            r->failure = P2P_ERR_NAME;
            continue;
        }
        b->steps[b->count] = *next;
        b->wanted[b->count++] = (struct p2p_wanted){.name = s->name,
                                                    .save_as = target,
                                                    .root = s->source->root,
                                                    .size = s->source->size,
                                                    .mtime_s = s->source->mtime_s};
    }
}

/* A failure of some files does not end the round; a full disk does. */
static enum p2p_err
download_all(struct round *r)
{
    struct batch b = {.wanted = calloc(BATCH, sizeof(*b.wanted)),
                      .steps = calloc(BATCH, sizeof(*b.steps)),
                      .targets = calloc(BATCH, sizeof(*b.targets))};
    enum p2p_err err = P2P_OK;

    if (b.wanted == NULL || b.steps == NULL || b.targets == NULL)
        err = P2P_ERR_NOMEM;
    for (size_t next = 0; next < r->count && err == P2P_OK && !is_stopped(r);) {
        fill(r, &b, &next);
        enum p2p_err one = b.count > 0 ? download(r, &b) : P2P_OK;
        if (p2p_err_is_space(one) || one == P2P_ERR_READ_ONLY || one == P2P_ERR_NOMEM)
            err = one;
    }
    free(b.wanted);
    free(b.steps);
    free(b.targets);
    return err;
}

/* ---- Removing and recording ---- */

static enum p2p_err
remove_here(struct round *r, const struct step *s)
{
    char target[P2P_NAME_MAX + 1];
    struct stat st;
    const struct p2p_mailbox_old old = {.root_known = true,
                                        .root = s->here,
                                        .size = s->state.size,
                                        .inode = s->state.inode,
                                        .mtime_ns = s->state.mtime_ns};

    if (!name_here(r, s->name, target) || p2p_root_stat(r->root, target, &st) != P2P_OK)
        return P2P_ERR_NOT_FOUND;
    const struct p2p_file_state now = p2p_file_state_of(&st);
    if (p2p_file_state_compare(&s->state, &now) == P2P_FILE_CHANGED)
        return P2P_ERR_FILE_CHANGED;
    return p2p_mailbox_take(r->root, target, &old);
}

/* True if what is known about a file that is in step is no longer right. */
static bool
is_news(const struct step *s)
{
    return s->act == P2P_MIRROR_RECORD ||
           (s->act == P2P_MIRROR_NOTHING && s->source != NULL && s->known != NULL &&
            memcmp(&s->here, &s->source->root, sizeof(s->here)) == 0 &&
            (s->known->inode != s->state.inode ||
             s->known->mtime_ns != s->state.mtime_ns));
}

static enum p2p_err
finish_step(struct round *r, const struct step *s)
{
    if (s->act == P2P_MIRROR_FORGET)
        return p2p_applied_drop(r->applied, s->name);
    if (is_news(s))
        return record(r, s, &s->state);
    if (s->act != P2P_MIRROR_REMOVE)
        return P2P_OK;
    enum p2p_err err = remove_here(r, s);
    if (err == P2P_OK || err == P2P_ERR_NOT_FOUND)
        return p2p_applied_drop(r->applied, s->name);
    r->failed++;
    r->failure = err;
    return P2P_OK;
}

static enum p2p_err
remove_and_record(struct round *r)
{
    enum p2p_err err = p2p_applied_begin(r->applied);

    if (err != P2P_OK)
        return err;
    for (size_t i = 0; i < r->count && err == P2P_OK; i++)
        err = finish_step(r, &r->steps[i]);
    return p2p_applied_end(r->applied, err);
}

/* ---- The result ---- */

static void
say_waiting(struct round *r)
{
    struct p2p_mirror *job = r->job;
    unsigned long long changes = job->held_changes, removals = job->held_removals;

    if (r->no_history)
        say(job, P2P_MIRROR_WAITING, P2P_ERR_DISK_FULL,
            "%llu changed and %llu deleted files wait, because their old contents "
            "cannot be kept: give versions more room (p2p versions show)",
            changes, removals);
    else if (r->is_braked)
        say(job, P2P_MIRROR_WAITING, P2P_OK,
            "%llu changed and %llu deleted files at once: look at the source, then run "
            "p2p mirror accept %s",
            changes, removals, job->id);
    else
        say(job, P2P_MIRROR_WAITING, P2P_OK,
            "%llu deleted files would leave a folder empty: look at the source, then "
            "run p2p mirror accept %s",
            removals, job->id);
}

static void
sum_up(struct round *r, enum p2p_err err)
{
    struct p2p_mirror *job = r->job;

    for (size_t i = 0; i < r->count; i++)
        job->todo += r->steps[i].act == P2P_MIRROR_LATER;
    job->todo += r->failed + job->held_changes + job->held_removals;
    if (is_stopped(r))
        return;
    if (p2p_err_is_space(err))
        say(job, P2P_MIRROR_WAITING, err,
            "the disk is full; the mirror continues automatically");
    else if (err != P2P_OK)
        say(job, P2P_MIRROR_FAILED, err, "%s", p2p_err_text(err));
    else if (r->failed > 0)
        say(job, P2P_MIRROR_FAILED, r->failure, "%zu files could not be mirrored: %s",
            r->failed, p2p_err_text(r->failure));
    else if (job->held_changes + job->held_removals > 0)
        say_waiting(r);
    else if (job->todo > 0)
        say(job, P2P_MIRROR_WORKING, P2P_OK, "%llu files are looked at again soon",
            (unsigned long long)job->todo);
    else {
        say(job, P2P_MIRROR_IN_STEP, P2P_OK, "%s", "");
        job->in_step_s = p2p_time_s();
    }
    job->checked_s = p2p_time_s();
}

static enum p2p_err
run(struct round *r)
{
    enum p2p_err err = compare(r);

    if (err == P2P_OK)
        err = confirm_removals(r);
    if (err == P2P_OK)
        err = hold_back(r);
    if (err == P2P_OK)
        err = download_all(r);
    /* A source that is cut off in a round lists nothing wrong: what it had listed still
     * holds. */
    if (err == P2P_OK && !is_stopped(r))
        err = remove_and_record(r);
    if (r->versions != NULL && p2p_versions_tend(r->versions) != P2P_OK)
        p2p_log_debug("a mirror cannot record old versions now");
    return err;
}

void
p2p_mirror_round(const struct p2p_keeper_options *opt, struct p2p_mirror *job,
                 bool (*stop)(void *arg), void *arg)
{
    struct round r = {.opt = opt, .job = job, .stop = stop, .stop_arg = arg};

    job->held_changes = job->held_removals = job->todo = 0;
    if (open_target(&r) && read_source(&r))
        sum_up(&r, run(&r));
    free(r.steps);
    free(r.names);
    p2p_applied_list_clear(&r.known);
    p2p_mirror_source_clear(&r.source);
    p2p_versions_close(r.versions);
    p2p_applied_close(r.applied);
    p2p_root_close(r.root);
}
