/*
 * The changes of the list: a version number that rises with every change, the last
 * changes, and the requests that wait for the next one. Safe from any thread. A version
 * is valid within an epoch, which is one run of the program. A client with a version of
 * another epoch must get the whole list again.
 */
#ifndef P2P_DISCOVERY_CHANGES_H
#define P2P_DISCOVERY_CHANGES_H

#include "http/wait.h"
#include "p2p/crypto.h"

#define CHANGES_KEPT      4096u
#define CHANGES_EPOCH_LEN 16 /* hex digits */

struct changes;

struct changes *changes_new(void); /* NULL: out of memory */
/* NULL is fine. */
void changes_free(struct changes *c);

/* The list of waiting requests; set once, before the first note. */
void changes_set_waitlist(struct changes *c, struct http_waitlist *waiters);

/* Notes a change; changes_wake() has to follow soon. */
void changes_note(struct changes *c, const struct p2p_id *id, bool is_gone);
/* Wakes the waiting requests if anything was noted since the last wake. */
void changes_wake(struct changes *c);

/* The number of the last change. */
uint64_t changes_version(const struct changes *c);
/* Names this run of the registry: numbers of another epoch mean nothing. Borrowed. */
const char *changes_epoch(const struct changes *c);

struct change {
    struct p2p_id id;
    bool is_gone;
};
/*
 * The changes after `since`, oldest first, at most CHANGES_KEPT into `out`. False: they
 * are not all known any longer (or `since` never was a version).
 */
bool changes_since(struct changes *c, uint64_t since, struct change *out, size_t *count,
                   uint64_t *version);

#endif
