/*
 * journal - which parts of a download are on disk and verified.
 *
 * A download is two private files in `<downloads>/.p2p/`: `<root>.part` (the data; its
 * space is reserved in steps, not much ahead of the verified data) and `<root>.journal`
 * (root, size, chunk size, wanted name, layer, then two bits per chunk).
 *
 * The bit *written* says that the verified bytes were given to the kernel. It is true
 * until the system restarts, so kill -9 costs only the chunks in flight. The bit
 * *durable* says that fdatasync has returned for them. It is true after a power loss as
 * well.
 *
 * Chunks whose hash in the layer is that of zeros count as written from the start: they
 * are holes of the data file, as far as the file system has holes.
 *
 * After a restart of the system, chunks that are written but not durable are doubted:
 * they do not count until p2p_journal_recheck has compared them with the layer. All
 * chunks are doubted if the journal does not fit the data (it is damaged, or inode,
 * size or chunk size differ). So existing bytes are found again, and wrong promises are
 * not believed. Thread-safe, but for close.
 */
#ifndef P2P_JOURNAL_H
#define P2P_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "p2p/chunk.h"
#include "p2p/crypto.h"
#include "p2p/limits.h"
#include "p2p/path.h"

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

struct p2p_journal; /* *returned owned*, free with p2p_journal_close */

struct p2p_journal_info {
    struct p2p_digest root;
    struct p2p_chunks geometry;
    char name[P2P_NAME_MAX + 1]; /* wanted in the end */
    uint64_t keep_free;  /* bytes that stay free on the disk, 5 % of it at most */
    uint64_t zero_bytes; /* known to be holes, for p2p_journal_check_room alone */
};

/* The bytes of all chunks that contain only zeros. They need no space, because they
 * become holes. 0 for a NULL layer. */
P2P_MUST_CHECK enum p2p_err p2p_journal_zero_bytes(const struct p2p_chunks *geometry,
                                                   const struct p2p_digest *layer,
                                                   uint64_t *out);

/* Checks the space for a download. DISK_FULL: the rest does not fit beside the space
 * that must stay free. DISK_TOO_SMALL: it would not fit on the empty disk either, not
 * even if the disk is enlarged later. Data of an interrupted download counts. Creates
 * nothing. */
P2P_MUST_CHECK enum p2p_err p2p_journal_check_room(const struct p2p_root *downloads,
                                                   const struct p2p_journal_info *info);

/*
 * Opens the journal of (root, size), or creates one. It is locked: BUSY if it is open
 * already. Reserves the first space. DISK_FULL: the whole file does not fit; then
 * everything that was created is removed again. `layer` (geometry.count hashes, already
 * checked against the root) is copied. With a NULL layer (protocol 1: chunks cannot be
 * checked), nothing is resumed, and every opening begins without chunks.
 */
P2P_MUST_CHECK enum p2p_err p2p_journal_open(const struct p2p_root *downloads,
                                             const struct p2p_journal_info *info,
                                             const struct p2p_digest *layer,
                                             struct p2p_journal **out);
/* Makes written chunks durable unless finished or discarded; the files stay. NULL is
 * fine. */
void p2p_journal_close(struct p2p_journal *journal);

int p2p_journal_fd(const struct p2p_journal *journal); /* of the data: pread, pwrite */
/* True if the chunk is written and not doubtful. */
bool p2p_journal_has(struct p2p_journal *journal, uint64_t chunk);
/* The number of chunks for which p2p_journal_has is true. */
uint64_t p2p_journal_done_count(struct p2p_journal *journal);
/* The total bytes of these chunks. */
uint64_t p2p_journal_done_bytes(struct p2p_journal *journal);

/* The chunk's verified bytes were given to pwrite: it counts from now on, kill -9 or
 * not. DISK_FULL: it counts, but there is no space for much more. */
P2P_MUST_CHECK enum p2p_err p2p_journal_mark(struct p2p_journal *journal,
                                             uint64_t chunk);
/* Makes written chunks durable. Waits for the disk, so do not call it on a thread that
 * receives. */
P2P_MUST_CHECK enum p2p_err p2p_journal_checkpoint(struct p2p_journal *journal);

/* The number of doubtful chunks. They do not count until they are rechecked. */
uint64_t p2p_journal_doubted(struct p2p_journal *journal);
/* Marks every chunk as doubtful (because the hash of the whole file did not match). */
void p2p_journal_doubt_all(struct p2p_journal *journal);
/*
 * Reads the doubtful chunks and marks those that match the layer; the others count as
 * missing. `stop` (may be NULL) is called between chunks; true ends the check with
 * CANCELLED, and the rest stays doubtful.
 */
typedef bool p2p_journal_stop(void *arg);
P2P_MUST_CHECK enum p2p_err p2p_journal_recheck(struct p2p_journal *journal,
                                                p2p_journal_stop *stop, void *arg);

/* Everything is there and verified: flush, publish under the wanted name (`name
 * (1).ext` when taken), remove the journal. `stored` as p2p_root_publish. Close it
 * afterwards. */
P2P_MUST_CHECK enum p2p_err p2p_journal_finish(struct p2p_journal *journal,
                                               enum p2p_on_conflict conflict,
                                               char *stored);
/* Gives up the download: deletes both files. Close it afterwards. */
void p2p_journal_discard(struct p2p_journal *journal);

/*
 * Replaces the download of `root`, which no program has open. Its data becomes that of
 * `successor`, where matching chunks are found by checking; it is deleted if
 * `successor` is NULL or has data of its own. NOT_FOUND, BUSY.
 */
P2P_MUST_CHECK enum p2p_err p2p_journal_replace(const struct p2p_root *downloads,
                                                const struct p2p_digest *root,
                                                const struct p2p_digest *successor);

/* Reads the journal of an interrupted download of this root. NOT_FOUND: there is none.
 * CORRUPT: it cannot be read. `done_bytes` counts written chunks, doubted or not. */
P2P_MUST_CHECK enum p2p_err p2p_journal_peek(const struct p2p_root *downloads,
                                             const struct p2p_digest *root,
                                             struct p2p_journal_info *info,
                                             uint64_t *done_bytes);

/* Visits each interrupted download in the directory, in any order, including running
 * ones. They stay until they are finished or removed (p2p_journal_replace without a
 * successor): age is no reason to delete them. */
struct p2p_unfinished {
    struct p2p_journal_info info; /* other fields than the root are valid only if
                                   * is_known */
    bool is_known;                /* the journal is there and can be read */
    bool is_running;              /* some program has it open */
    uint64_t done_bytes, disk_bytes;
    uint64_t used_s; /* when something was last written, seconds since 1970 */
};
typedef void p2p_journal_visit(void *arg, const struct p2p_unfinished *unfinished);
P2P_MUST_CHECK enum p2p_err p2p_journal_each(const struct p2p_root *downloads,
                                             p2p_journal_visit *visit, void *arg);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop

#endif
