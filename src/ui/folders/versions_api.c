#include "ui/folders/versions_api.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "http/file.h"
#include "http/text/json.h"
#include "p2p/array.h"
#include "p2p/clock.h"
#include "ui/folders/folders.h"
#include "ui/folders/keeping.h"
#include "ui/folders/place.h"
#include "ui/folders/trash.h"
#include "ui/reply/json.h"
#include "ui/reply/refuse.h"

#define QUICK_READ  (64 * P2P_MIB)
#define LIST_PAGE   128
#define VERSION_MAX 0xffffffffu
#define DELETED_MAX 10000 /* that are listed */

/* Opens the versions of the folder that has this name, and records what was replaced or
 * deleted since. If it cannot, it answers the request and returns NULL. */
static struct p2p_versions *
get_versions(struct http_request *req, const struct ui_folders *folders,
             const char *name, struct ui_spot *at)
{
    struct p2p_versions *v;
    enum p2p_err err;

    if (!ui_check_spot(req, folders, UI_SHARED, name, at))
        return NULL;
    v = ui_keeping_of(folders, at->root);
    if (v == NULL)
        http_fail(req, 404, "no_versions",
                  "no versions are kept: p2p-ui cannot write to the shared folder");
    else if ((err = p2p_versions_settle(v, QUICK_READ)) != P2P_OK) {
        ui_fail(req, err, NULL);
        return NULL;
    }
    return v;
}

static bool
get_number(struct http_request *req, uint32_t *version)
{
    const char *text = http_param(req, "version");
    char *end;
    unsigned long n = text != NULL ? strtoul(text, &end, 10) : 0;

    if (text == NULL || text[0] < '0' || text[0] > '9' || *end != '\0' || n == 0 ||
        n > VERSION_MAX) {
        http_fail(req, 400, "malformed", "the version must be a number from 1 on");
        return false;
    }
    *version = (uint32_t)n;
    return true;
}

static void
fail_version(struct http_request *req, enum p2p_err err)
{
    if (err == P2P_ERR_GONE)
        http_fail(req, 410, "gone", "the content of this version is no longer kept");
    else if (err == P2P_ERR_HASH_MISMATCH)
        http_fail(req, 500, "damaged",
                  "the kept content of this version is damaged; nothing was changed");
    else
        ui_fail(req, err, err == P2P_ERR_NOT_FOUND ? "there is no such version" : NULL);
}

/* ---- Lists ---- */

/* `name`: the whole one; NULL: it is known. */
static void
put_version(struct http_json_out *o, const struct p2p_version *v, const char *name)
{
    http_json_begin(o, NULL, '{');
    if (name != NULL)
        http_json_put_string(o, "name", name);
    http_json_put_u64(o, "version", v->version);
    ui_json_size(o, v->size);
    http_json_put_i64(o, "mtime", v->mtime_ns / 1000000000);
    http_json_put_u64(o, "since", v->since_s);
    http_json_put_u64(o, "until", v->until_s);
    http_json_put_string(o, "end",
                         v->end == P2P_MAILBOX_DELETED ? "deleted" : "replaced");
    ui_json_digest(o, "root", true, &v->root);
    http_json_put_bool(o, "kept", v->is_kept);
    ui_json_number(o, "stays_until", v->stays_until_s);
    http_json_end(o, '}');
}

struct list {
    struct http_json_out *o;
    size_t count;
    uint32_t last;
};

static void
add(void *arg, const struct p2p_version *version)
{
    struct list *list = arg;

    put_version(list->o, version, NULL);
    list->last = version->version;
    list->count++;
}

static void
put_current(struct http_json_out *o, const struct ui_spot *at)
{
    struct stat st;

    if (p2p_root_stat(at->root, at->name, &st) != P2P_OK)
        return;
    http_json_begin(o, "current", '{');
    ui_json_size(o, (uint64_t)st.st_size);
    http_json_put_i64(o, "mtime", st.st_mtime);
    http_json_end(o, '}');
}

void
ui_versions_handle_list(struct http_request *req, void *arg)
{
    const struct ui_folders *folders = arg;
    const char *name = ui_param_name(req);
    struct http_json_out o;
    struct list list = {.o = &o};
    struct p2p_versions *v;
    uint64_t before, limit;
    struct ui_spot at;
    struct stat st;
    enum p2p_err err;

    if (name == NULL || !http_query_u64(req, "before", 1, VERSION_MAX, 0, &before) ||
        !http_query_u64(req, "limit", 1, 1000, LIST_PAGE, &limit) ||
        (v = get_versions(req, folders, name, &at)) == NULL)
        return;
    ui_json_begin(&o, 1024);
    http_json_put_string(&o, "name", name);
    put_current(&o, &at);
    http_json_begin(&o, "versions", '[');
    err = p2p_versions_of(v, at.name, (uint32_t)before, (size_t)limit, add, &list);
    http_json_end(&o, ']');
    ui_json_number(&o, "next", list.count == limit && list.last > 1 ? list.last : 0);
    if (err == P2P_OK && list.count == 0 && before == 0 &&
        p2p_root_stat(at.root, at.name, &st) != P2P_OK)
        err = P2P_ERR_NOT_FOUND;
    if (err == P2P_OK) {
        ui_json_reply(&o, req, 200);
        return;
    }
    http_json_clear(&o);
    fail_version(req, err);
}

/* The sums over all shared folders. */
static void
put_status(struct http_json_out *o, const struct ui_folders *folders)
{
    struct p2p_versions_status sum = {.is_on = false};

    for (size_t i = 0; i < p2p_shares_folders(folders->shares)->count; i++) {
        struct p2p_versions *v =
            ui_keeping_of(folders, p2p_share_root(p2p_shares_at(folders->shares, i)));
        struct p2p_versions_status s;
        if (v == NULL || p2p_versions_status(v, &s) != P2P_OK)
            continue;
        sum.is_on |= s.is_on;
        sum.is_stopped |= s.is_stopped;
        sum.used += s.used;
        sum.cap += s.cap;
        if (sum.deleted_s == 0 || s.deleted_s < sum.deleted_s)
            sum.deleted_s = s.deleted_s;
        sum.rows += s.rows;
        if (s.oldest_s > 0 && (sum.oldest_s == 0 || s.oldest_s < sum.oldest_s))
            sum.oldest_s = s.oldest_s;
    }
    http_json_begin(o, "versions", '{');
    http_json_put_bool(o, "on", sum.is_on);
    http_json_put_u64(o, "used", sum.used);
    http_json_put_u64(o, "space", sum.cap);
    http_json_put_u64(o, "deleted_after", sum.deleted_s);
    http_json_put_u64(o, "count", sum.rows);
    ui_json_number(o, "oldest", sum.oldest_s);
    http_json_put_bool(o, "stopped", sum.is_stopped);
    http_json_end(o, '}');
}

/* Deleted files of all folders. */
struct deleted {
    struct deleted_file {
        struct p2p_version version;
        const char *folder; /* its name, "" for bare names */
    } * at;
    size_t count, cap;
    const char *folder; /* that is being read */
    enum p2p_err err;
};

static void
collect(void *arg, const struct p2p_version *version)
{
    struct deleted *d = arg;

    struct deleted_file *grown =
        p2p_array_room(d->at, d->count, &d->cap, sizeof(*grown));
    if (grown == NULL) {
        d->err = P2P_ERR_NOMEM;
        return;
    }
    d->at = grown;
    d->at[d->count++] = (struct deleted_file){.version = *version, .folder = d->folder};
}

static int
newest_first(const void *a, const void *b)
{
    const struct deleted_file *x = a, *y = b;

    if (x->version.until_s != y->version.until_s)
        return x->version.until_s > y->version.until_s ? -1 : 1;
    return strcmp(x->version.name, y->version.name);
}

static enum p2p_err
collect_folder(const struct ui_folders *folders, size_t i, size_t max,
               struct deleted *d)
{
    const struct p2p_root *root = p2p_share_root(p2p_shares_at(folders->shares, i));
    struct p2p_versions *v = ui_keeping_of(folders, root);
    enum p2p_err err;

    d->folder = p2p_shares_folders(folders->shares)->at[i].name;
    if (v == NULL || !p2p_root_is_in_place(root))
        return P2P_OK;
    err = p2p_versions_settle(v, QUICK_READ);
    if (err == P2P_OK)
        err = p2p_versions_deleted(v, "", 0, max, collect, d);
    return err == P2P_OK ? d->err : err;
}

void
ui_versions_handle_deleted(struct http_request *req, void *arg)
{
    const struct ui_folders *folders = arg;
    struct deleted d = {.err = P2P_OK};
    struct http_json_out o;
    size_t from, limit, end;
    enum p2p_err err = P2P_OK;

    if (!ui_query_page(req, 100, &from, &limit))
        return;
    if (from > DELETED_MAX)
        from = DELETED_MAX;
    for (size_t i = 0; i < p2p_shares_folders(folders->shares)->count && err == P2P_OK;
         i++)
        err = collect_folder(folders, i, from + limit + 1, &d);
    if (err != P2P_OK) {
        free(d.at);
        ui_fail(req, err, NULL);
        return;
    }
    if (d.count > 0)
        qsort(d.at, d.count, sizeof(*d.at), newest_first);
    end = d.count < from + limit ? d.count : from + limit;
    ui_json_begin(&o, 1024);
    http_json_begin(&o, "files", '[');
    for (size_t i = from; i < end; i++) {
        char name[2 * P2P_NAME_MAX + 2];
        snprintf(name, sizeof(name), "%s%s%s", d.at[i].folder,
                 d.at[i].folder[0] != '\0' ? "/" : "", d.at[i].version.name);
        put_version(&o, &d.at[i].version, name);
    }
    http_json_end(&o, ']');
    ui_json_cursor(&o, end < d.count ? end : 0);
    put_status(&o, folders);
    ui_json_reply(&o, req, 200);
    free(d.at);
}

/* ---- One version ---- */

void
ui_versions_handle_bytes(struct http_request *req, void *arg)
{
    const char *name = ui_param_name(req);
    struct p2p_version version;
    struct p2p_versions *v;
    struct ui_spot at;
    uint32_t number;
    int fd = -1;
    enum p2p_err err;

    if (name == NULL || !get_number(req, &number) ||
        (v = get_versions(req, arg, name, &at)) == NULL)
        return;
    err = p2p_versions_open_content(v, at.name, number, &fd, &version);
    if (err != P2P_OK) {
        fail_version(req, err);
        return;
    }
    http_reply_file(req, &(struct http_file){.fd = fd,
                                             .size = version.size,
                                             .download_name = ui_last_part(name)});
}

static bool
read_restore(struct http_request *req, struct p2p_versions_restore *how)
{
    cJSON *body = http_json(req);
    const cJSON *version;

    if (body == NULL)
        return false;
    version = cJSON_GetObjectItemCaseSensitive(body, "version");
    how->save_as = http_json_string(body, "save_as");
    if (version != NULL && (!cJSON_IsNumber(version) || version->valuedouble < 1 ||
                            version->valuedouble > VERSION_MAX)) {
        ui_fail_value(req, "version", "a number from 1 on");
        return false;
    }
    how->version = version != NULL ? (uint32_t)version->valuedouble : 0;
    return how->save_as == NULL || ui_check_name(req, how->save_as);
}

void
ui_versions_handle_restore(struct http_request *req, void *arg)
{
    struct ui_folders *folders = arg;
    const char *name = ui_param_name(req);
    struct p2p_versions_restore how = {.name = name};
    char stored[P2P_NAME_MAX + 1];
    struct ui_spot at, to;
    struct p2p_mailbox_old old;
    struct p2p_versions *v;
    struct http_json_out o;
    enum p2p_err err;

    if (name == NULL || !read_restore(req, &how) ||
        (v = get_versions(req, folders, name, &at)) == NULL)
        return;
    to = at;
    if (how.save_as != NULL &&
        (!ui_spot_find(folders, UI_SHARED, how.save_as, &to) || to.root != at.root)) {
        ui_fail_value(req, "save_as", "a name in the same shared folder");
        return;
    }
    p2p_share_describe(at.share, at.name, &old);
    err = p2p_versions_restore(
        v,
        &(struct p2p_versions_restore){
            .name = at.name, .version = how.version, .save_as = to.name, .old = &old},
        stored);
    if (err != P2P_OK) {
        fail_version(req, err);
        return;
    }
    ui_listing_changed(folders, UI_SHARED);
    p2p_share_rescan(at.share);
    ui_keeping_tell(folders, name);
    ui_json_begin(&o, 128);
    http_json_put_string(&o, "status", "restored");
    http_json_put_string(&o, "filename", how.save_as != NULL ? how.save_as : name);
    ui_json_number(&o, "version", how.version);
    ui_json_reply(&o, req, 200);
}

static void
purge(struct http_request *req, struct ui_folders *folders, const char *name,
      uint32_t version)
{
    struct ui_spot at;
    struct p2p_versions *v = get_versions(req, folders, name, &at);
    struct http_json_out o;
    enum p2p_err err;

    if (v == NULL)
        return;
    err = p2p_versions_purge(v, at.name, version);
    if (version == 0 && ui_trash_forget(folders->trash, UI_SHARED, name))
        err = P2P_OK;
    if (err != P2P_OK) {
        fail_version(req, err);
        return;
    }
    ui_keeping_tell(folders, name);
    ui_json_begin(&o, 128);
    http_json_put_string(&o, "status", "deleted");
    http_json_put_string(&o, "filename", name);
    ui_json_number(&o, "version", version);
    ui_json_reply(&o, req, 200);
}

void
ui_versions_handle_delete(struct http_request *req, void *folders)
{
    const char *name = ui_param_name(req);
    uint32_t number;

    if (name != NULL && get_number(req, &number))
        purge(req, folders, name, number);
}

void
ui_versions_handle_delete_all(struct http_request *req, void *folders)
{
    const char *name = ui_param_name(req);

    if (name != NULL)
        purge(req, folders, name, 0);
}

/* ---- A folder at a time ---- */

#define REWOUND_SHOWN 1000

struct rewinding {
    struct http_json_out *o;
    const char *folder; /* its name; "" for bare names */
    uint64_t restored, lost, shown;
    enum p2p_err err; /* the first failure */
};

static void
note_rewound(void *arg, const struct p2p_version *version, enum p2p_err err)
{
    struct rewinding *r = arg;
    char name[2 * P2P_NAME_MAX + 2];

    r->restored += err == P2P_OK;
    r->lost += err == P2P_ERR_GONE;
    if (err != P2P_OK && err != P2P_ERR_GONE && r->err == P2P_OK)
        r->err = err;
    if (r->shown++ >= REWOUND_SHOWN)
        return;
    snprintf(name, sizeof(name), "%s%s%s", r->folder, r->folder[0] != '\0' ? "/" : "",
             version->name);
    put_version(r->o, version, name);
}

static bool
read_rewind(struct http_request *req, struct p2p_versions_rewind *how)
{
    const cJSON *body = http_json(req), *at, *trial;

    if (body == NULL)
        return false;
    at = cJSON_GetObjectItemCaseSensitive(body, "at");
    trial = cJSON_GetObjectItemCaseSensitive(body, "dry_run");
    how->folder = http_json_string(body, "folder");
    how->is_trial = !cJSON_IsFalse(trial);
    if (how->folder == NULL || !cJSON_IsNumber(at) || at->valuedouble < 1 ||
        at->valuedouble > 1e12) {
        ui_fail_value(req, how->folder == NULL ? "folder" : "at",
                      how->folder == NULL ? "a shared folder, or \"\" for everything"
                                          : "a time in seconds since 1970");
        return false;
    }
    how->time_s = (uint64_t)at->valuedouble;
    return how->folder[0] == '\0' || ui_check_name(req, how->folder);
}

/* One of the shared folders, or the part of it that was named. */
static enum p2p_err
rewind_folder(const struct ui_folders *folders, size_t i,
              const struct p2p_versions_rewind *how, struct rewinding *r)
{
    struct p2p_share *share = p2p_shares_at(folders->shares, i);
    const struct p2p_root *root = p2p_share_root(share);
    struct p2p_versions *v = ui_keeping_of(folders, root);
    struct p2p_versions_rewind own = *how;
    enum p2p_err err;

    if (v == NULL || !p2p_root_is_in_place(root))
        return P2P_OK;
    r->folder = p2p_shares_folders(folders->shares)->at[i].name;
    own.visit = note_rewound;
    own.arg = r;
    err = p2p_versions_rewind(v, &own);
    if (!how->is_trial)
        p2p_share_rescan(share);
    return err;
}

static enum p2p_err
rewind_all(const struct ui_folders *folders, const struct p2p_versions_rewind *how,
           const struct p2p_share *only, struct rewinding *r)
{
    enum p2p_err err = P2P_OK;

    for (size_t i = 0; i < p2p_shares_folders(folders->shares)->count && err == P2P_OK;
         i++)
        if (only == NULL || p2p_shares_at(folders->shares, i) == only)
            err = rewind_folder(folders, i, how, r);
    return err == P2P_OK ? r->err : err;
}

void
ui_versions_handle_rewind(struct http_request *req, void *arg)
{
    struct ui_folders *folders = arg;
    struct p2p_versions_rewind how = {.folder = ""};
    const struct p2p_share *only = NULL;
    struct http_json_out o;
    struct rewinding r = {.o = &o};
    uint64_t began_s = p2p_time_s();
    struct ui_spot at;
    enum p2p_err err;

    if (!read_rewind(req, &how))
        return;
    if (how.folder[0] != '\0') {
        bool is_whole = ui_name_is_folder(folders, how.folder);
        char inside[P2P_NAME_MAX + 3];
        snprintf(inside, sizeof(inside), "%s%s", how.folder, is_whole ? "/x" : "");
        if (!ui_check_spot(req, folders, UI_SHARED, inside, &at))
            return;
        only = at.share;
        how.folder = is_whole ? "" : how.folder + (at.name - inside);
    }
    ui_json_begin(&o, 1024);
    http_json_begin(&o, "files", '[');
    err = rewind_all(folders, &how, only, &r);
    http_json_end(&o, ']');
    if (!how.is_trial) {
        ui_listing_changed(folders, UI_SHARED);
        ui_keeping_tell(folders, NULL);
    }
    if (err != P2P_OK) {
        http_json_clear(&o);
        fail_version(req, err);
        return;
    }
    http_json_put_u64(&o, "restored", r.restored);
    http_json_put_u64(&o, "not_kept", r.lost);
    http_json_put_bool(&o, "dry_run", how.is_trial);
    http_json_put_u64(&o, "undo_at", began_s - 1);
    ui_json_reply(&o, req, 200);
}
