#include "core/base/recent.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static _Atomic uint64_t last; /* of all lists; numbers begin at 1 */

uint64_t
p2p_recent_now(void)
{
    return atomic_load(&last);
}

static size_t
place(const struct p2p_recent *r, size_t i)
{
    return (r->begin + i) % P2P_RECENT_MAX;
}

/* Readers behind this moment have to look at everything. */
static void
forget_all(struct p2p_recent *r)
{
    for (size_t i = 0; i < r->count; i++)
        free(r->at[place(r, i)].name);
    r->begin = r->count = r->fresh = 0;
    r->forgotten = atomic_fetch_add(&last, 1) + 1;
}

void
p2p_recent_clear(struct p2p_recent *r)
{
    for (size_t i = 0; i < r->count; i++)
        free(r->at[place(r, i)].name);
    free(r->at);
    *r = (struct p2p_recent){.at = NULL};
}

static void
forget_oldest(struct p2p_recent *r)
{
    if (r->fresh == r->count) { /* none of them has a number yet */
        forget_all(r);
        return;
    }
    r->forgotten = r->at[r->begin].number;
    free(r->at[r->begin].name);
    r->begin = place(r, 1);
    r->count--;
}

void
p2p_recent_add(struct p2p_recent *r, const char *name)
{
    char *copy = strdup(name);

    if (r->at == NULL)
        r->at = calloc(P2P_RECENT_MAX, sizeof(*r->at));
    if (copy == NULL || r->at == NULL) {
        free(copy);
        forget_all(r);
        return;
    }
    if (r->count == P2P_RECENT_MAX)
        forget_oldest(r);
    r->at[place(r, r->count)].name = copy;
    r->at[place(r, r->count)].number = 0;
    r->count++;
    r->fresh++;
}

void
p2p_recent_publish(struct p2p_recent *r)
{
    for (; r->fresh > 0; r->fresh--)
        r->at[place(r, r->count - r->fresh)].number = atomic_fetch_add(&last, 1) + 1;
}

bool
p2p_recent_since(const struct p2p_recent *r, uint64_t after,
                 bool (*visit)(void *arg, uint64_t number, const char *name), void *arg)
{
    size_t published = r->count - r->fresh, i = 0, end = published;

    if (after < r->forgotten)
        return false;
    while (i < end) { /* the first one above `after` */
        size_t middle = i + (end - i) / 2;
        if (r->at[place(r, middle)].number > after)
            end = middle;
        else
            i = middle + 1;
    }
    for (; i < published; i++)
        if (!visit(arg, r->at[place(r, i)].number, r->at[place(r, i)].name))
            break;
    return true;
}
