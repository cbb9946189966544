/*
 * folder - a download of many files. Small files are fetched whole over shared
 * connections (folder_fetch.c), many in flight, written under private names and
 * published in batches, each batch after one syncfs. Large files are downloads of their
 * own, one after the other, with a journal. A file that exists already with the same
 * content is left alone, so an interrupted folder resumes without any bookkeeping.
 *
 * The list of files (names, roots, sizes) is written by the one worker that lists and
 * does not change afterwards; the state of the files is under the download's lock.
 */
#ifndef P2P_FOLDER_H
#define P2P_FOLDER_H

#include "core/swarm/swarm.h"

#define FOLDER_FILES_MAX 1000000
#define FOLDER_EMPTY_MAX 10000
/* Files up to this size are downloaded as a whole: one buffer, checked by the root. */
#define FOLDER_SMALL_MAX (4 * P2P_MIB)
/* The maximum number of files that are published together. */
#define FOLDER_BATCH 5000

enum folder_state {
    FOLDER_TODO,
    FOLDER_HELD,    /* a worker fetches it */
    FOLDER_WRITTEN, /* verified, under its private name */
    FOLDER_DONE,    /* published, or it existed before */
    FOLDER_FAILED,
};

struct folder_file {
    char *name; /* at the sources; owned */
    struct p2p_digest root;
    uint64_t size;
    enum folder_state state;
    enum p2p_err problem; /* it cannot be stored here */
    uint64_t mtime_s;
    char *target; /* NULL: beneath `save_as`; otherwise where it is stored; owned */
    char *base;   /* NULL, or a file that is here and may have the content; owned */
    char *safe;   /* NULL: its own name; otherwise another one, because the file system
                   * refuses its own; owned */
    uint32_t refused; /* bit i is set if source i does not have it */
};

/* p2p_download_start, which starts downloads of folders as well. */
typedef enum p2p_err folder_start_fn(const struct p2p_download_options *opt,
                                     p2p_download_event *on_event, void *arg,
                                     struct p2p_download **out);

struct folder {
    folder_start_fn *start; /* for large files */
    uint64_t run; /* random: makes the private names of this download unique */
    /* The list; constant once `listed`. */
    struct folder_file *files;
    size_t count, room;
    uint64_t size;
    char **empty; /* names of empty folders at the sources, each with a '/' at its end;
                   * owned */
    size_t empty_count;
    /* A worker is asking for the list; the list is complete. */
    bool listing P2P_GUARDED_BY(p2p_dl_lock);
    bool listed P2P_GUARDED_BY(p2p_dl_lock);
    /* The search for existing files is done. */
    bool prepared P2P_GUARDED_BY(p2p_dl_lock);
    /* No file below it is TODO and small. */
    size_t next P2P_GUARDED_BY(p2p_dl_lock);
    /* Small files not DONE or FAILED, and those of them that wait to be published. */
    size_t small_left P2P_GUARDED_BY(p2p_dl_lock);
    size_t written P2P_GUARDED_BY(p2p_dl_lock);
    /* Total bytes of the downloaded files. */
    uint64_t verified P2P_GUARDED_BY(p2p_dl_lock);
    uint32_t files_done P2P_GUARDED_BY(p2p_dl_lock);
    uint32_t files_total P2P_GUARDED_BY(p2p_dl_lock);
    /* Files that are stored under another name. */
    uint32_t renamed P2P_GUARDED_BY(p2p_dl_lock);
    /* Empty folders that could not be created. */
    uint32_t empty_failed P2P_GUARDED_BY(p2p_dl_lock);
    /* The error of the first file that failed; its text, or "". */
    enum p2p_err failure P2P_GUARDED_BY(p2p_dl_lock);
    char reason[256] P2P_GUARDED_BY(p2p_dl_lock);
    /* The control thread's own. */
    uint64_t flushed_ms;
};

/* ---- folder_list.c ---- */
/* Gives it the files, before the download starts: no source is asked for a list. */
P2P_MUST_CHECK enum p2p_err p2p_folder_set_list(struct p2p_download *dl,
                                                const struct p2p_wanted *list,
                                                size_t count);
/* Reads all pages of a source's list. Only one worker does this at a time, and no other
 * thread reads the files before `listed` is set. */
P2P_MUST_CHECK enum p2p_err p2p_folder_ask_for_list(struct dl_worker *w)
    P2P_EXCLUDES(p2p_dl_lock);
void p2p_folder_forget_list(struct folder *f);
/* True if a file of the list is there. */
bool p2p_folder_has(struct p2p_download *dl, size_t index);
/* Where a file or an empty folder of the list is stored: beneath `save_as`. NAME: that
 * is not a valid name. */
P2P_MUST_CHECK enum p2p_err p2p_folder_place(const struct p2p_download *dl,
                                             const char *name,
                                             char out[P2P_NAME_MAX + 1]);
/* The name of a file of the folder below the downloads directory. NAME: it is not a
 * valid one. */
P2P_MUST_CHECK enum p2p_err p2p_folder_target(const struct p2p_download *dl,
                                              const struct folder_file *file,
                                              char out[P2P_NAME_MAX + 1]);
/* What to do if the name is taken: a changed name may belong to another file of the
 * folder. */
enum p2p_on_conflict p2p_folder_conflict(const struct p2p_download *dl,
                                         const struct folder_file *file);

/* ---- folder.c: the task ---- */
extern const struct dl_task p2p_folder_task;
/* Prepares the download of a folder: dl->folder. Freed with the download. `start`
 * starts the downloads of large files. */
P2P_MUST_CHECK enum p2p_err p2p_folder_new(struct p2p_download *dl,
                                           folder_start_fn *start);

/* ---- folder_fetch.c ---- */
/* Downloads small files over one connection, until there are none for it. */
P2P_MUST_CHECK enum p2p_err p2p_folder_fetch(struct dl_worker *w)
    P2P_EXCLUDES(p2p_dl_lock);
bool p2p_folder_is_small(const struct folder_file *file);
/* Takes a small file for source `source`; false: none now. */
bool p2p_folder_take(struct folder *f, unsigned source, size_t *index)
    P2P_REQUIRES(p2p_dl_lock);
/* The private name in `.p2p/` of a small file until it is published. */
#define FOLDER_SUFFIX      ".small"
#define FOLDER_PRIVATE_MAX (2 * P2P_DIGEST_LEN + 64)
/* The name of a file in the private folder while it is incomplete. */
void p2p_folder_private_name(const struct folder *f, const struct folder_file *file,
                             char out[FOLDER_PRIVATE_MAX]);
/* Writes the content of a small file, which was checked, under its private name. */
P2P_MUST_CHECK enum p2p_err p2p_folder_write_private(const struct p2p_download *dl,
                                                     const struct folder_file *file,
                                                     const uint8_t *data);
/* Copies a small file that is here under another name, as after a renaming at the
 * source; it is WRITTEN then. Large ones are compared when their turn comes (reuse.c).
 * An error of the disk. */
P2P_MUST_CHECK enum p2p_err p2p_folder_copy_base(struct p2p_download *dl,
                                                 struct folder_file *file)
    P2P_EXCLUDES(p2p_dl_lock);
/* Geometry for checking a whole file by its root. */
P2P_MUST_CHECK enum p2p_err p2p_folder_check_root(const struct folder_file *file,
                                                  const uint8_t *data);

#endif
