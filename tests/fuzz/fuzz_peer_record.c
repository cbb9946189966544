// uses p2p-discovery
/* Records of snapshots and shared stores: a decoded record is encoded to the same
 * bytes. */
#include <string.h>

#include "discovery/registry/record.h"
#include "fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct record r;
    uint8_t *bytes;
    size_t len;

    if (record_decode(data, size, &r) != P2P_OK)
        return 0;
    MUST(record_encode(&r, &bytes, &len) == P2P_OK);
    MUST(len == size && memcmp(bytes, data, len) == 0);
    free(bytes);
    record_clear(&r);
    return 0;
}
