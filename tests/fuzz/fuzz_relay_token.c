/* Tokens of a relay: one that is accepted is exactly the one that was made. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "p2p/relay.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct p2p_secret key = {{1, 2, 3}};
    char text[P2P_RELAY_TOKEN_TEXT], *copy = malloc(size + 1);
    struct p2p_relay_token token;

    MUST(copy != NULL);
    memcpy(copy, data, size);
    copy[size] = '\0';
    (void)p2p_relay_token_is_text(copy);
    free(copy);
    if (p2p_relay_token_parse(&key, (const char *)data, size, &token) == P2P_OK) {
        MUST(p2p_relay_token_format(&key, &token, text) == P2P_OK);
        MUST(strlen(text) == size && memcmp(text, data, size) == 0);
    }
    return 0;
}
