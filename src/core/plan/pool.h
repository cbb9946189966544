/* pool - the chunk buffers of a download, bounded in total. The owner does the locking.
 */
#ifndef P2P_POOL_H
#define P2P_POOL_H

#include <stddef.h>
#include <stdint.h>

struct pool {
    size_t buffer_size;
    unsigned max, made, idle;
    uint8_t **stack; /* idle ones; room for max */
};

/* As many buffers of `buffer_size` as fit into `bytes`, at least one. 0, or -1 without
 * memory. */
int p2p_pool_init(struct pool *p, size_t buffer_size, size_t bytes);
/* All buffers are back in the pool. */
void p2p_pool_clear(struct pool *p);   /* all buffers must be back */
uint8_t *p2p_pool_get(struct pool *p); /* NULL: none is left */
void p2p_pool_put(struct pool *p, uint8_t *buffer);

#endif
