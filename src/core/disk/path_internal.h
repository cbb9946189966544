/*
 * path_internal - what the files of this room share. Other rooms of the core use
 * beneath.h.
 */
#ifndef P2P_PATH_INTERNAL_H
#define P2P_PATH_INTERNAL_H

#include "core/disk/beneath.h"

struct p2p_root {
    int fd;
    mode_t public_mode; /* mode of published files: 0666 without the umask */
    char path[];
};

/* For tests: behaves like a kernel without openat2. */
void p2p_path_forbid_openat2(bool forbid);

/* The error for errno after an operation on a public name. Links, loops and special
 * files are reported as "not found". */
enum p2p_err p2p_path_error(int errnum);

/* True for one part without a leading dot. */
bool p2p_path_private_name_is_valid(const char *name);

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

#endif
