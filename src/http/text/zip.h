/*
 * zip - the layout of an archive of stored files (APPNOTE.TXT 6.3, with ZIP64 where a
 * number needs it). Its size is known before any file was read, and any part of it can
 * be made by itself. So it can be sent while it is made, and resumed. A checksum
 * follows after each file, because it is known only then.
 *
 * Knows nothing of files on disk: the caller adds names, puts in checksums and sends
 * the bytes of the files.
 */
#ifndef P2P_HTTP_ZIP_H
#define P2P_HTTP_ZIP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "p2p/err.h"

#define ZIP_NAME_MAX 4096u /* bytes of a name */

struct zip_entry {
    char *name; /* UTF-8, parts separated by slashes */
    uint64_t size;
    int64_t mtime_s;
    uint32_t crc;       /* set by the caller before the bytes after the file are made */
    uint64_t at;        /* where its header begins, from zip_finish */
    uint64_t listed_at; /* and its line of the list at the end */
};

struct zip {
    struct zip_entry *entries;
    size_t count, cap;
    uint64_t list_at, end_at, size; /* from zip_finish */
};

/* RANGE: the name is longer than ZIP_NAME_MAX. Copies the name. */
P2P_MUST_CHECK enum p2p_err zip_add(struct zip *z, const char *name, uint64_t size,
                                    int64_t mtime_s);
/* Computes the places of everything; nothing may be added afterwards. */
void zip_finish(struct zip *z);
void zip_clear(struct zip *z);

/* The bytes from one place on, as far as they are of one kind. */
struct zip_piece {
    bool is_file;
    size_t entry;  /* of the file, if is_file */
    uint64_t from; /* in this file */
    uint64_t len;  /* at least 1 */
};
/* `at` is less than the size. */
void zip_piece_at(const struct zip *z, uint64_t at, struct zip_piece *out);
/* Makes up to `cap` bytes that are not of a file, from `at` on. Returns their number;
 * 0: `at` is in a file. The checksums of all files before must be set. */
size_t zip_make(const struct zip *z, uint64_t at, void *out, size_t cap);

/* Where the bytes of a file begin. */
uint64_t zip_file_at(const struct zip *z, size_t entry);
/* The number of files whose checksums are needed for the bytes from `at` on, because
 * their own bytes come earlier in whole or in part. */
size_t zip_begun_before(const struct zip *z, uint64_t at);

#endif
