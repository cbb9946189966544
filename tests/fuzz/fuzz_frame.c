/* Bytes of a connection, cut at any place: the result of p2p_frame_peek must be right.
 */
#include <string.h>

#include "fuzz.h"
#include "p2p/frame.h"
#include "p2p/limits.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct p2p_secret key;
    uint8_t *copy, *plain;
    size_t frame, part, len;
    enum p2p_err err = p2p_frame_peek(data, size, 1, P2P_RECORD_PLAIN_MAX, &frame);

    MUST(err == P2P_OK || err == P2P_ERR_MORE || err == P2P_ERR_MALFORMED);
    if (err == P2P_ERR_MORE)
        MUST(frame > size && frame <= P2P_FRAME_SIZE(P2P_RECORD_PLAIN_MAX));
    if (err == P2P_OK)
        MUST(frame <= size && frame >= P2P_FRAME_SIZE(1));
    if (size > 0) /* the same for a shorter piece: it is never complete sooner, and
                     never needs fewer bytes */
        MUST(p2p_frame_peek(data, size / 2, 1, P2P_RECORD_PLAIN_MAX, &part) != P2P_OK ||
             (err == P2P_OK && part == frame));
    copy = malloc(size > 0 ? size : 1);
    MUST(copy != NULL);
    memcpy(copy, data, size);
    err = p2p_frame_open(copy, size, &key, NULL, 0, &plain, &len);
    MUST(err == P2P_OK || (plain == NULL && len == 0));
    free(copy);
    return 0;
}
