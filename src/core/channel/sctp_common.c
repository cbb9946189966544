/* What all parts of an association need: the frame of a chunk, room, and failing. */
#include "core/channel/sctp_internal.h"

bool
p2p_sctp_grow_buffer(struct p2p_sctp *s, struct p2p_ring *ring, size_t max)
{
    size_t more = ring->max;

    if (ring->max >= max)
        return false;
    if (more > max - ring->max)
        more = max - ring->max;
    if (!p2p_budget_take(s->opt.budget, more))
        return false;
    ring->max += more;
    return true;
}

void
p2p_sctp_fail(struct p2p_sctp *s, enum p2p_err err)
{
    if (s->state == SCTP_CLOSED)
        return;
    s->error = err;
    s->state = SCTP_CLOSED;
    s->abort_is_due = err != P2P_ERR_CLOSED && s->peer_tag != 0;
}

size_t
p2p_sctp_begin_chunk(struct p2p_wr *wr, enum sctp_chunk_type type, uint8_t flags)
{
    size_t at = wr->used;

    p2p_wr_put_u8(wr, (uint8_t)type);
    p2p_wr_put_u8(wr, flags);
    p2p_wr_put_u16(wr, 0);
    return at;
}

void
p2p_sctp_end_chunk(struct p2p_wr *wr, size_t at)
{
    static const uint8_t zero[4];
    size_t len = wr->used - at;

    p2p_wr_put_bytes(wr, zero, -len & 3);
    if (wr->failed)
        return;
    wr->buf[at + 2] = (uint8_t)(len >> 8);
    wr->buf[at + 3] = (uint8_t)len;
}
