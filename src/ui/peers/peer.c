/* One peer of a list. */
#include <stdlib.h>
#include <string.h>

#include "ui/peers/peers_internal.h"

void
ui_peer_clear(struct ui_peer *peer)
{
    for (size_t i = 0; i < peer->file_count; i++)
        free(peer->files[i]);
    free(peer->files);
    free(peer->contents);
    memset(peer, 0, sizeof(*peer));
}

bool
ui_peer_copy(struct ui_peer *to, const struct ui_peer *from)
{
    *to = *from;
    to->file_count = 0;
    to->contents = NULL;
    to->files = calloc(from->file_count + 1, sizeof(*to->files));
    if (to->files != NULL && from->contents != NULL &&
        (to->contents = calloc(from->file_count + 1, sizeof(*to->contents))) != NULL)
        memcpy(to->contents, from->contents, from->file_count * sizeof(*to->contents));
    while (to->files != NULL && to->file_count < from->file_count) {
        char *name = strdup(from->files[to->file_count]);
        if (name == NULL)
            break;
        to->files[to->file_count++] = name;
    }
    return to->files != NULL;
}

void
ui_peers_clear_list(struct ui_peer *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        ui_peer_clear(&list[i]);
    free(list);
}
