#include "ui/folders/upload.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "http/upload.h"
#include "p2p/bytes.h"
#include "p2p/limits.h"
#include "p2p/log.h"
#include "p2p/net.h"
#include "p2p/probe.h"
#include "ui/folders/folders.h"
#include "ui/folders/keeping.h"
#include "ui/folders/place.h"
#include "ui/folders/trash.h"
#include "ui/folders/upload_target.h"
#include "ui/reply/json.h"
#include "ui/reply/refuse.h"
#include "ui/state/watch.h"

#define WRITE_BACK                                                                    \
    (8 * P2P_MIB) /* bytes that are written back at a time, so that the last flush is \
                     short */
#define FORM_OVERHEAD (1 * P2P_MIB) /* boundaries and headers around the files */

struct stored {
    struct stored *next;
    uint64_t size;
    char name[];
};

struct upload {
    struct ui_folders *folders;
    struct ui_target to;
    char refused[P2P_NAME_MAX + 1]; /* the invalid name of the part */

    struct ui_spot at; /* of `name` */
    int fd; /* file of the current part; -1: none, or a field that is not a file */
    char private_name[sizeof(UI_UPLOAD_PREFIX) + 16];
    char name[P2P_NAME_MAX + 1];
    char works[P2P_NAME_MAX + 1]; /* a name that works, if the file system refuses
                                   * `name` */
    uint64_t size, flushed;

    uint64_t total;
    struct stored *first, **last;
};

/* ---- one part ---- */

/* Browsers send the path of a folder's files in another field (`path`), so a name has
 * only one part. */
enum p2p_err
ui_upload_join(const struct ui_target *to, const char *leaf, char out[P2P_NAME_MAX + 1])
{
    int n;

    if (p2p_name_check(leaf, strlen(leaf), false) != P2P_OK)
        return P2P_ERR_NAME;
    n = snprintf(out, P2P_NAME_MAX + 1, "%s%s%s", to->folder,
                 to->folder[0] != '\0' ? "/" : "", leaf);
    return n <= P2P_NAME_MAX ? p2p_name_check(out, (size_t)n, true) : P2P_ERR_NAME;
}

static enum p2p_err
set_name(struct upload *u, const char *filename)
{
    bool is_chosen = u->to.leaf[0] != '\0' && u->first == NULL;
    const char *leaf = is_chosen ? u->to.leaf : filename;
    enum p2p_err err = ui_upload_join(&u->to, leaf, u->name);

    if (err != P2P_OK)
        snprintf(u->refused, sizeof(u->refused), "%s", leaf);
    return err;
}

/* Puts the name of the shared folder before a name in it. False: it gets too long. */
static bool
put_whole(const struct ui_spot *at, const char *whole, const char *inner,
          char out[P2P_NAME_MAX + 1])
{
    return snprintf(out, P2P_NAME_MAX + 1, "%.*s%s", (int)(at->name - whole), whole,
                    inner) <= P2P_NAME_MAX;
}

/* Checks, before the bytes are sent, whether the file system allows the name. */
static enum p2p_err
check_target(const struct ui_spot *at, const char *whole, char *works)
{
    char inner[P2P_NAME_MAX + 1];
    struct p2p_probe *probe = NULL;
    enum p2p_err err = p2p_probe_open(at->root, &probe);

    works[0] = inner[0] = '\0';
    if (err == P2P_OK)
        err = p2p_probe_name(probe, at->name, inner);
    if (inner[0] != '\0' && !put_whole(at, whole, inner, works))
        works[0] = '\0';
    p2p_probe_close(probe);
    /* The trash may be emptied to make space. */
    return p2p_err_is_space(err) ? P2P_OK : err;
}

/* Checked before the bytes are sent; publishing checks it again. */
static enum p2p_err
check_free(const struct ui_folders *folders, const struct ui_spot *at,
           const char *whole, enum p2p_on_conflict conflict)
{
    struct stat st;

    if (ui_name_is_folder(folders, whole))
        return P2P_ERR_EXISTS;
    if (conflict != P2P_CONFLICT_FAIL)
        return P2P_OK;
    return p2p_root_stat(at->root, at->name, &st) == P2P_OK ? P2P_ERR_EXISTS : P2P_OK;
}

static enum p2p_err
open_private(struct upload *u)
{
    uint8_t random[8];
    char hex[2 * sizeof(random) + 1];
    enum p2p_err err = p2p_random(random, sizeof(random));

    if (err != P2P_OK)
        return err;
    p2p_hex_format(random, sizeof(random), hex);
    snprintf(u->private_name, sizeof(u->private_name), UI_UPLOAD_PREFIX "%s", hex);
    err = p2p_root_open_private(u->at.root, u->private_name, O_RDWR | O_CREAT | O_EXCL,
                                &u->fd);
    if (err == P2P_OK)
        flock(u->fd, LOCK_EX | LOCK_NB);
    return err;
}

static enum p2p_err
on_part(void *arg, const char *field, const char *filename)
{
    struct upload *u = arg;
    enum p2p_err err;

    if (strcmp(field, "file") != 0 || filename == NULL)
        return P2P_OK; /* another field of the form: its content is skipped */
    if ((err = set_name(u, filename)) != P2P_OK)
        return err;
    if (!ui_spot_find(u->folders, UI_SHARED, u->name, &u->at))
        return P2P_ERR_NOT_FOUND;
    if ((err = check_target(&u->at, u->name, u->works)) != P2P_OK ||
        (err = check_free(u->folders, &u->at, u->name, u->to.conflict)) != P2P_OK)
        return err;
    u->size = u->flushed = 0;
    return open_private(u);
}

#define ROOM_STEP (64 * P2P_MIB) /* freed at once when the disk is full */

/* Deleted files are kept for an undo only while their space is not needed. Bytes that
 * have arrived need space, an announced size does not. */
static bool
made_space(struct upload *u)
{
    return ui_trash_drop_first(u->folders->trash) ||
           ui_keeping_make_room(u->folders, &u->at, ROOM_STEP);
}

static enum p2p_err
write_all(struct upload *u, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = pwrite(u->fd, data, len, (off_t)u->size);

        int errnum = n < 0 ? errno : 0;
        if (n < 0 && (errnum == EINTR || (errnum == ENOSPC && made_space(u))))
            continue;
        if (n < 0)
            return p2p_err_from_errno(errnum);
        data += n;
        len -= (size_t)n;
        u->size += (uint64_t)n;
    }
    return P2P_OK;
}

/* Starts writing the newest window and waits for the one before it. */
static void
write_back(struct upload *u)
{
    if (u->size - u->flushed < WRITE_BACK)
        return;
    sync_file_range(u->fd, (off_t)u->flushed, (off_t)(u->size - u->flushed),
                    SYNC_FILE_RANGE_WRITE);
    if (u->flushed >= WRITE_BACK)
        sync_file_range(u->fd, (off_t)(u->flushed - WRITE_BACK), (off_t)WRITE_BACK,
                        SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
                            SYNC_FILE_RANGE_WAIT_AFTER);
    u->flushed = u->size;
}

static enum p2p_err
on_data(void *arg, const void *data, size_t len)
{
    struct upload *u = arg;
    uint64_t max = u->folders->max_upload;
    enum p2p_err err;

    if (u->fd < 0)
        return P2P_OK;
    if (u->size + len > P2P_FILE_SIZE_MAX || (max > 0 && u->total + len > max))
        return P2P_ERR_TOO_LARGE;
    u->total += len;
    if ((err = write_all(u, data, len)) == P2P_OK)
        write_back(u);
    return err;
}

static void
drop_part(struct upload *u)
{
    if (u->fd < 0)
        return;
    if (p2p_root_unlink_private(u->at.root, u->private_name) != P2P_OK)
        p2p_log_warn("cannot remove an unfinished upload file=%s", u->private_name);
    p2p_fd_close(&u->fd);
}

static enum p2p_err
note_stored(struct upload *u, const char *name)
{
    size_t len = strlen(name) + 1;
    struct stored *s = malloc(sizeof(*s) + len);

    if (s == NULL)
        return P2P_ERR_NOMEM;
    s->next = NULL;
    s->size = u->size;
    memcpy(s->name, name, len);
    *u->last = s;
    u->last = &s->next;
    return P2P_OK;
}

static enum p2p_err
on_part_end(void *arg)
{
    struct upload *u = arg;
    char inner[P2P_NAME_MAX + 1], stored[P2P_NAME_MAX + 1];
    enum p2p_err err;

    if (u->fd < 0)
        return P2P_OK;
    if (fsync(u->fd) != 0)
        return p2p_err_from_errno(errno);
    if (ui_spot_is_away(&u->at))
        return P2P_ERR_AWAY;
    err = u->to.conflict == P2P_CONFLICT_OVERWRITE
              ? ui_keeping_overwrite(u->folders, &u->at, u->private_name, inner)
              : p2p_root_publish(u->at.root, u->private_name, u->at.name,
                                 u->to.conflict, inner);
    if (err != P2P_OK)
        return err;
    if (!put_whole(&u->at, u->name, inner,
                   stored)) /* the list tells that it is too long */
        snprintf(stored, sizeof(stored), "%s", inner);
    if (u->to.conflict == P2P_CONFLICT_OVERWRITE)
        ui_keeping_tell(u->folders, stored);
    p2p_fd_close(&u->fd);
    ui_listing_changed(u->folders, UI_SHARED);
    return note_stored(u, stored);
}

/* ---- the whole ---- */

static void
put_stored(struct http_json_out *o, const struct stored *s)
{
    http_json_put_string(o, "filename", s->name);
    ui_json_size(o, s->size);
}

static void
answer(struct upload *u, struct http_request *req)
{
    struct http_json_out o;

    ui_json_begin(&o, 256);
    http_json_put_string(&o, "status", "success");
    put_stored(&o, u->first);
    if (u->first->next != NULL) {
        http_json_begin(&o, "files", '[');
        for (const struct stored *s = u->first; s != NULL; s = s->next) {
            http_json_begin(&o, NULL, '{');
            http_json_put_string(&o, "name", s->name);
            put_stored(&o, s);
            http_json_end(&o, '}');
        }
        http_json_end(&o, ']');
    }
    ui_json_reply(&o, req, 200);
}

static void
fail_target(struct http_request *req, const char *name, const char *works)
{
    if (works[0] == '\0')
        ui_fail(req, P2P_ERR_TARGET_NAME, NULL);
    else
        http_fail(
            req, 400, "target_name",
            "the file system of the shared folder does not allow the name \"%s\"; "
            "\"%s\" would work",
            name, works);
}

static void
on_done(void *arg, struct http_request *req, enum p2p_err err)
{
    struct upload *u = arg;

    drop_part(u);
    if (u->first != NULL)
        p2p_share_rescan(u->at.share);
    if (err == P2P_ERR_TOO_LARGE)
        http_fail(req, 413, "too_large",
                  "the upload is larger than this server allows (--max-upload)");
    else if (err == P2P_ERR_NAME)
        ui_fail_name(req, u->refused, false, "suggestion");
    else if (err == P2P_ERR_AWAY)
        (void)ui_check_spot(req, u->folders, UI_SHARED, u->name, &u->at);
    else if (err == P2P_ERR_TARGET_NAME)
        fail_target(req, u->name, u->works);
    else if (err != P2P_OK)
        ui_fail(req, u->at.root != NULL ? p2p_root_full_reason(u->at.root, err) : err,
                err == P2P_ERR_MALFORMED ? "the form data is damaged" : NULL);
    else if (u->first == NULL)
        http_fail(req, 400, "no_file",
                  "the form contains no file in a field named \"file\"");
    else
        answer(u, req);
}

static void
on_free(void *arg)
{
    struct upload *u = arg;

    drop_part(u);
    for (struct stored *s = u->first, *next; s != NULL; s = next) {
        next = s->next;
        free(s);
    }
    free(u);
}

static const struct http_upload_sink sink = {
    .events = {.on_part = on_part, .on_data = on_data, .on_part_end = on_part_end},
    .on_done = on_done,
    .on_free = on_free,
};

static bool
parse_conflict(struct http_request *req, const char *text, enum p2p_on_conflict *out)
{
    static const char *const names[] = {"fail", "rename", "overwrite"};

    *out = P2P_CONFLICT_FAIL;
    for (int i = 0; i < 3 && text != NULL; i++)
        if (strcmp(text, names[i]) == 0) {
            *out = (enum p2p_on_conflict)i;
            return true;
        }
    if (text != NULL)
        http_fail(req, 400, "malformed",
                  "on_conflict must be fail, rename or overwrite");
    return text == NULL;
}

/* An upload that cannot succeed by its announced size is refused before its bytes are
 * sent. */
bool
ui_upload_has_room(struct ui_folders *folders, const struct p2p_root *root,
                   struct http_request *req, uint64_t length)
{
    struct statvfs fs;

    if (folders->max_upload > 0 && length > folders->max_upload + FORM_OVERHEAD) {
        http_fail(
            req, 413, "too_large",
            "the upload is too large: at most %llu bytes are allowed (--max-upload)",
            (unsigned long long)folders->max_upload);
        return false;
    }
    if (length <= FORM_OVERHEAD || fstatvfs(p2p_root_fd(root), &fs) != 0 ||
        (uint64_t)fs.f_bavail * fs.f_frsize >= length - FORM_OVERHEAD)
        return true;
    /* The trash is emptied only when bytes have arrived and there is no space for them.
     */
    if ((uint64_t)fs.f_bavail * fs.f_frsize + ui_trash_bytes(folders->trash) +
            ui_keeping_spare(folders, root) >=
        length - FORM_OVERHEAD)
        return true;
    ui_fail(req, P2P_ERR_DISK_FULL, "there is not enough disk space for these files");
    return false;
}

/* Without a folder that has bare names, a path that begins with none of the folders'
 * names is one in the first folder. */
static bool
set_folder(const struct ui_folders *folders, const char *path, struct ui_target *to,
           struct ui_spot *at)
{
    const struct p2p_shares_folders *all = p2p_shares_folders(folders->shares);
    char some[P2P_NAME_MAX + 3];
    bool is_there;

    /* Where any file of that folder would be. */
    snprintf(some, sizeof(some), "%s%sx", path, path[0] != '\0' ? "/" : "");
    is_there = ui_spot_find(folders, UI_SHARED, some, at);
    if (is_there)
        snprintf(to->folder, sizeof(to->folder), "%s", path);
    else if (snprintf(to->folder, sizeof(to->folder), "%s%s%s", all->at[0].name,
                      path[0] != '\0' ? "/" : "", path) > P2P_NAME_MAX)
        return false;
    if (!is_there)
        at->share = p2p_shares_at(folders->shares, 0);
    at->root = p2p_share_root(at->share);
    return true;
}

/* Reads the query; answers with an error if it cannot succeed. `*root`: the folder that
 * it leads to. */
bool
ui_upload_target(struct http_request *req, const struct ui_folders *folders,
                 const struct ui_wish *wish, struct ui_target *to,
                 const struct p2p_root **root)
{
    const char *path = wish->path, *leaf = wish->leaf;
    char name[P2P_NAME_MAX + 1], works[P2P_NAME_MAX + 1];
    struct ui_spot at;
    enum p2p_err err;

    memset(to, 0, sizeof(*to));
    if (path != NULL && *path != '\0' && p2p_name_problem(path, strlen(path), true)) {
        ui_fail_name(req, path, true, "suggested_path");
        return false;
    }
    if (!parse_conflict(req, wish->on_conflict, &to->conflict))
        return false;
    if (!set_folder(folders, path != NULL ? path : "", to, &at)) {
        ui_fail_name(req, path, true, "suggested_path");
        return false;
    }
    *root = at.root;
    if (!ui_check_spot_is_there(req, &at))
        return false;
    if (leaf == NULL)
        return true;
    if (ui_upload_join(to, leaf, name) != P2P_OK) {
        ui_fail_name(req, leaf, false, "suggestion");
        return false;
    }
    snprintf(to->leaf, sizeof(to->leaf), "%s", leaf);
    (void)ui_spot_find(folders, UI_SHARED, name, &at); /* as set_folder found */
    if ((err = check_target(&at, name, works)) == P2P_OK)
        err = check_free(folders, &at, name, to->conflict);
    if (err == P2P_ERR_TARGET_NAME)
        fail_target(req, name, works);
    else if (err != P2P_OK)
        ui_fail(req, err, NULL);
    return err == P2P_OK;
}

/* From the query's parameters. */
static bool
read_target(struct http_request *req, const struct ui_folders *folders,
            struct ui_target *to, const struct p2p_root **root)
{
    return ui_upload_target(
        req, folders,
        &(struct ui_wish){.path = http_query(req, "path"),
                          .leaf = http_query(req, "name"),
                          .on_conflict = http_query(req, "on_conflict")},
        to, root);
}

void
ui_upload_handle(struct http_request *req, void *arg)
{
    const char *length = http_header(req, "Content-Length");
    const struct p2p_root *root;
    struct ui_target to;
    struct upload *u;

    if (!read_target(req, arg, &to, &root) ||
        !ui_upload_has_room(arg, root, req,
                            length != NULL ? strtoull(length, NULL, 10) : 0))
        return;
    if ((u = calloc(1, sizeof(*u))) == NULL) {
        http_fail_err(req, P2P_ERR_NOMEM, NULL);
        return;
    }
    u->folders = arg;
    u->to = to;
    u->fd = -1;
    u->last = &u->first;
    http_upload_into(req, &sink, u);
}

void
ui_upload_handle_check(struct http_request *req, void *arg)
{
    const struct p2p_root *root;
    struct http_json_out o;
    struct ui_target to;
    uint64_t size;

    if (http_query(req, "name") == NULL) {
        http_fail(req, 400, "malformed", "missing parameter name");
        return;
    }
    if (!http_query_u64(req, "size", 0, P2P_FILE_SIZE_MAX, 0, &size) ||
        !read_target(req, arg, &to, &root) ||
        !ui_upload_has_room(arg, root, req, size + FORM_OVERHEAD))
        return;
    ui_json_begin(&o, 64);
    http_json_put_string(&o, "status", "welcome");
    http_json_put_string(&o, "filename", to.leaf);
    ui_json_reply(&o, req, 200);
}
