/* Connecting to one peer. */
#include "p2p/lock.h"
#include "ui/peers/peers_internal.h"

const char *
ui_peers_explain(enum p2p_err err)
{
    switch (err) {
    case P2P_ERR_KEY_CHANGED:
        return "the key at this address has changed; trust the new key only if you "
               "know why it changed";
    case P2P_ERR_WRONG_PEER:
        return "a different peer answers at this address";
    case P2P_ERR_NOT_ALLOWED:
        return "you blocked this peer, or it does not allow this device";
    case P2P_ERR_REFUSED:
        return "it refused this device: it may share with devices that it trusts only; "
               "ask its owner to trust this one, or to start p2p-peer with --public";
    case P2P_ERR_UNREACHABLE:
    case P2P_ERR_TIMEOUT:
        return "no answer from this address; check that the machine is on and p2p-peer "
               "runs there";
    default:
        return "the program at this address is not a compatible peer";
    }
}

void
ui_peers_note_path(struct ui_peers *p, const struct p2p_id *id, enum p2p_path_kind kind,
                   uint64_t rtt_us)
{
    p2p_lock(&p->lock);
    ui_paths_note(&p->paths, id, kind, rtt_us);
    p2p_unlock(&p->lock);
}

enum p2p_err
ui_peers_connect(struct ui_peers *p, const struct p2p_addr *addr,
                 const struct p2p_id *expected, struct p2p_conn **out)
{
    const uint64_t patience_ms = 10000; /* a caller waits for the answer */
    struct p2p_conn_options opt = {
        .identity = p->parts.identity,
        .addr = *addr,
        .expected = expected,
        .reach = p->parts.reach,
        .protocol = 2,
        .timeout_ms =
            p->parts.timeout_ms < patience_ms ? p->parts.timeout_ms : patience_ms,
    };
    enum p2p_err err = p2p_conn_open(&opt, out);

    if (err == P2P_OK && p2p_conn_peer(*out) != NULL)
        ui_peers_note_path(p, p2p_conn_peer(*out), p2p_conn_path(*out),
                           p2p_conn_rtt_us(*out));
    return err;
}
