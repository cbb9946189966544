#include "core/download/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/download/control.h"
#include "core/download/folder_large.h"
#include "core/download/present.h"
#include "core/journal/journal_file.h"
#include "p2p/lock.h"
#include "p2p/log.h"
#include "p2p/probe.h"

#define TICK_MS     100
#define LEFT_OVER_S (24 * 3600) /* nobody fetches a folder's file for a day */
#define FLUSH_MS    3000 /* longest time that a small file waits to be published */

/* ---- The list ---- */

static enum p2p_err
add_file(void *arg, const char *name, const struct p2p_list_entry *entry)
{
    struct p2p_download *dl = arg;
    struct folder *f = dl->folder;

    if (strncmp(name, dl->name, strlen(dl->name)) != 0)
        return P2P_OK;
    if (f->count == FOLDER_FILES_MAX)
        return P2P_ERR_TOO_LARGE;
    if (f->count == f->room) {
        size_t room = f->room > 0 ? 2 * f->room : 256;
        struct folder_file *files = realloc(f->files, room * sizeof(*files));
        if (files == NULL)
            return P2P_ERR_NOMEM;
        f->files = files;
        f->room = room;
    }
    struct folder_file *file = &f->files[f->count];
    *file = (struct folder_file){.name = strdup(name),
                                 .root = entry->root,
                                 .size = entry->size,
                                 .mtime_s = entry->mtime_s};
    if (file->name == NULL)
        return P2P_ERR_NOMEM;
    f->count++;
    f->size += entry->size;
    return P2P_OK;
}

static void
forget_list(struct folder *f)
{
    for (size_t i = 0; i < f->count; i++) {
        free(f->files[i].name);
        free(f->files[i].safe);
    }
    f->count = 0;
    f->size = 0;
}

/* Limits for a list, so that a source cannot send one without end. They are more than
 * the largest folder needs with the smallest pages of an honest peer. */
#define LIST_PAGES_MAX 20000
#define LIST_MS        (20 * 60 * 1000)

/* Reads all pages. Only one worker does this at a time, and no other thread reads the
 * files before `listed` is set. */
static enum p2p_err
list_all(struct dl_worker *w)
{
    char cursor[P2P_NAME_MAX + 1] = "";
    uint64_t deadline_ms = p2p_now_ms() + LIST_MS;
    unsigned pages = 0;
    enum p2p_err err;

    do
        err = p2p_conn_list(w->conn, cursor, add_file, w->dl);
    while (err == P2P_OK && cursor[0] != '\0' && !p2p_dl_worker_is_stopped(w) &&
           ++pages < LIST_PAGES_MAX && p2p_now_ms() < deadline_ms);
    if (err == P2P_OK && cursor[0] != '\0')
        err = p2p_dl_worker_is_stopped(w) ? P2P_ERR_CANCELLED : P2P_ERR_PROTOCOL;
    if (err == P2P_OK && w->dl->folder->count == 0)
        err = P2P_ERR_NOT_FOUND;
    if (err != P2P_OK)
        forget_list(w->dl->folder);
    return err;
}

enum p2p_err
p2p_folder_work(struct dl_worker *w)
{
    struct p2p_download *dl = w->dl;
    struct folder *f = dl->folder;
    enum p2p_err err = P2P_OK;

    p2p_lock(&dl->lock);
    dl->sources[w->source].id = *p2p_conn_peer(w->conn);
    dl->sources[w->source].id_known = true;
    dl->sources[w->source].state = P2P_SRC_ACTIVE;
    while (!w->stop && f->listing)
        p2p_dl_wait(dl, 1000);
    if (!w->stop && !f->listed) {
        f->listing = true;
        p2p_unlock(&dl->lock);
        err = list_all(w);
        p2p_lock(&dl->lock);
        f->listing = false;
        f->listed = err == P2P_OK;
        pthread_cond_broadcast(&dl->changed);
    }
    while (err == P2P_OK && !w->stop && !f->prepared)
        p2p_dl_wait(dl, 1000);
    dl->sources[w->source].agreed = err == P2P_OK;
    p2p_unlock(&dl->lock);
    return err == P2P_OK ? p2p_folder_fetch(w) : err;
}

void
p2p_folder_forget_refusals(struct folder *f, unsigned source)
{
    for (size_t i = 0; i < f->count; i++)
        f->files[i].refused &= ~(1u << source);
}

unsigned
p2p_folder_wanted(const struct p2p_download *dl, unsigned share)
{
    const struct folder *f = dl->folder;

    if (!f->prepared)
        return 1;
    if (f->small_left <= f->written)
        return 0;
    unsigned wanted = dl->connections < share ? dl->connections : share;
    return f->small_left < 64 || wanted == 0 ? 1 : wanted;
}

/* ---- What is there already ---- */

enum p2p_err
p2p_folder_target(const struct p2p_download *dl, const struct folder_file *file,
                  char out[P2P_NAME_MAX + 1])
{
    int n = file->safe != NULL ? snprintf(out, P2P_NAME_MAX + 1, "%s", file->safe)
                               : snprintf(out, P2P_NAME_MAX + 1, "%s%s", dl->save_as,
                                          file->name + strlen(dl->name));

    return n > 0 && n <= P2P_NAME_MAX && p2p_name_check(out, (size_t)n, true) == P2P_OK
               ? P2P_OK
               : P2P_ERR_NAME;
}

enum p2p_on_conflict
p2p_folder_conflict(const struct p2p_download *dl, const struct folder_file *file)
{
    return file->safe != NULL ? P2P_CONFLICT_RENAME : dl->conflict;
}

static bool
is_there(struct p2p_download *dl, const struct folder_file *file)
{
    char target[P2P_NAME_MAX + 1], found[P2P_NAME_MAX + 1];
    const struct p2p_present wanted = {.root = &file->root,
                                       .size = file->size,
                                       .stop = p2p_dl_should_stop,
                                       .stop_arg = dl};

    return p2p_folder_target(dl, file, target) == P2P_OK &&
           p2p_present_find(dl->downloads, target, &wanted,
                            p2p_folder_conflict(dl, file), found);
}

/* ---- What the file system takes ---- */

/* Whether a file system may refuse it; the others need no trial. */
static bool
is_unusual(const char *leaf)
{
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

/* The list is in the order of names: each folder is looked at once. `before` is the
 * name before this one. */
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
    if (err != P2P_OK || (!is_new_folder && !is_unusual(strrchr(file->name, '/'))))
        return err;
    err = p2p_probe_name(probe, target, works);
    if (err == P2P_ERR_TARGET_NAME && works[0] != '\0') {
        free(file->safe);
        file->safe = strdup(works);
        err = file->safe != NULL ? P2P_OK : P2P_ERR_NOMEM;
    }
    return err;
}

/* Lock not held. Files that cannot be stored are failures of their own; P2P_OK unless
 * nothing can be stored at all now. */
static enum p2p_err
try_target(struct p2p_download *dl)
{
    struct folder *f = dl->folder;
    struct p2p_probe *probe = NULL;
    enum p2p_err err = p2p_probe_open(dl->downloads, &probe);
    const char *before = NULL;
    bool in_safe_folder = false;

    for (size_t i = 0; i < f->count && err == P2P_OK && !p2p_dl_should_stop(dl); i++) {
        struct folder_file *file = &f->files[i];
        /* Below a folder whose name is refused each file needs a name of its own. */
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

/* Lock not held: reads files. */
static enum p2p_err
look_for_files(struct p2p_download *dl)
{
    struct folder *f = dl->folder;
    enum p2p_err err = try_target(dl);

    for (size_t i = 0; i < f->count && err == P2P_OK && !p2p_dl_should_stop(dl); i++)
        if (is_there(dl, &f->files[i]))
            f->files[i].state = FOLDER_DONE;
    return err;
}

static void file_failed(struct p2p_download *dl, struct folder_file *file,
                        enum p2p_err err);

static enum p2p_err
prepare(struct p2p_download *dl)
{
    struct folder *f = dl->folder;
    enum p2p_err err;

    p2p_unlock(&dl->lock);
    p2p_root_sweep_private(dl->downloads, FOLDER_SUFFIX,
                           (time_t)p2p_time_s() - LEFT_OVER_S);
    err = look_for_files(dl);
    p2p_lock(&dl->lock);
    if (p2p_dl_is_stopping(dl))
        err = P2P_ERR_CANCELLED;
    if (err != P2P_OK)
        return err;
    dl->files_total = (uint32_t)f->count;
    for (size_t i = 0; i < f->count; i++) {
        f->renamed += f->files[i].safe != NULL;
        if (f->files[i].state == FOLDER_TODO && f->files[i].problem != P2P_OK) {
            file_failed(dl, &f->files[i], f->files[i].problem);
        } else if (f->files[i].state == FOLDER_DONE) {
            dl->files_done++;
            dl->folder_verified += f->files[i].size;
        } else if (p2p_folder_is_small(&f->files[i])) {
            f->small_left++;
        }
    }
    f->prepared = true;
    f->flushed_ms = p2p_now_ms();
    p2p_dl_set_state(dl, P2P_DL_DOWNLOADING);
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
               ? p2p_root_publish_unflushed(dl->downloads, name, target,
                                            p2p_folder_conflict(dl, file), stored)
               : err;
}

static void
file_failed(struct p2p_download *dl, struct folder_file *file, enum p2p_err err)
{
    char name[256];

    file->state = FOLDER_FAILED;
    if (dl->folder->failure == P2P_OK)
        dl->folder->failure = err;
    p2p_log_warn("file of a folder failed error=%s name=\"%s\"", p2p_err_name(err),
                 p2p_log_escape(file->name, strlen(file->name), name, sizeof(name)));
}

/* NOT_FOUND: another program has emptied `.p2p/`; the file is downloaded again.
 * DISK_FULL: there was no room for its folder or its name. */
static void
settle(struct p2p_download *dl, size_t index, enum p2p_err err)
{
    struct folder *f = dl->folder;
    struct folder_file *file = &f->files[index];

    f->written--;
    if (err == P2P_ERR_NOT_FOUND || p2p_err_is_space(err)) {
        file->state = FOLDER_TODO;
        dl->folder_verified -= file->size;
        if (index < f->next)
            f->next = index;
        return;
    }
    f->small_left--;
    if (err == P2P_ERR_EXISTS && dl->conflict == P2P_CONFLICT_SKIP)
        err = P2P_OK; /* it came meanwhile */
    if (err == P2P_OK) {
        file->state = FOLDER_DONE;
        dl->files_done++;
    } else {
        file_failed(dl, file, err);
    }
}

/* Flushes the data first, then publishes the names. The names become durable with the
 * flush of the next batch, those of the last batch with the flush at the end. A crash
 * in between costs files that are then downloaded again. */
static enum p2p_err
flush_batch(struct p2p_download *dl)
{
    struct folder *f = dl->folder;
    size_t *batch = calloc(f->written + 1, sizeof(*batch)), count = 0;
    int fd = p2p_root_fd(dl->downloads);
    enum p2p_err err = P2P_OK;

    if (batch == NULL)
        return P2P_ERR_NOMEM;
    for (size_t i = 0; i < f->count && count < f->written; i++)
        if (f->files[i].state == FOLDER_WRITTEN)
            batch[count++] = i;
    p2p_unlock(&dl->lock);
    if (count > 0 && syncfs(fd) < 0)
        err = p2p_err_from_errno(errno);
    for (size_t i = 0; i < count && err == P2P_OK; i++) {
        enum p2p_err one = publish_file(dl, &f->files[batch[i]]);
        p2p_lock(&dl->lock);
        settle(dl, batch[i], one);
        p2p_unlock(&dl->lock);
        if (p2p_err_is_space(one))
            err = one;
    }
    free(batch);
    p2p_lock(&dl->lock);
    f->flushed_ms = p2p_now_ms();
    pthread_cond_broadcast(&dl->changed);
    return err;
}

static enum p2p_err
flush_names(struct p2p_download *dl)
{
    p2p_unlock(&dl->lock);
    int failed = syncfs(p2p_root_fd(dl->downloads));
    enum p2p_err err = failed ? p2p_err_from_errno(errno) : P2P_OK;
    p2p_lock(&dl->lock);
    return err;
}

static bool
is_batch_due(const struct folder *f)
{
    return f->written >= FOLDER_BATCH ||
           (f->written > 0 && f->written == f->small_left) ||
           (f->written > 0 && p2p_now_ms() - f->flushed_ms > FLUSH_MS);
}

/* ---- Running ---- */

/* Marks files that every remaining source refuses as failed. */
static void
give_up_refused(struct p2p_download *dl)
{
    struct folder *f = dl->folder;
    uint32_t usable = 0;

    for (unsigned i = 0; i < dl->source_count; i++)
        if (dl->sources[i].state != P2P_SRC_DROPPED)
            usable |= 1u << i;
    for (size_t i = f->next; usable != 0 && i < f->count; i++) {
        struct folder_file *file = &f->files[i];
        if (file->refused == 0 || file->state != FOLDER_TODO ||
            (file->refused & usable) != usable)
            continue;
        f->small_left--;
        file_failed(dl, file, P2P_ERR_NOT_FOUND);
    }
}

static enum p2p_err
fetch_small(struct run *run)
{
    struct p2p_download *dl = run->dl;
    struct folder *f = dl->folder;
    enum p2p_err err = P2P_OK;

    while (err == P2P_OK) {
        (void)p2p_dl_workers_reap(dl);
        if (p2p_dl_is_stopping(dl))
            return P2P_ERR_CANCELLED;
        if (dl->local_error != P2P_OK)
            return dl->local_error;
        if (f->listed && !f->prepared)
            err = prepare(dl);
        if (err != P2P_OK)
            return err;
        if (f->prepared && is_batch_due(f))
            err = flush_batch(dl);
        if (f->prepared)
            give_up_refused(dl);
        if (err != P2P_OK || (f->prepared && f->small_left == 0))
            return err;
        err = p2p_dl_hopeless(dl);
        if (err != P2P_OK)
            return err;
        p2p_control_spawn(dl);
        p2p_control_tick(run);
        p2p_dl_wait(dl, TICK_MS);
    }
    return err;
}

static void
stop_workers(struct p2p_download *dl)
{
    p2p_dl_workers_stop(dl);
    while (!p2p_dl_workers_reap(dl))
        p2p_dl_wait(dl, TICK_MS);
}

static enum p2p_err
run_once(struct run *run)
{
    struct p2p_download *dl = run->dl;
    struct folder *f = dl->folder;
    enum p2p_err err;

    dl->local_error = P2P_OK;
    p2p_dl_set_state(dl, P2P_DL_CONNECTING);
    err = fetch_small(run);
    stop_workers(dl);
    if (f->written > 0) { /* verified files are kept */
        enum p2p_err last = flush_batch(dl);
        err = err == P2P_OK ? last : err;
    }
    if (err == P2P_OK)
        err = flush_names(dl);
    for (size_t i = 0; i < f->count && err == P2P_OK; i++)
        if (!p2p_folder_is_small(&f->files[i]) && f->files[i].state == FOLDER_TODO) {
            err = p2p_folder_large(run, &f->files[i]);
            if (err != P2P_OK && err != P2P_ERR_CANCELLED) {
                file_failed(dl, &f->files[i], err);
                err = P2P_OK;
            }
        }
    return err == P2P_OK ? f->failure : err;
}

static void
finish(struct p2p_download *dl, enum p2p_err err)
{
    dl->over = true;
    if (err == P2P_OK) {
        memcpy(dl->stored, dl->save_as, sizeof(dl->stored));
        p2p_dl_set_state(dl, P2P_DL_COMPLETED);
    } else if (dl->want_cancel) {
        p2p_dl_set_error(dl, P2P_ERR_CANCELLED, "cancelled");
        p2p_dl_set_state(dl, P2P_DL_CANCELLED);
    } else {
        if (dl->folder->failure != P2P_OK)
            p2p_dl_set_error(dl, err, "%u of %u files could not be downloaded: %s",
                             dl->files_total - dl->files_done, dl->files_total,
                             dl->folder->reason[0] != '\0' ? dl->folder->reason
                                                           : p2p_err_text(err));
        else if (dl->message[0] == '\0' || dl->error != err)
            p2p_dl_explain(dl, err);
        dl->error = err;
        p2p_dl_set_state(dl, P2P_DL_FAILED);
    }
    dl->reported_end = true;
    pthread_cond_broadcast(&dl->changed);
}

void *
p2p_dl_folder_main(void *arg)
{
    struct p2p_download *dl = arg;
    struct run run = {.dl = dl};
    enum p2p_err err;

    p2p_lock(&dl->lock);
    for (;;) {
        err = run_once(&run);
        if (dl->want_cancel || (err != P2P_ERR_CANCELLED && !p2p_err_is_space(err)))
            break;
        if (p2p_err_is_space(err))
            p2p_control_wait_for_space(dl, err);
        else if (dl->want_pause) /* or the pause ended before it took effect */
            p2p_control_wait_paused(dl);
        if (dl->want_cancel)
            break;
    }
    finish(dl, err);
    p2p_unlock(&dl->lock);
    return NULL;
}
