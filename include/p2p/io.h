/*
 * io - complete reads and writes of a range of a file; paths of open descriptors, and
 * closing them; whether two looks saw one file.
 * Thread-safe.
 */
#ifndef P2P_IO_H
#define P2P_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "p2p/err.h"

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

/* Reads exactly `len` bytes at `offset` of a file, and handles EINTR and short reads.
 * CORRUPT if the file ends before; otherwise the error for errno. */
P2P_MUST_CHECK enum p2p_err p2p_pread_full(int fd, void *out, size_t len,
                                           uint64_t offset);
/* Writes exactly `len` bytes at `offset` of a file. DISK_FULL and other errors for
 * errno. */
P2P_MUST_CHECK enum p2p_err p2p_pwrite_full(int fd, const void *data, size_t len,
                                            uint64_t offset);

/* The path that the system tells for an open descriptor: where the file or folder is
 * now, not where it was opened. Cut to `cap` bytes with its NUL. False: it tells none.
 */
bool p2p_fd_path(int fd, char *out, size_t cap);

struct stat;
/* True if both are of one file, whatever its content. */
bool p2p_stat_is_same_file(const struct stat *a, const struct stat *b);
/* True if they are, and the file has not changed in between, as far as its size and
 * times tell. */
bool p2p_stat_is_unchanged(const struct stat *before, const struct stat *now);

/* Closes `*fd` when it is open (>= 0) and sets it to -1. */
void p2p_fd_close(int *fd);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop

#endif
