#include "p2p/turn.h"

#include <stdio.h>
#include <string.h>

#include "core/crypto/hmac_sha1.h"
#include "p2p/bytes.h"

enum p2p_err
p2p_turn_secret(const char *text, size_t len, struct p2p_turn_secret *out)
{
    memset(out, 0, sizeof(*out));
    while (len > 0 && (unsigned char)text[len - 1] <= ' ')
        len--;
    if (len < P2P_TURN_SECRET_MIN || len > P2P_TURN_SECRET_MAX)
        return P2P_ERR_USAGE;
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] < ' ')
            return P2P_ERR_USAGE;
    memcpy(out->b, text, len);
    out->len = len;
    return P2P_OK;
}

enum p2p_err
p2p_turn_login(const struct p2p_turn_secret *secret, const char *user,
               uint64_t expires_s, struct p2p_turn_login *out)
{
    uint8_t mac[P2P_HMAC_SHA1_LEN];
    int n = snprintf(out->username, sizeof(out->username), "%llu:%s",
                     (unsigned long long)expires_s, user);
    enum p2p_err err =
        n > 0 && (size_t)n < sizeof(out->username) ? P2P_OK : P2P_ERR_USAGE;

    if (err == P2P_OK)
        err = p2p_hmac_sha1(secret->b, secret->len, out->username, (size_t)n, mac);
    if (err == P2P_OK)
        p2p_base64_format(mac, sizeof(mac), out->password);
    p2p_wipe(mac, sizeof(mac));
    return err;
}
