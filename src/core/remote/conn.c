/* The life of a connection on one way, and what is known of it. */
#include "core/remote/conn_internal.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "p2p/log.h"
#include "p2p/vault.h"

#define OUT_CAP (16 * P2P_KIB)

enum p2p_err
p2p_conn_new(const struct p2p_conn_options *opt, struct p2p_conn **out)
{
    struct p2p_conn *conn = p2p_vault_new(sizeof(*conn)); /* its keys */
    enum p2p_err err;

    *out = conn;
    if (conn == NULL)
        return P2P_ERR_NOMEM;
    conn->fd = -1;
    conn->cut = -1;
    conn->is_guest = opt->reach != NULL && opt->reach->visit != NULL;
    conn->protocol = opt->protocol == 1 && !conn->is_guest ? 1 : 2;
    conn->timeout_ms = opt->timeout_ms > 0 ? opt->timeout_ms : P2P_TIMEOUT_MS;
    conn->in_cap = conn->protocol == 1 ? P2P_CONN_IN1_FIRST : P2P_CONN_IN2;
    conn->out_cap = OUT_CAP;
    conn->identity = opt->identity;
    conn->addr = opt->addr;
    p2p_addr_format(&opt->addr, conn->asked, sizeof(conn->asked));
    conn->in = malloc(conn->in_cap);
    conn->out = malloc(conn->out_cap);
    if ((err = p2p_stop_new(&conn->stop)) != P2P_OK)
        return err;
    return conn->in != NULL && conn->out != NULL ? P2P_OK : P2P_ERR_NOMEM;
}

void
p2p_conn_free(struct p2p_conn *conn)
{
    p2p_fd_close(&conn->fd);
    p2p_stop_free(conn->stop);
    p2p_direction_clear(&conn->send);
    p2p_direction_clear(&conn->receive);
    p2p_session1_free(conn->session1);
    if (conn->in != NULL)
        p2p_wipe(conn->in, conn->in_cap < P2P_CONN_IN2 ? conn->in_cap : P2P_CONN_IN2);
    free(conn->in);
    free(conn->out);
    p2p_vault_free(conn);
}

/* A host name stands for an address, and an address can be written in several ways. */
static void
note_reached(struct p2p_conn *conn)
{
    struct sockaddr_storage sa;
    socklen_t len = sizeof(sa);
    struct p2p_addr addr;

    if (getpeername(conn->fd, (struct sockaddr *)&sa, &len) != 0)
        return;
    p2p_addr_from_sockaddr((const struct sockaddr *)&sa, &addr);
    p2p_addr_format(&addr, conn->reached, sizeof(conn->reached));
}

static enum p2p_err
open_path(struct p2p_conn *conn, const struct p2p_conn_options *opt,
          const struct p2p_reach_listener *listener, uint64_t timeout_ms)
{
    struct p2p_way way;
    enum p2p_err err;

    if (conn->path != P2P_PATH_DIRECT) {
        err = conn->is_guest
                  ? p2p_reach_visit(opt->reach, conn->stop, &way)
                  : p2p_reach_call(opt->reach, opt->expected,
                                   listener->on_addresses != NULL ? listener : NULL,
                                   conn->stop, &way);
        conn->fd = way.fd;
        conn->path = way.kind;
        conn->shake_rtt_us = way.rtt_us;
        return err;
    }
    err = p2p_net_connect_or_stop(&opt->addr, p2p_now_ms() + timeout_ms,
                                  p2p_stop_fd(conn->stop), &conn->fd);
    if (err == P2P_OK)
        note_reached(conn);
    return err;
}

static enum p2p_err
connect_and_shake(struct p2p_conn *conn, const struct p2p_conn_options *opt,
                  const struct p2p_conn_watcher *watcher)
{
    uint64_t timeout_ms = conn->timeout_ms < P2P_HANDSHAKE_TIMEOUT_MS
                              ? conn->timeout_ms
                              : P2P_HANDSHAKE_TIMEOUT_MS;
    enum p2p_err err;

    watcher->on_socket(watcher->arg, conn);
    if ((err = open_path(conn, opt, &watcher->calling, timeout_ms)) != P2P_OK)
        return err;
    conn->cut = conn->fd;
    watcher->on_socket(watcher->arg,
                       conn); /* if a stop was requested meanwhile, interrupt it now */
    if (conn->protocol == 1)
        return p2p_conn_shake1(conn, opt, p2p_now_ms() + timeout_ms);
    if (conn->is_guest)
        return p2p_conn_enter(conn, opt, p2p_now_ms() + timeout_ms);
    return p2p_conn_shake(conn, opt, p2p_now_ms() + timeout_ms);
}

enum p2p_err
p2p_conn_open_one(const struct p2p_conn_options *opt, enum p2p_path_kind path,
                  const struct p2p_conn_watcher *watcher, struct p2p_conn **out)
{
    struct p2p_conn *conn = NULL;
    enum p2p_err err = p2p_conn_new(opt, &conn);

    *out = NULL;
    if (err == P2P_OK)
        conn->path = path;
    if (err == P2P_OK && path != P2P_PATH_DIRECT) /* it has no address */
        conn->asked[0] = '\0';
    if (err == P2P_OK)
        err = connect_and_shake(conn, opt, watcher);
    if (err == P2P_OK) {
        *out = conn;
        return P2P_OK;
    }
    watcher->on_socket(watcher->arg, NULL);
    if (conn != NULL)
        p2p_conn_free(conn);
    return err;
}

/* Sends the authenticated end of our direction, if the socket accepts it without
 * waiting. */
static void
say_goodbye(struct p2p_conn *conn)
{
    const struct p2p_msg close_msg = {.type = P2P_MSG_CLOSE};
    const struct p2p_msg1 done = {.type = P2P_MSG1_DONE};
    size_t sent;
    enum p2p_err err;

    if (conn->broken || conn->is_guest) /* p2p_conn_end_visit */
        return;
    err = conn->protocol == 1 ? p2p_conn_put1(conn, &done)
                              : p2p_conn_put(conn, &close_msg);
    if (err == P2P_OK)
        err = p2p_net_try_write(conn->fd, conn->out, conn->out_used, &sent);
    if (err != P2P_OK)
        p2p_log_debug("cannot send a CLOSE message error=%s", p2p_err_name(err));
}

void
p2p_conn_close(struct p2p_conn *conn)
{
    if (conn == NULL)
        return;
    say_goodbye(conn);
    p2p_conn_free(conn);
}

enum p2p_path_kind
p2p_conn_path(const struct p2p_conn *conn)
{
    return conn->path;
}

const struct p2p_about *
p2p_conn_about(const struct p2p_conn *conn)
{
    return conn->has_about ? &conn->about : NULL;
}

uint32_t
p2p_conn_features(const struct p2p_conn *conn)
{
    return conn->features;
}

const struct p2p_addr *
p2p_conn_address(const struct p2p_conn *conn)
{
    return &conn->addr;
}

const struct p2p_id *
p2p_conn_peer(const struct p2p_conn *conn)
{
    return conn->protocol == 1 ? NULL : &conn->peer;
}

void
p2p_conn_interrupt(struct p2p_conn *conn)
{
    int fd = conn->cut;

    p2p_stop_set(conn->stop);
    if (fd >= 0)
        (void)shutdown(fd, SHUT_RDWR);
}

uint64_t
p2p_conn_timeout_ms(const struct p2p_conn *conn)
{
    return conn->timeout_ms;
}

bool
p2p_conn_is_worn(const struct p2p_conn *conn, size_t margin)
{
    return p2p_session1_is_worn(conn->session1, margin);
}

uint64_t
p2p_conn_rtt_us(const struct p2p_conn *conn)
{
    struct tcp_info info;
    socklen_t len = sizeof(info);

    /* The kernel knows the way to the relay only, and of a channel nothing. */
    if (conn->path != P2P_PATH_DIRECT)
        return conn->shake_rtt_us;
    memset(&info, 0, sizeof(info));
    if (getsockopt(conn->fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
        return 0;
    return info.tcpi_min_rtt != 0 && info.tcpi_min_rtt != UINT32_MAX ? info.tcpi_min_rtt
                                                                     : info.tcpi_rtt;
}
