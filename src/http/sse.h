/*
 * Server-sent events: one stream for any number of clients. Events are kept in one ring
 * of fixed size; each client has a position in it. A client that is new, falls behind
 * the ring, or sends a Last-Event-ID that is no longer in it, gets the event `resync`
 * and continues with the newest event: it has to load the state (again). After 15 s
 * without an event, a comment is sent, which also detects clients that have gone. Safe
 * from any thread.
 */
#ifndef P2P_HTTP_SSE_H
#define P2P_HTTP_SSE_H

#include "http/http.h"

struct http_sse;

#define HTTP_SSE_HEARTBEAT_MS 15000u

/* Keeps `capacity` events for late and returning clients. */
struct http_sse *http_sse_new(struct http_server *s, size_t capacity,
                              size_t max_clients);
/* After the server is closed. Accepts NULL. */
void http_sse_free(struct http_sse *sse);

/*
 * Sends an event to all clients; copies. `name` is a word, `data` one line of JSON.
 * Returns the event's id: ids rise, also across restarts.
 */
uint64_t http_sse_publish(struct http_sse *sse, const char *name, const char *data,
                          size_t data_len);

/* Answers the request with the stream, or with 503 if max_clients follow it already. */
void http_sse_follow(struct http_sse *sse, struct http_request *req);

/* The number of clients; without any, publishing can be skipped. */
size_t http_sse_count(struct http_sse *sse);

#endif
