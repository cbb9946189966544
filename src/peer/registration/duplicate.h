/* duplicate - remembers that another device registers with this device's identity: its
 * keys folder is a copy. Thread-safe. */
#ifndef PEER_DUPLICATE_H
#define PEER_DUPLICATE_H

#include "p2p/addr.h"
#include "p2p/lock.h"

P2P_MUTEX_KIND(duplicate_lock);
struct duplicate {
    struct duplicate_lock lock;
    char at[P2P_ADDR_TEXT] P2P_GUARDED_BY(duplicate_lock); /* "": none was seen */
    uint64_t seen_ms P2P_GUARDED_BY(duplicate_lock);
};

/* The other device was seen at this address. Logs it once for each address. */
void duplicate_note(struct duplicate *d, const struct p2p_addr *at);
/* Where it was seen lately, or "". */
void duplicate_get(struct duplicate *d, char out[P2P_ADDR_TEXT]);

#endif
