/*
 * Parses multipart/form-data (RFC 7578) as the bytes arrive, with one buffer of fixed
 * size and without storing the content of parts. It knows nothing of HTTP or files.
 */
#ifndef P2P_HTTP_MULTIPART_H
#define P2P_HTTP_MULTIPART_H

#include <stddef.h>

#include "p2p/err.h"

#define HTTP_MULTIPART_BOUNDARY_MAX 70u /* RFC 2046, 5.1.1 */
#define HTTP_MULTIPART_HEADER_MAX   (8u * 1024)
#define HTTP_MULTIPART_PARTS_MAX    10000u

struct http_multipart;

/* An error that a callback returns ends the parsing with this error. */
struct http_multipart_events {
    /* A part begins. `name` is the name of its field; `filename` is NULL if it is not a
     * file. Both are valid UTF-8 without NUL, borrowed for the call, and otherwise
     * unchecked input. */
    enum p2p_err (*on_part)(void *arg, const char *name, const char *filename);
    enum p2p_err (*on_data)(void *arg, const void *data, size_t len);
    enum p2p_err (*on_part_end)(void *arg);
};

/* Finds the boundary in a Content-Type value; P2P_ERR_MALFORMED if there is no valid
 * one. */
P2P_MUST_CHECK enum p2p_err
http_multipart_boundary(const char *content_type,
                        char out[HTTP_MULTIPART_BOUNDARY_MAX + 1]);

/* Copies the boundary; borrows the events and arg until freed. NULL: out of memory. */
struct http_multipart *http_multipart_new(const char *boundary,
                                          const struct http_multipart_events *events,
                                          void *arg);
void http_multipart_free(struct http_multipart *m);

/* Parses more bytes. P2P_ERR_MALFORMED (also for a limit above), or the error that a
 * callback returned. */
P2P_MUST_CHECK enum p2p_err http_multipart_feed(struct http_multipart *m,
                                                const void *data, size_t len);

/* Ends the input. P2P_ERR_MALFORMED unless the closing delimiter was seen. */
P2P_MUST_CHECK enum p2p_err http_multipart_finish(const struct http_multipart *m);

#endif
