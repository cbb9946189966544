/*
 * An agent gets datagrams from anywhere: as they are in the input, or made from it with
 * the right password, as only its peer can make them. A script of steps: u8 what, u8
 * from, u8 length, bytes. It stays bounded and checks nothing more often than it
 * promises.
 */
#include <string.h>

#include "core/channel/ice.h"
#include "fuzz.h"
#include "p2p/bytes.h"

enum { MS = 1000 };

static const struct p2p_ice_options options = {
    .own = {"ownownow", "ownpasswordownpassword00"},
    .peer = {"peerpeer", "peerpasswordpeerpassword"},
    .is_controlling = true,
};

static void
drain(struct p2p_ice *ice, uint64_t now_us, struct p2p_stun_id *last)
{
    struct p2p_endpoint to;
    uint8_t out[P2P_STUN_MAX];
    struct p2p_stun m;
    size_t len;

    for (int i = 0; (len = p2p_ice_output(ice, now_us, &to, out)) > 0; i++) {
        MUST(i <= P2P_ICE_ANSWERS_MAX + 1);
        MUST(p2p_stun_parse(out, len, &m) == P2P_OK);
        if (m.class == P2P_STUN_REQUEST)
            *last = m.id;
    }
    MUST(ice->pair_count <= P2P_ICE_PAIRS_MAX);
    for (size_t i = 0; i < ice->pair_count; i++)
        MUST(ice->pairs[i].sent <= P2P_ICE_CHECKS_MAX);
    MUST(p2p_ice_due_us(ice, now_us) >= now_us);
}

/* A message of the peer, with what the input wants. */
static size_t
make(struct p2p_rd *rd, const struct p2p_stun_id *last, uint8_t out[P2P_STUN_MAX])
{
    uint8_t bits = p2p_rd_get_u8(rd);
    struct p2p_stun m = {
        .class = (enum p2p_stun_class)(bits & 3),
        .id = *last,
        .has_priority = (bits & 4) != 0,
        .use_candidate = (bits & 8) != 0,
        .role = (enum p2p_stun_role)((bits >> 4) % 3),
        .error_code = (bits & 3) == P2P_STUN_ERROR ? P2P_STUN_ROLE_CONFLICT : 0,
        .tie_breaker = p2p_rd_get_u64(rd),
    };
    size_t len;

    strcpy(m.username, (bits & 128) != 0 ? "ownownow:peerpeer" : "ownownow:another");
    MUST(p2p_stun_format(
             &m, m.class == P2P_STUN_REQUEST ? options.own.pwd : options.peer.pwd, out,
             &len) == P2P_OK);
    return len;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct p2p_endpoint from = {{192, 0, 2, 1}, 9, P2P_FAMILY_4, 0};
    struct p2p_stun_id last = {{0}};
    uint64_t now_us = 1000 * MS;
    uint8_t made[P2P_STUN_MAX];
    struct p2p_ice ice;
    struct p2p_rd rd;

    MUST(p2p_crypto_init() == P2P_OK);
    MUST(p2p_ice_init(&ice, &options, now_us) == P2P_OK);
    p2p_ice_add(&ice, &from, 1);
    p2p_rd_init(&rd, data, size);
    while (rd.left > 0) {
        uint8_t what = p2p_rd_get_u8(&rd);
        size_t len = p2p_rd_get_u8(&rd);
        struct p2p_rd body;

        from.port = (uint16_t)(9 + (what >> 2));
        len = len < rd.left ? len : rd.left;
        p2p_rd_init(&body, p2p_rd_get_ref(&rd, len), len);
        if (what % 4 == 0) {
            p2p_ice_input(&ice, &from, body.at, len, now_us);
        } else if (what % 4 == 1) {
            now_us += len * 50 * MS;
        } else {
            len = make(&body, &last, made);
            p2p_ice_input(&ice, &from, made, len, now_us);
        }
        drain(&ice, now_us, &last);
    }
    return 0;
}
