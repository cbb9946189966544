/*
 * mounts - the file systems that are mounted beneath a folder. inotify does not report
 * that one is mounted over a folder, or that it is unmounted.
 */
#ifndef P2P_SHARE_MOUNTS_H
#define P2P_SHARE_MOUNTS_H

#include <stdbool.h>
#include <stdint.h>

#include "p2p/err.h"

struct p2p_mounts {
    int fd; /* poll reports POLLPRI when any mount of the system changes; -1: none */
    uint64_t sum; /* of those beneath the folder */
};

/* `folder` is a descriptor of the folder. */
void p2p_mounts_open(struct p2p_mounts *mounts, int folder);
void p2p_mounts_close(struct p2p_mounts *mounts); /* twice is fine */
/* After poll has reported a change: true if a mount beneath the folder is new or gone
 * since the last call. */
bool p2p_mounts_have_changed(struct p2p_mounts *mounts, int folder);
/* Visits the places beneath the folder where something is mounted now, relative to it;
 * the same place may be visited twice. False: the system does not report the mounts. */
typedef void p2p_mounts_visit(void *arg, const char *place);
P2P_MUST_CHECK bool p2p_mounts_each(int folder, p2p_mounts_visit *visit, void *arg);

#endif
