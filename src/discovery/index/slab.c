#include "discovery/index/slab.h"

#include <string.h>
#include <sys/mman.h>

#define STEP (1024u * 1024)

/* A machine of 32 bits has address space for a dozen arrays of this size. */
#define NARROW_BYTES_MAX (128u * STEP)

static uint32_t
fit(size_t item_size, uint32_t max)
{
    if (sizeof(size_t) > sizeof(uint32_t) || max <= NARROW_BYTES_MAX / item_size)
        return max;
    return (uint32_t)(NARROW_BYTES_MAX / item_size);
}

enum p2p_err
slab_init(struct slab *s, size_t item_size, uint32_t max)
{
    max = fit(item_size, max);
    size_t bytes = (item_size * max + STEP - 1) / STEP * STEP;
    void *base = mmap(NULL, bytes, PROT_NONE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    *s = (struct slab){.item_size = item_size, .max = max, .free_first = SLAB_NONE};
    if (base == MAP_FAILED)
        return P2P_ERR_NOMEM;
    s->base = base;
    return P2P_OK;
}

void
slab_clear(struct slab *s)
{
    if (s->base != NULL)
        munmap(s->base, (s->item_size * s->max + STEP - 1) / STEP * STEP);
    *s = (struct slab){0};
}

uint32_t
slab_take(struct slab *s)
{
    uint32_t id = s->free_first;

    if (id != SLAB_NONE) {
        memcpy(&s->free_first, slab_at(s, id), sizeof(s->free_first));
        memset(slab_at(s, id), 0, s->item_size);
        s->live++;
        return id;
    }
    if (s->used == s->max)
        return SLAB_NONE;
    if ((size_t)(s->used + 1) * s->item_size > s->committed) {
        if (mprotect(s->base + s->committed, STEP, PROT_READ | PROT_WRITE) != 0)
            return SLAB_NONE;
        s->committed += STEP;
    }
    s->live++;
    return s->used++; /* fresh pages are zero */
}

void
slab_give_back(struct slab *s, uint32_t id)
{
    memcpy(slab_at(s, id), &s->free_first, sizeof(s->free_first));
    s->free_first = id;
    s->live--;
}
