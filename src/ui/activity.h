/* activity - what p2p-peer says about its uploads, over its control socket
 * (p2p/control.h), for the dashboard and for /metrics. */
#ifndef P2P_UI_ACTIVITY_H
#define P2P_UI_ACTIVITY_H

#include "http/http.h"

struct cJSON;
struct p2p_identity;
struct ui_jobs;

/* What it gets from the program. */
struct ui_activity {
    const char *keys_dir; /* of the peer that is asked */
    struct p2p_identity *identity;
    struct ui_jobs *jobs;
};

/* Asks the peer that uses the same keys. Blocks for at most two seconds: for jobs.
 * NULL: none is running, or it does not answer. Free with cJSON_Delete. */
struct cJSON *ui_activity_ask(const struct ui_activity *a, const char *verb);

/* GET /api/activity */
void ui_activity_handle(struct http_request *req, void *activity);

#endif
