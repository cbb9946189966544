/*
 * path_internal - what the files of the room share (path.c, walk.c,
 * private.c, publish.c), and identity.c with them for its own directory. Nobody else.
 */
#ifndef P2P_PATH_INTERNAL_H
#define P2P_PATH_INTERNAL_H

#include "p2p/path.h"

struct p2p_root {
    int fd;
    mode_t public_mode; /* of published files: 0666 without the umask */
    char path[];
};

/*
 * open(2) of `name` beneath `dir` that follows no link in any part and never leaves
 * `dir`. Returns a descriptor (close-on-exec), or -1 and errno.
 */
int p2p_path_open_beneath(int dir, const char *name, int flags, mode_t mode);

/* For tests: behave as on a kernel without openat2. */
void p2p_path_forbid_openat2(bool forbid);

/* The error for errno after an operation on a public name: links, loops and special
 * files do not exist as far as anybody outside is concerned. */
enum p2p_err p2p_path_error(int errnum);

/* `.p2p/` beneath the root, made at need. A descriptor, or an error: not ours is
 * PERMISSION. */
P2P_MUST_CHECK enum p2p_err p2p_path_private_dir(const struct p2p_root *root, int *dir);
bool p2p_path_private_name_is_valid(const char *name);

/* Writes `dir`/`name` whole with mode 0600: aside, flushed, renamed over the old one,
 * directory flushed. */
P2P_MUST_CHECK enum p2p_err p2p_path_replace(int dir, const char *name,
                                             const void *data, size_t len);

/* The same, but EXISTS when there is one. */
P2P_MUST_CHECK enum p2p_err p2p_path_create(int dir, const char *name, const void *data,
                                            size_t len);

/* fsync(2) of a directory, where the file system can: false and errno otherwise. */
bool p2p_path_flush(int dir);

/* rename(2) that never replaces: -1 and EEXIST when `to` is taken. */
int p2p_path_move_new(int from_dir, const char *from, int to_dir, const char *to);

#endif
