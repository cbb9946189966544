/* source - where a download can come from: an address, and the peer that is expected
 * there. */
#ifndef P2P_UI_SOURCE_H
#define P2P_UI_SOURCE_H

#include <stdbool.h>

#include "p2p/addr.h"
#include "p2p/crypto.h"

struct ui_source {
    struct p2p_addr addr;
    struct p2p_id id;
    bool id_known;
};

#endif
