/*
 * plan - what a mirror does with each name, and what the brake holds back. Pure: no
 * files, no clock.
 *
 * A mirror compares three contents of a name: that of the source, that of the file
 * here, and the one that the mirror has put here. It never takes a name that is missing
 * in a list for more than that: a removal is held back if it would empty a folder,
 * because the disk of the source may not be mounted; and replacements and removals are
 * held back if there are too many of them, because something may have gone wrong there.
 */
#ifndef P2P_MIRROR_PLAN_H
#define P2P_MIRROR_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "p2p/crypto.h"

enum p2p_mirror_act {
    P2P_MIRROR_NOTHING, /* in step */
    P2P_MIRROR_LATER,   /* the file here could not be read now */
    P2P_MIRROR_FETCH,   /* there is nothing here */
    P2P_MIRROR_RECORD,  /* the same content is here already */
    P2P_MIRROR_REPLACE, /* the old content becomes a version */
    P2P_MIRROR_REMOVE,  /* likewise */
    P2P_MIRROR_KEEP,    /* gone at the source, and stays here */
    P2P_MIRROR_FORGET,  /* gone at both */
};

/* The contents of one name; NULL: there is none. */
struct p2p_mirror_name {
    const struct p2p_digest *source, *here, *put;
    bool is_unread; /* there is a file here, but `here` is not known */
    bool follows;   /* the mirror follows deletions */
};
enum p2p_mirror_act p2p_mirror_decide(const struct p2p_mirror_name *name);

/* The brake always allows this many changes per day. If there are more files, it allows
 * changes of one file in P2P_MIRROR_PART. */
#define P2P_MIRROR_CHANGES_MIN 10
#define P2P_MIRROR_PART        4
/* True if the replacements and removals `wanted` now have to wait: together with those
 * of the last 24 hours (`spent`), they are more than the brake allows for this number
 * of files.
 */
bool p2p_mirror_brakes(uint64_t files, uint64_t spent, uint64_t wanted);

/* True if a folder above `name` has none of these names, which are sorted bytewise:
 * without this file it would be empty. */
bool p2p_mirror_empties(const char *const *names, size_t count, const char *name);

/* What of a plan is held back. */
struct p2p_mirror_change {
    const char *name;
    bool is_removal;
    bool is_moved;    /* its content stays, under another name */
    bool is_unsaid;   /* nobody says that it was deleted: it waits in any case */
    bool is_accepted; /* the user has agreed to this one */
    bool is_held;     /* result */
};
/* Sets `is_held` of the replacements and removals. `names` are those of the source.
 * Returns true if the brake holds because there are too many. */
bool p2p_mirror_hold(struct p2p_mirror_change *changes, size_t count,
                     const char *const *names, size_t name_count, uint64_t files,
                     uint64_t spent);

#endif
