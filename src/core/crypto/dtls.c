#include "core/crypto/dtls.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "core/crypto/ossl.h"

enum {
    HANDSHAKE_MTU = 1200, /* fits every path */
    TIMER_FIRST_US = 200000,
    TIMER_MAX_US = 3000000,
    OUT_MAX = 16, /* datagrams of one flight, or one packet */
    VALID_S = 30 * 24 * 3600,
};

static const char ciphers[] = "ECDHE-ECDSA-AES128-GCM-SHA256:"
                              "ECDHE-ECDSA-AES256-GCM-SHA384:"
                              "ECDHE-ECDSA-CHACHA20-POLY1305";

/* ---- the certificate ---- */

struct p2p_dtls_identity {
    EVP_PKEY *key;
    X509 *certificate;
    struct p2p_digest fingerprint;
};

static enum p2p_err
fingerprint_of(X509 *certificate, struct p2p_digest *out)
{
    unsigned len = 0;

    if (X509_digest(certificate, EVP_sha256(), out->b, &len) != 1 ||
        len != sizeof(out->b))
        return p2p_ossl_fail(P2P_ERR_CRYPTO);
    return P2P_OK;
}

/* Nothing in it is looked at. It does not say who makes it. */
static bool
fill_certificate(X509 *x, EVP_PKEY *key)
{
    uint8_t serial[8];
    uint64_t number;
    X509_NAME *name = X509_get_subject_name(x);

    if (p2p_random(serial, sizeof(serial)) != P2P_OK)
        return false;
    memcpy(&number, serial, sizeof(number));
    return X509_set_version(x, 2) == 1 &&
           ASN1_INTEGER_set_uint64(X509_get_serialNumber(x), number >> 1) == 1 &&
           X509_gmtime_adj(X509_getm_notBefore(x), -24 * 3600) != NULL &&
           X509_gmtime_adj(X509_getm_notAfter(x), VALID_S) != NULL &&
           X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                                      (const unsigned char *)"WebRTC", -1, -1,
                                      0) == 1 &&
           X509_set_issuer_name(x, name) == 1 && X509_set_pubkey(x, key) == 1 &&
           X509_sign(x, key, EVP_sha256()) > 0;
}

enum p2p_err
p2p_dtls_identity_new(struct p2p_dtls_identity **out)
{
    struct p2p_dtls_identity *id = calloc(1, sizeof(*id));
    bool is_made;

    *out = NULL;
    if (id == NULL)
        return P2P_ERR_NOMEM;
    if (p2p_ossl() == NULL) {
        free(id);
        return P2P_ERR_CRYPTO;
    }
    p2p_ossl_guard();
    id->key = EVP_EC_gen("P-256");
    p2p_ossl_unguard();
    id->certificate = X509_new();
    is_made = id->key != NULL && id->certificate != NULL &&
              fill_certificate(id->certificate, id->key) &&
              fingerprint_of(id->certificate, &id->fingerprint) == P2P_OK;
    if (!is_made) {
        p2p_dtls_identity_free(id);
        return p2p_ossl_fail(P2P_ERR_CRYPTO);
    }
    *out = id;
    return P2P_OK;
}

void
p2p_dtls_identity_free(struct p2p_dtls_identity *id)
{
    if (id == NULL)
        return;
    X509_free(id->certificate);
    EVP_PKEY_free(id->key);
    free(id);
}

const struct p2p_digest *
p2p_dtls_fingerprint(const struct p2p_dtls_identity *id)
{
    return &id->fingerprint;
}

/* ---- datagrams: OpenSSL reads the one that has come, and its writes are kept apart
 * ---- */

struct datagram {
    size_t len;
    uint8_t bytes[P2P_DTLS_DATAGRAM_MAX];
};

struct p2p_dtls {
    SSL_CTX *ctx;
    SSL *ssl;
    struct p2p_digest peer;
    bool is_open, is_wrong_peer;
    const uint8_t *in;
    size_t in_len;
    struct datagram out[OUT_MAX];
    size_t out_first, out_count;
};

static int
bio_read(BIO *bio, char *out, int cap)
{
    struct p2p_dtls *d = BIO_get_data(bio);
    size_t len;

    BIO_clear_retry_flags(bio);
    if (d->in == NULL || d->in_len == 0 || cap < 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    len = d->in_len < (size_t)cap ? d->in_len : (size_t)cap;
    memcpy(out, d->in, len);
    d->in = NULL;
    return (int)len;
}

/* What does not fit is lost, as on the way. */
static int
bio_write(BIO *bio, const char *data, int len)
{
    struct p2p_dtls *d = BIO_get_data(bio);

    BIO_clear_retry_flags(bio);
    if (len > 0 && len <= P2P_DTLS_DATAGRAM_MAX && d->out_count < OUT_MAX) {
        struct datagram *g = &d->out[(d->out_first + d->out_count++) % OUT_MAX];

        memcpy(g->bytes, data, (size_t)len);
        g->len = (size_t)len;
    }
    return len;
}

static long
bio_ctrl(BIO *bio, int command, long number, void *at)
{
    (void)bio, (void)number, (void)at;
    switch (command) {
    case BIO_CTRL_FLUSH:
        return 1;
    case BIO_CTRL_DGRAM_QUERY_MTU:
    case BIO_CTRL_DGRAM_GET_FALLBACK_MTU:
        return HANDSHAKE_MTU;
    default:
        return 0;
    }
}

static BIO_METHOD *
bio_method(void)
{
    BIO_METHOD *m = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "p2p dtls");

    if (m == NULL)
        return NULL;
    if (BIO_meth_set_read(m, bio_read) == 1 && BIO_meth_set_write(m, bio_write) == 1 &&
        BIO_meth_set_ctrl(m, bio_ctrl) == 1)
        return m;
    BIO_meth_free(m);
    return NULL;
}

static pthread_once_t method_once = PTHREAD_ONCE_INIT;
static BIO_METHOD *method;

static void
make_method(void)
{
    method = bio_method();
}

/* ---- a session ---- */

/* In place of a chain of certificates: this very one. */
static int
check_certificate(X509_STORE_CTX *store, void *arg)
{
    struct p2p_dtls *d = arg;
    X509 *certificate = X509_STORE_CTX_get0_cert(store);
    struct p2p_digest seen;

    if (certificate != NULL && fingerprint_of(certificate, &seen) == P2P_OK &&
        p2p_equal_ct(seen.b, d->peer.b, sizeof(seen.b)))
        return 1;
    d->is_wrong_peer = true;
    return 0;
}

/* OpenSSL begins with a second; a lost packet would cost that much. */
static unsigned
next_timer(SSL *ssl, unsigned us)
{
    (void)ssl;
    if (us == 0)
        return TIMER_FIRST_US;
    return us * 2 < TIMER_MAX_US ? us * 2 : TIMER_MAX_US;
}

static bool
set_up_ctx(struct p2p_dtls *d, const struct p2p_dtls_identity *id)
{
    d->ctx = SSL_CTX_new(DTLS_method());
    if (d->ctx == NULL || SSL_CTX_set_min_proto_version(d->ctx, DTLS1_2_VERSION) != 1 ||
        SSL_CTX_set_cipher_list(d->ctx, ciphers) != 1 ||
        SSL_CTX_set1_groups_list(d->ctx, "X25519:P-256") != 1 ||
        SSL_CTX_use_certificate(d->ctx, id->certificate) != 1 ||
        SSL_CTX_use_PrivateKey(d->ctx, id->key) != 1)
        return false;
    SSL_CTX_set_verify(d->ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_cert_verify_callback(d->ctx, check_certificate, d);
    SSL_CTX_set_session_cache_mode(d->ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_options(d->ctx, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION |
                                    SSL_OP_NO_QUERY_MTU);
    return true;
}

static bool
set_up_ssl(struct p2p_dtls *d, bool is_client)
{
    BIO *bio;

    pthread_once(&method_once, make_method);
    if (method == NULL || (d->ssl = SSL_new(d->ctx)) == NULL ||
        (bio = BIO_new(method)) == NULL)
        return false;
    BIO_set_data(bio, d);
    BIO_set_init(bio, 1);
    SSL_set_bio(d->ssl, bio, bio);
    SSL_set_mtu(d->ssl, HANDSHAKE_MTU);
    DTLS_set_timer_cb(d->ssl, next_timer);
    if (is_client)
        SSL_set_connect_state(d->ssl);
    else
        SSL_set_accept_state(d->ssl);
    return true;
}

enum p2p_err
p2p_dtls_new(const struct p2p_dtls_options *opt, struct p2p_dtls **out)
{
    struct p2p_dtls *d = calloc(1, sizeof(*d));

    *out = NULL;
    if (d == NULL)
        return P2P_ERR_NOMEM;
    d->peer = opt->peer;
    if (!set_up_ctx(d, opt->identity) || !set_up_ssl(d, opt->is_client)) {
        p2p_dtls_free(d);
        return p2p_ossl_fail(P2P_ERR_CRYPTO);
    }
    *out = d;
    return P2P_OK;
}

void
p2p_dtls_free(struct p2p_dtls *d)
{
    if (d == NULL)
        return;
    SSL_free(d->ssl);
    SSL_CTX_free(d->ctx);
    p2p_wipe(d, sizeof(*d));
    free(d);
}

/* What a function of OpenSSL that failed means. */
static enum p2p_err
meaning_of(struct p2p_dtls *d, int result)
{
    int why = SSL_get_error(d->ssl, result);

    ERR_clear_error();
    if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE)
        return P2P_OK;
    if (d->is_wrong_peer)
        return P2P_ERR_AUTH;
    return why == SSL_ERROR_ZERO_RETURN ? P2P_ERR_CLOSED : P2P_ERR_CRYPTO;
}

static enum p2p_err
shake_hands(struct p2p_dtls *d)
{
    int result;

    if (d->is_open)
        return P2P_OK;
    ERR_clear_error();
    result = SSL_do_handshake(d->ssl);
    if (result != 1)
        return meaning_of(d, result);
    d->is_open = true;
    return P2P_OK;
}

enum p2p_err
p2p_dtls_advance(struct p2p_dtls *d)
{
    struct timeval left;

    ERR_clear_error();
    if (DTLSv1_get_timeout(d->ssl, &left) == 1 && left.tv_sec == 0 &&
        left.tv_usec == 0 && DTLSv1_handle_timeout(d->ssl) < 0)
        return p2p_ossl_fail(P2P_ERR_TIMEOUT);
    return shake_hands(d);
}

uint64_t
p2p_dtls_timeout_us(const struct p2p_dtls *d)
{
    struct timeval left;

    if (DTLSv1_get_timeout(d->ssl, &left) != 1)
        return UINT64_MAX;
    return (uint64_t)left.tv_sec * 1000000 + (uint64_t)left.tv_usec;
}

bool
p2p_dtls_is_open(const struct p2p_dtls *d)
{
    return d->is_open;
}

enum p2p_err
p2p_dtls_input(struct p2p_dtls *d, const uint8_t *data, size_t len, uint8_t *out,
               size_t *out_len)
{
    enum p2p_err err;
    int got;

    *out_len = 0;
    d->in = data;
    d->in_len = len;
    if ((err = shake_hands(d)) != P2P_OK || !d->is_open)
        return err;
    ERR_clear_error();
    got = SSL_read(d->ssl, out, P2P_DTLS_DATAGRAM_MAX);
    d->in = NULL;
    if (got <= 0)
        return meaning_of(d, got);
    *out_len = (size_t)got;
    return P2P_OK;
}

enum p2p_err
p2p_dtls_seal(struct p2p_dtls *d, const uint8_t *data, size_t len)
{
    if (!d->is_open)
        return P2P_ERR_BUSY;
    ERR_clear_error();
    if (len > P2P_DTLS_DATAGRAM_MAX - P2P_DTLS_OVERHEAD ||
        SSL_write(d->ssl, data, (int)len) != (int)len)
        return p2p_ossl_fail(P2P_ERR_CRYPTO);
    return P2P_OK;
}

size_t
p2p_dtls_output(struct p2p_dtls *d, uint8_t out[P2P_DTLS_DATAGRAM_MAX])
{
    const struct datagram *g = &d->out[d->out_first];

    if (d->out_count == 0)
        return 0;
    memcpy(out, g->bytes, g->len);
    d->out_first = (d->out_first + 1) % OUT_MAX;
    d->out_count--;
    return g->len;
}
