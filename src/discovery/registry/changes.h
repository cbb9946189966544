/*
 * What has changed since when: a version that rises with every change, the last
 * changes, and who waits for the next one. Safe from any thread.
 *
 * A version counts within an epoch, which is one run of the program: of another epoch
 * nothing can be said but "fetch everything".
 */
#ifndef P2P_DISCOVERY_CHANGES_H
#define P2P_DISCOVERY_CHANGES_H

#include "http/wait.h"
#include "p2p/crypto.h"

#define CHANGES_KEPT      4096u
#define CHANGES_EPOCH_LEN 16 /* hex digits */

struct changes;

struct changes *changes_new(void); /* NULL: out of memory */
void changes_free(struct changes *c);

/* Whom to wake; set once, before the first note. */
void changes_set_waitlist(struct changes *c, struct http_waitlist *waiters);

/* Something has changed: remembers it; changes_wake() has to follow soon. */
void changes_note(struct changes *c, const struct p2p_id *id, bool is_gone);
/* Wakes the waiting if anything was noted since the last wake. */
void changes_wake(struct changes *c);

uint64_t changes_version(const struct changes *c);
const char *changes_epoch(const struct changes *c);

struct change {
    struct p2p_id id;
    bool is_gone;
};
/*
 * The changes after `since`, oldest first, at most CHANGES_KEPT into `out`. False: they
 * are not all known any more (or `since` never was a version).
 */
bool changes_since(struct changes *c, uint64_t since, struct change *out, size_t *count,
                   uint64_t *version);

#endif
