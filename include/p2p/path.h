/*
 * path - opens files beneath a held directory by names that come from outside. The only
 * module that opens, renames, links or unlinks files by such a name. A root is a
 * directory descriptor; names are resolved beneath it with openat2(RESOLVE_BENEATH |
 * RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS), so neither ".." nor a link nor a race
 * leads outside. A name is UTF-8; its parts are joined by '/', and no part is empty or
 * begins with a dot. The program's own files are in `.p2p/` beneath the root, which no
 * name from outside can reach. Thread-safe: a root is read-only after open.
 */
#ifndef P2P_PATH_H
#define P2P_PATH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>

#include "p2p/err.h"
#include "p2p/name.h"

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

struct p2p_root; /* *returned owned*, free with p2p_root_close */

/* Opens a directory; with `create`, makes it and its parents if missing (0700 for mode
 * 0700). */
P2P_MUST_CHECK enum p2p_err p2p_root_open(const char *directory, bool create,
                                          mode_t mode, struct p2p_root **out);
/* For a directory that is missing now, as its disk is not mounted: a root without
 * files, which is not in place (below) until it is opened again. Creates nothing at the
 * path; needs a folder `near` that can be written to, for a moment. */
P2P_MUST_CHECK enum p2p_err p2p_root_open_away(const char *directory, const char *near,
                                               struct p2p_root **out);
/* True if nothing is at the path. */
bool p2p_root_is_missing(const char *directory);
/* The path without links and "..", like realpath(3), also for a directory that is
 * missing. `out` has PATH_MAX bytes. */
P2P_MUST_CHECK enum p2p_err p2p_root_resolve(const char *directory, char *out);
/* NULL is fine. */
void p2p_root_close(struct p2p_root *root);
int p2p_root_fd(const struct p2p_root *root);           /* borrowed */
const char *p2p_root_path(const struct p2p_root *root); /* as it was given; borrowed */

/* False if its path leads to nothing or to another folder now: it was moved, deleted or
 * mounted over. True if the path cannot be checked. */
bool p2p_root_is_in_place(const struct p2p_root *root);

/* Opens a regular file for reading. NOT_FOUND for anything else (folder, link, device).
 */
P2P_MUST_CHECK enum p2p_err p2p_root_open_file(const struct p2p_root *root,
                                               const char *name, int *fd,
                                               struct stat *st);

/* The same without opening the file; also for unreadable files. */
P2P_MUST_CHECK enum p2p_err p2p_root_stat(const struct p2p_root *root, const char *name,
                                          struct stat *st);

/*
 * Visits every shareable regular file beneath the root, names relative with '/', in no
 * order. Follows no link, passes over files and folders that vanish meanwhile, and
 * stops at P2P_NAME_DEPTH_MAX parts. Hidden names (a leading dot) are passed over;
 * other names that may not be shared, links, special files and unreadable folders are
 * `*skipped` (may be NULL). `visit` returns an error to stop the walk with it.
 */
typedef enum p2p_err p2p_visit_file(void *arg, const char *name, const struct stat *st);
P2P_MUST_CHECK enum p2p_err p2p_root_walk(const struct p2p_root *root,
                                          p2p_visit_file *visit, void *arg,
                                          size_t *skipped);
/* The same from `folder` on ("" for the root), with a call for each folder before its
 * entries are read (to watch it): `fd` is borrowed for the call, the root's own name is
 * "". */
typedef enum p2p_err p2p_visit_folder(void *arg, const char *name, int fd);
/* Called for an entry of `folder` that is skipped; `leaf` may contain any bytes. */
typedef void p2p_visit_left_out(void *arg, const char *folder, const char *leaf,
                                const char *reason);
/* Called for each folder, except where the walk begins, that contains nothing or only
 * hidden entries. */
typedef void p2p_visit_empty(void *arg, const char *name);
/* Called for an entry that cannot be examined, and for a folder that cannot be read to
 * its end: nothing is known about the files there. */
typedef void p2p_visit_closed(void *arg, const char *name);
struct p2p_walk {
    p2p_visit_file *file; /* each may be NULL */
    p2p_visit_folder *folder;
    p2p_visit_empty *empty;
    p2p_visit_left_out *left_out;
    p2p_visit_closed *closed;
    void *arg;
};
P2P_MUST_CHECK enum p2p_err p2p_root_walk_folder(const struct p2p_root *root,
                                                 const char *folder,
                                                 const struct p2p_walk *how,
                                                 size_t *skipped);

/* True if this is a folder beneath the root that contains nothing or only hidden
 * entries. */
bool p2p_root_is_empty_folder(const struct p2p_root *root, const char *name);
/* Creates a folder and the folders above it. P2P_OK if it exists. IN_THE_WAY: a file or
 * a link has its name or the name of a folder above it. Flushes nothing but new folders
 * above it. */
P2P_MUST_CHECK enum p2p_err p2p_root_make_folder(const struct p2p_root *root,
                                                 const char *name);

/* The program's own files, in `.p2p/` beneath the root (created when needed, 0700;
 * PERMISSION if it is a link or belongs to another user). `name` is chosen by the
 * program (never from outside): one part, no leading dot. flags as in open(2); new
 * files have mode 0600; links are not followed. */
P2P_MUST_CHECK enum p2p_err p2p_root_open_private(const struct p2p_root *root,
                                                  const char *name, int flags, int *fd);
/* Removes a private file. NOT_FOUND. */
P2P_MUST_CHECK enum p2p_err p2p_root_unlink_private(const struct p2p_root *root,
                                                    const char *name);
/* Renames a private file. EXISTS if `to` exists. */
P2P_MUST_CHECK enum p2p_err p2p_root_move_private(const struct p2p_root *root,
                                                  const char *from, const char *to);
/* Removes private files whose name ends in `suffix` and that were not written since
 * `before` (seconds since 1970): leftovers of programs that were killed. */
void p2p_root_sweep_private(const struct p2p_root *root, const char *suffix,
                            time_t before);
/* Removes the temporary files that writers of this private file left when they were
 * killed. The caller holds the lock that keeps others from writing it now. */
void p2p_root_sweep_aside(const struct p2p_root *root, const char *name);

/* The path of a private file for libraries that want one (SQLite): where the held
 * directory is now, with no link in it, so that the library can be told to follow none.
 * `out` holds `cap` bytes, PATH_MAX is enough. AWAY: it has no path, its file system
 * was unmounted. */
P2P_MUST_CHECK enum p2p_err p2p_root_private_path(const struct p2p_root *root,
                                                  const char *name, char *out,
                                                  size_t cap);

/* What to do if the name is taken. */
enum p2p_on_conflict {
    P2P_CONFLICT_FAIL,
    P2P_CONFLICT_RENAME,
    P2P_CONFLICT_OVERWRITE, /* the old file is kept as a version, if that is possible */
    P2P_CONFLICT_SKIP,    /* for a download: the existing file is kept; here the same as
                           * FAIL */
    P2P_CONFLICT_VERSION, /* the old file is kept as a version; otherwise this fails */
};

/*
 * Gives the private file a public name. The caller has called fsync for the file.
 * Renames or links it, never replacing a file (unless OVERWRITE or VERSION, see
 * p2p/mailbox.h), then calls fsync for the directories. Creates folders in `name`. The
 * file gets the mode that the umask gives new files, never executable. RENAME chooses
 * `name (1).ext`, `name (2).ext`, ...
 * (`.tar.gz` counts as one extension; names that are too long are cut between
 * characters); `stored` (P2P_NAME_MAX + 1 bytes) gets the final name. EXISTS with FAIL,
 * and with OVERWRITE and VERSION if a folder has the name. IN_THE_WAY: a file or a link
 * has the name of a folder that is needed. OTHER_DISK, TARGET_NAME: see p2p_probe_name.
 */
P2P_MUST_CHECK enum p2p_err p2p_root_publish(const struct p2p_root *root,
                                             const char *private_name, const char *name,
                                             enum p2p_on_conflict conflict,
                                             char *stored);
/* For many files at once: flushes no directory, the caller does (syncfs). */
P2P_MUST_CHECK enum p2p_err p2p_root_publish_unflushed(const struct p2p_root *root,
                                                       const char *private_name,
                                                       const char *name,
                                                       enum p2p_on_conflict conflict,
                                                       char *stored);

/* Deletes a public file; renames one, never onto another (EXISTS). Folders left empty
 * are removed. NOT_FOUND for anything but a regular file. */
P2P_MUST_CHECK enum p2p_err p2p_root_unlink(const struct p2p_root *root,
                                            const char *name);
/* Renames a public file; see p2p_root_unlink. Folders in `to` are made. */
P2P_MUST_CHECK enum p2p_err p2p_root_rename(const struct p2p_root *root,
                                            const char *from, const char *to);
/* Turns a public file into a private one (a deleted file is kept there for undo). */
P2P_MUST_CHECK enum p2p_err p2p_root_withdraw(const struct p2p_root *root,
                                              const char *name,
                                              const char *private_name);

/* Writes a small private file completely: writes a temporary file, flushes it, and
 * renames it over the old one. */
P2P_MUST_CHECK enum p2p_err p2p_root_replace_private(const struct p2p_root *root,
                                                     const char *name, const void *data,
                                                     size_t len);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop

#endif
