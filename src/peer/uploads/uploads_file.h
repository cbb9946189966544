/* uploads_file - the totals of uploads.h as a file in the keys directory: `uploads`,
 * text with a line of sums and a line for each peer. */
#ifndef PEER_UPLOADS_FILE_H
#define PEER_UPLOADS_FILE_H

#include "peer/uploads/uploads.h"

struct uploads_totals {
    uint64_t since_s, uploads, bytes;
    size_t count;
    struct upload_peer peers[UPLOADS_PEERS_MAX];
};

/* NOT_FOUND: there is none. CORRUPT: some lines cannot be read; `out` has the others.
 */
P2P_MUST_CHECK enum p2p_err uploads_load(const char *keys_dir,
                                         struct uploads_totals *out);
/* Replaces the file completely. */
P2P_MUST_CHECK enum p2p_err uploads_store(const char *keys_dir,
                                          const struct uploads_totals *totals);

#endif
