/*
 * dtls - DTLS 1.2 (RFC 6347) between two ends that know each other's certificate by its
 * fingerprint, as WebRTC uses it (RFC 8827): who is at the other end is what was signed
 * in the call and its answer, not what a certificate says. Datagrams in and out; no
 * sockets. OpenSSL looks at the clock for its timer, so the caller asks for it. One
 * session, one thread at a time; an identity can be shared.
 */
#ifndef P2P_CORE_CRYPTO_DTLS_H
#define P2P_CORE_CRYPTO_DTLS_H

#include "p2p/crypto.h"

#define P2P_DTLS_DATAGRAM_MAX 1500
/* What a record adds to its content, with AES-GCM. */
#define P2P_DTLS_OVERHEAD 37

struct p2p_dtls_identity; /* *returned owned*, free with p2p_dtls_identity_free */

/* Makes a key (P-256) and a certificate for it, for one path or a process. CRYPTO. */
P2P_MUST_CHECK enum p2p_err p2p_dtls_identity_new(struct p2p_dtls_identity **out);
/* NULL is fine. */
void p2p_dtls_identity_free(struct p2p_dtls_identity *identity);
/* SHA-256 of the certificate. */
const struct p2p_digest *p2p_dtls_fingerprint(const struct p2p_dtls_identity *identity);

struct p2p_dtls; /* *returned owned*, free with p2p_dtls_free */

struct p2p_dtls_options {
    const struct p2p_dtls_identity *identity; /* copied */
    struct p2p_digest peer;                   /* its fingerprint */
    bool is_client;                           /* speaks first */
};
/* Copies the options; *returns owned*, free with p2p_dtls_free. */
P2P_MUST_CHECK enum p2p_err p2p_dtls_new(const struct p2p_dtls_options *opt,
                                         struct p2p_dtls **out);
/* NULL is fine. */
void p2p_dtls_free(struct p2p_dtls *d);

/* Goes on with the handshake: at the start, and when p2p_dtls_timeout_us has passed. */
P2P_MUST_CHECK enum p2p_err p2p_dtls_advance(struct p2p_dtls *d);
/* Microseconds until p2p_dtls_advance is due again; UINT64_MAX: nothing waits. */
uint64_t p2p_dtls_timeout_us(const struct p2p_dtls *d);
/* True once the peer has proven its certificate. */
bool p2p_dtls_is_open(const struct p2p_dtls *d);

/*
 * A datagram of the peer. Copies the content of its next record to `out`, which holds
 * P2P_DTLS_DATAGRAM_MAX bytes; `*out_len` is 0 if there is none. Call it with a NULL
 * datagram until there is none any longer. AUTH: another certificate; CLOSED; CRYPTO.
 * Records that do not open are dropped.
 */
P2P_MUST_CHECK enum p2p_err p2p_dtls_input(struct p2p_dtls *d, const uint8_t *data,
                                           size_t len, uint8_t *out, size_t *out_len);
/* Seals one packet; take it with p2p_dtls_output. BUSY: not open yet. */
P2P_MUST_CHECK enum p2p_err p2p_dtls_seal(struct p2p_dtls *d, const uint8_t *data,
                                          size_t len);
/* The next datagram to send; 0: none. */
size_t p2p_dtls_output(struct p2p_dtls *d, uint8_t out[P2P_DTLS_DATAGRAM_MAX]);

#endif
