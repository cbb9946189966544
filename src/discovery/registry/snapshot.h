/*
 * The list of peers in a file, over a restart.
 *
 * Written aside and renamed, so that there is always a whole one; it ends with a hash
 * of everything before. A peer that was loaded has half a TTL to be heard again.
 */
#ifndef P2P_DISCOVERY_SNAPSHOT_H
#define P2P_DISCOVERY_SNAPSHOT_H

#include "discovery/registry/registry.h"

/* Peers that were silent for longer than this when they are loaded are left out. */
#define SNAPSHOT_AGE_MAX_S (15u * 60)

P2P_MUST_CHECK enum p2p_err snapshot_write(struct registry *r, const char *path);

/*
 * P2P_ERR_NOT_FOUND: there is none; CORRUPT: it is damaged and nothing of it was taken.
 * `count` gets the peers that were taken.
 */
P2P_MUST_CHECK enum p2p_err snapshot_load(struct registry *r, const char *path,
                                          uint64_t ttl_ms, uint32_t *count);

/*
 * Moves a file that could not be loaded out of the next one's way: to PATH.damaged, in
 * the place of an earlier one. `aside` gets its name; false: it is where it was.
 */
bool snapshot_set_aside(const char *path, char *aside, size_t cap);

#endif
