/* The state machine: the steps of each role in order, and the calls that take them. */
#include "p2p/handshake.h"

#include "core/wire/handshake_internal.h"
#include "p2p/vault.h"

/* One step: what the caller has to do, and the function that does the rest. */
struct p2p_hs_step {
    enum p2p_handshake_step kind;
    size_t size; /* READ and WRITE: of the message */
    union {
        enum p2p_err (*take)(struct p2p_handshake *hs, uint8_t *data);
        enum p2p_err (*make)(struct p2p_handshake *hs, const struct p2p_nonce *nonce,
                             uint8_t *out);
        enum p2p_err (*work)(struct p2p_handshake *hs);
    };
};

static const struct p2p_hs_step step_failed = {.kind = P2P_HS_FAILED};

static const struct p2p_hs_step client_steps[] = {
    {P2P_HS_WRITE, P2P_M1_SIZE, .make = p2p_hs_client_make_m1},
    {P2P_HS_READ, P2P_M2_SIZE, .take = p2p_hs_client_take_m2},
    {P2P_HS_WORK, 0, .work = p2p_hs_client_sign},
    {P2P_HS_WRITE, P2P_M3_SIZE, .make = p2p_hs_client_make_m3},
    {P2P_HS_READ, P2P_M4_SIZE, .take = p2p_hs_client_take_m4},
    {.kind = P2P_HS_TRUST},
    {P2P_HS_WORK, 0, .work = p2p_hs_client_prove_server},
    {P2P_HS_WRITE, P2P_M5_SIZE, .make = p2p_hs_client_make_m5},
    {.kind = P2P_HS_DONE},
};

static const struct p2p_hs_step server_steps[] = {
    {P2P_HS_READ, P2P_M1_SIZE, .take = p2p_hs_server_take_m1},
    {P2P_HS_WRITE, P2P_M2_SIZE, .make = p2p_hs_server_make_m2},
    {P2P_HS_READ, P2P_M3_SIZE, .take = p2p_hs_server_take_m3},
    {.kind = P2P_HS_TRUST},
    {P2P_HS_WORK, 0, .work = p2p_hs_server_sign},
    {P2P_HS_WRITE, P2P_M4_SIZE, .make = p2p_hs_server_make_m4},
    {P2P_HS_READ, P2P_M5_SIZE, .take = p2p_hs_server_take_m5},
    {.kind = P2P_HS_DONE},
};

void
p2p_hs_wipe(struct p2p_handshake *hs)
{
    p2p_wipe(&hs->rnd, sizeof(hs->rnd));
    p2p_wipe(&hs->dh, sizeof(hs->dh));
    p2p_wipe(&hs->keys, sizeof(hs->keys));
    p2p_direction_clear(&hs->c2s);
    p2p_direction_clear(&hs->s2c);
}

enum p2p_err
p2p_hs_fail(struct p2p_handshake *hs, enum p2p_err err, const char *reason)
{
    p2p_hs_wipe(hs);
    hs->step = &step_failed;
    if (hs->reason[0] == '\0')
        hs->reason = reason;
    return err;
}

enum p2p_err
p2p_handshake_new(enum p2p_role role, const struct p2p_rsa *own,
                  struct p2p_handshake_random *rnd, struct p2p_handshake **out)
{
    struct p2p_handshake *hs = p2p_vault_new(sizeof(*hs));

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
    p2p_vault_free(hs);
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
    return p2p_hs_fail(hs, P2P_ERR_PROTOCOL, "handshake step in the wrong order");
}

/* Clears the results of the step and moves to the next one. */
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
        return p2p_hs_fail(hs, verdict, "the peer is not trusted");
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
    p2p_hs_wipe(hs);
    hs->step = &step_failed; /* the result was taken: nothing is left to do */
    return P2P_OK;
}
