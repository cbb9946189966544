/*
 * Uploads: a multipart body is passed to a sink as it arrives. The handler of a
 * HTTP_MULTIPART row runs when the headers are complete, before the body: it answers
 * with a refusal, or names a sink. The sink's on_done answers at the end.
 */
#ifndef P2P_HTTP_UPLOAD_H
#define P2P_HTTP_UPLOAD_H

#include "http/http.h"
#include "http/text/multipart.h"

struct http_upload_sink {
    struct http_multipart_events events;
    /* The whole body was read, or `err` is the error with which an event of this sink
     * ended the upload: answer now. If much of the body is still to come, the answer is
     * sent at once and the connection closed; a short rest is read and discarded. Not
     * called for a malformed body, which is answered with 400 here. */
    void (*on_done)(void *arg, struct http_request *req, enum p2p_err err);
    /* The last call in every case, also if the client went away: free arg. */
    void (*on_free)(void *arg);
};

/*
 * Takes ownership of `arg` (on_free is called even on failure). Answers 415 or 400
 * itself if the request is not multipart/form-data.
 */
void http_upload_into(struct http_request *req, const struct http_upload_sink *sink,
                      void *arg);

/* The same for a body of any type that is not a form: on_data gets all of it, the other
 * events are not called. */
void http_body_into(struct http_request *req, const struct http_upload_sink *sink,
                    void *arg);

#endif
