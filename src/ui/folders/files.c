#include "ui/folders/files.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#include "http/file.h"
#include "p2p/bytes.h"
#include "p2p/log.h"
#include "ui/folders/folders.h"
#include "ui/folders/kind.h"
#include "ui/folders/place.h"
#include "ui/folders/trash.h"
#include "ui/reply/json.h"
#include "ui/reply/refuse.h"
#include "ui/state/checksums.h"
#include "ui/state/watch.h"

/* Fields of a file that is not shared, in addition to those of the list. */
#define PROBLEMS_SHOWN 100

/* ---- shapes ---- */

static void
put_plain(struct http_json_out *o, const struct ui_file *f)
{
    http_json_put_string(o, "name", f->name);
    ui_json_size(o, f->size);
}

void
ui_files_put_shared(struct http_json_out *o, const struct ui_file *f)
{
    http_json_begin(o, NULL, '{');
    put_plain(o, f);
    http_json_put_i64(o, "mtime", f->mtime_s);
    http_json_put_string(o, "state", ui_file_state_name(f->state));
    ui_json_text(o, "reason", f->reason);
    ui_json_digest(o, "root", f->state == UI_FILE_READY, &f->root);
    ui_json_digest(o, "sha256", f->sha256_known, &f->sha256);
    http_json_end(o, '}');
}

static void
put_download(struct http_json_out *o, const struct ui_file *f)
{
    http_json_begin(o, NULL, '{');
    put_plain(o, f);
    http_json_put_i64(o, "mtime", f->mtime_s);
    ui_json_digest(o, "sha256", f->sha256_known, &f->sha256);
    http_json_end(o, '}');
}

/* The registry accepts this many names of a peer. */
static uint64_t
unlisted(const struct ui_listing *l)
{
    return l->ready_count > P2P_REGISTER_FILES_MAX
               ? l->ready_count - P2P_REGISTER_FILES_MAX
               : 0;
}

void
ui_files_put_status(struct http_json_out *o, const struct ui_listing *l, bool with_list)
{
    http_json_begin(o, "shared_files", '[');
    for (size_t i = 0; i < l->count && with_list; i++) {
        http_json_begin(o, NULL, '{');
        put_plain(o, &l->files[i]);
        http_json_end(o, '}');
    }
    http_json_end(o, ']');
    http_json_put_u64(o, "shared_files_count", l->count);
    http_json_put_u64(o, "total_shared_size", l->total_size);
    http_json_put_u64(o, "problems_count", l->problem_total);
    http_json_put_u64(o, "unlisted_files", unlisted(l));
}

static void
put_totals(struct http_json_out *o, const struct ui_listing *l, size_t next)
{
    http_json_put_u64(o, "count", l->count);
    http_json_put_u64(o, "total_size", l->total_size);
    ui_json_cursor(o, next);
}

/* ---- lists ---- */

/* Files in the folder that are not shared. `problem` repeats the reason under an older
 * name. */
static void
put_problems(struct http_json_out *o, const struct ui_listing *l, size_t from,
             size_t end)
{
    http_json_begin(o, "problems", '[');
    for (size_t i = from; i < end; i++) {
        http_json_begin(o, NULL, '{');
        http_json_put_string(o, "name", l->problems[i].name);
        http_json_put_string(o, "reason", l->problems[i].reason);
        http_json_put_string(o, "problem", l->problems[i].reason);
        http_json_end(o, '}');
    }
    http_json_end(o, ']');
}

void
ui_files_handle_problems(struct http_request *req, void *arg)
{
    const struct ui_listing *l;
    struct http_json_out o;
    size_t from, limit, end;
    enum p2p_err err;

    if (!ui_query_page(req, 100, &from, &limit) ||
        !ui_check_folder(req, arg, UI_SHARED))
        return;
    if ((err = ui_listing_get(arg, UI_SHARED, &l)) != P2P_OK) {
        ui_fail(req, err, NULL);
        return;
    }
    if (from > l->problem_count)
        from = l->problem_count;
    end = limit < l->problem_count - from ? from + limit : l->problem_count;
    ui_json_begin(&o, 1024);
    put_problems(&o, l, from, end);
    http_json_put_u64(&o, "count", l->problem_total);
    ui_json_cursor(&o, end < l->problem_count ? end : 0);
    ui_json_reply(&o, req, 200);
    ui_listing_release(l);
}

/* For the folders that are not away. */
static enum p2p_err
request_scans(const struct ui_folders *folders)
{
    size_t count = p2p_shares_folders(folders->shares)->count;
    uint32_t away = ui_folder_away(folders, UI_SHARED);
    enum p2p_err err = P2P_OK;

    for (size_t i = 0; i < count; i++) {
        const struct p2p_share *share = p2p_shares_at(folders->shares, i);
        enum p2p_err one = P2P_OK;
        if ((away & 1u << i) == 0)
            one = p2p_share_request_scan(share);
        if (err == P2P_OK)
            err = one;
    }
    return err;
}

void
ui_files_handle_rescan(struct http_request *req, void *arg)
{
    struct ui_folders *folders = arg;
    struct http_json_out o;
    enum p2p_err err;

    if (!ui_check_folder(req, folders, UI_SHARED))
        return;
    if ((err = request_scans(folders)) != P2P_OK) {
        ui_fail(req, err, NULL);
        return;
    }
    ui_listing_changed(folders, UI_SHARED);
    ui_json_begin(&o, 32);
    http_json_put_string(&o, "status", "scanning");
    ui_json_reply(&o, req, 202);
}

/* The empty folder that a request names with `folder`, or the only one. NULL: answered
 * with an error. */
static struct p2p_share *
choose_missing(struct http_request *req, const struct ui_folders *folders,
               uint64_t *files)
{
    const struct p2p_shares_folders *all = p2p_shares_folders(folders->shares);
    const char *name = http_query(req, "folder");
    struct p2p_share *chosen = NULL;
    size_t found = 0;

    for (size_t i = 0; i < all->count; i++) {
        struct p2p_share *share = p2p_shares_at(folders->shares, i);
        struct p2p_share_totals totals;
        p2p_share_totals(share, &totals);
        uint64_t away =
            totals.missing_files > 0 ? totals.missing_files : totals.away_files;
        if (away == 0 || (name != NULL && strcmp(name, all->at[i].name) != 0))
            continue;
        chosen = share;
        *files = away;
        found++;
    }
    if (found == 1)
        return chosen;
    if (found == 0)
        http_fail(req, 409, "nothing_missing",
                  "nothing to confirm: the shared folder is not an empty folder that "
                  "had files before, and no disk is missing in it");
    else
        http_fail(req, 400, "missing_parameter",
                  "files of several shared folders are away: name one with folder");
    return NULL;
}

void
ui_files_handle_confirm(struct http_request *req, void *arg)
{
    struct ui_folders *folders = arg;
    struct http_json_out o;
    uint64_t files = 0;
    struct p2p_share *share = choose_missing(req, folders, &files);
    enum p2p_err err;

    if (share == NULL)
        return;
    if ((err = p2p_share_confirm(share)) != P2P_OK) {
        ui_fail(req, err, NULL);
        return;
    }
    ui_listing_changed(folders, UI_SHARED);
    ui_json_begin(&o, 64);
    http_json_put_string(&o, "status", "confirmed");
    http_json_put_u64(&o, "files", files);
    ui_json_reply(&o, req, 202);
}

void
ui_files_handle_shared(struct http_request *req, void *arg)
{
    const struct ui_listing *l;
    struct http_json_out o;
    size_t from, limit, end;
    enum p2p_err err;

    if (!ui_query_page(req, 100, &from, &limit))
        return;
    if ((err = ui_listing_get(arg, UI_SHARED, &l)) != P2P_OK) {
        ui_fail(req, err, NULL);
        return;
    }
    end = from < l->count && limit < l->count - from ? from + limit : l->count;
    ui_json_begin(&o, 256 * 64);
    http_json_begin(&o, "files", '[');
    for (size_t i = from; i < end; i++)
        ui_files_put_shared(&o, &l->files[i]);
    http_json_end(&o, ']');
    put_problems(&o, l, 0,
                 l->problem_count < PROBLEMS_SHOWN ? l->problem_count : PROBLEMS_SHOWN);
    http_json_put_u64(&o, "problems_count", l->problem_total);
    put_totals(&o, l, end < l->count ? end : 0);
    ui_json_reply(&o, req, 200);
    ui_listing_release(l);
}

static int
newest_first(const void *a, const void *b)
{
    const struct ui_file *x = *(const struct ui_file *const *)a;
    const struct ui_file *y = *(const struct ui_file *const *)b;

    if (x->mtime_s != y->mtime_s)
        return x->mtime_s > y->mtime_s ? -1 : 1;
    return strcmp(x->name, y->name);
}

static const struct ui_file **
order_by_time(const struct ui_listing *l)
{
    const struct ui_file **order = calloc(l->count + 1, sizeof(*order));

    for (size_t i = 0; i < l->count && order != NULL; i++)
        order[i] = &l->files[i];
    if (order != NULL)
        qsort(order, l->count, sizeof(*order), newest_first);
    return order;
}

static void
reply_downloads(struct http_request *req, const struct ui_listing *l, size_t from,
                size_t limit)
{
    const struct ui_file **order = order_by_time(l);
    struct http_json_out o;
    size_t end = limit > 0 && from < l->count && limit < l->count - from ? from + limit
                                                                         : l->count;

    if (order == NULL) {
        http_fail_err(req, P2P_ERR_NOMEM, NULL);
        return;
    }
    ui_json_begin(&o, 4096);
    http_json_begin(&o, "downloads", '[');
    for (size_t i = from; i < end; i++)
        put_download(&o, order[i]);
    http_json_end(&o, ']');
    put_totals(&o, l, end < l->count ? end : 0);
    ui_json_reply(&o, req, 200);
    free(order);
}

void
ui_files_handle_downloads(struct http_request *req, void *arg)
{
    const struct ui_listing *l;
    size_t from, limit;
    enum p2p_err err;

    if (!ui_query_page(req, 0, &from, &limit))
        return;
    if ((err = ui_listing_get(arg, UI_DOWNLOADS, &l)) != P2P_OK) {
        ui_fail(req, err, NULL);
        return;
    }
    reply_downloads(req, l, from, limit);
    ui_listing_release(l);
}

/* ---- bytes ---- */

/* The SHA-256 can serve as the tag as long as the file is the one that was hashed. */
static bool
find_tag(struct ui_folders *folders, const char *name, const struct stat *st, char *out)
{
    struct p2p_share_entry *e = malloc(sizeof(*e));
    bool known = e != NULL &&
                 p2p_shares_find_name(folders->shares, name, e) == P2P_OK &&
                 e->sha256_known && e->geometry.size == (uint64_t)st->st_size &&
                 (int64_t)e->mtime_s == st->st_mtime;

    if (known)
        p2p_hex_format(e->sha256.b, sizeof(e->sha256.b), out);
    free(e);
    return known;
}

/* The dashboard asks so for what it shows; everything else is a download. */
static bool
wants_view(struct http_request *req)
{
    const char *view = http_query(req, "view");

    return view != NULL && strcmp(view, "1") == 0;
}

static void
reply_bytes(struct http_request *req, struct ui_folders *folders, enum ui_folder folder)
{
    char tag[2 * P2P_DIGEST_LEN + 1];
    const char *name = ui_param_name(req);
    struct ui_spot at;
    struct ui_kind kind = {0};
    struct stat st;
    enum p2p_err err;
    bool has_tag;
    int fd = -1;

    if (name == NULL || !ui_check_spot(req, folders, folder, name, &at))
        return;
    err = p2p_root_open_file(at.root, at.name, &fd, &st);
    if (err != P2P_OK) {
        ui_fail(req, err, "there is no such file");
        return;
    }
    if (wants_view(req))
        kind = ui_kind_of_file(fd);
    has_tag = folder == UI_SHARED && find_tag(folders, name, &st, tag);
    http_reply_file(req, &(struct http_file){.fd = fd,
                                             .size = (uint64_t)st.st_size,
                                             .etag = has_tag ? tag : NULL,
                                             .type = kind.type,
                                             .is_shown = kind.is_shown,
                                             .policy = kind.policy,
                                             .download_name = ui_last_part(name)});
}

void
ui_files_handle_shared_bytes(struct http_request *req, void *folders)
{
    reply_bytes(req, folders, UI_SHARED);
}

void
ui_files_handle_downloads_bytes(struct http_request *req, void *folders)
{
    reply_bytes(req, folders, UI_DOWNLOADS);
}

/* ---- changes ---- */

static void
note_change(struct ui_folders *folders, enum ui_folder folder, const struct ui_spot *at)
{
    ui_listing_changed(folders, folder);
    if (at->share != NULL)
        p2p_share_rescan(at->share);
}

static void
reply_done(struct http_request *req, const char *status, const char *name)
{
    struct http_json_out o;

    ui_json_begin(&o, 128);
    http_json_put_string(&o, "status", status);
    http_json_put_string(&o, "filename", name);
    ui_json_reply(&o, req, 200);
}

/* When the owner deletes the last file, no other confirmation is needed. The files of a
 * disk that is not mounted were not deleted with it. */
static void
confirm_if_empty(struct ui_folders *folders, struct p2p_share *share)
{
    size_t count = p2p_shares_folders(folders->shares)->count, i = 0;
    struct p2p_share_totals totals;
    const struct ui_listing *l;

    while (i + 1 < count && p2p_shares_at(folders->shares, i) != share)
        i++;
    ui_listing_changed(folders, UI_SHARED);
    if (ui_listing_get(folders, UI_SHARED, &l) != P2P_OK)
        return;
    p2p_share_totals(share, &totals);
    if (l->of[i].files == 0 && totals.away_files == 0 &&
        p2p_share_confirm(share) != P2P_OK)
        p2p_log_warn("cannot store that the last shared file was deleted");
    ui_listing_release(l);
}

static void
delete_file(struct http_request *req, struct ui_folders *folders, enum ui_folder folder)
{
    const char *name = ui_param_name(req);
    struct http_json_out o;
    struct ui_spot at;
    uint64_t until_s;
    enum p2p_err err;

    if (name == NULL || !ui_check_spot(req, folders, folder, name, &at))
        return;
    if ((err = ui_trash_put(folders->trash, folder, name, &until_s)) != P2P_OK) {
        ui_fail(req, err, err == P2P_ERR_NOT_FOUND ? "there is no such file" : NULL);
        return;
    }
    note_change(folders, folder, &at);
    if (at.share != NULL)
        confirm_if_empty(folders, at.share);
    ui_json_begin(&o, 128);
    http_json_put_string(&o, "status", "deleted");
    http_json_put_string(&o, "filename", name);
    ui_json_number(&o, "restore_until", until_s);
    ui_json_reply(&o, req, 200);
}

void
ui_files_handle_shared_delete(struct http_request *req, void *folders)
{
    delete_file(req, folders, UI_SHARED);
}

void
ui_files_handle_downloads_delete(struct http_request *req, void *folders)
{
    delete_file(req, folders, UI_DOWNLOADS);
}

static void
restore_file(struct http_request *req, struct ui_folders *folders,
             enum ui_folder folder)
{
    const char *name = ui_param_name(req);
    struct ui_spot at;
    enum p2p_err err;

    if (name == NULL || !ui_check_spot(req, folders, folder, name, &at))
        return;
    if ((err = ui_trash_restore(folders->trash, folder, name)) != P2P_OK) {
        ui_fail(req, err,
                err == P2P_ERR_NOT_FOUND
                    ? "no deleted file with this name can be restored"
                    : NULL);
        return;
    }
    note_change(folders, folder, &at);
    reply_done(req, "restored", name);
}

void
ui_files_handle_shared_restore(struct http_request *req, void *folders)
{
    restore_file(req, folders, UI_SHARED);
}

void
ui_files_handle_downloads_restore(struct http_request *req, void *folders)
{
    restore_file(req, folders, UI_DOWNLOADS);
}

void
ui_files_handle_shared_rename(struct http_request *req, void *arg)
{
    struct ui_folders *folders = arg;
    const char *from = ui_param_name(req), *to;
    struct ui_spot here, there;
    struct http_json_out o;
    cJSON *body;
    enum p2p_err err;

    if (from == NULL || (body = http_json(req)) == NULL)
        return;
    if ((to = http_json_string(body, "to")) == NULL) {
        ui_fail_value(req, "to", "a file name");
        return;
    }
    if (!ui_check_name(req, to) ||
        !ui_check_spot(req, folders, UI_SHARED, from, &here) ||
        !ui_check_spot(req, folders, UI_SHARED, to, &there))
        return;
    if (here.share != there.share) {
        http_fail(req, 400, "other_folder",
                  "a file cannot be moved to another shared folder; upload it there");
        return;
    }
    err = ui_name_is_folder(folders, to)
              ? P2P_ERR_EXISTS
              : p2p_root_rename(here.root, here.name, there.name);
    if (err != P2P_OK) {
        ui_fail(req, err, err == P2P_ERR_NOT_FOUND ? "there is no such file" : NULL);
        return;
    }
    note_change(folders, UI_SHARED, &here);
    ui_json_begin(&o, 128);
    http_json_put_string(&o, "status", "renamed");
    http_json_put_string(&o, "filename", to);
    http_json_put_string(&o, "from", from);
    ui_json_reply(&o, req, 200);
}
