/*
 * trash - keeps deleted files, so that a deletion can be undone. A shared file becomes
 * a version (keeping.h), if there is room for it. Otherwise it stays for some minutes:
 * it is moved into `.p2p/` of its own folder (no copy, no second file system) and
 * recorded in the store, so it can be restored after a restart, too. It is removed when
 * its time is over, or earlier when its space is needed. For each name, only the last
 * deletion is kept. Thread-safe.
 */
#ifndef P2P_UI_TRASH_H
#define P2P_UI_TRASH_H

#include "p2p/err.h"
#include "ui/folders/listing.h"

#define UI_TRASH_KEEP_S 600

struct ui_trash;

/* Reads the notes in the store, and removes files that interrupted uploads left. NULL:
 * out of memory. */
struct ui_trash *ui_trash_new(struct ui_folders *folders);
void ui_trash_free(struct ui_trash *trash);

/* NOT_FOUND, PERMISSION. `*until_s`: how long it can be restored; 0: it could only be
 * deleted. */
P2P_MUST_CHECK enum p2p_err ui_trash_put(struct ui_trash *trash, enum ui_folder folder,
                                         const char *name, uint64_t *until_s);
/* NOT_FOUND: nothing of this name; EXISTS: the name is in use again. */
P2P_MUST_CHECK enum p2p_err ui_trash_restore(struct ui_trash *trash,
                                             enum ui_folder folder, const char *name);

/* Deletes a file for good that was put here; false: there is none of this name. */
bool ui_trash_forget(struct ui_trash *trash, enum ui_folder folder, const char *name);
/* Deletes files that can no longer be restored. */
void ui_trash_expire(struct ui_trash *trash);
/* Deletes the one that would expire first; false: there is none. */
bool ui_trash_drop_first(struct ui_trash *trash);
/* Bytes on disk that emptying it would free. Opens each file. */
uint64_t ui_trash_bytes(struct ui_trash *trash);
/* The next time at which a file expires, in milliseconds of p2p_now_ms; UINT64_MAX:
 * never. */
uint64_t ui_trash_due_ms(struct ui_trash *trash);

#endif
