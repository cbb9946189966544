#include "p2p/frame.h"

#include <string.h>

#include "p2p/bytes.h"

enum {
    SEALED_EXTRA = P2P_NONCE_LEN + P2P_TAG_LEN
}; /* bytes that a frame's length counts in addition to the body */

enum p2p_err
p2p_frame_peek(const uint8_t *data, size_t len, size_t plain_min, size_t plain_max,
               size_t *size)
{
    uint32_t length;

    *size = P2P_FRAME_HEAD;
    if (len < P2P_FRAME_HEAD)
        return P2P_ERR_MORE;
    length = p2p_load_u32(data);
    if (length < plain_min + SEALED_EXTRA || length > plain_max + SEALED_EXTRA)
        return P2P_ERR_MALFORMED;
    *size = P2P_FRAME_HEAD + (size_t)length;
    return len < *size ? P2P_ERR_MORE : P2P_OK;
}

enum p2p_err
p2p_frame_seal(uint8_t *frame, size_t plain_len, const struct p2p_secret *key,
               const struct p2p_nonce *nonce, const void *aad, size_t aad_len)
{
    uint8_t *text = frame + P2P_FRAME_PREFIX;

    if (plain_len > UINT32_MAX - SEALED_EXTRA)
        return P2P_ERR_TOO_LARGE;
    p2p_store_u32(frame, (uint32_t)plain_len + SEALED_EXTRA);
    memcpy(frame + P2P_FRAME_HEAD, nonce->b, P2P_NONCE_LEN);
    return p2p_gcm_seal(key, nonce, aad, aad_len, text, plain_len, text,
                        text + plain_len);
}

enum p2p_err
p2p_frame_open(uint8_t *frame, size_t size, const struct p2p_secret *key,
               const void *aad, size_t aad_len, uint8_t **plain, size_t *plain_len)
{
    struct p2p_nonce nonce;
    uint8_t *text;
    size_t len;
    enum p2p_err err;

    *plain = NULL;
    *plain_len = 0;
    if (size < P2P_FRAME_OVERHEAD || p2p_load_u32(frame) != size - P2P_FRAME_HEAD)
        return P2P_ERR_MALFORMED;
    memcpy(nonce.b, frame + P2P_FRAME_HEAD, P2P_NONCE_LEN);
    text = frame + P2P_FRAME_PREFIX;
    len = size - P2P_FRAME_OVERHEAD;
    err = p2p_gcm_open(key, &nonce, aad, aad_len, text, len, text, text + len);
    if (err != P2P_OK)
        return err;
    *plain = text;
    *plain_len = len;
    return P2P_OK;
}
