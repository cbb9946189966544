/*
 * record - what a program remembers about its shared folder between two starts: the
 * path of the folder, and how many files it had. The record is in the keys folder, not
 * in the shared one. So a program recognizes an empty folder that had files, even if
 * the folder is only the place where a disk was mounted. The share's loop writes it.
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
/* The number of files that the folder had; 0 for NULL. */
uint64_t p2p_record_files(const struct p2p_record *record);
/* Stores the current number of files. Written only if it differs much from the stored
 * one, or if `is_last` (the program ends). Accepts NULL. */
void p2p_record_set(struct p2p_record *record, uint64_t files, bool is_last);

#endif
