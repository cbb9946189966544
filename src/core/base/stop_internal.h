/* For code that polls the flag itself. */
#ifndef P2P_STOP_INTERNAL_H
#define P2P_STOP_INTERNAL_H

#include <stdatomic.h>

#include "p2p/stop.h"

/* Borrowed; NULL for a stop that is NULL. */
const _Atomic bool *p2p_stop_flag(const struct p2p_stop *stop);

#endif
