#include "core/remote/request.h"

#ifdef P2P_WITH_ZSTD
#include <zstd.h>

enum p2p_err
p2p_unpack(const uint8_t *data, size_t len, uint8_t *out, size_t room, size_t *got)
{
    unsigned long long size = ZSTD_getFrameContentSize(data, len);

    *got = 0;
    if (size == ZSTD_CONTENTSIZE_UNKNOWN || size == ZSTD_CONTENTSIZE_ERROR ||
        size == 0 || size > room || size > P2P_DATA_MAX)
        return P2P_ERR_PROTOCOL;
    /* Accepts exactly one frame and nothing after it. */
    if (ZSTD_findFrameCompressedSize(data, len) != len)
        return P2P_ERR_PROTOCOL;
    *got = (size_t)size;
    if (out == NULL)
        return P2P_OK;
    return ZSTD_decompress(out, (size_t)size, data, len) == size ? P2P_OK
                                                                 : P2P_ERR_PROTOCOL;
}

#else

enum p2p_err
p2p_unpack(const uint8_t *data, size_t len, uint8_t *out, size_t room, size_t *got)
{
    (void)data, (void)len, (void)out, (void)room;
    *got = 0;
    return P2P_ERR_UNSUPPORTED;
}

#endif
