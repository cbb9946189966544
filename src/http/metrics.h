/*
 * GET /metrics: an answer in Prometheus' text format 0.0.4, built line by line. Names,
 * types and meanings are listed in docs/OPERATIONS.md; a test compares.
 *
 * Memory that runs out on the way makes the answer a 500 at the end; nothing in between
 * has to be checked.
 */
#ifndef P2P_HTTP_METRICS_H
#define P2P_HTTP_METRICS_H

#include "http/http.h"

struct http_metrics {
    char *text;
    size_t len, cap;
    bool failed;
};

void http_metrics_init(struct http_metrics *m);

/* A family of several samples: its head, then each with labels as `state="paused"`. */
void http_metrics_family(struct http_metrics *m, const char *name, const char *type,
                         const char *help);
void http_metrics_sample(struct http_metrics *m, const char *name, const char *labels,
                         uint64_t value);
/* The same of a time, printed in seconds. */
void http_metrics_sample_us(struct http_metrics *m, const char *name,
                            const char *labels, uint64_t microseconds);

/* A family of one sample without labels. */
void http_metrics_gauge(struct http_metrics *m, const char *name, const char *help,
                        uint64_t value);
void http_metrics_counter(struct http_metrics *m, const char *name, const char *help,
                          uint64_t value);

/* What every program that serves HTTP has to say: p2p_http_*. */
void http_metrics_server(struct http_metrics *m, struct http_server *s);

/* Answers with what has been added, and frees it. */
void http_metrics_reply(struct http_request *req, struct http_metrics *m);

#endif
