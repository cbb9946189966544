#include "ui/web.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "http/file.h"
#include "http/http.h"
#include "p2p/bytes.h"
#include "p2p/crypto.h"
#include "p2p/io.h"

#define FILES_MAX   1000u
#define BYTES_MAX   (16u * 1024 * 1024) /* of all files */
#define PATH_ROOM   256u
#define DEPTH_MAX   4u
#define VERSION_LEN 12u
#define TAG_LEN     16u
#define INDEX       "index.html"
#define PACKED      ".gz"

struct body {
    unsigned char *bytes;
    size_t len;
};

struct file {
    char path[PATH_ROOM];
    struct body plain, packed; /* without bytes: there is no compressed copy */
    struct timespec changed;
    char tag[TAG_LEN + sizeof("-gzip")], packed_tag[TAG_LEN + sizeof("-gzip")];
};

struct ui_web {
    struct file *at; /* by path */
    size_t count;
    size_t bytes;
    char version[VERSION_LEN + 1];
};

/* ---- reading ---- */

static enum p2p_err
read_body(int fd, size_t len, struct body *out)
{
    out->len = len;
    out->bytes = malloc(len + 1); /* never of no bytes */
    if (out->bytes == NULL)
        return P2P_ERR_NOMEM;
    return p2p_pread_full(fd, out->bytes, len, 0);
}

/* Adds the file that is open as `fd`; leaves out what is not a regular file. */
static enum p2p_err
add_file(struct ui_web *web, int fd, const char *path)
{
    struct file *f, *more;
    struct stat st;

    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        return P2P_OK;
    if (web->count == FILES_MAX || st.st_size > (off_t)(BYTES_MAX - web->bytes))
        return P2P_ERR_RANGE;
    more = realloc(web->at, (web->count + 1) * sizeof(*more));
    if (more == NULL)
        return P2P_ERR_NOMEM;
    web->at = more;
    f = &web->at[web->count++];
    memset(f, 0, sizeof(*f));
    snprintf(f->path, sizeof(f->path), "%s", path);
    f->changed = st.st_mtim;
    web->bytes += (size_t)st.st_size;
    return read_body(fd, (size_t)st.st_size, &f->plain);
}

static enum p2p_err read_folder(struct ui_web *web, int fd, const char *path,
                                unsigned depth);

/* Takes the descriptor. */
static enum p2p_err
read_entry(struct ui_web *web, int fd, const char *path, unsigned depth)
{
    struct stat st;
    enum p2p_err err = P2P_OK;

    if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
        if (depth < DEPTH_MAX)
            return read_folder(web, fd, path, depth + 1);
    } else
        err = add_file(web, fd, path);
    close(fd);
    return err;
}

/* Reads all entries of the folder `path`; takes the descriptor. What cannot be opened
 * is left out: the page that needs it says so. */
static enum p2p_err
read_folder(struct ui_web *web, int fd, const char *path, unsigned depth)
{
    DIR *dir = fdopendir(fd);
    enum p2p_err err = P2P_OK;
    char name[PATH_ROOM];
    struct dirent *e;
    int child;

    if (dir == NULL) {
        close(fd);
        return P2P_ERR_NOT_FOUND;
    }
    while (err == P2P_OK && (e = readdir(dir)) != NULL) {
        int len = snprintf(name, sizeof(name), "%s%s%s", path, *path != '\0' ? "/" : "",
                           e->d_name);
        if (e->d_name[0] == '.' || len >= (int)sizeof(name))
            continue;
        child = openat(dirfd(dir), e->d_name,
                       O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        if (child >= 0)
            err = read_entry(web, child, name, depth);
    }
    closedir(dir);
    return err;
}

static int
by_path(const void *a, const void *b)
{
    return strcmp(((const struct file *)a)->path, ((const struct file *)b)->path);
}

static struct file *
find_file(const struct ui_web *web, const char *path)
{
    struct file wanted;

    if (strlen(path) >= sizeof(wanted.path) || web->count == 0)
        return NULL;
    memcpy(wanted.path, path, strlen(path) + 1);
    return bsearch(&wanted, web->at, web->count, sizeof(wanted), by_path);
}

static bool
is_older(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec != b->tv_sec ? a->tv_sec < b->tv_sec : a->tv_nsec < b->tv_nsec;
}

/* Gives the compressed copies to their files. They are files of their own no longer. */
static void
join_packed(struct ui_web *web)
{
    size_t kept = 0;

    for (size_t i = 0; i < web->count; i++) {
        size_t len = strlen(web->at[i].path);
        char path[PATH_ROOM];
        struct file *f;

        if (len < sizeof(PACKED) || strcmp(&web->at[i].path[len - 3], PACKED) != 0)
            continue;
        snprintf(path, sizeof(path), "%.*s", (int)len - 3, web->at[i].path);
        f = find_file(web, path);
        if (f == NULL || is_older(&web->at[i].changed, &f->changed))
            free(web->at[i].plain.bytes);
        else
            f->packed = web->at[i].plain;
        web->at[i].plain.bytes = NULL;
    }
    for (size_t i = 0; i < web->count; i++)
        if (web->at[i].plain.bytes != NULL)
            web->at[kept++] = web->at[i];
    web->count = kept;
}

/* ---- versions ---- */

static enum p2p_err
set_version(struct ui_web *web)
{
    struct p2p_sha256 *sha = NULL;
    struct p2p_digest digest;
    enum p2p_err err = p2p_sha256_new(&sha);

    for (size_t i = 0; i < web->count && err == P2P_OK; i++) {
        const struct file *f = &web->at[i];
        char head[PATH_ROOM + 24];
        int len = snprintf(head, sizeof(head), "%s %zu\n", f->path, f->plain.len);

        err = p2p_sha256_update(sha, head, (size_t)len);
        if (err == P2P_OK)
            err = p2p_sha256_update(sha, f->plain.bytes, f->plain.len);
    }
    if (err == P2P_OK)
        err = p2p_sha256_peek(sha, &digest);
    if (err == P2P_OK)
        p2p_hex_format(digest.b, VERSION_LEN / 2, web->version);
    p2p_sha256_free(sha);
    return err;
}

static enum p2p_err
set_tags(struct ui_web *web)
{
    for (size_t i = 0; i < web->count; i++) {
        struct file *f = &web->at[i];
        struct p2p_digest digest;
        enum p2p_err err = p2p_sha256(f->plain.bytes, f->plain.len, &digest);

        if (err != P2P_OK)
            return err;
        p2p_hex_format(digest.b, TAG_LEN / 2, f->tag);
        snprintf(f->packed_tag, sizeof(f->packed_tag), "%.*s-gzip", (int)TAG_LEN,
                 f->tag);
    }
    return P2P_OK;
}

/* True if the attribute's value that begins here is the address of a versioned file. */
static bool
is_versioned(const char *at)
{
    static const char *const begins[] = {"=\"js/", "=\"css/", "=\"i18n/"};

    for (size_t i = 0; i < sizeof(begins) / sizeof(begins[0]); i++)
        if (strncmp(at, begins[i], strlen(begins[i])) == 0)
            return true;
    return false;
}

/* Writes the version into the addresses of the page. */
static enum p2p_err
write_addresses(const struct ui_web *web, struct body *page)
{
    size_t marks = 0, len = 0;
    char *text, *out;

    page->bytes[page->len] = '\0'; /* there is room: read_body */
    text = (char *)page->bytes;
    for (const char *p = strchr(text, '='); p != NULL; p = strchr(p + 1, '='))
        marks += is_versioned(p);
    out = malloc(page->len + marks * (VERSION_LEN + sizeof("v//")) + 1);
    if (out == NULL)
        return P2P_ERR_NOMEM;
    for (const char *p = text; *p != '\0'; p++) {
        out[len++] = *p;
        if (*p != '"' || p == text || !is_versioned(p - 1))
            continue;
        memcpy(out + len, "v/", 2);
        memcpy(out + len + 2, web->version, VERSION_LEN);
        out[len + 2 + VERSION_LEN] = '/';
        len += VERSION_LEN + 3;
    }
    free(page->bytes);
    *page = (struct body){(unsigned char *)out, len};
    return P2P_OK;
}

static enum p2p_err
pack(const struct body *plain, struct body *out)
{
    z_stream z = {0};
    uLong room;

    if (deflateInit2(&z, Z_BEST_COMPRESSION, Z_DEFLATED, 15 + 16, 8,
                     Z_DEFAULT_STRATEGY) != Z_OK)
        return P2P_ERR_NOMEM;
    room = deflateBound(&z, (uLong)plain->len);
    out->bytes = malloc(room);
    z.next_in = plain->bytes;
    z.avail_in = (uInt)plain->len;
    z.next_out = out->bytes;
    z.avail_out = (uInt)room;
    if (out->bytes != NULL && deflate(&z, Z_FINISH) != Z_STREAM_END) {
        free(out->bytes);
        out->bytes = NULL;
    }
    out->len = z.total_out;
    (void)deflateEnd(&z);
    return out->bytes != NULL ? P2P_OK : P2P_ERR_NOMEM;
}

static enum p2p_err
make_index(struct ui_web *web)
{
    struct file *f = find_file(web, INDEX);
    enum p2p_err err = f != NULL ? write_addresses(web, &f->plain) : P2P_ERR_NOT_FOUND;

    if (err != P2P_OK)
        return err;
    free(f->packed.bytes);
    return pack(&f->plain, &f->packed);
}

enum p2p_err
ui_web_open(int dir_fd, struct ui_web **out)
{
    struct ui_web *web = calloc(1, sizeof(*web));
    int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    enum p2p_err err = web == NULL ? P2P_ERR_NOMEM : P2P_OK;

    *out = NULL;
    if (fd < 0)
        err = P2P_ERR_NOT_FOUND;
    if (err == P2P_OK)
        err = read_folder(web, fd, "", 0);
    else if (fd >= 0)
        close(fd);
    if (err == P2P_OK && web->count > 0) {
        qsort(web->at, web->count, sizeof(*web->at), by_path);
        join_packed(web);
        err = set_version(web);
    }
    if (err == P2P_OK)
        err = make_index(web);
    if (err == P2P_OK)
        err = set_tags(web);
    if (err == P2P_OK)
        *out = web;
    else
        ui_web_free(web);
    return err;
}

void
ui_web_free(struct ui_web *web)
{
    if (web == NULL)
        return;
    for (size_t i = 0; i < web->count; i++) {
        free(web->at[i].plain.bytes);
        free(web->at[i].packed.bytes);
    }
    free(web->at);
    free(web);
}

const char *
ui_web_version(const struct ui_web *web)
{
    return web != NULL ? web->version : "";
}

/* ---- answering ---- */

enum ui_web_found
ui_web_find(const struct ui_web *web, const char *path, bool accepts_gzip,
            struct ui_web_page *out)
{
    bool is_lasting = strncmp(path, "v/", 2) == 0;
    size_t len;
    char full[PATH_ROOM];
    const struct file *f;

    if (is_lasting) {
        path += 2;
        if (strncmp(path, web->version, VERSION_LEN) != 0 || path[VERSION_LEN] != '/')
            return UI_WEB_OTHER_VERSION;
        path += VERSION_LEN + 1;
    }
    len = strlen(path);
    if (len + sizeof(INDEX) > sizeof(full))
        return UI_WEB_MISSING;
    snprintf(full, sizeof(full), "%s%s", path,
             !is_lasting && (len == 0 || path[len - 1] == '/') ? INDEX : "");
    if ((f = find_file(web, full)) == NULL)
        return UI_WEB_MISSING;
    out->is_packed = accepts_gzip && f->packed.bytes != NULL;
    out->is_lasting = is_lasting;
    out->bytes = out->is_packed ? f->packed.bytes : f->plain.bytes;
    out->len = out->is_packed ? f->packed.len : f->plain.len;
    out->tag = out->is_packed ? f->packed_tag : f->tag;
    out->type = http_type_of(full);
    return UI_WEB_FOUND;
}

void
ui_web_reply(struct http_request *req, const struct ui_web *web, const char *path)
{
    bool accepts_gzip = http_accepts_gzip(http_header(req, "Accept-Encoding"));
    struct ui_web_page page;

    switch (ui_web_find(web, path, accepts_gzip, &page)) {
    case UI_WEB_MISSING:
        http_fail(req, 404, "not_found", "there is no such page");
        return;
    case UI_WEB_OTHER_VERSION:
        http_fail(req, 404, "old_version",
                  "this file is of another version of p2p-ui; load the page again");
        return;
    case UI_WEB_FOUND:
        break;
    }
    http_set_header(req, "Cache-Control",
                    page.is_lasting ? "public, max-age=31536000, immutable"
                                    : "no-cache");
    http_set_header(req, "Vary", "Accept-Encoding");
    if (http_not_modified(req, page.tag))
        return;
    if (page.is_packed)
        http_set_header(req, "Content-Encoding", "gzip");
    http_reply(req, 200, page.type, page.bytes, page.len);
}
