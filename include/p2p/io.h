/*
 * io - reading and writing a whole range of a file, and closing descriptors.
 * Thread-safe.
 */
#ifndef P2P_IO_H
#define P2P_IO_H

#include <stddef.h>
#include <stdint.h>

#include "p2p/err.h"

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

/* Exactly `len` bytes at `offset` of a file, past EINTR and short reads. CORRUPT when
 * the file ends before them; otherwise the error for errno. */
P2P_MUST_CHECK enum p2p_err p2p_pread_full(int fd, void *out, size_t len,
                                           uint64_t offset);
/* As p2p_pread_full. DISK_FULL. */
P2P_MUST_CHECK enum p2p_err p2p_pwrite_full(int fd, const void *data, size_t len,
                                            uint64_t offset);

/* Closes `*fd` when it is open (>= 0) and sets it to -1. */
void p2p_fd_close(int *fd);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop

#endif
