// uses p2p-discovery
/* Records of snapshots and shared stores, and the claims beside them: a decoded record
 * is encoded to the same bytes. */
#include <string.h>

#include "discovery/registry/record.h"
#include "fuzz.h"

/* Claims that are accepted are the same after they were written again. */
static void
check_claims(const uint8_t *data, size_t size)
{
    char addresses[RECORD_ADDRESSES_MAX + 1], again[RECORD_ADDRESSES_MAX + 1];
    uint8_t bytes[RECORD_CLAIMS_MAX];
    struct p2p_about about, other;
    struct p2p_rd rd;
    struct p2p_wr wr;
    size_t len;

    p2p_rd_init(&rd, data, size);
    if (record_get_claims(&rd, &about, addresses) != P2P_OK)
        return;
    p2p_wr_init(&wr, bytes, sizeof(bytes));
    record_put_claims(&wr, &about, addresses);
    MUST(p2p_wr_end(&wr, &len) == P2P_OK);
    p2p_rd_init(&rd, bytes, len);
    MUST(record_get_claims(&rd, &other, again) == P2P_OK);
    MUST(p2p_rd_end(&rd) == P2P_OK);
    MUST(other.kind == about.kind && strcmp(other.name, about.name) == 0);
    MUST(strcmp(addresses, again) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct record r;
    uint8_t *bytes;
    size_t len;

    check_claims(data, size);
    if (record_decode(data, size, &r) != P2P_OK)
        return 0;
    MUST(record_encode(&r, &bytes, &len) == P2P_OK);
    MUST(len == size && memcmp(bytes, data, len) == 0);
    free(bytes);
    record_clear(&r);
    return 0;
}
