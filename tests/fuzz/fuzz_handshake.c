/*
 * The handshake, both roles. Input: u8 how (bit 0: attacks the server, otherwise the
 * client; bit 1: the sealed part is raw bytes), a hello of 75 bytes, and the bytes in
 * place of M3 or M4. Unless raw, these are the plaintext and are sealed with the right
 * key, because the fuzzer would never find one; for that, the key in the hello is
 * replaced. No handshake may ever finish.
 */
#include <string.h>

#include "core/wire/schedule.h"
#include "core/wire/transcript.h"
#include "fuzz.h"
#include "p2p/bytes.h"
#include "p2p/handshake.h"

enum { SERVER = 1, RAW = 2, SHARE_AT = 43, PLAIN_MAX = 1000 };

static const struct p2p_secret attacker_key = {{3, 3, 3}};
static const struct p2p_nonce nonce = {{1}};

/* Keys of M3 and M4, known to the attacker. */
static bool
derive(const struct p2p_transcript *said, const uint8_t their_hello[75],
       struct p2p_secret_pair *keys)
{
    struct p2p_x25519_public share;
    struct p2p_digest th2;
    struct p2p_secret dh;

    memcpy(share.b, their_hello + SHARE_AT, sizeof(share.b));
    return p2p_x25519(&attacker_key, &share, &dh) == P2P_OK &&
           p2p_transcript_hash(said, P2P_TO_M2, &th2) == P2P_OK &&
           p2p_schedule_handshake(&th2, &dh, keys) == P2P_OK;
}

/* Lets the attacked side read; true if it continues. */
static bool
give(struct p2p_handshake *hs, uint8_t *data, size_t len)
{
    enum p2p_err err = p2p_handshake_read(hs, data, len);

    MUST(err == P2P_OK || p2p_handshake_next(hs) == P2P_HS_FAILED);
    return err == P2P_OK;
}

static bool
exchange_hellos(struct p2p_handshake *hs, bool server, const uint8_t hello[75],
                struct p2p_transcript *said)
{
    uint8_t *ours = server ? said->m1 : said->m2,
            *theirs = server ? said->m2 : said->m1;
    uint8_t out[P2P_M4_SIZE], in[75];
    size_t len;

    p2p_transcript_init(said);
    memcpy(ours, hello, 75);
    memcpy(in, hello, 75);
    if (server && !give(hs, in, sizeof(in)))
        return false;
    MUST(p2p_handshake_write(hs, NULL, out, &len) == P2P_OK && len == 75);
    memcpy(theirs, out, 75);
    return server || give(hs, in, sizeof(in));
}

static void
attack(struct p2p_handshake *hs, bool server, bool raw, const uint8_t hello[75],
       const uint8_t *rest, size_t len)
{
    size_t want = server ? P2P_M3_SIZE : P2P_M4_SIZE, out_len;
    uint8_t frame[P2P_FRAME_SIZE(PLAIN_MAX)], out[P2P_M4_SIZE];
    uint8_t aad[13] = {server ? 'C' : 'S'};
    struct p2p_transcript said;
    struct p2p_secret_pair keys;

    if (!exchange_hellos(hs, server, hello, &said))
        return;
    if (!server) {
        MUST(p2p_handshake_work(hs) == P2P_OK);
        MUST(p2p_handshake_write(hs, &nonce, out, &out_len) == P2P_OK);
    }
    memset(frame, 0, sizeof(frame));
    memcpy(frame + (raw ? 0 : P2P_FRAME_PREFIX), rest, len);
    if (!raw) {
        MUST(derive(&said, server ? said.m2 : said.m1, &keys));
        MUST(p2p_frame_seal(frame, len, server ? &keys.c2s : &keys.s2c, &nonce, aad,
                            sizeof(aad)) == P2P_OK);
    }
    MUST(p2p_handshake_want(hs) == want);
    if (!give(hs, frame, want))
        return;
    MUST(!server); /* a server checks the signature before anything else */
    MUST(p2p_handshake_trust(hs, P2P_OK) == P2P_OK);
    MUST(p2p_handshake_work(hs) != P2P_OK);
    MUST(p2p_handshake_next(hs) == P2P_HS_FAILED);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct p2p_rsa *key;
    struct p2p_handshake_random rnd = {{1}, {{2}}, {{4}}};
    struct p2p_x25519_public share;
    struct p2p_handshake *hs;
    uint8_t hello[75], how;
    size_t len;

    if (size < 76)
        return 0;
    if (key == NULL)
        key = fuzz_key("client");
    how = data[0];
    memcpy(hello, data + 1, sizeof(hello));
    if ((how & RAW) == 0) {
        MUST(p2p_x25519_public(&attacker_key, &share) == P2P_OK);
        memcpy(hello + SHARE_AT, share.b, sizeof(share.b));
    }
    len = size - 76 < PLAIN_MAX ? size - 76 : PLAIN_MAX;
    MUST(p2p_handshake_new(how & SERVER ? P2P_SERVER : P2P_CLIENT, key, &rnd, &hs) ==
         P2P_OK);
    attack(hs, how & SERVER, how & RAW, hello, data + 76, len);
    p2p_handshake_free(hs);
    return 0;
}
