/* served - which share an open file belongs to: for the list of several shares. */
#ifndef P2P_SHARE_SERVED_H
#define P2P_SHARE_SERVED_H

#include "p2p/share.h"

/* Borrowed from the file; NULL: it is in no share. */
const struct p2p_share *p2p_share_file_share(const struct p2p_share_file *file);

#endif
