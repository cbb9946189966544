/* The record of a shared folder: two lines, "files N" and "path /home/anna/shared". */
#include "core/share/record.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/disk/beneath.h"
#include "p2p/bytes.h"
#include "p2p/io.h"
#include "p2p/log.h"

#define NAME_MAX_LEN 32
#define TEXT_MAX     (PATH_MAX + 64)
#define FILES_WORD   "files "
#define PATH_WORD    "\npath "

struct p2p_record {
    struct p2p_root *keys;
    char name[NAME_MAX_LEN];
    char path[PATH_MAX];
    uint64_t files, written;
    bool is_written, has_warned;
};

static void
put_name(const char *program, char out[NAME_MAX_LEN])
{
    snprintf(out, NAME_MAX_LEN, "%.16s.shared", program);
}

/* Reads the whole file and adds a NUL. */
static enum p2p_err
read_text(int dir, const char *name, char out[TEXT_MAX])
{
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    ssize_t n;

    if (fd < 0)
        return P2P_ERR_NOT_FOUND;
    n = read(fd, out, TEXT_MAX - 1);
    close(fd);
    if (n <= 0 || out[n - 1] != '\n' || memchr(out, '\0', (size_t)n))
        return P2P_ERR_CORRUPT;
    out[n - 1] = '\0';
    return P2P_OK;
}

static enum p2p_err
parse(const char *text, struct p2p_share_record *out)
{
    const char *number = text + strlen(FILES_WORD), *end = strchr(text, '\n');

    memset(out, 0, sizeof(*out));
    if (strncmp(text, FILES_WORD, strlen(FILES_WORD)) != 0 || !end ||
        strncmp(end, PATH_WORD, strlen(PATH_WORD)) != 0 ||
        strlen(end + strlen(PATH_WORD)) >= sizeof(out->path))
        return P2P_ERR_CORRUPT;
    strcpy(out->path, end + strlen(PATH_WORD));
    return p2p_decimal_parse(number, (size_t)(end - number), UINT64_MAX, &out->files);
}

static enum p2p_err
load(int dir, const char *name, struct p2p_share_record *out)
{
    char *text = malloc(TEXT_MAX);
    enum p2p_err err = text ? read_text(dir, name, text) : P2P_ERR_NOMEM;

    if (!err)
        err = parse(text, out);
    free(text);
    return err;
}

enum p2p_err
p2p_share_read_record(const char *keys_dir, const char *program,
                      struct p2p_share_record *out)
{
    char name[NAME_MAX_LEN];
    struct p2p_root *keys;
    enum p2p_err err = p2p_root_open(keys_dir, false, 0700, &keys);

    memset(out, 0, sizeof(*out));
    if (err)
        return err;
    put_name(program, name);
    err = load(p2p_root_fd(keys), name, out);
    p2p_root_close(keys);
    return err;
}

bool
p2p_share_is_missing(const char *keys_dir, const char *program, const char *directory)
{
    struct p2p_share_record *known = malloc(sizeof(*known));
    char path[PATH_MAX];
    bool is_missing = known && p2p_root_is_missing(directory) &&
                      p2p_root_resolve(directory, path) == P2P_OK &&
                      p2p_share_read_record(keys_dir, program, known) == P2P_OK &&
                      known->files > 0 && strcmp(known->path, path) == 0;

    free(known);
    return is_missing;
}

static void
load_own(struct p2p_record *record)
{
    struct p2p_share_record *known = malloc(sizeof(*known));

    if (known && load(p2p_root_fd(record->keys), record->name, known) == P2P_OK &&
        strcmp(known->path, record->path) == 0) {
        record->files = record->written = known->files;
        record->is_written = true;
    }
    free(known);
}

enum p2p_err
p2p_record_open(const char *keys_dir, const char *program, const char *folder,
                struct p2p_record **out)
{
    struct p2p_record *record = calloc(1, sizeof(*record));
    enum p2p_err err;

    *out = NULL;
    if (!record)
        return P2P_ERR_NOMEM;
    err = p2p_root_open(keys_dir, false, 0700, &record->keys);
    if (err) {
        free(record);
        return err;
    }
    put_name(program, record->name);
    if (p2p_root_resolve(folder, record->path) != P2P_OK)
        snprintf(record->path, sizeof(record->path), "%s", folder);
    load_own(record);
    *out = record;
    return P2P_OK;
}

void
p2p_record_close(struct p2p_record *record)
{
    if (!record)
        return;
    p2p_root_close(record->keys);
    free(record);
}

uint64_t
p2p_record_files(const struct p2p_record *record)
{
    return record ? record->files : 0;
}

static void
store(struct p2p_record *record)
{
    char *text = malloc(TEXT_MAX);
    int len = text ? snprintf(text, TEXT_MAX, FILES_WORD "%llu" PATH_WORD "%s\n",
                              (unsigned long long)record->files, record->path)
                   : 0;
    enum p2p_err err = P2P_ERR_NOMEM;

    if (len > 0 && len < TEXT_MAX)
        err = p2p_path_replace(p2p_root_fd(record->keys), record->name, text,
                               (size_t)len);
    if (err && !record->has_warned)
        p2p_log_warn("cannot store the state of the shared folder; after a restart, an "
                     "unmounted disk will look like an empty folder reason=\"%s\"",
                     p2p_err_text(err));
    record->has_warned = err != P2P_OK;
    record->is_written = !err;
    record->written = record->files;
    free(text);
}

void
p2p_record_set(struct p2p_record *record, uint64_t files, bool is_last)
{
    uint64_t known;

    if (!record)
        return;
    known = record->written;
    record->files = files;
    if (!record->is_written || (files == 0) != (known == 0) || files / 2 > known ||
        known / 2 > files || (is_last && files != known))
        store(record);
}
