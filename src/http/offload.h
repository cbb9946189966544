/*
 * Long work: a server has a few threads on which a handler may take its time or block.
 * The handler begins with
 *     if (http_offload(req)) return;
 * and the long work follows. The handler then runs again from its start on such a
 * thread. There it must not park (wait.h); its answer is sent when it returns.
 */
#ifndef P2P_HTTP_OFFLOAD_H
#define P2P_HTTP_OFFLOAD_H

#include "http/http.h"

/* True: return at once (the handler will run on the other thread, or 503 was answered).
 * False: this is that thread. */
bool http_offload(struct http_request *req);

#endif
