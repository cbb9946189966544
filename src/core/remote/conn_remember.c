/* What is remembered of the peer of a connection. */
#include <string.h>

#include "core/remote/conn_internal.h"
#include "p2p/log.h"

/* Remembers one address of the peer; a failure is only logged. */
static void
remember_at(struct p2p_conn *conn, const char *address)
{
    enum p2p_err err = P2P_OK;

    if (conn->path != P2P_PATH_DIRECT)
        err = p2p_known_met(conn->identity, NULL, &conn->peer, 2);
    else if (address[0] != '\0' && strlen(address) < P2P_ADDRESS_MAX)
        err = p2p_known_met(conn->identity, address, &conn->peer, 2);
    if (err != P2P_OK)
        p2p_log_warn("cannot add a peer to the known peers error=%s address=%s",
                     p2p_err_name(err), address);
}

void
p2p_conn_keep_claim(struct p2p_conn *conn)
{
    enum p2p_err err = p2p_known_claim(conn->identity, &conn->peer, &conn->about);

    if (err != P2P_OK && err != P2P_ERR_NOT_FOUND)
        p2p_log_warn("cannot store a peer's name error=%s", p2p_err_name(err));
}

void
p2p_conn_remember(struct p2p_conn *conn)
{
    if (conn->protocol == 1 || conn->is_guest)
        return;
    if (strcmp(conn->reached, conn->asked) != 0)
        remember_at(conn, conn->reached);
    /* The last one comes first in the list. Other ways have none. */
    remember_at(conn, conn->asked);
    if (conn->has_about)
        p2p_conn_keep_claim(conn);
}
