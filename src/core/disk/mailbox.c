/* Moving files into the mailbox, and finishing what killed programs began. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/libc.h"
#include "core/disk/mailbox_note.h"
#include "core/disk/path_internal.h"
#include "p2p/array.h"
#include "p2p/clock.h"
#include "p2p/io.h"
#include "p2p/log.h"

/* A new file that was never published is kept this long. */
#define UNPUBLISHED_S (24 * 3600)

static int64_t
mtime_ns(const struct stat *st)
{
    int64_t ns;

    if (__builtin_mul_overflow(st->st_mtim.tv_sec, 1000000000, &ns) ||
        __builtin_add_overflow(ns, st->st_mtim.tv_nsec, &ns))
        return st->st_mtim.tv_sec < 0 ? INT64_MIN : INT64_MAX;
    return ns;
}

/* A step that moves one file; the mailbox and the note's lock are open meanwhile. */
struct taking {
    struct p2p_path_place place;
    int in, lock;
    char id[P2P_MAILBOX_ID_LEN + 1];
    struct p2p_mailbox_note note;
};

static void
fill_note(struct taking *t, enum p2p_mailbox_end end, const char *name,
          const struct stat *st, const struct p2p_mailbox_old *old)
{
    struct p2p_mailbox_note *note = &t->note;

    note->end = end;
    note->until_s = p2p_time_s();
    note->size = (uint64_t)st->st_size;
    note->inode = st->st_ino;
    note->mtime_ns = mtime_ns(st);
    snprintf(note->name, sizeof(note->name), "%s", name);
    if (old == NULL)
        return;
    note->may_drop = old->may_drop;
    note->version = old->version;
    note->root = old->root;
    note->root_known = old->root_known && old->size == note->size &&
                       old->inode == note->inode && old->mtime_ns == note->mtime_ns;
}

/* Checks the file and writes the note. */
static enum p2p_err
begin(struct taking *t, const struct p2p_root *root, enum p2p_mailbox_end end,
      const char *name, const struct p2p_mailbox_old *old, bool flush)
{
    struct stat st;
    enum p2p_err err;

    memset(t, 0, sizeof(*t));
    t->in = t->lock = -1;
    err = p2p_path_place_open(root, name, false, &t->place);
    if (err != P2P_OK)
        return err;
    if (fstatat(t->place.dir, t->place.leaf, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return p2p_path_error(errno);
    if (!S_ISREG(st.st_mode))
        return S_ISDIR(st.st_mode) ? P2P_ERR_EXISTS : P2P_ERR_UNSUPPORTED;
    err = p2p_mailbox_dir(root, true, &t->in);
    if (err != P2P_OK)
        return err;
    fill_note(t, end, name, &st, old);
    return p2p_mailbox_note_put(t->in, &t->note, flush, t->id, &t->lock);
}

static void
finish(struct taking *t, enum p2p_err err)
{
    if (err != P2P_OK && t->lock >= 0)
        p2p_mailbox_note_remove(t->in, t->id);
    p2p_fd_close(&t->lock);
    p2p_fd_close(&t->in);
    p2p_path_place_close(&t->place);
}

enum p2p_err
p2p_mailbox_take(const struct p2p_root *root, const char *name,
                 const struct p2p_mailbox_old *old)
{
    struct taking t;
    enum p2p_err err = begin(&t, root, P2P_MAILBOX_DELETED, name, old, true);

    if (err == P2P_ERR_EXISTS || err == P2P_ERR_UNSUPPORTED)
        err = t.in < 0 ? P2P_ERR_NOT_FOUND : err; /* not a regular file */
    if (err == P2P_OK && p2p_path_move_new(t.place.dir, t.place.leaf, t.in, t.id) != 0)
        err = p2p_err_from_errno(errno);
    else if (err == P2P_OK && p2p_path_flush_both(t.in, t.place.dir) != P2P_OK)
        p2p_log_warn("cannot flush a folder after a deletion");
    finish(&t, err);
    if (err == P2P_OK)
        p2p_path_remove_empty_folders(root, name);
    return err;
}

/* ---- Replacing ---- */

static bool
is_regular_at(int dir, const char *name)
{
    struct stat st;

    return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode);
}

static bool
lacks_exchange(int errnum)
{
    return errnum == EINVAL || errnum == ENOSYS || errnum == EOPNOTSUPP ||
           errnum == EPERM;
}

/* What an exchange brought into the mailbox has to be a file. */
static enum p2p_err
check_exchanged(const struct taking *t)
{
    if (is_regular_at(t->in, t->id))
        return P2P_OK;
    if (renameat2(t->in, t->id, t->place.dir, t->place.leaf, RENAME_EXCHANGE) != 0)
        p2p_log_error("a folder was moved to .p2p/versions/in/%s name=%s", t->id,
                      t->note.name);
    return P2P_ERR_EXISTS;
}

/* For file systems that can neither exchange nor link: there is no file under the name
 * for a moment. If the program is killed then, the next visit puts the old one back. */
static enum p2p_err
replace_in_two_steps(struct taking *t, int private_dir, const char *private_name)
{
    enum p2p_err err;

    t->note.is_moving = true;
    err = p2p_mailbox_note_update(t->lock, &t->note);
    if (err == P2P_OK &&
        p2p_path_move_new(t->place.dir, t->place.leaf, t->in, t->id) != 0)
        err = p2p_err_from_errno(errno);
    if (err != P2P_OK)
        return err;
    if (p2p_path_move_new(private_dir, private_name, t->place.dir, t->place.leaf) !=
        0) {
        err = p2p_err_from_errno(errno);
        if (p2p_path_move_new(t->in, t->id, t->place.dir, t->place.leaf) != 0) {
            p2p_log_error("cannot put a file back: it is .p2p/versions/in/%s name=%s",
                          t->id, t->note.name);
            p2p_fd_close(&t->lock); /* its note stays */
        }
        return err;
    }
    t->note.is_moving = false;
    if (p2p_mailbox_note_update(t->lock, &t->note) != P2P_OK)
        p2p_log_warn("cannot confirm that a file was replaced name=%s", t->note.name);
    return P2P_OK;
}

/* With a second name for the old file, the new one can take its place at once. */
static enum p2p_err
replace_by_link(struct taking *t, int private_dir, const char *private_name)
{
    if (linkat(t->place.dir, t->place.leaf, t->in, t->id, 0) != 0)
        return errno == ENOENT ? P2P_ERR_NOT_FOUND
                               : replace_in_two_steps(t, private_dir, private_name);
    if (renameat(private_dir, private_name, t->place.dir, t->place.leaf) == 0)
        return P2P_OK;
    int saved = errno;
    (void)unlinkat(t->in, t->id, 0);
    return saved == EISDIR ? P2P_ERR_EXISTS : p2p_err_from_errno(saved);
}

/* The new file goes into the mailbox first, under the id. So the exchange puts the old
 * one where the note says, in one step. */
static enum p2p_err
replace(struct taking *t, int private_dir, const char *private_name)
{
    enum p2p_err err;

    if (p2p_path_move_new(private_dir, private_name, t->in, t->id) != 0)
        return p2p_err_from_errno(errno);
    if (renameat2(t->in, t->id, t->place.dir, t->place.leaf, RENAME_EXCHANGE) == 0) {
        err = check_exchanged(t);
        if (err == P2P_OK)
            return P2P_OK;
    } else
        err = errno == ENOENT         ? P2P_ERR_NOT_FOUND
              : lacks_exchange(errno) ? P2P_ERR_UNSUPPORTED
                                      : p2p_err_from_errno(errno);
    if (p2p_path_move_new(t->in, t->id, private_dir, private_name) != 0)
        return p2p_err_from_errno(errno);
    return err == P2P_ERR_UNSUPPORTED ? replace_by_link(t, private_dir, private_name)
                                      : err;
}

enum p2p_err
p2p_mailbox_replace(const struct p2p_root *root, int private_dir,
                    const char *private_name, const char *name,
                    const struct p2p_mailbox_old *old, bool flush)
{
    struct taking t;
    enum p2p_err err = begin(&t, root, P2P_MAILBOX_REPLACED, name, old, flush);

    if (err == P2P_OK)
        err = replace(&t, private_dir, private_name);
    if (err == P2P_OK && flush &&
        (p2p_path_flush_both(t.in, t.place.dir) != P2P_OK ||
         !p2p_path_flush(private_dir)))
        p2p_log_warn("cannot flush a folder after a file was replaced");
    finish(&t, err);
    return err;
}

/* ---- Visits ---- */

struct visit {
    const struct p2p_root *root;
    p2p_mailbox_visitor *visit;
    void *arg;
    int in;
    size_t left;
};

/* The file in the mailbox is the one that was taken, and not the one that should have
 * replaced it. Some file systems have no lasting inode numbers. */
static bool
is_taken(const struct stat *st, const struct p2p_mailbox_note *note)
{
    return st->st_ino == note->inode ||
           ((uint64_t)st->st_size == note->size && mtime_ns(st) == note->mtime_ns);
}

/* Compares the file that has a name now with a file in the mailbox. EMPTY: a file
 * without bytes, as p2p_path_move_new may leave it. */
enum standing { NOTHING, EMPTY, SAME_FILE, OTHER };
static enum standing
public_file(const struct visit *v, const struct p2p_mailbox_note *note,
            const struct stat *st)
{
    struct p2p_path_place place;
    struct stat now;
    enum standing standing = NOTHING;

    if (p2p_path_place_open(v->root, note->name, false, &place) == P2P_OK &&
        fstatat(place.dir, place.leaf, &now, AT_SYMLINK_NOFOLLOW) == 0)
        standing = p2p_stat_is_same_file(&now, st)            ? SAME_FILE
                   : S_ISREG(now.st_mode) && now.st_size == 0 ? EMPTY
                                                              : OTHER;
    p2p_path_place_close(&place);
    return standing;
}

static enum p2p_err
put_back(const struct visit *v, const char *id, const struct p2p_mailbox_note *note,
         enum standing standing)
{
    struct p2p_path_place place;
    enum p2p_err err = p2p_path_place_open(v->root, note->name, true, &place);
    int failed = err != P2P_OK ? 0
                 : standing == NOTHING
                     ? p2p_path_move_new(v->in, id, place.dir, place.leaf)
                     : renameat(v->in, id, place.dir, place.leaf);

    if (failed)
        err = p2p_err_from_errno(errno);
    if (err == P2P_OK)
        p2p_log_info("put a file back that was being replaced name=%s", note->name);
    p2p_path_place_close(&place);
    return err;
}

static enum p2p_err
drop_unpublished(const struct visit *v, const char *id, uint64_t until_s)
{
    uint64_t now_s = p2p_time_s();

    if (now_s < until_s + UNPUBLISHED_S)
        return P2P_ERR_BUSY;
    return unlinkat(v->in, id, 0) == 0 ? P2P_OK : p2p_err_from_errno(errno);
}

/* P2P_OK: the note can go. */
static enum p2p_err
settle(const struct visit *v, const char *id, const struct p2p_mailbox_note *note)
{
    enum standing standing;
    struct stat st;

    if (fstatat(v->in, id, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT ? P2P_OK : p2p_err_from_errno(errno);
    if (!is_taken(&st, note))
        return drop_unpublished(v, id, note->until_s);
    standing = public_file(v, note, &st);
    if (standing == SAME_FILE) /* it was linked, and nothing took its place */
        return unlinkat(v->in, id, 0) == 0 ? P2P_OK : p2p_err_from_errno(errno);
    if (note->is_moving && standing != OTHER)
        return put_back(v, id, note, standing);
    return v->visit(v->arg, v->in, id, note);
}

static void
visit_one(struct visit *v, const char *id)
{
    struct p2p_mailbox_note note;
    int lock;
    enum p2p_err err = p2p_mailbox_note_get(v->in, id, &note, &lock);

    if (err == P2P_ERR_NOT_FOUND)
        return; /* another process was faster */
    if (err == P2P_OK)
        err = settle(v, id, &note);
    if (err == P2P_OK)
        p2p_mailbox_note_remove(v->in, id);
    else
        v->left++;
    p2p_fd_close(&lock);
}

static bool
ends_in(const char *name, const char *suffix)
{
    size_t len = strlen(name);

    return len == P2P_MAILBOX_ID_LEN + strlen(suffix) &&
           strcmp(name + P2P_MAILBOX_ID_LEN, suffix) == 0;
}

/* Notes that no program finished. */
static void
sweep(int in, const char *name)
{
    struct stat st;

    if (fstatat(in, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
        (uint64_t)st.st_mtime + UNPUBLISHED_S < p2p_time_s())
        (void)unlinkat(in, name, 0);
}

/* The notes that are there, in the order of time: numbers of versions follow it. */
struct ids {
    char (*at)[P2P_MAILBOX_ID_LEN + 1];
    size_t count, cap;
};

static enum p2p_err
add_id(struct ids *ids, const char *name)
{
    void *grown = p2p_array_room(ids->at, ids->count, &ids->cap, sizeof(*ids->at));
    if (grown == NULL)
        return P2P_ERR_NOMEM;
    ids->at = grown;
    snprintf(ids->at[ids->count++], sizeof(*ids->at), "%.*s", P2P_MAILBOX_ID_LEN, name);
    return P2P_OK;
}

static enum p2p_err
read_ids(const struct visit *v, DIR *dir, struct ids *ids)
{
    enum p2p_err err = P2P_OK;

    for (struct dirent *e; err == P2P_OK && (e = readdir(dir)) != NULL;)
        if (ends_in(e->d_name, NOTE_SUFFIX))
            err = add_id(ids, e->d_name);
        else if (ends_in(e->d_name, NOTE_NEW))
            sweep(v->in, e->d_name);
    return err;
}

static int
compare_ids(const void *a, const void *b)
{
    return strcmp(a, b);
}

enum p2p_err
p2p_mailbox_visit(const struct p2p_root *root, p2p_mailbox_visitor *visit, void *arg,
                  size_t *left)
{
    struct visit v = {.root = root, .visit = visit, .arg = arg, .in = -1};
    enum p2p_err err = p2p_mailbox_dir(root, false, &v.in);
    struct ids ids = {.at = NULL};
    int fd = -1;
    DIR *dir;

    *left = 0;
    if (err != P2P_OK)
        return err == P2P_ERR_NOT_FOUND ? P2P_OK : err;
    fd = openat(v.in, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (dir == NULL) {
        err = p2p_err_from_errno(errno);
        p2p_fd_close(&fd);
        p2p_fd_close(&v.in);
        return err;
    }
    err = read_ids(&v, dir, &ids);
    closedir(dir);
    if (ids.count > 0)
        qsort(ids.at, ids.count, sizeof(*ids.at), compare_ids);
    for (size_t i = 0; i < ids.count; i++)
        visit_one(&v, ids.at[i]);
    free(ids.at);
    p2p_fd_close(&v.in);
    *left = v.left;
    return err;
}
