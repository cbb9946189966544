/* p2p_folder_large - the files of a folder that are downloads of their own. */
#ifndef P2P_FOLDER_LARGE_H
#define P2P_FOLDER_LARGE_H

#include "core/download/folder.h"

/* Downloads one large file. CANCELLED if the folder must stop. On the control
 * thread. */
P2P_MUST_CHECK enum p2p_err p2p_folder_large(struct p2p_download *dl,
                                             struct folder_file *file)
    P2P_EXCLUDES(p2p_dl_lock);

#endif
