/*
 * Uploads: a multipart body handed to a sink as it arrives.
 *
 * The handler of a HTTP_MULTIPART row runs when the headers are complete and before the
 * body: it answers a refusal, or names a sink. The sink's on_done answers at the end.
 */
#ifndef P2P_HTTP_UPLOAD_H
#define P2P_HTTP_UPLOAD_H

#include "http/http.h"
#include "http/multipart.h"

struct http_upload_sink {
    struct http_multipart_events events;
    /*
     * The whole body has been seen: answer. `err` is what an event of this sink
     * returned to end the upload early; the rest of the body was thrown away. Not
     * called when the body is malformed: that is answered with 400 here.
     */
    void (*on_done)(void *arg, struct http_request *req, enum p2p_err err);
    /* Last call in every case, also when the client went away: release arg. */
    void (*on_free)(void *arg);
};

/*
 * Takes `arg` (on_free is called even when this fails). Answers 415 or 400 itself when
 * the request is not multipart/form-data.
 */
void http_upload_into(struct http_request *req, const struct http_upload_sink *sink,
                      void *arg);

#endif
