#include "core/remote/request.h"

#include <stddef.h>
#include <string.h>

struct request *
p2p_requests_add(struct requests *t, uint32_t req, unsigned slot, uint32_t base,
                 uint32_t length)
{
    struct request *r = &t->at[t->count++];

    *r = (struct request){.req = req, .slot = slot, .base = base, .length = length};
    return r;
}

struct request *
p2p_requests_find(struct requests *t, uint32_t req)
{
    for (unsigned i = 0; i < t->count; i++)
        if (t->at[i].req == req)
            return &t->at[i];
    return NULL;
}

void
p2p_requests_forget(struct requests *t, struct request *r)
{
    *r = t->at[--t->count];
}

enum p2p_err
p2p_request_take(struct request *r, const struct p2p_msg_data *data, uint8_t *buf)
{
    uint32_t room = r->length - r->received;
    uint8_t *out = buf != NULL ? buf + r->base + r->received : NULL;
    size_t got = data->len;

    if (data->offset != r->received)
        return P2P_ERR_PROTOCOL;
    if (data->flags & P2P_DATA_ZSTD) {
        enum p2p_err err = p2p_unpack(data->bytes, data->len, out, room, &got);
        if (err != P2P_OK)
            return err;
    } else {
        if (got == 0 || got > room)
            return P2P_ERR_PROTOCOL;
        if (out != NULL)
            memcpy(out, data->bytes, got);
    }
    r->received += (uint32_t)got;
    bool last = (data->flags & P2P_DATA_LAST) != 0;
    return last == (r->received == r->length) ? P2P_OK : P2P_ERR_PROTOCOL;
}
