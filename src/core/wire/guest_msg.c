#include "p2p/guest_msg.h"

#include <string.h>

static const char no_text[] = "";

static void
put_text(struct p2p_wr *wr, struct p2p_text text)
{
    p2p_wr_put_u16(wr, (uint16_t)text.len);
    p2p_wr_put_bytes(wr, text.at, text.len);
}

static struct p2p_text
get_text(struct p2p_rd *rd)
{
    size_t len = p2p_rd_get_u16(rd);
    const char *at = (const char *)p2p_rd_get_ref(rd, len);

    return at != NULL ? (struct p2p_text){at, len} : (struct p2p_text){no_text, 0};
}

/* Begins to read a message of this type. */
static bool
begin(struct p2p_rd *rd, const void *plain, size_t len, uint8_t type)
{
    p2p_rd_init(rd, plain, len);
    return p2p_rd_get_u8(rd) == type;
}

void
p2p_have_put(struct p2p_wr *wr, const struct p2p_have *have)
{
    p2p_wr_put_u8(wr, P2P_MSG_HAVE);
    p2p_wr_put_u32(wr, have->file);
    p2p_wr_put_u64(wr, have->size);
    p2p_wr_put_u64(wr, have->mtime_s);
    put_text(wr, have->name);
}

enum p2p_err
p2p_have_parse(const void *plain, size_t len, struct p2p_have *out)
{
    struct p2p_rd rd;

    memset(out, 0, sizeof(*out));
    if (!begin(&rd, plain, len, P2P_MSG_HAVE))
        return P2P_ERR_MALFORMED;
    out->file = p2p_rd_get_u32(&rd);
    out->size = p2p_rd_get_u64(&rd);
    out->mtime_s = p2p_rd_get_u64(&rd);
    out->name = get_text(&rd);
    return p2p_rd_end(&rd);
}

void
p2p_stored_put(struct p2p_wr *wr, const struct p2p_stored *stored)
{
    p2p_wr_put_u8(wr, P2P_MSG_STORED);
    p2p_wr_put_u32(wr, stored->file);
    p2p_wr_put_u8(wr, stored->result);
    put_text(wr, stored->name);
}

enum p2p_err
p2p_stored_parse(const void *plain, size_t len, struct p2p_stored *out)
{
    struct p2p_rd rd;

    memset(out, 0, sizeof(*out));
    if (!begin(&rd, plain, len, P2P_MSG_STORED))
        return P2P_ERR_MALFORMED;
    out->file = p2p_rd_get_u32(&rd);
    out->result = p2p_rd_get_u8(&rd);
    out->name = get_text(&rd);
    return p2p_rd_end(&rd);
}

void
p2p_proof_put(struct p2p_wr *wr, const struct p2p_proof *proof)
{
    p2p_wr_put_u8(wr, P2P_MSG_PROOF);
    p2p_wr_put_u32(wr, proof->file);
    p2p_wr_put_bytes(wr, proof->sha256.b, sizeof(proof->sha256.b));
}

enum p2p_err
p2p_proof_parse(const void *plain, size_t len, struct p2p_proof *out)
{
    struct p2p_rd rd;

    memset(out, 0, sizeof(*out));
    if (!begin(&rd, plain, len, P2P_MSG_PROOF))
        return P2P_ERR_MALFORMED;
    out->file = p2p_rd_get_u32(&rd);
    p2p_rd_get_bytes(&rd, out->sha256.b, sizeof(out->sha256.b));
    return p2p_rd_end(&rd);
}

void
p2p_guest_root(uint32_t file, struct p2p_digest *out)
{
    memset(out, 0, sizeof(*out));
    p2p_store_u32(out->b + sizeof(out->b) - 4, file);
}

bool
p2p_guest_file_of(const struct p2p_digest *root, uint32_t *file)
{
    static const uint8_t zeros[sizeof(root->b) - 4];

    *file = p2p_load_u32(root->b + sizeof(root->b) - 4);
    return memcmp(root->b, zeros, sizeof(zeros)) == 0;
}
