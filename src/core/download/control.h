/* control - what the control thread of a download keeps for itself. */
#ifndef P2P_CONTROL_H
#define P2P_CONTROL_H

#include "core/download/download_internal.h"
#include "core/download/grow.h"

struct run {
    struct p2p_download *dl;
    struct dl_verifier *verifier;
    struct dl_keeper *keeper;
    struct dl_finder *finder;
    struct grow grow;
    uint64_t reported_ms;
};

/* Lock held. Starts connections as far as sources want them and back-off allows. */
void p2p_control_spawn(struct p2p_download *dl);
/* Speeds, growth, the regular event. */
void p2p_control_tick(struct run *run);
/* PAUSED until the user resumes or cancels. */
void p2p_control_wait_paused(struct p2p_download *dl);

/* PAUSED until there is room on the disk for what is to come, or the user wants. */
void p2p_control_wait_for_room(struct p2p_download *dl);

#endif
