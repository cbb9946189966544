/* The client's side of both handshakes, over a blocking socket. */
#include "core/remote/conn_internal.h"

#include <stdlib.h>
#include <string.h>

#include "p2p/handshake.h"

static enum p2p_err
send_step(struct p2p_conn *conn, struct p2p_handshake *hs)
{
    uint8_t out[P2P_M4_SIZE];
    struct p2p_nonce nonce;
    size_t len = 0;
    enum p2p_err err = p2p_random(nonce.b, sizeof(nonce.b));

    if (err == P2P_OK)
        err = p2p_handshake_write(hs, &nonce, out, &len);
    if (err == P2P_OK)
        err = p2p_conn_append(conn, out, len);
    /* M5 stays in the buffer, so that it is sent in one segment with the first request.
     */
    if (err == P2P_OK && p2p_handshake_next(hs) != P2P_HS_DONE)
        err = p2p_conn_flush(conn);
    return err;
}

static enum p2p_err
read_step(struct p2p_conn *conn, struct p2p_handshake *hs, uint64_t deadline_ms)
{
    size_t want = p2p_handshake_want(hs);
    uint64_t began_us = p2p_now_us(); /* M1 has just been sent */
    enum p2p_err err;

    if (want > conn->in_cap)
        return P2P_ERR_TOO_LARGE;
    err = p2p_net_read(conn->fd, conn->in, want, deadline_ms);
    if (conn->shake_rtt_us == 0)
        conn->shake_rtt_us = p2p_now_us() - began_us;
    return err == P2P_OK ? p2p_handshake_read(hs, conn->in, want) : err;
}

/*
 * Checks the key against the name that was asked for and against the address that was
 * reached. A changed key is refused only after the peer has proven that it owns it: an
 * unproven claim must not be stored.
 */
static enum p2p_err
trust_step(struct p2p_handshake *hs, const struct p2p_conn_options *opt,
           const struct p2p_conn *conn, bool *is_changed)
{
    const struct p2p_place where = {.asked = conn->asked, .reached = conn->reached};
    enum p2p_err verdict =
        p2p_known_check_place(opt->identity, &where, opt->expected,
                              opt->expected_by_user, p2p_handshake_peer(hs));

    *is_changed = verdict == P2P_ERR_KEY_CHANGED;
    return p2p_handshake_trust(hs, *is_changed ? P2P_OK : verdict);
}

/* A failure to store it does not change the refusal. */
static enum p2p_err
refuse_newcomer(const struct p2p_handshake *hs, const struct p2p_conn_options *opt,
                const struct p2p_conn *conn)
{
    const struct p2p_place where = {.asked = conn->asked, .reached = conn->reached};

    (void)!p2p_known_note_newcomer(opt->identity, &where, p2p_handshake_peer(hs));
    return P2P_ERR_KEY_CHANGED;
}

static enum p2p_err
drive(struct p2p_conn *conn, struct p2p_handshake *hs,
      const struct p2p_conn_options *opt, uint64_t deadline_ms)
{
    enum p2p_err err = P2P_OK;
    bool is_changed = false;
    unsigned sent = 0;

    while (err == P2P_OK) {
        switch (p2p_handshake_next(hs)) {
        case P2P_HS_READ:
            err = read_step(conn, hs, deadline_ms);
            if (err == P2P_ERR_CLOSED && sent > 1) /* it has seen who asks */
                err = P2P_ERR_REFUSED;
            break;
        case P2P_HS_WRITE:
            err = send_step(conn, hs);
            sent++;
            break;
        case P2P_HS_TRUST:
            err = trust_step(hs, opt, conn, &is_changed);
            break;
        case P2P_HS_WORK:
            err = p2p_handshake_work(hs);
            if (err == P2P_OK && is_changed) /* proven now */
                err = refuse_newcomer(hs, opt, conn);
            break;
        case P2P_HS_DONE:
            return P2P_OK;
        case P2P_HS_FAILED:
            return P2P_ERR_AUTH;
        }
    }
    return err;
}

enum p2p_err
p2p_conn_shake(struct p2p_conn *conn, const struct p2p_conn_options *opt,
               uint64_t deadline_ms)
{
    struct p2p_handshake *hs = NULL;
    struct p2p_handshake_random rnd;
    enum p2p_err err = p2p_random(&rnd, sizeof(rnd));

    if (err == P2P_OK)
        err = p2p_handshake_new(P2P_CLIENT, p2p_identity_key(opt->identity), &rnd, &hs);
    if (err == P2P_OK)
        err = drive(conn, hs, opt, deadline_ms);
    if (err == P2P_OK) {
        conn->peer = *p2p_handshake_peer(hs);
        err = p2p_handshake_take_session(hs, p2p_conn_clock_s(), &conn->send,
                                         &conn->receive);
    }
    if (err == P2P_OK) /* it waits for the first request, as M5 does */
        err = p2p_conn_say_info(conn);
    p2p_handshake_free(hs);
    p2p_wipe(&rnd, sizeof(rnd));
    return err;
}

/* Protocol 1 proves nothing about the server. It is never used with a peer that has
 * spoken protocol 2 before, neither under the requested name nor at the address of that
 * name. */
static enum p2p_err
refuse_downgrade(const struct p2p_conn *conn, const struct p2p_conn_options *opt)
{
    struct p2p_known_peer *peers = NULL;
    size_t count = 0;
    enum p2p_err err = p2p_known_list(opt->identity, &peers, &count);

    for (size_t i = 0; err == P2P_OK && i < count; i++)
        if (peers[i].min_protocol >= 2 && (p2p_known_is_at(&peers[i], conn->asked) ||
                                           p2p_known_is_at(&peers[i], conn->reached)))
            err = P2P_ERR_DOWNGRADE;
    free(peers);
    return err;
}

enum p2p_err
p2p_conn_shake1(struct p2p_conn *conn, const struct p2p_conn_options *opt,
                uint64_t deadline_ms)
{
    const struct p2p_rsa *own = p2p_identity_key(opt->identity);
    uint8_t hello[P2P_HELLO1_SIZE], answer[P2P_SESSION1_SIZE];
    struct p2p_secret key = {0};
    enum p2p_err err = refuse_downgrade(conn, opt);

    if (err == P2P_OK)
        err = p2p_hello1_put(p2p_rsa_spki(own), hello);
    if (err == P2P_OK)
        err = p2p_net_write(conn->fd, hello, sizeof(hello), deadline_ms);
    if (err == P2P_OK)
        err = p2p_net_read(conn->fd, answer, sizeof(answer), deadline_ms);
    if (err == P2P_ERR_CLOSED)
        err = P2P_ERR_REFUSED;
    if (err == P2P_OK)
        err = p2p_session1_accept(own, answer, &key);
    if (err == P2P_OK)
        err = p2p_session1_new(&key, &conn->session1);
    p2p_wipe(&key, sizeof(key));
    return err;
}
