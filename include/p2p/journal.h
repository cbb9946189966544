/*
 * journal - what of a download is on disk and verified.
 *
 * A download is two private files in `<downloads>/.p2p/`: `<id>.part` (the data, reserved at full size) and `<id>.journal`
 * (root, size, chunk size, wanted name, layer, then a bit per chunk). A chunk's bit is written only after its bytes were
 * flushed, so that after kill -9 or power loss a set bit is a promise; chunks written but not yet
 * promised are fetched again or found by p2p_journal_recheck. A journal that does not fit the data (size, checksum of its
 * header, inode) is not believed: bits are cleared and chunks are checked against the layer.
 * Thread-safe.
 */
#ifndef P2P_JOURNAL_H
#define P2P_JOURNAL_H

#include "p2p/chunk.h"
#include "p2p/crypto.h"
#include "p2p/limits.h"
#include "p2p/path.h"

struct p2p_journal; /* *returned owned*, free with p2p_journal_close */

struct p2p_journal_info {
    struct p2p_digest root;
    struct p2p_chunks geometry;
    char name[P2P_NAME_MAX + 1]; /* wanted in the end */
};

/*
 * Opens the journal of (root, size), resuming one that is there, or makes one. Locked: a second process
 * that opens the same gets BUSY. Reserves the space (DISK_FULL: nothing is left behind that was not
 * there). `layer` (geometry.count hashes, already checked against the root) is copied.
 */
P2P_MUST_CHECK enum p2p_err p2p_journal_open(const struct p2p_root *downloads,
                                             const struct p2p_journal_info *info,
                                             const struct p2p_digest *layer,
                                             struct p2p_journal **out);
/* Flushes what is known; the files stay for a later resume. */
void p2p_journal_close(struct p2p_journal *journal);

int p2p_journal_fd(const struct p2p_journal *journal); /* of the data: pread, pwrite */
bool p2p_journal_has(const struct p2p_journal *journal, uint64_t chunk);
uint64_t p2p_journal_done_count(const struct p2p_journal *journal);
uint64_t p2p_journal_done_bytes(const struct p2p_journal *journal);

/* The chunk's verified bytes were given to pwrite. Promised at the next checkpoint: every
 * 16 MiB or second, by p2p_journal_checkpoint, or on close. */
P2P_MUST_CHECK enum p2p_err p2p_journal_mark(struct p2p_journal *journal, uint64_t chunk);
P2P_MUST_CHECK enum p2p_err p2p_journal_checkpoint(struct p2p_journal *journal);
/* Takes a promise back (whole-file check failed, or a bad block was found). */
void p2p_journal_unmark(struct p2p_journal *journal, uint64_t chunk);

/* Everything is there and verified: flush, publish under the wanted name (`name (1).ext` when
 * taken), remove the journal. `stored` as p2p_root_publish. */
P2P_MUST_CHECK enum p2p_err p2p_journal_finish(struct p2p_journal *journal,
                                               enum p2p_on_conflict conflict,
                                               char *stored);
/* Gives the download up: removes both files. */
void p2p_journal_discard(struct p2p_journal *journal);

/* The layer that was stored with an interrupted download of this root, if any (NOT_FOUND). */
P2P_MUST_CHECK enum p2p_err p2p_journal_peek(const struct p2p_root *downloads,
                                             const struct p2p_digest *root,
                                             struct p2p_journal_info *info,
                                             uint64_t *done_bytes);

#endif
