/*
 * public_url - what others call a registry, and whether the page for guests of links
 * (link.h) may come from there. Thread-safe.
 */
#ifndef P2P_PUBLIC_URL_H
#define P2P_PUBLIC_URL_H

#include <stdbool.h>

#include "p2p/addr.h"
#include "p2p/code.h"

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

/* The host and port of a URL. False: it has none. */
bool p2p_url_host(const char *url, struct p2p_addr *out);
/* The URL for others: a registry on this machine has the machine's address, if it
 * listens there and, with https, its certificate is good there (asked by a connection,
 * at most for four seconds). */
void p2p_url_for_others(const char *url, char out[P2P_CODE_REGISTRY_MAX]);
/* True for a private address, or a name that only the own network knows. */
bool p2p_url_is_local(const char *url);
/* True if a link may be opened there: outside of private addresses, only https keeps
 * others from changing the page on its way. */
bool p2p_url_is_safe_for_links(const char *url);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop

#endif
