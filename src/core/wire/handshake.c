/*
 * One struct, and a function for each message and role: make_ puts it together, take_
 * checks it, in the order PROTOCOL.md lists. The public functions find the function of
 * the step in a table.
 */
#include "p2p/handshake.h"

#include <stdlib.h>
#include <string.h>

#include "core/wire/schedule.h"
#include "core/wire/transcript.h"
#include "p2p/bytes.h"
#include "p2p/msg.h"

static const char magic[] = "HELLO2|";
enum {
    MAGIC_LEN = sizeof(magic) - 1,
    AT_VERSION = MAGIC_LEN, /* four bytes, see hello() */
    AT_RANDOM = AT_VERSION + 4,
    AT_SHARE = AT_RANDOM + 32,
    VERSION = 2,
    SUITE = 1,
    SUITES = 1 << (SUITE - 1),
    TYPE_M3 = 3,
    TYPE_M4 = 4,
    M3_PLAIN = 1 + P2P_SPKI_LEN + P2P_RSA_LEN,
    M4_PLAIN = 1 + P2P_SPKI_LEN + P2P_RSA_LEN + P2P_RSA_LEN,
};
_Static_assert(AT_SHARE + 32 == P2P_M1_SIZE, "M1");
_Static_assert(P2P_FRAME_SIZE(M3_PLAIN) == P2P_M3_SIZE, "M3");
_Static_assert(P2P_FRAME_SIZE(M4_PLAIN) == P2P_M4_SIZE, "M4");
_Static_assert(P2P_FRAME_SIZE(1) == P2P_M5_SIZE, "M5");

struct step;

struct p2p_handshake {
    const struct step *step;
    const struct p2p_rsa *own;
    enum p2p_role role;
    const char *reason;
    struct p2p_transcript said;
    struct p2p_id peer_id;
    /* Secrets, each wiped by the function that uses it last. */
    struct p2p_handshake_random rnd;
    struct p2p_secret dh;
    struct p2p_secret_pair keys; /* hs c2s, hs s2c */
    struct p2p_direction c2s, s2c;
};

/* One step: what the caller is asked for, and who does it. */
struct step {
    enum p2p_handshake_step kind;
    size_t size; /* READ and WRITE: of the message */
    union {
        enum p2p_err (*take)(struct p2p_handshake *hs, uint8_t *data);
        enum p2p_err (*make)(struct p2p_handshake *hs, const struct p2p_nonce *nonce,
                             uint8_t *out);
        enum p2p_err (*work)(struct p2p_handshake *hs);
    };
};

static const struct step step_failed = {.kind = P2P_HS_FAILED};

static void
wipe_secrets(struct p2p_handshake *hs)
{
    p2p_wipe(&hs->rnd, sizeof(hs->rnd));
    p2p_wipe(&hs->dh, sizeof(hs->dh));
    p2p_wipe(&hs->keys, sizeof(hs->keys));
    p2p_direction_clear(&hs->c2s);
    p2p_direction_clear(&hs->s2c);
}

static enum p2p_err
fail(struct p2p_handshake *hs, enum p2p_err err, const char *reason)
{
    wipe_secrets(hs);
    hs->step = &step_failed;
    if (hs->reason[0] == '\0')
        hs->reason = reason;
    return err;
}

/* ---- Hellos ---- */

/* M1 and M2 differ in what the four bytes mean: see make_m1 and make_m2. */
static enum p2p_err
hello(struct p2p_handshake *hs, const uint8_t four[4], uint8_t out[P2P_HELLO2_SIZE])
{
    struct p2p_x25519_public share;
    enum p2p_err err = p2p_x25519_public(&hs->rnd.x25519, &share);

    if (err != P2P_OK)
        return fail(hs, err, "no X25519 key");
    memcpy(out, magic, MAGIC_LEN);
    memcpy(out + AT_VERSION, four, 4);
    memcpy(out + AT_RANDOM, hs->rnd.hello, sizeof(hs->rnd.hello));
    memcpy(out + AT_SHARE, share.b, sizeof(share.b));
    return P2P_OK;
}

/* dh; the ephemeral key has done its duty then. */
static enum p2p_err
agree(struct p2p_handshake *hs, const uint8_t their_hello[P2P_HELLO2_SIZE])
{
    struct p2p_x25519_public share;
    enum p2p_err err;

    memcpy(share.b, their_hello + AT_SHARE, sizeof(share.b));
    err = p2p_x25519(&hs->rnd.x25519, &share, &hs->dh);
    if (err != P2P_OK)
        return fail(hs, err, "a point of low order");
    return P2P_OK;
}

static enum p2p_err
derive_handshake_keys(struct p2p_handshake *hs)
{
    struct p2p_digest th2;
    enum p2p_err err = p2p_transcript_hash(&hs->said, P2P_TO_M2, &th2);

    p2p_wipe(&hs->rnd.x25519, sizeof(hs->rnd.x25519));
    if (err == P2P_OK)
        err = p2p_schedule_handshake(&th2, &hs->dh, &hs->keys);
    return err == P2P_OK ? P2P_OK : fail(hs, err, "key schedule");
}

static enum p2p_err
client_make_m1(struct p2p_handshake *hs, const struct p2p_nonce *nonce, uint8_t *out)
{
    static const uint8_t four[4] = {VERSION, VERSION, SUITES, 0}; /* max, min, suites */
    enum p2p_err err = hello(hs, four, hs->said.m1);

    (void)nonce;
    memcpy(out, hs->said.m1, sizeof(hs->said.m1));
    return err;
}

static enum p2p_err
server_take_m1(struct p2p_handshake *hs, uint8_t *m1)
{
    const uint8_t *four = m1 + AT_VERSION; /* ver_max, ver_min, suites, flags */

    if (memcmp(m1, magic, MAGIC_LEN) != 0)
        return fail(hs, P2P_ERR_MALFORMED, "M1 has no magic");
    if (four[1] > VERSION || four[0] < VERSION)
        return fail(hs, P2P_ERR_MALFORMED, "no common version");
    if (four[3] != 0)
        return fail(hs, P2P_ERR_MALFORMED, "M1 has unknown flags");
    if ((four[2] & SUITES) == 0)
        return fail(hs, P2P_ERR_MALFORMED, "no common suite");
    memcpy(hs->said.m1, m1, sizeof(hs->said.m1));
    return agree(hs, m1);
}

static enum p2p_err
server_make_m2(struct p2p_handshake *hs, const struct p2p_nonce *nonce, uint8_t *out)
{
    static const uint8_t four[4] = {VERSION, SUITE, SUITES, 0};
    enum p2p_err err = hello(hs, four, hs->said.m2);

    (void)nonce;
    if (err != P2P_OK)
        return err;
    memcpy(out, hs->said.m2, sizeof(hs->said.m2));
    return derive_handshake_keys(hs);
}

static enum p2p_err
client_take_m2(struct p2p_handshake *hs, uint8_t *m2)
{
    const uint8_t *four = m2 + AT_VERSION; /* ver, suite, suites_s, flags */
    enum p2p_err err;

    if (memcmp(m2, magic, MAGIC_LEN) != 0)
        return fail(hs, P2P_ERR_MALFORMED, "M2 has no magic");
    if (four[0] != VERSION || four[1] != SUITE || (four[2] & SUITES) == 0)
        return fail(hs, P2P_ERR_MALFORMED, "M2 takes what was not offered");
    if (four[3] != 0)
        return fail(hs, P2P_ERR_MALFORMED, "M2 has unknown flags");
    if (memcmp(m2 + AT_SHARE, hs->said.m1 + AT_SHARE, 32) == 0)
        return fail(hs, P2P_ERR_AUTH, "M2 repeats our own share");
    memcpy(hs->said.m2, m2, sizeof(hs->said.m2));
    err = agree(hs, m2);
    return err == P2P_OK ? derive_handshake_keys(hs) : err;
}

/* ---- M3 and M4: sealed with keys that are used once ---- */

/* sender || epoch 0 || seq 0 */
static enum p2p_err
seal_once(struct p2p_handshake *hs, uint8_t *frame, size_t plain_len, uint8_t sender,
          struct p2p_secret *key, const struct p2p_nonce *nonce)
{
    uint8_t aad[13] = {sender};
    enum p2p_err err = p2p_frame_seal(frame, plain_len, key, nonce, aad, sizeof(aad));

    p2p_wipe(key, sizeof(*key));
    return err == P2P_OK ? P2P_OK : fail(hs, err, "cannot seal");
}

/* Opens a frame of just this plaintext size; borrows what follows the type byte. */
static enum p2p_err
open_once(struct p2p_handshake *hs, uint8_t *frame, size_t plain_size, uint8_t sender,
          struct p2p_secret *key, uint8_t type, struct p2p_rd *body)
{
    uint8_t aad[13] = {sender}, *plain;
    size_t len;
    enum p2p_err err = p2p_frame_open(frame, P2P_FRAME_SIZE(plain_size), key, aad,
                                      sizeof(aad), &plain, &len);

    p2p_wipe(key, sizeof(*key));
    if (err == P2P_ERR_MALFORMED)
        return fail(hs, err, "a frame of a wrong length");
    if (err != P2P_OK)
        return fail(hs, err, "a frame that does not open");
    p2p_rd_init(body, plain, len);
    if (p2p_rd_get_u8(body) != type)
        return fail(hs, P2P_ERR_MALFORMED, "a frame of a wrong type");
    return P2P_OK;
}

/* A key that a peer may have, and not our own; its id is the peer's claim from here on.
 */
static enum p2p_err
accept_spki(struct p2p_handshake *hs, const struct p2p_spki *theirs)
{
    enum p2p_err err = p2p_spki_check(theirs->b);

    if (err != P2P_OK)
        return fail(hs, err, "not an acceptable RSA-2048 key");
    if (memcmp(theirs, p2p_rsa_spki(hs->own), sizeof(*theirs)) == 0)
        return fail(hs, P2P_ERR_AUTH, "the other side has our own key");
    err = p2p_spki_id(theirs, &hs->peer_id);
    return err == P2P_OK ? P2P_OK : fail(hs, err, "cannot hash a key");
}

static enum p2p_err
client_sign(struct p2p_handshake *hs)
{
    enum p2p_err err;

    hs->said.spki_c = *p2p_rsa_spki(hs->own);
    err = p2p_transcript_sign_c(&hs->said, hs->own);
    return err == P2P_OK ? P2P_OK : fail(hs, err, "cannot sign");
}

static enum p2p_err
client_make_m3(struct p2p_handshake *hs, const struct p2p_nonce *nonce, uint8_t *frame)
{
    struct p2p_wr wr;

    p2p_wr_init(&wr, frame + P2P_FRAME_PREFIX, M3_PLAIN);
    p2p_wr_put_u8(&wr, TYPE_M3);
    p2p_wr_put_bytes(&wr, hs->said.spki_c.b, sizeof(hs->said.spki_c.b));
    p2p_wr_put_bytes(&wr, hs->said.sig_c.b, sizeof(hs->said.sig_c.b));
    return seal_once(hs, frame, wr.used, 'C', &hs->keys.c2s, nonce);
}

static enum p2p_err
server_take_m3(struct p2p_handshake *hs, uint8_t *frame)
{
    struct p2p_rd body;
    enum p2p_err err =
        open_once(hs, frame, M3_PLAIN, 'C', &hs->keys.c2s, TYPE_M3, &body);

    if (err != P2P_OK)
        return err;
    p2p_rd_get_bytes(&body, hs->said.spki_c.b, sizeof(hs->said.spki_c.b));
    p2p_rd_get_bytes(&body, hs->said.sig_c.b, sizeof(hs->said.sig_c.b));
    err = accept_spki(hs, &hs->said.spki_c);
    if (err != P2P_OK)
        return err;
    err = p2p_transcript_verify_c(&hs->said);
    return err == P2P_OK ? P2P_OK : fail(hs, err, "the client's signature is wrong");
}

/* From the whole transcript, dh and k, which nobody needs afterwards. */
static enum p2p_err
derive_directions(struct p2p_handshake *hs)
{
    struct p2p_secret_pair first;
    struct p2p_digest thf;
    enum p2p_err err = p2p_transcript_hash(&hs->said, P2P_TO_SIG_S, &thf);

    if (err == P2P_OK)
        err = p2p_schedule_application(&thf, &hs->dh, &hs->rnd.session_key, &first);
    p2p_wipe(&hs->dh, sizeof(hs->dh));
    p2p_wipe(&hs->rnd, sizeof(hs->rnd));
    if (err == P2P_OK)
        err = p2p_direction_init(&hs->c2s, 'C', &first.c2s, 0);
    if (err == P2P_OK)
        err = p2p_direction_init(&hs->s2c, 'S', &first.s2c, 0);
    p2p_wipe(&first, sizeof(first));
    return err == P2P_OK ? P2P_OK : fail(hs, err, "key schedule");
}

static enum p2p_err
server_sign(struct p2p_handshake *hs)
{
    enum p2p_err err;

    hs->said.spki_s = *p2p_rsa_spki(hs->own);
    err = p2p_transcript_seal_k(&hs->said, &hs->rnd.session_key);
    if (err == P2P_OK)
        err = p2p_transcript_sign_s(&hs->said, hs->own);
    return err == P2P_OK ? derive_directions(hs) : fail(hs, err, "cannot sign");
}

static enum p2p_err
server_make_m4(struct p2p_handshake *hs, const struct p2p_nonce *nonce, uint8_t *frame)
{
    struct p2p_wr wr;

    p2p_wr_init(&wr, frame + P2P_FRAME_PREFIX, M4_PLAIN);
    p2p_wr_put_u8(&wr, TYPE_M4);
    p2p_wr_put_bytes(&wr, hs->said.spki_s.b, sizeof(hs->said.spki_s.b));
    p2p_wr_put_bytes(&wr, hs->said.oaep, sizeof(hs->said.oaep));
    p2p_wr_put_bytes(&wr, hs->said.sig_s.b, sizeof(hs->said.sig_s.b));
    return seal_once(hs, frame, wr.used, 'S', &hs->keys.s2c, nonce);
}

static enum p2p_err
client_take_m4(struct p2p_handshake *hs, uint8_t *frame)
{
    struct p2p_rd body;
    enum p2p_err err =
        open_once(hs, frame, M4_PLAIN, 'S', &hs->keys.s2c, TYPE_M4, &body);

    if (err != P2P_OK)
        return err;
    p2p_rd_get_bytes(&body, hs->said.spki_s.b, sizeof(hs->said.spki_s.b));
    p2p_rd_get_bytes(&body, hs->said.oaep, sizeof(hs->said.oaep));
    p2p_rd_get_bytes(&body, hs->said.sig_s.b, sizeof(hs->said.sig_s.b));
    return accept_spki(hs, &hs->said.spki_s);
}

/* After the id was found to be the expected one. */
static enum p2p_err
client_prove_server(struct p2p_handshake *hs)
{
    enum p2p_err err = p2p_transcript_verify_s(&hs->said);

    if (err != P2P_OK)
        return fail(hs, err, "the server's signature is wrong");
    err = p2p_transcript_open_k(&hs->said, hs->own, &hs->rnd.session_key);
    if (err != P2P_OK)
        return fail(hs, err, "the session key does not open");
    return derive_directions(hs);
}

/* ---- M5: the first record ---- */

static enum p2p_err
client_make_m5(struct p2p_handshake *hs, const struct p2p_nonce *nonce, uint8_t *frame)
{
    enum p2p_err err;

    frame[P2P_FRAME_PREFIX] = P2P_MSG_READY;
    err = p2p_direction_seal(&hs->c2s, frame, 1, nonce);
    return err == P2P_OK ? P2P_OK : fail(hs, err, "cannot seal");
}

static enum p2p_err
server_take_m5(struct p2p_handshake *hs, uint8_t *frame)
{
    uint8_t *plain;
    size_t len;
    enum p2p_err err =
        p2p_direction_open(&hs->c2s, frame, P2P_M5_SIZE, 0, &plain, &len);

    if (err != P2P_OK)
        return fail(hs, err, "M5 does not open");
    if (len != 1 || plain[0] != P2P_MSG_READY)
        return fail(hs, P2P_ERR_MALFORMED, "M5 is not READY");
    return P2P_OK;
}

/* ---- The steps of a role, in order ---- */

static const struct step client_steps[] = {
    {P2P_HS_WRITE, P2P_M1_SIZE, .make = client_make_m1},
    {P2P_HS_READ, P2P_M2_SIZE, .take = client_take_m2},
    {P2P_HS_WORK, 0, .work = client_sign},
    {P2P_HS_WRITE, P2P_M3_SIZE, .make = client_make_m3},
    {P2P_HS_READ, P2P_M4_SIZE, .take = client_take_m4},
    {.kind = P2P_HS_TRUST},
    {P2P_HS_WORK, 0, .work = client_prove_server},
    {P2P_HS_WRITE, P2P_M5_SIZE, .make = client_make_m5},
    {.kind = P2P_HS_DONE},
};

static const struct step server_steps[] = {
    {P2P_HS_READ, P2P_M1_SIZE, .take = server_take_m1},
    {P2P_HS_WRITE, P2P_M2_SIZE, .make = server_make_m2},
    {P2P_HS_READ, P2P_M3_SIZE, .take = server_take_m3},
    {.kind = P2P_HS_TRUST},
    {P2P_HS_WORK, 0, .work = server_sign},
    {P2P_HS_WRITE, P2P_M4_SIZE, .make = server_make_m4},
    {P2P_HS_READ, P2P_M5_SIZE, .take = server_take_m5},
    {.kind = P2P_HS_DONE},
};

enum p2p_err
p2p_handshake_new(enum p2p_role role, const struct p2p_rsa *own,
                  struct p2p_handshake_random *rnd, struct p2p_handshake **out)
{
    struct p2p_handshake *hs = calloc(1, sizeof(*hs));

    *out = hs;
    if (hs != NULL) {
        hs->step = role == P2P_CLIENT ? client_steps : server_steps;
        hs->own = own;
        hs->role = role;
        hs->reason = "";
        hs->rnd = *rnd;
        p2p_transcript_init(&hs->said);
    }
    p2p_wipe(rnd, sizeof(*rnd));
    return hs != NULL ? P2P_OK : P2P_ERR_NOMEM;
}

void
p2p_handshake_free(struct p2p_handshake *hs)
{
    if (hs == NULL)
        return;
    p2p_wipe(hs, sizeof(*hs));
    free(hs);
}

enum p2p_handshake_step
p2p_handshake_next(const struct p2p_handshake *hs)
{
    return hs->step->kind;
}

const char *
p2p_handshake_reason(const struct p2p_handshake *hs)
{
    return hs->reason;
}

size_t
p2p_handshake_want(const struct p2p_handshake *hs)
{
    return hs->step->kind == P2P_HS_READ ? hs->step->size : 0;
}

static enum p2p_err
out_of_turn(struct p2p_handshake *hs)
{
    return fail(hs, P2P_ERR_PROTOCOL, "a step out of turn");
}

/* What the step's function left behind goes; then it is the next step's turn. */
static enum p2p_err
advance(struct p2p_handshake *hs, enum p2p_err err)
{
    p2p_wipe_traces();
    if (err == P2P_OK)
        hs->step++;
    return err;
}

enum p2p_err
p2p_handshake_read(struct p2p_handshake *hs, uint8_t *data, size_t len)
{
    if (hs->step->kind != P2P_HS_READ || len != hs->step->size)
        return out_of_turn(hs);
    return advance(hs, hs->step->take(hs, data));
}

enum p2p_err
p2p_handshake_write(struct p2p_handshake *hs, const struct p2p_nonce *nonce,
                    uint8_t out[P2P_M4_SIZE], size_t *len)
{
    enum p2p_err err;

    *len = 0;
    if (hs->step->kind != P2P_HS_WRITE)
        return out_of_turn(hs);
    err = hs->step->make(hs, nonce, out);
    if (err == P2P_OK)
        *len = hs->step->size;
    return advance(hs, err);
}

enum p2p_err
p2p_handshake_work(struct p2p_handshake *hs)
{
    if (hs->step->kind != P2P_HS_WORK)
        return out_of_turn(hs);
    return advance(hs, hs->step->work(hs));
}

const struct p2p_id *
p2p_handshake_peer(const struct p2p_handshake *hs)
{
    return &hs->peer_id;
}

const struct p2p_spki *
p2p_handshake_peer_spki(const struct p2p_handshake *hs)
{
    return hs->role == P2P_CLIENT ? &hs->said.spki_s : &hs->said.spki_c;
}

enum p2p_err
p2p_handshake_trust(struct p2p_handshake *hs, enum p2p_err verdict)
{
    if (hs->step->kind != P2P_HS_TRUST)
        return out_of_turn(hs);
    if (verdict != P2P_OK)
        return fail(hs, verdict, "the peer is not trusted");
    return advance(hs, P2P_OK);
}

enum p2p_err
p2p_handshake_take_session(struct p2p_handshake *hs, uint64_t now_s,
                           struct p2p_direction *send, struct p2p_direction *receive)
{
    if (hs->step->kind != P2P_HS_DONE)
        return out_of_turn(hs);
    hs->c2s.since_s = hs->s2c.since_s = now_s;
    *send = hs->role == P2P_CLIENT ? hs->c2s : hs->s2c;
    *receive = hs->role == P2P_CLIENT ? hs->s2c : hs->c2s;
    wipe_secrets(hs);
    hs->step = &step_failed; /* taken: there is nothing more to do */
    return P2P_OK;
}
