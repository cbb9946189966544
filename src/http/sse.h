/*
 * Server-sent events: one stream that any number of clients follow.
 *
 * Events are kept in one ring of fixed size; a client is a place in it. A client that
 * is new, falls behind the ring, or whose Last-Event-ID is no longer there, gets the
 * event `resync` and goes on from the newest: it has to fetch the state (again). Every
 * 15 s without an event a comment is sent, which also finds out who has gone. Safe from
 * any thread.
 */
#ifndef P2P_HTTP_SSE_H
#define P2P_HTTP_SSE_H

#include "http/http.h"

struct http_sse;

#define HTTP_SSE_HEARTBEAT_MS 15000u

/* `capacity` events are kept for late and returning clients. */
struct http_sse *http_sse_new(struct http_server *s, size_t capacity,
                              size_t max_clients);
/* After the server is closed. Accepts NULL. */
void http_sse_free(struct http_sse *sse);

/*
 * Sends an event to all; copies. `name` is a word, `data` one line of JSON. Returns the
 * event's id: ids rise, also over a restart.
 */
uint64_t http_sse_publish(struct http_sse *sse, const char *name, const char *data,
                          size_t data_len);

/* Answers the request with the stream, or with 503 when max_clients follow already. */
void http_sse_follow(struct http_sse *sse, struct http_request *req);

/* Clients that follow now; publishing can be saved when there are none. */
size_t http_sse_count(struct http_sse *sse);

#endif
