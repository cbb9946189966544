/*
 * share - the catalogue of the shared folder.
 *
 * It watches the folder (inotify, recursively), hashes files in the background on idle
 * cores, and stores root, layer and SHA-256 in `<shared>/.p2p/index.db` (SQLite, WAL).
 * A known file is not read again: neither after a restart, nor after it was renamed,
 * linked or got other permissions. Size, modification time and inode tell whether its
 * bytes are the same. Hashing of large files continues after a restart, and small files
 * never wait for it.
 *
 * A file is shared when its tree is known and it was not written for a moment; the
 * SHA-256 of a larger file follows (sha256_known). A file whose bytes changed gets a
 * new root and version, and readers of the old one get FILE_CHANGED instead of mixed
 * bytes. Hashing has a lower priority than transfers (SCHED_IDLE). If nothing can
 * be written in the folder (it is read-only), the index is in a folder of its own in
 * the keys folder; if it cannot be stored there, either, it is in memory.
 *
 * The folder is identified by its path: if it is moved, deleted or unmounted, none of
 * its files are shared any longer (is_away), and nothing is recorded as deleted. When
 * it is back at its path, its files are shared again without being read. If another
 * folder takes the path, the program has to open the share again (guardian.h).
 *
 * A folder that had files and has none now counts as away, too, because its disk may
 * not be mounted. Its files are kept in the index (missing_files) until a file returns,
 * or until the owner confirms that they were deleted. If files disappear while others
 * stay, they are removed from the index two seconds after the last one disappeared,
 * unless they were on a disk that was mounted beneath the folder and is not now, a disk
 * was mounted over them, or their folder cannot be read: these are kept, too
 * (away_files).
 *
 * Thread-safe. Lookups wait neither for hashing nor for the disk, except
 * p2p_share_layer, which may read the index. Several processes may open the same folder
 * (p2p-peer and p2p-ui): one of them hashes (a lock in `.p2p/`), the others follow the
 * index and take over when it ends.
 */
#ifndef P2P_SHARE_H
#define P2P_SHARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "p2p/chunk.h"
#include "p2p/crypto.h"
#include "p2p/limits.h"
#include "p2p/path.h"

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

struct p2p_share; /* *returned owned*, free with p2p_share_close */

/* Called from the share's own thread whenever the set of shared files changed
 * (debounced to a quarter of a second). Must not call p2p_share_close. */
typedef void p2p_share_changed(void *arg);

struct p2p_share_options {
    const char *directory;
    uint32_t
        chunk_size;    /* of files hashed from now on; 0: default. RANGE if not valid */
    unsigned threads;  /* that hash; 0: one per core */
    unsigned quiet_ms; /* how long after the last write a file is hashed; 0: 500 */
    p2p_share_changed *on_change;
    void *arg;
    /* Folder in which to remember, as PROGRAM.shared, that the shared folder had files,
     * and which has the indexes of read-only folders. NULL: nothing is stored outside
     * of the shared folder. */
    const char *keys_dir, *program;
};
/* Opens the share and returns before the folder was scanned: see p2p_share_wait_idle.
 * Creates the folder if it is missing, but see p2p_share_is_missing. */
P2P_MUST_CHECK enum p2p_err p2p_share_open(const struct p2p_share_options *opt,
                                           struct p2p_share **out);
/* True if `directory` is missing although `program` has recorded files in it: its disk
 * may not be mounted. p2p_share_open does not create it then: the share is away until
 * the program opens it again. */
bool p2p_share_is_missing(const char *keys_dir, const char *program,
                          const char *directory);
/* Stops its threads and waits for them; accepts NULL. Close its open files first. */
void p2p_share_close(struct p2p_share *share);
const struct p2p_root *p2p_share_root(const struct p2p_share *share); /* borrowed */

/* One shared file, a copy. */
struct p2p_share_entry {
    char name[P2P_NAME_MAX + 1];
    struct p2p_chunks geometry;
    uint64_t mtime_s;
    uint32_t version; /* 1, then +1 for each change of content under this name, also if
                       * the name was gone meanwhile (for up to 90 days) */
    struct p2p_digest root;
    struct p2p_digest sha256;
    bool sha256_known;
};

/* Finds a file by name. NOT_FOUND (also for invalid names); BUSY while the file exists
 * but is not hashed yet. */
P2P_MUST_CHECK enum p2p_err p2p_share_find_name(struct p2p_share *share,
                                                const char *name,
                                                struct p2p_share_entry *out);
/* Finds any one of the files with this content. */
P2P_MUST_CHECK enum p2p_err p2p_share_find_root(struct p2p_share *share,
                                                const struct p2p_digest *root,
                                                struct p2p_share_entry *out);
/* The same among the files whose name `allows` accepts. It runs under the catalogue's
 * lock, for at most P2P_SHARE_NAMES_MAX names of one content. */
typedef bool p2p_share_allows(void *arg, const char *name);
#define P2P_SHARE_NAMES_MAX 4096
P2P_MUST_CHECK enum p2p_err p2p_share_find_root_if(struct p2p_share *share,
                                                   const struct p2p_digest *root,
                                                   p2p_share_allows *allows, void *arg,
                                                   struct p2p_share_entry *out);
/* `count` hashes of the layer from `first` on; RANGE beyond the end; BUSY when the
 * index lost the layer (the file is hashed again). */
P2P_MUST_CHECK enum p2p_err p2p_share_layer(struct p2p_share *share,
                                            const struct p2p_digest *root,
                                            uint64_t first, uint32_t count,
                                            struct p2p_digest *out);

struct p2p_mailbox_old;
/* What is known about the file of this name, to keep it as a version when it is
 * replaced or deleted; zeros if nothing is. */
void p2p_share_describe(struct p2p_share *share, const char *name,
                        struct p2p_mailbox_old *out);

/* Lists the files in order of name, a page at a time: those after `after` ("" at
 * first), at most `max`. `*count` is 0 at the end. */
P2P_MUST_CHECK enum p2p_err p2p_share_list(struct p2p_share *share, const char *after,
                                           struct p2p_share_entry *out, size_t max,
                                           size_t *count);
/* The same with empty folders in it: their names end in '/', and everything else in the
 * entry is zero. A folder with hidden entries alone is empty. */
P2P_MUST_CHECK enum p2p_err p2p_share_list_all(struct p2p_share *share,
                                               const char *after,
                                               struct p2p_share_entry *out, size_t max,
                                               size_t *count);
/* The list of changes of a folder, which goes on after a restart. */
struct p2p_share_feed {
    uint32_t log; /* which list; 0: none can be had now. Another list has other numbers,
                   * and names that are missing in it were not deleted */
    uint64_t last; /* the number of the last change */
    uint64_t cut;  /* deletions up to this change are forgotten */
    uint64_t seen; /* up to this change, everything was visited */
    bool is_whole; /* there is nothing above it that was not visited */
};
enum p2p_share_change_kind {
    P2P_SHARE_CHANGE_HERE, /* the file is there, or was when the index was written */
    P2P_SHARE_CHANGE_GONE, /* it was deleted */
    P2P_SHARE_CHANGE_AWAY, /* it is not there now, and nobody says that it was deleted
                            */
};
/* Visits the names that changed after the change `after`, in the order of their
 * numbers, each with its last change alone, until `visit` says false. It runs with a
 * lock of the index. NULL: only says where the list is. */
typedef bool p2p_share_visit_change(void *arg, uint64_t change, const char *name,
                                    enum p2p_share_change_kind kind);
void p2p_share_changes(struct p2p_share *share, uint64_t after,
                       p2p_share_visit_change *visit, void *arg,
                       struct p2p_share_feed *out);

struct p2p_share_totals {
    uint64_t files, bytes;
    uint64_t hashing_files, hashing_bytes; /* the tree or SHA-256 is not ready yet */
    uint64_t hashed_bytes;                 /* bytes hashed for trees by this process
                                            * since open */
    uint64_t generation;                   /* rises with every change */
    bool is_away; /* the folder is not at its path now, or is empty and was not:
                     nothing is shared until it returns */
    uint64_t missing_files; /* files that an empty folder had, unconfirmed; or 0 */
    uint64_t away_files;    /* files of disks beneath the folder that are not mounted,
                               files over which a disk is mounted, and those of folders
                               that cannot be read */
};
/* The current counters. Does not wait for the disk. */
void p2p_share_totals(struct p2p_share *share, struct p2p_share_totals *out);

/*
 * An open file that is served. Reads check that its bytes are still those that were
 * hashed (size, mtime_ns and inode); FILE_CHANGED otherwise, and the index is told. A
 * change of the inode alone (chmod, link, rename within the folder) ends no reader; a
 * file that was deleted or moved out of the folder is refused within a second or two.
 * `fd` is for preadv2 by a server that checks itself with p2p_share_file_verify after
 * reading and before sending.
 */
struct p2p_share_file;
/* Opens any one of the files with this content; *returns owned*. `share` is borrowed
 * until close. NOT_FOUND, FILE_CHANGED. */
P2P_MUST_CHECK enum p2p_err p2p_share_file_open(struct p2p_share *share,
                                                const struct p2p_digest *root,
                                                struct p2p_share_file **out);
/* A file that is in no share, to be served under the entry's name as long as its bytes
 * are those of `hashed`. *Takes* `fd` if it succeeds. FILE_CHANGED. */
struct stat;
P2P_MUST_CHECK enum p2p_err p2p_share_file_adopt(int fd, const struct stat *hashed,
                                                 const struct p2p_share_entry *entry,
                                                 struct p2p_share_file **out);
/* NULL is fine. */
void p2p_share_file_close(struct p2p_share_file *file);
/* Borrowed until close. */
const struct p2p_chunks *p2p_share_file_geometry(const struct p2p_share_file *file);
/* The name that it had when it was opened. Borrowed until close. */
const char *p2p_share_file_name(const struct p2p_share_file *file);
/* The root that it was opened by. Borrowed until close. */
const struct p2p_digest *p2p_share_file_root(const struct p2p_share_file *file);
/* Borrowed until close: read with an offset only. */
int p2p_share_file_fd(const struct p2p_share_file *file);
/* FILE_CHANGED: the bytes read so far may be of another content. */
P2P_MUST_CHECK enum p2p_err p2p_share_file_verify(struct p2p_share_file *file);
/* Reads exactly `len` bytes and then checks that the file is unchanged. RANGE beyond
 * the end, FILE_CHANGED. */
P2P_MUST_CHECK enum p2p_err p2p_share_file_read(struct p2p_share_file *file,
                                                uint64_t offset, void *out, size_t len);

/*
 * Visits the files in the folder that are not shared, each with the reason as a
 * sentence ("it contains ':'"), in order of name: invalid names, links, special files,
 * unreadable files. A folder counts once, with everything in it. `name` can be shown
 * (odd bytes are escaped). A last visit with an empty name gives the number of further
 * files. The visit runs under locks of the share and must not call its functions. BUSY:
 * the share has no index now.
 */
typedef void p2p_share_visit_problem(void *arg, const char *name, const char *reason);
P2P_MUST_CHECK enum p2p_err
p2p_share_problems(struct p2p_share *share, p2p_share_visit_problem *visit, void *arg);
/* The same from another process, for the folder `root` that a program with these keys
 * shares (`keys_dir` may be NULL). NOT_FOUND: no program has shared it yet. */
P2P_MUST_CHECK enum p2p_err p2p_share_problems_at(const struct p2p_root *root,
                                                  const char *keys_dir,
                                                  p2p_share_visit_problem *visit,
                                                  void *arg);

/* Visits the places in the folder whose files are away (away_files of the totals), as
 * p2p_share_problems does. */
typedef void p2p_share_visit_disk(void *arg, const char *place, uint64_t files);
P2P_MUST_CHECK enum p2p_err p2p_share_disks(struct p2p_share *share,
                                            p2p_share_visit_disk *visit, void *arg);
/* The same from another process, as p2p_share_problems_at. */
P2P_MUST_CHECK enum p2p_err p2p_share_disks_at(const struct p2p_root *root,
                                               const char *keys_dir,
                                               p2p_share_visit_disk *visit, void *arg);

/* Asks the process that scans this folder to scan all of it now, for changes that the
 * system does not report (network folders). */
P2P_MUST_CHECK enum p2p_err p2p_share_request_scan(const struct p2p_share *share);
/* The same from another process. */
P2P_MUST_CHECK enum p2p_err p2p_share_request_scan_at(const struct p2p_root *root,
                                                      const char *keys_dir);

/* Confirms for the owner that the files were deleted: an empty folder is no longer
 * away, nor are the files of disks that are not mounted. Asks the process that scans
 * the folder. */
P2P_MUST_CHECK enum p2p_err p2p_share_confirm(struct p2p_share *share);
/* The same from another process. */
P2P_MUST_CHECK enum p2p_err p2p_share_confirm_at(const struct p2p_root *root,
                                                 const char *keys_dir);
/* Reads the number of files that an empty folder had (missing_files of the totals),
 * from another process. NOT_FOUND: no program has shared the folder yet. */
P2P_MUST_CHECK enum p2p_err p2p_share_missing_at(const struct p2p_root *root,
                                                 const char *keys_dir, uint64_t *files);

/* Reads the record that `program` has stored about its shared folder in the keys
 * directory. */
struct p2p_share_record {
    char path[4096]; /* absolute */
    uint64_t files;  /* about as many as it shared last */
};
/* NOT_FOUND, CORRUPT. */
P2P_MUST_CHECK enum p2p_err p2p_share_read_record(const char *keys_dir,
                                                  const char *program,
                                                  struct p2p_share_record *out);

/* Wakes the scanner now (after an upload was published). */
void p2p_share_rescan(struct p2p_share *share);
/* Waits until the catalogue describes everything that happened in the folder before the
 * call. TIMEOUT after timeout_ms. A follower knows only what the owner has written to
 * the index. */
P2P_MUST_CHECK enum p2p_err p2p_share_wait_idle(struct p2p_share *share,
                                                uint64_t timeout_ms);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop

#endif
