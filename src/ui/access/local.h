/* Tells whether a request comes from a program of the owner on this machine. */
#ifndef P2P_UI_LOCAL_H
#define P2P_UI_LOCAL_H

#include <stdbool.h>

#include "http/http.h"

/*
 * True if the request comes over loopback and with a loopback Host, shows no proxy, and
 * the other end of its connection belongs to a program of the same user that does not
 * forward connections of others (p2p/caller.h). The other end is checked once per
 * connection.
 */
bool ui_local_is_owner(const struct http_request *req);

#endif
