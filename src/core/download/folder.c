/* The task of a folder: the existing files, and publishing in batches. */
#include "core/download/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/download/folder_large.h"
#include "core/journal/journal_file.h"
#include "core/journal/present.h"
#include "p2p/journal.h"
#include "p2p/log.h"
#include "p2p/probe.h"

#define LEFT_OVER_S (24 * 3600) /* no file of a folder takes longer than a day */
#define FLUSH_MS    3000 /* longest time that a small file waits to be published */

/* ---- The connections ---- */

/* True if this worker must ask for the list. */
static bool
take_turn(struct dl_worker *w)
{
    struct p2p_download *dl = w->dl;
    struct folder *f = dl->folder;
    struct dl_source *s;

    p2p_lock(&dl->lock);
    s = &dl->swarm.sources[w->source];
    s->id = *p2p_conn_peer(w->conn);
    s->id_known = true;
    s->state = P2P_SRC_ACTIVE;
    while (!w->stop && f->listing)
        p2p_dl_wait(dl, 1000);
    bool is_mine = !w->stop && !f->listed;
    f->listing |= is_mine;
    p2p_unlock(&dl->lock);
    return is_mine;
}

static void
end_turn(struct p2p_download *dl, enum p2p_err err)
{
    p2p_lock(&dl->lock);
    dl->folder->listing = false;
    dl->folder->listed = err == P2P_OK;
    p2p_dl_wake(dl);
    p2p_unlock(&dl->lock);
}

static enum p2p_err
work(struct dl_worker *w)
{
    struct p2p_download *dl = w->dl;
    enum p2p_err err = P2P_OK;

    if (take_turn(w)) {
        err = p2p_folder_ask_for_list(w);
        end_turn(dl, err);
    }
    p2p_lock(&dl->lock);
    while (err == P2P_OK && !w->stop && !dl->folder->prepared)
        p2p_dl_wait(dl, 1000);
    dl->swarm.sources[w->source].agreed = err == P2P_OK;
    p2p_unlock(&dl->lock);
    return err == P2P_OK ? p2p_folder_fetch(w) : err;
}

static bool
is_open(const struct p2p_download *dl) P2P_REQUIRES(p2p_dl_lock)
{
    return !dl->folder->listed;
}

/* The new source has refused nothing yet. */
static void
on_seat(struct p2p_download *dl, unsigned place) P2P_REQUIRES(p2p_dl_lock)
{
    struct folder *f = dl->folder;

    for (size_t i = 0; f->listed && i < f->count; i++)
        f->files[i].refused &= ~(1u << place);
}

static unsigned
wanted(const struct p2p_download *dl, const struct dl_source *s, unsigned usable,
       unsigned share) P2P_REQUIRES(p2p_dl_lock)
{
    const struct folder *f = dl->folder;

    (void)s;
    (void)usable;
    if (!f->prepared)
        return 1;
    if (f->small_left <= f->written)
        return 0;
    unsigned wanted = dl->opt.connections < share ? dl->opt.connections : share;
    return f->small_left < 64 || wanted == 0 ? 1 : wanted;
}

/* ---- What is there already ---- */

static bool
is_there(struct p2p_download *dl, const struct folder_file *file)
{
    char target[P2P_NAME_MAX + 1], found[P2P_NAME_MAX + 1];
    const struct p2p_present wanted = {.root = &file->root,
                                       .size = file->size,
                                       .stop = p2p_dl_should_stop,
                                       .stop_arg = dl};

    return p2p_folder_target(dl, file, target) == P2P_OK &&
           p2p_present_find(dl->opt.downloads, target, &wanted,
                            p2p_folder_conflict(dl, file), found);
}

/* ---- What the file system takes ---- */

/* True for names that a file system may refuse; the others need not be tried. */
static bool
is_unusual(const char *name)
{
    const char *slash = strrchr(name, '/'), *leaf = slash != NULL ? slash + 1 : name;
    size_t len = strlen(leaf);

    for (size_t i = 0; i < len; i++)
        if ((unsigned char)leaf[i] >= 0x80 || strchr("<>\"|?*", leaf[i]) != NULL)
            return true;
    return len > 100;
}

static size_t
folder_length(const char *name)
{
    const char *slash = strrchr(name, '/');

    return slash != NULL ? (size_t)(slash - name) : 0;
}

/* The list is sorted by name, so each folder is checked once. `before` is the name
 * before this one. */
static enum p2p_err
try_file(struct p2p_download *dl, struct p2p_probe *probe, struct folder_file *file,
         const char *before)
{
    char target[P2P_NAME_MAX + 1], works[P2P_NAME_MAX + 1];
    enum p2p_err err = p2p_folder_target(dl, file, target);
    size_t folder = folder_length(file->name);
    bool is_new_folder = before == NULL || folder_length(before) != folder ||
                         memcmp(before, file->name, folder) != 0;

    if (err == P2P_OK && !p2p_folder_is_small(file))
        err = p2p_probe_size(probe, file->size);
    if (err != P2P_OK || (!is_new_folder && !is_unusual(file->name)))
        return err;
    err = p2p_probe_name(probe, target, works);
    /* A list says where each file goes, and nowhere else. */
    if (err == P2P_ERR_TARGET_NAME && works[0] != '\0' && file->target == NULL) {
        free(file->safe);
        file->safe = strdup(works);
        err = file->safe != NULL ? P2P_OK : P2P_ERR_NOMEM;
    }
    return err;
}

/* If a file cannot be stored, only this file fails. P2P_OK unless nothing can be stored
 * at all now. */
static enum p2p_err
try_target(struct p2p_download *dl)
{
    struct folder *f = dl->folder;
    struct p2p_probe *probe = NULL;
    enum p2p_err err = p2p_probe_open(dl->opt.downloads, &probe);
    const char *before = NULL;
    bool in_safe_folder = false;

    for (size_t i = 0; i < f->count && err == P2P_OK && !p2p_dl_should_stop(dl); i++) {
        struct folder_file *file = &f->files[i];
        /* In a folder whose name is refused, each file needs another name. */
        enum p2p_err one = try_file(dl, probe, file, in_safe_folder ? NULL : before);
        before = file->name;
        in_safe_folder = file->safe != NULL || one != P2P_OK;
        if (p2p_err_is_space(one) || one == P2P_ERR_READ_ONLY)
            err = one;
        else if (one != P2P_OK)
            file->problem = one;
    }
    p2p_probe_close(probe);
    return err;
}

static enum p2p_err
look_for_files(struct p2p_download *dl)
{
    struct folder *f = dl->folder;
    enum p2p_err err = try_target(dl);

    for (size_t i = 0; i < f->count && err == P2P_OK && !p2p_dl_should_stop(dl); i++)
        if (is_there(dl, &f->files[i]))
            f->files[i].state = FOLDER_DONE;
        else
            err = p2p_folder_copy_base(dl, &f->files[i]);
    return err;
}

static void
set_failed(struct p2p_download *dl, struct folder_file *file, enum p2p_err err)
    P2P_REQUIRES(p2p_dl_lock)
{
    file->state = FOLDER_FAILED;
    if (dl->folder->failure == P2P_OK)
        dl->folder->failure = err;
}

static void
log_failed(const struct folder_file *file, enum p2p_err err)
{
    char name[256];

    p2p_log_warn("cannot download a file of a folder error=%s name=\"%s\"",
                 p2p_err_name(err),
                 p2p_log_escape(file->name, strlen(file->name), name, sizeof(name)));
}

static void
count_files(struct p2p_download *dl) P2P_REQUIRES(p2p_dl_lock)
{
    struct folder *f = dl->folder;

    f->files_total = (uint32_t)f->count;
    for (size_t i = 0; i < f->count; i++) {
        struct folder_file *file = &f->files[i];
        f->renamed += file->safe != NULL;
        if (file->state == FOLDER_TODO && file->problem != P2P_OK) {
            set_failed(dl, file, file->problem);
        } else if (file->state == FOLDER_DONE) {
            f->files_done++;
            f->verified += file->size;
        } else if (p2p_folder_is_small(file)) {
            bool is_written = file->state == FOLDER_WRITTEN;
            f->small_left++;
            f->written += is_written;
            f->verified += is_written ? file->size : 0;
            dl->report.reused += is_written ? file->size : 0;
        }
    }
    f->prepared = true;
    p2p_dl_wake(dl); /* the workers, which download from now on */
}

static enum p2p_err
prepare(struct p2p_download *dl)
{
    struct folder *f = dl->folder;
    enum p2p_err err;

    p2p_root_sweep_private(dl->opt.downloads, FOLDER_SUFFIX,
                           (time_t)p2p_time_s() - LEFT_OVER_S);
    err = look_for_files(dl);
    if (p2p_dl_should_stop(dl))
        err = P2P_ERR_CANCELLED;
    if (err != P2P_OK)
        return err;
    for (size_t i = 0; i < f->count; i++)
        if (f->files[i].state == FOLDER_TODO && f->files[i].problem != P2P_OK)
            log_failed(&f->files[i], f->files[i].problem);
    f->flushed_ms = p2p_now_ms();
    p2p_lock(&dl->lock);
    count_files(dl);
    p2p_unlock(&dl->lock);
    p2p_dl_enter(dl, P2P_DL_DOWNLOADING);
    return P2P_OK;
}

/* ---- Publishing in batches ---- */

static enum p2p_err
publish_file(const struct p2p_download *dl, const struct folder_file *file)
{
    char name[FOLDER_PRIVATE_MAX], target[P2P_NAME_MAX + 1], stored[P2P_NAME_MAX + 1];
    enum p2p_err err = p2p_folder_target(dl, file, target);

    p2p_folder_private_name(dl->folder, file, name);
    return err == P2P_OK
               ? p2p_root_publish_unflushed(dl->opt.downloads, name, target,
                                            p2p_folder_conflict(dl, file), stored)
               : err;
}

/* NOT_FOUND: another program has emptied `.p2p/`; the file is downloaded again.
 * DISK_FULL: there was no room for its folder or its name. */
static void
settle(struct p2p_download *dl, size_t index, enum p2p_err err)
    P2P_REQUIRES(p2p_dl_lock)
{
    struct folder *f = dl->folder;
    struct folder_file *file = &f->files[index];

    f->written--;
    if (err == P2P_ERR_NOT_FOUND || p2p_err_is_space(err)) {
        file->state = FOLDER_TODO;
        f->verified -= file->size;
        if (index < f->next)
            f->next = index;
        return;
    }
    f->small_left--;
    if (err == P2P_OK) {
        file->state = FOLDER_DONE;
        f->files_done++;
    } else {
        set_failed(dl, file, err);
    }
}

static enum p2p_err
publish_one(struct p2p_download *dl, size_t index)
{
    const struct folder_file *file = &dl->folder->files[index];
    enum p2p_err err = publish_file(dl, file);

    if (err == P2P_ERR_EXISTS && dl->opt.conflict == P2P_CONFLICT_SKIP)
        err = P2P_OK; /* it came meanwhile */
    p2p_lock(&dl->lock);
    settle(dl, index, err);
    bool has_failed = file->state == FOLDER_FAILED;
    p2p_unlock(&dl->lock);
    if (has_failed)
        log_failed(file, err);
    return err;
}

/* The files that wait to be published; owned by the caller. */
static enum p2p_err
collect_written(struct p2p_download *dl, size_t **out, size_t *count)
{
    struct folder *f = dl->folder;

    *count = 0;
    p2p_lock(&dl->lock);
    *out = calloc(f->written + 1, sizeof(**out));
    for (size_t i = 0; *out != NULL && i < f->count && *count < f->written; i++)
        if (f->files[i].state == FOLDER_WRITTEN)
            (*out)[(*count)++] = i;
    p2p_unlock(&dl->lock);
    return *out != NULL ? P2P_OK : P2P_ERR_NOMEM;
}

static enum p2p_err
flush(const struct p2p_download *dl)
{
    return syncfs(p2p_root_fd(dl->opt.downloads)) < 0 ? p2p_err_from_errno(errno)
                                                      : P2P_OK;
}

/* Flushes the data first, then publishes the names. The names become durable with the
 * flush of the next batch, those of the last batch with the flush at the end. A crash
 * in between costs files that are then downloaded again. */
static enum p2p_err
flush_batch(struct p2p_download *dl)
{
    size_t *batch, count;
    enum p2p_err err = collect_written(dl, &batch, &count);

    if (err != P2P_OK)
        return err;
    if (count > 0)
        err = flush(dl);
    for (size_t i = 0; i < count && err == P2P_OK; i++) {
        enum p2p_err one = publish_one(dl, batch[i]);
        if (p2p_err_is_space(one))
            err = one;
    }
    free(batch);
    dl->folder->flushed_ms = p2p_now_ms();
    p2p_lock(&dl->lock);
    p2p_dl_wake(dl);
    p2p_unlock(&dl->lock);
    return err;
}

static bool
is_batch_due(const struct folder *f) P2P_REQUIRES(p2p_dl_lock)
{
    return f->written >= FOLDER_BATCH ||
           (f->written > 0 && f->written == f->small_left) ||
           (f->written > 0 && p2p_now_ms() - f->flushed_ms > FLUSH_MS);
}

/* ---- Running ---- */

/* The sources that can be asked, as bits. */
static uint32_t
usable_sources(const struct p2p_download *dl) P2P_REQUIRES(p2p_dl_lock)
{
    uint32_t usable = 0;

    for (unsigned i = 0; i < dl->swarm.source_count; i++)
        if (dl->swarm.sources[i].state != P2P_SRC_DROPPED)
            usable |= 1u << i;
    return usable;
}

/* Marks the first file, from `*at` on, that every remaining source refuses as failed.
 * NULL: there is none. */
static const struct folder_file *
give_up_next(struct p2p_download *dl, size_t *at)
{
    struct folder *f = dl->folder;
    struct folder_file *found = NULL;

    p2p_lock(&dl->lock);
    uint32_t usable = usable_sources(dl);
    if (*at < f->next)
        *at = f->next;
    for (; usable != 0 && *at < f->count && found == NULL; ++*at) {
        struct folder_file *file = &f->files[*at];
        if (file->refused == 0 || file->state != FOLDER_TODO ||
            (file->refused & usable) != usable)
            continue;
        f->small_left--;
        set_failed(dl, file, P2P_ERR_NOT_FOUND);
        found = file;
    }
    p2p_unlock(&dl->lock);
    return found;
}

static void
give_up_refused(struct p2p_download *dl)
{
    const struct folder_file *file;

    for (size_t at = 0; (file = give_up_next(dl, &at)) != NULL;)
        log_failed(file, P2P_ERR_NOT_FOUND);
}

static enum p2p_err
step(struct p2p_download *dl, bool *is_done)
{
    struct folder *f = dl->folder;
    enum p2p_err err = P2P_OK;

    p2p_lock(&dl->lock);
    bool listed = f->listed, prepared = f->prepared;
    p2p_unlock(&dl->lock);
    if (!listed)
        return P2P_OK;
    if (!prepared)
        err = prepare(dl);
    if (err != P2P_OK)
        return err;
    p2p_lock(&dl->lock);
    bool is_due = is_batch_due(f);
    p2p_unlock(&dl->lock);
    if (is_due)
        err = flush_batch(dl);
    give_up_refused(dl);
    p2p_lock(&dl->lock);
    *is_done = f->small_left == 0;
    p2p_unlock(&dl->lock);
    return err;
}

/* A failure of one file does not end the others. */
static enum p2p_err
fetch_large(struct p2p_download *dl, struct folder_file *file)
{
    enum p2p_err err;

    p2p_lock(&dl->lock);
    bool is_todo = file->state == FOLDER_TODO;
    p2p_unlock(&dl->lock);
    if (p2p_folder_is_small(file) || !is_todo)
        return P2P_OK;
    err = p2p_folder_large(dl, file);
    if (err == P2P_OK || err == P2P_ERR_CANCELLED)
        return err;
    p2p_lock(&dl->lock);
    set_failed(dl, file, err);
    p2p_unlock(&dl->lock);
    log_failed(file, err);
    return P2P_OK;
}

/* ---- Empty folders ---- */

/* Under another name if the file system refuses this one, as for files. */
static enum p2p_err
make_empty(struct p2p_download *dl, struct p2p_probe *probe, const char *name)
{
    char target[P2P_NAME_MAX + 1], works[P2P_NAME_MAX + 1];
    enum p2p_err err = p2p_folder_place(dl, name, target);

    if (err == P2P_OK)
        err = p2p_probe_name(probe, target, works);
    if (err == P2P_ERR_TARGET_NAME && works[0] != '\0')
        return p2p_root_make_folder(dl->opt.downloads, works);
    return err == P2P_OK || err == P2P_ERR_OTHER_DISK
               ? p2p_root_make_folder(dl->opt.downloads, target)
               : err;
}

static void
empty_failed(struct p2p_download *dl, const char *name, enum p2p_err err)
{
    struct folder *f = dl->folder;
    char shown[256];

    p2p_log_warn("empty folder not created error=%s name=\"%s\"", p2p_err_name(err),
                 p2p_log_escape(name, strlen(name), shown, sizeof(shown)));
    p2p_lock(&dl->lock);
    if (f->failure == P2P_OK)
        f->failure = err;
    f->empty_failed++;
    p2p_unlock(&dl->lock);
}

/* A folder that cannot be created does not end the download, unless nothing can be
 * stored any longer. */
static enum p2p_err
make_empty_folders(struct p2p_download *dl)
{
    const struct folder *f = dl->folder;
    struct p2p_probe *probe = NULL;
    enum p2p_err err =
        f->empty_count > 0 ? p2p_probe_open(dl->opt.downloads, &probe) : P2P_OK;

    for (size_t i = 0; i < f->empty_count && err == P2P_OK; i++) {
        if (p2p_dl_should_stop(dl))
            err = P2P_ERR_CANCELLED;
        enum p2p_err one = err == P2P_OK ? make_empty(dl, probe, f->empty[i]) : P2P_OK;
        if (p2p_err_is_space(one) || one == P2P_ERR_READ_ONLY)
            err = one;
        else if (one != P2P_OK)
            empty_failed(dl, f->empty[i], one);
    }
    p2p_probe_close(probe);
    return err;
}

static enum p2p_err
finish(struct p2p_download *dl, enum p2p_err err)
{
    struct folder *f = dl->folder;

    p2p_dl_workers_end(dl);
    enum p2p_err last = flush_batch(dl); /* verified files are kept */
    if (err == P2P_OK)
        err = last;
    if (err == P2P_OK)
        err = make_empty_folders(dl);
    if (err == P2P_OK)
        err = flush(dl);
    for (size_t i = 0; i < f->count && err == P2P_OK; i++)
        err = fetch_large(dl, &f->files[i]);
    p2p_lock(&dl->lock);
    if (err == P2P_OK)
        err = f->failure;
    if (err == P2P_OK)
        memcpy(dl->report.stored, dl->opt.save_as, sizeof(dl->report.stored));
    p2p_unlock(&dl->lock);
    return err;
}

/* ---- The status ---- */

static uint64_t
bytes_to_come(const struct p2p_download *dl) P2P_REQUIRES(p2p_dl_lock)
{
    return dl->folder->size - dl->folder->verified;
}

static bool
has_room(struct p2p_download *dl)
{
    struct p2p_journal_info info = {.keep_free = dl->opt.keep_free};

    p2p_lock(&dl->lock);
    info.geometry.size = bytes_to_come(dl);
    p2p_unlock(&dl->lock);
    return p2p_journal_check_room(dl->opt.downloads, &info) == P2P_OK;
}

static void
explain(struct p2p_download *dl, enum p2p_err err) P2P_REQUIRES(p2p_dl_lock)
{
    const struct folder *f = dl->folder;

    if (f->failure != P2P_OK && f->files_done == f->files_total)
        p2p_dl_set_error(dl, err, "%u of %zu empty folders could not be created: %s",
                         f->empty_failed, f->empty_count, p2p_err_text(err));
    else if (f->failure != P2P_OK)
        p2p_dl_set_error(dl, err, "%u of %u files could not be downloaded: %s",
                         f->files_total - f->files_done, f->files_total,
                         f->reason[0] != '\0' ? f->reason : p2p_err_text(err));
    else if (dl->report.message[0] == '\0' || dl->report.error != err)
        p2p_dl_explain(dl, err, 0);
}

static void
fill_status(const struct p2p_download *dl, struct p2p_download_status *out)
    P2P_REQUIRES(p2p_dl_lock)
{
    const struct folder *f = dl->folder;

    out->size_known = f->listed;
    out->size = f->listed ? f->size : 0;
    out->verified = f->verified;
    out->files_done = f->files_done;
    out->files_renamed = f->renamed;
    out->files_total = f->files_total;
}

enum p2p_err
p2p_folder_new(struct p2p_download *dl, folder_start_fn *start)
{
    dl->folder = calloc(1, sizeof(*dl->folder));
    if (dl->folder == NULL)
        return P2P_ERR_NOMEM;
    dl->folder->start = start;
    return p2p_random(&dl->folder->run, sizeof(dl->folder->run));
}

static void
folder_free(struct p2p_download *dl)
{
    p2p_folder_forget_list(dl->folder);
    free(dl->folder->files);
    free(dl->folder->empty);
    free(dl->folder);
}

const struct dl_task p2p_folder_task = {
    .work = work,
    .wanted = wanted,
    .is_open = is_open,
    .on_seat = on_seat,
    .step = step,
    .finish = finish,
    .has_room = has_room,
    .bytes_to_come = bytes_to_come,
    .explain = explain,
    .fill_status = fill_status,
    .free = folder_free,
};
