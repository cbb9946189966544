/*
 * Public keys from outside. They are compared with a template, so that no ASN.1 parser
 * reads bytes of an unknown peer (PROTOCOL.md, "Protocol 2").
 */
#include "core/crypto/spki.h"

#include <string.h>

#include <openssl/evp.h>

#include "core/crypto/small_factor.h"

static const uint8_t prefix[] = {
    0x30, 0x82, 0x01, 0x22, 0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48,
    0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00, 0x03, 0x82, 0x01,
    0x0f, 0x00, 0x30, 0x82, 0x01, 0x0a, 0x02, 0x82, 0x01, 0x01, 0x00,
};
static const uint8_t suffix[] = {0x02, 0x03, 0x01, 0x00, 0x01}; /* e = 65537 */
_Static_assert(sizeof(prefix) + P2P_RSA_LEN + sizeof(suffix) == P2P_SPKI_LEN,
               "template");

void
p2p_spki_from_modulus(const uint8_t n[P2P_RSA_LEN], struct p2p_spki *out)
{
    memcpy(out->b, prefix, sizeof(prefix));
    memcpy(out->b + sizeof(prefix), n, P2P_RSA_LEN);
    memcpy(out->b + sizeof(prefix) + P2P_RSA_LEN, suffix, sizeof(suffix));
}

const uint8_t *
p2p_spki_modulus(const struct p2p_spki *spki)
{
    return spki->b + sizeof(prefix);
}

enum p2p_err
p2p_spki_check(const uint8_t der[P2P_SPKI_LEN])
{
    const uint8_t *n = der + sizeof(prefix);

    if (memcmp(der, prefix, sizeof(prefix)) != 0 ||
        memcmp(n + P2P_RSA_LEN, suffix, sizeof(suffix)) != 0)
        return P2P_ERR_AUTH;
    if ((n[0] & 0x80) == 0 || (n[P2P_RSA_LEN - 1] & 1) == 0)
        return P2P_ERR_AUTH;
    return p2p_has_small_factor(n) ? P2P_ERR_AUTH : P2P_OK;
}

/* ---- PEM: 6 lines of 64 characters and one of 8, LF after each ---- */

static const char pem_begin[] = "-----BEGIN PUBLIC KEY-----\n";
static const char pem_end[] = "-----END PUBLIC KEY-----\n";
enum {
    BASE64_LEN = P2P_SPKI_LEN / 3 * 4, /* no padding: 294 divides by 3 */
    LINE_LEN = 64,
    BEGIN_LEN = sizeof(pem_begin) - 1,
    END_LEN = sizeof(pem_end) - 1,
    LINES = (BASE64_LEN + LINE_LEN - 1) / LINE_LEN,
};
_Static_assert(P2P_SPKI_LEN % 3 == 0, "padding");
_Static_assert(BEGIN_LEN + BASE64_LEN + LINES + END_LEN == P2P_PEM_LEN, "PEM length");

static size_t
line_length(int line)
{
    return line < LINES - 1 ? LINE_LEN : BASE64_LEN - (LINES - 1) * LINE_LEN;
}

void
p2p_spki_to_pem(const struct p2p_spki *spki, char pem[P2P_PEM_LEN + 1])
{
    char base64[BASE64_LEN + 1];
    const char *from = base64;
    char *to = pem + BEGIN_LEN;

    EVP_EncodeBlock((unsigned char *)base64, spki->b, P2P_SPKI_LEN);
    memcpy(pem, pem_begin, BEGIN_LEN);
    for (int i = 0; i < LINES; i++) {
        memcpy(to, from, line_length(i));
        from += line_length(i);
        to += line_length(i);
        *to++ = '\n';
    }
    memcpy(to, pem_end, END_LEN + 1);
}

enum p2p_err
p2p_spki_from_pem(const char *pem, size_t len, struct p2p_spki *out)
{
    char base64[BASE64_LEN], again[P2P_PEM_LEN + 1];
    const char *from = pem + BEGIN_LEN;
    char *to = base64;

    memset(out, 0, sizeof(*out));
    if (len != P2P_PEM_LEN)
        return P2P_ERR_AUTH;
    for (int i = 0; i < LINES; i++) {
        memcpy(to, from, line_length(i));
        from += line_length(i) + 1;
        to += line_length(i);
    }
    /* Formats the key again and compares: only one spelling of lines, labels and base64
     * is accepted. */
    if (EVP_DecodeBlock(out->b, (const unsigned char *)base64, BASE64_LEN) !=
        P2P_SPKI_LEN)
        return P2P_ERR_AUTH;
    p2p_spki_to_pem(out, again);
    if (memcmp(pem, again, P2P_PEM_LEN) != 0)
        return P2P_ERR_AUTH;
    return p2p_spki_check(out->b);
}

enum p2p_err
p2p_spki_id(const struct p2p_spki *spki, struct p2p_id *out)
{
    char pem[P2P_PEM_LEN + 1];
    struct p2p_digest digest;
    enum p2p_err err;

    p2p_spki_to_pem(spki, pem);
    err = p2p_sha256(pem, P2P_PEM_LEN, &digest);
    if (err == P2P_OK)
        memcpy(out->b, digest.b, sizeof(out->b));
    return err;
}

bool
p2p_id_equal(const struct p2p_id *a, const struct p2p_id *b)
{
    return memcmp(a->b, b->b, sizeof(a->b)) == 0; /* ids are public */
}
