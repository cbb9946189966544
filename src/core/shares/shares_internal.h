/* What the files about several shared folders have in common. */
#ifndef CORE_SHARES_SHARES_INTERNAL_H
#define CORE_SHARES_SHARES_INTERNAL_H

#include "p2p/shares.h"

/* p2p_share_is_missing for one of the folders. */
bool p2p_shares_is_missing(const struct p2p_shares_folders *folders, size_t i,
                           const char *keys_dir, const char *program);

#endif
