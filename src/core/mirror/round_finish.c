/*
 * Removing and recording: what the mirror removes becomes a version, and the record
 * gets what is here now.
 */
#include <string.h>

#include "core/mirror/round.h"

enum p2p_err
p2p_round_record(struct p2p_round *r, const struct p2p_round_step *s,
                 const struct p2p_file_state *state)
{
    const struct p2p_applied_file file = {
        .name = (char *)(uintptr_t)s->name,
        .is_put = true,
        .put = s->source->root,
        .seen = s->source->root,
        .size = state->size,
        .inode = state->inode,
        .mtime_ns = state->mtime_ns,
    };

    return p2p_applied_put(r->applied, &file);
}

static enum p2p_err
remove_here(struct p2p_round *r, const struct p2p_round_step *s)
{
    char target[P2P_NAME_MAX + 1];
    struct stat st;
    const struct p2p_mailbox_old old = {.root_known = true,
                                        .root = s->here,
                                        .size = s->state.size,
                                        .inode = s->state.inode,
                                        .mtime_ns = s->state.mtime_ns};

    if (!p2p_round_name_here(r, s->name, target) ||
        p2p_root_stat(r->root, target, &st) != P2P_OK)
        return P2P_ERR_NOT_FOUND;
    const struct p2p_file_state now = p2p_file_state_of(&st);
    if (p2p_file_state_compare(&s->state, &now) == P2P_FILE_CHANGED)
        return P2P_ERR_FILE_CHANGED;
    return p2p_mailbox_take(r->root, target, &old);
}

/* True if what is known about a file that is in step is no longer right. */
static bool
is_news(const struct p2p_round_step *s)
{
    return s->act == P2P_MIRROR_RECORD ||
           (s->act == P2P_MIRROR_NOTHING && s->source != NULL && s->known != NULL &&
            memcmp(&s->here, &s->source->root, sizeof(s->here)) == 0 &&
            (s->known->inode != s->state.inode ||
             s->known->mtime_ns != s->state.mtime_ns));
}

static enum p2p_err
finish_step(struct p2p_round *r, const struct p2p_round_step *s)
{
    if (s->act == P2P_MIRROR_FORGET)
        return p2p_applied_drop(r->applied, s->name);
    if (is_news(s))
        return p2p_round_record(r, s, &s->state);
    if (s->act != P2P_MIRROR_REMOVE)
        return P2P_OK;
    enum p2p_err err = remove_here(r, s);
    if (err == P2P_OK || err == P2P_ERR_NOT_FOUND)
        return p2p_applied_drop(r->applied, s->name);
    r->failed++;
    r->failure = err;
    return P2P_OK;
}

enum p2p_err
p2p_round_finish(struct p2p_round *r)
{
    enum p2p_err err = p2p_applied_begin(r->applied);

    if (err != P2P_OK)
        return err;
    for (size_t i = 0; i < r->count && err == P2P_OK; i++)
        err = finish_step(r, &r->steps[i]);
    return p2p_applied_end(r->applied, err);
}
