/* control - the state of a download's control thread, and the steps that file and
 * folder downloads share. */
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

/* Lock held. Starts the connections that sources should have and that their back-off
 * allows. */
void p2p_control_spawn(struct p2p_download *dl);
/* Measures speeds, adds or retires connections, and reports a few times per second.
 * Releases the lock while it reports. */
void p2p_control_tick(struct run *run);
/* PAUSED until the user resumes or cancels. */
void p2p_control_wait_paused(struct p2p_download *dl);

/* PAUSED until there is room on the disk for the rest, or the user resumes or cancels.
 */
void p2p_control_wait_for_space(struct p2p_download *dl, enum p2p_err err);

#endif
