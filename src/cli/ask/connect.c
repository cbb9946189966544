#include "cli/ask/connect.h"

enum p2p_err
cli_connect(const struct cli_common *common, struct p2p_identity *identity,
            struct p2p_discovery *discovery, const struct cli_peer *peer,
            struct p2p_addr *at, struct p2p_conn **conn)
{
    const struct p2p_reach reach = {.identity = identity, .discovery = discovery};
    struct p2p_addr others[P2P_CONN_OTHERS_MAX];
    const struct p2p_conn_options conn_options = {
        .identity = identity,
        .addr = peer->addr,
        .expected = peer->id_known ? &peer->id : NULL,
        .expected_by_user = peer->id_known,
        .protocol = 2,
        .timeout_ms = common->timeout_ms,
        .others = others,
        .other_count = p2p_addr_list_read(peer->others, others, P2P_CONN_OTHERS_MAX),
        .reach = discovery != NULL && peer->id_known ? &reach : NULL,
        .is_unreached = peer->is_unreached,
    };
    enum p2p_err err = p2p_conn_open(&conn_options, conn);

    *at = err == P2P_OK ? *p2p_conn_address(*conn) : peer->addr;
    return err;
}

int
cli_fail_peer(enum p2p_err err, const char *address, const char *own_id)
{
    if (err == P2P_ERR_KEY_CHANGED)
        return cli_fail(err,
                        "%s: %s; `p2p peers --known` shows it as pending, "
                        "`p2p peers trust ID %s` accepts it",
                        address, p2p_err_text(err), address);
    cli_say("%s: %s", address, p2p_err_text(err));
    cli_advise_peer(err);
    if (err == P2P_ERR_REFUSED)
        cli_say("ask its owner to trust this device (p2p peers trust %s) or to start "
                "p2p-peer with --public",
                own_id);
    return p2p_err_exit_status(err);
}
