#include "core/plan/pool.h"

#include <stdlib.h>

int
p2p_pool_init(struct pool *p, size_t buffer_size, size_t bytes)
{
    *p = (struct pool){.buffer_size = buffer_size};
    p->max = (unsigned)(bytes / buffer_size);
    if (p->max == 0)
        p->max = 1;
    p->stack = calloc(p->max, sizeof(*p->stack));
    return p->stack != NULL ? 0 : -1;
}

void
p2p_pool_clear(struct pool *p)
{
    while (p->idle > 0)
        free(p->stack[--p->idle]);
    free(p->stack);
    *p = (struct pool){0};
}

uint8_t *
p2p_pool_get(struct pool *p)
{
    uint8_t *buffer;

    if (p->idle > 0)
        return p->stack[--p->idle];
    if (p->made == p->max)
        return NULL;
    buffer = malloc(p->buffer_size);
    p->made += buffer != NULL;
    return buffer;
}

void
p2p_pool_put(struct pool *p, uint8_t *buffer)
{
    p->stack[p->idle++] = buffer;
}
