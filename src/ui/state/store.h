/*
 * store - everything that p2p-ui remembers across restarts: transfers, settings, peers
 * added by hand, and deleted files that can still be restored. It is one SQLite file
 * (WAL) in the keys folder for each downloads folder: `transfers-<16 digits of the
 * SHA-256 of its path>.db`. So it survives when a downloads folder is deleted and
 * created again. A file of an older version, `<downloads>/.p2p/transfers.db`, is moved
 * here.
 *
 * Every call is one transaction that is on its way to disk when it returns. A lost
 * write (power loss) costs a record, never data, because each download has its own
 * journal. So failed writes are logged here and not returned. Thread-safe.
 */
#ifndef P2P_UI_STORE_H
#define P2P_UI_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "p2p/path.h"

struct ui_store; /* *returned owned*, free with ui_store_close */

/* True if the folder is missing although there is a list of its transfers: it must not
 * be created, because its disk may not be mounted. */
bool ui_downloads_are_missing(const char *keys_dir, const char *downloads);
/* BUSY: another p2p-ui uses this downloads folder. A damaged file is renamed and a new
 * one is created (P2P_OK, with a line in the log). */
P2P_MUST_CHECK enum p2p_err ui_store_open(const struct p2p_root *downloads,
                                          const char *keys_dir, struct ui_store **out);
void ui_store_close(struct ui_store *s);

/* A setting; "" when it was never set. */
void ui_store_get_setting(struct ui_store *s, const char *key, char *out, size_t cap);
void ui_store_put_setting(struct ui_store *s, const char *key, const char *value);

/* Rows of two texts and a time: peers added by hand (id, address), the trash (see
 * below), checksums (checksums.h). */
struct ui_note {
    const char *kind; /* "peer", "trash-shared", "trash-downloads" */
    const char *key;
    const char *value;
    uint64_t time_s;
};
/* Adds a note, or replaces the one of this kind and key. */
void ui_store_put_note(struct ui_store *s, const struct ui_note *note);
/* Its value; "" when there is none. */
void ui_store_get_note(struct ui_store *s, const char *kind, const char *key, char *out,
                       size_t cap);
void ui_store_remove_note(struct ui_store *s, const char *kind, const char *key);
void ui_store_load_notes(struct ui_store *s, const char *kind,
                         void (*visit)(void *arg, const struct ui_note *note),
                         void *arg);

#endif
