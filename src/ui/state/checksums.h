/*
 * checksums - the SHA-256 of downloaded files whose transfers were removed from the
 * list.
 *
 * A checksum is valid as long as the size and the time of the file stay the same.
 */
#ifndef P2P_UI_CHECKSUMS_H
#define P2P_UI_CHECKSUMS_H

#include "p2p/crypto.h"
#include "p2p/path.h"
#include "ui/state/store.h"

/* Remembers the SHA-256 for the file as it is now; copies. */
void ui_checksum_keep(struct ui_store *store, const struct p2p_root *downloads,
                      const char *path, const struct p2p_digest *sha256);
/* False: nothing is remembered, or the file has changed. */
bool ui_checksum_find(struct ui_store *store, const struct p2p_root *downloads,
                      const char *path, struct p2p_digest *out);

#endif
