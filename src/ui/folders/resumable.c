#include "ui/folders/resumable.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/crypto/sha1.h"
#include "http/upload.h"
#include "p2p/base64.h"
#include "p2p/bytes.h"
#include "p2p/crypto.h"
#include "p2p/io.h"
#include "p2p/limits.h"
#include "p2p/log.h"
#include "p2p/probe.h"
#include "ui/folders/keeping.h"
#include "ui/folders/place.h"
#include "ui/folders/trash.h"
#include "ui/folders/upload_target.h"
#include "ui/reply/refuse.h"

#define VERSION   "1.0.0"
#define DATA      ".tus"
#define NOTE      ".tusnote"
#define ID_LEN    32u
#define KEEP_S    (7 * 24 * 3600)
#define OPEN_MAX  256u /* unfinished uploads of one folder */
#define NOTE_MAX  (P2P_NAME_MAX + 64)
#define ROOM_STEP (64 * P2P_MIB)

/* What is noted about an upload. */
struct note {
    uint64_t length;
    unsigned conflict;
    bool is_done;
    char name[P2P_NAME_MAX + 1]; /* whole */
};

struct resumed {
    struct ui_folders *folders;
    const struct p2p_root *root;
    char id[ID_LEN + 1];
    struct note note;
    int fd; /* of the data, locked */
    uint64_t offset;
    struct p2p_sha1 *sha; /* of the bytes of this request; NULL: without a checksum */
    uint64_t start;       /* where they begin */
    uint8_t sum[P2P_SHA1_LEN]; /* what the client says */
};

static void
file_of(const char *id, const char *suffix, char out[64])
{
    snprintf(out, 64, "%s%s", id, suffix);
}

/* ---- notes ---- */

static enum p2p_err
write_note(const struct p2p_root *root, const char *id, const struct note *note)
{
    char text[NOTE_MAX], file[64];
    int n = snprintf(text, sizeof(text), "%llu %u %d\n%s\n",
                     (unsigned long long)note->length, note->conflict, note->is_done,
                     note->name);

    file_of(id, NOTE, file);
    return p2p_root_replace_private(root, file, text, (size_t)n);
}

static bool
parse_note(char *text, struct note *out)
{
    unsigned long long length;
    char *name = strchr(text, '\n'), *end;
    int done;

    if (name == NULL || (end = strchr(name + 1, '\n')) == NULL ||
        sscanf(text, "%llu %u %d", &length, &out->conflict, &done) != 3 ||
        out->conflict > P2P_CONFLICT_OVERWRITE || end - name - 1 > P2P_NAME_MAX)
        return false;
    *end = '\0';
    out->length = length;
    out->is_done = done != 0;
    snprintf(out->name, sizeof(out->name), "%s", name + 1);
    return p2p_name_check(out->name, strlen(out->name), true) == P2P_OK;
}

static bool
read_note(const struct p2p_root *root, const char *id, struct note *out)
{
    char text[NOTE_MAX + 1], file[64];
    ssize_t n = -1;
    int fd = -1;

    file_of(id, NOTE, file);
    if (p2p_root_open_private(root, file, O_RDONLY, &fd) != P2P_OK)
        return false;
    n = read(fd, text, NOTE_MAX);
    close(fd);
    if (n <= 0)
        return false;
    text[n] = '\0';
    return parse_note(text, out);
}

static void
drop(const struct p2p_root *root, const char *id, const char *suffix)
{
    char file[64];
    enum p2p_err err;

    file_of(id, suffix, file);
    err = p2p_root_unlink_private(root, file);
    if (err != P2P_OK && err != P2P_ERR_NOT_FOUND)
        p2p_log_warn("cannot remove an upload file=%s", file);
}

/* ---- requests ---- */

/* Every answer names the version; a client with another one is refused. */
static bool
speaks_tus(struct http_request *req)
{
    const char *version = http_header(req, "Tus-Resumable");

    http_set_header(req, "Tus-Resumable", VERSION);
    if (version != NULL && strcmp(version, VERSION) == 0)
        return true;
    http_set_header(req, "Tus-Version", VERSION);
    http_fail(req, 412, "wrong_version", "the header Tus-Resumable must be " VERSION);
    return false;
}

static void
set_number(struct http_request *req, const char *header, uint64_t value)
{
    char text[P2P_U64_TEXT_MAX];

    p2p_u64_format(value, text);
    http_set_header(req, header, text);
}

static void
set_expires(struct http_request *req)
{
    time_t at = time(NULL) + KEEP_S;
    char text[64];
    struct tm utc;

    if (gmtime_r(&at, &utc) != NULL &&
        strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", &utc) > 0)
        http_set_header(req, "Upload-Expires", text);
}

static bool
header_number(struct http_request *req, const char *name, uint64_t *out)
{
    const char *text = http_header(req, name);

    if (text != NULL &&
        p2p_decimal_parse(text, strlen(text), P2P_FILE_SIZE_MAX, out) == P2P_OK)
        return true;
    http_fail(req, 400, "malformed", "the header %s must be a number of bytes", name);
    return false;
}

/* The value of a key in Upload-Metadata ("key base64,key base64"), decoded. False: it
 * is not there, or it is not text. */
static bool
find_metadata(struct http_request *req, const char *key, char out[P2P_NAME_MAX + 1])
{
    const char *at = http_header(req, "Upload-Metadata");
    char text[2 * P2P_NAME_MAX];

    for (size_t len; at != NULL && *at != '\0'; at += len) {
        const char *value;
        size_t n, size;
        at += strspn(at, ", ");
        len = strcspn(at, ",");
        if (strncmp(at, key, strlen(key)) != 0 || at[strlen(key)] != ' ')
            continue;
        value = at + strlen(key) + 1;
        n = len - strlen(key) - 1;
        if (n == 0 || n % 4 != 0 || n >= sizeof(text))
            return false;
        memcpy(text, value, n);
        text[n] = '\0';
        size = n / 4 * 3 - (text[n - 1] == '=') - (text[n - 2] == '=');
        if (size > P2P_NAME_MAX || !p2p_base64_parse(text, out, size))
            return false;
        out[size] = '\0';
        return strlen(out) == size;
    }
    return false;
}

/* ---- creation ---- */

static bool
has_place(const struct p2p_root *root)
{
    int fd = openat(p2p_root_fd(root), ".p2p",
                    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    struct dirent *entry;
    size_t count = 0;

    if (dir == NULL) {
        p2p_fd_close(&fd);
        return true; /* none yet */
    }
    while ((entry = readdir(dir)) != NULL) {
        size_t len = strlen(entry->d_name);
        count +=
            len > strlen(DATA) && strcmp(entry->d_name + len - strlen(DATA), DATA) == 0;
    }
    closedir(dir);
    return count < OPEN_MAX;
}

static void
sweep(const struct p2p_root *root)
{
    p2p_root_sweep_private(root, DATA, time(NULL) - KEEP_S);
    p2p_root_sweep_private(root, NOTE, time(NULL) - KEEP_S - 3600);
}

static enum p2p_err
make(const struct p2p_root *root, const struct note *note, char id[ID_LEN + 1])
{
    uint8_t random[ID_LEN / 2];
    char file[64];
    enum p2p_err err = p2p_random(random, sizeof(random));
    int fd = -1;

    if (err != P2P_OK)
        return err;
    p2p_hex_format(random, sizeof(random), id);
    file_of(id, DATA, file);
    err = p2p_root_open_private(root, file, O_RDWR | O_CREAT | O_EXCL, &fd);
    p2p_fd_close(&fd);
    if (err == P2P_OK && (err = write_note(root, id, note)) != P2P_OK)
        drop(root, id, DATA);
    return err;
}

void
ui_resumable_handle_options(struct http_request *req, void *folders)
{
    const struct ui_folders *f = folders;

    http_set_header(req, "Tus-Resumable", VERSION);
    http_set_header(req, "Tus-Version", VERSION);
    http_set_header(req, "Tus-Extension", "creation,termination,expiration,checksum");
    http_set_header(req, "Tus-Checksum-Algorithm", "sha1");
    set_number(req, "Tus-Max-Size",
               f->max_upload > 0 ? f->max_upload : P2P_FILE_SIZE_MAX);
    http_reply_empty(req, 204);
}

/* ---- one upload ---- */

static bool
is_id(const char *text)
{
    return text != NULL && strlen(text) == ID_LEN &&
           strspn(text, "0123456789abcdef") == ID_LEN;
}

/* Finds the upload that a request names, in any shared folder. False: answered. */
static bool
find(struct http_request *req, struct ui_folders *folders, struct resumed *out)
{
    const char *id = http_param(req, "id");
    size_t count = p2p_shares_folders(folders->shares)->count;

    *out = (struct resumed){.folders = folders, .fd = -1};
    if (!speaks_tus(req))
        return false;
    for (size_t i = 0; is_id(id) && i < count; i++) {
        out->root = p2p_share_root(p2p_shares_at(folders->shares, i));
        if (read_note(out->root, id, &out->note)) {
            memcpy(out->id, id, ID_LEN + 1);
            return true;
        }
    }
    ui_fail(req, P2P_ERR_NOT_FOUND, "there is no such upload");
    return false;
}

/* Opens its bytes. False: answered. */
static bool
open_data(struct http_request *req, struct resumed *r, int lock)
{
    char file[64];
    struct stat st;
    enum p2p_err err;

    file_of(r->id, DATA, file);
    if ((err = p2p_root_open_private(r->root, file, O_RDWR, &r->fd)) != P2P_OK) {
        ui_fail(req, err, "there is no such upload");
        return false;
    }
    if ((lock != 0 && flock(r->fd, lock | LOCK_NB) != 0) || fstat(r->fd, &st) != 0) {
        p2p_fd_close(&r->fd);
        http_fail(req, 423, "locked", "another request writes this upload");
        return false;
    }
    r->offset = (uint64_t)st.st_size;
    return true;
}

void
ui_resumable_handle_head(struct http_request *req, void *folders)
{
    struct resumed r;

    if (!find(req, folders, &r))
        return;
    if (r.note.is_done)
        r.offset = r.note.length;
    else if (!open_data(req, &r, 0))
        return;
    p2p_fd_close(&r.fd);
    set_number(req, "Upload-Offset", r.offset);
    set_number(req, "Upload-Length", r.note.length);
    http_reply_empty(req, 200);
}

void
ui_resumable_handle_delete(struct http_request *req, void *folders)
{
    struct resumed r;

    if (!find(req, folders, &r))
        return;
    drop(r.root, r.id, DATA);
    drop(r.root, r.id, NOTE);
    http_reply_empty(req, 204);
}

/* ---- bytes ---- */

static bool
made_space(struct resumed *r)
{
    struct ui_spot at;

    return ui_trash_drop_first(r->folders->trash) ||
           (ui_spot_find(r->folders, UI_SHARED, r->note.name, &at) &&
            ui_keeping_make_room(r->folders, &at, ROOM_STEP));
}

static enum p2p_err
on_data(void *arg, const void *data, size_t len)
{
    struct resumed *r = arg;
    const char *at = data;

    if (len > r->note.length - r->offset)
        return P2P_ERR_TOO_LARGE;
    if (r->sha != NULL && p2p_sha1_update(r->sha, data, len) != P2P_OK)
        return P2P_ERR_CRYPTO;
    while (len > 0) {
        ssize_t n = pwrite(r->fd, at, len, (off_t)r->offset);
        if (n < 0 && (errno == EINTR || (errno == ENOSPC && made_space(r))))
            continue;
        if (n < 0)
            return p2p_err_from_errno(errno);
        at += n;
        len -= (size_t)n;
        r->offset += (uint64_t)n;
    }
    return P2P_OK;
}

/* Another file may have taken the name meanwhile: then both stay. */
static enum p2p_err
publish(struct resumed *r)
{
    char inner[P2P_NAME_MAX + 1], file[64];
    struct ui_spot at;
    enum p2p_err err;

    if (!ui_spot_find(r->folders, UI_SHARED, r->note.name, &at))
        return P2P_ERR_NOT_FOUND;
    if (ui_spot_is_away(&at))
        return P2P_ERR_AWAY;
    file_of(r->id, DATA, file);
    err = r->note.conflict == P2P_CONFLICT_OVERWRITE
              ? ui_keeping_overwrite(r->folders, &at, file, inner)
              : p2p_root_publish(at.root, file, at.name, P2P_CONFLICT_RENAME, inner);
    if (err != P2P_OK)
        return err;
    r->note.is_done = true;
    if (write_note(r->root, r->id, &r->note) != P2P_OK)
        drop(r->root, r->id, NOTE);
    ui_listing_changed(r->folders, UI_SHARED);
    if (r->note.conflict == P2P_CONFLICT_OVERWRITE)
        ui_keeping_tell(r->folders, r->note.name);
    p2p_share_rescan(at.share);
    return P2P_OK;
}

/* Removes the bytes of this request. */
static void
take_back(struct resumed *r)
{
    if (ftruncate(r->fd, (off_t)r->start) == 0)
        r->offset = r->start;
    else
        p2p_log_warn("cannot take back bytes of an upload id=%s", r->id);
}

/* Without a checksum, bytes are what they are. Those that have another one than the
 * client says are taken back. */
static bool
are_right(struct resumed *r)
{
    uint8_t sum[P2P_SHA1_LEN];
    bool right;

    if (r->sha == NULL)
        return true;
    right =
        p2p_sha1_finish(r->sha, sum) == P2P_OK && memcmp(sum, r->sum, sizeof(sum)) == 0;
    p2p_sha1_free(r->sha);
    r->sha = NULL;
    if (!right)
        take_back(r);
    return right;
}

static enum p2p_err
finish(struct resumed *r)
{
    if (fsync(r->fd) != 0)
        return p2p_err_from_errno(errno);
    return r->offset == r->note.length ? publish(r) : P2P_OK;
}

static void
on_done(void *arg, struct http_request *req, enum p2p_err err)
{
    struct resumed *r = arg;
    bool is_damaged = err == P2P_OK && !are_right(r);

    if (err == P2P_OK && !is_damaged)
        err = finish(r);
    if (r->sha != NULL)
        take_back(r);
    /* With it goes the lock, because the next request may come as soon as this one is
     * answered. */
    p2p_fd_close(&r->fd);
    if (is_damaged) {
        http_fail(
            req, 460, "checksum_mismatch",
            "the bytes do not have the checksum of Upload-Checksum; send them again");
    } else if (err == P2P_ERR_TOO_LARGE) {
        http_fail(req, 413, "too_large", "the body is longer than Upload-Length");
    } else if (err != P2P_OK) {
        ui_fail(req, p2p_root_full_reason(r->root, err), NULL);
    } else {
        set_number(req, "Upload-Offset", r->offset);
        set_expires(req);
        http_reply_empty(req, 204);
    }
}

/* If the client went away, what has arrived stays, unless a checksum was to prove it.
 */
static void
on_free(void *arg)
{
    struct resumed *r = arg;

    if (r->sha != NULL && r->fd >= 0)
        take_back(r);
    p2p_sha1_free(r->sha);
    p2p_fd_close(&r->fd);
    free(r);
}

static const struct http_upload_sink sink = {
    .events = {.on_data = on_data},
    .on_done = on_done,
    .on_free = on_free,
};

/* Upload-Checksum: "sha1 BASE64". False: answered. */
static bool
read_checksum(struct http_request *req, struct resumed *r)
{
    const char *text = http_header(req, "Upload-Checksum");

    r->start = r->offset;
    if (text == NULL)
        return true;
    if (strncmp(text, "sha1 ", 5) != 0 ||
        !p2p_base64_parse(text + 5, r->sum, sizeof(r->sum))) {
        http_fail(req, 400, "malformed", "Upload-Checksum must be sha1 and base64");
        return false;
    }
    if (p2p_sha1_new(&r->sha) == P2P_OK)
        return true;
    http_fail_err(req, P2P_ERR_NOMEM, NULL);
    return false;
}

static bool
check_patch(struct http_request *req, struct resumed *r)
{
    const char *type = http_header(req, "Content-Type");
    uint64_t offset;

    if (type == NULL || strcmp(type, "application/offset+octet-stream") != 0) {
        http_fail(req, 415, "unsupported_type",
                  "the body must be application/offset+octet-stream");
        return false;
    }
    if (!header_number(req, "Upload-Offset", &offset) || !open_data(req, r, LOCK_EX))
        return false;
    if (offset == r->offset)
        return true;
    http_fail(req, 409, "wrong_offset", "Upload-Offset must be %llu",
              (unsigned long long)r->offset);
    return false;
}

void
ui_resumable_handle_patch(struct http_request *req, void *folders)
{
    struct resumed *r = malloc(sizeof(*r));

    if (r == NULL) {
        http_fail_err(req, P2P_ERR_NOMEM, NULL);
        return;
    }
    if (!find(req, folders, r) || !check_patch(req, r) || !read_checksum(req, r))
        on_free(r);
    else
        http_body_into(req, &sink, r);
}

/* No bytes will follow. */
static enum p2p_err
publish_empty(struct ui_folders *folders, const struct p2p_root *root, const char *id,
              const struct note *note)
{
    struct resumed r = {.folders = folders, .root = root, .note = *note, .fd = -1};

    memcpy(r.id, id, ID_LEN + 1);
    return publish(&r);
}

void
ui_resumable_handle_create(struct http_request *req, void *arg)
{
    struct ui_folders *folders = arg;
    char filename[P2P_NAME_MAX + 1] = "", id[ID_LEN + 1], where[80];
    const char *leaf = http_query(req, "name");
    const struct p2p_root *root;
    struct ui_target to;
    struct note note = {0};
    enum p2p_err err;

    if (!speaks_tus(req) || !header_number(req, "Upload-Length", &note.length))
        return;
    if (leaf == NULL && find_metadata(req, "filename", filename))
        leaf = filename;
    if (leaf == NULL) {
        http_fail(req, 400, "malformed",
                  "missing name: send it as filename in Upload-Metadata, or as name in "
                  "the query");
        return;
    }
    if (!ui_upload_target(
            req, folders,
            &(struct ui_wish){.path = http_query(req, "path"),
                              .leaf = leaf,
                              .on_conflict = http_query(req, "on_conflict")},
            &to, &root) ||
        !ui_upload_has_room(folders, root, req, note.length))
        return;
    sweep(root);
    if (!has_place(root)) {
        http_fail(req, 503, "busy",
                  "too many unfinished uploads; finish or delete some");
        return;
    }
    note.conflict = to.conflict;
    if ((err = ui_upload_join(&to, leaf, note.name)) != P2P_OK ||
        (err = make(root, &note, id)) != P2P_OK ||
        (note.length == 0 &&
         (err = publish_empty(folders, root, id, &note)) != P2P_OK)) {
        ui_fail(req, err, NULL);
        return;
    }
    snprintf(where, sizeof(where), "/api/uploads/%s", id);
    http_set_header(req, "Location", where);
    set_expires(req);
    http_reply_empty(req, 201);
}
