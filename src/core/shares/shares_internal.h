/* What the files about several shared folders have in common. */
#ifndef CORE_SHARES_SHARES_INTERNAL_H
#define CORE_SHARES_SHARES_INTERNAL_H

#include "p2p/shares.h"

struct p2p_shares {
    struct p2p_shares_folders folders;
    struct p2p_share *at[P2P_SHARES_MAX];
};

/* The share that has this name, as it is called there; SIZE_MAX: none. */
size_t p2p_shares_find(const struct p2p_shares *shares, const char *name,
                       const char **inner);
/* Puts the name of the folder before one of its names; false: it gets too long. */
bool p2p_shares_put_name(const struct p2p_shares_folder *folder,
                         char name[P2P_NAME_MAX + 1]);
/* True if a name of the bare folder is covered by that of another folder. */
bool p2p_shares_is_hidden(const struct p2p_shares *shares, size_t i, const char *name);

/* p2p_share_is_missing for one of the folders. */
bool p2p_shares_is_missing(const struct p2p_shares_folders *folders, size_t i,
                           const char *keys_dir, const char *program);

#endif
