/*
 * TLS: the certificate and key of a server, loaded again when their files change. The
 * files are checked when a client connects, at most once per second, so that a renewed
 * certificate is used without a restart. If a new pair cannot be read, or the key does
 * not belong to the certificate, the former pair stays in use. Thread-safe.
 */
#ifndef P2P_HTTP_TLS_H
#define P2P_HTTP_TLS_H

#include <stddef.h>

#include "p2p/err.h"

struct http_tls_options {
    const char *cert; /* PEM: the server's certificate, then those that signed it */
    const char *key;  /* PEM, without a passphrase */
    /* How to open the files if a sandbox forbids it; NULL: by their paths. */
    enum p2p_err (*open_file)(const char *path, int *fd);
};

/* The same for options of the command line: both files or none. */
P2P_MUST_CHECK enum p2p_err http_tls_options_check(const struct http_tls_options *opt,
                                                   char *why, size_t size);

/*
 * Checks whether a server can start with these files. `why` gets a sentence with the
 * problem. UNSUPPORTED: built without GnuTLS.
 */
P2P_MUST_CHECK enum p2p_err http_tls_check(const struct http_tls_options *opt,
                                           char *why, size_t size);

/* Looks at the files now instead of when the next client connects. Does nothing while
 * there is no server with TLS. */
void http_tls_look(void);

#endif
