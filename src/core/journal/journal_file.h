/*
 * journal_file - the bytes of a `.journal` file. Encoding and checking only: no policy,
 * no locks.
 *
 *   stamp    512 bytes: magic, boot id, inode of the data, length of the head, SHA-256
 *   head     root, size, chunk size, name, layer, SHA-256; padded to 512; written once
 *   pages    512 bytes each: 240 bytes of `written` bits, 240 of `durable` bits,
 * SHA-256
 *
 * What changes is 512 bytes long and aligned, which disks write whole or not at all;
 * what could still be torn fails its checksum and is doubted, not believed.
 */
#ifndef P2P_JOURNAL_FILE_H
#define P2P_JOURNAL_FILE_H

#include "p2p/io.h"
#include "p2p/journal.h"

#define JOURNAL_SECTOR      512
#define JOURNAL_PAGE_BITS   240 /* bytes of each kind of bit in a page */
#define JOURNAL_PAGE_CHUNKS (JOURNAL_PAGE_BITS * 8)

/* Identifies the running system: what was only written is true as long as this is the
 * same. */
struct p2p_boot_id {
    uint8_t b[16];
};
/* All zero when it cannot be known; such ids never equal. */
void p2p_boot_id_get(struct p2p_boot_id *out);
bool p2p_boot_id_is_current(const struct p2p_boot_id *id);

struct journal_stamp {
    struct p2p_boot_id boot;
    uint64_t inode;
    uint64_t head_len; /* padded */
};

/* Reading: CORRUPT when the bytes do not fit their checksum or their meaning, NOT_FOUND
 * for an empty file. */
P2P_MUST_CHECK enum p2p_err p2p_journal_stamp_read(int fd, struct journal_stamp *out);
P2P_MUST_CHECK enum p2p_err p2p_journal_stamp_write(int fd,
                                                    const struct journal_stamp *stamp);

/* `*layer` is *returned owned* (free()); NULL when the journal holds none. */
P2P_MUST_CHECK enum p2p_err p2p_journal_head_read(int fd,
                                                  const struct journal_stamp *stamp,
                                                  struct p2p_journal_info *info,
                                                  struct p2p_digest **layer);
/* Stamp, head and empty pages as one block; *returned owned*, free(). */
P2P_MUST_CHECK enum p2p_err p2p_journal_format_new(const struct p2p_journal_info *info,
                                                   const struct p2p_digest *layer,
                                                   struct journal_stamp *stamp,
                                                   uint8_t **out, size_t *len);

struct journal_page {
    uint8_t written[JOURNAL_PAGE_BITS];
    uint8_t durable[JOURNAL_PAGE_BITS];
};
/* The number of pages that a journal of these chunks has. */
uint64_t p2p_journal_page_count(const struct p2p_chunks *g);
/* Reads page `index`. An error if it is damaged. */
P2P_MUST_CHECK enum p2p_err p2p_journal_page_read(int fd,
                                                  const struct journal_stamp *stamp,
                                                  uint64_t index,
                                                  struct journal_page *out);
/* Writes page `index` with its checksum; does not flush. */
P2P_MUST_CHECK enum p2p_err p2p_journal_page_write(int fd,
                                                   const struct journal_stamp *stamp,
                                                   uint64_t index,
                                                   const struct journal_page *page);

#endif
