/* stop_flag - the flag of a stop, for rooms of the core that poll it themselves. */
#ifndef P2P_STOP_FLAG_H
#define P2P_STOP_FLAG_H

#include <stdatomic.h>

#include "p2p/stop.h"

/* Borrowed; NULL for a stop that is NULL. */
const _Atomic bool *p2p_stop_flag(const struct p2p_stop *stop);

#endif
