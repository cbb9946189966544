/*
 * Comparing: looks at each name of the source's list and of the record, reads the file
 * here if it has changed since it was recorded, and decides.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/keep/content.h"
#include "core/mirror/round.h"
#include "p2p/io.h"

bool
p2p_round_name_here(const struct p2p_round *r, const char *name,
                    char out[P2P_NAME_MAX + 1])
{
    const char *prefix = r->job->prefix;
    int n = snprintf(out, P2P_NAME_MAX + 1, "%s%s%s", prefix,
                     prefix[0] != '\0' ? "/" : "", name);

    return n > 0 && n <= P2P_NAME_MAX && p2p_name_check(out, (size_t)n, true) == P2P_OK;
}

static enum p2p_err
hash_here(const struct p2p_round *r, const char *target, struct p2p_round_step *s)
{
    struct stat before, after;
    int fd = -1;
    enum p2p_err err = p2p_root_open_file(r->root, target, &fd, &before);

    if (err == P2P_OK)
        err = p2p_versions_hash(fd, (uint64_t)before.st_size, r->stop, r->stop_arg,
                                &s->here);
    if (err == P2P_OK && fstat(fd, &after) != 0)
        err = P2P_ERR_SYS;
    p2p_fd_close(&fd);
    if (err != P2P_OK)
        return err;
    const struct p2p_file_state a = p2p_file_state_of(&before),
                                b = p2p_file_state_of(&after);
    s->state = b;
    return p2p_file_state_compare(&a, &b) == P2P_FILE_CHANGED ? P2P_ERR_FILE_CHANGED
                                                              : P2P_OK;
}

static void
look_here(const struct p2p_round *r, struct p2p_round_step *s)
{
    const struct p2p_applied_file *k = s->known;
    char target[P2P_NAME_MAX + 1];
    struct stat st;

    if (!p2p_round_name_here(r, s->name, target) ||
        p2p_root_stat(r->root, target, &st) != P2P_OK)
        return;
    s->is_there = true;
    s->state = p2p_file_state_of(&st);
    s->disk = (uint64_t)st.st_blocks * 512;
    if (k != NULL && k->size == s->state.size && k->inode == s->state.inode &&
        k->mtime_ns == s->state.mtime_ns)
        s->here = k->seen;
    else
        s->is_unread = hash_here(r, target, s) != P2P_OK;
}

static void
decide(const struct p2p_round *r, struct p2p_round_step *s)
{
    const struct p2p_mirror_name name = {
        .source = s->source != NULL ? &s->source->root : NULL,
        .here = s->is_there && !s->is_unread ? &s->here : NULL,
        .put = s->known != NULL && s->known->is_put ? &s->known->put : NULL,
        .is_unread = s->is_unread,
        .follows = r->job->deletes,
    };

    s->act = p2p_mirror_decide(&name);
}

/* Both lists are sorted. */
enum p2p_err
p2p_round_compare(struct p2p_round *r)
{
    const struct p2p_mirror_source *src = &r->source;
    const struct p2p_applied_list *known = &r->known;
    size_t i = 0, k = 0;

    r->steps = calloc(src->count + known->count + 1, sizeof(*r->steps));
    r->names = calloc(src->count + 1, sizeof(*r->names));
    if (r->steps == NULL || r->names == NULL)
        return P2P_ERR_NOMEM;
    while (i < src->count || k < known->count) {
        struct p2p_round_step *s = &r->steps[r->count++];
        int order = i == src->count     ? 1
                    : k == known->count ? -1
                                        : strcmp(src->files[i].name, known->at[k].name);
        if (p2p_round_is_stopped(r))
            return P2P_ERR_CANCELLED;
        if (order >= 0)
            s->known = &known->at[k++];
        if (order <= 0) {
            r->names[i] = src->files[i].name;
            s->source = &src->files[i++];
        }
        s->name = s->source != NULL ? s->source->name : s->known->name;
        look_here(r, s);
        decide(r, s);
    }
    return P2P_OK;
}
