/* Whether a request comes from a program of the owner on this machine. */
#ifndef P2P_UI_LOCAL_H
#define P2P_UI_LOCAL_H

#include <stdbool.h>

#include "http/http.h"

/*
 * It comes over loopback and under a loopback Host, it shows no proxy, and the other
 * end of its connection is the same user's and no carrier (p2p/caller.h). The other end
 * is looked at once for each connection.
 */
bool ui_local_is_owner(const struct http_request *req);

#endif
