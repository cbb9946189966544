/*
 * Long work: the few threads of a server on which a handler may take its time or block.
 *
 *     if (http_offload(req))
 *         return;
 *     ... what takes long ...
 *
 * The handler then runs again from its start on such a thread. There it must not park
 * (wait.h); what it answers is sent when it returns.
 */
#ifndef P2P_HTTP_OFFLOAD_H
#define P2P_HTTP_OFFLOAD_H

#include "http/http.h"

/* True: return at once (it will run there, or 503 was answered). False: this is there.
 */
bool http_offload(struct http_request *req);

#endif
