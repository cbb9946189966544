/* Opening a connection: on one way, or on the first one of several. */
#include "core/remote/conn_race.h"

/* What is shown meanwhile has no socket; an interruption of it ends the race. */
static enum p2p_err
open_any(const struct p2p_conn_options *opt, p2p_conn_on_socket *on_socket, void *arg,
         struct p2p_conn **out)
{
    struct p2p_conn *front = NULL;
    enum p2p_err err = p2p_conn_new(opt, &front);

    *out = NULL;
    if (err == P2P_OK) {
        on_socket(arg, front);
        err = p2p_conn_race(opt, p2p_stop_fd(front->stop), out);
    }
    on_socket(arg, *out);
    if (front != NULL)
        p2p_conn_free(front);
    return err;
}

enum p2p_err
p2p_conn_open_shown(const struct p2p_conn_options *opt, p2p_conn_on_socket *on_socket,
                    void *arg, struct p2p_conn **out)
{
    bool is_guest = opt->reach != NULL && opt->reach->visit != NULL;
    bool is_one = (opt->other_count == 0 && opt->reach == NULL) ||
                  opt->expected == NULL || opt->protocol == 1;

    const struct p2p_conn_watcher watcher = {.on_socket = on_socket, .arg = arg};

    if (is_guest)
        return p2p_conn_open_one(opt, P2P_PATH_CHANNEL, &watcher, out);
    return is_one ? p2p_conn_open_one(opt, P2P_PATH_DIRECT, &watcher, out)
                  : open_any(opt, on_socket, arg, out);
}

static void
show_nobody(void *arg, struct p2p_conn *conn)
{
    (void)arg, (void)conn;
}

enum p2p_err
p2p_conn_open(const struct p2p_conn_options *opt, struct p2p_conn **out)
{
    return p2p_conn_open_shown(opt, show_nobody, NULL, out);
}
