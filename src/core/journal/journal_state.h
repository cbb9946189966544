/*
 * journal_state - a journal in memory, shared by the files that open it, mark it and
 * check it.
 */
#ifndef P2P_JOURNAL_STATE_H
#define P2P_JOURNAL_STATE_H

#include <pthread.h>

#include "core/journal/journal_file.h"
#include "p2p/lock.h"

#define JOURNAL_NAME_MAX (2 * P2P_DIGEST_LEN + 16)

P2P_MUTEX_KIND(p2p_journal_lock);
struct p2p_journal {
    struct p2p_journal_lock lock;
    const struct p2p_root *downloads;
    struct p2p_journal_info info;
    struct p2p_digest *layer; /* NULL: protocol 1 */
    char part_name[JOURNAL_NAME_MAX], journal_name[JOURNAL_NAME_MAX];
    uint8_t *holes; /* a bit per chunk: all its bytes are zero; NULL: no such chunk */
    uint64_t hole_bytes;
    int fd, journal_fd;
    /* Bytes from the beginning that have space. */
    uint64_t reserved P2P_GUARDED_BY(p2p_journal_lock);
    struct journal_stamp stamp P2P_GUARDED_BY(p2p_journal_lock);
    struct journal_page *pages P2P_GUARDED_BY(p2p_journal_lock);
    /* A bit per chunk: it may be on disk, but has to be checked. */
    uint8_t *doubt P2P_GUARDED_BY(p2p_journal_lock);
    uint64_t doubted P2P_GUARDED_BY(p2p_journal_lock);
    uint64_t done_count P2P_GUARDED_BY(p2p_journal_lock);
    uint64_t done_bytes P2P_GUARDED_BY(p2p_journal_lock);
    /* Chunks are written that are not durable. */
    bool unflushed P2P_GUARDED_BY(p2p_journal_lock);
    bool closed; /* finished or discarded: the files are removed */
};

/* A bit of a bitmap, and setting it. */
bool p2p_journal_bit(const uint8_t *bits, uint64_t i);
void p2p_journal_bit_put(uint8_t *bits, uint64_t i, bool on);

/* True if the chunk is marked as on disk. */
bool p2p_journal_is_written(const struct p2p_journal *j, uint64_t chunk)
    P2P_REQUIRES(p2p_journal_lock);
/* Sets the mark, or takes it away, in memory only (see p2p_journal_write_page). */
void p2p_journal_set_written(struct p2p_journal *j, uint64_t chunk, bool on)
    P2P_REQUIRES(p2p_journal_lock);
/* Marks it as to be checked before it counts, or takes the mark away. */
void p2p_journal_set_doubt(struct p2p_journal *j, uint64_t chunk, bool on)
    P2P_REQUIRES(p2p_journal_lock);
/* Marks the chunks first .. end - 1 as doubtful (as far as they exist). */
void p2p_journal_doubt(struct p2p_journal *j, uint64_t first, uint64_t end)
    P2P_REQUIRES(p2p_journal_lock);

/* Reserves space for the next chunks, as long as the disk keeps its free space. */
P2P_MUST_CHECK enum p2p_err p2p_journal_reserve_ahead(struct p2p_journal *j)
    P2P_REQUIRES(p2p_journal_lock);

/* Finds the chunks of the layer whose bytes are all zero. */
P2P_MUST_CHECK enum p2p_err p2p_journal_find_holes(struct p2p_journal *j);
/* Makes holes of them, as far as the file system can, and marks them as written: nobody
 * has to send them. `is_new`: the data file is one hole. */
P2P_MUST_CHECK enum p2p_err p2p_journal_mark_holes(struct p2p_journal *j, bool is_new)
    P2P_REQUIRES(p2p_journal_lock);

/* Writes page `index`. */
P2P_MUST_CHECK enum p2p_err p2p_journal_write_page(const struct p2p_journal *j,
                                                   uint64_t index)
    P2P_REQUIRES(p2p_journal_lock);
/* When no chunk is doubtful any longer, stores the boot id of the running system: from
 * then on the written bits are valid for it. */
P2P_MUST_CHECK enum p2p_err p2p_journal_refresh_stamp(struct p2p_journal *j)
    P2P_REQUIRES(p2p_journal_lock);

void p2p_journal_name_files(struct p2p_journal *j); /* from info.root */
/* Frees the journal and closes its files, which gives up the lock of the download.
 * Changes nothing on disk. */
void p2p_journal_release(struct p2p_journal *j);

#endif
