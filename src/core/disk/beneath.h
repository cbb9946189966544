/*
 * beneath - work in a held directory, for the rooms of the core that keep files of
 * their own there. As p2p/path.h says, no part of a name may be a link or lead outside.
 */
#ifndef P2P_BENEATH_H
#define P2P_BENEATH_H

#include "p2p/path.h"

/*
 * Opens `name` beneath `dir` like open(2), but follows no link in any part and never
 * leaves `dir`. Returns a descriptor (close-on-exec), or -1 and errno.
 */
int p2p_path_open_beneath(int dir, const char *name, int flags, mode_t mode);

/* Opens `.p2p/` beneath the root and creates it if necessary. Returns a descriptor, or
 * an error: PERMISSION if the folder belongs to another user. */
P2P_MUST_CHECK enum p2p_err p2p_path_private_dir(const struct p2p_root *root, int *dir);
/* The mode of published files: 0666 without the umask. */
mode_t p2p_path_public_mode(const struct p2p_root *root);

/* Writes `dir`/`name` completely with mode 0600: writes a temporary file, flushes it,
 * renames it over the old one, and flushes the directory. */
P2P_MUST_CHECK enum p2p_err p2p_path_replace(int dir, const char *name,
                                             const void *data, size_t len);

/* The same, but EXISTS if the file exists already. */
P2P_MUST_CHECK enum p2p_err p2p_path_create(int dir, const char *name, const void *data,
                                            size_t len);

/* Calls fsync(2) on a directory, if the file system supports it; false and errno on
 * failure. */
bool p2p_path_flush(int dir);

/* Calls fsync(2) on both. */
P2P_MUST_CHECK enum p2p_err p2p_path_flush_both(int a, int b);

/* A public name: the directory that contains it (held open), and its last part
 * (borrowed from the name). */
struct p2p_path_place {
    int dir;
    const char *leaf;
};
/* Opens the directory of a public name; with `make`, creates the folders above it. */
P2P_MUST_CHECK enum p2p_err p2p_path_place_open(const struct p2p_root *root,
                                                const char *name, bool make,
                                                struct p2p_path_place *place);
/* Also after an error of p2p_path_place_open. */
void p2p_path_place_close(struct p2p_path_place *place);
/* Like rename(2), but never replaces a file: -1 and EEXIST if `to` exists. */
int p2p_path_move_new(int from_dir, const char *from, int to_dir, const char *to);

#endif
