#include "ui/folders/archive.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cjson/cJSON.h>
#include <zlib.h>

#include "http/file.h"
#include "http/offload.h"
#include "http/text/json.h"
#include "http/text/zip.h"
#include "p2p/array.h"
#include "p2p/bytes.h"
#include "p2p/clock.h"
#include "p2p/crypto.h"
#include "p2p/lock.h"
#include "p2p/log.h"
#include "p2p/name.h"
#include "ui/folders/chosen.h"
#include "ui/folders/listing.h"
#include "ui/folders/place.h"
#include "ui/reply/json.h"
#include "ui/reply/refuse.h"

#define READ_SIZE (256u * 1024)

/* The content of a file, as far as a program can tell without reading it. */
struct mark {
    uint64_t device, inode, size;
    int64_t mtime_s;
    long mtime_ns;
};

/* ---- checksums of files that were read before ---- */

#define KNOWN 4096u /* a power of two */

struct known {
    struct mark mark;
    uint32_t crc;
};

P2P_MUTEX_KIND(ui_archives_lock);
struct ui_archives {
    struct ui_archives_lock lock;
    unsigned open P2P_GUARDED_BY(ui_archives_lock);
    struct known known[KNOWN] P2P_GUARDED_BY(ui_archives_lock); /* by inode */
};

struct ui_archives *
ui_archives_new(void)
{
    struct ui_archives *archives = calloc(1, sizeof(*archives));

    if (archives != NULL)
        p2p_mutex_init(&archives->lock);
    return archives;
}

void
ui_archives_free(struct ui_archives *archives)
{
    if (archives == NULL)
        return;
    p2p_mutex_clear(&archives->lock);
    free(archives);
}

static struct mark
mark_of(const struct stat *st)
{
    return (struct mark){.device = st->st_dev,
                         .inode = st->st_ino,
                         .size = (uint64_t)st->st_size,
                         .mtime_s = st->st_mtim.tv_sec,
                         .mtime_ns = st->st_mtim.tv_nsec};
}

static bool
is_same(const struct mark *a, const struct mark *b)
{
    return a->device == b->device && a->inode == b->inode && a->size == b->size &&
           a->mtime_s == b->mtime_s && a->mtime_ns == b->mtime_ns;
}

static bool
find_crc(struct ui_archives *archives, const struct mark *mark, uint32_t *crc)
{
    const struct known *k = &archives->known[mark->inode % KNOWN];
    bool found;

    p2p_lock(&archives->lock);
    if ((found = is_same(&k->mark, mark)))
        *crc = k->crc;
    p2p_unlock(&archives->lock);
    return found;
}

static void
keep_crc(struct ui_archives *archives, const struct mark *mark, uint32_t crc)
{
    p2p_lock(&archives->lock);
    archives->known[mark->inode % KNOWN] = (struct known){*mark, crc};
    p2p_unlock(&archives->lock);
}

/* ---- one archive ---- */

struct member {
    char *path; /* of the shared folders or the downloads folder */
    struct mark mark;
};

struct archive {
    struct ui_folders *folders;
    enum ui_folder folder;
    struct zip zip;
    struct member *members; /* one for each entry */
    size_t cap;
    uint64_t at;  /* the next byte to send */
    int fd;       /* of the file that is being sent; -1: none */
    size_t open;  /* its entry */
    uint32_t crc; /* of its bytes so far */
};

static struct archive *
archive_new(struct ui_folders *folders, enum ui_folder folder)
{
    struct ui_archives *all = folders->archives;
    struct archive *a = calloc(1, sizeof(*a));
    bool has_place;

    p2p_lock(&all->lock);
    has_place = a != NULL && all->open < UI_ARCHIVES_MAX;
    all->open += has_place;
    p2p_unlock(&all->lock);
    if (!has_place) {
        free(a);
        return NULL;
    }
    a->folders = folders;
    a->folder = folder;
    a->fd = -1;
    return a;
}

static void
close_file(struct archive *a)
{
    if (a->fd >= 0)
        close(a->fd);
    a->fd = -1;
}

static void
archive_free(void *archive)
{
    struct archive *a = archive;
    struct ui_archives *all = a->folders->archives;

    close_file(a);
    for (size_t i = 0; i < a->zip.count; i++)
        free(a->members[i].path);
    free(a->members);
    zip_clear(&a->zip);
    free(a);
    p2p_lock(&all->lock);
    all->open--;
    p2p_unlock(&all->lock);
}

/* Opens a file of the folders; NOT_FOUND if it is none any more. */
static enum p2p_err
open_member(const struct archive *a, const char *path, int *fd, struct mark *mark)
{
    struct ui_spot spot;
    struct stat st;
    enum p2p_err err;

    if (!ui_spot_find(a->folders, a->folder, path, &spot))
        return P2P_ERR_NOT_FOUND;
    if ((err = p2p_root_open_file(spot.root, spot.name, fd, &st)) == P2P_OK)
        *mark = mark_of(&st);
    return err;
}

/* Each file is opened, so that one that cannot be read is found before the first byte.
 */
static enum p2p_err
add_member(struct archive *a, const char *path, const char *entry)
{
    struct member m = {0};
    enum p2p_err err;
    int fd = -1;

    struct member *members =
        p2p_array_room(a->members, a->zip.count, &a->cap, sizeof(*members));
    if (members == NULL)
        return P2P_ERR_NOMEM;
    a->members = members;
    if ((err = open_member(a, path, &fd, &m.mark)) != P2P_OK)
        return err;
    close(fd);
    if ((m.path = strdup(path)) == NULL)
        return P2P_ERR_NOMEM;
    if ((err = zip_add(&a->zip, entry, m.mark.size, m.mark.mtime_s)) != P2P_OK) {
        free(m.path);
        return err;
    }
    a->members[a->zip.count - 1] = m;
    return P2P_OK;
}

/* ---- sending ---- */

/* Opens the file of an entry, if it is as it was. */
static enum p2p_err
open_entry(struct archive *a, size_t entry)
{
    const struct member *m = &a->members[entry];
    struct mark mark;
    enum p2p_err err = open_member(a, m->path, &a->fd, &mark);

    if (err != P2P_OK)
        return err;
    if (!is_same(&mark, &m->mark)) {
        close_file(a);
        return P2P_ERR_FILE_CHANGED;
    }
    (void)!posix_fadvise(a->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    a->open = entry;
    a->crc = 0;
    return P2P_OK;
}

/* Closes the file after its last byte. False: it was changed while it was read. */
static bool
finish_entry(struct archive *a)
{
    const struct member *m = &a->members[a->open];
    struct mark now;
    struct stat st;
    bool is_whole;

    is_whole = fstat(a->fd, &st) == 0 && (now = mark_of(&st), is_same(&now, &m->mark));
    close_file(a);
    if (!is_whole)
        return false;
    a->zip.entries[a->open].crc = a->crc;
    keep_crc(a->folders->archives, &m->mark, a->crc);
    return true;
}

/* The next bytes of the open file. -1: it is shorter than it was, or cannot be read. */
static ssize_t
read_file(struct archive *a, uint64_t from, void *out, size_t max)
{
    ssize_t n = pread(a->fd, out, max, (off_t)from);

    if (n > 0)
        a->crc = (uint32_t)crc32(a->crc, out, (unsigned)n);
    return n > 0 ? n : -1;
}

/* Reads the first `len` bytes of an entry for its checksum, and leaves the file open if
 * there are more. */
static enum p2p_err
read_begun(struct archive *a, size_t entry, uint64_t len)
{
    struct member *m = &a->members[entry];
    enum p2p_err err;
    uint64_t from = 0;
    uint8_t *buffer;

    if (m->mark.size == 0 ||
        (len == m->mark.size &&
         find_crc(a->folders->archives, &m->mark, &a->zip.entries[entry].crc)))
        return P2P_OK;
    if ((buffer = malloc(READ_SIZE)) == NULL)
        return P2P_ERR_NOMEM;
    err = open_entry(a, entry);
    while (err == P2P_OK && from < len) {
        size_t max = len - from < READ_SIZE ? (size_t)(len - from) : READ_SIZE;
        ssize_t n = read_file(a, from, buffer, max);
        if (n < 0)
            err = P2P_ERR_FILE_CHANGED;
        else
            from += (uint64_t)n;
    }
    if (err == P2P_OK && len == m->mark.size && !finish_entry(a))
        err = P2P_ERR_FILE_CHANGED;
    free(buffer);
    return err;
}

static enum p2p_err
archive_begin(void *archive, uint64_t first)
{
    struct archive *a = archive;
    size_t begun = zip_begun_before(&a->zip, first);
    enum p2p_err err = P2P_OK;

    a->at = first;
    for (size_t i = 0; i < begun && err == P2P_OK; i++) {
        uint64_t size = a->zip.entries[i].size, sent = first - zip_file_at(&a->zip, i);
        err = read_begun(a, i, sent < size ? sent : size);
    }
    return err;
}

/* Bytes of one piece. -1: a file has changed. */
static ssize_t
read_piece(struct archive *a, void *out, size_t max)
{
    struct zip_piece piece;
    ssize_t n;

    zip_piece_at(&a->zip, a->at, &piece);
    if (!piece.is_file)
        return (ssize_t)zip_make(&a->zip, a->at, out, max);
    if (a->fd < 0 && open_entry(a, piece.entry) != P2P_OK)
        return -1;
    n = read_file(a, piece.from, out, piece.len < max ? (size_t)piece.len : max);
    if (n > 0 && (uint64_t)n == piece.len && !finish_entry(a))
        return -1;
    return n;
}

static ssize_t
archive_read(void *archive, void *out, size_t max)
{
    struct archive *a = archive;
    size_t have = 0;

    while (have < max && a->at < a->zip.size) {
        ssize_t n = read_piece(a, (uint8_t *)out + have, max - have);
        if (n < 0) {
            p2p_log_warn("an archive was cut short: a file in it was changed or "
                         "cannot be read");
            return -1;
        }
        have += (size_t)n;
        a->at += (uint64_t)n;
    }
    return (ssize_t)have;
}

/* ---- the request ---- */

/* What a path is called in the archive: its last part, numbered if an earlier path is
 * called so. */
struct top {
    char name[P2P_NAME_MAX + 1];
};

static bool
is_taken(const struct top *tops, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(tops[i].name, name) == 0)
            return true;
    return false;
}

static enum p2p_err
choose_top(struct top *tops, size_t count, const char *path)
{
    const char *name = ui_last_part(path);
    enum p2p_err err = P2P_OK;

    snprintf(tops[count].name, sizeof(tops[count].name), "%s", name);
    for (unsigned i = 1; err == P2P_OK && is_taken(tops, count, tops[count].name); i++)
        err = p2p_name_numbered(name, i, tops[count].name);
    return err;
}

/* Answers an error about one file. */
static void
fail_file(struct http_request *req, enum p2p_err err, const char *path)
{
    char detail[P2P_NAME_MAX + 128];

    if (err == P2P_ERR_TOO_LARGE) {
        http_fail(req, 413, "too_many_files",
                  "an archive can have at most %u files; choose a smaller folder",
                  UI_ARCHIVE_FILES_MAX);
        return;
    }
    snprintf(detail, sizeof(detail), "cannot read %s: %s", path, p2p_err_text(err));
    ui_fail(req, err, detail);
}

/* Adds the file `path`, or all files in the folder `path`. False: answered. */
static bool
add_path(struct http_request *req, struct archive *a, const struct ui_listing *l,
         const char *path, const char *top)
{
    size_t len = strlen(path), before = a->zip.count;
    char entry[2 * P2P_NAME_MAX + 2];

    for (size_t i = 0; i < l->count; i++) {
        const char *name = l->files[i].name;
        enum p2p_err err = P2P_OK;
        if (strncmp(name, path, len) != 0 || (name[len] != '/' && name[len] != '\0'))
            continue;
        snprintf(entry, sizeof(entry), "%s%s", top, name + len);
        err = a->zip.count < UI_ARCHIVE_FILES_MAX ? add_member(a, name, entry)
                                                  : P2P_ERR_TOO_LARGE;
        if (err != P2P_OK) {
            fail_file(req, err, name);
            return false;
        }
    }
    if (a->zip.count > before)
        return true;
    http_fail(req, 404, "not_found", "there is no file or folder %s", path);
    return false;
}

static bool
add_paths(struct http_request *req, struct archive *a, const struct ui_listing *l,
          const struct ui_picks *picks, struct top *tops)
{
    const char *path = NULL;

    for (size_t n = 0; (path = ui_picks_next(picks, path)) != NULL; n++) {
        enum p2p_err err;
        if (!ui_check_name(req, path))
            return false;
        if ((err = choose_top(tops, n, path)) != P2P_OK) {
            ui_fail(req, err, NULL);
            return false;
        }
        if (!add_path(req, a, l, path, tops[n].name))
            return false;
    }
    return true;
}

/* Changes with every change of what is in the archive. */
static enum p2p_err
compute_tag(const struct archive *a, char tag[2 * P2P_DIGEST_LEN + 1])
{
    struct p2p_sha256 *sha = NULL;
    struct p2p_digest digest;
    enum p2p_err err = p2p_sha256_new(&sha);

    for (size_t i = 0; i < a->zip.count && err == P2P_OK; i++) {
        const char *name = a->zip.entries[i].name;
        uint8_t numbers[40];
        const struct mark *m = &a->members[i].mark;
        p2p_store_u64(numbers, m->device);
        p2p_store_u64(numbers + 8, m->inode);
        p2p_store_u64(numbers + 16, m->size);
        p2p_store_u64(numbers + 24, (uint64_t)m->mtime_s);
        p2p_store_u64(numbers + 32, (uint64_t)m->mtime_ns);
        err = p2p_sha256_update(sha, name, strlen(name) + 1);
        if (err == P2P_OK)
            err = p2p_sha256_update(sha, numbers, sizeof(numbers));
    }
    if (err == P2P_OK)
        err = p2p_sha256_peek(sha, &digest);
    p2p_sha256_free(sha);
    if (err == P2P_OK)
        p2p_hex_format(digest.b, sizeof(digest.b), tag);
    return err;
}

/* Takes the archive. */
static void
reply_archive(struct http_request *req, struct archive *a, const char *name)
{
    const struct http_source_of_bytes source = {
        .begin = archive_begin, .read = archive_read, .end = archive_free, .arg = a};
    char tag[2 * P2P_DIGEST_LEN + 1], full[P2P_NAME_MAX + sizeof(".zip")];
    enum p2p_err err;

    zip_finish(&a->zip);
    if ((err = compute_tag(a, tag)) != P2P_OK) {
        ui_fail(req, err, NULL);
        archive_free(a);
        return;
    }
    snprintf(full, sizeof(full), "%s.zip", name);
    http_reply_file(req, &(struct http_file){.fd = -1,
                                             .source = &source,
                                             .size = a->zip.size,
                                             .etag = tag,
                                             .type = "application/zip",
                                             .download_name = full});
}

static void
reply_paths(struct http_request *req, struct ui_folders *folders, enum ui_folder folder,
            const struct ui_listing *l, const struct ui_picks *picks)
{
    struct top *tops = calloc(picks->count, sizeof(*tops));
    struct archive *a = tops != NULL ? archive_new(folders, folder) : NULL;

    if (a == NULL)
        http_fail_err(req, P2P_ERR_BUSY, "too many archives are being sent; try later");
    else if (add_paths(req, a, l, picks, tops))
        reply_archive(req, a, picks->count == 1 ? tops[0].name : "files");
    else
        archive_free(a);
    free(tops);
}

static bool
parse_folder(struct http_request *req, const char *of, enum ui_folder *folder)
{
    *folder = of != NULL && strcmp(of, "downloads") == 0 ? UI_DOWNLOADS : UI_SHARED;
    if (of != NULL && (*folder == UI_DOWNLOADS || strcmp(of, "shared") == 0))
        return true;
    http_fail(req, 400, "bad_parameter", "\"of\" must be shared or downloads");
    return false;
}

/* What is asked for: a selection that was kept, or the paths of the address. False:
 * answered. */
static bool
find_picks(struct http_request *req, struct ui_folders *folders, enum ui_folder *folder,
           struct ui_picks *picks)
{
    const char *id = http_query(req, "selection"), *path;
    enum p2p_err err = P2P_OK;

    if (id != NULL) {
        err = ui_chosen_find(folders->chosen, id, p2p_now_ms() / 1000, folder, picks);
        if (err != P2P_OK)
            ui_fail(req, err, "this selection is no longer kept; choose again");
        return err == P2P_OK;
    }
    if (!parse_folder(req, http_query(req, "of"), folder))
        return false;
    for (unsigned n = 0;
         err == P2P_OK && (path = http_query_nth(req, "path", n)) != NULL; n++)
        err = ui_picks_add(picks, path);
    if (err != P2P_OK)
        ui_fail(req, err, NULL);
    else if (picks->count == 0)
        http_fail(req, 400, "missing_parameter",
                  "name a file or folder with path; it may be repeated");
    return err == P2P_OK && picks->count > 0;
}

/* Files are opened, and read if the archive is resumed, so another thread does it. */
static void
reply_picks(struct http_request *req, struct ui_folders *folders, enum ui_folder folder,
            const struct ui_picks *picks)
{
    const struct ui_listing *l;
    enum p2p_err err;

    if (!ui_check_folder(req, folders, folder) || http_offload(req))
        return;
    if ((err = ui_listing_get(folders, folder, &l)) != P2P_OK) {
        ui_fail(req, err, NULL);
        return;
    }
    reply_paths(req, folders, folder, l, picks);
    ui_listing_release(l);
}

void
ui_archive_handle(struct http_request *req, void *folders)
{
    struct ui_picks picks = {0};
    enum ui_folder folder;

    if (find_picks(req, folders, &folder, &picks))
        reply_picks(req, folders, folder, &picks);
    ui_picks_clear(&picks);
}

/* ---- POST: keeps a selection ---- */

/* False: answered. */
static bool
read_picks(struct http_request *req, const cJSON *body, struct ui_picks *picks)
{
    const cJSON *paths = cJSON_GetObjectItemCaseSensitive(body, "paths"), *item;
    enum p2p_err err = P2P_OK;

    cJSON_ArrayForEach(item, paths)
    {
        const char *path = cJSON_GetStringValue(item);
        if (!ui_check_name(req, path))
            return false;
        if ((err = ui_picks_add(picks, path)) != P2P_OK)
            break;
    }
    if (err == P2P_OK && cJSON_IsArray(paths) && picks->count > 0)
        return true;
    if (err == P2P_ERR_NOMEM)
        ui_fail(req, err, NULL);
    else
        ui_fail_value(req, "paths", "1 to 2000 names of files or folders");
    return false;
}

void
ui_archive_handle_keep(struct http_request *req, void *arg)
{
    struct ui_folders *folders = arg;
    const cJSON *body = http_json(req);
    struct ui_picks picks = {0};
    char id[UI_CHOSEN_ID_LEN + 1];
    struct http_json_out o;
    enum ui_folder folder;
    enum p2p_err err;

    if (body == NULL || !parse_folder(req, http_json_string(body, "of"), &folder))
        return;
    if (!read_picks(req, body, &picks)) {
        ui_picks_clear(&picks);
        return;
    }
    err = ui_chosen_keep(folders->chosen, folder, &picks, p2p_now_ms() / 1000, id);
    if (err != P2P_OK) {
        ui_fail(req, err, NULL);
        return;
    }
    ui_json_begin(&o, 96);
    http_json_put_string(&o, "selection", id);
    http_json_put_u64(&o, "expires_at", p2p_time_s() + UI_CHOSEN_S);
    ui_json_reply(&o, req, 201);
}
