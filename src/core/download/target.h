/* target - the place where a download is stored. */
#ifndef P2P_DOWNLOAD_TARGET_H
#define P2P_DOWNLOAD_TARGET_H

#include "core/swarm/swarm.h"

/* Checks whether the content of dl->file is in the folder already; sets `present` and
 * `stored`. */
void p2p_dl_look(struct p2p_download *dl) P2P_EXCLUDES(p2p_dl_lock);
/* Before the first byte: checks whether the file system allows this name and size. The
 * facts about the file do not change meanwhile. */
P2P_MUST_CHECK enum p2p_err p2p_dl_check_target(struct p2p_download *dl)
    P2P_EXCLUDES(p2p_dl_lock);

/* Sets the file's modification time to that of its source; a time in the future becomes
 * the current time. */
void p2p_dl_keep_time(int fd, uint64_t mtime_s);

#endif
