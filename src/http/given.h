/*
 * given - options of the two HTTP daemons that go beyond a single word: lists of hosts
 * and proxies, and the files of TLS. What is refused is named by its place
 * (p2p/options.h).
 */
#ifndef P2P_HTTP_GIVEN_H
#define P2P_HTTP_GIVEN_H

#include "http/http.h"
#include "p2p/options.h"

/* `check` is http_hosts_check or http_proxies_check. Each value is checked alone, so
 * that the message has the line of the one that is wrong. */
P2P_MUST_CHECK enum p2p_err
http_check_list(const char *program, const struct p2p_options_text *text,
                const struct p2p_option_list *list,
                enum p2p_err (*check)(const char *const *list, char *why, size_t size));

/* As http_tls_options_check. */
P2P_MUST_CHECK enum p2p_err http_check_tls(const char *program,
                                           const struct p2p_options_text *text,
                                           const struct http_tls_options *tls);

#endif
