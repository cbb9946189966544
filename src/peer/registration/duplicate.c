#include "peer/registration/duplicate.h"

#include <stdio.h>
#include <string.h>

#include "p2p/clock.h"
#include "p2p/log.h"

/* The two take each other's place in a registry about once a minute. */
enum { LATELY_MS = 15 * 60 * 1000 };

void
duplicate_note(struct duplicate *d, const struct p2p_addr *at)
{
    char text[P2P_ADDR_TEXT];
    bool is_new;

    p2p_addr_format(at, text, sizeof(text));
    p2p_lock(&d->lock);
    is_new = strcmp(d->at, text) != 0;
    memcpy(d->at, text, sizeof(text));
    d->seen_ms = p2p_now_ms();
    p2p_unlock(&d->lock);
    if (is_new)
        p2p_log_warn("another device at %s uses the identity of this one: its keys "
                     "folder is a copy, and registries list only one of the two. Give "
                     "one of them keys of its own: stop it, move its keys folder away, "
                     "and start it again",
                     text);
}

void
duplicate_get(struct duplicate *d, char out[P2P_ADDR_TEXT])
{
    p2p_lock(&d->lock);
    if (d->at[0] != '\0' && p2p_now_ms() - d->seen_ms > LATELY_MS)
        d->at[0] = '\0';
    memcpy(out, d->at, P2P_ADDR_TEXT);
    p2p_unlock(&d->lock);
}
