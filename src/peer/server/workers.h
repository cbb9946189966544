/*
 * workers - a small bounded pool of threads for work that must not run on an event
 * loop: RSA private-key operations, and reads from a disk that is not cached.
 * Thread-safe.
 */
#ifndef PEER_WORKERS_H
#define PEER_WORKERS_H

#include <sys/queue.h>

#include "p2p/err.h"

/* Part of the caller's object; borrowed until run and done have been called. */
struct job {
    STAILQ_ENTRY(job) link;
    void (*run)(struct job *job);  /* on a worker */
    void (*done)(struct job *job); /* called on the same worker afterwards; returns the
                                    * job to its owner */
};

struct workers; /* *returned owned*, free with workers_free */

/* Starts the threads; at most `queue_max` jobs wait. *Returns owned*. */
P2P_MUST_CHECK enum p2p_err workers_new(unsigned threads, unsigned queue_max,
                                        struct workers **out);
/* Finishes the queued jobs and ends the threads. */
void workers_free(struct workers *w);
/* BUSY when the queue is full: the caller keeps the job. */
P2P_MUST_CHECK enum p2p_err workers_submit(struct workers *w, struct job *job);

#endif
