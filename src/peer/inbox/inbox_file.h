/* inbox_file - the rows of the inbox on disk. The caller locks. Every function accepts
 * NULL as the file, and does nothing. A failed write is logged, once. */
#ifndef PEER_INBOX_FILE_H
#define PEER_INBOX_FILE_H

#include "peer/inbox/inbox.h"

struct inbox_file; /* *returned owned*, free with inbox_file_close */

/* What is written of one offer; borrows its items and text. */
struct inbox_record {
    struct inbox_row row;
    bool is_known;
    const uint8_t *items;
    size_t items_len;
    const char *text;
};
struct inbox_reader {
    void (*offer)(void *arg, const struct inbox_record *record);
    void (*always)(void *arg, const struct p2p_id *peer);
    void *arg;
};
/* Opens the file and reads it. `*out` is NULL if it cannot be used (logged). */
void inbox_file_open(const char *keys_dir, const struct inbox_reader *reader,
                     struct inbox_file **out);
void inbox_file_close(struct inbox_file *file);
/* Adds a row. */
void inbox_file_add(struct inbox_file *file, const struct inbox_record *record);
/* Its state and whether it was taken have changed. */
void inbox_file_change(struct inbox_file *file, const struct inbox_row *row);
void inbox_file_remove(struct inbox_file *file, const uint8_t id[P2P_OFFER_ID_LEN],
                       const struct p2p_id *peer);
void inbox_file_always(struct inbox_file *file, const struct p2p_id *peer, bool always);

#endif
