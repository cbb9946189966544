/*
 * access - who may see what of the shared files: one function for every message, over
 * rules that never change once they are made.
 *
 * A rule names a folder and the peers that may see it; the owner always may. The rule
 * with the longest folder that a name is in decides alone. A name without a rule is for
 * everyone. "Everyone" are the devices on the local networks and the trusted ones from
 * anywhere; on a public device it is the whole Internet, too.
 *
 * Pure: no file, no socket, no clock. Snapshots are immutable and counted, so any
 * thread may use one that it holds.
 */
#ifndef P2P_ACCESS_H
#define P2P_ACCESS_H

#include <stdbool.h>
#include <stddef.h>

#include "p2p/crypto.h"
#include "p2p/limits.h"

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

#define P2P_ACCESS_RULES_MAX 256
#define P2P_ACCESS_PEERS_MAX 64 /* of one rule */

struct p2p_access_rule {
    const char *folder; /* "photos/2026/" with the last slash; "": everything */
    bool everyone;
    const struct p2p_id *peers; /* without `everyone`: these alone; may be none */
    size_t peer_count;
};

/* What a link is for. */
struct p2p_access_link {
    struct p2p_id guest; /* the id that all guests of this link have */
    const char *names;   /* of files, and of folders with a last slash; each with a
                          * newline behind it */
};
#define P2P_ACCESS_LINKS_MAX 16

struct p2p_access; /* *returned owned*, free with p2p_access_put */

/* Copies the rules. TOO_LARGE: too many of them, or of the peers of one; EXISTS: two
 * rules for one folder. */
P2P_MUST_CHECK enum p2p_err p2p_access_new(const struct p2p_access_rule *rules,
                                           size_t count, bool is_public,
                                           struct p2p_access **out);
/* Adds a link to a snapshot that nobody else has yet; copies. TOO_LARGE, NOMEM. */
P2P_MUST_CHECK enum p2p_err p2p_access_add_link(struct p2p_access *access,
                                                const struct p2p_access_link *link);
/* Is there a link with these guests? */
bool p2p_access_has_link(const struct p2p_access *access, const struct p2p_id *guest);
/* One more owner of the snapshot; returns it. */
struct p2p_access *p2p_access_hold(struct p2p_access *access);
void p2p_access_put(struct p2p_access *access); /* NULL is fine */
/* True if both give the same answer to every question. */
bool p2p_access_equal(const struct p2p_access *a, const struct p2p_access *b);

/* Who asks. A caller that is blocked, or that a list of the owner leaves out, does not
 * get this far. */
struct p2p_access_caller {
    const struct p2p_id *id; /* proven; NULL: protocol 1, or a registry */
    /* A guest of this link: it sees what the link is for, and nothing else, whatever
     * the other members say. NULL: it is none. */
    const struct p2p_id *link;
    bool is_outside; /* does not come from the local networks, or it is unknown */
    bool is_trusted; /* the owner trusts it, or has put it on the list of allowed peers
                      */
};

/* May this caller see and download the file or folder of this name? */
bool p2p_access_may(const struct p2p_access *access,
                    const struct p2p_access_caller *caller, const char *name);
/* May it see anything at all? Otherwise it is refused at once. */
bool p2p_access_may_enter(const struct p2p_access *access,
                          const struct p2p_access_caller *caller);
/* Is every name for this caller? Then there is nothing to look at one by one. */
bool p2p_access_may_all(const struct p2p_access *access,
                        const struct p2p_access_caller *caller);
/* A number that changes when other names may be for this caller. It has no link. */
uint64_t p2p_access_mark(const struct p2p_access *access,
                         const struct p2p_access_caller *caller);
/* As it was made. */
bool p2p_access_is_public(const struct p2p_access *access);

/* A place in a sorted list. */
#define P2P_ACCESS_PLACE_MAX (P2P_NAME_MAX + 3)
/* For a name that the caller may not see: the place behind all the following names that
 * it may not see for the same reason. It is not a name, and never goes to a caller. */
void p2p_access_skip(const struct p2p_access *access,
                     const struct p2p_access_caller *caller, const char *name,
                     char out[P2P_ACCESS_PLACE_MAX]);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop

#endif
