#include "core/channel/ring.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { FIRST_CAP = 16 * 1024, KEPT_CAP = 256 * 1024 };

/* Large buffers come from the system, not from the heap: it gets them back at once, and
 * only pages that were used cost memory. */
static uint8_t *
allocate(size_t cap)
{
    void *buf;

    if (cap <= KEPT_CAP)
        return malloc(cap);
    buf = mmap(NULL, cap, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return buf != MAP_FAILED ? buf : NULL;
}

static void
release(uint8_t *buf, size_t cap)
{
    if (cap <= KEPT_CAP)
        free(buf);
    else
        (void)munmap(buf, cap);
}

void
p2p_ring_clear(struct p2p_ring *r)
{
    release(r->buf, r->cap);
    *r = (struct p2p_ring){.max = r->max};
}

static bool
grow(struct p2p_ring *r, size_t needed)
{
    size_t cap = r->cap > 0 ? r->cap : FIRST_CAP;
    uint8_t *buf;

    while (cap < needed)
        cap *= 2;
    if (cap == r->cap)
        return true;
    if ((buf = allocate(cap)) == NULL)
        return false;
    p2p_ring_copy(r, 0, buf, r->used);
    release(r->buf, r->cap);
    r->buf = buf;
    r->cap = cap;
    r->head = 0;
    return true;
}

bool
p2p_ring_put(struct p2p_ring *r, const void *data, size_t len)
{
    size_t at, first;

    if (len == 0)
        return true;
    if (len > r->max - r->used || !grow(r, r->used + len))
        return false;
    at = (r->head + r->used) & (r->cap - 1);
    first = len < r->cap - at ? len : r->cap - at;
    memcpy(r->buf + at, data, first);
    memcpy(r->buf, (const uint8_t *)data + first, len - first);
    r->used += len;
    return true;
}

void
p2p_ring_copy(const struct p2p_ring *r, size_t at, void *out, size_t len)
{
    size_t from, first;

    if (len == 0)
        return;
    from = (r->head + at) & (r->cap - 1);
    first = len < r->cap - from ? len : r->cap - from;
    memcpy(out, r->buf + from, first);
    memcpy((uint8_t *)out + first, r->buf, len - first);
}

const uint8_t *
p2p_ring_front(const struct p2p_ring *r, size_t *len)
{
    size_t side_by_side = r->cap - r->head;

    *len = r->used < side_by_side ? r->used : side_by_side;
    return r->used > 0 ? r->buf + r->head : NULL;
}

void
p2p_ring_drop(struct p2p_ring *r, size_t len)
{
    r->used -= len;
    if (r->used == 0 && r->cap > KEPT_CAP)
        p2p_ring_clear(r);
    else if (r->cap > 0)
        r->head = (r->head + len) & (r->cap - 1);
}
