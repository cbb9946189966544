/*
 * problems - the files and folders in the shared folder that are not shared, with the
 * reasons. The owner collects them while it scans and writes them to a table of the
 * index, where followers and the command line read them. For the share's loop only,
 * except for p2p_problems_read.
 */
#ifndef P2P_SHARE_PROBLEMS_H
#define P2P_SHARE_PROBLEMS_H

#include "core/share/catalogue.h"
#include "core/share/index.h"

struct p2p_disks;

/* Only this many are kept with their names; the others are only counted. */
#define P2P_PROBLEMS_MAX 1000

struct p2p_problems; /* *returned owned*, free with p2p_problems_free */
/* *Returns owned*, free with p2p_problems_free. */
P2P_MUST_CHECK enum p2p_err p2p_problems_new(struct p2p_problems **out);
/* NULL is fine. */
void p2p_problems_free(struct p2p_problems *problems);
/* A full scan begins: removes the entries of the scan before. */
void p2p_problems_restart(struct p2p_problems *problems);
/* Adds an entry; copies both texts. `name` may contain any bytes. */
void p2p_problems_add(struct p2p_problems *problems, const char *name,
                      const char *reason);
/* The number of entries that the last scan left out. */
size_t p2p_problems_count(const struct p2p_problems *problems);
/* Writes them to the index, together with the catalogue's files that cannot be read and
 * the disks with absent files, in the open transaction. */
P2P_MUST_CHECK enum p2p_err p2p_problems_store(const struct p2p_problems *problems,
                                               struct p2p_catalogue *catalogue,
                                               const struct p2p_disks *disks,
                                               struct p2p_index *index);
/* Visits the entries that the owner wrote, in order of name. From any thread. */
P2P_MUST_CHECK enum p2p_err
p2p_problems_read(struct p2p_index *index, p2p_share_visit_problem *visit, void *arg);

#endif
