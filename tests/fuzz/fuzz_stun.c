/*
 * A STUN message. What can be read is written and read again, and stays what it was;
 * an answer is short and is never given to an answer.
 */
#include <string.h>

#include "core/channel/stun.h"
#include "fuzz.h"

static void
write_again(const struct p2p_stun *m)
{
    uint8_t out[P2P_STUN_MAX];
    struct p2p_stun again;
    size_t len;

    MUST(p2p_stun_format(m, "password", out, &len) == P2P_OK);
    MUST(p2p_stun_parse(out, len, &again) == P2P_OK);
    MUST(p2p_stun_check(out, len, &again, "password") == P2P_OK);
    MUST(again.class == m->class && again.error_code == m->error_code);
    MUST(strcmp(again.username, m->username) == 0);
    MUST(p2p_endpoint_equal(&again.mapped, &m->mapped));
    MUST(again.priority == m->priority && again.use_candidate == m->use_candidate);
    MUST(again.role == m->role && again.tie_breaker == m->tie_breaker);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct p2p_endpoint from = {{192, 0, 2, 1}, 9, P2P_FAMILY_4, 0};
    uint8_t out[P2P_STUN_MAX];
    struct p2p_stun m;
    bool other;
    size_t len;

    MUST(p2p_crypto_init() == P2P_OK);
    if (p2p_stun_answer(data, size, &from, &other, out, &len))
        MUST(len <= 44 && !p2p_stun_answer(out, len, &from, &other, out, &len));
    if (p2p_stun_parse(data, size, &m) == P2P_OK) {
        (void)!p2p_stun_check(data, size, &m, "password");
        write_again(&m);
    }
    return 0;
}
