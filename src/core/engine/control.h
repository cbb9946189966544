/* control - what the control thread of a download keeps for itself. */
#ifndef P2P_CONTROL_H
#define P2P_CONTROL_H

#include "dl.h"
#include "grow.h"

struct run {
    struct p2p_download *dl;
    struct dl_verifier *verifier;
    struct dl_keeper *keeper;
    struct dl_finder *finder;
    struct grow grow;
    uint64_t reported_ms;
};

#endif
