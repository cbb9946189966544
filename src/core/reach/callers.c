#include "core/reach/callers.h"

#include <string.h>

enum { MINUTE_MS = 60000 };

bool
p2p_callers_knows(const struct p2p_callers *c, const struct p2p_session_id *session,
                  uint64_t now_ms)
{
    for (size_t i = 0; i < P2P_CALLERS_KEPT; i++)
        if (c->at[i].at_ms != 0 && c->at[i].at_ms + P2P_CALLERS_MEMORY_MS > now_ms &&
            memcmp(&c->at[i].session, session, sizeof(*session)) == 0)
            return true;
    return false;
}

bool
p2p_callers_take(struct p2p_callers *c, const struct p2p_session_id *session,
                 const struct p2p_id *from, uint64_t now_ms)
{
    unsigned all = 0, own = 0;

    for (size_t i = 0; i < P2P_CALLERS_KEPT; i++) {
        if (c->at[i].at_ms == 0 || c->at[i].at_ms + MINUTE_MS <= now_ms)
            continue;
        all++;
        own += p2p_id_equal(&c->at[i].from, from);
    }
    if (all >= P2P_CALLS_IN_TOTAL || own >= P2P_CALLS_PER_CALLER)
        return false;
    c->at[c->next].at_ms = now_ms > 0 ? now_ms : 1;
    c->at[c->next].session = *session;
    c->at[c->next].from = *from;
    c->next = (c->next + 1) % P2P_CALLERS_KEPT;
    return true;
}
