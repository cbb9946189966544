/* The list of a folder: which files and empty folders it has, and where they are
 * stored. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/download/folder.h"
#include "p2p/array.h"

/* `save_as` may be NULL. */
static enum p2p_err
add(struct folder *f, const struct p2p_wanted *wanted)
{
    if (f->count == FOLDER_FILES_MAX)
        return P2P_ERR_TOO_LARGE;
    struct folder_file *files =
        p2p_array_room(f->files, f->count, &f->room, sizeof(*files));
    if (files == NULL)
        return P2P_ERR_NOMEM;
    f->files = files;
    struct folder_file *file = &f->files[f->count];
    *file = (struct folder_file){.name = strdup(wanted->name),
                                 .root = wanted->root,
                                 .size = wanted->size,
                                 .mtime_s = wanted->mtime_s};
    if (wanted->save_as != NULL)
        file->target = strdup(wanted->save_as);
    if (wanted->base != NULL)
        file->base = strdup(wanted->base);
    if (file->name == NULL || (wanted->save_as != NULL && file->target == NULL) ||
        (wanted->base != NULL && file->base == NULL)) {
        free(file->name);
        free(file->target);
        free(file->base);
        return P2P_ERR_NOMEM;
    }
    f->count++;
    f->size += wanted->size;
    return P2P_OK;
}

static enum p2p_err
add_file(void *arg, const char *name, const struct p2p_list_entry *entry)
{
    struct p2p_download *dl = arg;

    if (strncmp(name, dl->opt.name, strlen(dl->opt.name)) != 0)
        return P2P_OK;
    return add(dl->folder, &(struct p2p_wanted){.name = name,
                                                .root = entry->root,
                                                .size = entry->size,
                                                .mtime_s = entry->mtime_s});
}

enum p2p_err
p2p_folder_set_list(struct p2p_download *dl, const struct p2p_wanted *list,
                    size_t count)
{
    enum p2p_err err = count > 0 ? P2P_OK : P2P_ERR_USAGE;

    for (size_t i = 0; i < count && err == P2P_OK; i++) {
        const char *to = list[i].save_as;
        const char *base = list[i].base;
        err = to != NULL && list[i].size <= P2P_FILE_SIZE_MAX
                  ? p2p_name_check(to, strlen(to), true)
                  : P2P_ERR_USAGE;
        if (err == P2P_OK && base != NULL)
            err = p2p_name_check(base, strlen(base), true);
        if (err == P2P_OK)
            err = add(dl->folder, &list[i]);
    }
    p2p_lock(&dl->lock);
    dl->folder->listed = err == P2P_OK;
    p2p_unlock(&dl->lock);
    return err;
}

bool
p2p_folder_has(struct p2p_download *dl, size_t index)
{
    p2p_lock(&dl->lock);
    bool is_done =
        index < dl->folder->count && dl->folder->files[index].state == FOLDER_DONE;
    p2p_unlock(&dl->lock);
    return is_done;
}

static enum p2p_err
add_empty(void *arg, const char *name)
{
    struct p2p_download *dl = arg;
    struct folder *f = dl->folder;

    if (strncmp(name, dl->opt.name, strlen(dl->opt.name)) != 0)
        return P2P_OK;
    if (f->empty_count == FOLDER_EMPTY_MAX)
        return P2P_ERR_TOO_LARGE;
    if (f->empty == NULL)
        f->empty = calloc(FOLDER_EMPTY_MAX, sizeof(*f->empty));
    if (f->empty == NULL || (f->empty[f->empty_count] = strdup(name)) == NULL)
        return P2P_ERR_NOMEM;
    f->empty_count++;
    return P2P_OK;
}

void
p2p_folder_forget_list(struct folder *f)
{
    for (size_t i = 0; i < f->empty_count; i++)
        free(f->empty[i]);
    f->empty_count = 0;
    for (size_t i = 0; i < f->count; i++) {
        free(f->files[i].name);
        free(f->files[i].target);
        free(f->files[i].base);
        free(f->files[i].safe);
    }
    f->count = 0;
    f->size = 0;
}

/* ---- Asking a source ---- */

/* Limits for a list, so that a source cannot send one without end. They are more than
 * the largest folder needs with the smallest pages of an honest peer. */
#define LIST_PAGES_MAX 20000
#define LIST_MS        (20 * 60 * 1000)

enum p2p_err
p2p_folder_ask_for_list(struct dl_worker *w)
{
    const struct p2p_list_visitor visitor = {
        .file = add_file, .folder = add_empty, .arg = w->dl};
    char cursor[P2P_NAME_MAX + 1] = "";
    uint64_t deadline_ms = p2p_now_ms() + LIST_MS;
    unsigned pages = 0;
    enum p2p_err err;

    do
        err = p2p_conn_list(w->conn, cursor, &visitor);
    while (err == P2P_OK && cursor[0] != '\0' && !p2p_dl_worker_is_stopped(w) &&
           ++pages < LIST_PAGES_MAX && p2p_now_ms() < deadline_ms);
    if (err == P2P_OK && cursor[0] != '\0')
        err = p2p_dl_worker_is_stopped(w) ? P2P_ERR_CANCELLED : P2P_ERR_PROTOCOL;
    if (err == P2P_OK && w->dl->folder->count == 0 && w->dl->folder->empty_count == 0)
        err = P2P_ERR_NOT_FOUND;
    if (err != P2P_OK)
        p2p_folder_forget_list(w->dl->folder);
    return err;
}

/* ---- Where it is stored ---- */

enum p2p_err
p2p_folder_place(const struct p2p_download *dl, const char *name,
                 char out[P2P_NAME_MAX + 1])
{
    int n = snprintf(out, P2P_NAME_MAX + 1, "%s%s", dl->opt.save_as,
                     name + strlen(dl->opt.name));

    if (n > 1 && n <= P2P_NAME_MAX && out[n - 1] == '/')
        out[--n] = '\0';
    return n > 0 && n <= P2P_NAME_MAX && p2p_name_check(out, (size_t)n, true) == P2P_OK
               ? P2P_OK
               : P2P_ERR_NAME;
}

enum p2p_err
p2p_folder_target(const struct p2p_download *dl, const struct folder_file *file,
                  char out[P2P_NAME_MAX + 1])
{
    if (file->safe == NULL && file->target == NULL)
        return p2p_folder_place(dl, file->name, out);
    snprintf(out, P2P_NAME_MAX + 1, "%s", /* was checked */
             file->safe != NULL ? file->safe : file->target);
    return P2P_OK;
}

enum p2p_on_conflict
p2p_folder_conflict(const struct p2p_download *dl, const struct folder_file *file)
{
    return file->safe != NULL ? P2P_CONFLICT_RENAME : dl->opt.conflict;
}
