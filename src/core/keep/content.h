/* content - what an open file contains, by its hash. */
#ifndef P2P_KEEP_CONTENT_H
#define P2P_KEEP_CONTENT_H

#include <stdbool.h>
#include <stdint.h>

#include "p2p/crypto.h"
#include "p2p/err.h"

/* The root of an open file's bytes. CANCELLED: `stop`, which is asked now and then
 * (NULL: never), was true. */
P2P_MUST_CHECK enum p2p_err p2p_versions_hash(int fd, uint64_t size,
                                              bool (*stop)(void *arg), void *arg,
                                              struct p2p_digest *root);

#endif
