#include "relay/session.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "p2p/clock.h"
#include "p2p/io.h"

enum {
    TURN_BYTES = 1 << 20, /* then it is the others' turn */
    STEP_BYTES = 256 << 10,
};

/* What does not work does not matter. */
static void
prepare_socket(int fd)
{
    static const char congestion[] = "bbr";
    int yes = 1;

    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof(yes));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, congestion,
                     sizeof(congestion) - 1);
}

enum p2p_err
session_new(int caller_fd, int callee_fd, size_t pipe_cap, uint64_t bytes_per_s,
            struct p2p_rate *all, struct session **out)
{
    struct session *s = calloc(1, sizeof(*s));
    int fds[2] = {caller_fd, callee_fd};
    enum p2p_err err;

    *out = NULL;
    if (s == NULL) {
        p2p_fd_close(&fds[0]);
        p2p_fd_close(&fds[1]);
        return P2P_ERR_NOMEM;
    }
    for (int i = 0; i < 2; i++) {
        prepare_socket(fds[i]);
        s->sides[i] = (struct session_side){
            .watched = {WATCHED_SESSION},
            .session = s,
            .end = {.fd = fds[i], .readable = true, .writable = true},
        };
    }
    p2p_rate_init(&s->rate, bytes_per_s, p2p_now_us());
    s->rate.parent = all;
    s->started_ms = s->last_byte_ms = p2p_now_ms();
    if ((err = flow_open(&s->flows[0], pipe_cap)) != P2P_OK ||
        (err = flow_open(&s->flows[1], pipe_cap)) != P2P_OK) {
        session_free(s);
        return err;
    }
    *out = s;
    return P2P_OK;
}

void
session_free(struct session *s)
{
    if (s == NULL)
        return;
    for (int i = 0; i < 2; i++) {
        p2p_fd_close(&s->sides[i].end.fd);
        flow_close(&s->flows[i]);
    }
    p2p_rate_clear(&s->rate);
    free(s);
}

/* Takes the bytes that one step may move from the rate; 0: later. */
static size_t
allowance(struct session *s, uint64_t now_us)
{
    uint64_t wait_us = p2p_rate_take(&s->rate, STEP_BYTES, now_us);

    if (wait_us == 0)
        return STEP_BYTES;
    s->resume_at_us = now_us + wait_us;
    return 0;
}

static bool
is_within_token(const struct session *s)
{
    return s->token.bytes == 0 || s->bytes < s->token.bytes;
}

/* One direction, one step. */
static enum p2p_err
step(struct session *s, int direction, uint64_t now_us, size_t *moved)
{
    struct flow *flow = &s->flows[direction];
    struct flow_end *from = &s->sides[direction].end, *to = &s->sides[!direction].end;
    bool wants_more = from->readable && !flow->is_over;
    size_t most = wants_more ? allowance(s, now_us) : 0;
    enum p2p_err err = flow_move(flow, from, to, most, moved);

    if (most > 0)
        p2p_rate_charge(&s->rate, (int64_t)*moved - (int64_t)most);
    return err;
}

enum session_end
session_run(struct session *s, struct accounts *accounts, uint64_t now_us,
            uint64_t now_s)
{
    size_t budget = TURN_BYTES;
    bool is_moving = true;

    s->is_due = false;
    s->resume_at_us = 0;
    while (is_moving && budget > 0) {
        is_moving = false;
        for (int i = 0; i < 2; i++) {
            size_t moved = 0;
            enum p2p_err err = step(s, i, now_us, &moved);
            if (err == P2P_ERR_CLOSED)
                return SESSION_BROKEN;
            is_moving = is_moving || err == P2P_OK;
            budget -= moved < budget ? moved : budget;
            s->bytes += moved;
            if (moved > 0)
                s->last_byte_ms = now_us / 1000;
            if (!accounts_charge(accounts, &s->bill, moved, now_s) ||
                !is_within_token(s))
                return SESSION_QUOTA;
        }
    }
    if (s->flows[0].is_shut && s->flows[1].is_shut)
        return SESSION_DONE;
    return is_moving ? SESSION_AGAIN : SESSION_RUNS;
}
