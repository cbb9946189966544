/* The beginning of protocol 1: HELLO with a public key, SESSION with a secret encrypted
 * to it. */
#include <string.h>

#include "p2p/bytes.h"
#include "p2p/limits.h"
#include "p2p/session.h"

static const char hello_word[] = "HELLO|";
static const char session_word[] = "SESSION|";
static const char end_line[] = "-----END PUBLIC KEY-----\n";

enum {
    HELLO_WORD_LEN = sizeof(hello_word) - 1,
    SESSION_WORD_LEN = sizeof(session_word) - 1,
    PEM_AT = HELLO_WORD_LEN + P2P_ID_HEX_LEN + 1,
};
_Static_assert(PEM_AT + P2P_PEM_LEN == P2P_HELLO1_SIZE, "HELLO");
_Static_assert(P2P_HELLO1_SIZE <= P2P_HELLO1_MAX, "HELLO");
_Static_assert(SESSION_WORD_LEN + P2P_RSA_LEN == P2P_SESSION1_SIZE, "SESSION");

enum p2p_err
p2p_hello1_put(const struct p2p_spki *spki, uint8_t out[P2P_HELLO1_SIZE])
{
    char hex[P2P_ID_HEX_LEN + 1], pem[P2P_PEM_LEN + 1];
    struct p2p_id id;
    enum p2p_err err = p2p_spki_id(spki, &id);

    if (err != P2P_OK)
        return err;
    p2p_hex_format(id.b, sizeof(id.b), hex);
    p2p_spki_to_pem(spki, pem);
    memcpy(out, hello_word, HELLO_WORD_LEN);
    memcpy(out + HELLO_WORD_LEN, hex, P2P_ID_HEX_LEN);
    out[PEM_AT - 1] = '|';
    memcpy(out + PEM_AT, pem, P2P_PEM_LEN);
    return P2P_OK;
}

/*
 * Returns the length of the HELLO in `data`. With a valid key it is P2P_HELLO1_SIZE. An
 * END line at any other position ends the HELLO, which is then refused without waiting
 * for more bytes.
 */
static enum p2p_err
find_end(const uint8_t *data, size_t len)
{
    size_t word = len < HELLO_WORD_LEN ? len : HELLO_WORD_LEN;
    const uint8_t *end;

    if (len == 0)
        return P2P_ERR_MORE;
    if (memcmp(data, hello_word, word) != 0)
        return P2P_ERR_MALFORMED;
    end = memmem(data, len, end_line, sizeof(end_line) - 1);
    if (end == NULL)
        return len < P2P_HELLO1_SIZE ? P2P_ERR_MORE : P2P_ERR_MALFORMED;
    return end + sizeof(end_line) - 1 == data + P2P_HELLO1_SIZE ? P2P_OK
                                                                : P2P_ERR_MALFORMED;
}

enum p2p_err
p2p_hello1_parse(const uint8_t *data, size_t len, struct p2p_spki *spki,
                 struct p2p_id *id, size_t *used)
{
    char hex[P2P_ID_HEX_LEN + 1] = "";
    struct p2p_id claimed;
    enum p2p_err err = find_end(data, len);

    *used = 0;
    memset(spki, 0, sizeof(*spki));
    memset(id, 0, sizeof(*id));
    if (err != P2P_OK)
        return err;
    memcpy(hex, data + HELLO_WORD_LEN, P2P_ID_HEX_LEN);
    if (p2p_hex_parse(hex, claimed.b, sizeof(claimed.b)) != P2P_OK ||
        data[PEM_AT - 1] != '|')
        return P2P_ERR_MALFORMED;
    err = p2p_spki_from_pem((const char *)data + PEM_AT, P2P_PEM_LEN, spki);
    if (err == P2P_OK)
        err = p2p_spki_id(spki, id);
    if (err == P2P_OK && !p2p_id_equal(id, &claimed))
        err = P2P_ERR_AUTH;
    if (err == P2P_OK)
        *used = P2P_HELLO1_SIZE;
    return err;
}

enum p2p_err
p2p_session1_offer(const struct p2p_spki *client, const struct p2p_secret *key,
                   uint8_t out[P2P_SESSION1_SIZE])
{
    memcpy(out, session_word, SESSION_WORD_LEN);
    return p2p_oaep_encrypt(client, NULL, 0, key, out + SESSION_WORD_LEN);
}

enum p2p_err
p2p_session1_accept(const struct p2p_rsa *own, const uint8_t in[P2P_SESSION1_SIZE],
                    struct p2p_secret *key)
{
    memset(key, 0, sizeof(*key));
    if (memcmp(in, session_word, SESSION_WORD_LEN) != 0)
        return P2P_ERR_MALFORMED;
    return p2p_oaep_decrypt(own, NULL, 0, in + SESSION_WORD_LEN, key);
}
