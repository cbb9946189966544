#include "core/shares/shares_internal.h"
#include "p2p/log.h"
#include "p2p/shares.h"

/* A folder that had files is not created again when it is missing. */
static enum p2p_err
allow_one(struct p2p_sandbox_rules *rules, const struct p2p_shares_folders *all,
          size_t i, const struct p2p_shares_sandbox *how)
{
    const char *path = all->at[i].path;
    enum p2p_err err;

    if (p2p_shares_is_missing(all, i, how->keys_dir, how->program))
        err = p2p_sandbox_allow_away(rules, path, how->keys_dir);
    else if (how->may_change)
        err = p2p_sandbox_allow_folder(rules, path, 0755, P2P_SANDBOX_WRITE);
    else
        err = p2p_sandbox_allow_shared(rules, path);
    if (err == P2P_OK)
        err = p2p_sandbox_watch(rules, path);
    if (err != P2P_OK)
        p2p_log_error("shared folder '%s': %s", path, p2p_err_text(err));
    return err;
}

enum p2p_err
p2p_shares_allow(struct p2p_sandbox_rules *rules, const struct p2p_shares_folders *all,
                 const struct p2p_shares_sandbox *how,
                 struct p2p_shares_folders *allowed)
{
    enum p2p_err err;
    char why[1024];

    allowed->count = 0;
    if ((err = p2p_shares_check(all, why, sizeof(why))) != P2P_OK) {
        p2p_log_error("%s", why);
        return err;
    }
    for (size_t i = 0; i < all->count; i++) {
        enum p2p_err one = allow_one(rules, all, i, how);
        if (one == P2P_OK)
            allowed->at[allowed->count++] = all->at[i];
        else if (err == P2P_OK)
            err = one;
    }
    if (allowed->count == 0)
        return err;
    if (err != P2P_OK)
        p2p_log_warn("the other folders are shared; send SIGHUP when that one is back");
    return P2P_OK;
}
