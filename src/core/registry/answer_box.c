/* Boxes for the answers to calls. */
#include <poll.h>

#include "p2p/box.h"
#include "p2p/clock.h"

enum {
    ANSWER_MS = 12000,
    WAIT_S = 10,
    POLL_PAUSE_S = 1,
    MAKE_PAUSE_MS = 3000,
};

static enum p2p_err
read_box(struct p2p_answer_box *b, unsigned wait_s)
{
    char name[P2P_BOX_TEXT];
    const struct p2p_box_wait wait = {.box = name, .wait_s = wait_s, .stop = b->stop};

    p2p_box_of_number(&b->number, name);
    return p2p_box_read(b->discovery, b->registry, &wait, &b->after, b->take, b->arg);
}

enum p2p_err
p2p_answer_box_make(struct p2p_answer_box *b, uint64_t patience_ms)
{
    struct pollfd on = {.fd = p2p_stop_fd(b->stop), .events = POLLIN};
    uint64_t end_ms = p2p_now_ms() + patience_ms;
    enum p2p_err err;

    while ((err = read_box(b, 0)) == P2P_ERR_RATE_LIMITED && p2p_now_ms() < end_ms)
        if (poll(&on, 1, MAKE_PAUSE_MS) > 0)
            return P2P_ERR_CANCELLED;
    return err;
}

enum p2p_err
p2p_answer_box_wait(struct p2p_answer_box *b)
{
    uint64_t end_ms = p2p_now_ms() + ANSWER_MS;
    unsigned wait_s = WAIT_S;
    enum p2p_err err = P2P_OK;

    while (err == P2P_OK && !b->is_answered && p2p_now_ms() < end_ms &&
           !p2p_stop_is_set(b->stop)) {
        err = read_box(b, wait_s);
        wait_s = POLL_PAUSE_S;
    }
    if (p2p_stop_is_set(b->stop))
        return P2P_ERR_CANCELLED;
    if (err != P2P_OK)
        return err;
    return b->is_answered ? P2P_OK : P2P_ERR_TIMEOUT;
}
