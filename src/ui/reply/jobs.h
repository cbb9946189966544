/*
 * jobs - answers that need the network.
 *
 * The server's threads each look after many connections, so a handler never waits for a
 * registry or a peer: it hands the waiting to a worker here and parks its request, and
 * the server runs the handler again when the work is done. At most UI_JOBS_RUNNING run
 * at once (threads are made at need and leave after ten idle seconds), at most
 * UI_JOBS_MAX are kept; beyond that the answer is 503.
 *
 * A job belongs to its request by the request's serial number. When the request ends
 * before the job does (its client has gone), the job's place is free at once: work that
 * has not begun is dropped, or waits behind everything else when its kind runs anyway.
 */
#ifndef P2P_UI_JOBS_H
#define P2P_UI_JOBS_H

#include <stdbool.h>

#include "http/http.h"

#define UI_JOBS_RUNNING 8
#define UI_JOBS_MAX     64
#define UI_JOB_WAIT_MS  30000

struct ui_app;
struct ui_jobs;

struct ui_job_kind {
    void (*work)(struct ui_app *app, void *arg); /* on a worker: may block */
    /* On the server's thread, when work is over. */
    void (*answer)(struct http_request *req, struct ui_app *app, void *arg);
    void (*release)(void *arg);
    /* Changes something: what the client asked for is done even if it has gone. */
    bool runs_anyway;
};

/* After the server is open; closed after it, and waits for the work that still runs.
 * NULL: no memory. */
struct ui_jobs *ui_jobs_new(struct ui_app *app, struct http_server *server);
void ui_jobs_free(struct ui_jobs *jobs);

/*
 * First line of every handler that uses jobs: true when this run of the handler belongs
 * to a job that was begun before; the handler then returns.
 */
bool ui_job_resume(struct ui_jobs *jobs, struct http_request *req);

/* Begins a job for this request; takes `arg` (NULL: answers 500) in every case. */
void ui_job_begin(struct ui_jobs *jobs, struct http_request *req,
                  const struct ui_job_kind *kind, void *arg);

/* The request with this serial number is over (http_options.on_end). `jobs` NULL: does
 * nothing. */
void ui_job_on_end(struct ui_jobs *jobs, uint64_t serial);

/* Work without a request (kind->answer is not called). False, and arg released, when
 * there is no room. */
bool ui_job_spawn(struct ui_jobs *jobs, const struct ui_job_kind *kind, void *arg);

#endif
