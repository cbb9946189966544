/* HELLO of protocol 1 and keys in PEM, as an unknown client sends them. */
#include <string.h>

#include "fuzz.h"
#include "p2p/session.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char pem[P2P_PEM_LEN + 1];
    struct p2p_spki spki;
    struct p2p_id id;
    size_t used;
    enum p2p_err err = p2p_hello1_parse(data, size, &spki, &id, &used);

    MUST(used == (err == P2P_OK ? P2P_HELLO1_SIZE : 0) && used <= size);
    MUST(err != P2P_ERR_MORE || size < P2P_HELLO1_SIZE);
    if (p2p_spki_from_pem((const char *)data, size, &spki) == P2P_OK) {
        p2p_spki_to_pem(&spki, pem);
        MUST(memcmp(pem, data, size) == 0);
    }
    return 0;
}
