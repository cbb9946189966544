/*
 * path_internal - declarations shared by the files of this room (path.c, walk.c,
 * private.c, publish.c), and by identity.c for its own directory. For no other files.
 */
#ifndef P2P_PATH_INTERNAL_H
#define P2P_PATH_INTERNAL_H

#include "p2p/path.h"

struct p2p_root {
    int fd;
    mode_t public_mode; /* mode of published files: 0666 without the umask */
    char path[];
};

/*
 * Opens `name` beneath `dir` like open(2), but follows no link in any part and never
 * leaves `dir`. Returns a descriptor (close-on-exec), or -1 and errno.
 */
int p2p_path_open_beneath(int dir, const char *name, int flags, mode_t mode);

/* For tests: behaves like a kernel without openat2. */
void p2p_path_forbid_openat2(bool forbid);

/* The error for errno after an operation on a public name. Links, loops and special
 * files are reported as "not found". */
enum p2p_err p2p_path_error(int errnum);

/* Opens `.p2p/` beneath the root and creates it if necessary. Returns a descriptor, or
 * an error: PERMISSION if the folder belongs to another user. */
P2P_MUST_CHECK enum p2p_err p2p_path_private_dir(const struct p2p_root *root, int *dir);
bool p2p_path_private_name_is_valid(const char *name);

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
/* Removes the folders above `name` that are now empty, beginning with the innermost. */
void p2p_path_remove_empty_folders(const struct p2p_root *root, const char *name);

/* Replaces the public file `name` by the private one and moves the old file into the
 * mailbox. NOT_FOUND: nothing has the name, and the private file is where it was.
 * EXISTS if a folder has the name. */
struct p2p_mailbox_old;
P2P_MUST_CHECK enum p2p_err
p2p_mailbox_replace(const struct p2p_root *root, int private_dir,
                    const char *private_name, const char *name,
                    const struct p2p_mailbox_old *old, bool flush);

/* Like rename(2), but never replaces a file: -1 and EEXIST if `to` exists. */
int p2p_path_move_new(int from_dir, const char *from, int to_dir, const char *to);

#endif
