/* What a router, or someone in its place, sends to who asks for a port: datagrams, each
 * with its length before it. */
#include <string.h>

#include "core/reach/portmap.h"
#include "fuzz.h"

enum { STEPS = 64 };

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t own[4] = {192, 168, 1, 5}, nonce[12] = {1};
    uint8_t out[P2P_PORTMAP_MESSAGE_MAX];
    struct p2p_portmap m;
    uint64_t now = 1000;

    p2p_portmap_init(&m, own, 9000, nonce, now);
    for (int i = 0; i < STEPS && size > 0; i++) {
        size_t len = data[0] < size ? data[0] : size - 1;

        MUST(p2p_portmap_on_time(&m, now, out) <= sizeof(out));
        p2p_portmap_on_datagram(&m, data + 1, len, now);
        MUST(m.mapping.by == P2P_PORTMAP_NONE || m.mapping.port != 0);
        MUST(m.mapping.by == P2P_PORTMAP_NONE || m.end_ms > now);
        data += 1 + len;
        size -= 1 + len;
        if (p2p_portmap_due_ms(&m) > now)
            now = p2p_portmap_due_ms(&m);
    }
    MUST(p2p_portmap_end(&m, out) <= sizeof(out));
    return 0;
}
