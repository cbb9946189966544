/*
 * recent - the names that changed last, each with a number that rises over all lists of
 * the process. A list keeps P2P_RECENT_MAX names and forgets the oldest. Names that are
 * added are seen from the next publish on.
 *
 * Not thread-safe: the owner has a lock. Readers that hold it while they visit, and
 * have read p2p_recent_now before, miss nothing up to that number.
 */
#ifndef CORE_BASE_RECENT_H
#define CORE_BASE_RECENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define P2P_RECENT_MAX 4096

struct p2p_recent {
    struct {
        uint64_t number;
        char *name;             /* owned */
    } * at;                     /* a ring; owned */
    size_t begin, count, fresh; /* `fresh`: the last ones, not published yet */
    uint64_t forgotten;         /* no number up to here is complete */
};

/* The list is empty; zeros are one, too. */
void p2p_recent_clear(struct p2p_recent *r);
/* Copies the name. Without memory, the list forgets everything. */
void p2p_recent_add(struct p2p_recent *r, const char *name);
void p2p_recent_publish(struct p2p_recent *r);

/* The last number that was given. Thread-safe. */
uint64_t p2p_recent_now(void);
/* Visits the published names with a number above `after`, in their order, until `visit`
 * says false. False: some are forgotten. */
bool p2p_recent_since(const struct p2p_recent *r, uint64_t after,
                      bool (*visit)(void *arg, uint64_t number, const char *name),
                      void *arg);

#endif
