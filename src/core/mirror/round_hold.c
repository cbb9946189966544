/*
 * Decides which changes wait: removals that are not confirmed yet, and changes that the
 * brake stops or that history has no room for.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mirror/round.h"

#define WINDOW_S (24 * 3600)

static int
by_root(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct p2p_digest));
}

/* The roots of the source, sorted; owned by the caller. */
static struct p2p_digest *
sorted_roots(const struct p2p_mirror_source *src)
{
    struct p2p_digest *roots = calloc(src->count + 1, sizeof(*roots));

    for (size_t i = 0; roots != NULL && i < src->count; i++)
        roots[i] = src->files[i].root;
    if (roots != NULL && src->count > 0)
        qsort(roots, src->count, sizeof(*roots), by_root);
    return roots;
}

/* A name that is missing in one list may be back in the next: a source that has just
 * started may not know all its files yet. */
static bool
is_missing(struct p2p_round *r, const struct p2p_round_step *s)
{
    struct p2p_meta meta;
    char name[P2P_NAME_MAX + 1];
    const char *folder = r->job->folder;

    if (!s->known->is_missing)
        return false;
    if (snprintf(name, sizeof(name), "%s%s%s", folder, folder[0] != '\0' ? "/" : "",
                 s->name) > P2P_NAME_MAX)
        return true;
    return p2p_conn_meta_by_name(r->source.conn, name, &meta) == P2P_ERR_NOT_FOUND;
}

/* Only what the source says it deleted is deleted. What is missing without that has to
 * wait for the user; where an older program tells no changes, it counts as deleted. */
static void
confirm(struct p2p_round *r, struct p2p_round_step *s)
{
    if (r->feed.is_told && s->known->is_gone)
        return;
    if (!is_missing(r, s))
        s->act = P2P_MIRROR_LATER;
    else
        s->is_unsaid = r->feed.is_told;
}

static enum p2p_err
note_missing(struct p2p_round *r)
{
    enum p2p_err err = p2p_applied_miss_none(r->applied);

    for (size_t i = 0; i < r->count && err == P2P_OK; i++) {
        const struct p2p_round_step *s = &r->steps[i];
        if (s->source == NULL)
            err = p2p_applied_miss(r->applied, s->name);
        else if (s->known != NULL && s->known->is_gone)
            err = p2p_applied_set_gone(r->applied, s->name, false);
    }
    return err;
}

enum p2p_err
p2p_round_confirm(struct p2p_round *r)
{
    for (size_t i = 0; i < r->count; i++)
        if (r->steps[i].act == P2P_MIRROR_REMOVE)
            confirm(r, &r->steps[i]);
    enum p2p_err err = p2p_applied_begin(r->applied);
    if (err != P2P_OK)
        return err;
    return p2p_applied_end(r->applied, note_missing(r));
}

static bool
is_change(const struct p2p_round_step *s)
{
    return s->act == P2P_MIRROR_REPLACE || s->act == P2P_MIRROR_REMOVE;
}

static const struct p2p_digest *
root_of(const struct p2p_round_step *s)
{
    return s->source != NULL ? &s->source->root : NULL;
}

static size_t
collect_changes(struct p2p_round *r, const struct p2p_digest *roots,
                struct p2p_mirror_change *changes)
{
    size_t n = 0;

    for (size_t i = 0; i < r->count; i++) {
        const struct p2p_round_step *s = &r->steps[i];
        if (!is_change(s))
            continue;
        changes[n++] = (struct p2p_mirror_change){
            .name = s->name,
            .is_removal = s->act == P2P_MIRROR_REMOVE,
            .is_moved = s->act == P2P_MIRROR_REMOVE && r->source.count > 0 &&
                        bsearch(&s->here, roots, r->source.count, sizeof(*roots),
                                by_root) != NULL,
            .is_unsaid = s->is_unsaid,
            .is_accepted = p2p_applied_is_accepted(r->applied, s->name, root_of(s)),
        };
    }
    return n;
}

/* Only what the history can keep may go. */
static void
hold_without_history(struct p2p_round *r, struct p2p_mirror_change *changes)
{
    uint64_t bytes = 0;
    size_t n = 0;

    for (size_t i = 0; i < r->count; i++) {
        const struct p2p_round_step *s = &r->steps[i];
        if (!is_change(s))
            continue;
        struct p2p_mirror_change *c = &changes[n++];
        if (c->is_held)
            continue;
        if (!r->no_history)
            r->no_history = r->versions == NULL ||
                            !p2p_versions_has_room(r->versions, bytes + s->disk);
        c->is_held = r->no_history;
        bytes += s->disk;
    }
}

/* Counts what will happen before it happens, and notes what is held. */
static enum p2p_err
note_changes(struct p2p_round *r, const struct p2p_mirror_change *changes,
             uint64_t now_k)
{
    struct p2p_mirror *job = r->job;
    uint64_t spent = 0;
    size_t n = 0;
    enum p2p_err err = p2p_applied_begin(r->applied);

    if (err != P2P_OK)
        return err;
    err = p2p_applied_hold_none(r->applied);
    for (size_t i = 0; i < r->count && err == P2P_OK; i++) {
        struct p2p_round_step *s = &r->steps[i];
        if (!is_change(s))
            continue;
        const struct p2p_mirror_change *c = &changes[n++];
        if (!c->is_held) {
            spent += !c->is_accepted && !c->is_moved;
            continue;
        }
        if (!c->is_accepted)
            err = p2p_applied_hold(r->applied, s->name, root_of(s));
        job->held_removals += c->is_removal;
        r->unsaid += c->is_unsaid;
        job->held_changes += !c->is_removal;
        s->act = P2P_MIRROR_NOTHING;
    }
    if (err == P2P_OK && spent > 0)
        err = p2p_applied_spend(r->applied, now_k, spent);
    return p2p_applied_end(r->applied, err);
}

enum p2p_err
p2p_round_hold(struct p2p_round *r)
{
    struct p2p_mirror_change *changes = calloc(r->count + 1, sizeof(*changes));
    struct p2p_digest *roots = sorted_roots(&r->source);
    uint64_t now_k = r->versions != NULL ? p2p_versions_now(r->versions) : 0;
    uint64_t spent = 0;
    enum p2p_err err = changes != NULL && roots != NULL ? P2P_OK : P2P_ERR_NOMEM;

    if (err == P2P_OK)
        err = p2p_applied_spent(r->applied, now_k > WINDOW_S ? now_k - WINDOW_S : 0,
                                &spent);
    if (err == P2P_OK) {
        size_t n = collect_changes(r, roots, changes);
        r->is_braked = p2p_mirror_hold(changes, n, r->names, r->source.count,
                                       r->known.count, spent);
        hold_without_history(r, changes);
        err = note_changes(r, changes, now_k);
    }
    free(roots);
    free(changes);
    return err;
}
