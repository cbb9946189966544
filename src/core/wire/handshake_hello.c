/* M1 and M2: versions, suites and ephemeral keys, both unprotected until the
 * signatures. */
#include <string.h>

#include "core/wire/handshake_internal.h"

static const char magic[] = "HELLO2|";
enum {
    MAGIC_LEN = sizeof(magic) - 1,
    AT_VERSION = MAGIC_LEN, /* four bytes, see hello() */
    AT_RANDOM = AT_VERSION + 4,
    AT_SHARE = AT_RANDOM + 32,
    VERSION = 2,
    SUITE = 1,
    SUITES = 1 << (SUITE - 1),
};
_Static_assert(AT_SHARE + 32 == P2P_M1_SIZE, "M1");

/* M1 and M2 use the four bytes differently: see make_m1 and make_m2. */
static enum p2p_err
hello(struct p2p_handshake *hs, const uint8_t four[4], uint8_t out[P2P_HELLO2_SIZE])
{
    struct p2p_x25519_public share;
    enum p2p_err err = p2p_x25519_public(&hs->rnd.x25519, &share);

    if (err != P2P_OK)
        return p2p_hs_fail(hs, err, "no X25519 key");
    memcpy(out, magic, MAGIC_LEN);
    memcpy(out + AT_VERSION, four, 4);
    memcpy(out + AT_RANDOM, hs->rnd.hello, sizeof(hs->rnd.hello));
    memcpy(out + AT_SHARE, share.b, sizeof(share.b));
    return P2P_OK;
}

/* Computes dh and wipes the ephemeral key, which is no longer needed. */
static enum p2p_err
agree(struct p2p_handshake *hs, const uint8_t their_hello[P2P_HELLO2_SIZE])
{
    struct p2p_x25519_public share;
    enum p2p_err err;

    memcpy(share.b, their_hello + AT_SHARE, sizeof(share.b));
    err = p2p_x25519(&hs->rnd.x25519, &share, &hs->dh);
    if (err != P2P_OK)
        return p2p_hs_fail(hs, err, "public point of low order");
    return P2P_OK;
}

static enum p2p_err
derive_handshake_keys(struct p2p_handshake *hs)
{
    struct p2p_digest th2;
    enum p2p_err err = p2p_transcript_hash(&hs->said, P2P_TO_M2, &th2);

    p2p_wipe(&hs->rnd.x25519, sizeof(hs->rnd.x25519));
    if (err == P2P_OK)
        err = p2p_schedule_handshake(&th2, &hs->dh, &hs->keys);
    return err == P2P_OK ? P2P_OK : p2p_hs_fail(hs, err, "key schedule");
}

enum p2p_err
p2p_hs_client_make_m1(struct p2p_handshake *hs, const struct p2p_nonce *nonce,
                      uint8_t *out)
{
    static const uint8_t four[4] = {VERSION, VERSION, SUITES, 0}; /* max, min, suites */
    enum p2p_err err = hello(hs, four, hs->said.m1);

    (void)nonce;
    memcpy(out, hs->said.m1, sizeof(hs->said.m1));
    return err;
}

enum p2p_err
p2p_hs_server_take_m1(struct p2p_handshake *hs, uint8_t *m1)
{
    const uint8_t *four = m1 + AT_VERSION; /* ver_max, ver_min, suites, flags */

    if (memcmp(m1, magic, MAGIC_LEN) != 0)
        return p2p_hs_fail(hs, P2P_ERR_MALFORMED,
                           "M1 does not start with the magic bytes");
    if (four[1] > VERSION || four[0] < VERSION)
        return p2p_hs_fail(hs, P2P_ERR_MALFORMED, "no protocol version in common");
    if (four[3] != 0)
        return p2p_hs_fail(hs, P2P_ERR_MALFORMED, "M1 has unknown flags");
    if ((four[2] & SUITES) == 0)
        return p2p_hs_fail(hs, P2P_ERR_MALFORMED, "no cipher suite in common");
    memcpy(hs->said.m1, m1, sizeof(hs->said.m1));
    return agree(hs, m1);
}

enum p2p_err
p2p_hs_server_make_m2(struct p2p_handshake *hs, const struct p2p_nonce *nonce,
                      uint8_t *out)
{
    static const uint8_t four[4] = {VERSION, SUITE, SUITES, 0};
    enum p2p_err err = hello(hs, four, hs->said.m2);

    (void)nonce;
    if (err != P2P_OK)
        return err;
    memcpy(out, hs->said.m2, sizeof(hs->said.m2));
    return derive_handshake_keys(hs);
}

enum p2p_err
p2p_hs_client_take_m2(struct p2p_handshake *hs, uint8_t *m2)
{
    const uint8_t *four = m2 + AT_VERSION; /* ver, suite, suites_s, flags */
    enum p2p_err err;

    if (memcmp(m2, magic, MAGIC_LEN) != 0)
        return p2p_hs_fail(hs, P2P_ERR_MALFORMED,
                           "M2 does not start with the magic bytes");
    if (four[0] != VERSION || four[1] != SUITE || (four[2] & SUITES) == 0)
        return p2p_hs_fail(hs, P2P_ERR_MALFORMED,
                           "M2 chooses something that was not offered");
    if (four[3] != 0)
        return p2p_hs_fail(hs, P2P_ERR_MALFORMED, "M2 has unknown flags");
    if (memcmp(m2 + AT_SHARE, hs->said.m1 + AT_SHARE, 32) == 0)
        return p2p_hs_fail(hs, P2P_ERR_AUTH, "M2 repeats our own key share");
    memcpy(hs->said.m2, m2, sizeof(hs->said.m2));
    err = agree(hs, m2);
    return err == P2P_OK ? derive_handshake_keys(hs) : err;
}
