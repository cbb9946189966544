/*
 * Keeps the list of peers in a file across restarts.
 *
 * The file is written under a temporary name and renamed, so that there is always a
 * complete one. It ends with a hash of everything before. Peers loaded from it are
 * dropped unless they check in within half a TTL.
 */
#ifndef P2P_DISCOVERY_SNAPSHOT_H
#define P2P_DISCOVERY_SNAPSHOT_H

#include "discovery/registry/registry.h"

/* Peers that were silent for longer than this when they are loaded are left out. */
#define SNAPSHOT_AGE_MAX_S (15u * 60)

/* Writes all registrations to a temporary file, flushes it, and renames it to `path`.
 */
P2P_MUST_CHECK enum p2p_err snapshot_write(struct registry *r, const char *path);

/*
 * P2P_ERR_NOT_FOUND: there is no file; CORRUPT: it is damaged and nothing of it was
 * used. `count` gets the number of loaded peers.
 */
P2P_MUST_CHECK enum p2p_err snapshot_load(struct registry *r, const char *path,
                                          uint64_t ttl_ms, uint32_t *count);

/*
 * The same through a descriptor of a file in memory, from one process that serves to
 * the next one. Taking over empties it. P2P_ERR_NOT_FOUND: it was empty.
 */
P2P_MUST_CHECK enum p2p_err snapshot_hand_over(struct registry *r, int fd);
P2P_MUST_CHECK enum p2p_err snapshot_take_over(struct registry *r, int fd,
                                               uint64_t ttl_ms, uint32_t *count);

/*
 * Renames a file that could not be loaded to PATH.damaged, which replaces an earlier
 * one. `aside` gets this name. False: the file was not renamed.
 */
bool snapshot_set_aside(const char *path, char *aside, size_t cap);

#endif
