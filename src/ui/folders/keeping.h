/*
 * keeping - the old versions of the files in the shared folders and the downloads
 * folder (p2p/versions.h, p2p/tender.h). A folder that cannot be written to has no
 * versions. Thread-safe.
 */
#ifndef P2P_UI_KEEPING_H
#define P2P_UI_KEEPING_H

#include "p2p/path.h"
#include "p2p/tender.h"
#include "ui/folders/place.h"

/* Opens the versions of all folders and looks after them from now on; *returned owned*,
 * free with p2p_tender_stop. NULL: out of memory. */
struct p2p_tender *ui_keeping_new(struct ui_folders *folders);

/* The versions of the folder that a name leads to; NULL: there are none. Borrowed. */
struct p2p_versions *ui_keeping_of(const struct ui_folders *folders,
                                   const struct p2p_root *root);

/* Sends the event `versions`: versions of this file were added or removed; NULL: of
 * several files, or of an unknown one. */
void ui_keeping_tell(const struct ui_folders *folders, const char *name);

/* Deletes a shared file and keeps it as a version. `*until_s`: it stays until then.
 * DISK_FULL: there is no room for it, versions are switched off, or it is not in a
 * shared folder; NOT_FOUND, ... */
P2P_MUST_CHECK enum p2p_err ui_keeping_delete(const struct ui_folders *folders,
                                              const struct ui_spot *at,
                                              uint64_t *until_s);
/* Brings the last version of a deleted shared file back. NOT_FOUND; EXISTS. */
P2P_MUST_CHECK enum p2p_err ui_keeping_bring_back(const struct ui_folders *folders,
                                                  const struct ui_spot *at);
/* Publishes an upload over the file of its name, which is kept if that is possible. */
P2P_MUST_CHECK enum p2p_err ui_keeping_overwrite(const struct ui_folders *folders,
                                                 const struct ui_spot *at,
                                                 const char *private_name,
                                                 char *stored);
/* Frees about `bytes` for an upload; false if nothing can go. */
bool ui_keeping_make_room(const struct ui_folders *folders, const struct ui_spot *at,
                          uint64_t bytes);
/* The bytes that could be freed. */
uint64_t ui_keeping_spare(const struct ui_folders *folders,
                          const struct p2p_root *root);

/* Removes old versions of the shared folders that are on the disk of the downloads
 * folder, as p2p_versions_make_room does, if that frees as many bytes. */
bool ui_keeping_make_room_for_downloads(const struct ui_folders *folders,
                                        uint64_t bytes);

#endif
