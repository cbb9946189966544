/* Messages of protocol 1: an accepted message is written again with the same bytes (hex
 * in lower case). */
#include <string.h>

#include "fuzz.h"
#include "p2p/msg.h"

static void
write_again(const struct p2p_msg1 *msg, const uint8_t *data, size_t size)
{
    uint8_t *again = malloc(size + 1);
    struct p2p_wr wr;
    size_t len;

    MUST(again != NULL);
    p2p_wr_init(&wr, again, size + 1);
    p2p_msg1_put(&wr, msg);
    MUST(p2p_wr_end(&wr, &len) == P2P_OK && len == size);
    MUST(msg->type == P2P_MSG1_META || memcmp(again, data, size) == 0);
    free(again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct p2p_msg1 msg;

    if (p2p_msg1_parse_request(data, size, &msg) == P2P_OK)
        write_again(&msg, data, size);
    if (p2p_msg1_parse_answer(data, size, &msg) == P2P_OK)
        write_again(&msg, data, size);
    return 0;
}
