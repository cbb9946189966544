/* M3, M4 and M5: both sides prove their identity, agree on the session key, and confirm
 * that they have it. */
#include <string.h>

#include "core/wire/handshake_internal.h"
#include "p2p/bytes.h"
#include "p2p/msg.h"

enum {
    TYPE_M3 = 3,
    TYPE_M4 = 4,
    M3_PLAIN = 1 + P2P_SPKI_LEN + P2P_RSA_LEN,
    M4_PLAIN = 1 + P2P_SPKI_LEN + P2P_RSA_LEN + P2P_RSA_LEN,
};
_Static_assert(P2P_FRAME_SIZE(M3_PLAIN) == P2P_M3_SIZE, "M3");
_Static_assert(P2P_FRAME_SIZE(M4_PLAIN) == P2P_M4_SIZE, "M4");
_Static_assert(P2P_FRAME_SIZE(1) == P2P_M5_SIZE, "M5");

/* ---- M3 and M4: sealed with keys that are used once ---- */

/* sender || epoch 0 || seq 0 */
static enum p2p_err
seal_once(struct p2p_handshake *hs, uint8_t *frame, size_t plain_len, uint8_t sender,
          struct p2p_secret *key, const struct p2p_nonce *nonce)
{
    uint8_t aad[13] = {sender};
    enum p2p_err err = p2p_frame_seal(frame, plain_len, key, nonce, aad, sizeof(aad));

    p2p_wipe(key, sizeof(*key));
    return err == P2P_OK ? P2P_OK : p2p_hs_fail(hs, err, "cannot seal");
}

/* Decrypts a frame with exactly this plaintext size; borrows the bytes after the type
 * byte. */
static enum p2p_err
open_once(struct p2p_handshake *hs, uint8_t *frame, size_t plain_size, uint8_t sender,
          struct p2p_secret *key, uint8_t type, struct p2p_rd *body)
{
    uint8_t aad[13] = {sender}, *plain;
    size_t len;
    enum p2p_err err = p2p_frame_open(frame, P2P_FRAME_SIZE(plain_size), key, aad,
                                      sizeof(aad), &plain, &len);

    p2p_wipe(key, sizeof(*key));
    if (err == P2P_ERR_MALFORMED)
        return p2p_hs_fail(hs, err, "wrong frame length");
    if (err != P2P_OK)
        return p2p_hs_fail(hs, err, "the frame cannot be decrypted");
    p2p_rd_init(body, plain, len);
    if (p2p_rd_get_u8(body) != type)
        return p2p_hs_fail(hs, P2P_ERR_MALFORMED, "wrong frame type");
    return P2P_OK;
}

/* Accepts a valid key that is not our own. Its id is the peer's claim from here on. */
static enum p2p_err
accept_spki(struct p2p_handshake *hs, const struct p2p_spki *theirs)
{
    enum p2p_err err = p2p_spki_check(theirs->b);

    if (err != P2P_OK)
        return p2p_hs_fail(hs, err, "invalid RSA-2048 key");
    if (memcmp(theirs, p2p_rsa_spki(hs->own), sizeof(*theirs)) == 0)
        return p2p_hs_fail(hs, P2P_ERR_AUTH, "the other side uses our own key");
    err = p2p_spki_id(theirs, &hs->peer_id);
    return err == P2P_OK ? P2P_OK : p2p_hs_fail(hs, err, "cannot hash a key");
}

enum p2p_err
p2p_hs_client_sign(struct p2p_handshake *hs)
{
    enum p2p_err err;

    hs->said.spki_c = *p2p_rsa_spki(hs->own);
    err = p2p_transcript_sign_c(&hs->said, hs->own);
    return err == P2P_OK ? P2P_OK : p2p_hs_fail(hs, err, "cannot sign");
}

enum p2p_err
p2p_hs_client_make_m3(struct p2p_handshake *hs, const struct p2p_nonce *nonce,
                      uint8_t *frame)
{
    struct p2p_wr wr;

    p2p_wr_init(&wr, frame + P2P_FRAME_PREFIX, M3_PLAIN);
    p2p_wr_put_u8(&wr, TYPE_M3);
    p2p_wr_put_bytes(&wr, hs->said.spki_c.b, sizeof(hs->said.spki_c.b));
    p2p_wr_put_bytes(&wr, hs->said.sig_c.b, sizeof(hs->said.sig_c.b));
    return seal_once(hs, frame, wr.used, 'C', &hs->keys.c2s, nonce);
}

enum p2p_err
p2p_hs_server_take_m3(struct p2p_handshake *hs, uint8_t *frame)
{
    struct p2p_rd body;
    enum p2p_err err =
        open_once(hs, frame, M3_PLAIN, 'C', &hs->keys.c2s, TYPE_M3, &body);

    if (err != P2P_OK)
        return err;
    p2p_rd_get_bytes(&body, hs->said.spki_c.b, sizeof(hs->said.spki_c.b));
    p2p_rd_get_bytes(&body, hs->said.sig_c.b, sizeof(hs->said.sig_c.b));
    err = accept_spki(hs, &hs->said.spki_c);
    if (err != P2P_OK)
        return err;
    err = p2p_transcript_verify_c(&hs->said);
    return err == P2P_OK ? P2P_OK : p2p_hs_fail(hs, err, "invalid client signature");
}

/* Derives the record keys from the whole transcript, dh and k, which are not needed
 * afterwards. */
static enum p2p_err
derive_directions(struct p2p_handshake *hs)
{
    struct p2p_secret_pair first;
    struct p2p_digest thf;
    enum p2p_err err = p2p_transcript_hash(&hs->said, P2P_TO_SIG_S, &thf);

    if (err == P2P_OK)
        err = p2p_schedule_application(&thf, &hs->dh, &hs->rnd.session_key, &first);
    p2p_wipe(&hs->dh, sizeof(hs->dh));
    p2p_wipe(&hs->rnd, sizeof(hs->rnd));
    if (err == P2P_OK)
        err = p2p_direction_init(&hs->c2s, 'C', &first.c2s, 0);
    if (err == P2P_OK)
        err = p2p_direction_init(&hs->s2c, 'S', &first.s2c, 0);
    p2p_wipe(&first, sizeof(first));
    return err == P2P_OK ? P2P_OK : p2p_hs_fail(hs, err, "key schedule");
}

enum p2p_err
p2p_hs_server_sign(struct p2p_handshake *hs)
{
    enum p2p_err err;

    hs->said.spki_s = *p2p_rsa_spki(hs->own);
    err = p2p_transcript_seal_k(&hs->said, &hs->rnd.session_key);
    if (err == P2P_OK)
        err = p2p_transcript_sign_s(&hs->said, hs->own);
    return err == P2P_OK ? derive_directions(hs) : p2p_hs_fail(hs, err, "cannot sign");
}

enum p2p_err
p2p_hs_server_make_m4(struct p2p_handshake *hs, const struct p2p_nonce *nonce,
                      uint8_t *frame)
{
    struct p2p_wr wr;

    p2p_wr_init(&wr, frame + P2P_FRAME_PREFIX, M4_PLAIN);
    p2p_wr_put_u8(&wr, TYPE_M4);
    p2p_wr_put_bytes(&wr, hs->said.spki_s.b, sizeof(hs->said.spki_s.b));
    p2p_wr_put_bytes(&wr, hs->said.oaep, sizeof(hs->said.oaep));
    p2p_wr_put_bytes(&wr, hs->said.sig_s.b, sizeof(hs->said.sig_s.b));
    return seal_once(hs, frame, wr.used, 'S', &hs->keys.s2c, nonce);
}

enum p2p_err
p2p_hs_client_take_m4(struct p2p_handshake *hs, uint8_t *frame)
{
    struct p2p_rd body;
    enum p2p_err err =
        open_once(hs, frame, M4_PLAIN, 'S', &hs->keys.s2c, TYPE_M4, &body);

    if (err != P2P_OK)
        return err;
    p2p_rd_get_bytes(&body, hs->said.spki_s.b, sizeof(hs->said.spki_s.b));
    p2p_rd_get_bytes(&body, hs->said.oaep, sizeof(hs->said.oaep));
    p2p_rd_get_bytes(&body, hs->said.sig_s.b, sizeof(hs->said.sig_s.b));
    return accept_spki(hs, &hs->said.spki_s);
}

/* Called after the id was compared with the expected one. */
enum p2p_err
p2p_hs_client_prove_server(struct p2p_handshake *hs)
{
    enum p2p_err err = p2p_transcript_verify_s(&hs->said);

    if (err != P2P_OK)
        return p2p_hs_fail(hs, err, "invalid server signature");
    err = p2p_transcript_open_k(&hs->said, hs->own, &hs->rnd.session_key);
    if (err != P2P_OK)
        return p2p_hs_fail(hs, err, "the session key cannot be decrypted");
    return derive_directions(hs);
}

/* ---- M5: the first record ---- */

enum p2p_err
p2p_hs_client_make_m5(struct p2p_handshake *hs, const struct p2p_nonce *nonce,
                      uint8_t *frame)
{
    enum p2p_err err;

    frame[P2P_FRAME_PREFIX] = P2P_MSG_READY;
    err = p2p_direction_seal(&hs->c2s, frame, 1, nonce);
    return err == P2P_OK ? P2P_OK : p2p_hs_fail(hs, err, "cannot seal");
}

enum p2p_err
p2p_hs_server_take_m5(struct p2p_handshake *hs, uint8_t *frame)
{
    uint8_t *plain;
    size_t len;
    enum p2p_err err =
        p2p_direction_open(&hs->c2s, frame, P2P_M5_SIZE, 0, &plain, &len);

    if (err != P2P_OK)
        return p2p_hs_fail(hs, err, "M5 cannot be decrypted");
    if (len != 1 || plain[0] != P2P_MSG_READY)
        return p2p_hs_fail(hs, P2P_ERR_MALFORMED, "M5 is not READY");
    return P2P_OK;
}
