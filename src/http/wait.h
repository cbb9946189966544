/*
 * Long polls: requests that wait for a change without using a thread. A handler
 * compares, finds nothing new, and parks the request. The handler runs again from its
 * start when the list is woken or the wait is over:
 *     uint64_t seen = http_waitlist_generation(list);
 *     if (nothing_new(since) && http_wait(req, list, seen, wait_ms))
 *         return;
 *     answer(...);
 * Safe from any thread.
 */
#ifndef P2P_HTTP_WAIT_H
#define P2P_HTTP_WAIT_H

#include "http/http.h"

struct http_waitlist;

/* Make it after the server is open; free it after the server is closed. */
struct http_waitlist *http_waitlist_new(struct http_server *s);
void http_waitlist_free(struct http_waitlist *list);

/* Grows with every wake-up. Read it before you check for the change. */
uint64_t http_waitlist_generation(const struct http_waitlist *list);

/* Runs all parked requests again. */
void http_waitlist_wake(struct http_waitlist *list);

/*
 * Parks the request for at most wait_ms, counted from its first park. True: the handler
 * must return at once. False: the handler should answer, because the time is over, the
 * server is stopping, or the list was woken since `seen` (then it may compare again
 * before it answers).
 */
bool http_wait(struct http_request *req, struct http_waitlist *list, uint64_t seen,
               unsigned wait_ms);

/* True if the request was parked before: its handler runs again. Its client may be
 * gone. */
bool http_has_waited(const struct http_request *req);

/* After http_wait was false: true if the request should not wait any more. */
bool http_wait_is_over(const struct http_request *req);

/* Requests that wait now. */
size_t http_waitlist_count(struct http_waitlist *list);

#endif
