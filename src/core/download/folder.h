/*
 * folder - a download of many files. Small files are fetched whole over shared
 * connections (folder_fetch.c), many in flight, written under private names and
 * published in batches, each batch after one syncfs. Large files are downloads of their
 * own, one after the other, with a journal. A file that exists already with the same
 * content is left alone, so an interrupted folder resumes without any bookkeeping. The
 * download's lock guards all of it.
 */
#ifndef P2P_FOLDER_H
#define P2P_FOLDER_H

#include "core/download/download_internal.h"

#define FOLDER_FILES_MAX 1000000
#define FOLDER_SMALL_MAX \
    (4 * P2P_MIB)         /* fetched as a whole: one buffer, checked by its root */
#define FOLDER_BATCH 5000 /* files that are published together at the latest */

enum folder_state {
    FOLDER_TODO,
    FOLDER_HELD,    /* a worker fetches it */
    FOLDER_WRITTEN, /* verified, under its private name */
    FOLDER_DONE,    /* published, or was there before */
    FOLDER_FAILED,
};

struct folder_file {
    char *name; /* at the sources; owned */
    struct p2p_digest root;
    uint64_t size;
    enum folder_state state;
    enum p2p_err problem; /* it cannot be stored here */
    uint64_t mtime_s;
    char *safe; /* NULL: its own name; where the file system refuses that one; owned */
    uint32_t refused; /* bit i: source i does not have it */
};

struct folder {
    uint64_t run;         /* random: makes the private names of this download unique */
    bool listing, listed; /* a worker asks for the list; it is complete */
    bool prepared;        /* files that exist already were found */
    struct folder_file *files;
    size_t count, room;
    uint64_t size;
    size_t next;       /* no file below it is TODO and small */
    size_t small_left; /* small files not DONE or FAILED */
    size_t written;    /* small files that wait to be published */
    uint64_t flushed_ms;
    enum p2p_err failure; /* error of the first file that failed */
    char reason[256];     /* the same in words, where there is more to say; or "" */
    uint32_t renamed;     /* files that are stored under another name */
};

/* What a worker does after it has connected. */
enum p2p_err p2p_folder_work(struct dl_worker *w);
/* Connections for each source, at most `share`. */
/* Another source has this place now: it has refused nothing yet. */
void p2p_folder_forget_refusals(struct folder *f, unsigned source);
unsigned p2p_folder_wanted(const struct p2p_download *dl, unsigned share);

/* ---- p2p_folder_fetch.c ---- */
enum p2p_err p2p_folder_fetch(struct dl_worker *w);
bool p2p_folder_is_small(const struct folder_file *file);
/* Takes a small file for source `source`; false: none now. Lock held. */
bool p2p_folder_take(struct folder *f, unsigned source, size_t *index);
/* The name below `.p2p/` under which a small file waits. */
#define FOLDER_SUFFIX      ".small"
#define FOLDER_PRIVATE_MAX (2 * P2P_DIGEST_LEN + 64)
void p2p_folder_private_name(const struct folder *f, const struct folder_file *file,
                             char out[FOLDER_PRIVATE_MAX]);
/* Geometry for checking a whole file by its root. */
P2P_MUST_CHECK enum p2p_err p2p_folder_check_root(const struct folder_file *file,
                                                  const uint8_t *data);

#endif
