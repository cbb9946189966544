#include "cli/send/parcel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/print/print.h"
#include "p2p/clock.h"
#include "p2p/io.h"
#include "p2p/path.h"
#include "p2p/tree.h"

enum { CHUNK = 1024 * 1024, SHOW_EVERY_MS = 500 };

/* ---- names ---- */

static bool
is_input(const char *path)
{
    return strcmp(path, "-") == 0;
}

/* The last part of the path, in a form that every device takes. */
static enum p2p_err
name_of(const char *path, bool is_folder, char out[P2P_NAME_MAX + 2])
{
    char *whole = realpath(path, NULL);
    const char *last = whole != NULL ? strrchr(whole, '/') : NULL;
    enum p2p_err err = whole == NULL ? p2p_err_from_errno(errno) : P2P_ERR_NAME;

    if (last != NULL && last[1] != '\0')
        err = p2p_name_usable(last + 1, strlen(last + 1), false, out);
    if (err == P2P_OK && is_folder)
        strcat(out, "/");
    free(whole);
    return err;
}

static int
check_one(const char *path, const char *input_name, struct parcel_item *item)
{
    char shown[CLI_TEXT];
    struct stat st;
    enum p2p_err err;

    if (is_input(path)) {
        err = p2p_name_usable(input_name, strlen(input_name), false, item->name);
    } else if (stat(path, &st) != 0) {
        err = p2p_err_from_errno(errno);
    } else if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) {
        return cli_fail(P2P_ERR_USAGE,
                        "cannot send %s: it is neither a file nor a folder",
                        cli_text(path, shown));
    } else {
        err = name_of(path, S_ISDIR(st.st_mode), item->name);
    }
    return err == P2P_OK ? 0
                         : cli_fail(err, "cannot send %s: %s", cli_text(path, shown),
                                    p2p_err_text(err));
}

/* "a" and "a/" are one name on the disk of the receiver. */
static bool
is_same(const char *a, const char *b)
{
    size_t len_a = strcspn(a, "/"), len_b = strcspn(b, "/");

    return len_a == len_b && strncmp(a, b, len_a) == 0;
}

int
parcel_check(char *const *paths, size_t count, const char *input_name,
             struct parcel *out)
{
    char shown[CLI_TEXT];
    int status = 0;

    memset(out, 0, sizeof(*out));
    if (count > PARCEL_ITEMS_MAX)
        return cli_fail(P2P_ERR_USAGE,
                        "cannot send more than %d files and folders at once; put them "
                        "into one folder",
                        PARCEL_ITEMS_MAX);
    for (size_t i = 0; i < count && status == 0; i++) {
        status = check_one(paths[i], input_name, &out->items[i]);
        for (size_t j = 0; j < i && status == 0; j++)
            if (is_same(out->items[i].name, out->items[j].name))
                status = cli_fail(P2P_ERR_USAGE,
                                  "two of the files have the name %s; rename one, or "
                                  "send them one after the other",
                                  cli_text(out->items[i].name, shown));
    }
    out->count = count;
    return status;
}

/* ---- hashing ---- */

struct packing {
    struct parcel *parcel;
    struct parcel_item *item;
    struct carrier *carrier;
    struct p2p_root *root; /* of a folder */
    bool shows;
    uint64_t shown_ms, done;
    uint8_t *buffer; /* of CHUNK_MAX bytes, grown */
    size_t buffer_size;
};

static void
show(struct packing *p, bool is_end)
{
    char done[CLI_SHORT];

    if (!p->shows || (!is_end && p2p_now_ms() < p->shown_ms + SHOW_EVERY_MS))
        return;
    if (is_end && p->shown_ms == 0)
        return;
    p->shown_ms = p2p_now_ms();
    fprintf(stderr, is_end ? "\r\033[K" : "\r\033[Kreading: %s",
            cli_size(p->done, done));
    fflush(stderr);
}

static enum p2p_err
read_chunk(int fd, uint8_t *out, size_t len, uint64_t offset)
{
    enum p2p_err err = p2p_pread_full(fd, out, len, offset);

    return err == P2P_ERR_CORRUPT ? P2P_ERR_FILE_CHANGED : err; /* it got shorter */
}

/* Large files get larger chunks, so that the hashes of a file stay few. */
static uint32_t
chunk_size_for(uint64_t size)
{
    uint64_t chunk = CHUNK;

    while (size / chunk > 65536 && chunk < P2P_CHUNK_SIZE_MAX)
        chunk *= 2;
    return (uint32_t)chunk;
}

static enum p2p_err
make_buffer(struct packing *p, size_t size)
{
    if (p->buffer_size >= size)
        return P2P_OK;
    free(p->buffer);
    p->buffer = malloc(size);
    p->buffer_size = p->buffer != NULL ? size : 0;
    return p->buffer != NULL ? P2P_OK : P2P_ERR_NOMEM;
}

static enum p2p_err
hash_chunks(struct packing *p, struct carrier_file *file, struct p2p_digest *layer)
{
    struct p2p_sha256 *sha = NULL;
    enum p2p_err err = p2p_sha256_new(&sha);

    for (uint64_t i = 0; i < file->geometry.count && err == P2P_OK; i++) {
        uint32_t len = p2p_chunk_length(&file->geometry, i);
        err =
            read_chunk(file->fd, p->buffer, len, p2p_chunk_offset(&file->geometry, i));
        if (err == P2P_OK)
            err = p2p_tree_chunk(&file->geometry, p->buffer, len, &layer[i]);
        if (err == P2P_OK)
            err = p2p_sha256_update(sha, p->buffer, len);
        p->done += len;
        show(p, false);
    }
    if (err == P2P_OK)
        err = p2p_sha256_peek(sha, &file->sha256);
    if (err == P2P_OK)
        err = p2p_tree_root(&file->geometry, layer, &file->root);
    p2p_sha256_free(sha);
    return err;
}

static uint64_t
mtime_ns(const struct stat *st)
{
    return (uint64_t)st->st_mtim.tv_sec * 1000000000u + (uint64_t)st->st_mtim.tv_nsec;
}

/* Hashes an open file and hands it over. */
static enum p2p_err
pack_open(struct packing *p, const char *name, int fd)
{
    struct carrier_file file = {.name = name, .fd = fd};
    struct p2p_digest *layer = NULL;
    struct stat st;
    enum p2p_err err = fstat(fd, &st) == 0 ? P2P_OK : p2p_err_from_errno(errno);

    if (err == P2P_OK)
        err = p2p_chunks_init(&file.geometry, (uint64_t)st.st_size,
                              chunk_size_for((uint64_t)st.st_size));
    if (err == P2P_OK)
        err = make_buffer(p, file.geometry.chunk_size);
    if (err == P2P_OK &&
        (layer = calloc((size_t)file.geometry.count + 1, sizeof(*layer))) == NULL)
        err = P2P_ERR_NOMEM;
    if (err == P2P_OK)
        err = hash_chunks(p, &file, layer);
    file.mtime_ns = mtime_ns(&st);
    file.layer = layer;
    if (err == P2P_OK)
        err = carrier_add(p->carrier, &file);
    free(layer);
    if (err == P2P_OK) {
        p->item->root = file.root;
        p->item->size += file.geometry.size;
        p->item->files++;
    }
    return err;
}

/* ---- one file, standard input, a folder ---- */

static enum p2p_err
pack_file(struct packing *p, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    enum p2p_err err =
        fd >= 0 ? pack_open(p, p->item->name, fd) : p2p_err_from_errno(errno);

    p2p_fd_close(&fd);
    return err;
}

/* Into a file without a name, which goes with this program. */
static enum p2p_err
copy_input(struct packing *p, int fd)
{
    enum p2p_err err = make_buffer(p, CHUNK);

    while (err == P2P_OK) {
        ssize_t n = read(STDIN_FILENO, p->buffer, CHUNK);
        if (n == 0)
            return P2P_OK;
        if (n < 0 && errno != EINTR)
            return p2p_err_from_errno(errno);
        for (ssize_t done = 0; done < n && err == P2P_OK;) {
            ssize_t m = write(fd, p->buffer + done, (size_t)(n - done));
            if (m < 0 && errno != EINTR)
                err = p2p_err_from_errno(errno);
            done += m > 0 ? m : 0;
        }
    }
    return err;
}

static enum p2p_err
pack_input(struct packing *p)
{
    const char *base = getenv("TMPDIR");
    FILE *file = NULL;
    int fd =
        open(base != NULL ? base : "/var/tmp", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);

    if (fd < 0 && (file = tmpfile()) != NULL)
        fd = fcntl(fileno(file), F_DUPFD_CLOEXEC, 0);
    enum p2p_err err = fd >= 0 ? copy_input(p, fd) : p2p_err_from_errno(errno);
    if (err == P2P_OK)
        err = pack_open(p, p->item->name, fd);
    p2p_fd_close(&fd);
    if (file != NULL)
        fclose(file);
    return err;
}

static enum p2p_err
whole_name(const struct packing *p, const char *inner, char out[P2P_NAME_MAX + 2])
{
    int n = snprintf(out, P2P_NAME_MAX + 2, "%s%s", p->item->name, inner);

    return n > 0 && n <= P2P_NAME_MAX ? P2P_OK : P2P_ERR_NAME;
}

static enum p2p_err
visit_file(void *arg, const char *name, const struct stat *st)
{
    struct packing *p = arg;
    char whole[P2P_NAME_MAX + 2], shown[CLI_TEXT];
    struct stat now;
    int fd = -1;
    enum p2p_err err = whole_name(p, name, whole);

    (void)st;
    if (err == P2P_OK)
        err = p2p_root_open_file(p->root, name, &fd, &now);
    if (err == P2P_OK)
        err = pack_open(p, whole, fd);
    p2p_fd_close(&fd);
    if (err == P2P_ERR_NOT_FOUND || err == P2P_ERR_PERMISSION || err == P2P_ERR_NAME ||
        err == P2P_ERR_FILE_CHANGED) {
        cli_say("left out %s: %s", cli_text(name, shown), p2p_err_text(err));
        p->parcel->left_out++;
        return P2P_OK;
    }
    return err;
}

static void
visit_left_out(void *arg, const char *folder, const char *leaf, const char *reason)
{
    struct packing *p = arg;
    char shown[CLI_TEXT];

    (void)folder;
    cli_say("left out %s: %s", cli_text(leaf, shown), reason);
    p->parcel->left_out++;
}

static void
visit_empty(void *arg, const char *name)
{
    struct packing *p = arg;
    char whole[P2P_NAME_MAX + 2];
    struct carrier_file file = {.name = whole, .fd = -1};

    if (whole_name(p, name, whole) == P2P_OK && strlen(whole) < P2P_NAME_MAX) {
        strcat(whole, "/");
        (void)!carrier_add(p->carrier, &file);
    }
}

static enum p2p_err
pack_folder(struct packing *p, const char *path)
{
    const struct p2p_walk walk = {
        .file = visit_file, .empty = visit_empty, .left_out = visit_left_out, .arg = p};
    size_t skipped = 0;
    enum p2p_err err = p2p_root_open(path, false, 0700, &p->root);

    if (err == P2P_OK)
        err = p2p_root_walk_folder(p->root, "", &walk, &skipped);
    p2p_root_close(p->root);
    p->root = NULL;
    if (err == P2P_OK && p->item->files == 0)
        err = P2P_ERR_NOT_FOUND;
    return err;
}

int
parcel_pack(struct parcel *parcel, char *const *paths, struct carrier *carrier,
            bool shows)
{
    struct packing p = {.parcel = parcel, .carrier = carrier, .shows = shows};
    char shown[CLI_TEXT];
    enum p2p_err err = P2P_OK;
    size_t i;

    for (i = 0; i < parcel->count && err == P2P_OK; i++) {
        p.item = &parcel->items[i];
        if (is_input(paths[i]))
            err = pack_input(&p);
        else if (p.item->name[strlen(p.item->name) - 1] == '/')
            err = pack_folder(&p, paths[i]);
        else
            err = pack_file(&p, paths[i]);
        parcel->size += p.item->size;
        parcel->files += p.item->files;
    }
    show(&p, true);
    free(p.buffer);
    if (err == P2P_OK)
        return 0;
    return cli_fail(err, "cannot send %s: %s", cli_text(paths[i - 1], shown),
                    err == P2P_ERR_NOT_FOUND ? "there is no file in it"
                    : err == P2P_ERR_TOO_LARGE
                        ? "these are too many files; pack them into one archive"
                        : p2p_err_text(err));
}
