/*
 * record - what a program remembers of its shared folder between two starts: where the
 * folder is, and how many files it had.
 *
 * The record lies outside of the folder, in the folder of the keys. So a program knows
 * that an empty folder had files also when it is another folder than before: the place
 * where a disk was mounted. The share's loop writes it.
 */
#ifndef P2P_SHARE_RECORD_H
#define P2P_SHARE_RECORD_H

#include "p2p/share.h"

struct p2p_record; /* *returned owned*, free with p2p_record_close */

/* `folder` is the path of the shared folder. Copies both. An unreadable record counts
 * as none. */
P2P_MUST_CHECK enum p2p_err p2p_record_open(const char *keys_dir, const char *program,
                                            const char *folder,
                                            struct p2p_record **out);
void p2p_record_close(struct p2p_record *record); /* NULL is fine */
/* Files that the folder had; 0 for NULL. */
uint64_t p2p_record_files(const struct p2p_record *record);
/* The folder has so many now. Written when that differs much from what is written, or
 * when `is_last`: the program ends. NULL is fine. */
void p2p_record_set(struct p2p_record *record, uint64_t files, bool is_last);

#endif
