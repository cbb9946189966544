/*
 * folders - the empty folders in the shared folder, which are listed beside the files.
 *
 * A folder is empty if it contains nothing, or only hidden entries. The owner finds
 * empty folders while it scans, notes events that may make a folder empty, and writes
 * the list to a table of the index, where followers read it. Names end in '/'. For the
 * share's loop only, except where a function says otherwise.
 */
#ifndef P2P_SHARE_FOLDERS_H
#define P2P_SHARE_FOLDERS_H

#include "core/share/catalogue.h"
#include "core/share/index.h"

/* No more are listed. */
#define P2P_EMPTY_FOLDERS_MAX 10000
/* Folders to examine in one round. */
#define P2P_DOUBTFUL_FOLDERS_MAX 64

struct p2p_folders; /* *returned owned*, free with p2p_folders_free */
/* *Returns owned*, free with p2p_folders_free. */
P2P_MUST_CHECK enum p2p_err p2p_folders_new(struct p2p_folders **out);
/* NULL is fine. */
void p2p_folders_free(struct p2p_folders *folders);

/* The folder `name` (without '/' at its end) is empty, seen by scan number `scan`.
 * TOO_LARGE: there are too many; NAME: its name is too long for a list. */
P2P_MUST_CHECK enum p2p_err p2p_folders_add(struct p2p_folders *folders,
                                            const char *name, uint32_t scan);
void p2p_folders_remove(struct p2p_folders *folders, const char *name);
/* A full scan ended: removes the folders that it did not see. */
void p2p_folders_lose_unseen(struct p2p_folders *folders, uint32_t scan);

/* Something appeared or disappeared under the name `entry`: its folder will be
 * examined. False: too many wait to be examined, so a scan is needed. */
P2P_MUST_CHECK bool p2p_folders_doubt_above(struct p2p_folders *folders,
                                            const char *entry);
/* Examines these folders on disk. */
void p2p_folders_examine(struct p2p_folders *folders, const struct p2p_root *root,
                         uint32_t scan);

/* True once after each change. */
bool p2p_folders_take_changed(struct p2p_folders *folders);
/* Makes the list visible to readers on other threads. */
P2P_MUST_CHECK enum p2p_err p2p_folders_show(const struct p2p_folders *folders,
                                             struct p2p_catalogue *catalogue)
    P2P_EXCLUDES(p2p_catalogue_lock);

/* Writes the list to the index, in the open transaction. */
P2P_MUST_CHECK enum p2p_err p2p_folders_store(const struct p2p_folders *folders,
                                              struct p2p_index *index);
/* Reads the list that an owner wrote and shows it, if its number is not `*version`. */
P2P_MUST_CHECK enum p2p_err p2p_folders_load(struct p2p_index *index,
                                             struct p2p_catalogue *catalogue,
                                             int64_t *version)
    P2P_EXCLUDES(p2p_catalogue_lock);

#endif
