#include "p2p/bytes.h"

#include <string.h>

void
p2p_rd_init(struct p2p_rd *rd, const void *data, size_t len)
{
    *rd = (struct p2p_rd){.at = data, .left = len};
}

const uint8_t *
p2p_rd_get_ref(struct p2p_rd *rd, size_t len)
{
    const uint8_t *at = rd->at;

    if (rd->failed || len > rd->left) {
        rd->failed = true;
        return NULL;
    }
    rd->at += len;
    rd->left -= len;
    return at;
}

/* Reads a big-endian integer of `width` bytes; 0 if there are not enough bytes. */
static uint64_t
get_uint(struct p2p_rd *rd, size_t width)
{
    const uint8_t *in = p2p_rd_get_ref(rd, width);
    uint64_t value = 0;

    /*@ loop invariant i <= width;
        loop assigns i, value;
        loop variant width - i; */
    for (size_t i = 0; in != NULL && i < width; i++)
        value = value << 8 | in[i];
    return value;
}

uint8_t
p2p_rd_get_u8(struct p2p_rd *rd)
{
    return (uint8_t)get_uint(rd, 1);
}

uint16_t
p2p_rd_get_u16(struct p2p_rd *rd)
{
    return (uint16_t)get_uint(rd, 2);
}

uint32_t
p2p_rd_get_u32(struct p2p_rd *rd)
{
    return (uint32_t)get_uint(rd, 4);
}

uint64_t
p2p_rd_get_u64(struct p2p_rd *rd)
{
    return get_uint(rd, 8);
}

void
p2p_rd_get_bytes(struct p2p_rd *rd, void *out, size_t len)
{
    const uint8_t *in = p2p_rd_get_ref(rd, len);

    if (in == NULL)
        memset(out, 0, len);
    else if (len > 0)
        memcpy(out, in, len);
}

enum p2p_err
p2p_rd_end(const struct p2p_rd *rd)
{
    return rd->failed || rd->left > 0 ? P2P_ERR_MALFORMED : P2P_OK;
}

void
p2p_wr_init(struct p2p_wr *wr, void *buf, size_t cap)
{
    *wr = (struct p2p_wr){.buf = buf, .cap = cap};
}

void
p2p_wr_put_bytes(struct p2p_wr *wr, const void *data, size_t len)
{
    if (wr->failed || len > wr->cap - wr->used) {
        wr->failed = true;
        return;
    }
    if (len > 0)
        memcpy(wr->buf + wr->used, data, len);
    wr->used += len;
}

static void
put_uint(struct p2p_wr *wr, uint64_t value, size_t width)
{
    uint8_t out[8];

    p2p_store_u64(out, value);
    p2p_wr_put_bytes(wr, out + 8 - width, width);
}

void
p2p_wr_put_u8(struct p2p_wr *wr, uint8_t value)
{
    put_uint(wr, value, 1);
}

void
p2p_wr_put_u16(struct p2p_wr *wr, uint16_t value)
{
    put_uint(wr, value, 2);
}

void
p2p_wr_put_u32(struct p2p_wr *wr, uint32_t value)
{
    put_uint(wr, value, 4);
}

void
p2p_wr_put_u64(struct p2p_wr *wr, uint64_t value)
{
    put_uint(wr, value, 8);
}

void
p2p_wr_put_text(struct p2p_wr *wr, const char *text)
{
    p2p_wr_put_bytes(wr, text, strlen(text));
}

enum p2p_err
p2p_wr_end(const struct p2p_wr *wr, size_t *len)
{
    *len = wr->failed ? 0 : wr->used;
    return wr->failed ? P2P_ERR_TOO_LARGE : P2P_OK;
}

uint32_t
p2p_load_u32(const uint8_t in[4])
{
    return (uint32_t)in[0] << 24 | (uint32_t)in[1] << 16 | (uint32_t)in[2] << 8 | in[3];
}

void
p2p_store_u32(uint8_t out[4], uint32_t value)
{
    /*@ loop invariant -1 <= i <= 3;
        loop assigns i, value, out[0 .. 3];
        loop variant i; */
    for (int i = 3; i >= 0; i--, value >>= 8)
        out[i] = (uint8_t)value;
}

uint64_t
p2p_load_u64(const uint8_t in[8])
{
    return (uint64_t)p2p_load_u32(in) << 32 | p2p_load_u32(in + 4);
}

void
p2p_store_u64(uint8_t out[8], uint64_t value)
{
    p2p_store_u32(out, (uint32_t)(value >> 32));
    p2p_store_u32(out + 4, (uint32_t)value);
}

size_t
p2p_u64_format(uint64_t value, char out[P2P_U64_TEXT_MAX])
{
    char digits[P2P_U64_TEXT_MAX];
    size_t at = sizeof(digits), len;

    digits[--at] = '\0';
    /*@ loop invariant at <= 20 && fits(value, at) && (value > 0 || at == 20);
        loop assigns at, value, digits[0 .. 19];
        loop variant at; */
    do
        digits[--at] = (char)('0' + value % 10);
    while ((value /= 10) != 0);
    len = sizeof(digits) - at;
    memcpy(out, digits + at, len);
    return len - 1;
}
