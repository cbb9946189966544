/*
 * TLS: the certificate and key of a server, read again when their files change.
 *
 * The files are looked at when a client connects, at most once a second, so that a
 * renewed certificate is in use without a restart. While a new pair cannot be read, or
 * its halves do not fit each other, the former one stays in use. Thread-safe.
 */
#ifndef P2P_HTTP_TLS_H
#define P2P_HTTP_TLS_H

#include <stddef.h>

#include "p2p/err.h"

struct http_tls_options {
    const char *cert; /* PEM: the server's certificate, then those that signed it */
    const char *key;  /* PEM, without a passphrase */
    /* How to open them where a sandbox forbids it; NULL: by their paths. */
    enum p2p_err (*open_file)(const char *path, int *fd);
};

/* The same for options as they come from the command line: both files or none. */
P2P_MUST_CHECK enum p2p_err http_tls_options_check(const struct http_tls_options *opt,
                                                   char *why, size_t size);

/*
 * Whether a server can be started with these. `why` gets a sentence that says what is
 * wrong. UNSUPPORTED: built without GnuTLS.
 */
P2P_MUST_CHECK enum p2p_err http_tls_check(const struct http_tls_options *opt,
                                           char *why, size_t size);

#endif
