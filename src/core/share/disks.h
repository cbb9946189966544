/*
 * disks - the places beneath the shared folder where other file systems are mounted, or
 * were, and those that cannot be read (permissions, a failing disk, the server of a
 * network folder is down). If a disk is unmounted, if one is mounted over a folder that
 * had files, or if a folder cannot be read, the files at its place were not deleted:
 * they are absent until that changes back, or until the owner confirms
 * (share_missing.c). The places are stored in the index, so that a disk is missed, too,
 * if it was unmounted while no program ran. For the share's loop only, except
 * p2p_disks_read.
 */
#ifndef P2P_SHARE_DISKS_H
#define P2P_SHARE_DISKS_H

#include "core/share/index.h"
#include "core/share/item.h"
#include "core/share/problems.h"

/* Only this many places are remembered. */
#define P2P_DISKS_MAX 64

struct p2p_disk {
    char *place;     /* relative to the shared folder; owned */
    bool is_mounted; /* a file system is mounted there now */
    bool is_closed;  /* it cannot be read */
    bool is_back;    /* the last change can bring absent files back */
    int64_t since;   /* the last scan before the last change; -1: never */
    int64_t met;     /* closed: the last scan that could not read it */
    uint64_t files;  /* absent because of it */
};

struct p2p_disks {
    struct p2p_disk list[P2P_DISKS_MAX];
    size_t count;
    bool is_changed; /* since it was stored */
};

/* Reads the list from the index at the start and compares it with what is mounted.
 * `folder` is a descriptor of the shared folder, `scan` the number of the last scan. */
P2P_MUST_CHECK enum p2p_err p2p_disks_load(struct p2p_disks *disks,
                                           struct p2p_index *index, int folder,
                                           int64_t scan);
void p2p_disks_clear(struct p2p_disks *disks);
/* Compares with what is mounted now. True if a place has changed. */
P2P_MUST_CHECK bool p2p_disks_look(struct p2p_disks *disks, int folder, int64_t scan);
/* The scan with this number cannot read this place. */
void p2p_disks_close(struct p2p_disks *disks, const char *place, int64_t scan);
bool p2p_disks_is_closed(const struct p2p_disks *disks, const char *place);
/* At the end of that scan: places that it could read are no longer closed. True if
 * there are any. */
P2P_MUST_CHECK bool p2p_disks_reopen(struct p2p_disks *disks, int64_t scan);
/* The disk because of which a missing file is absent; NULL: it was deleted. */
struct p2p_disk *p2p_disks_of(struct p2p_disks *disks, const struct p2p_item *item);
/* True if files with this name can be back, because a place above it has changed after
 * the scan with this number. */
bool p2p_disks_may_return(const struct p2p_disks *disks, const char *name,
                          int64_t scan);
/* Forgets the places where no disk is mounted and because of which no file is absent.
 */
void p2p_disks_prune(struct p2p_disks *disks);
/* How many files are absent. */
uint64_t p2p_disks_files(const struct p2p_disks *disks);
/* Writes the list to the index, in the open transaction. */
P2P_MUST_CHECK enum p2p_err p2p_disks_store(struct p2p_disks *disks,
                                            struct p2p_index *index);
/* Puts a sentence into `out`: why the files are absent. */
void p2p_disks_explain(const struct p2p_disk *disk, char *out, size_t cap);

/* Visits the places with absent files that the owner wrote. From any thread. */
P2P_MUST_CHECK enum p2p_err p2p_disks_read(struct p2p_index *index,
                                           p2p_share_visit_disk *visit, void *arg);

#endif
