#include "p2p/sha256_lanes.h"

enum p2p_err
p2p_sha256_lanes(const uint8_t *data, size_t stride, size_t len, size_t count,
                 struct p2p_digest *out)
{
    enum p2p_err err = P2P_OK;

    for (size_t i = 0; i < count && err == P2P_OK; i++)
        err = p2p_sha256(data + i * stride, len, &out[i]);
    return err;
}

const char *
p2p_sha256_lanes_name(void)
{
    return "openssl";
}
