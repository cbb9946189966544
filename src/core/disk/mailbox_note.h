/*
 * mailbox_note - the note beside a file in the mailbox: a few lines of text, `ID.note`.
 * For the files of the mailbox only.
 */
#ifndef P2P_MAILBOX_NOTE_H
#define P2P_MAILBOX_NOTE_H

#include "p2p/mailbox.h"

#define NOTE_SUFFIX ".note"
#define NOTE_NAME   (P2P_MAILBOX_ID_LEN + sizeof(NOTE_SUFFIX))
#define NOTE_NEW    ".new" /* a note that is being written */
#define NOTE_SIZE   2048

/* Opens `.p2p/versions/in`; makes it with `make`. NOT_FOUND. */
P2P_MUST_CHECK enum p2p_err p2p_mailbox_dir(const struct p2p_root *root, bool make,
                                            int *dir);
/* Writes a note for a new, random `id`, and locks it until `*lock` is closed. */
P2P_MUST_CHECK enum p2p_err p2p_mailbox_note_put(int in,
                                                 const struct p2p_mailbox_note *note,
                                                 bool flush, char *id, int *lock);
/* Writes the note again. Only `is_moving` may be different: a program that is killed
 * meanwhile leaves one or the other. */
P2P_MUST_CHECK enum p2p_err
p2p_mailbox_note_update(int lock, const struct p2p_mailbox_note *note);
/* Reads the note of `id` and locks it. BUSY: another program has it locked. NOT_FOUND,
 * CORRUPT. */
P2P_MUST_CHECK enum p2p_err
p2p_mailbox_note_get(int in, const char *id, struct p2p_mailbox_note *note, int *lock);
void p2p_mailbox_note_remove(int in, const char *id);

#endif
