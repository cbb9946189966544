/*
 * array - arrays that grow as items are added. Pure.
 */
#ifndef P2P_ARRAY_H
#define P2P_ARRAY_H

#include <stddef.h>

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

/* Makes room for one more item behind `count` in an array of items of `size` bytes, of
 * which `*cap` fit. *Returns owned*: the array itself (NULL at first), or a larger one
 * in its place; free(). NULL: no memory, and the array stays as it is. */
void *p2p_array_room(void *array, size_t count, size_t *cap, size_t size);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop

#endif
