/*
 * probe - finds out what a file system takes before a download begins.
 *
 * Names are refused by length and by character, files by size, and some file systems
 * can move files only in a roundabout way. What will be needed at the end is tried in
 * an empty folder of its own in `.p2p/`, which is removed by p2p_probe_close. Nothing
 * appears under a public name. One object, one thread at a time.
 */
#ifndef P2P_PROBE_H
#define P2P_PROBE_H

#include <stdint.h>

#include "p2p/path.h"

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

struct p2p_probe; /* *returned owned*, free with p2p_probe_close; borrows the root */

/* DISK_FULL, NO_INODES, QUOTA, READ_ONLY, PERMISSION: nothing can be stored there now.
 */
P2P_MUST_CHECK enum p2p_err p2p_probe_open(const struct p2p_root *root,
                                           struct p2p_probe **out);
void p2p_probe_close(struct p2p_probe *probe); /* NULL is fine */

/* FILE_TOO_BIG if the file system does not allow files of this size. NO_SEEK if it does
 * not allow writes at any place of a file, which a download needs. */
P2P_MUST_CHECK enum p2p_err p2p_probe_size(struct p2p_probe *probe, uint64_t size);

/*
 * Checks whether a file can be stored under this name. TARGET_NAME: the file system
 * refuses it; `works` (P2P_NAME_MAX + 1 bytes) gets a similar name that was tried, or
 * "". IN_THE_WAY: a file or a link has the name of one of its folders. OTHER_DISK:
 * another file system is mounted at one of its folders.
 */
P2P_MUST_CHECK enum p2p_err p2p_probe_name(struct p2p_probe *probe, const char *name,
                                           char *works);

/* Changes DISK_FULL to NO_INODES if bytes are free but inodes are not. */
enum p2p_err p2p_root_full_reason(const struct p2p_root *root, enum p2p_err err);
/* The size of the whole file system, used or not; 0 if it is not known. */
uint64_t p2p_root_disk_bytes(const struct p2p_root *root);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop

#endif
