/*
 * present - finds content that exists already: under the wanted name, or, if files of
 * the same name are numbered, under one of the numbers. Reads files; takes no lock.
 */
#ifndef P2P_PRESENT_H
#define P2P_PRESENT_H

#include "p2p/crypto.h"
#include "p2p/path.h"

struct p2p_present {
    const struct p2p_digest *root; /* borrowed */
    uint64_t size;
    bool (*stop)(void *arg); /* called between chunks, true stops; may be NULL */
    void *stop_arg;
};

/* True if it exists; `found` (P2P_NAME_MAX + 1 bytes, not `name`) gets its name. With
 * SKIP, any file with the name counts; numbered names count only with RENAME. */
bool p2p_present_find(const struct p2p_root *downloads, const char *name,
                      const struct p2p_present *wanted, enum p2p_on_conflict conflict,
                      char *found);

#endif
