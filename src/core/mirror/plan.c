#include "core/mirror/plan.h"

#include <string.h>

static bool
is_same(const struct p2p_digest *a, const struct p2p_digest *b)
{
    return a != NULL && b != NULL && memcmp(a, b, sizeof(*a)) == 0;
}

static enum p2p_mirror_act
decide_gone(const struct p2p_mirror_name *n)
{
    if (n->is_unread)
        return P2P_MIRROR_LATER;
    if (n->here == NULL)
        return P2P_MIRROR_FORGET;
    /* What somebody else has put or changed here is not the mirror's to remove. */
    return n->follows && is_same(n->here, n->put) ? P2P_MIRROR_REMOVE : P2P_MIRROR_KEEP;
}

enum p2p_mirror_act
p2p_mirror_decide(const struct p2p_mirror_name *n)
{
    if (n->source == NULL)
        return decide_gone(n);
    if (n->is_unread)
        return P2P_MIRROR_LATER;
    if (n->here == NULL)
        return P2P_MIRROR_FETCH;
    if (is_same(n->source, n->here))
        return is_same(n->here, n->put) ? P2P_MIRROR_NOTHING : P2P_MIRROR_RECORD;
    return P2P_MIRROR_REPLACE;
}

bool
p2p_mirror_brakes(uint64_t files, uint64_t spent, uint64_t wanted)
{
    uint64_t most = files / P2P_MIRROR_PART;

    if (most < P2P_MIRROR_CHANGES_MIN)
        most = P2P_MIRROR_CHANGES_MIN;
    return wanted > 0 && (spent > most || wanted > most - spent);
}

/* True if a name begins with these bytes. */
static bool
has_beneath(const char *const *names, size_t count, const char *folder, size_t len)
{
    size_t low = 0, high = count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strncmp(names[middle], folder, len) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && strncmp(names[low], folder, len) == 0;
}

bool
p2p_mirror_empties(const char *const *names, size_t count, const char *name)
{
    if (count == 0)
        return true;
    for (const char *slash = strchr(name, '/'); slash != NULL;
         slash = strchr(slash + 1, '/'))
        if (!has_beneath(names, count, name, (size_t)(slash - name) + 1))
            return true;
    return false;
}

bool
p2p_mirror_hold(struct p2p_mirror_change *changes, size_t count,
                const char *const *names, size_t name_count, uint64_t files,
                uint64_t spent)
{
    uint64_t wanted = 0;

    for (size_t i = 0; i < count; i++) {
        struct p2p_mirror_change *c = &changes[i];
        bool is_free = c->is_accepted || c->is_moved;
        c->is_held = (c->is_unsaid && !c->is_accepted) ||
                     (!is_free && c->is_removal &&
                      p2p_mirror_empties(names, name_count, c->name));
        wanted += !is_free && !c->is_held;
    }
    if (!p2p_mirror_brakes(files, spent, wanted))
        return false;
    for (size_t i = 0; i < count; i++)
        changes[i].is_held |= !changes[i].is_accepted && !changes[i].is_moved;
    return true;
}
