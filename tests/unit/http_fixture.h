/*
 * http_fixture - the HTTP server as a program would set it up, and a client of raw
 * bytes. One server a test program: start_http and stop_http are its group's setup and
 * teardown.
 *
 * Routes: /ready (prepared answer), /item/{name}, /tree/{name*} (parameters told back),
 * /json (POST, PUT; 1000 bytes at most), /version (long poll), /events (SSE, 3 kept),
 * /pages/{name} (a folder with index.html), /long (waits for the gate in a worker),
 * /nothing (a handler that forgets to answer), /upload (multipart),
 * /arrivals (ten bytes, of which the first n_arrived are there; below 0: it breaks
 * off).
 */
#ifndef TESTS_UNIT_HTTP_FIXTURE_H
#define TESTS_UNIT_HTTP_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "http/http.h"
#include "http/sse.h"
#include "http/wait.h"

extern struct http_server *server; /* NULL once stop_serving has been called */
extern unsigned body_timeout_ms;   /* set it before start_http */
extern struct http_waitlist *waiters;
extern struct http_sse *events;
extern _Atomic int version;          /* what /version answers */
extern _Atomic int uploads_freed;    /* how often an upload's state was released */
extern _Atomic uint64_t last_serial; /* of the last request for /version */
extern _Atomic uint64_t last_ended;  /* number of the last request that ended */
extern _Atomic int n_ended, n_arrived, arrivals_ended; /* how many were */
extern _Atomic int gate_is_open;                       /* 1: /long answers */

int start_http(void **state);
int stop_http(void **state);

/* Only the orderly stop, for tests of it; stop_http may follow. */
void stop_serving(void);

/* A connection; every read on it ends after 10 s. The caller closes it. */
int dial(void);
void send_text(int fd, const char *text);

/* Reads everything until the server closes or `until` (may be NULL) was seen. The text
 * is valid until the next call. */
const char *receive(int fd, const char *until);

/* Sends one request on a new connection and returns the whole answer. */
const char *ask(const char *request);

/* `extra`: header lines, each with its line end. */
const char *post(const char *path, const char *extra, const char *body);

#define LOCAL     "Host: localhost\r\nConnection: close\r\n"
#define GET(path) "GET " path " HTTP/1.1\r\n" LOCAL "\r\n"
#define assert_starts(text, want) \
    assert_memory_equal(text, "HTTP/1.1 " want, sizeof("HTTP/1.1 " want) - 1)
#define assert_has(text, want) assert_non_null(strstr(text, want))

#endif
