/* Arrays that grow as items are added. */
#include "p2p/array.h"

#include <stdint.h>
#include <stdlib.h>

enum { FIRST_CAP = 16 };

void *
p2p_array_room(void *array, size_t count, size_t *cap, size_t size)
{
    size_t larger = *cap > 0 ? 2 * *cap : FIRST_CAP;
    void *grown;

    if (count < *cap)
        return array;
    if (larger <= *cap || larger > SIZE_MAX / size)
        return NULL;
    if ((grown = realloc(array, larger * size)) != NULL)
        *cap = larger;
    return grown;
}
