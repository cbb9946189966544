/*
 * jobs - work for answers that need the network. Each thread of the server serves many
 * connections, so a handler never waits for a registry or a peer: it starts a job on a
 * worker and parks its request. The server runs the handler again when the job is done.
 *
 * At most UI_JOBS_RUNNING jobs run at once (threads are created when needed and end
 * after ten idle seconds), and at most UI_JOBS_MAX are kept; beyond that the answer is
 * 503. A job belongs to its request by the request's serial number. If the request ends
 * before the job does (its client has gone), the place of the job is free at once: a
 * job that has not begun is dropped, or runs after all others if its kind must run
 * anyway.
 */
#ifndef P2P_UI_JOBS_H
#define P2P_UI_JOBS_H

#include <stdbool.h>

#include "http/http.h"

#define UI_JOBS_RUNNING 8
#define UI_JOBS_MAX     64
#define UI_JOB_WAIT_MS  30000

struct ui_jobs;

struct ui_job_kind {
    void (*work)(void *context, void *arg); /* on a worker: may block */
    /* On the server's thread, when the work is done. */
    void (*answer)(struct http_request *req, void *context, void *arg);
    void (*release)(void *arg);
    /* The job changes something: it is done even if the client has gone. */
    bool runs_anyway;
};

/* Open it after the server; close it after the server. Closing waits for running jobs.
 * NULL: out of memory. */
struct ui_jobs *ui_jobs_new(struct http_server *server);
void ui_jobs_free(struct ui_jobs *jobs);

/*
 * The first line of every handler that uses jobs: true if this run of the handler
 * belongs to a job that was started before; the handler then returns.
 */
bool ui_job_resume(struct ui_jobs *jobs, struct http_request *req);

/* Starts a job for this request; takes ownership of `arg` (NULL: answers 500) in every
 * case, and borrows `context`, which both functions get, too. */
void ui_job_begin(struct ui_jobs *jobs, struct http_request *req,
                  const struct ui_job_kind *kind, void *context, void *arg);

/* The request with this serial number is over (http_options.on_end). `jobs` NULL: does
 * nothing. */
void ui_job_on_end(struct ui_jobs *jobs, uint64_t serial);

/* Work without a request (kind->answer is not called). False, and arg released, when
 * there is no room. */
bool ui_job_spawn(struct ui_jobs *jobs, const struct ui_job_kind *kind, void *context,
                  void *arg);

#endif
