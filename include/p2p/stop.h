/*
 * stop - tells work in other threads to end: a flag, and a descriptor that becomes
 * readable, for those that wait in poll. Set once, never unset. Thread-safe.
 */
#ifndef P2P_STOP_H
#define P2P_STOP_H

#include <stdbool.h>

#include "p2p/err.h"

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

struct p2p_stop; /* *returned owned*, free with p2p_stop_free */

/* NOMEM, BUSY (no descriptors). */
P2P_MUST_CHECK enum p2p_err p2p_stop_new(struct p2p_stop **out);
/* No other thread may use it any longer. NULL is fine. */
void p2p_stop_free(struct p2p_stop *stop);
/* From any thread; more calls do nothing. */
void p2p_stop_set(struct p2p_stop *stop);
/* NULL: false, for work that nobody stops. */
bool p2p_stop_is_set(const struct p2p_stop *stop);
/* Readable once it is set. NULL: -1. */
int p2p_stop_fd(const struct p2p_stop *stop);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop

#endif
