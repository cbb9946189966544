/* Functions of tls.c for server.c. */
#ifndef P2P_HTTP_TLS_INTERNAL_H
#define P2P_HTTP_TLS_INTERNAL_H

#include "http/tls.h"

#ifdef P2P_WITH_GNUTLS
#include <gnutls/abstract.h>

/* Sets the pair for the next handshakes. Only one server at a time in a program
 * (IN_USE). */
P2P_MUST_CHECK enum p2p_err http_tls_start(const struct http_tls_options *opt);
/* After the last connection has ended. */
void http_tls_stop(void);

/* For MHD_OPTION_HTTPS_CERT_CALLBACK: a gnutls_certificate_retrieve_function2. */
int http_tls_retrieve(gnutls_session_t session, const gnutls_datum_t *authorities,
                      int count, const gnutls_pk_algorithm_t *algorithms,
                      int algorithm_count, gnutls_pcert_st **chain, unsigned *chain_len,
                      gnutls_privkey_t *key);
#endif

#endif
