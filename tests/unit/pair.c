#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pair.h"

struct p2p_handshake_random
fixed_random(uint8_t tag)
{
    struct p2p_handshake_random rnd;

    memset(rnd.hello, tag, sizeof(rnd.hello));
    memset(rnd.x25519.b, tag + 1, sizeof(rnd.x25519.b));
    memset(rnd.session_key.b, tag + 2, sizeof(rnd.session_key.b));
    return rnd;
}

struct side
side_new(enum p2p_role role, const struct p2p_rsa *own, uint8_t tag)
{
    struct p2p_handshake_random rnd = fixed_random(tag);
    struct side side = {.err = P2P_OK};

    assert_int_equal(p2p_handshake_new(role, own, &rnd, &side.hs), P2P_OK);
    return side;
}

void
side_end(struct side *side)
{
    p2p_handshake_free(side->hs);
    side->hs = NULL;
}

void
side_work(struct side *side, enum p2p_err verdict)
{
    enum p2p_handshake_step step = p2p_handshake_next(side->hs);

    while (side->err == P2P_OK && (step == P2P_HS_TRUST || step == P2P_HS_WORK)) {
        side->err = step == P2P_HS_TRUST ? p2p_handshake_trust(side->hs, verdict)
                                         : p2p_handshake_work(side->hs);
        step = p2p_handshake_next(side->hs);
    }
}

void
side_write(struct side *side, struct wire *out)
{
    struct p2p_nonce nonce = {{0}};

    out->len = 0;
    side_work(side, P2P_OK);
    if (side->err != P2P_OK)
        return;
    nonce.b[0] = side->written++; /* the same in every run */
    side->err = p2p_handshake_write(side->hs, &nonce, out->bytes, &out->len);
}

void
side_read(struct side *side, const struct wire *in)
{
    uint8_t *copy = malloc(in->len > 0 ? in->len : 1);

    assert_non_null(copy);
    memcpy(copy, in->bytes, in->len);
    side->err = p2p_handshake_read(side->hs, copy, in->len);
    free(copy);
}

void
pair_run(struct side *client, struct side *server, struct wire m[5])
{
    for (int i = 0; i < 5; i++) {
        struct side *from = i % 2 == 0 ? client : server;
        struct side *to = i % 2 == 0 ? server : client;

        side_write(from, &m[i]);
        assert_int_equal(from->err, P2P_OK);
        assert_int_equal(p2p_handshake_want(to->hs), m[i].len);
        side_read(to, &m[i]);
        assert_int_equal(to->err, P2P_OK);
    }
    assert_int_equal(p2p_handshake_next(client->hs), P2P_HS_DONE);
    assert_int_equal(p2p_handshake_next(server->hs), P2P_HS_DONE);
}

void
pair_take(struct side *client, struct side *server, uint64_t now_s,
          struct session_pair *out)
{
    assert_int_equal(p2p_handshake_take_session(client->hs, now_s, &out->client_send,
                                                &out->client_receive),
                     P2P_OK);
    assert_int_equal(p2p_handshake_take_session(server->hs, now_s, &out->server_send,
                                                &out->server_receive),
                     P2P_OK);
}
