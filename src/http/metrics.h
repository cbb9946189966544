/*
 * GET /metrics: an answer in Prometheus' text format 0.0.4, built line by line.
 * docs/OPERATIONS.md lists names, types and meanings; a test compares them. If memory
 * runs out, the answer becomes a 500; callers need not check anything.
 */
#ifndef P2P_HTTP_METRICS_H
#define P2P_HTTP_METRICS_H

#include "http/http.h"

struct http_metrics {
    char *text;
    size_t len, cap;
    bool failed;
};

/* Starts an empty text of metrics. */
void http_metrics_init(struct http_metrics *m);

/* A metric with several samples: its header, then each sample with labels such as
 * `state="paused"`. */
void http_metrics_family(struct http_metrics *m, const char *name, const char *type,
                         const char *help);
void http_metrics_sample(struct http_metrics *m, const char *name, const char *labels,
                         uint64_t value);
/* The same for a time, printed in seconds. */
void http_metrics_sample_us(struct http_metrics *m, const char *name,
                            const char *labels, uint64_t microseconds);

/* A metric with one sample and without labels. */
void http_metrics_gauge(struct http_metrics *m, const char *name, const char *help,
                        uint64_t value);
void http_metrics_counter(struct http_metrics *m, const char *name, const char *help,
                          uint64_t value);

/* The metrics of every program that serves HTTP: p2p_http_*. */
void http_metrics_server(struct http_metrics *m, struct http_server *s);

/* Adds whole families as another program has written them. */
void http_metrics_text(struct http_metrics *m, const char *text);
/* Answers with the metrics that were added, and frees them. */
void http_metrics_reply(struct http_request *req, struct http_metrics *m);

#endif
